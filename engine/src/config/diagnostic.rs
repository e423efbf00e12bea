//! What a config has wrong, where, and the way out.

use std::fmt;
use std::ops::Range;

/// How bad a problem is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Severity {
    /// knockd 0.8 gives it one plain meaning, which is taken.
    Warning,
    /// knockd 0.8 refuses it too, or it could never be meant. There is no config.
    Error,
}

/// One problem in a config.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Diagnostic {
    /// How bad it is.
    pub severity: Severity,
    /// The bytes of the config that it is about; lies on character boundaries where the text is
    /// UTF-8, and inside the text always.
    pub span: Range<usize>,
    /// The line, counted from 1.
    pub line: usize,
    /// The column, in characters, counted from 1.
    pub column: usize,
    /// What is wrong, with the offending text, escaped: no control character is in it.
    pub message: String,
    /// What is allowed, or what to do.
    pub help: Option<String>,
    /// What was probably meant.
    pub replacement: Option<Replacement>,
}

/// Text that would mend a problem ("did you mean").
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Replacement {
    /// The bytes of the config to replace.
    pub span: Range<usize>,
    /// What to put in their place.
    pub text: String,
}

impl fmt::Display for Diagnostic {
    /// Writes `12:5: error: unknown key "seq_timout" (did you mean "seq_timeout"?)`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let severity = match self.severity {
            Severity::Warning => "warning",
            Severity::Error => "error",
        };
        write!(f, "{}:{}: {severity}: {}", self.line, self.column, self.message)?;
        if let Some(replacement) = &self.replacement {
            write!(f, " (did you mean \"{}\"?)", replacement.text)?;
        } else if let Some(help) = &self.help {
            write!(f, " ({help})")?;
        }
        Ok(())
    }
}
