//! What must hold for whatever happens to a supervisor in its model world. The fuzz target and
//! the daemon's tests share it.

use knockd::log::Exit;

use super::happening::{Happening, play_out, play_out_kindly};

/// The most that happens. More would find little more, and slowly.
const MOST: usize = 200;

/// Plays what any bytes tell: the first is how many commands run at a time, and whether anything
/// fails at all, the rest are happenings of three bytes each. What is left over is ignored.
///
/// # Panics
///
/// Where something does not hold.
pub(crate) fn check(bytes: &[u8]) {
    let Some((frame, rest)) = bytes.split_first() else { return };
    let max_commands = 1 + usize::from(*frame >> 1) % 3;
    let is_kind = frame & 1 == 1;
    let (threes, _) = rest.as_chunks::<3>();
    let happenings = threes.iter().take(MOST).map(|step| happening(*step, is_kind));
    let happenings: Vec<_> = happenings.collect();
    if is_kind {
        play_out_kindly(max_commands, &happenings);
    } else {
        play_out(max_commands, &happenings);
    }
}

fn happening([kind, a, b]: [u8; 3], is_kind: bool) -> Happening {
    let nth = usize::from(a % 3);
    match kind % if is_kind { 4 } else { 9 } {
        0 => Happening::Knock { source: a % 3, port: [7000, 8000, 9000][usize::from(b % 3)] },
        // The longest is longer than a door is open, the shortest a millisecond.
        1 => Happening::Advance { ms: u64::from(u16::from_be_bytes([a, b])) % 12_000 + 1 },
        2 => Happening::WriteIsDone,
        3 => Happening::ChildEnds { nth },
        4 => Happening::WriteFails,
        5 => Happening::ChildIsHindered { nth, exit: hindrance(b) },
        6 => Happening::Crash { written: usize::from(a % 4), effects: b },
        7 => Happening::Boot { written: usize::from(a % 4) },
        _ => Happening::Flush,
    }
}

fn hindrance(byte: u8) -> Exit {
    match byte % 3 {
        0 => Exit::Status(4),
        1 => Exit::Signal(9),
        _ => Exit::NotRun("no more processes".to_owned()),
    }
}
