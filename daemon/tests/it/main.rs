//! The tests of `knockd` that need no kernel, in one binary: it links once.

mod process_children;
mod process_daemonize;
mod process_event_loop;
mod process_helper;
mod process_notify;
mod process_pidfile;
mod process_privileges;
