//! The i-th write, fsync or fork fails, for every i: no door stays open, whatever it was.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::daemon::Daemon;
use knock_lab::{privilege, wait};
use rustix::process::Signal;

use crate::bench::{note, sample_or_full};
use crate::house::{Door, GRACE, House, PATIENCE, source};
use crate::wrapper::wrap;

const OPEN: Duration = Duration::from_secs(1);

/// Calls of the kernel that fail alike.
struct Calls {
    names: &'static str,
    error: &'static str,
}

const WRITES: &str = "write,writev,pwrite64,pwritev,pwritev2";

#[test]
fn whichever_write_fails_no_door_stays_open() {
    every(&Calls { names: WRITES, error: "EIO" });
}

#[test]
fn whichever_write_finds_the_disk_full_no_door_stays_open() {
    every(&Calls { names: WRITES, error: "ENOSPC" });
}

#[test]
fn whichever_fsync_fails_no_door_stays_open() {
    every(&Calls { names: "fsync,fdatasync,fallocate,ftruncate", error: "EIO" });
}

#[test]
fn whichever_fork_fails_no_door_stays_open() {
    every(&Calls { names: "clone,clone3,fork,vfork", error: "EAGAIN" });
}

/// Lets one call after the other fail; the sample takes some from the beginning to the end.
fn every(calls: &Calls) {
    privilege::test(|| {
        let mut house = House::new(OPEN)?;
        let count = count(&mut house, calls)?;
        ensure!(count > 0, "nothing calls {}", calls.names);
        let step = count.div_ceil(sample_or_full(2, usize::MAX));
        let mut round = 1;
        let mut refused = 0;
        for nth in (1..=count).step_by(step) {
            // Killed while its doors are open, or ended when they have closed.
            for is_killed in [false, true] {
                refused += usize::from(!try_one(&mut house, calls, nth, is_killed, round)?);
                round += 1;
            }
        }
        house.starts_ran_once()?;
        note(&format!(
            "{} of {}: {} of {count} calls tried twice each, with {refused} refusals to start",
            calls.error,
            calls.names,
            (round - 1) / 2
        ))
    });
}

/// Counts the calls that a thread of the daemon makes, at most, while two doors open and close.
fn count(house: &mut House, calls: &Calls) -> Result<usize> {
    let seen = house.lab.folder().join("calls");
    let trace = format!("exec strace -D -f -qq -o {} -e trace={}", seen.display(), calls.names);
    house.setup.program = wrap(house, "counted", &trace)?;
    let mut daemon = house.start()?;
    for (door, host) in Door::BOTH.into_iter().zip(1..) {
        house.knock(door, source(0, host)?)?;
        house.wait_until_let_in(&daemon, source(0, host)?)?;
    }
    house.wait_until_shut(&daemon, OPEN + GRACE + PATIENCE)?;
    let pid = daemon.pid()?.as_raw_nonzero().to_string();
    daemon.stop(wait::SOON)?;
    let mut threads: BTreeMap<String, usize> = BTreeMap::new();
    let text = std::fs::read_to_string(&seen).context("strace writes what it sees")?;
    for line in text.lines() {
        // A call that is interrupted by another thread's takes two lines.
        let is_call = !line.contains("resumed>");
        let (thread, _) = line.split_once(' ').context("a line begins with the thread")?;
        *threads.entry(thread.to_owned()).or_default() += usize::from(is_call);
    }
    ensure!(threads.contains_key(&pid) || threads.len() > 1, "nothing of {pid} in\n{text}");
    Ok(threads.into_values().max().unwrap_or(0))
}

/// Runs the daemon with one call failing, and another one after it; tells whether it started.
///
/// Each thread and each command counts its own calls, so more than one may fail.
fn try_one(house: &mut House, calls: &Calls, nth: usize, kill: bool, round: usize) -> Result<bool> {
    let Calls { names, error } = calls;
    house.lab.server.run("rm -rf /var/lib/knockd")?;
    let real = crate::bench::program();
    let inject = format!("inject={names}:error={error}:when={nth}");
    let line = format!("exec strace -D -f -qq -o /dev/null -e trace={names} -e {inject}");
    house.setup.program = wrap(house, "failing", &line)?;
    let mut daemon = house.setup.spawn(&house.lab.server)?;
    let starts = wait_until_ready_or_ended(&mut daemon)?;
    if starts {
        for (door, host) in Door::BOTH.into_iter().zip(1..) {
            house.knock(door, source(round, host)?)?;
        }
        // They need not open: that is what the fault may cost.
        let _ = wait::within(OPEN / 2, "both doors to open", || Ok(house.open()?.len() == 2));
        ensure!(daemon.is_running()?, "{inject}: it ended\n{}", daemon.story());
        if kill {
            daemon.kill_with_children(&house.lab.server)?;
        } else {
            wait::pace(Instant::now() + OPEN);
            end(&mut daemon).with_context(|| inject.clone())?;
        }
    }
    let said = daemon.printed()? + &daemon.log()?;
    ensure!(!said.contains("panicked"), "{inject}: it panicked\n{}", daemon.story());
    drop(daemon);
    house.lab.server.kill_all()?;

    house.setup.program = std::path::absolute(real)?;
    let mut daemon = house.start().with_context(|| format!("after {inject}"))?;
    house
        .wait_until_shut(&daemon, OPEN + GRACE + PATIENCE)
        .with_context(|| format!("after {inject}"))?;
    let fresh = source(round, 200)?;
    house.knock(Door::Element, fresh)?;
    house.wait_until_let_in(&daemon, fresh)?;
    house.wait_until_shut(&daemon, OPEN + GRACE + PATIENCE)?;
    daemon.stop(wait::SOON)?;
    Ok(starts)
}

/// Asks it to end until it does: the write that fails may be the one by which a handler of signals
/// wakes the daemon, which outside of a test can't.
fn end(daemon: &mut Daemon) -> Result<()> {
    let mut asked_at: Option<Instant> = None;
    wait::until("it to end", || {
        if asked_at.is_none_or(|at| at.elapsed() > Duration::from_secs(2)) {
            asked_at = Some(Instant::now());
            daemon.signal(Signal::TERM)?;
        }
        Ok(!daemon.is_running()?)
    })
    .with_context(|| daemon.story())
}

/// Tells whether it is ready; where it has ended instead, it must say why.
fn wait_until_ready_or_ended(daemon: &mut Daemon) -> Result<bool> {
    let mut is_ready = false;
    wait::until("it to be ready or to end", || {
        is_ready |= daemon.notified()?.contains("READY=1");
        Ok(is_ready || !daemon.is_running()?)
    })
    .with_context(|| daemon.story())?;
    if !is_ready {
        let status = daemon.wait(wait::SOON)?;
        let said = daemon.printed()? + &daemon.log()?;
        ensure!(!status.success() && said.contains("knockd"), "{status}: {said:?}");
    }
    Ok(is_ready)
}
