//! Who comes in while strangers attack.

use std::collections::HashSet;
use std::net::IpAddr;
use std::time::Duration;

use anyhow::{Context, Result};
use knock_lab::lab::Lab;
use knock_lab::storm::{self, Honest, Outcome, Storm};

use super::Contender;

/// How honest sources knock.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pace {
    /// One after the other, half a second between the packets: attacks have their chance.
    Slowly,
    /// The same, but eight at a time: they are strangers to each other.
    Together,
    /// One after the other, a tenth of a second between the packets.
    Briskly,
}

impl Pace {
    const fn honest(self, count: usize) -> Honest {
        let (interval, gap) = match self {
            Self::Slowly => (1100, 500),
            Self::Together => (125, 500),
            Self::Briskly => (250, 100),
        };
        let (interval, gap) = (Duration::from_millis(interval), Duration::from_millis(gap));
        Honest { count, interval, gap, tries: 3 }
    }
}

/// The storms of the table, from calm to more than anybody bears, and how people knock in them.
pub const STORMS: [(Storm, Pace); 11] = [
    (Storm::Calm, Pace::Slowly),
    (Storm::Calm, Pace::Together),
    (Storm::LockOut, Pace::Slowly),
    (Storm::FirstKnocks(1_000), Pace::Briskly),
    (Storm::FirstKnocks(10_000), Pace::Briskly),
    (Storm::FirstKnocks(100_000), Pace::Briskly),
    (Storm::FirstKnocks(1_000_000), Pace::Briskly),
    (Storm::Strays(1_000), Pace::Briskly),
    (Storm::Strays(10_000), Pace::Briskly),
    (Storm::Strays(100_000), Pace::Briskly),
    (Storm::Strays(1_000_000), Pace::Briskly),
];

/// Lets so many sources knock, with three tries, while one storm rages.
///
/// # Errors
///
/// Where the daemon does not start.
pub fn measure(
    contender: &Contender,
    (storm, pace): (Storm, Pace),
    count: usize,
) -> Result<Outcome> {
    let lab = Lab::new()?;
    lab.drop_everything()?;
    let opened = lab.folder().join("opened");
    std::fs::write(&opened, "").context("cannot make the list of opened doors")?;
    let commands = format!("start_command = echo %IP% >> {}", opened.display());
    let _daemon = contender.start(&lab, &storm::door(&commands))?;
    storm::weather(&lab, storm, pace.honest(count), 0, |source| {
        let text = std::fs::read_to_string(&opened).context("cannot read who opened")?;
        let sources: HashSet<IpAddr> = text.lines().filter_map(|line| line.parse().ok()).collect();
        Ok(sources.contains(&source))
    })
}
