//! Tests that run themselves again: in another process, or on a small disk of their own.

use std::env;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

/// Tells the other process that it is one, and where its files are.
pub(crate) const FOLDER: &str = "KNOCKD_TEST_FOLDER";

/// Returns the command that runs this test again.
pub(crate) fn command(test: &str, folder: &Path) -> Command {
    let mut command = Command::new(env::current_exe().expect("this very program"));
    command.args(["--exact", test, "--nocapture"]).env(FOLDER, folder);
    command
}

/// Runs this test again on a disk of 300 kilobytes, in a mount namespace of its own. Returns the
/// folder to the other process, and `None` to this one once that has ended well.
///
/// # Panics
///
/// The other process failed, or no namespace can be made.
pub(crate) fn on_small_disk(test: &str) -> Option<PathBuf> {
    if let Some(folder) = env::var_os(FOLDER) {
        return Some(folder.into());
    }
    let folder = tempfile::tempdir().expect("a folder");
    let script = r#"mount -t tmpfs -o size=300k,mode=700 knockd-test "$1" && shift && exec "$@""#;
    let mut command = Command::new("unshare");
    command.args(["--user", "--map-root-user", "--mount", "sh", "-c", script, "sh"]);
    command.arg(folder.path()).arg(env::current_exe().expect("this very program"));
    command.args(["--exact", test, "--nocapture"]).env(FOLDER, folder.path());
    let output = command.output().expect("unshare, of util-linux, is there");
    let printed = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success() && printed.contains("1 passed"),
        "the test failed on a disk of its own, or no user and mount namespace can be made:\n\
         {printed}{}",
        String::from_utf8_lossy(&output.stderr)
    );
    None
}

/// Fills a disk to the last byte, and returns the file that does.
pub(crate) fn fill(folder: &Path) -> PathBuf {
    let path = folder.join("filler");
    let mut file = File::create(&path).expect("there is room for a name");
    while file.write_all(&[1; 4096]).is_ok() {}
    assert!(fs::write(folder.join("more"), [1; 4096]).is_err(), "the disk is full");
    fs::remove_file(folder.join("more")).expect("it is ours");
    path
}

/// Makes a disk of our own read-only.
pub(crate) fn remount_read_only(folder: &Path) {
    let mount = Command::new("mount").args(["-o", "remount,ro"]).arg(folder).status();
    assert!(mount.expect("mount, of util-linux, is there").success());
}
