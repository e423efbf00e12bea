//! A world: people, attackers and nature around the daemon, and time.

mod lives;
mod traffic;

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::path::Path;
use std::rc::Rc;

use knock_engine::local::LocalAddresses;

use crate::disk::{ModelFiles, Weather};
use crate::fate::CrashPoint;
use crate::life::Life;
use crate::model::{Earth, Manners};
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

    /// Adds to the story, where it is kept.
    pub(crate) fn tell(&mut self, what: &str) {
        if self.is_keeping {
            let now = self.earth.now.get();
            self.story.push(format!("at {now}: {what}"));
        }
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
