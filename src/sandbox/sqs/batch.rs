//! Batches: up to ten messages in one request. A batch that is ill-formed is refused as a whole; an entry that is, fails
//! alone, and the answer is a success all the same.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use serde_json::{Value, json};

use super::attributes::Attribute;
use super::receive::remove;
use super::send::{Parcel, post};
use super::{find, query_code};
use crate::sandbox::call::{AwsError, Call};

/// Entries of a batch.
const MOST: usize = 10;
/// Bytes of a batch of messages.
const LARGEST: usize = 1_048_576;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct SendMany {
    queue_url: String,
    entries: Vec<SendEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct SendEntry {
    id: String,
    message_body: String,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Attribute>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteMany {
    queue_url: String,
    entries: Vec<DeleteEntry>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DeleteEntry {
    id: String,
    receipt_handle: String,
}

pub(super) fn send(call: &mut Call<'_>, input: SendMany) -> Result<Value, AwsError> {
    find(call, &input.queue_url)?;
    let parcels: Vec<(String, Parcel)> = input.entries.into_iter().map(parcel).collect();
    check(parcels.iter().map(|(id, _)| id.as_str()), "SendMessageBatchRequestEntry")?;
    let size: usize = parcels.iter().map(|(_, parcel)| parcel.size()).sum();
    if size > LARGEST {
        return Err(AwsError::new(
            "BatchRequestTooLong",
            format!("Batch requests cannot be longer than {LARGEST} bytes. You have sent {size} bytes."),
        ));
    }
    let done = parcels.into_iter().map(|(id, parcel)| (id, post(call, &input.queue_url, parcel)));
    Ok(answer(done))
}

fn parcel(entry: SendEntry) -> (String, Parcel) {
    let attributes = entry.message_attributes;
    (entry.id, Parcel { body: entry.message_body, delay: entry.delay_seconds, attributes })
}

pub(super) fn delete(call: &mut Call<'_>, input: DeleteMany) -> Result<Value, AwsError> {
    find(call, &input.queue_url)?;
    check(input.entries.iter().map(|entry| entry.id.as_str()), "DeleteMessageBatchRequestEntry")?;
    let done = input.entries.into_iter().map(|entry| {
        let removed = remove(call, &input.queue_url, &entry.receipt_handle);
        (entry.id, removed.map(|()| json!({})))
    });
    Ok(answer(done))
}

fn check<'a>(ids: impl ExactSizeIterator<Item = &'a str>, kind: &str) -> Result<(), AwsError> {
    if ids.len() == 0 {
        let message = format!("There should be at least one {kind} in the request.");
        return Err(AwsError::new("EmptyBatchRequest", message));
    }
    if ids.len() > MOST {
        let message = format!("Maximum number of entries per request are {MOST}. You have sent {}.", ids.len());
        return Err(AwsError::new("TooManyEntriesInBatchRequest", message));
    }
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "-_".contains(letter);
    let mut seen = BTreeSet::new();
    for id in ids {
        if id.is_empty() || id.len() > 80 || !id.chars().all(is_allowed) {
            return Err(AwsError::new(
                "InvalidBatchEntryId",
                "A batch entry id can only contain alphanumeric characters, hyphens and underscores. It can be at most 80 \
                 letters long.",
            ));
        }
        if !seen.insert(id) {
            return Err(AwsError::new("BatchEntryIdsNotDistinct", format!("Id {id} repeated.")));
        }
    }
    Ok(())
}

fn answer(done: impl Iterator<Item = (String, Result<Value, AwsError>)>) -> Value {
    let (mut successful, mut failed) = (Vec::new(), Vec::new());
    for (id, result) in done {
        match result {
            Ok(mut said) => {
                said["Id"] = id.into();
                successful.push(said);
            }
            Err(error) => failed.push(json!({
                "Id": id, "SenderFault": true, "Code": query_code(&error.code), "Message": error.message,
            })),
        }
    }
    json!({ "Successful": successful, "Failed": failed })
}
