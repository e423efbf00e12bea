//! What is to be done: the command line, and the profile that it names, in one.

use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use knock_engine::config::Knock;
use knock_engine::packet::Protocol;

use crate::cli::{Cli, DEFAULT_DELAY, DEFAULT_RETRIES};
use crate::failure::{Fail as _, Failure, Status};
use crate::port::{Written, parse_service};
use crate::profile::{self, Folders, Profile};
use crate::send::Manner;
use crate::sequence::Which;
use crate::target::Families;

/// Everything that is to be done.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Plan {
    /// The host to knock at.
    pub host: String,
    /// Which of its addresses.
    pub families: Families,
    /// What to knock.
    pub what: What,
    /// From where, and how fast.
    pub manner: Manner,
    /// What to do when that is done, or in its place.
    pub then: Then,
    /// How often to knock again where a port stays shut.
    pub retries: u32,
    /// Whether to say what is done.
    pub verbose: bool,
    /// What is hardly meant as it is written.
    pub warnings: Vec<String>,
}

/// What to knock.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum What {
    /// These, one at least.
    Knocks(Vec<Knock>),
    /// What opens a door.
    Door {
        /// The config.
        config: PathBuf,
        /// The door's name.
        name: String,
        /// Which line, where there are several.
        which: Which,
    },
}

/// What to do when everything was sent, or in its place.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Then {
    /// Nothing.
    Nothing,
    /// See whether this port accepts connections.
    Verify(u16),
    /// Wait for a port and join it to standard input and output.
    Proxy(String, u16),
    /// Send nothing, and write it to this file.
    Write(PathBuf),
}

impl Plan {
    /// Makes the plan; what is on the command line comes before what is in the profile.
    ///
    /// # Errors
    ///
    /// Something is missing, or excludes something else.
    pub fn new(cli: &Cli, folders: &Folders) -> Result<Self, Failure> {
        let word = cli.host.clone().unwrap_or_default();
        let is_host = !cli.ports.is_empty() || cli.door.is_some();
        let profile = match is_host {
            true => Profile { host: Some(word.clone()), ..Profile::default() },
            false => profile::read(&word, folders)?,
        };
        let Some(host) = profile.host.clone() else {
            let told = format!("the profile {word} has no host: add host = \"NAME\"");
            return Err(Failure::usage(told));
        };
        let source = cli.source.or(profile.source);
        let mut warnings = Vec::new();
        let what = what(cli, &profile, &word, &mut warnings)?;
        let then = then(cli, &profile)?;
        if cli.retries.is_some() && !matches!(then, Then::Verify(_) | Then::Proxy(..)) {
            let told = "--retries is for --verify and --proxy: without them nobody knows whether \
                        to knock again";
            return Err(Failure::usage(told));
        }
        let delay = cli.delay.or(profile.delay).unwrap_or(DEFAULT_DELAY);
        Ok(Self {
            host,
            families: families(cli.families().or(profile.families), source)?,
            what,
            manner: Manner { source, delay: Duration::from_millis(delay.into()) },
            then,
            retries: cli.retries.or(profile.retries).unwrap_or(DEFAULT_RETRIES),
            verbose: cli.verbose || profile.verbose,
            warnings,
        })
    }
}

fn what(
    cli: &Cli,
    profile: &Profile,
    word: &str,
    warnings: &mut Vec<String>,
) -> Result<What, Failure> {
    let config = cli.config.clone().or_else(|| profile.config.clone());
    let name = cli.door.clone().or_else(|| profile.door.clone());
    let ports = if cli.ports.is_empty() { &profile.ports } else { &cli.ports };
    if !ports.is_empty() {
        if config.is_some() || name.is_some() || cli.again {
            let told = format!("the profile {word} has ports: leave out config, door and --again");
            return Err(Failure::usage(told));
        }
        return Ok(What::Knocks(knocks(ports, cli.udp || profile.udp, warnings)));
    }
    match (config, name) {
        (Some(config), Some(name)) => {
            let which = if cli.again { Which::Again } else { Which::Next };
            Ok(What::Door { config, name, which })
        }
        (Some(_), None) => Err(Failure::usage("a config has many doors: --door NAME says which")),
        (None, Some(_)) => {
            Err(Failure::usage("a door is in a config: --config FILE says in which"))
        }
        (None, None) => {
            let told = format!("the profile {word} has no ports, and no config with a door");
            Err(Failure::usage(told))
        }
    }
}

fn knocks(ports: &[Written], udp: bool, warnings: &mut Vec<String>) -> Vec<Knock> {
    let knock = |written: &Written| {
        let protocol = match (udp, written.protocol) {
            (true, Some(Protocol::Tcp)) => {
                let port = written.port;
                warnings.push(format!("{port}:tcp is knocked at by UDP, because of -u"));
                Protocol::Udp
            }
            (true, _) => Protocol::Udp,
            (false, protocol) => protocol.unwrap_or(Protocol::Tcp),
        };
        Knock { protocol, port: written.port }
    };
    ports.iter().map(knock).collect()
}

fn then(cli: &Cli, profile: &Profile) -> Result<Then, Failure> {
    if let Some(path) = &cli.write_pcap {
        return Ok(Then::Write(path.clone()));
    }
    if let Some([host, port]) = cli.proxy.as_deref() {
        let port = parse_service(port).map_err(anyhow::Error::from);
        let port = port.map_err(|error| error.context("--proxy")).fail(Status::Usage)?;
        return Ok(Then::Proxy(host.clone(), port.get()));
    }
    Ok(cli.verify.or(profile.verify).map_or(Then::Nothing, Then::Verify))
}

/// A source has one family, and packets from it have the same.
fn families(asked: Option<Families>, source: Option<IpAddr>) -> Result<Families, Failure> {
    let asked = asked.unwrap_or_default();
    let Some(source) = source else { return Ok(asked) };
    match (asked, source) {
        (Families::Any | Families::V4, IpAddr::V4(_)) => Ok(Families::V4),
        (Families::Any | Families::V6, IpAddr::V6(_)) => Ok(Families::V6),
        (Families::Both, _) => Err(Failure::usage(format!(
            "both families can't be knocked at from the source {source}"
        ))),
        (Families::V4 | Families::V6, _) => {
            let (asked, its) = if source.is_ipv4() { ("IPv6", "IPv4") } else { ("IPv4", "IPv6") };
            Err(Failure::usage(format!("{asked} is asked for, and the source {source} is {its}")))
        }
    }
}
