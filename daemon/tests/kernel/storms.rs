//! Attacks and floods: whoever knocks honestly comes in.

use std::net::{IpAddr, Ipv4Addr};
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use knock_lab::lab::{Lab, SERVER};
use knock_lab::storm::{Honest, Outcome, Storm, door};
use knock_lab::usage::Usage;
use knock_lab::wire::{Port, Wire};
use knock_lab::{privilege, storm, wait};

use crate::bench::{Tally, alone, note, sample_or_full, setup, shared};

/// Without the capture's ring.
const MEMORY: u64 = 96_000_000;
/// Packets a second; the slowest is the least that any machine must take.
const RATES: [u32; 5] = [2_000, 10_000, 50_000, 200_000, 1_000_000];

#[test]
fn honest_knocks_open_during_the_lock_out_attack() {
    privilege::test(|| {
        let honest = Honest {
            count: sample_or_full(50, 200),
            interval: Duration::from_millis(160),
            gap: Duration::from_millis(500),
            tries: 1,
        };
        let trial = try_storms(honest, &[Storm::LockOut])?;
        let outcome = trial.outcomes[0];
        ensure!(outcome.opened == honest.count, "{outcome:?}\n{}", trial.story);
        Ok(())
    });
}

#[test]
fn a_full_table_of_attempts_is_told() {
    privilege::test(|| {
        let _machine = shared();
        let lab = Lab::new()?;
        let setup = setup(&lab)?;
        let door = "[door]\nsequence = 7000,8000,9000\nstart_command = true\n";
        setup.write_config("max_attempts = 4", door)?;
        let daemon = setup.start(&lab.server)?;
        let mut wire = Wire::new(&lab.client)?;
        for source in 1..=10 {
            let source = IpAddr::V4(Ipv4Addr::new(10, 0, 0, source));
            wire.knock(source, SERVER, Port::Tcp(7000))?;
        }
        let told = "the table of attempts is full";
        wait::until("it to say that its table is full", || Ok(daemon.log()?.contains(told)))
            .with_context(|| daemon.story())
    });
}

#[test]
fn honest_knocks_open_in_a_flood_of_first_knocks() {
    privilege::test(|| flood(Storm::FirstKnocks));
}

#[test]
fn honest_knocks_open_in_a_flood_of_strays() {
    privilege::test(|| flood(Storm::Strays));
}

/// Goes up the rates until knocks are lost; up to there each must open.
fn flood(storm: fn(u32) -> Storm) -> Result<()> {
    let honest = Honest {
        count: sample_or_full(50, 200),
        interval: Duration::from_millis(30),
        gap: Duration::from_millis(100),
        tries: 3,
    };
    let storms = RATES.map(storm);
    let trial = try_storms(honest, &storms)?;
    let mut reached = 0;
    for outcome in &trial.outcomes {
        let &Outcome { at_once, opened, rate } = outcome;
        note(&format!(
            "{} at {rate}/s: {at_once} of {} open at once, {opened} with three tries",
            if storm(0) == Storm::Strays(0) { "strays" } else { "first knocks" },
            honest.count
        ))?;
        if at_once == honest.count {
            reached = rate;
        } else {
            // Only the kernel may lose a packet, and then the log tells so.
            ensure!(
                trial.tells_of_drops,
                "knocks were lost at {rate}/s, but not by the kernel\n{}",
                trial.story
            );
            break;
        }
    }
    ensure!(reached > 0, "not even {} a second are heard\n{}", RATES[0], trial.story);
    Ok(())
}

/// What came of some storms.
struct Trial {
    outcomes: Vec<Outcome>,
    /// Whether the daemon says that the kernel dropped packets.
    tells_of_drops: bool,
    story: String,
}

/// Tries storms in turn on one daemon, until one makes it lose a knock.
fn try_storms(honest: Honest, storms: &[Storm]) -> Result<Trial> {
    let _machine = alone();
    let lab = Lab::new()?;
    lab.drop_everything()?;
    let tally = Tally::new(&lab, "opened")?;
    let setup = setup(&lab)?;
    setup.write_config("", &door(&format!("start_command = {}", tally.command())))?;
    let mut daemon = setup.start(&lab.server)?;
    let mut outcomes = Vec::new();
    for (series, &storm) in (0..).zip(storms) {
        let outcome =
            storm::weather(&lab, storm, honest, series, |source| Ok(tally.count(source)? > 0))
                .with_context(|| format!("{storm:?}"))?;
        ensure!(daemon.is_running()?, "it ended in {storm:?}\n{}", daemon.story());
        let memory = Usage::of(daemon.pid()?)?.private;
        ensure!(memory < MEMORY, "in {storm:?} it holds {memory} bytes");
        outcomes.push(outcome);
        if outcome.at_once < honest.count {
            break;
        }
    }
    let said = daemon.printed()? + &daemon.log()?;
    let tells_of_drops = said.contains("dropped");
    Ok(Trial { outcomes, tells_of_drops, story: daemon.story() })
}
