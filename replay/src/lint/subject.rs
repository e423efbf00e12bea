//! The config to look at, with the places of its keys, and what is found in it.

use std::collections::HashSet;
use std::ops::Range;
use std::path::PathBuf;
use std::sync::Arc;

use knock_engine::config::{Command, Config, Door, Entry, EntryKind, Replacement, outline};
use knock_frontend::config_file::CheckedFile;

use super::code::Code;

/// The most characters of a door's name in a message.
const LONGEST_NAME: usize = 60;

/// Something found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Finding {
    /// What it is.
    pub(super) code: Code,
    /// The file that it is in: 0 is the config, the rest its one-time files.
    pub(super) file: usize,
    /// The bytes of that file that it is about.
    pub(super) span: Range<usize>,
    /// The bytes of the config that it belongs to, above which a comment allows it.
    pub(super) anchor: Range<usize>,
    /// The door, by its place in the config.
    pub(super) door: Option<usize>,
    /// What is wrong, with the numbers.
    pub(super) reason: String,
    /// What to do about it.
    pub(super) remedy: String,
    /// The text that would mend it.
    pub(super) replacement: Option<Replacement>,
}

impl Finding {
    /// Makes a finding about a place of the config.
    pub(super) fn new(code: Code, span: Range<usize>, reason: String, remedy: String) -> Self {
        let anchor = span.clone();
        Self { code, file: 0, span, anchor, door: None, reason, remedy, replacement: None }
    }

    /// Says what to write in place of a part of the config.
    pub(super) fn replace(self, span: Range<usize>, text: String) -> Self {
        Self { replacement: Some(Replacement { span, text }), ..self }
    }
}

/// A config with its files.
pub(super) struct Subject<'a> {
    /// The config.
    pub(super) config: &'a Config,
    /// The config's file, then those of its one-time sequences.
    pub(super) files: &'a [CheckedFile],
    /// The files that everybody may read, of those.
    pub(super) world_readable: HashSet<PathBuf>,
    /// What stands in which line of the config.
    pub(super) entries: Vec<Entry>,
    /// For each door its header's place among the entries, and the place of the next header.
    sections: Vec<Range<usize>>,
}

impl<'a> Subject<'a> {
    /// Looks where everything stands.
    pub(super) fn new(
        config: &'a Config,
        files: &'a [CheckedFile],
        world_readable: HashSet<PathBuf>,
    ) -> Self {
        let entries: Vec<_> = outline(&files[0].text).collect();
        let is_header = |entry: &Entry| matches!(entry.kind, EntryKind::Door | EntryKind::Options);
        let headers: Vec<_> =
            (0..entries.len()).filter(|&index| is_header(&entries[index])).collect();
        let ends = headers.iter().skip(1).copied().chain([entries.len()]);
        let sections = headers.iter().copied().zip(ends);
        let sections = sections.filter(|(header, _)| entries[*header].kind == EntryKind::Door);
        let sections = sections.map(|(header, end)| header..end).collect();
        Self { config, files, world_readable, entries, sections }
    }

    /// Returns the doors, in the order of the config.
    pub(super) fn doors(&self) -> impl Iterator<Item = DoorView<'_>> {
        self.config.doors.iter().zip(&self.sections).enumerate().map(|(index, (door, section))| {
            DoorView { index, door, entries: &self.entries[section.clone()] }
        })
    }
}

/// A door and where its settings stand.
#[derive(Clone, Copy)]
pub(super) struct DoorView<'a> {
    /// Its place in the config, from 0.
    pub(super) index: usize,
    /// The door.
    pub(super) door: &'a Arc<Door>,
    /// Its header, its settings, and comments between them.
    entries: &'a [Entry],
}

/// A command of a door, and where it stands.
#[derive(Clone, Debug)]
pub(super) struct Placed<'a> {
    /// The key as it was written, in lower case.
    pub(super) key: &'static str,
    /// The command.
    pub(super) command: &'a Command,
    /// The bytes of the config that are the command's text.
    pub(super) span: Range<usize>,
}

impl Placed<'_> {
    /// Returns where a part of the command's text stands in the config.
    pub(super) fn part(&self, part: &Range<usize>) -> Range<usize> {
        self.span.start + part.start..self.span.start + part.end
    }
}

impl<'a> DoorView<'a> {
    /// Returns the value of the last of these keys in the section, which is the one that counts.
    pub(super) fn value(&self, keys: &[&str]) -> Option<(&'static str, Range<usize>)> {
        self.entries.iter().rev().find_map(|entry| {
            let EntryKind::Setting { key, value } = &entry.kind else { return None };
            keys.contains(key).then(|| (*key, value.clone()))
        })
    }

    /// Returns where these keys' value stands, or else the door's header.
    pub(super) fn place(&self, keys: &[&str]) -> Range<usize> {
        self.value(keys).map_or_else(|| self.entries[0].span.clone(), |(_, span)| span)
    }

    /// Returns where the sequence stands, or the name of the file that has it.
    pub(super) fn sequence_place(&self) -> Range<usize> {
        self.place(&["sequence", "one_time_sequences"])
    }

    /// Returns the door's name, fit for a message.
    pub(super) fn name(&self) -> String {
        short_name(&self.door.name)
    }

    /// Returns the command that these keys give, where there is one.
    pub(super) fn command(&self, kind: CommandKind) -> Option<Placed<'a>> {
        let commands = &self.door.commands;
        let flatten = |form: &'a Option<Option<Command>>| form.as_ref().and_then(Option::as_ref);
        let command = match kind {
            CommandKind::Start => commands.start.as_ref(),
            CommandKind::StartV6 => flatten(&commands.start_v6),
            CommandKind::Stop => commands.stop.as_ref(),
            CommandKind::StopV6 => flatten(&commands.stop_v6),
            CommandKind::Check => commands.check.as_ref(),
            CommandKind::CheckV6 => flatten(&commands.check_v6),
        }?;
        let (key, span) = self.value(kind.keys())?;
        Some(Placed { key, command, span })
    }

    /// Returns every command of the door.
    pub(super) fn commands(&self) -> impl Iterator<Item = Placed<'a>> {
        CommandKind::ALL.into_iter().filter_map(|kind| self.command(kind))
    }

    /// Returns the command for sources of a family, be it the plain form.
    pub(super) fn command_for(&self, plain: CommandKind, family: Family) -> Option<Placed<'a>> {
        let commands = &self.door.commands;
        let (v6, is_given) = match plain {
            CommandKind::Start | CommandKind::StartV6 => {
                (CommandKind::StartV6, commands.start_v6.is_some())
            }
            CommandKind::Stop | CommandKind::StopV6 => {
                (CommandKind::StopV6, commands.stop_v6.is_some())
            }
            CommandKind::Check | CommandKind::CheckV6 => {
                (CommandKind::CheckV6, commands.check_v6.is_some())
            }
        };
        self.command(if family == Family::V6 && is_given { v6 } else { plain })
    }

    /// Tells whether sources of a family can reach the door at all.
    pub(super) fn is_reachable(&self, family: Family) -> bool {
        let is_v6 = family == Family::V6;
        let targets = &self.door.targets;
        let by_target =
            targets.is_empty() || targets.iter().any(|target| target.is_ipv6() == is_v6);
        let has_net = |nets: &Vec<ipnet::IpNet>| {
            nets.iter().any(|net| matches!(net, ipnet::IpNet::V6(_)) == is_v6)
        };
        by_target && self.door.allow.as_ref().is_none_or(has_net)
    }
}

/// A family of addresses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Family {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

/// A command's place in a door's section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum CommandKind {
    /// `start_command`.
    Start,
    /// `start_command_6`.
    StartV6,
    /// `stop_command`.
    Stop,
    /// `stop_command_6`.
    StopV6,
    /// `check_command`.
    Check,
    /// `check_command_6`.
    CheckV6,
}

impl CommandKind {
    /// All of them.
    pub(super) const ALL: [Self; 6] =
        [Self::Start, Self::StartV6, Self::Stop, Self::StopV6, Self::Check, Self::CheckV6];

    /// Returns its keys.
    pub(super) const fn keys(self) -> &'static [&'static str] {
        match self {
            Self::Start => &["start_command", "command"],
            Self::StartV6 => &["start_command_6", "command_6"],
            Self::Stop => &["stop_command"],
            Self::StopV6 => &["stop_command_6"],
            Self::Check => &["check_command"],
            Self::CheckV6 => &["check_command_6"],
        }
    }
}

/// Cuts a name that is too long for a message.
pub(super) fn short_name(name: &str) -> String {
    match name.char_indices().nth(LONGEST_NAME) {
        Some((end, _)) => format!("{}...", &name[..end]),
        None => name.to_owned(),
    }
}
