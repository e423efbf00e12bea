//! What systemd is told, where it wants to know.

use std::env;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::time::Duration;

use knock_engine::time::Timestamp;
use sd_notify::NotifyState;

/// Tells the service manager how the daemon is. Where there is none, nothing is sent.
///
/// It never blocks: a service manager that does not read loses messages, and the daemon no knocks.
/// A failure is worth a line in the log, and no more.
#[derive(Debug)]
pub struct Notifier {
    to: Option<(UnixDatagram, SocketAddr)>,
}

/// When to tell the service manager that the daemon is alive: every half of the time after which
/// it would be taken for dead.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Watchdog {
    interval: Duration,
    next: Timestamp,
}

impl Notifier {
    /// Makes one for the socket of `NOTIFY_SOCKET`, if that is set.
    ///
    /// # Errors
    ///
    /// Fails where it is set to what is no address of a socket.
    pub fn from_environment() -> io::Result<Self> {
        Self::new(env::var_os("NOTIFY_SOCKET").as_deref())
    }

    /// Makes one for this socket: a path, or a name in the abstract name space behind an `@`.
    ///
    /// # Errors
    ///
    /// Fails where it is neither.
    pub fn new(socket: Option<&OsStr>) -> io::Result<Self> {
        let Some(socket) = socket else { return Ok(Self { to: None }) };
        let address = match socket.as_bytes() {
            [b'@', name @ ..] => SocketAddr::from_abstract_name(name)?,
            [b'/', ..] => SocketAddr::from_pathname(socket)?,
            _ => return Err(io::Error::new(io::ErrorKind::InvalidInput, "no path, and no @name")),
        };
        let from = UnixDatagram::unbound()?;
        from.set_nonblocking(true)?;
        Ok(Self { to: Some((from, address)) })
    }

    /// Tells that the daemon is ready, and what it does: at start-up, and after a reload, whether
    /// that went well or not.
    ///
    /// # Errors
    ///
    /// Fails where the message could not be sent.
    pub fn ready(&self, status: &str) -> io::Result<()> {
        self.send(&[NotifyState::Ready, NotifyState::Status(&one_line(status))])
    }

    /// Tells what the daemon does, in one line for people.
    ///
    /// # Errors
    ///
    /// Fails where the message could not be sent.
    pub fn status(&self, status: &str) -> io::Result<()> {
        self.send(&[NotifyState::Status(&one_line(status))])
    }

    /// Tells that the daemon reads its config anew; [`Notifier::ready`] must follow.
    ///
    /// # Errors
    ///
    /// Fails where the message could not be sent.
    pub fn reloading(&self) -> io::Result<()> {
        self.send(&[NotifyState::Reloading, NotifyState::monotonic_usec_now()?])
    }

    /// Tells that the daemon is about to stop.
    ///
    /// # Errors
    ///
    /// Fails where the message could not be sent.
    pub fn stopping(&self) -> io::Result<()> {
        self.send(&[NotifyState::Stopping])
    }

    /// Tells that the daemon is alive. See [`Watchdog`].
    ///
    /// # Errors
    ///
    /// Fails where the message could not be sent.
    pub fn alive(&self) -> io::Result<()> {
        self.send(&[NotifyState::Watchdog])
    }

    fn send(&self, states: &[NotifyState<'_>]) -> io::Result<()> {
        let Some((from, address)) = &self.to else { return Ok(()) };
        let mut message = String::new();
        for state in states {
            // Writing to a string can't fail.
            let _ = writeln!(message, "{state}");
        }
        from.send_to_addr(message.as_bytes(), address).map(|_| ())
    }
}

impl Watchdog {
    /// Makes one if the service manager wants it (`WATCHDOG_USEC`, and `WATCHDOG_PID` if set).
    #[must_use]
    pub fn from_environment(now: Timestamp) -> Option<Self> {
        sd_notify::watchdog_enabled().map(|timeout| Self::new(timeout, now))
    }

    /// Makes one for the time after which a silent daemon is taken for dead. It is due at once.
    #[must_use]
    pub fn new(timeout: Duration, now: Timestamp) -> Self {
        // A timeout of nothing would keep the daemon busy with nothing else.
        Self { interval: (timeout / 2).max(Duration::from_millis(1)), next: now }
    }

    /// Returns when to call [`Watchdog::handle_timeout`] next.
    #[must_use]
    pub const fn poll_timeout(&self) -> Timestamp {
        self.next
    }

    /// Returns whether [`Notifier::alive`] is due. Early calls do nothing; what was missed is not
    /// made up for.
    #[must_use]
    pub fn handle_timeout(&mut self, now: Timestamp) -> bool {
        let due = self.next <= now;
        if due {
            self.next = now.saturating_add(self.interval);
        }
        due
    }
}

/// Keeps foreign text from being a message of its own.
fn one_line(text: &str) -> String {
    text.replace(char::is_control, " ")
}
