//! What a running process has used, from `/proc`.

use std::time::Duration;

use anyhow::{Context, Result};
use rustix::process::Pid;

/// What a process with all its threads has used so far, without its children.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// CPU time.
    pub cpu: Duration,
    /// How often it went to sleep by itself: as often, give or take one, it was woken.
    pub sleeps: u64,
    /// Resident memory in bytes, the capture's ring included.
    pub resident: u64,
    /// Resident memory in bytes that is nobody else's: no ring, no program text.
    pub private: u64,
}

impl Usage {
    /// Reads what a process has used.
    ///
    /// # Errors
    ///
    /// Where it is gone.
    pub fn of(pid: Pid) -> Result<Self> {
        let folder = format!("/proc/{}", pid.as_raw_nonzero());
        let status = read(&format!("{folder}/status"))?;
        let mut usage = Self {
            resident: field(&status, "VmRSS:")? * 1024,
            private: field(&status, "RssAnon:")? * 1024,
            ..Self::default()
        };
        let threads = std::fs::read_dir(format!("{folder}/task"))
            .with_context(|| format!("cannot list {folder}/task"))?;
        for thread in threads {
            let thread = thread?.path().display().to_string();
            let times = read(&format!("{thread}/schedstat"))?;
            let on_cpu = times.split_whitespace().next().context("schedstat is not empty")?;
            usage.cpu += Duration::from_nanos(on_cpu.parse().context("odd schedstat")?);
            let status = read(&format!("{thread}/status"))?;
            usage.sleeps += field(&status, "voluntary_ctxt_switches:")?;
        }
        Ok(usage)
    }

    /// Returns what has been used since an earlier reading; memory is as it is now.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            sleeps: self.sleeps.saturating_sub(earlier.sleeps),
            ..self
        }
    }
}

fn read(path: &str) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {path}"))
}

fn field(status: &str, name: &str) -> Result<u64> {
    let value = status.lines().find_map(|line| line.strip_prefix(name));
    let value = value.with_context(|| format!("the kernel does not tell {name}"))?;
    let number = value.split_whitespace().next().context("the value is a number")?;
    number.parse().with_context(|| format!("odd {name} {number}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_uses_memory_and_time() {
        let before = Usage::of(rustix::process::getpid()).unwrap();
        assert!(before.private > 0 && before.resident >= before.private, "{before:?}");
        let end = std::time::Instant::now() + Duration::from_millis(30);
        while std::time::Instant::now() < end {
            std::hint::spin_loop();
        }
        let used = Usage::of(rustix::process::getpid()).unwrap().since(before);
        assert!(used.cpu > Duration::ZERO, "{used:?}");
    }
}
