//! Configs by people who want to harm whoever looks at them.

use std::fmt::Write as _;
use std::time::{Duration, Instant};

use knock_frontend::escape::is_unsafe;

use super::Config;

#[test]
fn nothing_of_a_config_reaches_the_terminal_but_what_only_appears() {
    let hostile = "\x1b]0;owned\x07\x1b[2J\u{202e}\u{9b}31m";
    let text = format!(
        "[{hostile}]\n# lint: allow {hostile}\nsequence = 7000,8000\nstart_command = iptables -A {hostile} \
         --dport '%IP%' {hostile} -j ACCEPT; sleep 1\nstop_command = iptables -D {hostile}x\n\
         max_failures = 1\ncmd_timeout = 1h\n[b{hostile}]\nsequence = 7000,8000,9000\n\
         command = ufw allow {hostile}; sleep 3; ufw {hostile}\n"
    );
    let config = Config::new("hostile", text);
    for arguments in ["", "--format jsonl"] {
        let ran = config.run(arguments);
        let stdout = ran.exits(3).stdout();
        let found: Vec<_> = stdout.chars().filter(|it| *it != '\n' && is_unsafe(*it)).collect();
        assert!(found.is_empty(), "{found:?} in {stdout:?}");
        assert!(ran.stderr().chars().all(|it| it == '\n' || !is_unsafe(it)));
    }
}

#[test]
fn any_bytes_end_in_an_exit_code() {
    let config = Config::new("bytes", "");
    for text in [
        &b"\xff\xfe[\0"[..],
        b"",
        b"\xef\xbb\xbf[d]\r\nsequence=1\r\n",
        b"# lint: allow \xff\xfe, x\n[d]\nsequence = 1\n#lint:allow",
        b"[d]\nsequence = 1\ncommand = '\"\\",
        b"[d]\nsequence = 1\ncommand = iptables -I\nstop_command = iptables",
        b"[d]\nsequence = 1\ncommand = nft add element\nstop_command = nft delete element ip a b {",
        b"[d]\nsequence = 1\ncommand = ipset add\nstop_command = ufw delete",
        b"[d]\nsequence = 1\ncommand = sh -c 'sh -c \"sh -c sh\"'\nstop_command = pfctl -t",
    ] {
        config.write("knockd.conf", text);
        let ran = config.run("");
        assert!(matches!(ran.output.status.code(), Some(0 | 2 | 3)), "{ran}");
    }
}

#[test]
fn large_configs_are_looked_at_in_reasonable_time() {
    let mut text = String::new();
    for door in 0..2_000_u32 {
        let (a, b) = (1 + door % 60_000, 1 + (door * 7_919) % 60_000);
        writeln!(
            text,
            "# lint: allow no-wait\n[d{door}]\nsequence = {a},{b},{},{}\nmax_strays = 1024\n\
             command = iptables -I INPUT -s %IP% -j ACCEPT",
            b + 1,
            a + 2
        )
        .unwrap();
    }
    writeln!(text, "stop_command = {}", "iptables ".repeat(100_000)).unwrap();
    let config = Config::new("large", text);
    let began = Instant::now();
    let ran = config.run("");
    ran.exits(3).says("and 1,900 more doors").says("not shown");
    assert!(began.elapsed() < Duration::from_secs(60), "{:?}", began.elapsed());
}
