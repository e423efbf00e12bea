//! Privileges, with the real kernel and the real iptables and nft, in namespaces of their own.

#![expect(clippy::unwrap_used, reason = "a test's helper has nobody to tell but the test")]

use std::fs;
use std::path::Path;
use std::process::Command;

use super::process_helper::helper;

/// Commands that change the firewall.
pub(crate) const FIREWALL: [&str; 5] = [
    "iptables-nft -I INPUT -s 192.0.2.7 -p tcp --dport 22 -j ACCEPT",
    "iptables-nft -D INPUT -s 192.0.2.7 -p tcp --dport 22 -j ACCEPT",
    "ip6tables-nft -I INPUT -s 2001:db8::7 -j ACCEPT",
    "nft add table inet knockd && nft add set inet knockd open '{ type ipv4_addr; flags timeout; }'",
    "nft add element inet knockd open '{ 192.0.2.7 timeout 30s }'",
];

/// The same with the older iptables, which only root can use.
pub(crate) const LEGACY: [&str; 2] = [
    "iptables-legacy -w -I INPUT -s 192.0.2.7 -p tcp --dport 22 -j ACCEPT",
    "iptables-legacy -w -D INPUT -s 192.0.2.7 -p tcp --dport 22 -j ACCEPT",
];

/// Runs a case in namespaces of its own, with a lock for the older iptables that is its own, and
/// returns what it told.
fn in_namespaces(options: &[&str], case: &str) -> String {
    let folder = tempfile::tempdir().unwrap();
    let helper = helper(case, folder.path());
    let mut command = Command::new("unshare");
    command.args(options).args(["--net", "--mount", "/bin/sh", "-c"]);
    command.arg("mount -t tmpfs none /run && exec \"$0\" \"$@\"");
    command.arg(helper.get_program()).args(helper.get_args());
    command.envs(helper.get_envs().filter_map(|(name, value)| Some((name, value?))));
    let output = command.output().expect("unshare (util-linux) is installed");
    assert!(
        output.status.success(),
        "namespaces can be made, as root or by a user who may: {}{}",
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr)
    );
    told(folder.path())
}

fn told(folder: &Path) -> String {
    fs::read_to_string(folder.join("told")).unwrap()
}

const AS_ROOT: [&str; 2] = ["--user", "--map-root-user"];
const AS_USER: [&str; 3] = ["--user", "--map-user=1000", "--keep-caps"];

#[test]
fn root_with_firewall_commands_has_what_they_need_and_nothing_else() {
    insta::assert_snapshot!(in_namespaces(&AS_ROOT, "privileges for the firewall"), @r"
    running as root with CAP_NET_ADMIN and CAP_NET_RAW only, which is all that the commands can need
    daemon: [CAP_NET_ADMIN CAP_NET_RAW], no more to gain
    commands: [CAP_NET_ADMIN CAP_NET_RAW], no more to gain
    iptables-nft, nft: 5 of 5 work
    iptables-legacy: 2 of 2 work
    mount: 0 of 1 work
    ");
}

#[test]
fn root_that_may_not_bound_its_children_still_gives_them_nothing_else() {
    insta::assert_snapshot!(in_namespaces(&AS_ROOT, "privileges in a container"), @r"
    running as root with CAP_NET_ADMIN and CAP_NET_RAW only, which is all that the commands can need
    daemon: [CAP_NET_ADMIN CAP_NET_RAW], no more to gain
    commands: [CAP_NET_ADMIN CAP_NET_RAW], no more to gain
    iptables-nft, nft: 5 of 5 work
    iptables-legacy: 2 of 2 work
    mount: 0 of 1 work
    ");
}

#[test]
fn root_with_files_of_others_keeps_what_they_need_to_itself() {
    insta::assert_snapshot!(in_namespaces(&AS_ROOT, "privileges for files of others"), @r"
    running as root with CAP_CHOWN, CAP_DAC_OVERRIDE, CAP_FOWNER, CAP_NET_ADMIN and CAP_NET_RAW only, for some of its files belong to others; commands get CAP_NET_ADMIN and CAP_NET_RAW
    daemon: [CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_NET_ADMIN CAP_NET_RAW], no more to gain
    commands: [CAP_NET_ADMIN CAP_NET_RAW], no more to gain
    iptables-nft, nft: 5 of 5 work
    iptables-legacy: 2 of 2 work
    mount: 0 of 1 work
    ");
}

#[test]
fn root_with_other_commands_keeps_everything() {
    insta::assert_snapshot!(in_namespaces(&AS_ROOT, "privileges for anything"), @r"
    running as root with all privileges kept, for there is no telling what the command `chown 1 file` needs
    daemon: [many], more to gain
    commands: [many], more to gain
    iptables-nft, nft: 5 of 5 work
    iptables-legacy: 2 of 2 work
    mount: 1 of 1 work
    ");
}

#[test]
fn root_without_commands_keeps_what_capturing_takes() {
    insta::assert_snapshot!(in_namespaces(&AS_ROOT, "privileges for nothing"), @r"
    running as root with CAP_NET_RAW only; commands get no capability
    daemon: [CAP_NET_RAW], no more to gain
    commands: [], no more to gain
    iptables-nft, nft: 0 of 5 work
    iptables-legacy: 0 of 2 work
    mount: 0 of 1 work
    ");
}

#[test]
fn a_user_s_commands_inherit_its_capabilities() {
    insta::assert_snapshot!(in_namespaces(&AS_USER, "privileges for the firewall"), @r"
    running as an ordinary user with CAP_NET_ADMIN and CAP_NET_RAW; commands get CAP_NET_ADMIN and CAP_NET_RAW
    daemon: [CAP_NET_ADMIN CAP_NET_RAW], no more to gain
    commands: [CAP_NET_ADMIN CAP_NET_RAW], no more to gain
    iptables-nft, nft: 5 of 5 work
    iptables-legacy: 0 of 2 work
    mount: 0 of 1 work
    ");
}
