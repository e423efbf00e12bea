//! `--as knockd-0.8`: the loop of a run around the model of the original.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::Path;

use anyhow::{Context as _, anyhow};
use knock_engine::local::LocalAddresses;
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType};
use knock_frontend::config_file::note_doors;

use super::progress::Progress;
use super::{Judge, OutputError};
use crate::PROGRAM;
use crate::knockd08::{Commands, Decision, Families, Knockd08, Knockd08Config, LinkLayer};
use crate::report::{Cause, Close, LocalOrigin, Origin, OriginalReport, Totals};
use crate::trace::{Frame, Traces};

/// Reads a config as knockd 0.8 does. One-time files are read and never changed.
///
/// # Errors
///
/// The config can't be read, or knockd would refuse it.
pub(crate) fn load(path: &Path) -> anyhow::Result<Knockd08Config> {
    let name = path.display();
    let text = fs::read(path).with_context(|| format!("{name}: cannot read the config"))?;
    let refused = |refusal| anyhow!("{name}: knockd 0.8 refuses this config: {refusal}");
    let config = Knockd08Config::parse(&text, &mut |file| fs::read(file).ok()).map_err(refused)?;
    note_doors(PROGRAM, path, config.door_count());
    Ok(config)
}

/// The model of knockd at work, with what it tells and what is counted.
pub(super) struct OriginalSession {
    /// What the model starts from; it starts at the first packet, when the traces have told
    /// their local addresses.
    config: Option<Knockd08Config>,
    local: LocalAddresses,
    knockd: Option<Knockd08>,
    totals: Totals,
    report: Box<dyn OriginalReport>,
    pub(super) live: bool,
    pub(super) names: Vec<String>,
    /// Stop commands to come, by their time and then the order of their openings.
    closes: BTreeMap<(Timestamp, u64), Close>,
    openings: u64,
}

impl OriginalSession {
    pub(super) fn new(
        config: Knockd08Config,
        local: LocalAddresses,
        totals: Totals,
        report: Box<dyn OriginalReport>,
    ) -> Self {
        Self {
            config: Some(config),
            local,
            knockd: None,
            totals,
            report,
            live: false,
            names: Vec::new(),
            closes: BTreeMap::new(),
            openings: 0,
        }
    }

    fn start(&mut self, traces: &Traces<File>) -> anyhow::Result<()> {
        let Some(config) = self.config.take() else { return Ok(()) };
        let recorded = traces.local_addresses();
        if self.totals.local != LocalOrigin::Given && !recorded.is_empty() {
            self.local = LocalAddresses::Known(recorded.to_vec());
            self.totals.local = LocalOrigin::Recorded;
        }
        let knockd = Knockd08::new(config, self.local.clone(), Families::Both);
        self.knockd = Some(knockd.context("knockd 0.8 would not start")?);
        Ok(())
    }

    fn judge(&mut self, frame: &Frame<'_>) -> anyhow::Result<()> {
        self.totals.count_packet(frame.at, frame.captured.len());
        self.totals.judged += 1;
        // The bits above tell of frame check sequences.
        let link = LinkLayer::from_link_type(frame.link_type & 0xffff).with_context(|| {
            let name = self.names.get(frame.trace).map_or("trace", String::as_str);
            format!("{name}: frame {}", frame.number)
        })?;
        self.close_until(Some(frame.at)).map_err(OutputError)?;
        let Some(knockd) = &mut self.knockd else { return Ok(()) };
        knockd.handle_frame(link, frame.captured, frame.at);
        self.drain(Some(frame)).map_err(OutputError)?;
        Ok(())
    }

    /// Passes the model's decisions on.
    fn drain(&mut self, frame: Option<&Frame<'_>>) -> std::io::Result<()> {
        let mut cause = None;
        while let Some(decision) = self.knockd.as_mut().and_then(Knockd08::poll_output) {
            let cause = *cause.get_or_insert_with(|| frame.map(cause_of).unwrap_or_default());
            self.totals.count_decision(&decision);
            self.report.decision(&decision, &cause)?;
            self.schedule(&decision);
        }
        if cause.is_some() && self.live { self.report.flush() } else { Ok(()) }
    }

    fn schedule(&mut self, decision: &Decision) {
        if let Decision::Open { step, commands: Commands::Run { stop: Some(stop), .. } } = decision
        {
            let (door, source) = (step.door.clone(), step.source);
            let command = stop.command.clone();
            let close = Close { at: stop.at, door, source, command };
            self.closes.insert((stop.at, self.openings), close);
            self.openings += 1;
        }
    }

    /// Tells the stop commands up to a time, or all of them.
    fn close_until(&mut self, until: Option<Timestamp>) -> std::io::Result<()> {
        while let Some(entry) = self.closes.first_entry() {
            if until.is_some_and(|until| entry.key().0 > until) {
                break;
            }
            let close = entry.remove();
            if let Some(totals) = self.totals.doors.get_mut(close.door.index) {
                totals.closes += 1;
            }
            self.report.close(&close)?;
        }
        Ok(())
    }
}

impl Judge for OriginalSession {
    fn read(&mut self, traces: &mut Traces<File>, progress: &mut Progress) -> anyhow::Result<()> {
        // The first frame is copied: reading it tells the addresses that the model starts with.
        if let Some(first) = traces.next()? {
            let captured = first.captured.to_vec();
            let Frame { at, link_type, original, number, trace, .. } = first;
            self.start(traces)?;
            let captured = captured.as_slice();
            self.judge(&Frame { at, link_type, captured, original, number, trace })?;
        }
        loop {
            if self.totals.packets.is_multiple_of(Progress::INTERVAL) {
                progress.update(traces);
            }
            let Some(frame) = traces.next()? else { break };
            self.judge(&frame)?;
        }
        Ok(())
    }

    fn totals(&mut self) -> &mut Totals {
        &mut self.totals
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        if let Some(knockd) = &mut self.knockd {
            knockd.finish();
        }
        self.drain(None)?;
        self.close_until(None)?;
        self.report.finish(&self.totals)?;
        Ok(())
    }
}

pub(crate) fn cause_of(frame: &Frame<'_>) -> Cause {
    let link = LinkType::from_linktype(frame.link_type).ok();
    let segment = link.and_then(|link| wire::decode(link, frame.captured).ok());
    Cause {
        origin: Some(Origin { trace: frame.trace, frame: frame.number }),
        packet: segment.map(|segment| segment.packet()),
    }
}
