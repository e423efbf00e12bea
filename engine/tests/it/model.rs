//! What the engine and its reference model have in common, and what tests do with both: run
//! them, compare them, print what they said.

use std::fmt::Write as _;
use std::net::IpAddr;

use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Action, DoorEvent, Event, EventKind, Output, Progress, Trigger};
use knock_engine::packet::{Packet, Transport};
use knock_engine::time::Timestamp;
use knock_engine::{Deadline, Engine, HashKey};
use knock_reference::Reference;

/// The machine that the properties are about.
pub(crate) type Subject = Engine;

/// Packets and time in, outputs out: the engine, or its reference model.
pub(crate) trait Machine {
    fn new(config: Config, local: LocalAddresses, key: HashKey) -> Self;
    fn handle_packet(&mut self, packet: &Packet, now: Timestamp);
    fn handle_timeout(&mut self, now: Timestamp);
    fn handle_config(&mut self, config: Config, now: Timestamp);
    fn handle_local_addresses(&mut self, local: LocalAddresses);
    fn poll_output(&mut self) -> Option<Output>;
    fn poll_timeout(&self) -> Option<Deadline>;
    fn concerns(&self, packet: &Packet) -> bool;
    /// Counts the pairs of source and door that something is known of (S14).
    fn places(&self) -> usize;
    fn attempts(&self) -> usize;
    fn leases(&self) -> usize;
    /// Counts the knocks that found no room to be remembered (S14).
    fn unremembered(&self) -> u64;

    /// Hands over one input.
    fn handle(&mut self, input: &Input) {
        match input {
            Input::Packet(packet, now) => self.handle_packet(packet, *now),
            Input::Wake(now) => self.handle_timeout(*now),
            Input::Reload(config, now) => self.handle_config(config.clone(), *now),
            Input::Local(local) => self.handle_local_addresses(local.clone()),
        }
    }

    /// Takes all outputs.
    fn drain(&mut self) -> Vec<Output> {
        std::iter::from_fn(|| self.poll_output()).collect()
    }

    /// Lets time run on until no deadline is left, and takes all outputs.
    fn settle(&mut self) -> Vec<Output> {
        let mut outputs = self.drain();
        while let Some(deadline) = self.poll_timeout() {
            self.handle_timeout(deadline.at);
            outputs.extend(self.drain());
        }
        outputs
    }

    /// Hands over all inputs, settles, and takes all outputs.
    fn run(&mut self, inputs: &[Input]) -> Vec<Output> {
        inputs.iter().for_each(|input| self.handle(input));
        self.settle()
    }
}

/// Implements [`Machine`] with a type's own methods of the same names.
macro_rules! delegate {
    () => {
        fn handle_packet(&mut self, packet: &Packet, now: Timestamp) {
            self.handle_packet(packet, now);
        }
        fn handle_timeout(&mut self, now: Timestamp) {
            self.handle_timeout(now);
        }
        fn handle_config(&mut self, config: Config, now: Timestamp) {
            self.handle_config(config, now);
        }
        fn handle_local_addresses(&mut self, local: LocalAddresses) {
            self.handle_local_addresses(local);
        }
        fn poll_output(&mut self) -> Option<Output> {
            self.poll_output()
        }
        fn poll_timeout(&self) -> Option<Deadline> {
            self.poll_timeout()
        }
        fn concerns(&self, packet: &Packet) -> bool {
            self.concerns(packet)
        }
    };
}

impl Machine for Engine {
    fn new(config: Config, local: LocalAddresses, key: HashKey) -> Self {
        Self::new(config, local, key)
    }
    fn places(&self) -> usize {
        self.stats().places
    }
    fn attempts(&self) -> usize {
        self.stats().attempts
    }
    fn leases(&self) -> usize {
        self.stats().leases
    }
    fn unremembered(&self) -> u64 {
        self.stats().unremembered
    }
    delegate!();
}

impl Machine for Reference {
    fn new(config: Config, local: LocalAddresses, _key: HashKey) -> Self {
        Self::new(config, local)
    }
    fn places(&self) -> usize {
        self.places()
    }
    fn attempts(&self) -> usize {
        self.attempts()
    }
    fn leases(&self) -> usize {
        self.leases()
    }
    fn unremembered(&self) -> u64 {
        self.unremembered()
    }
    delegate!();
}

/// One input, with its stamp where it has one.
#[derive(Clone, Debug)]
pub(crate) enum Input {
    Packet(Packet, Timestamp),
    Wake(Timestamp),
    Reload(Config, Timestamp),
    Local(LocalAddresses),
}

/// Runs the subject and the reference model side by side, and tells the first difference: in the
/// outputs after an input, in the next deadline, or in the order in which time runs out.
pub(crate) fn compare(
    config: &Config,
    local: &LocalAddresses,
    inputs: &[Input],
) -> Result<(), String> {
    let mut subject = <Subject as Machine>::new(config.clone(), local.clone(), HashKey([7, 11]));
    let mut reference = Reference::new(config.clone(), local.clone());
    let mut history = Vec::new();
    for (index, input) in inputs.iter().enumerate() {
        if let Input::Packet(packet, _) = input {
            let (its, expected) = (subject.concerns(packet), reference.concerns(packet));
            if its != expected {
                let input = describe_input(input, Timestamp::ZERO);
                return Err(format!("input {index}: {input}: concerns {its}, not {expected}"));
            }
        }
        subject.handle(input);
        reference.handle(input);
        let outputs = (subject.drain(), reference.drain());
        history.push((index, outputs));
        check_step(inputs, &history, &subject, &reference)?;
    }
    let outputs = (subject.settle(), reference.settle());
    history.push((inputs.len(), outputs));
    check_step(inputs, &history, &subject, &reference)
}

/// What the two machines said after each input.
type History = [(usize, (Vec<Output>, Vec<Output>))];

/// Compares what the two machines said last, and what they will do next.
fn check_step(
    inputs: &[Input],
    history: &History,
    subject: &impl Machine,
    reference: &impl Machine,
) -> Result<(), String> {
    let Some((_, (its, expected))) = history.last() else { return Ok(()) };
    let mut report = String::new();
    if its != expected {
        describe_difference(&mut report, its, expected);
    } else if subject.poll_timeout() != reference.poll_timeout() {
        let (its, expected) = (subject.poll_timeout(), reference.poll_timeout());
        let _ = writeln!(report, "next deadline {its:?}, not {expected:?}");
    } else if counts(subject) != counts(reference) {
        let (its, expected) = (counts(subject), counts(reference));
        let what = "attempts, leases, unremembered";
        let _ = writeln!(report, "{what}: {its:?}, not {expected:?}");
    } else {
        return Ok(());
    }
    let base = inputs.iter().find_map(stamp).unwrap_or_default();
    report.push_str("\nbefore that, as the reference has it (time in ms since the first input):\n");
    for (index, (_, outputs)) in history {
        let input = inputs.get(*index).map(|input| describe_input(input, base));
        let _ = writeln!(report, "  <- {}", input.as_deref().unwrap_or("time runs on"));
        for output in outputs {
            let _ = writeln!(report, "     {}", describe(output, base));
        }
    }
    Err(report)
}

/// Runs the subject and the reference model, and tells after which input a table holds more than
/// its maximum; after a reload with lower limits, more than it held (S14).
pub(crate) fn check_limits(
    config: &Config,
    local: &LocalAddresses,
    inputs: &[Input],
) -> Result<(), String> {
    let mut subject = <Subject as Machine>::new(config.clone(), local.clone(), HashKey([7, 11]));
    let mut reference = Reference::new(config.clone(), local.clone());
    let (mut places, mut leases, mut starts, mut records) = (0, 0, 0, 0);
    for (index, input) in inputs.iter().enumerate() {
        subject.handle(input);
        reference.handle(input);
        let options = reference.config().options;
        let [max_places, max_leases] = [options.max_attempts, options.max_leases]
            .map(|limit| usize::try_from(limit).unwrap_or(usize::MAX));
        places = max_places.max(places.min(subject.places()));
        leases = max_leases.max(leases.min(subject.leases()));
        starts = max_leases.max(starts.min(reference.cooldowns()));
        records = max_places.max(records.min(reference.failure_records()));
        let tables = [
            ("attempts", subject.attempts(), subject.places()),
            ("places", subject.places(), places),
            ("leases", subject.leases(), leases),
            ("places of the reference", reference.places(), places),
            ("leases of the reference", reference.leases(), leases),
            ("cooldowns of the reference", reference.cooldowns(), starts),
            ("failures of the reference", reference.failure_records(), records),
        ];
        if let Some((name, count, limit)) = tables.iter().find(|(_, count, limit)| count > limit) {
            let input = describe_input(input, Timestamp::ZERO);
            return Err(format!("input {index}: {input}: {count} {name}, more than {limit}"));
        }
    }
    Ok(())
}

/// What fills a machine's tables, and what found no room.
fn counts(machine: &impl Machine) -> (usize, usize, u64) {
    (machine.attempts(), machine.leases(), machine.unremembered())
}

/// Tells where two traces part.
pub(crate) fn describe_difference(report: &mut String, its: &[Output], expected: &[Output]) {
    let same = its.iter().zip(expected).take_while(|(its, expected)| its == expected).count();
    let base = Timestamp::ZERO;
    let _ = writeln!(report, "{same} outputs are equal, then:");
    for (name, outputs) in [("subject", its), ("expected", expected)] {
        for output in outputs.iter().skip(same).take(4) {
            let _ = writeln!(report, "  {name:9} {}", describe(output, base));
        }
        if outputs.len() == same {
            let _ = writeln!(report, "  {name:9} nothing");
        }
    }
    if let (Some(its), Some(expected)) = (its.get(same), expected.get(same))
        && describe(its, base) == describe(expected, base)
    {
        let _ = writeln!(report, "  in full:\n  {its:?}\n  {expected:?}");
    }
}

/// Tells that two traces are equal, or where they part.
pub(crate) fn check_equal(its: &[Output], expected: &[Output]) -> Result<(), String> {
    if its == expected {
        return Ok(());
    }
    let mut report = String::new();
    describe_difference(&mut report, its, expected);
    Err(report)
}

/// Returns the stamp of an input.
pub(crate) fn stamp(input: &Input) -> Option<Timestamp> {
    match input {
        Input::Packet(_, stamp) | Input::Wake(stamp) | Input::Reload(_, stamp) => Some(*stamp),
        Input::Local(_) => None,
    }
}

/// Returns the source of an output, if it has one.
pub(crate) fn source(output: &Output) -> Option<IpAddr> {
    match output {
        Output::Event(Event::Door(event)) => Some(event.source),
        Output::Event(Event::ClockStep { .. } | Event::Disabled { .. }) => None,
        Output::Action(
            Action::Consume { source, .. }
            | Action::Start { source, .. }
            | Action::Renew { source, .. }
            | Action::Stop { source, .. },
        ) => Some(*source),
    }
}

/// Returns the name of an output's door, if it has one.
pub(crate) fn door_name(output: &Output) -> Option<&str> {
    match output {
        Output::Event(event) => event.door().map(|door| door.name.as_str()),
        Output::Action(
            Action::Consume { door, .. }
            | Action::Start { door, .. }
            | Action::Renew { door, .. }
            | Action::Stop { door, .. },
        ) => Some(&door.name),
    }
}

/// Returns the name of an event or action; a reset's has the reason with it.
pub(crate) fn name(output: &Output) -> String {
    match output {
        Output::Event(Event::Door(DoorEvent { kind: EventKind::Reset(reason), .. })) => {
            format!("reset {reason}")
        }
        Output::Event(event) => event.name().to_owned(),
        Output::Action(Action::Consume { .. }) => "CONSUME".to_owned(),
        Output::Action(Action::Start { .. }) => "START".to_owned(),
        Output::Action(Action::Renew { .. }) => "RENEW".to_owned(),
        Output::Action(Action::Stop { .. }) => "STOP".to_owned(),
    }
}

/// Writes an output on one line, with times in milliseconds since `base`; actions in capitals, and
/// those that run a command with it.
pub(crate) fn describe(output: &Output, base: Timestamp) -> String {
    let command = command(output).map_or(String::new(), |command| format!(": {command}"));
    format!("{}{command}", describe_output(output, base))
}

/// Returns the command that an action runs, with its tokens replaced.
fn command(output: &Output) -> Option<String> {
    let (command, door, source) = match output {
        Output::Action(Action::Start { door, source, .. }) => {
            (door.start_command(*source), door, source)
        }
        Output::Action(Action::Stop { door, source, .. }) => {
            (door.stop_command(*source), door, source)
        }
        Output::Action(Action::Consume { .. } | Action::Renew { .. }) | Output::Event(_) => {
            return None;
        }
    };
    command.map(|command| command.expand(*source, door.grant))
}

fn describe_output(output: &Output, base: Timestamp) -> String {
    let name = name(output);
    let source = source(output).map_or(String::new(), |source| format!(" {source}"));
    let door = door_name(output).map_or(String::new(), |door| format!(" {door}"));
    let what = format!("{name}{source}{door}");
    match output {
        Output::Action(Action::Consume { at, line, .. }) => {
            format!("{} {what} line {line}", millis(*at, base))
        }
        Output::Action(Action::Start { at, until: Some(until), .. })
        | Output::Action(Action::Renew { at, until, .. }) => {
            format!("{} {what} until {}", millis(*at, base), millis(*until, base))
        }
        Output::Action(Action::Start { at, until: None, .. } | Action::Stop { at, .. }) => {
            format!("{} {what}", millis(*at, base))
        }
        Output::Event(Event::ClockStep { at, from }) => {
            format!("{} {what} from {}", millis(*at, base), millis(*from, base))
        }
        Output::Event(Event::Disabled { at, .. }) => format!("{} {what}", millis(*at, base)),
        Output::Event(Event::Door(event)) => {
            let progress = event.progress.as_ref().map_or(String::new(), describe_progress);
            let by = match event.trigger {
                Trigger::Packet(_) | Trigger::Deadline => "",
                Trigger::OtherAttempt => " by another",
            };
            format!("{} {what}{progress}{by}", millis(event.at, base))
        }
    }
}

fn describe_progress(progress: &Progress) -> String {
    let Progress { stage, of, gap, elapsed, margin } = progress;
    let milliseconds = |nanos: u128| decimal(i128::try_from(nanos).unwrap_or(i128::MAX));
    let gap = gap.map_or(String::new(), |gap| format!(" gap {}", milliseconds(gap.as_nanos())));
    let (elapsed, margin) = (milliseconds(elapsed.as_nanos()), milliseconds(margin.as_nanos()));
    format!(" {stage}/{of}{gap} elapsed {elapsed} margin {margin}")
}

/// Writes an input on one line, with times in milliseconds since `base`.
pub(crate) fn describe_input(input: &Input, base: Timestamp) -> String {
    match input {
        Input::Packet(packet, at) => format!("{} {}", millis(*at, base), describe_packet(packet)),
        Input::Wake(at) => format!("{} wake", millis(*at, base)),
        Input::Reload(config, at) => {
            format!("{} reload {}", millis(*at, base), crate::schedule::describe_config(config))
        }
        Input::Local(LocalAddresses::Unknown) => "local addresses unknown".to_owned(),
        Input::Local(LocalAddresses::Known(addresses)) => format!("local addresses {addresses:?}"),
    }
}

fn describe_packet(packet: &Packet) -> String {
    let Packet { source, destination, source_port, destination_port, transport } = packet;
    let how = match transport {
        Transport::Tcp { sequence_number, flags } => format!("tcp [{flags}] #{sequence_number}"),
        Transport::Udp => "udp".to_owned(),
    };
    format!("{source} :{source_port} -> {destination} :{destination_port} {how}")
}

/// Writes the milliseconds from `base` to `at`.
fn millis(at: Timestamp, base: Timestamp) -> String {
    decimal(i128::from(at.as_nanos()) - i128::from(base.as_nanos()))
}

/// Writes nanoseconds as milliseconds, with as many decimals as they have.
fn decimal(nanos: i128) -> String {
    let sign = if nanos < 0 { "-" } else { "" };
    let (whole, rest) = (nanos.unsigned_abs() / 1_000_000, nanos.unsigned_abs() % 1_000_000);
    let text = format!("{sign}{whole}.{rest:06}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
