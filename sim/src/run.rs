//! Running seeds: each twice, and what comes of many.

use std::panic::{AssertUnwindSafe, catch_unwind};

use crate::swarm::Class;
use crate::world::{Counts, World};

/// What to run.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Options {
    /// The fault classes to take out.
    pub without: Vec<Class>,
    /// How many steps of trouble there are at most; none for as many as there are.
    pub steps: Option<u64>,
}

/// What went wrong with a seed.
pub struct Failure {
    /// The seed.
    pub seed: u64,
    /// With what it fails.
    pub options: Options,
    /// What is wrong.
    pub message: String,
    /// The classes that were on.
    pub classes: Vec<Class>,
    /// How many steps of trouble there were.
    pub steps: u64,
}

/// What a run comes to.
pub struct Outcome {
    /// The hash of all that happened.
    pub hash: u64,
    /// What was counted.
    pub counts: Counts,
    /// How many steps of trouble there were.
    pub steps: u64,
    /// What is wrong, where something is.
    pub failed: Option<String>,
}

/// Runs the world of a seed once.
#[must_use]
pub fn once(seed: u64, options: &Options) -> Outcome {
    in_world(seed, options, false).0
}

/// Runs the world of a seed once and returns it too, with all frames that it heard.
#[must_use]
pub fn in_world(seed: u64, options: &Options, is_keeping: bool) -> (Outcome, World) {
    let mut world = World::new(seed, &options.without, is_keeping);
    let mut steps = 0;
    let run = catch_unwind(AssertUnwindSafe(|| {
        let most = options.steps.unwrap_or(200_000);
        while steps < most && world.trouble()? {
            steps += 1;
        }
        world.settle()?;
        world.end()
    }));
    let failed = match run {
        Ok(checked) => checked.err(),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
            Some(format!("it panicked: {}", text.unwrap_or_default()))
        }
    };
    let (hash, counts) = (world.hash(), world.counts.clone());
    (Outcome { hash, counts, steps, failed }, world)
}

/// Runs a seed twice, and checks that both runs are the same.
///
/// # Errors
///
/// A check failed.
pub fn twice(seed: u64, options: &Options) -> Result<Counts, Box<Failure>> {
    let (first, world) = in_world(seed, options, false);
    let fail = |message: String| {
        let classes = world.classes();
        let (options, steps) = (options.clone(), first.steps);
        Err(Box::new(Failure { seed, options, message, classes, steps }))
    };
    if let Some(message) = first.failed.clone() {
        return fail(message);
    }
    let second = once(seed, options);
    if first.hash != second.hash {
        let (one, other) = (first.hash, second.hash);
        return fail(format!("two runs differ: {one:016x} and {other:016x}"));
    }
    Ok(first.counts)
}

/// Takes away from a failure what it does not need: fault classes, then steps from its end.
#[must_use]
pub fn shrink(mut failure: Failure) -> Failure {
    for class in failure.classes.clone() {
        let mut options = failure.options.clone();
        options.without.push(class);
        let outcome = once(failure.seed, &options);
        if let Some(message) = outcome.failed {
            (failure.options, failure.message, failure.steps) = (options, message, outcome.steps);
        }
    }
    failure.classes.retain(|class| !failure.options.without.contains(class));
    let (mut low, mut high) = (0, failure.steps);
    while low < high {
        let middle = low + (high - low) / 2;
        let options = Options { steps: Some(middle), ..failure.options.clone() };
        match once(failure.seed, &options).failed {
            Some(message) => {
                (failure.options, failure.message, failure.steps) = (options, message, middle);
                high = middle;
            }
            None => low = middle + 1,
        }
    }
    failure
}
