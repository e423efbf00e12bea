//! Text from a file, made fit for a terminal.

/// The most characters of offending text that a message shows.
const SHOWN: usize = 48;

/// Tells whether a terminal shows the character as itself: no control character, no bidirectional
/// override, nothing invisible and no unusual blank.
#[must_use]
pub fn is_printable(character: char) -> bool {
    if character.is_ascii() {
        return !character.is_ascii_control();
    }
    // The standard library keeps the Unicode tables, and a leading letter keeps it from
    // escaping a combining accent for standing alone.
    let mut text = String::from("a");
    text.push(character);
    text.escape_debug().count() == 2
}

/// Makes text of unknown origin fit for a terminal: what [`is_printable`] refuses becomes
/// `\u{1b}`, `\t` or the like, bytes that are no UTF-8 become `\xff`, and `"` and `\` get a `\`.
#[must_use]
pub fn escape(text: &[u8]) -> String {
    text.utf8_chunks().fold(String::new(), |mut escaped, chunk| {
        chunk.valid().chars().for_each(|character| push(&mut escaped, character));
        chunk.invalid().iter().for_each(|byte| escaped += &format!("\\x{byte:02x}"));
        escaped
    })
}

/// Quotes offending text for a message: escaped, and cut where it is long.
pub(super) fn quote(text: &[u8]) -> String {
    // Four bytes hold any character, so this much text gives at least as many as are shown.
    let head = &text[..text.len().min(4 * (SHOWN + 1))];
    let mut quoted = String::from("\"");
    let mut left = SHOWN;
    for chunk in head.utf8_chunks() {
        for character in chunk.valid().chars() {
            if left == 0 {
                return quoted + "...\"";
            }
            push(&mut quoted, character);
            left -= 1;
        }
        for byte in chunk.invalid() {
            if left == 0 {
                return quoted + "...\"";
            }
            quoted += &format!("\\x{byte:02x}");
            left -= 1;
        }
    }
    quoted.push('"');
    quoted
}

fn push(escaped: &mut String, character: char) {
    match character {
        '"' | '\\' => escaped.extend(['\\', character]),
        _ if is_printable(character) => escaped.push(character),
        '\t' | '\n' | '\r' | '\0' => escaped.extend(character.escape_debug()),
        _ => escaped.extend(character.escape_unicode()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ordinary_text_stays_as_it_is() {
        let text = "[ssh] Grüße, e\u{301} 门 'x' – “y”";
        assert_eq!(escape(text.as_bytes()), text);
    }

    #[test]
    fn hostile_bytes_are_spelt_out() {
        let cases: [(&[u8], &str); 8] = [
            (b"\x1b[31m", "\\u{1b}[31m"),
            (b"a\0b\tc\r", "a\\0b\\tc\\r"),
            (b"\x7f", "\\u{7f}"),
            (b"\xff\xfe", "\\xff\\xfe"),
            ("\u{202e}".as_bytes(), "\\u{202e}"),
            ("\u{9b}31m".as_bytes(), "\\u{9b}31m"),
            ("\u{200b}\u{a0}".as_bytes(), "\\u{200b}\\u{a0}"),
            (b"say \"\\\"", "say \\\"\\\\\\\""),
        ];
        for (text, expected) in cases {
            assert_eq!(escape(text), expected);
        }
    }

    #[test]
    fn long_text_is_cut() {
        assert_eq!(quote(b"short"), "\"short\"");
        assert_eq!(quote(&[b'x'; 48]), format!("\"{}\"", "x".repeat(48)));
        assert_eq!(quote(&[b'x'; 49]), format!("\"{}...\"", "x".repeat(48)));
        let wide = "\u{1f600}".repeat(100);
        assert_eq!(quote(wide.as_bytes()), format!("\"{}...\"", "\u{1f600}".repeat(48)));
        assert_eq!(quote(&[0xff; 500]), format!("\"{}...\"", "\\xff".repeat(48)));
    }
}
