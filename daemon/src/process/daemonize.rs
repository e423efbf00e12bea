//! Going to the background (`-d`), without losing what is said on the way.
//!
//! The program runs itself again as a child in a session of its own, and stays until that child is
//! ready. So start-up errors appear on the terminal, and the exit status tells whether there is a
//! daemon now. Nothing is forked by hand: the child is an ordinary new process.

use std::env;
use std::ffi::OsString;
use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Command, ExitStatus, Stdio};

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

/// Tells a child that it is one: the process id of its parent, so that nobody else takes it for
/// himself who has inherited the variable.
const VARIABLE: &str = "KNOCKD_DETACHED_BY";

/// What the child writes when it is ready. No text contains it.
const READY: u8 = 0x06;

/// Which of the two processes this one is.
#[derive(Debug)]
#[must_use]
pub enum Detached {
    /// The one that was started. There is nothing left to do but to exit with this status: 0 where
    /// the daemon is ready, else the daemon's own.
    Parent(u8),
    /// The daemon to be. Standard error is still that of the parent.
    Daemon(Startup),
}

/// The time until the daemon is ready. Whoever drops it without that must exit soon, with another
/// status than 0: the parent waits.
#[derive(Debug)]
#[must_use]
pub struct Startup(());

/// Continues in a child process, in the background.
///
/// To be called once, before any thread, file or socket: the child begins `main` anew, with the
/// same arguments, and gets back from here with [`Detached::Daemon`].
///
/// # Errors
///
/// Fails where no child can be started, or where it can't leave the session.
pub fn detach() -> io::Result<Detached> {
    let parent = rustix::process::getppid().map(|pid| pid.as_raw_nonzero().to_string());
    if parent.is_some() && env::var(VARIABLE).ok() == parent {
        rustix::process::setsid()?;
        // Who runs /proc/self/exe is called "exe"; killall and pidof look for the name.
        let _ = rustix::thread::set_name(c"knockd");
        return Ok(Detached::Daemon(Startup(())));
    }
    launch().map(Detached::Parent)
}

impl Startup {
    /// Tells the parent that the daemon is ready, and lets go of the terminal and of the working
    /// directory: from here on relative paths are relative to `/`, and nothing that is written to
    /// the standard streams is seen.
    ///
    /// A parent that is gone already is no error.
    ///
    /// # Errors
    ///
    /// Fails where `/dev/null` can't be opened; the parent has not been told then.
    pub fn ready(self) -> io::Result<()> {
        let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty())?;
        rustix::process::chdir("/")?;
        rustix::stdio::dup2_stdin(&null)?;
        rustix::stdio::dup2_stderr(&null)?;
        let told = rustix::io::retry_on_intr(|| rustix::io::write(io::stdout().as_fd(), &[READY]));
        rustix::stdio::dup2_stdout(&null)?;
        match told {
            Ok(_) | Err(Errno::PIPE) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

/// Starts the child, waits until it is ready or has ended, and returns the status to exit with.
fn launch() -> io::Result<u8> {
    let mut arguments = env::args_os();
    let name = arguments.next().unwrap_or_else(|| OsString::from("knockd"));
    let mut command = Command::new("/proc/self/exe");
    command.arg0(name).args(arguments).env(VARIABLE, std::process::id().to_string());
    command.stdin(Stdio::null()).stdout(Stdio::piped());
    let mut child = command.spawn()?;
    let stdout = child.stdout.take();
    if stdout.is_some_and(|mut stdout| hears_ready(&mut stdout)) {
        return Ok(0);
    }
    Ok(status_of(child.wait()?))
}

/// Reads until the child is ready, or has closed its end.
fn hears_ready(stdout: &mut impl Read) -> bool {
    let mut buffer = [0; 256];
    loop {
        match stdout.read(&mut buffer) {
            Ok(0) => return false,
            Ok(read) if buffer[..read].contains(&READY) => return true,
            Ok(_) => {}
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return false,
        }
    }
}

/// Returns the status to exit with where the child is no daemon: as the shell has it, and never 0.
fn status_of(status: ExitStatus) -> u8 {
    let code = status.code().or_else(|| status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(1)
}
