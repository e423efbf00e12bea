//! One sentence for each door: what happened, and what would help.

use std::net::IpAddr;

use knock_engine::Disregard;
use knock_engine::config::{Door, Knock, Sequence};
use knock_engine::packet::{Packet, Transport};

use super::door_story::{DoorStory, Failure, FailureKind, Opening, StaleStep};
use super::guard::ForeignTry;
use crate::report::advice::{self, Port};
use knock_frontend::format::{Counted, Span, Times};

/// How things ended at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Mood {
    Opened,
    Failed,
    /// The source had nothing to do with the door.
    Nothing,
}

/// Why a door without a sequence opens for nobody.
const USED_UP: &str = "every one-time sequence is used up: add lines to the file";

/// A source at a door, and what is known of the two.
#[derive(Clone, Copy)]
pub(crate) struct Case<'a> {
    pub(crate) source: IpAddr,
    pub(crate) door: &'a Door,
    /// The sequence that opens the door; none where all lines of its one-time file are used.
    pub(crate) sequence: Option<&'a Sequence>,
    pub(crate) story: Option<&'a DoorStory>,
}

/// Says what happened between a source and a door.
pub(crate) fn sentence(case: &Case<'_>) -> (Mood, String) {
    let Some(story) = case.story else {
        let text = match case.sequence {
            Some(_) => format!("no packet from {} had to do with it", case.source),
            None => USED_UP.to_owned(),
        };
        return (Mood::Nothing, text);
    };
    if let Some(opening) = &story.opening {
        return (Mood::Opened, opened(case, story, opening));
    }
    if story.is_locked_out {
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
    let mut text = opened_so(case, story, opening);
    if story.opens == story.refused {
        text.push_str(
            ", but as many doors were open as max_leases allows: nothing ran; raise max_leases",
        );
    } else if case.door.start_command(case.source).is_none() {
        text.push_str(", but the door has no start_command: nothing happens when it opens");
    } else {
        if story.suppressed > 0 {
            let (times, cooldown) = (Times(story.suppressed), Span(case.door.cooldown));
            text.push_str(&format!(
                ", {times} within the cooldown of {cooldown}: nothing ran then"
            ));
        }
        if story.refused > 0 {
            let times = Times(story.refused);
            text.push_str(&format!(", {times} beyond max_leases: nothing ran then; raise it"));
        }
        text.push_str(&after_opening(case, story));
    }
    if let Some(failure) = &story.failure {
        let is_earlier = failure.at <= opening.at;
        let which = if is_earlier { "The attempt before that" } else { "A later attempt" };
        text.push_str(&format!(". {which} failed: {}", failed(case, failure)));
    }
    text
}

/// Says how often it opened, and how fast.
fn opened_so(case: &Case<'_>, story: &DoorStory, opening: &Opening) -> String {
    let within = format!("in {} of {}", Span(opening.took), Span(case.door.seq_timeout));
    let is_single = case.sequence.is_some_and(|sequence| sequence.knocks().len() == 1);
    match (story.opens, is_single) {
        (1, true) => "opened at its only knock".to_owned(),
        (1, false) => format!("opened {within}"),
        (opens, true) => format!("opened {}", Times(opens)),
        (opens, false) => format!("opened {}, the first time {within}", Times(opens)),
    }
}

/// What became of the guarded port after the door had opened.
fn after_opening(case: &Case<'_>, story: &DoorStory) -> String {
    if story.tries.in_time {
        return String::new();
    }
    if let Some(ForeignTry { source, port, after }) = story.tries.foreign {
        let help = if source.is_ipv4() == case.source.is_ipv4() {
            "set grant, with %NET% in the commands, or knock over the same path"
        } else {
            "knock and connect over the same version of IP"
        };
        return format!(
            ". The guarded port {port} was tried from {source} {} after {} opened it: {help}",
            Span(after),
            case.source
        );
    }
    story.tries.late.map_or_else(String::new, |(port, late)| {
        let when = if late.is_zero() {
            "just when the door closed".to_owned()
        } else {
            format!("only {} after the door had closed", Span(late))
        };
        let window = Span(case.door.cmd_timeout);
        format!(
            ". The guarded port {port} was tried {when}: connect within {window}, or raise \
             cmd_timeout"
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
        (FailureKind::ClockStep, _) => {
            format!("the clock stepped back after {stage} of {of} knocks: knock again")
        }
        (FailureKind::TimedOut | FailureKind::OutOfOrder { .. }, None) => {
            format!("failed with {stage} of {of} knocks")
        }
    }
}

/// Says why no attempt ever began, by the reason nearest to success.
fn disregarded(case: &Case<'_>, story: &DoorStory) -> Option<String> {
    if story.disregarded(Disregard::Disabled).is_some() {
        return Some(USED_UP.to_owned());
    }
    let knocks = case.sequence.map(Sequence::knocks).unwrap_or_default();
    for why in [Disregard::WrongProtocol, Disregard::WrongFlags] {
        if let Some(packet) = story.disregarded(why)
            && let Some(knock) = knocks.iter().find(|its| its.port.get() == packet.destination_port)
        {
            return Some(wrong_knock(case.door, *knock, why, packet));
        }
    }
    if let (Some(packet), Some(first)) =
        (story.disregarded(Disregard::NotFirstKnock), knocks.first())
    {
        let came = Port(packet.protocol(), packet.destination_port);
        return Some(format!(
            "{came} came, but a knock begins with {}, which never came: it was lost on the way, \
             filtered before this host, or never sent",
            Port::of(*first)
        ));
    }
    if story.disregarded(Disregard::Denied).is_some() {
        return Some(denied(case));
    }
    if let Some(packet) = story.disregarded(Disregard::WrongTarget) {
        return Some(wrong_target(case.door, packet));
    }
    story.stale.map(stale)
}

/// Says which list keeps a source out.
fn denied(case: &Case<'_>) -> String {
    let Case { source, door, .. } = case;
    match door.deny.iter().find(|net| net.contains(source)) {
        Some(net) if net.prefix_len() == net.max_prefix_len() => {
            format!("{source} is on the door's deny list")
        }
        Some(net) => format!("{source} is in {net}, which is on the door's deny list"),
        None => format!("{source} is not on the door's allow list"),
    }
}

/// Says why a step of a one-time sequence counted for nothing.
fn stale(step: StaleStep) -> String {
    let port = Port::of(step.knock);
    if step.is_used {
        format!("{port} belongs to a one-time sequence that was used: knock the next one")
    } else {
        format!("{port} belongs to a one-time sequence whose turn has not come: keep their order")
    }
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
    let plural = if targets.len() == 1 { "" } else { "s" };
    let targets = targets.join(", ");
    format!("the knocks went to {sent}, the door watches its target{plural} {targets}")
}

/// Says how a knock came that was none.
fn wrong_knock(door: &Door, knock: Knock, why: Disregard, packet: &Packet) -> String {
    match packet.transport {
        Transport::Tcp { flags, .. } if why == Disregard::WrongFlags => {
            let flags = if flags.is_empty() { "no flags".to_owned() } else { flags.to_string() };
            format!("{} came with {flags}, the door wants tcpflags {}", knock.port, door.flags)
        }
        Transport::Tcp { .. } | Transport::Udp => {
            advice::wrong_protocol(Port::of(knock), packet.protocol())
        }
    }
}
