//! Privileges: what is missing, and what is kept.
//!
//! As root, the daemon drops what neither it nor its commands can need; as an ordinary user, it
//! hands the capabilities that it was given on to its commands. What they can need is told from
//! their text ([`Needs`]) and decided without asking the system ([`Kept::decide`]), so that
//! `--check` can say it beforehand.
//!
//! Measured with iptables 1.8.9, nft 1.0.6 and ipset 7.17 in a network namespace: as root,
//! `CAP_NET_ADMIN` is enough for nft, ipset and the iptables that is built on nft; the older
//! iptables needs `CAP_NET_RAW`, too, and its lock in `/run` is root's own. As an ordinary user
//! with both, all but the older iptables work, which can't have the lock.

mod host;
mod needs;
mod shell;

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

use caps::{CapSet, Capability, CapsHashSet};

pub use host::{Host, Identity, find_program};
pub use needs::{Find, Needs};

/// What the daemon keeps of its privileges, and what its commands get.
///
/// Its text is a sentence for the log.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Kept {
    is_root: bool,
    needs: Needs,
    has_foreign_files: bool,
    /// What the daemon keeps; everything where `needs.anything` is set.
    daemon: Vec<Capability>,
    /// What its commands get, likewise.
    commands: Vec<Capability>,
}

/// Something without which the daemon or its commands can't do their work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Missing {
    /// A capability.
    Capability {
        /// Which.
        capability: Capability,
        /// What takes it, as a clause: `to capture packets`.
        purpose: &'static str,
        /// The daemon's program file, for the way out.
        program: PathBuf,
    },
    /// The older iptables, which only root can use.
    LegacyIptables {
        /// The command that calls it.
        command: String,
    },
    /// A command that may need more than the capabilities of an ordinary user.
    Root {
        /// The command.
        command: String,
    },
}

/// What it takes to read, write and replace files of others, with owner and mode.
const FILES: [Capability; 3] =
    [Capability::CAP_CHOWN, Capability::CAP_DAC_OVERRIDE, Capability::CAP_FOWNER];

impl Kept {
    /// Decides what to keep.
    #[must_use]
    pub fn decide(identity: &Identity, needs: &Needs, host: Host) -> Self {
        let mut commands = Vec::new();
        if needs.firewall || needs.anything.is_some() {
            commands.extend([Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW]);
        }
        let loads_v4 = needs.legacy_v4.is_some() && !host.has_legacy_v4;
        let loads_v6 = needs.legacy_v6.is_some() && !host.has_legacy_v6;
        if identity.is_root && (loads_v4 || loads_v6) {
            commands.push(Capability::CAP_SYS_MODULE);
        }
        let mut daemon = commands.clone();
        if !daemon.contains(&Capability::CAP_NET_RAW) {
            daemon.push(Capability::CAP_NET_RAW);
        }
        let has_foreign_files = identity.is_root && host.has_foreign_files;
        if has_foreign_files {
            daemon.extend(FILES);
        }
        for set in [&mut daemon, &mut commands] {
            set.retain(|capability| identity.permitted.contains(capability));
            set.sort_by_key(ToString::to_string);
        }
        let needs = needs.clone();
        Self { is_root: identity.is_root, needs, has_foreign_files, daemon, commands }
    }

    /// Carries it out for the calling thread and for what it starts from now on: to be called once,
    /// before the first other thread. It can't be undone.
    ///
    /// # Errors
    ///
    /// Fails where the kernel refuses; some of it may be done then.
    pub fn apply(&self) -> io::Result<()> {
        if self.needs.anything.is_none() {
            // Whatever the commands execute, nothing of it gains more than they have.
            rustix::thread::set_no_new_privs(true)?;
        }
        match (self.is_root, &self.needs.anything) {
            (true, Some(_)) => Ok(()),
            (true, None) => self.drop_the_rest(),
            (false, _) => self.hand_on(),
        }
        .map_err(io::Error::other)
    }

    /// Says why commands can't be run any more with what is kept, for a config that is read later:
    /// dropped privileges don't come back. `None` where they can.
    #[must_use]
    pub fn lacks(&self, needs: &Needs) -> Option<String> {
        let is_limited = self.needs.anything.is_none();
        if let Some(command) = needs.anything.as_ref().filter(|_| is_limited) {
            return Some(format!(
                "the command `{command}` may need privileges that were dropped at start, \
                 when no command could need them; restart knockd"
            ));
        }
        let has_firewall = !is_limited || self.needs.firewall;
        (needs.firewall && !has_firewall).then(|| {
            "there are commands now that change the firewall, and that privilege was dropped at \
             start, when there were none; restart knockd"
                .to_owned()
        })
    }

    /// As root: drops all capabilities that are not kept. What root executes would get them back,
    /// were they not taken from the bounding set.
    fn drop_the_rest(&self) -> Result<(), caps::errors::CapsError> {
        let kept: CapsHashSet = self.daemon.iter().copied().collect();
        // In a container this capability may be missing. `no_new_privs` keeps commands from
        // getting more than the daemon keeps then.
        if caps::has_cap(None, CapSet::Effective, Capability::CAP_SETPCAP)? {
            for capability in caps::runtime::thread_all_supported() {
                let is_in = caps::has_cap(None, CapSet::Bounding, capability)?;
                if is_in && !self.commands.contains(&capability) {
                    caps::drop(None, CapSet::Bounding, capability)?;
                }
            }
        }
        if caps::runtime::ambient_set_supported().is_ok() {
            caps::clear(None, CapSet::Ambient)?;
        }
        caps::clear(None, CapSet::Inheritable)?;
        caps::set(None, CapSet::Effective, &kept)?;
        caps::set(None, CapSet::Permitted, &kept)
    }

    /// As an ordinary user: makes commands inherit what they need and the daemon has.
    fn hand_on(&self) -> Result<(), caps::errors::CapsError> {
        let mut inheritable = caps::read(None, CapSet::Inheritable)?;
        inheritable.extend(self.commands.iter().copied());
        caps::set(None, CapSet::Inheritable, &inheritable)?;
        for &capability in &self.commands {
            caps::raise(None, CapSet::Ambient, capability)?;
        }
        Ok(())
    }
}

impl fmt::Display for Kept {
    /// Writes a sentence such as `running as root with CAP_NET_ADMIN and CAP_NET_RAW only, which
    /// is all that the commands can need`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (daemon, commands) = (Names(&self.daemon), Names(&self.commands));
        match (self.is_root, &self.needs.anything) {
            (true, Some(command)) => write!(
                f,
                "running as root with all privileges kept, for there is no telling what the \
                 command `{command}` needs"
            ),
            (true, None) => {
                write!(f, "running as root with {daemon} only")?;
                if self.has_foreign_files {
                    f.write_str(", for some of its files belong to others")?;
                }
                if self.daemon == self.commands {
                    f.write_str(", which is all that the commands can need")
                } else {
                    write!(f, "; commands get {commands}")
                }
            }
            (false, _) => {
                write!(f, "running as an ordinary user with {daemon}; commands get {commands}")
            }
        }
    }
}

/// Says what is missing for capturing, and for commands that need this.
#[must_use]
pub fn missing(identity: &Identity, needs: &Needs, program: &Path) -> Vec<Missing> {
    let mut missing = Vec::new();
    let mut want = |capability, purpose| {
        if !identity.permitted.contains(&capability) {
            missing.push(Missing::Capability { capability, purpose, program: program.to_owned() });
        }
    };
    want(Capability::CAP_NET_RAW, "to capture packets");
    if needs.firewall {
        want(Capability::CAP_NET_ADMIN, "for commands that change the firewall");
    }
    if !identity.is_root {
        let legacy = needs.legacy_v4.iter().chain(&needs.legacy_v6);
        missing.extend(legacy.cloned().map(|command| Missing::LegacyIptables { command }));
        missing.extend(needs.anything.clone().map(|command| Missing::Root { command }));
    }
    missing
}

impl fmt::Display for Missing {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Capability { capability, purpose, program } => write!(
                f,
                "{capability} is missing, which it takes {purpose}: start knockd as root, or give \
                 it to the service (AmbientCapabilities=CAP_NET_ADMIN CAP_NET_RAW) or to the \
                 program (setcap cap_net_admin,cap_net_raw+ep {})",
                program.display()
            ),
            Self::LegacyIptables { command } => write!(
                f,
                "the command `{command}` calls the older iptables, whose lock only root can have: \
                 start knockd as root, or use iptables-nft or nft"
            ),
            Self::Root { command } => write!(
                f,
                "the command `{command}` runs as an ordinary user, and may need to be root: if it \
                 does, start knockd as root, or let it use sudo"
            ),
        }
    }
}

/// Writes capabilities as a list in words.
struct Names<'a>(&'a [Capability]);

impl fmt::Display for Names<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("no capability"),
            [only] => write!(f, "{only}"),
            [first @ .., last] => {
                let first: Vec<_> = first.iter().map(ToString::to_string).collect();
                write!(f, "{} and {last}", first.join(", "))
            }
        }
    }
}

#[cfg(test)]
mod tests;
