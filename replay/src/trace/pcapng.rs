//! The block format: sections, interfaces, and packets of three kinds.

use std::net::IpAddr;

use byteorder_slice::{BigEndian, ByteOrder, LittleEndian};
use knock_engine::time::Timestamp;
use knock_frontend::recording::{BLOCK_TYPE, Note};
use pcap_file::pcapng::blocks::{
    CUSTOM_BLOCK_COPIABLE, CUSTOM_BLOCK_NON_COPIABLE, ENHANCED_PACKET_BLOCK,
    INTERFACE_DESCRIPTION_BLOCK, INTERFACE_STATISTIC_BLOCK, NAME_RESOLUTION_BLOCK, PACKET_BLOCK,
    SECTION_HEADER_BLOCK, SIMPLE_PACKET_BLOCK, SYSTEMD_JOURNAL_EXPORT_BLOCK,
};
use pcap_file::pcapng::{PcapNgFormatError, RawBlock, RawBlockParseError};

use super::error::Damage;
use super::interface::{self, Interface};
use super::step::{Anchor, LARGEST_RECORD, Order, Record, Step, USUAL_RECORD, View};

/// The bytes of a block in front of its content.
const BLOCK_HEADER: usize = 8;
/// The bytes of a block around its content, the least length of a block.
const BLOCK_FRAME: usize = 12;
/// The fields of an Enhanced Packet Block (and of the old Packet Block) in front of the frame.
const ENHANCED_FIXED: usize = 20;
/// The fields of a Simple Packet Block in front of the frame.
const SIMPLE_FIXED: usize = 4;
/// What the header and the options of a packet block can take beside the frame.
const PACKET_OVERHEAD: u32 = 64 << 10;
/// The longest block that is believed if it is no packet; libpcap's limit too.
const LARGEST_BLOCK: u32 = 16 << 20;
/// The most interfaces in a section, so that a hostile trace cannot fill the memory.
const LARGEST_SECTION: usize = 65_536;
/// The most local addresses that are kept, for the same reason.
const MOST_ADDRESSES: usize = 4_096;
/// Block type of decryption secrets, which `pcap-file` has no name for.
const DECRYPTION_SECRETS_BLOCK: u32 = 0x0000_000a;

/// Tells whether a trace with these first bytes is a pcapng.
pub(super) fn is_magic(magic: [u8; 4]) -> bool {
    u32::from_be_bytes(magic) == SECTION_HEADER_BLOCK
}

/// Reads the blocks of a pcapng.
pub(super) struct PcapNg {
    order: Order,
    interfaces: Vec<Interface>,
    addresses: Vec<IpAddr>,
    /// The longest packet block that is believed.
    packet_limit: u32,
    /// The stamp of the last frame, for packets that have none.
    last: Timestamp,
}

impl PcapNg {
    pub(super) fn new() -> Self {
        Self {
            order: Order::Little,
            interfaces: Vec::new(),
            addresses: Vec::new(),
            packet_limit: USUAL_RECORD + PACKET_OVERHEAD,
            last: Timestamp::ZERO,
        }
    }

    /// Returns the addresses of the interfaces described so far, in order, each once.
    pub(super) fn addresses(&self) -> &[IpAddr] {
        &self.addresses
    }

    /// Tells what stands at the beginning of `view`.
    #[inline]
    pub(super) fn step(&mut self, view: View<'_>) -> Step {
        match self.order {
            Order::Big => self.step_in::<BigEndian>(view.bytes),
            Order::Little => self.step_in::<LittleEndian>(view.bytes),
        }
    }

    /// Tells whether a sound block of a known type begins `at` bytes into the view.
    pub(super) fn anchor(&self, view: View<'_>, at: usize) -> Anchor {
        let bytes = &view.bytes[at..];
        let more = |need: usize| match view.ended {
            true => Anchor::Bad,
            false => Anchor::More { need: at + need },
        };
        if bytes.len() < BLOCK_FRAME {
            return more(BLOCK_FRAME);
        }
        let (block, length, order) = self.header(bytes);
        if !is_known(block) || length < 12 || length % 4 != 0 || length > self.limit(block) {
            return Anchor::Bad;
        }
        let size = length as usize;
        if bytes.len() < size {
            return more(size);
        }
        if order.u32(bytes, size - 4) == length { Anchor::Good } else { Anchor::Bad }
    }

    #[inline]
    fn step_in<B: ByteOrder>(&mut self, bytes: &[u8]) -> Step {
        let raw = match RawBlock::from_slice::<B>(bytes) {
            Ok((_, raw)) => raw,
            Err(error) => return self.refused(&error, bytes),
        };
        let size = raw.initial_len as usize;
        if raw.initial_len > self.limit(raw.type_) {
            return self.too_long(raw.type_, raw.initial_len);
        }
        let body = &bytes[BLOCK_HEADER..size - 4];
        let step = match raw.type_ {
            ENHANCED_PACKET_BLOCK => self.enhanced(body, EnhancedKind::Current),
            PACKET_BLOCK => self.enhanced(body, EnhancedKind::Old),
            SIMPLE_PACKET_BLOCK => self.simple(body),
            INTERFACE_DESCRIPTION_BLOCK => self.describe(body),
            SECTION_HEADER_BLOCK => self.begin_section(bytes),
            BLOCK_TYPE => note(body),
            _ => Ok(Step::Other { size }),
        };
        step.unwrap_or_else(|cause| Step::Damaged { cause, size: Some(size) })
    }

    #[inline]
    fn enhanced(&mut self, body: &[u8], kind: EnhancedKind) -> Result<Step, Damage> {
        let (order, block) = (self.order, kind.block());
        require(block, body, ENHANCED_FIXED)?;
        let number = match kind {
            EnhancedKind::Current => order.u32(body, 0),
            EnhancedKind::Old => u32::from(order.u16(body, 0)),
        };
        let known = self.interfaces.len();
        let Some(interface) = self.interfaces.get(number as usize) else {
            return Err(Damage::UnknownInterface { interface: number, known });
        };
        let ticks = u64::from(order.u32(body, 4)) << 32 | u64::from(order.u32(body, 8));
        let captured = order.u32(body, 12) as usize;
        require(block, body, ENHANCED_FIXED + captured)?;
        self.last = interface.stamp(ticks);
        let from = BLOCK_HEADER + ENHANCED_FIXED;
        Ok(Step::Frame(Record {
            size: body.len() + BLOCK_FRAME,
            from,
            to: from + captured,
            at: self.last,
            link_type: interface.link_type,
            original: order.u32(body, 16),
        }))
    }

    fn simple(&self, body: &[u8]) -> Result<Step, Damage> {
        require(SIMPLE_PACKET_BLOCK, body, SIMPLE_FIXED)?;
        let Some(interface) = self.interfaces.first() else {
            return Err(Damage::UnknownInterface { interface: 0, known: 0 });
        };
        let original = self.order.u32(body, 0);
        let captured =
            if interface.snaplen == 0 { original } else { original.min(interface.snaplen) };
        require(SIMPLE_PACKET_BLOCK, body, SIMPLE_FIXED + captured as usize)?;
        let from = BLOCK_HEADER + SIMPLE_FIXED;
        Ok(Step::Frame(Record {
            size: body.len() + BLOCK_FRAME,
            from,
            to: from + captured as usize,
            at: self.last,
            link_type: interface.link_type,
            original,
        }))
    }

    #[cold]
    fn describe(&mut self, body: &[u8]) -> Result<Step, Damage> {
        require(INTERFACE_DESCRIPTION_BLOCK, body, interface::FIXED)?;
        if self.interfaces.len() >= LARGEST_SECTION {
            return Err(Damage::TooManyInterfaces { limit: LARGEST_SECTION });
        }
        let addresses = &mut self.addresses;
        let interface = Interface::read(body, self.order, |address| {
            if addresses.len() < MOST_ADDRESSES && !addresses.contains(&address) {
                addresses.push(address);
            }
        });
        let largest = interface.snaplen.clamp(USUAL_RECORD, LARGEST_RECORD) + PACKET_OVERHEAD;
        self.packet_limit = self.packet_limit.max(largest);
        self.interfaces.push(interface);
        Ok(Step::Other { size: body.len() + BLOCK_FRAME })
    }

    #[cold]
    fn begin_section(&mut self, bytes: &[u8]) -> Result<Step, Damage> {
        let (block, length, order) = self.header(bytes);
        require(block, &bytes[BLOCK_HEADER..length as usize - 4], 16)?;
        self.order = order;
        self.interfaces.clear();
        self.packet_limit = USUAL_RECORD + PACKET_OVERHEAD;
        Ok(Step::Other { size: length as usize })
    }

    /// Turns what `pcap-file` says of a block that is not whole into a step.
    #[cold]
    fn refused(&mut self, error: &RawBlockParseError, bytes: &[u8]) -> Step {
        let damaged = |cause| Step::Damaged { cause, size: None };
        if bytes.len() < BLOCK_FRAME {
            return Step::More { need: BLOCK_FRAME };
        }
        let (block, length, order) = self.header(bytes);
        match error {
            RawBlockParseError::IncompleteBuffer(..) if length > self.limit(block) => {
                self.too_long(block, length)
            }
            RawBlockParseError::IncompleteBuffer(..) => Step::More { need: length as usize },
            RawBlockParseError::InvalidFormat(PcapNgFormatError::InvalidMagicNumber(magic)) => {
                // The section can still be read if its byte order shows in the length.
                self.order = order;
                damaged(Damage::ByteOrder { magic: *magic })
            }
            RawBlockParseError::InvalidFormat(PcapNgFormatError::BlockLengthMismatch(
                length,
                trailer,
            )) => damaged(Damage::BlockTrailer { length: *length, trailer: *trailer }),
            RawBlockParseError::InvalidFormat(_) => damaged(Damage::BlockLength { length }),
        }
    }

    fn too_long(&self, block: u32, length: u32) -> Step {
        let limit = self.limit(block);
        Step::Damaged { cause: Damage::BlockTooLong { length, limit }, size: None }
    }

    /// Returns the longest block of a type that is believed.
    #[inline]
    fn limit(&self, block: u32) -> u32 {
        match block {
            ENHANCED_PACKET_BLOCK | PACKET_BLOCK | SIMPLE_PACKET_BLOCK => self.packet_limit,
            _ => LARGEST_BLOCK,
        }
    }

    /// Reads type, length and byte order of a block of which [`BLOCK_FRAME`] bytes are there.
    fn header(&self, bytes: &[u8]) -> (u32, u32, Order) {
        let block = self.order.u32(bytes, 0);
        if block != SECTION_HEADER_BLOCK {
            return (block, self.order.u32(bytes, 4), self.order);
        }
        // A section header tells its own byte order; if that is damaged, the smaller length is
        // the right one.
        let (big, little) = (Order::Big.u32(bytes, 4), Order::Little.u32(bytes, 4));
        match Order::Big.u32(bytes, 8) {
            0x1a2b_3c4d => (block, big, Order::Big),
            0x4d3c_2b1a => (block, little, Order::Little),
            _ if big < little => (block, big, Order::Big),
            _ => (block, little, Order::Little),
        }
    }
}

/// Reads the stamp of a recording's note.
#[cold]
fn note(body: &[u8]) -> Result<Step, Damage> {
    let size = body.len() + BLOCK_FRAME;
    match Note::from_block(body) {
        None => Ok(Step::Other { size }),
        Some(Err(error)) => Err(Damage::Note(error)),
        Some(Ok(note)) => Ok(Step::Note(Record {
            size,
            from: BLOCK_HEADER,
            to: BLOCK_HEADER + body.len(),
            at: note.at(),
            link_type: BLOCK_TYPE,
            original: 0,
        })),
    }
}

/// The two kinds of packet block with an interface and a stamp.
#[derive(Clone, Copy)]
enum EnhancedKind {
    /// The Enhanced Packet Block.
    Current,
    /// The obsolete Packet Block, with 16 bits of interface number.
    Old,
}

impl EnhancedKind {
    fn block(self) -> u32 {
        match self {
            Self::Current => ENHANCED_PACKET_BLOCK,
            Self::Old => PACKET_BLOCK,
        }
    }
}

/// Checks that the fields of a block of type `block` fit into its content.
#[inline]
fn require(block: u32, body: &[u8], needed: usize) -> Result<(), Damage> {
    let room = body.len();
    if room < needed { Err(Damage::BlockContent { block, room, needed }) } else { Ok(()) }
}

/// Tells whether a block type is one that captures contain.
fn is_known(block: u32) -> bool {
    matches!(
        block,
        SECTION_HEADER_BLOCK
            | INTERFACE_DESCRIPTION_BLOCK
            | PACKET_BLOCK
            | SIMPLE_PACKET_BLOCK
            | NAME_RESOLUTION_BLOCK
            | INTERFACE_STATISTIC_BLOCK
            | ENHANCED_PACKET_BLOCK
            | SYSTEMD_JOURNAL_EXPORT_BLOCK
            | DECRYPTION_SECRETS_BLOCK
            | CUSTOM_BLOCK_COPIABLE
            | CUSTOM_BLOCK_NON_COPIABLE
            | BLOCK_TYPE
    )
}
