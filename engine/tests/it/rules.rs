//! Scenarios for each rule, in virtual time: the whole trace is the expectation. Each runs on the
//! engine, with two hash keys (S15), and on the reference model.

use insta::assert_snapshot;
use knock_engine::packet::TcpFlags;

use crate::script::{trace, trace_of};

/// A door with a lease, as in the manual page of knockd.
const SSH: &str = "
    [ssh]
    sequence = 7000,8000,9000
    seq_timeout = 5
    start_command = open %IP%
    cmd_timeout = 10
    stop_command = close %IP%
";

#[test]
fn s1_a_stamp_up_to_a_second_older_counts_as_now() {
    let script = "
        0     10.0.0.1 7000
        2000  10.0.0.1 8000
        1000  10.0.0.1 9000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    2000 stage 10.0.0.1 ssh 2/3 gap 2000 elapsed 2000 margin 3000
    2000 stage 10.0.0.1 ssh 3/3 gap 0 elapsed 2000 margin 3000
    2000 open 10.0.0.1 ssh 3/3 gap 0 elapsed 2000 margin 3000
    2000 START 10.0.0.1 ssh until 12000: open 10.0.0.1
    12000 close 10.0.0.1 ssh
    12000 STOP 10.0.0.1 ssh: close 10.0.0.1
    ");
}

#[test]
fn s1_a_clock_step_drops_attempts_and_keeps_what_is_left_of_leases() {
    let script = "
        0          10.0.0.1 7000
        100        10.0.0.1 8000
        200        10.0.0.1 9000
        3000       10.0.0.2 7000
        2000-1ns   10.0.0.2 8000
        2000       10.0.0.1 7000 again
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    100 stage 10.0.0.1 ssh 2/3 gap 100 elapsed 100 margin 4900
    200 stage 10.0.0.1 ssh 3/3 gap 100 elapsed 200 margin 4800
    200 open 10.0.0.1 ssh 3/3 gap 100 elapsed 200 margin 4800
    200 START 10.0.0.1 ssh until 10200: open 10.0.0.1
    3000 stage 10.0.0.2 ssh 1/3 elapsed 0 margin 5000
    1999.999999 clock_step from 3000
    2000 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    7000 timeout 10.0.0.1 ssh 1/3 gap 5000 elapsed 5000 margin 0
    9199.999999 close 10.0.0.1 ssh
    9199.999999 STOP 10.0.0.1 ssh: close 10.0.0.1
    ");
}

#[test]
fn s1_a_packet_that_concerns_no_door_does_not_move_time() {
    let script = "
        0     10.0.0.1 7000
        9000  10.0.0.1 7000 ack
        1000  10.0.0.1 8000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    1000 stage 10.0.0.1 ssh 2/3 gap 1000 elapsed 1000 margin 4000
    5000 timeout 10.0.0.1 ssh 2/3 gap 4000 elapsed 5000 margin 0
    ");
}

#[test]
fn s2_a_knock_at_its_deadline_is_late() {
    let script = "
        0          10.0.0.1 7000
        0          10.0.0.2 7000
        5000-1ns   10.0.0.1 8000
        5000       10.0.0.2 8000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    0 stage 10.0.0.2 ssh 1/3 elapsed 0 margin 5000
    4999.999999 stage 10.0.0.1 ssh 2/3 gap 4999.999999 elapsed 4999.999999 margin 0.000001
    5000 timeout 10.0.0.1 ssh 2/3 gap 0.000001 elapsed 5000 margin 0
    5000 timeout 10.0.0.2 ssh 1/3 gap 5000 elapsed 5000 margin 0
    ");
}

#[test]
fn s2_expiries_carry_their_deadlines_oldest_first() {
    let script = "
        0      10.0.0.1 7000
        1000   10.0.0.1 8000
        2000   10.0.0.1 9000
        8000   10.0.0.2 7000
        60000  wake
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    1000 stage 10.0.0.1 ssh 2/3 gap 1000 elapsed 1000 margin 4000
    2000 stage 10.0.0.1 ssh 3/3 gap 1000 elapsed 2000 margin 3000
    2000 open 10.0.0.1 ssh 3/3 gap 1000 elapsed 2000 margin 3000
    2000 START 10.0.0.1 ssh until 12000: open 10.0.0.1
    8000 stage 10.0.0.2 ssh 1/3 elapsed 0 margin 5000
    12000 close 10.0.0.1 ssh
    12000 STOP 10.0.0.1 ssh: close 10.0.0.1
    13000 timeout 10.0.0.2 ssh 1/3 gap 5000 elapsed 5000 margin 0
    ");
}

#[test]
fn s3_a_syn_that_offers_ecn_is_a_syn() {
    assert_eq!(TcpFlags::from_bits(0b1100_0010), TcpFlags::SYN);
    assert_snapshot!(trace(SSH, "0 10.0.0.1 7000 ecn,syn"), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    5000 timeout 10.0.0.1 ssh 1/3 gap 5000 elapsed 5000 margin 0
    ");
}

#[test]
fn s4_a_door_sees_its_targets_and_its_sources() {
    let config = "
        [here]
        sequence = 7000,8000
        deny = 10.0.0.9
        [there]
        sequence = 7000,8000
        target = 192.0.2.77
        allow = 10.0.0.0/28
    ";
    let script = "
        0  10.0.0.1 7000
        1  10.0.0.1 7000 to 192.0.2.77
        2  10.0.0.9 7000
        3  10.0.0.9 7000 to 192.0.2.77
        4  10.9.9.9 7000 to 192.0.2.77
        5  10.0.0.2 7000 to 198.51.100.1
        6  10.0.0.2 7000 to 224.0.0.1
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 here 1/2 elapsed 0 margin 25000
    1 stage 10.0.0.1 there 1/2 elapsed 0 margin 25000
    3 stage 10.0.0.9 there 1/2 elapsed 0 margin 25000
    25000 timeout 10.0.0.1 here 1/2 gap 25000 elapsed 25000 margin 0
    25001 timeout 10.0.0.1 there 1/2 gap 25000 elapsed 25000 margin 0
    25003 timeout 10.0.0.9 there 1/2 gap 25000 elapsed 25000 margin 0
    ");
}

#[test]
fn s5_real_traffic_on_knock_ports_breaks_nothing_and_strays_are_told() {
    let config = "
        [ssh]
        sequence = 7000,8000
        ignore_ports = 443
    ";
    let script = "
        0    10.0.0.1 7000
        10   10.0.0.1 7000 ack,psh
        20   10.0.0.1 7000 udp
        30   10.0.0.1 443
        40   10.0.0.1 22
        50   10.0.0.1 22 rst
        60   10.0.0.1 8000 syn,ack
        70   10.0.0.1 8000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 ssh 1/2 elapsed 0 margin 25000
    40 stray 10.0.0.1 ssh 1/2 gap 40 elapsed 40 margin 24960
    70 stage 10.0.0.1 ssh 2/2 gap 70 elapsed 70 margin 24930
    70 open 10.0.0.1 ssh 2/2 gap 70 elapsed 70 margin 24930
    ");
}

#[test]
fn s5_all_udp_doors_have_udp_strays() {
    let config = "
        [udp]
        sequence = 7000:udp,8000:udp
        [mixed]
        sequence = 7000:udp,8000:tcp
    ";
    let script = "
        0    10.0.0.1 7000 udp
        10   10.0.0.1 53 udp
        20   10.0.0.1 8000 udp
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 udp 1/2 elapsed 0 margin 25000
    0 stage 10.0.0.1 mixed 1/2 elapsed 0 margin 25000
    10 stray 10.0.0.1 udp 1/2 gap 10 elapsed 10 margin 24990
    20 stage 10.0.0.1 udp 2/2 gap 20 elapsed 20 margin 24980
    20 open 10.0.0.1 udp 2/2 gap 20 elapsed 20 margin 24980
    25000 timeout 10.0.0.1 mixed 1/2 gap 25000 elapsed 25000 margin 0
    ");
}

#[test]
fn s6_sources_and_doors_do_not_meet() {
    let config = "
        [ssh]
        sequence = 7000,8000
        [web]
        sequence = 8000,7000
    ";
    let script = "
        0    10.0.0.1 7000
        10   10.0.0.2 8000
        20   10.0.0.1 8000
        30   10.0.0.2 7000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 ssh 1/2 elapsed 0 margin 25000
    10 stage 10.0.0.2 web 1/2 elapsed 0 margin 25000
    20 stage 10.0.0.1 ssh 2/2 gap 20 elapsed 20 margin 24980
    20 open 10.0.0.1 ssh 2/2 gap 20 elapsed 20 margin 24980
    20 stage 10.0.0.1 web 1/2 elapsed 0 margin 25000
    30 stage 10.0.0.2 ssh 1/2 elapsed 0 margin 25000
    30 stage 10.0.0.2 web 2/2 gap 20 elapsed 20 margin 24980
    30 open 10.0.0.2 web 2/2 gap 20 elapsed 20 margin 24980
    25020 timeout 10.0.0.1 web 1/2 gap 25000 elapsed 25000 margin 0
    25030 timeout 10.0.0.2 ssh 1/2 gap 25000 elapsed 25000 margin 0
    ");
}

#[test]
fn s7_the_first_knock_begins_an_attempt_and_no_other_does() {
    let script = "
        0    10.0.0.1 8000
        10   10.0.0.1 9000
        20   10.0.0.1 7000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    20 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    5020 timeout 10.0.0.1 ssh 1/3 gap 5000 elapsed 5000 margin 0
    ");
}

#[test]
fn s8_1_retransmissions_change_nothing() {
    let script = "
        0      10.0.0.1 7000
        1000   10.0.0.1 7000 again
        1100   10.0.0.1 8000
        1200   10.0.0.1 9000
        3000   10.0.0.1 7000 again
        129999 10.0.0.1 7000 again
        130000 10.0.0.1 7000 again
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    1000 duplicate 10.0.0.1 ssh 1/3 gap 1000 elapsed 1000 margin 4000
    1100 stage 10.0.0.1 ssh 2/3 gap 1100 elapsed 1100 margin 3900
    1200 stage 10.0.0.1 ssh 3/3 gap 100 elapsed 1200 margin 3800
    1200 open 10.0.0.1 ssh 3/3 gap 100 elapsed 1200 margin 3800
    1200 START 10.0.0.1 ssh until 11200: open 10.0.0.1
    3000 duplicate 10.0.0.1 ssh 0/3 elapsed 0 margin 0
    11200 close 10.0.0.1 ssh
    11200 STOP 10.0.0.1 ssh: close 10.0.0.1
    129999 duplicate 10.0.0.1 ssh 0/3 elapsed 0 margin 0
    130000 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    135000 timeout 10.0.0.1 ssh 1/3 gap 5000 elapsed 5000 margin 0
    ");
}

#[test]
fn s8_3_the_first_knock_again_at_stage_1_begins_anew() {
    let script = "
        0      10.0.0.1 7000
        4000   10.0.0.1 7000
        8000   10.0.0.1 8000
        8500   10.0.0.1 9000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    4000 restart 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    8000 stage 10.0.0.1 ssh 2/3 gap 4000 elapsed 4000 margin 1000
    8500 stage 10.0.0.1 ssh 3/3 gap 500 elapsed 4500 margin 500
    8500 open 10.0.0.1 ssh 3/3 gap 500 elapsed 4500 margin 500
    8500 START 10.0.0.1 ssh until 18500: open 10.0.0.1
    18500 close 10.0.0.1 ssh
    18500 STOP 10.0.0.1 ssh: close 10.0.0.1
    ");
}

#[test]
fn s8_4_a_repeat_of_the_last_knock_changes_nothing() {
    let script = "
        0      10.0.0.1 7000
        1000   10.0.0.1 8000
        1500   10.0.0.1 8000
        2000   10.0.0.1 9000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    1000 stage 10.0.0.1 ssh 2/3 gap 1000 elapsed 1000 margin 4000
    1500 repeat 10.0.0.1 ssh 2/3 gap 500 elapsed 1500 margin 3500
    2000 stage 10.0.0.1 ssh 3/3 gap 1000 elapsed 2000 margin 3000
    2000 open 10.0.0.1 ssh 3/3 gap 1000 elapsed 2000 margin 3000
    2000 START 10.0.0.1 ssh until 12000: open 10.0.0.1
    12000 close 10.0.0.1 ssh
    12000 STOP 10.0.0.1 ssh: close 10.0.0.1
    ");
}

#[test]
fn s8_5_another_knock_ends_the_attempt() {
    let script = "
        0      10.0.0.1 7000
        1000   10.0.0.1 9000
        2000   10.0.0.1 7000
        2100   10.0.0.1 8000
        2200   10.0.0.1 7000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    1000 reset out_of_order 10.0.0.1 ssh 1/3 gap 1000 elapsed 1000 margin 4000
    2000 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    2100 stage 10.0.0.1 ssh 2/3 gap 100 elapsed 100 margin 4900
    2200 reset out_of_order 10.0.0.1 ssh 2/3 gap 100 elapsed 200 margin 4800
    2200 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    7200 timeout 10.0.0.1 ssh 1/3 gap 5000 elapsed 5000 margin 0
    ");
}

#[test]
fn s8_6_more_distinct_strays_than_allowed_end_the_attempt() {
    let config = "
        [ssh]
        sequence = 7000,8000
        max_strays = 1
    ";
    let script = "
        0      10.0.0.1 7000
        10     10.0.0.1 22
        20     10.0.0.1 22
        30     10.0.0.1 23
        40     10.0.0.1 8000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 ssh 1/2 elapsed 0 margin 25000
    10 stray 10.0.0.1 ssh 1/2 gap 10 elapsed 10 margin 24990
    20 stray 10.0.0.1 ssh 1/2 gap 20 elapsed 20 margin 24980
    30 stray 10.0.0.1 ssh 1/2 gap 30 elapsed 30 margin 24970
    30 reset strays 10.0.0.1 ssh 1/2 gap 30 elapsed 30 margin 24970
    ");
}

#[test]
fn s8_a_lost_packet_is_mended_by_knocking_again() {
    let script = "
        0      10.0.0.1 7000
        20     10.0.0.1 9000
        1000   10.0.0.1 7000
        1010   10.0.0.1 8000
        1020   10.0.0.1 9000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    20 reset out_of_order 10.0.0.1 ssh 1/3 gap 20 elapsed 20 margin 4980
    1000 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    1010 stage 10.0.0.1 ssh 2/3 gap 10 elapsed 10 margin 4990
    1020 stage 10.0.0.1 ssh 3/3 gap 10 elapsed 20 margin 4980
    1020 open 10.0.0.1 ssh 3/3 gap 10 elapsed 20 margin 4980
    1020 START 10.0.0.1 ssh until 11020: open 10.0.0.1
    11020 close 10.0.0.1 ssh
    11020 STOP 10.0.0.1 ssh: close 10.0.0.1
    ");
}

#[test]
fn s9_a_deadline_ends_the_attempt() {
    let script = "
        0      10.0.0.1 7000
        1000   10.0.0.1 8000
    ";
    assert_snapshot!(trace(SSH, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    1000 stage 10.0.0.1 ssh 2/3 gap 1000 elapsed 1000 margin 4000
    5000 timeout 10.0.0.1 ssh 2/3 gap 4000 elapsed 5000 margin 0
    ");
}

#[test]
fn s10_one_knock_can_be_a_sequence() {
    assert_snapshot!(trace("[one]\nsequence = 7000", "0 10.0.0.1 7000"), @r"
    0 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    0 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    ");
}

#[test]
fn s11_a_completion_begins_or_renews_a_lease() {
    let config = "
        [one]
        sequence = 7000
        start_command = open %IP%
        stop_command = close %IP%
        cmd_timeout = 10
        stop_command_6 =
    ";
    let script = "
        0      10.0.0.1 7000
        0      2001:db8::1 7000
        9000   10.0.0.1 7000
        19000  10.0.0.1 7000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    0 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    0 START 10.0.0.1 one until 10000: open 10.0.0.1
    0 stage 2001:db8::1 one 1/1 elapsed 0 margin 25000
    0 open 2001:db8::1 one 1/1 elapsed 0 margin 25000
    0 START 2001:db8::1 one: open 2001:db8::1
    9000 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    9000 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    9000 renew 10.0.0.1 one
    9000 RENEW 10.0.0.1 one until 19000
    19000 close 10.0.0.1 one
    19000 STOP 10.0.0.1 one: close 10.0.0.1
    19000 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    19000 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    19000 START 10.0.0.1 one until 29000: open 10.0.0.1
    29000 close 10.0.0.1 one
    29000 STOP 10.0.0.1 one: close 10.0.0.1
    ");
}

#[test]
fn s11_a_door_without_a_stop_command_has_a_cooldown() {
    let config = "
        [one]
        sequence = 7000
        start_command = open %IP%
        cooldown = 5
    ";
    let script = "
        0         10.0.0.1 7000
        5000-1ns  10.0.0.1 7000
        5000      10.0.0.1 7000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    0 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    0 START 10.0.0.1 one: open 10.0.0.1
    4999.999999 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    4999.999999 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    4999.999999 suppressed 10.0.0.1 one
    5000 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    5000 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    5000 START 10.0.0.1 one: open 10.0.0.1
    ");
}

#[test]
fn s12_each_line_opens_once() {
    let config = "
        [once]
        one_time_sequences = /etc/knockd/once
        start_command = open %IP%
    ";
    let script = "
        0    10.0.0.2 7000
        10   10.0.0.1 7000
        20   10.0.0.1 8000
        30   10.0.0.1 7000
        40   10.0.0.1 8000
        50   10.0.0.1 9000
        60   10.0.0.2 8000
        70   10.0.0.2 9000
        80   10.0.0.2 8000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.2 once 1/2 elapsed 0 margin 25000
    10 stage 10.0.0.1 once 1/2 elapsed 0 margin 25000
    20 stage 10.0.0.1 once 2/2 gap 10 elapsed 10 margin 24990
    20 open 10.0.0.1 once 2/2 gap 10 elapsed 10 margin 24990
    20 CONSUME 10.0.0.1 once line 2
    20 reset sequence_used 10.0.0.2 once 1/2 gap 20 elapsed 20 margin 24980 by another
    20 START 10.0.0.1 once: open 10.0.0.1
    40 stage 10.0.0.1 once 1/2 elapsed 0 margin 25000
    50 stage 10.0.0.1 once 2/2 gap 10 elapsed 10 margin 24990
    50 open 10.0.0.1 once 2/2 gap 10 elapsed 10 margin 24990
    50 CONSUME 10.0.0.1 once line 3
    50 disabled once
    50 START 10.0.0.1 once: open 10.0.0.1
    ");
}

#[test]
fn s12_other_attempts_end_in_order_of_creation() {
    let config = "
        [once]
        one_time_sequences = /etc/knockd/once
        max_strays = 0
    ";
    let script = "
        0    10.0.0.1 7000
        10   10.0.0.1 22
        20   10.0.0.2 7000
        30   10.0.0.1 7000
        40   10.0.0.3 7000
        50   10.0.0.3 8000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 once 1/2 elapsed 0 margin 25000
    10 stray 10.0.0.1 once 1/2 gap 10 elapsed 10 margin 24990
    10 reset strays 10.0.0.1 once 1/2 gap 10 elapsed 10 margin 24990
    20 stage 10.0.0.2 once 1/2 elapsed 0 margin 25000
    30 stage 10.0.0.1 once 1/2 elapsed 0 margin 25000
    40 stage 10.0.0.3 once 1/2 elapsed 0 margin 25000
    50 stage 10.0.0.3 once 2/2 gap 10 elapsed 10 margin 24990
    50 open 10.0.0.3 once 2/2 gap 10 elapsed 10 margin 24990
    50 CONSUME 10.0.0.3 once line 2
    50 reset sequence_used 10.0.0.2 once 1/2 gap 30 elapsed 30 margin 24970 by another
    50 reset sequence_used 10.0.0.1 once 1/2 gap 20 elapsed 20 margin 24980 by another
    ");
}

#[test]
fn s13_failures_lock_a_source_out() {
    let config = "
        [ssh]
        sequence = 7000,8000,9000
        seq_timeout = 5
        max_failures = 2
        failure_window = 20
        lockout = 30
    ";
    let script = "
        0       10.0.0.1 7000
        10      10.0.0.1 9000
        6000    10.0.0.1 7000
        12000   10.0.0.1 7000
        40999   10.0.0.1 7000
        41000   10.0.0.1 7000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    10 reset out_of_order 10.0.0.1 ssh 1/3 gap 10 elapsed 10 margin 4990
    6000 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    11000 timeout 10.0.0.1 ssh 1/3 gap 5000 elapsed 5000 margin 0
    11000 lockout 10.0.0.1 ssh
    41000 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000
    46000 timeout 10.0.0.1 ssh 1/3 gap 5000 elapsed 5000 margin 0
    ");
}

#[test]
fn s13_ipv6_sources_are_counted_by_64() {
    let config = "
        [ssh]
        sequence = 7000,8000,9000
        max_failures = 2
    ";
    let script = "
        0       2001:db8::3 7000
        10      2001:db8::1 7000
        20      2001:db8::1 9000
        30      2001:db8::2 7000
        40      2001:db8::2 9000
        50      2001:db8::1 7000
        60      2001:db8:0:1::1 7000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 2001:db8::3 ssh 1/3 elapsed 0 margin 25000
    10 stage 2001:db8::1 ssh 1/3 elapsed 0 margin 25000
    20 reset out_of_order 2001:db8::1 ssh 1/3 gap 10 elapsed 10 margin 24990
    30 stage 2001:db8::2 ssh 1/3 elapsed 0 margin 25000
    40 reset out_of_order 2001:db8::2 ssh 1/3 gap 10 elapsed 10 margin 24990
    40 lockout 2001:db8::2 ssh
    60 stage 2001:db8:0:1::1 ssh 1/3 elapsed 0 margin 25000
    25000 timeout 2001:db8::3 ssh 1/3 gap 25000 elapsed 25000 margin 0
    25060 timeout 2001:db8:0:1::1 ssh 1/3 gap 25000 elapsed 25000 margin 0
    ");
}

#[test]
fn s14_a_new_attempt_evicts_idle_places_first_then_stage_1_then_the_oldest() {
    let config = "
        [options]
        max_attempts = 2
        [ssh]
        sequence = 7000,8000,9000
    ";
    let script = "
        0       10.0.0.9 9000
        10      10.0.0.1 7000
        20      10.0.0.1 8000
        30      10.0.0.2 7000
        40      10.0.0.3 7000
        50      10.0.0.3 8000
        60      10.0.0.4 7000
        70      10.0.0.5 9000
    ";
    assert_snapshot!(trace(config, script), @r"
    10 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 25000
    20 stage 10.0.0.1 ssh 2/3 gap 10 elapsed 10 margin 24990
    30 evicted 10.0.0.9 ssh by another
    30 stage 10.0.0.2 ssh 1/3 elapsed 0 margin 25000
    40 evicted 10.0.0.2 ssh by another
    40 stage 10.0.0.3 ssh 1/3 elapsed 0 margin 25000
    50 stage 10.0.0.3 ssh 2/3 gap 10 elapsed 10 margin 24990
    60 evicted 10.0.0.1 ssh by another
    60 stage 10.0.0.4 ssh 1/3 elapsed 0 margin 25000
    25040 timeout 10.0.0.3 ssh 2/3 gap 24990 elapsed 25000 margin 0
    25060 timeout 10.0.0.4 ssh 1/3 gap 25000 elapsed 25000 margin 0
    ");
}

#[test]
fn s14_a_full_table_of_leases_refuses() {
    let config = "
        [options]
        max_leases = 1
        [one]
        sequence = 7000
        start_command = open %IP%
        stop_command = close %IP%
    ";
    let script = "
        0      10.0.0.1 7000
        10     10.0.0.2 7000
        20     10.0.0.1 7000
        10020  10.0.0.2 7000
    ";
    assert_snapshot!(trace(config, script), @r"
    0 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    0 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    0 START 10.0.0.1 one until 10000: open 10.0.0.1
    10 stage 10.0.0.2 one 1/1 elapsed 0 margin 25000
    10 open 10.0.0.2 one 1/1 elapsed 0 margin 25000
    10 refused 10.0.0.2 one
    20 stage 10.0.0.1 one 1/1 elapsed 0 margin 25000
    20 open 10.0.0.1 one 1/1 elapsed 0 margin 25000
    20 renew 10.0.0.1 one
    20 RENEW 10.0.0.1 one until 10020
    10020 close 10.0.0.1 one
    10020 STOP 10.0.0.1 one: close 10.0.0.1
    10020 stage 10.0.0.2 one 1/1 elapsed 0 margin 25000
    10020 open 10.0.0.2 one 1/1 elapsed 0 margin 25000
    10020 START 10.0.0.2 one until 20020: open 10.0.0.2
    20020 close 10.0.0.2 one
    20020 STOP 10.0.0.2 one: close 10.0.0.2
    ");
}

#[test]
fn s16_unchanged_doors_keep_attempts_and_leases_keep_their_stop_command() {
    let before = "
        [ssh]
        sequence = 7000,8000
        [web]
        sequence = 7000
        start_command = open %IP%
        stop_command = close %IP%
    ";
    let after = "
        [web]
        sequence = 7000
        start_command = open %IP%
        stop_command = close more %IP%
        [ssh]
        sequence = 7000,8000
    ";
    let script = "
        0      10.0.0.1 7000
        1000   reload
        2000   10.0.0.1 8000
        3000   10.0.0.1 7000
    ";
    assert_snapshot!(trace_of(&[before, after], script), @r"
    0 stage 10.0.0.1 ssh 1/2 elapsed 0 margin 25000
    0 stage 10.0.0.1 web 1/1 elapsed 0 margin 25000
    0 open 10.0.0.1 web 1/1 elapsed 0 margin 25000
    0 START 10.0.0.1 web until 10000: open 10.0.0.1
    2000 stage 10.0.0.1 ssh 2/2 gap 2000 elapsed 2000 margin 23000
    2000 open 10.0.0.1 ssh 2/2 gap 2000 elapsed 2000 margin 23000
    3000 stage 10.0.0.1 web 1/1 elapsed 0 margin 25000
    3000 open 10.0.0.1 web 1/1 elapsed 0 margin 25000
    3000 START 10.0.0.1 web until 13000: open 10.0.0.1
    3000 stage 10.0.0.1 ssh 1/2 elapsed 0 margin 25000
    10000 close 10.0.0.1 web
    10000 STOP 10.0.0.1 web: close 10.0.0.1
    13000 close 10.0.0.1 web
    13000 STOP 10.0.0.1 web: close more 10.0.0.1
    28000 timeout 10.0.0.1 ssh 1/2 gap 25000 elapsed 25000 margin 0
    ");
}

#[test]
fn s16_a_lease_that_another_has_followed_is_never_renewed() {
    let before = "
        [web]
        sequence = 7000
        start_command = open %IP%
        stop_command = close %IP%
    ";
    let after = before.replace("close", "close more");
    let script = "
        0      10.0.0.1 7000
        1000   reload
        2000   10.0.0.1 7000
        3000   10.0.0.1 7000
        4000   reload
        5000   10.0.0.1 7000
    ";
    assert_snapshot!(trace_of(&[before, &after, before], script), @r"
    0 stage 10.0.0.1 web 1/1 elapsed 0 margin 25000
    0 open 10.0.0.1 web 1/1 elapsed 0 margin 25000
    0 START 10.0.0.1 web until 10000: open 10.0.0.1
    2000 stage 10.0.0.1 web 1/1 elapsed 0 margin 25000
    2000 open 10.0.0.1 web 1/1 elapsed 0 margin 25000
    2000 START 10.0.0.1 web until 12000: open 10.0.0.1
    3000 stage 10.0.0.1 web 1/1 elapsed 0 margin 25000
    3000 open 10.0.0.1 web 1/1 elapsed 0 margin 25000
    3000 renew 10.0.0.1 web
    3000 RENEW 10.0.0.1 web until 13000
    5000 stage 10.0.0.1 web 1/1 elapsed 0 margin 25000
    5000 open 10.0.0.1 web 1/1 elapsed 0 margin 25000
    5000 START 10.0.0.1 web until 15000: open 10.0.0.1
    10000 close 10.0.0.1 web
    10000 STOP 10.0.0.1 web: close 10.0.0.1
    13000 close 10.0.0.1 web
    13000 STOP 10.0.0.1 web: close more 10.0.0.1
    15000 close 10.0.0.1 web
    15000 STOP 10.0.0.1 web: close 10.0.0.1
    ");
}

#[test]
fn s16_changed_doors_lose_their_attempts() {
    let after = SSH.replace("seq_timeout = 5", "seq_timeout = 6");
    let script = "
        0      10.0.0.1 7000
        1000   reload
        2000   10.0.0.1 8000
    ";
    assert_snapshot!(trace_of(&[SSH, &after], script), @"0 stage 10.0.0.1 ssh 1/3 elapsed 0 margin 5000");
}
