//! A `knockd` in a namespace, ours or Debian's.

use std::fmt::Write as _;
use std::fs::File;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};

use crate::namespace::Namespace;
use crate::wait;

/// A daemon that runs in the foreground; dropping it kills it.
#[derive(Debug)]
pub struct Daemon {
    child: Child,
    output: PathBuf,
    log: PathBuf,
    /// How long the log was at its start: what is in it may be another daemon's.
    log_start: usize,
    ready: UnixDatagram,
}

/// How to start a daemon.
#[derive(Clone, Debug)]
pub struct Setup {
    /// The program.
    pub program: PathBuf,
    /// Where what it prints goes, and the socket by which it says that it is ready.
    pub folder: PathBuf,
    /// Its config.
    pub config: PathBuf,
    /// Its log, as it is seen from here.
    pub log: PathBuf,
    /// What else to say on the command line, after `-c`.
    pub arguments: Vec<String>,
}

impl Setup {
    /// Makes a setup that listens on `eth0`.
    #[must_use]
    pub fn new(program: &Path, folder: &Path) -> Self {
        let pid = folder.join("pid").display().to_string();
        let arguments = ["-i", "eth0", "-p", &pid].map(str::to_owned).to_vec();
        Self {
            // Commands of a namespace run in another folder than ours; it stays what it is, where
            // there is no telling.
            program: std::path::absolute(program).unwrap_or_else(|_| program.to_owned()),
            folder: folder.to_owned(),
            config: folder.join("knockd.conf"),
            log: folder.join("knockd.log"),
            arguments,
        }
    }

    /// Writes its config: these doors behind the option that names the log.
    ///
    /// # Errors
    ///
    /// Where the file can't be written.
    pub fn write_config(&self, options: &str, doors: &str) -> Result<()> {
        let text = format!("[options]\nlogfile = {}\n{options}\n{doors}", self.log.display());
        self.write_config_text(&text)
    }

    /// Writes its config, whole: whoever reads it meanwhile gets the old one.
    ///
    /// # Errors
    ///
    /// Where the file can't be written.
    pub fn write_config_text(&self, text: &str) -> Result<()> {
        let new = self.config.with_extension("new");
        std::fs::write(&new, text)
            .and_then(|()| std::fs::rename(&new, &self.config))
            .with_context(|| format!("cannot write {}", self.config.display()))
    }

    /// Returns the command that starts it.
    #[must_use]
    pub fn command(&self, namespace: &Namespace) -> Command {
        let mut command = namespace.command(&self.program);
        command.arg("-c").arg(&self.config).args(&self.arguments);
        command
    }

    /// Starts it and waits until it listens.
    ///
    /// # Errors
    ///
    /// Where it ends instead, or does neither.
    pub fn start(&self, namespace: &Namespace) -> Result<Daemon> {
        let mut daemon = self.spawn(namespace)?;
        daemon.wait_until_ready()?;
        Ok(daemon)
    }

    /// Starts it.
    ///
    /// # Errors
    ///
    /// Where that is not possible.
    pub fn spawn(&self, namespace: &Namespace) -> Result<Daemon> {
        let (output, socket) = (self.folder.join("output"), self.folder.join("notify"));
        let _ = std::fs::remove_file(&socket);
        let log_start = read(&self.log)?.len();
        let ready = UnixDatagram::bind(&socket).context("cannot make a socket to be notified")?;
        ready.set_nonblocking(true)?;
        // A daemon that runs as another user tells as well.
        std::fs::set_permissions(&socket, PermissionsExt::from_mode(0o666))?;
        let file = File::create(&output).context("cannot write what the daemon prints")?;
        let child = self
            .command(namespace)
            .env("NOTIFY_SOCKET", &socket)
            .stdout(file.try_clone()?)
            .stderr(file)
            .spawn()
            .with_context(|| format!("cannot run {}", self.program.display()))?;
        Ok(Daemon { child, output, log: self.log.clone(), log_start, ready })
    }
}

impl Daemon {
    /// Waits until it says that it is ready, as ours does to systemd, or that it listens, as the
    /// original does in its log.
    ///
    /// # Errors
    ///
    /// Where it ends, or does neither.
    pub fn wait_until_ready(&mut self) -> Result<()> {
        let outcome = wait::until("knockd to be ready", || {
            if let Some(status) = self.child.try_wait()? {
                bail!("knockd ended: {status}");
            }
            let log = self.log()?;
            let since = log.get(self.log_start..).unwrap_or(&log);
            Ok(self.notified()?.contains("READY=1") || since.contains("listening on eth0\n"))
        });
        outcome.with_context(|| self.story())
    }

    /// Returns what it has told the service manager since the last call.
    ///
    /// # Errors
    ///
    /// Where the socket fails.
    pub fn notified(&self) -> Result<String> {
        let mut told = String::new();
        let mut bytes = [0; 4096];
        loop {
            match self.ready.recv(&mut bytes) {
                Ok(length) => {
                    writeln!(told, "{}", String::from_utf8_lossy(&bytes[..length]))?;
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => return Ok(told),
                Err(error) => return Err(error).context("cannot hear from knockd"),
            }
        }
    }

    /// Returns what it has printed.
    ///
    /// # Errors
    ///
    /// Where that can't be read.
    pub fn printed(&self) -> Result<String> {
        read(&self.output)
    }

    /// Returns its log.
    ///
    /// # Errors
    ///
    /// Where that can't be read.
    pub fn log(&self) -> Result<String> {
        read(&self.log)
    }

    /// Returns all that it has said, for the message of a test that failed.
    #[must_use]
    pub fn story(&self) -> String {
        let printed = self.printed().unwrap_or_else(|error| error.to_string());
        let log = self.log().unwrap_or_else(|error| error.to_string());
        format!("what knockd printed:\n{}\nits log:\n{}", end_of(&printed), end_of(&log))
    }

    /// Returns its process number.
    ///
    /// # Errors
    ///
    /// Never, as long as the kernel counts processes from 1.
    pub fn pid(&self) -> Result<Pid> {
        let number = i32::try_from(self.child.id()).context("process numbers are positive")?;
        Pid::from_raw(number).context("process numbers are positive")
    }

    /// Sends it a signal.
    ///
    /// # Errors
    ///
    /// Where it is gone.
    pub fn signal(&self, signal: Signal) -> Result<()> {
        rustix::process::kill_process(self.pid()?, signal).context("cannot signal knockd")
    }

    /// Tells whether it still runs.
    ///
    /// # Errors
    ///
    /// Where the kernel does not know.
    pub fn is_running(&mut self) -> Result<bool> {
        Ok(self.child.try_wait()?.is_none())
    }

    /// Waits until it ends.
    ///
    /// # Errors
    ///
    /// Where it does not in time.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let mut status = None;
        wait::within(limit, "knockd to end", || {
            status = self.child.try_wait()?;
            Ok(status.is_some())
        })
        .with_context(|| self.story())?;
        status.context("it has ended")
    }

    /// Asks it to end and waits until it has; its status must be that of success.
    ///
    /// # Errors
    ///
    /// Where it does not end, or badly.
    pub fn stop(&mut self, limit: Duration) -> Result<()> {
        self.signal(Signal::TERM)?;
        let status = self.wait(limit)?;
        ensure!(status.success(), "knockd ended with {status}\n{}", self.story());
        Ok(())
    }

    /// Kills it and everything else that runs in its namespace, at once.
    ///
    /// # Errors
    ///
    /// Where that does not go.
    pub fn kill_with_children(&mut self, namespace: &Namespace) -> Result<()> {
        // It may have ended by itself.
        let _ = self.child.kill();
        namespace.kill_all()?;
        self.child.wait().context("cannot wait for knockd")?;
        Ok(())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Returns the last lines, which are those that matter.
fn end_of(text: &str) -> String {
    const LINES: usize = 30;
    let lines: Vec<&str> = text.lines().filter(|line| !line.is_empty()).collect();
    let skipped = lines.len().saturating_sub(LINES);
    let start = if skipped > 0 { format!("({skipped} lines)\n") } else { String::new() };
    start + &lines[skipped..].join("\n")
}

/// Reads a file that may not be there yet, whatever its bytes.
fn read(path: &Path) -> Result<String> {
    match std::fs::read(path) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(error) => Err(error).with_context(|| format!("cannot read {}", path.display())),
    }
}
