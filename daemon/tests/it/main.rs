//! The tests of `knockd` that need no kernel, in one binary: it links once.

mod filter;
mod frames;
