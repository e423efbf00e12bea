//! The end: what is still done when the daemon is asked to stop.

use std::time::Duration;

use knock_engine::config::OnStop;
use knock_engine::time::Timestamp;
use knock_frontend::notice::told;

use super::{Daemon, Hands, World};
use crate::log::Severity;
use crate::supervisor::Supervisor;

/// How long a daemon that is asked to stop closes doors.
const CLOSING_TIME: Duration = Duration::from_millis(800);

/// How long it then waits for the disk, for the recording and for the log, each: it must be gone
/// within a second.
pub const LAST_WRITES: Duration = Duration::from_millis(60);

/// Lets commands and writes end, until nothing is left to wait for or the time is over.
pub struct Closing<'a, W> {
    supervisor: &'a mut Supervisor,
    /// What carries effects out.
    pub hands: &'a mut Hands<W>,
    until: Timestamp,
}

impl<'a, W: World> Closing<'a, W> {
    /// Begins; what the supervisor wants done by now is done.
    pub fn begin(
        supervisor: &'a mut Supervisor,
        hands: &'a mut Hands<W>,
        until: Timestamp,
    ) -> Self {
        hands.carry_out(supervisor);
        Self { supervisor, hands, until }
    }

    /// Returns until when to wait for an answer or the end of a command; `None` where it is over.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let is_over = self.supervisor.is_finished() || self.hands.world.now() >= self.until;
        let next = self.supervisor.poll_timeout().map_or(self.until, |at| at.min(self.until));
        (!is_over).then_some(next)
    }

    /// Takes what has come, and does what is due by now.
    pub fn turn(&mut self) {
        self.hands.take_answers(self.supervisor);
        self.hands.look_after_children(self.supervisor);
        self.supervisor.handle_timeout(self.hands.world.now());
        self.hands.carry_out(self.supervisor);
    }
}

impl<W: World> Daemon<W> {
    /// Begins to close what it can, or to leave it open where the config says so.
    pub fn close(&mut self) -> Closing<'_, W> {
        let (now, on_stop) = (self.hands.world.now(), self.config.options.on_stop);
        self.supervisor.handle_stop(on_stop, now);
        let until = now.saturating_add(CLOSING_TIME);
        Closing::begin(&mut self.supervisor, &mut self.hands, until)
    }

    /// Says what is left open. The last line of the log is goodbye, or what the daemon ends of.
    pub fn say_goodbye(&mut self, cause: Option<&anyhow::Error>) {
        let left = self.supervisor.open_doors();
        if left > 0 {
            let why = match self.config.options.on_stop {
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
    }
}
