//! Tests of the program and its parts through their public interface.

mod cli;
mod report;
//! Tests of the crate from outside, as one program.

mod trace;
//! The tests of `knock-replay` as a library and as a program.

mod diagnostics;
//! The integration tests of `knock-replay`, in one binary.

mod oracle;
