//! Properties of S1-S16 over random configs and schedules; above all that the engine says what
//! the reference model says.
//!
//! Each runs 256 cases, or as many as the environment variable `PROPTEST_CASES` says; the
//! comparison with the reference model runs eight times as many.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv6Addr};
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use knock_engine::HashKey;
use knock_engine::config::{Config, Door, Knock, Options, Sequence, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Action, Event, EventKind, Output};
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_reference::Reference;
use proptest::collection::vec;
use proptest::prelude::*;
use proptest::sample::Index;
use proptest::strategy::ValueTree;
use proptest::test_runner::TestRunner;

use crate::model::{
    Input, Machine, Subject, check_equal, check_limits, compare, door_name, name, source, stamp,
};
use crate::schedule::{Scenario, Scope, address, flags, knock, scenario};

/// What holds only while no table is full and no one-time sequence is used up (S6).
const INDEPENDENT: Scope =
    Scope { has_tiny_tables: false, has_one_time_doors: false, has_extreme_stamps: true };

/// Every event and action, as [`name`] has them.
pub(crate) const EVERY_NAME: [&str; 22] = [
    "CONSUME",
    "RENEW",
    "START",
    "STOP",
    "clock_step",
    "close",
    "disabled",
    "duplicate",
    "evicted",
    "lockout",
    "open",
    "refused",
    "renew",
    "repeat",
    "reset out_of_order",
    "reset sequence_used",
    "reset strays",
    "restart",
    "stage",
    "stray",
    "suppressed",
    "timeout",
];

proptest! {
    #![proptest_config(ProptestConfig {
        cases: ProptestConfig::default().cases.saturating_mul(8),
        ..ProptestConfig::default()
    })]

    /// The engine and the reference model say the same after every input, and have the same next
    /// deadline.
    #[test]
    fn the_engine_says_what_the_reference_says(scenario in scenario(Scope::ALL)) {
        let result = compare(&scenario.config, &scenario.local, &scenario.inputs());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }
}

proptest! {
    /// S2: when or how often the engine is woken changes nothing.
    #[test]
    fn more_wake_ups_change_nothing(
        scenario in scenario(Scope::ALL),
        wakes in vec((any::<Index>(), any::<u64>()), 1..20),
    ) {
        let inputs = scenario.inputs();
        let woken = with_wakes(&scenario, &inputs, &wakes);
        check(&run(&scenario, &woken), &run(&scenario, &inputs))?;
    }

    /// S2: a caller that is woken at every deadline gets the same as one that never is.
    #[test]
    fn waking_at_each_deadline_changes_nothing(scenario in scenario(Scope::ALL)) {
        let inputs = scenario.inputs();
        let mut machine = subject(&scenario);
        let mut outputs = Vec::new();
        for input in &inputs {
            let end = stamp_that_counts(&machine, input);
            while let Some(deadline) = machine.poll_timeout()
                && end.is_some_and(|end| deadline.at <= end)
            {
                machine.handle_timeout(deadline.at);
            }
            machine.handle(input);
            outputs.extend(machine.drain());
        }
        outputs.extend(machine.settle());
        check(&outputs, &run(&scenario, &inputs))?;
    }

    /// S6: what other sources send changes nothing. Sources of one /64 are one (S13).
    #[test]
    fn other_sources_change_nothing(scenario in scenario(INDEPENDENT), of in any::<Index>()) {
        let inputs = scenario.inputs();
        let prefixes: Vec<_> = inputs.iter().filter_map(packet_prefix).collect();
        prop_assume!(!prefixes.is_empty());
        let wanted = *of.get(&prefixes);
        let is_of = |output: &Output| source(output).is_none_or(|source| prefix(source) == wanted);
        let alone = project(&scenario, &inputs, Config::clone, |_, packet| {
            prefix(packet.source) == wanted
        });
        let mut expected = run(&scenario, &inputs);
        expected.retain(is_of);
        check(&run(&scenario, &alone), &expected)?;
    }

    /// S6: what other doors exist changes nothing. One-time doors may be among them.
    #[test]
    fn other_doors_change_nothing(
        scenario in scenario(Scope { has_one_time_doors: true, ..INDEPENDENT }),
        of in any::<Index>(),
    ) {
        let inputs = scenario.inputs();
        let wanted = of.get(&scenario.config.doors).name.clone();
        let keep = |config: &Config| only_door(config, &wanted);
        let alone = project(&scenario, &inputs, keep, Reference::concerns);
        let mut expected = run(&scenario, &inputs);
        expected.retain(|output| door_name(output).is_none_or(|name| name == wanted));
        let config = keep(&scenario.config);
        check(&run(&Scenario { config, ..scenario }, &alone), &expected)?;
    }

    /// S1: only differences between stamps matter.
    #[test]
    fn later_inputs_give_later_outputs(
        scenario in scenario(Scope { has_extreme_stamps: false, ..Scope::ALL }),
        by in (0_u64..1 << 60).prop_map(Duration::from_nanos),
    ) {
        let inputs = scenario.inputs();
        let shifted: Vec<_> = inputs.iter().map(|input| shift_input(input, by)).collect();
        let mut expected = run(&scenario, &inputs);
        expected.iter_mut().for_each(|output| shift_output(output, by));
        check(&run(&scenario, &shifted), &expected)?;
    }

    /// S8: lose any one packet of a knock, send the whole sequence again at once, and the door
    /// opens, once; whatever the kernel retransmits meanwhile.
    #[test]
    fn a_lost_packet_is_mended_by_knocking_again(knock in lossy_knock()) {
        let inputs = knock.inputs();
        let config = Config { options: Options::default(), doors: vec![Arc::new(knock.door)] };
        let mut machine =
            <Subject as Machine>::new(config, LocalAddresses::Unknown, HashKey::default());
        let outputs = machine.run(&inputs);
        let opens: Vec<_> = outputs.iter().filter_map(opened_at).collect();
        prop_assert_eq!(opens, vec![stamp(&inputs[knock.completing]).unwrap()]);
    }

    /// S14: no table ever holds more than its maximum.
    #[test]
    fn tables_keep_to_their_limits(scenario in scenario(Scope::ALL)) {
        let result = check_limits(&scenario.config, &scenario.local, &scenario.inputs());
        prop_assert!(result.is_ok(), "{}", result.unwrap_err());
    }

    /// S5: a filter that drops what concerns no door changes nothing.
    #[test]
    fn a_capture_filter_changes_nothing(scenario in scenario(Scope::ALL)) {
        let inputs = scenario.inputs();
        let mut machine = subject(&scenario);
        for input in &inputs {
            let is_dropped =
                matches!(input, Input::Packet(packet, _) if !machine.concerns(packet));
            if !is_dropped {
                machine.handle(input);
            }
        }
        check(&machine.settle(), &run(&scenario, &inputs))?;
    }

    /// S15: the key of the hash tables shows in no output.
    #[test]
    fn the_hash_key_changes_nothing(scenario in scenario(Scope::ALL), key in any::<[u64; 2]>()) {
        let inputs = scenario.inputs();
        let outputs = subject_with_key(&scenario, HashKey(key)).run(&inputs);
        check(&outputs, &run(&scenario, &inputs))?;
    }
}

/// The scenarios reach every event and every action; else the properties above prove little.
#[test]
fn scenarios_reach_every_event_and_action() {
    const CASES: usize = 300;
    let mut runner = TestRunner::deterministic();
    let scenarios = scenario(Scope::ALL);
    let mut counts = BTreeMap::new();
    let mut unremembered = 0;
    for _ in 0..CASES {
        let scenario = scenarios.new_tree(&mut runner).unwrap().current();
        let mut reference = Reference::new(scenario.config.clone(), scenario.local.clone());
        for output in reference.run(&scenario.inputs()) {
            *counts.entry(name(&output)).or_insert(0) += 1;
        }
        unremembered += reference.unremembered();
    }
    println!("{counts:#?} unremembered {unremembered}");
    for name in EVERY_NAME {
        let count = counts.get(name).copied().unwrap_or(0);
        assert!(count >= 20, "{name} came {count} times in {CASES} scenarios: {counts:#?}");
    }
    assert_eq!(
        counts.len(),
        EVERY_NAME.len(),
        "an event or action is missing in the list: {counts:#?}"
    );
    assert!(unremembered >= 20, "{unremembered} knocks found no room to be remembered");
}

fn subject(scenario: &Scenario) -> impl Machine {
    subject_with_key(scenario, HashKey::default())
}

fn subject_with_key(scenario: &Scenario, key: HashKey) -> impl Machine {
    <Subject as Machine>::new(scenario.config.clone(), scenario.local.clone(), key)
}

fn run(scenario: &Scenario, inputs: &[Input]) -> Vec<Output> {
    subject(scenario).run(inputs)
}

fn check(its: &[Output], expected: &[Output]) -> Result<(), TestCaseError> {
    check_equal(its, expected).map_err(TestCaseError::fail)
}

/// Puts wake-ups between the inputs: each not earlier than a second before T, not later than what
/// T becomes with the next input. Before a clock step they are not later than T.
fn with_wakes(scenario: &Scenario, inputs: &[Input], wakes: &[(Index, u64)]) -> Vec<Input> {
    let mut guide = Reference::new(scenario.config.clone(), scenario.local.clone());
    let mut woken = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        let earliest = guide.now().as_nanos().saturating_sub(1_000_000_000);
        let before = guide.now();
        guide.handle(input);
        let latest = guide.now().max(before).as_nanos();
        let here = wakes.iter().filter(|(at, _)| at.index(inputs.len()) == index);
        let span = u128::from(latest - earliest) + 1;
        let offsets = here.map(|(_, random)| u64::try_from(u128::from(*random) % span).unwrap());
        let mut stamps: Vec<_> = offsets.map(|offset| earliest + offset).collect();
        stamps.sort_unstable();
        let stamps = stamps.into_iter().map(Timestamp::from_nanos);
        woken.extend(stamps.map(Input::Wake));
        woken.push(input.clone());
    }
    woken
}

/// Returns what T becomes with an input, if the input moves time on.
fn stamp_that_counts(machine: &impl Machine, input: &Input) -> Option<Timestamp> {
    match input {
        Input::Packet(packet, at) => machine.concerns(packet).then_some(*at),
        Input::Wake(at) | Input::Reload(_, at) => Some(*at),
        Input::Local(_) => None,
    }
}

/// Runs two models along, one with all inputs and one with what is left of them. Of the packets
/// those are left that `is_wanted`; for the others that concern a door in the full run there are
/// wake-ups, for they move time on (S1). Every config becomes what `keep` keeps of it.
fn project(
    scenario: &Scenario,
    inputs: &[Input],
    keep: impl Fn(&Config) -> Config,
    is_wanted: impl Fn(&Reference, &Packet) -> bool,
) -> Vec<Input> {
    let mut full = Reference::new(scenario.config.clone(), scenario.local.clone());
    let mut guide = Reference::new(keep(&scenario.config), scenario.local.clone());
    let mut projected = Vec::new();
    for input in inputs {
        let replacement = match input {
            Input::Packet(packet, at) if !is_wanted(&guide, packet) => {
                full.concerns(packet).then_some(Input::Wake(*at))
            }
            Input::Reload(config, at) => Some(Input::Reload(keep(config), *at)),
            Input::Packet(..) | Input::Wake(_) | Input::Local(_) => Some(input.clone()),
        };
        full.handle(input);
        if let Some(replacement) = replacement {
            guide.handle(&replacement);
            projected.push(replacement);
        }
    }
    projected
}

/// Returns the config with only the doors of this name.
fn only_door(config: &Config, name: &str) -> Config {
    let mut config = config.clone();
    config.doors.retain(|door| door.name == name);
    config
}

fn packet_prefix(input: &Input) -> Option<IpAddr> {
    match input {
        Input::Packet(packet, _) => Some(prefix(packet.source)),
        Input::Wake(_) | Input::Reload(..) | Input::Local(_) => None,
    }
}

/// Returns what S13 counts failures by: an IPv4 address, or the /64 of an IPv6 one.
fn prefix(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(source) => {
            let [a, b, c, d, ..] = source.segments();
            IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
        }
    }
}

fn shift_input(input: &Input, by: Duration) -> Input {
    match input {
        Input::Packet(packet, at) => Input::Packet(*packet, at.saturating_add(by)),
        Input::Wake(at) => Input::Wake(at.saturating_add(by)),
        Input::Reload(config, at) => Input::Reload(config.clone(), at.saturating_add(by)),
        Input::Local(local) => Input::Local(local.clone()),
    }
}

fn shift_output(output: &mut Output, by: Duration) {
    let shift = |at: &mut Timestamp| *at = at.saturating_add(by);
    match output {
        Output::Action(Action::Start { at, until, .. }) => {
            shift(at);
            until.iter_mut().for_each(shift);
        }
        Output::Action(Action::Renew { at, until, .. })
        | Output::Event(Event::ClockStep { at, from: until }) => {
            shift(at);
            shift(until);
        }
        Output::Action(Action::Consume { at, .. } | Action::Stop { at, .. })
        | Output::Event(Event::Disabled { at, .. }) => shift(at),
        Output::Event(Event::Door(event)) => shift(&mut event.at),
    }
}

fn opened_at(output: &Output) -> Option<Timestamp> {
    match output {
        Output::Event(Event::Door(event)) if event.kind == EventKind::Open => Some(event.at),
        Output::Event(_) | Output::Action(_) => None,
    }
}

/// A knock of which one packet is lost, and the same knock again.
#[derive(Clone, Debug)]
struct LossyKnock {
    door: Door,
    /// The packets that arrive, retransmissions included, each some milliseconds after the last.
    packets: Vec<(u16, Packet)>,
    /// The index of the packet that completes the second try.
    completing: usize,
}

impl LossyKnock {
    fn inputs(&self) -> Vec<Input> {
        let mut at = Timestamp::from_nanos(1_700_000_000_000_000_000);
        let inputs = self.packets.iter().map(|(millis, packet)| {
            at = at.saturating_add(Duration::from_millis((*millis).into()));
            Input::Packet(*packet, at)
        });
        inputs.collect()
    }
}

/// Makes lossy knocks on doors without lockouts whose step 1 is not repeated (S8).
fn lossy_knock() -> impl Strategy<Value = LossyKnock> {
    let first = Knock { protocol: Protocol::Tcp, port: NonZeroU16::new(4000).unwrap() };
    let firsts = prop_oneof![Just(first), Just(Knock { protocol: Protocol::Udp, ..first })];
    let rest = vec(knock(), 0..7);
    let settings = (flags(), prop_oneof![(0_u16..9).prop_map(Some), Just(None)]);
    let losses = (any::<Index>(), vec((any::<Index>(), any::<Index>()), 0..8), vec(0_u16..500, 30));
    (firsts, rest, settings, losses).prop_map(|(first, rest, settings, losses)| {
        let (lost, retransmissions, gaps) = losses;
        let knocks: Vec<_> = std::iter::once(first).chain(rest).collect();
        let sequence = Sequence::new(knocks.clone()).unwrap();
        let (flags, max_strays) = settings;
        let door = Door { flags, max_strays, ..Door::new("a", Sequences::Fixed(sequence)) };
        let mut packets: Vec<_> = [&knocks, &knocks]
            .into_iter()
            .flatten()
            .enumerate()
            .map(|(number, knock)| knock_packet(*knock, flags.required(), number))
            .collect();
        packets.remove(lost.index(knocks.len()));
        let mut completing = packets.len() - 1;
        for (of, after) in retransmissions {
            let of = of.index(packets.len());
            if packets[of].transport != Transport::Udp {
                let place = of + 1 + after.index(packets.len() - of);
                packets.insert(place, packets[of]);
                completing += usize::from(place <= completing);
            }
        }
        let packets = gaps.into_iter().zip(packets).collect();
        LossyKnock { door, packets, completing }
    })
}

/// Makes a knock with ports and a sequence number of its own.
fn knock_packet(knock: Knock, flags: TcpFlags, number: usize) -> Packet {
    let number = u16::try_from(number).unwrap();
    let transport = match knock.protocol {
        Protocol::Tcp => Transport::Tcp { sequence_number: u32::from(number) * 7919, flags },
        Protocol::Udp => Transport::Udp,
    };
    Packet {
        source: address("10.0.0.1"),
        destination: address("192.0.2.1"),
        source_port: 40_000 + number,
        destination_port: knock.port.get(),
        transport,
    }
}
