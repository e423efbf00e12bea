//! The command line: that of knock 0.8, and more.

use std::error::Error as _;
use std::ffi::OsString;
use std::net::IpAddr;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, CommandFactory as _, Parser, ValueHint};
use knock_frontend::escape::Escaped;
use knock_frontend::hyphen;

use crate::PROGRAM;
use crate::port::{self, Written};
use crate::target::Families;

const ABOUT: &str = "Knocks at ports of a host, so that knockd opens a door";

const LONG_ABOUT: &str = "\
Knocks at ports of a host, so that knockd opens a door.

A knock is a TCP packet that begins a connection (SYN), or an empty UDP datagram. The host's name \
is looked up once, and every knock goes to that one address. Nothing waits for an answer, and a \
host that refuses a knock has got it. It takes the place of knock 0.8, and needs no privileges.";

const EXAMPLES: &str = "\
Examples:
  Knock, and then log in:
    knock myserver.example.com 7000 8000:udp 9000 && ssh myserver.example.com

  Knock until ssh's port accepts a connection:
    knock --verify 22 myserver.example.com 7000 8000:udp 9000

  Let ssh knock by itself, with a profile, in ~/.ssh/config:
    ProxyCommand knock home --proxy %h %p

  Knock as a door of a config wants it:
    knock --config knockd.conf --door openSSH myserver.example.com

  See what the server would make of it:
    knock --write-pcap - myserver.example.com 7000 8000:udp 9000 |
        knock-replay run -c knockd.conf -";

const PROFILES: &str = "\
Profiles:
  A profile is a section of $XDG_CONFIG_HOME/knock/config.toml, ~/.config/knock/config.toml as a
  rule. Its keys are the long options, and host and ports; what is on the command line comes first:

    [home]
    host = \"myserver.example.com\"
    ports = [7000, \"8000:udp\", 9000]
    delay = 300
    verify = 22

  A word that stands alone is a profile's name; with ports behind it, or with --door, it is a
  host's.";

const EXIT_STATUSES: &str = "\
Exit statuses:
  0  every knock was sent; with --verify: the port accepts connections; with --proxy: both sides
     have said all
  1  nothing was sent: a wrong command line, profile, config or one-time file
  2  nothing was sent: the host was not found, or has no address of the family asked for
  3  a knock could not be sent; with --proxy: the connection broke off
  4  everything was sent, but the port of --verify or --proxy accepts no connection";

/// The default of `--delay`, in milliseconds.
pub const DEFAULT_DELAY: u32 = 200;
/// The default of `--retries`.
pub const DEFAULT_RETRIES: u32 = 2;
const MOST_DELAY: u32 = 600_000;
const MOST_RETRIES: u32 = 1000;

/// The whole command line.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(
    name = "knock",
    version = concat!(env!("CARGO_PKG_VERSION"), " (Sesame; takes the place of knock 0.8)"),
    about = ABOUT,
    long_about = LONG_ABOUT,
    override_usage = "knock [OPTIONS] HOST PORT[:PROTO]...\n       \
                      knock [OPTIONS] --config FILE --door NAME HOST\n       \
                      knock [OPTIONS] PROFILE",
    after_help = "See 'knock --help' for more, with examples, profiles and exit statuses.",
    after_long_help = format!("{EXAMPLES}\n\n{PROFILES}\n\n{EXIT_STATUSES}"),
    max_term_width = 100,
    disable_help_flag = true,
    disable_version_flag = true,
    // As getopt_long does: the last one of an option counts, and its name may be cut short.
    args_override_self = true,
    infer_long_args = true
)]
pub struct Cli {
    /// The host to knock at, by name or address; alone, the name of a profile
    #[arg(value_name = "HOST", value_hint = ValueHint::Hostname)]
    pub host: Option<String>,

    /// The ports to knock at, in this order, each with :tcp or :udp behind it where -u doesn't say
    ///
    /// A port is 1 to 65535, or the name of a service such as ssh. Without a protocol it is tcp.
    #[arg(value_name = "PORT[:PROTO]", value_parser = Written::parse)]
    pub ports: Vec<Written>,

    /// Knock by UDP, at all ports
    ///
    /// As in knock 0.8 this is so for ports with :tcp, too, which a warning then says.
    #[arg(short, long, help_heading = "How it knocks")]
    pub udp: bool,

    /// Wait so many milliseconds after each knock, 0 to 600000 [default: 200]
    ///
    /// Networks reorder packets that follow each other closely, and knocks in another order open
    /// nothing. The last knock is waited after as well, so that the door is open when knock ends.
    #[arg(
        short,
        long,
        value_name = "MS",
        value_parser = parse_delay,
        allow_negative_numbers = true,
        help_heading = "How it knocks"
    )]
    pub delay: Option<u32>,

    /// Use an IPv4 address of the host
    #[arg(
        short = '4',
        long,
        conflicts_with_all = ["ipv6", "both"],
        help_heading = "How it knocks"
    )]
    pub ipv4: bool,

    /// Use an IPv6 address of the host
    #[arg(short = '6', long, conflicts_with = "both", help_heading = "How it knocks")]
    pub ipv6: bool,

    /// Knock at an IPv4 and an IPv6 address of the host
    ///
    /// For those who knock over the one and then connect over the other: a door opens for the
    /// address that knocked. Each knock goes to both addresses before the next one.
    #[arg(long, help_heading = "How it knocks")]
    pub both: bool,

    /// Knock, and connect, from this address of this machine
    ///
    /// A host with several addresses is knocked at by one of the same family.
    #[arg(long, value_name = "ADDR", value_parser = parse_source, conflicts_with = "both", help_heading = "How it knocks")]
    pub source: Option<IpAddr>,

    /// Take the sequence from this knockd.conf
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with = "ports",
        help_heading = "What it knocks"
    )]
    pub config: Option<PathBuf>,

    /// Take the sequence of this door
    ///
    /// Of a door with one-time sequences the next line is taken, and marked as used in its file
    /// before it is sent. The file is found from the current folder, where its path is relative.
    #[arg(
        long,
        value_name = "NAME",
        conflicts_with_all = ["ports", "udp"],
        help_heading = "What it knocks"
    )]
    pub door: Option<String>,

    /// Send the one-time sequence that was marked last once more
    ///
    /// For knocks that were lost on their way. It works as long as the door has not opened by it.
    #[arg(long, conflicts_with = "ports", help_heading = "What it knocks")]
    pub again: bool,

    /// Knock until this port accepts a TCP connection
    ///
    /// The port has 3 s after the knocks, then they are sent again, as often as --retries says.
    #[arg(
        long,
        value_name = "PORT",
        value_parser = parse_verify,
        conflicts_with = "proxy",
        help_heading = "What it does then"
    )]
    pub verify: Option<u16>,

    /// Knock so many times more where the port of --verify or --proxy stays shut [default: 2]
    #[arg(
        long,
        value_name = "N",
        value_parser = parse_retries,
        allow_negative_numbers = true,
        help_heading = "What it does then"
    )]
    pub retries: Option<u32>,

    /// Wait for this port of this host, and join it to standard input and output
    ///
    /// For ssh's ProxyCommand. Where HOST is the host that was knocked at, the connection goes to
    /// the very address. With it, -v writes to standard error.
    #[arg(
        long,
        num_args = 2,
        value_names = ["HOST", "PORT"],
        help_heading = "What it does then"
    )]
    pub proxy: Option<Vec<String>>,

    /// Write what would be sent to a capture, - for standard output, and send nothing
    ///
    /// knock-replay and Wireshark read it. No line of a one-time file is marked.
    #[arg(
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        conflicts_with_all = ["verify", "proxy"],
        help_heading = "What it does instead"
    )]
    pub write_pcap: Option<PathBuf>,

    /// Say what is done
    #[arg(short, long, help_heading = "What it says")]
    pub verbose: bool,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "What it does instead")]
    version: Option<bool>,

    /// Print help; --help tells more than -h
    #[arg(short, long, action = ArgAction::Help, help_heading = "What it does instead")]
    help: Option<bool>,
}

impl Cli {
    /// Returns which addresses `-4`, `-6` and `--both` ask for, if one of them is there.
    #[must_use]
    pub const fn families(&self) -> Option<Families> {
        match (self.ipv4, self.ipv6, self.both) {
            (true, _, _) => Some(Families::V4),
            (_, true, _) => Some(Families::V6),
            (_, _, true) => Some(Families::Both),
            (false, false, false) => None,
        }
    }
}

/// Returns the description of the command line, from which man page and completions are made.
#[must_use]
pub fn command() -> clap::Command {
    Cli::command()
}

/// Reads the milliseconds of `--delay`.
///
/// # Errors
///
/// It is none, or too many.
pub fn parse_delay(text: &str) -> Result<u32, String> {
    whole(text, MOST_DELAY).ok_or_else(|| format!("a delay is 0 to {MOST_DELAY} milliseconds"))
}

/// Reads the number of `--retries`.
///
/// # Errors
///
/// It is none, or too large.
pub fn parse_retries(text: &str) -> Result<u32, String> {
    whole(text, MOST_RETRIES).ok_or_else(|| format!("retries are 0 to {MOST_RETRIES}"))
}

fn whole(text: &str, most: u32) -> Option<u32> {
    let is_whole = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|number| is_whole && *number <= most)
}

/// Reads the address of `--source`.
///
/// # Errors
///
/// It is none.
pub fn parse_source(text: &str) -> Result<IpAddr, String> {
    text.parse().map_err(|_| format!("{text:?} is no address, such as 192.0.2.5 or 2001:db8::5"))
}

fn parse_verify(text: &str) -> Result<u16, port::PortError> {
    port::parse_service(text).map(std::num::NonZeroU16::get)
}

/// What to say, and where, in place of a knock: there is no command line to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// This was asked for; it belongs on standard output, and the exit status is 0.
    Print(String),
    /// This is wrong; it belongs on standard error, and the exit status is 1.
    Refuse(String),
}

/// Reads a command line, of which the first argument is the program's name.
///
/// # Errors
///
/// It asks for help or for the version, or is wrong.
pub fn parse<I>(arguments: I) -> Result<Cli, Instead>
where
    I: IntoIterator,
    I::Item: Into<OsString>,
{
    let arguments: Vec<OsString> = arguments.into_iter().map(Into::into).collect();
    let cli = Cli::try_parse_from(&arguments).map_err(|error| match error.use_stderr() {
        true => Instead::Refuse(refusal(&error, &arguments)),
        false => Instead::Print(error.render().to_string()),
    })?;
    match &cli.host {
        Some(host) => match hyphen::pasted(host) {
            Some(told) => Err(Instead::Refuse(format!("{}: {}\n", PROGRAM.0, Escaped(&told)))),
            None => Ok(cli),
        },
        None => {
            let told = format!("{}: there is no host to knock at\n\n", PROGRAM.0);
            Err(Instead::Refuse(told + &command().render_help().to_string()))
        }
    }
}

fn refusal(error: &clap::Error, arguments: &[OsString]) -> String {
    // A pasted dash makes a word of an option, and the error is that of some other word then.
    let mut words = arguments.iter().skip(1).filter_map(|argument| argument.to_str());
    let told = words.find_map(hyphen::pasted).or_else(|| wrong_value(error));
    let told = told.unwrap_or_else(|| error.render().to_string());
    let told = told.strip_prefix("error: ").unwrap_or(&told).trim_end();
    // Arguments come from scripts, and from whatever these have them from.
    let lines: Vec<_> = told.lines().map(|line| Escaped(line).to_string()).collect();
    format!("{}: {}\n", PROGRAM.0, lines.join("\n"))
}

/// What to say of a value that can't be read: what ports say of themselves, and for options which.
fn wrong_value(error: &clap::Error) -> Option<String> {
    let text = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    if error.kind() != ErrorKind::ValueValidation {
        return None;
    }
    let told = error.source()?.to_string();
    let (option, value) = (text(ContextKind::InvalidArg)?, text(ContextKind::InvalidValue)?);
    let option = option.split_once(' ').map_or(option, |(name, _)| name);
    Some(if option.starts_with('-') { format!("{option} {value}: {told}") } else { told })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(arguments: &[&str]) -> String {
        match parse(["knock"].iter().chain(arguments)) {
            Err(Instead::Refuse(told)) => told,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    fn printed(argument: &str) -> String {
        match parse(["knock", argument]) {
            Err(Instead::Print(told)) => told,
            other => panic!("{argument}: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        command().debug_assert();
    }

    #[test]
    fn every_flag_of_knock_is_taken_by_both_names_wherever_it_stands() {
        let short = parse("knock -u -d 5 -4 -v host 1 2:tcp".split(' ')).unwrap();
        let long = parse("knock host --udp 1 --delay=5 2:tcp --ipv4 --verbose".split(' ')).unwrap();
        assert_eq!(short, long);
        assert_eq!(parse("knock host 1 2:tcp -d5 -uv4".split(' ')), Ok(short.clone()));
        // It could be --verify, --verbose or --version.
        assert!(parse("knock --ver host 1 2:tcp".split(' ')).is_err());
        assert_eq!(
            parse("knock -d9 -d 5 -v --verbo --ud --ipv4 host 1 2:tcp".split(' ')),
            Ok(short)
        );
        assert!(parse("knock -6 --ipv6 host 1".split(' ')).unwrap().ipv6);
    }

    #[test]
    fn the_proxy_s_host_and_port_are_not_those_that_are_knocked_at() {
        let cli = parse("knock home --proxy example.com 22".split(' ')).unwrap();
        assert_eq!((cli.host.as_deref(), cli.ports.len()), (Some("home"), 0));
        assert_eq!(cli.proxy.unwrap(), ["example.com", "22"]);
    }

    #[test]
    fn what_is_asked_for_is_printed() {
        insta::assert_snapshot!("short_help", printed("-h"));
        insta::assert_snapshot!("long_help", printed("--help"));
        let version = printed("-V");
        assert_eq!(version, printed("--version"));
        insta::assert_snapshot!(
            version.replace(env!("CARGO_PKG_VERSION"), "VERSION"),
            @"knock VERSION (Sesame; takes the place of knock 0.8)"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_the_way_out() {
        let cases: [&[&str]; 18] = [
            &[],
            &["\u{2013}v", "host", "7000"],
            &["host", "7000", "\u{2014}udp"],
            &["host", "7000", "-\u{2212}delay"],
            &["host", "70000"],
            &["host", "7000,8000"],
            &["host", "7000/udp"],
            &["host", "shh"],
            &["-d", "fast", "host", "7000"],
            &["-d", "-1", "host", "7000"],
            &["-d", "600001", "host", "7000"],
            &["--source", "eth0", "host", "7000"],
            &["--verify", "22:udp", "host", "7000"],
            &["--retries", "x", "--verify", "22", "host", "7000"],
            &["--proxy", "host"],
            &["--dleay", "5", "host", "7000"],
            &["-x", "host", "7000"],
            &["\x1b[31m\u{202e}red", "7000", "\x1b[31m"],
        ];
        let told = cases.map(|arguments| {
            let shown: Vec<_> =
                arguments.iter().map(|text| text.escape_debug().to_string()).collect();
            format!("$ knock {}\n{}", shown.join(" "), refused(arguments))
        });
        insta::assert_snapshot!(told.join("\n"));
    }
}
