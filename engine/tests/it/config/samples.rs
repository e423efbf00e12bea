//! What people's configs look like, and what knockd 0.8 makes of odd ones.

use std::net::IpAddr;
use std::time::Duration;

use knock_engine::config::{
    BufferSize, Config, Door, FailureLimit, Grant, LogFormat, OnStop, Options, RecordSize,
    Sequences, Severity, parse,
};
use knock_engine::packet::{Protocol, TcpFlags};

use super::{config, severities};

fn sequence(door: &Door) -> String {
    match &door.sequences {
        Sequences::Fixed(sequence) => sequence.to_string(),
        Sequences::OneTime { path, lines } => format!("{path} with {} lines", lines.len()),
    }
}

#[test]
fn two_doors_open_and_close_ssh() {
    let config = config(include_str!("../../../../fuzz/corpus/config/two-doors"));
    assert!(config.options.use_syslog);
    assert_eq!(config.options.log_file.as_deref(), Some("/var/log/knockd.log"));
    let [open, close] = &config.doors[..] else { panic!("{config:?}") };
    assert_eq!((&*open.name, &*close.name), ("openSSH", "closeSSH"));
    assert_eq!(sequence(open), "7000:tcp,8000:tcp,9000:tcp");
    assert_eq!(sequence(close), "9000:tcp,8000:tcp,7000:tcp");
    assert_eq!(open.seq_timeout, Duration::from_secs(5));
    assert_eq!(open.retransmit_window, Duration::from_secs(130));
    assert_eq!(open.flags.required(), TcpFlags::SYN);
    let source: IpAddr = "192.0.2.7".parse().unwrap();
    let command = open.start_command(source).unwrap();
    assert_eq!(
        command.expand(source, open.grant),
        "/usr/sbin/iptables -A INPUT -s 192.0.2.7 -p tcp --dport 22 -j ACCEPT"
    );
    assert_eq!(open.stop_command(source), None);
}

#[test]
fn one_door_has_commands_for_both_families() {
    let config = config(include_str!("../../../../fuzz/corpus/config/both-families"));
    let [door] = &config.doors[..] else { panic!("{config:?}") };
    assert_eq!(sequence(door), "2222:udp,3333:tcp,4444:udp");
    assert_eq!(door.flags.to_string(), "syn,!ack");
    let (v4, v6): (IpAddr, IpAddr) = ("192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap());
    assert!(door.start_command(v4).unwrap().template().starts_with("/usr/sbin/iptables"));
    assert!(door.start_command(v6).unwrap().template().starts_with("/usr/sbin/ip6tables"));
    assert!(door.stop_command(v4).is_some());
    assert_eq!(door.stop_command(v6), None, "an empty one is none, not the plain one");
}

#[test]
fn a_door_may_have_one_time_sequences() {
    let config = config(include_str!("../../../../fuzz/corpus/config/one-time"));
    assert_eq!(sequence(&config.doors[0]), "/etc/knockd/otp with 0 lines");
}

#[test]
fn every_key_has_its_place() {
    let parsed = parse(include_bytes!("../../../../fuzz/corpus/config/every-key"));
    let messages: Vec<_> = parsed.diagnostics.iter().map(|found| &found.message).collect();
    assert_eq!(messages, ["cmd_timeout \"-1\" is taken as 4294967295 s"]);
    let config = parsed.config.unwrap();
    let expected = Options {
        use_syslog: true,
        log_file: Some("/l".to_owned()),
        log_format: LogFormat::Json,
        log_limit: 5,
        pid_file: Some("/p".to_owned()),
        interfaces: vec!["eth1".to_owned(), "tun0".to_owned()],
        buffer_size: BufferSize::new(65_536).unwrap(),
        state_dir: "/s".to_owned(),
        record: Some("/r".to_owned()),
        record_size: RecordSize::new(1 << 20).unwrap(),
        on_stop: OnStop::Keep,
        max_attempts: 1000,
        max_leases: 10,
        max_commands: 4,
        command_timeout: Duration::from_secs(60),
    };
    assert_eq!(config.options, expected);
    let door = &config.doors[0];
    assert_eq!(door.seq_timeout, Duration::from_millis(1500));
    assert_eq!(door.flags.to_string(), "fin,syn,!rst,psh,!ack,urg");
    assert_eq!(door.targets.len(), 2);
    assert!(
        door.admits("10.1.2.3".parse().unwrap()) && door.admits("2001:db8::1".parse().unwrap())
    );
    assert!(!door.admits("10.6.6.6".parse().unwrap()) && !door.admits("11.0.0.1".parse().unwrap()));
    assert_eq!((door.max_strays, door.udp_strays), (Some(3), Some(true)));
    assert!(door.ignore_ports.contains(Protocol::Tcp, 6005));
    assert!(door.ignore_ports.contains(Protocol::Udp, 53));
    assert!(!door.ignore_ports.contains(Protocol::Tcp, 53));
    assert_eq!(door.retransmit_window, Duration::from_secs(120));
    assert_eq!(door.cooldown, Duration::from_millis(500));
    let hour = Duration::from_secs(3600);
    assert_eq!(
        door.failure_limit,
        Some(FailureLimit { max_failures: 5, window: hour, lockout: hour })
    );
    assert_eq!(door.cmd_timeout, Duration::from_secs(4_294_967_295));
    assert_eq!(Some(door.grant), Grant::new(24, 56));
    let v6 = "2001:db8::7".parse().unwrap();
    assert_eq!(door.check_command(v6).unwrap().template(), "check6");
}

#[test]
fn defaults_are_those_of_the_rules() {
    let config = config("[s]\nsequence = 7000\n");
    let [door] = &config.doors[..] else { panic!("{config:?}") };
    assert_eq!(**door, Door::new("s", door.sequences.clone()));
    let long = super::config("[s]\nseq_timeout = 300\nsequence = 7000\n");
    assert_eq!(long.doors[0].retransmit_window, Duration::from_secs(300));
    let shorter = super::config("[s]\nretransmit_window = 0\nsequence = 7000\nmax_strays = OFF");
    assert_eq!(shorter.doors[0].retransmit_window, Duration::ZERO);
    assert_eq!(shorter.doors[0].max_strays, None);
    assert_eq!(parse(b"").config.unwrap(), Config { options: Options::default(), doors: vec![] });
}

/// Configs that knockd 0.8 takes as they are (R50-R56); the names are those of its scenarios.
#[test]
fn what_knockd_accepts_on_purpose_has_no_problem() {
    let accepted = [
        ("c01", " [ ssh x ] \n  SeQuEnCe   =  7000 , 8000:TcP , 9000: tcp \n COMMAND=open %IP%"),
        ("c02", "[s]\nsequence = 7000 :udp , 8000:udp"),
        ("c06", "[s]\nsequence=1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5,6,7,8,9,1,2,3,4,5"),
        ("c10", "[s]\nsequence=1,2,3,4\nsequence=7000,8000"),
        ("c14", "[options]\nlogfile = /var/log/knockd.log"),
        ("c15", "[s]\nsequence=7000\ncommand=a=b c=%IP%"),
        ("c18", "[s]\nsequence=7000\n[options]\nusesyslog\n[t]\nsequence=8000"),
        ("c22", "[s]\r\nsequence=7000\r\ncommand=open %IP%\r\n"),
        ("c22 with a mark", "\u{feff}[s]\r\nsequence=7000\r\n"),
        ("c28", "[s]\nsequence=7000\ntcpflags=syn\ntcpflags=!ack"),
        ("c30", "[s]\nsequence=7000\nusesyslog"),
        ("c31", "[s]\nsequence=7000,8000\ntimeout=2\ncommand=a %IP%"),
        ("c12", "# c\n  # c2\n[s]\nsequence=7000\ncommand=open # %IP%"),
        ("f09", "[s]\nsequence=7000\ntcpflags = syn, ack"),
        ("f10", "[s]\nsequence=7000\ntcpflags=syn,!syn"),
        ("g04", "[s]\nsequence=7000\ntarget = 2001:DB8::99"),
        ("t09", "[a]\nsequence=7000,8000\nseq_timeout = 7s"),
        ("b10", "[a]\nsequence=7000\nstart_command = \nstop_command = close"),
        ("an interface", "[options]\nInterface = eth0"),
        ("no values", "[options]\nlogfile =\ninterface =\n[a]b]\nsequence=+7000"),
        ("not UTF-8 in a comment", "[s]\nsequence=7000\n# Gr\u{fc}n"),
    ];
    for (name, text) in accepted {
        let parsed = parse(text.as_bytes());
        assert_eq!(parsed.diagnostics, [], "{name}");
        assert!(parsed.config.is_some(), "{name}");
    }
    assert_eq!(parse(b"# \xff\n[s]\nsequence=7000").diagnostics, []);
    assert_eq!(config(accepted[0].1).doors[0].name, " ssh x ");
    assert_eq!(sequence(&config(accepted[3].1).doors[0]), "7000:tcp,8000:tcp");
    assert!(config(accepted[6].1).options.use_syslog);
    assert_eq!(config(accepted[9].1).doors[0].flags.to_string(), "syn,!ack");
    assert!(config(accepted[10].1).options.use_syslog);
    assert_eq!(config(accepted[14].1).doors[0].flags.to_string(), "!syn");
}

#[test]
fn one_plain_meaning_is_a_warning() {
    let long = format!("[s]\nsequence=1\ncommand={}", "x".repeat(4088));
    let warned = [
        "[s]\nsequence = 9000 # my knock",
        "[s]\nsequence = 7000 8000",
        "[s]\nsequence = 7000:tcp:foo",
        "[s]\nsequence = 1,2\nseq_timeout = 15 /* seconds */",
        "[s]\nsequence = 1,2\nseq_timeout = 0",
        "[s]\nsequence = 1,2\nseq_timeout = -3",
        "[s]\nsequence = 1\ncmd_timeout = -1",
        "[s]\nsequence = 1\n[s]\nsequence = 2",
        "[s]\nsequence = 1\ncommand = x \u{2013}y",
        "[s]\nsequence = 1\nlockout = 1h",
        "[s]\nsequence = 1\nmax_failures = 0\nfailure_window = 1h",
        "[options]\ninterface = eth0:1",
        &long,
    ];
    for text in warned {
        assert_eq!(severities(text), [Severity::Warning], "{text}");
        let parsed = parse(text.as_bytes());
        assert!(parsed.config.is_some(), "{text}");
        let strict = parsed.strict();
        assert_eq!((strict.config, strict.diagnostics[0].severity), (None, Severity::Error));
    }
    assert_eq!(severities(&long[..long.len() - 1]), [], "a line of 4095 bytes is not cut");
}

#[test]
fn what_knockd_refuses_or_nobody_means_is_an_error() {
    let refused = [
        "[s]\nsequence = 65536",
        "[s]\nsequence = 7000:sctp",
        "[s]\nsequence = 7000:",
        "[s]\nsequence = 0,7000",
        "[s]\nsequence = 7000,8000,",
        "[s]\nsequence = -58536",
        "[s]\nsequence =",
        "[s]\ncommand = x",
        "[s]\nsequence=7000\nfoo = bar",
        "[]\nsequence=7000",
        "[s]\nsequence",
        "[s]\nsequence=7000\ntcpflags=",
        "[s]\nsequence=7000\ntcpflags=ece",
        "[s]\nsequence=7000\n[options]\nusesyslog = yes",
        "[s]\nsequence=7000\n= x",
        "[s] # x\nsequence=7000",
        "[s\nsequence=7000",
        "[s]\nsequence=7000\ninterface = eth0",
        "[options]\nsequence = 7000",
        "usesyslog",
        "[s]\nsequence=7000\nseq_timeout=abc",
        "[s]\nsequence=7000\none_time_sequences=/f",
        "[s]\none_time_sequences=",
        "[s]\nsequence=7000\ntarget = localhost",
        "[s]\nsequence=7000\nmax_strays = 1025",
        "[options]\nmax_leases = 0",
        "[options]\ninterface = eth0, any",
        "[options]\nstatedir = knockd",
        "[options]\nbuffersize = 8 MB",
    ];
    for text in refused {
        assert!(severities(text).contains(&Severity::Error), "{text}");
        assert_eq!(parse(text.as_bytes()).config, None, "{text}");
    }
    // The header that is a door by knockd's reading has a second problem: no sequence.
    assert_eq!(severities("[Options]\nlogfile=/x"), [Severity::Error; 2]);
}

#[test]
fn a_config_has_at_most_65535_doors() {
    let doors = |count: usize| {
        (0..count).fold(String::new(), |text, door| text + &format!("[{door}]\nsequence=1\n"))
    };
    assert_eq!(config(&doors(65_535)).doors.len(), 65_535);
    assert_eq!(severities(&doors(65_540)), [Severity::Error]);
}

#[test]
fn a_value_that_is_not_utf8_is_the_only_problem_of_its_setting() {
    for value in [b"\xff".as_slice(), b"7000\0"] {
        let text = [b"[s]\nsequence=".as_slice(), value].concat();
        assert_eq!(parse(&text).diagnostics.len(), 1);
    }
    assert_eq!(parse(b"[s]\none_time_sequences=\xff").diagnostics.len(), 1);
    assert_eq!(parse(b"\xff\xfe[\0s\0]\0\n\0x\0").diagnostics.len(), 1);
}
