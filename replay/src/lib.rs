//! Replays captures through the knock engine.
