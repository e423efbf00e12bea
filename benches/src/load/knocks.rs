//! Loads in which every packet is a knock: P2 and P3.

use std::io::{self, Write};

use super::address::{client, stranger};
use super::traffic::Traffic;
use super::{KNOCK_PORTS, Plan};

/// P2: sources that hit the first port, one every 10 µs, and one client that knocks honestly,
/// its knocks after a quarter, a half and three quarters of them.
pub(super) fn flood<W: Write>(mut traffic: Traffic<W>, plan: Plan) -> io::Result<()> {
    let strangers = plan.packets - 3;
    for index in 0..strangers {
        for (knock, port) in (1..).zip(KNOCK_PORTS) {
            if index == strangers * knock / 4 {
                traffic.syn(client(0), port)?;
                traffic.wait_us(5);
            }
        }
        traffic.syn(stranger(index), KNOCK_PORTS[0])?;
        traffic.wait_us(10);
    }
    traffic.finish()
}

/// P3: a client begins every millisecond and knocks every 500 ms, so that 1,000 are under way at
/// any time.
pub(super) fn crowd<W: Write>(mut traffic: Traffic<W>, plan: Plan) -> io::Result<()> {
    const GAP_MS: u64 = 500;
    for tick_ms in 0..plan.opens + 2 * GAP_MS {
        for (knock, port) in (0..).zip(KNOCK_PORTS) {
            let begun = tick_ms.checked_sub(knock * GAP_MS);
            let Some(index) = begun.filter(|index| *index < plan.opens) else { continue };
            traffic.set_us(tick_ms * 1000 + knock * 100);
            traffic.syn(client(index), port)?;
        }
    }
    traffic.finish()
}
