//! What a failure leaves: a capture and config for `knock-replay run`, the story, and a regression
//! file.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::process::Command;

use serde::{Deserialize, Serialize};

use crate::run::{Failure, Options, in_world};
use crate::swarm::Class;

/// A seed that failed once, as `sim/regressions/` keeps it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Regression {
    /// What was wrong.
    pub found: String,
    /// The seed.
    pub seed: u64,
    /// The fault classes that it does not need.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub without: Vec<String>,
    /// How many steps of trouble it needs.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub steps: Option<u64>,
}

impl Regression {
    /// Returns what to run.
    ///
    /// # Errors
    ///
    /// It names a fault class that there is not.
    pub fn options(&self) -> Result<Options, String> {
        let class = |name: &String| {
            Class::named(name).ok_or_else(|| format!("there is no fault class {name}"))
        };
        let without = self.without.iter().map(class).collect::<Result<_, _>>()?;
        Ok(Options { without, steps: self.steps })
    }
}

impl Failure {
    /// Returns the command line that runs it again.
    #[must_use]
    pub fn command_line(&self) -> String {
        let without = self.options.without.iter().map(|class| format!(" --without {class}"));
        let steps = self.options.steps.map(|steps| format!(" --steps {steps}"));
        let options: String = without.chain(steps).collect();
        format!("knock-sim --seed {}{options}", self.seed)
    }

    /// Says what failed and how to see it again.
    #[must_use]
    pub fn report(&self) -> String {
        let classes: Vec<_> = self.classes.iter().map(|class| class.name()).collect();
        format!(
            "seed {} fails at commit {}: {}\n  with {}\n  again: {}\n",
            self.seed,
            commit(),
            self.message,
            if classes.is_empty() { "no fault at all".to_owned() } else { classes.join(", ") },
            self.command_line(),
        )
    }

    /// Writes everything that helps to understand it into a folder of its own, and returns that.
    ///
    /// # Errors
    ///
    /// The folder can't be written.
    pub fn write(&self, folder: &Path) -> io::Result<PathBuf> {
        let folder = folder.join(format!("seed-{}", self.seed));
        fs::create_dir_all(&folder)?;
        let (_, world) = in_world(self.seed, &self.options, true);
        fs::write(folder.join("story.txt"), world.story() + "\n" + &self.report())?;
        if let Some(life) = &world.life {
            fs::write(folder.join("knockd.conf"), life.config.to_string())?;
            fs::write(
                folder.join("heard.pcap"),
                capture(life.ears.kept.as_deref().unwrap_or(&[])),
            )?;
        }
        let without = self.options.without.iter().map(|class| class.name().to_owned()).collect();
        let (found, seed, steps) = (self.message.clone(), self.seed, self.options.steps);
        let regression = Regression { found, seed, without, steps };
        let text = toml::to_string(&regression).map_err(io::Error::other)?;
        fs::write(folder.join(format!("{}.toml", self.seed)), text)?;
        Ok(folder)
    }
}

/// Makes a capture of Ethernet frames, with stamps in nanoseconds.
fn capture(frames: &[(knock_engine::time::Timestamp, Vec<u8>)]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for word in [0xa1b2_3c4d_u32, 2 | 4 << 16, 0, 0, 65_535, 1] {
        bytes.extend(word.to_le_bytes());
    }
    for (at, frame) in frames {
        let (seconds, nanos) = (at.as_nanos() / 1_000_000_000, at.as_nanos() % 1_000_000_000);
        for word in [seconds, nanos, frame.len() as u64, frame.len() as u64] {
            bytes.extend(u32::try_from(word).unwrap_or(u32::MAX).to_le_bytes());
        }
        bytes.extend(frame);
    }
    bytes
}

/// Returns the commit that this was built from, as far as git can tell.
fn commit() -> String {
    let output = Command::new("git").args(["describe", "--always", "--dirty"]).output();
    let text = output.ok().and_then(|output| String::from_utf8(output.stdout).ok());
    text.map(|text| text.trim().to_owned())
        .filter(|text| !text.is_empty())
        .unwrap_or_else(|| "unknown".to_owned())
}
