//! Runs the whole daemon on virtual time in a model world, and checks what it promises.
//!
//! One thread, one seed, one world: clients, attackers, a network, a disk, a firewall, processes and
//! clocks are models; config, engine, supervisor, ledger, one-time files, recorder and all that the
//! daemon decides are the real code, which does not know where it is. See `docs/SIMULATION.md`.

pub mod checks;
pub mod cli;
pub mod disk;
pub mod ears;
pub mod failure;
pub mod fate;
pub mod firewall;
pub mod frame;
pub mod life;
pub mod many;
pub mod marks;
pub mod model;
pub mod oracle;
pub mod plan;
pub mod random;
pub mod recording;
pub mod run;
pub mod schedule;
pub mod swarm;
pub mod trail;
pub mod world;
