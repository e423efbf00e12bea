//! The ledger: what is owed to open doors, safe on disk before any door opens.

mod record;

pub use record::{Entry, HoldId, Record, StartOutcome};
