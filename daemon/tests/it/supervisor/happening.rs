//! What can happen in a world, made by a strategy or by the bytes of a fuzzer.

use std::time::Duration;

use knockd::log::Exit;

use super::world::World;

/// Something that happens.
#[derive(Clone, Debug)]
pub(crate) enum Happening {
    Knock { source: u8, port: u16 },
    Advance { ms: u64 },
    WriteIsDone,
    WriteFails,
    ChildEnds { nth: usize },
    ChildIsHindered { nth: usize, exit: Exit },
    Crash { written: usize, effects: u8 },
    Boot { written: usize },
    Flush,
}

impl Happening {
    /// Lets it happen.
    pub(crate) fn play(&self, world: &mut World) {
        match self {
            Self::Knock { source, port } => world.knock(*source, *port),
            Self::Advance { ms } => world.advance(Duration::from_millis(*ms)),
            Self::WriteIsDone => world.answer_write(Ok(())),
            Self::WriteFails => world.answer_write(Err("disk full".to_owned())),
            Self::ChildEnds { nth } => world.end_child(*nth, None),
            Self::ChildIsHindered { nth, exit } => world.end_child(*nth, Some(exit.clone())),
            Self::Crash { written, effects } => world.crash(*written, *effects, false),
            Self::Boot { written } => world.crash(*written, 0, true),
            Self::Flush => world.flush(),
        }
    }
}

/// Plays happenings until everything has settled, and checks that every door is shut then.
pub(crate) fn play_out(max_commands: usize, happenings: &[Happening]) {
    let mut world = World::new(max_commands);
    for happening in happenings {
        happening.play(&mut world);
    }
    world.settle();
}

/// The same where nothing fails: each stop runs once besides, and no start is made up.
pub(crate) fn play_out_kindly(max_commands: usize, happenings: &[Happening]) {
    let mut world = World::new(max_commands);
    for happening in happenings {
        // A command that outlasts its time would be killed, and that is a failure.
        if matches!(happening, Happening::Advance { .. }) {
            world.work();
        }
        happening.play(&mut world);
    }
    world.settle();
    world.assert_starts_are_earned();
    assert!(!world.trace.contains("Failed"), "{}", world.trace);
}
