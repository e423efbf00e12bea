//! Decides which port knocks open a door: sans-IO and deterministic.
//!
//! Captured bytes become packets in [`wire`], a `knockd.conf` becomes a [`config::Config`], and
//! the [`Engine`] turns packets and time into [`output::Output`]s. Nothing here has a clock, a
//! socket, a file, a thread or randomness: the live daemon, the replay of a capture and the
//! simulation all run this same code, and the same inputs give the same outputs, byte for byte.
//!
//! The run loop, whatever the caller:
//!
//! ```
//! use knock_engine::local::LocalAddresses;
//! use knock_engine::{Engine, HashKey, config};
//!
//! let parsed = config::parse(b"[ssh]\nsequence = 7000,8000,9000\n");
//! let config = parsed.config.expect("the config has no errors");
//! let mut engine = Engine::new(config, LocalAddresses::Unknown, HashKey::default());
//! # let captured: Vec<(knock_engine::packet::Packet, knock_engine::time::Timestamp)> = Vec::new();
//! for (packet, at) in captured {
//!     engine.handle_packet(&packet, at);
//!     while let Some(output) = engine.poll_output() {
//!         println!("{output:?}");
//!     }
//! }
//! // At the end of a capture, time runs on until no deadline is left.
//! while let Some(deadline) = engine.poll_timeout() {
//!     engine.handle_timeout(deadline.at);
//!     while let Some(output) = engine.poll_output() {
//!         println!("{output:?}");
//!     }
//! }
//! ```
//!
//! The rules are numbered S1 to S16 in the documentation of the items that implement them.

#![forbid(unsafe_code)]

pub mod config;
mod engine;
pub mod local;
pub mod output;
pub mod packet;
pub mod snapshot;
pub mod time;
pub mod wire;

pub use engine::{Deadline, DeadlineCause, Disregard, Engine, HashKey, Stats};
