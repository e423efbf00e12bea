//! The man pages and the shell completions, made from the programs' own code.
//!
//! What a command line means is told by its [`clap::Command`], and what a key of the config means
//! by the parser's table ([`knock_engine::config::key_pages`]): nothing is said twice, so nothing
//! can differ. Only what no program prints (files, other pages) is written here.

mod completions;
mod config;
mod help;
mod options;
mod page;
mod program;

use std::path::PathBuf;

/// A file to install.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Where it belongs, below `share` of the prefix: `man/man1/knockd.1`.
    pub path: PathBuf,
    /// What is in it.
    pub text: String,
}

/// Makes all of them, in the order of their paths.
///
/// # Errors
///
/// A page could not be put into words, which no command line brings about.
pub fn files() -> anyhow::Result<Vec<File>> {
    let mut files = program::pages()?;
    files.push(config::page());
    files.extend(completions::files());
    files.sort_by(|one, other| one.path.cmp(&other.path));
    Ok(files)
}
