//! Runs a program and takes what it used from the kernel (`wait4`).

use std::os::unix::process::ExitStatusExt;
use std::process::{Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use wait4::Wait4;

/// What one run of a program used.
///
/// Linux starts counting a child's peak memory from what its parent held, so a peak below this
/// program's own few megabytes cannot be told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// User and system CPU time of all its threads and the children that it waited for.
    pub cpu: Duration,
    /// From its start to its end.
    pub wall: Duration,
    /// The most memory that was resident at a time, in bytes.
    pub peak_bytes: u64,
}

/// How a run ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Run {
    /// By itself.
    Finished(Usage),
    /// It reached its limit of CPU time.
    OutOfTime,
}

/// Returns a command whose CPU time the kernel limits.
///
/// `prlimit` replaces itself by the program, so what is measured is the program.
#[must_use]
pub fn limited(program: &str, cpu_limit_s: u32) -> Command {
    let mut command = Command::new("prlimit");
    command.arg(format!("--cpu={cpu_limit_s}")).arg("--").arg(program);
    command
}

/// Runs a command to its end, its input and output going nowhere.
///
/// # Errors
///
/// Where it can't be started, or fails, or dies of a signal other than that of its CPU limit.
pub fn run(command: &mut Command) -> Result<Run> {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let start = Instant::now();
    let child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
    let used = child.wait4().with_context(|| format!("cannot wait for {command:?}"))?;
    let wall = start.elapsed();
    if is_out_of_time(used.status) {
        return Ok(Run::OutOfTime);
    }
    ensure!(used.status.success(), "{command:?} failed: {}", used.status);
    let cpu = used.rusage.utime + used.rusage.stime;
    Ok(Run::Finished(Usage { cpu, wall, peak_bytes: used.rusage.maxrss }))
}

/// Tells whether a process died of its limit of CPU time.
#[must_use]
pub fn is_out_of_time(status: ExitStatus) -> bool {
    const SIGKILL: i32 = 9;
    const SIGXCPU: i32 = 24;
    // With equal soft and hard limits the kernel kills at once.
    matches!(status.signal(), Some(SIGXCPU | SIGKILL))
}

/// Returns the median of each figure by itself; `None` without runs.
#[must_use]
pub fn medians(runs: &[Usage]) -> Option<Usage> {
    Some(Usage {
        cpu: median(runs.iter().map(|run| run.cpu))?,
        wall: median(runs.iter().map(|run| run.wall))?,
        peak_bytes: median(runs.iter().map(|run| run.peak_bytes))?,
    })
}

/// The middle value; of an even number of values the lower of the two.
fn median<T: Ord + Copy>(values: impl Iterator<Item = T>) -> Option<T> {
    let mut values: Vec<T> = values.collect();
    values.sort_unstable();
    values.get(values.len().checked_sub(1)? / 2).copied()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_median_is_the_middle_value() {
        assert_eq!(median([9, 1, 5].into_iter()), Some(5));
        assert_eq!(median([9, 1, 5, 4].into_iter()), Some(4));
        assert_eq!(median(std::iter::empty::<u32>()), None);
    }

    #[test]
    fn cpu_time_and_memory_are_those_of_the_program() {
        // `tail` must hold the zeros, for they have no line end: at least their 64 MB.
        let mut command = Command::new("sh");
        command.args(["-c", "head -c 64000000 /dev/zero | tail -n 1"]);
        let Run::Finished(usage) = run(&mut command).unwrap() else { panic!("it has no limit") };
        assert!(usage.peak_bytes > 64_000_000, "{usage:?}");
        assert!(usage.cpu > Duration::ZERO, "{usage:?}");
    }

    #[test]
    fn an_endless_program_runs_out_of_time() {
        let mut command = limited("sh", 1);
        command.args(["-c", "while :; do :; done"]);
        assert_eq!(run(&mut command).unwrap(), Run::OutOfTime);
    }

    #[test]
    fn a_failure_is_an_error() {
        let error = run(&mut Command::new("false")).unwrap_err();
        assert!(error.to_string().contains("exit status: 1"), "{error}");
    }
}
