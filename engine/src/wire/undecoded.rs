//! Why a frame is no packet to the engine.

use thiserror::Error;

/// Why captured bytes are no packet to the engine (S3): the closed list of causes.
///
/// The variants are numbered from 0 in the order of [`Undecoded::ALL`], so that counters can
/// stand in an array: `counts[cause as usize] += 1`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Error)]
#[error("{}", self.description())]
pub enum Undecoded {
    /// The captured bytes end inside the link header or a VLAN tag.
    ShortLinkHeader,
    /// The captured bytes end inside the IP header, its options or an extension header.
    ShortIpHeader,
    /// The captured bytes end before the ports (UDP: 4 bytes; TCP: also its sequence number and
    /// flags, 14 bytes).
    ShortTransportHeader,
    /// The frame carries something other than IPv4 or IPv6, such as ARP or a PPPoE session.
    NotIp,
    /// Three VLAN tags or more.
    TooManyVlanTags,
    /// The version in the IP header is not the one that the layer below announced.
    BadIpVersion,
    /// A header claims to be shorter than its fixed part: IPv4, IPv6 authentication or TCP.
    BadHeaderLength,
    /// A fragment that is not the first of its datagram, so it has no ports.
    LaterFragment,
    /// IP with something other than TCP or UDP, such as ICMP or ESP.
    OtherProtocol,
}

impl Undecoded {
    /// Every cause, in the order of the layers.
    pub const ALL: [Self; 9] = [
        Self::ShortLinkHeader,
        Self::ShortIpHeader,
        Self::ShortTransportHeader,
        Self::NotIp,
        Self::TooManyVlanTags,
        Self::BadIpVersion,
        Self::BadHeaderLength,
        Self::LaterFragment,
        Self::OtherProtocol,
    ];

    /// Returns the name that reports for machines use, in `snake_case`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::ShortLinkHeader => "short_link_header",
            Self::ShortIpHeader => "short_ip_header",
            Self::ShortTransportHeader => "short_transport_header",
            Self::NotIp => "not_ip",
            Self::TooManyVlanTags => "too_many_vlan_tags",
            Self::BadIpVersion => "bad_ip_version",
            Self::BadHeaderLength => "bad_header_length",
            Self::LaterFragment => "later_fragment",
            Self::OtherProtocol => "other_protocol",
        }
    }

    /// Returns the cause in plain words, for people.
    #[must_use]
    pub const fn description(self) -> &'static str {
        match self {
            Self::ShortLinkHeader => "cut short in the link header",
            Self::ShortIpHeader => "cut short in the IP header",
            Self::ShortTransportHeader => "cut short before the ports, or the flags of TCP",
            Self::NotIp => "not IPv4 or IPv6 (ARP, PPPoE, MPLS and others)",
            Self::TooManyVlanTags => "more than two VLAN tags",
            Self::BadIpVersion => "wrong version in the IP header",
            Self::BadHeaderLength => "impossible header length",
            Self::LaterFragment => "fragment other than the first",
            Self::OtherProtocol => "neither TCP nor UDP (ICMP, ESP and others)",
        }
    }

    /// Tells whether more captured bytes could have made a packet of it.
    #[must_use]
    pub const fn is_too_short(self) -> bool {
        match self {
            Self::ShortLinkHeader | Self::ShortIpHeader | Self::ShortTransportHeader => true,
            Self::NotIp
            | Self::TooManyVlanTags
            | Self::BadIpVersion
            | Self::BadHeaderLength
            | Self::LaterFragment
            | Self::OtherProtocol => false,
        }
    }
}
