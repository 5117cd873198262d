//! Simple Queue Service: standard queues and their messages.
//!
//! It owns the queues of a region, their settings and their messages. It must not know who works on a queue. A message moves
//! by the clock: whether it is delayed, visible, in flight or past its retention is computed at each request, nothing runs in
//! between. Its order is the order of sending, which AWS does not promise; no message comes twice unless its visibility ends,
//! which AWS does not promise either.
//!
//! Long polling is not modelled: `WaitTimeSeconds` is checked and answered at once, for a request holds the whole state while
//! it is answered. FIFO queues are refused.
//!
//! Odd in AWS: each refusal has two codes, that of the JSON protocol and that of the query protocol before it, and clients go
//! by the older one. A queue's name stays taken for a minute after its deletion, and a queue is purged once a minute. A list
//! of queues or messages is left out of the answer when it is empty. Deleting a message that is gone succeeds, and so does
//! deleting with a receipt handle that a later receive outdated, which deletes nothing. A message whose visibility has ended, but which nobody has received
//! since, can still be hidden again; one that was given back by a timeout of 0 cannot.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::call::{AwsError, Call};
use super::store::delta::whole;
use super::wire::json;
use super::world::ACCOUNT;

mod attributes;
mod batch;
mod queues;
mod receipt;
mod receive;
mod send;
mod settings;

pub use attributes::Attribute;
pub use settings::Settings;

/// Queues of one region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// By name.
    pub queues: BTreeMap<String, Queue>,
    /// Milliseconds, by the name of a queue that is gone.
    pub deleted_at: BTreeMap<String, i64>,
}

whole!(State);

/// A standard queue.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Queue {
    /// What its owner may set.
    pub settings: Settings,
    /// Milliseconds.
    pub created_at: i64,
    /// Milliseconds; of the settings.
    pub modified_at: i64,
    /// Milliseconds.
    pub purged_at: Option<i64>,
    /// In the order of sending.
    pub messages: Vec<Message>,
}

/// A message.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// Its id.
    pub id: String,
    /// Its text.
    pub body: String,
    /// By name.
    pub attributes: BTreeMap<String, Attribute>,
    /// Milliseconds.
    pub sent_at: i64,
    /// Milliseconds; it is delayed until then.
    pub available_at: i64,
    /// How often it was received.
    pub receives: u32,
    /// Milliseconds.
    pub first_received_at: Option<i64>,
    /// Since its last receive, unless it was given back.
    pub flight: Option<Flight>,
}

/// A message in somebody's hands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Flight {
    /// Milliseconds.
    pub since: i64,
    /// Milliseconds; everybody sees it again then.
    pub until: i64,
}

/// Where a message is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Delayed,
    InFlight,
    Visible,
}

impl Message {
    fn place(&self, now: Timestamp) -> Place {
        let now = now.as_millisecond();
        if self.available_at > now {
            Place::Delayed
        } else if self.flight.is_some_and(|flight| flight.until > now) {
            Place::InFlight
        } else {
            Place::Visible
        }
    }
}

/// Answers one SQS call.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, body: &[u8]) -> Result<Value, AwsError> {
    match call.operation.as_str() {
        "CreateQueue" => queues::create(call, &json::input(body)?),
        "GetQueueUrl" => queues::url_of(call, &json::input(body)?),
        "ListQueues" => queues::list(call, &json::input(body)?),
        "GetQueueAttributes" => queues::attributes(call, &json::input(body)?),
        "SetQueueAttributes" => queues::set_attributes(call, &json::input(body)?),
        "PurgeQueue" => queues::purge(call, &json::input(body)?),
        "DeleteQueue" => queues::delete(call, &json::input(body)?),
        "SendMessage" => send::send(call, json::input(body)?),
        "SendMessageBatch" => batch::send(call, json::input(body)?),
        "ReceiveMessage" => receive::receive(call, &json::input(body)?),
        "ChangeMessageVisibility" => receive::change_visibility(call, &json::input(body)?),
        "DeleteMessage" => receive::delete(call, &json::input(body)?),
        "DeleteMessageBatch" => batch::delete(call, json::input(body)?),
        other => Err(AwsError::unknown_operation(other)),
    }
}

/// The code that the query protocol had for this one.
#[must_use]
pub fn query_code(code: &str) -> String {
    match code {
        "QueueDoesNotExist" => "AWS.SimpleQueueService.NonExistentQueue".to_owned(),
        "QueueNameExists" => "QueueAlreadyExists".to_owned(),
        "InvalidParameterValueException" => "InvalidParameterValue".to_owned(),
        "MissingRequiredParameterException" => "MissingParameter".to_owned(),
        "BatchEntryIdsNotDistinct"
        | "BatchRequestTooLong"
        | "EmptyBatchRequest"
        | "InvalidBatchEntryId"
        | "MessageNotInflight"
        | "PurgeQueueInProgress"
        | "QueueDeletedRecently"
        | "TooManyEntriesInBatchRequest"
        | "UnsupportedOperation" => format!("AWS.SimpleQueueService.{code}"),
        other => other.to_owned(),
    }
}

/// The URL that a queue goes by.
fn url(region: &str, name: &str) -> String {
    format!("https://sqs.{region}.amazonaws.com/{ACCOUNT}/{name}")
}

/// The queue of a URL, without the messages that its retention has ended. Whatever host the URL names, its last two parts
/// are the account and the queue: a client of a served sandbox may write that one's address.
fn find<'a>(call: &'a mut Call<'_>, url: &str) -> Result<&'a mut Queue, AwsError> {
    let name = name_in(url)?.to_owned();
    let queue = call.world.region(&call.region).sqs.queues.get_mut(&name).ok_or_else(missing)?;
    let kept_since = call.now.as_millisecond() - queue.settings.message_retention_period * 1000;
    queue.messages.retain(|message| message.sent_at > kept_since);
    Ok(queue)
}

fn name_in(url: &str) -> Result<&str, AwsError> {
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/')).map(|(_, path)| path);
    let mut parts = path.unwrap_or_default().rsplit('/');
    match (parts.next(), parts.next()) {
        (Some(name), Some(ACCOUNT)) => Ok(name),
        (Some(name), Some(account)) if !name.is_empty() && account.len() == ACCOUNT.len() => Err(missing()),
        _ => {
            Err(AwsError::new("InvalidAddress", format!("The address {url} is not valid for this endpoint."))
                .status(404))
        }
    }
}

fn missing() -> AwsError {
    AwsError::new("QueueDoesNotExist", "The specified queue does not exist.")
}

fn invalid(message: impl Into<String>) -> AwsError {
    AwsError::new("InvalidParameterValueException", message)
}

/// A number that may be left out, within its bounds.
fn within(name: &str, value: Option<i64>, least: i64, most: i64) -> Result<Option<i64>, AwsError> {
    match value {
        Some(value) if !(least..=most).contains(&value) => Err(invalid(format!(
            "Value {value} for parameter {name} is invalid. Reason: Must be between {least} and {most}, if provided."
        ))),
        value => Ok(value),
    }
}

#[cfg(test)]
mod tests;
