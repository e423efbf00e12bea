//! The sources that sent every knock of a door: nobody else can open it.
//!
//! What happens for one source is the same whatever other sources send (S6). So where many configs
//! are tried, it is enough to give these sources' packets to their engines, as long as nothing
//! that sources share comes into play: a full table (S14), a used-up one-time sequence (S12). The
//! time that the others' packets move (S1) is told apart.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::net::{IpAddr, Ipv6Addr};

use anyhow::bail;
use foldhash::fast::FixedState;
use knock_engine::config::{Config, Door, KnockFlags, Sequences};
use knock_engine::packet::{Protocol, TcpFlags};
use knock_frontend::format::Count;

use crate::run::frames::{Candidate, Filter, Frames, Haste, Stretch};
use crate::run::progress::Progress;
use crate::trace::Traces;

/// Sources that sent every knock of a door, and whatever shares their count of failures (S13).
#[derive(Debug, Default)]
pub(crate) struct Knockers {
    groups: HashSet<IpAddr, FixedState>,
    /// Sources at doors that sent any knock.
    touches: usize,
    /// Whether their packets alone are enough to know what becomes of them.
    pub(crate) suffice: bool,
}

impl Knockers {
    /// The most pairs of a source and a door that are told apart.
    const LIMIT: usize = 1 << 23;

    /// Finds the sources that sent every knock of one of these doors of the config. Where a trace
    /// can't be read, what lies before that place counts.
    ///
    /// # Errors
    ///
    /// There are more sources than can be told apart.
    pub(crate) fn find(
        traces: &mut Traces<File>,
        progress: &mut Progress,
        config: &Config,
        doors: &[usize],
    ) -> anyhow::Result<Self> {
        let steps = Steps::of(config);
        let mut sent: HashMap<(IpAddr, usize), u32, FixedState> = HashMap::default();
        let mut frames = Frames::new(traces, Haste::Batch);
        loop {
            progress.update(traces);
            let Stretch { goes_on, .. } = frames.read(traces, &steps);
            for Candidate { packet, .. } in frames.batch() {
                for step in steps.at(packet.protocol(), packet.destination_port) {
                    *sent.entry((packet.source, step.door)).or_default() |= step.bits;
                }
            }
            if sent.len() > Self::LIMIT {
                bail!(
                    "more than {} sources hit the knock ports: try fewer traces, or a shorter time",
                    Count(Self::LIMIT as u64)
                );
            }
            if !goes_on.is_ok_and(|goes_on| goes_on) {
                break;
            }
        }
        let are_fixed =
            config.doors.iter().all(|door| matches!(door.sequences, Sequences::Fixed(_)));
        let most = usize::try_from(config.options.max_attempts).unwrap_or(usize::MAX);
        let suffice = are_fixed && sent.len() <= most;
        let touches = sent.len();
        let is_chosen = |(_, door): (IpAddr, usize), bits: u32| {
            doors.contains(&door) && bits & steps.whole[door] == steps.whole[door]
        };
        let chosen = sent.into_iter().filter(|(pair, bits)| is_chosen(*pair, *bits));
        Ok(Self {
            groups: chosen.map(|((source, _), _)| group(source)).collect(),
            touches,
            suffice,
        })
    }

    /// Returns about how many sources an engine that is given their packets has to remember.
    pub(crate) fn load(&self) -> usize {
        if self.suffice { self.groups.len() } else { self.touches }
    }

    /// Tells whether a source is one of them.
    pub(crate) fn contains(&self, source: IpAddr) -> bool {
        self.groups.contains(&group(source))
    }
}

/// Returns what counts failures together with a source (S13): an IPv6 /64 does.
fn group(source: IpAddr) -> IpAddr {
    match source {
        IpAddr::V4(_) => source,
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() >> 64 << 64).into(),
    }
}

/// Which steps of which doors a port is.
struct Steps {
    ports: HashMap<(Protocol, u16), Vec<Step>, FixedState>,
    /// The doors' flags, each once.
    flags: Vec<KnockFlags>,
    /// All steps of a door.
    whole: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Step {
    door: usize,
    bits: u32,
}

impl Steps {
    fn of(config: &Config) -> Self {
        let mut ports: HashMap<(Protocol, u16), Vec<Step>, FixedState> = HashMap::default();
        let mut whole = Vec::new();
        let mut flags = Vec::new();
        for (door, settings) in config.doors.iter().enumerate() {
            let (all, knocks) = steps(settings);
            whole.push(all);
            for (port, bits) in knocks {
                ports.entry(port).or_default().push(Step { door, bits });
            }
            if !flags.contains(&settings.flags) {
                flags.push(settings.flags);
            }
        }
        Self { ports, flags, whole }
    }

    fn at(&self, protocol: Protocol, port: u16) -> &[Step] {
        self.ports.get(&(protocol, port)).map_or(&[], Vec::as_slice)
    }
}

impl Filter for Steps {
    fn admits(&self, protocol: Protocol, destination_port: u16, flags: TcpFlags) -> bool {
        let has_flags = || self.flags.iter().any(|its| its.accept(flags));
        (protocol == Protocol::Udp || has_flags())
            && self.ports.contains_key(&(protocol, destination_port))
    }
}

/// Returns the bits of all steps of a door, and those of each knock port. The sequence of a
/// one-time door changes, so each of its knocks stands for all.
fn steps(door: &Door) -> (u32, HashMap<(Protocol, u16), u32>) {
    let mut knocks: HashMap<(Protocol, u16), u32> = HashMap::new();
    let mut all = 0;
    match &door.sequences {
        Sequences::Fixed(sequence) => {
            for (index, knock) in sequence.knocks().iter().enumerate() {
                // A sequence has at most 32 knocks.
                let bit = 1_u32 << (index % 32);
                *knocks.entry((knock.protocol, knock.port.get())).or_default() |= bit;
                all |= bit;
            }
        }
        Sequences::OneTime { lines, .. } => {
            all = 1;
            for knock in lines.iter().flat_map(|line| line.sequence.knocks()) {
                knocks.insert((knock.protocol, knock.port.get()), 1);
            }
        }
    }
    (all, knocks)
}
