//! Decides which port knocks open a door.

pub mod config;
mod engine;
pub mod local;
pub mod output;
pub mod packet;
pub mod time;
pub mod wire;

pub use engine::{Deadline, DeadlineCause, Engine, HashKey};
