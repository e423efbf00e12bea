//! The directory that holds the captures, and when one of them must be made again.

use std::fs::{self, File};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::{Context, Result};

use crate::load::{CONFIG, LOCAL_V4, LOCAL_V6, Load, Scale};

/// The seed of the published figures.
pub const SEED: u64 = 0x5e5a_3e00_0000_0001;
/// Counts up whenever the same seed would make other bytes than before.
const GENERATOR: u32 = 1;

/// The files of one load: `trace.pcap`, `knockd.conf`, `local` and `made`.
#[derive(Clone, Debug)]
pub struct LoadFiles {
    /// The capture.
    pub trace: PathBuf,
    /// The config to replay it with.
    pub config: PathBuf,
    /// A file with the host's addresses, joined by a comma.
    pub local: PathBuf,
    /// A file that tells of which generator, seed and scale the capture is.
    made: PathBuf,
}

impl LoadFiles {
    /// Names the files of a load below `directory`.
    #[must_use]
    pub fn new(directory: &Path, load: Load) -> Self {
        let directory = directory.join(load.name());
        Self {
            trace: directory.join("trace.pcap"),
            config: directory.join("knockd.conf"),
            local: directory.join("local"),
            made: directory.join("made"),
        }
    }

    /// Makes what is missing, or was made by another generator, seed or scale.
    ///
    /// Returns whether it had to. The file `made` is written last, so that what an interrupted
    /// run leaves is made again.
    ///
    /// # Errors
    ///
    /// What writing brings, with the path.
    pub fn make(&self, load: Load, scale: Scale, seed: u64) -> Result<bool> {
        let stamp = format!("generator {GENERATOR} seed {seed:#x} scale 1/{}\n", scale.0);
        if fs::read_to_string(&self.made).is_ok_and(|made| made == stamp) && self.trace.exists() {
            return Ok(false);
        }
        if let Some(directory) = self.trace.parent() {
            fs::create_dir_all(directory)
                .with_context(|| format!("cannot make {}", directory.display()))?;
        }
        if self.made.exists() {
            fs::remove_file(&self.made)
                .with_context(|| format!("cannot remove {}", self.made.display()))?;
        }
        let file = File::create(&self.trace)
            .with_context(|| format!("cannot make {}", self.trace.display()))?;
        load.write(scale, seed, BufWriter::with_capacity(1 << 18, file))
            .with_context(|| format!("cannot write {}", self.trace.display()))?;
        write(&self.config, CONFIG)?;
        write(&self.local, &format!("{}\n", local_addresses()))?;
        write(&self.made, &stamp)?;
        Ok(true)
    }
}

/// Returns the host's addresses as `--local` takes them.
#[must_use]
pub fn local_addresses() -> String {
    format!("{LOCAL_V4},{LOCAL_V6}")
}

fn write(path: &Path, text: &str) -> Result<()> {
    let mut file = File::create(path).with_context(|| format!("cannot make {}", path.display()))?;
    file.write_all(text.as_bytes()).with_context(|| format!("cannot write {}", path.display()))
}
