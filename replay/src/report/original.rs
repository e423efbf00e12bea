//! What knockd 0.8 would have done, told as text: a line per decision, in the manner of its log,
//! and for every knock that it loses the reason, about which its log is silent.

use std::io::{self, Write};
use std::net::IpAddr;

use knock_engine::packet::Packet;
use knock_engine::time::Timestamp;

use super::Origin;
use super::advice::Port;
use super::block::{Block, Mood, Note, Printer};
use super::style::Palette;
use super::summary;
use super::totals::Totals;
use crate::knockd08::{Commands, CrashCause, Decision, DoorRef, LossReason, Step};

/// A way to tell what knockd 0.8 would have done.
pub trait OriginalReport {
    /// Tells a decision.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn decision(&mut self, decision: &Decision, cause: &Cause) -> io::Result<()>;

    /// Tells that a stop command would run.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn close(&mut self, close: &Close) -> io::Result<()>;

    /// Makes what was written so far appear.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn flush(&mut self) -> io::Result<()>;

    /// Ends the report with the totals, and flushes it.
    ///
    /// # Errors
    ///
    /// Fails where the output can't be written.
    fn finish(&mut self, totals: &Totals) -> io::Result<()>;
}

/// What brought a decision about. There is nothing where the capture merely ended.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Cause {
    /// The frame that knockd looked at.
    pub origin: Option<Origin>,
    /// The packet in it, as far as this project's decoder knows one.
    pub packet: Option<Packet>,
}

/// A stop command's turn.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Close {
    /// When it runs.
    pub at: Timestamp,
    /// The door.
    pub door: DoorRef,
    /// The source that had opened it.
    pub source: IpAddr,
    /// The command, expanded.
    pub command: String,
}

/// A block, and which loss at the same door would complete it.
#[derive(Debug)]
enum Held {
    /// A timeout: the loss of the attempt says why.
    Timeout(Block),
    /// A packet made an attempt fail: being a first knock it may be lost itself.
    Failure(Block),
}

impl Held {
    const fn block(&mut self) -> &mut Block {
        match self {
            Self::Timeout(block) | Self::Failure(block) => block,
        }
    }

    /// Takes up a loss, if it belongs to the block.
    fn completes(&mut self, step: &Step, reason: &LossReason) -> bool {
        let is_of_kind = match self {
            Self::Timeout(_) => !is_about_packet(reason),
            Self::Failure(_) => matches!(reason, LossReason::FailedAnother { .. }),
        };
        let block = self.block();
        let belongs = is_of_kind
            && block.source == Some(step.source)
            && block.door.as_deref() == Some(&*step.door.name);
        if belongs {
            block.notes.push(Note::Text(reason.to_string()));
        }
        belongs
    }
}

/// The report as text.
#[derive(Debug)]
pub struct OriginalText<W> {
    out: W,
    printer: Printer,
    buffer: String,
    /// A block that the next decision may complete.
    held: Option<Held>,
}

impl<W: Write> OriginalText<W> {
    /// Makes a report that writes to `out`; `traces` are the names of the traces, as given.
    #[must_use]
    pub fn new(out: W, traces: &[String], palette: Palette, width: usize) -> Self {
        let printer = Printer::new(palette, width, traces);
        Self { out, printer, buffer: String::new(), held: None }
    }

    fn write(&mut self, block: &Block) -> io::Result<()> {
        self.buffer.clear();
        self.printer.append(block, &mut self.buffer);
        self.out.write_all(self.buffer.as_bytes())
    }

    fn write_held(&mut self) -> io::Result<()> {
        match self.held.take() {
            Some(mut held) => self.write(held.block()),
            None => Ok(()),
        }
    }

    /// Names the knock that a decision is about, if the packet at hand is that knock.
    fn knock(&self, step: &Step, cause: &Cause) -> String {
        let packet = cause.packet.filter(|packet| packet.source == step.source);
        let port = packet.map(|packet| Port(packet.protocol(), packet.destination_port));
        match (port, cause.origin) {
            (Some(port), Some(origin)) => format!("{port} ({})", self.printer.frame(origin)),
            (None, Some(origin)) => self.printer.frame(origin),
            (_, None) => "the end of the capture".to_owned(),
        }
    }

    fn open(step: &Step, commands: &Commands) -> Block {
        let mut block = at_door(step, Mood::Good, "opened");
        block.notes.push(match commands {
            Commands::None => Note::Text("the door has no start command: nothing runs".to_owned()),
            Commands::TooLong => {
                Note::Text("a command is longer than 4,095 bytes: nothing runs".to_owned())
            }
            Commands::Run { start, .. } => Note::Runs(start.clone()),
        });
        block
    }

    fn timeout(&self, step: &Step, cause: &Cause) -> Block {
        let noticed = cause.origin.map(|origin| self.printer.frame(origin));
        let noticed = noticed.map(|frame| format!(" (noticed at {frame})")).unwrap_or_default();
        let verdict = format!("timed out, {} of {} knocks{noticed}", step.stage, step.of);
        at_door(step, Mood::Notable, &verdict)
    }

    fn lost(&self, step: &Step, reason: &LossReason, cause: &Cause) -> Block {
        if *reason == LossReason::Orphaned {
            // There may be many of these, and what became of the attempt has been told.
            let verdict = format!("lost {}: attempt gone", self.knock(step, cause));
            return at_door(step, Mood::Bad, &verdict);
        }
        let knocks = format!("{} of {} knocks", step.stage, step.of);
        let verdict = if is_about_packet(reason) {
            format!("lost {}, {knocks}", self.knock(step, cause))
        } else {
            format!("lost the attempt, {knocks}")
        };
        let mut block = at_door(step, Mood::Bad, &verdict);
        block.notes.push(Note::Text(reason.to_string()));
        block
    }
}

impl<W: Write> OriginalReport for OriginalText<W> {
    fn decision(&mut self, decision: &Decision, cause: &Cause) -> io::Result<()> {
        if let (Some(held), Decision::Lost { step, reason }) = (&mut self.held, decision)
            && held.completes(step, reason)
        {
            return self.write_held();
        }
        self.write_held()?;
        let block = match decision {
            Decision::Stage(step) => {
                let knock = self.knock(step, cause);
                let verdict = format!("knock {} of {}: {knock}", step.stage, step.of);
                at_door(step, Mood::Plain, &verdict)
            }
            Decision::Open { step, commands } => Self::open(step, commands),
            Decision::Timeout(step) => {
                self.held = Some(Held::Timeout(self.timeout(step, cause)));
                return Ok(());
            }
            Decision::Lost { step, reason } => {
                let block = self.lost(step, reason, cause);
                if matches!(reason, LossReason::Repeated | LossReason::WrongPacket) {
                    self.held = Some(Held::Failure(block));
                    return Ok(());
                }
                block
            }
            Decision::Disabled { at, door } => {
                let told = "has no one-time sequence left: knockd goes on without it";
                let mut block = Block::new(*at, Mood::Bad, told);
                block.door = Some(door.name.to_string());
                block
            }
            Decision::Crash { at, door, cause } => {
                let told = match cause {
                    CrashCause::LastSequence => {
                        "knockd aborts: the last one-time sequence is used up (SIGABRT)"
                    }
                    CrashCause::FilterRejectsAll => {
                        "knockd ends: the filter for the next sequence can match nothing"
                    }
                };
                let mut block = Block::new(*at, Mood::Bad, told);
                block.door = Some(door.name.to_string());
                block
            }
        };
        self.write(&block)
    }

    fn close(&mut self, close: &Close) -> io::Result<()> {
        self.write_held()?;
        let mut block = Block::new(close.at, Mood::Strong, "closed");
        block.source = Some(close.source);
        block.door = Some(close.door.name.to_string());
        block.notes.push(Note::Runs(close.command.clone()));
        self.write(&block)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.write_held()?;
        self.out.flush()
    }

    fn finish(&mut self, totals: &Totals) -> io::Result<()> {
        self.write_held()?;
        self.buffer.clear();
        if self.printer.has_printed() {
            self.buffer.push('\n');
        }
        summary::append(totals, &self.printer.palette, &mut self.buffer);
        self.out.write_all(self.buffer.as_bytes())?;
        self.out.flush()
    }
}

fn at_door(step: &Step, mood: Mood, verdict: &str) -> Block {
    let mut block = Block::new(step.at, mood, verdict);
    block.source = Some(step.source);
    block.door = Some(step.door.name.to_string());
    block
}

/// Tells whether a loss is that of the packet at hand, or of an attempt that the packet, whoever
/// sent it, only brought to light.
const fn is_about_packet(reason: &LossReason) -> bool {
    match reason {
        LossReason::WrongPacket
        | LossReason::Repeated
        | LossReason::Orphaned
        | LossReason::FailedAnother { .. }
        | LossReason::Blocked { .. }
        | LossReason::StaleFilter
        | LossReason::VlanTag
        | LossReason::Ipv6Extension
        | LossReason::Ipv6OnThisLink => true,
        LossReason::Forgotten { .. }
        | LossReason::Expired
        | LossReason::WholeSeconds { .. }
        | LossReason::SequenceShrank
        | LossReason::Unfinished => false,
    }
}
