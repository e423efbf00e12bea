//! The integration tests of `knock-replay`, in one binary.

mod oracle;
