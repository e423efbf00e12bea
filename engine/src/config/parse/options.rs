//! The `[options]` section.

use super::duration::{Least, Span};
use super::interface::parse_list;
use super::keys::{OptionKey, Setting};
use super::number::Whole;
use super::problem::{Problem, Problems};
use super::size::Size;
use super::word::Word;
use crate::config::{BufferSize, LogFormat, OnStop, Options, RecordSize};

/// Applies a setting to the options; one whose value is an error changes nothing.
pub(super) fn set_option(
    options: &mut Options,
    key: OptionKey,
    setting: Setting<'_>,
    problems: &mut Problems,
) {
    let Setting { name, value, text } = setting;
    // knockd takes an empty name for none.
    let path = || (!text.is_empty()).then(|| text.to_owned());
    let whole = |range, or_else| Whole { key: name, range, or_else };
    let table = whole(1..=Options::MAX_TABLE, "");
    match key {
        OptionKey::LogFile => options.log_file = path(),
        OptionKey::LogFormat => set(&mut options.log_format, LOG_FORMAT.parse(setting, problems)),
        OptionKey::LogLimit => {
            let limit = whole(0..=Options::MAX_LOG_LIMIT, "; 0 is no limit");
            set(&mut options.log_limit, limit.parse(value, problems));
        }
        OptionKey::PidFile => options.pid_file = path(),
        OptionKey::Interface => set(&mut options.interfaces, parse_list(value, problems)),
        OptionKey::BufferSize => {
            let bytes = BUFFER_SIZE.parse(name, value, problems);
            let size = bytes.and_then(|bytes| BufferSize::new(u32::try_from(bytes).ok()?));
            set(&mut options.buffer_size, size);
        }
        OptionKey::StateDir => set(&mut options.state_dir, parse_folder(setting, problems)),
        OptionKey::Record if text.is_empty() => options.record = None,
        OptionKey::Record => {
            set(&mut options.record, parse_folder(setting, problems).map(Some));
        }
        OptionKey::RecordSize => {
            let bytes = RECORD_SIZE.parse(name, value, problems);
            set(&mut options.record_size, bytes.and_then(RecordSize::new));
        }
        OptionKey::OnStop => set(&mut options.on_stop, ON_STOP.parse(setting, problems)),
        OptionKey::MaxAttempts => set(&mut options.max_attempts, table.parse(value, problems)),
        OptionKey::MaxLeases => set(&mut options.max_leases, table.parse(value, problems)),
        OptionKey::MaxCommands => {
            let commands = whole(1..=u32::from(Options::MAX_COMMANDS), "");
            set(&mut options.max_commands, commands.parse_short(value, problems));
        }
        OptionKey::CommandTimeout => {
            let span = Span { key: name, least: Least::AboveZero };
            set(&mut options.command_timeout, span.parse(value, problems));
        }
    }
}

const BUFFER_SIZE: Size =
    Size { least: BufferSize::LEAST.bytes() as u64, most: BufferSize::MOST.bytes() as u64 };

const RECORD_SIZE: Size = Size { least: RecordSize::LEAST.bytes(), most: RecordSize::MOST.bytes() };

const LOG_FORMAT: Word<3, LogFormat> = Word {
    words: LogFormat::NAMED,
    synonyms: &[("jsonl", "json"), ("rfc-3339", "rfc3339"), ("iso8601", "rfc3339")],
    negation: "no format",
    allowed: "knockd, rfc3339 or json",
};

const ON_STOP: Word<2, OnStop> = Word {
    words: OnStop::NAMED,
    synonyms: &[],
    negation: "neither close nor keep",
    allowed: "close or keep",
};

fn set<T>(option: &mut T, parsed: Option<T>) {
    if let Some(parsed) = parsed {
        *option = parsed;
    }
}

/// Reads the path of a folder, which must not depend on where the program was started.
fn parse_folder(setting: Setting<'_>, problems: &mut Problems) -> Option<String> {
    let Setting { name, value, text } = setting;
    if text.starts_with('/') {
        return Some(text.to_owned());
    }
    let message = match text.is_empty() {
        true => format!("{name} has no value"),
        false => format!("{name} {} is no absolute path", value.quoted()),
    };
    let help = format!("{name} is the path of a folder from / on");
    problems.push(Problem::error(value.span(), message).help(help));
    None
}
