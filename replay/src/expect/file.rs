//! The expectation file: TOML to cases that can be run. `docs/TESTS.md` describes every key.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::ops::Range;
use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use knock_engine::config::Diagnostic;
use serde::Deserialize;
use toml::Spanned;

use super::knocks::Script;
use super::problem::{Problems, locate, quote, suggest};
use super::span;

/// The events that can be expected: all that the engine tells.
pub(super) const EVENTS: [&str; 16] = [
    "open",
    "close",
    "renew",
    "suppressed",
    "refused",
    "disabled",
    "lockout",
    "stage",
    "duplicate",
    "repeat",
    "restart",
    "stray",
    "reset",
    "timeout",
    "evicted",
    "clock_step",
];

/// The largest file, in bytes.
pub(super) const MAX_BYTES: u64 = 16 << 20;

/// The most entries of a case that are not about one source.
const MAX_GENERAL: usize = 1_000;

/// Tells whether a network is a single address.
pub(super) fn is_one_address(source: IpNet) -> bool {
    source.prefix_len() == source.max_prefix_len()
}

/// A case: a config, its traffic, and what is expected of the two.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case {
    pub(super) name: String,
    /// The line of its name, counted from 1.
    pub(super) line: usize,
    pub(super) config: ConfigFrom,
    /// Files in place of those that the config names, by the names of their doors.
    pub(super) one_time: BTreeMap<String, Place<PathBuf>>,
    pub(super) local: Vec<IpAddr>,
    pub(super) traffic: Traffic,
    /// Events of which none may come but those that are expected.
    pub(super) exhaustive: Vec<&'static str>,
    pub(super) expect: Vec<Expectation>,
}

/// Something, and where it stands in the file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Place<T> {
    pub(super) it: T,
    pub(super) at: Range<usize>,
}

/// Where a case's config is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum ConfigFrom {
    /// In a file, whose path begins at the expectation file's folder.
    File(Place<PathBuf>),
    /// In the expectation file.
    Text(Place<String>),
}

/// What a case judges.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Traffic {
    Captures {
        /// Paths that begin at the expectation file's folder.
        paths: Vec<PathBuf>,
        /// Whether to read on behind damage.
        resync: bool,
    },
    Knocks(Script),
}

/// One thing that is expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Expectation {
    pub(super) at: Range<usize>,
    pub(super) event: &'static str,
    pub(super) door: Option<Place<String>>,
    pub(super) source: Option<IpNet>,
    pub(super) count: Amount,
    /// The window, both ends included, counted from the beginning.
    pub(super) from: Option<Duration>,
    pub(super) to: Option<Duration>,
    /// How long the door stays open at each opening.
    pub(super) open: Option<Stay>,
}

/// How often something is expected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Amount {
    Exactly(u64),
    Within { at_least: u64, at_most: Option<u64> },
}

impl Amount {
    pub(super) fn admits(self, count: u64) -> bool {
        match self {
            Self::Exactly(exact) => count == exact,
            Self::Within { at_least, at_most } => {
                count >= at_least && at_most.is_none_or(|most| count <= most)
            }
        }
    }
}

/// How long a door is expected to stay open, both ends included.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Stay {
    pub(super) at_least: Option<Duration>,
    pub(super) at_most: Option<Duration>,
}

impl Stay {
    pub(super) fn admits(self, span: Duration) -> bool {
        self.at_least.is_none_or(|least| span >= least)
            && self.at_most.is_none_or(|most| span <= most)
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawFile {
    config: Option<Spanned<String>>,
    config_text: Option<Spanned<String>>,
    local: Option<Vec<Spanned<String>>>,
    #[serde(default)]
    case: Vec<Spanned<RawCase>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawCase {
    name: Option<Spanned<String>>,
    config: Option<Spanned<String>>,
    config_text: Option<Spanned<String>>,
    #[serde(default)]
    one_time: BTreeMap<String, Spanned<String>>,
    local: Option<Vec<Spanned<String>>>,
    captures: Option<Spanned<Vec<String>>>,
    knocks: Option<Spanned<String>>,
    resync: Option<Spanned<bool>>,
    exhaustive: Option<Vec<Spanned<String>>>,
    expect: Option<Vec<Spanned<RawExpectation>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct RawExpectation {
    event: Option<Spanned<String>>,
    door: Option<Spanned<String>>,
    source: Option<Spanned<String>>,
    count: Option<u64>,
    at_least: Option<u64>,
    at_most: Option<u64>,
    from: Option<Spanned<String>>,
    to: Option<Spanned<String>>,
    open_for: Option<Spanned<String>>,
    open_at_least: Option<Spanned<String>>,
    open_at_most: Option<Spanned<String>>,
}

/// Reads the text of an expectation file.
///
/// # Errors
///
/// Tells what is wrong with it: where it is no TOML, or has keys that nobody knows, the first such
/// place; else everything.
pub(super) fn parse(text: &str) -> Result<Vec<Case>, Vec<Diagnostic>> {
    let raw: RawFile = toml::from_str(text).map_err(|error| {
        let at = error.span().unwrap_or(0..0);
        vec![locate(text, at, error.message(), "docs/TESTS.md describes every key")]
    })?;
    let mut reader = Reader { text, problems: Problems::new(text), names: BTreeMap::new() };
    let RawFile { config, config_text, local, case } = raw;
    let common = Common {
        local: reader.addresses(local.as_deref().unwrap_or_default()),
        config: reader.config(config, config_text),
    };
    if case.is_empty() {
        reader.problems.push(0..0, "there is no case in this file", "a case begins with [[case]]");
    }
    let cases: Vec<Case> = case.into_iter().filter_map(|raw| reader.case(raw, &common)).collect();
    let found = reader.problems.into_found();
    if found.is_empty() { Ok(cases) } else { Err(found) }
}

/// What holds for every case that says nothing else.
struct Common {
    config: Option<ConfigFrom>,
    local: Vec<IpAddr>,
}

struct Reader<'a> {
    text: &'a str,
    problems: Problems<'a>,
    /// The names so far, with their lines.
    names: BTreeMap<String, usize>,
}

impl Reader<'_> {
    fn wrong(&mut self, at: Range<usize>, message: impl AsRef<str>, help: &str) {
        self.problems.push(at, message.as_ref(), help);
    }

    fn config(
        &mut self,
        path: Option<Spanned<String>>,
        text: Option<Spanned<String>>,
    ) -> Option<ConfigFrom> {
        match (path, text) {
            (Some(_), Some(text)) => {
                self.wrong(text.span(), "config_text beside config", "leave one of them out");
                None
            }
            (Some(path), None) => {
                let at = path.span();
                Some(ConfigFrom::File(Place { it: path.into_inner().into(), at }))
            }
            (None, Some(text)) => {
                let at = text.span();
                Some(ConfigFrom::Text(Place { it: text.into_inner(), at }))
            }
            (None, None) => None,
        }
    }

    fn addresses(&mut self, given: &[Spanned<String>]) -> Vec<IpAddr> {
        let mut addresses = Vec::with_capacity(given.len());
        for word in given {
            match word.get_ref().parse() {
                Ok(address) => addresses.push(address),
                Err(_) => {
                    let message = format!("{} is no address", quote(word.get_ref()));
                    self.wrong(word.span(), message, "such as 192.0.2.1 or 2001:db8::1");
                }
            }
        }
        addresses
    }

    fn case(&mut self, raw: Spanned<RawCase>, common: &Common) -> Option<Case> {
        let at = raw.span();
        let raw = raw.into_inner();
        let name = raw.name.as_ref().filter(|name| !name.get_ref().trim().is_empty());
        let Some(name) = name else {
            let at = raw.name.as_ref().map_or(at, Spanned::span);
            self.wrong(at, "this case has no name", "name = \"what it shows\"");
            return None;
        };
        let line = self.problems.line(name.span().start);
        if let Some(earlier) = self.names.insert(name.get_ref().clone(), line) {
            let help = format!("the case of line {earlier} has it already");
            self.wrong(name.span(), "two cases have this name", &help);
        }
        let name = name.get_ref().clone();
        let is_without = raw.config.is_none() && raw.config_text.is_none();
        let config = self.config(raw.config, raw.config_text);
        let config = config.or_else(|| common.config.clone().filter(|_| is_without));
        if config.is_none() && is_without {
            self.wrong(at.clone(), "this case has no config", "config = \"knockd.conf\"");
        }
        let local = match &raw.local {
            Some(given) => self.addresses(given),
            None => common.local.clone(),
        };
        let traffic = self.traffic(raw.captures, raw.knocks, raw.resync, at.clone());
        let exhaustive = match raw.exhaustive {
            None => vec!["open"],
            Some(names) => names.into_iter().filter_map(|name| self.event(&name)).collect(),
        };
        if raw.expect.is_none() {
            let help = "write expect = [] where nothing may open";
            self.wrong(at, "this case expects nothing at all", help);
        }
        let expect = raw.expect.unwrap_or_default().into_iter();
        let expect: Vec<_> = expect.filter_map(|raw| self.expectation(raw)).collect();
        self.limit(&expect);
        let place = |path: Spanned<String>| {
            let at = path.span();
            Place { it: path.into_inner().into(), at }
        };
        let one_time = raw.one_time.into_iter().map(|(door, path)| (door, place(path))).collect();
        let (config, traffic) = (config?, traffic?);
        Some(Case { name, line, config, one_time, local, traffic, exhaustive, expect })
    }

    /// Each event is compared with every entry that is not of one source: there can't be many.
    fn limit(&mut self, expect: &[Expectation]) {
        let is_general = |wants: &&Expectation| !wants.source.is_some_and(is_one_address);
        if let Some(first) = expect.iter().filter(is_general).nth(MAX_GENERAL) {
            let help = "give entries a source, or make several cases";
            let message = format!("more than {MAX_GENERAL} entries are about many sources");
            self.wrong(first.at.clone(), message, help);
        }
    }

    fn traffic(
        &mut self,
        captures: Option<Spanned<Vec<String>>>,
        knocks: Option<Spanned<String>>,
        resync: Option<Spanned<bool>>,
        at: Range<usize>,
    ) -> Option<Traffic> {
        match (captures, knocks) {
            (Some(paths), None) if !paths.get_ref().is_empty() => {
                let paths = paths.into_inner().into_iter().map(PathBuf::from).collect();
                Some(Traffic::Captures { paths, resync: resync.is_some_and(Spanned::into_inner) })
            }
            (None, Some(knocks)) => {
                if let Some(resync) = resync {
                    let help = "it goes with captures: leave it out";
                    self.wrong(resync.span(), "resync beside knocks", help);
                }
                self.script(&knocks).map(Traffic::Knocks)
            }
            (Some(_), Some(knocks)) => {
                self.wrong(knocks.span(), "knocks beside captures", "make two cases of them");
                None
            }
            (Some(_) | None, None) => {
                let help = "captures = [\"knocks.pcap\"], or knocks = \"198.51.100.7 7000/tcp\"";
                self.wrong(at, "this case has no traffic", help);
                None
            }
        }
    }

    fn script(&mut self, knocks: &Spanned<String>) -> Option<Script> {
        let wrong = match Script::parse(knocks.get_ref()) {
            Ok(script) => return Some(script),
            Err(wrong) => wrong,
        };
        let span = knocks.span();
        // Without escapes in it, the value stands in the file as it is, behind its quotes.
        let literal = &self.text[span.clone()];
        let start = literal.find(knocks.get_ref().as_str()).map(|offset| span.start + offset);
        for found in wrong {
            let at = match start {
                Some(start) => start + found.at.start..start + found.at.end,
                None => span.clone(),
            };
            self.problems.push(at, &found.message, &found.help);
        }
        None
    }

    fn event(&mut self, name: &Spanned<String>) -> Option<&'static str> {
        let known = EVENTS.into_iter().find(|known| known == name.get_ref());
        if known.is_none() {
            let message = format!("{} is no event", quote(name.get_ref()));
            let help = format!("one of {}", EVENTS.join(", "));
            let problem = self.problems.locate(name.span(), &message, &help);
            self.problems.add(suggest(self.text, problem, name.get_ref(), EVENTS.into_iter()));
        }
        known
    }

    fn span(&mut self, text: Option<&Spanned<String>>) -> Option<Duration> {
        let text = text?;
        span::parse(text.get_ref())
            .map_err(|help| {
                let message = format!("{} is no time", quote(text.get_ref()));
                self.wrong(text.span(), message, &help);
            })
            .ok()
    }

    fn expectation(&mut self, raw: Spanned<RawExpectation>) -> Option<Expectation> {
        let at = raw.span();
        let raw = raw.into_inner();
        let event = match &raw.event {
            Some(name) => self.event(name)?,
            None => "open",
        };
        if event == "clock_step" && (raw.door.is_some() || raw.source.is_some()) {
            self.wrong(at.clone(), "a clock_step has no door and no source", "leave them out");
        } else if event == "disabled" && raw.source.is_some() {
            self.wrong(at.clone(), "disabled has no source", "leave it out");
        }
        let source = self.source(raw.source.as_ref());
        let count = self.amount(&raw, at.clone());
        let (from, to) = (self.span(raw.from.as_ref()), self.span(raw.to.as_ref()));
        if let (Some(from), Some(to)) = (from, to)
            && from > to
        {
            self.wrong(
                at.clone(),
                "from lies behind to",
                "the window goes from the earlier to the later",
            );
        }
        let open = self.stay(&raw, event, at.clone());
        let door = raw.door.map(|door| {
            let at = door.span();
            Place { it: door.into_inner(), at }
        });
        Some(Expectation { at, event, door, source, count, from, to, open })
    }

    fn source(&mut self, text: Option<&Spanned<String>>) -> Option<IpNet> {
        let text = text?;
        let address = text.get_ref().parse::<IpAddr>().map(IpNet::from);
        let network = address.or_else(|_| text.get_ref().parse::<IpNet>());
        if network.is_err() {
            let message = format!("{} is no address", quote(text.get_ref()));
            let help = "an address or a network, such as 198.51.100.7 or 203.0.113.0/24";
            self.wrong(text.span(), message, help);
        }
        network.ok()
    }

    fn amount(&mut self, raw: &RawExpectation, at: Range<usize>) -> Amount {
        let RawExpectation { count, at_least, at_most, .. } = *raw;
        if count.is_some() && (at_least.is_some() || at_most.is_some()) {
            self.wrong(at, "count beside at_least or at_most", "count is exact: leave one out");
        } else if let (Some(least), Some(most)) = (at_least, at_most)
            && least > most
        {
            self.wrong(at, "at_least is more than at_most", "no number is as they say");
        }
        match (count, at_least, at_most) {
            (None, None, None) => Amount::Exactly(1),
            (Some(exact), _, _) => Amount::Exactly(exact),
            (None, at_least, at_most) => {
                Amount::Within { at_least: at_least.unwrap_or(0), at_most }
            }
        }
    }

    fn stay(&mut self, raw: &RawExpectation, event: &str, at: Range<usize>) -> Option<Stay> {
        let exact = self.span(raw.open_for.as_ref());
        let at_least = self.span(raw.open_at_least.as_ref());
        let at_most = self.span(raw.open_at_most.as_ref());
        let is_exact = raw.open_for.is_some();
        let is_within = raw.open_at_least.is_some() || raw.open_at_most.is_some();
        if !is_exact && !is_within {
            return None;
        }
        if event != "open" {
            self.wrong(at, format!("{event} has no open time"), "it goes with event = \"open\"");
        } else if is_exact && is_within {
            let help = "open_for is exact: leave one out";
            self.wrong(at, "open_for beside open_at_least or open_at_most", help);
        } else if let (Some(least), Some(most)) = (at_least, at_most)
            && least > most
        {
            self.wrong(at, "open_at_least is more than open_at_most", "no time is as they say");
        }
        Some(Stay { at_least: at_least.or(exact), at_most: at_most.or(exact) })
    }
}
