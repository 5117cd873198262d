//! Parameter Store: text and secrets under names that may be paths.
//!
//! It owns parameters, their versions and their tags; a `SecureString` is kept in the clear, but handed out only to who asks
//! for decryption. Odd in AWS: `Tags` and `Overwrite` exclude each other, `GetParameters` names what it did not find instead
//! of failing, and a page of `GetParametersByPath` may be empty and still have a token (here: the one after a full last
//! page). Public parameters under `/aws/service/` name images and come from EC2's catalogue.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use super::call::{AwsError, Call};
use super::ec2::catalog;
use super::store::delta::{in_fields, whole};
use super::store::shared::Shared;
use super::wire::json::{self, time};
use super::world::ACCOUNT;

mod describe;
mod names;
mod read;
mod tags;
mod write;

/// Parameters of one region.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub parameters: Shared<BTreeMap<String, Shared<Parameter>>>,
}

in_fields!(State { parameters });
whole!(Parameter);

/// A parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Parameter {
    /// By number; the highest is the current one.
    pub versions: BTreeMap<i64, Version>,
    /// Tags.
    pub tags: BTreeMap<String, String>,
}

/// One version of a parameter.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// In the clear.
    pub value: String,
    /// `String`, `StringList` or `SecureString`.
    pub kind: String,
    /// KMS key of a `SecureString`.
    pub key: Option<String>,
    /// Free text.
    pub description: Option<String>,
    /// `Standard` or `Advanced`.
    pub tier: String,
    /// Milliseconds.
    pub modified_at: i64,
}

/// A parameter as one request sees it.
#[derive(Debug)]
struct Found {
    name: String,
    /// `:3`, when the request named a version.
    selector: Option<String>,
    number: i64,
    version: Version,
    is_public: bool,
}

/// Answers one Parameter Store call.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, body: &[u8]) -> Result<Value, AwsError> {
    match call.operation.as_str() {
        "PutParameter" => write::put(call, json::input(body)?),
        "DeleteParameter" => write::delete(call, &json::input(body)?),
        "DeleteParameters" => write::delete_many(call, json::input(body)?),
        "GetParameter" => read::get(call, &json::input(body)?),
        "GetParameters" => read::get_many(call, json::input(body)?),
        "GetParametersByPath" => read::by_path(call, &json::input(body)?),
        "DescribeParameters" => describe::describe(call, &json::input(body)?),
        "AddTagsToResource" => tags::add(call, json::input(body)?),
        "RemoveTagsFromResource" => tags::remove(call, &json::input(body)?),
        "ListTagsForResource" => tags::list(call, &json::input(body)?),
        other => Err(AwsError::unknown_operation(other)),
    }
}

/// The value for `resolve:ssm:name`: of a plain parameter, own or public, with an optional `:version`. EC2 takes no secrets.
#[must_use]
pub fn plain_value(call: &Call<'_>, name: &str) -> Option<String> {
    let found = find(call, name).ok()?;
    (found.version.kind == "String").then_some(found.version.value)
}

/// The parameter that `name` or `name:version` means.
fn find(call: &Call<'_>, asked: &str) -> Result<Found, AwsError> {
    let (name, selector) = match asked.split_once(':') {
        Some((name, selector)) => (name, Some(selector)),
        None => (asked, None),
    };
    let missing = || AwsError::new("ParameterNotFound", format!("Parameter {name} not found."));
    let (number, version, is_public) = if name.starts_with("/aws/service/") {
        let value =
            catalog::image_for_parameter(&call.region, name, &call.world.account.deregistered).ok_or_else(missing)?;
        (1, public_version(value), true)
    } else {
        let state = call.world.regions.get(&call.region).map(|region| &region.ssm);
        let parameter = state.and_then(|state| state.parameters.get(name)).ok_or_else(missing)?;
        let (number, version) = match selector {
            None => parameter.versions.last_key_value(),
            Some(text) => text.parse().ok().and_then(|number: i64| parameter.versions.get_key_value(&number)),
        }
        .ok_or_else(|| no_version(name, selector))?;
        (*number, version.clone(), false)
    };
    if selector.is_some_and(|text| text != number.to_string()) {
        return Err(no_version(name, selector));
    }
    let selector = selector.map(|text| format!(":{text}"));
    Ok(Found { name: name.to_owned(), selector, number, version, is_public })
}

fn no_version(name: &str, selector: Option<&str>) -> AwsError {
    AwsError::new(
        "ParameterVersionNotFound",
        format!(
            "Systems Manager could not find version {} of {name}. Verify the version and try again.",
            selector.unwrap_or_default()
        ),
    )
}

fn public_version(value: String) -> Version {
    // 2026-01-01: AWS publishes images now and then, the sandbox once.
    let modified_at = 1_767_225_600_000;
    Version { value, kind: "String".to_owned(), key: None, description: None, tier: "Standard".to_owned(), modified_at }
}

fn arn(region: &str, name: &str, is_public: bool) -> String {
    let account = if is_public { "" } else { ACCOUNT };
    format!("arn:aws:ssm:{region}:{account}:parameter/{}", name.strip_prefix('/').unwrap_or(name))
}

fn validation(message: impl Into<String>) -> AwsError {
    AwsError::new("ValidationException", message)
}

/// One to `most` items a page.
fn page_size(asked: Option<i64>, most: usize) -> Result<usize, AwsError> {
    let Some(asked) = asked else { return Ok(most) };
    usize::try_from(asked).ok().filter(|size| (1..=most).contains(size)).ok_or_else(|| {
        validation(format!(
            "1 validation error detected: Value '{asked}' at 'maxResults' failed to satisfy constraint: Member must be in \
             1..{most}"
        ))
    })
}

/// The name after which the asked page begins.
fn after(token: Option<&str>) -> Result<Option<String>, AwsError> {
    let Some(token) = token else { return Ok(None) };
    let name = json::named_by(token);
    name.map(Some).ok_or_else(|| AwsError::new("InvalidNextToken", "The specified token is not valid."))
}

/// An answer with a list and, when there may be more, a token.
fn page(name: &str, items: Vec<Value>, last: Option<&str>) -> Value {
    let mut answer = Map::new();
    answer.insert(name.to_owned(), Value::Array(items));
    if let Some(last) = last {
        answer.insert("NextToken".to_owned(), json::token(last).into());
    }
    Value::Object(answer)
}

/// One to ten different names.
fn names_of_call(names: &[String]) -> Result<(), AwsError> {
    if names.is_empty() || names.len() > 10 {
        return Err(validation(format!(
            "1 validation error detected: Value '[{}]' at 'names' failed to satisfy constraint: Member must have length less \
             than or equal to 10 and greater than or equal to 1",
            names.join(", ")
        )));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
