//! The engine's tests through its public face, in one binary: it links once.

mod answers;
mod config;
mod corpus;
mod director;
mod flags;
mod model;
mod properties;
mod rules;
mod schedule;
mod script;
mod snapshot;
mod wire;
