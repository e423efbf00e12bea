//! The tests of `knock-replay`, as a library and as a program, in one binary: it links once.

mod diagnostics;
mod oracle;
mod trace;
