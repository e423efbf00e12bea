//! What a recording tells of commands, in words.

use std::net::IpAddr;
use std::time::Duration;

use knock_engine::time::Timestamp;
use knock_frontend::escape::Escaped;
use knock_frontend::format::Span;
use serde::Deserialize;
use serde_json::value::RawValue;

use super::block::{Block, Mood};

/// What became of a command, as the daemon's log has it.
#[derive(Clone, Copy, Debug)]
pub struct Command<'a> {
    /// When it was told.
    pub at: Timestamp,
    /// The line of the log: an object of JSON.
    pub line: &'a RawValue,
}

/// The fields of such a line; `docs/LOGS.md` has them.
#[derive(Debug, Deserialize)]
struct Line {
    event: String,
    door: Option<String>,
    source: Option<IpAddr>,
    kind: Option<String>,
    status: Option<i64>,
    signal: Option<i64>,
    reason: Option<String>,
    bytes: Option<u64>,
    r#try: Option<u64>,
    tries: Option<u64>,
    delay_ns: Option<u64>,
    remaining_ns: Option<u64>,
    elapsed_ns: Option<u64>,
    message: Option<String>,
    severity: Option<String>,
}

impl Command<'_> {
    /// Makes a block of it; none where it only says what the events say too: that a command runs.
    pub(super) fn block(&self) -> Option<Block> {
        let line: Line = serde_json::from_str(self.line.get()).ok()?;
        if matches!(line.event.as_str(), "running" | "would_run") {
            return None;
        }
        let mood = match line.severity.as_deref() {
            Some("error") => Mood::Bad,
            Some("warning") => Mood::Notable,
            _ => Mood::Plain,
        };
        let mut block = Block::new(self.at, mood, line.verdict());
        block.source = line.source;
        block.door = line.door;
        Some(block)
    }
}

impl Line {
    /// Returns what happened: `stop command failed: status 4`.
    fn verdict(&self) -> String {
        let kind = self.kind.as_ref().map(|kind| format!("{kind} command "));
        let mut told = format!("{}{}", kind.unwrap_or_default(), self.event.replace('_', " "));
        let span = |nanos: u64| Span(Duration::from_nanos(nanos));
        let details = [
            self.status.map(|status| format!("status {status}")),
            self.signal.map(|signal| format!("signal {signal}")),
            self.reason.as_ref().map(|reason| reason.replace('_', " ")),
            self.bytes.map(|bytes| format!("{bytes} bytes")),
            self.r#try.map(|number| format!("try {number}")),
            self.tries.map(|tries| format!("{tries} tries")),
            self.delay_ns.map(|nanos| format!("in {}", span(nanos))),
            self.remaining_ns.map(|nanos| format!("stays open for {}", span(nanos))),
            self.elapsed_ns.map(|nanos| format!("for {}", span(nanos))),
            self.message.clone(),
        ];
        let details: Vec<String> = details.into_iter().flatten().collect();
        if !details.is_empty() {
            told.push_str(": ");
            told.push_str(&details.join(", "));
        }
        Escaped(&told).to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(line: &str) -> Option<String> {
        let line = RawValue::from_string(line.to_owned()).unwrap();
        Command { at: Timestamp::ZERO, line: &line }.block().map(|block| block.verdict)
    }

    #[test]
    fn what_the_log_says_of_commands_is_told_in_words() {
        let of = |rest: &str| verdict(&format!("{{\"event\":{rest}}}"));
        assert_eq!(of("\"running\",\"kind\":\"start\""), None);
        let told = of("\"failed\",\"kind\":\"stop\",\"status\":4");
        assert_eq!(told.as_deref(), Some("stop command failed: status 4"));
        let told = of("\"retry\",\"kind\":\"stop\",\"try\":2,\"delay_ns\":1000000000");
        assert_eq!(told.as_deref(), Some("stop command retry: try 2, in 1 s"));
        let told = of("\"recovered\",\"remaining_ns\":7500000000");
        assert_eq!(told.as_deref(), Some("recovered: stays open for 7.5 s"));
        let told = of("\"printed\",\"kind\":\"start\",\"message\":\"a\\u001b[2Jb\"");
        assert_eq!(told.as_deref(), Some("start command printed: a\\u{1b}[2Jb"));
    }
}
