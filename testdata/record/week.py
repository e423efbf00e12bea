"""The recorded week of docs/CI.md: three people, a script and some scanners at a host of two doors."""

import random

from packets import *

# Monday, 2026-11-16 00:00:00 UTC
START = 1_795_348_800 * SECOND - 6 * 86_400 * SECOND - 12 * 3_600 * SECOND
SERVER = "192.0.2.1"
SSH = (7000, 9000, 8000, 7500)
DEPLOY = (2100, 2200, 2300, 2400)


def at(day, hour, minute, second=0):
    """Returns a time of the week, counted from its beginning."""
    return (((day * 24 + hour) * 60 + minute) * 60 + second) * SECOND


def honest(script, day):
    """A working day: everybody knocks in the morning, and again in the afternoon."""
    for hour in (8, 13):
        # Ada at home, at an even pace.
        script.knock(at(day, hour, 2, 11), "198.51.100.7", SERVER, SSH)
        # Ben, on a phone: 1.45 s from one knock to the next.
        script.knock(at(day, hour, 17, 40) + day * 200 * MILLISECOND, "198.51.100.20", SERVER, SSH,
                     gap=1_450 * MILLISECOND)
        # The script that deploys, by the other door.
        script.knock(at(day, hour, 45), "198.51.100.40", SERVER, DEPLOY)
    # Cem's office hides behind one address, and its browsers are at work in between.
    for hour in (9, 15):
        start = at(day, hour, 31, 5)
        script.knock(start, "203.0.113.77", SERVER, SSH, gap=600 * MILLISECOND)
        for number in range(12):
            script.syn(start + (100 + 130 * number) * MILLISECOND, "203.0.113.77", SERVER,
                       8_081 + 3 * number)


def special(script):
    """What does not happen every day."""
    # Tuesday: Ada is under way when Ben's knock is complete.
    script.knock(at(1, 18, 0), "198.51.100.20", SERVER, SSH, gap=1_000 * MILLISECOND)
    script.knock(at(1, 18, 0) + 2_800 * MILLISECOND, "198.51.100.7", SERVER, SSH)
    # Wednesday: Ada knocks again while the door is open.
    for second in (0, 12):
        script.knock(at(2, 20, 15, second), "198.51.100.7", SERVER, SSH)
    # Friday: every packet of Ada's comes twice.
    for number, port in enumerate(SSH):
        for copy in range(2):
            script.syn(at(4, 20, 15) + (number * 200 + copy * 40) * MILLISECOND, "198.51.100.7",
                       SERVER, port, sport=41_000 + number, seq=7_000 + number)


def strangers(script):
    """Scanners, and those who try what is usually there."""
    # Thursday: a scan of some ports in ascending order.
    for number, port in enumerate(range(2000, 2500, 5)):
        script.syn(at(3, 3, 12) + number * 10 * MILLISECOND, "203.0.113.9", SERVER, port)
    chance = random.Random(1)
    for number in range(120):
        moment = int(chance.random() * 7 * 86_400 * 1000) * MILLISECOND
        port = chance.choice((22, 23, 80, 443, 445, 3389, 7000, 8080))
        script.syn(moment, f"203.0.113.{100 + number % 90}", SERVER, port)
    # And what the host is there for, which is no knock.
    for number in range(360):
        moment = int(chance.random() * 7 * 86_400 * 1000) * MILLISECOND
        script.syn(moment, f"192.0.2.{20 + number % 50}", SERVER, 443, flags=ACK)


def week():
    """Returns the capture."""
    script = Script(START)
    for day in range(5):
        honest(script, day)
    special(script)
    strangers(script)
    script.frames.sort(key=lambda frame: frame[0])
    return pcap(script.frames)
