//! `firewall-cmd`.

use super::{Change, Families, Raw, Rule, squeeze};
use crate::lint::shell::{Simple, Word};

/// Reads what a command adds or takes away.
pub(super) fn rules(simple: &Simple, raw: &Raw) -> Option<Vec<Rule>> {
    let arguments = simple.arguments();
    let zone = value(arguments, "--zone").unwrap_or_default();
    let is_permanent = arguments.iter().any(|word| word.text == "--permanent");
    let expires = value(arguments, "--timeout").is_some();
    let kept = if is_permanent { " permanent" } else { "" };
    let mut rules = Vec::new();
    for (at, word) in arguments.iter().enumerate() {
        let (change, rest) =
            match (word.text.strip_prefix("--add-"), word.text.strip_prefix("--remove-")) {
                (Some(rest), _) => (Change::Add, rest),
                (_, Some(rest)) => (Change::Remove, rest),
                _ => continue,
            };
        let (what, value) = match rest.split_once('=') {
            Some((what, value)) => (what, value),
            None => (rest, arguments.get(at + 1).map_or("", |word| word.text.as_str())),
        };
        let place = format!("firewall-cmd {what} zone={zone}{kept}");
        let value = squeeze(value);
        let blocks = value.split(' ').any(|word| word == "drop" || word == "reject");
        let with = |old, new| raw.with(old, new).filter(|_| !expires);
        let undo = match change {
            Change::Add => with("--add-", "--remove-"),
            Change::Remove => with("--remove-", "--add-"),
        };
        rules.push(Rule {
            lets_in: !blocks,
            expires,
            families: families(&value),
            undo,
            check: with("--add-", "--query-"),
            ..raw.rule(place, change, vec![value])
        });
    }
    Some(rules)
}

/// Returns an option's value, behind `=` or in the next word.
fn value<'a>(words: &'a [Word], option: &str) -> Option<&'a str> {
    words.iter().enumerate().find_map(|(at, word)| {
        let rest = word.text.strip_prefix(option)?;
        match rest.strip_prefix('=') {
            Some(value) => Some(value),
            None if rest.is_empty() => words.get(at + 1).map(|word| word.text.as_str()),
            None => None,
        }
    })
}

fn families(rule: &str) -> Families {
    let plain = rule.replace(['"', '\''], "");
    if plain.contains("family=ipv4") {
        Families::V4
    } else if plain.contains("family=ipv6") {
        Families::V6
    } else {
        Families::Both
    }
}
