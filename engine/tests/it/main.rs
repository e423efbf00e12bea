//! The tests of the engine through its public face.

mod config;
