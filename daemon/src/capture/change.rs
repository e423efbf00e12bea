//! What can become of an interface that the daemon listens on, in words.

use std::fmt;
use std::net::IpAddr;

use super::socket::CaptureError;
use crate::log::Severity;

/// Something that became of an interface that is to be listened on. It is said once, when it
/// happens.
#[derive(Debug)]
pub struct Change {
    /// The interface, as the config calls it.
    pub interface: String,
    /// What became of it.
    pub what: WhatChanged,
}

/// What can become of an interface.
#[derive(Debug)]
pub enum WhatChanged {
    /// It is listened on for the first time.
    Listening {
        /// Its addresses, which are none for `any`.
        addresses: Vec<IpAddr>,
    },
    /// It is listened on again, after it was not.
    ListeningAgain {
        /// Its addresses.
        addresses: Vec<IpAddr>,
    },
    /// There has not been an interface of that name so far.
    Missing {
        /// The interfaces that there are, with their addresses.
        there_are: String,
    },
    /// There is no longer an interface of that name.
    Gone,
    /// It is switched off.
    Down,
    /// Nothing is at its other end.
    NoCarrier,
    /// It has got another name, and is still listened on.
    Renamed {
        /// Its name now.
        name: String,
    },
    /// The name belongs to another interface now, which is listened on instead.
    Replaced,
    /// It has other addresses.
    Readdressed {
        /// Those that it has now.
        addresses: Vec<IpAddr>,
    },
    /// The capture broke and has been opened anew.
    Reopened {
        /// How it broke.
        reason: String,
    },
    /// It can't be listened on, and is tried again from time to time.
    Failed(CaptureError),
}

impl Change {
    /// Returns how bad it is.
    #[must_use]
    pub const fn severity(&self) -> Severity {
        match self.what {
            WhatChanged::Listening { .. }
            | WhatChanged::ListeningAgain { .. }
            | WhatChanged::Replaced
            | WhatChanged::Readdressed { .. } => Severity::Info,
            WhatChanged::Gone
            | WhatChanged::Down
            | WhatChanged::NoCarrier
            | WhatChanged::Renamed { .. }
            | WhatChanged::Reopened { .. } => Severity::Warning,
            WhatChanged::Missing { .. } | WhatChanged::Failed(_) => Severity::Error,
        }
    }
}

impl fmt::Display for Change {
    /// Writes a sentence without its full stop, as the log has them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let interface = &self.interface;
        match &self.what {
            WhatChanged::Listening { addresses } => {
                write!(f, "listening on {interface}{}", List(addresses))
            }
            WhatChanged::ListeningAgain { addresses } => {
                write!(f, "listening on {interface} again{}", List(addresses))
            }
            WhatChanged::Missing { there_are } => write!(
                f,
                "there is no interface {interface}: it is listened on as soon as there is; \
                 there are: {there_are}"
            ),
            WhatChanged::Gone => write!(
                f,
                "interface {interface} is gone: it is listened on again as soon as it is back"
            ),
            WhatChanged::Down => {
                write!(f, "interface {interface} is down: nothing is heard on it until it is up")
            }
            WhatChanged::NoCarrier => write!(
                f,
                "interface {interface} has no carrier: nothing is heard on it until it has"
            ),
            WhatChanged::Renamed { name } => write!(
                f,
                "interface {interface} is called {name} now: it is still listened on, but after \
                 the next start only by that name"
            ),
            WhatChanged::Replaced => {
                write!(f, "interface {interface} is another one now: listening on that")
            }
            WhatChanged::Readdressed { addresses } if addresses.is_empty() => {
                write!(f, "interface {interface} has no address now")
            }
            WhatChanged::Readdressed { addresses } => {
                write!(f, "interface {interface} has other addresses now{}", List(addresses))
            }
            WhatChanged::Reopened { reason } => {
                write!(f, "listening on {interface} broke off and has begun again: {reason}")
            }
            WhatChanged::Failed(error) => {
                write!(f, "can't listen on {interface}, which is tried again: {error}")
            }
        }
    }
}

/// Addresses in brackets, behind a space; nothing where there are none.
struct List<'a>(&'a [IpAddr]);

impl fmt::Display for List<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (position, address) in self.0.iter().enumerate() {
            let before = if position == 0 { " (" } else { ", " };
            write!(f, "{before}{address}")?;
        }
        f.write_str(if self.0.is_empty() { "" } else { ")" })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_change_is_a_sentence_that_names_the_interface() {
        let addresses = || vec!["192.0.2.5".parse().unwrap(), "2001:db8::5".parse().unwrap()];
        let whats = [
            WhatChanged::Listening { addresses: addresses() },
            WhatChanged::Listening { addresses: Vec::new() },
            WhatChanged::ListeningAgain { addresses: addresses() },
            WhatChanged::Missing { there_are: "lo (127.0.0.1, ::1)".to_owned() },
            WhatChanged::Gone,
            WhatChanged::Down,
            WhatChanged::NoCarrier,
            WhatChanged::Renamed { name: "wan0".to_owned() },
            WhatChanged::Replaced,
            WhatChanged::Readdressed { addresses: addresses() },
            WhatChanged::Readdressed { addresses: Vec::new() },
            WhatChanged::Reopened { reason: "The interface disappeared".to_owned() },
            WhatChanged::Failed(CaptureError::Pcap("no memory".to_owned())),
        ];
        let lines: Vec<String> = whats
            .into_iter()
            .map(|what| Change { interface: "eth0".to_owned(), what })
            .map(|change| format!("{:?}: {change}", change.severity()))
            .collect();
        insta::assert_snapshot!(lines.join("\n"));
    }
}
