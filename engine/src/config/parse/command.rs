//! Commands, and what word processors and web pages make of them.

use super::keys::Setting;
use super::problem::{Problem, Problems};
use super::text::Piece;
use crate::config::Command;
use crate::config::escape::is_printable;

/// Reads a command: any text, or none. Warns of characters that a shell takes for part of a word
/// though they look like something it would understand.
pub(super) fn parse_command(
    Setting { name: key, value, text }: Setting<'_>,
    problems: &mut Problems,
) -> Option<Command> {
    for (offset, character) in text.char_indices().filter(|(_, character)| !character.is_ascii()) {
        let Some((name, ascii)) = look_alike(character) else { continue };
        let ascii = match ascii {
            "-" if is_long_option(text, offset, character) => "--",
            _ => ascii,
        };
        let (_, rest) = value.split_at(offset);
        let wanted = if ascii == " " { "a plain blank" } else { ascii };
        let message = format!(
            "{key} has U+{:04X} ({name}) where a shell wants {wanted}",
            u32::from(character)
        );
        let help = "it is passed on as it is; web pages and word processors make such characters";
        let problem = Problem::warning(rest.split_at(character.len_utf8()).0.span(), message);
        problems.push(problem.help(help).replace(ascii));
    }
    Command::new(text)
}

/// Tells whether a dash at `offset` stands for the two of a long option: a word of several
/// letters follows, as in `–dport`.
fn is_long_option(text: &str, offset: usize, dash: char) -> bool {
    let before = text[..offset].chars().next_back();
    let is_first = before.is_none_or(char::is_whitespace);
    let mut behind = text[offset + dash.len_utf8()..].chars();
    let is_letter = |character: char| character.is_ascii_alphabetic();
    is_first && behind.next().is_some_and(is_letter) && behind.next().is_some_and(is_letter)
}

/// Returns a look-alike's name and the ASCII text that it stands for.
const fn look_alike(character: char) -> Option<(&'static str, &'static str)> {
    Some(match character {
        '\u{2010}' => ("hyphen", "-"),
        '\u{2011}' => ("non-breaking hyphen", "-"),
        '\u{2012}' => ("figure dash", "-"),
        '\u{2013}' => ("en dash", "-"),
        '\u{2014}' => ("em dash", "-"),
        '\u{2015}' => ("horizontal bar", "-"),
        '\u{2212}' => ("minus sign", "-"),
        '\u{fe58}' => ("small em dash", "-"),
        '\u{fe63}' => ("small hyphen-minus", "-"),
        '\u{ff0d}' => ("fullwidth hyphen-minus", "-"),
        '\u{2018}' => ("left single quotation mark", "'"),
        '\u{2019}' => ("right single quotation mark", "'"),
        '\u{201a}' => ("single low quotation mark", "'"),
        '\u{201b}' => ("single high-reversed quotation mark", "'"),
        '\u{2032}' => ("prime", "'"),
        '\u{b4}' => ("acute accent", "'"),
        '\u{ff07}' => ("fullwidth apostrophe", "'"),
        '\u{201c}' => ("left double quotation mark", "\""),
        '\u{201d}' => ("right double quotation mark", "\""),
        '\u{201e}' => ("double low quotation mark", "\""),
        '\u{201f}' => ("double high-reversed quotation mark", "\""),
        '\u{2033}' => ("double prime", "\""),
        '\u{ab}' => ("left guillemet", "\""),
        '\u{bb}' => ("right guillemet", "\""),
        '\u{ff02}' => ("fullwidth quotation mark", "\""),
        '\u{a0}' => ("no-break space", " "),
        '\u{2007}' => ("figure space", " "),
        '\u{202f}' => ("narrow no-break space", " "),
        '\u{3000}' => ("ideographic space", " "),
        _ => return None,
    })
}

/// Warns of the first character in a value that nobody would see; tabs and look-alikes aside.
pub(super) fn warn_of_unprintable(what: &str, text: &str, at: Piece<'_>, problems: &mut Problems) {
    let is_hidden = |character: char| {
        character != '\t' && !is_printable(character) && look_alike(character).is_none()
    };
    let Some((offset, hidden)) = text.char_indices().find(|(_, found)| is_hidden(*found)) else {
        return;
    };
    let (_, rest) = at.split_at(offset);
    let message = format!("{what} has the unprintable character U+{:04X}", u32::from(hidden));
    let problem = Problem::warning(rest.split_at(hidden.len_utf8()).0.span(), message);
    problems.push(problem.help("it is taken as it is; leave it out if it is not meant"));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn replacements(text: &str) -> Vec<String> {
        let mut problems = Problems::default();
        let value = Piece::new(text.as_bytes(), 0);
        let setting = Setting { name: "start_command", value, text };
        let command = parse_command(setting, &mut problems);
        assert_eq!(command.as_ref().map(Command::template), Some(text));
        let diagnostics = problems.locate(text.as_bytes());
        diagnostics.into_iter().filter_map(|found| Some(found.replacement?.text)).collect()
    }

    #[test]
    fn look_alikes_have_a_replacement() {
        assert_eq!(replacements("iptables -A INPUT --dport 22 'x' \"y\" Grüße"), [""; 0]);
        assert_eq!(replacements("iptables \u{2013}A INPUT \u{2013}dport 22"), ["-", "--"]);
        assert_eq!(replacements("x -\u{2013}dport a\u{2014}bc"), ["-", "-"]);
        assert_eq!(
            replacements("echo \u{201c}a\u{201d} \u{2018}b\u{2019}"),
            ["\"", "\"", "'", "'"]
        );
        assert_eq!(replacements("a\u{a0}b"), [" "]);
    }

    #[test]
    fn an_empty_command_is_none() {
        let mut problems = Problems::default();
        for text in ["", " "] {
            let value = Piece::new(text.as_bytes(), 0);
            let setting = Setting { name: "command", value, text };
            assert_eq!(parse_command(setting, &mut problems), None);
        }
    }
}
