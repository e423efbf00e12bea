//! What the daemon hears: capture sockets, their filter, and the interfaces they hang on.
//!
//! [`Captures`] keeps a socket on each interface that is to be listened on, whatever becomes of
//! these. It does not wait for anything: the event loop watches [`Captures::fds`], calls
//! [`Captures::drain`] for those that are readable, and [`Captures::reconcile`] when the network
//! changed, when a socket failed, and when [`Captures::next_retry`] has come.
//!
//! Packets are captured on their way in and out, as knockd does: a door with a `target` may be on
//! a router, where only the outgoing interface is listened on.

mod change;
mod filter;
mod listener;
mod ports;
mod program;
mod socket;

use std::os::fd::{AsFd, BorrowedFd};

use knock_engine::time::Timestamp;
use knock_engine::wire::LinkType;

use crate::host::Network;
use listener::{Listener, Means};
use socket::Drain;

pub use change::{Change, WhatChanged};
pub use filter::{Filter, FilterError, IpVersions, MAX_INSTRUCTIONS};
pub use socket::{ANY, CaptureError, DEFAULT_BUFFER_SIZE, SNAP_LENGTH};

/// Names a capture socket. No other ever has the same one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Token(pub u64);

/// What [`Captures::drain`] came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drained {
    /// There is no more for now.
    Empty,
    /// There may be more.
    More,
    /// The socket broke and is closed: [`Captures::reconcile`] says what becomes of it.
    Failed,
}

/// The capture sockets of all interfaces that are to be listened on.
pub struct Captures {
    listeners: Vec<Listener>,
    filter: Filter,
    buffer_size: u32,
    next_token: u64,
}

impl Captures {
    /// Makes the captures of these interfaces; none is open before
    /// [`reconcile`](Self::reconcile). `any` in the list stands for all of them. `buffer_size` is
    /// the size of each ring in bytes.
    #[must_use]
    pub fn new(names: Vec<String>, filter: Filter, buffer_size: u32) -> Self {
        let mut captures = Self { listeners: Vec::new(), filter, buffer_size, next_token: 0 };
        captures.set_names(names);
        captures
    }

    /// Replaces the interfaces that are to be listened on. Those that stay keep their sockets.
    pub fn set_names(&mut self, names: Vec<String>) {
        let mut before = std::mem::take(&mut self.listeners);
        let names = if names.iter().any(|name| name == ANY) { vec![ANY.to_owned()] } else { names };
        for name in names {
            if self.listeners.iter().any(|listener| listener.name() == name) {
                continue;
            }
            let known = before.iter().position(|listener| listener.name() == name);
            let listener = known.map(|at| before.swap_remove(at));
            self.listeners.push(listener.unwrap_or_else(|| Listener::new(name)));
        }
    }

    /// Replaces the filter (S16). No packet is lost that both pass.
    ///
    /// # Errors
    ///
    /// Where it can't be compiled, or the kernel does not take it: then every socket has the
    /// filter that it had.
    pub fn set_filter(&mut self, filter: Filter) -> Result<(), CaptureError> {
        if filter == self.filter {
            return Ok(());
        }
        let mut loads = Vec::new();
        for (_, socket) in self.listeners.iter().filter_map(Listener::socket) {
            let link = socket.link();
            loads.push((socket, program::load(&filter, link)?, program::load(&self.filter, link)?));
        }
        let failed = loads.iter().find_map(|(socket, new, _)| socket.attach(new).err());
        if let Some(error) = failed {
            for (socket, _, old) in &loads {
                // What the kernel took before it takes again, as far as it can be helped.
                let _ = socket.attach(old);
            }
            return Err(error);
        }
        self.filter = filter;
        Ok(())
    }

    /// Opens, reopens and closes sockets so that they match the network, and tells what there is
    /// to say. The descriptors may be others afterwards.
    pub fn reconcile(&mut self, network: &Network, now: Timestamp) -> Vec<Change> {
        let mut means = Means {
            filter: &self.filter,
            buffer_size: self.buffer_size,
            next_token: &mut self.next_token,
        };
        let mut changes = Vec::new();
        for listener in &mut self.listeners {
            let whats = listener.reconcile(network, now, &mut means);
            let interface = listener.name();
            changes.extend(
                whats.into_iter().map(|what| Change { interface: interface.to_owned(), what }),
            );
        }
        changes
    }

    /// Returns when to call [`reconcile`](Self::reconcile) even if nothing changes, because a
    /// socket could not be opened; none where all are.
    #[must_use]
    pub fn next_retry(&self) -> Option<Timestamp> {
        self.listeners.iter().filter_map(Listener::next_retry).min()
    }

    /// Returns the descriptors of the open sockets, which are readable when there are packets. A
    /// token that is not there any more is closed, which takes it out of an epoll by itself.
    pub fn fds(&self) -> impl Iterator<Item = (Token, BorrowedFd<'_>)> {
        self.listeners
            .iter()
            .filter_map(Listener::socket)
            .map(|(token, socket)| (*token, socket.as_fd()))
    }

    /// Hands over the packets that a socket has captured, at most so many, without waiting. Of a
    /// token that is not there any more there is none.
    pub fn drain(
        &mut self,
        token: Token,
        max_packets: usize,
        hand_over: &mut dyn FnMut(&str, LinkType, &[u8]),
    ) -> Drained {
        let open = self.listeners.iter_mut().find_map(|listener| match listener.socket() {
            Some((its, _)) if *its == token => Some(listener),
            _ => None,
        });
        let Some(listener) = open else { return Drained::Empty };
        let drain = listener.ear().map(|(name, socket)| {
            socket.drain(max_packets, &mut |link, bytes| hand_over(name, link, bytes))
        });
        match drain {
            Some(Drain::More) => Drained::More,
            Some(Drain::Failed(reason)) => {
                listener.give_up(reason);
                Drained::Failed
            }
            Some(Drain::Empty) | None => Drained::Empty,
        }
    }

    /// Returns how many packets that passed the filter were lost since the last call, because a
    /// ring was full, by interface; only interfaces with losses.
    pub fn drops(&mut self) -> Vec<(String, u64)> {
        let mut drops = Vec::new();
        for listener in &mut self.listeners {
            let lost = listener.socket_mut().map_or(0, |(_, socket)| socket.drops());
            if lost > 0 {
                drops.push((listener.name().to_owned(), lost));
            }
        }
        drops
    }
}

/// Returns what libpcap said, without the words that the `pcap` crate puts in front.
fn plain_reason(error: &pcap::Error) -> String {
    if let pcap::Error::PcapError(reason) = error { reason.clone() } else { error.to_string() }
}
