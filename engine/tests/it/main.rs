//! Tests of the engine through its public interface.

mod flags;
mod wire;
//! The tests of the engine through its public face.

mod config;
