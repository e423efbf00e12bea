//! Checks of sequences: what opens a door that should not.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;
use knock_engine::config::{Config, Door, Knock, Sequence, Sequences};
use knock_engine::packet::Protocol;
use knock_frontend::format::Counted;

use super::code::Code;
use super::ports::service;
use super::scan::{self, FLAG_PROBES, Fate, Order, Probe, SYN, all_ports, bare};
use super::subject::{DoorView, Finding, Subject};

/// More ports than an attempt can survive where they are strays.
const MANY_PORTS: usize = 2_000;

/// The fewest knocks that are not a finding.
const ENOUGH_KNOCKS: usize = 4;

/// A sequence that opens a door, now or later.
struct Candidate<'a> {
    view: DoorView<'a>,
    sequence: &'a Sequence,
    /// Its line in a one-time file.
    line: Option<usize>,
}

/// Something wrong with one sequence, before it is known whose.
struct Fault {
    code: Code,
    reason: String,
    remedy: String,
}

impl Fault {
    fn new(code: Code, reason: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self { code, reason: reason.into(), remedy: remedy.into() }
    }
}

/// Looks at all sequences, those of one-time files too. Returns for each door the scan in order
/// that opens it now.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) -> Vec<Option<String>> {
    let candidates: Vec<_> = subject.doors().flat_map(candidates).collect();
    let mut opening: Vec<Option<String>> = vec![None; subject.config.doors.len()];
    let mut gathered = Gathered::default();
    for chunk in candidates.chunks(Config::MAX_DOORS) {
        let doors: Vec<_> = (0..)
            .zip(chunk)
            .map(|(number, candidate)| bare(candidate.view.door, candidate.sequence, number))
            .collect();
        let scans = Scans::run(&doors);
        for (number, candidate) in chunk.iter().enumerate() {
            if current(candidate.view.door) == Some(candidate.sequence) {
                let found = scans.opening(number, |_| true);
                let name = |(probe, order, _): (Probe, Order, Fate)| {
                    format!("{} {}", order.name(), probe.name())
                };
                opening[candidate.view.index] = found.map(name);
            }
            for fault in faults(&doors[number], candidate.sequence, &scans, number) {
                gathered.add(candidate, fault);
            }
        }
    }
    findings.extend(gathered.findings());
    check_others(subject, findings);
    opening
}

fn candidates(view: DoorView<'_>) -> Vec<Candidate<'_>> {
    match &view.door.sequences {
        Sequences::Fixed(sequence) => vec![Candidate { view, sequence, line: None }],
        Sequences::OneTime { lines, .. } => lines
            .iter()
            .map(|line| Candidate { view, sequence: &line.sequence, line: Some(line.number) })
            .collect(),
    }
}

/// The faults so far: a one-time file has one finding of a code, whatever the number of lines.
#[derive(Default)]
struct Gathered {
    findings: Vec<Finding>,
    /// The further lines of each finding.
    more: Vec<u64>,
    places: HashMap<(usize, Code), usize>,
}

impl Gathered {
    fn add(&mut self, candidate: &Candidate<'_>, fault: Fault) {
        let Candidate { view, line, .. } = candidate;
        if line.is_some()
            && let Some(&index) = self.places.get(&(view.index, fault.code))
        {
            self.more[index] += 1;
            return;
        }
        let reason = match line {
            Some(line) => format!("line {line} of the file: {}", fault.reason),
            None => fault.reason,
        };
        self.places.insert((view.index, fault.code), self.findings.len());
        let finding = Finding::new(fault.code, view.sequence_place(), reason, fault.remedy);
        self.findings.push(Finding { door: Some(view.index), ..finding });
        self.more.push(0);
    }

    fn findings(self) -> impl Iterator<Item = Finding> {
        self.findings.into_iter().zip(self.more).map(|(mut finding, more)| {
            if more > 0 {
                finding.reason += &format!("; and so {}", Counted(more, "further line"));
            }
            finding
        })
    }
}

/// How every scan fared at every door.
struct Scans(Vec<(Probe, Order, Vec<Fate>)>);

impl Scans {
    /// Runs the scans that can concern a door at all.
    fn run(doors: &[Arc<Door>]) -> Self {
        let has = |protocol| {
            doors.iter().any(|door| knocks(door).iter().any(|knock| knock.protocol == protocol))
        };
        let mut probes = vec![];
        if has(Protocol::Tcp) {
            probes.push(SYN);
        }
        if has(Protocol::Udp) {
            probes.push(Probe::Udp);
            probes.push(Probe::Both);
        }
        probes.extend(FLAG_PROBES.into_iter().filter(|probe| match probe {
            Probe::Tcp(flags, _) => doors.iter().any(|door| door.flags.accept(*flags)),
            Probe::Udp | Probe::Both => false,
        }));
        let scans = probes.into_iter().flat_map(|probe| Order::BOTH.map(|order| (probe, order)));
        let fates = |(probe, order): (Probe, Order)| {
            // A scan meets each port once, so no other sequence can come through.
            let meant = doors.iter().filter(|door| {
                let knocks = knocks(door);
                is_in_order(knocks, order) && knocks.iter().all(|knock| probe.has(knock.protocol))
            });
            let meant: Vec<_> = meant.cloned().collect();
            let mut fates = vec![Fate::default(); doors.len()];
            if !meant.is_empty() {
                scan::scan(&meant, probe, all_ports(order), &mut fates);
            }
            (probe, order, fates)
        };
        Self(scans.map(fates).collect())
    }

    /// Returns the first of these scans that opened a door.
    fn opening(
        &self,
        number: usize,
        is_meant: impl Fn(Probe) -> bool,
    ) -> Option<(Probe, Order, Fate)> {
        let mut opening =
            self.0.iter().filter(|(probe, _, fates)| is_meant(*probe) && fates[number].opened);
        opening.next().map(|(probe, order, fates)| (*probe, *order, fates[number]))
    }

    /// Returns how far a scan came.
    fn stage(&self, number: usize, probe: Probe, order: Order) -> usize {
        let mut scans = self.0.iter().filter(|scan| (scan.0, scan.1) == (probe, order));
        scans.next().map_or(0, |(_, _, fates)| fates[number].stage)
    }
}

/// Tells whether a scan meets the knocks in their order.
fn is_in_order(knocks: &[Knock], order: Order) -> bool {
    match order {
        Order::Ascending => knocks.is_sorted_by(|a, b| a.port <= b.port),
        Order::Descending => knocks.is_sorted_by(|a, b| a.port >= b.port),
    }
}

fn knocks(door: &Door) -> &[Knock] {
    match &door.sequences {
        Sequences::Fixed(sequence) => sequence.knocks(),
        Sequences::OneTime { .. } => &[],
    }
}

fn faults(door: &Arc<Door>, sequence: &Sequence, scans: &Scans, number: usize) -> Vec<Fault> {
    let mut faults = Vec::new();
    faults.extend(udp_scan(door, sequence, scans, number));
    faults.extend(flag_scan(door, sequence, scans, number));
    if faults.is_empty() {
        let is_plain = |probe| matches!(probe, Probe::Udp | Probe::Both) || probe == SYN;
        match scans.opening(number, is_plain) {
            Some(opening) => faults.push(scan_opens(door, sequence, opening)),
            None if door.max_strays.is_none() => faults.push(unguarded(sequence)),
            None => faults.extend(scan_order(door, sequence, scans, number)),
        }
    }
    faults.extend(mixed_udp(door, sequence));
    faults.extend(first_again(sequence));
    faults.extend(few_knocks(sequence));
    faults.extend(known_ports(sequence));
    faults
}

fn scan_opens(
    door: &Door,
    sequence: &Sequence,
    (probe, order, fate): (Probe, Order, Fate),
) -> Fault {
    let guard = match door.max_strays {
        None => "max_strays is off, so no scan is broken off".to_owned(),
        Some(most) if sequence.knocks().len() == 1 => {
            format!("one knock leaves max_strays = {most} nothing to count")
        }
        Some(most) if fate.strays == 0 => {
            format!("it meets no other port on the way, and max_strays = {most} forgives some")
        }
        Some(most) => format!(
            "it meets {} on the way, and max_strays = {most} forgives that",
            Counted(count(fate.strays), "other port")
        ),
    };
    let reason = format!(
        "{} {} scan of all ports opens the door: {guard}",
        order.with_article(),
        probe.name()
    );
    let remedy = match door.max_strays {
        None => "leave max_strays = off out".to_owned(),
        Some(_) => better_sequence(door, sequence),
    };
    Fault::new(Code::ScanOpens, reason, remedy)
}

/// Without strays a scan opens the door whenever it happens to be in the right order.
fn unguarded(sequence: &Sequence) -> Fault {
    let reason = format!(
        "max_strays is off, so no scan is broken off: a scan of all ports in random order opens \
         the door once in {}",
        orders(sequence.knocks().len())
    );
    Fault::new(Code::ScanOpens, reason, "leave max_strays = off out")
}

fn count(number: usize) -> u64 {
    u64::try_from(number).unwrap_or(u64::MAX)
}

fn udp_scan(door: &Door, sequence: &Sequence, scans: &Scans, number: usize) -> Option<Fault> {
    let knocks = sequence.knocks();
    let is_udp = knocks.iter().all(|knock| knock.protocol == Protocol::Udp);
    if !is_udp || door.has_udp_strays(sequence) {
        return None;
    }
    let setting = match door.max_strays {
        None => "with max_strays = off",
        Some(_) => "with udp_strays = no",
    };
    let opening = scans.opening(number, |probe| probe == Probe::Udp);
    let proof = match opening {
        Some((_, order, _)) => {
            format!("{} UDP scan of all ports opens the door", order.with_article())
        }
        None => {
            format!("a UDP scan in random order opens the door once in {}", orders(knocks.len()))
        }
    };
    let reason = format!("all knocks are UDP, and {setting} no UDP packet is a stray: {proof}");
    let remedy = match door.max_strays {
        None => "leave max_strays = off out".to_owned(),
        Some(_) => "leave udp_strays = no out, or write udp_strays = yes".to_owned(),
    };
    Some(Fault::new(Code::UdpScan, reason, remedy))
}

/// Returns the number of orders of so many knocks, as text.
fn orders(knocks: usize) -> String {
    super::numbers::grouped(&super::numbers::factorial(knocks))
}

fn flag_scan(door: &Door, sequence: &Sequence, scans: &Scans, number: usize) -> Option<Fault> {
    let has_tcp = sequence.knocks().iter().any(|knock| knock.protocol == Protocol::Tcp);
    if !has_tcp {
        return None;
    }
    let opening = scans.opening(number, |probe| FLAG_PROBES.contains(&probe));
    let flags = door.flags;
    let reason = match opening {
        Some((probe, order, _)) => format!(
            "{} {} scan of all ports opens the door: its packets satisfy tcpflags = {flags}",
            order.with_article(),
            probe.name(),
        ),
        None if flags.accept_data() => format!(
            "ordinary data segments and ACK scans satisfy tcpflags = {flags}: each counts as a \
             knock, and none to another port as a stray"
        ),
        None => return None,
    };
    Some(Fault::new(Code::FlagScan, reason, "write tcpflags = syn, or leave tcpflags out"))
}

/// UDP knocks of a door that has TCP knocks too, where UDP is never a stray.
fn mixed_udp(door: &Door, sequence: &Sequence) -> Option<Fault> {
    let knocks = sequence.knocks();
    let udp = knocks.iter().filter(|knock| knock.protocol == Protocol::Udp).count();
    // Without strays at all there is a finding already.
    if udp == 0 || udp == knocks.len() || door.max_strays.is_none() {
        return None;
    }
    if !scan::knock_among_udp(&bare(door, sequence, 0), sequence, MANY_PORTS).opened {
        return None;
    }
    let reason = format!(
        "{} among TCP knocks, and udp_strays is not on: packets to {} before and after each \
         break nothing, so who scans all UDP ports need not guess them",
        Counted(count(udp), "UDP knock"),
        Counted(count(MANY_PORTS), "other UDP port")
    );
    let remedy = "write udp_strays = yes (all UDP to this host is then looked at; ignore_ports \
                  leaves out what is busy)";
    Some(Fault::new(Code::MixedUdp, reason, remedy))
}

/// Ports in a scan's order: what keeps a scan out is `max_strays` alone.
fn scan_order(
    door: &Arc<Door>,
    sequence: &Sequence,
    scans: &Scans,
    number: usize,
) -> Option<Fault> {
    let knocks = sequence.knocks();
    let ascending = knocks.is_sorted_by(|a, b| a.port < b.port);
    let descending = knocks.is_sorted_by(|a, b| a.port > b.port);
    let order = match (ascending, descending) {
        (true, false) => Order::Ascending,
        (false, true) => Order::Descending,
        _ => return None,
    };
    let is_udp = knocks.iter().all(|knock| knock.protocol == Protocol::Udp);
    let is_tcp = knocks.iter().all(|knock| knock.protocol == Protocol::Tcp);
    let probe = match (is_tcp, is_udp) {
        (true, _) => SYN,
        (_, true) => Probe::Udp,
        _ => Probe::Both,
    };
    let most = door.max_strays?;
    let ports = knocks.iter().map(|knock| knock.port.get());
    let alone = [Arc::new(Door { name: "0".to_owned(), ..Door::clone(door) })];
    let mut fate = [Fate::default()];
    scan::scan(&alone, probe, ports, &mut fate);
    if !fate[0].opened {
        return None;
    }
    let stage = scans.stage(number, probe, order);
    let (name, of) = (order.name(), knocks.len());
    let reason = format!(
        "the ports are {name}, the order in which scans go: max_strays = {most} breaks a scan of \
         all ports off at knock {stage} of {of}, but one of these ports and no more than {most} \
         others on the way opens the door"
    );
    Some(Fault::new(Code::ScanOrder, reason, better_sequence(door, sequence)))
}

/// Proposes the same ports in an order that no scan has, if the engine agrees, else others.
fn better_sequence(door: &Door, sequence: &Sequence) -> String {
    const OTHERS: &str = "write sequence = with four ports or more, in no order and far apart";
    let mut knocks = sequence.knocks().to_vec();
    if knocks.len() < 3 {
        return OTHERS.to_owned();
    }
    let last = knocks.len() - 1;
    let is_descending = knocks[0].port > knocks[last].port;
    knocks.sort_unstable_by_key(|knock| knock.port);
    if is_descending {
        knocks.reverse();
    }
    // Neither up nor down: one end in the middle, the other behind it. So the doors of a pair with
    // the same ports get different sequences.
    knocks.swap(0, 1);
    knocks.swap(1, last);
    let Some(proposed) = Sequence::new(knocks) else { return OTHERS.to_owned() };
    let doors = [bare(door, &proposed, 0)];
    let scans = Scans::run(&doors);
    if scans.opening(0, |_| true).is_some() {
        return OTHERS.to_owned();
    }
    format!(
        "write sequence = {}, which no scan in order opens; better, use new ports",
        written(&proposed)
    )
}

/// Writes a sequence as people do, without `:tcp`.
fn written(sequence: &Sequence) -> String {
    sequence.to_string().replace(":tcp", "")
}

fn first_again(sequence: &Sequence) -> Option<Fault> {
    let (first, rest) = sequence.knocks().split_first()?;
    let at = rest.iter().position(|knock| knock == first)? + 2;
    let reason = format!(
        "knock {at} is the first one, {first}, again: after a lost packet a second try is taken \
         for a part of the first, so it may take a third"
    );
    let remedy = format!("write another port for knock {at}");
    Some(Fault::new(Code::FirstAgain, reason, remedy))
}

fn few_knocks(sequence: &Sequence) -> Option<Fault> {
    let number = sequence.knocks().len();
    let missing = ENOUGH_KNOCKS.checked_sub(number).filter(|missing| *missing > 0)?;
    let sequences = |number: usize| super::numbers::grouped(&super::strength::sequences(number));
    let reason = format!(
        "the sequence has {}, so it is one of {}; with four it is one of {}",
        Counted(count(number), "knock"),
        sequences(number),
        sequences(ENOUGH_KNOCKS)
    );
    let more = ",PORT".repeat(missing);
    Some(Fault::new(
        Code::FewKnocks,
        reason,
        format!("write sequence = {}{more}", written(sequence)),
    ))
}

fn known_ports(sequence: &Sequence) -> Option<Fault> {
    let known = sequence.knocks().iter().filter_map(|knock| Some((knock, service(*knock)?)));
    let mut known: Vec<_> = known.map(|(knock, name)| format!("{knock} ({name})")).collect();
    known.dedup();
    if known.is_empty() {
        return None;
    }
    let reason = format!(
        "the sequence has {}: clients and the commonest scans go there by themselves, which makes \
         the knock easier to guess and to break",
        known.join(", ")
    );
    Some(Fault::new(Code::KnownPort, reason, "write a port above 1023 that no service is known by"))
}

/// Which doors open by the knock of another.
fn check_others(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let views: Vec<_> = subject.doors().collect();
    let current: Vec<_> =
        views.iter().filter_map(|view| Some((*view, current(view.door)?))).collect();
    let doors: Vec<_> = (0..)
        .zip(&current)
        .map(|(number, (view, sequence))| bare(view.door, sequence, number))
        .collect();
    let mut found: HashMap<usize, (usize, u64)> = HashMap::new();
    for (knocked, opened) in scan::knocks(&doors) {
        let (a, b) = (current[knocked].0.door, current[opened].0.door);
        let is_twin = current[knocked].1 == current[opened].1;
        if can_meet(a, b) && !(is_twin && knocked > opened) {
            found.entry(opened).or_insert((knocked, 0)).1 += 1;
        }
    }
    let mut found: Vec<_> = found.into_iter().collect();
    found.sort_unstable();
    for (opened, (knocked, number)) in found {
        let (view, sequence) = &current[opened];
        let (other, longer) = &current[knocked];
        let others = match number {
            1 => String::new(),
            number => format!(", and that of {}", Counted(number - 1, "other door")),
        };
        let reason = format!(
            "the knock of door {} opens this door too{others}: this sequence is {}",
            other.name(),
            relation(sequence, longer)
        );
        let remedy =
            "write ports of its own for this door, or allow it where both are meant to open";
        let finding =
            Finding::new(Code::OpensWith, view.sequence_place(), reason, remedy.to_owned());
        findings.push(Finding { door: Some(view.index), ..finding });
    }
}

/// Says how a sequence lies in one that opens its door too.
fn relation(inner: &Sequence, outer: &Sequence) -> &'static str {
    let (inner, outer) = (inner.knocks(), outer.knocks());
    if inner == outer {
        "the same"
    } else if outer.starts_with(inner) {
        "the beginning of that one"
    } else if outer.windows(inner.len()).any(|window| window == inner) {
        "a part of that one"
    } else {
        "found in that one, with other knocks between its own"
    }
}

/// Returns the sequence that opens the door now.
fn current(door: &Door) -> Option<&Sequence> {
    match &door.sequences {
        Sequences::Fixed(sequence) => Some(sequence),
        Sequences::OneTime { lines, .. } => lines.first().map(|line| &line.sequence),
    }
}

/// Tells whether there can be a packet that both doors see.
fn can_meet(a: &Door, b: &Door) -> bool {
    let shares = |one: &[IpNet], other: &[IpNet]| {
        one.iter().any(|net| other.iter().any(|its| net.contains(its) || its.contains(net)))
    };
    let by_source = match (&a.allow, &b.allow) {
        (Some(one), Some(other)) => shares(one, other),
        _ => true,
    };
    let by_target = a.targets.is_empty()
        || b.targets.is_empty()
        || a.targets.iter().any(|target| b.targets.contains(target));
    by_source && by_target
}
