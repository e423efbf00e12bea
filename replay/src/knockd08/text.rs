//! How knockd reads and prints text: pieces of lines, blanks, numbers, addresses.

use std::net::{IpAddr, Ipv6Addr};

/// The most bytes of a line that are read at once; the rest is a line of its own (R50).
const PIECE: usize = 4095;

/// A line of a file, or 4,095 bytes of a longer one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    /// What the original sees of it: it ends at a NUL byte.
    pub(super) text: &'a [u8],
    /// The position in the file right behind it.
    pub(super) end: usize,
}

/// Cuts a file into the lines that the original sees.
pub(super) fn pieces(file: &[u8]) -> impl Iterator<Item = Piece<'_>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        let rest = file.get(at..).filter(|rest| !rest.is_empty())?;
        let window = &rest[..rest.len().min(PIECE)];
        let length = window.iter().position(|&b| b == b'\n').map_or(window.len(), |n| n + 1);
        at += length;
        let line = &window[..length];
        let text = line.split(|&b| b == 0).next().unwrap_or_default();
        Some(Piece { text, end: at })
    })
}

/// Removes blanks at both ends, as C's `isspace` knows them in the C locale.
pub(super) fn trim(text: &[u8]) -> &[u8] {
    let Some(start) = text.iter().position(|&b| !is_space(b)) else { return &[] };
    let end = text.iter().rposition(|&b| !is_space(b)).map_or(start, |last| last + 1);
    &text[start..end]
}

fn is_space(byte: u8) -> bool {
    matches!(byte, b' ' | b'\t' | b'\n' | 0x0b | 0x0c | b'\r')
}

/// Reads a number as C's `atoi` does on a 64-bit machine: blanks, a sign, digits, and whatever
/// follows is ignored; no digits are 0. Beyond 64 bits the number is clamped, then the low 32
/// bits count.
pub(super) fn atoi(text: &[u8]) -> i32 {
    let start = text.iter().position(|&b| !is_space(b)).unwrap_or(text.len());
    let (negative, digits) = match text.get(start) {
        Some(b'-') => (true, &text[start + 1..]),
        Some(b'+') => (false, &text[start + 1..]),
        _ => (false, &text[start..]),
    };
    let mut value = 0_i64;
    for digit in digits.iter().take_while(|b| b.is_ascii_digit()) {
        let digit = i64::from(digit - b'0');
        value = value.saturating_mul(10);
        value = if negative { value.saturating_sub(digit) } else { value.saturating_add(digit) };
    }
    low_32_bits(value)
}

#[expect(clippy::cast_possible_truncation, reason = "the original keeps the low 32 bits (R52)")]
fn low_32_bits(value: i64) -> i32 {
    value as i32
}

/// Returns the text in upper-case ASCII.
pub(super) fn upper(text: &[u8]) -> Vec<u8> {
    text.to_ascii_uppercase()
}

/// Returns the text for people; bytes that are not UTF-8 become U+FFFD.
pub(super) fn lossy(text: &[u8]) -> String {
    String::from_utf8_lossy(text).into_owned()
}

/// Writes an address as knockd prints it and puts it in place of `%IP%`: in the form of glibc's
/// `inet_ntop`, which also writes the low 32 bits of `::/96` as a dotted quad.
#[must_use]
pub fn address_text(address: IpAddr) -> String {
    match address {
        IpAddr::V4(address) => address.to_string(),
        IpAddr::V6(address) => ipv6_text(address),
    }
}

fn ipv6_text(address: Ipv6Addr) -> String {
    let [high @ .., seventh, _] = address.segments();
    if high == [0; 6] && seventh != 0 {
        let [.., a, b, c, d] = address.octets();
        format!("::{a}.{b}.{c}.{d}")
    } else {
        address.to_string()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_read_like_atoi() {
        let cases: [(&[u8], i32); 10] = [
            (b"7000x", 7000),
            (b" \t+12", 12),
            (b"-58536", -58536),
            (b"abc", 0),
            (b"", 0),
            (b"- 5", 0),
            (b"0x1f", 0),
            (b"4294974296", 7000),
            (b"99999999999999999999", -1),
            (b"-99999999999999999999", 0),
        ];
        for (text, expected) in cases {
            assert_eq!(atoi(text), expected, "{:?}", lossy(text));
        }
    }

    #[test]
    fn long_lines_come_in_pieces() {
        let mut file = vec![b'x'; 4095];
        file.extend_from_slice(b"y\nz\0w\n\nlast");
        let seen: Vec<_> = pieces(&file).map(|p| (p.text.len(), p.end)).collect();
        assert_eq!(seen, [(4095, 4095), (2, 4097), (1, 4101), (1, 4102), (4, 4106)]);
    }

    #[test]
    fn addresses_look_as_inet_ntop_writes_them() {
        for text in ["192.0.2.1", "2001:db8::1:0:0:1", "::ffff:192.0.2.9", "::1", "::", "::1.2.3.4"]
        {
            let address: IpAddr = text.parse().unwrap();
            assert_eq!(address_text(address), text);
        }
    }
}
