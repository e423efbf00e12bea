//! The tests of `knock-replay`, as a library and as a program, in one binary: it links once.

mod cli;
mod diff;
mod explain;
mod extract;
mod golden;
mod oracle;
mod readme;
mod recording;
mod refusals;
mod report;
mod trace;
