//! Traces that come piece by piece.

use std::io::{self, Read, Write};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use knock_replay::trace::{OnDamage, TraceReader};

use super::build::{MICROS, gzip, lz4, zstd};
use super::build::{ORDERS, Order, Pcap, PcapNg, SECOND, payload, small_pcap, small_pcapng};
use super::check::{Trickle, check, read};
use super::sound;

/// How long to wait for what must come, before the test fails instead of hanging.
const PATIENCE: Duration = Duration::from_secs(30);

#[test]
fn pieces_do_not_matter() {
    for order in ORDERS {
        check(&small_pcap(order, 50));
        check(&small_pcapng(order, 50));
    }
}

#[test]
fn pieces_do_not_matter_to_decompression() {
    let plain = small_pcap(Order::Little, 300);
    let expected = sound(&plain);
    for packed in [gzip(&plain), zstd(&plain), lz4(&plain)] {
        let outcome = read(Trickle::new(&packed), OnDamage::Stop);
        assert_eq!(outcome.frames, expected);
        assert_eq!(outcome.end, Ok(knock_replay::trace::Ending::Complete));
    }
}

/// A pipe whose writer knows when a read waits in vain: it gives exactly what was sent.
struct Pipe {
    pieces: Receiver<Vec<u8>>,
    rest: Vec<u8>,
}

impl Read for Pipe {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.rest.is_empty() {
            self.rest = self.pieces.recv().unwrap_or_default();
        }
        let count = self.rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&self.rest[..count]);
        self.rest.drain(..count);
        Ok(count)
    }
}

/// Sends each piece only after the frames of the one before have been read; the first piece may
/// hold no frame, each other holds one.
fn assert_live(pieces: Vec<Vec<u8>>) {
    let frames = pieces.len() - 1;
    let (to_reader, from_writer) = channel();
    let (to_writer, from_reader): (Sender<u64>, _) = channel();
    let writer = std::thread::spawn(move || {
        let mut pieces = pieces.into_iter();
        to_reader.send(pieces.next().unwrap()).unwrap();
        for (number, piece) in (1..).zip(pieces) {
            to_reader.send(piece).unwrap();
            // If the frame does not come, the pipe closes, and the test fails here.
            assert_eq!(from_reader.recv_timeout(PATIENCE), Ok(number), "the frame came at once");
        }
    });
    let pipe = Pipe { pieces: from_writer, rest: Vec::new() };
    let mut reader = TraceReader::new(pipe, "pipe", OnDamage::Stop).unwrap();
    let mut read = 0;
    while let Some(frame) = reader.next().unwrap() {
        read += 1;
        // The writer is gone only if it has failed.
        let _ = to_writer.send(frame.number);
    }
    writer.join().unwrap();
    assert_eq!(read, frames);
}

#[test]
fn a_record_in_a_pipe_is_delivered_before_the_next_is_written() {
    let mut pieces = vec![Pcap::new(Order::Little, MICROS).bytes];
    let header = pieces[0].len();
    for number in 0..20 {
        let record = Pcap::new(Order::Little, MICROS).frame(SECOND, number, &payload(number));
        pieces.push(record.bytes[header..].to_vec());
    }
    assert_live(pieces);
}

#[test]
fn a_block_in_a_pipe_is_delivered_before_the_next_is_written() {
    let start = || PcapNg::new(Order::Big).interface(1, 0, &[]);
    let mut pieces = vec![start().bytes];
    let header = pieces[0].len();
    for number in 0..20 {
        let block = start().enhanced(0, u64::from(number), &payload(number));
        pieces.push(block.bytes[header..].to_vec());
    }
    assert_live(pieces);
}

/// What compresses a trace piece by piece.
type Packer<'a> = dyn FnMut(&[u8]) -> Vec<u8> + 'a;

/// Compresses each piece as far as its own flush lets the other end see it.
fn flushed<W: Write>(
    mut encoder: W,
    mut take: impl FnMut(&mut W) -> Vec<u8>,
) -> impl FnMut(&[u8]) -> Vec<u8> {
    move |piece| {
        encoder.write_all(piece).unwrap();
        encoder.flush().unwrap();
        take(&mut encoder)
    }
}

#[test]
fn a_flushed_record_in_a_compressed_pipe_is_delivered() {
    let header = Pcap::new(Order::Little, MICROS).bytes;
    let plain: Vec<_> = (0..20)
        .map(|number| {
            let pcap = Pcap::new(Order::Little, MICROS).frame(SECOND, number, &payload(number));
            pcap.bytes[header.len()..].to_vec()
        })
        .collect();
    let level = flate2::Compression::fast();
    let mut gzip = flushed(flate2::write::GzEncoder::new(Vec::new(), level), |encoder| {
        std::mem::take(encoder.get_mut())
    });
    let mut zstd = flushed(zstd::Encoder::new(Vec::new(), 1).unwrap(), |encoder| {
        std::mem::take(encoder.get_mut())
    });
    let mut lz4 = flushed(lz4_flex::frame::FrameEncoder::new(Vec::new()), |encoder| {
        std::mem::take(encoder.get_mut())
    });
    let packers: [&mut Packer<'_>; 3] = [&mut gzip, &mut zstd, &mut lz4];
    for pack in packers {
        let mut pieces = vec![pack(&header)];
        pieces.extend(plain.iter().map(|piece| pack(piece)));
        assert_live(pieces);
    }
}
