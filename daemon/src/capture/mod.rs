//! What the daemon hears: capture sockets, their filter, and the interfaces they hang on.
