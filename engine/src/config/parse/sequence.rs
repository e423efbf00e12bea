//! Sequences: ports with their protocols (R52, R53).

use std::num::NonZeroU16;

use super::list::List;
use super::number::Number;
use super::problem::{Problem, Problems};
use super::suggest::suggest;
use super::text::Piece;
use crate::config::{Knock, MAX_KNOCKS, Sequence};
use crate::packet::Protocol;

const PORTS: &str = "a port is 1 to 65535";

const KNOCKS: List = List {
    entry: "a port",
    allowed: "a knock is a port of 1 to 65535, with :tcp or :udp behind it where it is not tcp",
};

/// Reads a sequence; `None` where it is an error.
pub(super) fn parse_sequence(value: Piece<'_>, problems: &mut Problems) -> Option<Sequence> {
    let mut count = 0;
    let knocks = KNOCKS.parse(value, problems, |entry, problems| {
        count += 1;
        if count == MAX_KNOCKS + 1 {
            let message = format!("the sequence has more than {MAX_KNOCKS} knocks");
            problems.push(Problem::error(entry.span(), message).help("leave this one out"));
        }
        parse_knock(entry, problems)
    })?;
    Sequence::new(knocks)
}

fn parse_knock(entry: Piece<'_>, problems: &mut Problems) -> Option<Knock> {
    let mut fields = entry.split(b':').map(Piece::trim);
    let port = fields.next().unwrap_or(entry);
    let protocol = fields.next();
    let third = fields.next();
    let port = parse_port_number(port, problems).map(|(number, port)| {
        warn_of_rest(entry, number, protocol.is_some(), problems);
        port
    });
    let protocol = protocol.map_or(Some(Protocol::Tcp), |name| parse_protocol(name, problems));
    if let Some(third) = third {
        let span = third.span().start - 1..entry.span().end;
        let (_, ignored) = entry.split_at(span.start - entry.span().start);
        let message = format!("{} behind the protocol is ignored", ignored.quoted());
        problems.push(Problem::warning(span, message).help(KNOCKS.allowed));
    }
    Some(Knock { protocol: protocol?, port: port? })
}

/// Reads a port at the front of a piece; any text may stand behind it.
fn parse_port_number<'a>(
    piece: Piece<'a>,
    problems: &mut Problems,
) -> Option<(Number<'a>, NonZeroU16)> {
    let number = Number::read(piece);
    let wrong = match number {
        None if piece.is_empty() => "is missing",
        None => "is no number",
        Some(number) if number.negative => "is below 0",
        Some(number) => {
            let port = u16::try_from(number.magnitude).ok();
            match port.map(NonZeroU16::new) {
                Some(Some(port)) => return Some((number, port)),
                Some(None) => "cannot be knocked on",
                None => "is out of range",
            }
        }
    };
    let written = number.map_or(piece, |number| number.written);
    let message = match piece.is_empty() {
        true => format!("port {wrong}"),
        false => format!("port {} {wrong}", written.quoted()),
    };
    problems.push(Problem::error(written.span(), message).help(PORTS));
    None
}

fn warn_of_rest(entry: Piece<'_>, number: Number<'_>, has_protocol: bool, problems: &mut Problems) {
    let rest = number.rest.trim();
    if rest.is_empty() {
        return;
    }
    let port = number.magnitude.to_string();
    let protocol = rest.strip_prefix(b'/').unwrap_or(rest);
    let meant = protocol_names().find(|name| protocol.is_word(name) && !has_protocol);
    problems.push(match meant {
        Some(name) => number
            .rest_warning("the port", &format!("{port}:tcp"))
            .help("a protocol stands behind a colon")
            .replace_at(entry.span(), format!("{port}:{name}")),
        None => number.rest_warning("the port", &port),
    });
}

fn protocol_names() -> impl Iterator<Item = &'static str> {
    [Protocol::Tcp, Protocol::Udp].into_iter().map(Protocol::name)
}

/// Reads `tcp` or `udp`, in whatever case.
pub(super) fn parse_protocol(name: Piece<'_>, problems: &mut Problems) -> Option<Protocol> {
    let known = [Protocol::Tcp, Protocol::Udp];
    if let Some(protocol) = known.into_iter().find(|protocol| name.is_word(protocol.name())) {
        return Some(protocol);
    }
    let message = match name.is_empty() {
        true => "the protocol behind the colon is missing".to_owned(),
        false => format!("unknown protocol {}", name.quoted()),
    };
    let letters = name.bytes().iter().take_while(|byte| byte.is_ascii_alphabetic()).count();
    let meant = suggest(name.split_at(letters).0, protocol_names());
    let problem = Problem::error(name.span(), message).help("a protocol is tcp or udp");
    problems.push(problem.replace_with(meant));
    None
}

/// Reads a port that is nothing but digits.
pub(super) fn parse_exact_port(piece: Piece<'_>, problems: &mut Problems) -> Option<NonZeroU16> {
    let (number, port) = parse_port_number(piece, problems)?;
    if number.rest.is_empty() {
        return Some(port);
    }
    let message = format!("text behind port {port}: {}", number.rest.trim().quoted());
    let help = "nothing but :tcp or :udp may stand behind a port";
    problems.push(Problem::error(number.rest.trim().span(), message).help(help));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> (Option<String>, usize) {
        let mut problems = Problems::default();
        let sequence = parse_sequence(Piece::new(text.as_bytes(), 0).trim(), &mut problems);
        (sequence.map(|sequence| sequence.to_string()), problems.len())
    }

    fn parsed(text: &str) -> (Option<String>, usize) {
        (Some(text.to_owned()), 0)
    }

    #[test]
    fn sequences_are_ports_with_protocols() {
        assert_eq!(parse("7000"), parsed("7000:tcp"));
        assert_eq!(
            parse(" 7000 , 8000:TcP,9000: Udp ,1 :udp"),
            parsed("7000:tcp,8000:tcp,9000:udp,1:udp")
        );
        assert_eq!(parse("+7,007,65535"), parsed("7:tcp,7:tcp,65535:tcp"));
    }

    #[test]
    fn text_behind_a_port_or_protocol_is_ignored_with_a_warning() {
        for text in ["7000 # mine", "7000x", "7000 8000", "7000/udp", "7000:tcp:x", "7000:tcp:"] {
            assert_eq!(parse(text), (Some("7000:tcp".to_owned()), 1), "{text}");
        }
        assert_eq!(parse("7000x:udp:y:z"), (Some("7000:udp".to_owned()), 2));
    }

    #[test]
    fn ports_that_cannot_be_knocked_on_are_refused() {
        for text in [
            "0",
            "65536",
            "70000",
            "-1",
            "-58536",
            "4294974296",
            "abc",
            "0x10",
            "",
            "7000,",
            ",7000",
            "7000,,8000",
            ":tcp",
            "7000:",
            "7000:sctp",
            "7000:tcp x",
            "7000:tcp # x",
        ] {
            assert_eq!(parse(text), (None, 1), "{text}");
        }
        assert_eq!(parse("0,70000,abc:icmp"), (None, 4));
    }

    #[test]
    fn a_sequence_has_at_most_32_knocks() {
        let knocks = |count: usize| vec!["7000"; count].join(",");
        assert_eq!(parse(&knocks(32)).1, 0);
        assert_eq!(parse(&knocks(33)), (None, 1));
        assert_eq!(parse(&knocks(40)), (None, 1));
    }
}
