//! IAM: roles, their policies, instance profiles; what a launch needs to know of them.
//!
//! It owns names, paths, tags and who is inside what; it does not evaluate policies, which is `authorize`'s, and
//! asks that where one is simulated. Odd in AWS: names are unique without regard to case and are global across regions, policy
//! documents come back URL-encoded, a profile holds one role at most, and EC2 does not see a new profile for a while ([`profile_for_ec2`]).

use std::collections::BTreeMap;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use super::call::{AwsError, Call};
use super::store::delta::whole;
use super::wire::query::Query;
use super::wire::xml::{Element, leaf, list, maybe};
use super::world::ACCOUNT;

mod policies;
mod profiles;
mod roles;
mod simulation;

pub use roles::{SPOT_ROLE, furnish, make_spot_role, remove_spot_role, service_linked_name};

/// What IAM holds.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Whether it was given what an account has that has been used before: the role of EC2 Spot.
    #[serde(default)]
    pub is_furnished: bool,
    /// By name.
    pub roles: BTreeMap<String, Role>,
    /// By name.
    pub profiles: BTreeMap<String, Profile>,
}

whole!(State);

/// A role.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Role {
    /// `AROA…`.
    pub id: String,
    /// Such as `/`.
    pub path: String,
    /// When.
    pub created_at: i64,
    /// Free text.
    pub description: Option<String>,
    /// Seconds.
    pub max_session: i64,
    /// Who may assume it.
    pub trust: String,
    /// ARN of the permissions boundary.
    pub boundary: Option<String>,
    /// Inline policies, by name.
    pub inline: BTreeMap<String, String>,
    /// ARNs of attached policies to their names.
    pub attached: BTreeMap<String, String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// An instance profile.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Profile {
    /// `AIPA…`.
    pub id: String,
    /// Such as `/`.
    pub path: String,
    /// When.
    pub created_at: i64,
    /// When it was created or its role was last added: EC2's delay counts from here.
    pub usable_since: i64,
    /// Its one role.
    pub role: Option<String>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

impl Role {
    /// The ARN of the role with this name.
    #[must_use]
    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{ACCOUNT}:role{}{name}", self.path)
    }
}

impl Profile {
    /// The ARN of the profile with this name.
    #[must_use]
    pub fn arn(&self, name: &str) -> String {
        format!("arn:aws:iam::{ACCOUNT}:instance-profile{}{name}", self.path)
    }
}

/// Answers one IAM call: the children of `<…Result>`.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    match call.operation.as_str() {
        "CreateRole" => roles::create(call, input),
        "GetRole" => roles::get(call, input),
        "ListRoles" => roles::list(call, input),
        "DeleteRole" => roles::delete(call, input),
        "TagRole" => roles::tag(call, input),
        "UntagRole" => roles::untag(call, input),
        "ListRoleTags" => roles::list_tags(call, input),
        "UpdateAssumeRolePolicy" => roles::update_trust(call, input),
        "CreateServiceLinkedRole" => roles::create_service_linked(call, input),
        "PutRolePolicy" => policies::put(call, input),
        "GetRolePolicy" => policies::get(call, input),
        "ListRolePolicies" => policies::list(call, input),
        "DeleteRolePolicy" => policies::delete(call, input),
        "AttachRolePolicy" => policies::attach(call, input),
        "DetachRolePolicy" => policies::detach(call, input),
        "ListAttachedRolePolicies" => policies::list_attached(call, input),
        "CreateInstanceProfile" => profiles::create(call, input),
        "GetInstanceProfile" => profiles::get(call, input),
        "ListInstanceProfiles" => profiles::list(call, input),
        "ListInstanceProfilesForRole" => profiles::list_for_role(call, input),
        "DeleteInstanceProfile" => profiles::delete(call, input),
        "AddRoleToInstanceProfile" => profiles::add_role(call, input),
        "RemoveRoleFromInstanceProfile" => profiles::remove_role(call, input),
        "TagInstanceProfile" => profiles::tag(call, input),
        "UntagInstanceProfile" => profiles::untag(call, input),
        "ListInstanceProfileTags" => profiles::list_tags(call, input),
        "SimulatePrincipalPolicy" => simulation::simulate(call, input),
        other => Err(AwsError::unknown_operation(other)),
    }
}

/// ARN, id and role's name of a profile, as EC2 sees it: not before `delay` has passed, and not without a role.
#[must_use]
pub fn profile_for_ec2(
    state: &State,
    name_or_arn: &str,
    now: Timestamp,
    delay: Duration,
) -> Option<(String, String, String)> {
    let (name, profile) =
        state.profiles.iter().find(|(name, profile)| *name == name_or_arn || profile.arn(name) == name_or_arn)?;
    let usable_at = profile.usable_since.saturating_add(i64::try_from(delay.as_secs()).unwrap_or(i64::MAX));
    let role = profile.role.clone()?;
    (now.as_second() >= usable_at).then(|| (profile.arn(name), profile.id.clone(), role))
}

/// The role in the profile with this ARN, while both are there.
#[must_use]
pub fn role_in(state: &State, profile_arn: &str) -> Option<String> {
    let (_, profile) = state.profiles.iter().find(|(name, profile)| profile.arn(name) == profile_arn)?;
    profile.role.clone().filter(|role| state.roles.contains_key(role))
}

/// An id in IAM's form, such as `AROA0123456789ABCDEF0`.
fn new_id(call: &mut Call<'_>, prefix: &str) -> String {
    let id = call.world.new_id("");
    format!("{prefix}{}", id.trim_start_matches('-').to_ascii_uppercase())
}

fn no_such_entity(message: String) -> AwsError {
    AwsError::new("NoSuchEntity", message).status(404)
}

fn exists(message: String) -> AwsError {
    AwsError::new("EntityAlreadyExists", message).status(409)
}

fn conflict(message: &str) -> AwsError {
    AwsError::new("DeleteConflict", message).status(409)
}

fn limit(message: impl Into<String>) -> AwsError {
    AwsError::new("LimitExceeded", message).status(409)
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationError", message)
}

/// AWS names parameters in lower camel case in its refusals.
fn member_name(parameter: &str) -> String {
    let mut letters = parameter.chars();
    letters.next().map(|first| first.to_ascii_lowercase()).into_iter().chain(letters).collect()
}

/// A text that must be there; IAM has its own code for that.
fn required(input: &Query, parameter: &str) -> Result<String, AwsError> {
    input.optional(parameter).ok_or_else(|| {
        validation(format!(
            "1 validation error detected: Value null at '{}' failed to satisfy constraint: Member must not be null",
            member_name(parameter)
        ))
    })
}

/// A name of at most `most` characters of `[\w+=,.@-]`.
fn name(input: &Query, parameter: &str, most: usize) -> Result<String, AwsError> {
    let text = required(input, parameter)?;
    let member = member_name(parameter);
    if text.is_empty() || text.chars().count() > most {
        let (word, bound) = if text.is_empty() { ("greater", 1) } else { ("less", most) };
        return Err(validation(format!(
            "1 validation error detected: Value at '{member}' failed to satisfy constraint: Member must have length {word} \
             than or equal to {bound}"
        )));
    }
    if !text.chars().all(|letter| letter.is_ascii_alphanumeric() || "_+=,.@-".contains(letter)) {
        return Err(validation(format!(
            "The specified value for {member} is invalid. It must contain only alphanumeric characters and/or the \
             following: +=,.@_-"
        )));
    }
    Ok(text)
}

/// `Path`, or `/`.
fn path(input: &Query) -> Result<String, AwsError> {
    let path = input.optional("Path").unwrap_or_else(|| "/".to_owned());
    let is_graphic = path.chars().all(|letter| letter.is_ascii_graphic());
    if path.starts_with('/') && path.ends_with('/') && is_graphic && path.len() <= 512 {
        return Ok(path);
    }
    Err(validation(
        "The specified value for path is invalid. It must begin and end with / and contain only alphanumeric characters \
         and/or / characters.",
    ))
}

/// `PathPrefix`, or `/`.
fn path_prefix(input: &Query) -> Result<String, AwsError> {
    let prefix = input.optional("PathPrefix").unwrap_or_else(|| "/".to_owned());
    if prefix.starts_with('/') && prefix.len() <= 512 {
        return Ok(prefix);
    }
    Err(validation("The specified value for pathPrefix is invalid. It must begin with /."))
}

/// `Tags`, checked.
fn tags(input: &Query) -> Result<BTreeMap<String, String>, AwsError> {
    let mut tags = BTreeMap::new();
    for tag in input.structures("Tags") {
        let key = required(tag, "Key")?;
        let value = required(tag, "Value")?;
        let is_allowed =
            |text: &str| text.chars().all(|letter| letter.is_alphanumeric() || " _.:/=+-@".contains(letter));
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(validation(
                "1 validation error detected: Value at 'tags' failed to satisfy constraint: a key has 1 to 128 characters, \
                 a value at most 256",
            ));
        }
        if !is_allowed(&key) || !is_allowed(&value) {
            return Err(validation(
                "1 validation error detected: Value at 'tags' failed to satisfy constraint: Member must satisfy regular \
                 expression pattern: [\\p{L}\\p{Z}\\p{N}_.:/=+\\-@]+",
            ));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(AwsError::new("InvalidInput", "Tag keys starting with aws: are reserved for internal use"));
        }
        if tags.keys().any(|other: &String| other.eq_ignore_ascii_case(&key)) {
            return Err(AwsError::new(
                "InvalidInput",
                "Duplicate tag keys found. Please note that Tag keys are case insensitive.",
            ));
        }
        tags.insert(key, value);
    }
    if tags.len() > 50 {
        return Err(limit("The number of tags has reached the maximum limit."));
    }
    Ok(tags)
}

/// Adds tags: a key that differs by its case only replaces the other.
fn add_tags(tags: &mut BTreeMap<String, String>, new: BTreeMap<String, String>) -> Result<(), AwsError> {
    let mut merged = tags.clone();
    for (key, value) in new {
        merged.retain(|other, _| !other.eq_ignore_ascii_case(&key));
        merged.insert(key, value);
    }
    if merged.len() > 50 {
        return Err(limit("The number of tags has reached the maximum limit."));
    }
    *tags = merged;
    Ok(())
}

fn remove_tags(tags: &mut BTreeMap<String, String>, keys: &[String]) {
    tags.retain(|key, _| !keys.iter().any(|other| other.eq_ignore_ascii_case(key)));
}

fn tag_fields(key: &str, value: &str) -> Vec<Element> {
    vec![leaf("Key", key), leaf("Value", value)]
}

/// `<Tags>`, where there are some.
fn tags_element(tags: &BTreeMap<String, String>) -> Option<Element> {
    (!tags.is_empty()).then(|| list("Tags", "member", tags.iter().map(|(key, value)| tag_fields(key, value))))
}

/// One page of a list by `Marker` and `MaxItems`: the list, `IsTruncated` and the next `Marker`.
fn page(name: &str, items: Vec<Element>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let most = input.number("MaxItems")?.unwrap_or(100);
    let most = usize::try_from(most).ok().filter(|most| (1..=1000).contains(most)).ok_or_else(|| {
        validation(
            "1 validation error detected: Value at 'maxItems' failed to satisfy constraint: Member must be in 1..1000",
        )
    })?;
    let start = match input.optional("Marker") {
        None => 0,
        Some(marker) => offset(&marker).ok_or_else(|| validation("Invalid Marker."))?,
    };
    let end = start.saturating_add(most);
    let next = (end < items.len()).then(|| STANDARD.encode(end.to_string()));
    let shown = items.into_iter().skip(start).take(most).collect();
    let mut answer = vec![super::wire::xml::node(name, shown), leaf("IsTruncated", next.is_some())];
    answer.extend(maybe("Marker", next));
    Ok(answer)
}

fn offset(marker: &str) -> Option<usize> {
    String::from_utf8(STANDARD.decode(marker).ok()?).ok()?.parse().ok()
}

/// Everything but RFC 3986's unreserved characters.
const RESERVED: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~');

/// A policy document as IAM answers it.
fn encoded(document: &str) -> String {
    utf8_percent_encode(document, RESERVED).to_string()
}

/// Seconds as IAM writes times.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

#[cfg(test)]
mod tests;
