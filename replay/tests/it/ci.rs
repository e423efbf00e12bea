//! `docs/CI.md`: its files are those of `examples/ci`, and everything on that page is run.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod document;
mod hooks;
mod jobs;
mod repository;
