//! Measures what the knock engine and `knock-replay` cost.
//!
//! - [`load`] is the traffic: four captures, made by own code from a fixed seed.
//! - [`data`] keeps them in a directory, each beside the config that it is replayed with.
//! - [`contender`] is who reads them: `cat`, `tcpdump`, knockd and `knock-replay`.
//! - [`measure`] runs one of them and takes its CPU time and peak memory from the kernel.
//! - [`table`] compares the medians with what is wanted.
//! - [`live`] is the daemon, beside Debian's, in network namespaces.
//! - [`bed`] is an engine filled with doors and attempts, for the finer measurements.
//!
//! Nothing here is a timed test: a slow machine makes other figures, never a failure.

pub mod bed;
pub mod capture;
pub mod contender;
pub mod data;
pub mod frame;
pub mod live;
pub mod load;
pub mod machine;
pub mod measure;
pub mod random;
pub mod table;
