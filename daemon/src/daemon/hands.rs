//! Carrying effects out.

use std::time::Duration;

use knock_engine::time::Timestamp;
use knock_frontend::recording::Note;

use super::World;
use crate::log::{Message, Severity, What};
use crate::process::children::Report;
use crate::recorder::Recorder;
use crate::supervisor::{Effect, Supervisor};

/// What carries effects out, and records what is told.
pub struct Hands<W> {
    /// The world.
    pub world: W,
    /// `None` where nothing is recorded.
    pub recorder: Option<Recorder>,
    /// Whether one-time files are to be read again.
    pub(super) reads_again: bool,
}

impl<W: World> Hands<W> {
    /// Makes hands in a world.
    pub const fn new(world: W, recorder: Option<Recorder>) -> Self {
        Self { world, recorder, reads_again: false }
    }

    /// Carries out everything that a supervisor wants done.
    pub fn carry_out(&mut self, supervisor: &mut Supervisor) {
        while let Some(effect) = supervisor.poll_effect() {
            match effect {
                Effect::Log(message) => self.tell(&message),
                Effect::Write { id, write } => self.world.write(id, write),
                Effect::Spawn(spawn) => {
                    if let Err(exit) = self.world.spawn(&spawn) {
                        supervisor.handle_exit(spawn.child, exit, self.world.now());
                    }
                }
                Effect::Kill { child } => self.world.kill(child),
                Effect::ReadSequencesAgain => self.reads_again = true,
            }
        }
    }

    /// Hands the disk's answers over.
    pub fn take_answers(&mut self, supervisor: &mut Supervisor) {
        let now = self.world.now();
        for (id, result) in self.world.take_answers() {
            supervisor.handle_written(id, result, now);
        }
    }

    /// Hands over how children ended, and logs what they printed.
    pub fn look_after_children(&mut self, supervisor: &mut Supervisor) {
        let now = self.world.now();
        let mut told = Vec::new();
        self.world.take_reports(&mut |report| match report {
            Report::Output { subject, kind, event } => {
                told.push(What::Command { subject, kind, event });
            }
            Report::Exited { child, exit } => supervisor.handle_exit(child, exit, now),
        });
        for what in told {
            self.tell(&Message { at: now, what });
        }
    }

    /// Logs a message, and records it.
    pub(super) fn tell(&mut self, message: &Message) {
        if let Some(recorder) = &mut self.recorder {
            recorder.message(message, self.world.now());
        }
        self.world.log(message);
    }

    /// Records what the engine was just told.
    pub(super) fn record(&mut self, note: Note) {
        if let Some(recorder) = &mut self.recorder {
            recorder.note(note);
        }
    }

    /// Says something about the daemon itself.
    pub fn notice(&mut self, severity: Severity, text: String) {
        let what = What::Notice { severity, text };
        self.world.log(&Message { at: self.world.now(), what });
    }

    /// Ends the recording, but does not wait for long.
    pub fn close_recording(&mut self, now: Timestamp, patience: Duration) {
        if let Some(recorder) = self.recorder.take() {
            recorder.close(now, patience);
        }
    }
}
