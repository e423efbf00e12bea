//! The progress bar, on standard error, for long work on a terminal.

use std::fs::File;
use std::io::{self, IsTerminal as _, StdoutLock, Write};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::trace::Traces;

/// Shows how far the traces are read, once that takes long enough to wonder.
pub(crate) struct Progress {
    state: State,
    /// Shows nothing until it has somewhere to be drawn.
    bar: ProgressBar,
}

enum State {
    /// Nobody looks, or the bar would never end.
    Off,
    /// Not long enough yet.
    Waiting(Instant),
    Shown,
}

impl Progress {
    /// Packets between two looks at the clock.
    pub(crate) const INTERVAL: u64 = 65_536;
    const PATIENCE: Duration = Duration::from_millis(700);

    /// Waits whether it takes long. What comes live takes as long as it takes: that shows only
    /// where the report goes elsewhere than to a terminal.
    pub(crate) fn new(is_live: bool) -> Self {
        let wanted = io::stderr().is_terminal() && !(is_live && io::stdout().is_terminal());
        let state = if wanted { State::Waiting(Instant::now()) } else { State::Off };
        Self { state, bar: ProgressBar::with_draw_target(None, ProgressDrawTarget::hidden()) }
    }

    /// Returns standard output, for whose lines the bar makes room.
    pub(crate) fn standard_output(&self) -> Screen {
        Screen { out: io::stdout().lock(), bar: self.bar.clone() }
    }

    pub(crate) fn update(&mut self, traces: &Traces<File>) {
        match &self.state {
            State::Off => {}
            State::Waiting(since) if since.elapsed() < Self::PATIENCE => {}
            State::Waiting(_) => {
                self.show(traces);
                self.state = State::Shown;
            }
            State::Shown => self.bar.set_position(bytes_read(traces)),
        }
    }

    pub(crate) fn finish(&mut self) {
        if let State::Shown = self.state {
            self.bar.finish_and_clear();
        }
        self.state = State::Off;
    }

    fn show(&self, traces: &Traces<File>) {
        let sizes: Option<u64> = traces.readers().iter().map(|reader| reader.progress().1).sum();
        let template = match sizes {
            Some(size) => {
                self.bar.set_length(size);
                "{wide_bar} {bytes}/{total_bytes} {bytes_per_sec}, {eta} left"
            }
            None => "{spinner} {bytes} {bytes_per_sec}",
        };
        // A template that does not parse would leave the default one.
        if let Ok(style) = ProgressStyle::with_template(template) {
            self.bar.set_style(style);
        }
        self.bar.set_position(bytes_read(traces));
        self.bar.set_draw_target(ProgressDrawTarget::stderr());
    }
}

/// Standard output, perhaps on the terminal that has the bar.
pub(crate) struct Screen {
    out: StdoutLock<'static>,
    bar: ProgressBar,
}

impl Write for Screen {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        self.bar.suspend(|| self.out.write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

fn bytes_read(traces: &Traces<File>) -> u64 {
    traces.readers().iter().map(|reader| reader.progress().0).sum()
}
