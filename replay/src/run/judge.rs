//! From frames to outputs: the loop of a run.

use std::fs::File;

use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, Segment};
use knock_engine::{Engine, HashKey};

use super::link::LinkTypes;
use super::progress::Progress;
use super::{Judge, OutputError};
use crate::report::{Doors, LocalOrigin, Origin, Report, Totals};
use crate::trace::Traces;

/// An engine at work, with what it tells and what is counted.
pub(super) struct Session {
    engine: Engine,
    doors: Doors,
    /// The traces' names for messages.
    pub(super) names: Vec<String>,
    totals: Totals,
    report: Box<dyn Report>,
    /// Whether every line must appear at once.
    pub(super) live: bool,
    /// How many recorded local addresses the engine knows.
    recorded: usize,
    links: LinkTypes,
}

impl Session {
    /// The key of the engine's tables. No output depends on it (S15).
    const KEY: HashKey = HashKey([0x736573616d65, 0x6b6e6f636b]);

    pub(super) fn new(
        config: Config,
        local: LocalAddresses,
        totals: Totals,
        report: Box<dyn Report>,
    ) -> Self {
        let doors = Doors::new(&config.doors);
        let engine = Engine::new(config, local, Self::KEY);
        Self {
            engine,
            doors,
            names: Vec::new(),
            totals,
            report,
            live: false,
            recorded: 0,
            links: LinkTypes::default(),
        }
    }

    /// Tells the engine of local addresses that a pcapng has told since the last packet (S4).
    fn take_recorded_addresses(&mut self, traces: &Traces<File>) {
        let recorded = traces.local_addresses();
        if recorded.len() == self.recorded || self.totals.local == LocalOrigin::Given {
            return;
        }
        self.recorded = recorded.len();
        self.totals.local = LocalOrigin::Recorded;
        let local = LocalAddresses::Known(recorded.to_vec());
        self.report.local_addresses(&local);
        self.engine.handle_local_addresses(local);
    }

    fn judge(&mut self, packet: &Packet, at: Timestamp, origin: Origin) -> std::io::Result<()> {
        self.totals.judged += 1;
        self.engine.handle_packet(packet, at);
        let told = self.drain(Some(origin))?;
        self.report.packet(packet, at, origin)?;
        if told && self.live { self.report.flush() } else { Ok(()) }
    }

    /// Passes the engine's outputs on; tells whether there were any.
    fn drain(&mut self, origin: Option<Origin>) -> std::io::Result<bool> {
        let mut told = false;
        while let Some(output) = self.engine.poll_output() {
            self.totals.count_output(&output, &self.doors);
            self.report.output(&output, origin)?;
            told = true;
        }
        Ok(told)
    }
}

impl Judge for Session {
    fn read(&mut self, traces: &mut Traces<File>, progress: &mut Progress) -> anyhow::Result<()> {
        loop {
            if self.totals.packets.is_multiple_of(Progress::INTERVAL) {
                progress.update(traces);
            }
            let Some(frame) = traces.next()? else { break };
            self.totals.count_packet(frame.at, frame.captured.len());
            let link = self.links.of(&frame, &self.names)?;
            match wire::decode(link, frame.captured) {
                Ok(segment) if may_concern(&self.engine, &segment) => {
                    let (packet, at) = (segment.packet(), frame.at);
                    let origin = Origin { trace: frame.trace, frame: frame.number };
                    self.take_recorded_addresses(traces);
                    self.judge(&packet, at, origin).map_err(OutputError)?;
                }
                Ok(_) => self.totals.irrelevant += 1,
                Err(undecoded) => self.totals.count_skipped(undecoded.name()),
            }
        }
        Ok(())
    }

    fn totals(&mut self) -> &mut Totals {
        &mut self.totals
    }

    fn finish(&mut self) -> Result<(), OutputError> {
        while let Some(deadline) = self.engine.poll_timeout() {
            self.engine.handle_timeout(deadline.at);
            self.drain(None)?;
        }
        self.report.finish(&self.totals)?;
        Ok(())
    }
}

/// Tells whether some door may care for a packet, by its port and flags alone.
fn may_concern(engine: &Engine, segment: &Segment<'_>) -> bool {
    let flags = segment.tcp_flags().unwrap_or(TcpFlags::NONE);
    engine.is_candidate(segment.protocol(), segment.destination_port(), flags)
}
