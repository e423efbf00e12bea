#!/usr/bin/env python3
"""Makes the captures of testdata/ that no program sends on request; README.md lists them.

    make.py           writes them
    make.py --check   writes nothing and fails where a file differs

Python's standard library alone, no clock and no randomness: the same bytes on every machine.
"""

import ipaddress
import pathlib
import struct
import sys

from packets import *
from week import week

HERE = pathlib.Path(__file__).resolve().parent.parent
# 2026-11-22 12:00:00 UTC
START = 1_795_348_800 * SECOND
SERVER = "192.0.2.1"
CLIENT = "198.51.100.7"
DOOR = (7000, 8000, 9000)


def milliseconds(count):
    """Returns them as nanoseconds."""
    return count * MILLISECOND


def reordered():
    """9000 overtakes 8000 by 10 ms; a second try with gaps opens."""
    script = Script(START)
    for at, port in ((0, 7000), (20, 9000), (30, 8000)):
        script.syn(milliseconds(at), CLIENT, SERVER, port)
    script.knock(3 * SECOND, CLIENT, SERVER, DOOR)
    return pcap(script.frames)


def late():
    """The third knock comes 1.4 s after the window of 5 s closed."""
    script = Script(START)
    for at, port in ((0, 7000), (2_500, 8000), (6_400, 9000)):
        script.syn(milliseconds(at), CLIENT, SERVER, port)
    return pcap(script.frames)


def deadline():
    """The third knock of one source is 1 ns before its deadline, of the other exactly on it."""
    script = Script(START)
    for source, last in (("198.51.100.7", 5 * SECOND - 1), ("198.51.100.8", 5 * SECOND)):
        script.syn(0, source, SERVER, 7000)
        script.syn(SECOND, source, SERVER, 8000)
        script.syn(last, source, SERVER, 9000)
    script.frames.sort(key=lambda frame: frame[0])
    return pcap(script.frames, nanoseconds=True, order=">")


def lost():
    """8000 is lost; the whole sequence, sent again at once, opens."""
    script = Script(START)
    script.syn(0, CLIENT, SERVER, 7000)
    script.syn(milliseconds(400), CLIENT, SERVER, 9000)
    script.knock(milliseconds(600), CLIENT, SERVER, DOOR)
    return pcap(script.frames)


def interleaved():
    """Twelve sources knock at the same time; the original forgets most of them."""
    script = Script(START)
    for number in range(12):
        script.knock(milliseconds(150 * number), f"203.0.113.{10 + number}", SERVER, DOOR,
                     gap=milliseconds(400))
    script.frames.sort(key=lambda frame: frame[0])
    return pcap(script.frames)


def strays():
    """An office behind one address visits nine other ports in between; eight are forgiven."""
    script = Script(START)
    for at, source, visited in ((0, CLIENT, 8), (2 * SECOND, "198.51.100.8", 9)):
        script.syn(at, source, SERVER, 7000)
        for number in range(visited):
            script.syn(at + milliseconds(10 + number), source, SERVER, 3000 + number)
        script.syn(at + milliseconds(200), source, SERVER, 8000)
        script.syn(at + milliseconds(400), source, SERVER, 9000)
    return pcap(script.frames)


def extensions():
    """A knock over IPv6 behind a hop-by-hop and a destination header, and as atomic fragments."""
    source, server = "2001:db8:7::7", "2001:db8::1"
    hop_by_hop = (0, b"\0\x01\x04\0\0\0\0")
    destination_options = (60, b"\0\x01\x04\0\0\0\0")
    atomic_fragment = (44, b"\0\0\0\0\0\0\x01")
    script = Script(START)
    script.syn(0, source, server, 7000, extensions=(hop_by_hop, destination_options))
    script.syn(milliseconds(200), source, server, 8000, extensions=(atomic_fragment,))
    script.datagram(milliseconds(400), source, server, 9000, extensions=(destination_options,))
    return pcap(script.frames)


def vlan():
    """A knock behind one VLAN tag (802.1Q), and one behind two (802.1ad, then 802.1Q)."""
    one = Script(START, lambda packet: ethernet(packet, ((0x8100, 7),)))
    one.knock(0, CLIENT, SERVER, DOOR)
    two = Script(START, lambda packet: ethernet(packet, ((0x88A8, 100), (0x8100, 7))))
    two.knock(2 * SECOND, "198.51.100.8", SERVER, DOOR)
    return pcap(one.frames + two.frames)


def snapped():
    """Full-size segments cut to 54 bytes: ports and flags are there, the rest is not."""
    script = Script(START)
    for number, port in enumerate(DOOR):
        script.syn(milliseconds(200 * number), CLIENT, SERVER, port, payload=b"x" * 1000)
    return pcap(script.frames, snap=54)


def undecodable():
    """Fragments, short headers and other protocols between the knocks change nothing."""
    source, server = map(ipaddress.ip_address, (CLIENT, SERVER))
    script = Script(START)
    script.syn(0, CLIENT, SERVER, 7000)
    script.add(milliseconds(50), ip(source, server, TCP, b"\x1b\x58" * 8, fragment=185))
    script.add(milliseconds(60), ip(source, server, 1, b"\x08\0\xf7\xff\0\0\0\0"))
    script.add(milliseconds(70), ip(source, server, TCP, b"\x9c\x41\x1f"))
    script.add(milliseconds(80), ip(source, server, 47, b"\0\0\x08\0"))
    lldp = SERVER_MAC + CLIENT_MAC + b"\x88\xcc" + b"\0" * 46
    script.frames.append((START + milliseconds(90), lldp))
    script.syn(milliseconds(200), CLIENT, SERVER, 8000)
    script.syn(milliseconds(400), CLIENT, SERVER, 9000)
    return pcap(script.frames)


def lists():
    """Two sources are on `allow`, one of them on `deny` too; a third is on neither."""
    script = Script(START)
    for number, source in enumerate((CLIENT, "198.51.100.66", "203.0.113.5")):
        script.knock(number * SECOND, source, SERVER, DOOR)
    return pcap(script.frames)


def lockout():
    """Three wrong tries lock a source out; its right one 10 s later isn't seen, 70 s later is."""
    script = Script(START)
    for number in range(3):
        script.knock(number * SECOND, CLIENT, SERVER, (7000, 9000))
    for at in (10, 80):
        script.knock(at * SECOND, CLIENT, SERVER, DOOR)
    return pcap(script.frames)


def cooldown():
    """A door with a start command only, knocked three times, the second within its cooldown."""
    script = Script(START)
    for at in (0, 10, 40):
        script.datagram(at * SECOND, CLIENT, SERVER, 25565)
    return pcap(script.frames)


def crowded():
    """A table of four places: a flood of first knocks can't push out an honest second one."""
    script = Script(START)
    script.syn(0, CLIENT, SERVER, 7000)
    script.syn(milliseconds(200), CLIENT, SERVER, 8000)
    for number in range(8):
        script.syn(milliseconds(210 + number), f"203.0.113.{50 + number}", SERVER, 7000)
    script.syn(milliseconds(400), CLIENT, SERVER, 9000)
    return pcap(script.frames)


def leases():
    """A table of one lease: two sources knock at once, the second finds it full."""
    script = Script(START)
    script.knock(0, CLIENT, SERVER, DOOR)
    script.knock(SECOND, "198.51.100.8", SERVER, DOOR)
    return pcap(script.frames)


def by_udp():
    """The right ports in the right order, all by UDP; the door wants TCP."""
    script = Script(START)
    for number, port in enumerate(DOOR):
        script.datagram(milliseconds(200 * number), CLIENT, SERVER, port)
    return pcap(script.frames)


def used_up():
    """The only one-time sequence, and 20 s later once more by somebody who saw it."""
    script = Script(START)
    for at, source in ((0, CLIENT), (20 * SECOND, "203.0.113.5")):
        script.knock(at, source, SERVER, (7101, 8101, 9101))
    return pcap(script.frames)


def too_late():
    """The door closes after 10 s; its guarded port is tried 2 s later."""
    script = Script(START)
    script.knock(0, CLIENT, SERVER, DOOR)
    script.syn(milliseconds(12_400), CLIENT, SERVER, 22)
    return pcap(script.frames)


def prefixes():
    """Four doors that begin alike (2001, 2002, 2003, then 2011 to 2014): the last is knocked."""
    script = Script(START)
    script.knock(0, CLIENT, SERVER, (2001, 2002, 2003, 2014))
    return pcap(script.frames)


def clock_step():
    """The recording machine's clock is set back by an hour between two knocks."""
    script = Script(START)
    script.syn(0, CLIENT, SERVER, 7000)
    script.syn(milliseconds(200), CLIENT, SERVER, 8000)
    script.syn(-3600 * SECOND, CLIENT, SERVER, 9000)
    script.knock(-3599 * SECOND, CLIENT, SERVER, DOOR)
    return pcap(script.frames)


def absent():
    """Other people's traffic, and nothing from the source that is asked about."""
    script = Script(START)
    script.syn(0, "203.0.113.5", SERVER, 443)
    script.syn(milliseconds(100), "203.0.113.9", SERVER, 7000)
    return pcap(script.frames)


def link(frame, link_type):
    """Returns a maker of one knock over another link type."""
    def make():
        script = Script(START, frame)
        script.knock(0, CLIENT, SERVER, DOOR)
        return pcap(script.frames, link_type=link_type)
    return make


def interfaces():
    """Two interfaces with their addresses, in microseconds and nanoseconds, and a time offset.

    The knock on the first is for its own address, the one on the second for nobody's here.
    """
    body = section()
    body += interface("eth0", ("192.0.2.1/24", "2001:db8::1/64"))
    body += interface("eth1", ("203.0.113.1/24",), digits=9, offset=3600)
    ours, others = Script(START), Script(START)
    ours.knock(0, CLIENT, "192.0.2.1", DOOR)
    others.knock(milliseconds(100), "203.0.113.5", "203.0.113.77", DOOR)
    packets = [(at, 0, frame, 6, 0) for at, frame in ours.frames]
    packets += [(at, 1, frame, 9, 3600) for at, frame in others.frames]
    for at, number, frame, digits, offset in sorted(packets):
        body += enhanced_packet(number, at, frame, digits, offset)
    return body


def sections():
    """Two sections, as from `cat a.pcapng b.pcapng`; the knock begins in one, ends in the other."""
    script = Script(START)
    script.knock(0, CLIENT, SERVER, DOOR)
    body = b""
    for frames, digits in ((script.frames[:2], 6), (script.frames[2:], 9)):
        body += section() + interface("eth0", (), digits)
        body += b"".join(enhanced_packet(0, at, frame, digits) for at, frame in frames)
    return body


def merged(part):
    """Returns a maker of one of two captures that are one knock together."""
    def make():
        script = Script(START)
        script.knock(0, CLIENT, SERVER, DOOR)
        return pcap([frame for n, frame in enumerate(script.frames) if (n == 1) == (part == 2)])
    return make


def truncated():
    """A whole knock, then the beginning of one more record: the disk was full."""
    script = Script(START)
    script.knock(0, CLIENT, SERVER, DOOR)
    script.syn(SECOND, CLIENT, SERVER, 22)
    return pcap(script.frames)[:-20]


def damaged():
    """A knock, a record whose header was overwritten, and another source's knock behind it."""
    script = Script(START)
    script.knock(0, CLIENT, SERVER, DOOR)
    script.syn(SECOND, CLIENT, SERVER, 22)
    script.knock(2 * SECOND, "198.51.100.8", SERVER, DOOR)
    whole = bytearray(pcap(script.frames))
    record = 16 + len(script.frames[0][1])
    broken = 24 + 3 * record
    whole[broken:broken + 16] = struct.pack("<IIII", 0xDEADBEEF, 0xDEADBEEF, 0xFFFFFFF0, 7)
    return bytes(whole)


CAPTURES = {
    "../examples/ci/week.pcap": week,
    "absent.pcap": absent,
    "by-udp.pcap": by_udp,
    "clock-step.pcap": clock_step,
    "cooldown.pcap": cooldown,
    "crowded.pcap": crowded,
    "damaged.pcap": damaged,
    "damaged-resync.pcap": damaged,
    "deadline.pcap": deadline,
    "extensions.pcap": extensions,
    "interfaces.pcapng": interfaces,
    "interleaved.pcap": interleaved,
    "late.pcap": late,
    "leases.pcap": leases,
    "link-ipv4.pcap": link(bytes, IPV4),
    "link-loop.pcap": link(loop, LOOP),
    "link-null.pcap": link(null, NULL),
    "link-raw.pcap": link(bytes, RAW),
    "link-sll.pcap": link(sll, SLL),
    "link-unknown.pcap": link(bytes, WIFI),
    "lists.pcap": lists,
    "lockout.pcap": lockout,
    "lost.pcap": lost,
    "merged.1.pcap": merged(1),
    "merged.2.pcap": merged(2),
    "prefixes.pcap": prefixes,
    "reordered.pcap": reordered,
    "sections.pcapng": sections,
    "snapped.pcap": snapped,
    "strays.pcap": strays,
    "too-late.pcap": too_late,
    "truncated.pcap": truncated,
    "undecodable.pcap": undecodable,
    "used-up.pcap": used_up,
    "vlan.pcap": vlan,
}


def main():
    """Writes or checks every capture; returns the exit code."""
    check = sys.argv[1:] == ["--check"]
    if sys.argv[1:] and not check:
        print(__doc__, file=sys.stderr)
        return 2
    different = 0
    for name, make in CAPTURES.items():
        path, data = HERE / name, make()
        if not check:
            path.write_bytes(data)
        elif not path.exists() or path.read_bytes() != data:
            print(f"make.py: testdata/{name} is not what it makes", file=sys.stderr)
            different += 1
    return 1 if different else 0


if __name__ == "__main__":
    sys.exit(main())
