//! Listing parameters without their values, by filters: each filter must match, of its values any.

use serde::Deserialize;
use serde_json::{Value, json};

use super::names::{check_path, lies_under};
use super::{Parameter, Version, after, arn, page, page_size, time};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::world::ACCOUNT;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Describe {
    #[serde(default)]
    parameter_filters: Vec<Filter>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    key: String,
    option: Option<String>,
    #[serde(default)]
    values: Vec<String>,
}

pub(super) fn describe(call: &Call<'_>, input: &Describe) -> Result<Value, AwsError> {
    for (index, filter) in input.parameter_filters.iter().enumerate() {
        check(filter)?;
        if input.parameter_filters[..index].iter().any(|other| other.key == filter.key) {
            return Err(invalid("Key", format!("The following filter key is duplicated: {}", filter.key)));
        }
    }
    let size = page_size(input.max_results, 50)?;
    let after = after(input.next_token.as_deref())?;
    let state = call.world.regions.get(&call.region).map(|region| &region.ssm);
    let mut found = state
        .into_iter()
        .flat_map(|state| &state.parameters)
        .filter(|(name, _)| after.as_ref().is_none_or(|after| *name > after))
        .filter_map(|(name, parameter)| Some((name, parameter, parameter.versions.last_key_value()?)))
        .filter(|(name, parameter, (_, version))| {
            input.parameter_filters.iter().all(|filter| matches(filter, name, parameter, version))
        })
        .peekable();
    let shown: Vec<_> = found.by_ref().take(size).collect();
    let last = found.peek().and(shown.last()).map(|(name, ..)| name.as_str());
    let items = shown.iter().map(|(name, _, (number, version))| listed(&call.region, name, **number, version));
    Ok(page("Parameters", items.collect(), last))
}

fn listed(region: &str, name: &str, number: i64, version: &Version) -> Value {
    let mut parameter = json!({
        "ARN": arn(region, name, false),
        "DataType": "text",
        "LastModifiedDate": time(version.modified_at),
        "LastModifiedUser": format!("arn:aws:iam::{ACCOUNT}:user/sandbox"),
        "Name": name,
        "Policies": [],
        "Tier": version.tier,
        "Type": version.kind,
        "Version": number,
    });
    if let Some(key) = &version.key {
        parameter["KeyId"] = json!(key);
    }
    if let Some(description) = &version.description {
        parameter["Description"] = json!(description);
    }
    parameter
}

fn check(filter: &Filter) -> Result<(), AwsError> {
    let options: &[&str] = match filter.key.as_str() {
        "Name" => &["Equals", "BeginsWith", "Contains"],
        "Path" => &["OneLevel", "Recursive"],
        "Type" => &["Equals", "BeginsWith"],
        key if key.starts_with("tag:") && key.len() > "tag:".len() => &["Equals"],
        key => return Err(invalid("Key", format!("The following filter key is not valid: {key}"))),
    };
    if let Some(option) = filter.option.as_deref().filter(|option| !options.contains(option)) {
        return Err(invalid(
            "Option",
            format!("The following filter option is not valid: {option}. Valid: {options:?}"),
        ));
    }
    if filter.values.len() > 50 || (filter.values.is_empty() && !filter.key.starts_with("tag:")) {
        return Err(invalid("Value", format!("The filter {} takes 1 to 50 values", filter.key)));
    }
    if filter.key == "Path" {
        filter.values.iter().try_for_each(|path| check_path(path))?;
    }
    Ok(())
}

fn matches(filter: &Filter, name: &str, parameter: &Parameter, version: &Version) -> bool {
    let option = filter.option.as_deref();
    let compared = |text: &str, value: &str| match option {
        Some("BeginsWith") => text.starts_with(value),
        Some("Contains") => text.contains(value),
        _ => text == value,
    };
    let holds = |value: &String| match filter.key.as_str() {
        // AWS takes a name with and without its first slash.
        "Name" => compared(name, value) || name.strip_prefix('/').is_some_and(|name| compared(name, value)),
        "Path" => lies_under(name, value, option == Some("Recursive")),
        "Type" => compared(&version.kind, value),
        key => key.strip_prefix("tag:").and_then(|key| parameter.tags.get(key)) == Some(value),
    };
    match filter.key.strip_prefix("tag:") {
        Some(key) if filter.values.is_empty() => parameter.tags.contains_key(key),
        _ => filter.values.iter().any(holds),
    }
}

/// `InvalidFilterKey`, `InvalidFilterOption`, `InvalidFilterValue`.
fn invalid(part: &str, message: String) -> AwsError {
    AwsError::new(format!("InvalidFilter{part}"), message)
}
