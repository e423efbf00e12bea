//! Runs the model over a case and writes its decisions in the oracle's format.

use std::time::Duration;

use knock_engine::local::LocalAddresses;
use knock_engine::time::Timestamp;
use knock_replay::knockd08::{
    Commands, CrashCause, Decision, Knockd08, Knockd08Config, LinkLayer, Step, address_text,
};

use super::case::{Case, Outcome};

/// Runs the model over a case.
pub(super) fn run(case: &Case) -> Outcome {
    let refused =
        || Outcome { end: "EXIT 1".to_owned(), files: case.files.clone(), ..Outcome::default() };
    let mut read = |path: &str| {
        let file = case.files.iter().find(|(name, _)| name == path);
        file.map(|(_, text)| text.clone().into_bytes())
    };
    let Ok(config) = Knockd08Config::parse(&case.config, &mut read) else { return refused() };
    let local = LocalAddresses::Known(case.local.clone());
    let Ok(link) = LinkLayer::from_link_type(case.capture.link_type) else { return refused() };
    let Ok(mut knockd) = Knockd08::new(config, local, case.families) else { return refused() };

    let mut outcome = Outcome { end: "EXIT 0".to_owned(), ..Outcome::default() };
    for (index, frame) in case.capture.frames.iter().enumerate() {
        knockd.handle_frame(link, &frame.bytes, Timestamp::from_nanos(frame.at_ns));
        while let Some(decision) = knockd.poll_output() {
            write(&decision, index + 1, &mut outcome);
        }
    }
    outcome.files = case.files.clone();
    for (name, text) in &mut outcome.files {
        if let Some(left) = knockd.one_time_file(name) {
            *text = String::from_utf8(left.to_vec()).unwrap();
        }
    }
    outcome
}

fn write(decision: &Decision, frame: usize, outcome: &mut Outcome) {
    let mut line = |at: Timestamp, text: String| {
        let micros = at.as_nanos() / 1000;
        let (seconds, micros) = (micros / 1_000_000, micros % 1_000_000);
        let line = format!("{seconds}.{micros:06} {frame} {text}");
        outcome.lines.push(line.trim_end_matches(' ').to_owned());
    };
    match decision {
        Decision::Stage(step) => line(step.at, format!("STAGE {} {}", who(step), step.stage)),
        Decision::Timeout(step) => line(step.at, format!("TIMEOUT {} {}", who(step), step.stage)),
        Decision::Open { step, commands } => {
            line(step.at, format!("OPEN {}", who(step)));
            let Commands::Run { start, stop } = commands else { return };
            line(step.at, format!("EXEC {start}"));
            let Some(stop) = stop else { return };
            let span = Duration::from_secs(stop.cmd_timeout_s.into());
            assert_eq!(stop.at, step.at.saturating_add(span));
            line(step.at, format!("SLEEP {}", stop.cmd_timeout_s));
            line(stop.at, format!("CMDTIMEOUT {}", who(step)));
            line(stop.at, format!("EXEC {}", stop.command));
        }
        Decision::Lost { .. } | Decision::Disabled { .. } => {}
        Decision::Crash { cause: CrashCause::LastSequence, .. } => outcome.end = "CRASH 6".into(),
        Decision::Crash { cause: CrashCause::FilterRejectsAll, .. } => {
            outcome.end = "EXIT 1".into();
        }
    }
}

fn who(step: &Step) -> String {
    format!("{} {}", address_text(step.source), step.door.name)
}
