//! What the programs have in common at their edges.
//!
//! The programs read a config the same way, show what is wrong with it the same way, mark a line of
//! a one-time file the same way, and name the fields of an event the same way: here is the one place
//! for each of these. Nothing here decides about a knock.

pub mod config_file;
pub mod diagnostics;
pub mod escape;
pub mod event_line;
pub mod files;
pub mod format;
pub mod hyphen;
pub mod notice;
pub mod one_time;
pub mod recording;
pub mod severity;

pub use notice::Program;
