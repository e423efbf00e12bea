//! Pages about packets that are made here, for what no capture of testdata/ shows.

use std::time::Duration;

use knock_engine::config;
use knock_engine::packet::{TcpFlags, Transport};

use super::*;
use crate::report::style::Palette;

const HOME: &str = "198.51.100.7";

const SSH: &str = "[ssh]
sequence = 7000,8000,9000
seq_timeout = 5
start_command = iptables -I INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
stop_command = iptables -D INPUT -s %IP% -p tcp --dport 22 -j ACCEPT
";

/// A schedule of packets under a config.
struct Scene {
    explainer: Explainer,
    frame: u64,
}

impl Scene {
    /// Begins a scene in which these sources are explained.
    fn new(text: &str, sources: &[&str]) -> Self {
        let parsed = config::parse(text.as_bytes());
        let mut config = parsed.config.unwrap_or_else(|| panic!("{:?}", parsed.diagnostics));
        for door in 0..config.doors.len() {
            let (lines, _) = config::parse_one_time_lines(b"7000,8000\n7100,8100\n");
            config.set_one_time_lines(door, lines);
        }
        let watched = watch::Watched::these(sources.iter().map(|it| it.parse().unwrap()));
        let ports = KnockPorts::new(&config);
        let stories = Stories::new(&config, ports, watched, Others::Folded);
        Self { explainer: Explainer::new(config, LocalAddresses::Unknown, stories), frame: 0 }
    }

    /// Handles a SYN from a port of its own, so many milliseconds after the start.
    fn syn(self, ms: u64, source: &str, port: u16) -> Self {
        self.tcp(ms, source, port, TcpFlags::SYN)
    }

    fn tcp(mut self, ms: u64, source: &str, port: u16, flags: TcpFlags) -> Self {
        self.frame += 1;
        let sequence_number = u32::try_from(self.frame).unwrap();
        let packet = Packet {
            source: source.parse().unwrap(),
            destination: if source.contains(':') { "2001:db8::1" } else { "192.0.2.1" }
                .parse()
                .unwrap(),
            source_port: 40_000,
            destination_port: port,
            transport: Transport::Tcp { sequence_number, flags },
        };
        let start = Timestamp::from_nanos(1_795_341_600_000_000_000);
        let origin = Origin { trace: 0, frame: self.frame };
        self.explainer.packet(&packet, start.saturating_add(Duration::from_millis(ms)), origin);
        self
    }

    /// Handles a whole knock, 100 ms between its hits.
    fn knock(self, ms: u64, source: &str) -> Self {
        let scene = self.syn(ms, source, 7000).syn(ms + 100, source, 8000);
        scene.syn(ms + 200, source, 9000)
    }

    fn page(mut self, width: usize) -> String {
        self.explainer.finish();
        let mut page = Page::new(Palette::plain(), width, &[std::path::PathBuf::from("a.pcap")]);
        page.print(&self.explainer.stories, &self.explainer.local, Extent::Whole)
    }

    /// Returns the sentences of the page, each in one line.
    fn sentences(self) -> String {
        let page = self.page(2_000);
        let is_sentence = |line: &&str| {
            let told = line.strip_prefix("  ").unwrap_or_default();
            !told.is_empty() && !told.starts_with(|first: char| first.is_ascii_digit())
        };
        page.lines().filter(is_sentence).map(str::trim).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn a_connection_after_the_door_has_closed_is_too_late() {
    let scene = Scene::new(SSH, &[HOME]).knock(0, HOME).syn(12_700, HOME, 22);
    insta::assert_snapshot!(scene.sentences(), @"ssh  opened in 200 ms of 5 s. The guarded port 22 was tried only 2.5 s after the door had closed: connect within 10 s, or raise cmd_timeout");
    let scene = Scene::new(SSH, &[HOME]).knock(0, HOME).syn(10_200, HOME, 22);
    insta::assert_snapshot!(scene.sentences(), @"ssh  opened in 200 ms of 5 s. The guarded port 22 was tried just when the door closed: connect within 10 s, or raise cmd_timeout");
    let scene = Scene::new(SSH, &[HOME]).knock(0, HOME).syn(10_199, HOME, 22).syn(20_000, HOME, 22);
    insta::assert_snapshot!(scene.sentences(), @"ssh  opened in 200 ms of 5 s");
}

#[test]
fn the_nearest_other_source_is_named() {
    let scene = || Scene::new(SSH, &[HOME]).knock(0, HOME);
    let told = scene().syn(1_000, "203.0.113.9", 22).syn(2_000, "198.51.100.99", 22);
    insta::assert_snapshot!(told.syn(3_000, "203.0.113.9", 22).sentences(), @"ssh  opened in 200 ms of 5 s. The guarded port 22 was tried from 198.51.100.99 1.8 s after 198.51.100.7 opened it: set grant, with %NET% in the commands, or knock over the same path");
    // One before the door opened, one after it has closed, and one to another port.
    let told = Scene::new(SSH, &[HOME]).syn(0, "198.51.100.99", 22).knock(1_000, HOME);
    let told = told.syn(11_200, "198.51.100.98", 22).syn(2_000, "198.51.100.97", 443);
    insta::assert_snapshot!(told.sentences(), @"ssh  opened in 200 ms of 5 s");
    insta::assert_snapshot!(scene().syn(1_000, "2001:db8::9", 22).sentences(), @"ssh  opened in 200 ms of 5 s. The guarded port 22 was tried from 2001:db8::9 800 ms after 198.51.100.7 opened it: knock and connect over the same version of IP");
}

#[test]
fn a_grant_helps_where_the_commands_use_it() {
    let told = |config: &str| {
        let scene = Scene::new(config, &[HOME]).knock(0, HOME);
        scene.syn(1_000, "198.51.100.99", 22).sentences()
    };
    let granting = format!("{SSH}grant = 24\n");
    insta::assert_snapshot!(told(&granting.replace("%IP%", "%NET%")), @"ssh  opened in 200 ms of 5 s");
    insta::assert_snapshot!(told(&granting), @"ssh  opened in 200 ms of 5 s. The guarded port 22 was tried from 198.51.100.99 800 ms after 198.51.100.7 opened it: set grant, with %NET% in the commands, or knock over the same path");
}

#[test]
fn a_renewed_lease_lasts_longer() {
    let scene = Scene::new(SSH, &[HOME]).knock(0, HOME).knock(8_000, HOME);
    insta::assert_snapshot!(scene.syn(15_000, HOME, 22).sentences(), @"ssh  opened 2 times, the first time in 200 ms of 5 s");
}

#[test]
fn a_source_that_is_locked_out_learns_for_how_long() {
    let guarded = format!("{SSH}max_failures = 1\nlockout = 60\n");
    let scene = Scene::new(&guarded, &[HOME]).syn(0, HOME, 7000).syn(100, HOME, 9000);
    insta::assert_snapshot!(scene.knock(1_000, HOME).sentences(), @"ssh  locked out for 60 s after 1 failed attempt within 60 s: wait, or raise max_failures");
    // What comes later counts.
    let patient = guarded.replace("max_failures = 1", "max_failures = 2");
    let scene = Scene::new(&patient, &[HOME]).syn(0, HOME, 7000).syn(100, HOME, 9000);
    let scene = scene.syn(200, HOME, 7000).syn(300, HOME, 9000);
    insta::assert_snapshot!(scene.syn(61_000, HOME, 7000).sentences(), @"ssh  timed out after 5 s with 1 of 3 knocks: knock 2, 8000/tcp, did not come");
    // IPv6 sources are locked out by their /64.
    let (one, other) = ("2001:db8:7::1", "2001:db8:7::2");
    let scene = Scene::new(&guarded, &[other]).syn(0, one, 7000).syn(100, one, 9000);
    insta::assert_snapshot!(scene.knock(1_000, other).syn(2_000, other, 443).page(80), @r"
    2001:db8:7::2  4 packets

      2026-11-22, times in UTC
      10:00:01.000  3  tcp 40000 > [2001:db8::1]:7000 syn  locked_out
      10:00:01.100  4  tcp 40000 > [2001:db8::1]:8000 syn  locked_out
      10:00:01.200  5  tcp 40000 > [2001:db8::1]:9000 syn  locked_out
      10:00:02.000  6  1 packet                            other_port: 443/tcp

      ssh  locked out for 60 s after 1 failed attempt within 60 s: wait, or raise
           max_failures
    ");
}

#[test]
fn one_time_sequences_have_their_turn_once() {
    const ONCE: &str = "[once]\none_time_sequences = list\nstart_command = x\n";
    let other = "203.0.113.9";
    let begun = || Scene::new(ONCE, &[HOME, other]);
    insta::assert_snapshot!(begun().syn(0, HOME, 7100).syn(100, HOME, 8100).sentences(), @"once  7100/tcp belongs to a one-time sequence whose turn has not come: keep their order");
    let used = || begun().syn(0, HOME, 7000).syn(100, HOME, 8000);
    insta::assert_snapshot!(used().syn(200, other, 7000).syn(300, other, 8000).sentences(), @r"
    once  opened in 100 ms of 25 s
    once  7000/tcp belongs to a one-time sequence that was used: knock the next one
    ");
    let raced = begun().syn(0, other, 7000).syn(100, HOME, 7000).syn(200, HOME, 8000);
    insta::assert_snapshot!(raced.sentences(), @r"
    once  another source used up the one-time sequence: knock the next one
    once  opened in 100 ms of 25 s
    ");
    let empty = used().syn(200, HOME, 7100).syn(300, HOME, 8100).syn(400, other, 7100);
    insta::assert_snapshot!(empty.page(80), @r"
    198.51.100.7  4 packets

      2026-11-22, times in UTC
      10:00:00.000  1  tcp 40000 > 192.0.2.1:7000 syn  stage 1/2
      10:00:00.100  2  tcp 40000 > 192.0.2.1:8000 syn  stage 2/2, open
      10:00:00.200  3  tcp 40000 > 192.0.2.1:7100 syn  stage 1/2
      10:00:00.300  4  tcp 40000 > 192.0.2.1:8100 syn  stage 2/2, open, disabled

      once  opened 2 times, the first time in 100 ms of 25 s

    203.0.113.9  1 packet

      10:00:00.400  5  tcp 40000 > 192.0.2.1:7100 syn  disabled

      once  every one-time sequence is used up: add lines to the file
    ");
}

#[test]
fn an_attempt_that_made_room_is_told_and_an_idle_source_is_not() {
    let small = format!("[options]\nmax_attempts = 1\n{SSH}");
    let scene = || Scene::new(&small, &[HOME]);
    insta::assert_snapshot!(scene().syn(0, HOME, 7000).syn(9, "203.0.113.9", 7000).sentences(), @"ssh  the table of attempts was full: knock again, or raise max_attempts");
    insta::assert_snapshot!(scene().knock(0, HOME).syn(900, "203.0.113.9", 7000).sentences(), @"ssh  opened in 200 ms of 5 s");
}

#[test]
fn the_wrong_flags_are_named() {
    let scene = Scene::new(SSH, &[HOME]).tcp(0, HOME, 7000, TcpFlags::ACK);
    insta::assert_snapshot!(scene.sentences(), @"ssh  7000 came with ack, the door wants tcpflags syn");
    let scene = Scene::new(SSH, &[HOME]).syn(0, HOME, 7000).tcp(100, HOME, 8000, TcpFlags::NONE);
    insta::assert_snapshot!(scene.sentences(), @"ssh  8000 came with no flags, the door wants tcpflags syn");
    let null = SSH.replace("seq_timeout", "tcpflags = fin,!syn\nseq_timeout");
    insta::assert_snapshot!(Scene::new(&null, &[HOME]).knock(0, HOME).sentences(), @"ssh  7000 came with syn, the door wants tcpflags fin,!syn");
}

#[test]
fn what_keeps_a_source_out_is_named() {
    let told = |setting: &str| {
        Scene::new(&format!("{SSH}{setting}\n"), &[HOME]).knock(0, HOME).sentences()
    };
    insta::assert_snapshot!(told("deny = 198.51.100.0/24"), @"ssh  198.51.100.7 is in 198.51.100.0/24, which is on the door's deny list");
    insta::assert_snapshot!(told("deny = 198.51.100.7"), @"ssh  198.51.100.7 is on the door's deny list");
    insta::assert_snapshot!(told("allow = 203.0.113.0/24"), @"ssh  198.51.100.7 is not on the door's allow list");
    insta::assert_snapshot!(told("target = 192.0.2.2, 192.0.2.3"), @"ssh  the knocks went to 192.0.2.1, the door watches its targets 192.0.2.2, 192.0.2.3");
}

#[test]
fn a_step_back_of_the_clock_ends_attempts() {
    let scene = Scene::new(SSH, &[HOME]).syn(60_000, HOME, 7000).syn(60_100, HOME, 8000);
    insta::assert_snapshot!(scene.syn(100, HOME, 9000).page(80), @r"
    198.51.100.7  3 packets

      2026-11-22, times in UTC
      10:01:00.000  1  tcp 40000 > 192.0.2.1:7000 syn  stage 1/3
      10:01:00.100  2  tcp 40000 > 192.0.2.1:8000 syn  stage 2/3
      10:00:00.100  3                                  clock_step
      10:00:00.100  3  tcp 40000 > 192.0.2.1:9000 syn  not_first_knock

      ssh  the clock stepped back after 2 of 3 knocks: knock again

    the clock stepped back once: attempts ended there
    ");
}

#[test]
fn a_knock_long_after_it_was_overtaken_is_another_try() {
    let scene = || Scene::new(SSH, &[HOME]).syn(0, HOME, 7000).syn(100, HOME, 9000);
    insta::assert_snapshot!(scene().syn(1_100, HOME, 8000).sentences(), @"ssh  9000/tcp arrived 1 s before 8000/tcp, too long for a network to reorder them: send the knocks in the order of the sequence");
    insta::assert_snapshot!(scene().syn(1_101, HOME, 8000).sentences(), @"ssh  9000/tcp came but 8000/tcp did not: it was lost on the way or never sent; send the whole sequence again");
}

#[test]
fn attempts_before_and_after_an_opening_are_told() {
    let scene = Scene::new(SSH, &[HOME]).syn(0, HOME, 7000).knock(10_000, HOME);
    insta::assert_snapshot!(scene.sentences(), @"ssh  opened in 200 ms of 5 s. The attempt before that failed: timed out after 5 s with 1 of 3 knocks: knock 2, 8000/tcp, did not come");
    let scene = Scene::new(SSH, &[HOME]).knock(0, HOME).syn(10_000, HOME, 7000);
    insta::assert_snapshot!(scene.sentences(), @"ssh  opened in 200 ms of 5 s. A later attempt failed: timed out after 5 s with 1 of 3 knocks: knock 2, 8000/tcp, did not come");
}

#[test]
fn a_door_without_a_start_command_does_nothing() {
    let scene = Scene::new("[idle]\nsequence = 7000,8000,9000\n", &[HOME]).knock(0, HOME);
    insta::assert_snapshot!(scene.sentences(), @"idle  opened in 200 ms of 25 s, but the door has no start_command: nothing happens when it opens");
}

#[test]
fn doors_that_have_nothing_to_say_are_left_out_of_many() {
    let doors = |count: u16| -> String {
        let door = |it| format!("[door{it}]\nsequence = {},{}\nstart_command = x\n", it, it + 100);
        (7000..7000 + count).map(door).collect()
    };
    let scene = |count| Scene::new(&doors(count), &[HOME]).syn(0, HOME, 7001);
    insta::assert_snapshot!(scene(2).sentences(), @r"
    door7000  no packet from 198.51.100.7 had to do with it
    door7001  timed out after 25 s with 1 of 2 knocks: knock 2, 7101/tcp, did not come
    ");
    insta::assert_snapshot!(scene(9).sentences(), @"door7001  timed out after 25 s with 1 of 2 knocks: knock 2, 7101/tcp, did not come");
}

#[test]
fn a_narrow_terminal_breaks_between_verdicts() {
    let source = "2001:db8:7:8:9:a:b:c";
    let scene = Scene::new(SSH, &[source]).syn(0, source, 7000).syn(100, source, 9000);
    insta::assert_snapshot!(scene.syn(200, source, 443).page(60), @r"
    2001:db8:7:8:9:a:b:c  3 packets

      2026-11-22, times in UTC
      10:00:00.000  1  tcp 40000 > [2001:db8::1]:7000 syn
                    stage 1/3
      10:00:00.100  2  tcp 40000 > [2001:db8::1]:9000 syn
                    reset (out_of_order) at 1/3
      10:00:00.200  3  1 packet
                    other_port: 443/tcp

      ssh  9000/tcp came but 8000/tcp did not: it was lost on
           the way or never sent; send the whole sequence again
    ");
    insta::assert_snapshot!(Scene::new(SSH, &[HOME]).knock(0, HOME).page(40), @r"
    198.51.100.7  3 packets

      2026-11-22, times in UTC
      10:00:00.000  1  tcp 40000 > 192.0.2.1:7000 syn
                    stage 1/3
      10:00:00.100  2  tcp 40000 > 192.0.2.1:8000 syn
                    stage 2/3
      10:00:00.200  3  tcp 40000 > 192.0.2.1:9000 syn
                    stage 3/3, open
      10:00:10.200
                    close

      ssh  opened in 200 ms of 5 s
    ");
}

#[test]
fn a_story_has_an_end() {
    let mut scene = Scene::new(SSH, &[HOME]);
    for second in 0..10_002 {
        scene = scene.syn(second * 1_000, HOME, 8000);
    }
    let page = scene.page(80);
    assert!(page.contains("\n  and 2 more lines\n"), "{}", &page[page.len() - 400..]);
}
