//! Making, finding, listing, setting and deleting queues.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::settings::{Settings, is_not_modelled, unknown};
use super::{Place, Queue, find, invalid, missing, name_in, url, within};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::json;
use crate::sandbox::world::ACCOUNT;

/// Milliseconds for which a deleted queue's name stays taken, and between two purges.
const A_MINUTE: i64 = 60_000;
/// Queues that one answer lists.
const MOST_LISTED: usize = 1000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Create {
    queue_name: String,
    #[serde(default)]
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct UrlOf {
    queue_name: String,
    #[serde(rename = "QueueOwnerAWSAccountId")]
    owner: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct List {
    queue_name_prefix: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetAttributes {
    queue_url: String,
    #[serde(default)]
    attribute_names: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SetAttributes {
    queue_url: String,
    attributes: BTreeMap<String, String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Named {
    queue_url: String,
}

pub(super) fn create(call: &mut Call<'_>, input: &Create) -> Result<Value, AwsError> {
    let name = &input.queue_name;
    check_name(name)?;
    let mut settings = Settings::default();
    for (name, value) in &input.attributes {
        settings.set(name, value)?;
    }
    let now = call.now.as_millisecond();
    let state = &mut call.world.region(&call.region).sqs;
    if let Some(queue) = state.queues.get(name) {
        // What is left out may differ: only what is asked for must be so.
        let mut wanted = queue.settings.clone();
        for (name, value) in &input.attributes {
            wanted.set(name, value)?;
            if wanted != queue.settings {
                return Err(AwsError::new(
                    "QueueNameExists",
                    format!("A queue already exists with the same name and a different value for attribute {name}"),
                ));
            }
        }
        return Ok(json!({ "QueueUrl": url(&call.region, name) }));
    }
    state.deleted_at.retain(|_, deleted_at| *deleted_at + A_MINUTE > now);
    if state.deleted_at.contains_key(name) {
        return Err(AwsError::new(
            "QueueDeletedRecently",
            "You must wait 60 seconds after deleting a queue before you can create another with the same name.",
        ));
    }
    let queue = Queue { settings, created_at: now, modified_at: now, purged_at: None, messages: Vec::new() };
    state.queues.insert(name.clone(), queue);
    Ok(json!({ "QueueUrl": url(&call.region, name) }))
}

fn check_name(name: &str) -> Result<(), AwsError> {
    if name.rsplit_once('.').is_some_and(|(_, kind)| kind == "fifo") {
        return Err(AwsError::new(
            "UnsupportedOperation",
            format!("The queue {name} would be a FIFO queue: this sandbox has standard queues only"),
        ));
    }
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    if name.is_empty() || name.len() > 80 || !name.chars().all(is_allowed) {
        return Err(invalid("Can only include alphanumeric characters, hyphens, or underscores. 1 to 80 in length"));
    }
    Ok(())
}

pub(super) fn url_of(call: &mut Call<'_>, input: &UrlOf) -> Result<Value, AwsError> {
    let is_ours = input.owner.as_deref().is_none_or(|owner| owner == ACCOUNT);
    let queues = &call.world.region(&call.region).sqs.queues;
    if !is_ours || !queues.contains_key(&input.queue_name) {
        return Err(missing());
    }
    Ok(json!({ "QueueUrl": url(&call.region, &input.queue_name) }))
}

/// Without `MaxResults` AWS cuts the list at its most and gives no token.
pub(super) fn list(call: &mut Call<'_>, input: &List) -> Result<Value, AwsError> {
    let asked = within("MaxResults", input.max_results, 1, 1000)?;
    let size = asked.and_then(|size| usize::try_from(size).ok()).unwrap_or(MOST_LISTED);
    let after = match &input.next_token {
        Some(token) => Some(json::named_by(token).ok_or_else(|| invalid("Invalid or expired next token."))?),
        None => None,
    };
    let queues = &call.world.region(&call.region).sqs.queues;
    let mut found = queues
        .keys()
        .filter(|name| input.queue_name_prefix.as_ref().is_none_or(|prefix| name.starts_with(prefix)))
        .filter(|name| after.as_ref().is_none_or(|after| *name > after))
        .peekable();
    let shown: Vec<&String> = found.by_ref().take(size).collect();
    let last = found.peek().and(shown.last()).filter(|_| asked.is_some());
    let mut answer = Map::new();
    if !shown.is_empty() {
        answer.insert("QueueUrls".to_owned(), shown.iter().map(|name| url(&call.region, name)).collect());
    }
    if let Some(last) = last {
        answer.insert("NextToken".to_owned(), json::token(last).into());
    }
    Ok(Value::Object(answer))
}

pub(super) fn attributes(call: &mut Call<'_>, input: &GetAttributes) -> Result<Value, AwsError> {
    let (region, now) = (call.region.clone(), call.now);
    let name = name_in(&input.queue_url)?;
    let queue = find(call, &input.queue_url)?;
    let count = |place| queue.messages.iter().filter(|message| message.place(now) == place).count().to_string();
    let mut has = vec![
        ("QueueArn", format!("arn:aws:sqs:{region}:{ACCOUNT}:{name}")),
        ("ApproximateNumberOfMessages", count(Place::Visible)),
        ("ApproximateNumberOfMessagesNotVisible", count(Place::InFlight)),
        ("ApproximateNumberOfMessagesDelayed", count(Place::Delayed)),
        ("CreatedTimestamp", (queue.created_at / 1000).to_string()),
        ("LastModifiedTimestamp", (queue.modified_at / 1000).to_string()),
    ];
    has.extend(queue.settings.shown());
    let is_known = |asked: &str| asked == "All" || is_not_modelled(asked) || has.iter().any(|(name, _)| *name == asked);
    if let Some(other) = input.attribute_names.iter().find(|asked| !is_known(asked)) {
        return Err(unknown(other));
    }
    let is_asked = |name: &str| input.attribute_names.iter().any(|asked| asked == name || asked == "All");
    let asked: Map<String, Value> = has
        .into_iter()
        .filter(|(name, _)| is_asked(name))
        .map(|(name, value)| (name.to_owned(), value.into()))
        .collect();
    Ok(if asked.is_empty() { json!({}) } else { json!({ "Attributes": asked }) })
}

pub(super) fn set_attributes(call: &mut Call<'_>, input: &SetAttributes) -> Result<Value, AwsError> {
    let now = call.now.as_millisecond();
    let queue = find(call, &input.queue_url)?;
    for (name, value) in &input.attributes {
        queue.settings.set(name, value)?;
    }
    queue.modified_at = now;
    Ok(json!({}))
}

pub(super) fn purge(call: &mut Call<'_>, input: &Named) -> Result<Value, AwsError> {
    let now = call.now.as_millisecond();
    let name = name_in(&input.queue_url)?;
    let queue = find(call, &input.queue_url)?;
    if queue.purged_at.is_some_and(|purged_at| purged_at + A_MINUTE > now) {
        let message = format!("Only one PurgeQueue operation on {name} is allowed every 60 seconds.");
        return Err(AwsError::new("PurgeQueueInProgress", message).status(403));
    }
    queue.messages.clear();
    queue.purged_at = Some(now);
    Ok(json!({}))
}

pub(super) fn delete(call: &mut Call<'_>, input: &Named) -> Result<Value, AwsError> {
    let name = name_in(&input.queue_url)?;
    let state = &mut call.world.region(&call.region).sqs;
    state.queues.remove(name).ok_or_else(missing)?;
    state.deleted_at.insert(name.to_owned(), call.now.as_millisecond());
    Ok(json!({}))
}
