//! What people, attackers and nature do, and when.

use std::collections::BTreeMap;

use crate::ears::Sent;
use crate::random::Random;
use crate::swarm::{Class, Swarm};

/// A second of the world's time.
pub const SECOND: u64 = 1_000_000_000;
/// A millisecond of it.
pub const MILLI: u64 = 1_000_000;

/// Something that happens.
#[derive(Clone, Debug)]
pub enum Act {
    /// A packet reaches the machine.
    Packet(Sent),
    /// Somebody knocks.
    Knock,
    /// Many packets with forged sources come.
    Flood,
    /// Packets with the source of a knocker come.
    Forge,
    /// Somebody scans ports.
    Scan,
    /// The daemon is started, where it is not there.
    Start,
    /// The daemon is started, though it may be there.
    StartAgain,
    /// Its config is changed, and it is told so.
    Reload,
    /// Its config is made a bad one, and it is told so.
    BadConfig,
    /// It is asked to stop.
    Stop,
    /// It is to die within so many effects.
    Doom,
    /// The machine loses power.
    PowerCut,
    /// The wall clock is set.
    SetClock,
    /// The machine sleeps.
    Suspend,
    /// The ledger rots.
    Rot,
    /// The disk gets better or worse.
    Weather(bool),
    /// The firewall is flushed.
    Flush,
}

/// What is going to happen, by its time.
#[derive(Default)]
pub struct Schedule {
    acts: BTreeMap<(u64, u64), Act>,
    next: u64,
}

impl Schedule {
    /// Adds something.
    pub fn add(&mut self, at: u64, act: Act) {
        self.acts.insert((at, self.next), act);
        self.next += 1;
    }

    /// Returns when the next thing happens.
    #[must_use]
    pub fn next(&self) -> Option<u64> {
        self.acts.first_key_value().map(|((at, _), _)| *at)
    }

    /// Takes what happens by now.
    pub fn pop(&mut self, now: u64) -> Option<Act> {
        if self.next()? > now {
            return None;
        }
        self.acts.pop_first().map(|(_, act)| act)
    }

    /// Forgets everything but packets on their way.
    pub fn calm(&mut self) {
        self.acts.retain(|_, act| matches!(act, Act::Packet(_) | Act::Start));
    }

    /// Draws what happens in a world from now until a time.
    pub fn draw(&mut self, random: &mut Random, swarm: &mut Swarm, (from, to): (u64, u64)) {
        for _ in 0..random.between(4, 40) {
            self.add(random.between(from, to), Act::Knock);
        }
        let classes = [
            (Class::Flood, 6, Act::Flood),
            (Class::VictimForgery, 12, Act::Forge),
            (Class::Scans, 6, Act::Scan),
            (Class::Reloads, 12, Act::Reload),
            (Class::BadConfigs, 8, Act::BadConfig),
            (Class::Stops, 5, Act::Stop),
            (Class::Kills, 12, Act::Doom),
            (Class::PowerCuts, 8, Act::PowerCut),
            (Class::ClockSteps, 8, Act::SetClock),
            (Class::Suspends, 4, Act::Suspend),
            (Class::Rot, 3, Act::Rot),
            (Class::DoubleStarts, 4, Act::StartAgain),
            (Class::Flushes, 5, Act::Flush),
        ];
        for (class, most, act) in classes {
            for _ in 0..swarm.strength(class, most) {
                let at = swarm.random(class).between(from, to);
                self.add(at, act.clone());
            }
        }
        let disk = [Class::FullDisk, Class::IoErrors, Class::SyncErrors, Class::ShortWrites];
        if disk.into_iter().any(|class| swarm.is_on(class)) {
            for _ in 0..random.between(1, 4) {
                let begin = random.between(from, to);
                self.add(begin, Act::Weather(true));
                self.add(begin + random.span(10 * MILLI, 60 * SECOND), Act::Weather(false));
            }
        }
    }
}
