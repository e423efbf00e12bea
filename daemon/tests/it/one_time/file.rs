//! Marks in real files.

use std::fs::{self, File, Permissions};
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
use std::path::Path;
use std::thread;

use knock_frontend::one_time::{MarkCause, mark_used};
use rustix::fs::{FlockOperation, flock};

use super::sequence;
use crate::again;

const TEXT: &str = "1000\n2000\r\n3000";

fn mark(path: &Path, line: usize, text: &str) -> Result<(), MarkCause> {
    mark_used(path, line, &sequence(text)).map_err(|error| error.cause)
}

fn names(folder: &Path) -> Vec<String> {
    let names = fs::read_dir(folder).expect("it is there");
    let names = names.map(|entry| entry.expect("a name").file_name().into_string());
    let mut names: Vec<String> = names.map(|name| name.expect("text")).collect();
    names.sort_unstable();
    names
}

#[test]
fn a_mark_keeps_owner_and_mode_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    fs::write(&path, TEXT).expect("it is ours");
    fs::set_permissions(&path, Permissions::from_mode(0o2640)).expect("it is ours");
    let is_root = rustix::process::geteuid().is_root();
    if is_root {
        std::os::unix::fs::chown(&path, Some(65_534), Some(65_533)).expect("root may");
        fs::set_permissions(&path, Permissions::from_mode(0o2640)).expect("root may");
    }
    let before = fs::metadata(&path).expect("it is there");
    fs::write(folder.path().join(".sequences.knockd-new"), "left by a crash").expect("it is ours");
    mark(&path, 2, "2000").expect("it is unused");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "1000\n#2000\r\n3000");
    let after = fs::metadata(&path).expect("it is there");
    assert_eq!(
        (after.uid(), after.gid(), after.mode()),
        (before.uid(), before.gid(), before.mode())
    );
    if is_root {
        assert_eq!((after.uid(), after.gid()), (65_534, 65_533));
    }
    assert_eq!(names(folder.path()), ["sequences"]);
    mark(&path, 3, "3000").expect("it is unused");
    assert!(matches!(mark(&path, 2, "2000"), Err(MarkCause::AlreadyUsed)));
    assert!(matches!(mark(&path, 1, "2000"), Err(MarkCause::Changed)));
    assert_eq!(fs::read_to_string(&path).expect("it is there"), "1000\n#2000\r\n#3000");
}

#[test]
fn links_are_followed_and_stay() {
    let folder = tempfile::tempdir().expect("a folder");
    fs::create_dir(folder.path().join("real")).expect("it is ours");
    let (real, link) = (folder.path().join("real/sequences"), folder.path().join("link"));
    fs::write(&real, TEXT).expect("it is ours");
    symlink("real/sequences", &link).expect("it is ours");
    mark(&link, 1, "1000").expect("it is unused");
    assert!(fs::symlink_metadata(&link).expect("it is there").is_symlink());
    assert_eq!(fs::read_to_string(&real).expect("it is there"), format!("#{TEXT}"));
    assert!(matches!(mark(&real, 1, "1000"), Err(MarkCause::AlreadyUsed)));
}

#[test]
fn what_cannot_be_marked_says_why() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    let error = mark_used(&path, 4, &sequence("1000")).expect_err("it is missing");
    let expected =
        format!("{}:4: the file can't be read: no such file or directory", path.display());
    assert_eq!(error.to_string(), expected);
    assert!(matches!(mark(folder.path(), 1, "1000"), Err(MarkCause::NotAFile)));
    fs::write(&path, TEXT).expect("it is ours");
    fs::hard_link(&path, folder.path().join("other")).expect("it is ours");
    assert!(matches!(mark(&path, 1, "1000"), Err(MarkCause::HardLinks(2))));
    fs::remove_file(folder.path().join("other")).expect("it is ours");
    let lock = File::open(&path).expect("it is there");
    flock(&lock, FlockOperation::NonBlockingLockShared).expect("nobody else has it");
    assert!(matches!(mark(&path, 1, "1000"), Err(MarkCause::Busy)));
    drop(lock);
    assert_eq!(fs::read_to_string(&path).expect("it is there"), TEXT);
    mark(&path, 1, "1000").expect("it is unused");
}

#[test]
fn of_many_that_mark_a_line_at_once_one_may_open() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("sequences");
    for _ in 0..20 {
        fs::write(&path, TEXT).expect("it is ours");
        let opened: usize = thread::scope(|scope| {
            let marking = (0..6).map(|number| {
                let (line, text) = [(1, "1000"), (2, "2000"), (3, "3000")][number % 3];
                let path = &path;
                scope.spawn(move || {
                    loop {
                        match mark(path, line, text) {
                            Ok(()) => return 1,
                            Err(MarkCause::Busy) => thread::yield_now(),
                            Err(MarkCause::AlreadyUsed) => return 0,
                            Err(cause) => panic!("{cause:?}"),
                        }
                    }
                })
            });
            let marking: Vec<_> = marking.collect();
            marking.into_iter().map(|marking| marking.join().expect("it ends")).sum()
        });
        assert_eq!(opened, 3);
        assert_eq!(fs::read_to_string(&path).expect("it is there"), "#1000\n#2000\r\n#3000");
    }
}

#[test]
fn a_disk_that_is_full_or_read_only_keeps_the_door_shut() {
    let test = "one_time::file::a_disk_that_is_full_or_read_only_keeps_the_door_shut";
    let Some(folder) = again::on_small_disk(test) else { return };
    let path = folder.join("sequences");
    fs::write(&path, TEXT).expect("there is room");
    let filler = again::fill(&folder);
    let error = mark_used(&path, 1, &sequence("1000")).expect_err("there is no room");
    assert!(matches!(error.cause, MarkCause::Write(_)), "{error:?}");
    assert!(error.to_string().ends_with("in its folder: no space left on device"), "{error}");
    assert_eq!(fs::read_to_string(&path).expect("it is there"), TEXT);
    assert_eq!(names(&folder), ["filler", "sequences"]);
    fs::remove_file(filler).expect("it is ours");
    mark(&path, 1, "1000").expect("there is room again");
    again::remount_read_only(&folder);
    let error = mark_used(&path, 2, &sequence("2000")).expect_err("it can't be written");
    assert!(error.to_string().ends_with("in its folder: read-only file system"), "{error}");
}
