//! Waiting: descriptors, the alarm, and signals as something to wait for.

#![expect(clippy::unwrap_used, reason = "a test's helper has nobody to tell but the test")]

use std::io::Write as _;
use std::time::Duration;

use knock_engine::time::Timestamp;
use knockd::clock::Clock;
use knockd::process::event_loop::{EventLoop, Interest, Ready};
use knockd::process::signals::{Asked, Signals};
use rustix::process::{Signal, getpid, kill_process};

fn since_boot() -> Duration {
    let clock = Clock::from_boot(Timestamp::from_nanos(0));
    clock.since_boot(clock.now())
}

#[test]
fn what_is_ready_is_told_by_its_token_until_it_is_read() {
    let (mut events, mut ready) = (EventLoop::new().unwrap(), Vec::new());
    let (read, mut write) = std::io::pipe().unwrap();
    let (quiet, _keep) = std::io::pipe().unwrap();
    events.register(&read, 7, Interest::Readable).unwrap();
    events.register(&quiet, 8, Interest::Readable).unwrap();
    events.poll(&mut ready).unwrap();
    assert_eq!(ready, []);
    write.write_all(b"x").unwrap();
    for _ in 0..2 {
        events.wait(&mut ready).unwrap();
        assert_eq!(ready, [Ready::Token(7)]);
    }
    drop(write);
    rustix::io::read(&read, &mut [0; 8]).unwrap();
    events.wait(&mut ready).unwrap();
    assert_eq!(ready, [Ready::Token(7)], "a hang-up wakes, too");
    events.unregister(&read).unwrap();
    events.poll(&mut ready).unwrap();
    assert_eq!(ready, []);
}

#[test]
fn writable_is_told_where_it_is_asked_for() {
    let (mut events, mut ready) = (EventLoop::new().unwrap(), Vec::new());
    let (_read, write) = std::io::pipe().unwrap();
    events.register(&write, 1, Interest::Writable).unwrap();
    events.wait(&mut ready).unwrap();
    assert_eq!(ready, [Ready::Token(1)]);
}

#[test]
fn the_alarm_goes_off_once_and_not_before_its_moment() {
    let (mut events, mut ready) = (EventLoop::new().unwrap(), Vec::new());
    let at = since_boot() + Duration::from_millis(30);
    events.set_alarm(Some(at)).unwrap();
    events.poll(&mut ready).unwrap();
    assert_eq!(ready, []);
    events.wait(&mut ready).unwrap();
    assert_eq!(ready, [Ready::Alarm]);
    assert!(since_boot() >= at);
    events.poll(&mut ready).unwrap();
    assert_eq!(ready, [], "it is disarmed");
}

#[test]
fn an_alarm_in_the_past_goes_off_at_once_and_a_disarmed_one_never() {
    let (mut events, mut ready) = (EventLoop::new().unwrap(), Vec::new());
    for past in [Duration::ZERO, Duration::from_secs(1)] {
        events.set_alarm(Some(past)).unwrap();
        events.wait(&mut ready).unwrap();
        assert_eq!(ready, [Ready::Alarm]);
    }
    events.set_alarm(Some(Duration::ZERO)).unwrap();
    events.set_alarm(None).unwrap();
    events.poll(&mut ready).unwrap();
    assert_eq!(ready, []);
}

#[test]
fn one_event_loop_can_wait_for_another() {
    let (mut outer, mut inner) = (EventLoop::new().unwrap(), EventLoop::new().unwrap());
    let mut ready = Vec::new();
    outer.register(&inner, 3, Interest::Readable).unwrap();
    outer.poll(&mut ready).unwrap();
    assert_eq!(ready, []);
    inner.set_alarm(Some(Duration::ZERO)).unwrap();
    outer.wait(&mut ready).unwrap();
    assert_eq!(ready, [Ready::Token(3)]);
    inner.poll(&mut ready).unwrap();
    outer.poll(&mut ready).unwrap();
    assert_eq!(ready, []);
}

#[test]
fn signals_are_read_from_a_descriptor_and_end_nothing() {
    let signals = Signals::catch().unwrap();
    let (mut events, mut ready) = (EventLoop::new().unwrap(), Vec::new());
    events.register(&signals, 5, Interest::Readable).unwrap();
    assert_eq!(signals.take(), Asked::default());
    let reload = Asked { reload: true, stop: false };
    let stop = Asked { reload: false, stop: true };
    for (signal, asked) in [(Signal::HUP, reload), (Signal::TERM, stop), (Signal::INT, stop)] {
        kill_process(getpid(), signal).unwrap();
        let mut seen = Asked::default();
        while seen == Asked::default() {
            wait(&mut events, &mut ready);
            assert_eq!(ready, [Ready::Token(5)]);
            seen = signals.take();
        }
        assert_eq!(seen, asked, "{signal:?}");
    }
    // More of them than the reader takes at once: some are one, but the last is not lost.
    for _ in 0..1000 {
        kill_process(getpid(), Signal::HUP).unwrap();
    }
    kill_process(getpid(), Signal::TERM).unwrap();
    while !signals.take().stop {
        wait(&mut events, &mut ready);
    }
}

/// Waits, but not for ever.
fn wait(events: &mut EventLoop, ready: &mut Vec<Ready>) {
    events.set_alarm(Some(since_boot() + Duration::from_secs(20))).unwrap();
    events.wait(ready).unwrap();
    assert!(!ready.contains(&Ready::Alarm), "nothing happens");
}
