//! What kept a knock from opening on the other side, in words.

use std::time::Duration;

use knock_engine::Disregard;
use knock_engine::output::ResetReason;
use knock_frontend::format::Span;

use super::detail::{Entry, What};
use crate::report::advice::Port;

/// What kept a knock from opening.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// The config has no such door.
    NoDoor,
    /// A knock came after the attempt's window had closed.
    Late { number: u8, lag: Duration },
    /// A knock came where another one was due.
    OutOfOrder { number: u8, port: Option<Port> },
    /// Too many other ports were hit.
    Strays { number: u8 },
    /// Another source used up the one-time sequence.
    SequenceUsed,
    /// The attempt made room for others.
    Evicted,
    /// The source is locked out.
    LockedOut,
    /// A knock is none of the door's business.
    Disregarded { number: u8, reason: Disregard },
    /// A knock counts as another one.
    Counts { number: u8, as_number: u8 },
    /// A knock is taken for one that came before.
    Again { number: u8 },
    /// The sequence is longer.
    Longer,
    /// The original lost it, for this reason.
    Lost(String),
    /// Nothing that was seen tells.
    Unknown,
}

impl Obstacle {
    /// Finds where the other side parts from the knocks that led to an opening.
    pub(super) fn find(knocks: &[(u8, &Entry)], other: &[Entry]) -> Self {
        let mut before = knocks.first().map_or(0, |(_, entry)| entry.at.as_nanos());
        for (number, knock) in knocks {
            let of_packet = other.iter().filter(|its| its.origin == knock.origin);
            let whats: Vec<&What> = of_packet.map(|its| &its.what).collect();
            if whats.iter().any(|what| **what == What::Stage(*number)) {
                before = knock.at.as_nanos();
                continue;
            }
            let in_between = || {
                let until = knock.at.as_nanos();
                other.iter().filter(move |its| (before..=until).contains(&its.at.as_nanos()))
            };
            let found = in_between().rev().find_map(|its| match &its.what {
                What::Timeout(_) => {
                    let lag = knock.at.saturating_duration_since(its.at);
                    Some(Self::Late { number: *number, lag })
                }
                What::Reset(ResetReason::OutOfOrder) => {
                    Some(Self::OutOfOrder { number: *number, port: its.port })
                }
                What::Reset(ResetReason::Strays) => Some(Self::Strays { number: *number }),
                What::Reset(ResetReason::SequenceUsed) => Some(Self::SequenceUsed),
                What::Evicted => Some(Self::Evicted),
                What::LockedOut => Some(Self::LockedOut),
                What::Lost(reason) => Some(Self::Lost(reason.clone())),
                What::Stage(_)
                | What::Open
                | What::Again
                | What::Disregarded(_)
                | What::Orphaned => None,
            });
            return found.unwrap_or_else(|| Self::of_packet(*number, &whats));
        }
        let has_opened = other.iter().any(|its| its.what == What::Open);
        if has_opened || knocks.is_empty() { Self::Unknown } else { Self::Longer }
    }

    fn of_packet(number: u8, whats: &[&What]) -> Self {
        for what in whats {
            match what {
                What::Disregarded(Disregard::LockedOut) => return Self::LockedOut,
                What::Disregarded(reason) => return Self::Disregarded { number, reason: *reason },
                What::Stage(as_number) => return Self::Counts { number, as_number: *as_number },
                What::Again => return Self::Again { number },
                What::Open
                | What::Reset(_)
                | What::Timeout(_)
                | What::LockedOut
                | What::Evicted
                | What::Orphaned
                | What::Lost(_) => {}
            }
        }
        Self::Unknown
    }

    /// Returns a name for programs.
    pub(super) const fn name(&self) -> &'static str {
        match self {
            Self::NoDoor => "no_door",
            Self::Late { .. } => "late",
            Self::OutOfOrder { .. } => "out_of_order",
            Self::Strays { .. } => "strays",
            Self::SequenceUsed => "sequence_used",
            Self::Evicted => "evicted",
            Self::LockedOut => "locked_out",
            Self::Disregarded { reason, .. } => reason.name(),
            Self::Counts { .. } => "other_knock",
            Self::Again { .. } => "repeat",
            Self::Longer => "longer_sequence",
            Self::Lost(_) => "lost",
            Self::Unknown => "unknown",
        }
    }

    /// Returns the number of the knock at which the sides part, where it is one.
    pub(super) const fn number(&self) -> Option<u8> {
        match self {
            Self::Late { number, .. }
            | Self::OutOfOrder { number, .. }
            | Self::Strays { number }
            | Self::Disregarded { number, .. }
            | Self::Counts { number, .. }
            | Self::Again { number } => Some(*number),
            Self::NoDoor
            | Self::SequenceUsed
            | Self::Evicted
            | Self::LockedOut
            | Self::Longer
            | Self::Lost(_)
            | Self::Unknown => None,
        }
    }

    /// Returns it as a part of a sentence, of what is now or of what was before.
    pub(super) fn text(&self, tense: Tense) -> String {
        let now = tense == Tense::Now;
        let (is, comes, now_) = if now { ("is", "comes", "now ") } else { ("was", "came", "") };
        match self {
            Self::NoDoor if now => "the door is gone".to_owned(),
            Self::NoDoor => "there was no such door".to_owned(),
            Self::Late { number, lag } if lag.is_zero() => {
                format!("its {} knock {now_}{comes} just when the time {is} over", ordinal(*number))
            }
            Self::Late { number, lag } => {
                format!("its {} knock {now_}{comes} {} too late", ordinal(*number), Span(*lag))
            }
            Self::OutOfOrder { number, port } => {
                let port = port.map(|port| format!("{port} ")).unwrap_or_default();
                format!("{port}{comes} where its {} knock {is} due", ordinal(*number))
            }
            Self::Strays { number } => {
                let number = ordinal(*number);
                format!("it {is} broken by other ports before its {number} knock (max_strays)")
            }
            Self::SequenceUsed => {
                format!(
                    "another source {} the one-time sequence",
                    if now { "uses" } else { "used" }
                )
            }
            Self::Evicted => {
                format!("it {} room for other attempts", if now { "makes" } else { "made" })
            }
            Self::LockedOut => format!("the source {is} locked out"),
            Self::Disregarded { number, reason } => disregarded(*number, *reason, now),
            Self::Counts { number, as_number } => {
                let (number, other) = (ordinal(*number), ordinal(*as_number));
                format!(
                    "its {number} knock {} as the {other}",
                    if now { "counts" } else { "counted" }
                )
            }
            Self::Again { number } => {
                format!("its {} knock {is} taken for a repeat", ordinal(*number))
            }
            Self::Longer => {
                format!("its sequence {is} longer: the next knock {} not come", did(now))
            }
            Self::Lost(reason) => format!("knockd 0.8 lost it: {reason}"),
            Self::Unknown => "nothing in the capture tells why".to_owned(),
        }
    }
}

fn did(now: bool) -> &'static str {
    if now { "does" } else { "did" }
}

/// When something is true.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tense {
    Now,
    Before,
}

fn disregarded(number: u8, reason: Disregard, now: bool) -> String {
    let (is, number) = (if now { "is" } else { "was" }, ordinal(number));
    match reason {
        Disregard::Disabled => format!("no one-time sequence {is} left"),
        Disregard::WrongTarget => format!("its {number} knock {is} at an address not watched"),
        Disregard::Denied => format!("the source {is} kept out by allow or deny"),
        Disregard::LockedOut => format!("the source {is} locked out"),
        Disregard::WrongFlags => format!("its {number} knock {} other flags", has(now)),
        Disregard::WrongProtocol => format!("its {number} knock {is} of the other protocol"),
        Disregard::NotFirstKnock => format!("its {number} knock {is} no first knock"),
        Disregard::OtherPort => format!("its {number} knock {is} at a port of no knock"),
    }
}

fn has(now: bool) -> &'static str {
    if now { "has" } else { "had" }
}

/// Returns `first` to `tenth`, then `11th`.
fn ordinal(number: u8) -> String {
    const NAMES: [&str; 10] = [
        "first", "second", "third", "fourth", "fifth", "sixth", "seventh", "eighth", "ninth",
        "tenth",
    ];
    let name = usize::from(number).checked_sub(1).and_then(|index| NAMES.get(index));
    if let Some(name) = name {
        return (*name).to_owned();
    }
    let suffix = match (number % 10, number % 100) {
        (_, 11..=13) => "th",
        (1, _) => "st",
        (2, _) => "nd",
        (3, _) => "rd",
        _ => "th",
    };
    format!("{number}{suffix}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_words_up_to_ten() {
        let told = [1, 3, 10, 11, 12, 13, 21, 22, 23, 24, 0].map(ordinal);
        let expected = [
            "first", "third", "tenth", "11th", "12th", "13th", "21st", "22nd", "23rd", "24th",
            "0th",
        ];
        assert_eq!(told, expected);
    }
}
