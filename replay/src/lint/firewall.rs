//! What a command changes in a firewall, as far as its text tells.

mod firewalld;
mod ipset;
pub(super) mod iptables;
mod nft;
mod pf;
mod ufw;

use std::ops::Range;

use super::shell::{Simple, programs};

/// Which way a command changes a firewall.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Change {
    /// It adds a rule or an element.
    Add,
    /// It takes one away.
    Remove,
}

/// The sources that a rule can be about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Families {
    /// IPv4 only.
    V4,
    /// IPv6 only.
    V6,
    /// One of the two, as the set was made for.
    Either,
    /// Both.
    Both,
}

/// A change of a rule or an element of a set.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rule {
    /// What it changes, such as `iptables INPUT`.
    pub(super) place: String,
    /// Which way.
    pub(super) change: Change,
    /// What is added or taken away, in a form in which equal rules are equal.
    pub(super) what: Vec<String>,
    /// Whether the rule lets packets pass: an `ACCEPT`, an element of a set.
    pub(super) lets_in: bool,
    /// Where it says that the rule goes to the end of a chain.
    pub(super) append: Option<Range<usize>>,
    /// Whether it ends by itself.
    pub(super) expires: bool,
    /// Whom it can be about.
    pub(super) families: Families,
    /// The command that undoes it, where the text tells one.
    pub(super) undo: Option<String>,
    /// A command that tells whether it is there.
    pub(super) check: Option<String>,
    /// Whether the command has `%IP%` or `%NET%` in it.
    pub(super) has_address: bool,
    /// Where the command stands in the text.
    pub(super) span: Range<usize>,
}

impl Rule {
    /// Tells whether it makes a way in: a rule that lets in, or one less that keeps out.
    pub(super) fn opens(&self) -> bool {
        (self.change == Change::Add) == self.lets_in
    }

    /// Tells whether this undoes the other.
    pub(super) fn undoes(&self, other: &Self) -> bool {
        self.change != other.change && self.place == other.place && self.what == other.what
    }
}

/// What a command line changes.
#[derive(Debug, Default)]
pub(super) struct Changes {
    /// The changes that were recognised.
    pub(super) rules: Vec<Rule>,
    /// Whether it runs programs that might change anything, such as scripts.
    pub(super) has_unknown: bool,
}

/// Programs that change no firewall.
const HARMLESS: [&str; 14] = [
    "logger", "echo", "printf", "true", ":", "sleep", "date", "test", "[", "mail", "wall", "fi",
    "done", "cat",
];

/// Reads what a command line changes.
pub(super) fn changes(line: &str) -> Changes {
    let mut changes = Changes::default();
    for simple in programs(line) {
        let raw = Raw::new(line, &simple);
        let rules = match simple.program() {
            program if iptables::is_iptables(program) => iptables::rules(&simple, &raw),
            "nft" => nft::rules(&simple, &raw),
            "ipset" => ipset::rules(&simple, &raw),
            "ufw" => ufw::rules(&simple, &raw),
            "firewall-cmd" => firewalld::rules(&simple, &raw),
            "pfctl" => pf::rules(&simple, &raw),
            program => {
                changes.has_unknown |= !HARMLESS.contains(&program);
                continue;
            }
        };
        match rules {
            Some(rules) => changes.rules.extend(rules),
            None => changes.has_unknown = true,
        }
    }
    changes
}

/// A command's text as it stands in the config, to be edited.
pub(super) struct Raw {
    text: String,
    span: Range<usize>,
    is_nested: bool,
    has_address: bool,
}

impl Raw {
    fn new(line: &str, simple: &Simple) -> Self {
        let has_address = simple
            .words
            .iter()
            .any(|word| ["%IP%", "%NET%"].iter().any(|it| word.text.contains(it)));
        let span = if simple.is_nested { 0..line.len() } else { simple.span() };
        let text = line.get(span.clone()).unwrap_or(line).to_owned();
        Self { text, span, is_nested: simple.is_nested, has_address }
    }

    /// Returns the text with these parts replaced, which stand in order; `None` where the places
    /// are not those of the config.
    fn edit(&self, edits: &[(Range<usize>, &str)]) -> Option<String> {
        if self.is_nested {
            return None;
        }
        let mut text = self.text.clone();
        for (range, replacement) in edits.iter().rev() {
            let start = range.start.checked_sub(self.span.start)?;
            text.replace_range(start..range.end.checked_sub(self.span.start)?, replacement);
        }
        Some(text)
    }

    /// Returns the text with the first mention of something replaced.
    fn with(&self, old: &str, new: &str) -> Option<String> {
        (!self.is_nested && self.text.contains(old)).then(|| self.text.replacen(old, new, 1))
    }

    /// Makes a rule of this command with nothing special about it.
    fn rule(&self, place: impl Into<String>, change: Change, what: Vec<String>) -> Rule {
        Rule {
            place: place.into(),
            change,
            what,
            lets_in: true,
            append: None,
            expires: false,
            families: Families::Both,
            undo: None,
            check: None,
            has_address: self.has_address,
            span: self.span.clone(),
        }
    }
}

/// Joins the blanks of a text to single ones.
fn squeeze(text: &str) -> String {
    text.split_ascii_whitespace().collect::<Vec<_>>().join(" ")
}
