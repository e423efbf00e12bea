//! The tests of what the programs have in common, in one binary: it links once.

mod diagnostics;
mod escape;
