//! One opening of a door for a source, from the engine's action to the end of its stop.

use std::net::IpAddr;
use std::time::Duration;

use ipnet::IpNet;
use knock_engine::config::Door;
use knock_engine::time::Timestamp;

use super::effect::{ChildId, WriteId};
use crate::ledger::{Entry, StartOutcome};
use crate::log::{Exit, Subject};

/// The most tries of a stop that fails by itself.
const MAX_TRIES: u32 = 10;

/// How long to wait before each further try of such a stop: ten tries in ten minutes.
const DELAYS_S: [u64; 9] = [1, 2, 5, 12, 30, 60, 110, 160, 220];

/// The longest wait before a stop is tried again that something else kept from working.
const LONGEST_BACKOFF: Duration = Duration::from_secs(60);

/// What xtables programs exit with when somebody else holds their lock for too long.
const XTABLES_LOCKED: i32 = 4;

/// The expanded commands of a hold.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct HoldCommands {
    /// `None` for a hold that a ledger told of: its start has run.
    pub(super) start: Option<String>,
    pub(super) stop: Option<String>,
    pub(super) check: Option<String>,
}

/// Where a hold is in its life.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its one-time sequence is being marked as used (S12).
    Marking(WriteId),
    /// Its stop is being written to the ledger.
    Recording(WriteId),
    /// Its start waits for its turn.
    Waiting,
    /// Its start runs.
    Starting(ChildId),
    /// The door is open.
    Open,
    /// Its check waits for its turn.
    CheckWaiting,
    /// Its check runs.
    Checking(ChildId),
    /// Its stop waits for its turn.
    Due,
    /// Its stop runs.
    Stopping(ChildId),
    /// Its stop has failed and is tried again at a time of its own.
    Backoff,
}

/// One opening of a door for a source.
#[derive(Clone, Debug)]
pub(super) struct Hold {
    pub(super) subject: Subject,
    pub(super) network: IpNet,
    pub(super) commands: HoldCommands,
    /// When its stop is due; `None` for a door without a stop command.
    pub(super) deadline: Option<Timestamp>,
    pub(super) phase: Phase,
    /// How its start ended; `None` where it may or may not have run.
    pub(super) started: Option<StartOutcome>,
    /// Whether its deadline came while its start or check ran.
    pub(super) is_due: bool,
    /// Whether a ledger told of it, so that the engine knows nothing of its end.
    pub(super) is_recovered: bool,
    /// Whether a stop that fails by itself has nothing left to do: the start failed, or the stop
    /// may have run before.
    pub(super) is_lenient: bool,
    /// How often its stop has failed by itself.
    failures: u32,
    /// How often something else kept its stop from working.
    hindrances: u32,
}

/// What to do about a stop that has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// Nothing is owed any more.
    Settled,
    /// Try again, after this long; the number of the try to come.
    Again { delay: Duration, attempt: u32 },
    /// Leave it to people, after so many tries.
    GiveUp { attempts: u32 },
}

impl Hold {
    /// Makes the hold of a knock that has just completed.
    pub(super) fn new(door: &Door, source: IpAddr, deadline: Option<Timestamp>) -> Self {
        let expand = |command: &knock_engine::config::Command| command.expand(source, door.grant);
        let commands = HoldCommands {
            start: door.start_command(source).map(expand),
            stop: door.stop_command(source).map(expand),
            check: door.check_command(source).map(expand),
        };
        let subject = Subject { door: door.name.clone(), source };
        let deadline = deadline.filter(|_| commands.stop.is_some());
        Self::waiting(subject, door.grant.network(source), commands, deadline)
    }

    /// Makes a hold for the same, anew, until another deadline.
    pub(super) fn again(&self, deadline: Timestamp) -> Self {
        let (subject, commands) = (self.subject.clone(), self.commands.clone());
        Self::waiting(subject, self.network, commands, Some(deadline))
    }

    /// Makes the hold that a ledger tells of. One of an earlier boot is due at once.
    pub(super) fn recovered(entry: Entry, now: Timestamp) -> Self {
        let Entry { door, source, network, stop, deadline, started, stop_begun, .. } = entry;
        let commands = HoldCommands { start: None, stop: Some(stop), check: None };
        let until = Some(deadline.unwrap_or(now));
        Self {
            phase: Phase::Open,
            started,
            is_recovered: true,
            is_lenient: stop_begun || deadline.is_none() || started == Some(StartOutcome::Failed),
            ..Self::waiting(Subject { door, source }, network, commands, until)
        }
    }

    /// Makes a hold of which nothing has happened yet.
    fn waiting(
        subject: Subject,
        network: IpNet,
        commands: HoldCommands,
        deadline: Option<Timestamp>,
    ) -> Self {
        Self {
            subject,
            network,
            commands,
            deadline,
            phase: Phase::Waiting,
            started: None,
            is_due: false,
            is_recovered: false,
            is_lenient: false,
            failures: 0,
            hindrances: 0,
        }
    }

    /// Tells whether its start has not begun to run.
    pub(super) const fn is_unstarted(&self) -> bool {
        matches!(self.phase, Phase::Marking(_) | Phase::Recording(_) | Phase::Waiting)
            && self.started.is_none()
    }

    /// Tells whether it holds the door open, or is about to, with no end yet.
    pub(super) const fn is_live(&self) -> bool {
        let is_ending = matches!(self.phase, Phase::Due | Phase::Stopping(_) | Phase::Backoff);
        !is_ending && !self.is_due
    }

    /// Decides what comes of a stop that has ended.
    pub(super) fn judge_stop(&mut self, exit: &Exit) -> Verdict {
        match exit {
            Exit::Status(0) => Verdict::Settled,
            Exit::Status(XTABLES_LOCKED) | Exit::Signal(_) | Exit::TimedOut | Exit::NotRun(_) => {
                let delay = Duration::from_secs(1 << self.hindrances.min(6)).min(LONGEST_BACKOFF);
                self.hindrances = self.hindrances.saturating_add(1);
                Verdict::Again { delay, attempt: self.tries() + 1 }
            }
            Exit::Status(_) if self.is_lenient => Verdict::Settled,
            Exit::Status(_) => {
                let delay = usize::try_from(self.failures).ok().and_then(|nth| DELAYS_S.get(nth));
                self.failures += 1;
                match delay {
                    Some(seconds) if self.failures < MAX_TRIES => Verdict::Again {
                        delay: Duration::from_secs(*seconds),
                        attempt: self.tries() + 1,
                    },
                    _ => Verdict::GiveUp { attempts: self.tries() },
                }
            }
        }
    }

    fn tries(&self) -> u32 {
        self.failures.saturating_add(self.hindrances)
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;
    use crate::ledger::HoldId;

    fn hold(started: StartOutcome) -> Hold {
        let source = IpAddr::V4(Ipv4Addr::LOCALHOST);
        let entry = Entry {
            hold: HoldId(1),
            door: "ssh".to_owned(),
            source,
            network: source.into(),
            stop: "false".to_owned(),
            deadline: Some(Timestamp::from_nanos(5)),
            started: Some(started),
            stop_begun: false,
            given_up: false,
        };
        Hold::recovered(entry, Timestamp::ZERO)
    }

    #[test]
    fn a_stop_that_fails_by_itself_is_tried_ten_times_in_ten_minutes() {
        let mut hold = hold(StartOutcome::Done);
        let mut waited = Duration::ZERO;
        for expected in 2..=10 {
            let Verdict::Again { delay, attempt } = hold.judge_stop(&Exit::Status(1)) else {
                panic!("try {expected} must come")
            };
            assert_eq!(attempt, expected);
            waited += delay;
        }
        assert_eq!(hold.judge_stop(&Exit::Status(1)), Verdict::GiveUp { attempts: 10 });
        assert_eq!(waited, Duration::from_secs(600));
    }

    #[test]
    fn a_stop_that_something_hinders_is_tried_for_ever_and_never_less_than_once_a_minute() {
        for exit in
            [Exit::Status(4), Exit::Signal(9), Exit::TimedOut, Exit::NotRun("EAGAIN".to_owned())]
        {
            let mut hold = hold(StartOutcome::Failed);
            let mut last = Duration::ZERO;
            for expected in 2..1000 {
                let Verdict::Again { delay, attempt } = hold.judge_stop(&exit) else {
                    panic!("try {expected} must come")
                };
                assert_eq!(attempt, expected);
                assert!(delay >= last && delay <= LONGEST_BACKOFF);
                last = delay;
            }
            assert_eq!(last, LONGEST_BACKOFF);
        }
    }

    #[test]
    fn the_stop_of_a_failed_start_runs_once() {
        assert_eq!(hold(StartOutcome::Failed).judge_stop(&Exit::Status(1)), Verdict::Settled);
    }
}
