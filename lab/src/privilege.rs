//! Whether this process may make network namespaces, and how an ordinary user comes to it.

use std::process::{Command, Stdio};
use std::sync::OnceLock;

use anyhow::{Context, Result, bail, ensure};

/// Tells a process that it has been started again inside a user namespace.
const INSIDE: &str = "KNOCK_LAB_INSIDE";

/// What this process may do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Privilege {
    /// It may make network namespaces as it is.
    Own,
    /// It may, once it runs in a user namespace.
    InUserNamespace,
    /// It may not, for this reason.
    None(String),
}

/// Tells what this process may do, by trying; the answer is kept.
pub fn privilege() -> &'static Privilege {
    static ANSWER: OnceLock<Privilege> = OnceLock::new();
    ANSWER.get_or_init(|| {
        let own = try_unshare(&["--net", "--mount"]);
        if own.is_ok() {
            return Privilege::Own;
        }
        match try_unshare(USER_NAMESPACE) {
            Ok(()) => Privilege::InUserNamespace,
            Err(error) => Privilege::None(format!(
                "network namespaces can be made here neither as this user nor in a user namespace \
                 ({error:#}); run this as root, or allow user namespaces (sysctl \
                 kernel.unprivileged_userns_clone=1, kernel.apparmor_restrict_unprivileged_userns=0, \
                 user.max_user_namespaces), in a container with --cap-add SYS_ADMIN,NET_ADMIN,NET_RAW"
            )),
        }
    })
}

/// Tells whether this process is root outside of any user namespace that we made.
#[must_use]
pub fn is_real_root() -> bool {
    rustix::process::geteuid().is_root() && std::env::var_os(INSIDE).is_none()
}

/// Runs a test's body where it may make network namespaces, and panics if it fails.
///
/// An ordinary user's test is run by itself again, in a user namespace.
///
/// # Panics
///
/// Where the body fails, and where no namespaces can be made: such a test is never skipped.
pub fn test(body: impl FnOnce() -> Result<()>) {
    let outcome = match privilege() {
        Privilege::Own => body(),
        Privilege::InUserNamespace => this_test_again(),
        Privilege::None(reason) => Err(anyhow::anyhow!("{reason}")),
    };
    if let Err(error) = outcome {
        // The backtrace of the error would be longer than what it says.
        panic!("{error:#}");
    }
}

/// Makes a command that runs this program again where it may make network namespaces.
///
/// `None` means that it may already.
///
/// # Errors
///
/// Where there is no such place.
pub fn again() -> Result<Option<Command>> {
    match privilege() {
        Privilege::Own => Ok(None),
        Privilege::None(reason) => bail!("{reason}"),
        Privilege::InUserNamespace => {
            let program = std::env::current_exe().context("cannot find this program")?;
            let mut command = Command::new("unshare");
            command.args(USER_NAMESPACE).arg("--kill-child").arg("--").arg(program);
            command.env(INSIDE, "1");
            Ok(Some(command))
        }
    }
}

const USER_NAMESPACE: &[&str] = &["--user", "--map-root-user", "--net", "--mount", "--fork"];

fn this_test_again() -> Result<()> {
    let thread = std::thread::current();
    let name = thread.name().context("a test's thread has the test's name")?;
    let mut command = again()?.context("this process may not make namespaces itself")?;
    let output = command
        .args(["--exact", name, "--nocapture", "--include-ignored"])
        .stdin(Stdio::null())
        .output()
        .context("cannot run unshare")?;
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "in a user namespace:\n{text}\n{errors}");
    // A name that is not found would be a success, too.
    ensure!(text.contains("1 passed"), "the test did not run in its user namespace:\n{text}");
    Ok(())
}

fn try_unshare(arguments: &[&str]) -> Result<()> {
    let output = Command::new("unshare")
        .args(arguments)
        .args(["--", "true"])
        .stdin(Stdio::null())
        .output()
        .context("cannot run unshare, of the package util-linux")?;
    let errors = String::from_utf8_lossy(&output.stderr);
    ensure!(output.status.success(), "{}", errors.trim());
    Ok(())
}
