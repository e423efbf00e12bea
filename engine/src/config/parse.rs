//! The parser of `knockd.conf`: lines to sections and settings, sections to doors.
//!
//! Where knockd 0.8 gives a text one plain meaning, that meaning is taken, with a warning where
//! it is hardly what was wanted. What knockd refuses, or what could never be meant, is an error.

mod address;
mod command;
mod door;
mod duration;
mod flags;
mod interface;
mod keys;
mod list;
mod locator;
mod number;
mod one_time;
mod options;
mod outline;
mod ports;
mod problem;
mod sequence;
mod size;
mod suggest;
mod table;
mod text;
mod word;

use std::collections::BTreeMap;
use std::ops::Range;
use std::sync::Arc;

pub use interface::parse_interfaces;
pub use locator::Locator;
pub use one_time::parse_one_time_lines;
pub use outline::{Entry, EntryKind, outline};
pub use table::{KeyGroup, KeyPage, key_pages};

use self::command::warn_of_unprintable;
use self::door::DoorBuilder;
use self::keys::{Key, Setting, door_keys, find_key, option_keys};
use self::number::looks_like_comment;
use self::options::set_option;
use self::problem::{Problem, Problems};
use self::suggest::suggest;
use self::text::{Piece, lines};
use super::escape::quote;
use super::{Config, Diagnostic, Door, Options, Severity};

/// The most bytes of a line that knockd 0.8 reads at once (R50).
const KNOCKD_LINE: usize = 4095;

const SAVE_AS_UTF8: &str = "save the file as UTF-8 text";

/// What came of parsing a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Parsed {
    /// The config; `None` where a diagnostic is an error.
    pub config: Option<Config>,
    /// Every problem, in the order of the file.
    pub diagnostics: Vec<Diagnostic>,
}

impl Parsed {
    /// Makes errors of the warnings (`--strict`), so that there is a config only where there is
    /// no problem at all.
    #[must_use]
    pub fn strict(mut self) -> Self {
        for diagnostic in &mut self.diagnostics {
            diagnostic.severity = Severity::Error;
        }
        self.config = self.config.filter(|_| self.diagnostics.is_empty());
        self
    }
}

/// Parses the text of a `knockd.conf`.
///
/// The lines of one-time files stay empty: see [`Config::set_one_time_lines`].
#[must_use]
pub fn parse(text: &[u8]) -> Parsed {
    let mut problems = Problems::default();
    let config = if is_utf16(text) {
        let problem = Problem::error(0..2, "the text is UTF-16").help(SAVE_AS_UTF8);
        problems.push(problem);
        None
    } else {
        let mut reader = Reader::default();
        for (number, line) in lines(text) {
            reader.read_line(number, line, &mut problems);
        }
        reader.finish(&mut problems)
    };
    let config = config.filter(|_| !problems.has_errors());
    Parsed { config, diagnostics: problems.locate(text) }
}

/// Tells whether the text begins with the byte order mark of UTF-16, which Windows editors make.
fn is_utf16(text: &[u8]) -> bool {
    text.starts_with(b"\xff\xfe") || text.starts_with(b"\xfe\xff")
}

/// The section that lines belong to.
#[derive(Debug, Default)]
enum Section {
    /// None yet: no header has come.
    #[default]
    None,
    Options,
    Door(Box<DoorBuilder>),
}

/// What was read so far.
#[derive(Debug, Default)]
struct Reader {
    options: Options,
    section: Section,
    doors: Vec<Arc<Door>>,
    /// The sections of doors so far.
    door_sections: usize,
    /// The line of the first door of each name.
    names: BTreeMap<String, usize>,
}

impl Reader {
    fn read_line(&mut self, number: usize, line: Piece<'_>, problems: &mut Problems) {
        let content = line.trim();
        if line.bytes().len() > KNOCKD_LINE {
            let message = format!("a line of {} bytes is taken as one line", line.bytes().len());
            let help = format!(
                "knockd 0.8 reads {KNOCKD_LINE} bytes and takes the rest for a line of its own"
            );
            problems.push(Problem::warning(content.span(), message).help(help));
        }
        if content.is_empty() || content.bytes().starts_with(b"#") {
            return;
        }
        match content.strip_prefix(b'[') {
            Some(behind) => self.read_header(number, content, behind, problems),
            None => self.read_setting(content, problems),
        }
    }

    fn read_header(
        &mut self,
        number: usize,
        header: Piece<'_>,
        behind: Piece<'_>,
        problems: &mut Problems,
    ) {
        self.finish_section(problems);
        let name = header_name(header, behind, problems);
        if name.bytes() == b"options" {
            self.section = Section::Options;
            return;
        }
        let name = match name.as_utf8() {
            Ok(text) => {
                warn_of_unprintable("the section's name", text, name, problems);
                text.to_owned()
            }
            Err(span) => {
                let problem = Problem::error(span, "the section's name is not UTF-8");
                problems.push(problem.help(SAVE_AS_UTF8));
                String::from_utf8_lossy(name.bytes()).into_owned()
            }
        };
        self.count_door(number, &name, header.span(), problems);
        self.section = Section::Door(Box::new(DoorBuilder::new(name, header.span())));
    }

    fn count_door(
        &mut self,
        number: usize,
        name: &str,
        header: Range<usize>,
        problems: &mut Problems,
    ) {
        self.door_sections += 1;
        if self.door_sections == Config::MAX_DOORS + 1 {
            let message = format!("there are more than {} doors", Config::MAX_DOORS);
            problems.push(Problem::error(header.clone(), message).help("leave this one out"));
        }
        if let Some(first) = self.names.get(name) {
            let message = format!(
                "another door is named {}, in line {first}: both are kept",
                quote(name.as_bytes())
            );
            let help = "rename one of them: logs don't tell them apart";
            problems.push(Problem::warning(header, message).help(help));
        } else {
            self.names.insert(name.to_owned(), number);
        }
    }

    fn read_setting(&mut self, content: Piece<'_>, problems: &mut Problems) {
        if matches!(self.section, Section::None) {
            let message = format!("{} stands before the first section", content.quoted());
            let help = "settings stand behind [options] or behind a door's name in brackets";
            problems.push(Problem::error(content.span(), message).help(help));
            return;
        }
        let Some((key, value)) = content.split_once(b'=') else {
            self.read_bare_word(content, problems);
            return;
        };
        let (key, value) = (key.trim(), value.trim());
        match (find_key(key), &mut self.section) {
            (Some((_, Key::UseSyslog)), _) => {
                let problem = Problem::error(content.span(), "UseSyslog takes no value");
                problems.push(problem.help("it stands alone in its line").replace("UseSyslog"));
            }
            (Some((name, Key::Options(key))), Section::Options) => {
                if let Some(setting) = readable(name, value, problems) {
                    set_option(&mut self.options, key, setting, problems);
                }
            }
            (Some((name, Key::Door(key))), Section::Door(door)) => {
                match readable(name, value, problems) {
                    Some(setting) => door.set(key, setting, problems),
                    None => door.set_unreadable(key, value),
                }
            }
            (Some((name, _)), section) => problems.push(misplaced_key(key, name, section)),
            (None, section) => problems.push(unknown_key(key, section)),
        }
    }

    /// Reads a line without an equals sign.
    fn read_bare_word(&mut self, word: Piece<'_>, problems: &mut Problems) {
        match (find_key(word), &mut self.section) {
            (Some((_, Key::UseSyslog)), _) => {
                self.options.use_syslog = true;
                return;
            }
            (Some((_, Key::Door(key))), Section::Door(door)) => door.set_unreadable(key, word),
            _ => {}
        }
        problems.push(no_equals_sign(word));
    }

    fn finish_section(&mut self, problems: &mut Problems) {
        let Section::Door(builder) = std::mem::take(&mut self.section) else { return };
        if let Some(door) = builder.finish(problems)
            && self.doors.len() < Config::MAX_DOORS
        {
            self.doors.push(Arc::new(door));
        }
    }

    fn finish(mut self, problems: &mut Problems) -> Option<Config> {
        self.finish_section(problems);
        Some(Config { options: self.options, doors: self.doors })
    }
}

/// Returns what stands between the brackets of a header, or what is nearest to it.
fn header_name<'a>(header: Piece<'a>, behind: Piece<'a>, problems: &mut Problems) -> Piece<'a> {
    let (name, problem) = if let Some(length) = behind.bytes().len().checked_sub(1)
        && behind.bytes().ends_with(b"]")
    {
        let (name, _) = behind.split_at(length);
        let is_missing = name.is_empty();
        (name, is_missing.then(|| Problem::error(header.span(), "the section has no name")))
    } else if let Some((name, rest)) = behind.split_once(b']') {
        let rest = rest.trim();
        let message = format!("text behind the section's name: {}", rest.quoted());
        (name, Some(Problem::error(rest.span(), message)))
    } else {
        let message = format!("the section's name {} is not closed", header.quoted());
        (behind, Some(Problem::error(header.span(), message)))
    };
    if let Some(problem) = problem {
        let help = "write [NAME] alone in its line; a comment needs a line of its own";
        problems.push(problem.help(help));
    }
    name
}

/// Makes a setting of a value that is text; `None` where it is none.
fn readable<'a>(
    name: &'static str,
    value: Piece<'a>,
    problems: &mut Problems,
) -> Option<Setting<'a>> {
    let text = match value.as_utf8() {
        Ok(text) => text,
        Err(span) => {
            let message = format!("{name} is not UTF-8");
            problems.push(Problem::error(span, message).help(SAVE_AS_UTF8));
            return None;
        }
    };
    if let Some(offset) = text.find('\0') {
        let message = format!("{name} has a NUL in it");
        let span = value.split_at(offset).1.split_at(1).0.span();
        problems.push(Problem::error(span, message).help(SAVE_AS_UTF8));
        return None;
    }
    warn_of_unprintable(name, text, value, problems);
    Some(Setting { name, value, text })
}

fn no_equals_sign(content: Piece<'_>) -> Problem {
    let message = match find_key(content) {
        Some((name, _)) => format!("{name} has no value"),
        None => format!("line without \"=\": {}", content.quoted()),
    };
    if suggest(content, ["usesyslog"]).is_some() {
        return Problem::error(content.span(), message).replace("UseSyslog");
    }
    let help = if looks_like_comment(content) {
        "a comment begins with #"
    } else {
        "write KEY = VALUE, or # in front of a comment"
    };
    Problem::error(content.span(), message).help(help)
}

fn unknown_key(key: Piece<'_>, section: &Section) -> Problem {
    if key.is_empty() {
        let problem = Problem::error(key.span(), "there is no key before the \"=\"");
        return problem.help("write KEY = VALUE, or # in front of a comment");
    }
    let (keys, whose): (Vec<_>, _) = match section {
        Section::Options => (option_keys().collect(), "[options]"),
        Section::None | Section::Door(_) => (door_keys().collect(), "a door"),
    };
    let problem = Problem::error(key.span(), format!("unknown key {}", key.quoted()));
    if looks_like_comment(key) {
        return problem.help("a comment begins with #");
    }
    match suggest(key, keys.iter().copied()) {
        Some(meant) => problem.replace(meant),
        None => problem.help(format!("the keys of {whose} are {}", keys.join(", "))),
    }
}

/// The problem of a key that belongs in another section.
fn misplaced_key(key: Piece<'_>, name: &str, section: &Section) -> Problem {
    match section {
        Section::Door(door) => {
            let problem = Problem::error(key.span(), format!("{name} belongs in [options]"));
            if door.name().trim().eq_ignore_ascii_case("options") {
                problem.help("write [options] in lower case, without blanks")
            } else {
                problem.help("move it there")
            }
        }
        Section::Options | Section::None => {
            let problem = Problem::error(key.span(), format!("{name} belongs in a door's section"));
            problem.help("move it behind the door's name in brackets")
        }
    }
}
