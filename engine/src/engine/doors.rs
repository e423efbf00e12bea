//! Which doors a packet concerns (S4, S5), found by port.

use std::net::IpAddr;
use std::sync::Arc;

use foldhash::quality::FixedState;
use hashbrown::HashMap;
use ipnet::IpNet;

use super::DoorIndex;
use crate::config::{Config, Door, KnockFlags, OneTimeLine, PortSet, Sequence, Sequences};
use crate::local::LocalAddresses;
use crate::packet::{Packet, Protocol, TcpFlags, Transport};

/// Why a packet did nothing at a door.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Disregard {
    /// All lines of the door's one-time file are used (S12).
    Disabled,
    /// It was not sent to an address that the door watches (S4).
    WrongTarget,
    /// The door's `allow` or `deny` list keeps its source out (S4).
    Denied,
    /// The door ignores its source for a while (S13).
    LockedOut,
    /// Its port is a step, its flags are not those of a knock (S5).
    WrongFlags,
    /// Its port is a step of the other protocol.
    WrongProtocol,
    /// It is a knock packet, but not the first knock, and its source has no attempt (S7).
    NotFirstKnock,
    /// Its port is no step, and its source has no attempt that it could be a stray for.
    OtherPort,
}

impl Disregard {
    /// Returns the reason's name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Disabled => "disabled",
            Self::WrongTarget => "wrong_target",
            Self::Denied => "denied",
            Self::LockedOut => "locked_out",
            Self::WrongFlags => "wrong_flags",
            Self::WrongProtocol => "wrong_protocol",
            Self::NotFirstKnock => "not_first_knock",
            Self::OtherPort => "other_port",
        }
    }
}

/// A door and the sequence that opens it now.
#[derive(Debug)]
pub(super) struct DoorState {
    pub(super) door: Arc<Door>,
    /// How many doors of the same name stand before it.
    pub(super) namesake: u16,
    /// The number of used lines of a one-time file; 0 for a fixed sequence.
    used_lines: usize,
    /// Which profile the door has, if anything can be a stray for it.
    profile: Option<usize>,
}

impl DoorState {
    /// Returns the line of the one-time file that opens the door now.
    pub(super) fn line(&self) -> Option<&OneTimeLine> {
        match &self.door.sequences {
            Sequences::Fixed(_) => None,
            Sequences::OneTime { lines, .. } => lines.get(self.used_lines),
        }
    }

    /// Returns the lines of a one-time file that are not used yet.
    pub(super) fn unused_lines(&self) -> &[OneTimeLine] {
        match &self.door.sequences {
            Sequences::Fixed(_) => &[],
            Sequences::OneTime { lines, .. } => lines.get(self.used_lines..).unwrap_or_default(),
        }
    }

    /// Returns the sequence that opens the door now; none where all lines are used (S12).
    pub(super) fn sequence(&self) -> Option<&Sequence> {
        match &self.door.sequences {
            Sequences::Fixed(sequence) => Some(sequence),
            Sequences::OneTime { .. } => self.line().map(|line| &line.sequence),
        }
    }

    /// Uses up the current line of a one-time file and returns its number (S12).
    pub(super) fn use_line(&mut self) -> Option<usize> {
        let number = self.line()?.number;
        self.used_lines += 1;
        Some(number)
    }

    /// Tells whether the packet is a knock packet for this door, which has a step of its
    /// protocol and port (S5).
    fn accepts(&self, packet: &Packet) -> bool {
        match packet.transport {
            Transport::Tcp { flags, .. } => self.door.flags.accept(flags),
            Transport::Udp => true,
        }
    }

    /// Tells whether the door sees the packet at all (S4).
    fn sees(&self, packet: &Packet, local: &LocalAddresses) -> bool {
        is_seen(&self.door, packet, local)
    }

    /// Tells whether the door goes on unchanged as `new` (S16): the same section, and the same
    /// line of the one-time file.
    pub(super) fn is_unchanged(&self, new: &Self) -> bool {
        let bare = |door: &Door| {
            let mut door = door.clone();
            if let Sequences::OneTime { lines, .. } = &mut door.sequences {
                lines.clear();
            }
            door
        };
        self.line() == new.line() && bare(&self.door) == bare(&new.door)
    }
}

fn is_seen(door: &Door, packet: &Packet, local: &LocalAddresses) -> bool {
    is_for(door, packet, local) && door.admits(packet.source)
}

fn is_for(door: &Door, packet: &Packet, local: &LocalAddresses) -> bool {
    if door.targets.is_empty() {
        local.contains(packet.destination)
    } else {
        door.targets.contains(&packet.destination)
    }
}

/// Tells whether a packet to a port that is no step of its protocol would be a stray (S5).
fn is_stray_kind(packet: &Packet, flags: KnockFlags, has_udp_strays: bool) -> bool {
    match packet.transport {
        Transport::Tcp { flags: set, .. } => is_tcp_stray_kind(set, flags),
        Transport::Udp => has_udp_strays,
    }
}

fn is_tcp_stray_kind(set: TcpFlags, knock_flags: KnockFlags) -> bool {
    set.is_initial_syn() || (knock_flags.accept(set) && !knock_flags.accept_data())
}

/// What decides, beside the sequence, which packets are strays for a door. Ten thousand doors
/// mostly share one profile, so the question whether a packet is a stray for any door is not
/// asked ten thousand times.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Profile {
    targets: Vec<IpAddr>,
    allow: Option<Vec<IpNet>>,
    deny: Vec<IpNet>,
    flags: KnockFlags,
    ignore_ports: PortSet,
    has_udp_strays: bool,
}

#[derive(Debug)]
struct ProfileUse {
    /// The first door that has it, which stands for all.
    example: DoorIndex,
    has_udp_strays: bool,
    /// How many doors have it.
    doors: usize,
}

/// The doors that have steps of one protocol, by port.
#[derive(Debug)]
struct PortIndex {
    /// The ports that are a step somewhere: small enough to stay in the fastest cache.
    ports: Box<[u64; 1024]>,
    /// For each port, the number of its group of doors; 0 for none.
    groups: Box<[u16]>,
    /// Where in `doors` each group ends; group 0 is empty.
    ends: Vec<usize>,
    /// In config order within each group.
    doors: Vec<DoorIndex>,
}

impl PortIndex {
    /// Makes the index of steps that are in the order of ports, then doors, without doubles.
    fn new(steps: &[(u16, DoorIndex)]) -> Self {
        let mut ports = Box::new([0; 1024]);
        // Zeroed memory of this size costs nothing until it is written to.
        let mut groups = vec![0; 65_536].into_boxed_slice();
        let (mut ends, mut doors) = (vec![0], Vec::with_capacity(steps.len()));
        for of_port in steps.chunk_by(|a, b| a.0 == b.0) {
            let port = of_port[0].0;
            let group = u16::try_from(ends.len()).expect("port 0 is no step, so 65,535 groups");
            ports[usize::from(port >> 6)] |= 1 << (port & 63);
            groups[usize::from(port)] = group;
            doors.extend(of_port.iter().map(|(_, door)| door));
            ends.push(doors.len());
        }
        Self { ports, groups, ends, doors }
    }

    #[inline]
    fn contains(&self, port: u16) -> bool {
        self.ports[usize::from(port >> 6)] & (1 << (port & 63)) != 0
    }

    /// Returns the doors that have a step of this port, in config order.
    fn doors(&self, port: u16) -> &[DoorIndex] {
        match usize::from(self.groups[usize::from(port)]) {
            0 => &[],
            group => &self.doors[self.ends[group - 1]..self.ends[group]],
        }
    }
}

/// All doors, by port.
#[derive(Debug)]
pub(super) struct Doors {
    states: Vec<DoorState>,
    /// The doors by port, for TCP and for UDP.
    steps: [PortIndex; 2],
    profiles: Vec<ProfileUse>,
    /// A bit for each of the 64 sets of TCP flags: whether a packet with these, of TCP or of UDP
    /// (which has none), is a stray somewhere.
    stray_flags: [u64; 2],
}

impl Doors {
    pub(super) fn new(config: &Config) -> Self {
        assert!(config.doors.len() <= Config::MAX_DOORS, "a config has at most MAX_DOORS doors");
        let mut namesakes: HashMap<&str, u16, FixedState> = HashMap::default();
        let states = config.doors.iter().map(|door| {
            let count = namesakes.entry(&door.name).or_insert(0);
            let namesake = *count;
            *count += 1;
            DoorState { door: Arc::clone(door), namesake, used_lines: 0, profile: None }
        });
        let mut doors = Self {
            states: states.collect(),
            steps: [PortIndex::new(&[]), PortIndex::new(&[])],
            profiles: Vec::new(),
            stray_flags: [0; 2],
        };
        doors.index();
        doors
    }

    pub(super) fn get(&self, index: DoorIndex) -> &DoorState {
        &self.states[usize::from(index)]
    }

    pub(super) fn len(&self) -> usize {
        self.states.len()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (DoorIndex, &DoorState)> {
        // The states come first: there may be as many as there are numbers, and none is left to
        // count on to.
        self.states.iter().zip(0..).map(|(state, index)| (index, state))
    }

    /// Returns the doors by name, and among those of one name by their number.
    pub(super) fn names(&self) -> HashMap<(&str, u16), DoorIndex, FixedState> {
        self.iter().map(|(index, its)| ((&*its.door.name, its.namesake), index)).collect()
    }

    /// Uses up the current line of a door's one-time file and returns its number (S12).
    pub(super) fn use_line(&mut self, index: DoorIndex) -> Option<usize> {
        let number = self.states[usize::from(index)].use_line()?;
        self.index();
        Some(number)
    }

    /// Makes the indexes anew from the sequences that open the doors now.
    fn index(&mut self) {
        let steps_of = |protocol: Protocol| {
            let mut steps: Vec<(u16, DoorIndex)> = Vec::new();
            for (index, state) in self.iter() {
                let knocks = state.sequence().into_iter().flat_map(Sequence::knocks);
                let of_it = knocks.filter(|knock| knock.protocol == protocol);
                steps.extend(of_it.map(|knock| (knock.port.get(), index)));
            }
            steps.sort_unstable();
            steps.dedup();
            PortIndex::new(&steps)
        };
        self.steps = [steps_of(Protocol::Tcp), steps_of(Protocol::Udp)];
        self.index_profiles();
    }

    fn index_profiles(&mut self) {
        let mut known: HashMap<Profile, usize, FixedState> = HashMap::default();
        self.profiles.clear();
        self.stray_flags = [0; 2];
        for (state, index) in self.states.iter_mut().zip(0..) {
            state.profile = None;
            let door = Arc::clone(&state.door);
            let Some(sequence) = state.sequence().filter(|_| door.max_strays.is_some()) else {
                continue;
            };
            let has_udp_strays = door.has_udp_strays(sequence);
            let profile = Profile {
                targets: door.targets.clone(),
                allow: door.allow.clone(),
                deny: door.deny.clone(),
                flags: door.flags,
                ignore_ports: door.ignore_ports.clone(),
                has_udp_strays,
            };
            let number = *known.entry(profile).or_insert_with(|| {
                self.profiles.push(ProfileUse { example: index, has_udp_strays, doors: 0 });
                self.profiles.len() - 1
            });
            self.profiles[number].doors += 1;
            state.profile = Some(number);
            let [tcp, udp] = &mut self.stray_flags;
            *udp |= u64::from(has_udp_strays);
            for bits in 0..64 {
                let is_stray = is_tcp_stray_kind(TcpFlags::from_bits(bits), door.flags);
                *tcp |= u64::from(is_stray) << bits;
            }
        }
    }

    /// Tells whether a packet could concern a door, from its ports and flags alone.
    #[inline]
    pub(super) fn is_candidate(&self, protocol: Protocol, port: u16, flags: TcpFlags) -> bool {
        // No branches: whether a packet is TCP or UDP, the processor can't guess.
        let is_stray = self.stray_flags[protocol as usize] >> flags.bits() & 1 != 0;
        self.steps[protocol as usize].contains(port) | is_stray
    }

    /// Returns the doors that have a step of the packet's protocol and port, in config order.
    fn with_step(&self, packet: &Packet) -> &[DoorIndex] {
        self.steps[packet.protocol() as usize].doors(packet.destination_port)
    }

    /// Returns the doors for which the packet is a knock packet (S5), in config order.
    pub(super) fn knocked_by<'a>(
        &'a self,
        packet: &'a Packet,
        local: &'a LocalAddresses,
    ) -> impl Iterator<Item = DoorIndex> + 'a {
        self.with_step(packet).iter().copied().filter(|index| {
            let state = self.get(*index);
            state.accepts(packet) && state.sees(packet, local)
        })
    }

    /// Tells whether the packet is a stray for this door (S5).
    pub(super) fn is_stray(
        &self,
        index: DoorIndex,
        packet: &Packet,
        local: &LocalAddresses,
    ) -> bool {
        let state = self.get(index);
        state
            .profile
            .is_some_and(|profile| self.could_be_stray(&self.profiles[profile], packet, local))
            && !self.with_step(packet).contains(&index)
    }

    /// Tells whether the packet is a stray for the doors of this profile that don't have a step
    /// of its protocol and port.
    fn could_be_stray(
        &self,
        profile: &ProfileUse,
        packet: &Packet,
        local: &LocalAddresses,
    ) -> bool {
        let door = &self.get(profile.example).door;
        is_stray_kind(packet, door.flags, profile.has_udp_strays)
            && is_seen(door, packet, local)
            && !door.ignore_ports.contains(packet.protocol(), packet.destination_port)
    }

    /// Tells what keeps the packet from being a knock at this door, whatever attempts there are;
    /// none where it is a knock packet (S4, S5).
    pub(super) fn disregard(
        &self,
        index: DoorIndex,
        packet: &Packet,
        local: &LocalAddresses,
    ) -> Option<Disregard> {
        let state = self.get(index);
        let Some(sequence) = state.sequence() else { return Some(Disregard::Disabled) };
        let has_step = |protocol: Protocol| {
            let mut knocks = sequence.knocks().iter();
            knocks.any(|its| (its.protocol, its.port.get()) == (protocol, packet.destination_port))
        };
        let other_protocol = match packet.protocol() {
            Protocol::Tcp => Protocol::Udp,
            Protocol::Udp => Protocol::Tcp,
        };
        if !is_for(&state.door, packet, local) {
            Some(Disregard::WrongTarget)
        } else if !state.door.admits(packet.source) {
            Some(Disregard::Denied)
        } else if has_step(packet.protocol()) {
            (!state.accepts(packet)).then_some(Disregard::WrongFlags)
        } else if has_step(other_protocol) {
            Some(Disregard::WrongProtocol)
        } else {
            Some(Disregard::OtherPort)
        }
    }

    /// Tells whether the packet is a stray for any door (S5), whatever attempts there are.
    pub(super) fn is_stray_anywhere(&self, packet: &Packet, local: &LocalAddresses) -> bool {
        (0..).zip(&self.profiles).any(|(number, profile)| {
            let has_profile = |door: &&DoorIndex| self.get(**door).profile == Some(number);
            self.could_be_stray(profile, packet, local)
                && self.with_step(packet).iter().filter(has_profile).count() < profile.doors
        })
    }
}
