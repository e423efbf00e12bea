//! Networks of this process's own, to try the live daemon in.
//!
//! - [`namespace`] is a network that exists only as long as its owner holds it: nothing here ever
//!   touches a real interface, and nothing is left behind however a test ends.
//! - [`lab`] joins a server and a client the way most tests want them.
//! - [`daemon`] runs a `knockd` in it, ours or Debian's, and knows when it is ready.
//! - [`service`] is what hides behind a door, and [`reach`] tells whether it can be reached;
//!   [`ssh`] is the real thing.
//! - [`wire`] crafts packets that no socket would send, and [`storm`] sends many of them while
//!   honest knocks go on.
//! - [`usage`] is what a daemon costs.
//! - [`wait`] waits for conditions, with a deadline.
//! - [`privilege`] says whether any of this is allowed here, and what to do where it isn't.

pub mod daemon;
pub mod lab;
pub mod namespace;
pub mod privilege;
pub mod reach;
pub mod service;
pub mod ssh;
pub mod storm;
pub mod usage;
pub mod wait;
pub mod wire;
