//! EC2's dry runs: a call with `DryRun` asks for leave and does nothing. Success comes as the error `DryRunOperation`. It
//! proves that the caller may, and neither quota nor capacity.

use super::{Cloud, Failure, call};
use crate::decide::permissions::encoded;

/// The code of a dry run that would have succeeded.
const ACCEPTED: &str = "DryRunOperation";

/// What a dry run came to: `None` where the call would have been carried out, else the refusal.
///
/// # Errors
/// None; `Ok` is what nobody expects of a call with `DryRun`: it was carried out.
pub fn refusal<T>(answer: Result<T, Failure>) -> Option<Failure> {
    answer.err().filter(|failure| failure.code.as_deref() != Some(ACCEPTED))
}

/// What an encoded authorization message says, as JSON; `None` where there is none, or nobody may read it.
pub async fn decoded(cloud: &Cloud, failure: &Failure) -> Option<String> {
    let message = encoded(&failure.message)?;
    let request = cloud.sts.decode_authorization_message().encoded_message(message);
    call("DecodeAuthorizationMessage", request.send()).await.ok()?.decoded_message
}
