//! SIGKILL at random microseconds under load: no door stays open, and nobody is let in twice.

use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use knock_lab::daemon::Daemon;
use knock_lab::wire::Wire;
use knock_lab::{privilege, wait};
use rustix::process::Signal;

use crate::bench::{Random, note};
use crate::house::{Door, GRACE, House, PATIENCE, make_noise, source};
use crate::soak::amount;

const OPEN: Duration = Duration::from_secs(3);
/// Packets a second of others meanwhile.
const NOISE: u32 = 2_000;

#[test]
fn kills_at_random_microseconds_under_load_leave_no_door_open() {
    privilege::test(|| {
        let kills = usize::try_from(amount("TORTURE_KILLS", 50, 10_000)?)?;
        // Two lives side by side, for most of the time is spent waiting.
        std::thread::scope(|scope| -> Result<()> {
            let lives: Vec<_> =
                (0..2).map(|seed| scope.spawn(move || live_through(kills / 2, seed))).collect();
            for life in lives {
                life.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
            }
            Ok(())
        })
    });
}

fn live_through(kills: usize, seed: u64) -> Result<()> {
    let mut house = House::new(OPEN)?;
    let is_over = AtomicBool::new(false);
    let noise = Wire::new(&house.lab.client)?;
    let (outcome, sent) = std::thread::scope(|scope| {
        let strangers =
            scope.spawn(|| make_noise(noise, NOISE, || is_over.load(Ordering::Relaxed)));
        let outcome = kill_again_and_again(&mut house, kills, seed);
        is_over.store(true, Ordering::Relaxed);
        (outcome, strangers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
    });
    // The other life may go on for an hour.
    outcome.inspect_err(|error| drop(note(&format!("kills, life {seed}: {error:#}"))))?;
    let (let_in, sent) = (house.starts_ran_once()?, sent?);
    ensure!(let_in > 0, "nobody was ever let in");
    note(&format!(
        "{kills} kills: {let_in} of {} were let in, each once, in {sent} packets of noise, and \
         nothing is open",
        kills * 6
    ))
}

fn kill_again_and_again(house: &mut House, kills: usize, seed: u64) -> Result<()> {
    // Moments to kill at: the same in each run.
    let mut random = Random::new(seed);
    let mut daemon = house.start()?;
    for round in 0..kills {
        for host in [1, 2, 3] {
            house.knock(Door::Rule, source(round, host)?)?;
            house.knock(Door::Element, source(round, 100 + host)?)?;
        }
        // Between nothing started and everything open, and sometimes well after.
        let pause = Duration::from_micros(random.below(40_000) * (1 + random.below(8)));
        wait::pace(Instant::now() + pause);
        kill(house, &mut daemon, random.below(2) == 0)?;
        if random.below(4) == 0 {
            // While it recovers, too.
            let mut early = house.setup.spawn(&house.lab.server)?;
            wait::pace(Instant::now() + Duration::from_micros(random.below(30_000)));
            kill(house, &mut early, true)?;
        }
        daemon = house.start()?;
        let twice: Vec<_> = house.open()?.into_iter().filter(|(_, count)| *count > 1).collect();
        ensure!(twice.is_empty(), "in round {round} open twice: {twice:?}\n{}", daemon.story());
        if round % 100 == 99 {
            house.wait_until_shut(&daemon, OPEN + GRACE + PATIENCE)?;
        }
    }
    house.wait_until_shut(&daemon, OPEN + GRACE + PATIENCE)?;
    ensure!(daemon.is_running()?, "it ended by itself\n{}", daemon.story());
    daemon.stop(wait::SOON)
}

/// Kills the daemon, with its children or alone, as somebody who knows only its pid does.
fn kill(house: &House, daemon: &mut Daemon, with_children: bool) -> Result<()> {
    if with_children {
        return daemon.kill_with_children(&house.lab.server);
    }
    daemon.signal(Signal::KILL)?;
    daemon.wait(wait::SOON).map(drop)
}
