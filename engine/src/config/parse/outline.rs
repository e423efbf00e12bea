//! What stands where in a config, for those who talk about its text.

use std::ops::Range;

use super::keys::find_key;
use super::problem::Problems;
use super::text::{Piece, lines};
use super::{header_name, is_utf16};

/// A line of a config that says something, or a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// The line's number, counted from 1.
    pub line: usize,
    /// The bytes of the config that it takes, without the blanks at its ends.
    pub span: Range<usize>,
    /// What it is.
    pub kind: EntryKind,
}

/// What a line of a config is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// A comment, `#` included.
    Comment,
    /// The header of `[options]`.
    Options,
    /// The header of a door. In a config without errors the doors are those of
    /// [`Config::doors`](crate::config::Config::doors), in the same order.
    Door,
    /// A setting of the section that it stands in.
    Setting {
        /// The key as it was written, in lower case: `command` stays `command`.
        key: &'static str,
        /// The bytes of the value, without the blanks at its ends; empty for a bare word.
        value: Range<usize>,
    },
    /// Something that [`parse`](crate::config::parse()) finds an error in.
    Unknown,
}

/// Tells what each line of a config is, but for the empty ones, by the same reading as
/// [`parse`](crate::config::parse()). There is nothing in a text that is UTF-16.
pub fn outline(text: &[u8]) -> impl Iterator<Item = Entry> {
    let lines = (!is_utf16(text)).then(|| lines(text));
    lines.into_iter().flatten().filter_map(|(number, line)| {
        let content = line.trim();
        let kind = (!content.is_empty()).then(|| kind(content))?;
        Some(Entry { line: number, span: content.span(), kind })
    })
}

fn kind(content: Piece<'_>) -> EntryKind {
    if content.bytes().starts_with(b"#") {
        return EntryKind::Comment;
    }
    if let Some(behind) = content.strip_prefix(b'[') {
        let is_options =
            header_name(content, behind, &mut Problems::default()).bytes() == b"options";
        return if is_options { EntryKind::Options } else { EntryKind::Door };
    }
    let (key, value) = match content.split_once(b'=') {
        Some((key, value)) => (key.trim(), value.trim()),
        None => (content, content.split_at(content.bytes().len()).1),
    };
    match find_key(key) {
        Some((key, _)) => EntryKind::Setting { key, value: value.span() },
        None => EntryKind::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_told_with_their_places() {
        let text = b"\xef\xbb\xbf# a\r\n[options]\n UseSyslog \n\n[x ]\nCommand = a = b \nfoo\n";
        let found: Vec<_> =
            outline(text).map(|entry| (entry.line, entry.span, entry.kind)).collect();
        let setting = |key, value| EntryKind::Setting { key, value };
        assert_eq!(
            found,
            [
                (1, 3..6, EntryKind::Comment),
                (2, 8..17, EntryKind::Options),
                (3, 19..28, setting("usesyslog", 28..28)),
                (5, 31..35, EntryKind::Door),
                (6, 36..51, setting("command", 46..51)),
                (7, 53..56, EntryKind::Unknown),
            ]
        );
    }

    #[test]
    fn there_is_no_outline_of_utf16() {
        assert_eq!(outline(b"\xff\xfe[\0").count(), 0);
    }

    #[test]
    fn doors_are_those_of_the_config() {
        let text = b"[options]\n[a]\nsequence = 1\n[options]\n[b]\nsequence=2\n # [c]\n[Options]\ntimeout=1\nsequence=3";
        let doors = outline(text).filter(|entry| entry.kind == EntryKind::Door).count();
        assert_eq!(crate::config::parse(text).config.unwrap().doors.len(), doors);
    }
}
