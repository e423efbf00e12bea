//! Each code has configs that bring it about and ones that just don't.

use std::collections::BTreeSet;

use knock_replay::lint::code::Code;

use super::{Config, repository_file};

/// A door's section, which has the code, and one beside it that has not.
struct Pair(&'static str, &'static str, &'static str);

/// A start command that nothing is to be said against.
const OPEN: &str = "start_command = nft add element ip fw ok { %IP% timeout 30s }
start_command_6 = nft add element ip6 fw ok6 { %IP% timeout 30s }";

const PAIRS: &[Pair] = &[
    Pair("scan-opens", "sequence = 7001,7002,7003,7004", "sequence = 7001,7013,7003,7014"),
    Pair("scan-opens", "sequence = 7001,7010", "sequence = 7010,7001,7019,7028"),
    // Eight other ports are allowed, nine are not.
    Pair("scan-opens", "sequence = 7001,7010", "sequence = 7001,7011"),
    Pair("scan-opens", "sequence = 9000,7000,8000\nmax_strays = off", "sequence = 9000,7000,8000"),
    Pair("scan-opens", "sequence = 7000", "sequence = 7000,6000"),
    Pair("scan-order", "sequence = 7000,8000,9000", "sequence = 7000,9000,8000"),
    Pair("scan-order", "sequence = 9000:udp,8000,7000", "sequence = 9000:udp,7000,8000"),
    Pair(
        "udp-scan",
        "sequence = 7000:udp,9000:udp,8000:udp\nudp_strays = no",
        "sequence = 7000:udp,9000:udp,8000:udp",
    ),
    Pair(
        "udp-scan",
        "sequence = 7000:udp,9000:udp\nmax_strays = off",
        "sequence = 7000:udp,9000\nudp_strays = no",
    ),
    Pair(
        "mixed-udp",
        "sequence = 7000:udp,9000,8000,9500",
        "sequence = 7000:udp,9000,8000,9500\nudp_strays = yes",
    ),
    Pair(
        "mixed-udp",
        "sequence = 7000,9000,8000,9500:udp\nmax_strays = 1024",
        "sequence = 7000,9000",
    ),
    Pair(
        "flag-scan",
        "sequence = 7000,9000,8000\ntcpflags = ack",
        "sequence = 7000,9000,8000\ntcpflags = fin",
    ),
    Pair("flag-scan", "sequence = 7001,7002\ntcpflags = fin,psh,urg", "sequence = 7001,7002"),
    Pair(
        "flag-scan",
        "sequence = 7000:udp,9000\ntcpflags = !syn",
        "sequence = 7000:udp,9000:udp\ntcpflags = !syn",
    ),
    Pair(
        "opens-with",
        "sequence = 1001,3000,2000\n[e]\nsequence = 1001,3000,2000,4000",
        "sequence = 1001,3000,2000\n[e]\nsequence = 1002,3000,2000,4000",
    ),
    Pair(
        "opens-with",
        "sequence = 3000,2000\n[e]\nsequence = 1001,3000,2000,4000",
        "sequence = 3000,2000\n[e]\nsequence = 1001,2000,3000,4000",
    ),
    Pair(
        "opens-with",
        "sequence = 3000,2000\n[e]\nsequence = 3000,4000,2000,5000",
        "sequence = 3000,2000\nmax_strays = 0\n[e]\nsequence = 3000,4000,2000,5000",
    ),
    Pair(
        "opens-with",
        "sequence = 3000,2000\nallow = 192.0.2.0/24\n[e]\nsequence = 3000,2000\nallow = 192.0.2.7",
        "sequence = 3000,2000\nallow = 192.0.2.0/24\n[e]\nsequence = 3000,2000\nallow = 198.51.100.7",
    ),
    Pair(
        "opens-with",
        "sequence = 3000,2000\ntarget = 192.0.2.1\n[e]\nsequence = 3000,2000",
        "sequence = 3000,2000\ntarget = 192.0.2.1\n[e]\nsequence = 3000,2000\ntarget = 192.0.2.2",
    ),
    Pair("first-again", "sequence = 7000,9000,7000,8000", "sequence = 7000,9000,8000,9000"),
    Pair("first-again", "sequence = 7000,9000,7000", "sequence = 7000,9000,7000:udp"),
    Pair("few-knocks", "sequence = 7000,9000,8000", "sequence = 7000,9000,8000,9500"),
    Pair("known-port", "sequence = 7000,22,9000,8000", "sequence = 7000,22:udp,9000,8000"),
    Pair("known-port", "sequence = 7000,51820:udp,9000,8000", "sequence = 7000,51820,9000,8000"),
    Pair(
        "no-stop",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT",
        "start_command = iptables -w -D INPUT -s %IP% -j ACCEPT",
    ),
    Pair(
        "no-stop",
        "start_command = nft add element ip fw ok { %IP% }",
        "start_command = nft add element ip fw ok { %IP% timeout 1h }",
    ),
    Pair("no-stop", "start_command = ufw allow from %IP%", "start_command = ufw deny from %IP%"),
    Pair(
        "no-stop",
        "start_command = firewall-cmd --add-source=%IP%",
        "start_command = firewall-cmd --add-source=%IP% --timeout=60",
    ),
    Pair(
        "no-stop",
        "start_command = iptables -w -D INPUT -s %IP% -j DROP",
        "start_command = /usr/local/bin/wake",
    ),
    Pair(
        "stop-differs",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT\nstop_command = iptables -w -D INPUT -s %IP% -p tcp -j ACCEPT",
        "start_command = iptables -w -I INPUT 1 --source %IP% --jump ACCEPT\nstop_command = iptables -w -t filter -D INPUT -j ACCEPT -s %IP%/32",
    ),
    Pair(
        "stop-differs",
        "start_command = nft add element inet fw ok { %IP% }\nstop_command = nft delete element inet fw no { %IP% }",
        "start_command = nft add element inet fw ok '{ %IP% }'\nstop_command = nft 'delete element inet fw ok {%IP%}'",
    ),
    Pair(
        "stop-differs",
        "start_command = ufw allow from %IP% to any port 22\nstop_command = ufw delete allow from %IP%",
        "start_command = ufw insert 1 allow from %IP% to any port 22\nstop_command = ufw --force delete allow from %IP% to any port 22",
    ),
    Pair(
        "stop-differs",
        "start_command = ipset add ok %IP%\nstop_command = ipset add ok %IP%",
        "start_command = ipset add ok %IP% -exist\nstop_command = ipset del ok %IP%",
    ),
    Pair(
        "stop-differs",
        "start_command = firewall-cmd --zone=public --add-source=%IP%\nstop_command = firewall-cmd --remove-source=%IP%",
        "start_command = firewall-cmd --zone=public --add-source=%IP%\nstop_command = firewall-cmd --remove-source %IP% --zone public",
    ),
    Pair(
        "stop-differs",
        "start_command = pfctl -t ok -T add %IP%\nstop_command = pfctl -t ok -T add %IP%",
        "start_command = pfctl -t ok -T add %IP%\nstop_command = pfctl -t ok -T delete %IP%",
    ),
    Pair(
        "stop-differs",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT\nstop_command = logger closed",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT\nstop_command = /usr/local/bin/close %IP%",
    ),
    Pair(
        "stop-differs",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT\nstop_command = ip6tables -w -D INPUT -s %IP% -j ACCEPT",
        "start_command = sh -c 'iptables -w -I INPUT -s %IP% -j ACCEPT'\nstop_command = sudo iptables -w -D INPUT -s %IP% -j ACCEPT",
    ),
    Pair(
        "append",
        "start_command = iptables -w -A INPUT -s %IP% -j ACCEPT",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT",
    ),
    Pair(
        "append",
        "start_command = ip6tables --append INPUT -s %IP% -j ACCEPT",
        "start_command = iptables -A INPUT -s %IP% -j DROP",
    ),
    Pair(
        "no-wait",
        "start_command = iptables -I INPUT -s %IP% -j ACCEPT",
        "start_command = iptables -w 5 -I INPUT -s %IP% -j ACCEPT",
    ),
    Pair(
        "no-wait",
        "stop_command = /sbin/ip6tables -D INPUT -s %IP% -j ACCEPT",
        "stop_command = /sbin/ip6tables --wait -D INPUT -s %IP% -j ACCEPT",
    ),
    Pair(
        "no-wait",
        "check_command = sudo iptables-legacy -C INPUT -s %IP% -j ACCEPT",
        "check_command = iptables-save | grep %IP%",
    ),
    Pair(
        "no-address",
        "start_command = iptables -w -I INPUT -p tcp --dport 22 -j ACCEPT",
        "start_command = iptables -w -I INPUT -s %NET% -p tcp --dport 22 -j ACCEPT",
    ),
    Pair("no-address", "start_command = ufw allow 22/tcp", "start_command = /usr/local/bin/wake"),
    Pair(
        "quoted-address",
        "start_command = open '%IP%'",
        "start_command = open 'the door for %IP%'",
    ),
    Pair(
        "quoted-address",
        "start_command = open \"%IP%/32\"",
        "start_command = firewall-cmd --timeout=60 --add-rich-rule='rule family=\"ipv4\" source address=\"%IP%\" accept'",
    ),
    Pair(
        "one-family",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT\nstart_command_6 =",
    ),
    Pair(
        "one-family",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT\nallow = 192.0.2.0/24",
    ),
    Pair(
        "one-family",
        "start_command = nft add element inet fw ok { %IP% }",
        "start_command = nft add element inet fw ok { %IP% }\ntarget = 192.0.2.1",
    ),
    Pair(
        "one-family",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT\nstart_command_6 = iptables -w -I INPUT -s %IP% -j ACCEPT",
        "start_command = iptables -w -I INPUT -s %IP% -j ACCEPT\nstart_command_6 = ip6tables -w -I INPUT -s %IP% -j ACCEPT",
    ),
    Pair(
        "one-family",
        "start_command = ipset add ok %IP%\nstart_command_6 = ipset add ok6 %IP%\nstop_command = ipset del ok %IP%",
        "start_command = ipset add ok %IP%\nstart_command_6 = ipset add ok6 %IP%\nstop_command = ipset del ok %IP%\nstop_command_6 = ipset del ok6 %IP%",
    ),
    Pair(
        "sleep",
        "start_command = open %IP%; sleep 10; shut %IP%",
        "start_command = open %IP%; echo sleep",
    ),
    Pair(
        "sleep",
        "stop_command = /bin/sh -c \"sleep 1 && shut %IP%\"",
        "stop_command = /usr/local/bin/sleep-well %IP%",
    ),
    Pair(
        "no-check",
        "start_command = open %IP%\nstop_command = shut %IP%\ncmd_timeout = 601",
        "start_command = open %IP%\nstop_command = shut %IP%\ncmd_timeout = 600",
    ),
    Pair(
        "no-check",
        "start_command = open %IP%\nstop_command = shut %IP%\ncmd_timeout = 1h",
        "start_command = open %IP%\nstop_command = shut %IP%\ncmd_timeout = 1h\ncheck_command = is-open %IP%",
    ),
    Pair(
        "zero-timeout",
        "start_command = open %IP%\nstop_command = shut %IP%\ncmd_timeout = 0",
        "start_command = open %IP%\nstop_command = shut %IP%\ncmd_timeout = 1ms",
    ),
    Pair(
        "zero-timeout",
        "start_command = open %IP%\nstop_command = shut %IP%\ncmd_timeout = 0",
        "start_command = open %IP%\ncmd_timeout = 0",
    ),
    Pair("forged-lockout", "max_failures = 3", "max_failures = 0"),
    Pair("config-warning", "lockout = 60", "lockout = 60\nmax_failures = 3"),
    Pair(
        "unused-allow",
        "# lint: allow append\ncooldown = 3",
        "# lint: allowed append\ncooldown = 3",
    ),
];

/// Makes a config of a section, with a sequence that has no finding where it has none of its own.
fn config(section: &str) -> String {
    let sequence =
        if section.contains("sequence") { "" } else { "sequence = 17001,39000,8002,12003\n" };
    let command = if section.contains("_command") { "" } else { OPEN };
    format!("[d]\n{sequence}{section}\n{command}\n")
}

#[test]
fn each_code_has_a_config_that_brings_it_about_and_one_that_just_does_not() {
    for (index, Pair(code, with, without)) in PAIRS.iter().enumerate() {
        let found = |name: &str, section: &str| {
            // A second section has the command behind it.
            Config::new(&format!("codes/{index}-{name}"), config(section)).codes()
        };
        let (with_codes, without_codes) = (found("with", with), found("without", without));
        assert!(with_codes.contains(*code), "{code} is missing in {with_codes:?} of\n{with}");
        assert!(!without_codes.contains(*code), "{code} is found in\n{without}");
    }
    let tried: BTreeSet<_> = PAIRS.iter().map(|Pair(code, ..)| *code).collect();
    // Its own test is about a file's mode.
    let of_files = ["world-readable"];
    for code in Code::all().filter(|code| !of_files.contains(&code.name())) {
        assert!(tried.contains(code.name()), "{} has no pair of configs", code.name());
    }
}

#[test]
fn a_sound_config_has_no_findings() {
    let config = Config::new("sound", config(""));
    config.run("").exits(0).says("no findings");
    assert_eq!(config.findings(), Vec::<serde_json::Value>::new());
}

#[test]
fn files_that_everybody_may_read_are_found_and_allowed_anywhere() {
    let sound = config("");
    let config = Config::new("readable", &sound);
    for (mode, expected) in [(0o644, 1), (0o640, 0), (0o604, 1), (0o600, 0)] {
        config.set_mode("knockd.conf", mode);
        assert_eq!(config.findings().len(), expected, "{mode:o}");
    }
    config.write("knockd.conf", format!("{sound}# lint: allow world-readable (in a repository)\n"));
    config.set_mode("knockd.conf", 0o644);
    assert_eq!(config.findings().len(), 0);
    let text = format!("[o]\none_time_sequences = once\n{OPEN}\n");
    config.write("knockd.conf", text);
    config.write("once", "17001,39000,8002,12003\n");
    assert_eq!(config.findings().len(), 0);
    config.set_mode("once", 0o644);
    let findings = config.findings();
    assert_eq!(findings.len(), 1);
    assert_eq!((&findings[0]["code"], &findings[0]["line"]), (&"world-readable".into(), &2.into()));
}

#[test]
fn a_one_time_file_has_one_finding_of_a_code() {
    let config = Config::new("one-time", format!("[o]\none_time_sequences = once\n{OPEN}\n"));
    config.write("once", "# 7000,8000\n17001,39000,8002,12003\n7000,9000\n7000,9000,8000\n1,x\n");
    let findings = config.findings();
    let told: Vec<_> = findings
        .iter()
        .map(|it| format!("{}:{} {}: {}", it["file"], it["line"], it["code"], it["reason"]))
        .collect();
    insta::assert_snapshot!(told.join("\n"));
}

#[test]
fn comments_allow_what_stands_below_them() {
    let sequence = "sequence = 7000,8000,9000";
    let cases = [
        (format!("[d]\n{sequence}\n{OPEN}"), 2),
        (format!("[d]\n# lint: allow few-knocks\n{sequence}\n{OPEN}"), 1),
        (
            format!(
                "[d]\n# lint: allow few-knocks, scan-order (old clients)\n\n# more\n{sequence}\n{OPEN}"
            ),
            0,
        ),
        (format!("# lint: allow few-knocks scan-order\n[d]\n{sequence}\n{OPEN}"), 0),
        // In vain: above another key, above another section, and not known at all.
        (format!("[d]\n{sequence}\n# lint: allow few-knocks\n{OPEN}"), 3),
        (format!("# lint: allow few-knocks\n[options]\n[d]\n{sequence}\n{OPEN}"), 3),
        (format!("[d]\n# lint: allow few-knock\n{sequence}\n{OPEN}"), 3),
        // The first is enough.
        (format!("# lint: allow few-knocks\n[d]\n# lint: allow few-knocks\n{sequence}\n{OPEN}"), 2),
        (format!("[d]\n{sequence}\n{OPEN}\n# lint: allow few-knocks"), 3),
    ];
    let config = Config::new("allow", "");
    for (text, expected) in cases {
        config.write("knockd.conf", &text);
        let findings = config.findings();
        assert_eq!(findings.len(), expected, "{text}\n{findings:?}");
    }
}

#[test]
fn every_code_is_documented() {
    let page = repository_file("docs/LINT.md");
    for code in Code::all() {
        let heading = format!("\n### `{}`: {}\n", code.name(), code.title());
        assert!(page.contains(&heading), "docs/LINT.md lacks {heading:?}");
        let (_, section) = page.split_once(&heading).unwrap();
        let section = section.split("\n### ").next().unwrap();
        assert!(section.contains(code.severity().name()), "{}: {section}", code.name());
    }
    let headings = page.lines().filter(|line| line.starts_with("### `")).count();
    assert_eq!(headings, Code::all().count(), "a heading of docs/LINT.md is no code");
}
