//! Every error and warning, as it reads.

use std::fmt::Write as _;

use knock_engine::config::{escape, parse, parse_one_time_lines};

/// Shows each config, escaped, with its problems under it.
fn report(cases: &[&[u8]]) -> String {
    let mut report = String::new();
    for text in cases {
        let shown = text.split(|&byte| byte == b'\n').map(escape);
        shown.for_each(|line| writeln!(report, "| {}", line.get(..100).unwrap_or(&line)).unwrap());
        for found in parse(text).diagnostics {
            writeln!(report, "{found}").unwrap();
            // What the short form leaves out where it has a suggestion.
            if let (Some(help), Some(_)) = (&found.help, &found.replacement) {
                writeln!(report, "    help: {help}").unwrap();
            }
        }
        report.push('\n');
    }
    report
}

/// Wraps the settings of a door.
fn door(settings: &str) -> Vec<u8> {
    format!("[s]\nsequence=1\n{settings}").into_bytes()
}

fn door_report(cases: &[&str]) -> String {
    let texts: Vec<_> = cases.iter().map(|settings| door(settings)).collect();
    report(&texts.iter().map(Vec::as_slice).collect::<Vec<_>>())
}

#[test]
fn sections_and_lines() {
    let long = [b"# ".as_slice(), &[b'x'; 5000]].concat();
    let report = report(&[
        b"sequence = 7000",
        b"[]\nsequence=1",
        b"[ssh\nsequence=1",
        b"[ssh] # opens ssh\nsequence=1",
        b"[\xfc]\nsequence=1",
        b"[s\x1b[31m]\nsequence=1",
        b"[ssh]\nsequence=1\n\n[ssh]\nsequence=2",
        b"[ssh]\ncommand=x",
        b"[ssh]\nsequence=1\none_time_sequences=/f",
        b"[ssh]\none_time_sequences=/f\nsequence=1",
        b"[Options]\nlogfile=/l\nsequence=1",
        b"[options]\nsequence=1",
        b"[options]\nlogfil=/l",
        b"[options]\ncolour=red",
        b"\xff\xfe[\0s\0]\0",
        &long,
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn keys() {
    let report = door_report(&[
        "seq_timout = 5",
        "SEQUENZ = 1",
        "colour = red",
        "interface = eth0",
        "= 5",
        "sequence",
        "some text",
        "; a comment",
        "; command = x",
        "// command = x",
        "usesyslog = yes",
        "Use_Syslog",
        "usesyslgo",
        "\x1b]0;x\x07 = \u{202e}",
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn sequences() {
    let many = vec!["7"; 33].join(",");
    let report = door_report(&[
        "sequence = 9000 # my knock",
        "sequence = 7000,8000x,9000 9001",
        "sequence = 7000/udp, 8000 UDP, 9000/udp:tcp",
        "sequence = 7000,8000 # first, second",
        "sequence = 7000:tcp:foo",
        "sequence = 0, 70000, -1, abc, 99999999999999999999",
        "sequence =",
        "sequence = ,7000,,8000,",
        "sequence = :tcp, 7000:, 7000:sctp, 7000:tpc, 7000:tcp # x",
        &format!("sequence = {many}"),
        "one_time_sequences =",
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn numbers_and_spans() {
    let report = door_report(&[
        "seq_timeout = 15 /* seconds */",
        "seq_timeout = 7x",
        "seq_timeout = 1.5",
        "seq_timeout = 5 min",
        "seq_timeout = abc",
        "seq_timeout =",
        "seq_timeout = 0",
        "timeout = -3",
        "seq_timeout = 4294967296",
        "seq_timeout = 0.0000000001s",
        "cmd_timeout = -1",
        "cmd_timeout = -5000000000",
        "cooldown = -1",
        "max_strays = 8 # eight",
        "max_strays = 1025",
        "max_strays = many",
        "max_strays = -1",
        "max_strays =",
        "max_failures = 1001",
        "max_failures = 3\nlockout = 0\nfailure_window = -1",
        "lockout = 1h\nfailure_window = 2m",
        "[options]\nmax_attempts = 0\nmax_leases = 16777217",
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn other_values() {
    let report = door_report(&[
        "tcpflags =",
        "tcpflags = sny, !akc, ece, , syn # x",
        "target = localhost, 10.0.0.1,",
        "target = 10.0.0.1 # me",
        "allow = 10.0.0.0/33, any, 10.1.2.3/8",
        "deny =",
        "udp_strays = true",
        "udp_strays = yse",
        "udp_strays = sometimes",
        "udp_strays =",
        "ignore_ports = ssh, 0, 22 x, 6010-6000, 53:dns, 5-",
        "grant = /64",
        "grant = /33, /129",
        "grant = a",
        "grant = /24, /56, /64",
    ]);
    insta::assert_snapshot!(report);
}

#[test]
fn options() {
    let cases = [
        "interface = eth0, , tun0",
        "interface = eth0 # the WAN",
        "interface = eth0 tun0",
        "interface = /dev/eth0",
        "interface = a-name-that-is-too-long, ..",
        "interface = eth0:1",
        "interface = eth0:",
        "interface = eth0, any",
        "interface = eth0, eth0",
        "interface = e\x1b[31m\u{202e} h",
        "buffersize =",
        "buffersize = big",
        "buffersize = 8 MB",
        "buffersize = 8M # ring",
        "buffersize = 1K",
        "buffersize = 2G",
        "statedir =",
        "statedir = knockd",
        "record = ring",
        "recordsize = 64",
        "recordsize = 2T",
        "recordsize = 64 MB",
        "records = /r",
        "onstop =",
        "onstop = closed",
        "onstop = leave",
        "logformat =",
        "logformat = JSONL",
        "logformat = syslog",
        "loglimit = none",
        "loglimit = 1000001",
        "max_commands = 0",
        "max_commands = 1025",
        "command_timeout = 0",
        "command_timeout = never",
        "max_command = 3",
        "bufer_size = 8M",
        "state_dir = /x",
        "[s]\nsequence = 1\nbuffersize = 8M",
    ];
    let cases = cases.map(|line| format!("[options]\n{line}").into_bytes());
    insta::assert_snapshot!(report(&cases.each_ref().map(Vec::as_slice)));
}

#[test]
fn commands() {
    let of_doors = door_report(&[
        "command = iptables \u{2013}A INPUT -s %IP% \u{2013}dport 22",
        "stop_command_6 = sh -c \u{201c}echo \u{2018}x\u{2019}\u{201d}",
        "check_command = nft\u{a0}list",
        "command = \x1b[31mecho \u{202e}",
        "command = a\0b",
    ]);
    insta::assert_snapshot!(of_doors);
    insta::assert_snapshot!(
        report(&[b"[s]\nsequence=1\ncommand=gr\xfcn", b"[s]\nsequence=\xff"]),
        @r#"
    | [s]
    | sequence=1
    | command=gr\xfcn
    3:11: error: command is not UTF-8 (save the file as UTF-8 text)

    | [s]
    | sequence=\xff
    2:10: error: sequence is not UTF-8 (save the file as UTF-8 text)
    "#
    );
}

#[test]
fn one_time_files() {
    let text = b"1000,2000\n99999\n1,x\n\xff\n7000 # x\n# 1,2\n";
    let (_, diagnostics) = parse_one_time_lines(text);
    let lines: Vec<_> = diagnostics.iter().map(ToString::to_string).collect();
    let report = lines.join("\n");
    insta::assert_snapshot!(report);
}

#[test]
fn every_problem_of_a_file_is_reported() {
    let report = report(&[include_bytes!("../../../../fuzz/corpus/config/errors")]);
    insta::assert_snapshot!(report);
}
