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
            true => Profile { host: word, ..Profile::default() },
            false => profile::read(&word, folders)?,
        };
        let source = cli.source.or(profile.source);
        let mut warnings = Vec::new();
        let what = what(cli, &profile, &mut warnings)?;
        let then = then(cli, &profile)?;
        if cli.retries.is_some() && !matches!(then, Then::Verify(_) | Then::Proxy(..)) {
            let told = "--retries is for --verify and --proxy: without them nobody knows whether \
                        to knock again";
            return Err(Failure::usage(told));
        }
        let delay = cli.delay.or(profile.delay).unwrap_or(DEFAULT_DELAY);
        Ok(Self {
            host: profile.host,
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

fn what(cli: &Cli, profile: &Profile, warnings: &mut Vec<String>) -> Result<What, Failure> {
    let ports = if cli.ports.is_empty() { &profile.ports } else { &cli.ports };
    if !ports.is_empty() {
        if cli.config.is_some() || cli.again {
            return Err(Failure::usage(
                "--config and --again are for doors, and the profile has ports",
            ));
        }
        return Ok(What::Knocks(knocks(ports, cli.udp || profile.udp, warnings)));
    }
    let config = cli.config.clone().or_else(|| profile.config.clone());
    let name = cli.door.clone().or_else(|| profile.door.clone());
    match (config, name) {
        (Some(config), Some(name)) => {
            let which = if cli.again { Which::Again } else { Which::Next };
            Ok(What::Door { config, name, which })
        }
        (_, None) => Err(Failure::usage("a config has many doors: --door NAME says which")),
        (None, _) => Err(Failure::usage("a door is in a config: --config FILE says in which")),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    const PROFILES: &str = r#"
        [home]
        host = "home.test"
        ports = [7000, "8000:udp", "ssh"]
        delay = 300
        ipv6 = true
        verify = "ssh"
        retries = 5

        [once]
        host = "once.test"
        config = "once.conf"
        door = "ssh"
        source = "192.0.2.5"
        verbose = true

        [tilde]
        host = "once.test"
        config = "~/once.conf"
        door = "ssh"
    "#;

    /// Makes the plan of a command line, with these profiles.
    fn plan(line: &str) -> Plan {
        let folder = tempfile::tempdir().expect("a folder");
        std::fs::create_dir(folder.path().join("knock")).expect("it is ours");
        std::fs::write(folder.path().join("knock/config.toml"), PROFILES).expect("it is ours");
        let xdg_config_home = Some(folder.path().into());
        let folders = Folders { xdg_config_home, home: Some("/home".into()) };
        let mut plan = Plan::new(&cli::parse(line.split(' ')).unwrap(), &folders).unwrap();
        if let What::Door { config, .. } = &mut plan.what
            && let Ok(inside) = config.strip_prefix(folder.path())
        {
            *config = PathBuf::from("FOLDER").join(inside);
        }
        plan
    }

    fn knocks(plan: &Plan) -> String {
        match &plan.what {
            What::Knocks(knocks) => {
                knocks.iter().map(ToString::to_string).collect::<Vec<_>>().join(" ")
            }
            What::Door { config, name, which } => {
                format!("{} {name} {which:?}", config.display())
            }
        }
    }

    #[test]
    fn a_command_line_of_knock_means_what_it_meant() {
        let told = plan("knock host 7000 8000:udp 9000:TCP");
        assert_eq!(knocks(&told), "7000:tcp 8000:udp 9000:tcp");
        assert_eq!((told.host.as_str(), told.families), ("host", Families::Any));
        assert_eq!(told.manner.delay, Duration::from_millis(200));
        assert_eq!(told.then, Then::Nothing);
        let udp = plan("knock -u -d 0 -4 host 7000 8000:tcp");
        assert_eq!(knocks(&udp), "7000:udp 8000:udp");
        assert_eq!(udp.warnings, ["8000:tcp is knocked at by UDP, because of -u"]);
        assert_eq!((udp.families, udp.manner.delay), (Families::V4, Duration::ZERO));
        // With ports behind it, the name of a profile is that of a host.
        assert_eq!(plan("knock home 7000").host, "home");
    }

    #[test]
    fn a_profile_is_a_command_line_and_the_real_one_comes_first() {
        let home = plan("knock home");
        assert_eq!(knocks(&home), "7000:tcp 8000:udp 22:tcp");
        assert_eq!((home.host.as_str(), home.families), ("home.test", Families::V6));
        assert_eq!(home.manner.delay, Duration::from_millis(300));
        assert_eq!((&home.then, home.retries), (&Then::Verify(22), 5));
        let other = plan("knock home -4 -d 10 --verify 80 --retries 0 -v");
        assert_eq!(
            (other.families, other.then, other.retries),
            (Families::V4, Then::Verify(80), 0)
        );
        assert_eq!((other.manner.delay, other.verbose), (Duration::from_millis(10), true));
        let proxy = plan("knock home --proxy other.test 2222");
        assert_eq!(proxy.then, Then::Proxy("other.test".to_owned(), 2222));
    }

    #[test]
    fn a_door_s_config_is_beside_the_profiles_or_at_home() {
        let once = plan("knock once --again");
        assert_eq!(knocks(&once), "FOLDER/knock/once.conf ssh Again");
        assert_eq!((once.families, once.verbose), (Families::V4, true));
        assert_eq!(knocks(&plan("knock tilde")), "/home/once.conf ssh Next");
        assert_eq!(knocks(&plan("knock once --config my.conf")), "my.conf ssh Next");
        let host = plan("knock --config my.conf --door mail once");
        assert_eq!((host.host.as_str(), knocks(&host).as_str()), ("once", "my.conf mail Next"));
    }
}
