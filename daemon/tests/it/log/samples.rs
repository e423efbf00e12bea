//! One message of each kind.

use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::time::Duration;

use jiff::tz::{Offset, TimeZone};
use knock_engine::config::{Door, FailureLimit, parse};
use knock_engine::output::{DoorEvent, Event, EventKind, Progress, ResetReason, Trigger};
use knock_engine::packet::{Packet, Transport};
use knock_engine::time::Timestamp;
use knockd::log::{
    CommandEvent, CommandKind, Exit, Format, Formatter, Message, Severity, Subject, Verbosity, What,
};

/// 2026-11-22T06:44:05.123456789Z.
pub(super) const AT: Timestamp = Timestamp::from_nanos(1_795_329_845_123_456_789);

pub(super) const SOURCE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 7));

/// A port that is in no line but those of `-D`.
const PORT: u16 = 61_234;

/// A formatter an hour east of Greenwich.
pub(super) fn formatter(format: Format, verbosity: Verbosity) -> Formatter {
    Formatter::new(format, verbosity, TimeZone::fixed(Offset::constant(1)))
}

pub(super) fn door(name: &str) -> Arc<Door> {
    let text = format!(
        "[{name}]\nsequence = 2222:udp,3333:tcp,4444:udp\nstart_command = /sbin/iptables -I INPUT \
         -s %IP% -j ACCEPT\nstop_command = /sbin/iptables -D INPUT -s %IP% -j ACCEPT\n"
    );
    let mut door = parse(text.as_bytes()).config.unwrap().doors.remove(0);
    let changed = Arc::make_mut(&mut door);
    changed.failure_limit = Some(FailureLimit {
        max_failures: 3.try_into().unwrap(),
        window: Duration::from_secs(60),
        lockout: Duration::from_secs(300),
    });
    door
}

pub(super) fn event(door: &Arc<Door>, source: IpAddr, kind: EventKind) -> What {
    let packet = Packet {
        source,
        destination: "192.0.2.1".parse().unwrap(),
        source_port: 40_001,
        destination_port: PORT,
        transport: Transport::Udp,
    };
    let trigger = match kind {
        EventKind::Timeout | EventKind::Close => Trigger::Deadline,
        EventKind::Evicted | EventKind::Reset(ResetReason::SequenceUsed) => Trigger::OtherAttempt,
        _ => Trigger::Packet(packet),
    };
    let stage = match kind {
        EventKind::Open => 3,
        EventKind::Restart => 1,
        _ => 2,
    };
    let progress = Progress {
        stage,
        of: 3,
        gap: (stage > 1).then_some(Duration::from_micros(100_500)),
        elapsed: Duration::from_millis(200) * u32::from(stage > 1),
        margin: Duration::from_millis(14_800),
    };
    let progress = match kind {
        EventKind::Renew
        | EventKind::Close
        | EventKind::Suppressed
        | EventKind::Refused
        | EventKind::Lockout
        | EventKind::Evicted => None,
        _ => Some(progress),
    };
    let door = Arc::clone(door);
    What::Event(Event::Door(DoorEvent { at: AT, door, source, kind, trigger, progress }))
}

/// Every kind of event between a source and a door.
pub(super) const KINDS: [EventKind; 16] = [
    EventKind::Stage,
    EventKind::Open,
    EventKind::Renew,
    EventKind::Close,
    EventKind::Timeout,
    EventKind::Reset(ResetReason::OutOfOrder),
    EventKind::Reset(ResetReason::Strays),
    EventKind::Reset(ResetReason::SequenceUsed),
    EventKind::Suppressed,
    EventKind::Refused,
    EventKind::Lockout,
    EventKind::Duplicate,
    EventKind::Repeat,
    EventKind::Restart,
    EventKind::Stray,
    EventKind::Evicted,
];

/// What can happen to a command, with this text wherever there is a text.
pub(super) fn command_events(text: &str) -> Vec<CommandEvent> {
    let text = text.to_owned();
    vec![
        CommandEvent::Expired,
        CommandEvent::Running { command: text.clone() },
        CommandEvent::WouldRun { command: text.clone() },
        CommandEvent::Failed { exit: Exit::Status(4) },
        CommandEvent::Failed { exit: Exit::Signal(9) },
        CommandEvent::Failed { exit: Exit::TimedOut },
        CommandEvent::Failed { exit: Exit::NotRun(text.clone()) },
        CommandEvent::Printed { line: text.clone() },
        CommandEvent::PrintedMore { bytes: 1234 },
        CommandEvent::StillRunning { elapsed: Duration::from_secs(30) },
        CommandEvent::Retry { attempt: 2, delay: Duration::from_secs(1) },
        CommandEvent::GivenUp { attempts: 10 },
        CommandEvent::NotStarted { reason: text },
        CommandEvent::EffectMissing,
        CommandEvent::Recovered { remaining: Duration::from_millis(7500) },
    ]
}

/// Everything that can be said, of this door, source and foreign text.
pub(super) fn everything(door: &Arc<Door>, source: IpAddr, text: &str) -> Vec<Message> {
    let subject = Subject { door: door.name.clone(), source };
    let mut said: Vec<What> = KINDS.map(|kind| event(door, source, kind)).into();
    said.push(What::Event(Event::Disabled { at: AT, door: Arc::clone(door) }));
    let from = AT.saturating_add(Duration::from_secs(8));
    said.push(What::Event(Event::ClockStep { at: AT, from }));
    for kind in [CommandKind::Start, CommandKind::Stop, CommandKind::Check] {
        for event in command_events(text) {
            said.push(What::Command { subject: subject.clone(), kind, event });
        }
    }
    for severity in [Severity::Info, Severity::Warning, Severity::Error] {
        said.push(What::Notice { severity, text: text.to_owned() });
    }
    said.push(What::NotLogged { door: Some(door.name.clone()), lines: 4711 });
    said.push(What::NotLogged { door: None, lines: 1 });
    said.push(What::Lost { lines: 12, reason: text.to_owned() });
    said.into_iter().map(|what| Message { at: AT, what }).collect()
}

/// The same as a log would show them: a text that fits each, and no command at a wrong place.
pub(super) fn typical() -> Vec<Message> {
    let door = door("openSSH");
    let command = |kind, event| {
        let subject = Subject { door: "openSSH".to_owned(), source: SOURCE };
        Message { at: AT, what: What::Command { subject, kind, event } }
    };
    let fits =
        |message: &Message| !matches!(message.what, What::Command { .. } | What::Notice { .. });
    let all = everything(&door, SOURCE, "No space left on device (os error 28)");
    let mut said: Vec<Message> = all.into_iter().filter(fits).collect();
    let (start, stop, check) = (CommandKind::Start, CommandKind::Stop, CommandKind::Check);
    let iptables = |verb: &str| format!("/sbin/iptables -{verb} INPUT -s {SOURCE} -j ACCEPT");
    said.extend([
        command(start, CommandEvent::Running { command: iptables("I") }),
        command(stop, CommandEvent::Running { command: iptables("D") }),
        command(check, CommandEvent::Running { command: iptables("C") }),
        command(start, CommandEvent::WouldRun { command: iptables("I") }),
        command(check, CommandEvent::Failed { exit: Exit::Status(127) }),
    ]);
    for event in command_events("Another app is currently holding the xtables lock") {
        match event {
            CommandEvent::Running { .. } | CommandEvent::WouldRun { .. } => {}
            CommandEvent::NotStarted { .. } => {
                let reason = "the ledger can't be written: No space left on device (os error 28)";
                let reason = reason.to_owned();
                said.push(command(start, CommandEvent::NotStarted { reason }));
            }
            CommandEvent::Failed { exit: Exit::NotRun(_) } => {
                let exit =
                    Exit::NotRun("Resource temporarily unavailable (os error 11)".to_owned());
                said.push(command(stop, CommandEvent::Failed { exit }));
            }
            CommandEvent::EffectMissing => said.push(command(check, CommandEvent::EffectMissing)),
            CommandEvent::StillRunning { .. } => said.push(command(start, event)),
            _ => said.push(command(stop, event)),
        }
    }
    let notices = [
        (Severity::Info, "starting up, listening on eth0"),
        (Severity::Info, "shutting down"),
        (Severity::Warning, "eth0 is down: waiting for it"),
        (Severity::Error, "/etc/knockd.conf:3:1: unknown key \"sequenze\""),
    ];
    said.extend(notices.map(|(severity, text)| Message {
        at: AT,
        what: What::Notice { severity, text: text.to_owned() },
    }));
    said
}
