//! Tests of the program and its parts through their public interface.

mod cli;
mod report;
//! Tests of the crate from outside, as one program.

mod trace;
