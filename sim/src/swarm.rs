//! What goes wrong in a world, and how often: each seed draws some of the fault classes.
//!
//! A swarm of worlds with a few faults each finds more than one world with all of them: where
//! everything fails, nothing gets far enough to fail in an interesting way.

use std::fmt;

use crate::random::Random;

/// A class of faults, or of other trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Packets are lost on their way.
    Loss,
    /// Packets come twice.
    Duplicates,
    /// Packets overtake each other.
    Reordering,
    /// First knocks with forged sources, many.
    Flood,
    /// Wrong knocks with the source of somebody who knocks right.
    VictimForgery,
    /// Port scans, of strangers and from behind the address of a knocker.
    Scans,
    /// The kernel drops what comes too fast.
    KernelDrops,
    /// Fragments whose content looks like knocks.
    Fragments,
    /// The wall clock is set, forward or back.
    ClockSteps,
    /// The machine sleeps.
    Suspends,
    /// The daemon gets no processor for a while.
    SlowTurns,
    /// The daemon is killed, between any two effects.
    Kills,
    /// The machine loses power, between any two effects of the daemon.
    PowerCuts,
    /// The daemon dies again while it recovers.
    DeepCrashes,
    /// The daemon is asked to stop, and started again.
    Stops,
    /// The config is read anew, with doors added, removed, renamed and changed.
    Reloads,
    /// The config is read anew and is wrong, or not there.
    BadConfigs,
    /// The disk has no room.
    FullDisk,
    /// Reads and writes fail.
    IoErrors,
    /// Syncs fail.
    SyncErrors,
    /// Writes write only a part.
    ShortWrites,
    /// Writes take seconds.
    SlowDisk,
    /// Bytes of the ledger change by themselves.
    Rot,
    /// No command can be run.
    ForkFailures,
    /// Start commands fail.
    StartFailures,
    /// Stop commands are hindered: a lock is held, a signal comes.
    HinderedStops,
    /// Stop commands fail by themselves and do nothing.
    RefusedStops,
    /// Commands hang.
    Hangs,
    /// Commands take long.
    Crawls,
    /// Commands print without end.
    Chatter,
    /// The daemon is started while it runs.
    DoubleStarts,
    /// Somebody flushes the firewall.
    Flushes,
}

impl Class {
    /// Every class, in the order of reports.
    pub const ALL: [Self; 32] = [
        Self::Loss,
        Self::Duplicates,
        Self::Reordering,
        Self::Flood,
        Self::VictimForgery,
        Self::Scans,
        Self::KernelDrops,
        Self::Fragments,
        Self::ClockSteps,
        Self::Suspends,
        Self::SlowTurns,
        Self::Kills,
        Self::PowerCuts,
        Self::DeepCrashes,
        Self::Stops,
        Self::Reloads,
        Self::BadConfigs,
        Self::FullDisk,
        Self::IoErrors,
        Self::SyncErrors,
        Self::ShortWrites,
        Self::SlowDisk,
        Self::Rot,
        Self::ForkFailures,
        Self::StartFailures,
        Self::HinderedStops,
        Self::RefusedStops,
        Self::Hangs,
        Self::Crawls,
        Self::Chatter,
        Self::DoubleStarts,
        Self::Flushes,
    ];

    /// Returns its name, as `--without` takes it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Duplicates => "duplicates",
            Self::Reordering => "reordering",
            Self::Flood => "flood",
            Self::VictimForgery => "victim-forgery",
            Self::Scans => "scans",
            Self::KernelDrops => "kernel-drops",
            Self::Fragments => "fragments",
            Self::ClockSteps => "clock-steps",
            Self::Suspends => "suspends",
            Self::SlowTurns => "slow-turns",
            Self::Kills => "kills",
            Self::PowerCuts => "power-cuts",
            Self::DeepCrashes => "deep-crashes",
            Self::Stops => "stops",
            Self::Reloads => "reloads",
            Self::BadConfigs => "bad-configs",
            Self::FullDisk => "full-disk",
            Self::IoErrors => "io-errors",
            Self::SyncErrors => "sync-errors",
            Self::ShortWrites => "short-writes",
            Self::SlowDisk => "slow-disk",
            Self::Rot => "rot",
            Self::ForkFailures => "fork-failures",
            Self::StartFailures => "start-failures",
            Self::HinderedStops => "hindered-stops",
            Self::RefusedStops => "refused-stops",
            Self::Hangs => "hangs",
            Self::Crawls => "crawls",
            Self::Chatter => "chatter",
            Self::DoubleStarts => "double-starts",
            Self::Flushes => "flushes",
        }
    }

    /// Returns the class of this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|class| class.name() == name)
    }

    const fn number(self) -> usize {
        self as usize
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The fault classes of a world, each with its strength and with random numbers of its own, so that
/// a world without one of them is otherwise the same.
#[derive(Clone, Debug)]
pub struct Swarm {
    /// How strong each class is, from 1 to 1000; 0 where it is off.
    strengths: [u32; Class::ALL.len()],
    randoms: [Random; Class::ALL.len()],
    /// How often each class has struck.
    struck: [u64; Class::ALL.len()],
    is_over: bool,
}

impl Swarm {
    /// Draws the classes of a seed, but for those that are taken out of it.
    #[must_use]
    pub fn draw(seed: u64, without: &[Class]) -> Self {
        let mut random = Random::new(seed ^ 0x5357_4152_4d00);
        // From quiet worlds to wild ones.
        let density = random.between(50, 600);
        let strengths = std::array::from_fn(|at| {
            let is_on = random.below(1000) < density;
            let strength = u32::try_from(random.span(2, 1000)).unwrap_or(1);
            if is_on && !without.contains(&Class::ALL[at]) { strength } else { 0 }
        });
        let randoms = std::array::from_fn(|_| random.fork());
        let mut swarm = Self { strengths, randoms, struck: [0; Class::ALL.len()], is_over: false };
        swarm.keep_fair();
        swarm
    }

    /// Takes out what would make the promises void: a stop that says no to a start that failed, or
    /// after a crash, is taken at its word, as it must be.
    fn keep_fair(&mut self) {
        if self.is_on(Class::RefusedStops) {
            for other in [
                Class::StartFailures,
                Class::ForkFailures,
                Class::Hangs,
                Class::Crawls,
                Class::Kills,
                Class::PowerCuts,
                Class::Stops,
                Class::DeepCrashes,
                Class::Flushes,
                Class::IoErrors,
            ] {
                self.strengths[other.number()] = 0;
            }
        }
    }

    /// Tells whether a class is on.
    #[must_use]
    pub const fn is_on(&self, class: Class) -> bool {
        !self.is_over && self.strengths[class.number()] > 0
    }

    /// Returns a class's strength, scaled to this most, at least 1 where it is on.
    #[must_use]
    pub fn strength(&self, class: Class, most: u32) -> u32 {
        if !self.is_on(class) {
            return 0;
        }
        (u64::from(self.strengths[class.number()]) * u64::from(most) / 1000)
            .try_into()
            .map_or(most, |scaled: u32| scaled.max(1))
    }

    /// Tells whether a class strikes now, which it does at most this often in a thousand.
    pub fn strikes(&mut self, class: Class, most: u32) -> bool {
        let strength = self.strength(class, most);
        let strikes = strength > 0 && self.randoms[class.number()].chance(strength);
        self.struck[class.number()] += u64::from(strikes);
        strikes
    }

    /// Returns the random numbers of a class.
    pub const fn random(&mut self, class: Class) -> &mut Random {
        &mut self.randoms[class.number()]
    }

    /// Counts that a class has struck.
    pub const fn note(&mut self, class: Class) {
        self.struck[class.number()] += 1;
    }

    /// Returns how often each class has struck.
    #[must_use]
    pub const fn struck(&self) -> &[u64; Class::ALL.len()] {
        &self.struck
    }

    /// Returns the classes that are on.
    pub fn classes(&self) -> impl Iterator<Item = Class> {
        Class::ALL.into_iter().filter(|class| self.strengths[class.number()] > 0)
    }

    /// Ends all faults.
    pub const fn end(&mut self) {
        self.is_over = true;
    }
}
