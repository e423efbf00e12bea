//! One sentence for each door: what happened, and what would help.

use std::net::IpAddr;

use knock_engine::Disregard;
use knock_engine::config::{Door, Knock, Sequence};
use knock_engine::output::EventKind;
use knock_engine::packet::{Packet, Protocol, Transport};

use super::story::{DoorStory, Failure, FailureKind, Opening};
use crate::report::advice::{self, Port};
use crate::report::format::{Counted, Span};

/// How things ended at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Mood {
    Opened,
    Failed,
    /// The source had nothing to do with the door.
    Nothing,
}

/// A source at a door, and what is known of the two.
#[derive(Clone, Copy)]
pub(super) struct Case<'a> {
    pub(super) source: IpAddr,
    pub(super) door: &'a Door,
    /// The sequence that opens the door; none where all lines of its one-time file are used.
    pub(super) sequence: Option<&'a Sequence>,
    pub(super) story: Option<&'a DoorStory>,
}

/// Says what happened between a source and a door.
pub(super) fn sentence(case: &Case<'_>) -> (Mood, String) {
    let Some(story) = case.story else {
        return (Mood::Nothing, format!("no packet from {} had to do with it", case.source));
    };
    if let Some(opening) = &story.opening {
        return (Mood::Opened, opened(case, story, opening));
    }
    if story.is_locked_out || reason(story, Disregard::LockedOut).is_some() {
        return (Mood::Failed, locked_out(case.door));
    }
    if let Some(failure) = &story.failure {
        return (Mood::Failed, failed(case, failure));
    }
    match disregarded(case, story) {
        Some(text) => (Mood::Failed, text),
        None => (Mood::Nothing, format!("no packet from {} was a knock at it", case.source)),
    }
}

fn opened(case: &Case<'_>, story: &DoorStory, opening: &Opening) -> String {
    let window = Span(case.door.seq_timeout);
    let times = match story.opens {
        1 => String::new(),
        more => format!(" {}, the first time", Counted(more, "time")),
    };
    let knocks = case.sequence.map_or(0, |sequence| sequence.knocks().len());
    let within =
        if knocks == 1 { String::new() } else { format!(" in {} of {window}", Span(opening.took)) };
    let mut text = format!("opened{times}{within}");
    match opening.outcome {
        Some(EventKind::Refused) => {
            text.push_str(
                ", but as many doors were open as max_leases allows: nothing ran; raise max_leases",
            );
        }
        _ if case.door.start_command(case.source).is_none() => {
            text.push_str(", but the door has no start_command: nothing happens when it opens");
        }
        _ => text.push_str(&after_opening(case, story, opening)),
    }
    if let Some(failure) = story.failure.as_ref().filter(|failure| failure.at <= opening.at) {
        text.push_str(". The attempt before that failed: ");
        text.push_str(&failed(case, failure));
    }
    text
}

/// What became of the guarded port after the door had opened.
fn after_opening(case: &Case<'_>, story: &DoorStory, opening: &Opening) -> String {
    if story.tried_in_time {
        return String::new();
    }
    if let Some(foreign) = story.foreign {
        let after = foreign.at.saturating_duration_since(opening.at);
        return format!(
            ". The guarded port {} was tried from {} {} after {} opened it: set grant, or knock \
             over the same path",
            foreign.port,
            foreign.source,
            Span(after),
            case.source
        );
    }
    story.tried_late.map_or_else(String::new, |(port, late)| {
        format!(
            ". The guarded port {port} was tried only {} after the door had closed: connect within \
             {}, or raise cmd_timeout",
            Span(late),
            Span(case.door.cmd_timeout)
        )
    })
}

fn locked_out(door: &Door) -> String {
    door.failure_limit.map_or_else(
        || "it ignored the source".to_owned(),
        |limit| {
            format!(
                "locked out for {} after {} within {}: wait, or raise max_failures",
                Span(limit.lockout),
                Counted(u64::from(limit.max_failures), "failed attempt"),
                Span(limit.window)
            )
        },
    )
}

fn failed(case: &Case<'_>, failure: &Failure) -> String {
    let Failure { stage, of, .. } = *failure;
    let expected = failure.expected.map(Port::of);
    let number = stage + 1;
    if let (Some(knock), Some((why, packet))) = (failure.expected, failure.came_wrong)
        && knock.port.get() == packet.destination_port
    {
        return wrong_knock(case.door, knock, why, &packet);
    }
    match (failure.kind, expected) {
        (FailureKind::TimedOut, Some(expected)) => match failure.came_after {
            Some(lag) => advice::late(case.door, expected, number, lag),
            None => format!(
                "timed out after {} with {stage} of {of} knocks: {}",
                Span(case.door.seq_timeout),
                advice::missing(expected, number)
            ),
        },
        (FailureKind::OutOfOrder { by }, Some(expected)) => {
            let by = Port(by.0, by.1);
            match (failure.came_after, case.sequence) {
                (Some(lag), _) => advice::overtaken(expected, by, lag),
                (None, Some(sequence)) => advice::out_of_order(sequence, stage, by),
                (None, None) => format!("{by} came when {expected} was due"),
            }
        }
        (FailureKind::Strays, _) => advice::scanned(case.door.max_strays.unwrap_or_default()),
        (FailureKind::SequenceUsed, _) => {
            "another source used up the one-time sequence: knock the next one".to_owned()
        }
        (FailureKind::Evicted, _) => {
            "the table of attempts was full: knock again, or raise max_attempts".to_owned()
        }
        (FailureKind::TimedOut | FailureKind::OutOfOrder { .. }, None) => {
            format!("failed with {stage} of {of} knocks")
        }
    }
}

/// Says why no attempt ever began, by the reason nearest to success.
fn disregarded(case: &Case<'_>, story: &DoorStory) -> Option<String> {
    let first = case.sequence.and_then(|its| its.knocks().first().copied());
    if reason(story, Disregard::Disabled).is_some() {
        return Some("every one-time sequence is used up: add lines to the file".to_owned());
    }
    let as_knock = |packet: &Packet| {
        let knocks = case.sequence.map(Sequence::knocks).unwrap_or_default();
        knocks.iter().copied().find(|knock| knock.port.get() == packet.destination_port)
    };
    for why in [Disregard::WrongProtocol, Disregard::WrongFlags] {
        if let Some(packet) = reason(story, why)
            && let Some(knock) = as_knock(packet)
        {
            return Some(wrong_knock(case.door, knock, why, packet));
        }
    }
    if let (Some(packet), Some(first)) = (reason(story, Disregard::NotFirstKnock), first) {
        let came = Port(packet.protocol(), packet.destination_port);
        return Some(format!(
            "{came} came, but a knock begins with {}, which never came: it was lost on the way, \
             filtered before this host, or never sent",
            Port::of(first)
        ));
    }
    if reason(story, Disregard::Denied).is_some() {
        return Some(format!("{} is kept out by the door's allow or deny list", case.source));
    }
    reason(story, Disregard::WrongTarget)
        .filter(|packet| as_knock(packet).is_some())
        .map(|packet| wrong_target(case.door, packet))
}

fn wrong_target(door: &Door, packet: &Packet) -> String {
    let sent = packet.destination;
    if door.targets.is_empty() {
        return format!(
            "the knocks went to {sent}, which is no address of this host: knock at its own \
             address, or correct --local"
        );
    }
    let targets: Vec<String> = door.targets.iter().map(ToString::to_string).collect();
    format!("the knocks went to {sent}, the door watches its target {}", targets.join(", "))
}

/// Says how a knock came that was none.
fn wrong_knock(door: &Door, knock: Knock, why: Disregard, packet: &Packet) -> String {
    let name = |protocol: Protocol| match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    match packet.transport {
        Transport::Tcp { flags, .. } if why == Disregard::WrongFlags => {
            let flags = if flags.is_empty() { "no flags".to_owned() } else { flags.to_string() };
            format!("{} came with {flags}, the door wants tcpflags {}", knock.port, door.flags)
        }
        Transport::Tcp { .. } | Transport::Udp => format!(
            "{} came by {}, the sequence wants {}",
            knock.port,
            name(packet.protocol()),
            name(knock.protocol)
        ),
    }
}

fn reason(story: &DoorStory, why: Disregard) -> Option<&Packet> {
    story.disregarded.iter().find(|(known, _, _)| *known == why).map(|(_, packet, _)| packet)
}
