//! Random configs, and random schedules of packets, wake-ups, reloads and clock steps.
//!
//! Random packets alone would hardly ever open a door. A [`Scenario`] is therefore a list of
//! small intentions ("the next knock of source 1 at door 0, exactly at the next deadline"), which
//! [`Scenario::inputs`] turns into stamped inputs by running the reference model along with them.
//! A shrunk scenario loses intentions, and the rest are still meaningful.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use std::fmt;
use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use knock_engine::config::{
    Command, Commands, Config, Door, FailureLimit, Grant, Knock, KnockFlags, OneTimeLine, Options,
    PortRange, PortSet, Sequence, Sequences,
};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Protocol, TcpFlags};
use knock_engine::time::Timestamp;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::select;

use crate::director::Director;
use crate::model::Input;

/// What a property leaves out of its scenarios, because it holds only without.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scope {
    /// Tables so small that they fill up (S14).
    pub(crate) has_tiny_tables: bool,
    /// Doors with one-time sequences (S12).
    pub(crate) has_one_time_doors: bool,
    /// Stamps near the ends of their range.
    pub(crate) has_extreme_stamps: bool,
}

impl Scope {
    /// Everything.
    pub(crate) const ALL: Self =
        Self { has_tiny_tables: true, has_one_time_doors: true, has_extreme_stamps: true };
}

/// A config and what happens.
#[derive(Clone)]
pub(crate) struct Scenario {
    pub(crate) config: Config,
    pub(crate) local: LocalAddresses,
    pub(crate) start: Timestamp,
    pub(crate) steps: Vec<Step>,
}

impl Scenario {
    /// Turns the steps into stamped inputs.
    pub(crate) fn inputs(&self) -> Vec<Input> {
        let mut director = Director::new(self.config.clone(), self.local.clone(), self.start);
        self.steps.iter().for_each(|step| director.perform(step));
        director.into_inputs()
    }
}

impl fmt::Debug for Scenario {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}\nlocal {:?}\nstart {}",
            describe_config(&self.config),
            self.local,
            self.start
        )?;
        self.steps.iter().try_for_each(|step| write!(f, "\n  {:?} {:?}", step.gap, step.act))
    }
}

/// One intention: something happens some time after what was before.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) gap: Gap,
    pub(crate) act: Act,
}

/// How a stamp lies to the time that was reached.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Gap {
    /// The same stamp again.
    Zero,
    /// One nanosecond later.
    Nano,
    /// So many milliseconds later.
    Later(u16),
    /// At the next deadline, or so many nanoseconds before or after.
    AtDeadline(i8),
    /// At the end of a span of some door, counted from what begins it, or a nanosecond before.
    AtSpanEnd { span: Span, door: u8, is_early: bool },
    /// So many milliseconds before, at most a second: reordering.
    Reordered(u16),
    /// One second and one nanosecond before: the smallest clock step.
    SmallestStepBack,
    /// So many seconds before.
    StepBack(u16),
    /// So many milliseconds before the end of time.
    NearMax(u16),
    /// So many milliseconds after the beginning of time.
    NearZero(u16),
}

/// A span that ends without an output.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Span {
    /// `retransmit_window`, since the last packet.
    Memory,
    /// `cooldown`, since the last start.
    Cooldown,
    /// `failure_window`, since the last failure.
    FailureWindow,
    /// `lockout`, since the last lockout.
    Lockout,
}

/// What happens. Numbers choose among what there is, modulo its count.
#[derive(Clone, Debug)]
pub(crate) enum Act {
    /// A source does something that is meant for a door.
    Send { source: u8, door: u8, what: What },
    /// A packet of before, counted from the newest, as the kernel repeats it.
    Retransmit { back: u8 },
    /// A packet of before as a second try: from a new port or with a new sequence number.
    TryAgain { back: u8, has_new_port: bool },
    /// A wake-up.
    Wake,
    /// The current config with these edits.
    Reload(Vec<Edit>),
    /// Other local addresses.
    Local(u8),
}

/// What a source sends.
#[derive(Clone, Copy, Debug)]
pub(crate) enum What {
    /// The next knock of its attempt at the door, or the first.
    Next,
    /// All knocks that it lacks at the door, a few milliseconds apart.
    Finish,
    /// Some knock of the door.
    AnyKnock { step: u8 },
    /// The first knock.
    First,
    /// The last knock again, from a new port.
    Repeat,
    /// The last knock again, from more new ports than are remembered, and then a packet of
    /// before, counted from the newest, as the kernel repeats it.
    Flood { back: u8 },
    /// Initial SYNs, or UDP, to ports in a row that are hardly knocks.
    Strays { protocol: Protocol, first: u8, count: u8 },
    /// A TCP packet with any flags, to some knock's port or to another.
    Flags { step: u8, flags: u8 },
    /// The next knock, but sent to another destination.
    Elsewhere { destination: u8 },
}

/// How a new config differs from the current one.
#[derive(Clone, Debug)]
pub(crate) enum Edit {
    /// A door is gone.
    Remove(u8),
    /// A door stands first.
    MoveToFront(u8),
    /// There is a door more, like another one.
    Duplicate(u8),
    /// A door has changed.
    Change(u8, Change),
    /// The tables have other limits.
    Limits { attempts: u8, leases: u8 },
    /// The config is that of the beginning.
    Original,
}

/// How a door has changed.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Change {
    /// It has another name.
    Name,
    /// Its `cmd_timeout` is so many milliseconds.
    CommandTimeout(u16),
    /// It has another stop command, or none.
    Stop(bool),
    /// It has another `grant`.
    Grant,
    /// Its one-time file has a line more at the end.
    AppendLine,
}

/// Makes scenarios within a scope.
pub(crate) fn scenario(scope: Scope) -> impl Strategy<Value = Scenario> {
    let steps = (gap(scope), act(scope)).prop_map(|(gap, act)| Step { gap, act });
    (options(scope), vec(door(scope), 1..=4), local_addresses(), start(scope), vec(steps, 1..70))
        .prop_map(|(options, doors, local, start, steps)| Scenario {
            config: Config { options, doors: doors.into_iter().map(Arc::new).collect() },
            local,
            start,
            steps,
        })
}

/// Makes the stamps that a schedule begins at.
pub(crate) fn start(scope: Scope) -> impl Strategy<Value = Timestamp> {
    let nanos = if scope.has_extreme_stamps {
        prop_oneof![18 => Just(MIDDLE), 1 => Just(0), 1 => Just(u64::MAX - 9_000_000_000)].boxed()
    } else {
        Just(MIDDLE).boxed()
    };
    nanos.prop_map(Timestamp::from_nanos)
}

/// A stamp of 2023, in nanoseconds.
const MIDDLE: u64 = 1_700_000_000_000_000_000;

/// The sources that knock: two of the IPv6 ones are in one /64 (S13).
pub(crate) const SOURCES: [&str; 6] =
    ["10.0.0.1", "2001:db8::1", "10.0.0.2", "2001:db8::2", "10.9.9.9", "2001:db8:1::1"];
/// Destinations: local ones, a target, a foreign one, multicast and broadcast.
pub(crate) const DESTINATIONS: [&str; 8] = [
    "192.0.2.1",
    "2001:db8:ff::1",
    "192.0.2.77",
    "2001:db8:ff::77",
    "198.51.100.1",
    "224.0.0.1",
    "ff02::1",
    "255.255.255.255",
];

/// Local addresses that are not known, known, and others.
pub(crate) fn local_choices() -> [LocalAddresses; 3] {
    let known = |texts: &[&str]| LocalAddresses::Known(texts.iter().map(|t| address(t)).collect());
    [known(&DESTINATIONS[..2]), LocalAddresses::Unknown, known(&["198.51.100.1"])]
}

/// Makes the local addresses that a schedule begins with: mostly known.
pub(crate) fn local_addresses() -> impl Strategy<Value = LocalAddresses> {
    let [known, unknown, _] = local_choices();
    prop_oneof![3 => Just(known), 1 => Just(unknown)]
}

/// Reads an address.
pub(crate) fn address(text: &str) -> IpAddr {
    text.parse().unwrap()
}

/// Makes the options of a config.
pub(crate) fn options(scope: Scope) -> impl Strategy<Value = Options> {
    let limits = if scope.has_tiny_tables {
        prop_oneof![1 => Just((1000, 1000)), 2 => (1_u32..=5, 1_u32..=4)].boxed()
    } else {
        Just((100_000, 100_000)).boxed()
    };
    limits.prop_map(|(max_attempts, max_leases)| Options {
        max_attempts,
        max_leases,
        ..Options::default()
    })
}

/// Makes doors within a scope. Their few ports overlap, and their names may be equal.
pub(crate) fn door(scope: Scope) -> impl Strategy<Value = Door> {
    let sight = (flags(), targets(), allow(), deny());
    let strays = (max_strays(), any::<Option<bool>>(), ignore_ports());
    let spans = (
        prop_oneof![8 => Just(5_000), 3 => Just(2_000), 1 => Just(25_000), 1 => Just(0)],
        prop_oneof![4 => Just(130_000), 3 => Just(3_000), 2 => Just(0)],
        prop_oneof![1 => Just(0), 2 => Just(4_000)],
        prop_oneof![4 => Just(10_000), 4 => Just(90_000), 3 => Just(3_000), 1 => Just(0)],
    );
    let names = select(vec!["a", "b", "c", "d"]);
    let what = (names, sequences(scope), commands(), grant(), failure_limit());
    (what, sight, strays, spans).prop_map(|(what, sight, strays, spans)| {
        let (name, sequences, commands, grant, failure_limit) = what;
        let (flags, targets, allow, deny) = sight;
        let (max_strays, udp_strays, ignore_ports) = strays;
        let [seq_timeout, retransmit_window, cooldown, cmd_timeout] =
            [spans.0, spans.1, spans.2, spans.3].map(Duration::from_millis);
        Door {
            seq_timeout,
            flags,
            targets,
            allow,
            deny,
            max_strays,
            udp_strays,
            ignore_ports,
            retransmit_window,
            cooldown,
            failure_limit,
            commands,
            cmd_timeout,
            grant,
            ..Door::new(name, sequences)
        }
    })
}

fn sequences(scope: Scope) -> impl Strategy<Value = Sequences> {
    let fixed = sequence(1..=5).prop_map(Sequences::Fixed);
    if !scope.has_one_time_doors {
        return fixed.boxed();
    }
    let lines = vec(sequence(1..=3), 0..=4).prop_map(|sequences| Sequences::OneTime {
        path: "once".to_owned(),
        lines: sequences.into_iter().enumerate().map(one_time_line).collect(),
    });
    prop_oneof![5 => fixed, 2 => lines].boxed()
}

/// Gives a sequence a line number; every other line of the file is used or a comment.
fn one_time_line((index, sequence): (usize, Sequence)) -> OneTimeLine {
    OneTimeLine { number: 2 * index + 1, sequence }
}

/// Makes sequences over three ports, so that steps repeat and doors share them.
pub(crate) fn sequence(
    lengths: std::ops::RangeInclusive<usize>,
) -> impl Strategy<Value = Sequence> {
    vec(knock(), lengths).prop_map(|knocks| Sequence::new(knocks).unwrap())
}

/// Makes knocks on three ports, mostly TCP.
pub(crate) fn knock() -> impl Strategy<Value = Knock> {
    let ports = select(vec![1000_u16, 2000, 3000]);
    let protocols = prop_oneof![3 => Just(Protocol::Tcp), 1 => Just(Protocol::Udp)];
    (protocols, ports)
        .prop_map(|(protocol, port)| Knock { protocol, port: NonZeroU16::new(port).unwrap() })
}

/// Makes knock flags: mostly the default, else any of the 3^6 specifications.
pub(crate) fn flags() -> impl Strategy<Value = KnockFlags> {
    let any_flags = (any::<u8>(), any::<u8>()).prop_map(|(required, forbidden)| {
        KnockFlags::new(TcpFlags::from_bits(required), TcpFlags::from_bits(forbidden))
    });
    // What a data segment satisfies has rules of its own.
    let data = [TcpFlags::ACK, TcpFlags::PSH, TcpFlags::NONE];
    let data_flags = select(data.to_vec()).prop_map(|flags| KnockFlags::new(flags, TcpFlags::SYN));
    prop_oneof![6 => Just(KnockFlags::default()), 2 => any_flags, 1 => data_flags]
}

fn targets() -> impl Strategy<Value = Vec<IpAddr>> {
    let two = vec![address(DESTINATIONS[2]), address(DESTINATIONS[3])];
    prop_oneof![4 => Just(Vec::new()), 1 => Just(two)]
}

fn allow() -> impl Strategy<Value = Option<Vec<IpNet>>> {
    let nets = vec!["10.0.0.0/24".parse().unwrap(), "2001:db8::/47".parse().unwrap()];
    prop_oneof![12 => Just(None), 2 => Just(Some(nets)), 1 => Just(Some(Vec::new()))]
}

fn deny() -> impl Strategy<Value = Vec<IpNet>> {
    let nets = vec!["10.0.0.2/32".parse().unwrap(), "2001:db8:1::/48".parse().unwrap()];
    prop_oneof![5 => Just(Vec::new()), 1 => Just(nets)]
}

fn max_strays() -> impl Strategy<Value = Option<u16>> {
    prop_oneof![4 => (0_u16..=3).prop_map(Some), 1 => Just(None)]
}

fn ignore_ports() -> impl Strategy<Value = PortSet> {
    let protocols = select(vec![None, Some(Protocol::Tcp), Some(Protocol::Udp)]);
    let some = protocols
        .prop_map(|protocol| PortSet::new(vec![PortRange { protocol, first: 9000, last: 9002 }]));
    prop_oneof![2 => Just(PortSet::default()), 1 => some]
}

fn grant() -> impl Strategy<Value = Grant> {
    select(vec![Grant::default(), Grant::new(24, 64).unwrap()])
}

fn failure_limit() -> impl Strategy<Value = Option<FailureLimit>> {
    let spans = (select(vec![4_u64, 60]), select(vec![0_u64, 6, 300]));
    let some = (1_u16..=3, spans).prop_map(|(max_failures, (window, lockout))| FailureLimit {
        max_failures,
        window: Duration::from_secs(window),
        lockout: Duration::from_secs(lockout),
    });
    prop_oneof![2 => Just(None), 1 => some.prop_map(Some)]
}

fn commands() -> impl Strategy<Value = Commands> {
    let (up, down) = (Command::new("up %IP%"), Command::new("down %IP%"));
    let plain = prop_oneof![
        5 => Just((up.clone(), down.clone())),
        3 => Just((up.clone(), None)),
        1 => Just((None, down)),
        1 => Just((None, None)),
    ];
    let six = |text: &str| {
        let own = Some(Command::new(format!("{text} six")));
        prop_oneof![4 => Just(None), 1 => Just(own), 1 => Just(Some(None))]
    };
    (plain, six("up"), six("down")).prop_map(|((start, stop), start_v6, stop_v6)| Commands {
        start,
        start_v6,
        stop,
        stop_v6,
        check: None,
        check_v6: None,
    })
}

/// Makes gaps: mostly short ones, and those that fall on something.
pub(crate) fn gap(scope: Scope) -> BoxedStrategy<Gap> {
    let spans = select(vec![Span::Memory, Span::Cooldown, Span::FailureWindow, Span::Lockout]);
    let span_end = (spans, any::<u8>(), any::<bool>())
        .prop_map(|(span, door, is_early)| Gap::AtSpanEnd { span, door, is_early });
    let usual = prop_oneof![
        4 => Just(Gap::Zero),
        2 => Just(Gap::Nano),
        16 => (1_u16..900).prop_map(Gap::Later),
        5 => (900_u16..12_000).prop_map(Gap::Later),
        4 => (-1_i8..=1).prop_map(Gap::AtDeadline),
        3 => span_end,
        2 => (0_u16..=1000).prop_map(Gap::Reordered),
        1 => Just(Gap::Reordered(1000)),
    ];
    let steps_back = prop_oneof![
        1 => Just(Gap::SmallestStepBack),
        1 => (2_u16..10_000).prop_map(Gap::StepBack),
    ];
    if !scope.has_extreme_stamps {
        return prop_oneof![60 => usual, 1 => steps_back].boxed();
    }
    let extremes = prop_oneof![
        (0_u16..10_000).prop_map(Gap::NearMax),
        (0_u16..10_000).prop_map(Gap::NearZero)
    ];
    prop_oneof![120 => usual, 2 => steps_back, 1 => extremes].boxed()
}

/// Makes acts: mostly knocks.
pub(crate) fn act(scope: Scope) -> impl Strategy<Value = Act> {
    // The first source and door do more than others, so that their tables get deep.
    let source = prop_oneof![1 => Just(0_u8), 1 => 0_u8..6];
    let door = prop_oneof![1 => Just(0_u8), 1 => 0_u8..4];
    prop_oneof![
        52 => (source, door, what())
            .prop_map(|(source, door, what)| Act::Send { source, door, what }),
        6 => (0_u8..8).prop_map(|back| Act::Retransmit { back }),
        3 => (0_u8..6, any::<bool>())
            .prop_map(|(back, has_new_port)| Act::TryAgain { back, has_new_port }),
        3 => Just(Act::Wake),
        4 => vec(edit(scope), 0..=2).prop_map(Act::Reload),
        1 => (0_u8..3).prop_map(Act::Local),
    ]
}

fn what() -> impl Strategy<Value = What> {
    let protocols = select(vec![Protocol::Tcp, Protocol::Udp]);
    let counts = prop_oneof![2 => Just(1_u8), 1 => 2_u8..=4];
    let data = TcpFlags::ACK.union(TcpFlags::PSH).bits();
    let flag_bytes = prop_oneof![2 => any::<u8>(), 1 => Just(data)];
    prop_oneof![
        24 => Just(What::Next),
        14 => Just(What::Finish),
        5 => any::<u8>().prop_map(|step| What::AnyKnock { step }),
        4 => Just(What::First),
        2 => Just(What::Repeat),
        1 => (30_u8..=33).prop_map(|back| What::Flood { back }),
        6 => (protocols, 0_u8..6, counts)
            .prop_map(|(protocol, first, count)| What::Strays { protocol, first, count }),
        3 => (any::<u8>(), flag_bytes).prop_map(|(step, flags)| What::Flags { step, flags }),
        1 => any::<u8>().prop_map(|destination| What::Elsewhere { destination }),
    ]
}

fn edit(scope: Scope) -> impl Strategy<Value = Edit> {
    let door = prop_oneof![1 => Just(0_u8), 1 => any::<u8>()];
    let limits = u32::from(scope.has_tiny_tables);
    let change = prop_oneof![
        1 => Just(Change::Name),
        1 => (0_u16..9_000).prop_map(Change::CommandTimeout),
        2 => any::<bool>().prop_map(Change::Stop),
        2 => Just(Change::Grant),
        1 => Just(Change::AppendLine),
    ];
    prop_oneof![
        1 => any::<u8>().prop_map(Edit::Remove),
        1 => any::<u8>().prop_map(Edit::MoveToFront),
        1 => any::<u8>().prop_map(Edit::Duplicate),
        5 => (door, change).prop_map(|(door, change)| Edit::Change(door, change)),
        limits => (1_u8..=5, 1_u8..=3)
            .prop_map(|(attempts, leases)| Edit::Limits { attempts, leases }),
        3 => Just(Edit::Original),
    ]
}

/// Writes a config in a few lines: what differs from the defaults.
pub(crate) fn describe_config(config: &Config) -> String {
    let Options { max_attempts, max_leases, .. } = config.options;
    let mut text = format!("max_attempts {max_attempts}, max_leases {max_leases}");
    for door in &config.doors {
        text.push_str("\n  ");
        text.push_str(&describe_door(door));
    }
    text
}

fn describe_door(door: &Door) -> String {
    let sequences = match &door.sequences {
        Sequences::Fixed(sequence) => sequence.to_string(),
        Sequences::OneTime { lines, .. } => {
            let lines = lines.iter().map(|line| format!("{} {}", line.number, line.sequence));
            format!("one-time [{}]", lines.collect::<Vec<_>>().join(" | "))
        }
    };
    let command = |command: &Option<Command>| {
        command.as_ref().map_or("none".to_owned(), |command| format!("{:?}", command.template()))
    };
    let six = |own: &Option<Option<Command>>| own.as_ref().map_or("plain".to_owned(), command);
    let Commands { start, start_v6, stop, stop_v6, .. } = &door.commands;
    format!(
        "[{}] {sequences} seq_timeout {:?} flags {} targets {:?} allow {:?} deny {:?} \
         max_strays {:?} udp_strays {:?} ignore {:?} retransmit_window {:?} cooldown {:?} {:?} \
         start {}/{} stop {}/{} cmd_timeout {:?} grant {}/{}",
        door.name,
        door.seq_timeout,
        door.flags,
        door.targets,
        door.allow,
        door.deny,
        door.max_strays,
        door.udp_strays,
        door.ignore_ports.ranges(),
        door.retransmit_window,
        door.cooldown,
        door.failure_limit,
        command(start),
        six(start_v6),
        command(stop),
        six(stop_v6),
        door.cmd_timeout,
        door.grant.v4(),
        door.grant.v6(),
    )
}
