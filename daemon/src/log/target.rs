//! Where lines go: a file, syslog, standard error.

use std::fmt;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::syslog::{Facility, LogFlags, Priority, openlog, syslog};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, Mode, OFlags, fstat, open};
use rustix::io::Errno;
use thiserror::Error;

use super::format::Line;
use super::message::Severity;

/// Where lines go.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Target {
    /// They are appended to this file. It is made (mode 0640) where it isn't there.
    File(PathBuf),
    /// To the system's log, through the C library, as the facility `daemon`.
    Syslog,
    /// To standard error.
    Stderr,
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "the log file {}", path.display()),
            Self::Syslog => f.write_str("syslog"),
            Self::Stderr => f.write_str("standard error"),
        }
    }
}

/// A log that cannot be opened, and what to do about it.
#[derive(Debug, Error)]
#[error("can't open the log file {}: {cause}: {hint}", path.display())]
pub struct OpenError {
    path: PathBuf,
    cause: io::Error,
    hint: &'static str,
}

impl Target {
    /// Opens it, without waiting for anybody.
    pub(super) fn open(&self) -> Result<Output, OpenError> {
        match self {
            Self::File(path) => Ok(Output::Stream(Stream::new(open_file(path)?))),
            Self::Syslog => {
                // What knockd asks for; the name is a constant without a zero byte in it.
                let _ = openlog(Some(c"knockd"), LogFlags::empty(), Facility::LOG_DAEMON);
                Ok(Output::Syslog)
            }
            Self::Stderr => Ok(Output::Stderr(Stream::new(StandardError))),
        }
    }
}

/// Follows symbolic links, as `LogFile` often is one, but makes no file through one that leads
/// nowhere: whoever can make links in that folder would choose where the daemon writes.
fn open_file(path: &Path) -> Result<OwnedFd, OpenError> {
    let fail = |errno: Errno, hint| {
        let cause = io::Error::from_raw_os_error(errno.raw_os_error());
        OpenError { path: path.to_owned(), cause, hint }
    };
    // A FIFO that nobody reads must not hold up the start, nor later a write.
    let flags = OFlags::APPEND | OFlags::CLOEXEC | OFlags::NONBLOCK | OFlags::NOCTTY;
    let mode = Mode::from_raw_mode(0o640);
    let mut opened = open(path, OFlags::WRONLY | flags, mode);
    if opened.as_ref().err() == Some(&Errno::NOENT) {
        opened = open(path, OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | flags, mode);
    }
    if opened.as_ref().err() == Some(&Errno::NXIO) && is_fifo(path) {
        // With a reading end of our own it can be opened, and fills up until somebody reads.
        opened = open(path, OFlags::RDWR | flags, mode);
    }
    opened.map_err(|errno| match errno {
        Errno::EXIST => fail(
            Errno::NOENT,
            "it is a symbolic link to a file that is not there: make that file, or remove the link",
        ),
        Errno::NOENT => {
            fail(errno, "make the folder that it lies in, or name another file with LogFile or -g")
        }
        Errno::ACCESS | Errno::PERM => fail(
            errno,
            "start knockd as a user who may write to it, or name another file with LogFile or -g",
        ),
        other => fail(other, "name another file with LogFile or -g, or log with UseSyslog"),
    })
}

fn is_fifo(path: &Path) -> bool {
    let opened = open(path, OFlags::PATH | OFlags::CLOEXEC, Mode::empty());
    let status = opened.and_then(fstat);
    status.is_ok_and(|status| FileType::from_raw_mode(status.st_mode) == FileType::Fifo)
}

/// An open target.
#[derive(Debug)]
pub(super) enum Output {
    /// A file.
    Stream(Stream<OwnedFd>),
    /// The C library's connection to syslog.
    Syslog,
    /// Standard error.
    Stderr(Stream<StandardError>),
}

/// How many lines got there, and why not all of them did.
#[derive(Debug)]
pub(super) struct Delivered {
    pub(super) lines: usize,
    pub(super) error: Option<io::Error>,
}

impl Output {
    /// Writes lines. `give_up` is asked again and again while the other side takes nothing.
    pub(super) fn deliver<'a>(
        &mut self,
        lines: impl IntoIterator<Item = &'a Line>,
        give_up: impl Fn() -> bool,
    ) -> Delivered {
        match self {
            Self::Stream(stream) => stream.deliver(lines, give_up),
            Self::Stderr(stream) => stream.deliver(lines, give_up),
            Self::Syslog => {
                let count = lines.into_iter().map(send_to_syslog).count();
                Delivered { lines: count, error: None }
            }
        }
    }
}

fn send_to_syslog(line: &Line) {
    let severity = match line.severity {
        Severity::Info => nix::syslog::Severity::LOG_NOTICE,
        Severity::Warning => nix::syslog::Severity::LOG_WARNING,
        Severity::Error => nix::syslog::Severity::LOG_ERR,
    };
    // It fails for a zero byte only, and a line has none; the C library tells of no other failure.
    let _ = syslog(Priority::new(severity, Facility::LOG_DAEMON), line.body());
}

/// Where bytes can be written.
pub(super) trait Sender {
    /// Writes as many bytes as are taken now.
    fn send(&mut self, bytes: &[u8]) -> rustix::io::Result<usize>;

    /// Waits until it is worth trying again.
    fn wait(&self);
}

/// Standard error by its number: the standard library's handle has a lock, and whoever holds it
/// while nobody reads would hold up the whole program.
#[derive(Debug)]
pub(super) struct StandardError;

impl Sender for StandardError {
    fn send(&mut self, bytes: &[u8]) -> rustix::io::Result<usize> {
        rustix::io::write(rustix::stdio::stderr(), bytes)
    }

    fn wait(&self) {
        wait_for(rustix::stdio::stderr());
    }
}

impl Sender for OwnedFd {
    fn send(&mut self, bytes: &[u8]) -> rustix::io::Result<usize> {
        rustix::io::write(self, bytes)
    }

    fn wait(&self) {
        wait_for(self.as_fd());
    }
}

/// Waits until a descriptor takes bytes again, or for a while.
fn wait_for(fd: BorrowedFd<'_>) {
    let patience = Timespec::try_from(Duration::from_millis(200)).ok();
    // Whatever comes of it: the next write will tell.
    let _ = poll(&mut [PollFd::new(&fd, PollFlags::OUT)], patience.as_ref());
}

/// Lines as bytes, one behind the other.
#[derive(Debug)]
pub(super) struct Stream<S> {
    sender: S,
    /// Whether a line was cut: what comes next must not continue it.
    torn: bool,
}

impl<S: Sender> Stream<S> {
    pub(super) const fn new(sender: S) -> Self {
        Self { sender, torn: false }
    }

    fn deliver<'a>(
        &mut self,
        lines: impl IntoIterator<Item = &'a Line>,
        give_up: impl Fn() -> bool,
    ) -> Delivered {
        let mut bytes = Vec::new();
        for line in lines {
            bytes.extend_from_slice(line.text.as_bytes());
            bytes.push(b'\n');
        }
        let mut written = 0;
        let mut error = None;
        while written < bytes.len() && error.is_none() {
            match self.send(&bytes[written..]) {
                Ok(0) => error = Some(io::ErrorKind::WriteZero.into()),
                Ok(count) => written += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) if !give_up() => self.sender.wait(),
                Err(Errno::AGAIN) => error = Some(io::Error::other("nobody reads it")),
                Err(errno) => error = Some(io::Error::from_raw_os_error(errno.raw_os_error())),
            }
        }
        if written > 0 {
            self.torn = bytes[written - 1] != b'\n';
        }
        let lines = bytes[..written].iter().filter(|byte| **byte == b'\n').count();
        Delivered { lines, error }
    }

    fn send(&mut self, bytes: &[u8]) -> rustix::io::Result<usize> {
        if self.torn && self.sender.send(b"\n")? > 0 {
            self.torn = false;
        }
        self.sender.send(bytes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Takes so many bytes at a time; 0 stands for a full disk.
    struct Fake {
        room: Vec<usize>,
        taken: Vec<u8>,
    }

    impl Sender for Fake {
        fn send(&mut self, bytes: &[u8]) -> rustix::io::Result<usize> {
            if self.room.is_empty() {
                self.taken.extend(bytes);
                return Ok(bytes.len());
            }
            match self.room.remove(0) {
                0 => Err(Errno::NOSPC),
                room => {
                    let count = room.min(bytes.len());
                    self.taken.extend(&bytes[..count]);
                    Ok(count)
                }
            }
        }

        fn wait(&self) {}
    }

    fn line(text: &str) -> Line {
        Line { text: text.to_owned(), severity: Severity::Info, body: 0 }
    }

    #[test]
    fn a_line_that_a_full_disk_cut_is_not_continued_by_the_next_one() {
        let fake = Fake { room: vec![3, 6, 0], taken: Vec::new() };
        let mut stream = Stream::new(fake);
        let delivered = stream.deliver(&[line("one"), line("two"), line("three")], || false);
        assert_eq!(delivered.lines, 2);
        assert_eq!(delivered.error.unwrap().kind(), io::ErrorKind::StorageFull);
        let delivered = stream.deliver(&[line("four")], || false);
        assert_eq!((delivered.lines, delivered.error.is_none()), (1, true));
        assert_eq!(String::from_utf8(stream.sender.taken).unwrap(), "one\ntwo\nt\nfour\n");
    }
}
