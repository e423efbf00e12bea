//! The config of a world: its doors, its limits, and what becomes of them.

use std::fmt::Write as _;

use crate::random::Random;

/// The folder that everything of the daemon lies in.
pub const FOLDER: &str = "/sim";
/// The config.
pub const CONFIG: &str = "/sim/knockd.conf";
/// Where the ledger lies.
pub const STATE: &str = "/sim/state";
/// Where the recording lies.
pub const RECORD: &str = "/sim/record";

/// The config as the people of this world have it.
#[derive(Clone, Debug)]
pub struct Plan {
    /// How many attempts there may be; none for the default.
    pub max_attempts: Option<u64>,
    /// How many doors may be open; none for the default.
    pub max_leases: Option<u64>,
    max_commands: u64,
    command_timeout: u64,
    keeps: bool,
    records: bool,
    doors: Vec<Door>,
    next_name: u64,
}

#[derive(Clone, Debug)]
struct Door {
    name: String,
    /// The sequence; none for a door whose sequences are in a file.
    sequence: Option<String>,
    table: String,
    timings: String,
    cmd_timeout: u64,
    has_stop: bool,
    has_check: bool,
}

impl Plan {
    /// Draws the config of a seed.
    #[must_use]
    pub fn draw(random: &mut Random) -> Self {
        let is_tight = random.chance(400);
        let mut plan = Self {
            max_attempts: is_tight.then(|| random.between(1, 24)),
            max_leases: random.chance(150).then(|| random.between(1, 4)),
            max_commands: random.between(1, 6),
            command_timeout: random.between(2, 30),
            keeps: random.chance(300),
            records: random.chance(500),
            doors: Vec::new(),
            next_name: 0,
        };
        for _ in 0..random.between(1, 4) {
            plan.add_door(random);
        }
        plan
    }

    fn add_door(&mut self, random: &mut Random) {
        let number = self.next_name;
        self.next_name += 1;
        let is_set = random.chance(500);
        let steps = random.between(1, 4);
        let base = 1000 + number % 40 * 1000;
        let sequence: Vec<String> = (0..steps)
            .map(|step| {
                let port = base + step * 100 + random.below(50);
                let protocol = if random.chance(300) { "udp" } else { "tcp" };
                format!("{port}:{protocol}")
            })
            .collect();
        let is_one_time = number > 0 && random.chance(250);
        let mut timings = format!("seq_timeout = {}\n", random.between(1, 15));
        if random.chance(200) {
            let (failures, lockout) = (random.between(1, 4), random.between(1, 30));
            let _ = write!(timings, "max_failures = {failures}\nlockout = {lockout}\n");
        }
        if random.chance(300) {
            let _ = writeln!(timings, "max_strays = {}", random.between(0, 12));
        }
        if random.chance(200) {
            timings.push_str("udp_strays = yes\n");
        }
        let has_stop = random.chance(900);
        if !has_stop && random.chance(500) {
            let _ = writeln!(timings, "cooldown = {}", random.between(1, 20));
        }
        self.doors.push(Door {
            name: format!("d{number}"),
            sequence: (!is_one_time).then(|| sequence.join(",")),
            table: format!("{}{number}", if is_set { 's' } else { 'c' }),
            timings,
            cmd_timeout: random.between(1, 20),
            has_stop,
            has_check: has_stop && random.chance(400),
        });
    }

    /// Changes something: doors come, go, get other names, times and commands.
    pub fn change(&mut self, random: &mut Random) {
        let at = random.index(self.doors.len());
        match random.below(6) {
            0 if self.doors.len() < 6 => self.add_door(random),
            1 if self.doors.len() > 1 => {
                self.doors.remove(at);
            }
            2 => {
                self.next_name += 1;
                self.doors[at].name = format!("n{}", self.next_name);
            }
            3 => self.doors[at].cmd_timeout = random.between(1, 20),
            4 => {
                self.next_name += 1;
                let kind = &self.doors[at].table[..1];
                self.doors[at].table = format!("{kind}{}x", self.next_name);
            }
            _ => self.max_commands = random.between(1, 6),
        }
        let has_fixed = self.doors.iter().any(|door| door.sequence.is_some());
        if !has_fixed {
            self.doors[0].sequence = Some("1111,2222:udp".to_owned());
        }
    }

    /// Returns the config's text.
    #[must_use]
    pub fn text(&self) -> String {
        let mut text = format!("[options]\nStateDir = {STATE}\nInterface = any\n");
        let options = [("max_attempts", self.max_attempts), ("max_leases", self.max_leases)];
        for (key, value) in options {
            if let Some(value) = value {
                let _ = writeln!(text, "{key} = {value}");
            }
        }
        let (commands, timeout) = (self.max_commands, self.command_timeout);
        let _ = writeln!(text, "max_commands = {commands}\ncommand_timeout = {timeout}");
        if self.keeps {
            text.push_str("OnStop = keep\n");
        }
        if self.records {
            let _ = writeln!(text, "Record = {RECORD}\nRecordSize = 1M");
        }
        for door in &self.doors {
            let Door { name, sequence, table, timings, cmd_timeout, has_stop, has_check } = door;
            let _ = writeln!(text, "[{name}]");
            let _ = match sequence {
                Some(sequence) => writeln!(text, "sequence = {sequence}"),
                None => writeln!(text, "one_time_sequences = {}", Self::lines_of(name)),
            };
            text.push_str(timings);
            if *has_stop {
                let _ = writeln!(text, "start_command = add {table} %IP%");
                let _ = writeln!(text, "stop_command = del {table} %IP%");
                let _ = writeln!(text, "cmd_timeout = {cmd_timeout}");
            } else {
                let _ = writeln!(text, "start_command = bell {table} %IP%");
            }
            if *has_check {
                let _ = writeln!(text, "check_command = get {table} %IP%");
            }
        }
        text
    }

    /// Returns the path of a door's one-time file.
    #[must_use]
    pub fn lines_of(door: &str) -> String {
        format!("{FOLDER}/{door}.seq")
    }

    /// Returns the doors whose sequences are in a file.
    pub fn one_time_doors(&self) -> impl Iterator<Item = &str> {
        self.doors.iter().filter(|door| door.sequence.is_none()).map(|door| &*door.name)
    }

    /// Tells whether there is such a door, or can be after a change.
    #[must_use]
    pub fn has_one_time_doors(&self) -> bool {
        self.one_time_doors().next().is_some()
    }

    /// Returns how long a door stays open at most.
    #[must_use]
    pub fn longest_open(&self) -> u64 {
        self.doors.iter().map(|door| door.cmd_timeout).max().unwrap_or(0)
    }

    /// Returns how long a command runs at most.
    #[must_use]
    pub const fn command_timeout(&self) -> u64 {
        self.command_timeout
    }
}

/// Draws the content of a one-time file: lines that no other file has.
#[must_use]
pub fn one_time_lines(file: u64, random: &mut Random) -> String {
    let mut text = String::new();
    for line in 0..random.between(1, 12) {
        let base = 40_000 + file % 20 * 1000 + line * 50;
        let _ = writeln!(text, "{},{}:udp,{}", base + 1, base + random.between(2, 20), base + 30);
    }
    text
}
