//! A port-knocking client: what knock 0.8 does, paced, to one address, and with every error told.
//!
//! Data flows one way: [`cli`] and [`profile`] become a [`plan`], [`target`] finds the addresses,
//! [`sequence`] what to knock, [`send`] does so, and [`reach`] tells whether a port has opened,
//! which [`proxy`] then joins to standard input and output. [`pcap`] writes down what would be
//! sent instead. [`run`] calls these in order; everything that can go wrong is a [`Failure`] with
//! its exit status.

pub mod cli;
pub mod failure;
pub mod neighbour;
pub mod pcap;
pub mod plan;
pub mod port;
pub mod profile;
pub mod proxy;
pub mod reach;
pub mod run;
pub mod send;
pub mod sequence;
pub mod target;

pub use failure::{Failure, Status};

/// The name that messages begin with.
pub const PROGRAM: knock_frontend::Program = knock_frontend::Program("knock");
