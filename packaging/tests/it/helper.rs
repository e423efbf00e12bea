//! `knock_helper_ipt.sh`, with a real firewall in a network of its own.

use crate::run::{Ran, in_namespaces, project};

/// Runs commands in which `helper` is the script; returns what they and it say.
fn with_helper(script: &str) -> String {
    let helper = project().join("packaging/sbin/knock_helper_ipt.sh");
    let script = format!(
        "helper() {{ local status=0; '{}' \"$@\" || status=$?; echo \"= $status\"; }}\n\
         rules() {{ iptables -S INPUT | tail -n +2; ip6tables -S INPUT | tail -n +2; }}\n\
         export PATH=$PATH:/usr/sbin:/sbin\n{script}",
        helper.display()
    );
    let Ran { status, said } = in_namespaces(&["--net"], &script);
    assert_eq!(status, 0, "{said}");
    said
}

#[test]
fn a_rule_is_added_once_and_removed() {
    let said = with_helper(
        "helper -i -f 192.0.2.7 -d 22; helper -a -f 192.0.2.7 -d 22
         helper --append --srcaddr 192.0.2.8 --dstport=53 --proto udp --comment 'my own'
         helper -i -f 2001:db8::7 -d 22; helper -a -f 192.0.2.0/24 -d 6000:6010 -c FORWARD; rules
         helper -x -f 192.0.2.7 -d 22; helper -x -f 192.0.2.8 -d 53 -p udp -m 'my own'
         helper -x -f 2001:db8::7 -d 22; rules; helper -x -f 192.0.2.7 -d 22; iptables -S FORWARD",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn what_debian_s_helper_left_is_removed_too() {
    let said = with_helper(
        "rule=(-s 192.0.2.7 -p tcp --dport 22 -j ACCEPT -m comment --comment)
         for comment in 'Append ' 'Insert ' 'Insert ' 'Insert by knockd' 'another'; do
             iptables -A INPUT \"${rule[@]}\" \"$comment\"
         done
         helper -x -f 192.0.2.7 -d 22; rules",
    );
    insta::assert_snapshot!(said);
}

#[test]
fn a_test_changes_nothing_and_says_what_it_would_do() {
    let said =
        with_helper("helper -i -f 192.0.2.7 -d 22 -t -v; helper -i -f 192.0.2.7 -d 22 -t; rules");
    insta::assert_snapshot!(said);
}

#[test]
fn a_wrong_command_line_or_a_firewall_that_fails_is_an_error() {
    let said = with_helper(
        "helper -f 192.0.2.7 -d 22; helper -i -d 22; helper -i -f 192.0.2.7; helper -z
         helper -i -f 192.0.2.7 -d 22 -c NOPE; helper --help | tail -n 2
         setpriv --bounding-set=-net_admin --inh-caps=-net_admin bash -c '
             \"$0\" -x -f 192.0.2.7 -d 22 || echo \"= $?\"' \"$(type helper | grep -o '/.*\\.sh')\"",
    );
    insta::assert_snapshot!(said);
}
