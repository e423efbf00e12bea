//! Joins a connection to standard input and output, as ssh's `ProxyCommand` wants it.

use std::fs::File;
use std::io;
use std::net::{Shutdown, TcpStream};
use std::os::fd::AsFd;
use std::thread;

use anyhow::{Context as _, anyhow};
use knock_frontend::notice::clause;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::stdio::{dup2_stdout, stdin, stdout};

const BUFFER: usize = 64 * 1024;

/// Copies both ways until both sides have said all.
///
/// The end of standard input closes that half of the connection alone, and the end of what the
/// connection brings closes standard output: neither waits for the other. Where nobody reads
/// standard output any more, that is the end of all. After an error a thread may still wait for
/// standard input: it ends with the process.
///
/// # Errors
///
/// The connection broke off, or standard input or output can't be used.
pub fn join(connection: &TcpStream) -> anyhow::Result<()> {
    // ssh does it where it has the connection itself. Without it all works, only slower.
    let _ = connection.set_nodelay(true);
    let own = connection.try_clone().context("cannot share the connection")?;
    let sending = thread::spawn(move || send_all(&own));
    match receive_all(connection)? {
        Received::NobodyReads => Ok(()),
        Received::Everything => {
            sending.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        }
    }
}

enum Received {
    Everything,
    NobodyReads,
}

fn send_all(connection: &TcpStream) -> anyhow::Result<()> {
    copy(stdin(), connection).map_err(|error| match error {
        CopyError::Read(error) => anyhow::Error::new(error).context("cannot read standard input"),
        CopyError::Write(error) => broken(error),
    })?;
    // It fails where the other side is gone, and then there is nobody to tell.
    let _ = connection.shutdown(Shutdown::Write);
    Ok(())
}

fn receive_all(connection: &TcpStream) -> anyhow::Result<Received> {
    match copy(connection, stdout()) {
        Ok(()) => {}
        Err(CopyError::Write(Errno::PIPE)) => return Ok(Received::NobodyReads),
        Err(CopyError::Write(error)) => {
            return Err(error).context("cannot write to standard output");
        }
        Err(CopyError::Read(error)) => return Err(broken(error)),
    }
    close_stdout().context("cannot close standard output")?;
    Ok(Received::Everything)
}

fn broken(error: Errno) -> anyhow::Error {
    anyhow!("the connection broke off: {}", clause(&error.into()))
}

/// Tells whoever reads standard output that nothing more comes.
fn close_stdout() -> io::Result<()> {
    Ok(dup2_stdout(File::create("/dev/null")?)?)
}

enum CopyError {
    Read(Errno),
    Write(Errno),
}

/// Copies everything, whether or not somebody has made the descriptors non-blocking: both are
/// shared with other processes.
fn copy(from: impl AsFd, to: impl AsFd) -> Result<(), CopyError> {
    let mut buffer = vec![0; BUFFER];
    loop {
        let length = patiently(&from, PollFlags::IN, || rustix::io::read(&from, &mut buffer[..]));
        let length = length.map_err(CopyError::Read)?;
        if length == 0 {
            return Ok(());
        }
        let mut left = &buffer[..length];
        while !left.is_empty() {
            let written = patiently(&to, PollFlags::OUT, || rustix::io::write(&to, left));
            left = &left[written.map_err(CopyError::Write)?..];
        }
    }
}

/// Tries again what was interrupted, and what would have to wait once it has not to.
fn patiently(
    descriptor: impl AsFd,
    readiness: PollFlags,
    mut attempt: impl FnMut() -> Result<usize, Errno>,
) -> Result<usize, Errno> {
    loop {
        match attempt() {
            Err(Errno::AGAIN) => match poll(&mut [PollFd::new(&descriptor, readiness)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            },
            Err(Errno::INTR) => {}
            outcome => return outcome,
        }
    }
}
