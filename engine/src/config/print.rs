//! A config as text: every setting, the defaults too, in one order.

use std::fmt;
use std::time::Duration;

use super::{
    BufferSize, Commands, Config, Door, FailureLimit, Grant, Options, PortRange, RecordSize,
    Sequences,
};

impl fmt::Display for Config {
    /// Writes the config as a `knockd.conf` that parses to the same config, but for the lines of
    /// one-time files. Names, paths and commands are written as they are: let a terminal have
    /// the lines through [`super::escape()`] only.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.options)?;
        self.doors.iter().try_for_each(|door| write!(f, "\n{door}"))
    }
}

impl fmt::Display for Options {
    /// Writes the section as a config has it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[options]")?;
        if self.use_syslog {
            writeln!(f, "UseSyslog")?;
        }
        write_text(f, "LogFile", self.log_file.as_deref())?;
        writeln!(f, "LogFormat = {}", self.log_format.name())?;
        writeln!(f, "LogLimit = {}", self.log_limit)?;
        write_text(f, "PidFile", self.pid_file.as_deref())?;
        write_list(f, "Interface", &self.interfaces)?;
        writeln!(f, "BufferSize = {}", self.buffer_size)?;
        writeln!(f, "StateDir = {}", self.state_dir)?;
        write_text(f, "Record", self.record.as_deref())?;
        writeln!(f, "RecordSize = {}", self.record_size)?;
        writeln!(f, "OnStop = {}", self.on_stop.name())?;
        writeln!(f, "max_attempts = {}", self.max_attempts)?;
        writeln!(f, "max_leases = {}", self.max_leases)?;
        writeln!(f, "max_commands = {}", self.max_commands)?;
        writeln!(f, "command_timeout = {}", Seconds(self.command_timeout))
    }
}

impl fmt::Display for BufferSize {
    /// Writes it as a config has it, in the largest unit that it is a whole number of: `8M`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(self.bytes().into()).fmt(f)
    }
}

impl fmt::Display for RecordSize {
    /// Writes it as a config has it, in the largest unit that it is a whole number of: `64M`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        Bytes(self.bytes()).fmt(f)
    }
}

/// A number of bytes, in the largest unit that it is a whole number of.
pub(super) struct Bytes(pub(super) u64);

impl fmt::Display for Bytes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(bytes) = *self;
        let (shift, unit) = match bytes.trailing_zeros() {
            40.. => (40, "T"),
            30..40 => (30, "G"),
            20..30 => (20, "M"),
            10..20 => (10, "K"),
            0..10 => (0, ""),
        };
        write!(f, "{}{unit}", bytes >> shift)
    }
}

impl fmt::Display for Door {
    /// Writes the section as a config has it, with every setting that has a value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "[{}]", self.name)?;
        match &self.sequences {
            Sequences::Fixed(sequence) => writeln!(f, "sequence = {sequence}")?,
            Sequences::OneTime { path, .. } => writeln!(f, "one_time_sequences = {path}")?,
        }
        writeln!(f, "seq_timeout = {}", Seconds(self.seq_timeout))?;
        writeln!(f, "tcpflags = {}", self.flags)?;
        self.write_addresses(f)?;
        self.write_strays(f)?;
        writeln!(f, "retransmit_window = {}", Seconds(self.retransmit_window))?;
        self.write_limits(f)?;
        write!(f, "{}", self.commands)?;
        writeln!(f, "cmd_timeout = {}", Seconds(self.cmd_timeout))?;
        writeln!(f, "grant = {}", self.grant)
    }
}

impl Door {
    fn write_addresses(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, "target", &self.targets)?;
        write_list(f, "allow", self.allow.as_deref().unwrap_or_default())?;
        write_list(f, "deny", &self.deny)
    }

    fn write_strays(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.max_strays {
            Some(max_strays) => writeln!(f, "max_strays = {max_strays}")?,
            None => writeln!(f, "max_strays = off")?,
        }
        if let Some(udp_strays) = self.udp_strays {
            writeln!(f, "udp_strays = {}", if udp_strays { "yes" } else { "no" })?;
        }
        write_list(f, "ignore_ports", self.ignore_ports.ranges())
    }

    fn write_limits(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "cooldown = {}", Seconds(self.cooldown))?;
        match self.failure_limit {
            None => writeln!(f, "max_failures = 0"),
            Some(FailureLimit { max_failures, window, lockout }) => {
                writeln!(f, "max_failures = {max_failures}")?;
                writeln!(f, "failure_window = {}", Seconds(window))?;
                writeln!(f, "lockout = {}", Seconds(lockout))
            }
        }
    }
}

impl fmt::Display for Commands {
    /// Writes a line for each command; one that is empty for IPv6 alone has an empty value.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { start, start_v6, stop, stop_v6, check, check_v6 } = self;
        let commands =
            [("start", start, start_v6), ("stop", stop, stop_v6), ("check", check, check_v6)];
        for (name, plain, v6) in commands {
            if let Some(command) = plain {
                writeln!(f, "{name}_command = {}", command.template())?;
            }
            match v6 {
                None => {}
                Some(None) => writeln!(f, "{name}_command_6 =")?,
                Some(Some(command)) => {
                    writeln!(f, "{name}_command_6 = {}", command.template())?;
                }
            }
        }
        Ok(())
    }
}

impl fmt::Display for Grant {
    /// Writes both lengths as a config has them: `/24, /56`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/{}, /{}", self.v4(), self.v6())
    }
}

impl fmt::Display for PortRange {
    /// Writes it as a config has it: `22`, `6000-6010` or `53:udp`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.first)?;
        if self.last != self.first {
            write!(f, "-{}", self.last)?;
        }
        self.protocol.map_or(Ok(()), |protocol| write!(f, ":{protocol}"))
    }
}

/// A span as a config has it: whole seconds, or a fraction of them with its unit.
struct Seconds(Duration);

impl fmt::Display for Seconds {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (seconds, nanos) = (self.0.as_secs(), self.0.subsec_nanos());
        if nanos == 0 {
            return write!(f, "{seconds}");
        }
        write!(f, "{seconds}.{}s", format!("{nanos:09}").trim_end_matches('0'))
    }
}

fn write_text(f: &mut fmt::Formatter<'_>, key: &str, text: Option<&str>) -> fmt::Result {
    text.map_or(Ok(()), |text| writeln!(f, "{key} = {text}"))
}

fn write_list(f: &mut fmt::Formatter<'_>, key: &str, entries: &[impl fmt::Display]) -> fmt::Result {
    for (index, entry) in entries.iter().enumerate() {
        match index {
            0 => write!(f, "{key} = {entry}")?,
            _ => write!(f, ", {entry}")?,
        }
    }
    if entries.is_empty() { Ok(()) } else { writeln!(f) }
}
