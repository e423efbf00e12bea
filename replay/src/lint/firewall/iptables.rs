//! `iptables` and `ip6tables`.

use std::ops::Range;

use super::{Change, Families, Raw, Rule};
use crate::lint::shell::{Simple, Word};

/// Options with their short forms, which rules are compared by.
const SYNONYMS: [(&str, &str); 17] = [
    ("--table", "-t"),
    ("--source", "-s"),
    ("--src", "-s"),
    ("--destination", "-d"),
    ("--dst", "-d"),
    ("--protocol", "-p"),
    ("--proto", "-p"),
    ("--jump", "-j"),
    ("--goto", "-g"),
    ("--in-interface", "-i"),
    ("--out-interface", "-o"),
    ("--match", "-m"),
    ("--destination-port", "--dport"),
    ("--source-port", "--sport"),
    ("--destination-ports", "--dports"),
    ("--source-ports", "--sports"),
    ("--wait", "-w"),
];

/// Tells whether the program is one of the many names of iptables.
pub(in crate::lint) fn is_iptables(program: &str) -> bool {
    let base = program.strip_suffix("-nft").or(program.strip_suffix("-legacy")).unwrap_or(program);
    matches!(base, "iptables" | "ip6tables")
}

/// Tells whether the command waits for the lock that only one iptables can have.
pub(in crate::lint) fn waits(simple: &Simple) -> bool {
    simple.arguments().iter().any(|word| {
        word.text == "-w" || word.text.starts_with("--wait") || is_wait_with_number(&word.text)
    })
}

fn is_wait_with_number(text: &str) -> bool {
    text.strip_prefix("-w").is_some_and(|rest| rest.parse::<u32>().is_ok())
}

/// What an option says, and where.
struct Group<'a> {
    /// The option in its short form, `!` in front where it is negated.
    option: String,
    values: Vec<&'a Word>,
}

/// Reads the rule that a command adds or takes away.
pub(super) fn rules(simple: &Simple, raw: &Raw) -> Option<Vec<Rule>> {
    let mut rules = Vec::new();
    let arguments = simple.arguments();
    let Some((at, change, is_append)) = action(arguments) else { return Some(rules) };
    let chain = arguments.get(at + 1).map_or("", |word| word.text.as_str());
    let number = arguments.get(at + 2).filter(|word| word.text.parse::<u32>().is_ok());
    let rest = at + 2 + usize::from(number.is_some());
    let groups = groups(arguments.iter().take(at).chain(arguments.iter().skip(rest)));
    let mut table = "filter".to_owned();
    let mut what = Vec::new();
    let target = groups.iter().find(|group| group.option == "-j");
    let lets_in = target.is_none_or(|target| {
        !target.values.first().is_some_and(|word| matches!(word.text.as_str(), "DROP" | "REJECT"))
    });
    for group in &groups {
        match group.option.as_str() {
            "-t" => table = group.values.iter().map(|word| word.text.as_str()).collect(),
            "-w" | "-W" | "-v" | "-n" => {}
            _ => what.extend(normal(group)),
        }
    }
    if change == Change::Remove
        && let Some(number) = number
    {
        what.push(format!("number {}", number.text));
    }
    what.sort_unstable();
    let program = simple.program();
    let is_v6 = program.starts_with("ip6");
    let place = format!("{} {table} {chain}", if is_v6 { "ip6tables" } else { "iptables" });
    let action_span = arguments[at].span.clone();
    let edits = |new: &'static str| {
        let mut edits = vec![(action_span.clone(), new)];
        // The number goes with the blank in front of it.
        let number = number.map(|word| arguments[at + 1].span.end..word.span.end);
        edits.extend(number.map(|span: Range<usize>| (span, "")));
        raw.edit(&edits)
    };
    rules.push(Rule {
        lets_in,
        append: is_append.then(|| action_span.clone()),
        families: if is_v6 { Families::V6 } else { Families::V4 },
        undo: edits(if change == Change::Add { "-D" } else { "-I" }),
        check: edits("-C"),
        ..raw.rule(place, change, what)
    });
    Some(rules)
}

/// Finds what the command does, and whether it is to append.
fn action(arguments: &[Word]) -> Option<(usize, Change, bool)> {
    arguments.iter().enumerate().find_map(|(at, word)| {
        let (change, is_append) = match word.text.as_str() {
            "-I" | "--insert" => (Change::Add, false),
            "-A" | "--append" => (Change::Add, true),
            "-D" | "--delete" => (Change::Remove, false),
            _ => return None,
        };
        Some((at, change, is_append))
    })
}

/// Gathers options with their values.
fn groups<'a>(words: impl Iterator<Item = &'a Word>) -> Vec<Group<'a>> {
    let mut groups: Vec<Group<'a>> = Vec::new();
    let mut is_negated = false;
    for word in words {
        let text = word.text.as_str();
        if text == "!" {
            is_negated = true;
        } else if text.len() > 1 && text.starts_with('-') {
            let short = SYNONYMS.iter().find(|(long, _)| *long == text);
            let option = short.map_or(text, |(_, short)| short);
            let sign = if std::mem::take(&mut is_negated) { "! " } else { "" };
            groups.push(Group { option: format!("{sign}{option}"), values: Vec::new() });
        } else if let Some(group) = groups.last_mut() {
            group.values.push(word);
        }
    }
    groups
}

/// Writes an option in the one form that it is compared by; `None` where it says nothing.
fn normal(group: &Group<'_>) -> Option<String> {
    let values: Vec<_> = group.values.iter().map(|word| word.text.as_str()).collect();
    let values = values.join(" ");
    match group.option.as_str() {
        // The protocol loads its match by itself.
        "-m" if matches!(values.as_str(), "tcp" | "udp" | "comment") => None,
        "-s" | "-d" => {
            let address = values.strip_suffix("/32").unwrap_or(&values);
            Some(format!("{} {}", group.option, address.strip_suffix("/128").unwrap_or(address)))
        }
        "-p" => Some(format!("-p {}", values.to_ascii_lowercase())),
        option => Some(format!("{option} {values}")),
    }
}
