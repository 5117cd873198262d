//! Tags of every kind of object: `CreateTags`, `DeleteTags`, `DescribeTags`, and what a tag may be.
//!
//! All tags lie in one map by id, so an object's tags may be read without asking here. What AWS does oddly: an instance
//! that shows its tags in its metadata takes no key with a space or a slash, in whichever way the key comes.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::filter::{self, Filters, dry_run};
use super::placement::{InstanceState, state_of};
use super::state::{LaunchData, State};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe};

/// The most tags that an object has, AWS's own not counted.
const MOST: usize = 50;

/// A map of tags.
type Tags = BTreeMap<String, String>;

/// `CreateTags`.
///
/// # Errors
/// The `NotFound` code of the kind, `InvalidParameterValue`, `TagLimitExceeded`.
pub fn create(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = resources(input)?;
    let tags: Tags = tags_of(input)?.into_iter().map(|(key, value)| (key, value.unwrap_or_default())).collect();
    if tags.is_empty() {
        return Err(AwsError::new("MissingParameter", "The request must contain the parameter tagSet"));
    }
    finish_reading(input)?;
    let now = call.now;
    let region = call.region.clone();
    let state = &mut call.world.region(&region).ec2;
    check(&tags)?;
    for id in &ids {
        exists(state, id, now)?;
        if shows_tags(state, id) {
            check_for_metadata(&tags)?;
        }
        let mut after = state.tags.get(id).cloned().unwrap_or_default();
        after.extend(tags.clone());
        check_number(&after)?;
    }
    for id in ids {
        state.tags.entry(id).or_default().extend(tags.clone());
    }
    Ok(vec![leaf("return", true)])
}

/// `DeleteTags`: by key, by key and value, or all of them.
///
/// # Errors
/// The `NotFound` code of the kind.
pub fn delete(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = resources(input)?;
    let tags = tags_of(input)?;
    finish_reading(input)?;
    let now = call.now;
    let region = call.region.clone();
    let state = &mut call.world.region(&region).ec2;
    for (key, _) in &tags {
        check_reserved(key)?;
    }
    for id in &ids {
        exists(state, id, now)?;
    }
    for id in ids {
        let Some(held) = state.tags.get_mut(&id) else { continue };
        held.retain(|key, value| {
            let is_named =
                tags.iter().any(|(named, said)| named == key && said.as_ref().is_none_or(|said| said == value));
            key.starts_with("aws:") || !(tags.is_empty() || is_named)
        });
        if held.is_empty() {
            state.tags.remove(&id);
        }
    }
    Ok(vec![leaf("return", true)])
}

/// `DescribeTags`: one item a tag.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let filters = Filters::read(input)?;
    dry_run(input)?;
    let region = call.region.clone();
    let state = &call.world.region(&region).ec2;
    let mut found = Vec::new();
    for (id, tags) in &state.tags {
        for (key, value) in tags {
            let values = |name: &str| match name {
                "key" => Some(vec![key.clone()]),
                "value" => Some(vec![value.clone()]),
                "resource-id" => Some(vec![id.clone()]),
                "resource-type" => Some(vec![kind_of(id).to_owned()]),
                _ => None,
            };
            // Here `tag:KEY` means this one tag, not the object's others.
            let own = Tags::from([(key.clone(), value.clone())]);
            if filters.accept(Some(&own), values)? {
                found.push((id, key, value));
            }
        }
    }
    let (found, next) = filter::page(input, found, 5..=1000)?;
    let items = found.into_iter().map(|(id, key, value)| {
        let kind = leaf("resourceType", kind_of(id));
        vec![leaf("resourceId", id), kind, leaf("key", key), leaf("value", value)]
    });
    let mut answer = vec![list("tagSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

/// Whether these tags may be put on what a launch makes.
///
/// # Errors
/// `InvalidParameterValue`, `TagLimitExceeded`.
pub fn check_launch(data: &LaunchData) -> Result<(), AwsError> {
    for (kind, tags) in &data.tags {
        if !["instance", "volume", "network-interface", "spot-instances-request"].contains(&kind.as_str()) {
            let message = format!("'{kind}' is not a valid taggable resource type for this operation.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
        let own: Tags = tags.iter().filter(|(key, _)| !key.starts_with("aws:ec2launchtemplate:")).map(pair).collect();
        check(&own)?;
        check_number(&own)?;
        if kind == "instance" && data.metadata.tags.as_deref() == Some("enabled") {
            check_for_metadata(&own)?;
        }
    }
    Ok(())
}

fn pair((key, value): (&String, &String)) -> (String, String) {
    (key.clone(), value.clone())
}

/// Whether keys and values are what AWS takes, on any object.
///
/// # Errors
/// `InvalidParameterValue`.
pub fn check(tags: &Tags) -> Result<(), AwsError> {
    for (key, value) in tags {
        check_reserved(key)?;
        if key.is_empty() || key.chars().count() > 128 {
            let message = format!("Tag key '{key}' is invalid: it must have between 1 and 128 characters.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
        if value.chars().count() > 256 {
            let message = format!("Tag value exceeds the maximum length of 256 characters: key '{key}'.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
    }
    Ok(())
}

fn check_reserved(key: &str) -> Result<(), AwsError> {
    if key.to_ascii_lowercase().starts_with("aws:") {
        let message = "Tag keys starting with 'aws:' are reserved for internal use";
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    Ok(())
}

fn check_number(tags: &Tags) -> Result<(), AwsError> {
    if tags.keys().filter(|key| !key.starts_with("aws:")).count() > MOST {
        let message = format!("More than {MOST} tags specified. Please reduce the number of tags.");
        return Err(AwsError::new("TagLimitExceeded", message));
    }
    Ok(())
}

/// Keys become paths of the instance's metadata.
fn check_for_metadata(tags: &Tags) -> Result<(), AwsError> {
    let is_path = |key: &str| {
        let is_plain = |letter: char| letter.is_ascii_alphanumeric() || "-_+=,.@:".contains(letter);
        key.chars().all(is_plain) && !matches!(key, "." | ".." | "_index")
    };
    let Some(key) = tags.keys().find(|key| !is_path(key)) else { return Ok(()) };
    let message = format!(
        "'{key}' is not a valid tag key. Tag keys must match pattern ([0-9a-zA-Z\\-_+=,.@:]{{1,255}}), and must not be a \
         reserved name ('.', '..', '_index')"
    );
    Err(AwsError::new("InvalidParameterValue", message))
}

fn shows_tags(state: &State, id: &str) -> bool {
    state.instances.get(id).is_some_and(|instance| instance.data.metadata.tags.as_deref() == Some("enabled"))
}

fn resources(input: &Query) -> Result<Vec<String>, AwsError> {
    let ids = input.list("ResourceId");
    let missing = || AwsError::new("MissingParameter", "The request must contain the parameter resourceIdSet");
    if ids.is_empty() { Err(missing()) } else { Ok(ids) }
}

fn tags_of(input: &Query) -> Result<Vec<(String, Option<String>)>, AwsError> {
    input.structures("Tag").into_iter().map(|tag| Ok((tag.required("Key")?, tag.optional("Value")))).collect()
}

fn finish_reading(input: &Query) -> Result<(), AwsError> {
    dry_run(input)?;
    super::run_instances::all_read(input)
}

/// The kind of an object by its id, as `DescribeTags` names it.
pub fn kind_of(id: &str) -> &'static str {
    match id.split('-').next().unwrap_or_default() {
        "i" => "instance",
        "vol" => "volume",
        "eni" => "network-interface",
        "sir" => "spot-instances-request",
        "sg" => "security-group",
        "sgr" => "security-group-rule",
        "lt" => "launch-template",
        "vpc" => "vpc",
        "subnet" => "subnet",
        "rtb" => "route-table",
        "igw" => "internet-gateway",
        _ => "",
    }
}

/// Whether the object is there to be tagged.
fn exists(state: &State, id: &str, now: Timestamp) -> Result<(), AwsError> {
    let instances = || state.instances.values();
    let (is_there, code, what) = match kind_of(id) {
        "instance" => {
            let is_there = state.instances.contains_key(id);
            (is_there, "InvalidInstanceID.NotFound", "instance ID")
        }
        "volume" => {
            let is_there = super::volumes::find(state, id, now).is_some();
            (is_there, "InvalidVolume.NotFound", "volume")
        }
        "network-interface" => {
            let lives = instances().any(|it| it.interface == id && state_of(it, now) != InstanceState::Terminated);
            (lives, "InvalidNetworkInterfaceID.NotFound", "networkInterface ID")
        }
        "spot-instances-request" => {
            (state.spot_requests.contains_key(id), "InvalidSpotInstanceRequestID.NotFound", "spot instance request ID")
        }
        "security-group" => (state.security_groups.contains_key(id), "InvalidGroup.NotFound", "security group"),
        "security-group-rule" => {
            let is_there = state.security_groups.values().any(|group| group.rules.contains_key(id));
            (is_there, "InvalidSecurityGroupRuleId.NotFound", "security group rule ID")
        }
        "launch-template" => {
            (state.launch_templates.contains_key(id), "InvalidLaunchTemplateId.NotFound", "launch template ID")
        }
        "vpc" => (state.vpcs.contains_key(id), "InvalidVpcID.NotFound", "vpc ID"),
        "subnet" => (state.subnets.contains_key(id), "InvalidSubnetID.NotFound", "subnet ID"),
        "route-table" => (state.route_tables.contains_key(id), "InvalidRouteTableID.NotFound", "routeTable ID"),
        "internet-gateway" => {
            (state.internet_gateways.contains_key(id), "InvalidInternetGatewayID.NotFound", "internetGateway ID")
        }
        _ => return Err(AwsError::new("InvalidID", format!("The ID '{id}' is not valid"))),
    };
    if is_there { Ok(()) } else { Err(AwsError::new(code, format!("The {what} '{id}' does not exist"))) }
}
