//! awsJson1.0 and 1.1: the body is the input, `X-Amz-Target` names the operation. A list that comes in pages has a token
//! for the next one.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::sandbox::call::AwsError;

/// Reads an input strictly: `deny_unknown_fields` on the structure makes an unknown parameter an error.
///
/// # Errors
/// `ValidationException` with serde's reason.
pub fn input<T: DeserializeOwned>(body: &[u8]) -> Result<T, AwsError> {
    let body = if body.is_empty() { b"{}" } else { body };
    serde_json::from_slice(body).map_err(|error| AwsError::new("ValidationException", error.to_string()))
}

/// The token of a page that ends with the item of this name. It names the last item shown, so that what comes and goes
/// between two pages shifts nothing.
#[must_use]
pub fn token(last: &str) -> String {
    STANDARD.encode(last)
}

/// The name after which the page of this token begins; nothing when it is no token.
#[must_use]
pub fn named_by(token: &str) -> Option<String> {
    String::from_utf8(STANDARD.decode(token).ok()?).ok()
}

/// Seconds of the epoch as JSON services write times.
#[must_use]
pub fn time(milliseconds: i64) -> Value {
    #[expect(clippy::cast_precision_loss, reason = "milliseconds of the epoch stay far below 2^52")]
    let seconds = milliseconds as f64 / 1000.0;
    seconds.into()
}
