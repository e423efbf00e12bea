//! Names of interfaces.

use super::list::List;
use super::number::looks_like_comment;
use super::problem::{Problem, Problems};
use super::text::Piece;
use crate::config::{Diagnostic, Options, is_printable};

const INTERFACES: List = List {
    entry: "an interface",
    allowed: "write names with commas between them, such as eth0, tun0; or any",
};

/// The longest name that Linux gives to an interface, in bytes.
const LONGEST_NAME: usize = 15;

/// Parses a list of interfaces as the command line has it, by the rules of the config's
/// `Interface`. There is no list where a diagnostic is an error; an empty text is an empty list.
#[must_use]
pub fn parse_interfaces(text: &str) -> (Option<Vec<String>>, Vec<Diagnostic>) {
    let mut problems = Problems::default();
    let value = Piece::new(text.as_bytes(), 0).trim();
    let interfaces = parse_list(value, &mut problems);
    (interfaces, problems.locate(text.as_bytes()))
}

/// Reads a list of interfaces, or none at all; `None` where one of them is wrong.
pub(super) fn parse_list(value: Piece<'_>, problems: &mut Problems) -> Option<Vec<String>> {
    if value.is_empty() {
        return Some(Vec::new());
    }
    let entries = INTERFACES.parse(value, problems, |entry, problems| {
        parse_name(entry, problems).map(|name| (entry, name))
    })?;
    let mut names: Vec<String> = Vec::new();
    for (entry, name) in entries {
        if names.contains(&name) {
            let message = format!("interface {} is named twice", entry.quoted());
            let problem = Problem::warning(entry.span(), message);
            problems.push(problem.help("it is listened on once"));
        } else {
            names.push(name);
        }
    }
    if names.len() > 1 && names.iter().any(|name| name == Options::ANY) {
        let message = format!("{} stands for all interfaces", Options::ANY);
        let help = "write it alone, or leave it out";
        problems.push(Problem::error(value.span(), message).help(help));
        return None;
    }
    Some(names)
}

/// Reads a name, which is one that Linux could give to an interface.
fn parse_name(entry: Piece<'_>, problems: &mut Problems) -> Option<String> {
    let text = String::from_utf8_lossy(entry.bytes()).into_owned();
    let refuse = |problems: &mut Problems, why: &str, help: &str| {
        let message = format!("no interface can be called {}: {why}", entry.quoted());
        problems.push(Problem::error(entry.span(), message).help(help));
        None
    };
    if let Some(blank) = text.find(char::is_whitespace) {
        let (_, behind) = entry.split_at(blank);
        let help = match looks_like_comment(behind) {
            true => "a comment needs a line of its own, with # in front",
            false => INTERFACES.allowed,
        };
        return refuse(problems, "there is a blank in it", help);
    }
    if text.contains('/') {
        return refuse(problems, "there is a \"/\" in it", INTERFACES.allowed);
    }
    let (name, label) = match text.split_once(':') {
        None => (text.as_str(), None),
        Some((name, label)) if !name.is_empty() && !label.is_empty() => (name, Some(label)),
        Some(_) => return refuse(problems, "there is a \":\" in it", INTERFACES.allowed),
    };
    if name.len() > LONGEST_NAME {
        let why = format!("it is longer than {LONGEST_NAME} bytes");
        return refuse(problems, &why, "ip -br link lists those there are");
    }
    if name == "." || name == ".." {
        return refuse(problems, "Linux refuses it", "ip -br link lists those there are");
    }
    if label.is_some() {
        problems.push(labelled(entry, name));
    }
    Some(name.to_owned())
}

/// The problem of a name with a label behind it: knockd listens on eth0 for eth0:1, and takes the
/// address with this label for its own.
fn labelled(entry: Piece<'_>, name: &str) -> Problem {
    let shown = super::quote(name.as_bytes());
    let message = format!("interface {} is taken as {shown}", entry.quoted());
    let help = "with a colon it is the label of an address; to heed only that address, \
        write it as a door's target";
    let problem = Problem::warning(entry.span(), message).help(help);
    // A name that can't be shown as it is is none to be written.
    if name.chars().all(is_printable) { problem.replace(name) } else { problem }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The names, and how many problems there were.
    fn parse(text: &str) -> (Option<Vec<String>>, usize) {
        let (names, diagnostics) = parse_interfaces(text);
        (names, diagnostics.len())
    }

    fn names(names: &[&str]) -> Option<Vec<String>> {
        Some(names.iter().map(|&name| name.to_owned()).collect())
    }

    #[test]
    fn a_list_has_names_of_linux() {
        assert_eq!(parse("eth0"), (names(&["eth0"]), 0));
        assert_eq!(parse(" eth0 ,tun0, any0"), (names(&["eth0", "tun0", "any0"]), 0));
        assert_eq!(parse("any"), (names(&["any"]), 0));
        assert_eq!(parse(" "), (names(&[]), 0));
        assert_eq!(parse("br-0123456789ab"), (names(&["br-0123456789ab"]), 0));
        let odd = "a\"#=!\u{fc}\u{1b}";
        assert_eq!(parse(odd), (names(&[odd]), 0));
    }

    #[test]
    fn what_linux_refuses_is_an_error() {
        let refused = [
            "eth0,",
            ",",
            "eth0,,tun0",
            "eth0 tun0",
            "eth0 # wan",
            "br-0123456789abc",
            "\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}\u{fc}",
            "../eth0",
            ".",
            "..",
            ":1",
            "eth0:",
            "eth0, any",
            "any,any0",
            "eth\t0",
        ];
        for text in refused {
            let (names, problems) = parse(text);
            assert!(names.is_none() && problems > 0, "{text}: {names:?}");
        }
    }

    #[test]
    fn an_address_s_label_is_its_interface() {
        assert_eq!(parse("eth0:1"), (names(&["eth0"]), 1));
        assert_eq!(parse("eth0:a:b"), (names(&["eth0"]), 1));
        assert_eq!(parse("eth0,eth0"), (names(&["eth0"]), 1));
        assert_eq!(parse("eth0,eth0:1"), (names(&["eth0"]), 2));
    }

    #[test]
    fn a_name_that_cannot_be_shown_is_not_suggested() {
        let (interfaces, problems) = parse_interfaces("e\u{1b}[31m:1");
        assert_eq!(interfaces, names(&["e\u{1b}[31m"]));
        assert_eq!(problems.len(), 1);
        assert!(problems[0].to_string().chars().all(is_printable), "{}", problems[0]);
        // One that is too long is refused, whatever its label, and said once.
        assert_eq!(parse(&format!("{}:1", "e".repeat(3000))), (None, 1));
    }
}
