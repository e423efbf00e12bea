//! `--check`: what the config means, and what would keep a daemon from working. It opens no
//! capture, runs no command and changes nothing.

mod commands;
mod files;
mod hardened;
mod host;
pub mod system;
mod told;

use std::io::{self, Write};
use std::net::IpAddr;
use std::path::Path;

use anyhow::anyhow;
use knock_engine::config::{Config, Severity};
use knock_frontend::config_file::{ConfigFile, Strictness};
use knock_frontend::escape::Escaped;

use self::system::System;
use self::told::Told;
use crate::PROGRAM;
use crate::cli::Cli;
use crate::settings::Settings;

/// How to come by capabilities.
const MORE_CAPABILITIES: &str = "start knockd as root, or give it what it needs: setcap \
    cap_net_raw,cap_net_admin+ep with the program's path, or AmbientCapabilities=CAP_NET_RAW \
    CAP_NET_ADMIN in its systemd unit";

/// What the hardened unit gives to commands, and the way to more.
const MORE_CAPABILITIES_UNIT: &str = "CAP_NET_ADMIN and CAP_NET_RAW as an ordinary user; if it \
    does, keep the drop-in privileged.conf";

/// The host, as far as a check needs it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Machine {
    /// The interfaces there are, in the order in which they are told.
    pub interfaces: Vec<Interface>,
    /// The interface of the default route, if there is one.
    pub default_interface: Option<String>,
    /// The text of the capture filter, or why there is none.
    pub filter: Result<String, String>,
}

/// An interface that there is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// Its name.
    pub name: String,
    /// Its unicast addresses.
    pub addresses: Vec<IpAddr>,
}

/// What a check looks at.
#[derive(Debug)]
pub struct CheckInput<'a, S> {
    /// The config's files.
    pub read: &'a ConfigFile,
    /// The config that came of them.
    pub config: &'a Config,
    /// The config and the command line in one.
    pub settings: &'a Settings,
    /// The host.
    pub machine: &'a Machine,
    /// The system.
    pub system: &'a S,
    /// The `PATH` of commands.
    pub command_path: &'a str,
}

/// What a check has found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CheckOutcome {
    /// What is wrong, in the order in which it was found.
    pub findings: Vec<Finding>,
    /// How many warnings there are about the config's text besides.
    pub config_warnings: usize,
    strictness: Strictness,
}

/// Something that is wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// An error would keep the daemon from working, or a door from opening.
    pub severity: Severity,
    /// The place, what is wrong there, and the way out. It has foreign text in it: escape it.
    pub text: String,
}

impl CheckOutcome {
    /// Tells how many findings would keep the daemon from working: the errors, and with
    /// `--strict` the warnings too.
    #[must_use]
    pub fn blocking(&self) -> usize {
        match self.strictness {
            Strictness::Strict => self.findings.len() + self.config_warnings,
            Strictness::Lenient => self.errors(),
        }
    }

    /// Returns the exit status: 0 where nothing was found that matters, else 1.
    #[must_use]
    pub fn status(&self) -> u8 {
        u8::from(self.blocking() > 0)
    }

    fn errors(&self) -> usize {
        self.findings.iter().filter(|finding| finding.severity == Severity::Error).count()
    }

    /// Says what was found on standard error.
    pub fn show(&self) {
        for Finding { severity, text } in &self.findings {
            match severity {
                Severity::Warning => PROGRAM.warning(text),
                Severity::Error => PROGRAM.error(&anyhow!(text.clone())),
            }
        }
    }

    /// Returns the last line of the check.
    fn summary(&self, config: &Path) -> String {
        let count = |number: usize, what: &str| match number {
            1 => format!("1 {what}"),
            number => format!("{number} {what}s"),
        };
        let warnings = count(self.findings.len() - self.errors() + self.config_warnings, "warning");
        let config = config.display();
        match self.blocking() {
            0 => format!("{config}: nothing would keep it from working; {warnings}"),
            _ if self.errors() == 0 => {
                format!("{config}: {warnings}, and --strict takes warnings as errors")
            }
            _ => {
                let errors = count(self.errors(), "error");
                format!("{config}: {errors} would keep it from working; {warnings}")
            }
        }
    }
}

/// What was found so far.
#[derive(Debug, Default)]
struct Findings(Vec<Finding>);

impl Findings {
    fn error(&mut self, text: String) {
        self.0.push(Finding { severity: Severity::Error, text });
    }

    fn warn(&mut self, text: String) {
        self.0.push(Finding { severity: Severity::Warning, text });
    }
}

/// Does all of `--check`: reads the config as a start does, tells what it means on `out` and what
/// is wrong on standard error. Returns the exit status: 0, 1, or 2 where there is no config.
///
/// `machine` looks at the host, for this config and these settings.
pub fn run(
    cli: &Cli,
    folder: &Path,
    command_path: &str,
    machine: impl FnOnce(&Config, &Settings) -> Machine,
    out: &mut impl Write,
) -> u8 {
    let read = match ConfigFile::read_in(folder, &cli.config) {
        Ok(read) => read,
        Err(error) => {
            PROGRAM.error(&error);
            return 2;
        }
    };
    read.show_diagnostics(PROGRAM);
    let Some(config) = read.config() else { return 2 };
    let settings = &Settings::merge(cli, &config.options, folder);
    let machine = &machine(config, settings);
    let system = &system::Real;
    let input = CheckInput { read: &read, config, settings, machine, system, command_path };
    let outcome = check(&input, out);
    outcome.show();
    outcome.status()
}

/// Tells what a config means, and looks whether a daemon could work by it. Where `out` is closed
/// there is nobody left to tell, and the outcome is the same.
pub fn check(input: &CheckInput<'_, impl System>, out: &mut impl Write) -> CheckOutcome {
    let mut findings = Findings::default();
    for warning in &input.settings.warnings {
        findings.warn(warning.clone());
    }
    host::check(input, &mut findings);
    files::check(input, &mut findings);
    commands::check(&input.config.doors, input.command_path, input.system, &mut findings);
    let outcome = CheckOutcome {
        findings: findings.0,
        config_warnings: input.read.warnings(),
        strictness: input.settings.strictness,
    };
    let summary = outcome.summary(&input.settings.config);
    let text = format!("{}\n{summary}", Told { input });
    let lines = text.split('\n').map(|line| format!("{}\n", Escaped(line)));
    let _ = out.write_all(lines.collect::<String>().as_bytes()).and_then(|()| out.flush());
    outcome
}

/// Says in a clause why the system refused something.
fn reason(error: &io::Error) -> String {
    let text = error.to_string();
    let text = text.split(" (os error ").next().unwrap_or(&text);
    let mut letters = text.chars();
    letters.next().map_or_else(String::new, |first| first.to_lowercase().chain(letters).collect())
}

#[cfg(test)]
mod tests;
