//! The tests of `knock-replay` as a library and as a program.

mod diagnostics;
