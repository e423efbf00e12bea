//! Checks of commands: what they change in a firewall, and whether that is undone.

use std::collections::HashMap;
use std::ops::Range;

use super::code::Code;
use super::firewall::iptables::{is_iptables, waits};
use super::firewall::{Change, Changes, Families, Rule, changes};
use super::shell::programs;
use super::subject::{CommandKind, DoorView, Family, Finding, Placed, Subject};

/// What is replaced in a command.
const TOKENS: [&str; 2] = ["%IP%", "%NET%"];

/// Looks at all commands of all doors.
pub(super) fn check(subject: &Subject<'_>, findings: &mut Vec<Finding>) {
    let elsewhere = Elsewhere::of(subject);
    for view in subject.doors() {
        let mut found = Vec::new();
        for placed in view.commands() {
            check_text(&placed, &mut found);
        }
        for (kind, family) in [(CommandKind::Start, Family::V4), (CommandKind::StartV6, Family::V6)]
        {
            if let Some(start) = view.command(kind) {
                check_start(&view, &start, family, &elsewhere, &mut found);
            }
        }
        check_families(&view, &mut found);
        findings.extend(found.into_iter().map(|it| Finding { door: Some(view.index), ..it }));
    }
}

/// Looks at a command's words, whatever it is for.
fn check_text(placed: &Placed<'_>, found: &mut Vec<Finding>) {
    let text = placed.command.template();
    let programs = programs(text);
    if let Some(simple) = programs.iter().find(|it| is_iptables(it.program()) && !waits(it)) {
        let program = &simple.words[0];
        let span = if simple.is_nested { 0..text.len() } else { program.span.clone() };
        let reason = format!(
            "{} has no -w in {}: where another iptables holds the lock, it fails at once, and \
             the door stays as it is",
            simple.program(),
            placed.key
        );
        let remedy = format!("write {} -w", program.text);
        let finding = Finding::new(Code::NoWait, placed.part(&span), reason, remedy.clone());
        found.push(match simple.is_nested {
            true => finding,
            false => finding.replace(placed.part(&span), format!("{} -w", &text[span])),
        });
    }
    if let Some(simple) = programs.iter().find(|it| matches!(it.program(), "sleep" | "usleep")) {
        let span = if simple.is_nested { 0..text.len() } else { simple.span() };
        let reason = format!(
            "{} sleeps: meanwhile it takes one of max_commands places, it is killed after \
             command_timeout, and what stands behind it is lost with the daemon",
            placed.key
        );
        found.push(Finding::new(Code::Sleep, placed.part(&span), reason, without_sleep(text)));
    }
    found.extend(quoted_token(text).map(|(span, plain)| {
        let reason = format!(
            "{plain} stands in quotes of its own: an address goes in as plain text and needs none, \
             and quotes that reach the program make it refuse the address"
        );
        let finding = Finding::new(
            Code::QuotedAddress,
            placed.part(&span),
            reason,
            format!("write {plain} without quotes"),
        );
        finding.replace(placed.part(&span), plain)
    }));
}

/// Proposes to let the daemon wait where `A; sleep N; B` does.
fn without_sleep(text: &str) -> String {
    let parts: Vec<_> = text.split([';', '&']).map(str::trim).filter(|it| !it.is_empty()).collect();
    if let [start, sleep, stop] = parts[..]
        && let Some(seconds) = sleep.strip_prefix("sleep ").map(str::trim)
        && seconds.parse::<u32>().is_ok()
    {
        return format!(
            "write start_command = {start}, stop_command = {stop} and cmd_timeout = {seconds}"
        );
    }
    "leave the waiting to the daemon: stop_command runs cmd_timeout after the knock".to_owned()
}

/// Finds an address that has quotes around it alone, and what stands between them.
fn quoted_token(text: &str) -> Option<(Range<usize>, String)> {
    let bytes = text.as_bytes();
    TOKENS.iter().flat_map(|token| text.match_indices(token)).find_map(|(at, token)| {
        let is_quote = |byte: u8| byte == b'"' || byte == b'\'';
        let quote = at.checked_sub(1).map(|before| bytes[before]).filter(|&byte| is_quote(byte))?;
        let tail = &text[at + token.len()..];
        let length = tail.find(char::from(quote))?;
        let is_address = |byte: u8| byte == b'/' || byte.is_ascii_digit();
        if !tail[..length].bytes().all(is_address) || is_inside(&text[..at - 1], quote) {
            return None;
        }
        let end = at + token.len() + length;
        // Backslashes in front of the quotes go with them.
        let start = at - 1 - usize::from(text[..at - 1].ends_with('\\'));
        let plain = &text[at..end];
        Some((start..end + 1, plain.trim_end_matches('\\').to_owned()))
    })
}

/// Tells whether another kind of quote is open behind this text: a program that gets quotes in an
/// argument of its own, such as a rich rule of firewalld, wants them.
fn is_inside(text: &str, quote: u8) -> bool {
    let mut open = None;
    let mut characters = text.bytes();
    while let Some(byte) = characters.next() {
        match (open, byte) {
            (_, b'\\') => {
                characters.next();
            }
            (None, b'"' | b'\'') => open = Some(byte),
            (Some(its), _) if its == byte => open = None,
            _ => {}
        }
    }
    open.is_some_and(|its| its != quote)
}

fn check_start(
    view: &DoorView<'_>,
    start: &Placed<'_>,
    family: Family,
    elsewhere: &Elsewhere,
    found: &mut Vec<Finding>,
) {
    let started = changes(start.command.template());
    check_address(start, &started, found);
    check_append(start, &started, elsewhere, found);
    match view.command_for(CommandKind::Stop, family) {
        Some(stop) => {
            check_stop(start, &stop, &started, found);
            check_lease(view, start, family, &started, found);
        }
        None => check_no_stop(start, &started, elsewhere, found),
    }
}

fn check_address(start: &Placed<'_>, started: &Changes, found: &mut Vec<Finding>) {
    let Some(rule) = started.rules.iter().find(|rule| rule.opens() && !rule.has_address) else {
        return;
    };
    if started.rules.iter().any(|rule| rule.has_address) {
        return;
    }
    let reason = format!("{} has no %IP% in it: one knock opens for everybody", start.key);
    let remedy = if rule.place.contains("iptables") {
        "write -s %IP% into the rule"
    } else {
        "write %IP% where the rule names the source"
    };
    let place = start.part(&rule.span);
    found.push(Finding::new(Code::NoAddress, place, reason, remedy.to_owned()));
}

/// What other commands of the config do that a door has to reckon with.
#[derive(Default)]
struct Elsewhere {
    /// The chains at whose end a command puts a rule that rejects all, each with its door.
    rejecting_ends: HashMap<String, String>,
    /// What a start command changes back, with its door.
    closing: HashMap<(Change, String, Vec<String>), String>,
}

impl Elsewhere {
    fn of(subject: &Subject<'_>) -> Self {
        let mut elsewhere = Self::default();
        for view in subject.doors() {
            for placed in view.commands() {
                for rule in changes(placed.command.template()).rules {
                    elsewhere.note(&view, &placed, rule);
                }
            }
        }
        elsewhere
    }

    fn note(&mut self, view: &DoorView<'_>, placed: &Placed<'_>, rule: Rule) {
        let is_for_all =
            |part: &String| part.starts_with("-j") || part.starts_with("--reject-with");
        if rule.append.is_some() && !rule.lets_in && rule.what.iter().all(is_for_all) {
            self.rejecting_ends.entry(rule.place.clone()).or_insert_with(|| view.name());
        }
        if placed.key.contains("stop") || rule.opens() {
            return;
        }
        let key = (rule.change, rule.place, rule.what);
        self.closing.entry(key).or_insert_with(|| view.name());
    }

    /// Returns the door whose knock undoes a rule.
    fn closing_door(&self, rule: &Rule) -> Option<&str> {
        let opposite = if rule.change == Change::Add { Change::Remove } else { Change::Add };
        let key = (opposite, rule.place.clone(), rule.what.clone());
        self.closing.get(&key).map(String::as_str)
    }
}

fn check_append(
    start: &Placed<'_>,
    started: &Changes,
    elsewhere: &Elsewhere,
    found: &mut Vec<Finding>,
) {
    let appended = started.rules.iter().find(|rule| rule.opens() && rule.append.is_some());
    let Some((rule, part)) = appended.and_then(|rule| Some((rule, rule.append.clone()?))) else {
        return;
    };
    let chain = rule.place.rsplit(' ').next().unwrap_or_default();
    let what = match elsewhere.rejecting_ends.get(&rule.place) {
        Some(door) => format!(
            "door {door} appends a rule there that rejects everything, and behind that no packet \
             gets to this one"
        ),
        None => format!(
            "if {chain} ends with a REJECT or DROP of everything, no packet ever gets to it; the \
             config doesn't tell: look with iptables -S {chain}"
        ),
    };
    let reason = format!("-A puts the rule at the end of the chain {chain}: {what}");
    let place = start.part(&part);
    let finding = Finding::new(Code::Append, place.clone(), reason, "write -I".to_owned());
    found.push(finding.replace(place, "-I".to_owned()));
}

fn check_no_stop(
    start: &Placed<'_>,
    started: &Changes,
    elsewhere: &Elsewhere,
    found: &mut Vec<Finding>,
) {
    let is_undone = |rule: &Rule| started.rules.iter().any(|other| other.undoes(rule));
    let opening =
        started.rules.iter().find(|rule| rule.opens() && !rule.expires && !is_undone(rule));
    let Some(rule) = opening else { return };
    let key = if start.key.ends_with("_6") { "stop_command_6" } else { "stop_command" };
    let remedy = match &rule.undo {
        Some(undo) => format!("write {key} = {undo}"),
        None => format!("write a {key} that takes away what {} adds", start.key),
    };
    let until = match elsewhere.closing_door(rule) {
        Some(door) => format!("until somebody knocks at door {door} from the same address"),
        None => "until somebody closes it by hand".to_owned(),
    };
    let reason = format!(
        "{} opens the firewall and there is no {key}: what one knock opened stays open {until}",
        start.key
    );
    found.push(Finding::new(Code::NoStop, start.span.clone(), reason, remedy));
}

fn check_stop(start: &Placed<'_>, stop: &Placed<'_>, started: &Changes, found: &mut Vec<Finding>) {
    let stopped = changes(stop.command.template());
    if stopped.has_unknown || started.has_unknown && started.rules.is_empty() {
        return;
    }
    let left = started
        .rules
        .iter()
        .find(|rule| !rule.expires && !stopped.rules.iter().any(|stop| stop.undoes(rule)));
    let Some(rule) = left else { return };
    let reason =
        format!("{} does not undo {}: {}", stop.key, start.key, difference(rule, &stopped));
    let remedy = match &rule.undo {
        Some(undo) => format!("write {} = {undo}", stop.key),
        None => format!("let {} take away exactly what {} adds", stop.key, start.key),
    };
    found.push(Finding::new(Code::StopDiffers, stop.span.clone(), reason, remedy));
}

/// Says what the nearest rule of a stop command has that differs.
fn difference(rule: &Rule, stopped: &Changes) -> String {
    let is_opposite = |stop: &&Rule| stop.change != rule.change;
    let mut opposite = stopped.rules.iter().filter(is_opposite);
    let shared = |stop: &Rule| stop.what.iter().filter(|it| rule.what.contains(it)).count();
    let nearest = opposite.clone().max_by_key(|stop| (stop.place == rule.place, shared(stop)));
    let verb = if rule.change == Change::Add { "takes nothing away" } else { "puts nothing back" };
    let Some(nearest) = nearest else { return format!("it {verb}") };
    if let Some(other) = opposite.find(|stop| stop.what == rule.what) {
        return format!("one is about {}, the other about {}", rule.place, other.place);
    }
    if nearest.place != rule.place {
        return format!("one is about {}, the other about {}", rule.place, nearest.place);
    }
    let only = |a: &Rule, b: &Rule| {
        let missing: Vec<_> = a.what.iter().filter(|it| !b.what.contains(it)).cloned().collect();
        missing.join(" ")
    };
    match (only(rule, nearest), only(nearest, rule)) {
        (first, second) if second.is_empty() => format!("it lacks {first}"),
        (first, second) if first.is_empty() => format!("it has {second} besides"),
        (first, second) => format!("it has {second} in place of {first}"),
    }
}

/// A lease that is long, or over at once.
fn check_lease(
    view: &DoorView<'_>,
    start: &Placed<'_>,
    family: Family,
    started: &Changes,
    found: &mut Vec<Finding>,
) {
    let timeout = view.door.cmd_timeout;
    if timeout.is_zero() {
        if family == Family::V4 || view.command(CommandKind::Start).is_none() {
            let reason = "cmd_timeout is 0: the stop command runs in the moment of the knock, \
                          before anybody can come in";
            let remedy = "write cmd_timeout = 10, or as long as it takes to connect";
            let place = view.place(&["cmd_timeout"]);
            found.push(Finding::new(
                Code::ZeroTimeout,
                place,
                reason.to_owned(),
                remedy.to_owned(),
            ));
        }
        return;
    }
    if timeout <= super::LONG_LEASE || view.command_for(CommandKind::Check, family).is_some() {
        return;
    }
    let key = if start.key.ends_with("_6") { "check_command_6" } else { "check_command" };
    let check = started.rules.iter().find_map(|rule| rule.check.as_ref());
    let remedy = match check {
        Some(check) => format!("write {key} = {check}"),
        None => format!("write a {key} that exits with 0 as long as the door is open"),
    };
    let reason = format!(
        "the door stays open for {}, and there is no {key}: where the firewall is reloaded \
         meanwhile, a new knock prolongs what is no longer there, and nobody gets in",
        knock_frontend::format::Span(timeout)
    );
    found.push(Finding::new(Code::NoCheck, view.place(&["cmd_timeout"]), reason, remedy));
}

/// Commands that IPv6 sources bring about but that are for IPv4 only.
fn check_families(view: &DoorView<'_>, found: &mut Vec<Finding>) {
    if !view.is_reachable(Family::V6) {
        return;
    }
    for plain in [CommandKind::Start, CommandKind::Stop] {
        let Some(placed) = view.command_for(plain, Family::V6) else { continue };
        let is_own_form = placed.key.ends_with("_6");
        let rules = changes(placed.command.template()).rules;
        let wrong = rules.iter().find(|rule| match rule.families {
            Families::V4 => true,
            Families::Either => !is_own_form && view.is_reachable(Family::V4),
            Families::V6 | Families::Both => false,
        });
        let Some(rule) = wrong else { continue };
        if rules.iter().any(|rule| rule.families == Families::V6) {
            continue;
        }
        found.push(one_family(&placed, rule));
        return;
    }
}

fn one_family(placed: &Placed<'_>, rule: &Rule) -> Finding {
    let is_own_form = placed.key.ends_with("_6");
    let which = match rule.families {
        Families::V4 => "is for IPv4 only",
        Families::Either | Families::V6 | Families::Both => {
            "is about a set, which holds addresses of one family"
        }
    };
    let reason = format!(
        "{} {which}, and IPv6 sources can knock here: their address in it makes it fail, and they \
         knock in vain",
        placed.key
    );
    let text = placed.command.template();
    let key = if placed.key.starts_with("stop") { "stop_command_6" } else { "start_command_6" };
    let none = format!("write {key} = with nothing behind it, for none");
    let remedy = if is_own_form {
        "write it for IPv6: ip6tables, or ip6 and a set of IPv6 addresses".to_owned()
    } else if rule.place.starts_with("iptables") {
        let v6 = text.replacen("iptables", "ip6tables", 1);
        format!("write {key} = {v6}; or {}", none.trim_start_matches("write "))
    } else {
        format!(
            "write a {key} with a set or a rule for IPv6; or {}",
            none.trim_start_matches("write ")
        )
    };
    Finding::new(Code::OneFamily, placed.span.clone(), reason, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_around_an_address_alone_are_found() {
        let found = |text| quoted_token(text).map(|(span, plain)| (text[span].to_owned(), plain));
        let is = |quoted: &str, plain: &str| Some((quoted.to_owned(), plain.to_owned()));
        assert_eq!(found("a -s '%IP%' b"), is("'%IP%'", "%IP%"));
        assert_eq!(found("a -s \"%IP%/32\""), is("\"%IP%/32\"", "%IP%/32"));
        assert_eq!(found("a 'rule source address=\"%IP%\" accept'"), None);
        assert_eq!(found("a '{ %IP% }'"), None);
        assert_eq!(found("a %IP%"), None);
        assert_eq!(found("a \"x\" \"%NET%\""), is("\"%NET%\"", "%NET%"));
    }
}
