//! Interface descriptions of a pcapng: link type, clock, addresses.
//!
//! They are read here and not by `pcap-file`, which refuses a whole block, and with it every
//! packet of that interface, for a name that is no UTF-8, a reserved field that is not 0, or a
//! clock finer than a nanosecond (NTP-clocked probes write 2^-32).

use std::net::IpAddr;

use knock_engine::time::Timestamp;

use super::step::Order;

/// The fields in front of the options.
pub(super) const FIXED: usize = 8;

const END_OF_OPTIONS: u16 = 0;
const IPV4_ADDRESS: u16 = 4;
const IPV6_ADDRESS: u16 = 5;
const TIME_RESOLUTION: u16 = 9;
const TIME_OFFSET: u16 = 14;

const NANOS_PER_SECOND: u64 = 1_000_000_000;

/// What a packet needs to know of its interface.
#[derive(Clone, Copy, Debug)]
pub(super) struct Interface {
    pub(super) link_type: u32,
    /// The snap length, 0 where the interface has none.
    pub(super) snaplen: u32,
    clock: Clock,
}

impl Interface {
    /// Reads the content of a block of at least [`FIXED`] bytes; hands each address to `address`.
    ///
    /// Of an option given twice the first counts. What stands behind a broken option is lost.
    pub(super) fn read(body: &[u8], order: Order, mut address: impl FnMut(IpAddr)) -> Self {
        let mut resolution = None;
        let mut offset_s = None;
        let options = Options { rest: &body[FIXED..], order };
        for (code, value) in options {
            match (code, value) {
                (IPV4_ADDRESS, [a, b, c, d, ..]) => address(IpAddr::from([*a, *b, *c, *d])),
                (IPV6_ADDRESS, [..]) => {
                    if let Some(octets) = value.first_chunk::<16>() {
                        address(IpAddr::from(*octets));
                    }
                }
                (TIME_RESOLUTION, [value, ..]) => {
                    resolution.get_or_insert(*value);
                }
                (TIME_OFFSET, [_, _, _, _, _, _, _, _, ..]) => {
                    offset_s.get_or_insert(order.u64(value, 0).cast_signed());
                }
                _ => {}
            }
        }
        Self {
            link_type: u32::from(order.u16(body, 0)),
            snaplen: order.u32(body, 4),
            clock: Clock::new(resolution.unwrap_or(6), offset_s.unwrap_or(0)),
        }
    }

    /// Turns a packet's ticks into a stamp, saturating at both ends.
    #[inline]
    pub(super) fn stamp(&self, ticks: u64) -> Timestamp {
        match self.clock {
            Clock::Multiple { nanos } => Timestamp::from_nanos(ticks.saturating_mul(nanos)),
            Clock::Other { resolution, offset_s } => slow_stamp(ticks, resolution, offset_s),
        }
    }
}

/// How the ticks of an interface become a stamp.
#[derive(Clone, Copy, Debug)]
enum Clock {
    /// A tick is a whole number of nanoseconds, counted from 1970.
    Multiple { nanos: u64 },
    /// Anything else.
    Other { resolution: u8, offset_s: i64 },
}

impl Clock {
    fn new(resolution: u8, offset_s: i64) -> Self {
        if resolution <= 9 && offset_s == 0 {
            Self::Multiple { nanos: 10_u64.pow(9 - u32::from(resolution)) }
        } else {
            Self::Other { resolution, offset_s }
        }
    }
}

/// Computes a stamp from an `if_tsresol` of any kind: 10^-n, or 2^-n with the top bit set.
///
/// A time of 64 bits in seconds has 94 bits in nanoseconds, so nothing overflows here.
fn slow_stamp(ticks: u64, resolution: u8, offset_s: i64) -> Timestamp {
    let exponent = u32::from(resolution & 0x7f);
    let ticks = u128::from(ticks);
    let nanos = if resolution & 0x80 != 0 {
        (ticks * u128::from(NANOS_PER_SECOND)) >> exponent
    } else if exponent <= 9 {
        ticks * 10_u128.pow(9 - exponent)
    } else {
        // From 10^-29 on, 64 bits of ticks are less than a nanosecond.
        10_u128.checked_pow(exponent - 9).map_or(0, |divisor| ticks / divisor)
    };
    let sum = i128::try_from(nanos)
        .unwrap_or(i128::MAX)
        .saturating_add(i128::from(offset_s) * i128::from(NANOS_PER_SECOND));
    Timestamp::from_nanos(u64::try_from(sum.max(0)).unwrap_or(u64::MAX))
}

/// The options of a block, up to the first that does not fit.
struct Options<'a> {
    rest: &'a [u8],
    order: Order,
}

impl<'a> Iterator for Options<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.len() < 4 {
            return None;
        }
        let code = self.order.u16(self.rest, 0);
        let length = usize::from(self.order.u16(self.rest, 2));
        let value = self.rest.get(4..4 + length)?;
        self.rest = self.rest.get(4 + length.next_multiple_of(4)..).unwrap_or_default();
        (code != END_OF_OPTIONS).then_some((code, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_resolution_counts_right() {
        let cases = [
            // 2026-11-22T00:00:00.5Z in seconds, halves, microseconds, nanoseconds, 2^-32.
            (0, 1_795_305_600, 1_795_305_600_000_000_000),
            (0x81, 3_590_611_201, 1_795_305_600_500_000_000),
            (6, 1_795_305_600_500_000, 1_795_305_600_500_000_000),
            (9, 1_795_305_600_500_000_000, 1_795_305_600_500_000_000),
            (0xa0, 0x6b02_3c80_8000_0000, 1_795_308_672_500_000_000),
            // Picoseconds: 64 bits last 213 days; what is below a nanosecond is cut off.
            (12, 18_000_000_000_000_999, 18_000_000_000_000),
            (28, u64::MAX, 1),
            (29, u64::MAX, 0),
            (127, u64::MAX, 0),
            (0xff, u64::MAX, 0),
            (0x80, 7, 7_000_000_000),
        ];
        for (resolution, ticks, nanos) in cases {
            assert_eq!(
                slow_stamp(ticks, resolution, 0),
                Timestamp::from_nanos(nanos),
                "resolution {resolution:#x}"
            );
        }
    }

    #[test]
    fn the_fast_clock_agrees_with_the_slow_one() {
        for resolution in 0..=9 {
            for ticks in [0, 1, 1_700_000_000, 1_700_000_000_123_456, u64::MAX] {
                let clock = Clock::new(resolution, 0);
                assert!(matches!(clock, Clock::Multiple { .. }), "the fast clock is taken");
                let interface = Interface { link_type: 1, snaplen: 0, clock };
                assert_eq!(interface.stamp(ticks), slow_stamp(ticks, resolution, 0));
            }
        }
    }

    #[test]
    fn offsets_move_stamps_and_saturate() {
        assert_eq!(slow_stamp(7_000_000, 6, -5), Timestamp::from_nanos(2_000_000_000));
        assert_eq!(slow_stamp(7_000_000, 6, 5), Timestamp::from_nanos(12_000_000_000));
        assert_eq!(slow_stamp(4_999_999, 6, -5), Timestamp::ZERO);
        assert_eq!(slow_stamp(0, 6, i64::MIN), Timestamp::ZERO);
        assert_eq!(slow_stamp(u64::MAX, 0, i64::MAX), Timestamp::MAX);
        assert_eq!(slow_stamp(u64::MAX, 0x80, i64::MIN), Timestamp::MAX);
    }
}
