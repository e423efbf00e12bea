//! What a config means, in full.

use std::fmt;

use super::hardened;
use super::host::comma_separated;
use super::system::{Privilege, System};
use super::{CheckInput, Interface};
use crate::settings::{Detail, Execution, Families, Listen, Record};

/// Displays the config with every default, what is in effect, the addresses and the filter.
/// Escape it before it meets a terminal, line by line.
pub(super) struct Told<'a, S> {
    pub(super) input: &'a CheckInput<'a, S>,
}

impl<S: System> fmt::Display for Told<'_, S> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let CheckInput { config, settings, machine, .. } = self.input;
        writeln!(f, "The config {}, with all defaults:\n", settings.config.display())?;
        writeln!(f, "{config}")?;
        writeln!(f, "In effect, with the command line:\n")?;
        for (what, value) in self.in_effect() {
            line(f, what, &value)?;
        }
        writeln!(f, "\nAddresses of this host, to which a door without target listens:\n")?;
        for Interface { name, addresses } in &machine.interfaces {
            let heard = addresses.iter().filter(|&&address| settings.families.admit(address));
            let heard = comma_separated(heard);
            line(f, name, if heard.is_empty() { "none" } else { &heard })?;
        }
        if let Ok(filter) = &machine.filter {
            writeln!(f, "\nThe capture filter, a superset of what concerns a door:\n")?;
            filter.lines().try_for_each(|clause| writeln!(f, "  {clause}"))?;
        }
        match hardened::breaks(self.input) {
            None => Ok(()),
            Some(told) if told.is_empty() => {
                writeln!(f, "\nUnder the hardened knockd.service all of it would work.")
            }
            Some(told) => {
                writeln!(f, "\nWhat would not work under the hardened knockd.service:\n")?;
                told.iter().try_for_each(|told| writeln!(f, "  {told}"))
            }
        }
    }
}

impl<S: System> Told<'_, S> {
    fn in_effect(&self) -> Vec<(&'static str, String)> {
        let CheckInput { settings, machine, system, .. } = self.input;
        let listen = match &settings.listen {
            Listen::Any => "all interfaces".to_owned(),
            Listen::Named(names) => comma_separated(names),
            Listen::Default => match machine.listened_by_default() {
                names if names.is_empty() => "nothing".to_owned(),
                names => format!("{}, as nobody names one", comma_separated(names)),
            },
        };
        let families = match settings.families {
            Families::Both => "IPv4 and IPv6",
            Families::V4Only => "IPv4 alone",
        };
        let pid_file = settings.pid_file.as_ref();
        let pid_file = pid_file.map_or("in no file".to_owned(), |path| path.display().to_string());
        let execution = match settings.commands.execution {
            Execution::Run => "are run",
            Execution::LogOnly => "are only logged",
        };
        let has = |privilege| system.has(privilege);
        let privileges = match (has(Privilege::NetRaw), has(Privilege::NetAdmin)) {
            (true, true) => "CAP_NET_RAW and CAP_NET_ADMIN",
            (true, false) => "CAP_NET_RAW, without CAP_NET_ADMIN",
            (false, true) => "CAP_NET_ADMIN, without CAP_NET_RAW",
            (false, false) => "neither CAP_NET_RAW nor CAP_NET_ADMIN",
        };
        vec![
            ("listens on", listen),
            ("hears", families.to_owned()),
            ("logs to", self.log()),
            ("process number", pid_file),
            ("ledger", settings.state_dir.display().to_string()),
            ("recording", self.recording()),
            ("commands", execution.to_owned()),
            ("user", format!("{}, with {privileges}", system.user())),
        ]
    }

    fn recording(&self) -> String {
        match &self.input.settings.record {
            None => "none".to_owned(),
            Some(Record { folder, size }) => format!("{}, up to {size}", folder.display()),
        }
    }

    fn log(&self) -> String {
        let log = &self.input.settings.log;
        let file = log.file.as_ref().map(|path| path.display().to_string());
        let syslog = log.syslog.then(|| "syslog".to_owned());
        let stderr = log.stderr.then(|| "standard error".to_owned());
        let targets = comma_separated([file, syslog, stderr].into_iter().flatten());
        let detail = match log.detail {
            Detail::Normal => "",
            Detail::Verbose => "; also what changes nothing",
            Detail::Debug => "; also what is secret",
        };
        format!("{targets}{detail}")
    }
}

fn line(f: &mut fmt::Formatter<'_>, what: &str, value: &str) -> fmt::Result {
    writeln!(f, "  {what:<15} {value}")
}
