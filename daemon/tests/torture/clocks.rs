//! Clocks that are set and machines that sleep: neither keeps a door open, nor shuts one early.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use knock_lab::lab::SERVER;
use knock_lab::wire::Port;
use knock_lab::{privilege, wait};

use crate::bench::note;
use crate::house::{Door, GRACE, House, source};
use crate::wrapper::wrap;

const OPEN: Duration = Duration::from_secs(4);
/// How long before the deadline a door is looked at for the last time.
const EARLY: Duration = Duration::from_millis(1_500);

#[test]
fn a_wall_clock_that_is_set_moves_no_deadline() {
    privilege::test(|| {
        let mut house = House::new(OPEN)?;
        let shift = house.lab.folder().join("shift");
        let set = |to: &str| std::fs::write(&shift, format!("{to}\n")).context("cannot set it");
        set("+0")?;
        house.setup.program = wrap(&house, "misled", &misled_by(&shift)?)?;
        let mut daemon = house.start()?;
        for (round, to) in ["+10y", "-10y", "+40d", "-1h"].into_iter().enumerate() {
            let who = source(round, 1)?;
            house.knock(Door::Rule, who)?;
            house.wait_until_open(&daemon, Door::Rule, who)?;
            let opened = Instant::now();
            set(to)?;
            // A knock half done when the clock is set is done behind it.
            let half = source(round, 2)?;
            house.wire.knock(half, SERVER, Port::Tcp(7100))?;
            set("+0")?;
            house.wire.knock(half, SERVER, Port::Udp(8100))?;
            set(to)?;
            house.wire.knock(half, SERVER, Port::Tcp(9100))?;
            house.wait_until_open(&daemon, Door::Element, half)?;
            if round % 2 == 1 {
                daemon.kill_with_children(&house.lab.server)?;
                daemon = house.start()?;
            }
            let left = (OPEN - EARLY).saturating_sub(opened.elapsed());
            wait::throughout(left, "the door is open", || house.is_open(Door::Rule, who))
                .with_context(|| format!("{to}\n{}", daemon.story()))?;
            house.wait_until_shut(&daemon, OPEN + GRACE).with_context(|| to.to_owned())?;
        }
        let years = [10, -10].map(|shift| (jiff::Zoned::now().year() + shift).to_string());
        let log = daemon.log()?;
        ensure!(years.iter().all(|it| log.contains(it)), "the clock was never set:\n{log}");
        daemon.stop(wait::SOON)
    });
}

#[test]
fn a_window_that_has_passed_does_not_open_again_when_the_clock_is_set_back() {
    privilege::test(|| {
        let mut house = House::new(OPEN)?;
        let shift = house.lab.folder().join("shift");
        std::fs::write(&shift, "+0\n")?;
        house.setup.program = wrap(&house, "misled", &misled_by(&shift)?)?;
        let doors = house.doors(OPEN).replace("seq_timeout = 10", "seq_timeout = 1");
        house.setup.write_config("", &doors)?;
        let mut daemon = house.start()?;
        let late = source(0, 1)?;
        house.wire.knock(late, SERVER, Port::Tcp(7000))?;
        house.wire.knock(late, SERVER, Port::Udp(8000))?;
        wait::until("the window to pass", || Ok(daemon.log()?.contains("timeout")))
            .with_context(|| daemon.story())?;
        std::fs::write(&shift, "-1h\n")?;
        house.wire.knock(late, SERVER, Port::Tcp(9000))?;
        let honest = source(0, 2)?;
        house.knock(Door::Element, honest)?;
        house.wait_until_open(&daemon, Door::Element, honest)?;
        ensure!(!house.is_open(Door::Rule, late)?, "it opened an hour late\n{}", daemon.story());
        daemon.stop(wait::SOON)
    });
}

/// The kernel gives a boot-time offset only to a process that begins: what is tried is a machine
/// that slept while its daemon was away, which is killed and comes back.
#[test]
fn a_machine_that_slept_closes_what_is_overdue_when_it_wakes() {
    const LONG: Duration = Duration::from_secs(3_600);
    privilege::test(|| {
        let mut house = House::new(LONG)?;
        let can = house.lab.server.try_run("unshare --time --boottime 1 true")?;
        if !can.status.success() {
            return note(
                "NOT TRIED: a sleeping machine: this kernel gives no time namespace here (Linux \
                 5.6 or newer, with CONFIG_TIME_NS, as root)",
            );
        }
        let mut daemon = house.start()?;
        for door in Door::BOTH {
            house.knock(door, source(0, 1)?)?;
            house.wait_until_open(&daemon, door, source(0, 1)?)?;
        }
        for (slept, stays) in [(1_800, true), (3_000, true), (3_700, false)] {
            daemon.kill_with_children(&house.lab.server)?;
            let line = format!("exec unshare --time --boottime {slept}");
            house.setup.program = wrap(&house, "sleeper", &line)?;
            daemon = house.start()?;
            if stays {
                wait::throughout(Duration::from_secs(1), "both doors are open", || {
                    Ok(house.open()?.len() == 2)
                })
                .with_context(|| format!("after {slept} s\n{}", daemon.story()))?;
            } else {
                house.wait_until_shut(&daemon, GRACE)?;
            }
        }
        daemon.stop(wait::SOON)
    });
}

/// Returns the line that runs a program with a wall clock that a file sets.
fn misled_by(shift: &Path) -> Result<String> {
    Ok(format!(
        "exec env LD_PRELOAD={} FAKETIME_TIMESTAMP_FILE={} FAKETIME_NO_CACHE=1 \
         FAKETIME_DONT_FAKE_MONOTONIC=1",
        faketime()?.display(),
        shift.display()
    ))
}

/// Finds the library that sets a process's clock.
fn faketime() -> Result<PathBuf> {
    // The multi-threaded one; Debian puts it below the processor's name.
    let folders = std::fs::read_dir("/usr/lib").context("cannot list /usr/lib")?;
    let mut folders: Vec<_> = folders.filter_map(|entry| Some(entry.ok()?.path())).collect();
    folders.push(PathBuf::from("/usr/local/lib"));
    let names = folders.iter().map(|folder| folder.join("faketime/libfaketimeMT.so.1"));
    let found = names.into_iter().find(|path| path.exists());
    found.map_or_else(|| bail!("libfaketime is missing: install the package faketime"), Ok)
}
