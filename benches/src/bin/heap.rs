//! Prints how many bytes of heap the engine holds per attempt.

use std::io::Write;
use std::time::Duration;

use anyhow::{Context, Result};
use knock_benches::bed::{Bed, Spans};

/// Spans so long that nothing ends while it is counted.
const SPANS: Spans = Spans {
    seq_timeout: Duration::from_secs(3600),
    retransmit_window: Duration::from_secs(3600),
    lease: Some(Duration::from_secs(3600)),
};

/// What each source does.
#[derive(Clone, Copy)]
enum Deed {
    FirstKnock,
    Opens,
}

fn main() -> Result<()> {
    let mut out = std::io::stdout().lock();
    let mut text = String::from(
        "| each source | doors | sources | live bytes | bytes per source |\n|---|--:|--:|--:|--:|\n",
    );
    for (deed, name, counts) in [
        (Deed::FirstKnock, "knocked once: an attempt at stage 1", [100_000, 1_000_000]),
        // No more leases than these are held at a time, with the default `max_leases`.
        (Deed::Opens, "opened a door: three remembered packets and a lease", [6_000, 60_000]),
    ] {
        for (doors, sources) in [(1, counts[0]), (1, counts[1]), (10_000, counts[1])] {
            let bytes = live_bytes(deed, doors, sources);
            let each = bytes / i64::from(sources);
            text.push_str(&format!("| {name} | {doors} | {sources} | {bytes} | {each} |\n"));
        }
    }
    out.write_all(text.as_bytes()).context("cannot write the table")
}

/// Counts what an engine holds after these sources came, beyond what it held before.
fn live_bytes(deed: Deed, doors: u16, sources: u32) -> i64 {
    let mut bed = Bed::new(doors, SPANS);
    let used = allocation_counter::measure(|| {
        for _ in 0..sources {
            let outputs = match deed {
                Deed::FirstKnock => bed.first_knock(Duration::ZERO),
                Deed::Opens => bed.sequence(Duration::ZERO),
            };
            std::hint::black_box(outputs);
        }
    });
    used.bytes_current
}
