//! What to knock: the ports of the command line, or the sequence of a door of a config.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, anyhow};
use knock_engine::config::{Door, Knock, OneTimeLine, Sequence, Sequences, parse_one_time_lines};
use knock_engine::packet::{Protocol, TcpFlags};
use knock_frontend::config_file::ConfigFile;
use knock_frontend::one_time::{last_used, mark_used};

use crate::PROGRAM;
use crate::failure::{Fail as _, Failure, Status};

/// The knocks, and the line to mark before they are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Steps {
    /// What to knock. There is at least one.
    pub knocks: Vec<Knock>,
    /// The line that they use up.
    pub line: Option<Line>,
}

/// A line of a one-time file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Line {
    file: PathBuf,
    line: OneTimeLine,
}

impl Line {
    /// Marks the line as used, exactly as the daemon marks its own (S12).
    ///
    /// # Errors
    ///
    /// It can't be, or somebody else has: nothing may be sent.
    pub fn mark(&self) -> Result<(), Failure> {
        let Self { file, line: OneTimeLine { number, sequence } } = self;
        mark_used(file, *number, sequence)
            .map_err(|error| anyhow!("{error}: nothing was sent"))
            .fail(Status::Usage)
    }
}

/// Which line of a one-time file to take.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Which {
    /// The first one that is unused.
    Next,
    /// The one that was marked last (`--again`).
    Again,
}

/// Finds the sequence of a door.
///
/// # Errors
///
/// The config or its one-time file can't be read, has no such door, or its sequence can't be sent.
pub fn of_door(config: &Path, name: &str, which: Which) -> Result<Steps, Failure> {
    let read = ConfigFile::read_in(Path::new(""), config).fail(Status::Usage)?;
    let Some(parsed) = read.config() else {
        read.show_diagnostics(PROGRAM);
        let error = anyhow!("{}: the config has errors: nothing was sent", config.display());
        return Err(Failure::new(Status::Usage, error));
    };
    let named: Vec<&Door> =
        parsed.doors.iter().map(AsRef::as_ref).filter(|door| door.name == name).collect();
    let door = match named[..] {
        [door] => door,
        [] => {
            let mut names: Vec<_> = parsed.doors.iter().map(|door| door.name.as_str()).collect();
            names.sort_unstable();
            let known = match names.is_empty() {
                true => "it has no door at all".to_owned(),
                false => format!("it has {}", names.join(", ")),
            };
            let config = config.display();
            return Err(Failure::usage(format!("{config}: there is no door {name}: {known}")));
        }
        _ => {
            let (config, count) = (config.display(), named.len());
            let told = format!("{config}: {count} doors are named {name}: rename all but one");
            return Err(Failure::usage(told));
        }
    };
    let place = format!("{}: door {name}", config.display());
    let steps = match (&door.sequences, which) {
        (Sequences::Fixed(sequence), Which::Next) => steps(sequence, None),
        (Sequences::Fixed(_), Which::Again) => {
            let told = "its sequence is always the same, and --again is for one-time sequences";
            return Err(Failure::usage(format!("{place}: {told}: leave it out")));
        }
        (Sequences::OneTime { path, .. }, which) => {
            one_time(Path::new(path), which).context(place.clone()).fail(Status::Usage)?
        }
    };
    can_be_sent(door, &steps.knocks).context(place).fail(Status::Usage)?;
    Ok(steps)
}

fn steps(sequence: &Sequence, line: Option<Line>) -> Steps {
    Steps { knocks: sequence.knocks().to_vec(), line }
}

fn one_time(path: &Path, which: Which) -> anyhow::Result<Steps> {
    let name = path.display();
    let text = fs::read(path).with_context(|| format!("cannot read its sequences in {name}"))?;
    match which {
        Which::Next => {
            let next = parse_one_time_lines(&text).0.into_iter().next();
            let next = next.with_context(|| {
                format!("no sequence is left in {name} (--again sends the last one once more)")
            })?;
            let sequence = next.sequence.clone();
            Ok(steps(&sequence, Some(Line { file: path.to_owned(), line: next })))
        }
        Which::Again => {
            let last = last_used(&text);
            let last = last.with_context(|| format!("no sequence in {name} is used yet"))?;
            Ok(steps(&last.sequence, None))
        }
    }
}

/// Sees to it that what ordinary sockets send is what the door wants to hear (S5).
fn can_be_sent(door: &Door, knocks: &[Knock]) -> anyhow::Result<()> {
    let is_tcp = knocks.iter().any(|knock| knock.protocol == Protocol::Tcp);
    if !is_tcp || door.flags.accept(TcpFlags::SYN) {
        return Ok(());
    }
    Err(anyhow!(
        "it wants tcpflags = {}, and this client sends syn alone, for more takes root: use a tool \
         such as hping3, or tcpflags = syn",
        door.flags
    ))
}
