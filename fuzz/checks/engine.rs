//! What must hold for any scenario: the engine says what the reference model says, and no table
//! outgrows its limit. The fuzz target and the tests share it.
//!
//! The bytes are seeds for the strategies of the engine's own properties, one for each part of a
//! scenario, so a mutation changes, inserts, drops or copies doors, gaps and acts and leaves the
//! rest as it was. (Proptest can also hand bytes through to a strategy as its random choices, but
//! halves those left at each alternative of a `prop_oneof!`: a few steps use up any input.)

use std::sync::Arc;

use knock_engine::config::Config;
use proptest::strategy::{Strategy, ValueTree};
use proptest::test_runner::{RngAlgorithm, TestRng, TestRunner};

use crate::model::{check_limits, compare};
use crate::schedule::{Scenario, Scope, Step, act, door, gap, local_addresses, options, start};

/// The most steps of a scenario. More would find little more, and slowly.
const MOST_STEPS: usize = 200;

/// Checks the scenario of any bytes.
///
/// # Panics
///
/// Where something does not hold: with the scenario, and with what happened up to there.
pub(crate) fn check(bytes: &[u8]) {
    let scenario = scenario(bytes);
    let inputs = scenario.inputs();
    let (config, local) = (&scenario.config, &scenario.local);
    let result =
        compare(config, local, &inputs).and_then(|()| check_limits(config, local, &inputs));
    if let Err(report) = result {
        panic!("{scenario:?}\n{report}");
    }
}

/// Makes the scenario of any bytes: 4 for the frame of it, 4 for each of up to four doors, and 4
/// for each step, of which 2 are for its gap and 2 for its act. What is left over is ignored.
pub(crate) fn scenario(bytes: &[u8]) -> Scenario {
    const ALL: Scope = Scope::ALL;
    let mut dice = Dice(TestRunner::deterministic());
    let (fours, _) = bytes.as_chunks::<4>();
    let [kind, doors @ ..] = fours.first_chunk::<5>().copied().unwrap_or_default();
    let (options, local, start, count) =
        dice.roll(&(options(ALL), local_addresses(), start(ALL), 1_usize..=4), &kind);
    let door = door(ALL);
    let doors = doors[..count].iter().map(|seed| Arc::new(dice.roll(&door, seed))).collect();
    let (gap, act) = (gap(ALL), act(ALL));
    let steps = fours.iter().skip(5).take(MOST_STEPS).map(|[of_gap @ .., c, d]| Step {
        gap: dice.roll(&gap, of_gap),
        act: dice.roll(&act, &[*c, *d]),
    });
    let steps = steps.collect();
    Scenario { config: Config { options, doors }, local, start, steps }
}

/// Makes values of strategies from seeds.
struct Dice(TestRunner);

impl Dice {
    fn roll<S: Strategy>(&mut self, strategy: &S, seed: &[u8]) -> S::Value {
        let mut key = [0; 32];
        key[..seed.len()].copy_from_slice(seed);
        *self.0.rng() = TestRng::from_seed(RngAlgorithm::ChaCha, &key);
        strategy.new_tree(&mut self.0).expect("these strategies reject nothing").current()
    }
}
