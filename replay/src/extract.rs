//! `knock-replay extract`: only the packets that concern a door.
//!
//! Which those are is a matter of each packet alone (`net`), so traces can be extracted in parts.
//! Local addresses go into the extract where the traces told them, before the packets that they
//! matter for. What is hidden is mapped the same way in the packets, the local addresses and the
//! config that is written beside the extract (`mapping`).

mod addresses;
mod args;
mod capture;
mod config_out;
mod key;
mod mapping;
mod net;
mod ports;
mod sift;

use std::fs::File;
use std::net::IpAddr;

use anyhow::bail;
use knock_engine::local::LocalAddresses;
use knock_frontend::format::Count;
use knock_frontend::recording::Note;

pub use self::args::ExtractArgs;
use self::capture::{Capture, Picture};
use self::config_out::ConfigOut;
use self::key::Key;
use self::mapping::{Hidden, Mapping};
use self::net::Net;
use self::sift::{Found, Sieving};
use crate::PROGRAM;
use crate::destination::{Destination, OnExisting};
use crate::run::progress::Progress;
use crate::run::{self, recording};
use crate::trace::Traces;

/// The most local addresses that an extract tells: a replay of it keeps no more.
const MOST_ADDRESSES: usize = 4_096;

/// Writes the extract, and the config that fits it.
///
/// # Errors
///
/// The config can't be used, a trace can't be read to its end, or something can't be written. No
/// file has its name then.
pub fn extract(args: &ExtractArgs) -> anyhow::Result<()> {
    let on_existing = if args.force { OnExisting::Replace } else { OnExisting::Refuse };
    if args.config_out.as_ref() == Some(&args.output) {
        bail!("-o and --config-out name the same file: name two");
    }
    let mut mapping = mapping(args)?;
    let config = run::load_config(&args.config, run::strictness(args.strict))?;
    let mut traces = Traces::open(&args.traces, run::on_damage(args.resync))?;
    traces.tell_notes();
    let beside = match (&args.config_out, &mut mapping) {
        (Some(path), Some(mapping)) => {
            Some(ConfigOut::write(mapping.config(&config), path, on_existing)?)
        }
        _ => None,
    };
    let destination = Destination::open(&args.output, on_existing)?;
    let local = match args.local.as_slice() {
        [] => LocalAddresses::Unknown,
        given => LocalAddresses::Known(given.to_vec()),
    };
    let net = Net::new(&config, &local);
    let mut extract = Extract::new(args, net, mapping, destination)?;
    let mut progress = Progress::new(run::is_live(&traces));
    let read = extract.read(&mut traces, &mut progress);
    progress.finish();
    run::warn_of_endings(&traces);
    read?;
    if let Some(beside) = beside {
        beside.complete()?;
    }
    let counts = extract.complete()?;
    let Counts { packets, kept } = counts;
    let concern = if kept == 1 { "concerns" } else { "concern" };
    let name = if args.output.as_os_str() == "-" {
        "standard output"
    } else {
        &args.output.to_string_lossy()
    };
    PROGRAM.note(&format_args!(
        "{name}: {} of {} packets {concern} a door",
        Count(kept),
        Count(packets)
    ));
    Ok(())
}

/// Returns the mapping, where something is to be hidden.
fn mapping(args: &ExtractArgs) -> anyhow::Result<Option<Mapping>> {
    let hidden = Hidden { addresses: args.anonymize, ports: args.redact };
    if hidden.addresses || hidden.ports {
        let key = args.key.as_deref().map_or_else(Key::random, Key::read)?;
        return Ok(Some(Mapping::new(hidden, key)));
    }
    let options = [(args.config_out.is_some(), "--config-out"), (args.key.is_some(), "--key")];
    if let Some((_, option)) = options.iter().find(|(is_given, _)| *is_given) {
        bail!(
            "{option} goes with --anonymize or --redact: give one of them, or leave {option} out"
        );
    }
    Ok(None)
}

/// How many packets there were.
#[derive(Clone, Copy, Debug, Default)]
struct Counts {
    packets: u64,
    kept: u64,
}

/// An extract that is being written.
struct Extract<'a> {
    args: &'a ExtractArgs,
    net: Net,
    mapping: Option<Mapping>,
    capture: Capture<Destination>,
    /// How many of the local addresses that the traces told are in the extract.
    told: usize,
    counts: Counts,
    /// A packet made anew; kept for its allocation.
    anew: Vec<u8>,
}

impl<'a> Extract<'a> {
    fn new(
        args: &'a ExtractArgs,
        net: Net,
        mapping: Option<Mapping>,
        destination: Destination,
    ) -> anyhow::Result<Self> {
        let capture =
            Capture::new(destination).map_err(|error| Destination::explain(&args.output, error))?;
        let (counts, anew) = (Counts::default(), Vec::new());
        let mut extract = Self { args, net, mapping, capture, told: 0, counts, anew };
        if !args.local.is_empty() {
            extract.tell(&args.local)?;
        }
        Ok(extract)
    }

    /// Reads the traces to their end.
    fn read(&mut self, traces: &mut Traces<File>, progress: &mut Progress) -> anyhow::Result<()> {
        let is_live = run::is_live(traces);
        let mut sieving = Sieving::new(traces);
        loop {
            progress.update(traces);
            let found = sieving.next(traces, &self.net);
            self.counts.packets = sieving.packets();
            self.take_addresses(traces.local_addresses())?;
            match found? {
                Found::End => return Ok(()),
                Found::Nothing => {}
                Found::Note(note) => self.follow(note)?,
                Found::Candidate => self.judge(&sieving)?,
            }
            if is_live {
                self.write(Capture::flush)?;
            }
        }
    }

    /// Ends the extract and gives it its name.
    fn complete(self) -> anyhow::Result<Counts> {
        self.capture.into_inner().complete()?;
        Ok(self.counts)
    }

    fn judge(&mut self, sieving: &Sieving) -> anyhow::Result<()> {
        let Some(candidate) = sieving.candidate() else { return Ok(()) };
        if !self.net.catches(&candidate.packet) {
            return Ok(());
        }
        self.counts.kept += 1;
        let Some(mapping) = &mut self.mapping else {
            let picture = candidate.picture();
            return self.write(|capture| capture.frame(picture));
        };
        let mut anew = std::mem::take(&mut self.anew);
        let made = mapping.packet(&candidate.packet, &mut anew);
        let written = made.map_err(anyhow::Error::from).and_then(|()| {
            let picture = Picture::of_ip(candidate.picture().at, &anew);
            self.write(|capture| capture.frame(picture))
        });
        self.anew = anew;
        written
    }

    /// Takes over what the traces tell of local addresses, where nobody gave any.
    fn take_addresses(&mut self, all: &[IpAddr]) -> anyhow::Result<()> {
        if !self.args.local.is_empty() || all.len() <= self.told {
            return Ok(());
        }
        self.net.set_local(&recording::known(all.to_vec()));
        let more = all.get(self.told..).unwrap_or_default().to_vec();
        self.tell(&more)
    }

    /// Takes over what a note of a recording tells of them. The rest of it is no packet.
    fn follow(&mut self, note: Note) -> anyhow::Result<()> {
        let at = note.at();
        let addresses = match note {
            Note::Begin(beginning) => beginning.local_addresses,
            Note::LocalAddresses { addresses, .. } => addresses,
            Note::Config { .. } | Note::Wake { .. } | Note::Command { .. } | Note::End { .. } => {
                return Ok(());
            }
        };
        if !self.args.local.is_empty() {
            return Ok(());
        }
        self.net.set_local(&recording::known(addresses.clone()));
        let addresses = self.images(&addresses);
        self.write(|capture| capture.note(&Note::LocalAddresses { at, addresses }))
    }

    fn tell(&mut self, addresses: &[IpAddr]) -> anyhow::Result<()> {
        self.told += addresses.len();
        if self.told > MOST_ADDRESSES {
            bail!(
                "more than {} local addresses: name those that matter with --local",
                Count(MOST_ADDRESSES as u64)
            );
        }
        let addresses = self.images(addresses);
        self.write(|capture| capture.tell(&addresses))
    }

    fn images(&mut self, addresses: &[IpAddr]) -> Vec<IpAddr> {
        let Some(mapping) = &mut self.mapping else { return addresses.to_vec() };
        addresses.iter().map(|address| mapping.address(*address)).collect()
    }

    fn write(
        &mut self,
        what: impl FnOnce(&mut Capture<Destination>) -> std::io::Result<()>,
    ) -> anyhow::Result<()> {
        what(&mut self.capture).map_err(|error| Destination::explain(&self.args.output, error))
    }
}
