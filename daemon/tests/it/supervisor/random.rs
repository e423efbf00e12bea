//! Random worlds: whatever fails and whenever the daemon dies, every door is shut in the end.

use knockd::log::Exit;
use proptest::collection::vec;
use proptest::prelude::*;

use super::happening::{Happening, play_out, play_out_kindly};

fn happening(is_kind: bool) -> impl Strategy<Value = Happening> {
    let port = prop_oneof![Just(7000), Just(8000), Just(9000)];
    let hindrance = prop_oneof![
        Just(Exit::Status(4)),
        Just(Exit::Signal(9)),
        Just(Exit::NotRun("no more processes".to_owned())),
    ];
    let bad = u32::from(!is_kind);
    prop_oneof![
        6 => (0..3_u8, port).prop_map(|(source, port)| Happening::Knock { source, port }),
        4 => (0..6_000_u64).prop_map(|ms| Happening::Advance { ms }),
        6 => Just(Happening::WriteIsDone),
        6 => (0..3_usize).prop_map(|nth| Happening::ChildEnds { nth }),
        bad => Just(Happening::WriteFails),
        2 * bad => (0..3_usize, hindrance)
            .prop_map(|(nth, exit)| Happening::ChildIsHindered { nth, exit }),
        bad => (0..4_usize, any::<u8>())
            .prop_map(|(written, effects)| Happening::Crash { written, effects }),
        bad => (0..4_usize).prop_map(|written| Happening::Boot { written }),
        bad => Just(Happening::Flush),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn every_door_is_shut_in_the_end(
        max_commands in 1..4_usize,
        happenings in vec(happening(false), 1..80),
    ) {
        play_out(max_commands, &happenings);
    }

    #[test]
    fn where_nothing_fails_no_start_is_made_up_and_each_stop_runs_once(
        max_commands in 1..4_usize,
        happenings in vec(happening(true), 1..80),
    ) {
        play_out_kindly(max_commands, &happenings);
    }
}
