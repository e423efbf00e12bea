//! Random configs, as the parser would make them.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use ipnet::IpNet;
use knock_engine::config::{
    BufferSize, Command, Commands, Config, Door, FailureLimit, Grant, Knock, KnockFlags, LogFormat,
    OnStop, Options, PortRange, PortSet, RecordSize, Sequence, Sequences,
};
use knock_engine::packet::{Protocol, TcpFlags};
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::*;

/// Makes configs of up to four doors.
pub(super) fn configs() -> impl Strategy<Value = Config> {
    let doors = vec(doors().prop_map(Arc::new), 0..4);
    (options(), doors).prop_map(|(options, doors)| Config { options, doors })
}

fn options() -> impl Strategy<Value = Options> {
    let table = 1..=Options::MAX_TABLE;
    let log = (any::<bool>(), option::of(text()), log_format(), 0..=Options::MAX_LOG_LIMIT);
    let capture = (interfaces(), buffer_size());
    let folder = "/[!-~\u{e4}]{0,12}";
    let files = (option::of(text()), folder, on_stop(), option::of(folder), record_size());
    let commands = (1..=Options::MAX_COMMANDS, span_above_zero());
    (log, capture, files, (table.clone(), table), commands).prop_map(
        |(log, capture, files, (max_attempts, max_leases), commands)| {
            let (use_syslog, log_file, log_format, log_limit) = log;
            let (interfaces, buffer_size) = capture;
            let (pid_file, state_dir, on_stop, record, record_size) = files;
            let (max_commands, command_timeout) = commands;
            Options {
                use_syslog,
                log_file,
                log_format,
                log_limit,
                pid_file,
                interfaces,
                buffer_size,
                state_dir,
                record,
                record_size,
                on_stop,
                max_attempts,
                max_leases,
                max_commands,
                command_timeout,
            }
        },
    )
}

fn log_format() -> impl Strategy<Value = LogFormat> {
    prop::sample::select(LogFormat::NAMED.map(|(_, format)| format).to_vec())
}

fn on_stop() -> impl Strategy<Value = OnStop> {
    prop::sample::select(OnStop::NAMED.map(|(_, on_stop)| on_stop).to_vec())
}

fn interfaces() -> impl Strategy<Value = Vec<String>> {
    let names = prop::collection::hash_set("[!-+;-~\u{e4}][!-+;-~-]{0,13}", 0..4);
    prop_oneof![
        Just(vec!["any".to_owned()]),
        names.prop_map(|names| names.into_iter().filter(|name| name != "any").collect()),
    ]
}

fn buffer_size() -> impl Strategy<Value = BufferSize> {
    let (least, most) = (BufferSize::LEAST.bytes(), BufferSize::MOST.bytes());
    let sizes = prop_oneof![least..=most, (64..=1_u32 << 20).prop_map(|kib| kib << 10), Just(most)];
    sizes.prop_map(|bytes| BufferSize::new(bytes).unwrap())
}

fn record_size() -> impl Strategy<Value = RecordSize> {
    let (least, most) = (RecordSize::LEAST.bytes(), RecordSize::MOST.bytes());
    let sizes = prop_oneof![least..=most, (1..=1_u64 << 20).prop_map(|mib| mib << 20), Just(most)];
    sizes.prop_map(|bytes| RecordSize::new(bytes).unwrap())
}

fn doors() -> impl Strategy<Value = Door> {
    let packets = (flags(), vec(any::<IpAddr>(), 0..3), option::of(vec(network(), 1..3)));
    let strays = (
        vec(network(), 0..3),
        option::of(0..=Door::MAX_STRAYS),
        option::of(any::<bool>()),
        vec(port_range(), 0..3),
    );
    let spans = (span(), span(), span(), span());
    let rest = (option::of(failure_limit()), commands(), (0..=32_u8, 0..=128_u8));
    (name(), sequences(), packets, strays, spans, rest).prop_map(
        |(name, sequences, packets, strays, spans, rest)| {
            let (flags, targets, allow) = packets;
            let (deny, max_strays, udp_strays, ignore_ports) = strays;
            let (seq_timeout, retransmit_window, cooldown, cmd_timeout) = spans;
            let (failure_limit, commands, (v4, v6)) = rest;
            Door {
                name,
                sequences,
                seq_timeout,
                flags,
                targets,
                allow,
                deny,
                max_strays,
                udp_strays,
                ignore_ports: PortSet::new(ignore_ports),
                retransmit_window,
                cooldown,
                failure_limit,
                commands,
                cmd_timeout,
                grant: Grant::new(v4, v6).unwrap(),
            }
        },
    )
}

/// Text without blanks at its ends, as a trimmed value is.
fn text() -> impl Strategy<Value = String> {
    "[!-~\u{e4}\u{2013}\u{202e}]([ -~\t\u{e4}]{0,20}[!-~])?"
}

fn name() -> impl Strategy<Value = String> {
    "[ -~\u{e4}\u{202e}]{1,12}"
        .prop_filter("the name of a section of its own", |name| name != "options")
}

fn sequences() -> impl Strategy<Value = Sequences> {
    prop_oneof![
        vec(knock(), 1..=32).prop_map(|knocks| Sequences::Fixed(Sequence::new(knocks).unwrap())),
        text().prop_map(|path| Sequences::OneTime { path, lines: Vec::new() }),
    ]
}

fn knock() -> impl Strategy<Value = Knock> {
    (protocol(), any::<NonZeroU16>()).prop_map(|(protocol, port)| Knock { protocol, port })
}

fn protocol() -> impl Strategy<Value = Protocol> {
    prop_oneof![Just(Protocol::Tcp), Just(Protocol::Udp)]
}

fn flags() -> impl Strategy<Value = KnockFlags> {
    let mentioned = |(required, forbidden)| {
        KnockFlags::new(TcpFlags::from_bits(required), TcpFlags::from_bits(forbidden))
    };
    (0..64_u8, 0..64_u8)
        .prop_filter("a line of flags mentions one", |(required, forbidden)| {
            required | forbidden > 0
        })
        .prop_map(mentioned)
}

fn network() -> impl Strategy<Value = IpNet> {
    (any::<IpAddr>(), 0..=128_u8).prop_map(|(address, length)| {
        let longest = if address.is_ipv4() { 32 } else { 128 };
        IpNet::new(address, length.min(longest)).unwrap().trunc()
    })
}

fn port_range() -> impl Strategy<Value = PortRange> {
    (option::of(protocol()), 1..=u16::MAX, 1..=u16::MAX).prop_map(|(protocol, one, other)| {
        PortRange { protocol, first: one.min(other), last: one.max(other) }
    })
}

fn span() -> impl Strategy<Value = Duration> {
    prop_oneof![
        (0..=u32::MAX).prop_map(|seconds| Duration::from_secs(seconds.into())),
        (0..=u64::from(u32::MAX) * 1_000_000_000).prop_map(Duration::from_nanos),
    ]
}

fn span_above_zero() -> impl Strategy<Value = Duration> {
    span().prop_filter("above zero", |span| !span.is_zero())
}

fn failure_limit() -> impl Strategy<Value = FailureLimit> {
    (1..=FailureLimit::MAX_FAILURES, span_above_zero(), span_above_zero())
        .prop_map(|(max_failures, window, lockout)| FailureLimit { max_failures, window, lockout })
}

fn commands() -> impl Strategy<Value = Commands> {
    let plain = || option::of(text().prop_map(|text| Command::new(text).unwrap()));
    let v6 = || option::of(plain());
    (plain(), v6(), plain(), v6(), plain(), v6()).prop_map(
        |(start, start_v6, stop, stop_v6, check, check_v6)| Commands {
            start,
            start_v6,
            stop,
            stop_v6,
            check,
            check_v6,
        },
    )
}
