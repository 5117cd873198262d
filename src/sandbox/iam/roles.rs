//! Roles: their making, trust, tags and end; and the roles that services own.

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::policies::{Kind, check_document};
use super::{
    Role, State, add_tags, conflict, encoded, exists, limit, name, new_id, no_such_entity, page, path, path_prefix,
    remove_tags, required, tag_fields, tags, tags_element, time, validation,
};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, maybe, node};

const SPOT: &str = "spot.amazonaws.com";

/// The role that EC2 Spot has for itself; its first launch in an account makes it.
pub const SPOT_ROLE: &str = "AWSServiceRoleForEC2Spot";

/// Services whose role an account may make: service, the role's name, its policy.
const SERVICE_ROLES: [(&str, &str, &str); 4] = [
    (SPOT, SPOT_ROLE, "AWSEC2SpotServiceRolePolicy"),
    ("spotfleet.amazonaws.com", "AWSServiceRoleForEC2SpotFleet", "AWSEC2SpotFleetServiceRolePolicy"),
    ("ec2fleet.amazonaws.com", "AWSServiceRoleForEC2Fleet", "AWSEC2FleetServiceRolePolicy"),
    ("autoscaling.amazonaws.com", "AWSServiceRoleForAutoScaling", "AutoScalingServiceRolePolicy"),
];

/// The name of the role that a service has for itself, of a service that is known here.
#[must_use]
pub fn service_linked_name(service: &str) -> Option<&'static str> {
    SERVICE_ROLES.iter().find(|(known, ..)| *known == service).map(|(_, name, _)| *name)
}

/// The longest trust policy.
const TRUST_SIZE: usize = 2048;

pub(super) fn create(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "RoleName", 64)?;
    let trust = trust(&required(input, "AssumeRolePolicyDocument")?)?;
    let path = path(input)?;
    if path.starts_with("/aws-service-role/") {
        return Err(validation("The path /aws-service-role/ is reserved for service-linked roles."));
    }
    let description = input.optional("Description");
    if description.as_ref().is_some_and(|text| text.chars().count() > 1000) {
        return Err(validation(
            "1 validation error detected: Value at 'description' failed to satisfy constraint: Member must have length less \
             than or equal to 1000",
        ));
    }
    let max_session = input.number("MaxSessionDuration")?.unwrap_or(3600);
    if !(3600..=43200).contains(&max_session) {
        return Err(validation(format!(
            "1 validation error detected: Value '{max_session}' at 'maxSessionDuration' failed to satisfy constraint: Member \
             must be in 3600..43200"
        )));
    }
    let boundary = input.optional("PermissionsBoundary");
    let tags = tags(input)?;
    if call.world.iam.roles.keys().any(|other| other.eq_ignore_ascii_case(&name)) {
        return Err(exists(format!("Role with name {name} already exists.")));
    }
    let role = Role {
        id: new_id(call, "AROA"),
        path,
        created_at: call.now.as_second(),
        description,
        max_session,
        trust,
        boundary,
        inline: BTreeMap::new(),
        attached: BTreeMap::new(),
        tags,
    };
    let answer = vec![node("Role", whole(&name, &role))];
    call.world.iam.roles.insert(name, role);
    Ok(answer)
}

pub(super) fn create_service_linked(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let service = required(input, "AWSServiceName")?;
    let description = input.optional("Description");
    let Some((_, name, policy)) = SERVICE_ROLES.iter().find(|(known, ..)| *known == service) else {
        return Err(AwsError::new("InvalidInput", format!("Service {service} is not known to this sandbox.")));
    };
    if input.optional("CustomSuffix").is_some() {
        return Err(AwsError::new("InvalidInput", format!("Custom suffix is not allowed for {service}")));
    }
    if call.world.iam.roles.contains_key(*name) {
        return Err(AwsError::new(
            "InvalidInput",
            format!("Service role name {name} has been taken in this account, please try a different suffix."),
        ));
    }
    let id = new_id(call, "AROA");
    let role = Role { description, ..service_linked(id, &service, policy, call.now) };
    let answer = vec![node("Role", whole(name, &role))];
    call.world.iam.roles.insert((*name).to_owned(), role);
    Ok(answer)
}

/// Gives the account, once, what one that has been used before has.
pub fn furnish(state: &mut State, now: Timestamp) {
    if !state.is_furnished {
        make_spot_role(state, now);
    }
}

/// The role of EC2 Spot is there from now on.
pub fn make_spot_role(state: &mut State, now: Timestamp) {
    state.is_furnished = true;
    // An id of its own, so that those of all else stay as they are.
    let role = || service_linked("AROASANDBOXSPOTROLE00".to_owned(), SPOT, "AWSEC2SpotServiceRolePolicy", now);
    state.roles.entry(SPOT_ROLE.to_owned()).or_insert_with(role);
}

/// The account is as before its first Spot launch.
pub fn remove_spot_role(state: &mut State) {
    state.is_furnished = true;
    state.roles.remove(SPOT_ROLE);
}

fn service_linked(id: String, service: &str, policy: &str, now: Timestamp) -> Role {
    let trust = serde_json::json!({
        "Version": "2012-10-17",
        "Statement": [{"Action": ["sts:AssumeRole"], "Principal": {"Service": [service]}, "Effect": "Allow"}],
    });
    Role {
        id,
        path: format!("/aws-service-role/{service}/"),
        created_at: now.as_second(),
        description: None,
        max_session: 3600,
        trust: trust.to_string(),
        boundary: None,
        inline: BTreeMap::new(),
        attached: BTreeMap::from([(format!("arn:aws:iam::aws:policy/aws-service-role/{policy}"), policy.to_owned())]),
        tags: BTreeMap::new(),
    }
}

pub(super) fn get(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "RoleName", 64)?;
    let role = find(call, &name)?;
    let mut fields = whole(&name, role);
    fields.push(node("RoleLastUsed", Vec::new()));
    Ok(vec![node("Role", fields)])
}

pub(super) fn list(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let prefix = path_prefix(input)?;
    let roles = call.world.iam.roles.iter().filter(|(_, role)| role.path.starts_with(&prefix));
    // Without tags and boundary: AWS leaves them out of lists.
    page("Roles", roles.map(|(name, role)| node("member", listed(name, role))).collect(), input)
}

pub(super) fn delete(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "RoleName", 64)?;
    let role = modifiable(call, &name)?;
    if !role.inline.is_empty() {
        return Err(conflict("Cannot delete entity, must delete policies first."));
    }
    if !role.attached.is_empty() {
        return Err(conflict("Cannot delete entity, must detach all policies first."));
    }
    if call.world.iam.profiles.values().any(|profile| profile.role.as_ref() == Some(&name)) {
        return Err(conflict("Cannot delete entity, must remove roles from instance profile first."));
    }
    call.world.iam.roles.remove(&name);
    Ok(Vec::new())
}

pub(super) fn tag(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "RoleName", 64)?;
    let tags = tags(input)?;
    add_tags(&mut modifiable(call, &name)?.tags, tags)?;
    Ok(Vec::new())
}

pub(super) fn untag(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "RoleName", 64)?;
    let keys = input.list("TagKeys");
    remove_tags(&mut modifiable(call, &name)?.tags, &keys);
    Ok(Vec::new())
}

pub(super) fn list_tags(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "RoleName", 64)?;
    let role = find(call, &name)?;
    page("Tags", role.tags.iter().map(|(key, value)| node("member", tag_fields(key, value))).collect(), input)
}

pub(super) fn update_trust(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = name(input, "RoleName", 64)?;
    let trust = trust(&required(input, "PolicyDocument")?)?;
    modifiable(call, &name)?.trust = trust;
    Ok(Vec::new())
}

fn trust(document: &str) -> Result<String, AwsError> {
    check_document(document, Kind::Trust)?;
    if document.chars().filter(|letter| !letter.is_whitespace()).count() > TRUST_SIZE {
        return Err(limit(format!("Cannot exceed quota for ACLSizePerRole: {TRUST_SIZE}")));
    }
    Ok(document.to_owned())
}

pub(super) fn missing(name: &str) -> AwsError {
    no_such_entity(format!("The role with name {name} cannot be found."))
}

pub(super) fn find<'a>(call: &'a Call<'_>, name: &str) -> Result<&'a Role, AwsError> {
    call.world.iam.roles.get(name).ok_or_else(|| missing(name))
}

/// The role, when it is not a service's.
pub(super) fn modifiable<'a>(call: &'a mut Call<'_>, name: &str) -> Result<&'a mut Role, AwsError> {
    let role = call.world.iam.roles.get_mut(name).ok_or_else(|| missing(name))?;
    if role.path.starts_with("/aws-service-role/") {
        return Err(AwsError::new(
            "UnmodifiableEntity",
            format!(
                "Cannot perform the operation on the protected role '{name}' - this role is only modifiable by AWS"
            ),
        ));
    }
    Ok(role)
}

/// What every answer says of a role.
pub(super) fn listed(name: &str, role: &Role) -> Vec<Element> {
    let mut fields = vec![
        leaf("Path", &role.path),
        leaf("RoleName", name),
        leaf("RoleId", &role.id),
        leaf("Arn", role.arn(name)),
        leaf("CreateDate", time(role.created_at)),
        leaf("AssumeRolePolicyDocument", encoded(&role.trust)),
    ];
    fields.extend(maybe("Description", role.description.as_ref()));
    fields.push(leaf("MaxSessionDuration", role.max_session));
    fields
}

fn whole(name: &str, role: &Role) -> Vec<Element> {
    let mut fields = listed(name, role);
    fields.extend(role.boundary.as_ref().map(|arn| {
        node(
            "PermissionsBoundary",
            vec![leaf("PermissionsBoundaryType", "Policy"), leaf("PermissionsBoundaryArn", arn)],
        )
    }));
    fields.extend(tags_element(&role.tags));
    fields
}
