//! Who reads the captures, with which command line, and how many doors they open.

use std::fmt;
use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail, ensure};

use crate::data::{LoadFiles, local_addresses};
use crate::load::{FILTER, Load};
use crate::measure::{is_out_of_time, limited};

/// A program that reads the captures.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    /// `cat FILE`: what reading the bytes costs, and nothing else.
    Cat,
    /// `tcpdump -n -r FILE -w /dev/null FILTER`: reading and filtering, by libpcap.
    Tcpdump,
    /// knockd 0.8 itself, made to read a capture by the oracle's shim.
    Knockd,
    /// `knock-replay run`.
    Replay,
    /// `knock-replay sweep` of 60 values.
    Sweep,
    /// `knock-replay diff` of the config with itself: two engines over one reading.
    Diff,
    /// `knock-replay extract`.
    Extract,
    /// `knock-replay report`: the page.
    Report,
}

impl Contender {
    /// All contenders, in the order in which they take turns.
    pub const ALL: [Self; 8] = [
        Self::Cat,
        Self::Tcpdump,
        Self::Knockd,
        Self::Replay,
        Self::Sweep,
        Self::Diff,
        Self::Extract,
        Self::Report,
    ];

    /// How many times one run of `knock-replay` a sweep of 60 values may take on background
    /// traffic.
    pub const SWEEP_LIMIT: f64 = 3.0;

    /// How many times one run of `knock-replay` an extract may take where nearly no packet concerns
    /// a door.
    pub const EXTRACT_LIMIT: f64 = 1.2;

    /// Tells whether it is measured on a load.
    #[must_use]
    pub fn takes_part(self, load: Load) -> bool {
        match self {
            Self::Cat | Self::Tcpdump | Self::Knockd | Self::Replay => true,
            Self::Sweep | Self::Diff => load == Load::P1,
            Self::Extract => load == Load::P4,
            Self::Report => load == Load::P3,
        }
    }
}

impl fmt::Display for Contender {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Cat => "cat",
            Self::Tcpdump => "tcpdump",
            Self::Knockd => "knockd 0.8",
            Self::Replay => "knock-replay",
            Self::Sweep => "sweep of 60",
            Self::Diff => "diff",
            Self::Extract => "extract",
            Self::Report => "report",
        })
    }
}

/// Where the contenders that are no plain commands are found.
#[derive(Clone, Debug)]
pub struct Programs {
    /// `knock-replay`, built for release.
    pub replay: PathBuf,
    /// knockd.
    pub knockd: PathBuf,
    /// The oracle's shim, as a library.
    pub shim: PathBuf,
    /// How much CPU time knockd gets, in seconds: its search through a list of all attempts makes
    /// some loads quadratic.
    pub knockd_cpu_limit_s: u32,
}

impl Programs {
    /// Returns the command that is measured.
    #[must_use]
    pub fn command(&self, contender: Contender, files: &LoadFiles) -> Command {
        match contender {
            Contender::Cat => {
                let mut command = Command::new("cat");
                command.arg(&files.trace);
                command
            }
            Contender::Tcpdump => {
                let mut command = Command::new("tcpdump");
                command.args(["-n", "-r"]).arg(&files.trace).args(["-w", "/dev/null", FILTER]);
                command
            }
            // Without KNOCK_OUT the shim runs no command and prints nothing: knockd's own work.
            Contender::Knockd => self.knockd(files),
            Contender::Replay => self.replay(files, "summary"),
            Contender::Sweep => {
                let mut command = Command::new(&self.replay);
                command.args(["sweep", "-c"]).arg(&files.config).arg("--local");
                command.arg(local_addresses()).args(["--door", "bench"]);
                command.args(["--set", "seq_timeout=1s..60s"]).arg(&files.trace);
                command
            }
            Contender::Report => {
                let mut command = Command::new(&self.replay);
                command.args(["report", "-c"]).arg(&files.config).arg("--local");
                command.arg(local_addresses()).args(["--force", "-o"]);
                command.arg(files.trace.with_extension("html")).arg(&files.trace);
                command
            }
            Contender::Diff => {
                let mut command = Command::new(&self.replay);
                command.args(["diff", "--local"]).arg(local_addresses());
                command.arg("--old").arg(&files.config).arg("--new").arg(&files.config);
                command.arg(&files.trace);
                command
            }
            Contender::Extract => {
                let mut command = Command::new(&self.replay);
                command.args(["extract", "-c"]).arg(&files.config).arg("--local");
                command.arg(local_addresses()).arg(&files.trace).arg("--force");
                command.arg("-o").arg(files.trace.with_extension("extract.pcapng"));
                command
            }
        }
    }

    /// Counts the doors that `knock-replay` opens.
    ///
    /// # Errors
    ///
    /// Where it can't be run or fails, or a line isn't JSON.
    pub fn replay_opens(&self, files: &LoadFiles) -> Result<u64> {
        let mut command = self.replay(files, "jsonl");
        command.stdin(Stdio::null()).stdout(Stdio::piped());
        let mut child = command.spawn().with_context(|| format!("cannot run {command:?}"))?;
        let output = child.stdout.take().context("the output is a pipe")?;
        let mut opens = 0;
        for line in BufReader::with_capacity(1 << 18, output).lines() {
            let line = line.context("cannot read the output of knock-replay")?;
            let event: serde_json::Value = serde_json::from_str(&line)
                .with_context(|| format!("knock-replay printed no JSON: {line:?}"))?;
            opens += u64::from(event.get("event").is_some_and(|name| name == "open"));
        }
        let status = child.wait().context("cannot wait for knock-replay")?;
        ensure!(status.success(), "{command:?} failed: {status}");
        Ok(opens)
    }

    /// Counts the doors that knockd opens; `None` where its CPU time runs out.
    ///
    /// # Errors
    ///
    /// Where it can't be run, or its decisions can't be read.
    pub fn knockd_opens(&self, files: &LoadFiles) -> Result<Option<u64>> {
        let decisions = files.trace.with_file_name("knockd.out");
        // The shim appends.
        if decisions.exists() {
            fs::remove_file(&decisions)
                .with_context(|| format!("cannot remove {}", decisions.display()))?;
        }
        let mut command = self.knockd(files);
        command.env("KNOCK_OUT", &decisions).stdout(Stdio::null()).stderr(Stdio::null());
        let status = command.status().with_context(|| format!("cannot run {command:?}"))?;
        if is_out_of_time(status) {
            return Ok(None);
        }
        ensure!(status.success(), "{command:?} failed: {status}");
        // Line by line, for what this program holds would count as its children's peak memory.
        let file = fs::File::open(&decisions)
            .with_context(|| format!("cannot read {}", decisions.display()))?;
        let mut opens = 0;
        for line in BufReader::new(file).lines() {
            let line = line.with_context(|| format!("cannot read {}", decisions.display()))?;
            opens += u64::from(line.split(' ').nth(2) == Some("OPEN"));
        }
        Ok(Some(opens))
    }

    fn replay(&self, files: &LoadFiles, format: &str) -> Command {
        let mut command = Command::new(&self.replay);
        command.args(["run", "-c"]).arg(&files.config).arg("--local").arg(local_addresses());
        command.args(["--format", format]).arg(&files.trace);
        command
    }

    fn knockd(&self, files: &LoadFiles) -> Command {
        let mut command = limited("env", self.knockd_cpu_limit_s);
        // Only knockd itself may load the shim, which replaces what other programs need.
        command.arg(format!("LD_PRELOAD={}", self.shim.display())).arg(&self.knockd);
        command.arg("-c").arg(&files.config).args(["-i", "eth0", "-g", "/dev/null"]);
        command.env("TZ", "UTC").env("KNOCK_PCAP", &files.trace).env("KNOCK_IFACE", "eth0");
        command.env("KNOCK_LOCAL_IPS", local_addresses());
        command
    }
}

/// Builds the oracle's shim from its source, where that is newer.
///
/// # Errors
///
/// Where the source is missing or `gcc` fails; the message says what to install.
pub fn build_shim(source: &Path, library: &Path) -> Result<()> {
    let modified = |path: &Path| fs::metadata(path).and_then(|metadata| metadata.modified());
    let source_time =
        modified(source).with_context(|| format!("cannot read {}", source.display()))?;
    if modified(library).is_ok_and(|time| time >= source_time) {
        return Ok(());
    }
    let mut command = Command::new("gcc");
    command.args(["-O2", "-shared", "-fPIC", "-o"]).arg(library).arg(source);
    command.args(["-lpcap", "-ldl"]);
    let output = command.output().context("cannot run gcc (apt-get install gcc libpcap-dev)")?;
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("gcc cannot build the shim (apt-get install libpcap-dev?):\n{errors}");
    }
    Ok(())
}
