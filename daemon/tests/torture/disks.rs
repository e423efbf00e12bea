//! Full and read-only disks: a door stays shut where it can't be promised to close.

use std::time::Duration;

use anyhow::{Context, Result, ensure};
use knock_lab::{privilege, wait};

use crate::house::{Door, GRACE, House, source};

const OPEN: Duration = Duration::from_secs(2);

/// Takes all the room there is.
const FILL: &str = "dd if=/dev/zero of=%/filler bs=4k";

#[test]
fn a_full_disk_under_the_log_delays_no_door() {
    privilege::test(|| {
        let mut house = House::new(OPEN)?;
        house.lab.server.run("mkdir /var/log/small")?;
        house.lab.server.run("mount -t tmpfs -o size=16k tmpfs /var/log/small")?;
        let log = house.lab.server.path("/var/log/small/knockd.log");
        let doors = house.doors(OPEN);
        let text = format!("[options]\nlogfile = /var/log/small/knockd.log\n{doors}");
        house.setup.write_config_text(&text)?;
        house.setup.log = log;
        fill(&house, "/var/log/small")?;
        let mut daemon = house.start()?;
        opens_and_shuts(&mut house, &daemon, 0)?;
        house.lab.server.run("rm /var/log/small/filler")?;
        opens_and_shuts(&mut house, &daemon, 1)?;
        wait::until("the log to go on", || Ok(daemon.log()?.contains("OPEN SESAME")))?;
        daemon.stop(wait::SOON)
    });
}

#[test]
fn a_disk_that_fills_up_and_is_emptied_again_leaves_no_door_open() {
    privilege::test(|| {
        let mut house = House::new(OPEN)?;
        house.lab.server.run("mount -t tmpfs -o size=4m tmpfs /var/lib")?;
        let mut daemon = house.start()?;
        for round in 0..3 {
            fill(&house, "/var/lib")?;
            // Its ledger has its room already.
            opens_and_shuts(&mut house, &daemon, round * 2)?;
            house.lab.server.run("rm /var/lib/filler")?;
            opens_and_shuts(&mut house, &daemon, round * 2 + 1)?;
        }
        daemon.stop(wait::SOON)
    });
}

#[test]
fn a_disk_that_is_read_only_after_a_restart_closes_what_is_owed_and_opens_nothing() {
    privilege::test(|| {
        let mut house = House::new(OPEN)?;
        let mut daemon = house.start()?;
        house.knock(Door::Rule, source(0, 1)?)?;
        house.wait_until_open(&daemon, Door::Rule, source(0, 1)?)?;
        daemon.kill_with_children(&house.lab.server)?;
        house.lab.server.run("mount -o remount,ro /var/lib")?;
        let mut daemon = house.start()?;
        house.wait_until_shut(&daemon, OPEN + GRACE)?;
        house.knock(Door::Rule, source(0, 2)?)?;
        // That the ledger can't be written was told already, and is told once a minute.
        let ends = "10.0.0.2: rule: command timeout";
        wait::until("the time to pass", || Ok(daemon.log()?.contains(ends)))
            .with_context(|| daemon.story())?;
        ensure!(house.starts()? == 1, "a start ran without a ledger\n{}", daemon.story());
        ensure!(house.open()?.is_empty(), "a door is open that nobody may close");
        daemon.stop(wait::SOON)?;
        house.lab.server.run("mount -o remount,rw /var/lib")?;
        let mut daemon = house.start()?;
        house.wait_until_shut(&daemon, OPEN + GRACE)?;
        opens_and_shuts(&mut house, &daemon, 1)?;
        daemon.stop(wait::SOON)
    });
}

#[test]
fn a_one_time_file_that_cannot_be_marked_opens_nothing() {
    privilege::test(|| {
        let mut house = House::new(OPEN)?;
        for (round, mount) in ["size=16k", "ro"].into_iter().enumerate() {
            house.lab.server.run("mkdir -p /run/once")?;
            house.lab.server.run("mount -t tmpfs -o size=16k tmpfs /run/once")?;
            let file = house.lab.server.path("/run/once/lines");
            std::fs::write(&file, "7200,8200,9200\n7300,8300,9300\n")
                .context("cannot write the one-time file")?;
            let doors = house.doors(OPEN).replacen(
                "sequence = 7000,8000:udp,9000",
                "one_time_sequences = /run/once/lines",
                1,
            );
            house.setup.write_config("", &doors)?;
            fill(&house, "/run/once")?;
            if mount == "ro" {
                house.lab.server.run("mount -o remount,ro /run/once")?;
            }
            let mut daemon = house.start()?;
            let before = house.starts()?;
            for port in [7200, 8200, 9200] {
                let port = knock_lab::wire::Port::Tcp(port);
                let server = knock_lab::lab::SERVER;
                house.wire.knock(source(round, 1)?, server, port)?;
            }
            let told = || Ok(daemon.log()?.contains("/run/once/lines"));
            wait::until("it to say that it can't mark the line", told)
                .with_context(|| daemon.story())?;
            // The other door is none the worse for it.
            house.knock(Door::Element, source(round, 2)?)?;
            house.wait_until_let_in(&daemon, source(round, 2)?)?;
            house.wait_until_shut(&daemon, OPEN + GRACE + wait::SOON)?;
            let ran = house.starts()? - before;
            ensure!(ran == 1, "{ran} starts ran\n{}", daemon.story());
            daemon.stop(wait::SOON)?;
            house.lab.server.run("umount /run/once")?;
        }
        Ok(())
    });
}

fn fill(house: &House, folder: &str) -> Result<()> {
    let full = house.lab.server.try_run(&FILL.replace('%', folder))?;
    ensure!(!full.status.success(), "{folder} never fills up");
    Ok(())
}

fn opens_and_shuts(
    house: &mut House,
    daemon: &knock_lab::daemon::Daemon,
    round: usize,
) -> Result<()> {
    for (door, host) in Door::BOTH.into_iter().zip(50..) {
        house.knock(door, source(round, host)?)?;
        house.wait_until_let_in(daemon, source(round, host)?)?;
    }
    house.wait_until_shut(daemon, OPEN + GRACE + wait::SOON)
}
