//! Ledgers in which bytes have changed, are missing, or were never a ledger's.

use knockd::ledger::{DamageCause, Ledger, LedgerError};

use super::sim::Sim;
use super::{BOOT, ended, holds, intent, open};

/// A ledger with these holds, each appended alone, and the place where each frame begins.
fn ledger(count: u64) -> (Vec<u8>, Vec<usize>) {
    let sim = Sim::new();
    let (mut ledger, _) = open(&sim);
    for hold in 1..=count {
        ledger.append(&[intent(hold)]).expect("there is room");
    }
    let bytes = sim.bytes();
    let magic = bytes[64..68].to_vec();
    let frames = (64..4096).step_by(8).filter(|at| bytes[*at..].starts_with(&magic)).collect();
    (bytes, frames)
}

#[test]
fn a_record_that_is_damaged_is_reported_and_costs_no_other() {
    let (bytes, frames) = ledger(5);
    assert_eq!(frames.len(), 5);
    for (frame, hold) in frames.windows(2).zip(1u64..) {
        let end = frames[usize::try_from(hold).expect("a few")];
        // What fills a frame up to a multiple of 8 bytes means nothing.
        for at in (frame[0]..end - 8).step_by(3) {
            for bit in [0, 7] {
                let mut bytes = bytes.clone();
                bytes[at] ^= 1 << bit;
                let sim = Sim::with(bytes);
                let (_, recovered) = open(&sim);
                let [damage] = recovered.damage[..] else { panic!("byte {at}: {recovered:?}") };
                assert_eq!(damage.cause, DamageCause::Records);
                assert_eq!(
                    (damage.offset, damage.bytes),
                    (frame[0] as u64, (end - frame[0]) as u64)
                );
                let expected: Vec<u64> = (1..=5).filter(|it| *it != hold).collect();
                assert_eq!(holds(&sim), expected, "byte {at}");
            }
        }
    }
}

#[test]
fn damage_says_where_it_is() {
    let (mut bytes, frames) = ledger(3);
    bytes[frames[1] + 30] ^= 1;
    let [damage] = open(&Sim::with(bytes)).1.damage[..] else { panic!("there is damage") };
    let length = frames[2] - frames[1];
    let expected = format!("{length} bytes from byte {} on: unreadable records", frames[1]);
    assert_eq!(damage.to_string(), expected);
}

#[test]
fn a_torn_tail_is_cut() {
    let (bytes, frames) = ledger(3);
    for cut in frames[2] + 1..frames[2] + 150 {
        let mut bytes = bytes.clone();
        bytes[cut..].fill(0);
        let sim = Sim::with(bytes);
        assert_eq!(holds(&sim), [1, 2], "cut at {cut}");
        assert_eq!(open(&sim).1.damage, []);
    }
}

#[test]
fn a_damaged_ledger_is_whole_again_after_the_next_append() {
    let (mut bytes, frames) = ledger(3);
    bytes[frames[0] + 30] ^= 1;
    let sim = Sim::with(bytes);
    let (mut ledger, _) = open(&sim);
    ledger.append(&[intent(4)]).expect("there is room");
    assert_eq!(holds(&sim), [2, 3, 4]);
    assert_eq!(open(&sim).1.damage, []);
}

#[test]
fn a_damaged_snapshot_is_made_good_from_the_other_half() {
    let sim = Sim::with(ledger(3).0);
    let (mut ledger, _) = open(&sim);
    ledger.append(&[intent(4)]).expect("there is room");
    ledger.append(&[ended(2)]).expect("there is room");
    let bytes = sim.bytes();
    for at in (4096..4096 + 500).step_by(7) {
        let mut bytes = bytes.clone();
        bytes[at] ^= 0x10;
        let sim = Sim::with(bytes);
        assert_eq!(holds(&sim), [1, 3, 4], "byte {at}");
        // Both halves are needed now, so neither may be written over.
        let (mut ledger, recovered) = open(&sim);
        assert_eq!(recovered.damage.len(), 1, "byte {at}");
        ledger.prepare().expect("there is room");
        assert_eq!(sim.bytes().len(), 4 * 4096, "the new half lies behind them");
        assert_eq!(holds(&sim), [1, 3, 4]);
    }
}

#[test]
fn without_a_whole_half_all_that_can_be_read_is_owed() {
    let (mut bytes, _) = ledger(3);
    bytes[3] ^= 1;
    let sim = Sim::with(bytes.clone());
    let (mut ledger, recovered) = open(&sim);
    let causes: Vec<DamageCause> = recovered.damage.iter().map(|damage| damage.cause).collect();
    assert_eq!(causes, [DamageCause::Header, DamageCause::NoWholeHalf]);
    assert_eq!(holds(&sim), [1, 2, 3]);
    ledger.append(&[ended(1)]).expect("there is room");
    assert_eq!(sim.bytes()[..4096], bytes[..4096], "what is damaged is not written over");
    assert_eq!(holds(&sim), [2, 3]);
    assert_eq!(open(&sim).1.damage, []);
}

#[test]
fn a_file_that_is_cut_short_is_reported() {
    let (bytes, frames) = ledger(3);
    let sim = Sim::with(bytes[..frames[2] + 10].to_vec());
    let (mut ledger, recovered) = open(&sim);
    let [damage] = recovered.damage[..] else { panic!("{recovered:?}") };
    assert_eq!(damage.cause, DamageCause::CutShort);
    assert_eq!(holds(&sim), [1, 2]);
    ledger.append(&[intent(4)]).expect("there is room");
    assert_eq!(holds(&sim), [1, 2, 4]);
}

#[test]
fn a_file_that_is_no_ledger_is_refused_and_stays() {
    let texts: [&[u8]; 5] = [b"\n", b"knock!", b"[options]\n", &[0xff; 9000], b"\0\0\0x"];
    for text in texts {
        let sim = Sim::with(text.to_vec());
        let error = Ledger::open(sim.clone(), BOOT).expect_err("it is no ledger");
        assert!(matches!(error, LedgerError::NotALedger), "{error:?}");
        assert_eq!(sim.bytes(), text);
        assert_eq!(sim.calls(), 0);
    }
    let error = LedgerError::NotALedger.to_string();
    assert_eq!(
        error,
        "this is no ledger of knockd; move it away, or set StateDir to another folder"
    );
}

#[test]
fn a_ledger_of_a_newer_version_is_refused_and_stays() {
    let (mut bytes, _) = ledger(2);
    bytes[8] = 9;
    bytes[12..16].fill(0);
    let sum = crc32fast::hash(&bytes[..64]);
    bytes[12..16].copy_from_slice(&sum.to_le_bytes());
    let sim = Sim::with(bytes.clone());
    let error = Ledger::open(sim.clone(), BOOT).expect_err("it is too new");
    assert!(matches!(error, LedgerError::Newer { version: 9 }), "{error:?}");
    assert!(error.to_string().contains("format 9"), "{error}");
    assert_eq!(sim.bytes(), bytes);
}
