//! `permissions`: what `up` needs, asked of IAM's simulator, which evaluates the caller's own policies.
//!
//! Odd in AWS: the simulator wants the ARN of a user or role, and a role's session knows its role's name only: where the role
//! has a path (each of IAM Identity Center's has), it must be looked up. The simulator knows the organization's limits and the
//! permissions boundary, and no policy of a session.

use aws_sdk_iam::types::{ContextEntry, ContextKeyTypeEnum, PolicyEvaluationDecisionType};

use super::reads::{Look, Read};
use super::{Reads, Verdict};
use crate::cloud::{Caller, Cloud, call, pages};
use crate::decide::classify::Class;
use crate::decide::permissions::{Missing, Needed, Source, of_up, source};
use crate::decide::policy::Place;
use crate::error::{Error, Result};

/// What the simulator said.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Simulated {
    /// Of so many actions these are missing.
    Asked {
        /// How many.
        actions: usize,
        /// Those that are not allowed.
        missing: Vec<Missing>,
    },
    /// The root user has no policies to evaluate.
    Root,
    /// It is not known whose policies to evaluate.
    Nobody(String),
}

pub(super) async fn simulate<'a>(
    look: Look<'a>,
    caller: Read<'a, Caller>,
    spot_role: Read<'a, bool>,
) -> Result<Simulated> {
    let (caller, spot_role) = futures::join!(caller, spot_role);
    let caller = caller?;
    let source = match source(&caller.arn) {
        Source::User(arn) => arn,
        Source::Root => return Ok(Simulated::Root),
        Source::Unknown => return Ok(Simulated::Nobody(format!("{} is no user and no role's session", caller.arn))),
        Source::Role(name) => match role_arn(look.cloud, &caller, &name).await {
            Ok(arn) => arn,
            Err(error) => return Ok(Simulated::Nobody(error.message)),
        },
    };
    let place = Place { account: &caller.account, region: &look.cloud.region };
    let needed = of_up(look.spec, place, matches!(spot_role, Ok(false)));
    let asked = needed.iter().map(|needed| ask(look.cloud, &source, needed));
    let answers = futures::future::try_join_all(asked).await;
    let missing = match answers {
        Ok(missing) => missing.into_iter().flatten().collect(),
        // A role with a path that could not be looked up: the ARN made up from its name belongs to nobody.
        Err((Class::NotFound, error)) => return Ok(Simulated::Nobody(error.message)),
        Err((_, error)) => return Err(error),
    };
    Ok(Simulated::Asked { actions: needed.iter().map(|needed| needed.actions.len()).sum(), missing })
}

/// The role's own ARN; where it may not be looked up, the one it has without a path.
async fn role_arn(cloud: &Cloud, caller: &Caller, name: &str) -> Result<String> {
    match call("GetRole", cloud.iam.get_role().role_name(name).send()).await {
        Ok(answer) => Ok(answer.role.map(|role| role.arn).unwrap_or_default()),
        Err(failure) if failure.is_denied() => {
            Ok(format!("arn:{}:iam::{}:role/{name}", caller.partition, caller.account))
        }
        Err(failure) => Err(failure.doing(&format!("looking up the role `{name}`, whose session this is"))),
    }
}

async fn ask(cloud: &Cloud, source: &str, needed: &Needed) -> Result<Vec<Missing>, (Class, Error)> {
    let entries = needed.context.iter().map(|(key, value)| {
        ContextEntry::builder()
            .context_key_name(key)
            .context_key_type(ContextKeyTypeEnum::String)
            .context_key_values(value)
            .build()
    });
    let mut request = cloud
        .iam
        .simulate_principal_policy()
        .policy_source_arn(source)
        .set_action_names(Some(needed.actions.iter().map(|action| (*action).to_owned()).collect()))
        .set_context_entries(Some(entries.collect()));
    if needed.resource != "*" {
        request = request.resource_arns(&needed.resource);
    }
    let answers = pages("SimulatePrincipalPolicy", request.into_paginator().send())
        .await
        .map_err(|failure| (failure.class, failure.doing(&format!("simulating the policies of {source}"))))?;
    let results = answers.iter().flat_map(|page| page.evaluation_results());
    let refused = results.filter(|result| *result.eval_decision() != PolicyEvaluationDecisionType::Allowed);
    Ok(refused
        .map(|result| Missing { action: result.eval_action_name().to_owned(), resource: needed.resource.clone() })
        .collect())
}

pub(super) async fn simulated(reads: &Reads<'_>) -> Verdict {
    match reads.simulated.clone().await {
        Ok(simulated) => judge(&simulated),
        Err(error) => Verdict::unseen(&error),
    }
}

fn judge(simulated: &Simulated) -> Verdict {
    const ADVICE: &str = "give this policy to whoever runs spotctl: spotctl render policy operator";
    match simulated {
        Simulated::Root => Verdict::ok("the account's root user may do whatever the organization does not deny"),
        Simulated::Nobody(why) => Verdict::skip(format!("cannot be simulated: {why}")),
        Simulated::Asked { actions, missing } if missing.is_empty() => Verdict::ok(format!(
            "{actions} actions beside those that `dry-run` tries, simulated on the caller's policies"
        )),
        Simulated::Asked { actions, missing } => {
            let mut list: Vec<String> = missing.iter().map(ToString::to_string).collect();
            list.sort();
            list.dedup();
            Verdict::fail(
                format!("{} of {actions} actions are not allowed: {}", missing.len(), list.join(", ")),
                ADVICE,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn each_missing_action_is_named_with_its_resource() {
        let missing =
            |action: &str, resource: &str| Missing { action: action.to_owned(), resource: resource.to_owned() };
        let asked = |missing: Vec<Missing>| judge(&Simulated::Asked { actions: 40, missing });
        assert_eq!(
            asked(Vec::new()),
            Verdict::ok("40 actions beside those that `dry-run` tries, simulated on the caller's policies")
        );
        let verdict = asked(vec![missing("iam:PassRole", "arn:aws:iam::1:role/r"), missing("ec2:DescribeVpcs", "*")]);
        assert_eq!(verdict.status, Status::Fail);
        assert!(verdict.evidence.ends_with(": ec2:DescribeVpcs, iam:PassRole on arn:aws:iam::1:role/r"), "{verdict:?}");
        assert!(verdict.advice.unwrap().ends_with("spotctl render policy operator"));
        assert_eq!(judge(&Simulated::Root).status, Status::Ok);
        assert_eq!(judge(&Simulated::Nobody("x".to_owned())).status, Status::Skip);
    }
}
