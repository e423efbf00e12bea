//! The capture that is written.

use std::borrow::Cow;
use std::io::{self, Write};
use std::net::IpAddr;
use std::time::Duration;

use knock_engine::time::Timestamp;
use knock_engine::wire::LinkType;
use knock_frontend::recording::{BLOCK_TYPE, Note};
use pcap_file::DataLink;
use pcap_file::pcapng::blocks::enhanced_packet::EnhancedPacketBlock;
use pcap_file::pcapng::blocks::interface_description::{
    InterfaceDescriptionBlock, InterfaceDescriptionOption, InterfaceTsResolution,
};
use pcap_file::pcapng::blocks::section_header::{SectionHeaderBlock, SectionHeaderOption};
use pcap_file::pcapng::blocks::unknown::UnknownBlock;
use pcap_file::pcapng::{PcapNgBlock, PcapNgWriteError, PcapNgWriter};

/// What stands in the capture as its author.
const AUTHOR: &str = concat!("knock-replay ", env!("CARGO_PKG_VERSION"), " (Sesame)");

/// The usual snap length, which every program takes.
const USUAL_SNAPLEN: u32 = 256 << 10;
/// The snap length of an interface for frames that are longer than that.
const LARGEST_SNAPLEN: u32 = 128 << 20;

/// A frame to write.
#[derive(Clone, Copy)]
pub(super) struct Picture<'a> {
    pub(super) at: Timestamp,
    pub(super) link: LinkType,
    pub(super) bytes: &'a [u8],
    /// How long it was before a snap length cut it.
    pub(super) original: u32,
}

impl<'a> Picture<'a> {
    /// Returns a packet from its IP header on, all of it.
    pub(super) fn of_ip(at: Timestamp, bytes: &'a [u8]) -> Self {
        Self { at, link: LinkType::Raw, bytes, original: 0 }
    }
}

/// Writes a pcapng with stamps in nanoseconds.
pub(super) struct Capture<W: Write> {
    blocks: PcapNgWriter<W>,
    interfaces: Vec<Interface>,
    /// How many interfaces have been described.
    described: u32,
}

/// An interface that frames can name.
struct Interface {
    link: LinkType,
    snaplen: u32,
    number: u32,
}

impl<W: Write> Capture<W> {
    pub(super) fn new(out: W) -> io::Result<Self> {
        let options = vec![SectionHeaderOption::UserApplication(Cow::Borrowed(AUTHOR))];
        let section = SectionHeaderBlock { options, ..SectionHeaderBlock::default() };
        let blocks = PcapNgWriter::with_section_header(out, section).map_err(plain)?;
        Ok(Self { blocks, interfaces: Vec::new(), described: 0 })
    }

    /// Tells local addresses (S4), beside those told before.
    pub(super) fn tell(&mut self, addresses: &[IpAddr]) -> io::Result<()> {
        self.describe(LinkType::Raw, USUAL_SNAPLEN, addresses)?;
        Ok(())
    }

    /// Tells a note of a recording.
    pub(super) fn note(&mut self, note: &Note) -> io::Result<()> {
        let content = note.to_block();
        let length = u32::try_from(content.len()).map_err(io::Error::other)?;
        self.write(UnknownBlock::new(BLOCK_TYPE, length, &content))
    }

    pub(super) fn frame(&mut self, frame: Picture<'_>) -> io::Result<()> {
        let captured = u32::try_from(frame.bytes.len()).map_err(io::Error::other)?;
        let snaplen = if captured > USUAL_SNAPLEN { LARGEST_SNAPLEN } else { USUAL_SNAPLEN };
        let interface_id = self.interface(frame.link, snaplen)?;
        self.write(EnhancedPacketBlock {
            interface_id,
            timestamp: Duration::from_nanos(frame.at.as_nanos()),
            original_len: frame.original.max(captured),
            data: Cow::Borrowed(frame.bytes),
            options: Vec::new(),
        })
    }

    pub(super) fn flush(&mut self) -> io::Result<()> {
        self.blocks.get_mut().flush()
    }

    /// Returns what it was written to.
    pub(super) fn into_inner(self) -> W {
        self.blocks.into_inner()
    }

    /// Returns the number of an interface, which is described first if need be.
    fn interface(&mut self, link: LinkType, snaplen: u32) -> io::Result<u32> {
        let is_it = |its: &&Interface| its.link == link && its.snaplen == snaplen;
        match self.interfaces.iter().find(is_it) {
            Some(known) => Ok(known.number),
            None => self.describe(link, snaplen, &[]),
        }
    }

    fn describe(&mut self, link: LinkType, snaplen: u32, addresses: &[IpAddr]) -> io::Result<u32> {
        let mut options = vec![InterfaceDescriptionOption::IfTsResol(InterfaceTsResolution::NANO)];
        options.extend(addresses.iter().map(address_option));
        let linktype = DataLink::from(link.number());
        self.write(InterfaceDescriptionBlock { linktype, snaplen, options })?;
        let number = self.described;
        self.described += 1;
        self.interfaces.push(Interface { link, snaplen, number });
        Ok(number)
    }

    fn write<'b>(&mut self, block: impl PcapNgBlock<'b>) -> io::Result<()> {
        self.blocks.write_pcapng_block(block).map_err(plain)?;
        Ok(())
    }
}

/// Returns an option with an address and the netmask of a single host.
fn address_option(address: &IpAddr) -> InterfaceDescriptionOption<'static> {
    match address {
        IpAddr::V4(address) => {
            let option = [address.octets(), [255; 4]].concat();
            InterfaceDescriptionOption::IfIpv4Addr(option.into())
        }
        IpAddr::V6(address) => {
            let mut option = address.octets().to_vec();
            option.push(128);
            InterfaceDescriptionOption::IfIpv6Addr(option.into())
        }
    }
}

/// Returns the error of the stream, where it is one.
fn plain(error: PcapNgWriteError) -> io::Error {
    match error {
        PcapNgWriteError::Io(error) => error,
        PcapNgWriteError::Validation { .. }
        | PcapNgWriteError::InvalidFormat(_)
        | PcapNgWriteError::StateUpdate(_) => io::Error::other(error),
    }
}
