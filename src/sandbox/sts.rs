//! STS: who is asking, the sessions of roles, and what EC2's refusals say in code.
//!
//! It owns the sessions that boxes take their credentials from. They are remembered by their access key id after they have
//! expired too: a key that nobody knows is the account's one user, who may do everything.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::authorize::message;
use super::call::{AwsError, Call};
use super::store::delta::whole;
use super::wire::query::Query;
use super::wire::xml::{Element, leaf};
use super::world::{ACCOUNT, World};

/// The one user's id, in IAM's form.
pub const USER_ID: &str = "AIDASANDBOXSANDBOXSAN";

/// How long a session holds.
const HOLDS: i64 = 3600;

/// So long before its end an instance gets a new one: no client takes credentials that are about to expire.
const RENEWED_BEFORE: i64 = 900;

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Of a user or of a role's session.
    pub arn: String,
    /// In IAM's form.
    pub user_id: String,
}

impl Caller {
    /// The account's one user.
    #[must_use]
    pub fn user() -> Self {
        Self { arn: format!("arn:aws:iam::{ACCOUNT}:user/sandbox"), user_id: USER_ID.to_owned() }
    }
}

/// A role as an instance has taken it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Session {
    /// The role's name.
    pub role: String,
    /// `i-…`, which is the session's name.
    pub instance: String,
    /// When.
    pub issued_at: i64,
    /// Until when.
    pub expires_at: i64,
}

whole!(Session);

/// The access key id and the session that an instance has now: the one it had before, while that is fresh.
pub fn session_of_instance(world: &mut World, role: &str, instance: &str, now: Timestamp) -> (String, Session) {
    let now = now.as_second();
    let is_fresh = |session: &Session| {
        session.role == role && session.instance == instance && now < session.expires_at - RENEWED_BEFORE
    };
    if let Some((key, session)) = world.sessions.iter().find(|(_, session)| is_fresh(session)) {
        return (key.clone(), session.clone());
    }
    // Twenty characters: the four of a temporary key and sixteen of an id.
    let id = world.new_id("").trim_start_matches("-0").to_ascii_uppercase();
    let key = format!("ASIA{id}");
    let (role, instance) = (role.to_owned(), instance.to_owned());
    let session = Session { role, instance, issued_at: now, expires_at: now + HOLDS };
    world.sessions.insert(key.clone(), session.clone());
    (key, session)
}

/// The secret of a key: forty characters, as AWS's are. No signature is checked, so it need not be one.
#[must_use]
pub fn secret(key: &str) -> String {
    STANDARD.encode(Sha256::digest(format!("secret of {key}"))).chars().take(40).collect()
}

/// The session token of a key.
#[must_use]
pub fn token(key: &str) -> String {
    STANDARD.encode(format!("sandbox session of {key}"))
}

/// Answers one STS call: the children of `<…Result>`.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, input: &Query, caller: &Caller) -> Result<Vec<Element>, AwsError> {
    match call.operation.as_str() {
        "GetCallerIdentity" => {
            Ok(vec![leaf("Arn", &caller.arn), leaf("UserId", &caller.user_id), leaf("Account", ACCOUNT)])
        }
        "DecodeAuthorizationMessage" => {
            let text = input.optional("EncodedMessage").unwrap_or_default();
            let decoded = message::decode(&text).ok_or_else(|| {
                // As the action's own errors are documented.
                let why = "The encoded message is not valid";
                AwsError::new("InvalidAuthorizationMessageException", why)
            })?;
            Ok(vec![leaf("DecodedMessage", decoded)])
        }
        other => Err(AwsError::unknown_operation(other)),
    }
}
