//! What the daemon hears in the model world.

use std::collections::VecDeque;
use std::rc::Rc;

use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;
use knock_engine::wire::LinkType;
use knockd::capture::{CaptureError, Filter};
use knockd::clock::Clock;
use knockd::daemon::{Ears, Heard};

use crate::fate::Fate;
use crate::frame;
use crate::model::Earth;
use crate::oracle::Given;

/// How many packets are heard in a turn, as on a real machine.
const PACKETS_A_TURN: usize = 1024;

/// How long it takes to hear one, in nanoseconds.
const COST: u64 = 1_000;

/// A packet on the wire.
#[derive(Clone, Copy, Debug)]
pub struct Sent {
    /// The packet.
    pub packet: Packet,
    /// Whether it is cut in pieces, of which this one has no ports: what looks like them is not.
    pub is_fragment: bool,
    /// Whether the reference model wants to hear of it.
    pub is_minded: bool,
}

/// The ring of packets between kernel and daemon.
pub struct ModelEars {
    earth: Rc<Earth>,
    fate: Rc<Fate>,
    clock: Clock,
    queue: VecDeque<Sent>,
    frame: Vec<u8>,
    drops: u64,
    /// What was heard in this turn, for the reference model.
    pub given: Vec<Given>,
    /// Until when all was heard.
    pub woken: Option<Timestamp>,
    /// How many packets were heard so far.
    pub heard: u64,
    /// The frames that were heard, with their stamps, where somebody wants to keep them.
    pub kept: Option<Vec<(Timestamp, Vec<u8>)>>,
}

impl ModelEars {
    /// Makes ears that have heard nothing.
    #[must_use]
    pub fn new(earth: &Rc<Earth>, fate: &Rc<Fate>, clock: Clock) -> Self {
        Self {
            earth: Rc::clone(earth),
            fate: Rc::clone(fate),
            clock,
            queue: VecDeque::new(),
            frame: Vec::with_capacity(128),
            drops: 0,
            given: Vec::new(),
            woken: None,
            heard: 0,
            kept: None,
        }
    }

    /// Puts a packet into the ring.
    pub fn arrive(&mut self, sent: Sent) {
        self.queue.push_back(sent);
    }

    /// Drops the newest packets of the ring, which is full.
    pub fn drop_newest(&mut self, count: usize) {
        let left = self.queue.len().saturating_sub(count);
        self.drops += (self.queue.len() - left) as u64;
        self.queue.truncate(left);
    }

    /// Tells whether packets wait.
    #[must_use]
    pub fn has_more(&self) -> bool {
        !self.queue.is_empty()
    }

    fn now(&self) -> Timestamp {
        self.clock.at(self.earth.since_boot())
    }
}

impl Ears for ModelEars {
    fn listen(&mut self, hear: &mut dyn FnMut(&str, LinkType, &[u8])) -> Heard {
        for _ in 0..PACKETS_A_TURN {
            let Some(Sent { packet, is_fragment, is_minded }) = self.queue.pop_front() else {
                break;
            };
            self.earth.now.set(self.earth.now.get() + COST);
            self.heard += 1;
            frame::write(&packet, &mut self.frame);
            if is_fragment {
                frame::make_fragment(&mut self.frame);
            } else if is_minded {
                self.given.push((packet, self.now()));
            }
            if let Some(kept) = &mut self.kept {
                kept.push((self.clock.at(self.earth.since_boot()), self.frame.clone()));
            }
            hear("sim0", LinkType::Ethernet, &self.frame);
            if self.fate.is_dead() {
                break;
            }
        }
        let is_quiet = self.queue.is_empty();
        if is_quiet {
            self.woken = Some(self.now());
        }
        Heard { is_quiet, has_failed: false }
    }

    fn set_filter(&mut self, _filter: Filter) -> Result<(), CaptureError> {
        Ok(())
    }

    fn drops(&mut self) -> Vec<(String, u64)> {
        match std::mem::take(&mut self.drops) {
            0 => Vec::new(),
            drops => vec![("sim0".to_owned(), drops)],
        }
    }
}
