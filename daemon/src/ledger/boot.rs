//! Which run of the kernel a deadline belongs to.

use std::time::Duration;
use std::{fs, io};

use knock_engine::time::Timestamp;

/// The kernel's name for the time from one boot to the next.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct BootId(pub [u8; 16]);

impl BootId {
    const PATH: &'static str = "/proc/sys/kernel/random/boot_id";
    /// What stands where there is no deadline; no boot has it.
    const NONE: Self = Self([0; 16]);

    /// Reads the name of this boot.
    ///
    /// # Errors
    ///
    /// `/proc` is not there, or holds something else.
    pub fn read() -> io::Result<Self> {
        let text = fs::read_to_string(Self::PATH)
            .map_err(|error| io::Error::new(error.kind(), format!("{}: {error}", Self::PATH)))?;
        Self::parse(&text).ok_or_else(|| {
            let message = format!("{} holds no name of a boot: {text:?}", Self::PATH);
            io::Error::new(io::ErrorKind::InvalidData, message)
        })
    }

    /// Reads 32 hexadecimal digits, dashes and blanks aside.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.trim().chars().filter(|&digit| digit != '-');
        let digits: Option<Vec<u32>> = digits.map(|digit| digit.to_digit(16)).collect();
        let bytes: Vec<u8> = digits?
            .chunks_exact(2)
            .filter_map(|pair| u8::try_from(pair[0] << 4 | pair[1]).ok())
            .collect();
        bytes.try_into().ok().map(Self).filter(|&id| id != Self::NONE)
    }
}

/// This boot: its name, and when it was. Deadlines are stored as nanoseconds after it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Boot {
    /// The kernel's name for it.
    pub id: BootId,
    /// The engine time at which it was.
    pub at: Timestamp,
}

impl Boot {
    /// Returns the 24 bytes of a deadline.
    pub(super) fn encode(&self, deadline: Option<Timestamp>) -> [u8; 24] {
        let since = deadline.map(|deadline| deadline.saturating_duration_since(self.at));
        let nanos = since.map_or(0, |since| u64::try_from(since.as_nanos()).unwrap_or(u64::MAX));
        let id = if deadline.is_some() { self.id } else { BootId::NONE };
        let mut bytes = [0; 24];
        bytes[..16].copy_from_slice(&id.0);
        bytes[16..].copy_from_slice(&nanos.to_le_bytes());
        bytes
    }

    /// Returns the engine time of a deadline; `None` where it belongs to another boot.
    pub(super) fn decode(&self, id: BootId, nanos: u64) -> Option<Timestamp> {
        (id == self.id).then(|| self.at.saturating_add(Duration::from_nanos(nanos)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernels_spelling_is_understood() {
        let text = "0123abcd-0000-4fff-8000-0123456789ab\n";
        let bytes =
            [1, 0x23, 0xab, 0xcd, 0, 0, 0x4f, 0xff, 0x80, 0, 1, 0x23, 0x45, 0x67, 0x89, 0xab];
        assert_eq!(BootId::parse(text), Some(BootId(bytes)));
        for wrong in ["", "0123", "x123abcd-0000-4fff-8000-0123456789ab", &"0".repeat(32)] {
            assert_eq!(BootId::parse(wrong), None, "{wrong}");
        }
        assert!(BootId::read().is_ok());
    }

    #[test]
    fn deadlines_keep_their_boot() {
        let at = Timestamp::from_nanos(1_000);
        let boot = Boot { id: BootId([7; 16]), at };
        let bytes = boot.encode(Some(Timestamp::from_nanos(1_500)));
        assert_eq!(bytes[16..], 500u64.to_le_bytes());
        assert_eq!(boot.decode(BootId([7; 16]), 500), Some(Timestamp::from_nanos(1_500)));
        assert_eq!(boot.decode(BootId([8; 16]), 500), None);
        assert_eq!(boot.encode(None), [0; 24]);
    }
}
