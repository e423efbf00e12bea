//! Ports and ranges of ports.

use super::list::List;
use super::problem::{Problem, Problems};
use super::sequence::{parse_exact_port, parse_protocol};
use super::text::Piece;
use crate::config::PortRange;

const PORTS: List = List {
    entry: "a port",
    allowed: "write ports or ranges such as 22, 53:udp, 6000-6010 or 6000-6010:tcp",
};

/// Reads a list of ports and ranges; `None` where it is an error.
pub(super) fn parse_ports(value: Piece<'_>, problems: &mut Problems) -> Option<Vec<PortRange>> {
    PORTS.parse(value, problems, |entry, problems| {
        let (ports, protocol) = match entry.split_once(b':') {
            Some((ports, protocol)) => (ports.trim(), Some(protocol.trim())),
            None => (entry, None),
        };
        let protocol = match protocol {
            Some(name) => Some(parse_protocol(name, problems)?),
            None => None,
        };
        let (first, last) = ports.split_once(b'-').unwrap_or((ports, ports));
        let first = parse_exact_port(first.trim(), problems)?.get();
        let last = match ports.split_once(b'-') {
            Some(_) => parse_exact_port(last.trim(), problems)?.get(),
            None => first,
        };
        if first > last {
            let message = format!("the range {} ends before it begins", ports.quoted());
            problems.push(Problem::error(ports.span(), message).replace(format!("{last}-{first}")));
            return None;
        }
        Some(PortRange { protocol, first, last })
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::packet::Protocol;

    fn parse(text: &str) -> (Option<Vec<PortRange>>, usize) {
        let mut problems = Problems::default();
        (parse_ports(Piece::new(text.as_bytes(), 0).trim(), &mut problems), problems.len())
    }

    #[test]
    fn ports_and_ranges_may_name_a_protocol() {
        let range = |first, last, protocol| PortRange { protocol, first, last };
        let expected = vec![
            range(22, 22, None),
            range(53, 53, Some(Protocol::Udp)),
            range(6000, 6010, None),
            range(1, 65_535, Some(Protocol::Tcp)),
        ];
        assert_eq!(parse("22, 53:udp,6000 - 6010 , 1-65535 : TCP"), (Some(expected), 0));
    }

    #[test]
    fn other_text_is_refused() {
        for wrong in
            ["", "22,", "0", "65536", "ssh", "22 # ssh", "20-10", "1-2-3", "-5", "5-", "53:dns"]
        {
            assert_eq!(parse(wrong), (None, 1), "{wrong}");
        }
    }
}
