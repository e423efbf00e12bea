//! `pfctl`, which adds addresses to tables.

use super::{Change, Raw, Rule};
use crate::lint::shell::Simple;

/// Reads the addresses that a command adds to a table or takes away.
pub(super) fn rules(simple: &Simple, raw: &Raw) -> Option<Vec<Rule>> {
    let arguments = simple.arguments();
    let behind = |option: &str| {
        let at = arguments.iter().position(|word| word.text == option)?;
        arguments.get(at + 1)
    };
    let (Some(table), Some(verb)) = (behind("-t"), behind("-T")) else { return None };
    let change = match verb.text.as_str() {
        "add" => Change::Add,
        "delete" => Change::Remove,
        _ => return Some(Vec::new()),
    };
    let behind_verb = arguments.iter().skip_while(|word| *word != verb).skip(1);
    let what = behind_verb.map(|word| word.text.clone()).collect();
    let with = |new| raw.edit(&[(verb.span.clone(), new)]);
    Some(vec![Rule {
        undo: with(if change == Change::Add { "delete" } else { "add" }),
        check: with("test"),
        ..raw.rule(format!("pfctl {}", table.text), change, what)
    }])
}
