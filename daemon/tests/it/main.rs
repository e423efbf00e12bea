//! The tests of `knockd` that need no kernel, in one binary: it links once.

mod again;
mod disk;
mod ledger;
mod one_time;
