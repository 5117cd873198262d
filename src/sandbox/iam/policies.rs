//! Policies of roles, inline and attached. Documents are checked for their form here, not evaluated.

use serde_json::Value;

use super::roles::{find, modifiable};
use super::{encoded, limit, name, no_such_entity, page, path_prefix, required, validation};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, node};

/// All inline policies of a role together, white space not counted.
const INLINE_SIZE: usize = 10_240;

/// Managed policies a role may have.
const ATTACHED: usize = 10;

/// What a document is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// Who may assume a role: names principals, no resources.
    Trust,
    /// What a role may do: names resources, no principals.
    Permissions,
}

pub(super) fn put(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let role_name = name(input, "RoleName", 64)?;
    let policy = name(input, "PolicyName", 128)?;
    let document = required(input, "PolicyDocument")?;
    check_document(&document, Kind::Permissions)?;
    let role = modifiable(call, &role_name)?;
    let size = |text: &str| text.chars().filter(|letter| !letter.is_whitespace()).count();
    let others: usize = role.inline.iter().filter(|(other, _)| **other != policy).map(|(_, text)| size(text)).sum();
    if others + size(&document) > INLINE_SIZE {
        return Err(limit(format!("Maximum policy size of {INLINE_SIZE} bytes exceeded for role {role_name}")));
    }
    role.inline.insert(policy, document);
    Ok(Vec::new())
}

pub(super) fn get(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let role = name(input, "RoleName", 64)?;
    let policy = name(input, "PolicyName", 128)?;
    let document = find(call, &role)?.inline.get(&policy).ok_or_else(|| missing(&policy))?;
    Ok(vec![leaf("RoleName", role), leaf("PolicyName", policy), leaf("PolicyDocument", encoded(document))])
}

pub(super) fn list(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let role = name(input, "RoleName", 64)?;
    page("PolicyNames", find(call, &role)?.inline.keys().map(|policy| leaf("member", policy)).collect(), input)
}

pub(super) fn delete(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let role = name(input, "RoleName", 64)?;
    let policy = name(input, "PolicyName", 128)?;
    modifiable(call, &role)?.inline.remove(&policy).ok_or_else(|| missing(&policy))?;
    Ok(Vec::new())
}

pub(super) fn attach(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let role = name(input, "RoleName", 64)?;
    let arn = policy_arn(input)?;
    let role = modifiable(call, &role)?;
    // The sandbox makes no customer policies, so only AWS's own can be there.
    let Some(policy) = arn.strip_prefix("arn:aws:iam::aws:policy/").and_then(|path| path.rsplit('/').next()) else {
        return Err(no_such_entity(format!("Policy {arn} does not exist or is not attachable.")));
    };
    if !role.attached.contains_key(&arn) && role.attached.len() >= ATTACHED {
        return Err(limit(format!("Cannot exceed quota for PoliciesPerRole: {ATTACHED}")));
    }
    role.attached.insert(arn.clone(), policy.to_owned());
    Ok(Vec::new())
}

pub(super) fn detach(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let role = name(input, "RoleName", 64)?;
    let arn = policy_arn(input)?;
    let role = modifiable(call, &role)?;
    role.attached.remove(&arn).ok_or_else(|| no_such_entity(format!("Policy {arn} was not found.")))?;
    Ok(Vec::new())
}

pub(super) fn list_attached(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let role = name(input, "RoleName", 64)?;
    let prefix = path_prefix(input)?;
    let policies = find(call, &role)?.attached.iter().filter(|(arn, policy)| {
        let path =
            arn.split_once(":policy").map_or("/", |(_, rest)| rest.strip_suffix(policy.as_str()).unwrap_or(rest));
        path.starts_with(&prefix)
    });
    let members = policies
        .map(|(arn, policy)| node("member", vec![leaf("PolicyName", policy), leaf("PolicyArn", arn)]))
        .collect();
    page("AttachedPolicies", members, input)
}

fn missing(policy: &str) -> AwsError {
    no_such_entity(format!("The role policy with name {policy} cannot be found."))
}

fn policy_arn(input: &Query) -> Result<String, AwsError> {
    let arn = required(input, "PolicyArn")?;
    if arn.len() >= 20 && arn.starts_with("arn:") && arn.contains(":policy/") {
        return Ok(arn);
    }
    Err(validation(format!("ARN {arn} is not valid.")))
}

/// Refuses what IAM's parser would.
pub(super) fn check_document(document: &str, kind: Kind) -> Result<(), AwsError> {
    let malformed = |message: &str| Err(AwsError::new("MalformedPolicyDocument", message));
    let Ok(Value::Object(policy)) = serde_json::from_str::<Value>(document) else {
        return malformed(match kind {
            Kind::Trust => "This policy contains invalid Json",
            Kind::Permissions => "Syntax errors in policy.",
        });
    };
    if let Some(field) = policy.keys().find(|key| !["Version", "Id", "Statement"].contains(&key.as_str())) {
        return malformed(&format!("Unknown field {field}"));
    }
    if policy.get("Version").is_some_and(|version| version != "2012-10-17" && version != "2008-10-17") {
        return malformed("Policy version is not valid: it is 2012-10-17 or 2008-10-17");
    }
    let statements = match policy.get("Statement") {
        Some(Value::Array(statements)) if !statements.is_empty() => statements.iter().collect(),
        Some(statement @ Value::Object(_)) => vec![statement],
        _ => return malformed("Missing required field Statement"),
    };
    for statement in statements {
        let has = |name: &str| statement.get(name).is_some();
        if !matches!(statement.get("Effect").and_then(Value::as_str), Some("Allow" | "Deny")) {
            return malformed("Missing required field Effect");
        }
        if !has("Action") && !has("NotAction") {
            return malformed("Missing required field Action");
        }
        let has_principal = has("Principal") || has("NotPrincipal");
        let has_resource = has("Resource") || has("NotResource");
        match kind {
            Kind::Trust if has_resource => return malformed("Has prohibited field Resource"),
            Kind::Trust if !has_principal => return malformed("Missing required field Principal"),
            Kind::Permissions if has_principal => return malformed("Policy document should not specify a principal."),
            Kind::Permissions if !has_resource => return malformed("Policy statement must contain resources."),
            _ => {}
        }
    }
    Ok(())
}
