//! The client, run in a namespace or outside of any.

use std::path::Path;
use std::process::{Command, Output};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use knock_lab::lab::Lab;

/// The program under test.
pub(crate) const KNOCK: &str = env!("CARGO_BIN_EXE_knock");

/// What a run of the client came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) status: i32,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) took: Duration,
}

impl Ran {
    /// Sees to it that it ended with this status.
    pub(crate) fn expect(self, status: i32) -> Result<Self> {
        ensure!(self.status == status, "not status {status}, but {self:?}");
        Ok(self)
    }
}

/// Returns the client's command in the client's namespace, with profiles in the lab's folder.
pub(crate) fn command(lab: &Lab) -> Command {
    let mut command = lab.client.command(KNOCK);
    command.env("XDG_CONFIG_HOME", lab.folder());
    command
}

/// Runs the client there with arguments that blanks separate.
pub(crate) fn knock(lab: &Lab, arguments: &str) -> Result<Ran> {
    run(command(lab).args(arguments.split_whitespace()))
}

/// Runs a command to its end.
pub(crate) fn run(command: &mut Command) -> Result<Ran> {
    let start = Instant::now();
    ran(command.output().context("cannot run knock")?, start)
}

/// Tells what a run that has ended came to.
pub(crate) fn ran(output: Output, start: Instant) -> Result<Ran> {
    let status = output.status.code().with_context(|| format!("knock ended: {}", output.status))?;
    Ok(Ran {
        status,
        stdout: String::from_utf8(output.stdout)?,
        stderr: String::from_utf8(output.stderr)?,
        took: start.elapsed(),
    })
}

/// Puts a file in the place of one of the system's, for the client's namespace alone.
pub(crate) fn replace(lab: &Lab, path: &str, text: &str) -> Result<()> {
    let name = Path::new(path).file_name().context("a file has a name")?;
    let own = lab.folder().join(name);
    std::fs::write(&own, text)?;
    lab.client.run(&format!("mount --bind {} {path}", own.display())).map(drop)
}
