//! A compiled filter as the kernel takes it.

use knock_engine::wire::LinkType;
use socket2::SockFilter;

use super::filter::{Filter, FilterError};

/// The class of an instruction that loads, and its other register's.
const LOADS: [u16; 2] = [0x00, 0x01];
/// The modes of loads out of the packet: at an offset, behind the index register, and the length
/// of an IPv4 header.
const FROM_PACKET: [u16; 3] = [0x20, 0x40, 0xa0];
/// Where the kernel has the EtherType of a packet: `SKF_AD_OFF` plus `SKF_AD_PROTOCOL`.
const ETHER_TYPE: u32 = 0xffff_f000;

/// An instruction of the filter machine.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Instruction {
    code: u16,
    if_true: u8,
    if_false: u8,
    operand: u32,
}

/// Compiles a filter for the sockets that have frames of this type.
///
/// Where libpcap makes up the link header (Linux SLL and SLL2), the kernel's filter never sees it:
/// there a packet begins with its IP header, and its EtherType is asked for elsewhere.
pub(super) fn load(filter: &Filter, link: LinkType) -> Result<Vec<SockFilter>, FilterError> {
    let made_up = match link {
        LinkType::LinuxSll => Some((16, 14)),
        LinkType::LinuxSll2 => Some((20, 0)),
        LinkType::Ethernet
        | LinkType::Raw
        | LinkType::Ipv4
        | LinkType::Ipv6
        | LinkType::Null
        | LinkType::Loop => None,
    };
    let program = filter.compile(link)?;
    let instructions = program.get_instructions().iter().map(|instruction| {
        // The crate shows its fields in no other way.
        let read = Instruction::parse(&instruction.to_string());
        let moved = read.and_then(|instruction| match made_up {
            None => Some(instruction),
            Some((length, ether_type)) => instruction.without_header(length, ether_type),
        });
        moved.ok_or_else(|| FilterError::Unloadable(link, instruction.to_string()))
    });
    instructions.map(|instruction| instruction.map(Instruction::load)).collect()
}

impl Instruction {
    /// Reads an instruction from its four numbers.
    fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split(' ');
        let mut next = || numbers.next()?.parse::<u32>().ok();
        Some(Self {
            code: next()?.try_into().ok()?,
            if_true: next()?.try_into().ok()?,
            if_false: next()?.try_into().ok()?,
            operand: next()?,
        })
    }

    /// Moves a load to where it finds the same without a link header of this length; `None` where
    /// that is not known. The EtherType is at `ether_type` in that header.
    fn without_header(self, length: u32, ether_type: u32) -> Option<Self> {
        let is_from_packet =
            LOADS.contains(&(self.code & 0x07)) && FROM_PACKET.contains(&(self.code & 0xe0));
        if !is_from_packet {
            return Some(self);
        }
        let operand = match self.operand.checked_sub(length) {
            Some(operand) => operand,
            None if self.operand == ether_type => ETHER_TYPE,
            None => return None,
        };
        Some(Self { operand, ..self })
    }

    const fn load(self) -> SockFilter {
        SockFilter::new(self.code, self.if_true, self.if_false, self.operand)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn loads_lose_the_header_and_nothing_else_does() {
        let moved = |text: &str| {
            let instruction = Instruction::parse(text).unwrap();
            instruction.without_header(20, 0).map(|its| its.operand)
        };
        assert_eq!(moved("40 0 0 0"), Some(0xffff_f000), "ldh [0]");
        assert_eq!(moved("48 0 0 29"), Some(9), "ldb [29]");
        assert_eq!(moved("177 0 0 20"), Some(0), "ldxb 4*([20]&0xf)");
        assert_eq!(moved("72 0 0 22"), Some(2), "ldh [x + 22]");
        assert_eq!(moved("40 0 0 4"), None, "ldh [4] is in the header");
        assert_eq!(moved("21 0 3 6"), Some(6), "jeq #6");
        assert_eq!(moved("128 0 0 0"), Some(0), "ld #pktlen");
        assert_eq!(moved("6 0 0 65535"), Some(65_535), "ret #65535");
        assert_eq!(Instruction::parse("40 0 0"), None);
        assert_eq!(Instruction::parse("40 0 256 0"), None);
    }
}
