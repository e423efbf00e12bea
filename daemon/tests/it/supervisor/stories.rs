//! What the supervisor does, told step by step.

use std::time::Duration;

use knock_engine::config::OnStop;
use knockd::log::Exit;

use super::world::World;

const SECOND: Duration = Duration::from_secs(1);

#[test]
fn a_door_opens_when_its_stop_is_safe_and_closes_at_its_deadline() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    assert!(world.children.is_empty(), "nothing runs before the ledger has its stop");
    world.answer_write(Ok(()));
    world.work();
    assert!(world.is_open("counted", 7));
    world.advance(10 * SECOND);
    world.work();
    assert!(!world.is_open("counted", 7));
    assert_eq!(world.owed(), []);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_door_stays_shut_where_its_stop_can_t_be_written_and_the_log_says_so_once_a_minute() {
    let mut world = World::new(4);
    for source in 0..5 {
        world.knock(source, 7000);
        world.answer_write(Err("no space left on device".to_owned()));
        world.advance(20 * SECOND);
    }
    assert!(world.children.is_empty());
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_second_knock_keeps_the_door_open_and_runs_nothing() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    world.work();
    world.advance(6 * SECOND);
    world.knock(7, 7000);
    world.work();
    world.advance(6 * SECOND);
    world.work();
    assert!(world.is_open("counted", 7), "the first deadline has passed");
    world.advance(4 * SECOND);
    world.work();
    assert!(!world.is_open("counted", 7));
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_flushed_firewall_is_noticed_by_the_check_at_the_next_knock() {
    let mut world = World::new(4);
    world.knock(7, 8000);
    world.work();
    world.flush();
    world.advance(SECOND);
    world.knock(7, 8000);
    world.work();
    assert!(world.is_open("set", 7), "the start ran again");
    world.settle();
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_stop_in_backoff_never_delays_the_next_start_nor_takes_its_door_away() {
    let mut world = World::new(4);
    world.knock(7, 8000);
    world.work();
    world.advance(10 * SECOND);
    world.answer_write(Ok(()));
    world.end_child(0, Some(Exit::Status(4)));
    world.knock(7, 8000);
    world.work();
    assert!(world.is_open("set", 7));
    world.advance(5 * SECOND);
    world.work();
    assert!(world.is_open("set", 7), "the older stop waits while the door is open rightly");
    world.settle();
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_stop_that_was_hindered_before_a_crash_does_not_take_a_newer_door_away() {
    let mut world = World::new(4);
    world.knock(7, 8000);
    world.work();
    world.advance(10 * SECOND);
    world.answer_write(Ok(()));
    world.end_child(0, Some(Exit::Status(4)));
    world.knock(7, 8000);
    world.work();
    world.advance(SECOND);
    world.crash(9, 0, false);
    world.work();
    world.advance(5 * SECOND);
    world.work();
    assert!(world.is_open("set", 7), "the older stop waits while the door is open rightly");
    world.settle();
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_start_that_fails_has_its_stop_run_once_at_the_deadline() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    world.answer_write(Ok(()));
    world.end_child(0, Some(Exit::Status(2)));
    world.settle();
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_stop_that_hangs_is_killed_and_tried_again() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    world.work();
    world.advance(10 * SECOND);
    assert_eq!(world.children.len(), 1);
    world.advance(30 * SECOND);
    assert_eq!(world.killed.len(), 1, "after command_timeout");
    world.end_child(0, None);
    assert!(world.is_open("counted", 7));
    world.settle();
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_start_alone_may_take_as_long_as_it_likes() {
    let mut world = World::new(4);
    world.knock(7, 9000);
    world.advance(300 * SECOND);
    assert_eq!(world.killed.len(), 0);
    world.settle();
    insta::assert_snapshot!(world.trace);
}

#[test]
fn stops_run_though_every_slot_is_taken_by_starts() {
    let mut world = World::new(1);
    world.knock(7, 7000);
    world.work();
    world.knock(1, 9000);
    world.knock(2, 9000);
    assert_eq!(world.children.len(), 1, "one start runs, for ever");
    world.advance(10 * SECOND);
    assert_eq!(world.children.len(), 2, "and yet the stop runs");
    world.end_child(1, None);
    assert!(!world.is_open("counted", 7));
}

#[test]
fn a_start_older_than_its_lease_is_dropped() {
    let mut world = World::new(1);
    world.knock(1, 9000);
    world.knock(7, 7000);
    world.answer_write(Ok(()));
    world.advance(11 * SECOND);
    world.settle();
    assert!(!world.trace.contains("runs add"), "{}", world.trace);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn after_a_crash_the_door_closes_at_its_deadline_and_its_knocker_may_stay_longer() {
    let mut world = World::new(4);
    world.knock(7, 8000);
    world.work();
    world.advance(4 * SECOND);
    world.crash(0, 0, false);
    world.advance(SECOND);
    world.knock(7, 8000);
    world.work();
    world.advance(7 * SECOND);
    world.work();
    assert!(world.is_open("set", 7), "renewed, though the engine knew nothing of it");
    world.advance(3 * SECOND);
    world.work();
    assert!(!world.is_open("set", 7));
    assert_eq!(world.owed(), []);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn where_a_start_may_have_run_a_new_knock_has_its_stop_run_first() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    world.answer_write(Ok(()));
    world.crash(0, 0xff, false);
    world.advance(SECOND);
    world.knock(7, 7000);
    world.settle();
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_start_that_failed_runs_again_behind_its_stop() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    world.answer_write(Ok(()));
    world.end_child(0, Some(Exit::Status(2)));
    world.advance(SECOND);
    world.knock(7, 7000);
    world.work();
    assert_eq!(world.count("counted", 7), 1);
    world.settle();
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_second_run_of_a_failed_start_is_not_taken_for_the_first_after_a_crash() {
    let mut world = World::new(1);
    world.knock(7, 7000);
    world.answer_write(Ok(()));
    world.end_child(0, Some(Exit::Status(4)));
    world.crash(1, 0, false);
    for _ in 0..2 {
        world.knock(7, 7000);
        world.work();
        world.crash(9, 0xff, false);
    }
    world.knock(7, 7000);
    world.settle();
}

#[test]
fn after_a_boot_every_stop_runs_once() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    world.work();
    world.crash(0, 0, true);
    world.work();
    assert_eq!(world.owed(), []);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_stopping_daemon_closes_what_is_open_and_starts_nothing() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    world.work();
    world.knock(8, 7000);
    assert!(!world.stop(OnStop::Close));
    world.work();
    assert!(world.is_finished());
    assert!(!world.is_open("counted", 7) && !world.is_open("counted", 8));
    assert_eq!(world.owed(), []);
    insta::assert_snapshot!(world.trace);
}

#[test]
fn a_stopping_daemon_can_leave_its_doors_open() {
    let mut world = World::new(4);
    world.knock(7, 7000);
    world.work();
    assert!(world.stop(OnStop::Keep));
    assert!(world.is_open("counted", 7));
    assert_eq!(world.owed().len(), 1);
}
