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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_dash_in_front_is_a_pasted_hyphen() {
        for argument in ["-v", "--verbose", "host", "", "-", "a\u{2013}b"] {
            assert_eq!(pasted(argument), None, "{argument}");
        }
        let told = |argument| {
            pasted(argument).and_then(|told| Some(told.split_once("type ")?.1.to_owned()))
        };
        assert_eq!(told("\u{2013}v").as_deref(), Some("-v"));
        assert_eq!(told("\u{2014}verbose").as_deref(), Some("--verbose"));
        assert_eq!(told("-\u{2212}delay").as_deref(), Some("--delay"));
    }
}
