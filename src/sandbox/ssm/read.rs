//! Reading values: by name, by names, by path.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use serde_json::{Value, json};

use super::names::{check_path, lies_under};
use super::{Found, after, arn, find, names_of_call, page, page_size, time, validation};
use crate::sandbox::call::{AwsError, Call};

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Get {
    name: String,
    #[serde(default)]
    with_decryption: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GetMany {
    names: Vec<String>,
    #[serde(default)]
    with_decryption: bool,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct ByPath {
    path: String,
    #[serde(default)]
    recursive: bool,
    #[serde(default)]
    with_decryption: bool,
    max_results: Option<i64>,
    next_token: Option<String>,
}

pub(super) fn get(call: &Call<'_>, input: &Get) -> Result<Value, AwsError> {
    Ok(json!({ "Parameter": shown(&call.region, find(call, &input.name)?, input.with_decryption) }))
}

pub(super) fn get_many(call: &Call<'_>, input: GetMany) -> Result<Value, AwsError> {
    names_of_call(&input.names)?;
    if let Some(twice) = input.names.iter().enumerate().find(|(index, name)| input.names[..*index].contains(name)) {
        return Err(validation(format!("Duplicate parameter names are not allowed: {}", twice.1)));
    }
    let (mut parameters, mut invalid) = (Vec::new(), Vec::new());
    for name in input.names {
        match find(call, &name) {
            Ok(found) => parameters.push(shown(&call.region, found, input.with_decryption)),
            Err(_) => invalid.push(name),
        }
    }
    Ok(json!({ "Parameters": parameters, "InvalidParameters": invalid }))
}

pub(super) fn by_path(call: &Call<'_>, input: &ByPath) -> Result<Value, AwsError> {
    check_path(&input.path)?;
    if input.path.starts_with("/aws") {
        return Err(validation("This sandbox has public parameters by name only: it cannot list them"));
    }
    let size = page_size(input.max_results, 10)?;
    let after = after(input.next_token.as_deref())?;
    let state = call.world.regions.get(&call.region).map(|region| &region.ssm);
    let names: Vec<&String> = state
        .into_iter()
        .flat_map(|state| state.parameters.keys())
        .filter(|name| after.as_ref().is_none_or(|after| *name > after))
        .filter(|name| lies_under(name, &input.path, input.recursive))
        .take(size)
        .collect();
    // A full page has a token even when nothing follows: the next one is then empty, as AWS's sometimes are.
    let last = names.last().filter(|_| names.len() == size).map(|name| name.as_str());
    let found = names.iter().map(|name| Ok(shown(&call.region, find(call, name)?, input.with_decryption)));
    Ok(page("Parameters", found.collect::<Result<_, AwsError>>()?, last))
}

fn shown(region: &str, found: Found, is_decrypted: bool) -> Value {
    let is_opaque = found.version.kind == "SecureString" && !is_decrypted;
    // Stands for the ciphertext, and says nothing of the value.
    let ciphertext = || STANDARD.encode(format!("sandbox ciphertext of {} version {}", found.name, found.number));
    let value = if is_opaque { ciphertext() } else { found.version.value };
    let mut parameter = json!({
        "ARN": arn(region, &found.name, found.is_public),
        "DataType": "text",
        "LastModifiedDate": time(found.version.modified_at),
        "Name": found.name,
        "Type": found.version.kind,
        "Value": value,
        "Version": found.number,
    });
    if let Some(selector) = found.selector {
        parameter["Selector"] = selector.into();
    }
    parameter
}
