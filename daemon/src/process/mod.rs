//! Processes: the children that run commands, and the daemon's own life as one.

pub mod children;
pub mod daemonize;
pub mod descriptors;
pub mod event_loop;
pub mod notify;
mod output;
pub mod pidfile;
pub mod privileges;
pub mod signals;
