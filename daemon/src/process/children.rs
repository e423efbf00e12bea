//! The children that run commands.

use std::collections::BTreeMap;
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::Duration;

use knock_engine::time::Timestamp;
use rustix::fs::{Mode, OFlags};
use rustix::io::{Errno, ioctl_fionbio};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};

use super::event_loop::{EventLoop, Interest, Ready};
use super::output::Output;
use crate::clock::Clock;
use crate::log::{CommandEvent, CommandKind, Exit, Subject};
use crate::supervisor::{ChildId, Spawn};

/// Where commands look for programs, whatever the daemon's own `PATH` is.
pub const PATH: &str = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/// How long a child that is to be killed has between `SIGTERM` and `SIGKILL`.
pub const GRACE: Duration = Duration::from_millis(500);

/// How many pipes are read on after their command has ended. See [`Children`].
pub const MAX_LINGERING: usize = 64;

/// How many bytes of one command are read per wake-up: a flood of output delays nothing else.
const CHUNK: usize = 4096;

/// The most that is read of a command when it ends; a pipe holds no more.
const LAST_READ: usize = 64 * 1024;

/// How often a child is looked after where the kernel gives no descriptor for it.
const WATCH: Duration = Duration::from_millis(50);

/// The children: it spawns them, reads what they print, tells how they end, kills them.
///
/// It is one descriptor to wait for; [`Children::handle_ready`] does what there is to do, and
/// never blocks. Dropping it leaves the children running.
///
/// **What a command gets.** `/bin/sh -c COMMAND` in `/`, as the leader of a process group, with no
/// signal blocked and those that the daemon minds back to their defaults, and with these variables
/// only: `PATH` ([`PATH`]), `LANG=C` (so what is logged is in one language, whoever started the
/// daemon), `KNOCK_IP`, `KNOCK_NET` and `KNOCK_DOOR`. Standard input is `/dev/null`; standard output and error are a
/// pipe; there are no other descriptors, provided that the daemon opens its own close-on-exec.
///
/// **What it prints** is read in the order in which it was written, cut into lines of at most
/// 1 KiB, up to 64 lines or 16 KiB; more is counted.
///
/// **What it leaves running** in the background keeps the pipe, which delays nothing: the exit is
/// reported at once, and what is printed later is logged like the rest. Of such pipes, the
/// [`MAX_LINGERING`] newest are read on. A background job must not die of its output, for it may
/// be what closes the door: the child's end of the pipe can be read, too, so it does not break
/// when the daemon lets go of it or dies. Such a job only waits once 64 KiB are unread.
///
/// **To kill** is `SIGTERM` to the process group and, [`GRACE`] later or as soon as its leader has
/// ended, `SIGKILL` to whoever of it is left. What a command moved to a group of its own escapes.
pub struct Children {
    events: EventLoop,
    ready: Vec<Ready>,
    jobs: BTreeMap<ChildId, Job>,
}

/// What a child has done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Report {
    /// It printed something ([`CommandEvent::Printed`] or [`CommandEvent::PrintedMore`]).
    Output {
        /// Whose command it is.
        subject: Subject,
        /// Which of the door's commands.
        kind: CommandKind,
        /// What to log.
        event: CommandEvent,
    },
    /// It has ended, and is reaped.
    Exited {
        /// The child.
        child: ChildId,
        /// How.
        exit: Exit,
    },
}

/// A command whose process or whose pipe is still there.
#[derive(Debug)]
struct Job {
    subject: Subject,
    kind: CommandKind,
    process: Option<Process>,
    pipe: Option<OwnedFd>,
    output: Output,
}

#[derive(Debug)]
struct Process {
    child: Child,
    /// `None` where the kernel gave none: the child is then looked after by the alarm.
    descriptor: Option<OwnedFd>,
    /// When to send `SIGKILL`, counted from boot, where `SIGTERM` has been sent.
    kill_at: Option<Duration>,
}

impl Children {
    /// Makes it, with no children yet.
    ///
    /// # Errors
    ///
    /// Fails where the kernel has no descriptors or no memory left.
    pub fn new() -> io::Result<Self> {
        Ok(Self { events: EventLoop::new()?, ready: Vec::new(), jobs: BTreeMap::new() })
    }

    /// Runs a command; its end will be reported.
    ///
    /// # Errors
    ///
    /// Returns [`Exit::NotRun`] where nothing was run, with a reason; nothing more will be
    /// reported of it then.
    ///
    /// # Panics
    ///
    /// Panics if a child of that number is there already.
    pub fn spawn(&mut self, spawn: &Spawn) -> Result<(), Exit> {
        assert!(!self.jobs.contains_key(&spawn.child), "each child has a number of its own");
        let job = self.start(spawn).map_err(|error| Exit::NotRun(error.to_string()))?;
        self.jobs.insert(spawn.child, job);
        self.set_alarm();
        Ok(())
    }

    /// Kills a child and everything in its process group. Its end will be reported as usual.
    ///
    /// A child that has ended, or is being killed, is left alone.
    pub fn kill(&mut self, child: ChildId) {
        let process = self.jobs.get_mut(&child).and_then(|job| job.process.as_mut());
        if let Some(process) = process.filter(|process| process.kill_at.is_none()) {
            process.signal(Signal::TERM);
            // One that is stopped would not hear of it.
            process.signal(Signal::CONT);
            process.kill_at = Some(since_boot().saturating_add(GRACE));
            self.set_alarm();
        }
    }

    /// Does what there is to do now, and tells what has happened.
    pub fn handle_ready(&mut self, report: &mut dyn FnMut(Report)) {
        let mut ready = std::mem::take(&mut self.ready);
        // Only a kernel without memory fails here; what is ready is told again by the next wait.
        if self.events.poll(&mut ready).is_ok() {
            for &what in &ready {
                match what {
                    Ready::Alarm => self.handle_alarm(report),
                    Ready::Token(token) => self.handle_token(token, report),
                }
            }
        }
        self.ready = ready;
    }

    /// Returns how many children have not ended.
    #[must_use]
    pub fn running(&self) -> usize {
        self.jobs.values().filter(|job| job.process.is_some()).count()
    }

    /// Returns how many children have ended and left a job in the background that is listened to.
    #[must_use]
    pub fn lingering(&self) -> usize {
        self.jobs.len() - self.running()
    }

    fn start(&self, spawn: &Spawn) -> io::Result<Job> {
        // All that can fail comes before the child exists, so that "not run" is true.
        let (read, write) = pipe_with(PipeFlags::CLOEXEC)?;
        ioctl_fionbio(&read, true)?;
        self.events.register(&read, pipe_token(spawn.child), Interest::Readable)?;
        let child = command(spawn, unbreakable(write))?.spawn()?;
        let descriptor = descriptor_of(&child).filter(|descriptor| {
            let token = process_token(spawn.child);
            self.events.register(descriptor, token, Interest::Readable).is_ok()
        });
        Ok(Job {
            subject: Subject { door: spawn.door.clone(), source: spawn.source },
            kind: spawn.kind,
            process: Some(Process { child, descriptor, kill_at: None }),
            pipe: Some(read),
            output: Output::default(),
        })
    }

    fn handle_token(&mut self, token: u64, report: &mut dyn FnMut(Report)) {
        let child = ChildId(token >> 1);
        if token == process_token(child) {
            self.check_exit(child, report);
        } else if let Some(job) = self.jobs.get_mut(&child) {
            job.read(CHUNK, report);
            self.forget_if_over(child, report);
        }
    }

    fn handle_alarm(&mut self, report: &mut dyn FnMut(Report)) {
        let now = since_boot();
        let mut unwatched = Vec::new();
        for (&child, job) in &mut self.jobs {
            let Some(process) = &mut job.process else { continue };
            if process.kill_at.is_some_and(|at| at <= now) {
                process.signal(Signal::KILL);
                // It stays `Some`: the child is being killed. No second signal is needed.
                process.kill_at = Some(Duration::MAX);
            }
            if process.descriptor.is_none() {
                unwatched.push(child);
            }
        }
        for child in unwatched {
            self.check_exit(child, report);
        }
        self.set_alarm();
    }

    /// Reaps the child if it has ended.
    fn check_exit(&mut self, child: ChildId, report: &mut dyn FnMut(Report)) {
        let Some(job) = self.jobs.get_mut(&child) else { return };
        let Some(exit) = job.process.as_mut().and_then(Process::try_exit) else { return };
        job.process = None;
        job.read(LAST_READ, report);
        job.end_output(report);
        report(Report::Exited { child, exit });
        self.forget_if_over(child, report);
        self.limit_lingering(report);
    }

    fn forget_if_over(&mut self, child: ChildId, report: &mut dyn FnMut(Report)) {
        let over = |job: &&mut Job| job.process.is_none() && job.pipe.is_none();
        if let Some(job) = self.jobs.get_mut(&child).filter(over) {
            job.end_output(report);
            self.jobs.remove(&child);
        }
    }

    /// Lets go of the oldest pipes whose commands have ended, where there are too many.
    fn limit_lingering(&mut self, report: &mut dyn FnMut(Report)) {
        let lingering = self.jobs.iter().filter(|(_, job)| job.process.is_none());
        let lingering: Vec<_> = lingering.map(|(&child, _)| child).collect();
        for child in &lingering[..lingering.len().saturating_sub(MAX_LINGERING)] {
            if let Some(mut job) = self.jobs.remove(child) {
                job.end_output(report);
            }
        }
    }

    fn set_alarm(&self) {
        let processes = || self.jobs.values().filter_map(|job| job.process.as_ref());
        let kill = processes().filter_map(|process| process.kill_at).min();
        let unwatched = processes().any(|process| process.descriptor.is_none());
        let watch = unwatched.then(|| since_boot().saturating_add(WATCH));
        let alarm = [kill, watch].into_iter().flatten().min().filter(|&at| at < Duration::MAX);
        // It fails only for moments beyond what the kernel counts.
        let _ = self.events.set_alarm(alarm);
    }
}

impl AsFd for Children {
    /// Returns a descriptor that is readable when there is something to do.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.events.as_fd()
    }
}

impl Job {
    /// Reads what is there, up to so many bytes, and tells the lines that it completes.
    fn read(&mut self, most: usize, report: &mut dyn FnMut(Report)) {
        let mut buffer = [0; CHUNK];
        for _ in 0..most.div_ceil(CHUNK) {
            let Some(pipe) = &self.pipe else { return };
            match rustix::io::read(pipe, &mut buffer) {
                Ok(0) => self.pipe = None,
                Ok(read) => self.push(&buffer[..read], report),
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => return,
                Err(_) => self.pipe = None,
            }
        }
    }

    fn push(&mut self, bytes: &[u8], report: &mut dyn FnMut(Report)) {
        let (subject, kind) = (&self.subject, self.kind);
        self.output.push(bytes, &mut |line| {
            let event = CommandEvent::Printed { line };
            report(Report::Output { subject: subject.clone(), kind, event });
        });
    }

    /// Tells the line that has no end yet, and how much was dropped.
    fn end_output(&mut self, report: &mut dyn FnMut(Report)) {
        let (subject, kind) = (&self.subject, self.kind);
        let mut tell = |event| report(Report::Output { subject: subject.clone(), kind, event });
        self.output.end_line(&mut |line| tell(CommandEvent::Printed { line }));
        let bytes = self.output.take_dropped();
        if bytes > 0 {
            tell(CommandEvent::PrintedMore { bytes });
        }
    }
}

impl Process {
    /// Sends a signal to the process group. Its leader is not reaped yet, so the number is still
    /// its own.
    fn signal(&self, signal: Signal) {
        let group = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        if let Some(group) = group {
            // Nobody may be left, or somebody who has become another user: nothing to be done.
            let _ = kill_process_group(group, signal);
        }
    }

    /// Reaps the child if it has ended, and tells how.
    fn try_exit(&mut self) -> Option<Exit> {
        if self.kill_at.is_some() && self.has_ended() {
            self.signal(Signal::KILL);
        }
        match self.child.try_wait() {
            Ok(status) => status.map(exit_of),
            Err(error) => Some(Exit::NotRun(format!("how it ended is lost ({error})"))),
        }
    }

    /// Tells whether the child has ended, without reaping it.
    fn has_ended(&self) -> bool {
        use rustix::process::{WaitId, WaitIdOptions, waitid};
        let pid = i32::try_from(self.child.id()).ok().and_then(Pid::from_raw);
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        pid.is_some_and(|pid| matches!(waitid(WaitId::Pid(pid), options), Ok(Some(_))))
    }
}

fn command(spawn: &Spawn, output: OwnedFd) -> io::Result<Command> {
    let mut command = Command::new("/bin/sh");
    command.arg("-c").arg(&spawn.command).current_dir("/").process_group(0);
    command.env_clear().env("PATH", PATH).env("LANG", "C");
    command.env("KNOCK_IP", spawn.source.to_string());
    command.env("KNOCK_NET", spawn.network.to_string());
    command.env("KNOCK_DOOR", &spawn.door);
    command.stdin(Stdio::null()).stderr(output.try_clone()?).stdout(output);
    Ok(command)
}

/// Makes the writing end of a pipe one that can be read, too, so that writing never fails for want
/// of a reader. Without `/proc` it stays as it is.
fn unbreakable(write: OwnedFd) -> OwnedFd {
    let path = format!("/proc/self/fd/{}", write.as_raw_fd());
    rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).unwrap_or(write)
}

fn descriptor_of(child: &Child) -> Option<OwnedFd> {
    let pid = i32::try_from(child.id()).ok().and_then(Pid::from_raw)?;
    pidfd_open(pid, PidfdFlags::empty()).ok()
}

fn exit_of(status: ExitStatus) -> Exit {
    match (status.code(), status.signal()) {
        (Some(code), _) => Exit::Status(code),
        (None, signal) => Exit::Signal(signal.unwrap_or(0)),
    }
}

fn since_boot() -> Duration {
    let clock = Clock::from_boot(Timestamp::from_nanos(0));
    clock.since_boot(clock.now())
}

const fn process_token(child: ChildId) -> u64 {
    child.0 << 1
}

const fn pipe_token(child: ChildId) -> u64 {
    (child.0 << 1) | 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_without_a_descriptor_is_looked_after_by_the_alarm() {
        let (mut children, mut events) = (Children::new().unwrap(), EventLoop::new().unwrap());
        events.register(&children, 0, Interest::Readable).unwrap();
        let spawn = Spawn {
            child: ChildId(1),
            kind: CommandKind::Stop,
            command: "exit 3".to_owned(),
            door: "ssh".to_owned(),
            source: "192.0.2.7".parse().unwrap(),
            network: "192.0.2.7/32".parse().unwrap(),
        };
        children.spawn(&spawn).unwrap();
        let process = children.jobs.get_mut(&ChildId(1)).unwrap().process.as_mut().unwrap();
        process.descriptor = None;
        children.set_alarm();
        let mut reports = Vec::new();
        while reports.is_empty() {
            events.wait(&mut Vec::new()).unwrap();
            children.handle_ready(&mut |report| reports.push(report));
        }
        assert_eq!(reports, [Report::Exited { child: ChildId(1), exit: Exit::Status(3) }]);
        assert!(children.jobs.is_empty());
    }
}
