//! The supervisor: the engine's actions to effects, sans-IO.

mod effect;

pub use effect::{ChildId, Effect, Spawn, Write, WriteId};
