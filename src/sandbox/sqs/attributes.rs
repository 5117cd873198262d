//! Attributes of messages, and the digests by which clients check what arrived.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};
use serde::{Deserialize, Serialize};

use super::invalid;
use crate::sandbox::call::AwsError;
use crate::sandbox::wire::hexadecimal;

/// Attributes that a message may have.
const MOST: usize = 10;

/// An attribute, on the wire as in the state; AWS's lists of values, which AWS itself does not implement, are unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub struct Attribute {
    /// `String`, `Number` or `Binary`, each with `.anything` behind it.
    pub data_type: String,
    /// The value of a `String` or a `Number`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub string_value: Option<String>,
    /// The value of a `Binary`, in base64.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub binary_value: Option<String>,
}

impl Attribute {
    fn is_binary(&self) -> bool {
        self.kind() == "Binary"
    }

    fn kind(&self) -> &str {
        self.data_type.split('.').next().unwrap_or_default()
    }

    fn bytes(&self) -> Vec<u8> {
        match (&self.string_value, &self.binary_value) {
            (Some(text), _) => text.clone().into_bytes(),
            (None, Some(encoded)) => STANDARD.decode(encoded).unwrap_or_default(),
            (None, None) => Vec::new(),
        }
    }
}

/// Checks the attributes of a message.
pub(super) fn check(attributes: &BTreeMap<String, Attribute>) -> Result<(), AwsError> {
    if attributes.len() > MOST {
        return Err(invalid(format!(
            "Number of message attributes [{}] exceeds the allowed maximum [{MOST}].",
            attributes.len()
        )));
    }
    for (name, attribute) in attributes {
        check_name(name)?;
        let kind = attribute.kind();
        if !["String", "Number", "Binary"].contains(&kind) || attribute.data_type.len() > 256 {
            return Err(invalid(format!(
                "The type of message (user) attribute '{name}' is invalid. You must use only the following supported type \
                 prefixes: Binary, Number, String."
            )));
        }
        let has_its_own = match &attribute.binary_value {
            Some(encoded) => {
                attribute.is_binary() && attribute.string_value.is_none() && STANDARD.decode(encoded).is_ok()
            }
            None => !attribute.is_binary(),
        };
        if !has_its_own || attribute.bytes().is_empty() {
            return Err(invalid(format!(
                "Message (user) attribute '{name}' must contain a non-empty value of type '{kind}'."
            )));
        }
        let is_number = |text: &String| text.parse::<f64>().is_ok_and(f64::is_finite);
        if kind == "Number" && !attribute.string_value.as_ref().is_some_and(is_number) {
            return Err(invalid(format!("Can't cast the value of message (user) attribute '{name}' to a number.")));
        }
    }
    Ok(())
}

fn check_name(name: &str) -> Result<(), AwsError> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || "_-.".contains(letter);
    let lower = name.to_ascii_lowercase();
    let is_reserved = lower.starts_with("aws.") || lower.starts_with("amazon.");
    let has_stray_dot = name.starts_with('.') || name.ends_with('.') || name.contains("..");
    if name.is_empty() || name.len() > 256 || !name.chars().all(is_allowed) || is_reserved || has_stray_dot {
        return Err(invalid(format!(
            "The message attribute name '{name}' is invalid: it has 1 to 256 letters, digits and the characters _ - ., no stray \
             period, and does not begin with AWS. or Amazon."
        )));
    }
    Ok(())
}

/// Bytes that the attributes add to a message's size.
pub(super) fn size(attributes: &BTreeMap<String, Attribute>) -> usize {
    attributes.iter().map(|(name, value)| name.len() + value.data_type.len() + value.bytes().len()).sum()
}

/// Of the attributes that a receive asks for: by name, by `prefix.*`, or `All`.
pub(super) fn asked(attributes: &BTreeMap<String, Attribute>, names: &[String]) -> BTreeMap<String, Attribute> {
    let is_asked = |name: &str| {
        names.iter().any(|asked| {
            asked == "All" || asked == name || asked.strip_suffix(".*").is_some_and(|prefix| name.starts_with(prefix))
        })
    };
    attributes.iter().filter(|(name, _)| is_asked(name)).map(|(name, value)| (name.clone(), value.clone())).collect()
}

/// What `MD5OfMessageAttributes` is of: each part behind its length, in the order of the names.
pub(super) fn digest(attributes: &BTreeMap<String, Attribute>) -> String {
    let mut hash = Md5::new();
    for (name, attribute) in attributes {
        let value = attribute.bytes();
        let kind = [if attribute.is_binary() { 2 } else { 1 }];
        for (part, has_length) in [
            (name.as_bytes(), true),
            (attribute.data_type.as_bytes(), true),
            (kind.as_slice(), false),
            (value.as_slice(), true),
        ] {
            if has_length {
                hash.update(u32::try_from(part.len()).unwrap_or(u32::MAX).to_be_bytes());
            }
            hash.update(part);
        }
    }
    hexadecimal(&hash.finalize())
}

/// The digest of a body.
pub(super) fn digest_of(body: &str) -> String {
    hexadecimal(&Md5::digest(body))
}
