//! What can go wrong, by the exit status that tells it.

use std::process::ExitCode;

/// The exit status of a knock that did not go well.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 1: a wrong command line, profile, config or one-time file. Nothing was sent.
    Usage,
    /// 2: the name has no address, or none that was asked for. Nothing was sent.
    NotFound,
    /// 3: a knock could not be sent, or what goes through `--proxy` broke off.
    NotSent,
    /// 4: everything was sent, and the port that should have opened accepts no connection.
    NotConfirmed,
}

impl From<Status> for ExitCode {
    fn from(status: Status) -> Self {
        Self::from(match status {
            Status::Usage => 1,
            Status::NotFound => 2,
            Status::NotSent => 3,
            Status::NotConfirmed => 4,
        })
    }
}

/// Why it did not go well, and how to tell.
#[derive(Debug)]
pub struct Failure {
    /// The exit status.
    pub status: Status,
    /// What went wrong, one line each. There is at least one.
    pub errors: Vec<anyhow::Error>,
}

impl Failure {
    /// Makes a failure of one error.
    pub fn new(status: Status, error: impl Into<anyhow::Error>) -> Self {
        Self { status, errors: vec![error.into()] }
    }

    /// Makes a failure of the status [`Status::Usage`] out of a message.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Status::Usage, anyhow::Error::msg(message.into()))
    }
}

/// Errors become failures where it is known what they mean.
pub trait Fail<T> {
    /// Gives the error its exit status.
    ///
    /// # Errors
    ///
    /// The error there was.
    fn fail(self, status: Status) -> Result<T, Failure>;
}

impl<T, E: Into<anyhow::Error>> Fail<T> for Result<T, E> {
    fn fail(self, status: Status) -> Result<T, Failure> {
        self.map_err(|error| Failure::new(status, error))
    }
}
