//! What the engine knows of a packet (S3): addresses, ports, and for TCP the
//! sequence number and flags.

use std::fmt;
use std::net::IpAddr;

use serde::{Deserialize, Serialize};

/// A decoded TCP or UDP packet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Packet {
    /// The address that sent it.
    pub source: IpAddr,
    /// The address it was sent to.
    pub destination: IpAddr,
    /// The source port.
    pub source_port: u16,
    /// The destination port.
    pub destination_port: u16,
    /// What it is beyond addresses and ports.
    pub transport: Transport,
}

impl Packet {
    /// Returns the packet's transport protocol.
    #[must_use]
    pub const fn protocol(&self) -> Protocol {
        match self.transport {
            Transport::Tcp { .. } => Protocol::Tcp,
            Transport::Udp => Protocol::Udp,
        }
    }

    /// Tells whether this is an *initial SYN* (S5): TCP with SYN set and ACK, RST and FIN clear.
    #[must_use]
    pub const fn is_initial_syn(&self) -> bool {
        match self.transport {
            Transport::Tcp { flags, .. } => flags.is_initial_syn(),
            Transport::Udp => false,
        }
    }
}

/// The part of a packet that depends on its transport protocol.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Transport {
    /// A TCP segment.
    Tcp {
        /// The sequence number, which tells a retransmission from a second try (S8).
        sequence_number: u32,
        /// The flags.
        flags: TcpFlags,
    },
    /// A UDP datagram.
    Udp,
}

/// A transport protocol that a knock can use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// TCP (RFC 9293).
    Tcp,
    /// UDP (RFC 768).
    Udp,
}

impl Protocol {
    /// Returns the lower-case name that a config uses: `tcp` or `udp`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A set of the six TCP flags that the engine looks at (RFC 9293): FIN SYN RST PSH ACK URG.
///
/// The bits are those of the header's flag byte; the two congestion bits above them (ECE and
/// CWR) are dropped, so a SYN that offers ECN is a SYN (S3).
#[derive(Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct TcpFlags(u8);

impl TcpFlags {
    /// No flag at all.
    pub const NONE: Self = Self(0);
    /// FIN, no more data from the sender.
    pub const FIN: Self = Self(0x01);
    /// SYN, opens a connection.
    pub const SYN: Self = Self(0x02);
    /// RST, resets a connection.
    pub const RST: Self = Self(0x04);
    /// PSH, push function.
    pub const PSH: Self = Self(0x08);
    /// ACK, the acknowledgement number is significant.
    pub const ACK: Self = Self(0x10);
    /// URG, the urgent pointer is significant.
    pub const URG: Self = Self(0x20);

    /// The six flags with their config names, from the lowest bit up.
    pub const NAMED: [(Self, &'static str); 6] = [
        (Self::FIN, "fin"),
        (Self::SYN, "syn"),
        (Self::RST, "rst"),
        (Self::PSH, "psh"),
        (Self::ACK, "ack"),
        (Self::URG, "urg"),
    ];

    /// Takes the six flags from a TCP header's flag byte and drops the rest.
    #[must_use]
    pub const fn from_bits(bits: u8) -> Self {
        Self(bits & 0x3f)
    }

    /// Returns the flags as they stand in a TCP header's flag byte.
    #[must_use]
    pub const fn bits(self) -> u8 {
        self.0
    }

    /// Returns the flags that are in either set.
    #[must_use]
    pub const fn union(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    /// Returns the flags that are in both sets.
    #[must_use]
    pub const fn intersection(self, other: Self) -> Self {
        Self(self.0 & other.0)
    }

    /// Returns the flags of this set that are not in `other`.
    #[must_use]
    pub const fn difference(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    /// Tells whether every flag of `other` is in this set.
    #[must_use]
    pub const fn contains(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    /// Tells whether the set is empty.
    #[must_use]
    pub const fn is_empty(self) -> bool {
        self.0 == 0
    }

    /// Tells whether a segment with these flags is an initial SYN (S5).
    #[must_use]
    pub const fn is_initial_syn(self) -> bool {
        self.0 & (Self::SYN.0 | Self::ACK.0 | Self::RST.0 | Self::FIN.0) == Self::SYN.0
    }
}

impl fmt::Display for TcpFlags {
    /// Writes the names joined by commas, as `syn,ack`; nothing for the empty set.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Self::NAMED.iter().filter(|(flag, _)| self.contains(*flag));
        for (index, (_, name)) in names.enumerate() {
            if index > 0 {
                f.write_str(",")?;
            }
            f.write_str(name)?;
        }
        Ok(())
    }
}

impl fmt::Debug for TcpFlags {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TcpFlags({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_initial_syn_has_no_ack_rst_or_fin() {
        for bits in 0..=255_u8 {
            let set = |bit: u8| bits & bit != 0;
            let expected = set(0x02) && !set(0x10) && !set(0x04) && !set(0x01);
            assert_eq!(TcpFlags::from_bits(bits).is_initial_syn(), expected, "{bits:#x}");
        }
    }

    #[test]
    fn flags_print_their_names() {
        assert_eq!(TcpFlags::from_bits(0xff).to_string(), "fin,syn,rst,psh,ack,urg");
        assert_eq!(TcpFlags::SYN.union(TcpFlags::ACK).to_string(), "syn,ack");
        assert_eq!(TcpFlags::NONE.to_string(), "");
    }
}
