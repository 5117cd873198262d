//! Tags of parameters.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::{Parameter, validation};
use crate::sandbox::call::{AwsError, Call};

/// Tags that a parameter may have.
const MOST: usize = 50;

/// One tag as a request writes it.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Tag {
    key: String,
    value: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Add {
    resource_type: String,
    resource_id: String,
    tags: Vec<Tag>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Remove {
    resource_type: String,
    resource_id: String,
    tag_keys: Vec<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct List {
    resource_type: String,
    resource_id: String,
}

pub(super) fn add(call: &mut Call<'_>, input: Add) -> Result<Value, AwsError> {
    let tags = checked(input.tags)?;
    let parameter = find(call, &input.resource_type, &input.resource_id)?;
    let mut merged = parameter.tags.clone();
    merged.extend(tags);
    if merged.len() > MOST {
        return Err(too_many());
    }
    parameter.tags = merged;
    Ok(json!({}))
}

pub(super) fn remove(call: &mut Call<'_>, input: &Remove) -> Result<Value, AwsError> {
    let parameter = find(call, &input.resource_type, &input.resource_id)?;
    parameter.tags.retain(|key, _| !input.tag_keys.contains(key));
    Ok(json!({}))
}

pub(super) fn list(call: &mut Call<'_>, input: &List) -> Result<Value, AwsError> {
    let parameter = find(call, &input.resource_type, &input.resource_id)?;
    let tags: Vec<Value> = parameter.tags.iter().map(|(key, value)| json!({ "Key": key, "Value": value })).collect();
    Ok(json!({ "TagList": tags }))
}

/// Tags as AWS takes them.
pub(super) fn checked(tags: Vec<Tag>) -> Result<BTreeMap<String, String>, AwsError> {
    let is_allowed = |text: &str| text.chars().all(|letter| letter.is_alphanumeric() || " _.:/=+-@".contains(letter));
    let mut map = BTreeMap::new();
    for Tag { key, value } in tags {
        if key.is_empty() || key.chars().count() > 128 || value.chars().count() > 256 {
            return Err(validation("Tag keys have 1 to 128 characters, tag values at most 256"));
        }
        if !is_allowed(&key) || !is_allowed(&value) {
            return Err(validation("Tags may hold letters, white space, numbers and the characters _ . : / = + - @"));
        }
        if key.to_ascii_lowercase().starts_with("aws:") {
            return Err(validation("Tag keys beginning with aws: are reserved for system use"));
        }
        if map.insert(key, value).is_some() {
            return Err(validation("Duplicate tag keys are not allowed"));
        }
    }
    if map.len() > MOST {
        return Err(too_many());
    }
    Ok(map)
}

fn too_many() -> AwsError {
    AwsError::new("TooManyTagsError", format!("A resource has at most {MOST} tags"))
}

fn find<'a>(call: &'a mut Call<'_>, resource_type: &str, id: &str) -> Result<&'a mut Parameter, AwsError> {
    if resource_type != "Parameter" {
        return Err(AwsError::new(
            "InvalidResourceType",
            format!("The resource type {resource_type} is not valid here"),
        ));
    }
    let found = call.world.region(&call.region).ssm.parameters.get_mut(id).ok_or_else(|| {
        AwsError::new("InvalidResourceId", format!("The resource ID {id} is not valid. Verify the ID and try again."))
    })?;
    Ok(found)
}
