//! What arrives, when, and at which address.

use std::time::Duration;

use anyhow::ensure;
use knock_lab::lab::{CLIENT, CLIENT_V6, Lab, OTHER, SERVER, SERVER_V6};
use knock_lab::privilege;

use crate::bench::{KNOCK, knock, replace, run};
use crate::ear::{Ear, knocks};

#[test]
fn each_knock_arrives_once_in_order_whoever_answers() {
    privilege::test(|| {
        let lab = Lab::new()?;
        // Some ports drop, some refuse in this way or that, and one accepts.
        let _open = knock_lab::service::Service::tcp(&lab.server, 7003)?;
        lab.server.run("iptables -A INPUT -p tcp --dport 7000 -j DROP")?;
        lab.server.run(
            "iptables -A INPUT -p tcp --dport 7001 -j REJECT --reject-with icmp-host-unreachable",
        )?;
        let ear = Ear::new(&lab.server)?;
        let ran = knock(&lab, "-d 0 192.0.2.1 7000 7001 7002 7003 7004:udp 7004:udp 7000:tcp")?;
        let ran = ran.expect(0)?;
        ensure!(ran.stdout.is_empty() && ran.stderr.is_empty(), "{ran:?}");
        let heard = ear.all();
        let expected =
            ["7000:tcp", "7001:tcp", "7002:tcp", "7003:tcp", "7004:udp", "7004:udp", "7000:tcp"];
        ensure!(knocks(&heard) == expected, "{heard:?}");
        ensure!(
            heard.iter().all(|it| (it.source, it.destination) == (CLIENT, SERVER)),
            "{heard:?}"
        );
        Ok(())
    });
}

#[test]
fn the_time_is_knocks_times_delay_against_a_server_that_drops() {
    privilege::test(|| {
        let lab = Lab::new()?;
        lab.drop_everything()?;
        for (options, delay, count) in [("", 200, 8), ("-d 300", 300, 6), ("--delay=50", 50, 30)] {
            let ear = Ear::new(&lab.server)?;
            let ports: Vec<_> = (0..count).map(|n| format!("{}", 7000 + n)).collect();
            let ran =
                knock(&lab, &format!("{options} 192.0.2.1 {}", ports.join(" ")))?.expect(0)?;
            let wanted = f64::from(delay * count) / 1000.0;
            let took = ran.took.as_secs_f64();
            ensure!((took / wanted - 1.0).abs() <= 0.1, "{count} x {delay} ms took {took} s");
            // A socket that stays open repeats its SYN after a second.
            let heard = ear.all();
            ensure!(heard.len() == ports.len(), "{heard:?}");
        }
        let ran =
            knock(&lab, "-d 0 192.0.2.1 7000 7001 7002 7003 7004 7005 7006 7007")?.expect(0)?;
        ensure!(ran.took < Duration::from_millis(400), "{ran:?}");
        Ok(())
    });
}

#[test]
fn a_name_is_looked_up_once_and_all_knocks_go_to_one_address() {
    privilege::test(|| {
        let lab = Lab::new()?;
        lab.add_ipv6()?;
        lab.server.run("ip address add 192.0.2.2/24 dev eth0")?;
        lab.client.run("ip neighbour replace 192.0.2.2 lladdr 02:00:00:00:00:01 dev eth0")?;
        replace(
            &lab,
            "/etc/hosts",
            "192.0.2.1 many.test\n192.0.2.2 many.test\n2001:db8::1 many.test\n192.0.2.1 four.test\n",
        )?;
        replace(&lab, "/etc/nsswitch.conf", "hosts: files\nservices: files\n")?;
        for (options, is_v4) in [("", None), ("-4", Some(true)), ("-6", Some(false))] {
            let ear = Ear::new(&lab.server)?;
            let ran = knock(&lab, &format!("{options} -v -d 10 many.test 7000 7001:udp 7002"))?;
            let ran = ran.expect(0)?;
            let heard = ear.all();
            ensure!(knocks(&heard) == ["7000:tcp", "7001:udp", "7002:tcp"], "{heard:?}");
            let to = heard[0].destination;
            ensure!(heard.iter().all(|heard| heard.destination == to), "{heard:?}");
            ensure!(is_v4.is_none_or(|is_v4| to.is_ipv4() == is_v4), "{options}: {to}");
            ensure!(ran.stdout.starts_with(&format!("knocking at {to}, many.test\n")), "{ran:?}");
        }
        let ran = knock(&lab, "-6 four.test 7000")?.expect(2)?;
        insta::assert_snapshot!(ran.stderr, @"knock: four.test has no IPv6 address, only 192.0.2.1: -6 or --source asks for one");
        let ran = knock(&lab, "none.test 7000")?.expect(2)?;
        insta::assert_snapshot!(ran.stderr, @r#"knock: cannot find the host "none.test": there is no such name"#);
        replace(&lab, "/etc/nsswitch.conf", "hosts: dns\n")?;
        let ran = knock(&lab, "none.test 7000")?.expect(2)?;
        insta::assert_snapshot!(ran.stderr, @r#"knock: cannot find the host "none.test": the name server does not answer"#);
        Ok(())
    });
}

#[test]
fn both_knocks_at_both_families_step_by_step() {
    privilege::test(|| {
        let lab = Lab::new()?;
        lab.add_ipv6()?;
        replace(&lab, "/etc/hosts", "192.0.2.1 both.test\n2001:db8::1 both.test\n")?;
        replace(&lab, "/etc/nsswitch.conf", "hosts: files\n")?;
        let ear = Ear::new(&lab.server)?;
        let ran = knock(&lab, "--both -v both.test 7000 7001:udp")?.expect(0)?;
        let heard = ear.all();
        ensure!(knocks(&heard) == ["7000:tcp", "7000:tcp", "7001:udp", "7001:udp"], "{heard:?}");
        let ways: Vec<_> = heard.iter().map(|it| (it.source, it.destination)).collect();
        let (v4, v6) = ((CLIENT, SERVER), (CLIENT_V6, SERVER_V6));
        ensure!(ways == [v4, v6, v4, v6], "{heard:?}");
        insta::assert_snapshot!(ran.stdout, @r"
        knocking at 192.0.2.1 and 2001:db8::1, both.test
        hitting tcp 192.0.2.1:7000
        hitting tcp [2001:db8::1]:7000
        hitting udp 192.0.2.1:7001
        hitting udp [2001:db8::1]:7001
        ");
        // Where one way is barred the other one gets everything, and the status tells.
        lab.client.run("ip -6 route replace prohibit 2001:db8::/64")?;
        let ear = Ear::new(&lab.server)?;
        let ran = knock(&lab, "--both -d 0 both.test 7000 7001:udp")?.expect(3)?;
        let heard = ear.all();
        ensure!(knocks(&heard) == ["7000:tcp", "7001:udp"], "{heard:?}");
        insta::assert_snapshot!("both_one_way_barred", ran.stderr);
        Ok(())
    });
}

#[test]
fn a_source_is_knocked_from_and_must_be_there() {
    privilege::test(|| {
        let lab = Lab::new()?;
        let ear = Ear::new(&lab.server)?;
        knock(&lab, "--source 198.51.100.8 -d 0 192.0.2.1 7000 7001:udp")?.expect(0)?;
        let heard = ear.all();
        ensure!(knocks(&heard) == ["7000:tcp", "7001:udp"], "{heard:?}");
        ensure!(heard.iter().all(|heard| heard.source == OTHER), "{heard:?}");
        let ran = knock(&lab, "--source 203.0.113.9 192.0.2.1 7000")?.expect(1)?;
        insta::assert_snapshot!(ran.stderr, @"knock: --source 203.0.113.9: this host has no such address (ip address shows them)");
        let ran = knock(&lab, "--source 2001:db8::9 192.0.2.1 7000")?.expect(1)?;
        insta::assert_snapshot!(ran.stderr, @"knock: 192.0.2.1 is an IPv4 address and no IPv6 address: -6 or --source asks for one");
        Ok(())
    });
}

#[test]
fn it_needs_no_capability() {
    privilege::test(|| {
        let lab = Lab::new()?;
        let ear = Ear::new(&lab.server)?;
        // The next host is asked for, too.
        for (host, status) in [("192.0.2.1", 0), ("192.0.2.77", 3)] {
            let mut bare = lab.client.command("setpriv");
            bare.args(["--bounding-set=-all", "--inh-caps=-all", KNOCK, "-d", "0", host]);
            run(bare.args(["7000", "7001:udp"]))?.expect(status)?;
        }
        let mut bare = lab.client.command("setpriv");
        bare.args([
            "--bounding-set=-all",
            "--inh-caps=-all",
            "grep",
            "CapEff",
            "/proc/self/status",
        ]);
        let capabilities = run(&mut bare)?.expect(0)?.stdout;
        ensure!(capabilities.trim_end().ends_with("0000000000000000"), "{capabilities}");
        let heard = ear.all();
        ensure!(knocks(&heard) == ["7000:tcp", "7001:udp"], "{heard:?}");
        Ok(())
    });
}

#[test]
fn what_the_kernel_does_not_send_is_told() {
    privilege::test(|| {
        let lab = Lab::new()?;
        lab.client.run("ip route add prohibit 203.0.113.1")?;
        lab.client.run("ip route add unreachable 203.0.113.2")?;
        lab.client.run("iptables -A OUTPUT -p udp --dport 7007 -j DROP")?;
        let cases = [
            "203.0.113.1 7000",
            "203.0.113.2 7000 7001",
            "203.0.113.3 7000:udp 7001 7002",
            "192.0.2.1 7000 7007:udp 7001 7002",
            "2001:db8::1 7000",
        ];
        let mut told = String::new();
        for case in cases {
            let ran = knock(&lab, &format!("-d 0 {case}"))?.expect(3)?;
            told += &format!("$ knock {case}\n{}", ran.stderr);
        }
        insta::assert_snapshot!(told);
        Ok(())
    });
}
