//! What went wrong and what would help, in plain words.

use std::fmt;
use std::time::Duration;

use knock_engine::config::{Door, Knock, Sequence};
use knock_engine::packet::Protocol;

use super::memory::Strays;
use knock_frontend::format::{Counted, Span, Times};

/// The longest time by which a network is believed to reorder two packets. What lies further
/// apart was sent that way.
const LONGEST_REORDERING: Duration = Duration::from_millis(300);

/// A port as the reports name it: `7000/tcp`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Port(pub(crate) Protocol, pub(crate) u16);

impl Port {
    pub(crate) const fn of(knock: Knock) -> Self {
        Self(knock.protocol, knock.port.get())
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.1, self.0)
    }
}

/// The knock that was overtaken came after all, this much later.
pub(crate) fn overtaken(expected: Port, by: Port, lag: Duration) -> String {
    let lag_text = Span(lag);
    if lag <= LONGEST_REORDERING {
        return format!(
            "{by} arrived {lag_text} before {expected}: the network reordered them; knock with a \
             delay between the hits"
        );
    }
    format!(
        "{by} arrived {lag_text} before {expected}, too long for a network to reorder them: send \
         the knocks in the order of the sequence"
    )
}

/// Another knock of the sequence came in place of the next one, which (so far) did not.
pub(crate) fn out_of_order(sequence: &Sequence, stage: u8, came: Port) -> String {
    let stage = usize::from(stage);
    let knocks = sequence.knocks();
    let Some(expected) = knocks.get(stage).copied().map(Port::of) else {
        return format!("{came} came where no knock was due");
    };
    if came.1 == expected.1 {
        return wrong_protocol(expected, came.0);
    }
    let position = |knocks: &[Knock]| knocks.iter().position(|knock| Port::of(*knock) == came);
    if knocks.first().copied().map(Port::of) == Some(came) {
        return format!("{came} is the first knock: the source began again before {expected}");
    }
    if position(&knocks[stage..]).is_some() {
        return format!(
            "{came} came but {expected} did not: it was lost on the way or never sent; send the \
             whole sequence again"
        );
    }
    match position(&knocks[..stage]) {
        Some(index) => format!(
            "{came} came again when {expected} was due: only the last knock may be repeated, and \
             it was knock {}",
            index + 1
        ),
        None => format!("{came} came when {expected} was due"),
    }
}

/// The missing knock came after the attempt's window had closed.
pub(crate) fn late(door: &Door, expected: Port, number: u8, lag: Duration) -> String {
    let window = Span(door.seq_timeout);
    let needed = (door.seq_timeout + lag).as_secs() + 1;
    let needed = Span(Duration::from_secs(needed));
    let when = if lag.is_zero() {
        format!("came just when the window of {window} closed")
    } else {
        format!("came {} after the window of {window} closed", Span(lag))
    };
    format!(
        "knock {number}, {expected}, {when}: knock faster, or set seq_timeout to {needed} or more"
    )
}

/// A knock came by the other protocol.
pub(crate) fn wrong_protocol(expected: Port, came: Protocol) -> String {
    let name = |protocol: Protocol| match protocol {
        Protocol::Tcp => "TCP",
        Protocol::Udp => "UDP",
    };
    format!("{} came by {}, the sequence wants {}", expected.1, name(came), name(expected.0))
}

/// The next knock never came in time.
pub(crate) fn missing(expected: Port, number: u8) -> String {
    format!("knock {number}, {expected}, did not come")
}

/// Too many other ports were hit.
pub(crate) fn scanned(max_strays: u16) -> String {
    let hit = Counted(u64::from(max_strays) + 1, "other port");
    let were = if max_strays == 0 { "was" } else { "were" };
    format!(
        "{hit} {were} hit in between, max_strays allows {max_strays}: that looks like a port scan; \
         if it was none, raise max_strays or set ignore_ports"
    )
}

/// The last knock came again.
pub(super) fn repeated(port: Port, count: u64) -> String {
    let times = times(count);
    format!("{port} came again{times} from a new port: repeats of the last knock are ignored")
}

/// A knock was retransmitted.
pub(super) fn retransmitted(port: Port, count: u64) -> String {
    let times = times(count);
    format!("{port} was retransmitted{times}: retransmissions are ignored")
}

/// Other ports were hit, so few that the attempt went on.
pub(super) fn strays(strays: &Strays) -> String {
    let ports: Vec<String> = strays.ports.iter().map(|(p, n)| Port(*p, *n).to_string()).collect();
    let more = if strays.more { ", ..." } else { "" };
    let packets = Counted(strays.packets, "packet");
    let whereto = if strays.ports.len() == 1 { "another port" } else { "other ports" };
    format!("{packets} to {whereto}: {}{more}", ports.join(", "))
}

/// It opened, with next to no time left.
pub(crate) fn close_call(margin: Duration, window: Duration) -> Option<String> {
    (margin < window / 10).then(|| {
        format!(
            "only {} of {} was left: knock faster, or raise seq_timeout",
            Span(margin),
            Span(window)
        )
    })
}

fn times(count: u64) -> String {
    if count == 1 { String::new() } else { format!(" {}", Times(count)) }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU16;

    use super::*;

    const TCP: Protocol = Protocol::Tcp;

    fn sequence(ports: &[u16]) -> Sequence {
        let knock = |port: &u16| Knock { protocol: TCP, port: NonZeroU16::new(*port).unwrap() };
        Sequence::new(ports.iter().map(knock).collect()).unwrap()
    }

    #[test]
    fn a_knock_out_of_order_is_told_by_where_it_stands_in_the_sequence() {
        let sequence = sequence(&[7000, 8000, 9000, 10_000]);
        let told = |stage, port| out_of_order(&sequence, stage, Port(TCP, port));
        insta::assert_snapshot!(told(1, 9000), @"9000/tcp came but 8000/tcp did not: it was lost on the way or never sent; send the whole sequence again");
        insta::assert_snapshot!(told(2, 7000), @"7000/tcp is the first knock: the source began again before 9000/tcp");
        insta::assert_snapshot!(told(3, 8000), @"8000/tcp came again when 10000/tcp was due: only the last knock may be repeated, and it was knock 2");
        insta::assert_snapshot!(out_of_order(&sequence, 1, Port(Protocol::Udp, 8000)), @"8000 came by UDP, the sequence wants TCP");
    }

    #[test]
    fn a_short_overtaking_is_the_networks_a_long_one_the_clients() {
        let (expected, by) = (Port(TCP, 8000), Port(TCP, 9000));
        insta::assert_snapshot!(overtaken(expected, by, Duration::from_millis(10)), @"9000/tcp arrived 10 ms before 8000/tcp: the network reordered them; knock with a delay between the hits");
        insta::assert_snapshot!(overtaken(expected, by, Duration::from_millis(900)), @"9000/tcp arrived 900 ms before 8000/tcp, too long for a network to reorder them: send the knocks in the order of the sequence");
    }

    #[test]
    fn the_other_sentences_read_well() {
        insta::assert_snapshot!(scanned(8), @"9 other ports were hit in between, max_strays allows 8: that looks like a port scan; if it was none, raise max_strays or set ignore_ports");
        insta::assert_snapshot!(scanned(0), @"1 other port was hit in between, max_strays allows 0: that looks like a port scan; if it was none, raise max_strays or set ignore_ports");
        insta::assert_snapshot!(repeated(Port(TCP, 8000), 1), @"8000/tcp came again from a new port: repeats of the last knock are ignored");
        insta::assert_snapshot!(retransmitted(Port(TCP, 8000), 2), @"8000/tcp was retransmitted 2 times: retransmissions are ignored");
        assert_eq!(close_call(Duration::from_millis(500), Duration::from_secs(5)), None);
        insta::assert_snapshot!(close_call(Duration::from_millis(80), Duration::from_secs(5)).unwrap(), @"only 80 ms of 5 s was left: knock faster, or raise seq_timeout");
    }
}
