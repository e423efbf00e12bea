//! A compiled filter as the kernel takes it.

use knock_engine::wire::LinkType;
use pcap::{BpfInstruction, BpfProgram};
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
        let read = Instruction::read(instruction);
        let moved = read.and_then(|instruction| match made_up {
            None => Some(instruction),
            Some((length, ether_type)) => instruction.without_header(length, ether_type),
        });
        moved.ok_or_else(|| FilterError::Unloadable(link, instruction.to_string()))
    });
    instructions.map(|instruction| instruction.map(Instruction::load)).collect()
}

/// Tells whether a program never reads from its scratch memory what it did not write there, on any
/// way through it; the kernel refuses others.
pub(super) fn reads_only_what_it_wrote(program: &BpfProgram) -> bool {
    let read: Option<Vec<Instruction>> =
        program.get_instructions().iter().map(Instruction::read).collect();
    read.is_some_and(|instructions| is_memory_sound(&instructions))
}

/// Goes through the instructions once, for jumps only lead forward, with the slots that are
/// written on every way to each of them.
fn is_memory_sound(instructions: &[Instruction]) -> bool {
    /// Loads from memory, stores into it, of either register.
    const READS: [u16; 2] = [0x60, 0x61];
    const WRITES: [u16; 2] = [0x02, 0x03];
    /// The class of jumps, the jump that is always taken, and the class that ends the program.
    const JUMPS: u16 = 0x05;
    const ALWAYS: u16 = 0x05;
    const ENDS: u16 = 0x06;
    let mut written = vec![u32::MAX; instructions.len()];
    if let Some(first) = written.first_mut() {
        *first = 0;
    }
    for (at, instruction) in instructions.iter().enumerate() {
        let slot = 1_u32.checked_shl(instruction.operand).unwrap_or(0);
        let mut now = written[at];
        if READS.contains(&instruction.code) && now & slot == 0 {
            return false;
        }
        if WRITES.contains(&instruction.code) {
            now |= slot;
        }
        let is_jump = instruction.code & 0x07 == JUMPS;
        let steps = match instruction.code {
            ALWAYS => vec![usize::try_from(instruction.operand).unwrap_or(usize::MAX)],
            _ if is_jump => vec![instruction.if_true.into(), instruction.if_false.into()],
            code if code & 0x07 == ENDS => Vec::new(),
            _ => vec![0],
        };
        for step in steps {
            if let Some(next) = written.get_mut((at + 1).saturating_add(step)) {
                *next &= now;
            }
        }
    }
    true
}

impl Instruction {
    fn read(instruction: &BpfInstruction) -> Option<Self> {
        // The crate shows its fields in no other way.
        Self::parse(&instruction.to_string())
    }

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
    fn what_is_read_must_have_been_written_on_every_way() {
        let is_sound = |lines: &[&str]| {
            let instructions: Vec<Instruction> =
                lines.iter().map(|line| Instruction::parse(line).unwrap()).collect();
            is_memory_sound(&instructions)
        };
        let (write, read, end) = ("2 0 0 13", "96 0 0 13", "6 0 0 1");
        assert!(is_sound(&[write, read, end]));
        assert!(!is_sound(&[read, end]));
        assert!(!is_sound(&["2 0 0 12", read, end]), "another slot");
        assert!(!is_sound(&[write, "97 0 0 12", end]), "another slot into the other register");
        assert!(is_sound(&["21 0 1 6", write, end]), "nothing is read");
        assert!(!is_sound(&["21 0 1 6", write, read, end]), "one way leads past the write");
        assert!(is_sound(&["21 0 1 6", write, write, read, end]));
        assert!(!is_sound(&["5 0 0 1", write, read, end]), "a jump leads past the write");
        assert!(is_sound(&["5 0 0 1", read, end]), "a jump leads past the read");
        assert!(is_sound(&["21 0 1 6", end, write, read, end]));
    }

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
