//! The progress bar, on standard error, for long work on a terminal.

use std::fs::File;
use std::io::{self, IsTerminal as _};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};

use crate::trace::Traces;

/// Shows how far the traces are read, once that takes long enough to wonder.
pub(super) struct Progress {
    state: State,
}

enum State {
    /// Nobody looks, or the report appears on the same terminal.
    Off,
    /// Not long enough yet.
    Waiting(Instant),
    Shown(ProgressBar),
}

impl Progress {
    /// Packets between two looks at the clock.
    pub(super) const INTERVAL: u64 = 65_536;
    const PATIENCE: Duration = Duration::from_millis(700);

    pub(super) fn new() -> Self {
        let wanted = io::stderr().is_terminal() && !io::stdout().is_terminal();
        Self { state: if wanted { State::Waiting(Instant::now()) } else { State::Off } }
    }

    pub(super) fn update(&mut self, traces: &Traces<File>) {
        match &self.state {
            State::Off => {}
            State::Waiting(since) if since.elapsed() < Self::PATIENCE => {}
            State::Waiting(_) => self.state = State::Shown(bar(traces)),
            State::Shown(bar) => bar.set_position(bytes_read(traces)),
        }
    }

    pub(super) fn finish(&mut self) {
        if let State::Shown(bar) = &self.state {
            bar.finish_and_clear();
        }
        self.state = State::Off;
    }
}

fn bar(traces: &Traces<File>) -> ProgressBar {
    let sizes: Option<u64> = traces.readers().iter().map(|reader| reader.progress().1).sum();
    let (bar, template) = match sizes {
        Some(size) => {
            (ProgressBar::new(size), "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left")
        }
        None => (ProgressBar::new_spinner(), "{spinner} {bytes} {bytes_per_sec}"),
    };
    // A template that does not parse would leave the default one.
    if let Ok(style) = ProgressStyle::with_template(template) {
        bar.set_style(style);
    }
    bar.set_position(bytes_read(traces));
    bar
}

fn bytes_read(traces: &Traces<File>) -> u64 {
    traces.readers().iter().map(|reader| reader.progress().0).sum()
}
