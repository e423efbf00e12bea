//! Pid files.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::sync::atomic::{AtomicUsize, Ordering};

use knockd::process::pidfile::PidFile;
use tempfile::tempdir;

#[test]
fn it_holds_the_number_for_all_to_read_and_goes_with_its_owner() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("pid");
    let held = PidFile::create(&path).unwrap();
    assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
    drop(held);
    assert!(!path.exists());
}

#[test]
fn a_second_daemon_is_told_who_holds_it() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("pid");
    let held = PidFile::create(&path).unwrap();
    let error = PidFile::create(&path).unwrap_err().to_string();
    let expected = format!(
        "{}: held by process {}; stop that daemon first, or give this one another file with -p",
        path.display(),
        std::process::id()
    );
    assert_eq!(error, expected);
    drop(held);
    drop(PidFile::create(&path).unwrap());
}

#[test]
fn what_a_killed_daemon_left_is_taken_over() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("pid");
    for left in ["1234567\n", "", "1\n"] {
        fs::write(&path, left).unwrap();
        fs::set_permissions(&path, PermissionsExt::from_mode(0o600)).unwrap();
        let _held = PidFile::create(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o7777, 0o644);
        assert_eq!(fs::read_to_string(&path).unwrap(), format!("{}\n", std::process::id()));
    }
}

#[test]
fn what_is_no_pid_file_is_left_alone() {
    let folder = tempdir().unwrap();
    let at = |name| folder.path().join(name);
    fs::write(at("text"), "root:x:0:0\n").unwrap();
    fs::write(at("number"), "17\n").unwrap();
    symlink(at("number"), at("link")).unwrap();
    symlink(at("nothing"), at("dangling")).unwrap();
    fs::write(at("twin"), "17\n").unwrap();
    fs::hard_link(at("twin"), at("other twin")).unwrap();
    fs::create_dir(at("folder")).unwrap();
    rustix::fs::mknodat(
        rustix::fs::CWD,
        at("fifo"),
        rustix::fs::FileType::Fifo,
        rustix::fs::Mode::from(0o644),
        0,
    )
    .unwrap();
    for (name, what) in [
        ("text", "not a number"),
        ("link", "a symbolic link"),
        ("dangling", "a symbolic link"),
        ("twin", "a file with several names"),
        ("folder", "a folder"),
        ("fifo", "not a regular file"),
    ] {
        let error = PidFile::create(&at(name)).unwrap_err().to_string();
        let expected = format!(
            "{}: {what}, not a pid file; remove it, or give another file with -p",
            at(name).display()
        );
        assert_eq!(error, expected);
        assert!(at(name).symlink_metadata().is_ok());
    }
    assert_eq!(fs::read_to_string(at("text")).unwrap(), "root:x:0:0\n");
    assert_eq!(fs::read_to_string(at("number")).unwrap(), "17\n");
    assert!(!at("nothing").exists());
}

#[test]
fn a_missing_folder_is_named() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("missing/pid");
    let expected = format!(
        "{}: can't open the pid file: No such file or directory (os error 2); its folder must \
         exist and be writable, or give another file with -p",
        path.display()
    );
    assert_eq!(PidFile::create(&path).unwrap_err().to_string(), expected);
}

#[test]
fn what_somebody_else_has_put_there_is_not_removed() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("pid");
    let held = PidFile::create(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let other = PidFile::create(&path).unwrap();
    drop(held);
    assert!(path.exists());
    drop(other);
    assert!(!path.exists());
}

#[test]
fn never_two_hold_it_however_they_come_and_go() {
    let folder = tempdir().unwrap();
    let path = folder.path().join("pid");
    let (holders, successes) = (AtomicUsize::new(0), AtomicUsize::new(0));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                for _ in 0..2000 {
                    if let Ok(held) = PidFile::create(&path) {
                        assert_eq!(holders.fetch_add(1, Ordering::SeqCst), 0);
                        successes.fetch_add(1, Ordering::SeqCst);
                        // It would be no use to hold one that has lost its name.
                        assert!(path.exists());
                        holders.fetch_sub(1, Ordering::SeqCst);
                        drop(held);
                    }
                }
            });
        }
    });
    assert!(successes.into_inner() > 0);
    assert!(!path.exists());
}
