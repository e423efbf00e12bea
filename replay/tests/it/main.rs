//! Tests of the program and its parts through their public interface.

mod cli;
mod report;
