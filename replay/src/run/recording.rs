//! Recordings of the daemon: captures that tell the config, and everything else that the engine
//! was told.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context as _, bail};
use knock_engine::Disregard;
use knock_engine::config::{Config, Door};
use knock_engine::local::LocalAddresses;
use knock_engine::output::Output;
use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;
use knock_frontend::recording::{Beginning, Note};

use crate::report::Origin;
use crate::trace::{OnDamage, Traces};

/// What is known of recordings before they are replayed.
pub(crate) struct Survey {
    /// What the earliest of them begins with.
    pub(crate) config: Config,
    /// The local addresses then.
    pub(crate) local: LocalAddresses,
    /// Every door that any config in them has, in the order in which they come; those of one name
    /// are one.
    pub(crate) doors: Vec<Arc<Door>>,
    /// How many other configs they tell.
    pub(crate) reloads: usize,
}

impl Survey {
    /// Reads what recordings tell of their configs.
    ///
    /// # Errors
    ///
    /// A trace can't be read or is no recording, or is standard input, which can't be read twice.
    pub(crate) fn of(paths: &[PathBuf]) -> anyhow::Result<Self> {
        let mut first: Option<Beginning> = None;
        let mut doors: Vec<Arc<Door>> = Vec::new();
        let mut reloads = 0;
        for path in paths {
            if path == Path::new("-") {
                bail!(
                    "standard input: a recording is read twice; name its files, or give a config \
                     with -c"
                );
            }
            let mut configs = Vec::new();
            let mut beginning = None;
            for note in notes(path)? {
                match note {
                    Note::Begin(its) => {
                        configs.push(its.config.clone());
                        beginning.get_or_insert(*its);
                    }
                    Note::Config { config, .. } => {
                        configs.push(config);
                        reloads += 1;
                    }
                    Note::LocalAddresses { .. }
                    | Note::Wake { .. }
                    | Note::Command { .. }
                    | Note::End { .. } => {}
                }
            }
            let name = path.display();
            let beginning = beginning.with_context(|| {
                format!("{name}: this is no recording of knockd: name a config with -c")
            })?;
            for config in configs {
                let config = config.config().with_context(|| name.to_string())?;
                for door in config.doors {
                    if !doors.iter().any(|known| known.name == door.name) {
                        doors.push(door);
                    }
                }
            }
            if first.as_ref().is_none_or(|first| beginning.at < first.at) {
                first = Some(beginning);
            }
        }
        let first = first.context("no trace: name the files of a recording")?;
        let config = first.config.config()?;
        Ok(Self { config, local: known(first.local_addresses), doors, reloads })
    }
}

/// Returns the local addresses of a note.
pub(crate) fn known(addresses: Vec<std::net::IpAddr>) -> LocalAddresses {
    LocalAddresses::Known(addresses)
}

/// Returns the notes of a trace, as far as it can be read: whoever replays it says the rest.
fn notes(path: &Path) -> anyhow::Result<Vec<Note>> {
    let mut traces = Traces::open(&[path], OnDamage::Resync)?;
    traces.tell_notes();
    let mut notes = Vec::new();
    while let Ok(Some(frame)) = traces.find(&mut |frame: &crate::trace::Frame<'_>| frame.is_note())
    {
        if let Some(Ok(note)) = Note::from_block(frame.captured) {
            notes.push(note);
        }
    }
    Ok(notes)
}

/// Something that a report is told, once it is its turn.
pub(super) enum Telling {
    Output(Output, Option<Origin>),
    Packet(Packet, Timestamp, Origin),
    /// A door, by its index, made nothing of a packet.
    Disregard(usize, Disregard, (Packet, Timestamp, Origin)),
}

/// Where the replay of a recording is.
#[derive(Default)]
pub(super) struct Replay {
    /// The run of the daemon and the number of its file, as the last beginning had them.
    file: Option<(Timestamp, u64)>,
    /// What the engine said to the last input. The notes behind that tell what came in between.
    pub(super) waiting: VecDeque<Telling>,
    /// How many events of the file have been told.
    pub(super) told: u64,
}

impl Replay {
    /// Takes up a file's beginning. Tells whether the file before it has been replayed; or it is
    /// the first of its run, which has none.
    pub(super) fn takes_up(&mut self, beginning: &Beginning) -> bool {
        let before = self.file.replace((beginning.started, beginning.number));
        self.told = 0;
        let number = beginning.number;
        number == 0 || before == Some((beginning.started, number - 1))
    }

    /// Returns what is to be told next: everything that waits, or only what comes before the
    /// event behind so many others.
    pub(super) fn next(&mut self, up_to: Option<u64>) -> Option<Telling> {
        let is_event = matches!(self.waiting.front()?, Telling::Output(Output::Event(_), _));
        if is_event {
            if up_to.is_some_and(|up_to| self.told >= up_to) {
                return None;
            }
            self.told += 1;
        }
        self.waiting.pop_front()
    }
}
