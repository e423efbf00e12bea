//! What must hold for compressed traces: they read like the trace in them, and what is cut off or
//! damaged gives no frame that was not there. The fuzz target and the tests share it.

use std::io::Write as _;

use flate2::write::GzEncoder;
use lz4_flex::frame::{FrameEncoder, FrameInfo};

use super::trace::{Outcome, check as check_trace, is_plain, read};
use knock_replay::trace::OnDamage;

/// Checks an input: a byte for the compression, one for the number of members (or frames) that
/// the trace is split into, two that tell where the result is cut and damaged, one for the damage,
/// and the trace. Without a compression everything behind the first byte is the compressed file.
///
/// # Panics
///
/// Where something does not hold.
pub(crate) fn check(input: &[u8]) {
    let [kind, rest @ ..] = input else { return };
    let pack = match kind % 4 {
        0 => return check_trace(rest),
        1 => gzip,
        2 => zstd,
        _ => lz4 as fn(&[u8]) -> Vec<u8>,
    };
    let [members, high, low, damage, trace @ ..] = rest else { return };
    if !is_plain(trace) {
        return;
    }
    let plain = read(trace, OnDamage::Stop);
    let piece = trace.len().div_ceil(usize::from(members % 4) + 1).max(1);
    let mut packed: Vec<u8> = trace.chunks(piece).flat_map(pack).collect();
    let whole = read(packed.as_slice(), OnDamage::Stop);
    assert_eq!(whole.frames, plain.frames, "it reads like the trace in it");
    assert_eq!(whole.end.is_ok(), plain.end.is_ok(), "{:?}, {:?}", whole.end, plain.end);

    let at = usize::from(u16::from_be_bytes([*high, *low])) % packed.len();
    is_a_beginning(&read(&packed[..at], OnDamage::Stop), &plain);
    packed[at] ^= damage;
    // A decompressor need not notice damage before it has come to a checksum, and lz4 and zstd
    // have none unless asked.
    check_trace(&packed);
}

/// Checks that a trace that was cut off gives the first frames of it and nothing else.
///
/// Its last frame may be one more: a record that contradicts itself is judged by what stands
/// behind it, and behind the cut stands nothing.
fn is_a_beginning(cut: &Outcome, plain: &Outcome) {
    let (some, all) = (cut.frames.len(), plain.frames.len());
    let sure = &cut.frames[..some.saturating_sub(1)];
    assert!(plain.frames.starts_with(sure), "{some} frames of {all}");
}

fn gzip(bytes: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}

fn zstd(bytes: &[u8]) -> Vec<u8> {
    zstd::encode_all(bytes, 1).expect("memory takes all")
}

fn lz4(bytes: &[u8]) -> Vec<u8> {
    let info = FrameInfo::new().content_checksum(true);
    let mut encoder = FrameEncoder::with_frame_info(info, Vec::new());
    encoder.write_all(bytes).expect("memory takes all");
    encoder.finish().expect("memory takes all")
}
