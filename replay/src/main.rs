//! `knock-replay`: what would have opened, and why not.

fn main() {}
