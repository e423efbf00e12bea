//! Builds Ethernet frames around the engine's idea of a packet.

use std::net::IpAddr;

use knock_engine::packet::{Packet, TcpFlags, Transport};

/// The longest frame that is built: every load stays at or below it.
pub const LONGEST: u16 = 1500;

const ETHERNET: usize = 14;
/// What a SYN of Linux offers: MSS 1460, selective acknowledgement, time stamps, window scale 7.
const SYN_OPTIONS: [u8; 20] = [
    0x02, 0x04, 0x05, 0xb4, 0x04, 0x02, 0x08, 0x0a, 0x01, 0x23, 0x45, 0x67, 0x00, 0x00, 0x00, 0x00,
    0x01, 0x03, 0x03, 0x07,
];

/// Builds one frame after the other in the same buffer.
#[derive(Debug)]
pub struct FrameBuilder {
    bytes: Vec<u8>,
    noise: Vec<u8>,
}

impl FrameBuilder {
    /// Makes a builder whose payloads are cut from these bytes, which it repeats as needed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        let mut random = crate::random::Random::new(seed);
        let noise = (0..1024).flat_map(|_| random.bits().to_le_bytes()).collect();
        Self { bytes: Vec::with_capacity(usize::from(LONGEST)), noise }
    }

    /// Returns the first `keep` bytes of a frame of `length` bytes, and the length it really has.
    ///
    /// A length below what the headers need is raised to it; above [`LONGEST`] it is lowered. The
    /// IPv4 header checksum is right; TCP and UDP checksums are left at zero, for no contender
    /// looks at them and most of their payload is cut off.
    pub fn build(&mut self, packet: &Packet, length: u16, keep: usize) -> (&[u8], u16) {
        let least = ETHERNET + network_length(packet) + transport_length(packet);
        let least = u16::try_from(least).expect("headers are short");
        let length = length.clamp(least, LONGEST);
        self.bytes.clear();
        self.ethernet(packet);
        let ip_length = length - u16::try_from(ETHERNET).expect("14 fits");
        match (packet.source, packet.destination) {
            (IpAddr::V4(source), IpAddr::V4(destination)) => {
                self.ipv4(protocol(packet), ip_length, [source.octets(), destination.octets()]);
            }
            (source, destination) => {
                let octets = [source, destination].map(|address| match address {
                    IpAddr::V4(address) => address.to_ipv6_mapped().octets(),
                    IpAddr::V6(address) => address.octets(),
                });
                self.ipv6(protocol(packet), ip_length - 40, octets);
            }
        }
        self.transport(packet, usize::from(length));
        self.payload(usize::from(length).min(keep));
        let kept = self.bytes.len().min(keep);
        (&self.bytes[..kept], length)
    }

    fn ethernet(&mut self, packet: &Packet) {
        // Locally administered addresses: no vendor's hardware.
        self.bytes.extend_from_slice(&[0x02, 0, 0, 0, 0, 0x01, 0x02, 0, 0, 0, 0, 0x02]);
        let ether_type: u16 = if is_ipv4(packet) { 0x0800 } else { 0x86dd };
        self.bytes.extend_from_slice(&ether_type.to_be_bytes());
    }

    fn ipv4(&mut self, protocol: u8, total_length: u16, addresses: [[u8; 4]; 2]) {
        let mut header = [0_u8; 20];
        header[0] = 0x45;
        header[2..4].copy_from_slice(&total_length.to_be_bytes());
        header[6] = 0x40; // Don't fragment.
        header[8] = 57;
        header[9] = protocol;
        header[12..16].copy_from_slice(&addresses[0]);
        header[16..20].copy_from_slice(&addresses[1]);
        let checksum = internet_checksum(&header);
        header[10..12].copy_from_slice(&checksum.to_be_bytes());
        self.bytes.extend_from_slice(&header);
    }

    fn ipv6(&mut self, next_header: u8, payload_length: u16, addresses: [[u8; 16]; 2]) {
        self.bytes.extend_from_slice(&[0x60, 0, 0, 0]);
        self.bytes.extend_from_slice(&payload_length.to_be_bytes());
        self.bytes.extend_from_slice(&[next_header, 57]);
        self.bytes.extend_from_slice(&addresses[0]);
        self.bytes.extend_from_slice(&addresses[1]);
    }

    fn transport(&mut self, packet: &Packet, frame_length: usize) {
        self.bytes.extend_from_slice(&packet.source_port.to_be_bytes());
        self.bytes.extend_from_slice(&packet.destination_port.to_be_bytes());
        match packet.transport {
            Transport::Tcp { sequence_number, flags } => {
                let acknowledgement =
                    if flags.contains(TcpFlags::ACK) { !sequence_number } else { 0 };
                let words = u8::try_from(transport_length(packet) / 4).expect("at most 15 words");
                self.bytes.extend_from_slice(&sequence_number.to_be_bytes());
                self.bytes.extend_from_slice(&acknowledgement.to_be_bytes());
                self.bytes.extend_from_slice(&[words << 4, flags.bits(), 0xfa, 0xf0, 0, 0, 0, 0]);
                if flags.contains(TcpFlags::SYN) {
                    self.bytes.extend_from_slice(&SYN_OPTIONS);
                }
            }
            Transport::Udp => {
                let udp_length = frame_length - ETHERNET - network_length(packet);
                let udp_length = u16::try_from(udp_length).expect("shorter than the frame");
                self.bytes.extend_from_slice(&udp_length.to_be_bytes());
                self.bytes.extend_from_slice(&[0, 0]);
            }
        }
    }

    fn payload(&mut self, until: usize) {
        while self.bytes.len() < until {
            let missing = (until - self.bytes.len()).min(self.noise.len());
            self.bytes.extend_from_slice(&self.noise[..missing]);
        }
    }
}

fn is_ipv4(packet: &Packet) -> bool {
    packet.source.is_ipv4() && packet.destination.is_ipv4()
}

fn network_length(packet: &Packet) -> usize {
    if is_ipv4(packet) { 20 } else { 40 }
}

fn transport_length(packet: &Packet) -> usize {
    match packet.transport {
        Transport::Tcp { flags, .. } if flags.contains(TcpFlags::SYN) => 20 + SYN_OPTIONS.len(),
        Transport::Tcp { .. } => 20,
        Transport::Udp => 8,
    }
}

const fn protocol(packet: &Packet) -> u8 {
    match packet.transport {
        Transport::Tcp { .. } => 6,
        Transport::Udp => 17,
    }
}

/// Sums 16-bit words in ones' complement and inverts the sum (RFC 1071).
fn internet_checksum(header: &[u8; 20]) -> u16 {
    let words =
        header.chunks_exact(2).map(|pair| u32::from(u16::from_be_bytes([pair[0], pair[1]])));
    let sum: u32 = words.sum();
    let folded = (sum & 0xffff) + (sum >> 16);
    let folded = (folded & 0xffff) + (folded >> 16);
    !u16::try_from(folded).expect("two folds leave 16 bits")
}

#[cfg(test)]
mod tests {
    use super::*;
    use etherparse::{NetSlice, SlicedPacket, TransportSlice};

    fn packet(source: &str, destination: &str, transport: Transport) -> Packet {
        Packet {
            source: source.parse().unwrap(),
            destination: destination.parse().unwrap(),
            source_port: 40_000,
            destination_port: 7000,
            transport,
        }
    }

    #[test]
    fn another_decoder_reads_what_was_built() {
        let syn = Transport::Tcp { sequence_number: 0x0102_0304, flags: TcpFlags::SYN };
        let ack = Transport::Tcp { sequence_number: 5, flags: TcpFlags::ACK };
        let mut builder = FrameBuilder::new(1);
        for transport in [syn, ack, Transport::Udp] {
            for (source, destination) in [("10.1.2.3", "192.0.2.1"), ("2001:db8::9", "2001:db8::1")]
            {
                let packet = packet(source, destination, transport);
                let (bytes, length) = builder.build(&packet, 200, 2000);
                assert_eq!((bytes.len(), length), (200, 200));
                let sliced = SlicedPacket::from_ethernet(bytes).unwrap();
                match sliced.net.unwrap() {
                    NetSlice::Ipv4(ip) => {
                        let header = ip.header().to_header();
                        assert_eq!(header.header_checksum, header.calc_header_checksum());
                        assert_eq!(header.total_len, 186);
                        assert_eq!(IpAddr::from(header.source), packet.source);
                        assert_eq!(IpAddr::from(header.destination), packet.destination);
                    }
                    NetSlice::Ipv6(ip) => {
                        assert_eq!(ip.header().payload_length(), 146);
                        assert_eq!(IpAddr::from(ip.header().source_addr()), packet.source);
                        assert_eq!(
                            IpAddr::from(ip.header().destination_addr()),
                            packet.destination
                        );
                    }
                    NetSlice::Arp(_) => panic!("an IP packet was built"),
                }
                match (sliced.transport.unwrap(), transport) {
                    (TransportSlice::Tcp(tcp), Transport::Tcp { sequence_number, flags }) => {
                        assert_eq!((tcp.source_port(), tcp.destination_port()), (40_000, 7000));
                        assert_eq!(tcp.sequence_number(), sequence_number);
                        assert_eq!(tcp.syn(), flags.contains(TcpFlags::SYN));
                        assert_eq!(tcp.ack(), flags.contains(TcpFlags::ACK));
                    }
                    (TransportSlice::Udp(udp), Transport::Udp) => {
                        assert_eq!((udp.source_port(), udp.destination_port()), (40_000, 7000));
                    }
                    other => panic!("the protocol changed: {other:?}"),
                }
            }
        }
    }

    #[test]
    fn a_length_that_the_headers_do_not_fit_in_is_raised() {
        let syn = Transport::Tcp { sequence_number: 0, flags: TcpFlags::SYN };
        let mut builder = FrameBuilder::new(1);
        let (bytes, length) = builder.build(&packet("10.1.2.3", "192.0.2.1", syn), 60, 96);
        assert_eq!((bytes.len(), length), (74, 74));
        let (bytes, length) = builder.build(&packet("::2", "::1", syn), 60, 96);
        assert_eq!((bytes.len(), length), (94, 94));
        let (bytes, length) = builder.build(&packet("::2", "::1", Transport::Udp), u16::MAX, 96);
        assert_eq!((bytes.len(), length), (96, LONGEST));
    }
}
