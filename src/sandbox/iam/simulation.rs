//! `SimulatePrincipalPolicy`: what a user's or a role's policies would say, without doing anything.
//!
//! It owns how the answer is worded; [`evaluate`](crate::sandbox::authorize::evaluate) decides, as it does for real calls.
//! A user is one that `sandbox set principal` made, or the account's own, who may do everything. One result for each action
//! on each resource, in pages.
//!
//! What AWS does oddly: nothing is known of a request but what `ContextEntries` say, so a condition may fail here that holds
//! in a call; what was asked for and not said is named in `MissingContextValues`. A role's session is no source of policies:
//! its role is. Where a statement begins and ends in its document is left out here, which AWS tells too.

use super::{page, required, validation};
use crate::sandbox::authorize::evaluate::{Context, Policy, Verdict, decide};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::sts::Caller;
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, node};
use crate::sandbox::world::ACCOUNT;

/// Of the one user who may do everything.
const EVERYTHING: &str =
    r#"{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "*", "Resource": "*"}]}"#;

/// Somebody whose policies are asked.
struct Source {
    /// As `SourcePolicyType` names what his policies are attached to.
    kind: &'static str,
    /// As `SourcePolicyId` names them, and the documents.
    policies: Vec<(String, String)>,
    /// What is known of him.
    context: Context,
}

/// Simulates.
///
/// # Errors
/// `InvalidInput`, `NoSuchEntity`, `PolicyEvaluation`, `ValidationError`.
pub(super) fn simulate(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let arn = required(input, "PolicySourceArn")?;
    let actions = input.list("ActionNames");
    if actions.is_empty() {
        return Err(validation(
            "1 validation error detected: Value null at 'actionNames' failed to satisfy constraint: Member must not be null",
        ));
    }
    let is_action = |name: &&String| {
        name.split_once(':').is_some_and(|(service, action)| !service.is_empty() && !action.is_empty())
    };
    if let Some(wrong) = actions.iter().find(|name| !is_action(name) || name.contains(['*', '?'])) {
        return Err(invalid(&format!("Invalid Entity Action: {wrong}")));
    }
    let mut resources = input.list("ResourceArns");
    if let Some(wrong) = resources.iter().find(|arn| *arn != "*" && arn.split(':').count() < 6) {
        return Err(invalid(&format!("Invalid Entity Resource: {wrong}")));
    }
    if resources.is_empty() {
        resources.push("*".to_owned());
    }
    let mut source = source(call, &arn)?;
    source.context.extend(&entries(input)?);
    let policies: Result<Vec<Policy>, AwsError> =
        source.policies.iter().map(|(name, document)| read(name, document)).collect();
    let policies = policies?;
    let mut results = Vec::new();
    for action in &actions {
        for resource in &resources {
            let verdict = decide(&policies, action, resource, &source.context);
            results.push(result(&source, action, resource, &verdict));
        }
    }
    page("EvaluationResults", results, input)
}

fn invalid(message: &str) -> AwsError {
    AwsError::new("InvalidInput", message)
}

fn read(name: &str, document: &str) -> Result<Policy, AwsError> {
    document.parse().map_err(|why| {
        let message = format!("The policy {name} cannot be evaluated: {why}");
        AwsError::new("PolicyEvaluation", message).status(500)
    })
}

fn entries(input: &Query) -> Result<Context, AwsError> {
    let mut context = Context::default();
    for entry in input.structures("ContextEntries") {
        let key = required(entry, "ContextKeyName")?;
        required(entry, "ContextKeyType")?;
        for value in entry.list("ContextKeyValues") {
            context.add(&key, value);
        }
    }
    Ok(context)
}

fn source(call: &Call<'_>, arn: &str) -> Result<Source, AwsError> {
    let named = arn.strip_prefix(&format!("arn:aws:iam::{ACCOUNT}:")).and_then(|rest| rest.split_once('/'));
    let context = Context::default().with("aws:PrincipalAccount", ACCOUNT).with("aws:PrincipalArn", arn);
    match named {
        Some(("user", name)) => {
            let document = match call.world.principals.get(name) {
                Some(document) => document.as_str(),
                None if arn == Caller::user().arn => EVERYTHING,
                None => {
                    let message = format!("The user with name {name} cannot be found.");
                    return Err(super::no_such_entity(message));
                }
            };
            let policies = vec![(format!("user_{name}_principal"), document.to_owned())];
            Ok(Source { kind: "user", policies, context: context.with("aws:userid", name) })
        }
        Some(("role", _)) => {
            let found = call.world.iam.roles.iter().find(|(name, role)| role.arn(name) == arn);
            let (name, role) = found.ok_or_else(|| super::roles::missing(arn.rsplit('/').next().unwrap_or(arn)))?;
            let mut context = context;
            for (key, value) in &role.tags {
                context.add(&format!("aws:PrincipalTag/{key}"), value);
            }
            let inline = role.inline.iter();
            let policies = inline.map(|(policy, document)| (format!("role_{name}_{policy}"), document.clone()));
            Ok(Source { kind: "role", policies: policies.collect(), context })
        }
        // A session of a role among them: `arn:aws:sts::…:assumed-role/…`.
        _ => Err(invalid(&format!("Invalid Entity Arn: {arn} does not clearly define entity type and name."))),
    }
}

fn result(source: &Source, action: &str, resource: &str, verdict: &Verdict) -> Element {
    let statements = verdict.statements.iter().map(|(index, _)| {
        let id = source.policies.get(*index).map(|(name, _)| name.as_str()).unwrap_or_default();
        vec![leaf("SourcePolicyId", id), leaf("SourcePolicyType", source.kind)]
    });
    node(
        "member",
        vec![
            leaf("EvalActionName", action),
            leaf("EvalResourceName", resource),
            leaf("EvalDecision", verdict.decision),
            list("MatchedStatements", "member", statements),
            node("MissingContextValues", verdict.missing.iter().map(|key| leaf("member", key)).collect()),
        ],
    )
}
