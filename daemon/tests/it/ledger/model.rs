//! Random records against a plain model, with crashes and errors anywhere.

use std::collections::BTreeMap;
use std::net::IpAddr;

use knock_engine::time::Timestamp;
use knockd::ledger::{Boot, BootId, Entry, HoldId, Ledger, Record, Recovered, StartOutcome};
use proptest::prelude::*;

use super::sim::{Fault, Random, Sim};

const HALF_LEN: usize = 4096;

/// What is owed, as plainly as it can be said. Deadlines are nanoseconds after boot here.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Model(BTreeMap<HoldId, Entry>);

impl Model {
    fn from_entries(entries: &[Entry]) -> Self {
        Self(entries.iter().map(|entry| (entry.hold, entry.clone())).collect())
    }

    fn apply(&mut self, record: &Record) {
        if let Record::Intent { hold, door, source, network, stop, deadline } = record.clone() {
            let deadline = Some(deadline);
            let (started, stop_begun, given_up) = (None, false, false);
            #[rustfmt::skip]
            let entry = Entry { hold, door, source, network, stop, deadline, started, stop_begun, given_up };
            self.0.insert(hold, entry);
        }
        match record {
            Record::Intent { .. } => {}
            Record::Started { hold, outcome } => {
                self.change(*hold, |it| it.started = Some(*outcome))
            }
            Record::Renewed { hold, deadline } => {
                self.change(*hold, |it| it.deadline = Some(*deadline));
            }
            Record::StopBegun { hold } => self.change(*hold, |it| it.stop_begun = true),
            Record::GivenUp { hold } => self.change(*hold, |it| it.given_up = true),
            Record::Ended { hold } => {
                self.0.remove(hold);
            }
        }
    }

    fn change(&mut self, hold: HoldId, change: impl FnMut(&mut Entry)) {
        self.0.get_mut(&hold).into_iter().for_each(change);
    }

    fn with(&self, records: &[Record]) -> Self {
        let mut model = self.clone();
        records.iter().for_each(|record| model.apply(record));
        model
    }

    /// What it is after a start at which the machine had booted at another engine time, or
    /// has booted since.
    fn at_boot(&self, old: Boot, new: Boot) -> Self {
        let mut model = self.clone();
        for entry in model.0.values_mut() {
            entry.deadline = entry.deadline.filter(|_| old.id == new.id).map(|deadline| {
                let since = deadline.checked_duration_since(old.at).expect("after boot");
                new.at.saturating_add(since)
            });
        }
        model
    }

    /// Says what differs between holds, in short.
    fn summary(&self) -> String {
        let entries = self.0.values().map(|it| {
            let (hold, deadline, started) = (it.hold.0, it.deadline, it.started);
            format!("{hold}:{deadline:?},{started:?},{},{}", it.stop_begun, it.given_up)
        });
        entries.collect::<Vec<_>>().join(" ")
    }

    /// What it is if an append that was not acknowledged is there all the same.
    fn after(&self, failed: &Failed, boot: Boot) -> Self {
        let mut model = self.clone();
        for record in &failed.records {
            model.apply(record);
            if let Record::Intent { hold, .. } | Record::Renewed { hold, .. } = record
                && failed.boot != boot.id
            {
                model.change(*hold, |it| it.deadline = None);
            }
        }
        model
    }
}

/// An append that was not acknowledged, and the boot in which it was tried.
#[derive(Clone, Debug)]
struct Failed {
    boot: BootId,
    records: Vec<Record>,
}

/// A program with a ledger on a simulated disk, and what it must remember.
struct Run {
    sim: Sim,
    boot: Boot,
    random: Random,
    ledger: Ledger<Sim>,
    /// What the program knows to be owed.
    owed: Model,
    /// What of it is safe: all, once something was acknowledged after the start.
    safe: Model,
    /// What failed since something was last acknowledged, by this program or one before it.
    failed: Vec<Failed>,
    /// The greatest number that was ever acknowledged.
    greatest: u64,
}

impl Run {
    fn new(seed: u64) -> Self {
        let boot = Boot { id: BootId([1; 16]), at: Timestamp::from_nanos(1_000_000) };
        let sim = Sim::new();
        let (ledger, recovered) =
            Ledger::open_sized(sim.clone(), boot, HALF_LEN).expect("an empty disk is a ledger");
        assert_eq!(recovered, Recovered::default());
        let (owed, safe, failed) = (Model::default(), Model::default(), Vec::new());
        Self { sim, boot, random: Random(seed), ledger, owed, safe, failed, greatest: 0 }
    }

    /// Makes up records: intents and what comes after them, some for holds that are not there.
    fn records(&mut self, count: usize) -> Vec<Record> {
        let mut holds: Vec<HoldId> = self.owed.0.keys().copied().collect();
        let mut next = self.ledger.next_hold().0;
        let mut records = Vec::new();
        for _ in 0..count {
            if holds.is_empty() || self.random.below(3) == 0 {
                next += u64::from(self.random.below(8) == 0);
                holds.push(HoldId(next));
                records.push(self.intent(HoldId(next)));
                next += 1;
                continue;
            }
            let hold = holds[self.random.below(holds.len())];
            records.push(match self.random.below(7) {
                0 => Record::Started { hold, outcome: StartOutcome::Done },
                1 => Record::Started { hold, outcome: StartOutcome::Failed },
                2 => Record::Renewed { hold, deadline: self.deadline() },
                3 => Record::StopBegun { hold },
                4 => Record::GivenUp { hold },
                _ => Record::Ended { hold },
            });
        }
        records
    }

    fn deadline(&mut self) -> Timestamp {
        Timestamp::from_nanos(self.boot.at.as_nanos() + self.random.next() % 1_000_000)
    }

    fn intent(&mut self, hold: HoldId) -> Record {
        let octets: [u8; 8] = self.random.next().to_le_bytes();
        let source: IpAddr = match octets[0] % 2 {
            0 => IpAddr::from([octets[1], octets[2], octets[3], octets[4]]),
            _ => IpAddr::from([0x2001, 0xdb8, u16::from(octets[1]), 0, 0, 0, 0, 1]),
        };
        let network = ipnet::IpNet::new(source, octets[5] % 33).expect("a short prefix").trunc();
        let door = ["openSSH", "a", "\u{fc}n\u{ef}"][usize::from(octets[6]) % 3].to_owned();
        let length = [0, 20, 60, 200, 900][self.random.below(5)];
        let stop = "x".repeat(length);
        Record::Intent { hold, door, source, network, stop, deadline: self.deadline() }
    }

    /// Appends; tells whether that was acknowledged.
    fn append(&mut self, count: usize) -> bool {
        let records = self.records(count);
        let is_acknowledged = self.ledger.append(&records).is_ok();
        if is_acknowledged {
            self.owed = self.owed.with(&records);
            self.safe = self.owed.clone();
            self.failed.clear();
            let intents = records.iter().filter_map(|record| {
                if let Record::Intent { hold, .. } = record { Some(hold.0) } else { None }
            });
            self.greatest = intents.fold(self.greatest, u64::max);
        } else if !records.is_empty() {
            self.failed.push(Failed { boot: self.boot.id, records });
        }
        let entries: Vec<_> = self.ledger.entries().cloned().collect();
        assert_eq!(Model::from_entries(&entries), self.owed, "in memory");
        assert!(self.ledger.next_hold().0 > self.greatest);
        is_acknowledged
    }

    /// Starts the program again, and compares: all that was acknowledged is there, and of what
    /// was not at most some appends, each as a whole.
    fn reopen(&mut self, boots: bool) {
        let old = self.boot;
        self.boot.at = Timestamp::from_nanos(self.random.next() >> 8);
        if boots {
            self.boot.id.0[0] = self.boot.id.0[0].wrapping_add(1);
        }
        let (ledger, recovered) = Ledger::open_sized(self.sim.clone(), self.boot, HALF_LEN)
            .expect("it was a ledger before");
        self.ledger = ledger;
        assert!(recovered.entries.is_sorted_by_key(|entry| entry.hold));
        self.safe = self.safe.at_boot(old, self.boot);
        for record in self.failed.iter_mut().flat_map(|failed| &mut failed.records) {
            if let Record::Intent { deadline, .. } | Record::Renewed { deadline, .. } = record {
                let since = deadline.checked_duration_since(old.at).expect("after boot");
                *deadline = self.boot.at.saturating_add(since);
            }
        }
        let found = Model::from_entries(&recovered.entries);
        let mut allowed = (0u32..1 << self.failed.len()).map(|subset| {
            let kept = self.failed.iter().enumerate().filter(|(bit, _)| subset >> bit & 1 == 1);
            kept.fold(self.safe.clone(), |model, (_, failed)| model.after(failed, self.boot))
        });
        let is_allowed = allowed.any(|it| it == found);
        let (found_text, safe) = (found.summary(), self.safe.summary());
        assert!(is_allowed, "found {found_text}\nsafe {safe}\nand some of {:?}", self.failed);
        assert!(self.ledger.next_hold().0 > self.greatest, "numbers are used once");
        if self.failed.len() <= 1 {
            assert_eq!(recovered.damage, [], "a crash is no damage");
        }
        let in_memory: Vec<_> = self.ledger.entries().cloned().collect();
        assert_eq!(in_memory, recovered.entries);
        self.owed = found;
    }
}

/// What happens next.
#[derive(Clone, Copy, Debug)]
enum Happening {
    Append {
        count: usize,
    },
    /// The program is killed, and what it wrote is still on its way to the disk.
    Kill,
    PowerCut {
        seed: u64,
        boots: bool,
    },
    /// The power goes in the middle of an append.
    CutAppend {
        count: usize,
        after: usize,
        seed: u64,
        boots: bool,
    },
    /// An append, or its preparation, in the middle of which calls fail.
    FailAppend {
        count: usize,
        after: usize,
        errors: usize,
        seed: u64,
    },
    /// The program is killed in the middle of an append.
    KillAppend {
        count: usize,
        after: usize,
    },
}

fn happening(fails: bool) -> impl Strategy<Value = Happening> {
    let count = 1..6usize;
    let append = count.clone().prop_map(|count| Happening::Append { count });
    let power_cut =
        any::<(u64, bool)>().prop_map(|(seed, boots)| Happening::PowerCut { seed, boots });
    let cut = (count.clone(), 0..6usize, any::<(u64, bool)>());
    let cut = cut.prop_map(|(count, after, (seed, boots))| Happening::CutAppend {
        count,
        after,
        seed,
        boots,
    });
    let kill = (count.clone(), 0..6usize);
    let kill = kill.prop_map(|(count, after)| Happening::KillAppend { count, after });
    let fail = (count, 0..6usize, 1..4usize, any::<u64>());
    let fail = fail.prop_map(|(count, after, errors, seed)| Happening::FailAppend {
        count,
        after,
        errors,
        seed,
    });
    prop_oneof![
        12 => append,
        1 => Just(Happening::Kill),
        1 => power_cut,
        2 => cut,
        1 => kill,
        if fails { 4 } else { 0 } => fail,
    ]
}

fn run(seed: u64, happenings: &[Happening]) {
    let mut run = Run::new(seed);
    for happening in happenings {
        if run.failed.len() > 8 {
            run.append(1);
        }
        match *happening {
            Happening::Append { count } => {
                assert!(run.append(count), "nothing is wrong with the disk");
            }
            Happening::Kill => run.reopen(false),
            Happening::PowerCut { seed, boots } => {
                run.sim.power_cut(seed);
                run.reopen(boots)
            }
            Happening::CutAppend { count, after, seed, boots } => {
                run.sim.set_fault(Some(Fault::PowerCut { after }));
                run.append(count);
                {
                    run.sim.power_cut(seed);
                    run.reopen(boots)
                };
            }
            Happening::KillAppend { count, after } => {
                run.sim.set_fault(Some(Fault::PowerCut { after }));
                run.append(count);
                run.sim.set_fault(None);
                run.reopen(false);
            }
            Happening::FailAppend { count, after, errors, seed } => {
                run.sim.seed(seed);
                run.sim.set_fault(Some(Fault::Errors { after, count: errors }));
                for _ in 0..2 {
                    if run.failed.len() < 8 {
                        run.append(count);
                    }
                }
                run.sim.set_fault(None);
            }
        }
    }
    run.reopen(false);
}

proptest! {
    #[test]
    fn nothing_acknowledged_is_lost_in_a_crash(
        seed: u64,
        happenings in prop::collection::vec(happening(false), 1..80),
    ) {
        run(seed, &happenings);
    }

    #[test]
    fn nothing_acknowledged_is_lost_when_calls_fail(
        seed: u64,
        happenings in prop::collection::vec(happening(true), 1..80),
    ) {
        run(seed, &happenings);
    }
}
