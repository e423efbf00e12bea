//! The unit's limits, against what the daemon and its commands really call.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::Command;

use crate::install::built;
use crate::run::{Ran, in_namespaces, project, succeed};

/// Returns the values of a key of the unit, in their order.
fn values(key: &str) -> Vec<String> {
    let text = fs::read_to_string(project().join("packaging/systemd/knockd.service")).unwrap();
    let lines = text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix('='));
    lines.map(str::to_owned).collect()
}

/// Returns the system calls of a set, and of the sets in it; or the call itself.
fn members(name: &str) -> BTreeSet<String> {
    if !name.starts_with('@') {
        return [name.to_owned()].into();
    }
    let told = succeed(Command::new("systemd-analyze").args(["syscall-filter", name]));
    let lines = told.lines().skip(1).map(str::trim);
    lines.filter(|line| !line.is_empty() && !line.starts_with('#')).flat_map(members).collect()
}

/// Returns what the unit's filter lets through.
fn allowed() -> BTreeSet<String> {
    // What systemd itself adds to every list.
    let mut allowed = members("@default");
    for value in values("SystemCallFilter") {
        match value.strip_prefix('~') {
            None => allowed.extend(value.split(' ').flat_map(members)),
            Some(taken) => {
                let taken: BTreeSet<_> = taken.split(' ').flat_map(members).collect();
                allowed.retain(|call| !taken.contains(call));
            }
        }
    }
    allowed
}

/// Lets a door open and close by all kinds of commands that the unit is made for, marks a one-time
/// sequence, reloads and stops; returns all that was called, a line each.
fn calls(folder: &Path) -> String {
    let here = folder.display();
    let knockd = built().join("knockd");
    let config = format!(
        "[options]\nInterface = lo\nStateDir = {here}/state\nLogFile = {here}/log\n\
         [once]\none_time_sequences = {here}/once\n\
         start_command = iptables -w -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n\
         stop_command = iptables -w -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n\
         start_command_6 = ip6tables -w -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n\
         stop_command_6 = ip6tables -w -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n\
         [nft]\nsequence = 9000\nstart_command = nft add table inet x\n\
         stop_command = nft delete table inet x\n"
    );
    fs::write(folder.join("conf"), config).unwrap();
    fs::write(folder.join("once"), "7000\n7001\n").unwrap();
    let script = format!(
        "export PATH=$PATH:/usr/sbin:/sbin; ip link set lo up; cd {here}
         knock() {{ (echo >\"/dev/tcp/$1/$2\") 2>/dev/null || true; }}
         until_logged() {{
             for _ in $(seq 1000); do ! grep -q \"$1\" log 2>/dev/null || return 0; sleep 0.02; done
             cat log; return 1
         }}
         strace -f -qq -o calls '{knockd}' -c conf & strace=$!
         until_logged 'listening on lo'
         knock 127.0.0.1 7000; until_logged 'once: OPEN SESAME'; until_logged 'iptables -w -I'
         knock ::1 7001; until_logged 'ip6tables -w -I'
         knock 127.0.0.1 9000; until_logged 'nft add'
         daemon=$(pgrep -P $strace); kill -HUP $daemon; until_logged re-read
         kill -TERM $daemon; wait $strace
         grep -q 'ip6tables -w -D' log && grep -q 'nft delete' log && ! grep -q ' command failed' log
         strace -f -qq -o more '{knockd}' --close-all --obey-on-stop -c conf",
        knockd = knockd.display()
    );
    let Ran { status, said } = in_namespaces(&["--net", "--pid", "--mount-proc"], &script);
    assert_eq!(status, 0, "{said}");
    ["calls", "more"].map(|name| fs::read_to_string(folder.join(name)).unwrap()).concat()
}

#[test]
fn the_unit_lets_through_what_the_daemon_and_its_commands_call() {
    let folder = tempfile::tempdir().unwrap();
    let calls = calls(folder.path());
    let named: BTreeSet<String> = calls
        .lines()
        .filter_map(|line| {
            line.trim_start_matches(|letter: char| letter.is_ascii_digit()).split_once('(')
        })
        .map(|(name, _)| name.trim().to_owned())
        .filter(|name| name.bytes().all(|letter| letter.is_ascii_alphanumeric() || letter == b'_'))
        .collect();
    assert!(
        named.len() > 50 && named.contains("capset") && named.contains("renameat"),
        "{named:?}"
    );
    let allowed = allowed();
    let refused: Vec<_> = named.iter().filter(|name| !allowed.contains(*name)).collect();
    assert_eq!(refused, [""; 0]);

    let families = values("RestrictAddressFamilies").join(" ");
    let families: BTreeSet<_> = families.split(' ').collect();
    for line in calls.lines().filter(|line| line.contains(" socket(AF_")) {
        let family = line.split("socket(").nth(1).unwrap().split(',').next().unwrap();
        // ip6tables asks the resolver to order one address, and goes on where that can't be done.
        let is_resolver = ["AF_INET", "AF_INET6"].contains(&family) && line.contains("SOCK_DGRAM");
        assert!(families.contains(family) || is_resolver, "{line}");
    }
}
