//! `knockd` against the real kernel, in network namespaces that each test makes itself.
//!
//! `KNOCKD=/usr/sbin/knockd` tries another daemon, such as Debian's, which fails most of these.
//! `SESAME_TEST=full` runs the full numbers (`make test-full`) instead of a sample of each.
//!
//! The tests run side by side, but those that load the machine run alone ([`bench::alone`]).

mod bench;
mod configs;
mod crashes;
mod interfaces;
mod recordings;
mod reloads;
mod retransmissions;
mod scans;
mod storms;
mod virtual_scans;
mod vpn;
mod walk_through;
mod wire;
