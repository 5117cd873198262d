//! Who may do what: requests that are signed by a role's session, or by a key that `sandbox set principal` made, are held
//! to the policies of that principal. Everybody else is the account's one user, who may do everything.
//!
//! It owns who is limited and how each service words its refusal. [`evaluate`] knows IAM's rules and no request;
//! [`ec2`], [`iam`] and [`json`] know which action on which resource a request means, and no rule. Nothing here may look at
//! what the operation would do: it is asked before.
//!
//! What AWS does oddly: a request can need several actions at once (tags at creation, the role that is handed over), and
//! EC2 asks leave for each thing that a launch touches. Managed policies, boundaries, resource policies and KMS keys are
//! not modelled: an attached policy grants nothing here.

use bytes::Bytes;
use http::Request;
use serde_json::Value;

use super::call::{AwsError, Call};
use super::route::credential;
use super::sts::Caller;
use super::wire::query::Query;
use super::world::ACCOUNT;

pub mod ec2;
pub mod evaluate;
pub mod iam;
pub mod json;
pub mod message;

use evaluate::{Context, Policy, Question, evaluate};

/// Somebody who is held to policies.
struct Principal {
    caller: Caller,
    /// Names and documents.
    policies: Vec<(String, String)>,
    /// What is known of him whatever he asks.
    context: Context,
}

/// Says who asks, once it is clear that he may.
///
/// # Errors
/// He may not, or his session has expired, in the words of the service.
pub fn check(call: &mut Call<'_>, request: &Request<Bytes>) -> Result<Caller, AwsError> {
    // Without a signature a request does not come this far.
    let [key, _, service] = credential(request).unwrap_or_default();
    let Some(principal) = principal(call, key, service)? else { return Ok(Caller::user()) };
    // Nobody can be kept from asking who he is.
    if service == "sts" && call.operation == "GetCallerIdentity" {
        return Ok(principal.caller);
    }
    let policies =
        read(&principal).map_err(|why| refused(service, &format!("User: {} {why}", principal.caller.arn)))?;
    for mut question in questions(call, service, request.body())? {
        for (_, context) in &mut question.resources {
            context.extend(&principal.context);
        }
        evaluate(&policies, &question).map_err(|refusal| {
            let action = &question.action;
            let why = if refusal.denied_by.is_some() {
                "with an explicit deny in an identity-based policy".to_owned()
            } else {
                format!("because no identity-based policy allows the {action} action")
            };
            let (arn, resource) = (&principal.caller.arn, &refusal.resource);
            let sentence = format!("User: {arn} is not authorized to perform: {action} on resource: {resource} {why}");
            match service {
                "ec2" if action == "iam:CreateServiceLinkedRole" => {
                    let message =
                        "The provided credentials do not have permission to create the service-linked role for EC2 Spot \
                         Instances.";
                    AwsError::new("AuthFailure.ServiceLinkedRoleCreationNotPermitted", message).status(403)
                }
                "ec2" if message::is_encoded(action) => {
                    let encoded = message::encode(&principal.caller, action, &refusal);
                    refused(service, &format!("{sentence}. Encoded authorization failure message: {encoded}"))
                }
                _ => refused(service, &sentence),
            }
        })?;
    }
    Ok(principal.caller)
}

/// Whom this key belongs to, if he is limited.
fn principal(call: &Call<'_>, key: &str, service: &str) -> Result<Option<Principal>, AwsError> {
    let everywhere = Context::default()
        .with("aws:PrincipalAccount", ACCOUNT)
        .with("aws:RequestedRegion", &call.region)
        .with("ec2:Region", &call.region);
    if let Some(policy) = call.world.principals.get(key) {
        let arn = format!("arn:aws:iam::{ACCOUNT}:user/{key}");
        let context = everywhere.with("aws:PrincipalArn", &arn).with("aws:userid", key);
        let caller = Caller { arn, user_id: key.to_owned() };
        return Ok(Some(Principal { caller, policies: vec![("principal".to_owned(), policy.clone())], context }));
    }
    let Some(session) = call.world.sessions.get(key) else { return Ok(None) };
    if call.now.as_second() >= session.expires_at {
        return Err(expired(service));
    }
    let found = call.world.iam.roles.get_key_value(&session.role);
    let (name, instance) = (&session.role, &session.instance);
    let id = found.map(|(_, role)| role.id.as_str()).unwrap_or_default();
    let caller = Caller {
        arn: format!("arn:aws:sts::{ACCOUNT}:assumed-role/{name}/{instance}"),
        user_id: format!("{id}:{instance}"),
    };
    let mut context = everywhere.with("aws:userid", &caller.user_id);
    if let Some((name, role)) = found {
        context.add("aws:PrincipalArn", role.arn(name));
        for (key, value) in &role.tags {
            context.add(&format!("aws:PrincipalTag/{key}"), value);
        }
    }
    let home = call.world.regions.iter().find(|(_, home)| home.ec2.instances.contains_key(instance));
    if let Some((region, _)) = home {
        context.add("ec2:SourceInstanceARN", ec2::arn(region, "instance", instance));
    }
    // The session of a role that is gone may do nothing.
    let policies = found.map(|(_, role)| role.inline.clone().into_iter().collect()).unwrap_or_default();
    Ok(Some(Principal { caller, policies, context }))
}

fn read(principal: &Principal) -> Result<Vec<Policy>, String> {
    let policies = principal.policies.iter().map(|(name, document)| {
        document.parse().map_err(|why| format!("is not authorized: the policy {name} cannot be evaluated, {why}"))
    });
    policies.collect()
}

/// All that has to be allowed for this request.
///
/// # Errors
/// The service's own, of a request that it would refuse in any case.
fn questions(call: &mut Call<'_>, service: &str, body: &[u8]) -> Result<Vec<Question>, AwsError> {
    match service {
        "ec2" => ec2::questions(call, &Query::parse(body)),
        "iam" => Ok(iam::questions(call, &Query::parse(body))),
        "sts" => Ok(vec![everywhere(format!("sts:{}", call.operation))]),
        // What cannot be read is the service's to refuse.
        _ => Ok(json::questions(call, service, &serde_json::from_slice(body).unwrap_or(Value::Null))),
    }
}

/// An action that has no resource.
fn everywhere(action: String) -> Question {
    Question { action, resources: vec![("*".to_owned(), Context::default())] }
}

/// To hand a role to EC2.
fn pass_role(arn: String) -> Question {
    let context = Context::default().with("iam:PassedToService", "ec2.amazonaws.com");
    Question { action: "iam:PassRole".to_owned(), resources: vec![(arn, context)] }
}

/// Tags that a request brings along.
fn requested<'a>(tags: impl IntoIterator<Item = (&'a str, Option<&'a str>)>) -> Context {
    let mut context = Context::default();
    for (key, value) in tags {
        context.add("aws:TagKeys", key);
        if let Some(value) = value {
            context.add(&format!("aws:RequestTag/{key}"), value);
        }
    }
    context
}

/// Tags that a thing has already; the service has a name of its own for them.
fn held<'a>(own: &str, tags: impl IntoIterator<Item = (&'a String, &'a String)>) -> Context {
    let mut context = Context::default();
    for (key, value) in tags {
        context.add(&format!("aws:ResourceTag/{key}"), value);
        context.add(&format!("{own}/{key}"), value);
    }
    context
}

fn refused(service: &str, sentence: &str) -> AwsError {
    match service {
        "ec2" => {
            let message = format!("You are not authorized to perform this operation. {sentence}");
            AwsError::new("UnauthorizedOperation", message).status(403)
        }
        "iam" | "sts" => AwsError::new("AccessDenied", sentence).status(403),
        _ => AwsError::new("AccessDeniedException", sentence),
    }
}

fn expired(service: &str) -> AwsError {
    match service {
        "ec2" => AwsError::new("RequestExpired", "Request has expired."),
        "iam" | "sts" => {
            AwsError::new("ExpiredToken", "The security token included in the request is expired").status(403)
        }
        _ => AwsError::new("ExpiredTokenException", "The security token included in the request is expired"),
    }
}

#[cfg(test)]
mod tests;
