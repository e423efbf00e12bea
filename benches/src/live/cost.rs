//! CPU time, wake-ups and memory.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use anyhow::Result;
use knock_lab::lab::{Lab, SERVER};
use knock_lab::usage::Usage;
use knock_lab::wire::{Port, Wire};
use knock_lab::{storm, wait};

use super::Contender;

/// What a daemon costs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cost {
    /// Memory at start, the ring included, in bytes.
    pub resident: u64,
    /// CPU time per second at rest.
    pub rest_cpu: Duration,
    /// Wake-ups per second at rest.
    pub rest_wakeups: f64,
    /// CPU time for one packet that concerns a door.
    pub packet_cpu: Duration,
}

/// Measures it: memory, then rest for a span, then first knocks at a pace that everybody keeps up
/// with.
///
/// # Errors
///
/// Where the daemon does not start, or ends.
pub fn measure(contender: &Contender, rest: Duration) -> Result<Cost> {
    const SOURCES: u8 = 100;
    const PACKETS: u32 = 20_000;
    const BURST: u32 = 10;
    let lab = Lab::new()?;
    lab.drop_everything()?;
    let daemon = contender.start(&lab, &storm::door("start_command = true"))?;
    let pid = daemon.pid()?;
    let start = Usage::of(pid)?;
    wait::pace(Instant::now() + rest);
    let rested = Usage::of(pid)?.since(start);

    let mut wire = Wire::new(&lab.client)?;
    let before = Usage::of(pid)?;
    let mut next = Instant::now();
    for number in 0..PACKETS {
        let source = Ipv4Addr::new(198, 18, 0, u8::try_from(number % u32::from(SOURCES))?);
        wire.knock(source.into(), SERVER, Port::Tcp(7000))?;
        if number % BURST == 0 {
            next += Duration::from_millis(1);
            wait::pace(next);
        }
    }
    // It has come to rest when it has used nothing for a while.
    let mut last = (Usage::of(pid)?, Instant::now());
    wait::until("the daemon to come to rest", || {
        let now = Usage::of(pid)?;
        if now.since(last.0).cpu > Duration::from_micros(500) {
            last = (now, Instant::now());
        }
        Ok(last.1.elapsed() > Duration::from_millis(200))
    })?;
    let used = last.0.since(before).cpu;
    Ok(Cost {
        resident: start.resident,
        rest_cpu: rested.cpu.div_f64(rest.as_secs_f64()),
        rest_wakeups: wakeups(rested.sleeps) / rest.as_secs_f64(),
        packet_cpu: used / PACKETS,
    })
}

#[expect(clippy::cast_precision_loss, reason = "counts of seconds are far below 2^53")]
const fn wakeups(count: u64) -> f64 {
    count as f64
}
