//! What must hold for a ledger of any bytes; the fuzz target and the tests share it.

use std::net::IpAddr;

use knock_engine::time::Timestamp;
use knockd::ledger::{Boot, BootId, Entry, HoldId, Ledger, Record, Recovered, StartOutcome};

const HALF_LEN: usize = 4096;
const BOOT: Boot = Boot { id: BootId([3; 16]), at: Timestamp::from_nanos(5_000_000_000) };

/// Checks the bytes as a ledger, and a ledger that they tell how to make and then to damage.
///
/// # Panics
///
/// Where something does not hold.
pub(crate) fn check(input: &[u8]) {
    check_bytes(input.to_vec());
    let end = input.iter().position(|&byte| byte == 0xff).unwrap_or(input.len());
    let (script, damage) = input.split_at(end);
    let (mut bytes, entries) = make(script);
    let recovered = check_bytes(bytes.clone()).expect("it is a ledger");
    assert_eq!(recovered, Recovered { entries, damage: Vec::new() });
    for change in damage.chunks_exact(4) {
        let at = usize::from(u16::from_be_bytes([change[1], change[2]]));
        if let Some(byte) = bytes.get_mut(at) {
            *byte ^= change[3];
        }
    }
    check_bytes(bytes);
}

/// Checks that bytes can be opened without a panic, and if they are a ledger that it can be
/// appended to, and is whole then.
fn check_bytes(bytes: Vec<u8>) -> Option<Recovered> {
    let length = bytes.len() as u64;
    let (mut ledger, recovered) = open(bytes.clone()).ok()?;
    let (_, again) = open(bytes).expect("it was opened before");
    assert_eq!(recovered, again);
    assert!(recovered.entries.is_sorted_by(|one, next| one.hold < next.hold));
    assert!(recovered.damage.iter().all(|damage| damage.offset <= length));
    assert!(recovered.entries.iter().all(|entry| entry.hold < ledger.next_hold()));
    let hold = ledger.next_hold();
    if hold.0 == u64::MAX {
        return Some(recovered);
    }
    ledger.append(&[intent(hold, 9)]).expect("memory never fails");
    assert!(ledger.next_hold() > hold);
    let expected: Vec<Entry> = ledger.entries().cloned().collect();
    let before = recovered.entries.iter().filter(|entry| entry.hold != hold);
    assert!(before.eq(expected.iter().filter(|entry| entry.hold != hold)));
    let (_, whole) = open(ledger.into_storage()).expect("it is a ledger");
    assert_eq!(whole, Recovered { entries: expected, damage: Vec::new() });
    Some(recovered)
}

fn open(bytes: Vec<u8>) -> Result<(Ledger<Vec<u8>>, Recovered), knockd::ledger::LedgerError> {
    Ledger::open_sized(bytes, BOOT, HALF_LEN)
}

/// Makes a ledger as a script says, and returns what it must say is owed.
fn make(script: &[u8]) -> (Vec<u8>, Vec<Entry>) {
    let (mut ledger, _) = open(Vec::new()).expect("it is new");
    ledger.prepare().expect("memory never fails");
    for step in script.chunks(2).take(200) {
        let length = step.get(1).copied().map_or(0, usize::from);
        let hold = ledger.entries().nth(length % 7).map_or(HoldId(1), |entry| entry.hold);
        let deadline = Timestamp::from_nanos(BOOT.at.as_nanos() + length as u64);
        let records = match step[0] % 10 {
            0 | 1 => vec![intent(ledger.next_hold(), length * 4)],
            2 => vec![intent(ledger.next_hold(), length), Record::Ended { hold }],
            3 => vec![Record::Started { hold, outcome: StartOutcome::Done }],
            4 => vec![Record::Started { hold, outcome: StartOutcome::Failed }],
            5 => vec![Record::Renewed { hold, deadline }],
            6 => vec![Record::StopBegun { hold }, Record::GivenUp { hold }],
            7 | 8 => vec![Record::Ended { hold }],
            _ => {
                ledger = open(ledger.into_storage()).expect("it is a ledger").0;
                Vec::new()
            }
        };
        ledger.append(&records).expect("memory never fails");
    }
    let entries = ledger.entries().cloned().collect();
    (ledger.into_storage(), entries)
}

fn intent(hold: HoldId, length: usize) -> Record {
    let source = IpAddr::from(u128::from(hold.0).to_be_bytes());
    let deadline = BOOT.at;
    let (door, stop) = ("door".to_owned(), "x".repeat(length));
    Record::Intent { hold, door, source, network: source.into(), stop, deadline }
}
