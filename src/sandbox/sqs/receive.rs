//! Receiving messages, and what may be done with one in hand: hiding it longer, giving it back, deleting it.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Flight, Message, Place, attributes, find, invalid, name_in, receipt, settings, within};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::sts::USER_ID;

/// Seconds that a message can be hidden, from its receive on.
const LONGEST: i64 = 43_200;
/// What AWS can say of a message, in `All` if it is so; messages here have no more than `said_of` says.
const SYSTEM: [&str; 10] = [
    "AWSTraceHeader",
    "All",
    "ApproximateFirstReceiveTimestamp",
    "ApproximateReceiveCount",
    "DeadLetterQueueSourceArn",
    "MessageDeduplicationId",
    "MessageGroupId",
    "SenderId",
    "SentTimestamp",
    "SequenceNumber",
];

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Receive {
    queue_url: String,
    /// The older name of the next one.
    #[serde(default)]
    attribute_names: Vec<String>,
    #[serde(default)]
    message_system_attribute_names: Vec<String>,
    #[serde(default)]
    message_attribute_names: Vec<String>,
    max_number_of_messages: Option<i64>,
    visibility_timeout: Option<i64>,
    wait_time_seconds: Option<i64>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ChangeVisibility {
    queue_url: String,
    receipt_handle: String,
    visibility_timeout: i64,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Delete {
    queue_url: String,
    receipt_handle: String,
}

pub(super) fn receive(call: &mut Call<'_>, input: &Receive) -> Result<Value, AwsError> {
    let now = call.now;
    let name = name_in(&input.queue_url)?;
    let queue = find(call, &input.queue_url)?;
    let most = within("MaxNumberOfMessages", input.max_number_of_messages, 1, 10)?.unwrap_or(1);
    let hidden = within("VisibilityTimeout", input.visibility_timeout, 0, LONGEST)?;
    within("WaitTimeSeconds", input.wait_time_seconds, 0, 20)?;
    let system = [input.attribute_names.as_slice(), input.message_system_attribute_names.as_slice()].concat();
    if let Some(other) = system.iter().find(|name| !SYSTEM.contains(&name.as_str())) {
        return Err(settings::unknown(other));
    }
    let (since, created_at) = (now.as_millisecond(), queue.created_at);
    let until = since + hidden.unwrap_or(queue.settings.visibility_timeout) * 1000;
    let visible = queue.messages.iter_mut().filter(|message| message.place(now) == Place::Visible);
    let taken: Vec<Value> = visible
        .take(usize::try_from(most).unwrap_or_default())
        .map(|message| {
            message.receives += 1;
            message.first_received_at.get_or_insert(since);
            message.flight = Some(Flight { since, until });
            shown(message, &receipt::made_for(name, created_at, message), &system, &input.message_attribute_names)
        })
        .collect();
    Ok(if taken.is_empty() { json!({}) } else { json!({ "Messages": taken }) })
}

fn shown(message: &Message, handle: &str, system: &[String], names: &[String]) -> Value {
    let mut shown = json!({
        "MessageId": message.id,
        "ReceiptHandle": handle,
        "MD5OfBody": attributes::digest_of(&message.body),
        "Body": message.body,
    });
    let is_asked = |name: &str| system.iter().any(|asked| asked == "All" || asked == name);
    let said: Map<String, Value> = said_of(message)
        .into_iter()
        .filter(|(name, _)| is_asked(name))
        .map(|(n, v)| (n.to_owned(), v.into()))
        .collect();
    if !said.is_empty() {
        shown["Attributes"] = said.into();
    }
    let asked = attributes::asked(&message.attributes, names);
    if !asked.is_empty() {
        // Of what is handed out, not of what was sent.
        shown["MD5OfMessageAttributes"] = attributes::digest(&asked).into();
        shown["MessageAttributes"] = json!(asked);
    }
    shown
}

fn said_of(message: &Message) -> [(&'static str, String); 4] {
    [
        ("SenderId", USER_ID.to_owned()),
        ("SentTimestamp", message.sent_at.to_string()),
        ("ApproximateReceiveCount", message.receives.to_string()),
        ("ApproximateFirstReceiveTimestamp", message.first_received_at.unwrap_or_default().to_string()),
    ]
}

pub(super) fn change_visibility(call: &mut Call<'_>, input: &ChangeVisibility) -> Result<Value, AwsError> {
    let now = call.now.as_millisecond();
    let name = name_in(&input.queue_url)?;
    let queue = find(call, &input.queue_url)?;
    let held = receipt::read(&input.receipt_handle, name, queue.created_at)?;
    let refuse = |reason: &str| {
        invalid(format!("Value {} for parameter ReceiptHandle is invalid. Reason: {reason}", input.receipt_handle))
    };
    let seconds = input.visibility_timeout;
    if !(0..=LONGEST).contains(&seconds) {
        return Err(invalid(format!(
            "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: VisibilityTimeout must be an integer between 0 \
             and {LONGEST}."
        )));
    }
    let message = held
        .holds(queue)
        .ok_or_else(|| refuse("Message does not exist or is not available for visibility timeout change."))?;
    let Some(flight) = message.flight else {
        return Err(AwsError::new("MessageNotInflight", "The specified message isn't in flight."));
    };
    let until = now + seconds * 1000;
    if until > flight.since + LONGEST * 1000 {
        return Err(invalid(format!(
            "Value {seconds} for parameter VisibilityTimeout is invalid. Reason: Total VisibilityTimeout for the message is \
             beyond the limit [{LONGEST} seconds]."
        )));
    }
    message.flight = (seconds > 0).then_some(Flight { until, ..flight });
    Ok(json!({}))
}

pub(super) fn delete(call: &mut Call<'_>, input: &Delete) -> Result<Value, AwsError> {
    remove(call, &input.queue_url, &input.receipt_handle)?;
    Ok(json!({}))
}

/// Deletes the message in hand; one that is gone, or in other hands by now, is none.
pub(super) fn remove(call: &mut Call<'_>, url: &str, handle: &str) -> Result<(), AwsError> {
    let name = name_in(url)?;
    let queue = find(call, url)?;
    let held = receipt::read(handle, name, queue.created_at)?;
    if let Some(gone) = held.holds(queue).map(|message| message.id.clone()) {
        queue.messages.retain(|message| message.id != gone);
    }
    Ok(())
}
