//! One capture socket: opened, filtered, drained, and asked what it lost.
//!
//! libpcap opens the socket, maps its ring and compiles the filter, but does not load it: its own
//! way of loading throws away what has been captured so far, and where the kernel refuses it goes
//! on in silence, with every packet of the interface in the ring. Here the kernel replaces one
//! filter by the next at once, and a packet that only the last one wanted does no harm.

use std::io;
use std::os::fd::{AsFd, BorrowedFd};

use caps::{CapSet, Capability};
use knock_engine::wire::{LinkType, UnsupportedLinkType};
use pcap::{Active, Capture, Linktype};
use rustix::io::{FdFlags, fcntl_setfd};
use socket2::{SockFilter, SockRef};
use thiserror::Error;

use super::filter::{Filter, FilterError};
use super::plain_reason;
use super::program::load;

/// How much of a packet is captured, in bytes.
///
/// The longest headers without extension headers of IPv6 take 96: Ethernet, two VLAN tags, an IPv4
/// header with all its options, TCP up to its flags. Extension headers can be of any length; each
/// kind once, with a routing header of three addresses, fits as well. What does not fit is no
/// packet to the engine.
pub const SNAP_LENGTH: u16 = 256;

/// The size of the ring unless the config says otherwise, in bytes.
pub const DEFAULT_BUFFER_SIZE: u32 = 8 * 1024 * 1024;

/// The name that stands for all interfaces.
pub const ANY: &str = "any";

/// Why an interface can't be listened on.
#[derive(Debug, Error)]
pub enum CaptureError {
    /// The daemon may not.
    #[error(
        "the capability CAP_NET_RAW is missing: start knockd as root, or give it that capability, \
         with AmbientCapabilities=CAP_NET_RAW in its systemd unit or \
         setcap cap_net_raw,cap_net_admin+ep on its program file ({0})"
    )]
    NotPermitted(String),
    /// Its packets can't be decoded.
    #[error(transparent)]
    LinkType(#[from] UnsupportedLinkType),
    /// There is no filter for its packets.
    #[error(transparent)]
    Filter(#[from] FilterError),
    /// The kernel does not take the filter.
    #[error(
        "the kernel does not take the capture filter, of {instructions} instructions: {source}; \
         a larger net.core.optmem_max may help (sysctl)"
    )]
    Attach {
        /// How long the program is.
        instructions: usize,
        /// The cause.
        source: io::Error,
    },
    /// Something else failed.
    #[error("{0}")]
    Pcap(String),
}

/// An open capture.
pub(super) struct Socket {
    capture: Capture<Active>,
    link: LinkType,
    /// What libpcap's counter of lost packets showed last; it wraps around.
    dropped: u32,
}

/// What [`Socket::drain`] came to.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Drain {
    /// There is no more.
    Empty,
    /// There may be more.
    More,
    /// The socket is of no use any more, for this reason.
    Failed(String),
}

impl Socket {
    /// Opens a capture on an interface, with a ring of so many bytes and a filter.
    pub(super) fn open(
        interface: &str,
        buffer_size: u32,
        filter: &Filter,
    ) -> Result<Self, CaptureError> {
        let buffer_size = i32::try_from(buffer_size).unwrap_or(i32::MAX);
        let open = || {
            let mut capture = Capture::from_device(interface)?
                .promisc(false)
                // Without it a packet is handed over up to the whole timeout late.
                .immediate_mode(true)
                .snaplen(i32::from(SNAP_LENGTH))
                .buffer_size(buffer_size)
                .open()?
                .setnonblock()?;
            if interface == ANY {
                capture.set_datalink(Linktype(276))?;
            }
            Ok(capture)
        };
        let capture = open().map_err(|error| refused(&error))?;
        fcntl_setfd(&capture, FdFlags::CLOEXEC)
            .map_err(|error| CaptureError::Pcap(format!("fcntl: {error}")))?;
        let number = capture.get_datalink().0;
        let link = LinkType::from_linktype(u32::try_from(number).unwrap_or(u32::MAX))?;
        let socket = Self { capture, link, dropped: 0 };
        socket.attach(&load(filter, link)?)?;
        Ok(socket)
    }

    /// Returns the type of its frames.
    pub(super) const fn link(&self) -> LinkType {
        self.link
    }

    /// Replaces the filter. No packet is lost that both pass.
    pub(super) fn attach(&self, program: &[SockFilter]) -> Result<(), CaptureError> {
        SockRef::from(&self.capture)
            .attach_filter(program)
            .map_err(|source| CaptureError::Attach { instructions: program.len(), source })
    }

    /// Hands over what has been captured, at most so many packets, without waiting.
    pub(super) fn drain(
        &mut self,
        max_packets: usize,
        hand_over: &mut dyn FnMut(LinkType, &[u8]),
    ) -> Drain {
        let link = self.link;
        match self.capture.dispatch(Some(max_packets), |packet| hand_over(link, packet.data)) {
            Ok(count) if count < max_packets => Drain::Empty,
            Ok(_) => Drain::More,
            Err(error) => Drain::Failed(plain_reason(&error)),
        }
    }

    /// Returns how many packets were lost since the last call, because the ring was full.
    pub(super) fn drops(&mut self) -> u64 {
        let Ok(stats) = self.capture.stats() else { return 0 };
        let since = stats.dropped.wrapping_sub(self.dropped);
        self.dropped = stats.dropped;
        since.into()
    }
}

impl AsFd for Socket {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.capture.as_fd()
    }
}

fn refused(error: &pcap::Error) -> CaptureError {
    let is_allowed = caps::has_cap(None, CapSet::Effective, Capability::CAP_NET_RAW);
    match is_allowed {
        Ok(false) => CaptureError::NotPermitted(plain_reason(error)),
        _ => CaptureError::Pcap(plain_reason(error)),
    }
}
