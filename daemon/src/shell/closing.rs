//! The end: what is still done when the daemon is asked to stop, and `--close-all`.

use std::time::Duration;

use anyhow::Context as _;
use knock_engine::config::OnStop;
use knock_engine::time::Timestamp;
use knock_frontend::notice::told;

use super::{Daemon, Hands, Token, startup};
use crate::clock::Clock;
use crate::log::Severity;
use crate::process::children::Children;
use crate::process::event_loop::{EventLoop, Interest, Ready};
use crate::settings::Settings;
use crate::supervisor::{GivenUp, Supervisor};

/// How long a daemon that is asked to stop closes doors.
const CLOSING_TIME: Duration = Duration::from_millis(800);

/// How long it then waits for the disk, for the recording and for the log, each: it must be gone
/// within a second.
pub(super) const LAST_WRITES: Duration = Duration::from_millis(60);

/// How long `--close-all` waits for the disk and the log at its end.
const PATIENCE: Duration = Duration::from_secs(5);

impl Daemon {
    /// Closes what it can, or leaves it open where the config says so. The last line of the log is
    /// goodbye, or what the daemon ends of.
    pub(super) fn stop(mut self, cause: Option<&anyhow::Error>) {
        // A service manager that is gone does not mind.
        let _ = self.notifier.stopping();
        let (now, on_stop) = (self.clock.now(), self.config.options.on_stop);
        self.supervisor.handle_stop(on_stop, now);
        let until = now.saturating_add(CLOSING_TIME);
        let settled = settle(&mut self.supervisor, &mut self.hands, until);
        if let Err(error) = settled {
            self.hands.notice(Severity::Error, format!("cannot wait for commands: {error:#}"));
        }
        let left = self.supervisor.open_doors();
        if left > 0 {
            let why = match on_stop {
                OnStop::Close => "could not be closed in time",
                OnStop::Keep => "stay open (OnStop = keep)",
            };
            let (doors, are) = if left == 1 { ("door", "is") } else { ("doors", "are") };
            let text = format!(
                "{left} {doors} {why}; what is owed to them {are} in the ledger: the next start, \
                 or knockd --close-all, sees to it"
            );
            self.hands.notice(Severity::Warning, text);
        }
        match cause {
            None => self.hands.notice(Severity::Info, "shutting down".to_owned()),
            Some(error) => self.hands.notice(Severity::Error, told(error)),
        }
        self.hands.finish(LAST_WRITES);
    }
}

impl Hands {
    /// Waits for the last writes, but not for long.
    pub(super) fn finish(self, patience: Duration) {
        // What is not written in time is a note at worst: a stop that has run may run once more.
        let _ = self.disk.map(|disk| disk.close(patience));
        if let Some(recorder) = self.recorder {
            recorder.close(self.clock.now(), patience);
        }
        self.logger.finish(self.clock, patience);
    }
}

/// Lets commands and writes end, until nothing is left to wait for or the time is over.
///
/// # Errors
///
/// The kernel has no descriptors or no memory left.
pub(super) fn settle(
    supervisor: &mut Supervisor,
    hands: &mut Hands,
    until: Timestamp,
) -> anyhow::Result<()> {
    let mut events = EventLoop::new().context("cannot wait for events")?;
    if let Some(disk) = &hands.disk {
        events.register(disk, Token::Disk.number(), Interest::Readable)?;
    }
    events.register(&hands.children, Token::Children.number(), Interest::Readable)?;
    let mut ready = Vec::new();
    hands.carry_out(supervisor);
    while !supervisor.is_finished() && hands.clock.now() < until {
        let next = supervisor.poll_timeout().map_or(until, |at| at.min(until));
        events.set_alarm(Some(hands.clock.since_boot(next)))?;
        events.wait(&mut ready)?;
        for event in ready.drain(..) {
            if event == Ready::Token(Token::Disk.number()) {
                hands.take_answers(supervisor);
            } else if event == Ready::Token(Token::Children.number()) {
                hands.look_after_children(supervisor);
            }
        }
        supervisor.handle_timeout(hands.clock.now());
        hands.carry_out(supervisor);
    }
    Ok(())
}

/// Runs the stop command of every door in the ledger, those that failed for good among them.
/// Returns how many doors are left.
///
/// # Errors
///
/// A daemon has the ledger, it can't be read, or the kernel fails.
pub fn close_all(settings: &Settings) -> anyhow::Result<usize> {
    let clock = Clock::start();
    let logger = startup::open_log(&settings.log)?;
    let (disk, recovered, next_hold) = startup::open_ledger(settings, clock)?;
    let children = Children::new().context("cannot wait for children")?;
    let recorder = None;
    let mut hands = Hands { clock, disk, recorder, children, logger, reads_again: false };
    for damage in recovered.damage {
        hands.notice(Severity::Error, format!("the ledger is damaged: {damage}"));
    }
    let (limits, mode) = (startup::limits(settings), startup::mode(settings));
    let mut supervisor = Supervisor::new(limits, mode, next_hold);
    let now = clock.now();
    supervisor.recover(recovered.entries, GivenUp::TryOnce, now);
    supervisor.handle_stop(OnStop::Close, now);
    // Each stop runs at most once, and is killed when its time is over.
    settle(&mut supervisor, &mut hands, Timestamp::MAX)?;
    let left = supervisor.open_doors();
    hands.finish(PATIENCE);
    Ok(left)
}
