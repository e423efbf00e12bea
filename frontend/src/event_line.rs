//! An event as one flat record: the fields of `docs/FORMATS.md`, in their order.

use std::borrow::Cow;
use std::net::IpAddr;
use std::time::Duration;

use knock_engine::config::Command;
use knock_engine::output::{DoorEvent, EventKind, Progress, Trigger};
use serde::Serialize;

/// An event's line. The order of the fields is the order in which they are written.
#[derive(Debug, Serialize)]
pub struct EventLine<'a> {
    /// When it happened, as RFC 3339 with nine decimals.
    pub at: &'a str,
    /// The event's name.
    pub event: &'static str,
    /// The trace of the frame that brought it about: `Some(None)` is written as `null`, and `None`
    /// leaves the field out, for a line that knows of no traces at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub trace: Option<Option<&'a str>>,
    /// That frame's number in its trace, counted from 1; left out and `null` as `trace` is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frame: Option<Option<u64>>,
    /// `clock_step`: the time that had been reached before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub from: Option<&'a str>,
    /// The door's name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub door: Option<&'a str>,
    /// Who knocked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Where the packet went.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub destination: Option<IpAddr>,
    /// Knocks matched so far.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub stage: Option<u8>,
    /// Knocks in the sequence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub of: Option<u8>,
    /// The packet's protocol.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub protocol: Option<&'static str>,
    /// The packet's destination port.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port: Option<u16>,
    /// Since the attempt's previous matched knock, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub gap_ns: Option<u64>,
    /// Since the attempt's first knock, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub elapsed_ns: Option<u64>,
    /// Until the attempt's deadline, in nanoseconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_ns: Option<u64>,
    /// Why an attempt was broken, or how knockd ended.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// The command, expanded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub command: Option<Cow<'a, str>>,
}

impl<'a> EventLine<'a> {
    /// Makes a line that has nothing but its time and its name, and no frame that caused it.
    #[must_use]
    pub const fn new(at: &'a str, event: &'static str) -> Self {
        Self {
            at,
            event,
            trace: Some(None),
            frame: Some(None),
            from: None,
            door: None,
            source: None,
            destination: None,
            stage: None,
            of: None,
            protocol: None,
            port: None,
            gap_ns: None,
            elapsed_ns: None,
            margin_ns: None,
            reason: None,
            command: None,
        }
    }

    /// Makes a line of a live log, where there are no traces: it has only its time and its name.
    #[must_use]
    pub fn live(at: &'a str, event: &'static str) -> Self {
        Self { trace: None, frame: None, ..Self::new(at, event) }
    }

    /// Leaves out what tells a knock: the protocol and the port.
    pub const fn hide_knock(&mut self) {
        self.protocol = None;
        self.port = None;
    }

    /// Fills in what a door's event tells, but for the command of an `open`, which is not decided
    /// by the event alone.
    pub fn fill(&mut self, event: &DoorEvent) {
        self.source = Some(event.source);
        if let Trigger::Packet(packet) = event.trigger {
            self.destination = Some(packet.destination);
            self.protocol = Some(packet.protocol().name());
            self.port = Some(packet.destination_port);
        }
        if let Some(Progress { stage, of, gap, elapsed, margin }) = event.progress {
            self.stage = Some(stage);
            self.of = Some(of);
            self.gap_ns = gap.map(nanos);
            // Without an attempt there is nothing that could have lasted.
            self.elapsed_ns = (stage > 0).then(|| nanos(elapsed));
            self.margin_ns = (stage > 0).then(|| nanos(margin));
        }
        if let EventKind::Reset(reason) = event.kind {
            self.reason = Some(reason.name());
        }
        if event.kind == EventKind::Close {
            let command = event.door.stop_command(event.source);
            let expand =
                |command: &Command| Cow::Owned(command.expand(event.source, event.door.grant));
            self.command = command.map(expand);
        }
    }
}

/// Stamps are 64-bit nanoseconds, so every span between two of them fits.
fn nanos(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
