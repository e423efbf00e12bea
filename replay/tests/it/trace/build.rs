//! Makes captures, byte by byte, so that they can be wrong in any way.

use std::io::Write;

/// The byte order of a capture's own fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Big,
    Little,
}

pub(super) const ORDERS: [Order; 2] = [Order::Big, Order::Little];

impl Order {
    pub(super) fn u32(self, value: u32) -> [u8; 4] {
        match self {
            Self::Big => value.to_be_bytes(),
            Self::Little => value.to_le_bytes(),
        }
    }

    pub(super) fn u16(self, value: u16) -> [u8; 2] {
        match self {
            Self::Big => value.to_be_bytes(),
            Self::Little => value.to_le_bytes(),
        }
    }
}

pub(super) const MICROS: u32 = 0xa1b2_c3d4;
pub(super) const NANOS: u32 = 0xa1b2_3c4d;
/// A second within the time that the test captures play in.
pub(super) const SECOND: u32 = 1_700_000_000;

/// A pcap in the making.
pub(super) struct Pcap {
    pub(super) bytes: Vec<u8>,
    order: Order,
}

impl Pcap {
    pub(super) fn new(order: Order, magic: u32) -> Self {
        Self::with_header(order, magic, 262_144, 1)
    }

    pub(super) fn with_header(order: Order, magic: u32, snaplen: u32, link_type: u32) -> Self {
        let mut bytes = Vec::new();
        bytes.extend(order.u32(magic));
        bytes.extend(order.u16(2));
        bytes.extend(order.u16(4));
        for field in [0, 0, snaplen, link_type] {
            bytes.extend(order.u32(field));
        }
        Self { bytes, order }
    }

    /// Appends a record whose lengths are those of `frame`.
    pub(super) fn frame(self, seconds: u32, fraction: u32, frame: &[u8]) -> Self {
        let length = u32::try_from(frame.len()).unwrap();
        self.record([seconds, fraction, length, length], frame)
    }

    /// Appends a record with any header.
    pub(super) fn record(mut self, header: [u32; 4], frame: &[u8]) -> Self {
        for field in header {
            self.bytes.extend(self.order.u32(field));
        }
        self.bytes.extend(frame);
        self
    }
}

/// An option of a block: code and value.
pub(super) type Opt<'a> = (u16, &'a [u8]);

/// A pcapng in the making.
pub(super) struct PcapNg {
    pub(super) bytes: Vec<u8>,
    order: Order,
}

impl PcapNg {
    /// Begins with a section header.
    pub(super) fn new(order: Order) -> Self {
        Self { bytes: Vec::new(), order }.section(order)
    }

    pub(super) fn section(mut self, order: Order) -> Self {
        self.order = order;
        let mut body = Vec::new();
        body.extend(order.u32(0x1a2b_3c4d));
        body.extend(order.u16(1));
        body.extend(order.u16(0));
        body.extend([0xff; 8]);
        self.block(0x0a0d_0d0a, &body)
    }

    /// Appends a block; pads its content.
    pub(super) fn block(mut self, block: u32, body: &[u8]) -> Self {
        let padded = body.len().next_multiple_of(4);
        let length = self.order.u32(u32::try_from(padded + 12).unwrap());
        self.bytes.extend(self.order.u32(block));
        self.bytes.extend(length);
        self.bytes.extend(body);
        self.bytes.extend(&[0; 3][..padded - body.len()]);
        self.bytes.extend(length);
        self
    }

    /// Appends an interface description with options `(code, value)`.
    pub(super) fn interface(self, link_type: u16, snaplen: u32, options: &[Opt<'_>]) -> Self {
        let order = self.order;
        let mut body = Vec::new();
        body.extend(order.u16(link_type));
        body.extend([0, 0]);
        body.extend(order.u32(snaplen));
        for (code, value) in options {
            body.extend(order.u16(*code));
            body.extend(order.u16(u16::try_from(value.len()).unwrap()));
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.block(1, &body)
    }

    /// Appends an Enhanced Packet Block.
    pub(super) fn enhanced(self, interface: u32, ticks: u64, frame: &[u8]) -> Self {
        let length = u32::try_from(frame.len()).unwrap();
        self.enhanced_of(interface, ticks, [length, length], frame)
    }

    /// Appends an Enhanced Packet Block with any lengths (captured, original).
    pub(super) fn enhanced_of(
        self,
        interface: u32,
        ticks: u64,
        lengths: [u32; 2],
        frame: &[u8],
    ) -> Self {
        let order = self.order;
        let mut body = Vec::new();
        body.extend(order.u32(interface));
        body.extend(order.u32(u32::try_from(ticks >> 32).unwrap()));
        body.extend(order.u32(u32::try_from(ticks & 0xffff_ffff).unwrap()));
        body.extend(lengths.into_iter().flat_map(|length| order.u32(length)));
        body.extend(frame);
        self.block(6, &body)
    }

    pub(super) fn u16(&self, value: u16) -> [u8; 2] {
        self.order.u16(value)
    }

    pub(super) fn u32(&self, value: u32) -> [u8; 4] {
        self.order.u32(value)
    }
}

/// A frame of 60 bytes that no other number gives, without anything that looks like a record.
pub(super) fn payload(number: u32) -> Vec<u8> {
    let mut state = u64::from(number) + 1;
    let mut frame = number.to_be_bytes().to_vec();
    while frame.len() < 60 {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        frame.push(u8::try_from(state >> 56).unwrap() | 0x80);
    }
    frame
}

/// A small pcap of `count` frames, a millisecond apart.
pub(super) fn small_pcap(order: Order, count: u32) -> Vec<u8> {
    (0..count)
        .fold(Pcap::new(order, MICROS), |pcap, number| {
            let (seconds, micros) = (SECOND + number / 1_000, number % 1_000 * 1_000);
            pcap.frame(seconds, micros, &payload(number))
        })
        .bytes
}

/// A small pcapng of `count` frames, a millisecond apart.
pub(super) fn small_pcapng(order: Order, count: u32) -> Vec<u8> {
    let start = PcapNg::new(order).interface(1, 262_144, &[]);
    (0..count)
        .fold(start, |pcapng, number| {
            let micros = u64::from(SECOND) * 1_000_000 + u64::from(number) * 1_000;
            pcapng.enhanced(0, micros, &payload(number))
        })
        .bytes
}

pub(super) fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

pub(super) fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).unwrap()
}

pub(super) fn lz4(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = lz4_flex::frame::FrameEncoder::new(Vec::new());
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}
