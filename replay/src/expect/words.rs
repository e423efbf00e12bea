//! Expectations and failures in words.

use std::fmt::Write as _;

use ipnet::IpNet;
use knock_frontend::escape::Escaped;
use knock_frontend::format::{Count, Span, Times};

use super::file::{Amount, Case, Expectation, Stay, is_one_address};
use super::matching::{Failure, FirstStay, Tally};
use super::seen::{CameTo, Seen};

/// The two sides of a failure.
pub(super) struct Sides {
    pub(super) expected: String,
    pub(super) got: String,
}

/// Tells a failure, what was expected beside what came; escaped.
pub(super) fn sides(failure: &Failure, case: &Case, seen: &Seen) -> Sides {
    match failure {
        Failure::Count { expectation, got, elsewhere } => {
            let wants = &case.expect[*expectation];
            Sides { expected: expected(wants), got: counted(wants, got, elsewhere) }
        }
        Failure::Stay { expectation, first, .. } => {
            let wants = &case.expect[*expectation];
            let who = first.source.filter(|_| !wants.source.is_some_and(is_one_address));
            let who = who.map(|source| format!("{source} ")).unwrap_or_default();
            Sides { expected: expected(wants), got: who + &stayed(first) }
        }
        Failure::Unexpected { event, door, source, got } => {
            let mut told = (*event).to_owned();
            if let Some(door) = door {
                let _ = write!(told, " {}", Escaped(seen.door_name(*door)));
            }
            if let Some(source) = source {
                let _ = write!(told, " {source}");
            }
            let _ = write!(told, ": {}", times(got));
            if let Some((at_least, at_most)) = got.stay {
                let range = Stay { at_least: Some(at_least), at_most: Some(at_most) };
                let _ = write!(told, ", open for {}", stay(range));
            }
            Sides { expected: format!("no other {event}"), got: told }
        }
    }
}

/// Tells an expectation: `open ssh 198.51.100.7: once, open for 10 s`.
pub(super) fn expected(wants: &Expectation) -> String {
    let mut told = wants.event.to_owned();
    if let Some(door) = &wants.door {
        let _ = write!(told, " {}", Escaped(&door.it));
    }
    if let Some(source) = wants.source {
        let _ = write!(told, " {}", network(source));
    }
    let _ = write!(told, ": {}", amount(wants.count));
    match (wants.from, wants.to) {
        (None, None) => {}
        (Some(from), None) => told.push_str(&format!(", from {} on", Span(from))),
        (None, Some(to)) => told.push_str(&format!(", up to {}", Span(to))),
        (Some(from), Some(to)) => told.push_str(&format!(", from {} to {}", Span(from), Span(to))),
    }
    if let Some(open) = wants.open {
        let _ = write!(told, ", open for {}", stay(open));
    }
    told
}

/// Writes an address as an address, and a network as a network.
pub(super) fn network(source: IpNet) -> String {
    if is_one_address(source) { source.addr().to_string() } else { source.to_string() }
}

fn amount(amount: Amount) -> String {
    match amount {
        Amount::Exactly(0) | Amount::Within { at_least: 0, at_most: Some(0) } => "never".to_owned(),
        Amount::Exactly(count) => Times(count).to_string(),
        Amount::Within { at_least: 0, at_most: None } => "any number of times".to_owned(),
        Amount::Within { at_least, at_most: None } => format!("at least {}", Times(at_least)),
        Amount::Within { at_least: 0, at_most: Some(most) } => format!("at most {}", Times(most)),
        Amount::Within { at_least, at_most: Some(most) } => {
            format!("{} to {}", Count(at_least), Times(most))
        }
    }
}

fn stay(stay: Stay) -> String {
    match (stay.at_least, stay.at_most) {
        (Some(least), Some(most)) if least == most => Span(least).to_string(),
        (Some(least), Some(most)) => format!("{} to {}", Span(least), Span(most)),
        (Some(least), None) => format!("at least {}", Span(least)),
        (None, Some(most)) => format!("at most {}", Span(most)),
        (None, None) => "any time".to_owned(),
    }
}

fn counted(wants: &Expectation, got: &Tally, elsewhere: &Tally) -> String {
    let never = if wants.event == "open" { "it did not open" } else { "it did not happen" };
    let mut told = if got.count == 0 { never.to_owned() } else { times(got) };
    if elsewhere.count > 0 {
        let joint = if got.count == 0 { " then, but " } else { ", and outside of that " };
        told.push_str(joint);
        told.push_str(&times(elsewhere));
    }
    told
}

fn stayed(first: &FirstStay) -> String {
    let at = Span(first.at);
    match (first.came_to, first.stay) {
        (CameTo::Opening(_), Some(stay)) => format!("at {at}, open for {}", Span(stay)),
        (CameTo::Opening(_), None) => format!("at {at}, and it was not closed"),
        (CameTo::Start, _) => format!("at {at}, and there is no stop_command: it stays open"),
        (CameTo::Nothing, _) => format!("at {at}, but nothing ran"),
    }
}

/// Tells how often and when: `2 times, at 600 ms and 3.6 s`.
fn times(tally: &Tally) -> String {
    let mut at: Vec<String> = tally.times.iter().map(|at| Span(*at).to_string()).collect();
    let is_more = tally.count > at.len() as u64;
    if is_more {
        at.push("...".to_owned());
    }
    format!("{}, at {}", Times(tally.count), at.join(", "))
}
