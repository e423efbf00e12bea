//! From frames to outputs: the loop of a run.

use std::fs::File;

use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, Segment, Undecoded};
use knock_engine::{Engine, HashKey};

use super::link::LinkTypes;
use super::progress::Progress;
use super::{Judge, OutputError};
use crate::report::{Doors, LocalOrigin, Origin, Report, Tally, Totals};
use crate::trace::{Frame, Traces};

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
    /// Frames that could not be decoded, by cause.
    skipped: [u64; Undecoded::ALL.len()],
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
            skipped: [0; _],
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
            progress.update(traces);
            let Self { engine, links, totals, skipped, .. } = self;
            let mut sieve = Sieve { engine, links, skipped, tally: Tally::default() };
            let found = traces.find(|frame| sieve.holds(frame));
            totals.add(&sieve.tally);
            let Some(frame) = found? else { break };
            let link = self.links.of(&frame, &self.names)?;
            let Ok(segment) = wire::decode(link, frame.captured) else { continue };
            if is_candidate(&self.engine, &segment) {
                let (packet, at) = (segment.packet(), frame.at);
                let origin = Origin { trace: frame.trace, frame: frame.number };
                self.take_recorded_addresses(traces);
                self.judge(&packet, at, origin).map_err(OutputError)?;
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
        for (cause, count) in Undecoded::ALL.into_iter().zip(self.skipped) {
            self.totals.count_skipped(cause.name(), count);
        }
        self.report.finish(&self.totals)?;
        Ok(())
    }
}

/// What a frame has to pass before it is looked at twice: the loop over a capture's background.
struct Sieve<'a> {
    engine: &'a Engine,
    links: &'a mut LinkTypes,
    skipped: &'a mut [u64; Undecoded::ALL.len()],
    tally: Tally,
}

impl Sieve<'_> {
    /// Counts a frame, and tells whether to stop at it: some door may care for it, its link type
    /// is news, or it is time to show how far the work is.
    #[inline]
    fn holds(&mut self, frame: &Frame<'_>) -> bool {
        self.tally.count(frame.at, frame.captured.len());
        let Some(link) = self.links.known(frame).or_else(|| self.links.learn(frame)) else {
            return true;
        };
        let is_candidate = match wire::glance(link, frame.captured) {
            Some(glance) => {
                self.engine.is_candidate(glance.protocol, glance.destination_port, glance.flags)
            }
            None => match wire::decode(link, frame.captured) {
                Ok(segment) => is_candidate(self.engine, &segment),
                Err(cause) => {
                    self.skipped[cause as usize] += 1;
                    return self.tally.is_time_to_look_up();
                }
            },
        };
        self.tally.irrelevant += u64::from(!is_candidate);
        is_candidate || self.tally.is_time_to_look_up()
    }
}

/// Tells whether some door may care for a packet, by its port and flags alone.
#[inline]
fn is_candidate(engine: &Engine, segment: &Segment<'_>) -> bool {
    let flags = segment.tcp_flags().unwrap_or(TcpFlags::NONE);
    engine.is_candidate(segment.protocol(), segment.destination_port(), flags)
}
