//! Elastic Container Registry: repositories, what is said of their images, and the password of the registry.
//!
//! It owns the names, digests and sizes of images and knows nothing of their layers: nothing can be pushed to it or pulled
//! from it. Images come and go by `sandbox set image` and `sandbox set no-image`, each with one tag. Whoever needs a registry that really
//! serves, runs one that takes [`PASSWORD`] of the user `AWS`.
//!
//! Odd in AWS: a tag that is set anew leaves the image that had it behind, without a tag. A list that names what it wants
//! takes no page size. Members begin with a small letter, other than in most services, and a size is that of the compressed
//! layers, which is what is pulled.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value, json};

use super::call::{AwsError, Call};
use super::store::delta::whole;
use super::wire::json::{self, time};
use super::world::ACCOUNT;

pub mod images;

/// What every `GetAuthorizationToken` hands out, for the user `AWS`. It never changes, so that a registry beside the sandbox
/// can be told before.
pub const PASSWORD: &str = "sandbox-registry-password";

/// Seconds for which a token is good.
const TOKEN_LIFE: i64 = 12 * 60 * 60;

/// Repositories of one region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub repositories: BTreeMap<String, Repository>,
}

whole!(State);

/// A repository.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Repository {
    /// Milliseconds.
    pub created_at: i64,
    /// By digest.
    pub images: BTreeMap<String, Image>,
}

/// An image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    /// No other image of the repository has it.
    pub tag: Option<String>,
    /// Bytes.
    pub size: u64,
    /// Milliseconds.
    pub pushed_at: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Create {
    registry_id: Option<String>,
    repository_name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Describe {
    registry_id: Option<String>,
    repository_names: Option<Vec<String>>,
    next_token: Option<String>,
    max_results: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Delete {
    registry_id: Option<String>,
    repository_name: String,
    #[serde(default)]
    force: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct GetToken {
    #[serde(default)]
    registry_ids: Vec<String>,
}

/// Answers one ECR call.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, body: &[u8]) -> Result<Value, AwsError> {
    match call.operation.as_str() {
        "CreateRepository" => create(call, &json::input(body)?),
        "DescribeRepositories" => describe(call, &json::input(body)?),
        "DeleteRepository" => delete(call, &json::input(body)?),
        "GetAuthorizationToken" => token(call, &json::input(body)?),
        "DescribeImages" => images::describe(call, &json::input(body)?),
        other => Err(AwsError::unknown_operation(other)),
    }
}

fn create(call: &mut Call<'_>, input: &Create) -> Result<Value, AwsError> {
    check_registry(input.registry_id.as_deref())?;
    let name = &input.repository_name;
    if !is_name(name) {
        return Err(invalid(format!(
            "Invalid parameter at 'repositoryName' failed to satisfy constraint: 'must satisfy regular expression \
             '[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*(\\/[a-z0-9]+((\\.|_|__|-+)[a-z0-9]+)*)*'', 2 to 256 letters long: {name}"
        )));
    }
    let created_at = call.now.as_millisecond();
    let repositories = &mut call.world.region(&call.region).ecr.repositories;
    if repositories.contains_key(name) {
        return Err(AwsError::new(
            "RepositoryAlreadyExistsException",
            format!("The repository with name '{name}' already exists in the registry with id '{ACCOUNT}'"),
        ));
    }
    let repository = Repository { created_at, images: BTreeMap::new() };
    let answer = json!({ "repository": shown(&call.region, name, &repository) });
    repositories.insert(name.clone(), repository);
    Ok(answer)
}

fn describe(call: &mut Call<'_>, input: &Describe) -> Result<Value, AwsError> {
    check_registry(input.registry_id.as_deref())?;
    let repositories = &call.world.region(&call.region).ecr.repositories;
    if let Some(names) = &input.repository_names {
        check_named("repositoryNames", names.len(), input.max_results, input.next_token.as_deref())?;
        let shown = names.iter().map(|name| {
            let repository = repositories.get(name).ok_or_else(|| missing(name))?;
            Ok(shown(&call.region, name, repository))
        });
        return Ok(json!({ "repositories": shown.collect::<Result<Vec<_>, AwsError>>()? }));
    }
    let all = repositories.iter().map(|(name, repository)| (name.as_str(), shown(&call.region, name, repository)));
    page("repositories", all, input.max_results, input.next_token.as_deref())
}

fn delete(call: &mut Call<'_>, input: &Delete) -> Result<Value, AwsError> {
    check_registry(input.registry_id.as_deref())?;
    let name = &input.repository_name;
    let repositories = &mut call.world.region(&call.region).ecr.repositories;
    let repository = repositories.get(name).ok_or_else(|| missing(name))?;
    if !input.force && !repository.images.is_empty() {
        return Err(AwsError::new(
            "RepositoryNotEmptyException",
            format!(
                "The repository with name '{name}' in registry with id '{ACCOUNT}' cannot be deleted because it still contains \
                 images"
            ),
        ));
    }
    let answer = json!({ "repository": shown(&call.region, name, repository) });
    repositories.remove(name);
    Ok(answer)
}

fn token(call: &Call<'_>, input: &GetToken) -> Result<Value, AwsError> {
    input.registry_ids.iter().try_for_each(|id| check_registry(Some(id)))?;
    Ok(json!({ "authorizationData": [{
        "authorizationToken": STANDARD.encode(format!("AWS:{PASSWORD}")),
        "expiresAt": time(call.now.as_millisecond() + TOKEN_LIFE * 1000),
        "proxyEndpoint": format!("https://{}", registry(&call.region)),
    }] }))
}

fn shown(region: &str, name: &str, repository: &Repository) -> Value {
    json!({
        "repositoryArn": format!("arn:aws:ecr:{region}:{ACCOUNT}:repository/{name}"),
        "registryId": ACCOUNT,
        "repositoryName": name,
        "repositoryUri": format!("{}/{name}", registry(region)),
        "createdAt": time(repository.created_at),
        "imageTagMutability": "MUTABLE",
        "imageScanningConfiguration": { "scanOnPush": false },
        "encryptionConfiguration": { "encryptionType": "AES256" },
    })
}

fn registry(region: &str) -> String {
    format!("{ACCOUNT}.dkr.ecr.{region}.amazonaws.com")
}

/// Whether a repository may be called so.
fn is_name(name: &str) -> bool {
    // One of `.`, `_`, `__` or any number of `-` between two runs of letters and digits.
    let is_part = |part: &str| {
        let is_plain = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
        let is_between = |run: &str| matches!(run, "" | "." | "_" | "__") || run.chars().all(|letter| letter == '-');
        part.starts_with(is_plain) && part.ends_with(is_plain) && part.split(is_plain).all(is_between)
    };
    (2..=256).contains(&name.len()) && name.split('/').all(is_part)
}

fn check_registry(id: Option<&str>) -> Result<(), AwsError> {
    match id {
        Some(other) if other != ACCOUNT => Err(AwsError::new(
            "AccessDeniedException",
            format!("The registry with id '{other}' is another account's: this sandbox has {ACCOUNT} only"),
        )),
        _ => Ok(()),
    }
}

/// A list that names what it wants.
fn check_named(member: &str, count: usize, most: Option<i64>, token: Option<&str>) -> Result<(), AwsError> {
    if most.is_some() || token.is_some() {
        return Err(invalid(format!("Invalid parameter: maxResults and nextToken cannot be used with {member}")));
    }
    if !(1..=100).contains(&count) {
        return Err(invalid(format!("Invalid parameter at '{member}' failed to satisfy constraint: 1 to 100 members")));
    }
    Ok(())
}

/// A page of a list whose items stand in the order of their names.
fn page<'a>(
    member: &str,
    items: impl Iterator<Item = (&'a str, Value)>,
    most: Option<i64>,
    token: Option<&str>,
) -> Result<Value, AwsError> {
    let size = usize::try_from(most.unwrap_or(100)).ok().filter(|size| (1..=1000).contains(size)).ok_or_else(|| {
        invalid("Invalid parameter at 'maxResults' failed to satisfy constraint: 'Member must be in 1..1000'")
    })?;
    let after = match token {
        Some(token) => Some(json::named_by(token).ok_or_else(|| invalid("Invalid parameter: invalid nextToken"))?),
        None => None,
    };
    let mut rest = items.filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after.as_str())).peekable();
    let (names, shown): (Vec<&str>, Vec<Value>) = rest.by_ref().take(size).unzip();
    let mut answer = Map::from_iter([(member.to_owned(), shown.into())]);
    if let Some(last) = rest.peek().and(names.last()) {
        answer.insert("nextToken".to_owned(), json::token(last).into());
    }
    Ok(Value::Object(answer))
}

fn missing(name: &str) -> AwsError {
    AwsError::new(
        "RepositoryNotFoundException",
        format!("The repository with name '{name}' does not exist in the registry with id '{ACCOUNT}'"),
    )
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

#[cfg(test)]
mod tests;
