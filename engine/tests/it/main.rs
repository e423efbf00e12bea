//! The engine's tests through its public face, in one binary: it links once.

mod config;
mod flags;
mod wire;
