//! The parameters under the stack's path: only changed ones are written, values are compared without being shown.
//!
//! Ownership is the tag, which `GetParametersByPath` does not tell; `DescribeParameters` filtered by it does, beside the
//! values. What AWS does oddly: a page may be empty and still not be the last; `Tags` and `Overwrite` together are
//! refused, so tags come at creation only; a parameter's type cannot be changed, so it is deleted and made anew, and
//! after a deletion the name may be unusable for half a minute.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use aws_sdk_ssm::types::{
    Parameter, ParameterStringFilter, ParameterTier, ParameterType, ResourceTypeForTagging, Tag as SsmTag,
};
use futures::{StreamExt, stream};
use secrecy::{ExposeSecret, SecretString};

use super::{Action, Change, Kind, Making, is_undecided};
use crate::cloud::{Cloud, call, pages, poll};
use crate::decide::classify::Class;
use crate::decide::names::TAG_STACK;
use crate::error::{Error, Result};
use crate::spec::{ParameterPath, Spec, WorkerName};

/// How many writes run at once; AWS takes about three a second, and its retry does the rest.
const WRITES_AT_ONCE: usize = 5;

/// AWS's limit of names in one call.
const NAMES_A_CALL: usize = 10;

/// What the parameters should be: the `.env`, or nothing where there is none.
#[derive(Debug, Clone)]
pub struct Desired {
    /// Where they stand.
    pub path: ParameterPath,
    kms_key: Option<String>,
    tags: Vec<(String, String)>,
    /// By key; `None`: there is no `.env`, what stands in Parameter Store is used as it is.
    values: Option<BTreeMap<String, Value>>,
}

/// One wished parameter.
#[derive(Debug, Clone)]
struct Value {
    text: SecretString,
    is_plain: bool,
}

/// What stands under the path.
#[derive(Debug, Clone, Default)]
pub struct Observed {
    found: BTreeMap<String, Found>,
    /// Keys whose parameters carry the stack's tag.
    owned: BTreeSet<String>,
}

#[derive(Clone)]
struct Found {
    text: SecretString,
    is_plain: bool,
}

impl fmt::Debug for Found {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Found").field("is_plain", &self.is_plain).finish_non_exhaustive()
    }
}

/// What is done about one key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Step {
    Create,
    Overwrite,
    /// Another type: delete and create.
    Retype,
    /// Tag it as ours first, then overwrite if it differs.
    Adopt {
        overwrite: bool,
    },
    Remove,
}

/// The parameters for this spec; `env` is the parsed `.env`, `None` where there is none.
#[must_use]
pub fn desired(spec: &Spec, env: Option<&BTreeMap<String, SecretString>>) -> Desired {
    let key = &spec.parameters.kms_key;
    Desired {
        path: spec.parameters.path.clone(),
        kms_key: (!key.is_aws_managed()).then(|| key.0.clone()),
        tags: super::tags(&spec.tags, &spec.name).into_iter().filter(|(key, _)| key != "Name").collect(),
        values: env.map(|env| {
            env.iter()
                .map(|(key, text)| {
                    let is_plain = spec.parameters.plain.contains(key);
                    (key.clone(), Value { text: text.clone(), is_plain })
                })
                .collect()
        }),
    }
}

/// Reads values and ownership side by side.
///
/// # Errors
/// A call's failure.
pub async fn observe(cloud: &Cloud, path: &ParameterPath, stack: &WorkerName) -> Result<Observed> {
    let (found, owned) = futures::try_join!(values(cloud, path), owned_names(cloud, stack))?;
    let owned = owned.iter().filter_map(|name| path.key_of(name)).map(str::to_owned).collect();
    Ok(Observed { found, owned })
}

/// What was read, read again where parameters seem to be somebody else's of which the `.env` says something else. Values and
/// tags are two reads: between them another run may have made a parameter, or removed it to make it of another type. What
/// is somebody else's is that in every look, and whoever adopts takes it in any case.
///
/// # Errors
/// A call's failure.
pub async fn settled(
    cloud: &Cloud,
    stack: &WorkerName,
    desired: &Desired,
    first: &Observed,
    leave: Leave,
) -> Result<Observed> {
    const LOOKS: u32 = 4;
    let (mut observed, mut looks) = (first.clone(), 0);
    let looked = poll::poll(poll::VISIBLE_SOON, async || {
        if looks > 0 {
            observed = observe(cloud, &desired.path, stack).await?;
        }
        looks += 1;
        let is_settled = leave.adopt || looks == LOOKS || !seems_foreign(desired, &observed);
        Ok::<_, Error>(if is_settled { poll::Look::Done(()) } else { poll::Look::Again })
    });
    let _ = looked.await?;
    Ok(observed)
}

fn seems_foreign(desired: &Desired, observed: &Observed) -> bool {
    let keys = desired.values.iter().flatten().map(|(key, _)| key);
    let mut foreign = keys.filter(|key| !observed.owned.contains(*key));
    foreign.any(|key| observed.found.get(key).is_some_and(|found| !is_as_wished(desired, key, found)))
}

async fn values(cloud: &Cloud, path: &ParameterPath) -> Result<BTreeMap<String, Found>> {
    let request = cloud.ssm.get_parameters_by_path().path(path.as_str()).with_decryption(true);
    let answer = pages("GetParametersByPath", request.into_paginator().page_size(10).send())
        .await
        .map_err(|failure| failure.doing(&format!("reading the parameters under {path}")))?;
    let parameters = answer.iter().flat_map(|page| page.parameters());
    Ok(parameters
        .filter_map(|parameter| {
            let key = parameter.name().and_then(|name| path.key_of(name))?;
            Some((key.to_owned(), read(parameter)))
        })
        .collect())
}

/// One value; `None` where it is not there, or where nobody may look at one.
async fn value(cloud: &Cloud, name: &str) -> Result<Option<Found>> {
    let request = cloud.ssm.get_parameters().names(name).with_decryption(true);
    match call("GetParameters", request.send()).await {
        Ok(answer) => Ok(answer.parameters().first().map(read)),
        Err(failure) if failure.class == Class::Access => Ok(None),
        Err(failure) => Err(failure.doing(&format!("reading the parameter {name}"))),
    }
}

fn read(parameter: &Parameter) -> Found {
    let is_plain = parameter.r#type() != Some(&ParameterType::SecureString);
    Found { text: SecretString::from(parameter.value().unwrap_or_default()), is_plain }
}

/// Full names of every parameter that carries the stack's tag, wherever it stands.
///
/// # Errors
/// A call's failure.
pub async fn owned_names(cloud: &Cloud, stack: &WorkerName) -> Result<BTreeSet<String>> {
    let by_tag = ParameterStringFilter::builder()
        .key(format!("tag:{TAG_STACK}"))
        .option("Equals")
        .values(stack.as_str())
        .build()
        .map_err(|error| Error::usage(error.to_string()))?;
    let request = cloud.ssm.describe_parameters().parameter_filters(by_tag);
    let found = pages("DescribeParameters", request.into_paginator().page_size(50).send())
        .await
        .map_err(|failure| failure.doing(&format!("looking for the parameters of stack `{stack}`")))?;
    let names = found.iter().flat_map(|page| page.parameters());
    Ok(names.filter_map(|found| found.name().map(str::to_owned)).collect())
}

/// How the user wants the doubtful ones treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Leave {
    /// Untagged parameters become ours.
    pub adopt: bool,
    /// Keys that vanished from the `.env` are removed.
    pub prune: bool,
}

/// The changes, and keys that vanished from the `.env` and stay.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    /// One a key that is to be written or removed.
    pub changes: Vec<Change>,
    /// Ours, not in the `.env`, kept because nobody said `--prune`.
    pub vanished: Vec<String>,
    steps: Vec<(String, Step)>,
}

/// What differs.
///
/// # Errors
/// The `.env` differs from a parameter that is not ours.
pub fn diff(desired: &Desired, observed: &Observed, leave: Leave) -> Result<Diff> {
    let mut diff = Diff::default();
    let Some(values) = &desired.values else { return Ok(diff) };
    let mut foreign = Vec::new();
    for (key, value) in values {
        let kind = if value.is_plain { "String" } else { "SecureString" };
        let (step, action, reason) = match observed.found.get(key) {
            None => (Step::Create, Action::Create, format!("not there; {kind}")),
            Some(found) => {
                let same_text = found.text.expose_secret() == value.text.expose_secret();
                let same_type = found.is_plain == value.is_plain;
                match (observed.owned.contains(key), same_text && same_type) {
                    (true, true) => continue,
                    // Used, not owned: fine as long as the file says nothing else.
                    (false, true) if !leave.adopt => continue,
                    (false, false) if !leave.adopt => {
                        foreign.push(key.as_str());
                        continue;
                    }
                    (true, false) if !same_type => (
                        Step::Retype,
                        Action::Replace,
                        format!("becomes a {kind}; a parameter's type cannot be changed"),
                    ),
                    (true, false) => (Step::Overwrite, Action::Update, "the value differs".to_owned()),
                    (false, same) if same || same_type => {
                        let reason = if same { "adopted" } else { "adopted; the value differs" };
                        (Step::Adopt { overwrite: !same }, Action::Update, reason.to_owned())
                    }
                    (false, _) => (Step::Retype, Action::Replace, format!("adopted; becomes a {kind}")),
                }
            }
        };
        diff.changes.push(Change::new(Kind::Parameter, desired.path.name_of(key), action, reason));
        diff.steps.push((key.clone(), step));
    }
    if let Some(first) = foreign.first() {
        let path = &desired.path;
        return Err(Error::usage(format!(
            "the parameter{} {} under {path} differ{} from the `.env` and {} not this stack's",
            if foreign.len() == 1 { "" } else { "s" },
            foreign.iter().map(|key| format!("`{key}`")).collect::<Vec<_>>().join(", "),
            if foreign.len() == 1 { "s" } else { "" },
            if foreign.len() == 1 { "is" } else { "are" },
        ))
        .hint("to make them this stack's, and write the `.env`'s values: spotctl apply --adopt")
        .hint(format!("or to keep what is there, remove {first} from the `.env`")));
    }
    for key in observed.owned.iter().filter(|key| observed.found.contains_key(*key) && !values.contains_key(*key)) {
        if leave.prune {
            let reason = "not in the `.env` any more";
            diff.changes.push(Change::new(Kind::Parameter, desired.path.name_of(key), Action::Delete, reason));
            diff.steps.push((key.clone(), Step::Remove));
        } else {
            diff.vanished.push(key.clone());
        }
    }
    Ok(diff)
}

/// The values that may be printed: plain ones, as they will be after `apply`. For `${X}` in policy and image.
#[must_use]
pub fn plain_values(desired: &Desired, observed: &Observed, plain: &BTreeSet<String>) -> BTreeMap<String, String> {
    let wished = |key: &str| desired.values.as_ref().and_then(|values| values.get(key)).map(|value| &value.text);
    let found = |key: &str| observed.found.get(key).map(|found| &found.text);
    plain
        .iter()
        .filter_map(|key| Some((key.clone(), wished(key).or_else(|| found(key))?.expose_secret().to_owned())))
        .collect()
}

/// Keys whose value is nothing but white space, as it will be after `apply`. Parameter Store takes no empty one.
#[must_use]
pub fn blank(desired: &Desired, observed: &Observed) -> Vec<String> {
    let wished = |key: &str| desired.values.as_ref().and_then(|values| values.get(key)).map(|value| &value.text);
    let found = |key: &str| observed.found.get(key).map(|found| &found.text);
    let text = |key: &str| wished(key).or_else(|| found(key));
    let is_blank = |key: &String| text(key).is_some_and(|text| text.expose_secret().trim().is_empty());
    keys(desired, observed).into_iter().filter(is_blank).collect()
}

/// Every key that a worker will find.
#[must_use]
pub fn keys(desired: &Desired, observed: &Observed) -> BTreeSet<String> {
    let wished = desired.values.iter().flat_map(|values| values.keys());
    observed.found.keys().chain(wished).cloned().collect()
}

/// One row of `params list`: what is there, never its value.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Row {
    /// The key.
    pub key: String,
    /// Full name.
    pub name: String,
    /// `String` or `SecureString`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Whether it carries the stack's tag.
    pub owned: bool,
    /// Bytes of its value.
    pub bytes: usize,
}

/// What stands under the path, without values.
#[must_use]
pub fn rows(path: &ParameterPath, observed: &Observed) -> Vec<Row> {
    observed
        .found
        .iter()
        .map(|(key, found)| Row {
            key: key.clone(),
            name: path.name_of(key),
            kind: if found.is_plain { "String" } else { "SecureString" },
            owned: observed.owned.contains(key),
            bytes: found.text.expose_secret().len(),
        })
        .collect()
}

/// Writes and removes what the diff says, several at once. `told` hears how each stands. What is deleted goes first and
/// together: AWS may keep its names back for half a minute, which is then waited for once and not for each.
///
/// # Errors
/// The first call's failure, after those under way have ended.
pub async fn apply(cloud: &Cloud, desired: &Desired, diff: &Diff, told: impl Fn(&Change, Making<'_>)) -> Result<()> {
    let goes = diff.steps.iter().filter(|(_, step)| matches!(step, Step::Retype | Step::Remove));
    let goes: Vec<String> = goes.map(|(key, _)| desired.path.name_of(key)).collect();
    delete(cloud, &goes, |_| ()).await?;
    let work = diff.steps.iter().zip(&diff.changes).map(|((key, step), change)| {
        let told = &told;
        async move {
            if matches!(step, Step::Create | Step::Retype) {
                told(change, Making::Asked);
            }
            let taken = take(cloud, desired, key, *step).await;
            match &taken {
                Ok(()) => told(change, Making::Made(None)),
                Err(error) if is_undecided(error) => {}
                Err(_) => told(change, Making::Refused),
            }
            taken
        }
    });
    let results: Vec<Result<()>> = stream::iter(work).buffer_unordered(WRITES_AT_ONCE).collect().await;
    results.into_iter().collect()
}

async fn take(cloud: &Cloud, desired: &Desired, key: &str, step: Step) -> Result<()> {
    match step {
        Step::Create => create(cloud, desired, key).await,
        Step::Overwrite => overwrite(cloud, desired, key).await,
        Step::Adopt { overwrite: differs } => {
            tag(cloud, desired, key).await?;
            if differs { overwrite(cloud, desired, key).await } else { Ok(()) }
        }
        Step::Retype => create_again(cloud, desired, key).await,
        // It went before.
        Step::Remove => Ok(()),
    }
}

/// Creates; where another run was first, overwrites, since both carry the same `.env`.
async fn create(cloud: &Cloud, desired: &Desired, key: &str) -> Result<()> {
    match send(cloud, desired, key, false).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.class == Class::AlreadyExists => overwrite(cloud, desired, key).await,
        Err(failure) => Err(failure.doing(&format!("writing the parameter {}", desired.path.name_of(key)))),
    }
}

/// Overwrites; where another run has just made it of another type, which AWS does not change, it goes first. Where another
/// run has just removed it, this has made it anew, and an overwriting call takes no tags.
async fn overwrite(cloud: &Cloud, desired: &Desired, key: &str) -> Result<()> {
    match send(cloud, desired, key, true).await {
        // Another run has just removed it. What overwrites can carry no tags, and without them it would be nobody's.
        Ok(FIRST) => tag(cloud, desired, key).await,
        Ok(_) => Ok(()),
        Err(failure) if failure.code.as_deref() == Some(OTHER_TYPE) => {
            delete(cloud, &[desired.path.name_of(key)], |_| ()).await?;
            create_again(cloud, desired, key).await
        }
        Err(failure) => Err(failure.doing(&format!("writing the parameter {}", desired.path.name_of(key)))),
    }
}

/// The version of a parameter that was not there.
const FIRST: i64 = 1;

/// How Parameter Store refuses a `String` where a `SecureString` stands, and the other way round.
const OTHER_TYPE: &str = "HierarchyTypeMismatchException";

/// Creates what was deleted a moment ago: AWS may keep the name back for half a minute. It says the same where the SDK
/// repeats a call whose answer was lost, so what stands there is looked at: by its name, since many may wait here. What
/// another run has put there meanwhile goes the same way.
async fn create_again(cloud: &Cloud, desired: &Desired, key: &str) -> Result<()> {
    let created = poll::poll(poll::RELEASED_SOON, async || match send(cloud, desired, key, false).await {
        Ok(_) => Ok(poll::Look::Done(())),
        Err(failure) if failure.class == Class::AlreadyExists => {
            let name = desired.path.name_of(key);
            match value(cloud, &name).await? {
                Some(found) if is_as_wished(desired, key, &found) => return Ok(poll::Look::Done(())),
                Some(_) => delete(cloud, &[name], |_| ()).await?,
                None => {}
            }
            Ok(poll::Look::Again)
        }
        Err(failure) => Err(failure.doing(&format!("writing the parameter {}", desired.path.name_of(key)))),
    });
    match created.await? {
        Ok(()) => Ok(()),
        // Boxed, since that may come here again.
        Err(poll::TimedOut) => Box::pin(overwrite(cloud, desired, key)).await,
    }
}

fn is_as_wished(desired: &Desired, key: &str, found: &Found) -> bool {
    let wished = desired.values.as_ref().and_then(|values| values.get(key));
    wished.is_some_and(|wished| {
        wished.is_plain == found.is_plain && wished.text.expose_secret() == found.text.expose_secret()
    })
}

/// Writes it and answers its version.
async fn send(cloud: &Cloud, desired: &Desired, key: &str, overwrite: bool) -> Result<i64, crate::cloud::Failure> {
    let Some(value) = desired.values.as_ref().and_then(|values| values.get(key)) else { return Ok(0) };
    let kind = if value.is_plain { ParameterType::String } else { ParameterType::SecureString };
    let mut request = cloud
        .ssm
        .put_parameter()
        .name(desired.path.name_of(key))
        .value(value.text.expose_secret())
        .r#type(kind)
        .tier(ParameterTier::Standard);
    if !value.is_plain {
        request = request.set_key_id(desired.kms_key.clone());
    }
    request = if overwrite {
        request.overwrite(true)
    } else {
        desired
            .tags
            .iter()
            .filter_map(|(key, value)| ssm_tag(key, value))
            .fold(request, aws_sdk_ssm::operation::put_parameter::builders::PutParameterFluentBuilder::tags)
    };
    call("PutParameter", request.send()).await.map(|answer| answer.version())
}

fn ssm_tag(key: &str, value: &str) -> Option<SsmTag> {
    SsmTag::builder().key(key).value(value).build().ok()
}

async fn tag(cloud: &Cloud, desired: &Desired, key: &str) -> Result<()> {
    let name = desired.path.name_of(key);
    let request = cloud
        .ssm
        .add_tags_to_resource()
        .resource_type(ResourceTypeForTagging::Parameter)
        .resource_id(&name)
        .set_tags(Some(desired.tags.iter().filter_map(|(key, value)| ssm_tag(key, value)).collect()));
    call("AddTagsToResource", request.send())
        .await
        .map(drop)
        .map_err(|failure| failure.doing(&format!("tagging the parameter {name}")))
}

/// Removes parameters by full name; one that is gone already is as good as removed. `told` hears of each that went.
///
/// # Errors
/// The first call's failure, after all were tried.
pub async fn delete(cloud: &Cloud, names: &[String], mut told: impl FnMut(&str)) -> Result<()> {
    let calls = names.chunks(NAMES_A_CALL).map(async |some| {
        let request = cloud.ssm.delete_parameters().set_names(Some(some.to_vec()));
        (some, call("DeleteParameters", request.send()).await)
    });
    let mut answers = stream::iter(calls).buffer_unordered(WRITES_AT_ONCE);
    let mut deleted = Ok(());
    while let Some((some, answer)) = answers.next().await {
        match answer {
            Ok(_) => some.iter().for_each(|name| told(name)),
            Err(failure) => {
                deleted = deleted.and(Err(failure.doing(&format!("deleting the parameters {}", some.join(", ")))));
            }
        }
    }
    deleted
}

#[cfg(test)]
mod tests;
