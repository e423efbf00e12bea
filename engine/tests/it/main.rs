//! The engine's integration tests, in one binary.

mod director;
mod model;
mod properties;
mod schedule;
