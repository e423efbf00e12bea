//! The config and the command line in one, by knockd's rules of which comes first.

use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use knock_engine::config::{BufferSize, LogFormat, OnStop, Options, RecordSize};
use knock_frontend::config_file::Strictness;

use crate::capture::IpVersions;
use crate::cli::Cli;

/// The file for the process number where nobody names one, as in knockd.
pub const DEFAULT_PID_FILE: &str = "/run/knockd.pid";

/// Everything about a daemon but its doors.
///
/// Every path in it is absolute. A reload makes it anew, from the new config and the old command
/// line; [`Settings::kept_for_life`] tells what can't change by that.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Settings {
    /// The folder in which it was started, from which relative paths lead; see
    /// [`Settings::path`].
    pub folder: PathBuf,
    /// `-c`.
    pub config: PathBuf,
    /// `--strict`.
    pub strictness: Strictness,
    /// `-i`, else `Interface`.
    pub listen: Listen,
    /// `-4`.
    pub families: Families,
    /// `BufferSize`.
    pub buffer_size: BufferSize,
    /// `-d`.
    pub place: Place,
    /// `PidFile`, else `-p`, else [`DEFAULT_PID_FILE`]; `None` in the foreground, as in knockd.
    pub pid_file: Option<PathBuf>,
    /// The log.
    pub log: Log,
    /// `StateDir`.
    pub state_dir: PathBuf,
    /// `Record` and `RecordSize`; `None` where nothing is recorded.
    pub record: Option<Record>,
    /// `OnStop`.
    pub on_stop: OnStop,
    /// What is done about commands.
    pub commands: Commands,
    /// What is odd about the command line, a sentence each. `--strict` takes none of it amiss.
    pub warnings: Vec<String>,
}

/// Which interfaces are listened on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// Nobody said: that of the default route, and `eth0` if there is one.
    Default,
    /// All of them.
    Any,
    /// These, whether they are there or not. At least one.
    Named(Vec<String>),
}

impl Listen {
    /// Makes it of the names that a config or a command line gives.
    #[must_use]
    pub fn new(names: &[String]) -> Self {
        match names {
            [] => Self::Default,
            [name] if name == Options::ANY => Self::Any,
            names => Self::Named(names.to_vec()),
        }
    }

    /// Returns the names that were given, `any` among them; none for [`Listen::Default`].
    #[must_use]
    pub fn names(&self) -> Vec<String> {
        match self {
            Self::Default => Vec::new(),
            Self::Any => vec![Options::ANY.to_owned()],
            Self::Named(names) => names.clone(),
        }
    }
}

/// Which packets exist for doors.
///
/// With `-4` there is no IPv6 at all: the engine is told of IPv4 addresses of the host alone, and
/// is given no packet to an IPv6 address, for a door could have one as its `target`. The kernel's
/// filter leaves IPv6 out too, but only to save work.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Families {
    /// IPv4 and IPv6.
    Both,
    /// IPv4 alone.
    V4Only,
}

impl Families {
    /// Tells whether doors may hear of an address: one of the host's, or a packet's destination.
    #[must_use]
    pub const fn admit(self, address: IpAddr) -> bool {
        matches!(self, Self::Both) || address.is_ipv4()
    }
}

impl From<Families> for IpVersions {
    fn from(families: Families) -> Self {
        match families {
            Families::Both => Self::Both,
            Families::V4Only => Self::OnlyV4,
        }
    }
}

/// Where the daemon runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// Where it was started: at a terminal, or under a service manager.
    Foreground,
    /// On its own: `-d`.
    Background,
}

/// The log: where it goes, and how much of it there is. There is always somewhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Log {
    /// `LogFile`, else `-g`.
    pub file: Option<PathBuf>,
    /// `UseSyslog`; and where a daemon in the background has no other log.
    pub syslog: bool,
    /// Standard error: in the foreground, with `-v` or `-D`, or where there is no other log.
    pub stderr: bool,
    /// `LogFormat`.
    pub format: LogFormat,
    /// `LogLimit`.
    pub limit: u32,
    /// `-v` and `-D`.
    pub detail: Detail,
}

/// The recording.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// `Record`.
    pub folder: PathBuf,
    /// `RecordSize`.
    pub size: RecordSize,
}

/// How much is said.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Detail {
    /// What changes something.
    Normal,
    /// Also what changes nothing: `-v`.
    Verbose,
    /// Also what is secret: `-D`.
    Debug,
}

/// What is done about commands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Commands {
    /// `--dry-run`.
    pub execution: Execution,
    /// `max_commands`.
    pub most: u16,
    /// `command_timeout`.
    pub timeout: Duration,
}

/// Whether commands are run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Execution {
    /// They are.
    Run,
    /// They are only logged.
    LogOnly,
}

impl Settings {
    /// Merges both. Relative paths lead from `folder`, the one in which the program was started.
    ///
    /// As in knockd, `-i` comes before `Interface`, but `LogFile` and `PidFile` come before `-g`
    /// and `-p`. An empty value is none.
    #[must_use]
    pub fn merge(cli: &Cli, options: &Options, folder: &Path) -> Self {
        let at = |path: &Path| folder.join(path);
        let place = if cli.daemon { Place::Background } else { Place::Foreground };
        let names = match &*cli.interface.names {
            [] => &options.interfaces,
            names => names,
        };
        Self {
            folder: folder.to_owned(),
            config: at(&cli.config),
            strictness: if cli.strict { Strictness::Strict } else { Strictness::Lenient },
            listen: Listen::new(names),
            families: if cli.only_ip_v4 { Families::V4Only } else { Families::Both },
            buffer_size: options.buffer_size,
            place,
            pid_file: (place == Place::Background).then(|| {
                let file = first(options.pid_file.as_deref(), cli.pidfile.as_deref());
                at(file.unwrap_or(Path::new(DEFAULT_PID_FILE)))
            }),
            log: Log::merge(cli, options, folder),
            state_dir: at(Path::new(&options.state_dir)),
            record: options
                .record
                .as_deref()
                .map(|record| Record { folder: at(Path::new(record)), size: options.record_size }),
            on_stop: options.on_stop,
            commands: Commands {
                execution: if cli.dry_run { Execution::LogOnly } else { Execution::Run },
                most: options.max_commands,
                timeout: options.command_timeout,
            },
            warnings: warnings(cli, options),
        }
    }

    /// Returns where a path of the config leads, such as that of a one-time file: a daemon in the
    /// background has left the folder in which it was started.
    #[must_use]
    pub fn path(&self, path: &str) -> PathBuf {
        self.folder.join(path)
    }

    /// Takes over from the settings before a reload what can't change in the life of a daemon,
    /// and returns the keys of the config that would have changed it, for the log.
    ///
    /// These are the ledger's place, of which the names of the interfaces are a part, the memory
    /// of captures that are open, the recording, and the file for the process number.
    pub fn kept_for_life(&mut self, before: &Self) -> Vec<&'static str> {
        let mut kept = Vec::new();
        let mut keep = |key, differs: bool| {
            if differs {
                kept.push(key);
            }
        };
        keep("PidFile", self.pid_file != before.pid_file);
        keep("Interface", self.listen != before.listen);
        keep("BufferSize", self.buffer_size != before.buffer_size);
        keep("StateDir", self.state_dir != before.state_dir);
        keep("Record", self.record != before.record);
        self.record.clone_from(&before.record);
        self.pid_file.clone_from(&before.pid_file);
        self.listen.clone_from(&before.listen);
        self.buffer_size = before.buffer_size;
        self.state_dir.clone_from(&before.state_dir);
        kept
    }
}

impl Log {
    fn merge(cli: &Cli, options: &Options, folder: &Path) -> Self {
        let detail = match (cli.debug, cli.verbose) {
            (true, _) => Detail::Debug,
            (false, true) => Detail::Verbose,
            (false, false) => Detail::Normal,
        };
        let file = first(options.log_file.as_deref(), cli.logfile.as_deref());
        let is_nowhere = file.is_none() && !options.use_syslog;
        Self {
            file: file.map(|file| folder.join(file)),
            syslog: options.use_syslog || (cli.daemon && is_nowhere),
            stderr: !cli.daemon && (is_nowhere || detail > Detail::Normal),
            format: options.log_format,
            limit: options.log_limit,
            detail,
        }
    }
}

/// Returns the config's path if it has one, else that of the command line.
fn first<'a>(config: Option<&'a str>, command_line: Option<&'a Path>) -> Option<&'a Path> {
    let is_given = |path: &&Path| !path.as_os_str().is_empty();
    config.map(Path::new).or(command_line).filter(is_given)
}

fn warnings(cli: &Cli, options: &Options) -> Vec<String> {
    let mut warnings: Vec<String> =
        cli.interface.warnings.iter().map(|warning| format!("-i: {warning}")).collect();
    let files = [
        ("-g", "LogFile", cli.logfile.as_deref(), options.log_file.as_deref()),
        ("-p", "PidFile", cli.pidfile.as_deref(), options.pid_file.as_deref()),
    ];
    for (flag, key, given, config) in files {
        let (Some(given), Some(config)) = (given, config) else { continue };
        if given != Path::new(config) {
            warnings.push(format!(
                "{flag} {} is not used: {key} in the config names {config} and comes first, as \
                 in knockd",
                given.display()
            ));
        }
    }
    if cli.lookup {
        warnings.push(
            "-l does nothing: looking up the names of sources tells whoever runs their name \
             server that the first knock was right; leave it out"
                .to_owned(),
        );
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn options(text: &str) -> Options {
        let parsed = knock_engine::config::parse(format!("[options]\n{text}").as_bytes());
        assert_eq!(parsed.diagnostics, []);
        parsed.config.unwrap().options
    }

    fn merge(arguments: &str, config: &str) -> Settings {
        let cli = cli::parse(["knockd"].into_iter().chain(arguments.split_ascii_whitespace()));
        Settings::merge(&cli.unwrap(), &options(config), Path::new("/start"))
    }

    #[test]
    fn defaults_are_those_of_knockd_where_it_has_them() {
        let settings = merge("", "");
        let expected = Settings {
            folder: "/start".into(),
            config: "/etc/knockd.conf".into(),
            strictness: Strictness::Lenient,
            listen: Listen::Default,
            families: Families::Both,
            buffer_size: BufferSize::default(),
            place: Place::Foreground,
            pid_file: None,
            log: Log {
                file: None,
                syslog: false,
                stderr: true,
                format: LogFormat::Knockd,
                limit: 20,
                detail: Detail::Normal,
            },
            state_dir: "/var/lib/knockd".into(),
            record: None,
            on_stop: OnStop::Close,
            commands: Commands {
                execution: Execution::Run,
                most: 16,
                timeout: Duration::from_secs(30),
            },
            warnings: Vec::new(),
        };
        assert_eq!(settings, expected);
        let daemon = merge("-d", "");
        assert_eq!(daemon.pid_file, Some("/run/knockd.pid".into()));
        assert!(daemon.log.syslog && !daemon.log.stderr);
    }

    #[test]
    fn every_key_and_flag_arrives() {
        let config = "interface = eth0\nbuffersize = 1M\nstatedir = /s\nonstop = keep\n\
                      logformat = json\nloglimit = 0\nmax_commands = 3\ncommand_timeout = 5";
        let settings = merge("--strict --dry-run -4 -c knockd.conf", config);
        assert_eq!(settings.config, Path::new("/start/knockd.conf"));
        assert_eq!(settings.strictness, Strictness::Strict);
        assert_eq!(settings.listen, Listen::Named(vec!["eth0".to_owned()]));
        assert_eq!(settings.families, Families::V4Only);
        assert_eq!(settings.buffer_size.bytes(), 1 << 20);
        assert_eq!(settings.state_dir, Path::new("/s"));
        assert_eq!(settings.on_stop, OnStop::Keep);
        assert_eq!((settings.log.format, settings.log.limit), (LogFormat::Json, 0));
        let commands =
            Commands { execution: Execution::LogOnly, most: 3, timeout: Duration::from_secs(5) };
        assert_eq!(settings.commands, commands);
    }

    #[test]
    fn the_command_line_s_interface_comes_first() {
        let named = |names: &[&str]| Listen::Named(names.iter().map(|&name| name.into()).collect());
        assert_eq!(merge("-i tun0,eth1", "interface = eth0").listen, named(&["tun0", "eth1"]));
        assert_eq!(merge("", "interface = eth0, tun0").listen, named(&["eth0", "tun0"]));
        assert_eq!(merge("-i any", "interface = eth0").listen, Listen::Any);
        assert_eq!(merge("", "interface =").listen, Listen::Default);
        assert_eq!(Listen::Any.names(), ["any"]);
        let label = merge("-i eth0:1", "");
        assert_eq!((label.listen, label.warnings.len()), (named(&["eth0"]), 1));
    }

    #[test]
    fn the_config_s_files_come_first() {
        let config = "logfile = /c.log\npidfile = c.pid";
        let settings = merge("-d -g g.log -p p.pid", config);
        assert_eq!(settings.log.file, Some("/c.log".into()));
        assert_eq!(settings.pid_file, Some("/start/c.pid".into()));
        insta::assert_snapshot!(settings.warnings.join("\n"));
        let settings = merge("-d -g g.log -p p.pid", "logfile =\npidfile =");
        assert_eq!(settings.log.file, Some("/start/g.log".into()));
        assert_eq!(settings.pid_file, Some("/start/p.pid".into()));
        assert_eq!(settings.warnings, [""; 0]);
        assert_eq!(merge("-p p.pid", config).pid_file, None, "nobody looks for it there");
        assert_eq!(merge("-g /c.log", "logfile = /c.log").warnings, [""; 0]);
    }

    #[test]
    fn the_log_always_goes_somewhere() {
        // Arguments, config: file, syslog, standard error.
        let cases = [
            ("", "", (false, false, true)),
            ("-v", "", (false, false, true)),
            ("", "usesyslog", (false, true, false)),
            ("-v", "usesyslog", (false, true, true)),
            ("-D", "logfile = /l", (true, false, true)),
            ("-g /l", "usesyslog", (true, true, false)),
            ("-d", "", (false, true, false)),
            ("-d -v -D", "logfile = /l", (true, false, false)),
            ("-d", "logfile = /l\nusesyslog", (true, true, false)),
        ];
        for (arguments, config, expected) in cases {
            let Log { file, syslog, stderr, .. } = merge(arguments, config).log;
            assert_eq!((file.is_some(), syslog, stderr), expected, "{arguments}; {config}");
        }
        assert_eq!(merge("-v", "").log.detail, Detail::Verbose);
        assert_eq!(merge("-D -v", "").log.detail, Detail::Debug);
    }

    #[test]
    fn ipv4_alone_admits_no_other_address() {
        let (v4, v6) = ("192.0.2.7".parse().unwrap(), "2001:db8::7".parse().unwrap());
        assert!(Families::Both.admit(v4) && Families::Both.admit(v6));
        assert!(Families::V4Only.admit(v4) && !Families::V4Only.admit(v6));
    }

    #[test]
    fn a_reload_keeps_what_is_for_life_and_changes_the_rest() {
        let before = merge("-d", "interface = eth0");
        let mut after = merge(
            "-d",
            "interface = eth1\npidfile = /p\nbuffersize = 1M\nstatedir = /s\nrecord = /r\nloglimit = 1",
        );
        let kept = after.kept_for_life(&before);
        assert_eq!(kept, ["PidFile", "Interface", "BufferSize", "StateDir", "Record"]);
        assert_eq!(after.log.limit, 1);
        after.log.limit = before.log.limit;
        assert_eq!(after, before);
        assert_eq!(after.kept_for_life(&before), [""; 0]);
    }
}
