//! One name of an interface that is to be listened on, and its socket while there is one.

use std::net::IpAddr;
use std::time::Duration;

use knock_engine::time::Timestamp;

use super::Token;
use super::change::WhatChanged;
use super::filter::Filter;
use super::socket::{ANY, CaptureError, Socket};
use crate::host::{Interface, LinkState, Network};

/// How long after a failure the first next try is; each later one waits twice as long.
const FIRST_RETRY: Duration = Duration::from_secs(1);

/// The longest wait between two tries.
const LONGEST_RETRY: Duration = Duration::from_secs(60);

/// What a listener needs to open its socket.
pub(super) struct Means<'a> {
    pub(super) filter: &'a Filter,
    pub(super) buffer_size: u32,
    pub(super) next_token: &'a mut u64,
}

/// A name of an interface, and what is known of it.
pub(super) struct Listener {
    name: String,
    said: Said,
    /// Whether it has been listened on.
    is_known: bool,
    /// The interface that had the name last, and what it was called then.
    interface: Option<(u32, String)>,
    /// Its addresses, as they were said.
    addresses: Vec<IpAddr>,
    socket: Option<(Token, Socket)>,
    /// Why the socket was given up, until there is another.
    broken: Option<String>,
    retry: Option<Retry>,
}

/// What has been said of an interface last.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Said {
    Nothing,
    Missing,
    NotUp,
    Heard,
    Failed(String),
}

/// When to try again to open the socket.
#[derive(Clone, Copy, Debug)]
struct Retry {
    at: Timestamp,
    delay: Duration,
    /// What the interface was like at the last try: another one is tried at once.
    tried: (u32, LinkState),
}

/// What a listener has to do with an interface now.
#[derive(Clone, Copy)]
struct Target<'a> {
    index: u32,
    name: &'a str,
    state: LinkState,
}

impl Listener {
    pub(super) const fn new(name: String) -> Self {
        Self {
            name,
            said: Said::Nothing,
            is_known: false,
            interface: None,
            addresses: Vec::new(),
            socket: None,
            broken: None,
            retry: None,
        }
    }

    pub(super) fn name(&self) -> &str {
        &self.name
    }

    pub(super) const fn socket(&self) -> Option<&(Token, Socket)> {
        self.socket.as_ref()
    }

    pub(super) const fn socket_mut(&mut self) -> Option<&mut (Token, Socket)> {
        self.socket.as_mut()
    }

    /// Returns its name, and its socket to read from.
    pub(super) fn ear(&mut self) -> Option<(&str, &mut Socket)> {
        self.socket.as_mut().map(|(_, socket)| (self.name.as_str(), socket))
    }

    /// Returns when it wants to be reconciled even if nothing changes.
    pub(super) fn next_retry(&self) -> Option<Timestamp> {
        self.retry.filter(|_| self.socket.is_none()).map(|retry| retry.at)
    }

    /// Gives up the socket, which is of no use any more.
    pub(super) fn give_up(&mut self, reason: String) {
        self.socket = None;
        self.broken = Some(reason);
    }

    /// Opens, reopens or closes the socket, and tells what there is to say.
    pub(super) fn reconcile(
        &mut self,
        network: &Network,
        now: Timestamp,
        means: &mut Means<'_>,
    ) -> Vec<WhatChanged> {
        let mut changes = Vec::new();
        let Some(target) = self.find(network) else {
            self.close();
            let what = if self.said == Said::Nothing {
                WhatChanged::Missing { there_are: network.to_string() }
            } else {
                WhatChanged::Gone
            };
            self.say(Said::Missing, what, &mut changes);
            return changes;
        };
        let is_replaced = self.follow(target, &mut changes);
        if target.state == LinkState::Down {
            // An open socket hears again by itself when the interface is up. Another is opened at
            // once then.
            (self.broken, self.retry) = (None, None);
            self.say(Said::NotUp, WhatChanged::Down, &mut changes);
            return changes;
        }
        let has_socket = self.socket.is_some();
        if !has_socket && !self.open(target, now, means, &mut changes) {
            return changes;
        }
        if target.state == LinkState::NoCarrier {
            self.say(Said::NotUp, WhatChanged::NoCarrier, &mut changes);
            return changes;
        }
        self.say_heard(is_replaced, addresses(network, target.index), &mut changes);
        changes
    }

    /// Finds the interface of that name; where it has got another name, and no other has taken
    /// this one, it still is that interface.
    fn find<'a>(&self, network: &'a Network) -> Option<Target<'a>> {
        if self.name == ANY {
            return Some(Target { index: 0, name: ANY, state: LinkState::Up });
        }
        let last = self.interface.as_ref().map(|(index, _)| *index);
        let known = || network.interfaces().find(|interface| Some(interface.index) == last);
        let found: &Interface = network.interface(&self.name).or_else(known)?;
        Some(Target { index: found.index, name: &found.name, state: found.state })
    }

    fn close(&mut self) {
        self.socket = None;
        self.interface = None;
        self.broken = None;
        self.retry = None;
    }

    /// Notes which interface it is now, and tells whether it is another one than that which was
    /// listened on; then the socket is closed.
    fn follow(&mut self, target: Target<'_>, changes: &mut Vec<WhatChanged>) -> bool {
        let before = self.interface.replace((target.index, target.name.to_owned()));
        let Some((index, name)) = before else { return false };
        if index != target.index {
            self.broken = None;
            return self.socket.take().is_some();
        }
        if name != target.name && self.name != target.name {
            changes.push(WhatChanged::Renamed { name: target.name.to_owned() });
        }
        false
    }

    /// Opens the socket, if it is time to; tells whether it is open.
    fn open(
        &mut self,
        target: Target<'_>,
        now: Timestamp,
        means: &mut Means<'_>,
        changes: &mut Vec<WhatChanged>,
    ) -> bool {
        let tried = (target.index, target.state);
        match self.retry {
            Some(retry) if retry.tried == tried && now < retry.at => return false,
            // The kernel will soon say why it broke, and that is said instead.
            None if self.broken.is_some() => {
                let at = now.saturating_add(FIRST_RETRY);
                self.retry = Some(Retry { at, delay: FIRST_RETRY, tried });
                return false;
            }
            _ => {}
        }
        match Socket::open(target.name, means.buffer_size, means.filter) {
            Ok(socket) => {
                let token = Token(*means.next_token);
                *means.next_token += 1;
                self.socket = Some((token, socket));
                self.retry = None;
                true
            }
            Err(error) => {
                let delay = self
                    .retry
                    .filter(|retry| retry.tried == tried)
                    .map(|retry| retry.delay.saturating_mul(2).min(LONGEST_RETRY));
                let delay = delay.unwrap_or(FIRST_RETRY);
                self.retry = Some(Retry { at: now.saturating_add(delay), delay, tried });
                self.say_failed(error, changes);
                false
            }
        }
    }

    fn say(&mut self, said: Said, what: WhatChanged, changes: &mut Vec<WhatChanged>) {
        if self.said != said {
            self.said = said;
            changes.push(what);
        }
    }

    fn say_failed(&mut self, error: CaptureError, changes: &mut Vec<WhatChanged>) {
        let said = Said::Failed(error.to_string());
        self.say(said, WhatChanged::Failed(error), changes);
    }

    fn say_heard(
        &mut self,
        is_replaced: bool,
        addresses: Vec<IpAddr>,
        changes: &mut Vec<WhatChanged>,
    ) {
        let before = std::mem::replace(&mut self.addresses, addresses.clone());
        let broken = self.broken.take();
        let said = std::mem::replace(&mut self.said, Said::Heard);
        let is_known = std::mem::replace(&mut self.is_known, true);
        changes.extend(match said {
            _ if !is_known => Some(WhatChanged::Listening { addresses }),
            Said::Nothing | Said::Missing | Said::NotUp | Said::Failed(_) => {
                Some(WhatChanged::ListeningAgain { addresses })
            }
            Said::Heard if is_replaced => Some(WhatChanged::Replaced),
            Said::Heard if broken.is_some() => {
                broken.map(|reason| WhatChanged::Reopened { reason })
            }
            Said::Heard if before != addresses => Some(WhatChanged::Readdressed { addresses }),
            Said::Heard => None,
        });
    }
}

/// Returns the addresses that are worth mentioning: those of the link come and go with it.
fn addresses(network: &Network, index: u32) -> Vec<IpAddr> {
    let of_more_than_the_link = |address: &IpAddr| match address {
        IpAddr::V4(_) => true,
        IpAddr::V6(address) => !address.is_unicast_link_local(),
    };
    network.addresses(index).filter(of_more_than_the_link).collect()
}
