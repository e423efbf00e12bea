//! The command line of `knock-replay extract`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

/// The arguments of `knock-replay extract`.
#[derive(Args, Debug)]
pub struct ExtractArgs {
    /// The config whose doors decide which packets are kept, a knockd.conf
    #[arg(short, long, value_name = "FILE", display_order = 0)]
    pub config: PathBuf,

    /// The pcapng to write, or - for standard output
    ///
    /// It gets its name when it is complete.
    #[arg(short, long, value_name = "FILE", display_order = 0)]
    pub output: PathBuf,

    /// Map addresses to others, keeping which of them share a network
    ///
    /// Packets are made anew from their addresses, ports, TCP flags and sequence number, so nothing
    /// else gets into the extract. Loopback, multicast and link-local addresses stay what they are.
    #[arg(long, requires = "config_out", display_order = 1)]
    pub anonymize: bool,

    /// Map ports to others, so that the extract does not give the sequences away
    ///
    /// Packets are made anew, as with --anonymize.
    #[arg(long, requires = "config_out", display_order = 1)]
    pub redact: bool,

    /// The config to write that fits the extract, for --anonymize and --redact
    ///
    /// Its addresses and ports are mapped as those of the packets are. It has no commands: each is
    /// true instead.
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub config_out: Option<PathBuf>,

    /// A file with the key of the mapping, 32 hexadecimal digits, as openssl rand -hex 16 makes them
    ///
    /// Extracts by the same key fit together. Without this option every run has a random key, which
    /// is written nowhere.
    #[arg(long, value_name = "FILE", display_order = 1)]
    pub key: Option<PathBuf>,

    /// Addresses of the host that the capture was made on, separated by commas
    ///
    /// They are written into the extract. Without this option those are that a pcapng records.
    #[arg(long, value_name = "ADDR", value_delimiter = ',', display_order = 2)]
    pub local: Vec<IpAddr>,

    /// Replace files that exist
    #[arg(short, long, display_order = 2)]
    pub force: bool,

    /// Take warnings about the config as errors
    #[arg(long, display_order = 2)]
    pub strict: bool,

    /// Skip damaged stretches of a trace and read on behind them
    ///
    /// Without this option nothing is written where a trace is damaged.
    #[arg(long, display_order = 2)]
    pub resync: bool,

    /// Captures to read, or - for standard input
    ///
    /// Several traces become one stream, in the order of their time stamps.
    #[arg(value_name = "TRACE", required = true)]
    pub traces: Vec<PathBuf>,
}
