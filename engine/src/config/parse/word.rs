//! Settings whose value is one of a few words.

use super::keys::Setting;
use super::problem::{Problem, Problems};
use super::suggest::suggest;

/// A setting that is one of a few words, in whatever case.
pub(super) struct Word<const N: usize, T> {
    /// The words and what they stand for.
    pub(super) words: [(&'static str, T); N],
    /// What people write for them elsewhere, and the word that they mean by it.
    pub(super) synonyms: &'static [(&'static str, &'static str)],
    /// What it isn't if it is none of them, as in `is neither yes nor no`.
    pub(super) negation: &'static str,
    /// What it can be, as in `yes or no`.
    pub(super) allowed: &'static str,
}

impl<const N: usize, T: Copy> Word<N, T> {
    /// Reads the value; `None` where it is an error.
    pub(super) fn parse(&self, setting: Setting<'_>, problems: &mut Problems) -> Option<T> {
        let Setting { name, value, .. } = setting;
        if let Some((_, meaning)) = self.words.iter().find(|(word, _)| value.is_word(word)) {
            return Some(*meaning);
        }
        let message = match value.is_empty() {
            true => format!("{name} has no value"),
            false => format!("{name} {} is {}", value.quoted(), self.negation),
        };
        let synonym = self.synonyms.iter().find(|(word, _)| value.is_word(word));
        let meant = synonym
            .map(|(_, word)| *word)
            .or_else(|| suggest(value, self.words.iter().map(|(word, _)| *word)));
        let help = format!("{name} is {}", self.allowed);
        problems.push(Problem::error(value.span(), message).help(help).replace_with(meant));
        None
    }
}
