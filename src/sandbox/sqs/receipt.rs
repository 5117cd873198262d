//! Receipt handles: which receive of which message of which queue. They are of the sandbox's own making, and to a client as
//! opaque as AWS's.

use super::{Message, Queue};
use crate::sandbox::call::AwsError;
use crate::sandbox::wire::json;

/// A receive of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Handle {
    message: String,
    receive: u32,
}

impl Handle {
    /// The message, if it is there and nobody has received it since.
    pub(super) fn holds<'a>(&self, queue: &'a mut Queue) -> Option<&'a mut Message> {
        queue.messages.iter_mut().find(|message| message.id == self.message && message.receives == self.receive)
    }
}

/// The handle of the last receive of a message. When the queue was made tells it from one of the same name before it.
pub(super) fn made_for(queue: &str, created_at: i64, message: &Message) -> String {
    json::token(&format!("{queue} {created_at} {} {}", message.id, message.receives))
}

/// Reads a handle of this queue.
pub(super) fn read(text: &str, queue: &str, created_at: i64) -> Result<Handle, AwsError> {
    let refuse = || {
        let message = format!("The input receipt handle \"{text}\" is not a valid receipt handle.");
        AwsError::new("ReceiptHandleIsInvalid", message).status(404)
    };
    let plain = json::named_by(text).ok_or_else(refuse)?;
    match plain.split(' ').collect::<Vec<_>>().as_slice() {
        [of, at, message, receive] if *of == queue && *at == created_at.to_string() => {
            Ok(Handle { message: (*message).to_owned(), receive: receive.parse().map_err(|_| refuse())? })
        }
        _ => Err(refuse()),
    }
}
