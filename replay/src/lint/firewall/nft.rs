//! `nft`.

use super::{Change, Families, Raw, Rule};
use crate::lint::shell::Simple;

/// Reads the rules and elements that a command adds or takes away; `None` where it reads them from
/// somewhere else.
pub(super) fn rules(simple: &Simple, raw: &Raw) -> Option<Vec<Rule>> {
    let mut text = String::new();
    for word in simple.arguments() {
        if matches!(word.text.as_str(), "-f" | "--file" | "-i" | "--interactive") {
            return None;
        }
        if !word.text.starts_with('-') {
            text.push_str(&word.text);
            text.push(' ');
        }
    }
    for symbol in ["{", "}", ",", ";"] {
        text = text.replace(symbol, &format!(" {symbol} "));
    }
    let tokens: Vec<_> = text.split_ascii_whitespace().collect();
    Some(tokens.split(|token| *token == ";").filter_map(|tokens| rule(tokens, raw)).collect())
}

fn rule(tokens: &[&str], raw: &Raw) -> Option<Rule> {
    let (verb, object, rest) = match tokens {
        [verb, object @ ("element" | "rule"), rest @ ..] => (*verb, *object, rest),
        _ => return None,
    };
    let change = match verb {
        "add" | "create" | "insert" | "replace" => Change::Add,
        "delete" | "destroy" => Change::Remove,
        _ => return None,
    };
    let (family, rest) = match rest {
        [family @ ("ip" | "ip6" | "inet" | "arp" | "bridge" | "netdev"), rest @ ..] => {
            (*family, rest)
        }
        _ => ("ip", rest),
    };
    let [table, name, rest @ ..] = rest else { return None };
    let place = format!("nft {object} {family} {table} {name}");
    Some(if object == "element" {
        let (what, expires) = element(rest);
        let families = match family {
            "ip" => Families::V4,
            "ip6" => Families::V6,
            _ => Families::Either,
        };
        let words = |new: &str| raw.with(&format!("{verb} element"), &format!("{new} element"));
        let plain = |text: Option<String>| text.filter(|_| !expires);
        Rule {
            expires,
            families,
            undo: plain(words(if change == Change::Add { "delete" } else { "add" })),
            check: plain(words("get")),
            ..raw.rule(place, change, what)
        }
    } else {
        let what = statement(rest, change);
        let lets_in = !what.iter().any(|token| token == "drop" || token == "reject");
        let families = families_of(family, &what);
        Rule { lets_in, families, ..raw.rule(place, change, what) }
    })
}

/// Returns an element without what is no part of its key, and whether it ends by itself.
fn element(tokens: &[&str]) -> (Vec<String>, bool) {
    let mut what = Vec::new();
    let mut expires = false;
    let mut tokens = tokens.iter();
    while let Some(token) = tokens.next() {
        match *token {
            "timeout" | "expires" => {
                expires = true;
                tokens.next();
            }
            "comment" => {
                tokens.next();
            }
            token => what.push(token.to_owned()),
        }
    }
    (what, expires)
}

/// Returns a rule's statement, without its place among others when it is added.
fn statement(tokens: &[&str], change: Change) -> Vec<String> {
    let place = ["position", "index", "handle"];
    let skip = match tokens {
        [first, _, ..] if change == Change::Add && place.contains(first) => 2,
        _ => 0,
    };
    tokens[skip..].iter().map(|token| (*token).to_owned()).collect()
}

fn families_of(family: &str, what: &[String]) -> Families {
    let has = |name: &str| {
        what.windows(2).any(|pair| pair[0] == name && (pair[1] == "saddr" || pair[1] == "daddr"))
    };
    match family {
        "ip" => Families::V4,
        "ip6" => Families::V6,
        _ if has("ip") => Families::V4,
        _ if has("ip6") => Families::V6,
        _ => Families::Both,
    }
}
