//! The old side where it is knockd 0.8: the model of it, over the same frames.

use std::collections::HashMap;
use std::fs::{self, File};
use std::net::IpAddr;
use std::path::Path;

use anyhow::Context as _;
use knock_engine::config::{self, Config};
use knock_engine::local::LocalAddresses;
use knock_engine::time::Timestamp;

use super::Difference;
use super::detail::{Details, Entry, What};
use super::openings::{Opening, Outcome};
use crate::knockd08::{
    Commands, Decision, Families, Knockd08, Knockd08Config, LinkLayer, LossReason,
};
use crate::report::Cause;
use crate::report::advice::Port;
use crate::run;
use crate::trace::{Frame, Traces};

/// knockd 0.8 with a config.
pub(super) struct Original {
    config: Knockd08Config,
}

/// Reads what this project's parser makes of a config of knockd's; `None` where it refuses it. Its
/// problems are no news: it is the old one.
pub(super) fn as_ours(path: &Path) -> Option<Config> {
    config::parse(&fs::read(path).ok()?).config
}

impl Original {
    pub(super) fn load(path: &Path) -> anyhow::Result<Self> {
        Ok(Self { config: run::original::load(path)? })
    }

    /// Returns what opens.
    pub(super) fn openings(
        &self,
        traces: &mut Traces<File>,
        local: &[IpAddr],
    ) -> anyhow::Result<Vec<Opening>> {
        let mut openings = Vec::new();
        let mut first: HashMap<(String, IpAddr), Timestamp> = HashMap::new();
        self.run(traces, local, &mut |decision, cause| match (decision, cause.origin) {
            (Decision::Stage(step), _) if step.stage == 1 => {
                first.insert((step.door.name.to_string(), step.source), step.at);
            }
            (Decision::Open { step, commands }, Some(origin)) => {
                let (outcome, until) = match commands {
                    Commands::Run { stop, .. } => {
                        (Outcome::Starts, stop.as_ref().map(|stop| stop.at))
                    }
                    Commands::None | Commands::TooLong => (Outcome::NothingToRun, None),
                };
                let door = step.door.name.to_string();
                let began = first.get(&(door.clone(), step.source)).copied().unwrap_or(step.at);
                let (source, at) = (step.source, step.at);
                openings.push(Opening { door, source, at, origin, first: began, outcome, until });
            }
            _ => {}
        })?;
        Ok(openings)
    }

    /// Returns what happened while the attempts went on that ended differently.
    pub(super) fn details(
        &self,
        traces: &mut Traces<File>,
        local: &[IpAddr],
        differences: &[Difference],
    ) -> anyhow::Result<Details> {
        let doors = self.config.door_names().map(str::to_owned).zip(0..);
        let mut details = Details::of_doors(doors, differences);
        self.run(traces, local, &mut |decision, cause| {
            let (step, what) = match decision {
                Decision::Stage(step) => {
                    (step, What::Stage(u8::try_from(step.stage).unwrap_or(u8::MAX)))
                }
                Decision::Open { step, .. } => (step, What::Open),
                Decision::Timeout(step) => {
                    (step, What::Timeout(u8::try_from(step.stage).unwrap_or(u8::MAX)))
                }
                // What became of the attempt itself is told before its knocks are orphans.
                Decision::Lost { step, reason: LossReason::Orphaned } => (step, What::Orphaned),
                Decision::Lost { step, reason } => (step, What::Lost(reason.to_string())),
                Decision::Disabled { .. } | Decision::Crash { .. } => return,
            };
            let port = cause.packet.map(|its| Port(its.protocol(), its.destination_port));
            let entry = Entry { at: step.at, origin: cause.origin, port, what };
            details.note(&step.door.name, step.source, &entry);
        })?;
        Ok(details)
    }

    /// Runs it over the traces, and tells each decision, with the frame and the packet at which it
    /// was made. Where reading ends early, the engine's reading tells why.
    fn run(
        &self,
        traces: &mut Traces<File>,
        local: &[IpAddr],
        tell: &mut dyn FnMut(&Decision, &Cause),
    ) -> anyhow::Result<()> {
        let mut knockd: Option<Knockd08> = None;
        // Each frame is copied: reading the first one tells the addresses that the model needs.
        while let Ok(Some(frame)) = traces.next() {
            let Frame { at, number, trace, original, .. } = frame;
            let (link_type, captured) = (frame.link_type, frame.captured.to_vec());
            let addresses = if local.is_empty() { traces.local_addresses() } else { local };
            let knockd = match &mut knockd {
                Some(knockd) => knockd,
                none => none.insert(self.start(addresses)?),
            };
            let Ok(link) = LinkLayer::from_link_type(link_type & 0xffff) else { continue };
            knockd.handle_frame(link, &captured, at);
            let captured = captured.as_slice();
            let frame = Frame { at, link_type, captured, original, number, trace };
            let mut cause = None;
            while let Some(decision) = knockd.poll_output() {
                tell(&decision, cause.get_or_insert_with(|| run::original::cause_of(&frame)));
            }
        }
        if let Some(knockd) = &mut knockd {
            knockd.finish();
            while let Some(decision) = knockd.poll_output() {
                tell(&decision, &Cause::default());
            }
        }
        Ok(())
    }

    fn start(&self, addresses: &[IpAddr]) -> anyhow::Result<Knockd08> {
        let local = match addresses {
            [] => LocalAddresses::Unknown,
            known => LocalAddresses::Known(known.to_vec()),
        };
        let knockd = Knockd08::new(self.config.clone(), local, Families::Both);
        knockd.context("knockd 0.8 would not start")
    }
}
