//! Signals, as something to read: nothing happens where they interrupt.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::pipe::{PipeFlags, pipe_with};
use signal_hook::consts::{SIGCHLD, SIGHUP, SIGINT, SIGTERM};
use signal_hook::low_level::{pipe, unregister};
use signal_hook::{SigId, flag};

/// What signals ask for. `SIGHUP` asks for a reload, `SIGTERM` and `SIGINT` for a stop.
///
/// The handlers set a flag and write a byte to a pipe; all else is done by whoever reads. `SIGPIPE`
/// is ignored, as in every Rust program, and default again in children.
#[derive(Debug)]
pub struct Signals {
    wake: OwnedFd,
    reload: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
    handlers: Vec<SigId>,
}

/// What has been asked for since the last time.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Asked {
    /// Whether to read the config and open the log anew (`SIGHUP`).
    pub reload: bool,
    /// Whether to stop (`SIGTERM`, `SIGINT`).
    pub stop: bool,
}

impl Signals {
    /// Begins to catch signals; until the value is dropped, none of them ends the program.
    ///
    /// # Errors
    ///
    /// Fails where no pipe can be made or a handler can't be installed.
    pub fn catch() -> io::Result<Self> {
        let (wake, write) = pipe_with(PipeFlags::CLOEXEC | PipeFlags::NONBLOCK)?;
        let (reload, stop) = (Arc::default(), Arc::default());
        let mut signals = Self { wake, reload, stop, handlers: Vec::new() };
        for (signal, flag) in [
            (SIGHUP, Arc::clone(&signals.reload)),
            (SIGTERM, Arc::clone(&signals.stop)),
            (SIGINT, Arc::clone(&signals.stop)),
        ] {
            // Handlers of a signal run in this order: who is woken finds the flag set.
            signals.handlers.push(flag::register(signal, flag)?);
            signals.handlers.push(pipe::register(signal, write.try_clone()?)?);
        }
        // Whoever started us may ignore SIGCHLD, which we would inherit: the kernel would then
        // reap our children, and their exit statuses would be lost. A handler ends that.
        signals.handlers.push(flag::register(SIGCHLD, Arc::default())?);
        Ok(signals)
    }

    /// Returns what has been asked for since the last call, and makes the descriptor unreadable.
    pub fn take(&self) -> Asked {
        let mut bytes = [0; 64];
        while matches!(rustix::io::read(&self.wake, &mut bytes), Ok(read) if read > 0) {}
        Asked {
            reload: self.reload.swap(false, Ordering::SeqCst),
            stop: self.stop.swap(false, Ordering::SeqCst),
        }
    }
}

impl AsFd for Signals {
    /// Returns a descriptor that is readable when there is something to take.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.wake.as_fd()
    }
}

impl Drop for Signals {
    fn drop(&mut self) {
        for handler in self.handlers.drain(..) {
            unregister(handler);
        }
    }
}
