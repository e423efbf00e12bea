"""Packets and capture files, byte by byte, from the standard library alone.

Only what make.py needs: Ethernet, VLAN tags, IPv4, IPv6 with extension headers, TCP, UDP, and
the file formats pcap and pcapng.
"""

import ipaddress
import struct

CLIENT_MAC = bytes.fromhex("020000000007")
SERVER_MAC = bytes.fromhex("020000000001")

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20

TCP, UDP = 6, 17

ETHERNET, RAW, IPV4, NULL, LOOP, SLL, SLL2, WIFI = 1, 101, 228, 0, 108, 113, 276, 105

SECOND = 1_000_000_000
MILLISECOND = 1_000_000


def checksum(data):
    """Returns the Internet checksum (RFC 1071)."""
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def pseudo_header(source, destination, protocol, length):
    """Returns what TCP and UDP checksums cover of the IP header."""
    if source.version == 4:
        return source.packed + destination.packed + struct.pack("!BBH", 0, protocol, length)
    return source.packed + destination.packed + struct.pack("!IHBB", length, 0, 0, protocol)


def tcp(source, destination, sport, dport, seq, flags=SYN, payload=b""):
    """Returns a TCP segment with its checksum; an initial SYN carries an MSS."""
    options = b"\x02\x04\x05\xb4" if flags & SYN else b""
    offset = (20 + len(options)) // 4 << 4
    head = struct.pack("!HHIIBBHHH", sport, dport, seq, 0, offset, flags, 64240, 0, 0)
    segment = head + options + payload
    total = checksum(pseudo_header(source, destination, TCP, len(segment)) + segment)
    return segment[:16] + struct.pack("!H", total) + segment[18:]


def udp(source, destination, sport, dport, payload=b""):
    """Returns a UDP datagram with its checksum."""
    length = 8 + len(payload)
    datagram = struct.pack("!HHHH", sport, dport, length, 0) + payload
    total = checksum(pseudo_header(source, destination, UDP, length) + datagram)
    return datagram[:6] + struct.pack("!H", total or 0xFFFF) + datagram[8:]


def ip(source, destination, protocol, payload, extensions=(), fragment=0):
    """Returns an IP packet; `extensions` are (number, bytes) of IPv6 extension headers.

    A bytes value leaves out its own first byte, the number of the header that follows.
    `fragment` is the IPv4 fragment field: offset in units of 8 bytes, with 0x2000 for "more".
    """
    if source.version == 4:
        length = 20 + len(payload)
        head = struct.pack("!BBHHHBBH", 0x45, 0, length, 1, fragment, 64, protocol, 0)
        head += source.packed + destination.packed
        return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload
    numbers = [number for number, _ in extensions] + [protocol]
    chain = b"".join(bytes([numbers[i + 1]]) + body for i, (_, body) in enumerate(extensions))
    head = struct.pack("!IHBB", 6 << 28, len(chain) + len(payload), numbers[0], 64)
    return head + source.packed + destination.packed + chain + payload


def ethertype(packet):
    """Returns the EtherType of an IP packet."""
    return 0x0800 if packet[0] >> 4 == 4 else 0x86DD


def ethernet(packet, tags=()):
    """Returns an Ethernet frame; `tags` are (EtherType, VLAN number), outermost first."""
    tagging = b"".join(struct.pack("!HH", kind, number) for kind, number in tags)
    return SERVER_MAC + CLIENT_MAC + tagging + struct.pack("!H", ethertype(packet)) + packet


def sll(packet):
    """Returns a Linux "cooked" frame."""
    return struct.pack("!HHH8sH", 0, 1, 6, CLIENT_MAC, ethertype(packet)) + packet


def null(packet):
    """Returns a BSD loopback frame as a little-endian machine writes it."""
    return struct.pack("<I", 2 if packet[0] >> 4 == 4 else 30) + packet


def loop(packet):
    """Returns an OpenBSD loopback frame: big-endian always."""
    return struct.pack("!I", 2 if packet[0] >> 4 == 4 else 24) + packet


class Script:
    """A schedule of packets, each at a time since the capture's start."""

    def __init__(self, start, link=ethernet):
        self.start = start
        self.link = link
        self.frames = []
        self.next_port = 40000

    def add(self, at, packet):
        """Adds an IP packet at `at` nanoseconds since the start."""
        self.frames.append((self.start + at, self.link(packet)))

    def port(self):
        """Returns the next source port, as a client would choose a new one each time."""
        self.next_port += 1
        return self.next_port

    def syn(self, at, source, destination, dport, **more):
        """Adds a TCP packet, an initial SYN from a new port unless `more` says otherwise."""
        source, destination = map(ipaddress.ip_address, (source, destination))
        sport = more.pop("sport", None) or self.port()
        seq = more.pop("seq", None) or sport * 0x10001 & 0xFFFFFFFF
        extensions = more.pop("extensions", ())
        segment = tcp(source, destination, sport, dport, seq, **more)
        self.add(at, ip(source, destination, TCP, segment, extensions))

    def datagram(self, at, source, destination, dport, **more):
        """Adds a UDP packet from a new port."""
        source, destination = map(ipaddress.ip_address, (source, destination))
        packet = udp(source, destination, self.port(), dport, b"\0")
        self.add(at, ip(source, destination, UDP, packet, more.pop("extensions", ())))

    def knock(self, at, source, destination, ports, gap=200 * MILLISECOND):
        """Adds a whole sequence of SYNs, `gap` nanoseconds apart."""
        for number, dport in enumerate(ports):
            self.syn(at + number * gap, source, destination, dport)


def pcap(frames, link_type=ETHERNET, snap=262_144, order="<", nanoseconds=False):
    """Returns a pcap file; `order` is struct's sign for the byte order."""
    magic, unit = (0xA1B23C4D, 1) if nanoseconds else (0xA1B2C3D4, 1000)
    parts = [struct.pack(order + "IHHiIII", magic, 2, 4, 0, 0, snap, link_type)]
    for at, frame in frames:
        seconds, rest = divmod(at, SECOND)
        kept = frame[:snap]
        parts.append(struct.pack(order + "IIII", seconds, rest // unit, len(kept), len(frame)))
        parts.append(kept)
    return b"".join(parts)


def block(kind, body):
    """Returns a pcapng block."""
    body += b"\0" * (-len(body) % 4)
    length = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + length + body + length


def option(code, value):
    """Returns a pcapng option."""
    return struct.pack("<HH", code, len(value)) + value + b"\0" * (-len(value) % 4)


def section():
    """Returns a pcapng section header."""
    return block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1))


def interface(name, addresses, digits=6, offset=0, link_type=ETHERNET):
    """Returns a pcapng interface description: `digits` is if_tsresol, `offset` if_tsoffset."""
    body = struct.pack("<HHI", link_type, 0, 0) + option(2, name.encode())
    for text in addresses:
        net = ipaddress.ip_interface(text)
        if net.version == 4:
            body += option(4, net.ip.packed + net.netmask.packed)
        else:
            body += option(5, net.ip.packed + bytes([net.network.prefixlen]))
    body += option(9, bytes([digits]))
    if offset:
        body += option(14, struct.pack("<q", offset))
    return block(1, body + option(0, b""))


def enhanced_packet(number, at, frame, digits=6, offset=0):
    """Returns a pcapng packet of interface `number`, with that interface's resolution."""
    ticks = (at - offset * SECOND) // 10 ** (9 - digits)
    head = struct.pack("<IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(frame), len(frame))
    return block(6, head + frame)
