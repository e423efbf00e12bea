//! Everything in its order: look up, mark, knock, see whether it helped.

use std::fmt::Display;
use std::io::{self, Write as _};
use std::net::{TcpStream, UdpSocket};

use anyhow::anyhow;
use knock_engine::config::Knock;
use knock_frontend::escape::Escaped;

use crate::cli::Cli;
use crate::failure::{Fail as _, Failure, Status};
use crate::plan::{Plan, Then, What};
use crate::profile::Folders;
use crate::sequence::{self, Steps};
use crate::target::{Families, Target, resolve};
use crate::{PROGRAM, pcap, proxy, reach, send};

/// Does what the command line asks for.
///
/// # Errors
///
/// See [`Failure`].
pub fn run(cli: &Cli, folders: &Folders) -> Result<(), Failure> {
    let plan = Plan::new(cli, folders)?;
    plan.warnings.iter().for_each(|warning| PROGRAM.warning(warning));
    let steps = match &plan.what {
        What::Knocks(knocks) => Steps { knocks: knocks.clone(), line: None },
        What::Door { config, name, which } => sequence::of_door(config, name, *which)?,
    };
    let round =
        Round { targets: resolve(&plan.host, plan.families)?, knocks: &steps.knocks, plan: &plan };
    if plan.verbose {
        let targets: Vec<_> = round.targets.iter().map(ToString::to_string).collect();
        let addresses = targets.join(" and ");
        let name = if addresses == plan.host { "" } else { &format!(", {}", plan.host) };
        plan.say(&format!("knocking at {addresses}{name}"));
    }
    let guarded = match &plan.then {
        Then::Write(path) => {
            let Plan { manner, .. } = plan;
            return pcap::write(path, &round.targets, round.knocks, manner).fail(Status::Usage);
        }
        Then::Nothing => None,
        Then::Verify(port) => Some((round.targets.clone(), *port)),
        Then::Proxy(host, port) => Some((round.proxy_targets(host)?, *port)),
    };
    round.check_source()?;
    // From here on the sequence may be heard: it is used up, whatever comes.
    steps.line.iter().try_for_each(sequence::Line::mark)?;
    let Some((targets, port)) = guarded else { return round.knock() };
    let connection = round.knock_until_open(&targets, port)?;
    match plan.then {
        Then::Proxy(..) => proxy::join(&connection).fail(Status::NotSent),
        Then::Nothing | Then::Verify(_) | Then::Write(_) => Ok(()),
    }
}

impl Plan {
    /// Says something on standard output; where that is somebody's data, on standard error.
    fn say(&self, line: &dyn Display) {
        let line = format!("{}\n", Escaped(&line.to_string()));
        // Where nobody reads there is nobody to tell.
        let _ = match self.then {
            Then::Proxy(..) | Then::Write(_) => io::stderr().lock().write_all(line.as_bytes()),
            Then::Nothing | Then::Verify(_) => io::stdout().lock().write_all(line.as_bytes()),
        };
    }
}

/// All knocks once, to all addresses.
struct Round<'a> {
    plan: &'a Plan,
    targets: Vec<Target>,
    knocks: &'a [Knock],
}

impl Round<'_> {
    /// Returns where to connect to: the addresses that were knocked at, if it is the same host,
    /// else one of the same family, for the door opened for that.
    fn proxy_targets(&self, host: &str) -> Result<Vec<Target>, Failure> {
        if host == self.plan.host {
            return Ok(self.targets.clone());
        }
        let wanted = match (self.plan.families, self.targets.first()) {
            (Families::Any, Some(target)) if target.address().is_ipv4() => Families::V4,
            (Families::Any, Some(_)) => Families::V6,
            (families, _) => families,
        };
        match resolve(host, wanted) {
            Err(_) if self.plan.manner.source.is_none() => resolve(host, Families::Any),
            outcome => outcome,
        }
    }

    /// Sees to it that `--source` is an address of this host, before anything is used up.
    fn check_source(&self) -> Result<(), Failure> {
        let (Some(source), Some(target)) = (self.plan.manner.source, self.targets.first()) else {
            return Ok(());
        };
        let address = target.source(source);
        send::bound(source, UdpSocket::bind(address)).map(drop).fail(Status::Usage)
    }

    fn knock(&self) -> Result<(), Failure> {
        let Plan { manner, verbose, .. } = *self.plan;
        send::knock(&self.targets, self.knocks, manner, |target, knock| {
            if verbose {
                let at = target.port(knock.port.get());
                self.plan.say(&format!("hitting {} {at}", knock.protocol));
            }
        })
    }

    fn knock_until_open(&self, guarded: &[Target], port: u16) -> Result<TcpStream, Failure> {
        let (retries, source) = (self.plan.retries, self.plan.manner.source);
        let mut last = anyhow!("nobody answers");
        for _ in 0..=retries {
            match self.knock() {
                // Another address got everything, and may be enough.
                Err(failure) if failure.errors.len() < self.targets.len() => {
                    failure.errors.iter().for_each(|error| PROGRAM.error(error));
                }
                outcome => outcome?,
            }
            match reach::reach(guarded, port, source, reach::PATIENCE) {
                Ok(connection) => {
                    if self.plan.verbose
                        && let Ok(at) = connection.peer_addr()
                    {
                        self.plan.say(&format!("{at} accepts connections"));
                    }
                    return Ok(connection);
                }
                Err(error) => last = error,
            }
        }
        let at: Vec<_> = guarded.iter().map(|target| target.port(port).to_string()).collect();
        let times = match retries {
            0 => "after the knocks".to_owned(),
            _ => format!("after the knocks were sent {} times", retries.saturating_add(1)),
        };
        let at = at.join(" and ");
        let told = format!(
            "no connection to {at} {times} (knock-replay explain, on the server, tells why)"
        );
        Err(Failure::new(Status::NotConfirmed, last.context(told)))
    }
}
