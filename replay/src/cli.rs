//! The command line.

use std::net::IpAddr;
use std::path::PathBuf;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::diff::DiffArgs;
use crate::expect::help::{
    RECORD_ABOUT, RECORD_EXAMPLES, RECORD_LONG_ABOUT, TEST_ABOUT, TEST_EXAMPLES, TEST_EXIT_CODES,
    TEST_LONG_ABOUT,
};
use crate::expect::{RecordArgs, TestArgs};
use crate::extract::ExtractArgs;
use crate::lint::{self, LintArgs};
use crate::stats::{self, StatsArgs};
use crate::sweep::{self, SweepArgs};

const ABOUT: &str =
    "Replays captures through the knock engine: what would have opened, and why not";

const LONG_ABOUT: &str = "\
Replays captures through the knock engine: what would have opened, and why not.

It reads a knockd.conf and recorded packets, and decides about every knock as the daemon would \
have. It needs no privileges, runs no command and changes no file.";

const EXIT_CODES: &str = "\
Exit codes:
  0  it ran, whether or not a door opened
  2  it could not: a wrong command line, an error in the config, an unreadable or damaged trace";

const RUN_ABOUT: &str = "Tells which doors a capture opens, and how every knock fared";

const RUN_LONG_ABOUT: &str = "\
Tells which doors a capture opens, and how every knock fared.

The whole capture is judged, then time runs on until no deadline is left, so every attempt and \
every open door ends in the report. No command runs and no file changes.";

const RUN_EXAMPLES: &str = "\
Examples:
  Explain a capture:
    knock-replay run -c /etc/knockd.conf knocks.pcap

  Watch live, from another machine too:
    tcpdump -i eth0 -U -w - | knock-replay run -c knockd.conf --local 192.0.2.5 -

  See what knockd 0.8 would have made of it:
    knock-replay run -c knockd.conf --as knockd-0.8 knocks.pcap

  Tell again what a daemon did, from its recording:
    knock-replay run /var/lib/knockd/record/*.pcapng

  List the openings for a program:
    knock-replay run -c knockd.conf --format jsonl *.pcap.gz | jq -c 'select(.event == \"open\")'
";

const EXPLAIN_ABOUT: &str = "Tells why a knock did not open the door, packet by packet";

const EXPLAIN_LONG_ABOUT: &str = "\
Tells why a knock did not open the door, packet by packet.

Every TCP and UDP packet of a source towards this host, with what it came to at each door, then a \
sentence for each door that says what happened and what would help. It has an answer also where \
no attempt ever began: the knocks never came, came by the wrong protocol, or went to another \
address.

The verdicts are the events that docs/FORMATS.md explains (stage, duplicate, repeat, restart, \
stray, reset, timeout, open and the rest), and why a packet was none of a door's business: \
wrong_target, wrong_protocol, wrong_flags, not_first_knock, denied, locked_out, disabled, \
undecodable, other_port.";

const EXPLAIN_EXAMPLES: &str = "\
Examples:
  Why did nobody get in?
    knock-replay explain -c /etc/knockd.conf knocks.pcap

  What became of the packets of one address:
    knock-replay explain -c knockd.conf --source 198.51.100.7 --local 192.0.2.5 knocks.pcap
";

const DIFF_ABOUT: &str = "Tells what a change of the config changes";

const DIFF_LONG_ABOUT: &str = "\
Tells what a change of the config changes.

The settings that differ, and sequences that now stand in each other's way. With captures, the \
same packets go through both configs, and every opening that differs is told: what opened and no \
longer does, what opens now and who that is, what closes later. Each with what became of the knock \
on the other side, which is found by running it, not by calculating.";

const DIFF_EXAMPLES: &str = "\
Examples:
  Before a reload:
    knock-replay diff --old /etc/knockd.conf --new new.conf week.pcapng

  Before knockd 0.8 is replaced:
    knock-replay diff --old knockd.conf --new knockd.conf --old-as knockd-0.8 week.pcapng
";

const DIFF_EXIT_CODES: &str = "\
Exit codes:
  0  nothing differs
  1  something differs
  2  it could not run: a wrong command line, an error in a config, an unreadable or damaged trace";

const EXTRACT_ABOUT: &str = "Keeps only the packets of a capture that concern a door";

const EXTRACT_LONG_ABOUT: &str = "\
Keeps only the packets of a capture that concern a door.

A replay of the extract by the same config gives the same events as one of the traces. With \
--anonymize and --redact the addresses and ports are others, consistently, so that a case can be \
shown to somebody else; docs/EXTRACT.md tells what that hides and what it does not.";

const EXTRACT_EXAMPLES: &str = "\
Examples:
  Make an attachment of a week:
    knock-replay extract -c /etc/knockd.conf week.pcapng -o small.pcapng

  Share a case without the sequence and the addresses:
    knock-replay extract -c knockd.conf week.pcapng -o case.pcapng \\
        --anonymize --redact --config-out case.conf
";

const EXTRACT_EXIT_CODES: &str = "\
Exit codes:
  0  the extract was written, whether or not a packet concerns a door
  2  it could not, and nothing was: a wrong command line, an error in the config, an unreadable or
     damaged trace, a file that exists, a full disk";

/// The whole command line.
#[derive(Debug, Parser)]
#[command(
    name = "knock-replay",
    version,
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = EXIT_CODES,
    max_term_width = 100,
    arg_required_else_help = true
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What the program can do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// `run`.
    #[command(
        about = RUN_ABOUT,
        long_about = RUN_LONG_ABOUT,
        after_help = EXIT_CODES,
        after_long_help = format!("{RUN_EXAMPLES}\n{EXIT_CODES}")
    )]
    Run(RunArgs),
    /// `explain`.
    #[command(
        about = EXPLAIN_ABOUT,
        long_about = EXPLAIN_LONG_ABOUT,
        after_help = EXIT_CODES,
        after_long_help = format!("{EXPLAIN_EXAMPLES}\n{EXIT_CODES}")
    )]
    Explain(ExplainArgs),
    /// `extract`.
    #[command(
        about = EXTRACT_ABOUT,
        long_about = EXTRACT_LONG_ABOUT,
        after_help = EXTRACT_EXIT_CODES,
        after_long_help = format!("{EXTRACT_EXAMPLES}\n{EXTRACT_EXIT_CODES}")
    )]
    Extract(ExtractArgs),
    /// `diff`.
    #[command(
        about = DIFF_ABOUT,
        long_about = DIFF_LONG_ABOUT,
        after_help = DIFF_EXIT_CODES,
        after_long_help = format!("{DIFF_EXAMPLES}\n{DIFF_EXIT_CODES}")
    )]
    Diff(DiffArgs),
    /// `lint`.
    #[command(
        about = lint::ABOUT,
        long_about = lint::LONG_ABOUT,
        after_help = lint::EXIT_CODES,
        after_long_help = format!("{}\n{}", lint::EXAMPLES, lint::EXIT_CODES)
    )]
    Lint(LintArgs),
    /// `sweep`.
    #[command(
        about = sweep::ABOUT,
        long_about = sweep::LONG_ABOUT,
        after_help = EXIT_CODES,
        after_long_help = format!("{}\n{EXIT_CODES}", sweep::EXAMPLES)
    )]
    Sweep(SweepArgs),
    /// `stats`.
    #[command(
        about = stats::ABOUT,
        long_about = stats::LONG_ABOUT,
        after_help = EXIT_CODES,
        after_long_help = format!("{}\n{EXIT_CODES}", stats::EXAMPLES)
    )]
    Stats(StatsArgs),
    /// `test`.
    #[command(
        about = TEST_ABOUT,
        long_about = TEST_LONG_ABOUT,
        after_help = TEST_EXIT_CODES,
        after_long_help = format!("{TEST_EXAMPLES}\n{TEST_EXIT_CODES}")
    )]
    Test(TestArgs),
    /// `record`.
    #[command(
        about = RECORD_ABOUT,
        long_about = RECORD_LONG_ABOUT,
        after_help = EXIT_CODES,
        after_long_help = format!("{RECORD_EXAMPLES}\n{EXIT_CODES}")
    )]
    Record(RecordArgs),
}

/// What every subcommand reads, and how it looks.
#[derive(Args, Debug)]
pub struct InputArgs {
    /// The config to judge by, a knockd.conf
    ///
    /// Recordings of knockd (Record in its config) need none: they tell it, and what the daemon
    /// knew when they began. With this option they are captures like any other, and what is told
    /// is what this config would have made of them.
    #[arg(short, long, value_name = "FILE", display_order = 0)]
    pub config: Option<PathBuf>,

    /// Addresses of the host that the capture was made on, separated by commas
    ///
    /// A door without a target sees only packets to these. Without this option the addresses that
    /// a pcapng records are taken; where there are none, every destination that is not multicast
    /// or 255.255.255.255 counts as local, and the report says so.
    #[arg(long, value_name = "ADDR", value_delimiter = ',', display_order = 0)]
    pub local: Vec<IpAddr>,

    /// Take warnings about the config as errors
    #[arg(long, display_order = 2)]
    pub strict: bool,

    /// Skip damaged stretches of a trace and read on behind them
    ///
    /// Each stretch is reported with its offset, length and cause. Without this option reading
    /// ends at the first damage: what came before it is reported, and the exit code is 2.
    #[arg(long, display_order = 2)]
    pub resync: bool,

    /// How it looks.
    #[command(flatten)]
    pub look: LookArgs,

    /// Captures to read, or - for standard input
    ///
    /// pcap and pcapng are read, plain or compressed with gzip, zstd or lz4, whatever the file's
    /// name. Several traces become one stream, in the order of their time stamps.
    #[arg(value_name = "TRACE", required = true)]
    pub traces: Vec<PathBuf>,
}

/// How the output looks.
#[derive(Args, Clone, Copy, Debug)]
pub struct LookArgs {
    /// When to use colours
    ///
    /// With auto, where standard output is a terminal and NO_COLOR is not set.
    #[arg(
        long,
        value_name = "WHEN",
        value_enum,
        default_value_t = ColorWhen::Auto,
        display_order = 2
    )]
    pub color: ColorWhen,
}

/// Who counts as a scanner.
#[derive(Args, Clone, Copy, Debug)]
pub struct ScannerArgs {
    /// How many distinct other ports make a scanner of a source
    ///
    /// An opening is an accident where its source hit so many other ports of this host, from 10 s
    /// before its first knock to 10 s after its last; by UDP, or by TCP without ACK and RST.
    #[arg(
        long = "scanner",
        value_name = "PORTS",
        default_value_t = 5,
        value_parser = clap::value_parser!(u16).range(1..=1024),
        display_order = 1
    )]
    pub ports: u16,
}

/// The arguments of `knock-replay run`.
#[derive(Args, Debug)]
pub struct RunArgs {
    /// What is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// Whose decisions to tell
    #[arg(
        long = "as",
        value_name = "PROGRAM",
        value_enum,
        default_value_t = DecideAs::Sesame,
        display_order = 1
    )]
    pub decide_as: DecideAs,

    /// How to tell it
    #[arg(long, value_enum, default_value_t = Format::Text, display_order = 1)]
    pub format: Format,
}

/// The arguments of `knock-replay explain`.
#[derive(Args, Debug)]
pub struct ExplainArgs {
    /// What is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// The source to explain
    ///
    /// Without this option every source that touched a knock port is explained, at most 200 of
    /// them. The traces are read twice then, and standard input is kept in a temporary file.
    #[arg(long, value_name = "ADDR", display_order = 1)]
    pub source: Option<IpAddr>,

    /// List packets to other ports one by one, instead of runs of them on one line
    #[arg(short, long, display_order = 1)]
    pub all: bool,
}

/// Whose decisions a run tells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DecideAs {
    /// This project's engine
    Sesame,
    /// A model of knockd 0.8, with its faults: what the original would have done
    #[value(name = "knockd-0.8")]
    Knockd08,
}

impl DecideAs {
    /// Returns the name that the command line and the reports use.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Sesame => "sesame",
            Self::Knockd08 => "knockd-0.8",
        }
    }
}

/// How a run tells what happened.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// For people: every attempt with its knocks, and the totals
    Text,
    /// For programs: one JSON object a line for every event, then the totals
    Jsonl,
    /// The totals only
    Summary,
}

/// How everything but a run is told.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum PageFormat {
    /// For people
    Text,
    /// For programs: one JSON object a line
    Jsonl,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ColorWhen {
    /// On a terminal, unless NO_COLOR is set
    Auto,
    /// Always
    Always,
    /// Never
    Never,
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
