//! One attempt of a source at a door while it goes on, and how it ended.

use std::time::Duration;

use knock_engine::output::{DoorEvent, EventKind, ResetReason};
use knock_engine::time::Timestamp;

use crate::explain::DoorStory;
use crate::report::Origin;

/// How an attempt ended, by the word of the event that tells it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Outcome {
    Open,
    Renew,
    Suppressed,
    Refused,
    Timeout,
    OutOfOrder,
    Strays,
    SequenceUsed,
    Evicted,
    ClockStep,
    /// It went on when the recording ended.
    Unfinished,
    /// It is none: packets to knock ports with which no attempt began.
    None,
}

impl Outcome {
    pub(super) const ALL: [Self; 12] = [
        Self::Open,
        Self::Renew,
        Self::Suppressed,
        Self::Refused,
        Self::Timeout,
        Self::OutOfOrder,
        Self::Strays,
        Self::SequenceUsed,
        Self::Evicted,
        Self::ClockStep,
        Self::Unfinished,
        Self::None,
    ];

    /// Returns its name on the page.
    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Open => "open",
            Self::Renew => "renew",
            Self::Suppressed => "suppressed",
            Self::Refused => "refused",
            Self::Timeout => "timeout",
            Self::OutOfOrder => "reset (out_of_order)",
            Self::Strays => "reset (strays)",
            Self::SequenceUsed => "reset (sequence_used)",
            Self::Evicted => "evicted",
            Self::ClockStep => "clock_step",
            Self::Unfinished => "unfinished",
            Self::None => "no attempt",
        }
    }

    /// Returns the outcome that an event tells of, if it does.
    pub(super) const fn of(event: &DoorEvent) -> Option<Self> {
        Some(match event.kind {
            EventKind::Open => Self::Open,
            EventKind::Renew => Self::Renew,
            EventKind::Suppressed => Self::Suppressed,
            EventKind::Refused => Self::Refused,
            EventKind::Timeout => Self::Timeout,
            EventKind::Reset(ResetReason::OutOfOrder) => Self::OutOfOrder,
            EventKind::Reset(ResetReason::Strays) => Self::Strays,
            EventKind::Reset(ResetReason::SequenceUsed) => Self::SequenceUsed,
            EventKind::Evicted => Self::Evicted,
            EventKind::Stage
            | EventKind::Duplicate
            | EventKind::Repeat
            | EventKind::Restart
            | EventKind::Stray
            | EventKind::Close
            | EventKind::Lockout => return None,
        })
    }

    /// Returns its place in [`ALL`](Self::ALL).
    pub(super) const fn index(self) -> usize {
        self as usize
    }
}

/// A packet of an attempt, or a deadline, with what it came to.
#[derive(Clone, Copy, Debug)]
pub(super) struct Row {
    pub(super) at: Timestamp,
    /// The verdicts, by their number among all words.
    pub(super) words: usize,
    /// The packet, by its number among all kinds of packets; none for a deadline.
    pub(super) packet: Option<usize>,
    /// What was left of the window, where the event tells it.
    pub(super) left: Option<Duration>,
    pub(super) origin: Option<Origin>,
}

/// An attempt, or a run of packets that began none.
#[derive(Debug)]
pub(super) struct Trial {
    /// Its place in the order in which they began.
    pub(super) serial: u64,
    pub(super) began: Timestamp,
    pub(super) ended: Timestamp,
    pub(super) outcome: Outcome,
    pub(super) rows: Vec<Row>,
    /// Rows that there was no room for.
    pub(super) unlisted: u64,
    pub(super) story: DoorStory,
    /// How many lines of the door's one-time file had been used.
    pub(super) used_lines: usize,
    /// What was left of the window when it opened.
    pub(super) margin: Option<Duration>,
    /// Knocks that matched, and knocks in the sequence.
    pub(super) progress: (u8, u8),
    /// The first distinct ports; two tell more than a stray packet.
    pub(super) ports: Vec<u16>,
}

impl Trial {
    /// The most rows; a source that repeats itself must not fill the page.
    const MAX_ROWS: usize = 200;

    pub(super) fn new(serial: u64, at: Timestamp, used_lines: usize) -> Self {
        Self {
            serial,
            began: at,
            ended: at,
            outcome: Outcome::Unfinished,
            rows: Vec::with_capacity(1),
            unlisted: 0,
            story: DoorStory::default(),
            used_lines,
            margin: None,
            progress: (0, 0),
            ports: Vec::new(),
        }
    }

    pub(super) fn push(&mut self, row: Row) {
        self.ended = self.ended.max(row.at);
        if self.rows.len() < Self::MAX_ROWS {
            self.rows.push(row);
        } else {
            self.unlisted += 1;
        }
    }

    pub(super) fn note_port(&mut self, port: u16) {
        if self.ports.len() < 2 && !self.ports.contains(&port) {
            self.ports.push(port);
        }
    }

    /// Tells whether nothing but a first knock, or no knock at all, ever came.
    pub(super) const fn is_plain(&self) -> bool {
        matches!(self.outcome, Outcome::Timeout | Outcome::Evicted | Outcome::None)
            && self.progress.0 <= 1
    }
}
