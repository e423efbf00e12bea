//! Profiles: whole command lines under a name, in `~/.config/knock/config.toml`.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::io;
use std::net::IpAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};

use anyhow::anyhow;
use serde::Deserialize;
use toml::Spanned;

use crate::cli;
use crate::failure::{Failure, Status};
use crate::port::{self, Written};
use crate::target::Families;

/// Where this user's files are.
#[derive(Clone, Debug, Default)]
pub struct Folders {
    /// `XDG_CONFIG_HOME`.
    pub xdg_config_home: Option<OsString>,
    /// `HOME`.
    pub home: Option<OsString>,
}

impl Folders {
    /// Reads them from the environment.
    #[must_use]
    pub fn of_this_user() -> Self {
        let variable = std::env::var_os;
        Self { xdg_config_home: variable("XDG_CONFIG_HOME"), home: variable("HOME") }
    }

    /// Returns the file of the profiles; `None` where there is no home.
    #[must_use]
    pub fn profiles(&self) -> Option<PathBuf> {
        let is_absolute = |path: &PathBuf| path.is_absolute();
        let folder = self.xdg_config_home.clone().map(PathBuf::from).filter(is_absolute);
        let folder = folder.or_else(|| Some(self.home()?.join(".config")))?;
        Some(folder.join("knock/config.toml"))
    }

    fn home(&self) -> Option<&Path> {
        self.home.as_deref().map(Path::new).filter(|home| home.is_absolute())
    }
}

/// A profile whose values are right, each as the option of its name.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Profile {
    /// `host`.
    pub host: String,
    /// `ports`.
    pub ports: Vec<Written>,
    /// `udp`.
    pub udp: bool,
    /// `delay`, in milliseconds.
    pub delay: Option<u32>,
    /// `ipv4`, `ipv6` or `both`.
    pub families: Option<Families>,
    /// `source`.
    pub source: Option<IpAddr>,
    /// `config`, from the folder of the profiles' file.
    pub config: Option<PathBuf>,
    /// `door`.
    pub door: Option<String>,
    /// `verify`.
    pub verify: Option<u16>,
    /// `retries`.
    pub retries: Option<u32>,
    /// `verbose`.
    pub verbose: bool,
}

/// A profile as it is written.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct Raw {
    host: Option<String>,
    #[serde(default)]
    ports: Vec<Spanned<Port>>,
    #[serde(default)]
    udp: bool,
    delay: Option<Spanned<i64>>,
    #[serde(default)]
    ipv4: bool,
    #[serde(default)]
    ipv6: bool,
    #[serde(default)]
    both: bool,
    source: Option<Spanned<String>>,
    config: Option<String>,
    door: Option<String>,
    verify: Option<Spanned<Port>>,
    retries: Option<Spanned<i64>>,
    #[serde(default)]
    verbose: bool,
}

impl Raw {
    /// Returns what is missing, or excludes something else.
    fn complaint(&self) -> Option<&'static str> {
        if [self.ipv4, self.ipv6, self.both].into_iter().filter(|asked| *asked).count() > 1 {
            return Some("ipv4, ipv6 and both exclude each other");
        }
        match (&self.host, self.ports.is_empty(), &self.config, &self.door) {
            (None, ..) => Some("it has no host: add host = \"NAME\""),
            (_, false, None, None) | (_, true, _, Some(_)) => None,
            (_, false, ..) => Some("it has ports and a door: leave the ones or the other out"),
            (_, true, Some(_), None) => Some("it has a config, and no door: add door = \"NAME\""),
            (_, true, None, None) => {
                Some("it has nothing to knock: add ports = [7000, \"8000:udp\"]")
            }
        }
    }

    const fn families(&self) -> Option<Families> {
        match (self.ipv4, self.ipv6, self.both) {
            (true, ..) => Some(Families::V4),
            (_, true, _) => Some(Families::V6),
            (.., true) => Some(Families::Both),
            (false, false, false) => None,
        }
    }
}

/// A port is a number, or text with a protocol or the name of a service.
#[derive(Debug, Deserialize)]
#[serde(untagged, expecting = "this is no port: write 7000, \"8000:udp\" or \"ssh\"")]
enum Port {
    Number(i64),
    Text(String),
}

impl Port {
    fn text(&self) -> String {
        match self {
            Self::Number(number) => number.to_string(),
            Self::Text(text) => text.clone(),
        }
    }
}

/// Reads the profile of a name.
///
/// # Errors
///
/// There is no such profile, or something is wrong in the file: in this profile or, as far as the
/// file can't be understood, in another one.
pub fn read(name: &str, folders: &Folders) -> Result<Profile, Failure> {
    let no_ports = "to knock at a host, name the ports behind it: knock HOST PORT...";
    let Some(path) = folders.profiles() else {
        let told = format!("there is no profile {name}, since HOME is not set; {no_ports}");
        return Err(Failure::usage(told));
    };
    let text = match fs::read_to_string(&path) {
        Ok(text) => text,
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let path = path.display();
            let told = format!("there is no profile {name}: there is no {path}; {no_ports}");
            return Err(Failure::usage(told));
        }
        Err(error) => {
            let error = anyhow::Error::new(error);
            let error = error.context(format!("{}: cannot read the profiles", path.display()));
            return Err(Failure::new(Status::Usage, error));
        }
    };
    match parse(&text, name, folders, &path) {
        Ok(Some(profile)) => Ok(profile),
        Ok(None) => {
            let names = toml::from_str::<BTreeMap<String, Raw>>(&text).unwrap_or_default();
            let names = names.into_keys().collect::<Vec<_>>().join(", ");
            let known =
                if names.is_empty() { "nor any other".to_owned() } else { format!("only {names}") };
            let path = path.display();
            Err(Failure::usage(format!("{path}: there is no profile {name}, {known}; {no_ports}")))
        }
        Err(Wrong { at, message }) => {
            let (line, column) = place(&text, at);
            let error = anyhow!("{}:{line}:{column}: {message}", path.display());
            Err(Failure::new(Status::Usage, error))
        }
    }
}

/// What is wrong, and where in the text.
struct Wrong {
    at: usize,
    message: String,
}

impl Wrong {
    fn new(span: &Range<usize>, message: impl Into<String>) -> Self {
        Self { at: span.start, message: message.into() }
    }
}

fn parse(text: &str, name: &str, folders: &Folders, path: &Path) -> Result<Option<Profile>, Wrong> {
    let mut profiles: BTreeMap<String, Spanned<Raw>> = toml::from_str(text).map_err(|error| {
        let message = error.message().lines().collect::<Vec<_>>().join(" ");
        let message = message.replacen("unknown field", "unknown key", 1);
        Wrong { at: error.span().map_or(0, |span| span.start), message }
    })?;
    let Some(raw) = profiles.remove(name) else { return Ok(None) };
    let span = raw.span();
    let raw = raw.into_inner();
    let at = |span: Range<usize>| move |message: String| Wrong::new(&span, message);
    let complain = |complaint| Wrong::new(&span, format!("profile {name}: {complaint}"));
    raw.complaint().map_or(Ok(()), |complaint| Err(complain(complaint)))?;
    let number = |value: Option<Spanned<i64>>, parse: fn(&str) -> Result<u32, String>| {
        let parse =
            |value: Spanned<i64>| parse(&value.get_ref().to_string()).map_err(at(value.span()));
        value.map(parse).transpose()
    };
    let port = |port: &Spanned<Port>| {
        Written::parse(&port.get_ref().text())
            .map_err(|error| Wrong::new(&port.span(), error.to_string()))
    };
    let families = raw.families();
    let source = raw.source.map(|source| {
        cli::parse_source(source.get_ref()).map_err(|told| Wrong::new(&source.span(), told))
    });
    let verify = raw.verify.map(|verify| {
        let parsed = port::parse_service(&verify.get_ref().text());
        parsed
            .map(std::num::NonZeroU16::get)
            .map_err(|error| Wrong::new(&verify.span(), error.to_string()))
    });
    let config = raw.config.map(|config| {
        let folder = path.parent().unwrap_or(Path::new(""));
        match (config.strip_prefix("~/"), folders.home()) {
            (Some(rest), Some(home)) => home.join(rest),
            _ => folder.join(config),
        }
    });
    Ok(Some(Profile {
        host: raw.host.unwrap_or_default(),
        ports: raw.ports.iter().map(port).collect::<Result<_, _>>()?,
        udp: raw.udp,
        delay: number(raw.delay, cli::parse_delay)?,
        families,
        source: source.transpose()?,
        config,
        door: raw.door,
        verify: verify.transpose()?,
        retries: number(raw.retries, cli::parse_retries)?,
        verbose: raw.verbose,
    }))
}

/// Returns line and column of a place, both counted from 1, the column in characters.
fn place(text: &str, at: usize) -> (usize, usize) {
    let before = text.get(..at).unwrap_or(text);
    let line = before.rsplit('\n').next().unwrap_or_default();
    (before.matches('\n').count() + 1, line.chars().count() + 1)
}
