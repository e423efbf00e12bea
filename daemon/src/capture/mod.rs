//! What the daemon hears: capture sockets, their filter, and the interfaces they hang on.

mod filter;
mod ports;

pub use filter::{Filter, FilterError, IpVersions, MAX_INSTRUCTIONS};

/// Returns what libpcap said, without the words that the `pcap` crate puts in front.
fn plain_reason(error: &pcap::Error) -> String {
    if let pcap::Error::PcapError(reason) = error { reason.clone() } else { error.to_string() }
}
