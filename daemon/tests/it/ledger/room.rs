//! How much fits into a ledger, how it grows, and what a full disk does to it.

use std::io::ErrorKind;

use knockd::ledger::{HALF_LEN, HoldId, Ledger, Record, StartOutcome};

use super::sim::{Fault, Sim};
use super::{BOOT, ended, holds, intent, open, with_stop};

#[test]
fn a_new_ledger_takes_its_room_at_once_and_has_room_for_thousands_of_doors() {
    let sim = Sim::new();
    let (mut ledger, _) = Ledger::open(sim.clone(), BOOT).expect("it is new");
    ledger.prepare().expect("there is room");
    assert_eq!(sim.bytes().len(), 2 * HALF_LEN);
    sim.set_capacity(2 * HALF_LEN);
    for hold in 1..=4_000 {
        ledger.append(&[with_stop(hold, "x".repeat(150))]).expect("there is room");
    }
    // Each of them may end, and others may come in their place, for ever.
    for hold in 4_001..=20_000 {
        let started = Record::Started { hold: HoldId(hold), outcome: StartOutcome::Done };
        ledger.append(&[ended(hold - 4_000)]).expect("there is room");
        ledger.append(&[with_stop(hold, "x".repeat(150)), started]).expect("there is room");
    }
    assert_eq!(holds(&sim).len(), 4_000);
    assert_eq!(sim.bytes().len(), 2 * HALF_LEN);
}

#[test]
fn a_ledger_grows_when_more_is_owed_than_fits() {
    let sim = Sim::new();
    let (mut ledger, _) = open(&sim);
    for hold in 1..=1_000 {
        ledger.append(&[intent(hold)]).expect("there is room");
        if hold.is_power_of_two() {
            assert_eq!(holds(&sim), (1..=hold).collect::<Vec<_>>());
        }
    }
    assert_eq!(holds(&sim), (1..=1_000).collect::<Vec<_>>());
    assert!(
        (1_000 * 160..4 * 1_000 * 168 * 2).contains(&sim.bytes().len()),
        "{}",
        sim.bytes().len()
    );
}

#[test]
fn on_a_full_disk_intents_fail_and_nothing_else_does() {
    let sim = Sim::new();
    let (mut ledger, _) = open(&sim);
    ledger.prepare().expect("there is room");
    sim.set_capacity(sim.bytes().len());
    let mut open_holds = Vec::new();
    let error = loop {
        let hold = open_holds.len() as u64 + 1;
        match ledger.append(&[intent(hold)]) {
            Ok(()) => open_holds.push(hold),
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(open_holds.len() > 5, "{open_holds:?}");
    // What is left is filled up with ever shorter ones.
    for length in (0..60).rev() {
        let hold = open_holds.len() as u64 + 1;
        if ledger.append(&[with_stop(hold, "x".repeat(length))]).is_ok() {
            open_holds.push(hold);
        }
    }
    assert_eq!(holds(&sim), open_holds);
    for _ in 0..50 {
        let together = open_holds.iter().take(10).map(|hold| HoldId(*hold)).flat_map(|hold| {
            [
                Record::Started { hold, outcome: StartOutcome::Done },
                Record::Renewed { hold, deadline: BOOT.at },
                Record::StopBegun { hold },
                Record::GivenUp { hold },
            ]
        });
        ledger.append(&together.collect::<Vec<_>>()).expect("the reserve is for this");
        assert!(ledger.append(&[intent(9_999)]).is_err());
    }
    for hold in &open_holds {
        ledger.append(&[ended(*hold)]).expect("the reserve is for this");
    }
    assert_eq!(holds(&sim), [0u64; 0]);
    ledger.append(&[intent(10_000)]).expect("there is room again");
    assert_eq!(holds(&sim), [10_000]);
}

#[test]
fn a_new_ledger_on_a_full_disk_keeps_doors_shut_until_there_is_room() {
    let sim = Sim::new();
    sim.set_capacity(4096);
    let (mut ledger, _) = open(&sim);
    assert!(ledger.prepare().is_err());
    assert!(ledger.append(&[intent(1)]).is_err());
    sim.set_capacity(8192);
    ledger.append(&[intent(2)]).expect("there is room now");
    assert_eq!(holds(&sim), [2]);
}

#[test]
fn whatever_call_fails_the_next_append_succeeds() {
    let program = |fault: Option<Fault>| {
        let sim = Sim::new();
        sim.set_fault(fault);
        let (mut ledger, _) = open(&sim);
        let mut owed = Vec::new();
        for hold in 1..=40 {
            if ledger.append(&[intent(hold)]).is_ok() {
                owed.push(hold);
            } else {
                sim.set_fault(None);
                ledger.append(&[intent(hold)]).expect("nothing fails any more");
                owed.push(hold);
            }
        }
        assert_eq!(holds(&sim), owed);
        sim.calls()
    };
    let calls = program(None);
    assert!(calls > 80, "{calls}");
    for after in 0..calls {
        program(Some(Fault::Errors { after, count: 1 }));
        program(Some(Fault::Errors { after, count: 3 }));
    }
}

#[test]
fn an_append_takes_one_write_and_one_sync() {
    let sim = Sim::new();
    let (mut ledger, _) = Ledger::open(sim.clone(), BOOT).expect("it is new");
    ledger.prepare().expect("there is room");
    let (calls, syncs) = (sim.calls(), sim.syncs());
    for hold in 1..=100 {
        ledger.append(&[intent(hold), ended(hold)]).expect("there is room");
    }
    assert_eq!((sim.calls() - calls, sim.syncs() - syncs), (200, 100));
    ledger.append(&[]).expect("nothing is to be done");
    assert_eq!(sim.calls() - calls, 200);
}

#[test]
fn what_is_too_long_is_refused_and_harms_nothing() {
    let sim = Sim::new();
    let (mut ledger, _) = open(&sim);
    ledger.append(&[intent(1)]).expect("there is room");
    let error = ledger.append(&[with_stop(2, "x".repeat((128 << 10) + 1))]).expect_err("too long");
    assert_eq!(error.kind(), ErrorKind::InvalidInput);
    assert_eq!(error.to_string(), "a stop command of 131073 bytes is longer than 131072");
    let many: Vec<Record> = (3..20_000).map(intent).collect();
    let error = ledger.append(&many).expect_err("too many");
    assert_eq!(error.to_string(), "19997 records at once are too many");
    ledger.append(&[with_stop(4, "x".repeat(128 << 10))]).expect("it grows");
    assert_eq!(holds(&sim), [1, 4]);
}

#[test]
fn numbers_are_never_used_again() {
    let sim = Sim::new();
    let (mut ledger, _) = open(&sim);
    assert_eq!(ledger.next_hold(), HoldId(1));
    for round in 0..300 {
        let hold = ledger.next_hold();
        assert_eq!(hold, HoldId(round + 1));
        ledger.append(&[intent(hold.0)]).expect("there is room");
        ledger.append(&[ended(hold.0)]).expect("there is room");
        if round % 7 == 0 {
            ledger = open(&sim).0;
        }
    }
}

#[test]
fn only_reading_writes_nothing() {
    let sim = Sim::new();
    let (mut ledger, _) = open(&sim);
    ledger.append(&[intent(1)]).expect("there is room");
    let (bytes, calls) = (sim.bytes(), sim.calls());
    assert_eq!(holds(&sim), [1]);
    assert_eq!((sim.bytes(), sim.calls()), (bytes, calls));
}
