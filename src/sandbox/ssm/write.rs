//! Making, overwriting and deleting parameters.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Value, json};

use super::tags::{Tag, checked};
use super::{Parameter, Version, names, names_of_call, validation};
use crate::sandbox::call::{AwsError, Call};

/// Versions that AWS keeps.
const VERSIONS: usize = 100;
const STANDARD_SIZE: usize = 4096;
const ADVANCED_SIZE: usize = 8192;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Put {
    name: String,
    value: String,
    description: Option<String>,
    r#type: Option<String>,
    key_id: Option<String>,
    #[serde(default)]
    overwrite: bool,
    #[serde(default)]
    tags: Vec<Tag>,
    tier: Option<String>,
    data_type: Option<String>,
    allowed_pattern: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Delete {
    name: String,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct DeleteMany {
    names: Vec<String>,
}

pub(super) fn put(call: &mut Call<'_>, input: Put) -> Result<Value, AwsError> {
    names::check(&input.name)?;
    check_form(&input)?;
    let tags = checked(input.tags)?;
    let modified_at = call.now.as_millisecond();
    let parameters = &mut call.world.region(&call.region).ssm.parameters;
    let old = parameters.get(&input.name).and_then(|old| old.versions.last_key_value());
    if old.is_some() && !input.overwrite {
        return Err(AwsError::new(
            "ParameterAlreadyExists",
            "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.",
        ));
    }
    let kind = match (input.r#type, old) {
        (None, None) => return Err(validation("A parameter type is required when you create a parameter.")),
        (Some(kind), Some((_, old))) if kind != old.kind => {
            return Err(AwsError::new(
                "HierarchyTypeMismatchException",
                format!("The parameter {} has type {}: a type can't be changed.", input.name, old.kind),
            ));
        }
        (Some(kind), _) => kind,
        (None, Some((_, old))) => old.kind.clone(),
    };
    if input.key_id.is_some() && kind != "SecureString" {
        return Err(validation("KeyId is required for SecureString type parameter only."));
    }
    let tier = tier(input.tier.as_deref(), input.value.len(), old.map(|(_, old)| old.tier.as_str()))?;
    let is_secret = kind == "SecureString";
    let version = Version {
        value: input.value,
        kind,
        key: is_secret.then(|| input.key_id.unwrap_or_else(|| "alias/aws/ssm".to_owned())),
        description: input.description.or_else(|| old.and_then(|(_, old)| old.description.clone())),
        tier: tier.to_owned(),
        modified_at,
    };
    let number = old.map_or(1, |(number, _)| number + 1);
    let parameter =
        parameters.entry(input.name).or_insert_with(|| Parameter { versions: BTreeMap::new(), tags }.into());
    parameter.versions.insert(number, version);
    while parameter.versions.len() > VERSIONS {
        parameter.versions.pop_first();
    }
    Ok(json!({ "Version": number, "Tier": tier }))
}

pub(super) fn delete(call: &mut Call<'_>, input: &Delete) -> Result<Value, AwsError> {
    let parameters = &mut call.world.region(&call.region).ssm.parameters;
    match parameters.remove(&input.name) {
        Some(_) => Ok(json!({})),
        None => Err(AwsError::new("ParameterNotFound", format!("Parameter {} not found.", input.name))),
    }
}

pub(super) fn delete_many(call: &mut Call<'_>, input: DeleteMany) -> Result<Value, AwsError> {
    names_of_call(&input.names)?;
    let parameters = &mut call.world.region(&call.region).ssm.parameters;
    let (deleted, invalid): (Vec<_>, Vec<_>) =
        input.names.into_iter().partition(|name| parameters.remove(name).is_some());
    Ok(json!({ "DeletedParameters": deleted, "InvalidParameters": invalid }))
}

/// What can be said without knowing whether the parameter is there.
fn check_form(input: &Put) -> Result<(), AwsError> {
    if input.overwrite && !input.tags.is_empty() {
        return Err(validation(
            "Invalid request: tags and overwrite can't be used together. To create a parameter with tags, please remove \
             overwrite flag. To update tags for an existing parameter, please use AddTagsToResource or RemoveTagsFromResource.",
        ));
    }
    // Empty is none, as some clients say it.
    if input.allowed_pattern.as_deref().is_some_and(|pattern| !pattern.is_empty()) {
        return Err(validation("AllowedPattern: this sandbox holds no value to a pattern."));
    }
    if input.value.is_empty() {
        return Err(validation(
            "1 validation error detected: Value '' at 'value' failed to satisfy constraint: Member must have length greater \
             than or equal to 1.",
        ));
    }
    if input.value.contains("{{") {
        return Err(validation("Parameter value can't nest another parameter. Do not use \"{{}}\" in the value."));
    }
    if let Some(kind) =
        input.r#type.as_ref().filter(|kind| !["String", "StringList", "SecureString"].contains(&kind.as_str()))
    {
        return Err(validation(format!(
            "1 validation error detected: Value '{kind}' at 'type' failed to satisfy constraint: Member must satisfy enum value \
             set: [SecureString, StringList, String]"
        )));
    }
    if let Some(kind) = input.data_type.as_ref().filter(|kind| *kind != "text") {
        return Err(validation(format!("The data type {kind} is not known to this sandbox")));
    }
    if input.description.as_ref().is_some_and(|text| text.chars().count() > 1024) {
        return Err(validation(
            "1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less \
             than or equal to 1024",
        ));
    }
    Ok(())
}

fn tier(asked: Option<&str>, size: usize, old: Option<&str>) -> Result<&'static str, AwsError> {
    let was_advanced = old == Some("Advanced");
    let tier = match asked {
        Some("Advanced") => "Advanced",
        Some("Intelligent-Tiering") if size > STANDARD_SIZE || was_advanced => "Advanced",
        None if was_advanced => "Advanced",
        None | Some("Standard" | "Intelligent-Tiering") => "Standard",
        Some(other) => {
            return Err(validation(format!(
                "1 validation error detected: Value '{other}' at 'tier' failed to satisfy constraint: Member must satisfy enum \
                 value set: [Standard, Advanced, Intelligent-Tiering]"
            )));
        }
    };
    if tier == "Standard" && was_advanced {
        return Err(validation(
            "This parameter uses the advanced-parameter tier. You can't downgrade a parameter from the advanced-parameter tier \
             to the standard-parameter tier.",
        ));
    }
    if tier == "Standard" && size > STANDARD_SIZE {
        return Err(validation(format!(
            "Standard tier parameters support a maximum parameter value of {STANDARD_SIZE} characters. To create a larger \
             parameter value, upgrade the parameter to use the advanced-parameter tier."
        )));
    }
    if size > ADVANCED_SIZE {
        return Err(validation(format!(
            "Advanced tier parameters support a maximum parameter value of {ADVANCED_SIZE} characters."
        )));
    }
    Ok(tier)
}
