//! A world: people, attackers and nature around the daemon, and time.

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::rc::Rc;
use std::sync::Arc;

use knock_engine::config::{Door, Sequence, Sequences};
use knock_engine::local::LocalAddresses;
use knock_engine::packet::{Packet, Protocol, TcpFlags, Transport};

use crate::disk::{ModelFiles, Weather};
use crate::ears::Sent;
use crate::fate::{CrashPoint, Fate, Phase};
use crate::life::{Life, Place};
use crate::marks::sometimes;
use crate::model::{Earth, Manners};
use crate::oracle::Oracle;
use crate::plan::{self, CONFIG, Plan};
use crate::random::Random;
use crate::schedule::{Act, MILLI, SECOND, Schedule};
use crate::swarm::{Class, Swarm};
use crate::trail::Trail;

/// Who scans ports.
const SCANNER: [u8; 4] = [203, 0, 113, 5];

/// How a check ends: with what is wrong, where something is.
pub type Checked = Result<(), String>;

/// What is counted of a world.
#[derive(Clone, Debug, Default)]
pub struct Counts {
    /// What the engine was given: packets, wake-ups, configs.
    pub events: u64,
    /// Starts of the daemon.
    pub lives: u64,
    /// Start commands.
    pub starts: u64,
    /// Recordings that were replayed.
    pub recordings: u64,
    /// Nanoseconds that the world has lasted.
    pub time: u64,
    /// How often each fault class has struck.
    pub struck: [u64; Class::ALL.len()],
    /// The boundaries at which the daemon died.
    pub died_at: BTreeSet<CrashPoint>,
    /// All boundaries that it passed.
    pub passed: BTreeSet<CrashPoint>,
}

/// A world.
pub struct World {
    pub(crate) swarm: Swarm,
    random: Random,
    pub(crate) plan: Plan,
    pub(crate) earth: Rc<Earth>,
    pub(crate) files: ModelFiles,
    pub(crate) local: LocalAddresses,
    pub(crate) schedule: Schedule,
    /// The daemon, while it is there.
    pub life: Option<Life>,
    pub(crate) disk_due: Option<u64>,
    pub(crate) boot: u64,
    pub(crate) half_len: usize,
    pub(crate) sources: Vec<IpAddr>,
    next_port: u16,
    next_file: u64,
    /// One-time lines that a door has opened for.
    pub(crate) opened: BTreeSet<(String, usize)>,
    pub(crate) is_rotten: bool,
    /// How many deaths in recovery there were in a row.
    depth: u32,
    pub(crate) trail: Trail,
    /// What was counted.
    pub counts: Counts,
    pub(crate) is_keeping: bool,
    /// What happened, where that is kept.
    pub(crate) story: Vec<String>,
}

impl World {
    /// Makes the world of a seed, but for some fault classes.
    #[must_use]
    pub fn new(seed: u64, without: &[Class], is_keeping: bool) -> Self {
        let mut random = Random::new(seed);
        let mut swarm = Swarm::draw(seed, without);
        let plan = Plan::draw(&mut random);
        let v4 = (1..=random.between(1, 5))
            .map(|host| IpAddr::V4(Ipv4Addr::new(198, 51, 100, u8::try_from(host).unwrap_or(1))));
        let v6 = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 1, 0, 0, 0, 0, 1));
        let sources = v4.chain(std::iter::once(v6)).collect();
        let earth = Earth::new(random.fork());
        let files = ModelFiles::new(random.fork());
        let locals = [IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), "2001:db8::1".parse().unwrap_or(v6)];
        let half_len = 4096 << random.below(3);
        let mut schedule = Schedule::default();
        let from = earth.now.get();
        let horizon = from + random.span(10 * SECOND, 200 * SECOND);
        schedule.add(from, Act::Start);
        schedule.draw(&mut random, &mut swarm, (from, horizon));
        let mut world = Self {
            swarm,
            random,
            plan,
            earth,
            files,
            local: LocalAddresses::Known(locals.to_vec()),
            schedule,
            life: None,
            disk_due: None,
            boot: 1,
            half_len,
            sources,
            next_port: 1024,
            next_file: 0,
            opened: BTreeSet::new(),
            is_rotten: false,
            depth: 0,
            trail: Trail::default(),
            counts: Counts::default(),
            is_keeping,
            story: Vec::new(),
        };
        world.write_config();
        world.set_manners();
        world
    }

    /// Puts the config in place, and the one-time files that it names.
    fn write_config(&mut self) {
        self.files.place(Path::new(CONFIG), self.plan.text().as_bytes());
        let doors: Vec<String> = self.plan.one_time_doors().map(str::to_owned).collect();
        for door in doors {
            let path = Plan::lines_of(&door);
            if self.files.seen_content(Path::new(&path)).is_none() {
                let lines = plan::one_time_lines(self.next_file, &mut self.random);
                self.next_file += 1;
                self.files.place(Path::new(&path), lines.as_bytes());
            }
        }
    }

    fn set_manners(&self) {
        let strength = |class, most| self.swarm.strength(class, most);
        self.earth.manners.set(Manners {
            fork_failures: strength(Class::ForkFailures, 300),
            start_failures: strength(Class::StartFailures, 400),
            hindered: strength(Class::HinderedStops, 600),
            refused: strength(Class::RefusedStops, 900),
            hangs: strength(Class::Hangs, 200),
            crawls: strength(Class::Crawls, 400),
            chatter: strength(Class::Chatter, 500),
        });
    }

    /// Moves time on to the next thing that happens, and lets it happen. Tells whether there was
    /// anything before that time.
    ///
    /// # Errors
    ///
    /// A check has failed.
    pub fn step(&mut self, until: u64) -> Result<bool, String> {
        let now = self.earth.now.get();
        let mut next = self.schedule.next();
        let earlier = |next: &mut Option<u64>, at: Option<u64>| {
            *next = at.into_iter().chain(*next).min();
        };
        if let Some(life) = &self.life {
            let clock = life.daemon.hands.world.clock;
            let booted = self.earth.booted.get();
            let due = life.daemon.poll_timeout().map(|at| {
                booted + u64::try_from(clock.since_boot(at).as_nanos()).unwrap_or(u64::MAX / 2)
            });
            earlier(&mut next, due);
            earlier(&mut next, life.daemon.hands.world.next_exit());
            earlier(&mut next, self.disk_due);
            earlier(&mut next, life.ears.has_more().then_some(now));
        }
        let Some(next) = next.filter(|next| *next <= until) else {
            self.earth.now.set(now.max(until));
            return Ok(false);
        };
        self.earth.now.set(now.max(next));
        let now = self.earth.now.get();
        let mut asked = Asked::default();
        while let Some(act) = self.schedule.pop(now) {
            self.act(&act, &mut asked);
        }
        self.turn(asked)?;
        Ok(true)
    }

    /// One turn of the daemon's loop, as the shell has it.
    fn turn(&mut self, asked: Asked) -> Checked {
        if self.life.is_none() {
            return if asked.start { self.start() } else { Ok(()) };
        }
        if self.swarm.strikes(Class::SlowTurns, 100) {
            let late = self.swarm.random(Class::SlowTurns).span(MILLI, 3 * SECOND);
            self.earth.now.set(self.earth.now.get() + late);
        }
        self.work_behind();
        let Some(life) = &mut self.life else { return Ok(()) };
        life.daemon.take_answers();
        life.daemon.look_after_children();
        let before = life.daemon.configs();
        life.daemon.turn(&mut life.ears);
        self.counts.events += 1;
        self.check_turn(before)?;
        if asked.power_cut {
            self.kill();
        }
        if asked.reload && self.life.is_some() {
            self.reload(asked.is_bad)?;
        }
        if asked.start_again && self.life.is_some() {
            self.start_a_second()?;
        }
        if self.has_died() {
            return self.bury(asked.power_cut);
        }
        if asked.stop && self.life.is_some() {
            return self.stop();
        }
        if let Some(life) = &self.life
            && life.daemon.engine().has_output()
        {
            return Err("something that the engine said waits for the next packet".to_owned());
        }
        self.schedule_disk();
        Ok(())
    }

    /// Lets the disk, the recording and commands do what is due.
    fn work_behind(&mut self) {
        let now = self.earth.now.get();
        let Some(life) = &mut self.life else { return };
        let model = &mut life.daemon.hands.world;
        model.end_processes();
        if self.disk_due.is_some_and(|due| due <= now) {
            self.disk_due = None;
            model.work_disk();
        }
        if let Some(recording) = &mut life.recording
            && self.random.chance(800)
        {
            recording.work();
        }
    }

    /// Lets the disk's thread take up what there is to write.
    fn schedule_disk(&mut self) {
        let Some(life) = &self.life else { return };
        if self.disk_due.is_some() || life.daemon.hands.world.writes.is_empty() {
            return;
        }
        let takes = if self.swarm.strikes(Class::SlowDisk, 300) {
            self.swarm.random(Class::SlowDisk).span(50 * MILLI, 15 * SECOND)
        } else {
            self.random.between(20_000, 3 * MILLI)
        };
        self.disk_due = Some(self.earth.now.get() + takes);
    }

    /// Does what people, attackers and nature do.
    fn act(&mut self, act: &Act, asked: &mut Asked) {
        if self.is_keeping && !matches!(act, Act::Packet(_)) {
            self.tell(&format!("{act:?}"));
        }
        match act {
            Act::Packet(sent) => self.arrive(*sent),
            Act::Knock => self.knock(),
            Act::Flood => self.flood(),
            Act::Forge => self.forge(),
            Act::Scan => self.scan(),
            Act::Start => asked.start = true,
            Act::StartAgain => asked.start_again = true,
            Act::Reload => {
                self.swarm.note(Class::Reloads);
                self.plan.change(self.swarm.random(Class::Reloads));
                self.write_config();
                asked.reload = true;
                asked.is_bad = false;
            }
            Act::BadConfig => {
                self.swarm.note(Class::BadConfigs);
                self.spoil_config();
                asked.reload = true;
                asked.is_bad = true;
            }
            Act::Stop => {
                self.swarm.note(Class::Stops);
                asked.stop = true;
            }
            Act::Doom => {
                let effects = self.swarm.random(Class::Kills).span(1, 30);
                if let Some(life) = &self.life {
                    life.fate.doom(effects);
                }
            }
            Act::PowerCut => asked.power_cut = true,
            Act::SetClock => {
                self.swarm.note(Class::ClockSteps);
                let random = self.swarm.random(Class::ClockSteps);
                let by = random.span(SECOND, 400_000_000 * SECOND);
                let wall = self.earth.wall.get();
                let is_back = random.chance(500);
                let set = if is_back { wall.saturating_sub(by) } else { wall.saturating_add(by) };
                self.earth.wall.set(set.min(5_000_000_000_000_000_000));
            }
            Act::Suspend => {
                self.swarm.note(Class::Suspends);
                let by = self.swarm.random(Class::Suspends).span(SECOND, 3000 * SECOND);
                self.earth.now.set(self.earth.now.get() + by);
            }
            Act::Rot => {
                self.swarm.note(Class::Rot);
                if let Some(life) = &self.life {
                    let path = ledger_path(life);
                    let bytes = self.swarm.random(Class::Rot).span(1, 64);
                    self.files.rot(&path, bytes);
                    self.is_rotten = true;
                }
            }
            Act::Weather(is_bad) => self.set_weather(*is_bad),
            Act::Flush => {
                self.swarm.note(Class::Flushes);
                self.earth.firewall.borrow_mut().flush();
            }
        }
    }

    fn set_weather(&mut self, is_bad: bool) {
        let mut weather = Weather::default();
        if is_bad {
            let strength = |class, most| self.swarm.strength(class, most);
            weather.io_errors = strength(Class::IoErrors, 300);
            weather.sync_errors = strength(Class::SyncErrors, 300);
            weather.short_writes = strength(Class::ShortWrites, 900);
            weather.is_full = self.swarm.is_on(Class::FullDisk);
            for class in [Class::IoErrors, Class::SyncErrors, Class::ShortWrites, Class::FullDisk] {
                if self.swarm.is_on(class) {
                    self.swarm.note(class);
                }
            }
        }
        self.files.set_weather(weather);
    }

    fn spoil_config(&mut self) {
        let random = self.swarm.random(Class::BadConfigs);
        let text = match random.below(3) {
            0 => {
                self.files.take_away(Path::new(CONFIG));
                return;
            }
            1 => self.plan.text().replacen("start_command", "start_comand", 1) + "[x]\n",
            _ => self.plan.text() + "[x]\nsequence = 1,2,70000\n",
        };
        self.files.place(Path::new(CONFIG), text.as_bytes());
    }

    /// Puts a packet on its last way: the network and the kernel do to it what they do.
    fn arrive(&mut self, mut sent: Sent) {
        let Some(life) = &mut self.life else { return };
        sent.is_minded = life.oracle.minds(sent.packet.source);
        if self.swarm.strikes(Class::KernelDrops, 200) {
            life.ears.drop_newest(1);
            return;
        }
        life.ears.arrive(sent);
    }

    /// Sends a packet through the network.
    pub(crate) fn send(&mut self, packet: Packet, at: u64) {
        let mut sent = Sent { packet, is_fragment: false, is_minded: true };
        if self.swarm.strikes(Class::Loss, 300) {
            return;
        }
        if self.swarm.strikes(Class::Fragments, 300) {
            sent.is_fragment = packet.source.is_ipv4();
        }
        let mut at = at;
        if self.swarm.strikes(Class::Reordering, 300) {
            at += self.swarm.random(Class::Reordering).span(MILLI, 2 * SECOND);
        }
        if self.swarm.strikes(Class::Duplicates, 300) {
            let again = at + self.swarm.random(Class::Duplicates).span(MILLI, 100 * SECOND);
            self.schedule.add(again, Act::Packet(sent));
        }
        self.schedule.add(at, Act::Packet(sent));
    }

    /// Makes a packet to this machine.
    pub(crate) fn packet(&mut self, source: IpAddr, step: (Protocol, u16)) -> Packet {
        self.next_port = self.next_port.checked_add(1).unwrap_or(1024);
        let destination = match source {
            IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
            IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
        };
        let transport = match step.0 {
            Protocol::Udp => Transport::Udp,
            Protocol::Tcp => Transport::Tcp {
                sequence_number: u32::from(self.next_port) << 8,
                flags: TcpFlags::SYN,
            },
        };
        let (source_port, destination_port) = (self.next_port, step.1);
        Packet { source, destination, source_port, destination_port, transport }
    }

    /// Returns the steps that open a door now.
    pub(crate) fn steps(&self, door: &Door) -> Vec<(Protocol, u16)> {
        let steps = |sequence: &Sequence| {
            sequence.knocks().iter().map(|knock| (knock.protocol, knock.port.get())).collect()
        };
        match &door.sequences {
            Sequences::Fixed(sequence) => steps(sequence),
            Sequences::OneTime { lines, .. } => {
                lines.first().map_or_else(Vec::new, |line| steps(&line.sequence))
            }
        }
    }

    /// Returns the doors as the engine has them now.
    pub(crate) fn doors(&self) -> Vec<Arc<Door>> {
        self.life.as_ref().map_or_else(Vec::new, |life| life.daemon.engine().config().doors)
    }

    /// Somebody knocks, right or nearly so.
    fn knock(&mut self) {
        let doors = self.doors();
        if doors.is_empty() {
            return;
        }
        let door = &doors[self.random.index(doors.len())];
        let mut steps = self.steps(door);
        let source = *self.random.pick(&self.sources);
        let window = u64::try_from(door.seq_timeout.as_nanos()).unwrap_or(SECOND);
        let is_slow = self.random.chance(100);
        match self.random.below(12) {
            0 => steps.reverse(),
            1 if steps.len() > 1 => steps.truncate(steps.len() - 1),
            2 => steps.insert(steps.len() / 2, (Protocol::Tcp, 7)),
            _ => {}
        }
        let mut at = self.earth.now.get();
        for step in steps.iter().copied() {
            let packet = self.packet(source, step);
            self.send(packet, at);
            let most = (window / (steps.len() as u64)).max(2);
            at += if is_slow { most * 2 } else { self.random.span(1, most) };
        }
        if self.random.chance(200) {
            // They knock again, soon.
            self.schedule.add(at + self.random.span(MILLI, 10 * SECOND), Act::Knock);
        }
    }

    /// First knocks with forged sources, and some of second ones.
    fn flood(&mut self) {
        let doors = self.doors();
        let Some(door) = doors.first() else { return };
        let steps = self.steps(door);
        let is_small = self.plan.max_attempts.is_some() || self.minds_everybody();
        let most = if is_small { 200 } else { 12_000 };
        self.swarm.note(Class::Flood);
        let mut random = self.swarm.random(Class::Flood).fork();
        let ports: Vec<_> = steps.iter().copied().chain([(Protocol::Tcp, 9)]).collect();
        for _ in 0..random.span(10, most) {
            let source = Ipv4Addr::new(
                10,
                u8::try_from(random.below(4)).unwrap_or(0),
                u8::try_from(random.below(256)).unwrap_or(0),
                u8::try_from(random.below(256)).unwrap_or(0),
            );
            // Whoever forges a source at random does not send a whole sequence with it.
            let part = ports.len().saturating_sub(2).max(1);
            let is_single = steps.len() < 2;
            let step = if is_single { (Protocol::Tcp, 9) } else { ports[random.index(part)] };
            let packet = self.packet(IpAddr::V4(source), step);
            self.arrive(Sent { packet, is_fragment: false, is_minded: false });
        }
    }

    fn minds_everybody(&self) -> bool {
        let stranger = IpAddr::V4(Ipv4Addr::new(10, 0, 0, 0));
        self.life.as_ref().is_some_and(|life| life.oracle.minds(stranger))
    }

    /// Wrong knocks with the source of a knocker.
    fn forge(&mut self) {
        let doors = self.doors();
        if doors.is_empty() {
            return;
        }
        self.swarm.note(Class::VictimForgery);
        let mut random = self.swarm.random(Class::VictimForgery).fork();
        let victim = *random.pick(&self.sources);
        let steps = self.steps(&doors[random.index(doors.len())]);
        let mut at = self.earth.now.get();
        for _ in 0..random.between(1, 12) {
            let wrong = (Protocol::Tcp, 20_000 + u16::try_from(random.below(50)).unwrap_or(0));
            let step =
                if steps.is_empty() || random.chance(600) { wrong } else { *random.pick(&steps) };
            let packet = self.packet(victim, step);
            self.send(packet, at);
            at += random.span(1, SECOND);
        }
    }

    /// A port scan, in order or at random.
    fn scan(&mut self) {
        self.swarm.note(Class::Scans);
        let mut random = self.swarm.random(Class::Scans).fork();
        let is_known = random.chance(500);
        let stranger = IpAddr::V4(Ipv4Addr::from(SCANNER));
        let source = if is_known { *random.pick(&self.sources) } else { stranger };
        let (is_ordered, first) = (random.chance(500), random.between(900, 5000));
        let mut at = self.earth.now.get();
        for step in 0..random.span(20, 600) {
            let port = if is_ordered { first + step } else { random.between(1, 6000) };
            let protocol = if random.chance(200) { Protocol::Udp } else { Protocol::Tcp };
            let packet = self.packet(source, (protocol, u16::try_from(port).unwrap_or(1)));
            self.schedule
                .add(at, Act::Packet(Sent { packet, is_fragment: false, is_minded: true }));
            at += random.span(1000, 20 * MILLI);
        }
    }

    /// Starts the daemon.
    pub(crate) fn start(&mut self) -> Checked {
        let fate = Rc::new(Fate::new(0));
        if self.swarm.strikes(Class::DeepCrashes, 800) {
            fate.doom(self.swarm.random(Class::DeepCrashes).span(1, 40));
        }
        self.counts.lives += 1;
        self.tell("the daemon starts");
        let place = Place {
            earth: &self.earth,
            files: &self.files,
            boot: self.boot,
            half_len: self.half_len,
            local: &self.local,
        };
        let has_limits = self.plan.max_attempts.or(self.plan.max_leases).is_some();
        let can_be_one_time = self.plan.has_one_time_doors() || self.swarm.is_on(Class::Reloads);
        let is_whole = has_limits || can_be_one_time;
        let scanner = IpAddr::V4(Ipv4Addr::from(SCANNER));
        let sources = [&*self.sources, &[scanner]].concat();
        let sources = (!is_whole).then_some(&*sources);
        let started = place.start(&fate, |config| Oracle::new(config, &self.local, sources));
        let (mut life, recovered) = match started {
            Ok(started) => started,
            Err(error) => return self.start_failed(&fate, &error),
        };
        sometimes!(!recovered.entries.is_empty(), "recovery finds an open door");
        sometimes!(!recovered.damage.is_empty(), "recovery finds damage");
        life.ears.kept = self.is_keeping.then(Vec::new);
        let before = 0;
        self.disk_due = None;
        self.life = Some(life);
        self.check_turn(before)?;
        if self.has_died() {
            return self.bury(false);
        }
        self.depth = 0;
        self.schedule_disk();
        Ok(())
    }

    /// Whoever looks after daemons starts it again; where its ledger is none any more, people see
    /// to that.
    fn start_failed(&mut self, fate: &Fate, error: &anyhow::Error) -> Checked {
        self.note_death(fate);
        let text = format!("{error:#}");
        self.tell(&text);
        let is_ledger = text.contains("no ledger of knockd") || text.contains("has format");
        if is_ledger {
            if !self.is_rotten {
                return Err(format!("it does not start: {text}"));
            }
            let state = Path::new(plan::STATE);
            for (name, _) in self.files.contents(state) {
                self.files.take_away(&state.join(name));
            }
        }
        let is_config = text.contains("config") || text.contains("one-time");
        if is_config {
            self.write_config();
        }
        self.start_later();
        Ok(())
    }

    fn start_later(&mut self) {
        let pause = self.random.span(10 * MILLI, 20 * SECOND);
        self.schedule.add(self.earth.now.get() + pause, Act::Start);
    }

    /// Adds to the story, where it is kept.
    pub(crate) fn tell(&mut self, what: &str) {
        if self.is_keeping {
            let now = self.earth.now.get();
            self.story.push(format!("at {now}: {what}"));
        }
    }

    pub(crate) fn has_died(&self) -> bool {
        self.life.as_ref().is_some_and(|life| life.fate.is_dead())
    }

    /// Kills the daemon where it stands.
    pub(crate) fn kill(&mut self) {
        if let Some(life) = &self.life {
            life.fate.kill();
        }
    }

    fn note_death(&mut self, fate: &Fate) {
        self.counts.passed.append(&mut fate.take_seen());
        let Some(point) = fate.died_at() else { return };
        self.counts.died_at.insert(point);
        self.swarm.note(Class::Kills);
        match point.0 {
            Phase::Opening => {
                self.depth += 1;
                if self.depth > 1 {
                    self.swarm.note(Class::DeepCrashes);
                }
                sometimes!("crash in recovery");
                sometimes!(self.depth >= 2, "crash in recovery, two deep");
                sometimes!(self.depth >= 3, "crash in recovery, three deep");
            }
            Phase::Working => {
                let is_mark = point.1 == crate::fate::Point::SyncFolder;
                sometimes!(is_mark, "crash between the mark of a one-time line and its start");
                self.depth = 0;
            }
            Phase::Reloading => sometimes!("crash while a config is read anew"),
            Phase::Closing => sometimes!("crash while the daemon closes"),
        }
    }

    /// Takes the dead daemon away, and what dies with it.
    pub(crate) fn bury(&mut self, is_power_cut: bool) -> Checked {
        let Some(mut life) = self.life.take() else { return Ok(()) };
        self.note_death(&life.fate);
        let point = life.fate.died_at();
        self.tell(&format!("the daemon is dead: {point:?}"));
        // A daemon that is killed loses what its threads had not written.
        let is_cut = is_power_cut || self.swarm.strikes(Class::PowerCuts, 500);
        if is_cut {
            self.swarm.note(Class::PowerCuts);
        }
        let model = &mut life.daemon.hands.world;
        if is_cut {
            model.processes.clear();
        } else {
            model.orphan();
        }
        self.counts.events += life.ears.heard;
        if !is_cut {
            self.check_recording(&life, false)?;
        }
        drop(life);
        self.disk_due = None;
        if is_cut {
            self.files.cut_power();
            self.earth.firewall.borrow_mut().flush();
            self.boot += 1;
            self.earth.booted.set(self.earth.now.get());
        }
        self.start_later();
        Ok(())
    }

    fn reload(&mut self, is_bad: bool) -> Checked {
        let Some(life) = &mut self.life else { return Ok(()) };
        life.fate.enter(Phase::Reloading);
        let before = life.daemon.configs();
        let open = life.daemon.open_doors();
        // Reading takes its time.
        self.earth.now.set(self.earth.now.get() + self.random.span(1000, 20 * MILLI));
        let Some(life) = &mut self.life else { return Ok(()) };
        life.daemon.reload(&mut life.ears);
        life.fate.enter(Phase::Working);
        let is_changed = before != life.daemon.configs();
        sometimes!(is_changed && open > 0, "a door changes while it is open");
        self.counts.events += 1;
        if is_bad {
            if is_changed {
                return Err("a bad config was taken".to_owned());
            }
            sometimes!("a bad config is refused");
            self.write_config();
        }
        self.check_turn(before)
    }

    /// A second daemon must leave the first one alone.
    fn start_a_second(&mut self) -> Checked {
        self.swarm.note(Class::DoubleStarts);
        let place = Place {
            earth: &self.earth,
            files: &self.files,
            boot: self.boot,
            half_len: self.half_len,
            local: &self.local,
        };
        let fate = Rc::new(Fate::new(0));
        let started = place.start(&fate, |config| Oracle::new(config, &self.local, Some(&[])));
        match started {
            Ok(_) => Err("two daemons have one ledger".to_owned()),
            Err(_) => {
                sometimes!("a second daemon is sent away");
                Ok(())
            }
        }
    }

    /// Asks the daemon to stop, and lets it.
    pub(crate) fn stop(&mut self) -> Checked {
        let Some(life) = &mut self.life else { return Ok(()) };
        life.fate.enter(Phase::Closing);
        let earth = Rc::clone(&self.earth);
        let mut disk_due = self.disk_due.take();
        let mut closing = life.daemon.close();
        while let Some(next) = closing.poll_timeout() {
            let model = &mut closing.hands.world;
            let until = earth.booted.get()
                + u64::try_from(model.clock.since_boot(next).as_nanos()).unwrap_or(0);
            if disk_due.is_none() && !model.writes.is_empty() {
                disk_due = Some(earth.now.get() + self.random.between(20_000, 3 * MILLI));
            }
            let wake = [Some(until), model.next_exit(), disk_due].into_iter().flatten().min();
            earth.now.set(earth.now.get().max(wake.unwrap_or(until)));
            model.end_processes();
            if disk_due.is_some_and(|due| due <= earth.now.get()) {
                disk_due = None;
                model.work_disk();
            }
            closing.turn();
            if life.fate.is_dead() {
                break;
            }
        }
        self.end_life()
    }

    /// The end of a daemon that was asked to stop.
    fn end_life(&mut self) -> Checked {
        let Some(life) = &mut self.life else { return Ok(()) };
        let before = life.daemon.configs();
        life.daemon.say_goodbye(None);
        // What the disk takes too long for stays unwritten.
        while !life.daemon.hands.world.writes.is_empty() && !life.fate.is_dead() {
            if self.swarm.is_on(Class::SlowDisk) && self.random.chance(300) {
                break;
            }
            life.daemon.hands.world.work_disk();
        }
        let now = knockd::daemon::World::now(&life.daemon.hands.world);
        life.daemon.hands.close_recording(now, std::time::Duration::from_millis(60));
        if let Some(recording) = &mut life.recording {
            recording.work();
        }
        self.check_turn(before)?;
        if self.has_died() {
            return self.bury(false);
        }
        let Some(mut life) = self.life.take() else { return Ok(()) };
        self.note_death(&life.fate);
        life.daemon.hands.world.orphan();
        self.counts.events += life.ears.heard;
        self.check_recording(&life, true)?;
        drop(life);
        self.start_later();
        Ok(())
    }

    /// Ends all faults: from here on everything works.
    pub(crate) fn calm(&mut self) {
        self.tell("all faults end");
        self.counts.struck = *self.swarm.struck();
        let commands = [
            Class::ForkFailures,
            Class::StartFailures,
            Class::HinderedStops,
            Class::RefusedStops,
            Class::Hangs,
            Class::Crawls,
            Class::Chatter,
        ];
        for (class, struck) in commands.into_iter().zip(self.earth.struck.get()) {
            self.counts.struck[class as usize] = struck;
        }
        self.swarm.end();
        self.schedule.calm();
        self.set_manners();
        self.set_weather(false);
        self.write_config();
        if let Some(life) = &self.life {
            life.fate.doom(0);
        }
    }

    /// Draws whether the daemon starts anew before it must have put everything right.
    pub(crate) fn chance(&mut self, per_mille: u32) -> bool {
        self.random.chance(per_mille)
    }
}

/// What is asked of the daemon, or done to it, in a turn.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is a thing that somebody asks")]
struct Asked {
    start: bool,
    start_again: bool,
    reload: bool,
    is_bad: bool,
    stop: bool,
    power_cut: bool,
}

/// Returns where the ledger of a daemon lies.
pub(crate) fn ledger_path(life: &Life) -> std::path::PathBuf {
    let settings = life.daemon.settings();
    settings.state_dir.join(knockd::daemon::ledger_name(settings))
}
