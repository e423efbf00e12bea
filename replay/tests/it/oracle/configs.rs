//! Random config texts, most of whose lines knockd knows.

use knock_replay::knockd08::Families;

use super::case::{Capture, Case, Frame};
use super::generator::{Rng, Transport, ethernet_frame};

/// Makes a config of random lines, most of which knockd knows, and a capture that knocks.
pub(super) fn case(seed: u64) -> Case {
    let mut rng = Rng::new(seed);
    let mut config = Vec::new();
    for _ in 0..rng.between(1, 3) {
        section(&mut rng, &mut config);
    }
    // libpcap would make something of nearly every spoilt target, as it is part of the filter's text.
    if rng.percent(10) && !String::from_utf8_lossy(&config).contains("target") {
        let at = usize::try_from(rng.between(0, config.len() as u64 - 1)).unwrap();
        config[at] = *rng.choose(b"\0\n\r[]#=:, 0\xff");
    }
    let mut frames = Vec::new();
    let mut at_us = 1_700_000_000_000_000;
    for _ in 0..40 {
        at_us += rng.between(0, 800_000);
        let destination = *rng.choose(&["10.0.0.1", "10.0.0.1", "10.9.9.9"]);
        let protocol = Transport::choose(&mut rng, 40);
        let (port, flags) =
            (*rng.choose(&[0, 0, 7, 7, 8, 9, 65_535]), *rng.choose(&[2, 2, 16, 18]));
        let bytes = ethernet_frame("192.0.2.1", destination, (protocol, port, flags));
        frames.push(Frame { at_ns: at_us * 1000, bytes });
    }
    Case {
        config,
        files: vec![("otp.txt".to_owned(), " 7\n8,8\n7,9\n 8:udp\n 7,7\n 9\n9\n9,9\n".to_owned())],
        local: vec!["10.0.0.1".parse().unwrap()],
        families: Families::Both,
        capture: Capture { link_type: 1, frames },
    }
}

fn section(rng: &mut Rng, config: &mut Vec<u8>) {
    let names = ["[a]", "[ b c ]", "[options]", "[Options]", "[]", "[x", "  [d]  ", "# [e]", ""];
    let name = if rng.percent(80) { "[s]" } else { *rng.choose(&names) };
    push_line(rng, config, name);
    let knock = |rng: &mut Rng| {
        let port =
            rng.choose(&["7", "8", "9", "7", "8", " 7 ", "7x", "", "-1", "0", "70000", "+8"]);
        let protocol = rng.choose(&["", "", "", ":tcp", ":UDP", " : udp ", ":", ":tcp:x", ":sctp"]);
        format!("{port}{protocol}")
    };
    if rng.percent(95) {
        let sequence: Vec<_> = (0..rng.between(1, 3)).map(|_| knock(rng)).collect();
        push_line(rng, config, &format!("sequence = {}", sequence.join(",")));
    }
    for _ in 0..rng.between(0, 5) {
        let key = *rng.choose(&[
            "sequence",
            "Seq_Timeout",
            "timeout",
            "command",
            "START_COMMAND",
            "stop_command",
            "cmd_timeout",
            "tcpflags",
            "target",
            "one_time_sequences",
            "usesyslog",
            "logfile",
            "command_6",
            "start_command_6",
            "stop_command_6",
            "interface",
            "foo",
        ]);
        let values: &[&str] = match key.to_ascii_lowercase().as_str() {
            "sequence" => &["7,8", "7:udp", "9,9,9", "7,"],
            "seq_timeout" | "timeout" | "cmd_timeout" => &["1", "2", "15m", "-1", "", "x", " 3 "],
            "tcpflags" => &["syn", "SYN", "!ack", "syn,!ack", "syn, ack", "", "!syn,syn", "ece"],
            "target" => &["10.0.0.1", "10.9.9.9", "10.9.9.09", "2001:db8::99"],
            "one_time_sequences" => &["otp.txt", "otp.txt", "missing.txt"],
            "usesyslog" | "logfile" | "interface" | "foo" => &["x"],
            _ => &["run %IP%", "a=b # c", "", "x%IP%%IP%"],
        };
        let value = *rng.choose(values);
        let line = match key {
            "usesyslog" if rng.percent(90) => key.to_owned(),
            "logfile" | "interface" | "foo" | "target" if rng.percent(70) => "# none".to_owned(),
            _ => format!("{key}{}{value}", rng.choose(&["=", " = ", "\t=\t"])),
        };
        push_line(rng, config, &line);
    }
}

fn push_line(rng: &mut Rng, config: &mut Vec<u8>, line: &str) {
    config.extend_from_slice(rng.choose(&["", "  ", "\t"]).as_bytes());
    config.extend_from_slice(line.as_bytes());
    config
        .extend_from_slice(rng.choose(&["\n", "\n", "\r\n", " \n", "\n\n", "\n# c\n"]).as_bytes());
}
