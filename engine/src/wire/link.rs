//! The link types whose frames can be decoded, and the names of some that can't.

use std::fmt;

use thiserror::Error;

/// What the captured bytes of a frame begin with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum LinkType {
    /// An Ethernet header of 14 bytes, with up to two VLAN tags behind it.
    Ethernet,
    /// A Linux cooked header of 16 bytes, as captures on `any` have it.
    LinuxSll,
    /// A Linux cooked header of version 2, 20 bytes.
    LinuxSll2,
    /// An IPv4 or IPv6 header, told apart by its version.
    Raw,
    /// An IPv4 header.
    Ipv4,
    /// An IPv6 header.
    Ipv6,
    /// An address family of 4 bytes in the byte order of the capturing host: BSD loopback.
    Null,
    /// An address family of 4 bytes in network byte order: OpenBSD loopback.
    Loop,
}

impl LinkType {
    /// Every link type, in the order of messages.
    pub const ALL: [Self; 8] = [
        Self::Ethernet,
        Self::LinuxSll,
        Self::LinuxSll2,
        Self::Raw,
        Self::Ipv4,
        Self::Ipv6,
        Self::Null,
        Self::Loop,
    ];

    /// The bits of a pcap header's link type field that hold the type; those above tell the
    /// length of the frame check sequence, which is never looked at.
    const TYPE_BITS: u32 = 0x03ff_ffff;

    /// Finds the link type of a `LINKTYPE_` number, as pcap headers and pcapng interface blocks
    /// have it. The bits for the frame check sequence may be set.
    ///
    /// # Errors
    ///
    /// The number, where frames of that type can't be decoded.
    pub fn from_linktype(field: u32) -> Result<Self, UnsupportedLinkType> {
        let number = field & Self::TYPE_BITS;
        let found = Self::ALL.into_iter().find(|link| link.numbers().contains(&number));
        found.ok_or(UnsupportedLinkType { number })
    }

    /// Returns the usual `LINKTYPE_` number.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.numbers()[0]
    }

    /// Returns the `LINKTYPE_` numbers that stand for it. The first is the usual one; 12 and 14
    /// are what `RAW` is called on some systems.
    #[must_use]
    pub const fn numbers(self) -> &'static [u32] {
        match self {
            Self::Ethernet => &[1],
            Self::LinuxSll => &[113],
            Self::LinuxSll2 => &[276],
            Self::Raw => &[101, 12, 14],
            Self::Ipv4 => &[228],
            Self::Ipv6 => &[229],
            Self::Null => &[0],
            Self::Loop => &[108],
        }
    }

    /// Returns the name that messages use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ethernet => "Ethernet",
            Self::LinuxSll => "Linux SLL",
            Self::LinuxSll2 => "Linux SLL2",
            Self::Raw => "RAW",
            Self::Ipv4 => "IPV4",
            Self::Ipv6 => "IPV6",
            Self::Null => "NULL",
            Self::Loop => "LOOP",
        }
    }
}

impl fmt::Display for LinkType {
    /// Writes the name and the numbers: `RAW (101, 12, 14)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (", self.name())?;
        for (index, number) in self.numbers().iter().enumerate() {
            let separator = if index == 0 { "" } else { ", " };
            write!(f, "{separator}{number}")?;
        }
        f.write_str(")")
    }
}

/// A link type whose frames can't be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("link type {} is not supported; supported are {}", self.label(), supported())]
pub struct UnsupportedLinkType {
    number: u32,
}

impl UnsupportedLinkType {
    /// Returns its `LINKTYPE_` number, without the bits for the frame check sequence.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.number
    }

    /// Returns its name, where it is a well-known one.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        if (147..=162).contains(&self.number) {
            return Some("private use");
        }
        WELL_KNOWN.iter().find(|(number, _)| *number == self.number).map(|(_, name)| *name)
    }

    fn label(self) -> String {
        match self.name() {
            Some(name) => format!("{} ({name})", self.number),
            None => self.number.to_string(),
        }
    }
}

fn supported() -> String {
    LinkType::ALL.map(|link| link.to_string()).join(", ")
}

/// Link types that people capture and that carry no knock we could read, from the registry at
/// tcpdump.org.
const WELL_KNOWN: [(u32, &str); 37] = [
    (3, "AX.25"),
    (6, "Token Ring"),
    (7, "ARCNET"),
    (8, "SLIP"),
    (9, "PPP"),
    (10, "FDDI"),
    (50, "PPP in HDLC framing"),
    (51, "PPPoE session"),
    (100, "ATM RFC 1483"),
    (104, "Cisco HDLC"),
    (105, "IEEE 802.11"),
    (107, "Frame Relay"),
    (109, "OpenBSD enc"),
    (117, "OpenBSD pflog"),
    (119, "IEEE 802.11 with Prism header"),
    (122, "IP over Fibre Channel"),
    (127, "IEEE 802.11 with radiotap header"),
    (138, "IP over IEEE 1394"),
    (143, "DOCSIS"),
    (163, "IEEE 802.11 with AVS header"),
    (166, "PPP with direction"),
    (187, "Bluetooth HCI"),
    (189, "USB, Linux"),
    (192, "PPI"),
    (195, "IEEE 802.15.4"),
    (201, "Bluetooth HCI with direction"),
    (204, "PPP with direction byte"),
    (220, "USB, Linux with padding"),
    (227, "CAN"),
    (230, "IEEE 802.15.4 without FCS"),
    (239, "Linux netfilter log"),
    (247, "InfiniBand"),
    (249, "USB, USBPcap"),
    (251, "Bluetooth Low Energy"),
    (253, "Linux netlink"),
    (266, "USB, macOS"),
    (283, "IEEE 802.15.4 with TAP header"),
];
