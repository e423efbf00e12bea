//! The end on a real machine, and `--close-all`.

use std::time::Duration;

use anyhow::Context as _;
use knock_engine::config::OnStop;
use knock_engine::time::Timestamp;

use super::machine::Machine;
use super::{Shell, Token, startup};
use crate::clock::Clock;
use crate::daemon::{Closing, Hands, LAST_WRITES, World as _, limits, mode};
use crate::log::Severity;
use crate::process::children::Children;
use crate::process::event_loop::{EventLoop, Interest};
use crate::settings::Settings;
use crate::supervisor::{GivenUp, Supervisor};

/// How long `--close-all` waits for the disk and the log at its end.
const PATIENCE: Duration = Duration::from_secs(5);

impl Shell {
    /// Closes what it can, and says what it can't.
    pub(super) fn stop(mut self, cause: Option<&anyhow::Error>) {
        // A service manager that is gone does not mind.
        let _ = self.notifier.stopping();
        let settled = settle(self.daemon.close());
        if let Err(error) = settled {
            let text = format!("cannot wait for commands: {error:#}");
            self.daemon.hands.notice(Severity::Error, text);
        }
        self.daemon.say_goodbye(cause);
        finish(self.daemon.hands, LAST_WRITES);
    }
}

/// Waits for the last writes, but not for long.
fn finish(mut hands: Hands<Machine>, patience: Duration) {
    // What is not written in time is a note at worst: a stop that has run may run once more.
    let _ = hands.world.disk.take().map(|disk| disk.close(patience));
    let now = hands.world.now();
    hands.close_recording(now, patience);
    hands.world.logger.finish(hands.world.clock, patience);
}

/// Lets commands and writes end.
///
/// # Errors
///
/// The kernel has no descriptors or no memory left.
fn settle(mut closing: Closing<'_, Machine>) -> anyhow::Result<()> {
    let mut events = EventLoop::new().context("cannot wait for events")?;
    let machine = &closing.hands.world;
    if let Some(disk) = &machine.disk {
        events.register(disk, Token::Disk.number(), Interest::Readable)?;
    }
    events.register(&machine.children, Token::Children.number(), Interest::Readable)?;
    let mut ready = Vec::new();
    while let Some(next) = closing.poll_timeout() {
        events.set_alarm(Some(closing.hands.world.clock.since_boot(next)))?;
        events.wait(&mut ready)?;
        closing.turn();
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
    let (disk, recovered, next_hold) = startup::open_disk(settings, clock)?;
    let children = Children::new().context("cannot wait for children")?;
    let machine = Machine { clock, disk, children, logger, kept: None };
    let mut hands = Hands::new(machine, None);
    for damage in recovered.damage {
        hands.notice(Severity::Error, format!("the ledger is damaged: {damage}"));
    }
    let mut supervisor = Supervisor::new(limits(settings), mode(settings), next_hold);
    let now = clock.now();
    supervisor.recover(recovered.entries, GivenUp::TryOnce, now);
    supervisor.handle_stop(OnStop::Close, now);
    // Each stop runs at most once, and is killed when its time is over.
    settle(Closing::begin(&mut supervisor, &mut hands, Timestamp::MAX))?;
    let left = supervisor.open_doors();
    finish(hands, PATIENCE);
    Ok(left)
}
