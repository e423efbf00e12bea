//! `ipset`.

use super::{Change, Families, Raw, Rule};
use crate::lint::shell::Simple;

/// Reads the element that a command adds or takes away.
pub(super) fn rules(simple: &Simple, raw: &Raw) -> Option<Vec<Rule>> {
    let arguments = simple.arguments();
    let Some((at, change)) = arguments.iter().enumerate().find_map(|(at, word)| {
        let change = match word.text.as_str() {
            "add" | "-A" | "--add" => Change::Add,
            "del" | "delete" | "-D" | "--del" => Change::Remove,
            _ => return None,
        };
        Some((at, change))
    }) else {
        return Some(Vec::new());
    };
    let mut rest = arguments.iter().skip(at + 1).filter(|word| !is_flag(&word.text));
    let set = rest.next()?;
    let element = rest.next()?;
    let verb =
        |new| raw.edit(&[(arguments[at].span.clone(), new), (element.span.end..raw.span.end, "")]);
    Some(vec![Rule {
        expires: rest.any(|word| word.text == "timeout"),
        families: Families::Either,
        undo: verb(if change == Change::Add { "del" } else { "add" }),
        check: verb("test"),
        ..raw.rule(format!("ipset {}", set.text), change, vec![element.text.clone()])
    }])
}

fn is_flag(text: &str) -> bool {
    matches!(text, "-exist" | "-!" | "-q" | "-quiet" | "--exist" | "--quiet")
}
