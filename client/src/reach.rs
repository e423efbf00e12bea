//! Whether a port accepts a connection, which may take its firewall a moment.

use std::io;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use anyhow::anyhow;
use knock_frontend::notice::clause;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use socket2::{Domain, Socket, Type};

use crate::send::bind;
use crate::target::Target;

/// How long a port has after each round of knocks.
pub const PATIENCE: Duration = Duration::from_secs(3);
/// How long after an attempt that nobody has answered the next one begins. The kernel repeats a SYN
/// after a second only, and the one that came before the door was open is lost.
const NEXT_IF_SILENT: Duration = Duration::from_millis(500);
/// How long after a refusal the next attempt begins.
const NEXT_IF_REFUSED: Duration = Duration::from_millis(200);

/// Tries until one of the targets accepts a connection to this port.
///
/// # Errors
///
/// None has in the time that there is, and what came of the last attempt; or there can be no
/// attempt at all.
pub fn reach(
    targets: &[Target],
    port: u16,
    source: Option<IpAddr>,
    patience: Duration,
) -> anyhow::Result<TcpStream> {
    let end = Instant::now() + patience;
    let mut attempts = Attempts { pending: Vec::new(), last: None };
    let mut next = Instant::now();
    loop {
        let now = Instant::now();
        if now >= end {
            let last = attempts.last.as_ref();
            return Err(anyhow!(last.map_or_else(|| "nobody answers".to_owned(), clause)));
        }
        if now >= next {
            for &target in targets {
                attempts.begin(target, port, source)?;
            }
            next = now + NEXT_IF_SILENT;
        }
        if let Some(connected) = attempts.wait(next.min(end))? {
            return Ok(connected);
        }
        if attempts.pending.is_empty() {
            next = next.min(Instant::now() + NEXT_IF_REFUSED);
            std::thread::sleep(next.min(end).saturating_duration_since(Instant::now()));
        }
    }
}

/// The attempts that nobody has answered, older ones among them: an answer may take long.
struct Attempts {
    pending: Vec<(Socket, SocketAddr)>,
    /// What came of the last one.
    last: Option<io::Error>,
}

impl Attempts {
    fn begin(&mut self, target: Target, port: u16, source: Option<IpAddr>) -> anyhow::Result<()> {
        let at = target.port(port);
        let kind = Type::STREAM.nonblocking().cloexec();
        let socket = Socket::new(Domain::for_address(at), kind, None)?;
        if let Some(source) = source {
            bind(&socket, target, source)?;
        }
        match socket.connect(&at.into()) {
            Err(error) if error.raw_os_error() != Some(Errno::INPROGRESS.raw_os_error()) => {
                self.last = Some(error);
            }
            // One that has succeeded at once is ready at once.
            _ => self.pending.push((socket, at)),
        }
        Ok(())
    }

    /// Waits for the first connection, at most until then.
    fn wait(&mut self, until: Instant) -> io::Result<Option<TcpStream>> {
        while !self.pending.is_empty() {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left).map_err(io::Error::other)?;
            let polled = |(socket, _)| PollFd::new(socket, PollFlags::OUT);
            let mut polled: Vec<_> = self.pending.iter().map(|it| polled((&it.0, it.1))).collect();
            match poll(&mut polled, Some(&timeout)) {
                Ok(0) => return Ok(None),
                Err(Errno::INTR) => continue,
                outcome => outcome?,
            };
            let ready: Vec<bool> = polled.iter().map(|it| !it.revents().is_empty()).collect();
            drop(polled);
            for index in (0..ready.len()).rev().filter(|&index| ready[index]) {
                let (socket, _) = self.pending.swap_remove(index);
                match socket.take_error()? {
                    None => {
                        socket.set_nonblocking(false)?;
                        return Ok(Some(socket.into()));
                    }
                    Some(error) => self.last = Some(error),
                }
            }
        }
        Ok(None)
    }
}
