//! `knockd`: opens doors for whoever knocks right, and always closes them.

use std::io;
use std::process::ExitCode;

use anyhow::Context as _;
use knock_engine::config::{Config, OnStop};
use knock_engine::wire::LinkType;
use knock_frontend::config_file::{ConfigFile, Strictness};
use knockd::capture::{Filter, IpVersions};
use knockd::check::{self, Machine};
use knockd::cli::{self, Cli, Instead};
use knockd::host::{self, DefaultRoutes, Host};
use knockd::process::children::PATH;
use knockd::process::daemonize::{Detached, Startup, detach};
use knockd::process::descriptors::close_inherited;
use knockd::settings::Settings;
use knockd::{PROGRAM, shell};

/// What went wrong. Debian's unit takes a status of 2 for success.
const FAILURE: u8 = 1;

fn main() -> ExitCode {
    // Before anything is opened: a daemon must not keep, or hand on, what its starter had open.
    if let Err(error) = close_inherited() {
        PROGRAM.warning(&format!("cannot close inherited descriptors: /proc/self/fd: {error}"));
    }
    let cli = match cli::parse(std::env::args_os()) {
        Ok(cli) => cli,
        Err(Instead::Print(text)) => return print(&mut io::stdout(), &text, 0),
        Err(Instead::Refuse(text)) => return print(&mut io::stderr(), &text, FAILURE),
    };
    match run(cli) {
        Ok(status) => ExitCode::from(status),
        Err(error) => {
            PROGRAM.error(&error);
            ExitCode::from(FAILURE)
        }
    }
}

/// Does what the command line asks for, and returns the exit status.
fn run(cli: Cli) -> anyhow::Result<u8> {
    let folder = std::env::current_dir().context("cannot tell the current folder")?;
    if cli.check {
        return Ok(check::run(&cli, &folder, PATH, look_at_machine, &mut io::stdout()));
    }
    let startup = match go_to_background(&cli)? {
        Background::Parent(status) => return Ok(status),
        Background::Daemon(startup) => startup,
    };
    let file = ConfigFile::read_in(&folder, &cli.config)?;
    file.show_problems(PROGRAM);
    let name = cli.config.display().to_string();
    let strictness = if cli.strict { Strictness::Strict } else { Strictness::Lenient };
    let config = file.into_config(strictness).context(name)?;
    let settings = Settings::merge(&cli, &config.options, &folder);
    if cli.close_all {
        if cli.obey_on_stop && settings.on_stop == OnStop::Keep {
            return Ok(0);
        }
        return Ok(u8::from(shell::close_all(&settings)? > 0));
    }
    shell::run(cli, settings, config, startup).map(|()| 0)
}

/// Looks at the host for `--check`.
fn look_at_machine(config: &Config, settings: &Settings) -> Machine {
    let versions = IpVersions::from(settings.families);
    let filter = Filter::new(config, versions).text(LinkType::Ethernet);
    let filter = filter.map_err(|error| error.to_string());
    let Ok(host) = Host::open(versions, DefaultRoutes::Follow) else {
        return Machine { interfaces: Vec::new(), default_interface: None, filter };
    };
    let network = host.network();
    let interface = |its: &host::Interface| check::Interface {
        name: its.name.clone(),
        addresses: network.addresses(its.index).collect(),
    };
    Machine {
        interfaces: network.interfaces().map(interface).collect(),
        default_interface: network.default_interfaces().first().map(|its| its.name.clone()),
        filter,
    }
}

/// Which process this is after `-d`.
enum Background {
    /// The one that was started; it exits with this status.
    Parent(u8),
    /// The daemon, or whoever stays in the foreground.
    Daemon(Option<Startup>),
}

/// Continues in the background where the command line asks for that, and there is a daemon to be.
fn go_to_background(cli: &Cli) -> anyhow::Result<Background> {
    if !cli.daemon || cli.close_all {
        return Ok(Background::Daemon(None));
    }
    Ok(match detach().context("cannot go to the background")? {
        Detached::Parent(status) => Background::Parent(status),
        Detached::Daemon(startup) => Background::Daemon(Some(startup)),
    })
}

/// Prints; where nobody reads there is nobody to tell.
fn print(out: &mut impl io::Write, text: &str, status: u8) -> ExitCode {
    let _ = out.write_all(text.as_bytes());
    ExitCode::from(status)
}
