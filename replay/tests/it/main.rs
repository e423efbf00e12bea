//! The tests of `knock-replay`, as a library and as a program, in one binary: it links once.

mod cli;
mod diff;
mod drawn;
mod expect;
mod explain;
mod extract;
mod golden;
mod lint;
mod oracle;
mod page;
mod readme;
mod recording;
mod refusals;
mod report;
mod stats;
mod sweep;
mod tables;
mod trace;
