//! The engine's tests through its public face, in one binary: it links once.

mod config;
mod director;
mod flags;
mod model;
mod properties;
mod schedule;
mod wire;
