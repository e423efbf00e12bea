//! What the model of knockd 0.8 tells: its decisions, and why a knock was lost.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use knock_engine::time::Timestamp;

/// A door: its place in the config (from 0) and its name; names need not be unique (R51).
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct DoorRef {
    /// The place among the config's doors.
    pub index: usize,
    /// The name, without what goes beyond 127 bytes.
    pub name: Arc<str>,
}

/// How far a source is at a door.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// When: the stamp of the packet that brought it to light.
    pub at: Timestamp,
    /// The source; [`address_text`](super::address_text) prints it as knockd does.
    pub source: IpAddr,
    /// The door.
    pub door: DoorRef,
    /// The number of knocks matched.
    pub stage: usize,
    /// The number of knocks in the sequence.
    pub of: usize,
}

/// One thing that knockd 0.8 would have done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decision {
    /// The next knock came, or the first: the log says `Stage N` (R29).
    Stage(Step),
    /// The sequence is complete: the log says `OPEN SESAME` (R32).
    Open {
        /// The last knock; stage and length are equal.
        step: Step,
        /// What runs (R37-R40).
        commands: Commands,
    },
    /// The log says `sequence timeout`: noticed at this packet, whoever sent it (R21).
    Timeout(Step),
    /// A knock that counted for nothing, or an attempt with all its knocks. knockd is silent
    /// about it, except that a [`Decision::Timeout`] stands before an expired attempt.
    Lost {
        /// The attempt; stage 0 where the packet would have been a first knock.
        step: Step,
        /// Why.
        reason: LossReason,
    },
    /// The door's last one-time sequence is used, and knockd goes on without the door.
    ///
    /// This happens only on an interface without an IPv4 address. Other sources' attempts at the
    /// door then refer to freed memory; the model drops them.
    Disabled {
        /// When.
        at: Timestamp,
        /// The door.
        door: DoorRef,
    },
    /// knockd ends, and with it every door; nothing comes after this.
    Crash {
        /// When.
        at: Timestamp,
        /// The door whose one-time sequence was used.
        door: DoorRef,
        /// How it ends.
        cause: CrashCause,
    },
}

/// How knockd ends by itself while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CrashCause {
    /// The last one-time sequence was used: memory is freed twice, SIGABRT (R45).
    LastSequence,
    /// The filter for the next one-time sequence can match nothing: exit status 1 (R7).
    FilterRejectsAll,
}

/// The commands of an opening, expanded for its source.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Commands {
    /// There is no start command: nothing runs, not even a stop command (R37).
    None,
    /// A command is 4,096 bytes or longer when expanded: nothing runs (R38).
    TooLong,
    /// The start command, and the stop command where there is one.
    Run {
        /// What `sh -c` gets at once.
        start: String,
        /// What it gets later.
        stop: Option<Stop>,
    },
}

/// A stop command.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Stop {
    /// When it runs if the start command takes no time: `cmd_timeout` seconds after the opening,
    /// whatever other openings of the source there are (R41).
    pub at: Timestamp,
    /// `cmd_timeout` in seconds, as `sleep` takes it (-1 is 4294967295).
    pub cmd_timeout_s: u32,
    /// The command; it may be empty and runs all the same.
    pub command: String,
}

/// Why a knock or an attempt was lost.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum LossReason {
    /// The first attempt in knockd's list ended, and all others were forgotten with it (R19).
    Forgotten {
        /// Whose attempt it was.
        head: IpAddr,
        /// At which door.
        head_door: DoorRef,
        /// How it ended.
        end: HeadEnd,
    },
    /// The window was over (R20).
    Expired,
    /// The window was over in whole seconds only (R20).
    WholeSeconds {
        /// How much of it was left.
        left: Duration,
    },
    /// Another packet came than the next knock (R24).
    WrongPacket,
    /// The knock that was matched last came again, such as a SYN sent twice (R27).
    Repeated,
    /// The next knock of an attempt that is gone: it starts nothing (R17).
    Orphaned,
    /// A first knock, but it made an attempt of its source fail and so starts nothing (R26).
    FailedAnother {
        /// The door where the attempt failed.
        failed: DoorRef,
    },
    /// A first knock, but its source was at another door (R28).
    Blocked {
        /// That door.
        by: DoorRef,
    },
    /// The door's next one-time sequence is so short that the attempt counts as completed and
    /// is cleared away without opening (R46).
    SequenceShrank,
    /// The filter still has the ports of a one-time sequence that was used (R48).
    StaleFilter,
    /// The frame has a VLAN tag (R9).
    VlanTag,
    /// An IPv6 extension header stands before the knock (R11).
    Ipv6Extension,
    /// knockd reads no IPv6 on this link layer (R8).
    Ipv6OnThisLink,
    /// The capture ended first.
    Unfinished,
}

/// How the first attempt in the list ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum HeadEnd {
    /// Its door opened.
    Completed,
    /// A packet made it fail.
    Failed,
    /// It expired.
    Expired,
}

impl LossReason {
    /// Returns the reason's name, one word for machines.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Forgotten { .. } => "forgotten",
            Self::Expired => "expired",
            Self::WholeSeconds { .. } => "whole_seconds",
            Self::WrongPacket => "wrong_packet",
            Self::Repeated => "repeated",
            Self::Orphaned => "orphaned",
            Self::FailedAnother { .. } => "failed_another",
            Self::Blocked { .. } => "blocked",
            Self::SequenceShrank => "sequence_shrank",
            Self::StaleFilter => "stale_filter",
            Self::VlanTag => "vlan_tag",
            Self::Ipv6Extension => "ipv6_extension",
            Self::Ipv6OnThisLink => "ipv6_on_this_link",
            Self::Unfinished => "unfinished",
        }
    }
}

impl fmt::Display for LossReason {
    /// Writes one plain sentence.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Forgotten { head, head_door, end } => {
                let head = super::address_text(*head);
                let door = &head_door.name;
                let end = match end {
                    HeadEnd::Completed => "opened its door",
                    HeadEnd::Failed => "failed",
                    HeadEnd::Expired => "expired",
                };
                write!(
                    f,
                    "the oldest attempt, of {head} at {door:?}, {end}, and knockd forgets everyone \
                     else's with it"
                )
            }
            Self::Expired => f.write_str("the window was over"),
            Self::WholeSeconds { left } => write!(
                f,
                "knockd counts whole seconds: {left:?} of the window were left, but the seconds' \
                 digits were already that far apart"
            ),
            Self::WrongPacket => {
                f.write_str("another packet came than the next knock: the attempt fails")
            }
            Self::Repeated => f.write_str("the last knock came a second time: the attempt fails"),
            Self::Orphaned => f.write_str("its attempt is gone, and it is no first knock"),
            Self::FailedAnother { failed } => write!(
                f,
                "it made the attempt at {:?} fail, and a packet that does so begins none itself",
                failed.name
            ),
            Self::Blocked { by } => write!(
                f,
                "the source had an attempt at {:?}, and knockd lets it begin no other meanwhile",
                by.name
            ),
            Self::SequenceShrank => f.write_str(
                "the next one-time sequence is so short that the attempt was cleared away as \
                 completed",
            ),
            Self::StaleFilter => f.write_str(
                "knockd's capture filter still has the ports of a one-time sequence that is used up",
            ),
            Self::VlanTag => f.write_str("knockd does not see frames with a VLAN tag"),
            Self::Ipv6Extension => {
                f.write_str("knockd does not see IPv6 packets with an extension header")
            }
            Self::Ipv6OnThisLink => f.write_str("knockd reads no IPv6 on this link layer"),
            Self::Unfinished => f.write_str("the capture ended before the next knock"),
        }
    }
}
