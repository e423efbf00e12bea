//! Ledgers as files: folders, modes, locks, and disks that are full or can't be written.

use std::fs::{self, Permissions};
use std::io::{BufRead as _, BufReader, ErrorKind, Read as _, Write as _};
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::{Command, Stdio};
use std::{env, io};

use knockd::ledger::{
    HoldId, Ledger, LedgerError, LedgerFile, LedgerFileCause, LedgerFileError, Recovered, Storage,
};

use super::{BOOT, ended, intent};
use crate::again;

const NAME: &str = "knockd.conf-0123456789abcdef.ledger";

fn open(folder: &Path) -> Result<(Ledger<LedgerFile>, Recovered), LedgerFileError> {
    Ledger::open_file(folder, NAME, BOOT)
}

fn holds(recovered: &Recovered) -> Vec<HoldId> {
    recovered.entries.iter().map(|entry| entry.hold).collect()
}

fn mode(path: &Path) -> u32 {
    fs::metadata(path).expect("it is there").permissions().mode() & 0o7777
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, Permissions::from_mode(mode)).expect("it is ours");
}

#[test]
fn what_a_file_is_told_is_there_when_it_is_opened_again() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path().join("lib").join("knockd");
    let (mut ledger, recovered) = open(&folder).expect("it can be made");
    assert_eq!(recovered, Recovered::default());
    ledger.append(&[intent(1), intent(2)]).expect("there is room");
    ledger.append(&[ended(1)]).expect("there is room");
    assert_eq!((mode(&folder), mode(&folder.join(NAME))), (0o700, 0o600));
    drop(ledger);
    let (_, recovered) = open(&folder).expect("it is a ledger");
    assert_eq!(holds(&recovered), [HoldId(2)]);
}

#[test]
fn two_daemons_have_a_ledger_each() {
    let folder = tempfile::tempdir().expect("a folder");
    let _first = open(folder.path()).expect("it can be made");
    let error = open(folder.path()).expect_err("it is locked");
    assert!(matches!(error.cause, LedgerFileCause::InUse { .. }), "{error:?}");
    Ledger::open_file(folder.path(), "other.ledger", BOOT).expect("another name is free");
}

#[test]
fn a_lock_that_is_about_to_be_let_go_is_waited_for() {
    let folder = tempfile::tempdir().expect("a folder can be made");
    let first = open(folder.path()).expect("nobody else has it");
    std::thread::scope(|scope| {
        let second = scope.spawn(|| open(folder.path()).map(drop));
        // Long enough for the second to find it locked. Were it not, the test would say nothing,
        // but fail neither.
        std::thread::sleep(std::time::Duration::from_millis(100));
        assert!(!second.is_finished(), "it waits");
        drop(first);
        let got = second.join().expect("it does not panic");
        got.expect("the lock was let go in time");
    });
}

#[test]
fn a_lock_names_its_process_and_ends_with_it() {
    let test = "ledger::file::a_lock_names_its_process_and_ends_with_it";
    if let Some(folder) = env::var_os(again::FOLDER) {
        let _ledger = open(Path::new(&folder)).expect("nobody else has it");
        writeln!(io::stdout(), "\nheld").expect("the other process reads it");
        // Until the other process is done.
        io::stdin().read_to_end(&mut Vec::new()).expect("a pipe");
        return;
    }
    let folder = tempfile::tempdir().expect("a folder");
    let mut holder = again::command(test, folder.path());
    let holder = holder.stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut holder = holder.spawn().expect("this very program runs");
    let said = BufReader::new(holder.stdout.take().expect("a pipe"));
    assert!(said.lines().any(|line| line.expect("text") == "held"));
    let error = open(folder.path()).expect_err("it is locked");
    let expected = format!(
        "{}/{NAME}: the ledger is in use by process {}; two daemons need different Interface \
         keys, or each a StateDir of its own",
        folder.path().display(),
        holder.id()
    );
    assert_eq!(error.to_string(), expected);
    holder.kill().expect("it is ours");
    holder.wait().expect("it is ours");
    open(folder.path()).expect("the lock is gone");
}

#[test]
fn what_others_could_have_written_is_not_run() {
    let temporary = tempfile::tempdir().expect("a folder");
    let folder = temporary.path().join("state");
    drop(open(&folder).expect("it can be made"));
    let cause = || open(&folder).expect_err("it is open to others").cause;
    for open_to_others in [0o620, 0o602, 0o666] {
        set_mode(&folder.join(NAME), open_to_others);
        assert!(matches!(cause(), LedgerFileCause::Exposed), "{open_to_others:o}");
    }
    set_mode(&folder.join(NAME), 0o644);
    drop(open(&folder).expect("others may read it"));
    set_mode(&folder, 0o777);
    let error = open(&folder).expect_err("it is open to others");
    assert!(matches!(error.cause, LedgerFileCause::Exposed));
    assert_eq!(error.path, folder);
    set_mode(&folder, 0o1777);
    drop(open(&folder).expect("others can't replace what is ours"));
    set_mode(&folder, 0o700);
    let file = folder.join(NAME);
    fs::rename(&file, folder.join("elsewhere")).expect("it is ours");
    symlink(folder.join("elsewhere"), &file).expect("it is ours");
    let error = open(&folder).expect_err("links are not followed");
    assert!(matches!(&error.cause, LedgerFileCause::Open(_)), "{error:?}");
}

#[test]
fn somebody_elses_file_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    drop(open(folder.path()).expect("it can be made"));
    let own = rustix::process::geteuid().as_raw();
    if own == 0 {
        std::os::unix::fs::chown(folder.path().join(NAME), Some(65_534), None).expect("root may");
        let error = open(folder.path()).expect_err("it is somebody else's");
        let LedgerFileCause::Foreign { owner, user } = error.cause else { panic!("{error:?}") };
        assert_eq!((owner, user), (65_534, 0));
    } else {
        let error = LedgerFileCause::Foreign { owner: 0, user: own }.to_string();
        assert!(error.starts_with(&format!("it belongs to user 0, not to {own}, but")), "{error}");
    }
}

#[test]
fn what_is_no_ledger_is_refused_and_stays() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(NAME);
    fs::write(&path, "[openSSH]\n").expect("it is ours");
    let error = open(folder.path()).expect_err("it is no ledger");
    assert!(matches!(error.cause, LedgerFileCause::Ledger(LedgerError::NotALedger)), "{error:?}");
    let expected = format!(
        "{}: this is no ledger of knockd; move it away, or set StateDir to another folder",
        path.display()
    );
    assert_eq!(error.to_string(), expected);
    assert_eq!(fs::read(&path).expect("it stays"), b"[openSSH]\n");
    fs::remove_file(&path).expect("it is ours");
    fs::create_dir(&path).expect("it is ours");
    let error = open(folder.path()).expect_err("it is a folder");
    assert!(matches!(error.cause, LedgerFileCause::Open(_)), "{error:?}");
    fs::remove_dir(&path).expect("it is ours");
    let made = Command::new("mkfifo").arg(&path).status().expect("coreutils are there");
    assert!(made.success());
    let error = open(folder.path()).expect_err("it is a pipe");
    assert!(matches!(error.cause, LedgerFileCause::NotAFile), "{error:?}");
}

#[test]
fn a_disk_that_is_full_or_read_only_keeps_no_open_door_open() {
    let test = "ledger::file::a_disk_that_is_full_or_read_only_keeps_no_open_door_open";
    let Some(folder) = again::on_small_disk(test) else { return };
    let open = || {
        let file = LedgerFile::open(&folder, NAME).expect("it can be opened");
        Ledger::open_sized(file, BOOT, 1 << 16).expect("it is a ledger")
    };
    let (mut ledger, _) = open();
    ledger.append(&[intent(1)]).expect("there is room");
    let filler = again::fill(&folder);
    // What was taken at first is enough for doors that open and close for ever.
    for hold in 2..=3_000 {
        ledger.append(&[intent(hold)]).expect("the room was taken");
        ledger.append(&[ended(hold)]).expect("the room was taken");
    }
    // With too many open ones there is no room for more, and all of them still close.
    let mut last = 3_000;
    let error = loop {
        match ledger.append(&[intent(last + 1)]) {
            Ok(()) => last += 1,
            Err(error) => break error,
        }
    };
    assert_eq!(error.kind(), ErrorKind::StorageFull);
    assert!(last > 3_300, "{last}");
    drop(ledger);
    let (mut ledger, recovered) = open();
    assert_eq!(recovered.damage, []);
    assert_eq!(recovered.entries.len(), usize::try_from(last - 2_999).expect("some"));
    for hold in 3_001..=last {
        ledger.append(&[ended(hold)]).expect("this needs no room");
    }
    // A new one has no room at all, and takes none of what is left.
    let file = LedgerFile::open(&folder, "new.ledger").expect("it can be opened");
    let (mut new, _) = Ledger::open_sized(file, BOOT, 1 << 16).expect("it is empty");
    assert_eq!(new.prepare().expect_err("it is full").kind(), ErrorKind::StorageFull);
    assert_eq!(fs::metadata(folder.join("new.ledger")).expect("it is there").len(), 0);
    fs::remove_file(filler).expect("it is ours");
    new.append(&[intent(1)]).expect("there is room again");
    drop((new, ledger));

    again::remount_read_only(&folder);
    let (mut ledger, recovered) = open();
    assert_eq!(holds(&recovered), [HoldId(1)]);
    let error = ledger.append(&[ended(1)]).expect_err("nothing can be written");
    assert_eq!(error.kind(), ErrorKind::ReadOnlyFilesystem);
}

#[test]
fn room_that_was_taken_holds_zeros() {
    let folder = tempfile::tempdir().expect("a folder");
    let mut file = LedgerFile::open(folder.path(), NAME).expect("it can be made");
    file.grow(100_000).expect("there is room");
    file.write_at(50_000, b"x").expect("there is room");
    file.grow(50_000).expect("nothing is to be done");
    file.grow(200_000).expect("there is room");
    file.sync().expect("it is a disk");
    let bytes = file.read_all().expect("it is there");
    assert_eq!(bytes.len(), 200_000);
    assert!(bytes.iter().enumerate().all(|(at, byte)| (*byte != 0) == (at == 50_000)));
}
