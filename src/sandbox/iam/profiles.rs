//! Instance profiles: the shell in which EC2 takes a role. One role at most.

use std::collections::BTreeMap;

use super::{
    Profile, Role, add_tags, conflict, exists, limit, name, new_id, no_such_entity, page, path, path_prefix,
    remove_tags, roles, tag_fields, tags, tags_element, time,
};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{self, Element, leaf, node};

pub(super) fn create(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "InstanceProfileName", 128)?;
    let path = path(input)?;
    let tags = tags(input)?;
    if call.world.iam.profiles.keys().any(|other| other.eq_ignore_ascii_case(&name)) {
        return Err(exists(format!("Instance Profile {name} already exists.")));
    }
    let now = call.now.as_second();
    let profile = Profile { id: new_id(call, "AIPA"), path, created_at: now, usable_since: now, role: None, tags };
    let answer = vec![node("InstanceProfile", whole(&call.world.iam.roles, &name, &profile))];
    call.world.iam.profiles.insert(name, profile);
    Ok(answer)
}

pub(super) fn get(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "InstanceProfileName", 128)?;
    let profile = call.world.iam.profiles.get(&name).ok_or_else(|| missing(&name))?;
    Ok(vec![node("InstanceProfile", whole(&call.world.iam.roles, &name, profile))])
}

pub(super) fn list(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let prefix = path_prefix(input)?;
    let iam = &call.world.iam;
    let profiles = iam.profiles.iter().filter(|(_, profile)| profile.path.starts_with(&prefix));
    let members = profiles.map(|(name, profile)| node("member", listed(&iam.roles, name, profile))).collect();
    page("InstanceProfiles", members, input)
}

pub(super) fn list_for_role(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let role = name(input, "RoleName", 64)?;
    roles::find(call, &role)?;
    let iam = &call.world.iam;
    let profiles = iam.profiles.iter().filter(|(_, profile)| profile.role.as_ref() == Some(&role));
    let members = profiles.map(|(name, profile)| node("member", listed(&iam.roles, name, profile))).collect();
    page("InstanceProfiles", members, input)
}

pub(super) fn delete(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "InstanceProfileName", 128)?;
    if find(call, &name)?.role.is_some() {
        return Err(conflict("Cannot delete entity, must remove roles from instance profile first."));
    }
    call.world.iam.profiles.remove(&name);
    Ok(Vec::new())
}

pub(super) fn add_role(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let profile = name(input, "InstanceProfileName", 128)?;
    let role = name(input, "RoleName", 64)?;
    let now = call.now.as_second();
    find(call, &profile)?;
    roles::modifiable(call, &role)?;
    let profile = find(call, &profile)?;
    if profile.role.is_some() {
        return Err(limit("Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1"));
    }
    profile.role = Some(role);
    profile.usable_since = now;
    Ok(Vec::new())
}

pub(super) fn remove_role(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let profile = name(input, "InstanceProfileName", 128)?;
    let role = name(input, "RoleName", 64)?;
    let profile = find(call, &profile)?;
    if profile.role.as_ref() != Some(&role) {
        return Err(roles::missing(&role));
    }
    profile.role = None;
    Ok(Vec::new())
}

pub(super) fn tag(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "InstanceProfileName", 128)?;
    let tags = tags(input)?;
    add_tags(&mut find(call, &name)?.tags, tags)?;
    Ok(Vec::new())
}

pub(super) fn untag(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "InstanceProfileName", 128)?;
    let keys = input.list("TagKeys");
    remove_tags(&mut find(call, &name)?.tags, &keys);
    Ok(Vec::new())
}

pub(super) fn list_tags(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "InstanceProfileName", 128)?;
    let tags = &find(call, &name)?.tags;
    page("Tags", tags.iter().map(|(key, value)| node("member", tag_fields(key, value))).collect(), input)
}

fn missing(name: &str) -> AwsError {
    no_such_entity(format!("Instance Profile {name} cannot be found."))
}

fn find<'a>(call: &'a mut Call<'_>, name: &str) -> Result<&'a mut Profile, AwsError> {
    call.world.iam.profiles.get_mut(name).ok_or_else(|| missing(name))
}

fn listed(roles: &BTreeMap<String, Role>, name: &str, profile: &Profile) -> Vec<Element> {
    let held = profile.role.iter().filter_map(|role| roles.get_key_value(role));
    vec![
        leaf("Path", &profile.path),
        leaf("InstanceProfileName", name),
        leaf("InstanceProfileId", &profile.id),
        leaf("Arn", profile.arn(name)),
        leaf("CreateDate", time(profile.created_at)),
        xml::list("Roles", "member", held.map(|(name, role)| self::roles::listed(name, role))),
    ]
}

fn whole(roles: &BTreeMap<String, Role>, name: &str, profile: &Profile) -> Vec<Element> {
    let mut fields = listed(roles, name, profile);
    fields.extend(tags_element(&profile.tags));
    fields
}
