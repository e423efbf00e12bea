//! `knockd`: opens doors for whoever knocks right, and always closes them.

fn main() {}
