//! What the tests have in common: which daemon, how much, and a door that tells who opened it.

use std::io::Write;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use anyhow::{Context, Result};
use knock_lab::daemon::Setup;
use knock_lab::lab::Lab;
use knock_lab::wait;

/// Tests that measure, against those that only wait.
static MACHINE: RwLock<()> = RwLock::new(());

/// Holds the machine together with others that mostly wait.
pub(crate) fn shared() -> RwLockReadGuard<'static, ()> {
    MACHINE.read().unwrap_or_else(PoisonError::into_inner)
}

/// Holds the machine alone, to load it.
pub(crate) fn alone() -> RwLockWriteGuard<'static, ()> {
    MACHINE.write().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the daemon to try.
pub(crate) fn program() -> PathBuf {
    std::env::var_os("KNOCKD").map_or_else(|| env!("CARGO_BIN_EXE_knockd").into(), PathBuf::from)
}

/// Returns one of two numbers: that of the sample, or that of `make test-full`.
pub(crate) fn sample_or_full(sample: usize, full: usize) -> usize {
    match std::env::var("SESAME_TEST").as_deref() {
        Ok("full") => full,
        _ => sample,
    }
}

/// Returns a folder of the test's own in the lab's.
pub(crate) fn folder(lab: &Lab, name: &str) -> Result<PathBuf> {
    let folder = lab.folder().join(name);
    std::fs::create_dir_all(&folder)
        .with_context(|| format!("cannot make {}", folder.display()))?;
    Ok(folder)
}

/// Returns a setup of the daemon to try, with its files in a folder of the lab.
pub(crate) fn setup(lab: &Lab) -> Result<Setup> {
    Ok(Setup::new(&program(), &folder(lab, "knockd")?))
}

/// Says on the real standard error what was not tried, whatever the test harness hides.
pub(crate) fn note(note: &str) -> Result<()> {
    writeln!(std::io::stderr(), "kernel tests: {note}").context("cannot write to standard error")
}

/// A file to which a door's command adds the source.
#[derive(Clone, Debug)]
pub(crate) struct Tally(PathBuf);

impl Tally {
    /// Makes an empty tally in the lab's folder.
    pub(crate) fn new(lab: &Lab, name: &str) -> Result<Self> {
        let path = lab.folder().join(format!("tally-{name}"));
        std::fs::write(&path, "").with_context(|| format!("cannot write {}", path.display()))?;
        Ok(Self(path))
    }

    /// Returns the command.
    pub(crate) fn command(&self) -> String {
        format!("echo %IP% >> {}", self.path().display())
    }

    /// Returns the file.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// Returns the sources so far, one for each time.
    pub(crate) fn sources(&self) -> Result<Vec<IpAddr>> {
        let text = std::fs::read_to_string(&self.0)
            .with_context(|| format!("cannot read {}", self.0.display()))?;
        text.split_inclusive('\n')
            // The last line may be half written.
            .filter_map(|line| line.strip_suffix('\n'))
            .map(|line| line.parse().with_context(|| format!("odd source {line:?}")))
            .collect()
    }

    /// Returns how often this source opened.
    pub(crate) fn count(&self, source: IpAddr) -> Result<usize> {
        Ok(self.sources()?.iter().filter(|&&other| other == source).count())
    }

    /// Waits until this source has opened so often.
    pub(crate) fn wait_for(&self, source: IpAddr, count: usize) -> Result<()> {
        wait::until(&format!("{source} to open {count} times"), || Ok(self.count(source)? >= count))
    }
}

/// Numbers that are the same in each run (SplitMix64).
pub(crate) struct Random(u64);

impl Random {
    /// Makes the generator of this seed.
    pub(crate) const fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// Returns a number below this one.
    pub(crate) const fn below(&mut self, limit: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (bits ^ (bits >> 31)) % limit
    }

    /// Puts a list into a random order.
    pub(crate) fn shuffle<T>(&mut self, list: &mut [T]) {
        for last in (1..list.len()).rev() {
            let other = self.below(u64::try_from(last).expect("a list is not that long") + 1);
            list.swap(last, usize::try_from(other).expect("it is at most `last`"));
        }
    }
}
