//! Hours of noise, knocks and reloads: no growth, no zombie, no open door at the end.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use knock_lab::daemon::Daemon;
use knock_lab::usage::Usage;
use knock_lab::wire::Wire;
use knock_lab::{privilege, wait};
use rustix::process::{Pid, Signal};

use crate::bench::{note, sample_or_full};
use crate::house::{Door, GRACE, House, PATIENCE, make_noise, source};

const OPEN: Duration = Duration::from_secs(3);
/// Packets a second.
const NOISE: u32 = 10_000;
/// How much memory of its own may come to it after it has warmed up, in bytes.
const GROWTH: u64 = 2 << 20;

/// Returns how much to do: as a variable says, or else that of the sample or of `make torture`.
pub(crate) fn amount(variable: &str, sample: usize, full: usize) -> Result<u64> {
    match std::env::var(variable) {
        Ok(text) => text.parse().with_context(|| format!("{variable} is no number: {text}")),
        Err(_) => Ok(u64::try_from(sample_or_full(sample, full))?),
    }
}

#[test]
fn an_hour_of_noise_knocks_and_reloads_leaves_nothing_behind() {
    privilege::test(|| {
        let span = Duration::from_secs(amount("TORTURE_SOAK_SECONDS", 10, 3_600)?);
        // A knock a second and a reload a minute; in the sample, more of both.
        let ticks = u32::try_from((span.as_secs()).max(10))?;
        let reload_every = if span < Duration::from_secs(120) { 3 } else { 60 };
        let mut house = House::new(OPEN)?;
        let mut daemon = house.start()?;
        let is_over = AtomicBool::new(false);
        let noise = Wire::new(&house.lab.client)?;
        std::thread::scope(|scope| -> Result<()> {
            let strangers =
                scope.spawn(|| make_noise(noise, NOISE, || is_over.load(Ordering::Relaxed)));
            let outcome = soak(&mut house, &mut daemon, ticks, reload_every);
            is_over.store(true, Ordering::Relaxed);
            let sent = strangers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            let growth = outcome.with_context(|| daemon.story())?;
            note(&format!("soak of {span:?}: {sent} packets of noise, {growth}"))
        })?;
        house.wait_until_shut(&daemon, OPEN + GRACE + PATIENCE)?;
        house.starts_ran_once()?;
        daemon.stop(wait::SOON)
    });
}

/// Knocks once a second and lets the daemon reload, and tells what it holds in the end.
fn soak(house: &mut House, daemon: &mut Daemon, ticks: u32, reload_every: u32) -> Result<String> {
    let start = Instant::now();
    // By then it has filled its tables with the noise, which comes from 4,000 sources.
    let warm = ticks.min(60) / 2;
    let mut early = None;
    let mut again = 0;
    for tick in 0..ticks {
        wait::pace(start + Duration::from_secs(1) * tick);
        let door = Door::BOTH[usize::from(tick % 2 == 1)];
        again += knock_until_let_in(house, daemon, door, usize::try_from(tick)?)?;
        if tick % reload_every == reload_every - 1 {
            daemon.signal(Signal::HUP)?;
        }
        ensure!(daemon.is_running()?, "it ended");
        if tick == warm {
            early = Some(Holding::of(daemon.pid()?)?);
        }
    }
    let (early, late) = (early.context("it has warmed up")?, Holding::of(daemon.pid()?)?);
    ensure!(late.memory <= early.memory + GROWTH, "memory grows: {early:?}, {late:?}");
    ensure!(late.threads == early.threads, "threads: {early:?}, {late:?}");
    // What opens a door has a pipe or two while it runs.
    ensure!(late.descriptors <= early.descriptors + 8, "descriptors: {early:?}, {late:?}");
    let pid = daemon.pid()?;
    wait::until("every child to be waited for", || Ok(zombies(pid)? == 0))?;
    Ok(format!("{again} knocks done again, {early:?} at first and {late:?} at the end"))
}

/// Knocks, and where that is not enough again from another source; tells how often again.
///
/// A machine that is too busy loses packets in the kernel, or takes longer for a command than it
/// may run. Then the log must tell so.
fn knock_until_let_in(house: &mut House, daemon: &Daemon, door: Door, tick: usize) -> Result<u32> {
    const EXCUSES: [&str; 2] = ["dropped", "took too long"];
    for (again, host) in (0..3).zip(9..) {
        let source = source(tick, host)?;
        house.knock(door, source)?;
        let heard = house.wait_until_let_in(daemon, source);
        if heard.is_ok() {
            return Ok(again);
        }
        let said = daemon.printed()? + &daemon.log()?;
        if !EXCUSES.iter().any(|it| said.contains(it)) {
            return heard.map(|()| again);
        }
    }
    bail!("three knocks in a row opened nothing\n{}", daemon.story())
}

/// What a process holds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Holding {
    /// Memory that is nobody else's, in bytes.
    pub(crate) memory: u64,
    pub(crate) descriptors: usize,
    pub(crate) threads: usize,
}

impl Holding {
    pub(crate) fn of(pid: Pid) -> Result<Self> {
        let count = |folder: &str| -> Result<usize> {
            let path = format!("/proc/{}/{folder}", pid.as_raw_nonzero());
            Ok(std::fs::read_dir(&path).with_context(|| format!("cannot list {path}"))?.count())
        };
        let memory = Usage::of(pid)?.private;
        Ok(Self { memory, descriptors: count("fd")?, threads: count("task")? })
    }
}

/// Counts the children of a process that have ended and were not waited for.
fn zombies(parent: Pid) -> Result<usize> {
    let parent = parent.as_raw_nonzero().to_string();
    let mut count = 0;
    for entry in std::fs::read_dir("/proc").context("cannot list /proc")? {
        // A process may go while it is looked at.
        let Ok(stat) = std::fs::read_to_string(entry?.path().join("stat")) else { continue };
        let Some((_, fields)) = stat.rsplit_once(") ") else { continue };
        let mut fields = fields.split(' ');
        let (state, its_parent) = (fields.next(), fields.next());
        count += usize::from(state == Some("Z") && its_parent == Some(&parent));
    }
    Ok(count)
}
