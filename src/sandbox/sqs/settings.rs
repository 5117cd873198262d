//! What may be set of a queue, within which bounds.

use serde::{Deserialize, Serialize};

use crate::sandbox::call::AwsError;

/// What AWS knows and this sandbox does not model: asking for it finds nothing, setting it is refused.
const NOT_MODELLED: [&str; 9] = [
    "ContentBasedDeduplication",
    "DeduplicationScope",
    "FifoQueue",
    "FifoThroughputLimit",
    "KmsDataKeyReusePeriodSeconds",
    "KmsMasterKeyId",
    "Policy",
    "RedriveAllowPolicy",
    "RedrivePolicy",
];

/// The settings of a queue; times in seconds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Settings {
    /// How long a received message is hidden.
    pub visibility_timeout: i64,
    /// How long a sent message is delayed.
    pub delay_seconds: i64,
    /// How long a message is kept.
    pub message_retention_period: i64,
    /// How long a receive would wait.
    pub receive_message_wait_time_seconds: i64,
    /// Bytes.
    pub maximum_message_size: i64,
    /// Whether SQS encrypts with keys of its own.
    pub sqs_managed_sse_enabled: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            visibility_timeout: 30,
            delay_seconds: 0,
            message_retention_period: 345_600,
            receive_message_wait_time_seconds: 0,
            maximum_message_size: 1_048_576,
            sqs_managed_sse_enabled: true,
        }
    }
}

impl Settings {
    /// Sets one.
    pub(super) fn set(&mut self, name: &str, value: &str) -> Result<(), AwsError> {
        let wrong =
            || AwsError::new("InvalidAttributeValue", format!("Invalid value {value} for the parameter {name}."));
        let (slot, least, most) = match name {
            "VisibilityTimeout" => (&mut self.visibility_timeout, 0, 43_200),
            "DelaySeconds" => (&mut self.delay_seconds, 0, 900),
            "MessageRetentionPeriod" => (&mut self.message_retention_period, 60, 1_209_600),
            "ReceiveMessageWaitTimeSeconds" => (&mut self.receive_message_wait_time_seconds, 0, 20),
            "MaximumMessageSize" => (&mut self.maximum_message_size, 1024, 1_048_576),
            "SqsManagedSseEnabled" => {
                self.sqs_managed_sse_enabled = value.parse().map_err(|_| wrong())?;
                return Ok(());
            }
            other if NOT_MODELLED.contains(&other) => {
                return Err(AwsError::new(
                    "UnsupportedOperation",
                    format!("The attribute {other} is not modelled: this sandbox has plain standard queues"),
                ));
            }
            other => return Err(unknown(other)),
        };
        *slot = value.parse().ok().filter(|number| (least..=most).contains(number)).ok_or_else(wrong)?;
        Ok(())
    }

    /// All of them, as AWS writes them.
    pub(super) fn shown(&self) -> [(&'static str, String); 6] {
        [
            ("VisibilityTimeout", self.visibility_timeout.to_string()),
            ("DelaySeconds", self.delay_seconds.to_string()),
            ("MessageRetentionPeriod", self.message_retention_period.to_string()),
            ("ReceiveMessageWaitTimeSeconds", self.receive_message_wait_time_seconds.to_string()),
            ("MaximumMessageSize", self.maximum_message_size.to_string()),
            ("SqsManagedSseEnabled", self.sqs_managed_sse_enabled.to_string()),
        ]
    }
}

/// Whether a queue could have it, though none here does.
pub(super) fn is_not_modelled(name: &str) -> bool {
    NOT_MODELLED.contains(&name)
}

pub(super) fn unknown(name: &str) -> AwsError {
    AwsError::new("InvalidAttributeName", format!("Unknown Attribute {name}."))
}
