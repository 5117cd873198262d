//! STS: who is asking. The sandbox has one user, whatever credentials a request is signed with.

use super::call::{AwsError, Call};
use super::wire::query::Query;
use super::wire::xml::{Element, leaf};
use super::world::ACCOUNT;

/// The one user's id, in IAM's form.
pub const USER_ID: &str = "AIDASANDBOXSANDBOXSAN";

/// Answers one STS call: the children of `<…Result>`.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, _input: &Query) -> Result<Vec<Element>, AwsError> {
    match call.operation.as_str() {
        "GetCallerIdentity" => Ok(vec![
            leaf("Arn", format!("arn:aws:iam::{ACCOUNT}:user/sandbox")),
            leaf("UserId", USER_ID),
            leaf("Account", ACCOUNT),
        ]),
        other => Err(AwsError::unknown_operation(other)),
    }
}
