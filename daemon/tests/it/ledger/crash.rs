//! Every way in which a crash can cut the few writes of small ledgers.

use super::sim::{Fault, Sim};
use super::{ended, intent, open, with_stop};

/// Runs a program with the power cut at each of its calls, and of what it was writing then each
/// beginning and each end on disk. `check` gets what was acknowledged and what is found.
fn at_every_cut(
    bytes: &[u8],
    program: impl Fn(&Sim) -> Vec<u64>,
    check: impl Fn(&[u64], &[u64]),
) -> usize {
    let mut cuts = 0;
    for after in 0.. {
        let sim = Sim::with(bytes.to_vec());
        sim.set_fault(Some(Fault::PowerCut { after }));
        let acknowledged = program(&sim);
        if sim.calls() <= after {
            return cuts;
        }
        let pending = sim.pending();
        assert!(pending.len() <= 1, "what must be in order is synced");
        for cut in 0..=pending.first().copied().unwrap_or(0) {
            for keeps_beginning in [true, false] {
                let sim = sim.copy();
                sim.power_cut_keeping(|byte| (byte < cut) == keeps_beginning);
                let (_, recovered) = open(&sim);
                let found: Vec<u64> = recovered.entries.iter().map(|it| it.hold.0).collect();
                check(&acknowledged, &found);
                assert_eq!(recovered.damage, [], "after {after} calls, cut at {cut}");
                cuts += 1;
            }
        }
    }
    unreachable!("programs end")
}

/// Checks that what is found is what was acknowledged, or a later one of these states.
fn is_state<const N: usize>(states: [&[u64]; N]) -> impl Fn(&[u64], &[u64]) {
    move |acknowledged, found| {
        let least = states.iter().position(|state| *state == acknowledged).expect("a state");
        assert!(states[least..].contains(&found), "{found:?} after {acknowledged:?}");
    }
}

#[test]
fn a_new_ledger_survives_every_cut() {
    let program = |sim: &Sim| {
        let (mut ledger, _) = open(sim);
        (1..=3).map_while(|hold| ledger.append(&[intent(hold)]).ok().map(|()| hold)).collect()
    };
    let cuts = at_every_cut(&[], program, is_state([&[], &[1], &[1, 2], &[1, 2, 3]]));
    assert!(cuts > 1_000, "{cuts}");
}

#[test]
fn an_append_of_several_records_is_there_as_a_whole_or_not_at_all() {
    let program = |sim: &Sim| {
        let (mut ledger, _) = open(sim);
        let first = ledger.append(&[intent(1), intent(2)]).is_ok();
        let second = first && ledger.append(&[ended(1), intent(3), intent(4)]).is_ok();
        if second { vec![2, 3, 4] } else { [1, 2][..2 * usize::from(first)].to_vec() }
    };
    at_every_cut(&[], program, is_state([&[], &[1, 2], &[2, 3, 4]]));
}

#[test]
fn a_half_that_is_written_anew_survives_every_cut() {
    let sim = Sim::new();
    let (mut ledger, _) = open(&sim);
    ledger.append(&[intent(1)]).expect("there is room");
    for _ in 0..9 {
        ledger.append(&[with_stop(2, "x".repeat(300)), ended(2)]).expect("there is room");
    }
    let program = |sim: &Sim| {
        let (mut ledger, _) = open(sim);
        let mut acknowledged = vec![1];
        for round in 0..12 {
            if ledger.append(&[intent(3 + round)]).is_err() {
                return acknowledged;
            }
            acknowledged = vec![1, 3 + round];
            if ledger.append(&[ended(3 + round)]).is_err() {
                return acknowledged;
            }
            acknowledged = vec![1];
        }
        acknowledged
    };
    at_every_cut(&sim.bytes(), program, |acknowledged, found| {
        let is_same = found == acknowledged;
        let is_after_intent = acknowledged == [1] && found.len() == 2 && found[0] == 1;
        let is_after_end = acknowledged.len() == 2 && found == [1];
        assert!(is_same || is_after_intent || is_after_end, "{found:?} after {acknowledged:?}");
    });
}

#[test]
fn nothing_is_written_behind_a_write_that_failed() {
    let sim = Sim::new();
    let (mut ledger, _) = open(&sim);
    ledger.append(&[intent(1)]).expect("there is room");
    for after in [0, 1] {
        sim.set_fault(Some(Fault::Errors { after, count: 1 }));
        assert!(ledger.append(&[intent(2)]).is_err());
        let half = usize::from(after == 1) * 4096;
        let before = sim.bytes()[half..half + 4096].to_vec();
        ledger.append(&[intent(3), ended(3)]).expect("nothing fails any more");
        assert_eq!(sim.bytes()[half..half + 4096], before, "nobody knows what is there");
        assert_eq!(open(&sim).1.entries.len(), 1);
    }
}

#[test]
fn what_only_looks_safe_after_a_failed_sync_is_not_relied_on() {
    let mut lost = 0;
    for seed in 0..100 {
        let sim = Sim::new();
        let (mut ledger, _) = open(&sim);
        ledger.append(&[intent(1)]).expect("there is room");
        // The next program writes the other half anew, and syncing that fails.
        let (mut ledger, _) = open(&sim);
        sim.seed(seed);
        sim.set_fault(Some(Fault::Errors { after: 3, count: 1 }));
        assert!(ledger.append(&[intent(2)]).is_err());
        let on_disk = sim.copy();
        on_disk.power_cut(seed);
        lost += usize::from(on_disk.bytes() != sim.bytes());
        // The one after it reads what the system still has of it, and the power goes.
        for after in 0..5 {
            let sim = sim.copy();
            let (mut ledger, recovered) = open(&sim);
            assert_eq!(recovered.entries.len(), 2);
            sim.set_fault(Some(Fault::PowerCut { after }));
            let is_safe = ledger.append(&[intent(3)]).is_ok();
            sim.power_cut(seed);
            let found: Vec<u64> = open(&sim).1.entries.iter().map(|it| it.hold.0).collect();
            assert!(found.contains(&1), "{found:?} after {after} calls, seed {seed}");
            assert!(!is_safe || found.contains(&3), "{found:?} after {after} calls, seed {seed}");
        }
    }
    assert!(lost > 50, "{lost}");
}
