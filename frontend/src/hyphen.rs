//! Pasted dashes: what web pages and word processors make of the hyphen in front of an option.

/// Whatever looks like a hyphen and is none.
const DASHES: [char; 10] = [
    '\u{2010}', '\u{2011}', '\u{2012}', '\u{2013}', '\u{2014}', '\u{2015}', '\u{2212}', '\u{fe58}',
    '\u{fe63}', '\u{ff0d}',
];

/// Returns what to say of an argument with such a dash in place of a hyphen, and `None` of any
/// other.
#[must_use]
pub fn pasted(argument: &str) -> Option<String> {
    let name = argument.trim_start_matches('-');
    let dash = name.chars().next().filter(|first| DASHES.contains(first))?;
    let name = name.trim_start_matches(|letter| letter == '-' || DASHES.contains(&letter));
    let hyphens = if name.chars().count() > 1 { "--" } else { "-" };
    Some(format!(
        "'{argument}' has U+{:04X} where a hyphen belongs, as web pages and word processors make \
         of it: type {hyphens}{name}",
        u32::from(dash)
    ))
}
