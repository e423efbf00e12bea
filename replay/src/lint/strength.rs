//! How hard a door is to guess, computed.

use std::collections::BTreeSet;

use knock_engine::config::{Door, Sequence, Sequences};
use knock_engine::packet::Protocol;
use num_bigint::BigUint;

use super::numbers::{arrangements, choose, factorial, rounded};

/// The ports that a knock can be at, as a stranger sees it.
const PORTS: u32 = 65_536;

/// The ports that a scan visits: there is no port 0.
const SCANNED: u64 = 65_535;

/// What is assumed, for people.
pub(super) const ASSUMPTIONS: [&str; 6] = [
    "each knock is at any of 65,536 ports, one as likely as another, and the protocols are known; \
     to somebody who doesn't know them there are 2^knocks times as many sequences",
    "no answer tells how far a try came, and the search stops at once when the door opens",
    "all packets arrive, in order, and within seq_timeout at the given rate; with forged or many \
     addresses lockouts slow nobody down",
    "the search that uses strays never tries a sequence twice: no search can do better than that",
    "a scan visits each port 1 to 65535 once, by the protocols of the door's knocks",
    "nobody reads the packets on their way: to somebody who does, one knock tells all",
];

/// How hard a door is to guess.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Strength {
    /// Its knocks by protocol: TCP, UDP.
    pub(super) knocks: (usize, usize),
    /// The number of sequences.
    pub(super) sequences: BigUint,
    /// The packets of a search that tries one sequence after the other, on average.
    pub(super) search: BigUint,
    /// How many sequences one packet can complete, thanks to strays that break nothing; zero
    /// where no whole sequence gets through within `seq_timeout`.
    pub(super) per_packet: BigUint,
    /// The packets of a search that makes the most of that, on average.
    pub(super) best_search: Option<BigUint>,
    /// How many scans in random order it takes for one to open the door, on average; `None` where
    /// none ever does, for a knock comes twice or `seq_timeout` is too short.
    pub(super) random_scans: Option<BigUint>,
}

impl Strength {
    /// Computes it for the sequence that opens the door now, at a rate in packets a second; `None`
    /// where nothing opens it.
    pub(super) fn of(door: &Door, rate: u64) -> Option<Self> {
        let sequence = match &door.sequences {
            Sequences::Fixed(sequence) => sequence,
            Sequences::OneTime { lines, .. } => &lines.first()?.sequence,
        };
        let guard = Guard::of(door, sequence);
        let number = sequence.knocks().len();
        let tcp = sequence.knocks().iter().filter(|it| it.protocol == Protocol::Tcp).count();
        let sequences = sequences(number);
        let per_packet = guard.per_packet(window(door, rate));
        let is_possible = per_packet != BigUint::ZERO;
        let best = is_possible
            .then(|| rounded(&sequences, &(&per_packet * 2_u8)).max(BigUint::from(1_u8)));
        Some(Self {
            knocks: (tcp, number - tcp),
            search: &sequences * number / 2_u8,
            random_scans: guard.random_scans(sequence).filter(|_| is_possible),
            sequences,
            per_packet,
            best_search: best,
        })
    }

    /// Returns the number of knocks.
    pub(super) fn number(&self) -> usize {
        self.knocks.0 + self.knocks.1
    }
}

/// Returns how many sequences of so many knocks there are.
pub(super) fn sequences(knocks: usize) -> BigUint {
    std::iter::repeat_n(BigUint::from(PORTS), knocks).product()
}

/// How many packets of one source there can be from the first knock on until `seq_timeout` is
/// over, the first among them.
fn window(door: &Door, rate: u64) -> u64 {
    let packets = door.seq_timeout.as_nanos() * u128::from(rate);
    u64::try_from(packets.div_ceil(1_000_000_000)).unwrap_or(u64::MAX).max(1)
}

/// What breaks a guess off.
struct Guard {
    /// Knocks whose protocol has strays, the last knock aside.
    guarded: u64,
    /// Knocks whose protocol has none, the last knock aside.
    free: u64,
    /// Strays that break nothing.
    max_strays: u64,
    /// The ports of a scan that are strays.
    stray_ports: u64,
}

impl Guard {
    fn of(door: &Door, sequence: &Sequence) -> Self {
        let knocks = sequence.knocks();
        let is_guarded = |protocol| match protocol {
            Protocol::Tcp => door.max_strays.is_some() && !door.flags.accept_data(),
            Protocol::Udp => door.has_udp_strays(sequence),
        };
        let front = &knocks[..knocks.len() - 1];
        let guarded = front.iter().filter(|knock| is_guarded(knock.protocol)).count();
        let count = |number: usize| u64::try_from(number).unwrap_or(u64::MAX);
        let stray_ports = |protocol| {
            let is_used = knocks.iter().any(|knock| knock.protocol == protocol);
            if is_used && is_guarded(protocol) {
                ports_of_strays(door, sequence, protocol)
            } else {
                0
            }
        };
        Self {
            guarded: count(guarded),
            free: count(front.len() - guarded),
            max_strays: door.max_strays.map_or(0, u64::from),
            stray_ports: stray_ports(Protocol::Tcp) + stray_ports(Protocol::Udp),
        }
    }

    /// Returns how many sequences one packet can complete, where so many packets fit into the
    /// window: those that can be made of the packets before it, none of which was a stray too
    /// many.
    fn per_packet(&self, window: u64) -> BigUint {
        let before = window - 1;
        let guarded = choose(before.min(self.guarded + self.max_strays), self.guarded);
        let all = choose(before, self.guarded + self.free);
        (guarded * choose(before, self.free)).min(all)
    }

    /// Returns how many scans in random order it takes: the knocks must come in their order, and
    /// no more than `max_strays` of the stray ports between the first and the last of them.
    fn random_scans(&self, sequence: &Sequence) -> Option<BigUint> {
        let knocks = sequence.knocks();
        let distinct: BTreeSet<_> = knocks.iter().collect();
        if distinct.len() < knocks.len() {
            return None;
        }
        let number = u64::try_from(knocks.len()).unwrap_or(u64::MAX);
        if number == 1 {
            return Some(BigUint::from(1_u8));
        }
        if self.stray_ports == 0 {
            return Some(factorial(knocks.len()));
        }
        let most = self.max_strays.min(self.stray_ports);
        // With j strays among the inner gaps, the rest lies before the first knock or behind the
        // last one.
        let ways = (0..=most)
            .map(|j| choose(j + number - 2, number - 2) * (self.stray_ports - j + 1))
            .sum::<BigUint>();
        Some(rounded(&arrangements(self.stray_ports + number, number), &ways))
    }
}

fn ports_of_strays(door: &Door, sequence: &Sequence, protocol: Protocol) -> u64 {
    let mut other = vec![true; 1 + usize::from(u16::MAX)];
    other[0] = false;
    for knock in sequence.knocks().iter().filter(|knock| knock.protocol == protocol) {
        other[usize::from(knock.port.get())] = false;
    }
    for range in door.ignore_ports.ranges() {
        if range.protocol.is_none_or(|its| its == protocol) {
            other[usize::from(range.first)..=usize::from(range.last)].fill(false);
        }
    }
    let strays = other.into_iter().filter(|is_stray| *is_stray).count();
    u64::try_from(strays).unwrap_or(SCANNED)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::lint::numbers::grouped;
    use crate::lint::scan::{Fate, SYN, bare, scan};

    fn door(text: &str) -> Arc<Door> {
        let parsed = knock_engine::config::parse(format!("[d]\n{text}\n").as_bytes());
        Arc::clone(&parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics)).doors[0])
    }

    fn strength(text: &str) -> Strength {
        Strength::of(&door(text), 10_000).unwrap()
    }

    #[test]
    fn three_tcp_knocks_are_counted_exactly() {
        let found = strength("sequence = 7000,8000,9000");
        assert_eq!(grouped(&found.sequences), "281,474,976,710,656");
        assert_eq!(grouped(&found.search), "422,212,465,065,984");
        assert_eq!(grouped(&found.per_packet), "45");
        assert_eq!(grouped(&found.best_search.unwrap()), "3,127,499,741,230");
        assert_eq!(found.knocks, (3, 0));
    }

    #[test]
    fn without_strays_the_window_is_the_only_limit() {
        let found = strength("sequence = 7000,8000,9000\nmax_strays = off\nseq_timeout = 10ms");
        assert_eq!(grouped(&found.per_packet), grouped(&choose(99, 2)));
        assert_eq!(grouped(&found.random_scans.unwrap()), "6");
        let found = strength("sequence = 7000,8000,9000\ntcpflags = ack\nseq_timeout = 10ms");
        assert_eq!(grouped(&found.per_packet), grouped(&choose(99, 2)));
    }

    #[test]
    fn a_window_too_short_for_a_sequence_opens_to_nobody() {
        let found = strength("sequence = 7000,8000,9000\nseq_timeout = 0");
        assert_eq!((found.per_packet, found.best_search), (BigUint::ZERO, None));
    }

    #[test]
    fn thirty_two_knocks_have_512_bits() {
        let knocks: Vec<_> = (1..=32).map(|port| format!("{port}:udp")).collect();
        let found = strength(&format!("sequence = {}", knocks.join(",")));
        assert_eq!(found.sequences, BigUint::from(1_u8) << 512);
        assert_eq!(found.knocks, (0, 32));
    }

    #[test]
    fn a_repeated_port_is_not_scanned_twice() {
        assert_eq!(strength("sequence = 7000,8000,7000").random_scans, None);
    }

    #[test]
    fn a_packet_completes_as_many_sequences_as_the_engine_says() {
        // Of all sequences that end at the last of the ports that are tried in turn, so many open.
        for (knocks, max_strays) in [(1_u16, 3_u16), (2, 0), (2, 3), (3, 2), (3, 4)] {
            let last = knocks + max_strays;
            let mut sequences = vec![vec![last]];
            for _ in 1..knocks {
                let longer = |ports: &Vec<u16>| {
                    let ports = ports.clone();
                    (1..=last).map(move |port| [&[port], ports.as_slice()].concat())
                };
                sequences = sequences.iter().flat_map(longer).collect();
            }
            let text = |ports: &[u16]| {
                let ports: Vec<_> = ports.iter().map(ToString::to_string).collect();
                format!("sequence = {}\nmax_strays = {max_strays}", ports.join(","))
            };
            let opened = sequences.iter().filter(|ports| {
                let door = door(&text(ports));
                let Sequences::Fixed(sequence) = &door.sequences else { unreachable!() };
                let mut fate = [Fate::default()];
                scan(&[bare(&door, sequence, 0)], SYN, 1..=last, &mut fate);
                fate[0].opened
            });
            let expected = strength(&text(&sequences[0])).per_packet;
            assert_eq!(BigUint::from(opened.count()), expected, "{knocks} {max_strays}");
        }
    }

    /// Calls back with every order of these ports.
    fn each_order(ports: &mut [u16], from: usize, visit: &mut impl FnMut(&[u16])) {
        if from == ports.len() {
            return visit(ports);
        }
        for index in from..ports.len() {
            ports.swap(from, index);
            each_order(ports, from + 1, visit);
            ports.swap(from, index);
        }
    }

    #[test]
    fn scans_in_random_order_open_as_often_as_the_engine_says() {
        for (knocks, max_strays) in [("1,2", 0), ("1,2", 2), ("1,2,3", 1), ("3,1,4,2", 2)] {
            // All ports but 1 to 6 are ignored.
            let text =
                format!("sequence = {knocks}\nmax_strays = {max_strays}\nignore_ports = 7-65535");
            let door = door(&text);
            let Sequences::Fixed(sequence) = &door.sequences else { unreachable!() };
            let doors = [bare(&door, sequence, 0)];
            let (mut opened, mut all) = (0_u32, 0_u32);
            each_order(&mut [1, 2, 3, 4, 5, 6], 0, &mut |ports| {
                all += 1;
                let mut fate = [Fate::default()];
                scan(&doors, SYN, ports.iter().copied(), &mut fate);
                opened += u32::from(fate[0].opened);
            });
            let expected = rounded(&BigUint::from(all), &BigUint::from(opened));
            assert_eq!(strength(&text).random_scans, Some(expected), "{text}: {opened} of {all}");
        }
    }
}
