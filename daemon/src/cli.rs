//! The command line: every flag of knockd 0.8, and a few more.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgAction, Parser, ValueHint};
use knock_engine::config::parse_interfaces;
use knock_frontend::escape::Escaped;
use knock_frontend::hyphen;

use crate::PROGRAM;

const ABOUT: &str = "Opens doors for whoever knocks right, and always closes them";

const LONG_ABOUT: &str = "\
Opens doors for whoever knocks right, and always closes them.

It listens for sequences of packets to closed ports, runs the command of a door when its sequence \
is complete, and another command when the door's time is over. It takes the place of knockd 0.8: \
its knockd.conf and its options mean what they meant there.";

const EXAMPLES: &str = "\
Examples:
  Try a config out before it is used, with the options that the daemon gets:
    knockd --check -c /etc/knockd.conf -i eth0

  See what would be run, without running it:
    knockd --dry-run -v

  Listen on two interfaces, in the background, to IPv4 alone:
    knockd -d -4 -i eth0,tun0

  Read the config again, and keep the doors that are open:
    kill -HUP \"$(cat /run/knockd.pid)\"

  Close all doors for good, after the daemon was stopped or killed:
    knockd --close-all";

const SIGNALS: &str = "\
Signals:
  SIGHUP           read the config again and open the log anew; doors that are open stay so. If
                   there is an error in the config, the one before goes on
  SIGTERM, SIGINT  stop within a second: doors are closed, or left to the next start, as OnStop in
                   the config says";

const EXIT_STATUSES: &str = "\
Exit statuses:
  0  it was stopped by SIGTERM or SIGINT; with -d: the daemon is running
  1  it could not start, or had to give up; the last line says why
With --check:
  0  nothing was found that would keep it from working
  1  something was (with --strict, any warning)
  2  the config can't be read, or has errors
With --close-all:
  0  every door is closed, or stays open as OnStop says
  1  some may be open still";

/// The default of `--config`, as in knockd.
pub const DEFAULT_CONFIG: &str = "/etc/knockd.conf";

/// The whole command line.
#[derive(Clone, Debug, PartialEq, Eq, Parser)]
#[command(
    name = "knockd",
    version = concat!(env!("CARGO_PKG_VERSION"), " (Sesame; takes the place of knockd 0.8)"),
    about = ABOUT,
    long_about = LONG_ABOUT,
    after_help = "See 'knockd --help' for more, with examples and exit statuses.",
    after_long_help = format!("{EXAMPLES}\n\n{SIGNALS}\n\n{EXIT_STATUSES}"),
    max_term_width = 100,
    disable_help_flag = true,
    disable_version_flag = true,
    // As getopt_long does: the last one of an option counts, and its name may be cut short.
    args_override_self = true,
    infer_long_args = true
)]
pub struct Cli {
    /// Interfaces to listen on, separated by commas, or any
    ///
    /// In place of Interface in the config. Where neither names one: the interface of the default
    /// route, and eth0 if there is one. One that is missing, or goes away, is waited for.
    #[arg(
        short,
        long,
        value_name = "IFACE",
        value_parser = Interfaces::parse,
        help_heading = "What it hears",
        hide_default_value = true,
        default_value = ""
    )]
    pub interface: Interfaces,

    /// Hear IPv4 alone
    ///
    /// IPv6 packets are nothing to any door, not even to one with an IPv6 address as its target.
    #[arg(short = '4', long = "only-ip-v4", help_heading = "What it hears")]
    pub only_ip_v4: bool,

    /// The config to read
    #[arg(
        short,
        long,
        value_name = "FILE",
        default_value = DEFAULT_CONFIG,
        value_hint = ValueHint::FilePath,
        help_heading = "How it runs"
    )]
    pub config: PathBuf,

    /// Run in the background
    ///
    /// What goes wrong at the start is reported before the command returns.
    #[arg(short, long, help_heading = "How it runs")]
    pub daemon: bool,

    /// The file for the process number, with -d [default: /run/knockd.pid]
    ///
    /// PidFile in the config comes first, as in knockd. Without -d there is no such file.
    #[arg(
        short,
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "How it runs"
    )]
    pub pidfile: Option<PathBuf>,

    /// Take warnings about the config as errors
    #[arg(long, help_heading = "How it runs")]
    pub strict: bool,

    /// Log commands instead of running them
    ///
    /// Everything else is as always: packets are heard, and knocks open doors in the log. The
    /// ledger and one-time files are left alone, so it may run beside a daemon that runs commands.
    #[arg(long, help_heading = "How it runs")]
    pub dry_run: bool,

    /// The file to log to
    ///
    /// LogFile in the config comes first, as in knockd. Where neither names a file, and the config
    /// has no UseSyslog, the log goes to standard error, and with -d to syslog.
    #[arg(
        short = 'g',
        long,
        value_name = "FILE",
        value_hint = ValueHint::FilePath,
        help_heading = "What it says"
    )]
    pub logfile: Option<PathBuf>,

    /// Say more, and without -d say it on standard error as well
    ///
    /// More is: what changed nothing, such as strays and repeated packets.
    #[arg(short, long, help_heading = "What it says")]
    pub verbose: bool,

    /// Say everything: knock ports, addresses, the capture filter
    ///
    /// The log then has the sequences in it, which are secrets.
    #[arg(short = 'D', long, help_heading = "What it says")]
    pub debug: bool,

    /// Accepted for the sake of old command lines, and does nothing
    ///
    /// knockd looks up the names of sources with it. The look-up tells whoever runs the name
    /// server for an address that the first knock was right.
    #[arg(short, long, help_heading = "What it says")]
    pub lookup: bool,

    /// Tell what the config means and what would keep it from working, and exit
    ///
    /// It prints the config with all defaults, the addresses of this host and the capture filter,
    /// and looks, as the user it runs as, whether everything can be read, written and run. It
    /// opens no capture, runs no command and changes nothing. Sequences are on standard output,
    /// findings on standard error.
    #[arg(long, conflicts_with = "close_all", help_heading = "What it does instead")]
    pub check: bool,

    /// Close every door that the ledger says is open, and exit
    ///
    /// It runs their stop commands, also those that the daemon gave up on. The daemon must not be
    /// running: it has the ledger's lock.
    #[arg(long, help_heading = "What it does instead")]
    pub close_all: bool,

    /// With --close-all: close none where OnStop in the config is keep
    ///
    /// For service managers, which close what a daemon that was killed left open.
    #[arg(long, requires = "close_all", help_heading = "What it does instead")]
    pub obey_on_stop: bool,

    /// Print the version
    #[arg(short = 'V', long, action = ArgAction::Version, help_heading = "What it does instead")]
    version: Option<bool>,

    /// Print help; --help tells more than -h
    #[arg(short, long, action = ArgAction::Help, help_heading = "What it does instead")]
    help: Option<bool>,
}

/// The value of `--interface`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Interfaces {
    /// The names, by the rules of the config's `Interface`; empty for none.
    pub names: Vec<String>,
    /// What is odd about them.
    pub warnings: Vec<String>,
}

impl Interfaces {
    fn parse(text: &str) -> Result<Self, String> {
        let (names, diagnostics) = parse_interfaces(text);
        let told = diagnostics.iter().map(|found| match &found.help {
            Some(help) => format!("{} ({help})", found.message),
            None => found.message.clone(),
        });
        match names {
            Some(names) => Ok(Self { names, warnings: told.collect() }),
            None => Err(told.collect::<Vec<_>>().join("; ")),
        }
    }
}

/// Why there is no command line to act on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Instead {
    /// This was asked for; it belongs on standard output, and the exit status is 0.
    Print(String),
    /// This is wrong; it belongs on standard error, and the exit status is 1. Debian's unit takes
    /// a status of 2 for success.
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
    Cli::try_parse_from(&arguments).map_err(|error| match error.use_stderr() {
        true => Instead::Refuse(refusal(&error, &arguments)),
        false => Instead::Print(error.render().to_string()),
    })
}

fn refusal(error: &clap::Error, arguments: &[OsString]) -> String {
    let told = match unknown_argument(error, arguments) {
        Some(told) => told,
        None => error.render().to_string(),
    };
    let told = told.strip_prefix("error: ").unwrap_or(&told).trim_end();
    // Arguments come from scripts, and from whatever these have them from.
    let lines: Vec<_> = told.lines().map(|line| Escaped(line).to_string()).collect();
    format!("{}: {}\n", PROGRAM.0, lines.join("\n"))
}

/// What to say of an argument that a pasted dash or a missing option made of no use.
fn unknown_argument(error: &clap::Error, arguments: &[OsString]) -> Option<String> {
    if error.kind() != ErrorKind::UnknownArgument {
        return None;
    }
    let Some(ContextValue::String(unknown)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    // Of a bundle of short options only the unknown one is told.
    let mut whole = arguments.iter().filter_map(|argument| argument.to_str());
    let argument = whole.find(|whole| whole.starts_with(unknown)).unwrap_or(unknown);
    if let Some(told) = hyphen::pasted(argument) {
        return Some(told);
    }
    (!unknown.starts_with('-')).then(|| {
        format!(
            "'{argument}' belongs to no option; interfaces come behind -i, files behind -c, -g \
             and -p\n\nFor more information, try '--help'."
        )
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    fn refused(arguments: &[&str]) -> String {
        match parse(["knockd"].iter().chain(arguments)) {
            Err(Instead::Refuse(told)) => told,
            other => panic!("{arguments:?}: {other:?}"),
        }
    }

    fn printed(argument: &str) -> String {
        match parse(["knockd", argument]) {
            Err(Instead::Print(told)) => told,
            other => panic!("{argument}: {other:?}"),
        }
    }

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn every_flag_of_knockd_is_taken_by_both_names() {
        let short = "knockd -i eth1 -d -c c -D -l -p p -g g -v -4";
        let long = "knockd --interface=eth1 --daemon --config c --debug --lookup --pidfile p \
                    --logfile g --verbose --only-ip-v4";
        let short = parse(short.split(' ')).unwrap();
        assert_eq!(parse(long.split_ascii_whitespace()), Ok(short.clone()));
        assert_eq!(short.interface.names, ["eth1"]);
        assert_eq!(short.config, PathBuf::from("c"));
        assert_eq!((short.pidfile, short.logfile), (Some("p".into()), Some("g".into())));
        assert!(short.daemon && short.debug && short.lookup && short.verbose && short.only_ip_v4);
    }

    #[test]
    fn options_are_read_as_getopt_reads_them() {
        let one = parse(["knockd", "-v", "-v", "-iold", "-i", "new", "--verb", "-lD4c/c"]).unwrap();
        let other = parse("knockd -vlD4 --conf /c --int new".split(' ')).unwrap();
        assert_eq!(one, other);
        let none = parse(["knockd", "-i", ""]).unwrap();
        assert_eq!((none.interface.names.len(), none), (0, parse(["knockd"]).unwrap()));
    }

    #[test]
    fn interfaces_are_a_list_by_the_config_s_rules() {
        let cli = parse(["knockd", "-i", "eth0:1, tun0"]).unwrap();
        assert_eq!(cli.interface.names, ["eth0", "tun0"]);
        insta::assert_snapshot!(cli.interface.warnings.join("\n"));
    }

    #[test]
    fn options_of_the_daemon_may_stay_beside_what_it_does_instead() {
        let options = ["-d", "-i", "eth0", "-v", "-D", "-l", "-4", "-g", "g", "-p", "p"];
        for instead in ["--check", "--close-all"] {
            assert!(parse(["knockd", instead].iter().chain(&options)).is_ok(), "{instead}");
        }
        assert!(parse(["knockd", "--close-all", "--dry-run"]).is_ok());
        assert!(parse(["knockd", "--close-all", "--obey-on-stop"]).is_ok());
    }

    #[test]
    fn what_is_asked_for_is_printed() {
        insta::assert_snapshot!("short_help", printed("-h"));
        insta::assert_snapshot!("long_help", printed("--help"));
        let version = printed("-V");
        assert_eq!(version, printed("--version"));
        insta::assert_snapshot!(
            version.replace(env!("CARGO_PKG_VERSION"), "VERSION"),
            @"knockd VERSION (Sesame; takes the place of knockd 0.8)"
        );
    }

    #[test]
    fn what_is_wrong_is_told_with_the_way_out() {
        let cases: [&[&str]; 15] = [
            &["\u{2013}d"],
            &["-v", "\u{2014}check"],
            &["\u{2013}-logfile", "x"],
            &["-\u{2212}daemon"],
            &["--interfcae", "eth0"],
            &["--chekc"],
            &["-x"],
            &["eth0"],
            &["-i"],
            &["-i", "eth0,any"],
            &["-i", "eth0,,a-name-that-is-too-long"],
            &["--check", "--close-all"],
            &["--obey-on-stop"],
            &["--verbose=yes"],
            &["\x1b[31m\u{202e}red"],
        ];
        let told = cases.map(|arguments| {
            let shown: Vec<_> =
                arguments.iter().map(|text| text.escape_debug().to_string()).collect();
            format!("$ knockd {}\n{}", shown.join(" "), refused(arguments))
        });
        insta::assert_snapshot!(told.join("\n"));
    }
}
