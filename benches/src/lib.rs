//! Measures what the knock engine and `knock-replay` cost.
//!
//! - [`load`] is the traffic: four captures, made by own code from a fixed seed.
//! - [`data`] keeps them in a directory, each beside the config that it is replayed with.
//!
//! Nothing here is a timed test: a slow machine makes other figures, never a failure.

pub mod capture;
pub mod data;
pub mod frame;
pub mod load;
pub mod random;
