//! Locks that say which daemon is the one, taken with a little patience.

use std::io;
use std::time::Duration;

/// How long to wait for a lock. A daemon that was asked to stop needs up to a second. One that was
/// killed while it began to run a command leaves its lock, for moments, to a child that has not
/// closed its descriptors yet; whoever starts the next daemon at once must not be sent away for
/// that.
const PATIENCE: Duration = Duration::from_secs(2);

/// How long to wait between two tries.
const PAUSE: Duration = Duration::from_millis(10);

/// Tries to take a lock until it is taken, for two seconds at most. `attempt` tells whether it took
/// it; so does this. `pause` waits.
///
/// It blocks, so it is for the start of the program.
///
/// # Errors
///
/// Those of `attempt`, at once.
pub(crate) fn take(
    mut attempt: impl FnMut() -> io::Result<bool>,
    pause: impl Fn(Duration),
) -> io::Result<bool> {
    for _ in 0..PATIENCE.as_millis() / PAUSE.as_millis() {
        if attempt()? {
            return Ok(true);
        }
        pause(PAUSE);
    }
    attempt()
}
