//! The tests of `knockd`, in one binary: it links once.

mod again;
mod capture;
mod disk;
mod filter;
mod frames;
mod host;
mod ledger;
mod log;
mod netns;
mod one_time;
mod process_children;
mod process_daemonize;
mod process_event_loop;
mod process_helper;
mod process_notify;
mod process_pidfile;
mod process_privileges;
mod program;
mod supervisor;
