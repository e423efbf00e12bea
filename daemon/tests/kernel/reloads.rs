//! Reloads under traffic, of good and bad configs in turn: no lease and no knock is lost.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::lab::{Lab, SERVER};
use knock_lab::wire::{Port, Wire};
use knock_lab::{privilege, wait};
use rustix::process::Signal;

use crate::bench::{Tally, sample_or_full, setup, shared};

const OPEN: Duration = Duration::from_secs(3);

#[test]
fn reloads_of_good_and_bad_configs_lose_no_lease_and_no_knock() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let (started, stopped) = (Tally::new(&lab, "started")?, Tally::new(&lab, "stopped")?);
        let door = format!(
            "[door]\nsequence = 7000,8000:udp,9000\nseq_timeout = 10\ntcpflags = syn\n\
             start_command = {}\ncmd_timeout = {}\nstop_command = {}\n",
            started.command(),
            OPEN.as_secs(),
            stopped.command(),
        );
        let configs = [
            door.clone(),
            format!("{door}[other]\nsequence = 1,2,3\ncommand = true\n"),
            "[door\nsequence = 7000,8000".to_owned(),
            format!("{door}seq_timeout = soon\n"),
        ];
        let setup = setup(&lab)?;
        setup.write_config("", &door)?;
        let mut daemon = setup.start(&lab.server)?;
        let mut wire = Wire::new(&lab.client)?;
        let reloads = sample_or_full(100, 1000);
        for number in 0..reloads {
            let source = knocker(number)?;
            let mut packets = [Port::Tcp(7000), Port::Udp(8000), Port::Tcp(9000)].into_iter();
            wire.knock(source, SERVER, packets.next().context("three packets")?)?;
            setup.write_config("", &configs[number % configs.len()])?;
            daemon.signal(Signal::HUP)?;
            // The knock goes on while the daemon reads its config.
            for port in packets {
                wait::pace(Instant::now() + Duration::from_millis(5));
                wire.knock(source, SERVER, port)?;
            }
            ensure!(daemon.is_running()?, "reload {number} ended it\n{}", daemon.story());
        }
        for number in 0..reloads {
            started
                .wait_for(knocker(number)?, 1)
                .and_then(|()| stopped.wait_for(knocker(number)?, 1))
                .with_context(|| format!("knock {number}\n{}", daemon.story()))?;
        }
        for tally in [started, stopped] {
            let count = tally.sources()?.len();
            ensure!(count == reloads, "{count} commands ran for {reloads} knocks");
        }
        ensure!(
            daemon.log()?.contains("knockd.conf:"),
            "a bad config is not told with its place\n{}",
            daemon.story()
        );
        Ok(())
    });
}

fn knocker(number: usize) -> Result<IpAddr> {
    let [high, low] = u16::try_from(number).context("too many reloads")?.to_be_bytes();
    Ok(Ipv4Addr::new(198, 18, high, low).into())
}
