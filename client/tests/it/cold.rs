//! A neighbour whose hardware address is not known yet: the kernel keeps what it can't send, and
//! throws it away after three seconds without telling anybody.

use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use knock_lab::lab::Lab;
use knock_lab::{privilege, wait};

use crate::bench::{command, knock, ran};
use crate::ear::{Ear, knocks};

const DELAY: Duration = Duration::from_millis(100);

#[test]
fn knocks_wait_for_the_neighbour_and_keep_their_pace() {
    privilege::test(|| {
        let lab = Lab::new()?;
        lab.client.run("ip neighbour del 192.0.2.1 dev eth0")?;
        // The server does not say who it is, until it is told to.
        lab.server.sysctl("net.ipv4.conf.eth0.arp_ignore", "8")?;
        let ear = Ear::new(&lab.server)?;
        let start = Instant::now();
        let arguments = "-d 100 192.0.2.1 7000 7001:udp 7002 7003".split(' ');
        let mut command = command(&lab);
        command.args(arguments).stdout(std::process::Stdio::piped());
        let child = command.stderr(std::process::Stdio::piped()).spawn()?;
        wait::until("the kernel to ask who the neighbour is", || {
            let known = lab.client.run("ip neighbour show 192.0.2.1")?;
            Ok(known.contains("INCOMPLETE"))
        })?;
        wait::throughout(Duration::from_millis(400), "nothing arrives", || {
            Ok(ear.so_far().is_empty())
        })?;
        lab.server.sysctl("net.ipv4.conf.eth0.arp_ignore", "0")?;
        ran(child.wait_with_output().context("cannot wait for knock")?, start)?.expect(0)?;
        let heard = ear.all();
        ensure!(knocks(&heard) == ["7000:tcp", "7001:udp", "7002:tcp", "7003:tcp"], "{heard:?}");
        for pair in heard.windows(2) {
            let gap = pair[1].at - pair[0].at;
            ensure!(gap >= DELAY.mul_f64(0.8), "a gap of {gap:?} in {heard:?}");
        }
        Ok(())
    });
}

#[test]
fn a_neighbour_that_is_not_there_is_an_error() {
    privilege::test(|| {
        let lab = Lab::new()?;
        lab.add_ipv6()?;
        lab.client.run("ip route add 203.0.113.0/24 via 192.0.2.78")?;
        let mut told = String::new();
        for host in ["192.0.2.77", "203.0.113.5", "2001:db8::77"] {
            for protocol in ["tcp", "udp"] {
                let ran = knock(&lab, &format!("-d 0 {host} 7000:{protocol} 7001 7002"))?;
                let ran = ran.expect(3)?;
                ensure!(ran.took < Duration::from_secs(8), "it waits once, not for each: {ran:?}");
                told += &ran.stderr;
            }
        }
        insta::assert_snapshot!(told);
        Ok(())
    });
}
