//! `knock-replay report`: a page about everything that knocked, for a browser.
//!
//! The engine runs as in `run`, and the page tells its events: attempts with all their packets, in
//! the words and sentences of `explain`. The page is one file that loads nothing. Everything that a
//! stranger could choose reaches it as JSON that can't end its element, and gets into the document
//! as text only; a content security policy lets no script run but the page's own.

mod book;
mod data;
mod gather;
mod html;
mod trial;

use std::cell::RefCell;
use std::io::{self, Write as _};
use std::path::PathBuf;
use std::rc::Rc;

use anyhow::Context as _;
use clap::Args;
use knock_frontend::format::{Count, Counted};

use self::book::Book;
use self::data::{Data, Inputs};
use self::gather::{Gather, Shared};
use crate::PROGRAM;
use crate::cli::{DecideAs, InputArgs};
use crate::destination::{Destination, OnExisting};
use crate::report::{Doors, LocalOrigin, Totals};
use crate::run::judge::Session;
use crate::run::progress::Progress;
use crate::run::{self, Basis, Judge as _};
use crate::trace::Traces;

pub(crate) const ABOUT: &str = "Makes a page for a browser: who knocked, and what came of it";

pub(crate) const LONG_ABOUT: &str = "\
Makes a page for a browser: who knocked, and what came of it.

One file that needs no network and no server. It begins with the near misses: knocks that came too \
late, out of order, by the wrong protocol or one short, and those that opened with next to no time \
left. Then how long the doors were open, how long the gaps between knocks and the time left were, \
and a timeline for every source and door with every packet, its verdict and what was left of \
seq_timeout. It can be filtered by door, source, outcome and time, and printed.

The verdicts and sentences are those of explain. docs/REPORT.md tells how to read the page.";

pub(crate) const EXAMPLES: &str = "\
Examples:
  What happened last week?
    knock-replay report -c /etc/knockd.conf -o week.html week.pcapng

  What a daemon recorded, made anew every night:
    knock-replay report --force -o knocks.html /var/lib/knockd/record/*.pcapng
";

/// The arguments of `knock-replay report`.
#[derive(Args, Debug)]
pub struct ReportArgs {
    /// What is read.
    #[command(flatten)]
    pub input: InputArgs,

    /// The page to write, or - for standard output
    ///
    /// It gets its name when it is complete: where something fails, nothing is written.
    #[arg(short, long, value_name = "FILE", display_order = 1)]
    pub output: PathBuf,

    /// Replace a file that exists
    #[arg(short, long, display_order = 1)]
    pub force: bool,
}

/// Writes the page about traces.
///
/// # Errors
///
/// The config can't be used, a trace can't be read to its end, or the page can't be written. Then
/// there is no page.
pub fn report(args: &ReportArgs) -> anyhow::Result<()> {
    let Basis { config, doors, local, .. } = Basis::of(&args.input)?;
    let on_existing = if args.force { OnExisting::Replace } else { OnExisting::Refuse };
    let mut destination = Destination::open(&args.output, on_existing)?;
    let mut traces = Traces::open(&args.input.traces, run::on_damage(args.input.resync))?;
    traces.tell_notes();
    let doors = Doors::new(&doors);
    let (local, origin) = match local {
        Some(local) => (local, LocalOrigin::Recorded),
        None => run::local_addresses(&args.input.local, &traces),
    };
    let totals = Totals::new(DecideAs::Sesame.name(), origin, doors.names());
    let gather = Rc::new(RefCell::new(Gather::new(doors.clone())));
    let listener = Box::new(Shared(Rc::clone(&gather)));
    let mut session = Session::new((config, doors.clone()), local, totals, listener);
    session.tell_disregards();
    if args.input.config.is_none() {
        session.follow_recordings();
    }
    let mut progress = Progress::new(run::is_live(&traces));
    let read = session.read(&mut traces, &mut progress);
    progress.finish();
    read.with_context(|| format!("{}: was not written", args.output.display()))?;
    session.finish()?;
    run::note_endings(&args.input.traces, &traces, session.totals());
    run::warn_of_endings(&traces);
    if session.totals().local == LocalOrigin::Assumed && session.totals().packets > 0 {
        PROGRAM.note(&run::ASSUMED_LOCAL);
    }
    let book = gather.borrow_mut().take_book();
    warn_of_omissions(&book);
    let inputs = Inputs { config: args.input.config.as_deref(), traces: &args.input.traces };
    let data = Data::new(&inputs, &doors, session.totals(), &book);
    let written = html::write(&mut destination, &data).and_then(|()| destination.flush());
    written.map_err(|error: io::Error| Destination::explain(&args.output, error))?;
    destination.complete()
}

fn warn_of_omissions(book: &Book) {
    let omitted: u64 = book.omitted().map(|(_, _, count)| count).sum();
    if omitted > 0 {
        PROGRAM.warning(&format_args!(
            "{} only counted on the page, which shows the first {}: try fewer traces, or a \
             shorter time",
            if omitted == 1 {
                "1 attempt is".to_owned()
            } else {
                format!("{} are", Counted(omitted, "attempt"))
            },
            Count(book.records().len() as u64)
        ));
    }
}
