//! An engine with as many doors and attempts as a measurement asks for.

use std::net::IpAddr;
use std::num::NonZeroU16;
use std::sync::Arc;
use std::time::Duration;

use knock_engine::config::{Command, Config, Door, Knock, Options, Sequence, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};
use knock_engine::time::Timestamp;
use knock_engine::{Engine, HashKey};

use crate::load::{LOCAL_V4, LOCAL_V6, address};

/// The number of knocks that open each door.
pub const STEPS: u16 = 3;
/// The most doors that find ports of their own.
pub const MAX_DOORS: u16 = 10_000;
/// The first door's first port; a door's ports follow each other, and the next door's follow them.
const FIRST_PORT: u16 = 2000;
/// A port that is in no sequence.
const OTHER_PORT: u16 = 443;

/// The spans that decide how much the engine has to hold at a time.
#[derive(Clone, Copy, Debug)]
pub struct Spans {
    /// How long an attempt lasts that does not open its door (S7).
    pub seq_timeout: Duration,
    /// How long a knock is remembered (S8).
    pub retransmit_window: Duration,
    /// How long a lease lasts (S11); `None` for doors without a stop command, which have none.
    pub lease: Option<Duration>,
}

/// An engine and the clock that its packets are stamped by.
#[derive(Debug)]
pub struct Bed {
    /// The engine.
    pub engine: Engine,
    /// The stamp of the next packet.
    pub now: Timestamp,
    doors: u16,
    next_source: u64,
}

impl Bed {
    /// Makes an engine with doors that share no port, each with a start command.
    ///
    /// # Panics
    ///
    /// With more than [`MAX_DOORS`] doors, or none.
    #[must_use]
    pub fn new(doors: u16, spans: Spans) -> Self {
        assert!((1..=MAX_DOORS).contains(&doors), "{doors} doors find no ports");
        let options = Options { max_attempts: 1 << 21, ..Options::default() };
        let doors_of_config = (0..doors).map(|index| Arc::new(door(index, spans))).collect();
        let local = LocalAddresses::Known(vec![IpAddr::V4(LOCAL_V4), IpAddr::V6(LOCAL_V6)]);
        let config = Config { options, doors: doors_of_config };
        Self {
            engine: Engine::new(config, local, HashKey::default()),
            now: Timestamp::from_nanos(1_700_000_000_000_000_000),
            doors,
            next_source: 0,
        }
    }

    /// Begins this many attempts, each of another source, all at the same moment.
    pub fn begin_attempts(&mut self, count: u64) {
        for _ in 0..count {
            let _: usize = self.first_knock(Duration::ZERO);
        }
    }

    /// Lets a source that was not there before knock once, at the next door in turn.
    ///
    /// Returns how many outputs came, as all inputs here do.
    pub fn first_knock(&mut self, wait: Duration) -> usize {
        let (source, door) = self.next();
        self.handle(&knock(source, port(door, 0), self.next_source), wait)
    }

    /// Lets a source that was not there before open the next door in turn; it waits once, before.
    pub fn sequence(&mut self, wait: Duration) -> usize {
        let (source, door) = self.next();
        let waits = [wait, Duration::ZERO, Duration::ZERO];
        (0..STEPS).zip(waits).fold(0, |outputs, (step, wait)| {
            let packet = knock(source, port(door, step), self.next_source);
            outputs + self.handle(&packet, wait)
        })
    }

    /// Hands over a packet after a wait, and takes every output.
    pub fn handle(&mut self, packet: &Packet, wait: Duration) -> usize {
        self.now = self.now.saturating_add(wait);
        self.engine.handle_packet(packet, self.now);
        self.drain()
    }

    /// Takes every output and counts them.
    pub fn drain(&mut self) -> usize {
        let mut outputs = 0;
        while let Some(output) = self.engine.poll_output() {
            std::hint::black_box(output);
            outputs += 1;
        }
        outputs
    }

    fn next(&mut self) -> (IpAddr, u16) {
        let door = self.next_source % u64::from(self.doors);
        let source = address::stranger(self.next_source);
        self.next_source += 1;
        (source, u16::try_from(door).expect("a rest below a 16-bit number fits"))
    }
}

/// Returns the port of a door's step; both count from 0.
#[must_use]
pub const fn port(door: u16, step: u16) -> u16 {
    FIRST_PORT + STEPS * door + step
}

/// Makes the initial SYN of a knock; another nonce makes it another packet than the same knock
/// before.
#[must_use]
pub fn knock(source: IpAddr, port: u16, nonce: u64) -> Packet {
    let bytes = nonce.to_le_bytes();
    let sequence_number = u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
    packet(source, port, Transport::Tcp { sequence_number, flags: TcpFlags::SYN })
}

/// Makes a data segment to a port that is in no sequence: what nearly every packet is.
#[must_use]
pub fn irrelevant(source: IpAddr) -> Packet {
    packet(source, OTHER_PORT, Transport::Tcp { sequence_number: 1, flags: TcpFlags::ACK })
}

fn packet(source: IpAddr, destination_port: u16, transport: Transport) -> Packet {
    let destination = match source {
        IpAddr::V4(_) => IpAddr::V4(LOCAL_V4),
        IpAddr::V6(_) => IpAddr::V6(LOCAL_V6),
    };
    Packet { source, destination, source_port: 40_000, destination_port, transport }
}

fn door(index: u16, spans: Spans) -> Door {
    let knocks = (0..STEPS).map(|step| Knock {
        protocol: Protocol::Tcp,
        port: NonZeroU16::new(port(index, step)).expect("the first port is above 0"),
    });
    let sequence = Sequence::new(knocks.collect()).expect("a few knocks are a sequence");
    let mut door = Door::new(format!("door{index}"), Sequences::Fixed(sequence));
    door.seq_timeout = spans.seq_timeout;
    door.retransmit_window = spans.retransmit_window;
    door.commands.start = Command::new("true %IP%");
    if let Some(lease) = spans.lease {
        door.commands.stop = Command::new("true %IP%");
        door.cmd_timeout = lease;
    }
    door
}

#[cfg(test)]
mod tests {
    use super::*;

    const SPANS: Spans = Spans {
        seq_timeout: Duration::from_secs(25),
        retransmit_window: Duration::from_secs(25),
        lease: Some(Duration::from_secs(10)),
    };

    #[test]
    fn the_bed_holds_what_was_asked_for() {
        for doors in [1, 7] {
            let mut bed = Bed::new(doors, SPANS);
            bed.begin_attempts(100);
            assert_eq!(bed.engine.stats().attempts, 100);
            // Three stages, the opening and its action.
            assert_eq!(bed.sequence(Duration::ZERO), 5);
            assert_eq!(bed.engine.stats().leases, 1);
            assert_eq!(bed.handle(&irrelevant(IpAddr::V4(LOCAL_V4)), Duration::ZERO), 0);
        }
    }

    #[test]
    fn waiting_as_long_as_an_attempt_lasts_keeps_their_number() {
        let mut bed = Bed::new(1, SPANS);
        for _ in 0..100 {
            let _: usize = bed.first_knock(SPANS.seq_timeout / 10);
        }
        assert_eq!(bed.engine.stats().attempts, 10);
    }
}
