//! What must be open before a daemon can begin.

use std::path::{Path, PathBuf};

use knock_engine::config::Sequence;
use knock_frontend::files::{Files, Handle};
use knock_frontend::one_time;

use crate::ledger::{Boot, HoldId, Ledger, LedgerFile, LedgerFileError, Recovered, file_name};
use crate::settings::{Execution, Settings};
use crate::supervisor::{Limits, Mode};

/// A ledger that is open and locked, and what it tells.
pub struct Owed<H: Handle> {
    /// The ledger.
    pub ledger: Ledger<LedgerFile<H>>,
    /// What is owed.
    pub recovered: Recovered,
    /// The number of the next hold.
    pub next_hold: HoldId,
}

/// Opens and locks the ledger; a new one gets halves of so many bytes. `None` in a dry run, which
/// owes nothing and must not be in the way of a daemon that does.
///
/// # Errors
///
/// It can't be used, or somebody else has it.
pub fn open_ledger<F: Files>(
    files: &F,
    settings: &Settings,
    boot: Boot,
    half_len: usize,
) -> Result<Option<Owed<F::Handle>>, LedgerFileError> {
    if settings.commands.execution == Execution::LogOnly {
        return Ok(None);
    }
    let name = ledger_name(settings);
    let place = (&*settings.state_dir, &*name);
    let (ledger, recovered) = Ledger::open_file_in(files, place, boot, half_len)?;
    let next_hold = ledger.next_hold();
    Ok(Some(Owed { ledger, recovered, next_hold }))
}

/// Returns what the ledger's file is called.
#[must_use]
pub fn ledger_name(settings: &Settings) -> String {
    file_name(&settings.config, &settings.listen.names())
}

/// Returns what marks the lines of one-time files, whose paths begin at a folder.
pub fn marker(
    files: impl Files,
    folder: PathBuf,
) -> impl FnMut(&Path, usize, &Sequence) -> Result<(), String> {
    move |path: &Path, line, sequence| {
        one_time::mark_used_in(&files, &folder.join(path), line, sequence)
            .map_err(|error| error.to_string())
    }
}

/// Returns what the supervisor keeps to.
#[must_use]
pub fn limits(settings: &Settings) -> Limits {
    Limits {
        max_commands: usize::from(settings.commands.most),
        command_timeout: settings.commands.timeout,
    }
}

/// Returns whether commands are run.
#[must_use]
pub const fn mode(settings: &Settings) -> Mode {
    match settings.commands.execution {
        Execution::Run => Mode::Live,
        Execution::LogOnly => Mode::DryRun,
    }
}
