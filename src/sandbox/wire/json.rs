//! awsJson1.1: the body is the input, `X-Amz-Target` names the operation.

use serde::de::DeserializeOwned;

use crate::sandbox::call::AwsError;

/// Reads an input strictly: `deny_unknown_fields` on the structure makes an unknown parameter an error.
///
/// # Errors
/// `ValidationException` with serde's reason.
pub fn input<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| AwsError::new("ValidationException", error.to_string()))
}
