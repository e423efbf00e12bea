//! The key of a mapping, and the keyed function that everything mapped comes from.

use std::fs;
use std::hash::Hasher as _;
use std::path::Path;

use anyhow::{Context as _, anyhow, bail};
use siphasher::sip::SipHasher24;

/// The key of a mapping. Nothing shows it.
#[derive(Clone)]
pub(super) struct Key([u8; 16]);

impl Key {
    /// How many hexadecimal digits a key file has.
    const DIGITS: usize = 32;

    /// Returns a key that nobody knows.
    ///
    /// # Errors
    ///
    /// The system has no random numbers.
    pub(super) fn random() -> anyhow::Result<Self> {
        let mut key = [0; 16];
        getrandom::fill(&mut key)
            .map_err(|error| anyhow!("the system has no random numbers for a key: {error}"))?;
        Ok(Self(key))
    }

    /// Reads a key from a file.
    ///
    /// # Errors
    ///
    /// The file can't be read, or what it has is no key.
    pub(super) fn read(path: &Path) -> anyhow::Result<Self> {
        let name = path.display();
        let text =
            fs::read_to_string(path).with_context(|| format!("{name}: cannot read the key"))?;
        let digits: Option<Vec<u32>> =
            text.trim().chars().map(|digit| digit.to_digit(16)).collect();
        let Some(digits) = digits.filter(|digits| digits.len() == Self::DIGITS) else {
            bail!(
                "{name}: is no key: it takes {} hexadecimal digits (openssl rand -hex 16)",
                Self::DIGITS
            );
        };
        let mut key = [0; 16];
        for (byte, pair) in key.iter_mut().zip(digits.chunks(2)) {
            let [high, low] = pair else { continue };
            *byte = u8::try_from(high << 4 | low).unwrap_or(u8::MAX);
        }
        Ok(Self(key))
    }

    /// Returns a number that only the key's owner can foretell. Numbers for different `purpose`s
    /// have nothing to do with each other.
    pub(super) fn number(&self, purpose: u8, index: u8, of: u128) -> u64 {
        let mut hasher = SipHasher24::new_with_key(&self.0);
        hasher.write(&[purpose, index]);
        hasher.write(&of.to_be_bytes());
        hasher.finish()
    }
}
