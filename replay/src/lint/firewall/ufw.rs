//! `ufw`.

use super::{Change, Raw, Rule};
use crate::lint::shell::Simple;

/// Reads the rule that a command adds or takes away.
pub(super) fn rules(simple: &Simple, raw: &Raw) -> Option<Vec<Rule>> {
    let mut change = Change::Add;
    let mut what = Vec::new();
    let mut edit = None;
    let mut words = simple.arguments().iter();
    while let Some(word) = words.next() {
        let text = word.text.to_ascii_lowercase();
        match text.as_str() {
            "--force" => {}
            "delete" => {
                change = Change::Remove;
                edit.get_or_insert(word.span.clone());
            }
            "insert" => {
                let number = words.next();
                edit.get_or_insert(word.span.start..number.map_or(word.span.end, |it| it.span.end));
            }
            "prepend" => {
                edit.get_or_insert(word.span.clone());
            }
            "comment" => {
                words.next();
            }
            "allow" | "deny" | "reject" | "limit" => {
                edit.get_or_insert(word.span.start..word.span.start);
                what.push(text);
            }
            _ => what.push(text),
        }
    }
    let verbs = ["allow", "deny", "reject", "limit"];
    let verb = what.iter().position(|word| verbs.contains(&word.as_str()));
    let Some(verb) = verb else {
        // `ufw delete 3`, and what changes no rule.
        let rule = raw.rule("ufw", change, what);
        return Some(if change == Change::Remove { vec![rule] } else { Vec::new() });
    };
    let lets_in = matches!(what[verb].as_str(), "allow" | "limit");
    let undo = edit.filter(|_| change == Change::Add).and_then(|span| {
        let new = if span.is_empty() { "delete " } else { "delete" };
        raw.edit(&[(span, new)])
    });
    Some(vec![Rule { lets_in, undo, ..raw.rule("ufw", change, what) }])
}
