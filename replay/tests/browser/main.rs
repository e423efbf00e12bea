//! The page of `knock-replay report` in a headless Chromium.

#![expect(clippy::unwrap_used, reason = "a failed unwrap fails the test")]

mod chromium;
mod material;
mod page;
