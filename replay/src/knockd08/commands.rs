//! What knockd 0.8 runs at an opening (R37-R40).

use std::net::IpAddr;
use std::time::Duration;

use knock_engine::time::Timestamp;

use super::config::DoorConfig;
use super::decision::{Commands, Stop};
use super::text::{address_text, lossy};

/// Commands of this many bytes and more are not run (R38).
const TOO_LONG: usize = 4096;

/// Expands the commands of a door for a source.
pub(super) fn of_opening(door: &DoorConfig, source: IpAddr, at: Timestamp) -> Commands {
    let (start, stop) = match source {
        IpAddr::V4(_) => (&door.start, &door.stop),
        // An empty `_6` form counts as given and does not fall back.
        IpAddr::V6(_) => (
            if door.start_6.is_some() { &door.start_6 } else { &door.start },
            if door.stop_6.is_some() { &door.stop_6 } else { &door.stop },
        ),
    };
    let Some(start) = start.as_deref().filter(|start| !start.is_empty()) else {
        return Commands::None;
    };
    let address = address_text(source);
    let Some(start) = expand(start, &address) else { return Commands::TooLong };
    let stop = match stop.as_deref().map(|stop| expand(stop, &address)) {
        None => None,
        Some(None) => return Commands::TooLong,
        Some(Some(command)) => Some(Stop {
            at: at.saturating_add(Duration::from_secs(door.cmd_timeout_s.into())),
            cmd_timeout_s: door.cmd_timeout_s,
            command,
        }),
    };
    Commands::Run { start, stop }
}

/// Replaces each `%IP%`; `None` where the result is too long to be run.
fn expand(template: &[u8], address: &str) -> Option<String> {
    const TOKEN: &[u8] = b"%IP%";
    let mut expanded = Vec::with_capacity(template.len());
    let mut rest = template;
    while !rest.is_empty() {
        if let Some(behind) = rest.strip_prefix(TOKEN) {
            expanded.extend_from_slice(address.as_bytes());
            rest = behind;
        } else {
            expanded.push(rest[0]);
            rest = &rest[1..];
        }
    }
    (expanded.len() < TOO_LONG).then(|| lossy(&expanded))
}
