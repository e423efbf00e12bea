//! Running many seeds, on all cores, and what they come to.

use std::cell::Cell;
use std::fmt;
use std::io::{self, Write as _};
use std::panic::PanicHookInfo;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::time::{ClockId, clock_gettime};

use crate::marks;
use crate::run::{Failure, Options, twice};
use crate::swarm::Class;
use crate::world::Counts;

/// From so many seeds on, a mark that was never reached is a failure.
pub const LONG_RUN: u64 = 20_000;

/// How many failures end a run.
const MOST_FAILURES: usize = 4;

/// Which seeds to run.
#[derive(Clone, Debug)]
pub struct Seeds {
    /// The first.
    pub first: u64,
    /// How many at most.
    pub count: u64,
    /// How long at most.
    pub limit: Duration,
    /// How many side by side.
    pub threads: usize,
}

/// What many seeds come to.
#[derive(Default)]
pub struct Totals {
    /// How many were run.
    pub seeds: u64,
    /// What was counted, of all together.
    pub counts: Counts,
    /// How often each mark was reached.
    pub marks: Vec<u64>,
    /// What failed, not shrunk yet.
    pub failures: Vec<Box<Failure>>,
    /// How long it took, and on how many cores.
    pub took: (Duration, usize),
    /// How much processor time it took.
    pub busy: Duration,
}

impl Totals {
    fn add(&mut self, counts: Counts) {
        self.seeds += 1;
        let all = &mut self.counts;
        all.events += counts.events;
        all.lives += counts.lives;
        all.starts += counts.starts;
        all.recordings += counts.recordings;
        all.time = all.time.saturating_add(counts.time);
        for (all, its) in all.struck.iter_mut().zip(counts.struck) {
            *all += its;
        }
        all.died_at.extend(counts.died_at);
        all.passed.extend(counts.passed);
    }

    /// Returns the marks that were never reached.
    pub fn missing(&self) -> impl Iterator<Item = &'static str> {
        let names = marks::ALL.iter().zip(&self.marks);
        names.filter(|(_, count)| **count == 0).map(|(name, _)| *name)
    }
}

/// Runs seeds. After a few failures it stops early.
#[must_use]
pub fn run(seeds: &Seeds, options: &Options) -> Totals {
    std::panic::set_hook(Box::new(tell_panic));
    let (start, busy) = (Instant::now(), processor_time());
    let totals = Mutex::new(Totals::default());
    let (next, is_over) = (AtomicU64::new(0), AtomicBool::new(false));
    let work = || {
        let mut mine: Vec<Counts> = Vec::new();
        while !is_over.load(Ordering::Relaxed) && start.elapsed() < seeds.limit {
            let number = next.fetch_add(1, Ordering::Relaxed);
            if number >= seeds.count {
                break;
            }
            SEED.set(seeds.first + number);
            match twice(seeds.first + number, options) {
                Ok(counts) => mine.push(counts),
                Err(failure) => {
                    let Ok(mut totals) = totals.lock() else { return };
                    totals.failures.push(failure);
                    is_over.store(totals.failures.len() >= MOST_FAILURES, Ordering::Relaxed);
                }
            }
            if mine.len() >= 64 {
                let Ok(mut totals) = totals.lock() else { return };
                mine.drain(..).for_each(|counts| totals.add(counts));
            }
        }
        let reached = marks::take();
        let Ok(mut totals) = totals.lock() else { return };
        mine.into_iter().for_each(|counts| totals.add(counts));
        totals.marks.resize(reached.len(), 0);
        totals.marks.iter_mut().zip(reached).for_each(|(all, its)| *all += its);
    };
    thread::scope(|scope| {
        for _ in 0..seeds.threads {
            scope.spawn(work);
        }
    });
    let _ = std::panic::take_hook();
    let mut totals = totals.into_inner().unwrap_or_default();
    totals.failures.sort_by_key(|failure| failure.seed);
    totals.took = (start.elapsed(), seeds.threads);
    totals.busy = processor_time().saturating_sub(busy);
    totals
}

/// Returns how much processor time this program has had.
fn processor_time() -> Duration {
    let time = clock_gettime(ClockId::ProcessCPUTime);
    let (seconds, nanos) = (u64::try_from(time.tv_sec), u32::try_from(time.tv_nsec));
    Duration::new(seconds.unwrap_or(0), nanos.unwrap_or(0))
}

thread_local! {
    /// The seed that runs on this thread.
    static SEED: Cell<u64> = const { Cell::new(0) };
}

/// Where a panic ends the program, as in a release build, its seed must not be lost. Elsewhere the
/// seed fails like others.
fn tell_panic(panic: &PanicHookInfo<'_>) {
    if cfg!(panic = "abort") {
        let seed = SEED.get();
        let told = format!(
            "seed {seed} panics: {panic}\n  again, with its story: cargo run -p knock-sim -- --seed \
             {seed}\n"
        );
        let _ = io::stdout().lock().write_all(told.as_bytes());
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (counts, (took, threads)) = (&self.counts, self.took);
        let (seconds, busy) = (took.as_secs_f64(), self.busy.as_secs_f64());
        // Other programs may have the cores meanwhile, so processor time is what counts.
        #[expect(clippy::cast_precision_loss, reason = "a figure for people")]
        let speed = 2.0 * counts.events as f64 / busy.max(0.001);
        let (seeds, events) = (self.seeds, 2 * counts.events);
        writeln!(f, "seeds            {seeds}, each run twice, on {threads} cores")?;
        writeln!(f, "engine events    {events}, {speed:.0} a second of a core")?;
        writeln!(f, "time             {seconds:.1} s, and {busy:.1} s of processors")?;
        let days = counts.time / 86_400_000_000_000;
        writeln!(f, "simulated time   {days} days")?;
        let (lives, starts, recordings) = (counts.lives, counts.starts, counts.recordings);
        writeln!(
            f,
            "daemons started  {lives}; start commands {starts}; recordings replayed {recordings}"
        )?;
        let (died, passed) = (counts.died_at.len(), counts.passed.len());
        writeln!(f, "crash points     {died} kinds of {passed} (phase, last effect, next effect)")?;
        writeln!(f, "faults by class")?;
        for (class, struck) in Class::ALL.iter().zip(counts.struck) {
            writeln!(f, "  {class:<16} {struck}")?;
        }
        writeln!(f, "rare states")?;
        for (name, count) in marks::ALL.iter().zip(&self.marks) {
            writeln!(f, "  {count:>10}  {name}")?;
        }
        Ok(())
    }
}
