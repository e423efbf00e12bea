//! Writes a classic pcap file (microseconds, little-endian, Ethernet).

use std::io::{self, Write};

/// The record header of a pcap file, in bytes.
pub const RECORD_HEADER: usize = 16;

/// Writes the records of one capture.
#[derive(Debug)]
pub struct CaptureWriter<W> {
    out: W,
    snap_length: usize,
    packets: u64,
}

impl<W: Write> CaptureWriter<W> {
    /// Starts a capture that keeps at most `snap_length` bytes of each frame.
    ///
    /// # Errors
    ///
    /// What writing the file header brings.
    pub fn new(mut out: W, snap_length: u16) -> io::Result<Self> {
        let mut header = [0_u8; 24];
        header[0..4].copy_from_slice(&0xa1b2_c3d4_u32.to_le_bytes());
        header[4..6].copy_from_slice(&2_u16.to_le_bytes());
        header[6..8].copy_from_slice(&4_u16.to_le_bytes());
        header[16..20].copy_from_slice(&u32::from(snap_length).to_le_bytes());
        header[20..24].copy_from_slice(&1_u32.to_le_bytes());
        out.write_all(&header)?;
        Ok(Self { out, snap_length: usize::from(snap_length), packets: 0 })
    }

    /// Writes a frame, cut to the snap length.
    ///
    /// `at_us` counts microseconds since the Unix epoch; `frame` may be shorter than
    /// `original_length` if it reaches the snap length.
    ///
    /// # Errors
    ///
    /// What writing brings; [`io::ErrorKind::InvalidInput`] for a stamp beyond the year 2106,
    /// where the format's 32-bit seconds end.
    pub fn write(&mut self, at_us: u64, frame: &[u8], original_length: u16) -> io::Result<()> {
        let seconds = u32::try_from(at_us / 1_000_000)
            .map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
        let micros = u32::try_from(at_us % 1_000_000).expect("a rest below a million fits");
        let captured = &frame[..frame.len().min(self.snap_length)];
        let captured_length = u32::try_from(captured.len()).expect("at most the snap length");
        let mut header = [0_u8; RECORD_HEADER];
        header[0..4].copy_from_slice(&seconds.to_le_bytes());
        header[4..8].copy_from_slice(&micros.to_le_bytes());
        header[8..12].copy_from_slice(&captured_length.to_le_bytes());
        header[12..16].copy_from_slice(&u32::from(original_length).to_le_bytes());
        self.out.write_all(&header)?;
        self.out.write_all(captured)?;
        self.packets += 1;
        Ok(())
    }

    /// Flushes, and returns the number of packets written.
    ///
    /// # Errors
    ///
    /// What writing the rest brings.
    pub fn finish(mut self) -> io::Result<u64> {
        self.out.flush()?;
        Ok(self.packets)
    }
}
