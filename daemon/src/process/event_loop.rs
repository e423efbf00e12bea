//! The one place where the daemon waits.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use rustix::buffer::spare_capacity;
use rustix::event::epoll;
use rustix::io::Errno;
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};

/// How many descriptors one wake-up tells of; the others are told next time.
const BATCH: usize = 64;

/// The token of the alarm, which no descriptor may have.
const ALARM: u64 = u64::MAX;

/// Descriptors to wait for, and one alarm.
///
/// It is level-triggered: what is left unread is told again. An event loop is a descriptor itself,
/// so one can be waited for in another.
pub struct EventLoop {
    epoll: OwnedFd,
    alarm: OwnedFd,
    events: Vec<epoll::Event>,
}

/// What a descriptor is waited for. An error or a hang-up wakes in any case.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Interest {
    /// It has something to read, or its other end is gone.
    Readable,
    /// It takes something to write.
    Writable,
}

/// What there is to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// The alarm has gone off; it is disarmed.
    Alarm,
    /// The descriptor with this token is ready, or has failed: using it tells.
    Token(u64),
}

impl EventLoop {
    /// Makes one that waits for nothing yet, its alarm disarmed.
    ///
    /// # Errors
    ///
    /// Fails where the kernel has no descriptors or no memory left.
    pub fn new() -> io::Result<Self> {
        let epoll = epoll::create(epoll::CreateFlags::CLOEXEC)?;
        let flags = TimerfdFlags::CLOEXEC | TimerfdFlags::NONBLOCK;
        let alarm = timerfd_create(TimerfdClockId::Boottime, flags)?;
        epoll::add(&epoll, &alarm, epoll::EventData::new_u64(ALARM), epoll::EventFlags::IN)?;
        Ok(Self { epoll, alarm, events: Vec::with_capacity(BATCH) })
    }

    /// Begins to wait for a descriptor. Closing its last copy ends that, too.
    ///
    /// # Errors
    ///
    /// Fails where the descriptor is registered already, where it is a regular file, or where the
    /// kernel takes no more.
    ///
    /// # Panics
    ///
    /// Panics if the token is `u64::MAX`, which is the alarm's.
    pub fn register(&self, fd: impl AsFd, token: u64, interest: Interest) -> io::Result<()> {
        assert!(token != ALARM, "the largest token is the alarm's");
        Ok(epoll::add(&self.epoll, fd, epoll::EventData::new_u64(token), interest.flags())?)
    }

    /// Waits no more for a descriptor.
    ///
    /// # Errors
    ///
    /// Fails where the descriptor is not registered.
    pub fn unregister(&self, fd: impl AsFd) -> io::Result<()> {
        Ok(epoll::delete(&self.epoll, fd)?)
    }

    /// Sets the alarm to a moment, or disarms it. The moment is counted from boot, suspends
    /// included (`CLOCK_BOOTTIME`); one in the past goes off at once.
    ///
    /// # Errors
    ///
    /// Fails where the moment is beyond what the kernel can count.
    pub fn set_alarm(&self, since_boot: Option<Duration>) -> io::Result<()> {
        // To the kernel a moment of zero means "disarm".
        let at = since_boot.map_or(Duration::ZERO, |at| at.max(Duration::from_nanos(1)));
        let value = Timespec::try_from(at).map_err(|_| Errno::INVAL)?;
        let never = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval: never, it_value: value };
        timerfd_settime(&self.alarm, TimerfdTimerFlags::ABSTIME, &spec)?;
        Ok(())
    }

    /// Sleeps until something is ready, and writes what it is to `ready`, whatever was there.
    ///
    /// A signal handler that has run in between doesn't end the sleep.
    ///
    /// # Errors
    ///
    /// Fails only where the kernel is out of memory.
    pub fn wait(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.collect(ready, None)
    }

    /// Does as [`EventLoop::wait`], but never sleeps.
    ///
    /// # Errors
    ///
    /// Fails only where the kernel is out of memory.
    pub fn poll(&mut self, ready: &mut Vec<Ready>) -> io::Result<()> {
        self.collect(ready, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))
    }

    fn collect(&mut self, ready: &mut Vec<Ready>, timeout: Option<&Timespec>) -> io::Result<()> {
        ready.clear();
        self.events.clear();
        loop {
            match epoll::wait(&self.epoll, spare_capacity(&mut self.events), timeout) {
                Ok(_) => break,
                Err(Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
        for event in &self.events {
            match { event.data }.u64() {
                ALARM => {
                    // Reading disarms it; that it was set anew since is no error.
                    let mut expirations = [0; 8];
                    if rustix::io::read(&self.alarm, &mut expirations).is_ok() {
                        ready.push(Ready::Alarm);
                    }
                }
                token => ready.push(Ready::Token(token)),
            }
        }
        Ok(())
    }
}

impl AsFd for EventLoop {
    /// Returns a descriptor that is readable while something is ready.
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.epoll.as_fd()
    }
}

impl Interest {
    const fn flags(self) -> epoll::EventFlags {
        match self {
            Self::Readable => epoll::EventFlags::IN,
            Self::Writable => epoll::EventFlags::OUT,
        }
    }
}
