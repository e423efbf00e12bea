//! Captured bytes to packets (S3).
