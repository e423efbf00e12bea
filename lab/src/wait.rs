//! Waiting for conditions, never for a span of time alone.

use std::time::{Duration, Instant};

use anyhow::{Result, bail};

/// How long a condition is waited for that should hold at once: long enough for a busy machine.
pub const SOON: Duration = Duration::from_secs(20);

const POLL: Duration = Duration::from_millis(4);

/// Waits until a condition holds, at most for this long.
///
/// # Errors
///
/// Where the time runs out, naming what was waited for, and where the condition itself fails.
pub fn within(
    limit: Duration,
    what: &str,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + limit;
    while !condition()? {
        if Instant::now() >= end {
            bail!("waited {} s in vain for {what}", limit.as_secs_f64());
        }
        std::thread::sleep(POLL);
    }
    Ok(())
}

/// Waits until a condition holds, at most for [`SOON`].
///
/// # Errors
///
/// As [`within`].
pub fn until(what: &str, condition: impl FnMut() -> Result<bool>) -> Result<()> {
    within(SOON, what, condition)
}

/// Sees to it that a condition holds all through this span.
///
/// # Errors
///
/// As soon as it does not hold, and where the condition itself fails.
pub fn throughout(
    span: Duration,
    what: &str,
    mut condition: impl FnMut() -> Result<bool>,
) -> Result<()> {
    let end = Instant::now() + span;
    loop {
        if !condition()? {
            bail!("for {} s this should have held, and did not: {what}", span.as_secs_f64());
        }
        if Instant::now() >= end {
            return Ok(());
        }
        std::thread::sleep(POLL);
    }
}

/// Sleeps until a moment that a schedule names; it is no way to wait for somebody else.
pub fn pace(moment: Instant) {
    std::thread::sleep(moment.saturating_duration_since(Instant::now()));
}
