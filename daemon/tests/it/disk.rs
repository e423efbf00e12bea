//! The writing thread: order, grouping, failures, stalls and its end.

use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use knock_engine::config::{Sequence, parse_one_time_lines};
use knockd::disk::{Answer, Disk};
use knockd::ledger::{Ledger, Record, Storage};
use knockd::supervisor::{Write, WriteId};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::ledger::sim::Sim;
use crate::ledger::{ended, holds, intent, open, with_stop};

/// Long enough for any machine; no test takes it unless it fails.
const LIMIT: Duration = Duration::from_secs(60);

/// A disk whose syncs wait until the test lets them go on.
struct Gate {
    sim: Sim,
    reached: Sender<()>,
    opened: Receiver<()>,
}

impl Storage for Gate {
    fn read_all(&mut self) -> std::io::Result<Vec<u8>> {
        self.sim.read_all()
    }

    fn grow(&mut self, len: u64) -> std::io::Result<()> {
        self.sim.grow(len)
    }

    fn write_at(&mut self, offset: u64, bytes: &[u8]) -> std::io::Result<()> {
        self.sim.write_at(offset, bytes)
    }

    fn sync(&mut self) -> std::io::Result<()> {
        let _ = self.reached.send(());
        // After the test has gone nobody opens the gate any more, and nobody has to.
        let _ = self.opened.recv();
        self.sim.sync()
    }
}

/// A ledger on a disk that is prepared and stalls at every sync from then on.
fn gated(sim: &Sim) -> (Ledger<Gate>, Receiver<()>, Sender<()>) {
    open(sim).0.prepare().expect("there is room");
    let (reached, reaches) = channel();
    let (opens, opened) = channel();
    let gate = Gate { sim: sim.clone(), reached, opened };
    let boot = crate::ledger::BOOT;
    let (ledger, _) = Ledger::open_sized(gate, boot, 4096).expect("it is a ledger");
    (ledger, reaches, opens)
}

fn start(sim: &Sim) -> Disk {
    Disk::start(open(sim).0).expect("there are threads")
}

/// Waits for so many answers, as the daemon does.
fn answers(disk: &mut Disk, count: usize) -> Vec<Answer> {
    let mut answers = disk.take_answers();
    while answers.len() < count {
        let mut wait = [PollFd::new(disk, PollFlags::IN)];
        let limit = Timespec { tv_sec: 60, tv_nsec: 0 };
        assert_eq!(poll(&mut wait, Some(&limit)), Ok(1), "{answers:?}");
        answers.extend(disk.take_answers());
    }
    answers
}

fn is_readable(disk: &Disk) -> bool {
    let now = Timespec { tv_sec: 0, tv_nsec: 0 };
    let fd = disk.as_fd();
    poll(&mut [PollFd::new(&fd, PollFlags::IN)], Some(&now)) == Ok(1)
}

fn mark() -> Write {
    Write::MarkUsed { path: "/one-time".to_owned(), line: 7, sequence: sequence() }
}

fn sequence() -> Sequence {
    parse_one_time_lines(b"7000,8000").0.remove(0).sequence
}

fn record(record: Record) -> Write {
    Write::Ledger(record)
}

#[test]
fn writes_are_answered_in_order_when_they_are_safe() {
    let sim = Sim::new();
    let mut disk = start(&sim);
    for number in 1..=50 {
        disk.send(WriteId(number), record(intent(number)));
    }
    let expected: Vec<Answer> = (1..=50).map(|number| (WriteId(number), Ok(()))).collect();
    assert_eq!(answers(&mut disk, 50), expected);
    sim.power_cut(1);
    assert_eq!(holds(&sim), (1..=50).collect::<Vec<_>>());
}

#[test]
fn what_waits_for_the_disk_goes_there_together() {
    let sim = Sim::new();
    let (ledger, reached, go_on) = gated(&sim);
    let mut disk = Disk::start(ledger).expect("there are threads");
    reached.recv_timeout(LIMIT).expect("it prepares the ledger");
    let syncs = sim.syncs();
    for number in 1..=100 {
        disk.send(WriteId(number), record(intent(number)));
        disk.send(WriteId(100 + number), record(ended(number)));
    }
    drop(go_on);
    assert_eq!(answers(&mut disk, 200).len(), 200);
    // Two for the preparation, one or two for all the records.
    assert!((3..=4).contains(&(sim.syncs() - syncs)), "{}", sim.syncs() - syncs);
}

#[test]
fn a_stalled_disk_holds_nobody_up() {
    let sim = Sim::new();
    let (ledger, reached, go_on) = gated(&sim);
    let mut disk = Disk::start(ledger).expect("there are threads");
    reached.recv_timeout(LIMIT).expect("it prepares the ledger");
    for number in 1..=5_000 {
        disk.send(WriteId(number), record(ended(number)));
    }
    assert!(is_readable(&disk));
    let refused = disk.take_answers();
    assert_eq!(refused.len(), 5_000 - 4_096);
    let reason = "the disk is too slow: 4096 writes wait for it".to_owned();
    assert_eq!(refused[0], (WriteId(4_097), Err(reason)));
    assert!(!is_readable(&disk), "there is nothing more to take");
    drop(go_on);
    let answered = answers(&mut disk, 4_096);
    assert!(answered.iter().all(|(_, outcome)| outcome.is_ok()));
}

#[test]
fn closing_waits_for_what_was_sent_but_not_for_ever() {
    let sim = Sim::new();
    let (ledger, reached, go_on) = gated(&sim);
    let mut disk = Disk::start(ledger).expect("there are threads");
    reached.recv_timeout(LIMIT).expect("it prepares the ledger");
    disk.send(WriteId(1), record(intent(1)));
    let closed = disk.close(Duration::from_millis(1));
    assert!(!closed.is_finished);
    assert_eq!(closed.answers, []);
    drop(go_on);

    let sim = Sim::new();
    let mut disk = start(&sim);
    for number in 1..=300 {
        disk.send(WriteId(number), record(intent(number)));
    }
    let closed = disk.close(LIMIT);
    assert!(closed.is_finished);
    assert_eq!(closed.answers.len(), 300);
    assert_eq!(holds(&sim).len(), 300);
}

#[test]
fn marks_and_records_keep_their_order() {
    let sim = Sim::new();
    let seen = sim.clone();
    let (marked, marks) = channel();
    let mut disk = Disk::start_with(open(&sim).0, move |path: &Path, line, found: &Sequence| {
        assert_eq!((path, line, found), (Path::new("/one-time"), 7, &sequence()));
        marked.send(holds(&seen)).map_err(|_| "nobody listens".to_owned())?;
        Err("no".to_owned())
    })
    .expect("there are threads");
    disk.send(WriteId(1), record(intent(1)));
    disk.send(WriteId(2), mark());
    disk.send(WriteId(3), record(intent(3)));
    disk.send(WriteId(4), record(intent(4)));
    disk.send(WriteId(5), mark());
    let answers = answers(&mut disk, 5);
    let ids: Vec<u64> = answers.iter().map(|(id, _)| id.0).collect();
    assert_eq!(ids, [1, 2, 3, 4, 5]);
    assert_eq!(answers[1].1, Err("no".to_owned()));
    assert_eq!(answers[3].1, Ok(()));
    let states: Vec<Vec<u64>> = marks.try_iter().collect();
    assert_eq!(states, [vec![1], vec![1, 3, 4]]);
}

#[test]
fn a_record_that_fails_fails_alone() {
    let sim = Sim::new();
    let (ledger, reached, go_on) = gated(&sim);
    let mut disk = Disk::start(ledger).expect("there are threads");
    reached.recv_timeout(LIMIT).expect("it prepares the ledger");
    disk.send(WriteId(1), record(intent(1)));
    disk.send(WriteId(2), record(with_stop(2, "x".repeat(200_000))));
    disk.send(WriteId(3), record(intent(3)));
    drop(go_on);
    let answers = answers(&mut disk, 3);
    assert_eq!(answers[0].1, Ok(()));
    let reason = "a stop command of 200000 bytes is longer than 131072".to_owned();
    assert_eq!(answers[1].1, Err(reason));
    assert_eq!(answers[2].1, Ok(()));
    assert_eq!(holds(&sim), [1, 3]);
}

#[test]
fn on_a_full_disk_what_frees_room_is_written() {
    let sim = Sim::new();
    let (ledger, reached, go_on) = gated(&sim);
    sim.set_capacity(8192);
    let mut disk = Disk::start(ledger).expect("there are threads");
    reached.recv_timeout(LIMIT).expect("it prepares the ledger");
    disk.send(WriteId(1), record(intent(1)));
    for number in 2..=100 {
        disk.send(WriteId(number), record(intent(number)));
    }
    disk.send(WriteId(101), record(ended(1)));
    drop(go_on);
    let answers = answers(&mut disk, 101);
    let failed: Vec<_> = answers.iter().filter_map(|(_, outcome)| outcome.as_ref().err()).collect();
    assert!((50..100).contains(&failed.len()), "{answers:?}");
    assert!(failed.iter().all(|reason| *reason == "no space left on device"), "{failed:?}");
    assert_eq!(answers[0], (WriteId(1), Ok(())));
    assert_eq!(answers[100], (WriteId(101), Ok(())));
    assert_eq!(holds(&sim).len(), 101 - failed.len() - 2);
}
