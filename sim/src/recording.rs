//! What a recording says when it is replayed, beside what was told live.

use std::time::Duration;

use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Event, Output};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType};
use knock_engine::{Engine, HashKey};
use knock_frontend::recording::{BLOCK_TYPE, Note};

use crate::oracle::{is_same, name};

/// A file of a recording, replayed.
pub struct Replayed {
    /// When the daemon that wrote it started.
    pub started: Timestamp,
    /// Its number among the files of that daemon.
    pub number: u64,
    /// How much is missing before it.
    pub lost: u64,
    /// What the engine says to it.
    pub events: Vec<Event>,
    /// Whether the daemon ended it by itself.
    pub has_end: bool,
}

/// Replays a file of the daemon that started then. None where it is another one's, or holds nothing
/// that can be replayed, as after a power cut.
///
/// # Errors
///
/// It has a beginning, and something behind it that nobody can read.
pub fn replay(bytes: &[u8], of: Timestamp) -> Result<Option<Replayed>, String> {
    let mut replay: Option<(Engine, Replayed)> = None;
    for (kind, body) in blocks(bytes) {
        match (kind, &mut replay) {
            (BLOCK_TYPE, state) => {
                let Some(note) = Note::from_block(body) else { continue };
                if note.is_err() && state.is_none() {
                    return Ok(None);
                }
                let note = note.map_err(|error| error.to_string())?;
                if let Note::Begin(its) = note {
                    // A flood's places are too many for a file's beginning: it says so.
                    if its.started != of || its.state.left_out > 0 {
                        return Ok(None);
                    }
                    let config: Config = its.config.config().map_err(|error| error.to_string())?;
                    let local = LocalAddresses::Known(its.local_addresses.clone());
                    let engine = Engine::restore(config, local, HashKey::default(), &its.state);
                    let (started, number, lost) = (its.started, its.number, its.lost);
                    let events = Vec::new();
                    let replayed = Replayed { started, number, lost, events, has_end: false };
                    *state = Some((engine, replayed));
                } else if let Some((engine, replayed)) = state {
                    follow(engine, replayed, note)?;
                }
            }
            (6, Some((engine, replayed))) => {
                let Some((at, frame)) = packet(body) else { break };
                let decoded = wire::decode(LinkType::Ethernet, frame);
                let segment = decoded.map_err(|error| format!("{error:?}"))?;
                engine.handle_packet(&segment.packet(), at);
                take(engine, &mut replayed.events);
            }
            _ => {}
        }
    }
    Ok(replay.map(|(_, replayed)| replayed))
}

fn follow(engine: &mut Engine, replayed: &mut Replayed, note: Note) -> Result<(), String> {
    match note {
        Note::Begin(_) | Note::Command { .. } => {}
        Note::Config { at, config } => {
            engine.handle_config(config.config().map_err(|error| error.to_string())?, at);
        }
        Note::LocalAddresses { addresses, .. } => {
            engine.handle_local_addresses(LocalAddresses::Known(addresses));
        }
        Note::Wake { at } => engine.handle_timeout(at),
        Note::End { .. } => replayed.has_end = true,
    }
    take(engine, &mut replayed.events);
    Ok(())
}

fn take(engine: &mut Engine, events: &mut Vec<Event>) {
    while let Some(output) = engine.poll_output() {
        if let Output::Event(event) = output {
            events.push(event);
        }
    }
}

/// Compares what a replay says with what was told from the file's beginning on.
///
/// # Errors
///
/// It says something else, or more; or less, where the recording is whole.
pub fn compare(replayed: &Replayed, told: &[Event], is_whole: bool) -> Result<(), String> {
    let number = replayed.number;
    for (at, event) in replayed.events.iter().enumerate() {
        let live = told.get(at);
        if !live.is_some_and(|live| is_same(live, event)) {
            let (live, replay) = (name(live), name(Some(event)));
            return Err(format!(
                "file {number} of the recording differs from what was told, at event {at}:\n  \
                 live   {live}\n  replay {replay}"
            ));
        }
    }
    if is_whole && replayed.events.len() < told.len() {
        let missing = name(told.get(replayed.events.len()));
        return Err(format!("file {number} of the recording lacks {missing}"));
    }
    Ok(())
}

/// Returns the blocks of a pcapng file with their types, up to its end or to where it is cut.
fn blocks(mut bytes: &[u8]) -> impl Iterator<Item = (u32, &[u8])> {
    std::iter::from_fn(move || {
        let kind = number(bytes, 0)?;
        let len = usize::try_from(number(bytes, 4)?).ok()?;
        let block = bytes.get(..len).filter(|_| len >= 12)?;
        bytes = &bytes[len..];
        Some((kind, &block[8..len - 4]))
    })
}

/// Returns the stamp and the frame of a packet's block.
fn packet(body: &[u8]) -> Option<(Timestamp, &[u8])> {
    let nanos = u64::from(number(body, 4)?) << 32 | u64::from(number(body, 8)?);
    let len = usize::try_from(number(body, 12)?).ok()?;
    let at = Timestamp::ZERO.saturating_add(Duration::from_nanos(nanos));
    Some((at, body.get(20..20 + len)?))
}

/// Reads a number, in the byte order in which recordings are written.
fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..)?.first_chunk().copied().map(u32::from_be_bytes)
}
