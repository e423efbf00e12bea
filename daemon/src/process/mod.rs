//! Processes: the children that run commands, and the daemon's own life as one.
