//! The shell: the daemon on a real machine, and the one loop that waits.
//!
//! One thread and one place to wait: capture sockets, children, the disk's answers, netlink,
//! signals, and one alarm for the next deadline of anybody. Nothing here decides about a knock or
//! a command; what happens in a turn of the loop is [`Daemon`]'s, whatever world it is in.

mod closing;
mod machine;
mod startup;

use std::os::fd::{AsFd as _, BorrowedFd};

use anyhow::Context as _;
use knock_engine::time::Timestamp;

pub use closing::close_all;
pub use startup::run;

use self::machine::{Machine, Sockets};
use crate::clock::Clock;
use crate::daemon::Daemon;
use crate::host::Host;
use crate::log::{Logger, Message, Severity, What};
use crate::process::event_loop::{EventLoop, Interest, Ready};
use crate::process::notify::{Notifier, Watchdog};
use crate::process::signals::{Asked, Signals};

/// What the event loop waits for, besides capture sockets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Token {
    Signals,
    Host,
    Disk,
    Children,
}

impl Token {
    /// The first number of a capture socket's token.
    const CAPTURES: u64 = 4;

    const fn number(self) -> u64 {
        self as u64
    }
}

/// The daemon on a machine.
struct Shell {
    daemon: Daemon<Machine>,
    sockets: Sockets,
    event_loop: EventLoop,
    signals: Signals,
    host: Host,
    notifier: Notifier,
    watchdog: Option<Watchdog>,
    /// When the alarm goes off, as it was last set.
    alarm: Option<Timestamp>,
}

/// Says something about the daemon itself.
fn notice(logger: &mut Logger, clock: Clock, severity: Severity, text: String) {
    let what = What::Notice { severity, text };
    logger.log(&Message { at: clock.now(), what }, clock);
}

impl Shell {
    /// Waits and works until it is asked to stop.
    fn work(&mut self) -> anyhow::Result<()> {
        let mut ready = Vec::new();
        loop {
            self.set_alarm()?;
            self.event_loop.wait(&mut ready).context("cannot wait for events")?;
            let mut asked = Asked::default();
            for event in ready.drain(..) {
                self.handle(event, &mut asked);
            }
            if self.daemon.turn(&mut self.sockets) {
                self.reconcile();
            }
            self.look_after_itself();
            if asked.stop {
                return Ok(());
            }
            if asked.reload {
                self.reload();
            }
        }
    }

    fn handle(&mut self, ready: Ready, asked: &mut Asked) {
        match ready {
            Ready::Alarm => self.alarm = None,
            Ready::Token(number) if number == Token::Signals.number() => {
                *asked = self.signals.take();
            }
            Ready::Token(number) if number == Token::Host.number() => self.follow_host(),
            Ready::Token(number) if number == Token::Disk.number() => self.daemon.take_answers(),
            Ready::Token(number) if number == Token::Children.number() => {
                self.daemon.look_after_children();
            }
            // The sockets are read in any case.
            Ready::Token(_) => {}
        }
    }

    /// Tells the service manager that it lives, and tries sockets again that could not be opened.
    fn look_after_itself(&mut self) {
        let now = self.clock().now();
        if self.watchdog.as_mut().is_some_and(|watchdog| watchdog.handle_timeout(now)) {
            // A service manager that is gone does not mind.
            let _ = self.notifier.alive();
        }
        if self.sockets.captures.next_retry().is_some_and(|at| at <= now) {
            self.reconcile();
        }
    }

    /// Has the config read anew.
    fn reload(&mut self) {
        // systemd waits for what comes of it; elsewhere nobody listens.
        let _ = self.notifier.reloading();
        self.daemon.reload(&mut self.sockets);
        self.announce();
    }

    /// Tells the service manager that the daemon is ready, and what it does.
    fn announce(&self) {
        let doors = self.daemon.config().doors.len();
        let status = format!("{doors} doors, {} held open", self.daemon.open_doors());
        // Where nobody listens any more there is nobody to tell.
        let _ = self.notifier.ready(&status);
    }

    /// Sets the alarm to the next deadline of anybody, where that has changed.
    fn set_alarm(&mut self) -> anyhow::Result<()> {
        let deadlines = [
            self.daemon.poll_timeout(),
            self.watchdog.as_ref().map(Watchdog::poll_timeout),
            self.sockets.captures.next_retry(),
        ];
        let next = deadlines.into_iter().flatten().min();
        if next != self.alarm {
            let since_boot = next.map(|at| self.clock().since_boot(at));
            self.event_loop.set_alarm(since_boot).context("cannot set the alarm")?;
            self.alarm = next;
        }
        Ok(())
    }

    /// Follows what has changed about the host.
    fn follow_host(&mut self) {
        match self.host.read_events() {
            Ok(changes) if changes.any() => {
                if changes.addresses {
                    self.daemon.set_local_addresses(self.host.network().local_addresses());
                }
                if changes.default_routes {
                    let listen = &self.daemon.settings().listen;
                    let names = startup::names_to_hear(listen, self.host.network());
                    self.sockets.captures.set_names(names);
                }
                self.reconcile();
            }
            Ok(_) => {}
            Err(error) => self.daemon.hands.notice(Severity::Error, error.to_string()),
        }
    }

    /// Makes the sockets match the host's interfaces, and says what that came to.
    fn reconcile(&mut self) {
        let now = self.clock().now();
        for change in self.sockets.captures.reconcile(self.host.network(), now) {
            self.daemon.hands.notice(change.severity(), change.to_string());
        }
        let mut failures = Vec::new();
        let mut open = Vec::new();
        for (token, fd) in self.sockets.captures.fds() {
            open.push(token);
            if !self.sockets.heard.contains(&token) {
                let number = Token::CAPTURES + token.0;
                failures.extend(self.event_loop.register(fd, number, Interest::Readable).err());
            }
        }
        open.sort_unstable();
        self.sockets.heard = open;
        for error in failures {
            let text = format!("cannot wait for packets: {error}");
            self.daemon.hands.notice(Severity::Error, text);
        }
    }

    fn register(&self) -> anyhow::Result<()> {
        let register = |fd: BorrowedFd<'_>, token: Token| {
            let registered = self.event_loop.register(fd, token.number(), Interest::Readable);
            registered.context("cannot wait for events")
        };
        register(self.signals.as_fd(), Token::Signals)?;
        register(self.host.as_fd(), Token::Host)?;
        let machine = &self.daemon.hands.world;
        register(machine.children.as_fd(), Token::Children)?;
        let disk = machine.disk.as_ref();
        disk.map_or(Ok(()), |disk| register(disk.as_fd(), Token::Disk))
    }

    const fn clock(&self) -> Clock {
        self.daemon.hands.world.clock
    }
}
