//! EC2: what spotctl uses of it, as AWS documents it.

use super::call::{AwsError, Call};
use super::wire::query::Query;
use super::wire::xml::Element;

pub mod state;

pub use state::State;

/// Answers an operation: the children of `<OperationResponse>`, without the request id.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let _ = input;
    Err(AwsError::unknown_operation(&call.operation))
}
