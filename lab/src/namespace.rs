//! A network of its own, and what runs in it.

use std::ffi::OsStr;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};

use anyhow::{Context, Result, bail, ensure};
use rustix::process::{Pid, Signal};
use rustix::thread::LinkNameSpaceType;

use crate::wait;

/// A network namespace, with a mount namespace in which what daemons write to is private.
///
/// It has no name: it is held by a process that reads from a pipe of ours, so it goes when its
/// owner goes, even by SIGKILL. Dropping it ends every process that is left in it.
#[derive(Debug)]
pub struct Namespace {
    holder: Child,
    network: File,
}

/// The places that daemons write to become empty; `/sys` shows this network's interfaces, where
/// that is allowed. `cat` ends when the pipe does.
const SET_UP: &str = "
    mount -t tmpfs tmpfs /run
    mount -t tmpfs tmpfs /var/log
    mount -t tmpfs tmpfs /var/lib
    mount -t sysfs sysfs /sys 2>&- || true
    ip link set lo up
    echo ready
    exec cat
";

impl Namespace {
    /// Makes a namespace with nothing but a loopback interface, without IPv6 until it is asked for.
    ///
    /// # Errors
    ///
    /// Where that is not allowed, or `unshare` or `ip` is not there.
    pub fn new() -> Result<Self> {
        let mut command = Command::new("unshare");
        command.args(["--net", "--mount", "--", "sh", "-ec", SET_UP]).env("PATH", path());
        command.stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut holder = command.spawn().context("cannot run unshare, of util-linux")?;
        let stdout = holder.stdout.take().context("the holder's output is a pipe")?;
        let mut line = String::new();
        BufReader::new(stdout).read_line(&mut line).context("cannot hear from unshare")?;
        ensure!(line == "ready\n", "cannot set up a network namespace; see above");
        let network = format!("/proc/{}/ns/net", holder.id());
        let network = File::open(&network).with_context(|| format!("cannot open {network}"))?;
        let namespace = Self { holder, network };
        namespace.sysctl("net.ipv6.conf.default.disable_ipv6", "1")?;
        namespace.sysctl("net.ipv4.conf.all.rp_filter", "0")?;
        namespace.sysctl("net.ipv4.conf.default.rp_filter", "0")?;
        Ok(namespace)
    }

    /// Returns a command that runs in this namespace.
    ///
    /// The process becomes the program, so its number and its signals are the program's. Its
    /// folder is `/`: paths must be absolute.
    #[must_use]
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        self.command_in(&["--net", "--mount"], program)
    }

    fn command_in(&self, namespaces: &[&str], program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--target={}", self.holder.id()));
        command.args(namespaces).arg("--").arg(program);
        command.env("PATH", path()).stdin(Stdio::null());
        command
    }

    /// Runs a command line, split at spaces, to its end and returns what it printed.
    ///
    /// # Errors
    ///
    /// Where it can't be run or fails, with what it said.
    pub fn run(&self, line: &str) -> Result<String> {
        printed(line, self.try_run(line)?)
    }

    /// Runs a command line, split at spaces, whatever comes of it.
    ///
    /// # Errors
    ///
    /// Where it can't be run.
    pub fn try_run(&self, line: &str) -> Result<Output> {
        self.output(line, &["--net", "--mount"])
    }

    /// Runs a command line, split at spaces, in this network alone, where [`Self::kill_all`] does
    /// not see it, and returns what it printed.
    ///
    /// # Errors
    ///
    /// Where it can't be run or fails, with what it said.
    pub fn look(&self, line: &str) -> Result<String> {
        printed(line, self.output(line, &["--net"])?)
    }

    fn output(&self, line: &str, namespaces: &[&str]) -> Result<Output> {
        let mut words = line.split_whitespace();
        let program = words.next().context("an empty command line")?;
        let mut command = self.command_in(namespaces, program);
        command.args(words).output().with_context(|| format!("cannot run {line}"))
    }

    /// Carries out commands of `ip`, one a line.
    ///
    /// # Errors
    ///
    /// Where one fails; those after it are not tried.
    pub fn ip(&self, lines: &str) -> Result<()> {
        let mut command = self.command("ip");
        command.args(["-batch", "-"]).stdin(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().context("cannot run ip, of iproute2")?;
        let mut stdin = child.stdin.take().context("its input is a pipe")?;
        stdin.write_all(lines.as_bytes()).context("cannot write to ip")?;
        drop(stdin);
        let output = child.wait_with_output().context("cannot wait for ip")?;
        let errors = String::from_utf8_lossy(&output.stderr);
        ensure!(output.status.success(), "ip: {}: {}in\n{lines}", output.status, errors);
        Ok(())
    }

    /// Makes a folder this namespace's own: a copy, of what this user may read, that goes with it.
    ///
    /// # Errors
    ///
    /// Where it can't be copied or mounted.
    pub fn own_folder(&self, folder: &str) -> Result<()> {
        let copy = format!("/run/own{folder}");
        self.run(&format!("mkdir -p {copy}"))?;
        // What an ordinary user may not read is left out.
        self.try_run(&format!("cp -a {folder}/. {copy}"))?;
        self.run(&format!("mount --bind {copy} {folder}")).map(drop)
    }

    /// Returns the path by which the outside sees a file in this namespace's private places.
    #[must_use]
    pub fn path(&self, inside: &str) -> PathBuf {
        PathBuf::from(format!("/proc/{}/root{inside}", self.holder.id()))
    }

    /// Sets a kernel parameter of this network.
    ///
    /// # Errors
    ///
    /// Where it is not there or not writable.
    pub fn sysctl(&self, name: &str, value: &str) -> Result<()> {
        self.run(&format!("sysctl -qw {name}={value}")).map(drop)
    }

    /// Calls a function on a thread in this network: the sockets that it opens belong there for
    /// ever.
    ///
    /// # Errors
    ///
    /// Where the thread may not enter, and whatever the function fails with.
    pub fn enter<T: Send>(&self, body: impl FnOnce() -> Result<T> + Send) -> Result<T> {
        std::thread::scope(|scope| {
            let inside = scope.spawn(|| {
                let kind = Some(LinkNameSpaceType::Network);
                rustix::thread::move_into_link_name_space(self.network.as_fd(), kind)
                    .context("cannot enter a network namespace")?;
                body()
            });
            inside.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic))
        })
    }

    /// Kills every process in this namespace but the one that holds it.
    ///
    /// # Errors
    ///
    /// Where they don't go.
    pub fn kill_all(&self) -> Result<()> {
        wait::until("the processes of a namespace to go", || {
            let left = self.processes()?;
            for &pid in &left {
                // One that went by itself is as good.
                let _ = rustix::process::kill_process(pid, Signal::KILL);
            }
            Ok(left.is_empty())
        })
    }

    /// Returns the processes in this namespace that still run, without the one that holds it.
    ///
    /// # Errors
    ///
    /// Where `/proc` can't be read.
    pub fn processes(&self) -> Result<Vec<Pid>> {
        let own = namespaces(&PathBuf::from(format!("/proc/{}", self.holder.id())));
        ensure!(own.is_some(), "a namespace without its holder");
        let mut found = Vec::new();
        for entry in std::fs::read_dir("/proc").context("cannot list /proc")? {
            let entry = entry.context("cannot list /proc")?;
            let name = entry.file_name();
            let Some(number) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else {
                continue;
            };
            let is_holder = u32::try_from(number).is_ok_and(|number| number == self.holder.id());
            if !is_holder && namespaces(&entry.path()) == own {
                found.extend(Pid::from_raw(number));
            }
        }
        Ok(found)
    }

    /// Returns the number of the process that holds it, for `ip link ... netns`.
    #[must_use]
    pub fn holder(&self) -> u32 {
        self.holder.id()
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        // A test that failed says why; what could not be ended here ends with the namespace.
        let _ = self.kill_all();
        drop(self.holder.stdin.take());
        let _ = self.holder.kill();
        let _ = self.holder.wait();
    }
}

/// Returns the network and the mount namespace of a process: none, where it is gone, dead but not
/// yet waited for, or another user's.
fn namespaces(process: &Path) -> Option<[u64; 2]> {
    let inode = |name| Some(std::fs::metadata(process.join(name)).ok()?.ino());
    Some([inode("ns/net")?, inode("ns/mnt")?])
}

fn printed(line: &str, output: Output) -> Result<String> {
    if !output.status.success() {
        let errors = String::from_utf8_lossy(&output.stderr);
        bail!("{line}: {}: {}", output.status, errors.trim());
    }
    String::from_utf8(output.stdout).with_context(|| format!("{line}: odd output"))
}

/// Programs for administrators are not on everybody's path.
fn path() -> String {
    format!("{}:/usr/sbin:/sbin", std::env::var("PATH").unwrap_or_default())
}
