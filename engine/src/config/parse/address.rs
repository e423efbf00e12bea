//! Addresses, networks and prefix lengths.

use std::net::IpAddr;

use ipnet::IpNet;

use super::list::List;
use super::number::Number;
use super::problem::{Problem, Problems};
use super::text::Piece;
use crate::config::Grant;

const ADDRESSES: List = List {
    entry: "an address",
    allowed: "an address is such as 192.0.2.1 or 2001:db8::1; names are not looked up",
};

const NETWORKS: List = List {
    entry: "an address",
    allowed: "write addresses or networks such as 192.0.2.1, 192.0.2.0/24 or 2001:db8::/32",
};

const GRANT: &str =
    "write /24 for IPv4 alone, or /24, /56 for both: 0 to 32 for IPv4, 0 to 128 for IPv6";

/// Reads a list of addresses; `None` where it is an error.
pub(super) fn parse_addresses(value: Piece<'_>, problems: &mut Problems) -> Option<Vec<IpAddr>> {
    ADDRESSES.parse(value, problems, |entry, problems| {
        let address = entry.as_utf8().ok().and_then(|text| text.parse().ok());
        if address.is_none() {
            let message = format!("{} is no address", entry.quoted());
            problems.push(Problem::error(entry.span(), message).help(ADDRESSES.allowed));
        }
        address
    })
}

/// Reads a list of addresses and networks; `None` where it is an error.
pub(super) fn parse_networks(value: Piece<'_>, problems: &mut Problems) -> Option<Vec<IpNet>> {
    NETWORKS.parse(value, problems, |entry, problems| {
        let text = entry.as_utf8().unwrap_or_default();
        let address = text.parse::<IpAddr>().ok().map(IpNet::from);
        let Some(network) = address.or_else(|| text.parse().ok()) else {
            let message = format!("{} is no address and no network", entry.quoted());
            problems.push(Problem::error(entry.span(), message).help(NETWORKS.allowed));
            return None;
        };
        let whole = network.trunc();
        if whole != network {
            let message = format!("{network} is taken as the network that it lies in, {whole}");
            problems.push(Problem::warning(entry.span(), message).replace(whole.to_string()));
        }
        Some(whole)
    })
}

/// Reads one prefix length, for IPv4, or two, for IPv4 and IPv6, each with or without a slash;
/// `None` where it is an error.
pub(super) fn parse_grant(value: Piece<'_>, problems: &mut Problems) -> Option<Grant> {
    let mut entries = value.split(b',').map(Piece::trim);
    let (v4, v6) = (entries.next()?, entries.next());
    if let Some(third) = entries.next() {
        let message = format!("grant has a third entry, {}", third.quoted());
        problems.push(Problem::error(third.span(), message).help(GRANT));
        return None;
    }
    let default = Grant::default();
    match v6 {
        Some(v6) => {
            let v4 = parse_prefix_length(v4, ("IPv4", 32), problems);
            let v6 = parse_prefix_length(v6, ("IPv6", 128), problems);
            Grant::new(v4?, v6?)
        }
        None => {
            // A length that only IPv6 has is understood well enough to say how it is written.
            let length = parse_prefix_length(v4, ("IPv6", 128), problems)?;
            let grant = Grant::new(length, default.v6());
            if grant.is_none() {
                let message = format!("grant {} is out of range for IPv4", v4.quoted());
                let both = format!("/{}, /{length}", default.v4());
                problems.push(Problem::error(v4.span(), message).help(GRANT).replace(both));
            }
            grant
        }
    }
}

fn parse_prefix_length(
    entry: Piece<'_>,
    (family, longest): (&str, u8),
    problems: &mut Problems,
) -> Option<u8> {
    let digits = entry.strip_prefix(b'/').map_or(entry, Piece::trim);
    let number = Number::read(digits)
        .filter(|number| number.rest.is_empty() && digits.split_digits().1.is_empty());
    let wrong = match number.map(|number| u8::try_from(number.magnitude)) {
        Some(Ok(length)) if length <= longest => return Some(length),
        Some(_) => format!("is out of range for {family}"),
        None => "is no prefix length".to_owned(),
    };
    let message = format!("grant {} {wrong}", entry.quoted());
    problems.push(Problem::error(entry.span(), message).help(GRANT));
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse<T>(
        text: &str,
        parse: impl Fn(Piece<'_>, &mut Problems) -> Option<T>,
    ) -> (Option<T>, usize) {
        let mut problems = Problems::default();
        (parse(Piece::new(text.as_bytes(), 0).trim(), &mut problems), problems.len())
    }

    #[test]
    fn addresses_need_not_be_canonical() {
        let expected = ["10.0.0.1", "2001:db8::99"].map(|text| text.parse().unwrap()).to_vec();
        assert_eq!(parse("10.0.0.1, 2001:DB8:0::99", parse_addresses), (Some(expected), 0));
        for wrong in ["", "localhost", "10.0.0", "10.0.0.256", "10.0.0.1 # me", "fe80::1%eth0"] {
            assert_eq!(parse(wrong, parse_addresses), (None, 1), "{wrong}");
        }
    }

    #[test]
    fn networks_have_no_host_bits() {
        let nets = |texts: &[&str]| {
            Some(texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<IpNet>>())
        };
        assert_eq!(
            parse("192.0.2.1,10.0.0.0/8 , 2001:db8::/32, ::1", parse_networks),
            (nets(&["192.0.2.1/32", "10.0.0.0/8", "2001:db8::/32", "::1/128"]), 0)
        );
        assert_eq!(parse("10.1.2.3/8", parse_networks), (nets(&["10.0.0.0/8"]), 1));
        for wrong in ["", "10.0.0.0/33", "10.0.0.0/", "10/8", "::/129", "example.org", "any"] {
            assert_eq!(parse(wrong, parse_networks), (None, 1), "{wrong}");
        }
    }

    #[test]
    fn a_grant_is_a_prefix_length_per_family() {
        assert_eq!(parse("/24", parse_grant), (Grant::new(24, 128), 0));
        assert_eq!(parse("24", parse_grant), (Grant::new(24, 128), 0));
        assert_eq!(parse("/24, /56", parse_grant), (Grant::new(24, 56), 0));
        assert_eq!(parse("32,64", parse_grant), (Grant::new(32, 64), 0));
        assert_eq!(parse("/0,/0", parse_grant), (Grant::new(0, 0), 0));
        for wrong in ["", "/", "/33", "/64", "/129", "/999", "/24,/129", "/24,", "a", "/24x", "-1"]
        {
            assert_eq!(parse(wrong, parse_grant), (None, 1), "{wrong}");
        }
        assert_eq!(parse("/24,/56,/64", parse_grant), (None, 1));
        assert_eq!(parse("/33,/129", parse_grant), (None, 2));
    }
}
