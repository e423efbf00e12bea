//! Tests of the engine through its public interface.

mod flags;
mod wire;
