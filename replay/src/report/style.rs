//! The few colours of the reports.

use anstyle::{AnsiColor, Effects, Style};

/// What a piece of text is, as far as its looks go.
#[derive(Clone, Debug, Default)]
pub struct Palette {
    /// What stands out: dates, names of doors.
    pub strong: Style,
    /// What steps back: frames, times, commands.
    pub faint: Style,
    /// A door that opened.
    pub good: Style,
    /// An attempt that failed, the packet that broke it.
    pub bad: Style,
    /// Something to look at: a timeout, an advice.
    pub notable: Style,
}

impl Palette {
    /// Returns the colours for a terminal: the sixteen that follow the user's own scheme.
    #[must_use]
    pub fn coloured() -> Self {
        Self {
            strong: Style::new().bold(),
            faint: Style::new().effects(Effects::DIMMED),
            good: AnsiColor::Green.on_default().bold(),
            bad: AnsiColor::Red.on_default().bold(),
            notable: AnsiColor::Yellow.on_default().bold(),
        }
    }

    /// Returns no colours at all, for pipes and files and where `NO_COLOR` asks for it.
    #[must_use]
    pub fn plain() -> Self {
        Self::default()
    }
}
