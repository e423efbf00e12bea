//! The `[options]` section.

use super::keys::{OptionKey, Setting};
use super::number::Whole;
use super::problem::Problems;
use crate::config::Options;

/// Applies a setting to the options.
pub(super) fn set_option(
    options: &mut Options,
    key: OptionKey,
    Setting { name, value, text }: Setting<'_>,
    problems: &mut Problems,
) {
    // knockd takes an empty name for none.
    let path = || (!text.is_empty()).then(|| text.to_owned());
    let table = Whole { key: name, range: 1..=Options::MAX_TABLE, or_else: "" };
    match key {
        OptionKey::LogFile => options.log_file = path(),
        OptionKey::PidFile => options.pid_file = path(),
        OptionKey::Interface => options.interface = path(),
        OptionKey::MaxAttempts => {
            if let Some(entries) = table.parse(value, problems) {
                options.max_attempts = entries;
            }
        }
        OptionKey::MaxLeases => {
            if let Some(entries) = table.parse(value, problems) {
                options.max_leases = entries;
            }
        }
    }
}
