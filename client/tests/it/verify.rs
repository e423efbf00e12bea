//! `--verify`: whether the door opened.

use std::net::IpAddr;
use std::path::Path;

use anyhow::ensure;
use knock_lab::daemon::Setup;
use knock_lab::lab::{Lab, SERVER, SERVER_V6};
use knock_lab::service::Service;
use knock_lab::{privilege, wait};

use crate::bench::{command, knock, replace, run};
use crate::ear::Ear;

const DEBIANS: &str = "/usr/sbin/knockd";

/// Counts the knocks at the last port of a sequence that have arrived.
fn rounds(ear: &Ear, last: &str) -> usize {
    ear.so_far().iter().filter(|heard| heard.knock == last).count()
}

#[test]
fn debians_knockd_opens_for_it() {
    privilege::test(|| {
        let program = Path::new(DEBIANS);
        ensure!(program.exists(), "there is no {DEBIANS}: it is in the package knockd");
        let lab = Lab::new()?;
        lab.drop_everything()?;
        let _ssh = Service::tcp(&lab.server, 22)?;
        let setup = Setup::new(program, lab.folder());
        setup.write_config(
            "",
            "[ssh]\nsequence = 7000,8000:udp,9000\nseq_timeout = 15\ntcpflags = syn\n\
             start_command = iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT\n",
        )?;
        let daemon = setup.start(&lab.server)?;
        let ran = knock(&lab, "-v --verify ssh --retries 0 192.0.2.1 7000 8000:udp 9000")?;
        ensure!(ran.status == 0, "{ran:?}\n{}", daemon.story());
        ensure!(ran.stdout.ends_with("192.0.2.1:22 accepts connections\n"), "{ran:?}");
        Ok(())
    });
}

#[test]
fn a_port_that_stays_shut_is_knocked_for_again_and_then_told() {
    privilege::test(|| {
        let lab = Lab::new()?;
        let _ssh = Service::tcp(&lab.server, 22)?;
        let ear = Ear::new(&lab.server)?;
        lab.drop_everything()?;
        let silent = knock(&lab, "--verify 22 --retries 1 -d 10 192.0.2.1 7000 7001")?.expect(4)?;
        ensure!(rounds(&ear, "7001:tcp") == 2, "{:?}", ear.so_far());
        lab.server.run("iptables -P INPUT ACCEPT")?;
        let refused = knock(&lab, "--verify 23 --retries 0 -d 10 192.0.2.1 7002")?.expect(4)?;
        ensure!(rounds(&ear, "7002:tcp") == 1, "{:?}", ear.so_far());
        insta::assert_snapshot!(silent.stderr + &refused.stderr);
        Ok(())
    });
}

#[test]
fn a_door_that_opens_late_or_at_the_second_knock_is_found_open() {
    privilege::test(|| {
        let lab = Lab::new()?;
        let _ssh = Service::tcp(&lab.server, 22)?;
        lab.drop_everything()?;
        let ear = Ear::new(&lab.server)?;
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| {
                wait::until("the second round", || Ok(rounds(&ear, "7001:tcp") == 2))?;
                lab.server.run("iptables -I INPUT -p tcp --dport 22 -j ACCEPT")
            });
            knock(&lab, "--verify 22 -d 10 192.0.2.1 7000 7001")?.expect(0)?;
            opening.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })?;
        ensure!(rounds(&ear, "7001:tcp") == 2, "{:?}", ear.so_far());
        Ok(())
    });
}

#[test]
fn with_both_either_address_is_enough() {
    privilege::test(|| {
        let lab = Lab::new()?;
        lab.add_ipv6()?;
        replace(&lab, "/etc/hosts", "192.0.2.1 both.test\n2001:db8::1 both.test\n")?;
        replace(&lab, "/etc/nsswitch.conf", "hosts: files\n")?;
        let _ssh = Service::tcp(&lab.server, 22)?;
        lab.server.run("ip6tables -A INPUT -p tcp --dport 22 -j DROP")?;
        let arguments = "-v --both --verify 22 --retries 0 -d 10 both.test 7000".split(' ');
        let ran = run(command(&lab).args(arguments))?.expect(0)?;
        let addresses: [IpAddr; 2] = [SERVER, SERVER_V6];
        ensure!(ran.stdout.contains(&format!("{}:22 accepts", addresses[0])), "{ran:?}");
        Ok(())
    });
}
