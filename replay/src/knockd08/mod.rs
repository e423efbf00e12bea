//! A model of knockd 0.8: what the original would have done with a capture.
//!
//! It stands beside the engine and shares none of its decisions. Config reading, filter,
//! decoding and the list of attempts follow the original step by step, errors included: whole
//! seconds, timeouts noticed at the next packet, and the loss of every other attempt when the
//! first of the list ends. The R-numbers are the rules in `docs/COMPATIBILITY.md`.
//!
//! Bytes go in, decisions come out; the model has no clock and touches no file:
//!
//! ```
//! use knock_engine::local::LocalAddresses;
//! use knock_replay::knockd08::{Families, Knockd08, Knockd08Config};
//!
//! let config = b"[ssh]\nsequence = 7000,8000\nstart_command = open %IP%\n";
//! let config = Knockd08Config::parse(config, &mut |_path| None)?;
//! let mut knockd = Knockd08::new(config, LocalAddresses::Unknown, Families::Both)?;
//! // For each frame: knockd.handle_frame(link, bytes, stamp), and then
//! while let Some(decision) = knockd.poll_output() {
//!     println!("{decision:?}");
//! }
//! knockd.finish();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod commands;
mod config;
mod decision;
mod decode;
mod filter;
mod hidden;
mod host;
mod machine;
mod one_time;
mod text;

pub use config::{Knockd08Config, Knockd08Refusal, Refused};
pub use decision::{Commands, CrashCause, Decision, DoorRef, HeadEnd, LossReason, Step, Stop};
pub use decode::{LinkLayer, UnsupportedLinkType};
pub use machine::{FilterRejectsAll, Knockd08};
pub use text::address_text;

/// The address families that knockd listens to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Families {
    /// Those of which the interface has an address.
    Both,
    /// IPv4 only: the option `-4`. A door whose `target` is an IPv6 address and that has no
    /// `tcpflags` works even so (R5).
    OnlyIpv4,
}
