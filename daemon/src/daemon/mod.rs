//! The daemon, whatever world it is in: what happens in one turn of its loop, and in what order.
//!
//! It owns engine and supervisor and meets everything else through [`World`] and [`Ears`]. The
//! shell puts it on a real machine and waits; the simulation (`sim/`) puts it in a model of one and
//! decides when what is ready.

mod closing;
mod hands;
mod losses;
mod opening;
mod reload;
mod world;

use knock_engine::config::Config;
use knock_engine::local::LocalAddresses;
use knock_engine::output::{Event, EventKind, Output};
use knock_engine::packet::{Packet, TcpFlags};
use knock_engine::time::Timestamp;
use knock_engine::wire::{self, LinkType};
use knock_engine::{Engine, HashKey};
use knock_frontend::recording::{self, Note};

pub use closing::{Closing, LAST_WRITES};
pub use hands::Hands;
pub use opening::{Owed, ledger_name, limits, marker, mode, open_ledger};
pub use world::{Ears, Heard, World};

use self::losses::Losses;
use crate::alarm::{self, Bug};
use crate::cli::Cli;
use crate::ledger::{HoldId, Recovered};
use crate::log::Severity;
use crate::recorder::Recorder;
use crate::settings::{Families, Settings};
use crate::supervisor::{GivenUp, Supervisor};

/// The daemon at work.
pub struct Daemon<W> {
    /// The command line, which a reload merges with the new config.
    cli: Cli,
    settings: Settings,
    config: Config,
    engine: Engine,
    supervisor: Supervisor,
    /// What carries its effects out.
    pub hands: Hands<W>,
    losses: Losses,
    /// How many configs were put in place since the first.
    configs: u64,
}

/// What a daemon begins with.
pub struct Beginning {
    /// The command line.
    pub cli: Cli,
    /// Command line and config in one.
    pub settings: Settings,
    /// The config.
    pub config: Config,
    /// The addresses of this host.
    pub local: LocalAddresses,
    /// The key of the engine's tables.
    pub key: HashKey,
    /// The number of the first hold.
    pub next_hold: HoldId,
}

impl<W: World> Daemon<W> {
    /// Makes a daemon that has heard nothing.
    #[must_use]
    pub fn new(beginning: Beginning, hands: Hands<W>) -> Self {
        let Beginning { cli, settings, config, local, key, next_hold } = beginning;
        let engine = Engine::new(config.clone(), local, key);
        let supervisor = Supervisor::new(limits(&settings), mode(&settings), next_hold);
        let losses = Losses::default();
        Self { cli, settings, config, engine, supervisor, hands, losses, configs: 0 }
    }

    /// Takes up what the ledger tells of, and says what of it could not be read.
    pub fn begin(&mut self, recovered: Recovered) {
        let now = self.hands.world.now();
        if let Some(recorder) = &mut self.hands.recorder {
            recorder.begin(&self.engine, now);
        }
        for damage in recovered.damage {
            self.hands.notice(Severity::Error, format!("the ledger is damaged: {damage}"));
        }
        self.supervisor.recover(recovered.entries, GivenUp::Leave, now);
        self.hands.carry_out(&mut self.supervisor);
    }

    /// Returns the config that is in place.
    #[must_use]
    pub const fn config(&self) -> &Config {
        &self.config
    }

    /// Returns how many configs were put in place since the first: by a reload, or because a
    /// one-time file was read again.
    #[must_use]
    pub const fn configs(&self) -> u64 {
        self.configs
    }

    /// Returns the settings.
    #[must_use]
    pub const fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Returns the engine, to look at.
    #[must_use]
    pub const fn engine(&self) -> &Engine {
        &self.engine
    }

    /// Returns how many doors are held open.
    #[must_use]
    pub fn open_doors(&self) -> usize {
        self.supervisor.open_doors()
    }

    /// Hands the disk's answers over.
    pub fn take_answers(&mut self) {
        self.hands.take_answers(&mut self.supervisor);
    }

    /// Hands over what commands did.
    pub fn look_after_children(&mut self) {
        self.hands.look_after_children(&mut self.supervisor);
    }

    /// Takes note of other addresses of this host.
    pub fn set_local_addresses(&mut self, local: LocalAddresses) {
        let at = self.hands.world.now();
        let addresses = recording::addresses(&local);
        self.hands.record(Note::LocalAddresses { at, addresses });
        self.engine.handle_local_addresses(local);
    }

    /// Hears what there is to hear, then does what is due. Tells whether an interface has failed.
    pub fn turn(&mut self, ears: &mut impl Ears) -> bool {
        let has_failed = self.listen(ears);
        self.wake(ears);
        has_failed
    }

    /// Hears packets. Where all of them were heard, time is told to the engine: every packet from
    /// before has been handed over (S2).
    fn listen(&mut self, ears: &mut impl Ears) -> bool {
        let mut has_heard = false;
        let families = self.settings.families;
        let Self { engine, supervisor, hands, .. } = self;
        let heard = ears.listen(&mut |interface, link, bytes| {
            has_heard = true;
            let now = hands.world.now();
            if hear(engine, families, (link, bytes), now) {
                if let Some(recorder) = &mut hands.recorder {
                    record(recorder, engine, (interface, link, bytes), now);
                }
                hand_over(engine, supervisor, now);
                hands.carry_out(supervisor);
            }
        });
        let now = self.hands.world.now();
        if heard.is_quiet {
            self.engine.handle_timeout(now);
            if self.engine.has_output() {
                self.hands.record(Note::Wake { at: now });
            }
        }
        if has_heard {
            self.losses.note_traffic(now);
        }
        heard.has_failed
    }

    /// Does what is due by now.
    fn wake(&mut self, ears: &mut impl Ears) {
        let now = self.hands.world.now();
        hand_over(&mut self.engine, &mut self.supervisor, now);
        self.supervisor.handle_timeout(now);
        self.hands.carry_out(&mut self.supervisor);
        self.hands.world.handle_log_timeout(now);
        if self.losses.is_due(now) {
            self.tell_losses(ears.drops(), now);
        }
        if std::mem::take(&mut self.hands.reads_again) {
            self.read_sequences_again();
        }
        self.look_after_recording(now);
    }

    /// Begins a new file of the recording where it is time, and says what is wrong with it.
    fn look_after_recording(&mut self, now: Timestamp) {
        let Some(recorder) = &mut self.hands.recorder else { return };
        // What a new config has brought about is told to the file at hand.
        if !self.engine.has_output() && recorder.is_due(now) {
            recorder.begin(&self.engine, now);
        }
        if let Some(news) = recorder.take_news() {
            self.hands.notice(Severity::Warning, news);
        }
    }

    /// Returns the next moment at which there is something to do.
    #[must_use]
    pub fn poll_timeout(&self) -> Option<Timestamp> {
        let deadlines = [
            self.engine.poll_timeout().map(|deadline| deadline.at),
            self.supervisor.poll_timeout(),
            self.hands.world.log_timeout(),
            self.losses.poll_timeout(),
        ];
        deadlines.into_iter().flatten().min()
    }

    fn tell_losses(&mut self, drops: Vec<(String, u64)>, now: Timestamp) {
        for (interface, drops) in drops {
            let text = format!(
                "{interface}: the kernel dropped {drops} packets that came too fast; knocks among \
                 them are lost (a larger BufferSize helps against short bursts)"
            );
            self.hands.notice(Severity::Warning, text);
        }
        if let Some(evicted) = self.losses.evictions_to_tell(self.engine.stats().evicted, now) {
            let text = format!(
                "the table of attempts is full: {evicted} made room for newer ones, those at their \
                 first knock before others (max_attempts = {} in the config)",
                self.config.options.max_attempts
            );
            self.hands.notice(Severity::Warning, text);
        }
    }
}

/// Hands the engine a frame, if it could concern a door. Tells whether it did.
fn hear(
    engine: &mut Engine,
    families: Families,
    (link, bytes): (LinkType, &[u8]),
    now: Timestamp,
) -> bool {
    if let Some(glance) = wire::glance(link, bytes)
        && !engine.is_candidate(glance.protocol, glance.destination_port, glance.flags)
    {
        return false;
    }
    let mut whole;
    let bytes = if alarm::is_on(Bug::FragmentsAreHeaders) && bytes.len() > 22 {
        whole = bytes.to_vec();
        whole[20..22].fill(0);
        &whole
    } else {
        bytes
    };
    // What can't be decoded is no packet to the engine (S3).
    let Ok(segment) = wire::decode(link, bytes) else { return false };
    let flags = segment.tcp_flags().unwrap_or(TcpFlags::NONE);
    if !engine.is_candidate(segment.protocol(), segment.destination_port(), flags) {
        return false;
    }
    let packet: Packet = segment.packet();
    if !families.admit(packet.destination) {
        return false;
    }
    engine.handle_packet(&packet, now);
    true
}

/// Records the packet that the engine was just given if it changed anything, else that deadlines
/// fired.
fn record(
    recorder: &mut Recorder,
    engine: &Engine,
    (interface, link, bytes): (&str, LinkType, &[u8]),
    now: Timestamp,
) {
    if engine.was_noticed() {
        recorder.packet(interface, (link, bytes), now);
    } else if engine.has_output() {
        recorder.note(Note::Wake { at: now });
    }
}

/// Hands the engine's outputs to the supervisor.
fn hand_over(engine: &mut Engine, supervisor: &mut Supervisor, now: Timestamp) {
    let mut has_ended = false;
    while let Some(output) = engine.poll_output() {
        has_ended |= matches!(&output, Output::Event(Event::Door(event)) if event.kind == EventKind::Timeout);
        supervisor.handle_output(output, now);
    }
    if has_ended && alarm::is_on(Bug::ForgetsOthers) {
        let mut state = engine.snapshot(usize::MAX);
        state.places.clear();
        let local = engine.local_addresses().clone();
        *engine = Engine::restore(engine.config(), local, HashKey::default(), &state);
    }
}
