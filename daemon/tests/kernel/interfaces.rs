//! Interfaces that go and come: the daemon hears again within 2 s of their return, for ever.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::Daemon;
use knock_lab::lab::{Lab, SERVER};
use knock_lab::wire::{Port, Wire};
use knock_lab::{privilege, wait};

use crate::bench::{Tally, sample_or_full, setup, shared};

/// How soon it must hear again.
const BACK: Duration = Duration::from_secs(2);
/// How often it is asked.
const PAUSE: Duration = Duration::from_millis(50);
const MOVED: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 77));

#[test]
fn an_interface_may_go_and_come_back_in_any_way() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let mut house = House::new(&lab)?;
        house.hears_within(BACK, SERVER).context("at first")?;
        let interface = |line: &str| lab.server.run(&format!("ip {line}"));
        for round in 1..=sample_or_full(10, 50) {
            interface("link set eth0 down")?;
            lab.number("eth0", SERVER)?;
            house.hears_within(BACK, SERVER).with_context(|| format!("down, up, {round}"))?;

            interface("link delete eth0")?;
            lab.plug_in("eth0")?;
            house.hears_within(BACK, SERVER).with_context(|| format!("made anew, {round}"))?;

            interface("link set eth0 down")?;
            interface("link set eth0 name wan0")?;
            interface("link set wan0 up")?;
            interface("link set wan0 down")?;
            interface("link set wan0 name eth0")?;
            lab.number("eth0", SERVER)?;
            house.hears_within(BACK, SERVER).with_context(|| format!("renamed, {round}"))?;

            interface(&format!("address delete {SERVER}/24 dev eth0"))?;
            lab.number("eth0", MOVED)?;
            house.hears_within(BACK, MOVED).with_context(|| format!("address, {round}"))?;
            interface(&format!("address delete {MOVED}/24 dev eth0"))?;
            lab.number("eth0", SERVER)?;
            house.hears_within(BACK, SERVER).with_context(|| format!("address back, {round}"))?;
            ensure!(house.daemon.is_running()?, "it ended\n{}", house.daemon.story());
        }
        Ok(())
    });
}

#[test]
fn an_interface_may_appear_after_the_daemon_has_started() {
    privilege::test(|| {
        let _machine = shared();
        for round in 1..=sample_or_full(2, 10) {
            let lab = Lab::new()?;
            lab.server.run("ip link delete eth0")?;
            let mut house = House::new(&lab)?;
            wait::until("it to say what it misses", || {
                ensure!(house.daemon.is_running()?, "it ended\n{}", house.daemon.story());
                Ok((house.daemon.printed()? + &house.daemon.log()?).contains("eth0"))
            })?;
            lab.plug_in("eth0")?;
            house.hears_within(BACK, SERVER).with_context(|| format!("round {round}"))?;
        }
        Ok(())
    });
}

/// A server with one door and whoever knocks there.
struct House<'a> {
    lab: &'a Lab,
    tally: Tally,
    daemon: Daemon,
    knocks: u16,
}

impl<'a> House<'a> {
    fn new(lab: &'a Lab) -> Result<Self> {
        let tally = Tally::new(lab, "opened")?;
        let setup = setup(lab)?;
        setup.write_config(
            "",
            &format!(
                "[door]\nsequence = 7000,8000:udp,9000\nseq_timeout = 5\ntcpflags = syn\n\
                 start_command = {}\n",
                tally.command()
            ),
        )?;
        // Whether an interface is there is what these tests are about: it need not be ready.
        let mut daemon = setup.spawn(&lab.server)?;
        if lab.server.try_run("ip link show eth0")?.status.success() {
            daemon.wait_until_ready()?;
        }
        Ok(Self { lab, tally, daemon, knocks: 0 })
    }

    /// Knocks from one new source after the other until one is let in, all within the span.
    fn hears_within(&mut self, span: Duration, server: IpAddr) -> Result<()> {
        let mut wire = Wire::new(&self.lab.client)?;
        let start = Instant::now();
        let first = self.knocks;
        while start.elapsed() < span {
            let source = self.next_source();
            for port in [Port::Tcp(7000), Port::Udp(8000), Port::Tcp(9000)] {
                wire.knock(source, server, port)?;
            }
            wait::pace(Instant::now() + PAUSE);
            if self.is_heard_since(first)? {
                return Ok(());
            }
        }
        // The last knock in time counts, however long a busy machine takes to show it.
        wait::until("a knock to be heard", || self.is_heard_since(first))
            .with_context(|| self.daemon.story())
    }

    fn next_source(&mut self) -> IpAddr {
        let [high, low] = self.knocks.to_be_bytes();
        self.knocks += 1;
        Ipv4Addr::new(198, 18, high, low).into()
    }

    fn is_heard_since(&self, first: u16) -> Result<bool> {
        let [high, low] = first.to_be_bytes();
        let first: IpAddr = Ipv4Addr::new(198, 18, high, low).into();
        Ok(self.tally.sources()?.iter().any(|&source| source >= first))
    }
}
