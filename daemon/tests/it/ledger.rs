//! The ledger, on a disk that forgets, tears, reorders and fails.

mod crash;
mod damage;
mod file;
mod fuzz;
mod model;
mod room;
pub(crate) mod sim;

use std::net::{IpAddr, Ipv4Addr};

use knock_engine::time::Timestamp;
use knockd::ledger::{Boot, BootId, HoldId, Ledger, Record, Recovered};

use self::sim::Sim;

/// The boot that most tests run in.
pub(crate) const BOOT: Boot =
    Boot { id: BootId([7; 16]), at: Timestamp::from_nanos(1_000_000_000_000) };

/// An intent whose stop command is as long as they usually are.
pub(crate) fn intent(hold: u64) -> Record {
    let [.., high, low] = hold.to_be_bytes();
    let source = Ipv4Addr::new(192, 0, high, low);
    let stop = format!("/sbin/iptables -w -D INPUT -s {source} -p tcp --dport 22 -j ACCEPT");
    with_stop(hold, stop)
}

/// An intent with this stop command.
pub(crate) fn with_stop(hold: u64, stop: String) -> Record {
    let [.., high, low] = hold.to_be_bytes();
    let source = IpAddr::from([192, 0, high, low]);
    Record::Intent {
        hold: HoldId(hold),
        door: "openSSH".to_owned(),
        source,
        network: source.into(),
        stop,
        deadline: Timestamp::from_nanos(BOOT.at.as_nanos() + hold),
    }
}

pub(crate) fn ended(hold: u64) -> Record {
    Record::Ended { hold: HoldId(hold) }
}

/// Opens what lies on a simulated disk, with halves of one page where it is new.
pub(crate) fn open(sim: &Sim) -> (Ledger<Sim>, Recovered) {
    Ledger::open_sized(sim.clone(), BOOT, 4096).expect("it is a ledger")
}

/// Returns the numbers of the holds that a disk says are owed.
pub(crate) fn holds(sim: &Sim) -> Vec<u64> {
    open(sim).1.entries.iter().map(|entry| entry.hold.0).collect()
}
