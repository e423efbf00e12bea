//! The tests of `knockd` that need no kernel, in one binary: it links once.

mod log;
mod process_children;
mod process_event_loop;
mod supervisor;
