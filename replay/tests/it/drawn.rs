//! Traffic that is drawn, the same for the same seed, and configs under which much comes of it.

#![expect(clippy::unwrap_used, reason = "the lint knows only functions marked as tests")]

use crate::cli::{pcap_of, syn};

/// A door with a cooldown.
pub(crate) const COOLING: &str = "[ssh]\nsequence = 7000,8000,9000\nseq_timeout = 12\n\
    max_strays = 2\nretransmit_window = 5\ncooldown = 20\nstart_command = open %IP%\n";

/// A door with a lease, and lockouts.
pub(crate) const LEASED: &str = "[ssh]\nsequence = 7000,8000,7000\nseq_timeout = 8\n\
    max_failures = 3\nstart_command = open %IP%\nstop_command = close %IP%\n";

/// The same in a table so small that sources get in each other's way.
pub(crate) fn crowded() -> String {
    format!("[options]\nmax_attempts = 3\n{LEASED}")
}

/// Draws numbers that look random, the same for the same seed.
pub(crate) struct Drawn(pub(crate) u64);

impl Drawn {
    pub(crate) fn below(&mut self, limit: u64) -> u64 {
        self.0 =
            self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

/// Which of the ports a host sends to: two of the hosts only to those that begin a knock.
pub(crate) const LIMITS: [u64; 6] = [10, 10, 4, 10, 10, 4];

/// Returns a capture of SYNs of six hosts, drawn. Half of them have stamps that step back: often by
/// less than the second that counts as now, and sometimes so far that the clock was set (S1).
pub(crate) fn traffic(seed: u64) -> Vec<u8> {
    let mut drawn = Drawn(seed);
    let ports = [7000, 7000, 8000, 8000, 9000, 9000, 22, 23, 24, 443];
    let frames: Vec<Vec<u8>> = (0..400)
        .map(|_| {
            let host = drawn.below(6);
            let source = [198, 51, 100, u8::try_from(host).unwrap()];
            let from = 40_000 + u16::try_from(drawn.below(40)).unwrap();
            let port = drawn.below(LIMITS[usize::try_from(host).unwrap()]);
            syn(source, from, ports[usize::try_from(port).unwrap()])
        })
        .collect();
    let mut file = pcap_of(1, frames.into_iter());
    let is_jittered = seed % 2 == 1;
    let mut record = 24;
    while is_jittered && record < file.len() {
        let back = if drawn.below(20) == 0 { drawn.below(5) } else { drawn.below(2) };
        let second = u32::from_le_bytes(file[record..record + 4].try_into().unwrap());
        let second = second - u32::try_from(back).unwrap();
        let micros = u32::try_from(drawn.below(1_000_000)).unwrap();
        file[record..record + 4].copy_from_slice(&second.to_le_bytes());
        file[record + 4..record + 8].copy_from_slice(&micros.to_le_bytes());
        record += 16 + 54;
    }
    file
}
