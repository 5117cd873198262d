//! Sending messages.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::attributes::{self, Attribute};
use super::{Message, find, invalid};
use crate::sandbox::call::{AwsError, Call};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Send {
    queue_url: String,
    message_body: String,
    delay_seconds: Option<i64>,
    #[serde(default)]
    message_attributes: BTreeMap<String, Attribute>,
}

/// What is sent, alone or in a batch.
#[derive(Debug)]
pub(super) struct Parcel {
    pub(super) body: String,
    pub(super) delay: Option<i64>,
    pub(super) attributes: BTreeMap<String, Attribute>,
}

impl Parcel {
    /// Bytes, as AWS counts them.
    pub(super) fn size(&self) -> usize {
        self.body.len() + attributes::size(&self.attributes)
    }
}

pub(super) fn send(call: &mut Call<'_>, input: Send) -> Result<Value, AwsError> {
    let parcel = Parcel { body: input.message_body, delay: input.delay_seconds, attributes: input.message_attributes };
    post(call, &input.queue_url, parcel)
}

/// Puts a message into the queue, and says what AWS says of it.
pub(super) fn post(call: &mut Call<'_>, url: &str, parcel: Parcel) -> Result<Value, AwsError> {
    let (id, now) = (call.world.new_uuid(), call.now.as_millisecond());
    let queue = find(call, url)?;
    check(&parcel, queue.settings.maximum_message_size)?;
    let mut answer = json!({ "MD5OfMessageBody": attributes::digest_of(&parcel.body), "MessageId": id });
    if !parcel.attributes.is_empty() {
        answer["MD5OfMessageAttributes"] = attributes::digest(&parcel.attributes).into();
    }
    queue.messages.push(Message {
        id,
        body: parcel.body,
        attributes: parcel.attributes,
        sent_at: now,
        available_at: now + parcel.delay.unwrap_or(queue.settings.delay_seconds) * 1000,
        receives: 0,
        first_received_at: None,
        flight: None,
    });
    Ok(answer)
}

fn check(parcel: &Parcel, most: i64) -> Result<(), AwsError> {
    if parcel.body.is_empty() {
        return Err(AwsError::new(
            "MissingRequiredParameterException",
            "The request must contain the parameter MessageBody.",
        ));
    }
    if !parcel.body.chars().all(is_allowed) {
        return Err(AwsError::new(
            "InvalidMessageContents",
            "Invalid characters found. Valid unicode characters are \
             #x9 | #xA | #xD | #x20 to #xD7FF | #xE000 to #xFFFD | #x10000 to #x10FFFF",
        ));
    }
    attributes::check(&parcel.attributes)?;
    if i64::try_from(parcel.size()).is_ok_and(|size| size > most) {
        return Err(invalid(format!(
            "One or more parameters are invalid. Reason: Message must be shorter than {most} bytes."
        )));
    }
    match parcel.delay {
        Some(delay) if !(0..=900).contains(&delay) => Err(invalid(format!(
            "Value {delay} for parameter DelaySeconds is invalid. Reason: DelaySeconds must be >= 0 and <= 900."
        ))),
        _ => Ok(()),
    }
}

/// A body may become XML, so it holds what XML may hold.
fn is_allowed(letter: char) -> bool {
    matches!(letter, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..)
}
