//! The pages and completions, the files that are installed with them, and how they get there.
#![expect(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod assets;
mod filter;
mod helper;
mod init;
mod install;
mod pages;
mod reload;
mod run;
mod scripts;
mod tests_map;
mod units;
