//! The classic format: a file header, then records of 16 bytes and a frame.

use knock_engine::time::Timestamp;
use pcap_file::Endianness;
use pcap_file::pcap::{PcapParser, PcapTsResolution};

use super::error::Damage;
use super::step::{Anchor, LARGEST_RECORD, Order, Record, Step, USUAL_RECORD, View};

/// The length of the file header.
pub(super) const FILE_HEADER: usize = 24;
/// The length of a record header.
const RECORD_HEADER: usize = 16;
/// The magic of the classic format, of its variant with nanoseconds, and of the variant with
/// longer record headers.
const MICROSECONDS: u32 = 0xa1b2_c3d4;
const NANOSECONDS: u32 = 0xa1b2_3c4d;
const MODIFIED: u32 = 0xa1b2_cd34;
/// The version of the format, as the two halves of a field of 4 bytes.
const VERSIONS: [u32; 2] = [0x0002_0004, 0x0004_0002];
/// The bits of the link type field that are the link type; others tell of check sums.
const LINK_TYPE: u32 = 0x03ff_ffff;
/// No frame was longer than this before it was cut to the snap length, where that decides if
/// something is a record; Linux builds segments of up to 512 KiB.
const LARGEST_ORIGINAL: u32 = 1 << 20;
/// Records lie at most this many seconds apart, where that decides if something is a record.
const NEIGHBOURHOOD_S: u32 = 366 * 86_400;

/// Tells whether a trace with these first bytes is a pcap.
pub(super) fn is_magic(magic: [u8; 4]) -> bool {
    [u32::from_le_bytes(magic), u32::from_be_bytes(magic)]
        .iter()
        .any(|magic| [MICROSECONDS, NANOSECONDS].contains(magic))
}

/// Tells whether a trace with these first bytes is the variant with longer record headers.
pub(super) fn is_modified_magic(magic: [u8; 4]) -> bool {
    u32::from_le_bytes(magic) == MODIFIED || u32::from_be_bytes(magic) == MODIFIED
}

/// Reads the records of a pcap.
pub(super) struct Pcap {
    parser: PcapParser,
    order: Order,
    link_type: u32,
    nanos_per_unit: u64,
    units_per_second: u32,
    /// The snap length, or the largest number where the header gives none.
    snaplen: u32,
    /// The longest frame that is believed.
    limit: u32,
    /// The seconds of the first and of the last record read.
    seconds: Option<[u32; 2]>,
}

/// How far [`Pcap::sweep`] came.
pub(super) struct Sweep {
    /// The bytes of the records that were passed by.
    pub(super) passed: usize,
    /// How many these were.
    pub(super) records: u64,
    /// The wanted record, which stands behind them.
    pub(super) found: Option<Record>,
}

/// The fields of a record header.
#[derive(Clone, Copy)]
struct Header {
    seconds: u32,
    fraction: u32,
    captured: u32,
    original: u32,
}

impl Pcap {
    /// Reads the file header, [`FILE_HEADER`] bytes; `None` if that is no header of a pcap.
    pub(super) fn new(bytes: &[u8]) -> Option<Self> {
        let (_, parser) = PcapParser::new(bytes).ok()?;
        let header = parser.header();
        let (nanos_per_unit, units_per_second) = match header.ts_resolution {
            PcapTsResolution::MicroSecond => (1_000, 1_000_000),
            PcapTsResolution::NanoSecond => (1, 1_000_000_000),
        };
        let order = match header.endianness {
            Endianness::Big => Order::Big,
            Endianness::Little => Order::Little,
        };
        Some(Self {
            // The crate's type of link types knows no check sum bits, so it is not asked.
            link_type: order.u32(bytes, 20) & LINK_TYPE,
            order,
            nanos_per_unit,
            units_per_second,
            snaplen: if header.snaplen == 0 { u32::MAX } else { header.snaplen },
            limit: header.snaplen.clamp(USUAL_RECORD, LARGEST_RECORD),
            seconds: None,
            parser,
        })
    }

    /// Tells what stands at the beginning of `view`.
    #[inline]
    pub(super) fn step(&mut self, view: View<'_>) -> Step {
        // Records that contradict the file header are taken as they are, so the raw layer.
        let Ok((_, raw)) = self.parser.next_raw_packet(view.bytes) else {
            return self.incomplete(view.bytes);
        };
        let header = Header {
            seconds: raw.ts_sec,
            fraction: raw.ts_frac,
            captured: raw.incl_len,
            original: raw.orig_len,
        };
        let size = RECORD_HEADER + header.captured as usize;
        if header.captured > self.limit {
            return self.too_long(header);
        }
        if self.oddities(header).any()
            && let Some(step) = self.judge_odd(header, size, view)
        {
            return step;
        }
        let first = self.seconds.map_or(header.seconds, |[first, _]| first);
        self.seconds = Some([first, header.seconds]);
        Step::Frame(self.record(header, size))
    }

    /// Goes over the records at the beginning of `bytes` until one is `wanted`, as far as they are
    /// all there and nothing is odd about them: the rest is for [`Self::step`].
    ///
    /// Most frames of most captures are nobody's knocks. This loop passes them by in a few
    /// nanoseconds each.
    #[inline]
    pub(super) fn sweep(
        &mut self,
        bytes: &[u8],
        mut wanted: impl FnMut(Timestamp, (&[u8], u32), u64) -> bool,
    ) -> Sweep {
        let mut sweep = Sweep { passed: 0, records: 0, found: None };
        let order = self.order;
        let number = |field: [u8; 4]| match order {
            Order::Little => u32::from_le_bytes(field),
            Order::Big => u32::from_be_bytes(field),
        };
        let (mut rest, mut seconds) = (bytes, self.seconds);
        while let Some((fields, behind)) = rest.split_first_chunk::<RECORD_HEADER>() {
            let [s0, s1, s2, s3, f0, f1, f2, f3, c0, c1, c2, c3, o0, o1, o2, o3] = *fields;
            let header = Header {
                seconds: number([s0, s1, s2, s3]),
                fraction: number([f0, f1, f2, f3]),
                captured: number([c0, c1, c2, c3]),
                original: number([o0, o1, o2, o3]),
            };
            if header.captured > self.limit || self.oddities(header).any() {
                break;
            }
            let Some((captured, next)) = behind.split_at_checked(header.captured as usize) else {
                break;
            };
            seconds = Some([seconds.map_or(header.seconds, |[first, _]| first), header.seconds]);
            if wanted(self.stamp(header), (captured, header.original), sweep.records) {
                sweep.found = Some(self.record(header, RECORD_HEADER + captured.len()));
                break;
            }
            sweep.records += 1;
            rest = next;
        }
        sweep.passed = bytes.len() - rest.len();
        self.seconds = seconds;
        sweep
    }

    #[inline]
    fn record(&self, header: Header, size: usize) -> Record {
        Record {
            size,
            from: RECORD_HEADER,
            to: size,
            at: self.stamp(header),
            link_type: self.link_type,
            original: header.original,
        }
    }

    #[inline]
    fn stamp(&self, header: Header) -> Timestamp {
        let fraction = u64::from(header.fraction) * self.nanos_per_unit;
        Timestamp::from_nanos(u64::from(header.seconds) * 1_000_000_000 + fraction)
    }

    /// Returns the link type of all frames.
    pub(super) fn link_type(&self) -> u32 {
        self.link_type
    }

    /// Tells whether three records in a row begin `at` bytes into the view; fewer, if the trace
    /// ends behind them.
    pub(super) fn anchor(&self, view: View<'_>, at: usize) -> Anchor {
        let mut place = at;
        let mut seconds = self.seconds;
        for seen in 0..3 {
            let left = view.bytes.len() - place;
            if left == 0 && seen > 0 && view.ended {
                return Anchor::Good;
            }
            let mut size = RECORD_HEADER;
            if left >= size {
                let header = self.header(view.bytes, place);
                // One stamp of the two may be damaged itself, so the other is enough.
                let near = |[a, b]: [u32; 2]| {
                    a.abs_diff(header.seconds).min(b.abs_diff(header.seconds)) <= NEIGHBOURHOOD_S
                };
                if !self.is_likely(header) || !seconds.is_none_or(near) {
                    return Anchor::Bad;
                }
                seconds = Some([header.seconds; 2]);
                size += header.captured as usize;
            }
            if left < size {
                return match view.ended {
                    false => Anchor::More { need: place + size },
                    true if seen == 2 => Anchor::Good,
                    true => Anchor::Bad,
                };
            }
            place += size;
        }
        Anchor::Good
    }

    fn header(&self, bytes: &[u8], at: usize) -> Header {
        let field = |index: usize| self.order.u32(bytes, at + 4 * index);
        Header { seconds: field(0), fraction: field(1), captured: field(2), original: field(3) }
    }

    #[cold]
    fn incomplete(&self, bytes: &[u8]) -> Step {
        if bytes.len() < RECORD_HEADER {
            return Step::More { need: RECORD_HEADER };
        }
        let header = self.header(bytes, 0);
        if header.captured > self.limit {
            return self.too_long(header);
        }
        Step::More { need: RECORD_HEADER + header.captured as usize }
    }

    fn too_long(&self, header: Header) -> Step {
        let (length, limit) = (header.captured, self.limit);
        Step::Damaged { cause: Damage::RecordTooLong { length, limit }, size: None }
    }

    /// Tells what about a header a sound capture would not have.
    #[inline]
    fn oddities(&self, header: Header) -> Oddities {
        Oddities {
            length: header.captured > header.original.min(self.snaplen),
            empty: header.captured == 0,
            fraction: header.fraction >= self.units_per_second,
        }
    }

    /// Judges an odd record; returns what to do instead of delivering it.
    ///
    /// Some programs write such records on purpose, and damage makes them too. A record is
    /// believed if what can be another stands where it ends, and if there are no good records
    /// within what its length claims.
    #[cold]
    fn judge_odd(&self, header: Header, size: usize, view: View<'_>) -> Option<Step> {
        let damaged = |cause| Some(Step::Damaged { cause, size: None });
        let odd = self.oddities(header);
        if odd.empty {
            if is_zero(header) {
                return damaged(Damage::ZeroHeader);
            }
            let magic = header.seconds == MICROSECONDS || header.seconds == NANOSECONDS;
            if magic && VERSIONS.contains(&header.fraction) {
                return damaged(Damage::Appended);
            }
        }
        if odd.length && self.holds_records(&view.bytes[..size]) {
            return damaged(Damage::Contradiction);
        }
        if view.bytes.len() < size + RECORD_HEADER {
            return (!view.ended).then_some(Step::More { need: size + RECORD_HEADER });
        }
        let next = self.header(view.bytes, size);
        if self.is_possible(next, odd) { None } else { damaged(Damage::Contradiction) }
    }

    /// Tells whether this can be the header of the record behind one with these oddities.
    ///
    /// A program writes all its records alike, so one that is odd in every way behind one that is
    /// not is none: four bytes in front of a record, its seconds look like an odd fraction and its
    /// fraction like an odd length.
    fn is_possible(&self, header: Header, before: Oddities) -> bool {
        let odd = self.oddities(header);
        header.captured <= self.limit
            && header.original <= LARGEST_ORIGINAL
            && (header.captured > 0 || header.original > 0)
            && (!odd.length || !odd.fraction || (before.length && before.fraction))
    }

    /// Tells whether three records in a row lie within these bytes.
    fn holds_records(&self, bytes: &[u8]) -> bool {
        let view = View { bytes, ended: false };
        (1..bytes.len()).any(|at| self.anchor(view, at) == Anchor::Good)
    }

    /// Tells whether this is very likely a record header.
    fn is_likely(&self, header: Header) -> bool {
        (1..=USUAL_RECORD).contains(&header.captured)
            && (header.captured..=LARGEST_ORIGINAL).contains(&header.original)
            && header.fraction < self.units_per_second
            && header.seconds != 0
    }
}

/// What about a record header a sound capture would not have.
#[derive(Clone, Copy)]
struct Oddities {
    /// More bytes than the frame or the snap length had.
    length: bool,
    /// No bytes.
    empty: bool,
    /// A second or more beside the seconds.
    fraction: bool,
}

impl Oddities {
    #[inline]
    fn any(self) -> bool {
        self.length | self.empty | self.fraction
    }
}

fn is_zero(header: Header) -> bool {
    header.seconds | header.fraction | header.captured | header.original == 0
}
