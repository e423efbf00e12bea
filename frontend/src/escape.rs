//! Text from packets, configs and file names, made safe for a terminal and for JSON.
//!
//! Everything a stranger can choose passes through here on its way out: an escape sequence in a
//! door's name must not move the cursor, and a bidirectional override must not reorder a line.

use std::fmt::{self, Write as _};
use std::io;

use serde::Serialize;
use serde_json::ser::{Formatter, Serializer};

/// Tells whether a character could do more to a terminal than appear: the control characters
/// (C0, DEL, C1), the invisible ones, and those that change the direction of text.
#[must_use]
pub fn is_unsafe(character: char) -> bool {
    character.is_control()
        || matches!(
            character,
            '\u{ad}'
                | '\u{61c}'
                | '\u{200b}'..='\u{200f}'
                | '\u{2028}'..='\u{202e}'
                | '\u{2060}'..='\u{206f}'
                | '\u{feff}'
                | '\u{fff9}'..='\u{fffb}'
                | '\u{e0000}'..='\u{e007f}'
        )
}

/// Text that prints with its unsafe characters as `\n`, `\t`, `\u{1b}` and the like.
#[derive(Clone, Copy, Debug)]
pub struct Escaped<'a>(pub &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        while let Some(position) = rest.find(is_unsafe) {
            let (safe, tail) = rest.split_at(position);
            f.write_str(safe)?;
            let mut characters = tail.chars();
            match characters.next() {
                Some('\n') => f.write_str("\\n")?,
                Some('\r') => f.write_str("\\r")?,
                Some('\t') => f.write_str("\\t")?,
                Some(other) => write!(f, "{}", other.escape_unicode())?,
                None => {}
            }
            rest = characters.as_str();
        }
        f.write_str(rest)
    }
}

/// Appends a value as one line of JSON: what is unsafe in its strings becomes `\u` escapes.
///
/// # Errors
///
/// Fails where the value itself refuses to be serialised.
pub fn append_json_line(buffer: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
    value.serialize(&mut Serializer::with_formatter(&mut *buffer, SafeFormatter))?;
    buffer.push(b'\n');
    Ok(())
}

/// The compact JSON of `serde_json`, which by itself passes DEL, C1 and the rest on as they are.
struct SafeFormatter;

impl Formatter for SafeFormatter {
    fn write_string_fragment<W>(&mut self, writer: &mut W, fragment: &str) -> io::Result<()>
    where
        W: ?Sized + io::Write,
    {
        if fragment.bytes().all(|byte| (0x20..0x7f).contains(&byte)) {
            return writer.write_all(fragment.as_bytes());
        }
        let mut escaped = String::with_capacity(fragment.len() + 8);
        for character in fragment.chars() {
            if is_unsafe(character) {
                for unit in character.encode_utf16(&mut [0; 2]) {
                    // Writing to a String cannot fail.
                    let _ = write!(escaped, "\\u{unit:04x}");
                }
            } else {
                escaped.push(character);
            }
        }
        writer.write_all(escaped.as_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn harmless_text_stays_as_it_is() {
        assert_eq!(Escaped("ssh für alle, 字").to_string(), "ssh für alle, 字");
    }

    #[test]
    fn nothing_reaches_a_terminal_but_characters_that_only_appear() {
        let hostile = "a\x1b[31mb\u{9b}2Jc\u{202e}d\ne\x7f\u{e0041}";
        let shown = Escaped(hostile).to_string();
        assert_eq!(shown, "a\\u{1b}[31mb\\u{9b}2Jc\\u{202e}d\\ne\\u{7f}\\u{e0041}");
        assert!(!shown.chars().any(is_unsafe));
    }

    #[test]
    fn json_strings_are_escaped_and_keep_their_value() {
        let hostile = "\"\\\x1b\u{9b}\u{202e}\u{e0041}\n\u{7f}ü";
        let mut line = Vec::new();
        append_json_line(&mut line, &hostile).unwrap();
        let text = String::from_utf8(line).unwrap();
        assert!(!text.trim_end().chars().any(is_unsafe), "{text:?}");
        assert_eq!(serde_json::from_str::<String>(&text).unwrap(), hostile);
    }
}
