//! The command line of `knock-replay diff`.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::Args;

use crate::cli::{DecideAs, LookArgs, PageFormat, ScannerArgs};

/// The arguments of `knock-replay diff`.
#[derive(Args, Debug)]
pub struct DiffArgs {
    /// The config as it was, a knockd.conf
    #[arg(long, value_name = "FILE", display_order = 0)]
    pub old: PathBuf,

    /// The config as it shall be
    #[arg(long, value_name = "FILE", display_order = 0)]
    pub new: PathBuf,

    /// Whose decisions the old config stands for
    ///
    /// With knockd-0.8 the old side is a model of the original, with its faults: what changes when
    /// this project's knockd takes its place.
    #[arg(
        long,
        value_name = "PROGRAM",
        value_enum,
        default_value_t = DecideAs::Sesame,
        display_order = 0
    )]
    pub old_as: DecideAs,

    /// Addresses of the host that the capture was made on, separated by commas
    ///
    /// Without this option the addresses that a pcapng records are taken; where there are none,
    /// every destination that is not multicast or 255.255.255.255 counts as local.
    #[arg(long, value_name = "ADDR", value_delimiter = ',', display_order = 1)]
    pub local: Vec<IpAddr>,

    /// Who counts as a scanner.
    #[command(flatten)]
    pub scanner: ScannerArgs,

    /// How to tell it
    #[arg(long, value_enum, default_value_t = PageFormat::Text, display_order = 1)]
    pub format: PageFormat,

    /// Take warnings about the configs as errors
    #[arg(long, display_order = 2)]
    pub strict: bool,

    /// Skip damaged stretches of a trace and read on behind them
    #[arg(long, display_order = 2)]
    pub resync: bool,

    /// How it looks.
    #[command(flatten)]
    pub look: LookArgs,

    /// Captures to compare by, or - for standard input
    ///
    /// They are read twice, so standard input is kept in a temporary file. Without any, only the
    /// configs themselves are compared.
    #[arg(value_name = "TRACE")]
    pub traces: Vec<PathBuf>,
}
