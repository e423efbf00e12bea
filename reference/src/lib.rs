//! A naive model of the engine's rules (S1-S16), written to be read: lists and
//! rescans, no tables, no cleverness. Tests run it beside the engine.
