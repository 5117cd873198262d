//! Client tokens: what makes a launch that is sent twice launch once.
//!
//! What AWS does oddly: with a subnet or a zone given the token is *zonal*, so the same token in another zone launches
//! anew; without either it holds for the region. A launch that failed leaves no token. A token whose instances have ended
//! is not free again.

use jiff::Timestamp;

use super::super::placement::state_of;
use super::super::state::{State, Token};
use crate::sandbox::call::AwsError;

/// The most characters that a token has.
const LONGEST: usize = 64;

/// Checks a token's form.
///
/// # Errors
/// `InvalidParameterValue`.
pub(super) fn check_form(token: &str) -> Result<(), AwsError> {
    if token.is_ascii() && (1..=LONGEST).contains(&token.len()) {
        return Ok(());
    }
    let message = format!(
        "Value ({token}) for parameter clientToken is invalid. Client tokens are ASCII and at most {LONGEST} characters long."
    );
    Err(AwsError::new("InvalidParameterValue", message))
}

/// Under what a token is kept: with the zone that the request pinned, when it pinned one.
pub(super) fn key(token: &str, zone: Option<&str>) -> String {
    format!("{token} {}", zone.unwrap_or_default())
}

/// What the token launched before, when it is the same request; `None` when the token is new.
///
/// # Errors
/// `IdempotentParameterMismatch`, `IdempotentInstanceTerminated`.
pub(super) fn earlier<'a>(
    state: &'a State,
    key: &str,
    fingerprint: &str,
    now: Timestamp,
) -> Result<Option<&'a Token>, AwsError> {
    let Some(token) = state.tokens.get(key) else { return Ok(None) };
    if token.fingerprint != fingerprint {
        return Err(AwsError::new(
            "IdempotentParameterMismatch",
            "The client token you have provided is associated with a request whose parameters differ from this request's.",
        ));
    }
    let lives = |id: &String| state.instances.get(id).is_some_and(|instance| state_of(instance, now).is_alive());
    if !token.instances.iter().any(lives) {
        return Err(AwsError::new(
            "IdempotentInstanceTerminated",
            "The client token you have provided is associated with a resource that is already deleted. Please use a \
             different client token.",
        ));
    }
    Ok(Some(token))
}
