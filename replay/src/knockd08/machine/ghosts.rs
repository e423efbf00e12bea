//! Attempts that are gone while their sources knock on.

use std::collections::{HashMap, VecDeque};
use std::net::IpAddr;

/// An attempt that is gone.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Ghost {
    pub(super) door: usize,
    /// The number of knocks that its source sent so far, counted or not.
    pub(super) stage: usize,
    /// The first whole second at which its source has given up.
    pub(super) until_s: i64,
}

/// The attempts that went lost lately, by source. Only looked up, never gone through.
#[derive(Clone, Debug, Default)]
pub(super) struct Ghosts {
    of: HashMap<IpAddr, Vec<Ghost>>,
    /// The sources, oldest first. One that was taken out and put in again is here twice.
    order: VecDeque<IpAddr>,
}

impl Ghosts {
    /// The most sources. Of more, the oldest are forgotten: their later knocks go unnamed.
    const MAX_SOURCES: usize = 65_536;

    /// Remembers an attempt in place of an earlier one at the same door.
    pub(super) fn remember(&mut self, source: IpAddr, ghost: Ghost) {
        let mut list = self.take(source);
        list.retain(|other| other.door != ghost.door);
        list.push(ghost);
        self.put(source, list);
    }

    /// Takes out those of a source.
    pub(super) fn take(&mut self, source: IpAddr) -> Vec<Ghost> {
        if self.of.is_empty() { Vec::new() } else { self.of.remove(&source).unwrap_or_default() }
    }

    /// Puts back those of a source that are left.
    pub(super) fn put(&mut self, source: IpAddr, list: Vec<Ghost>) {
        if list.is_empty() {
            return;
        }
        self.of.insert(source, list);
        self.order.push_back(source);
        while self.order.len() > Self::MAX_SOURCES {
            if let Some(oldest) = self.order.pop_front() {
                self.of.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn the_oldest_are_forgotten() {
        let source = |number: usize| IpAddr::V4(Ipv4Addr::from_bits(number.try_into().unwrap()));
        let ghost = Ghost { door: 0, stage: 1, until_s: 5 };
        let mut ghosts = Ghosts::default();
        for number in 0..=Ghosts::MAX_SOURCES {
            ghosts.remember(source(number), ghost);
        }
        assert_eq!(ghosts.take(source(0)), []);
        assert_eq!(ghosts.take(source(1)), [ghost]);
        assert!(
            ghosts.of.len() <= Ghosts::MAX_SOURCES && ghosts.order.len() <= Ghosts::MAX_SOURCES
        );
    }
}
