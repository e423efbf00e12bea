//! Tests of the engine through its public interface.

mod config;
mod director;
mod flags;
mod model;
mod properties;
mod rules;
mod schedule;
mod script;
mod wire;
