//! The tests of `knock`, in one binary: those of its messages, and those with real sockets in
//! network namespaces of their own.

mod bench;
mod cold;
mod doors;
mod ear;
mod errors;
mod knocks;
mod proxy;
mod verify;
mod write_pcap;
