//! Many packets, while honest knocks go on.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

use crate::lab::{Lab, SERVER};
use crate::wait;
use crate::wire::{Port, Wire};

/// What strangers do meanwhile.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Storm {
    /// Nothing.
    Calm,
    /// The attack that locks everybody out of knockd 0.8: once a second a first knock from a new
    /// address, and another knock port from the one before.
    LockOut,
    /// First knocks, each from another address, so many a second.
    FirstKnocks(u32),
    /// SYNs at a port that is no knock, each from another address, so many a second.
    Strays(u32),
}

/// Who knocks honestly.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Honest {
    /// How many sources, each with one door to open.
    pub count: usize,
    /// Between one source's beginning and the next one's.
    pub interval: Duration,
    /// Between the packets of a knock.
    pub gap: Duration,
    /// How often a source tries before it gives up.
    pub tries: u32,
}

/// What came of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Outcome {
    /// How many honest sources came in.
    pub opened: usize,
    /// How many did so at their first try.
    pub at_once: usize,
    /// How many packets the strangers sent, per second.
    pub rate: u32,
}

/// The knock of the door that [`door`] describes.
pub const KNOCK: [Port; 3] = [Port::Tcp(7000), Port::Tcp(8000), Port::Tcp(9000)];
/// How long a source waits for its door before it tries again, or gives up.
const PATIENCE: Duration = Duration::from_secs(2);

/// Returns the door that honest sources knock at, with these lines for its commands.
#[must_use]
pub fn door(commands: &str) -> String {
    format!("[door]\nsequence = 7000,8000,9000\nseq_timeout = 10\ntcpflags = syn\n{commands}\n")
}

/// Lets honest sources knock in a storm, and counts those for whom the door opens.
///
/// The sources of one trial are new to the daemon if their `series` is.
///
/// # Errors
///
/// Where packets can't be sent, or the question whether it is open fails.
pub fn weather(
    lab: &Lab,
    storm: Storm,
    honest: Honest,
    series: u8,
    is_open: impl Fn(IpAddr) -> Result<bool>,
) -> Result<Outcome> {
    let is_over = AtomicBool::new(false);
    let (mut quiet, loud) = (Wire::new(&lab.client)?, Wire::new(&lab.client)?);
    std::thread::scope(|scope| {
        let strangers = scope.spawn(|| rage(loud, storm, &is_over));
        let outcome = knock(&mut quiet, honest, series, is_open);
        is_over.store(true, Ordering::Relaxed);
        let rate = strangers.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))?;
        Ok(Outcome { rate, ..outcome? })
    })
}

/// Sends a storm until it shall be over, and returns the packets sent per second.
fn rage(wire: Wire, storm: Storm, is_over: &AtomicBool) -> Result<u32> {
    match storm {
        Storm::Calm => Ok(0),
        Storm::LockOut => lock_out(wire, is_over),
        Storm::FirstKnocks(rate) => flood(wire, 7000, rate, is_over),
        Storm::Strays(rate) => flood(wire, 4242, rate, is_over),
    }
}

fn lock_out(mut wire: Wire, is_over: &AtomicBool) -> Result<u32> {
    let start = Instant::now();
    let mut number = 0;
    let mut next = start;
    while !is_over.load(Ordering::Relaxed) {
        if Instant::now() < next {
            wait::pace((Instant::now() + Duration::from_millis(20)).min(next));
            continue;
        }
        if number > 0 {
            wire.knock(forged(number - 1).into(), SERVER, Port::Tcp(9000))?;
        }
        wire.knock(forged(number).into(), SERVER, Port::Tcp(7000))?;
        number += 1;
        next += Duration::from_secs(1);
    }
    Ok(per_second(u64::from(number) * 2, start.elapsed()))
}

/// Sends SYNs to a port at a rate, in bursts of a millisecond's share.
fn flood(mut wire: Wire, port: u16, rate: u32, is_over: &AtomicBool) -> Result<u32> {
    let mut frame = wire.fresh(forged(0).into(), SERVER, Port::Tcp(port)).frame()?;
    let start = Instant::now();
    let mut sent: u32 = 0;
    while !is_over.load(Ordering::Relaxed) {
        let due = u128::from(rate) * start.elapsed().as_micros() / 1_000_000;
        if u128::from(sent) >= due {
            wait::pace(Instant::now() + Duration::from_millis(1));
            continue;
        }
        set_source(&mut frame, forged(sent));
        wire.send_frame(&frame)?;
        sent = sent.wrapping_add(1);
    }
    Ok(per_second(u64::from(sent), start.elapsed()))
}

fn per_second(count: u64, span: Duration) -> u32 {
    let rate = u128::from(count) * 1000 / span.as_millis().max(1);
    u32::try_from(rate).unwrap_or(u32::MAX)
}

/// Returns one of 2^24 forged sources, in another order than they are numbered; none is honest.
const fn forged(number: u32) -> Ipv4Addr {
    // An odd factor visits each number once.
    let [_, a, b, c] = number.wrapping_mul(2_654_435_769).to_be_bytes();
    Ipv4Addr::new(11, a, b, c)
}

/// Puts another source into an IPv4 frame with TCP, checksums included (RFC 1624).
fn set_source(frame: &mut [u8], source: Ipv4Addr) {
    const SOURCE: usize = 26;
    const CHECKSUMS: [usize; 2] = [24, 50];
    for (offset, new) in [0, 2].into_iter().zip(source.octets().chunks_exact(2)) {
        let old = word(frame, SOURCE + offset);
        let new = u16::from_be_bytes([new[0], new[1]]);
        for at in CHECKSUMS {
            let sum = u32::from(!word(frame, at)) + u32::from(!old) + u32::from(new);
            let [_, carry, high, low] = sum.to_be_bytes();
            let folded = u32::from(u16::from_be_bytes([high, low])) + u32::from(carry);
            let [_, carry, high, low] = folded.to_be_bytes();
            let folded = !(u16::from_be_bytes([high, low]) + u16::from(carry));
            frame[at..at + 2].copy_from_slice(&folded.to_be_bytes());
        }
        frame[SOURCE + offset..SOURCE + offset + 2].copy_from_slice(&new.to_be_bytes());
    }
}

fn word(frame: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([frame[at], frame[at + 1]])
}

/// What an honest source does next, the soonest first.
type Schedule = BinaryHeap<Reverse<(Instant, usize, Step)>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Step {
    /// Sends the packet with this number of its knock, at this try.
    Send { packet: usize, attempt: u32 },
    /// Looks whether the door is open, after this try, until it loses its patience.
    Look { attempt: u32, until: Instant },
}

fn knock(
    wire: &mut Wire,
    honest: Honest,
    series: u8,
    is_open: impl Fn(IpAddr) -> Result<bool>,
) -> Result<Outcome> {
    const LOOK: Duration = Duration::from_millis(50);
    let mut outcome = Outcome::default();
    let mut schedule = Schedule::new();
    let mut moment = Instant::now();
    for number in 0..honest.count {
        schedule.push(Reverse((moment, number, Step::Send { packet: 0, attempt: 1 })));
        moment += honest.interval;
    }
    while let Some(Reverse((at, number, step))) = schedule.pop() {
        wait::pace(at);
        let source = honest_source(series, number)?;
        let next = match step {
            Step::Send { packet, attempt } => {
                wire.knock(source, SERVER, KNOCK[packet])?;
                let packet = packet + 1;
                if packet < KNOCK.len() {
                    Some((at + honest.gap, Step::Send { packet, attempt }))
                } else {
                    Some((at + LOOK, Step::Look { attempt, until: at + PATIENCE }))
                }
            }
            Step::Look { attempt, .. } if is_open(source)? => {
                outcome.opened += 1;
                outcome.at_once += usize::from(attempt == 1);
                None
            }
            Step::Look { until, .. } if at < until => Some((at + LOOK, step)),
            Step::Look { attempt, .. } if attempt < honest.tries => {
                Some((at, Step::Send { packet: 0, attempt: attempt + 1 }))
            }
            Step::Look { .. } => None,
        };
        schedule.extend(next.map(|(at, step)| Reverse((at, number, step))));
    }
    Ok(outcome)
}

fn honest_source(series: u8, number: usize) -> Result<IpAddr> {
    let [high, low] = u16::try_from(number).context("too many honest sources")?.to_be_bytes();
    Ok(Ipv4Addr::new(10, series, high, low).into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Packet;

    #[test]
    fn a_changed_source_makes_the_frame_that_would_have_been_built() {
        let packet = |source: Ipv4Addr| Packet {
            source: source.into(),
            destination: SERVER,
            port: Port::Tcp(7000),
            source_port: 40_000,
            sequence_number: 77,
            flags: crate::wire::SYN,
        };
        let mut frame = packet(forged(0)).frame().unwrap();
        for number in 0..2000 {
            set_source(&mut frame, forged(number));
            assert_eq!(frame, packet(forged(number)).frame().unwrap(), "source {number}");
        }
    }
}
