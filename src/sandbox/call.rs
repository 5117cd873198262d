//! One call as a service sees it, and AWS's errors.

use jiff::Timestamp;

use super::world::World;

/// What every operation is handed beside its parameters.
#[derive(Debug)]
pub struct Call<'a> {
    /// Everything there is.
    pub world: &'a mut World,
    /// The region the request was signed for.
    pub region: String,
    /// The clock.
    pub now: Timestamp,
    /// Such as `RunInstances`.
    pub operation: String,
}

/// AWS's refusal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AwsError {
    /// Such as `InvalidGroup.NotFound`.
    pub code: String,
    /// One sentence.
    pub message: String,
    /// HTTP status.
    pub status: u16,
}

impl AwsError {
    /// A refusal with HTTP 400, as most are.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), status: 400 }
    }

    /// The same with another HTTP status.
    #[must_use]
    pub fn status(mut self, status: u16) -> Self {
        self.status = status;
        self
    }

    /// An operation that the sandbox does not model.
    #[must_use]
    pub fn unknown_operation(operation: &str) -> Self {
        Self::new(
            "InvalidAction",
            format!("The action {operation} is not valid for this sandbox: it models what spotctl uses"),
        )
    }
}
