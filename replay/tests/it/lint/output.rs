//! What it says, in every format.

use std::collections::BTreeSet;

use super::{Config, repository_file};

const SSH: &str = "[options]
logfile = /var/log/knockd.log

[ssh]
sequence      = 7001,7002,7003
seq_timeout   = 5
start_command = /sbin/iptables -A INPUT -s '%IP%' -p tcp --dport 22 -j ACCEPT
stop_command  = /sbin/iptables -D INPUT -s %IP% -p tcp --dport 2222 -j ACCEPT
cmd_timeout   = 1h
max_failures  = 3

[web]
# lint: allow known-port (the proxy in front needs it)
sequence      = 8443:udp,443:udp
max_strays    = off
command       = ufw allow 443/tcp
";

#[test]
fn findings_are_shown_with_their_lines() {
    let config = Config::new("text", SSH);
    let ran = config.run("");
    assert_eq!(ran.exits(3).stderr(), "", "{ran}");
    insta::assert_snapshot!(ran.stdout());
}

#[test]
fn lines_of_json_have_the_same_findings() {
    let config = Config::new("jsonl", SSH);
    let ran = config.run("--format jsonl --rate 1000000");
    assert_eq!(ran.exits(3).stderr(), "", "{ran}");
    insta::assert_snapshot!(ran.stdout());
}

#[test]
fn colours_are_escape_sequences() {
    let config = Config::new("colour", "[s]\nsequence = 7000\n");
    let ran = config.run("--color always");
    insta::assert_snapshot!(ran.exits(3).stdout().replace('\x1b', "ESC"));
    assert!(!config.run("--color never").stdout().contains('\x1b'));
    assert!(!config.run("").stdout().contains('\x1b'));
}

#[test]
fn what_cannot_be_read_exits_with_2() {
    let config = Config::new("unreadable", "[ssh]\nsequence = 7000,70000\nseq_timout = 5\n");
    let mut told = String::new();
    let mut tell = |ran: crate::cli::Ran| {
        assert_eq!(ran.exits(2).stdout(), "", "{ran}");
        told += &format!("$ knock-replay {}\n{}\n", ran.arguments, ran.stderr());
    };
    tell(config.run(""));
    tell(config.run("-c missing.conf"));
    config.write("knockd.conf", "[once]\none_time_sequences = missing\n");
    tell(config.run(""));
    tell(config.run("--rate 0"));
    insta::assert_snapshot!(told);
}

#[test]
fn a_config_without_doors_has_no_findings() {
    let config = Config::new("empty", "[options]\n");
    insta::assert_snapshot!(config.run("").exits(0).stdout(), @"knock-replay: knockd.conf: no findings");
}

#[test]
fn strength_is_told_for_all_kinds_of_doors() {
    let knocks: Vec<_> = (1..=32).map(|port| format!("{}", 1000 * port)).collect();
    let text = format!(
        "[long]\nsequence = {}\n[mixed]\nsequence = 17001,39000:udp,8002,12003\n\
         [unguarded]\nsequence = 17001,9000,8002\nmax_strays = off\n[never]\nsequence = 1000,2000\n\
         seq_timeout = 0\n[again]\nsequence = 5001,17000,5001,9000\n[used]\none_time_sequences = used\n\
         [one]\nsequence = 5000:udp\n",
        knocks.join(",")
    );
    let config = Config::new("strength", text);
    config.write("used", "# 7000,8000\n");
    let told = config.run("--rate 1000").exits(3).stdout();
    let (_, strengths) = told.split_once("How hard").unwrap();
    insta::assert_snapshot!(strengths);
}

#[test]
fn the_lines_in_the_documentation_are_real_and_have_every_field() {
    let page = repository_file("docs/FORMATS.md");
    let (_, section) = page.split_once("\n## The lines of `lint`\n").unwrap();
    let (section, _) = section.split_once("\n## ").unwrap();
    let examples: BTreeSet<_> = section.lines().filter(|line| line.starts_with("{\"")).collect();
    let text = "[options]\n[ssh]\nsequence = 7000,8000,9000\n\
                start_command = ufw allow from %IP% to any port 22\n\
                stop_command = ufw delete allow from %IP% to any port 2222\n";
    let told = Config::new("documented", text).run("--format jsonl").exits(3).stdout();
    let written: BTreeSet<_> = told.lines().collect();
    assert_eq!(examples.difference(&written).collect::<Vec<_>>(), [&""; 0], "{told}");
    assert_eq!(examples.len(), 3);

    let rows = section.lines().filter_map(|line| line.strip_prefix("| `")?.split('`').next());
    let documented: BTreeSet<_> = rows.map(str::to_owned).collect();
    let objects = told.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let fields: BTreeSet<_> = objects
        .flat_map(|it| it.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
        .collect();
    assert_eq!(fields, documented);
}
