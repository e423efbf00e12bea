//! The tests of `knock-replay` as a library and as a program.

mod cli;
mod diagnostics;
mod oracle;
mod report;
mod trace;
