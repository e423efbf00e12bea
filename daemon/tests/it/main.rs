//! The tests of `knockd`, in one binary: it links once.

mod capture;
mod filter;
mod frames;
mod host;
mod netns;
