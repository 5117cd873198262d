//! Which permissions `up` needs, asked one by one; and what AWS says when one is missing.
//!
//! The list is the part of [`super::policy::operator`] that `up` uses, with things made up where the policy has a pattern: a
//! simulation is asked about a thing, not about a pattern. A test holds the two together. What EC2 can answer by a dry run
//! is asked that way; a simulation knows no resource policy of a service and no session policy.

use serde_json::Value;

use super::names::{TAG_STACK, role};
use super::policy::{Place, SPOT_ROLE};
use crate::spec::Spec;

/// Actions that are asked about together, because the thing and what is known of the request are the same.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Needed {
    /// Such as `ssm:PutParameter`.
    pub actions: Vec<&'static str>,
    /// ARN of one such thing; `*` where the actions know none.
    pub resource: String,
    /// Condition keys and their values.
    pub context: Vec<(String, String)>,
}

/// What `up` and the `down` after it need on this stack. `without_spot_role`: the account has no role for EC2 Spot yet, so the
/// first launch makes it.
#[must_use]
pub fn of_up(spec: &Spec, place: Place<'_>, without_spot_role: bool) -> Vec<Needed> {
    let name = &spec.name;
    let worker = role(name, place.region);
    let stack = vec![(format!("ec2:ResourceTag/{TAG_STACK}"), name.to_string())];
    let plain = |actions: &[&'static str], resource: String| Needed {
        actions: actions.to_vec(),
        resource,
        context: Vec::new(),
    };
    let path = format!("parameter{}", spec.parameters.path);
    let ec2 = |thing: &str| place.arn("ec2", thing);
    let tagged =
        |actions: &[&'static str], thing: &str| Needed { context: stack.clone(), ..plain(actions, ec2(thing)) };
    let mut needed = vec![
        plain(&READ, "*".to_owned()),
        tagged(&["ec2:TerminateInstances"], "instance/i-0123456789abcdef0"),
        tagged(&["ec2:CancelSpotInstanceRequests"], "spot-instances-request/sir-01234567"),
        tagged(
            &["ec2:AuthorizeSecurityGroupEgress", "ec2:RevokeSecurityGroupEgress", "ec2:RevokeSecurityGroupIngress"],
            "security-group/sg-0123456789abcdef0",
        ),
        tagged(
            &[
                "ec2:CreateLaunchTemplateVersion",
                "ec2:CreateTags",
                "ec2:DeleteLaunchTemplateVersions",
                "ec2:ModifyLaunchTemplate",
            ],
            "launch-template/lt-0123456789abcdef0",
        ),
        plain(&["ssm:GetParametersByPath"], place.arn("ssm", &path)),
        plain(
            &["ssm:AddTagsToResource", "ssm:DeleteParameters", "ssm:PutParameter"],
            place.arn("ssm", &format!("{path}/KEY")),
        ),
        plain(
            &[
                "iam:CreateRole",
                "iam:GetRole",
                "iam:GetRolePolicy",
                "iam:ListAttachedRolePolicies",
                "iam:ListRolePolicies",
                "iam:PutRolePolicy",
                "iam:TagRole",
                "iam:UpdateAssumeRolePolicy",
            ],
            place.iam(&format!("role/{worker}")),
        ),
        plain(
            &[
                "iam:AddRoleToInstanceProfile",
                "iam:CreateInstanceProfile",
                "iam:GetInstanceProfile",
                "iam:TagInstanceProfile",
            ],
            place.iam(&format!("instance-profile/{worker}")),
        ),
        Needed {
            context: vec![("iam:PassedToService".to_owned(), place.ec2_service().to_owned())],
            ..plain(&["iam:PassRole"], place.iam(&format!("role/{worker}")))
        },
    ];
    if without_spot_role {
        needed.push(Needed {
            context: vec![("iam:AWSServiceName".to_owned(), "spot.amazonaws.com".to_owned())],
            ..plain(&[MAKE_SPOT_ROLE], place.iam(SPOT_ROLE))
        });
    }
    needed
}

/// To make the role for EC2 Spot, which the first Spot launch of an account does.
pub const MAKE_SPOT_ROLE: &str = "iam:CreateServiceLinkedRole";

/// What `up` reads, and what knows no resource. Not what it does without: quotas, the price list, how large volumes are.
const READ: [&str; 14] = [
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
    "ec2:DescribeVpcs",
    "ssm:DescribeParameters",
];

/// Whose policies a simulation evaluates.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// This user, by ARN.
    User(String),
    /// The role of this name: its session's ARN lacks the role's path, which has to be asked for.
    Role(String),
    /// The account's root user, who may do everything that the organization does not deny.
    Root,
    /// A federated user, or something that AWS adds some day.
    Unknown,
}

/// Reads the caller's ARN.
#[must_use]
pub fn source(arn: &str) -> Source {
    let resource = arn.splitn(6, ':').nth(5).unwrap_or_default();
    match resource.split_once('/') {
        Some(("user", _)) => Source::User(arn.to_owned()),
        Some(("assumed-role", rest)) => {
            let name = rest.split('/').next().unwrap_or_default();
            if name.is_empty() { Source::Unknown } else { Source::Role(name.to_owned()) }
        }
        None if resource == "root" => Source::Root,
        _ => Source::Unknown,
    }
}

/// An action that was refused, and on what.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Missing {
    /// Such as `ec2:RunInstances`.
    pub action: String,
    /// ARN; empty where AWS does not say.
    pub resource: String,
}

impl std::fmt::Display for Missing {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self.resource.as_str() {
            "" | "*" => f.write_str(&self.action),
            resource => write!(f, "{} on {resource}", self.action),
        }
    }
}

/// What AWS's sentence names: `… is not authorized to perform: ACTION on resource: ARN …`. Older answers of EC2 hold the
/// encoded message only.
#[must_use]
pub fn said(message: &str) -> Option<Missing> {
    let rest = message.split("not authorized to perform: ").nth(1)?;
    let action = rest.split([' ', ',']).next()?.trim_end_matches('.');
    let resource =
        rest.split("on resource: ").nth(1).and_then(|rest| rest.split_whitespace().next()).unwrap_or_default();
    let is_action = action.split_once(':').is_some_and(|(service, verb)| !service.is_empty() && !verb.is_empty());
    is_action.then(|| Missing { action: action.to_owned(), resource: resource.trim_end_matches(['.', ',']).to_owned() })
}

/// The action of an operation that AWS refused without naming it. Of those that a diagnosis reads; most are EC2's.
#[must_use]
pub fn action_of(operation: &str) -> String {
    let service = match operation {
        "GetCallerIdentity" | "DecodeAuthorizationMessage" => "sts",
        "DescribeParameters" | "GetParameters" | "GetParametersByPath" => "ssm",
        "GetInstanceProfile"
        | "GetRole"
        | "GetRolePolicy"
        | "ListAttachedRolePolicies"
        | "ListRolePolicies"
        | "ListRoles"
        | "SimulatePrincipalPolicy" => "iam",
        "GetQueueUrl" => "sqs",
        "ListGrants" => "kms",
        _ if operation.contains("ServiceQuota") => "servicequotas",
        _ => "ec2",
    };
    format!("{service}:{operation}")
}

/// What EC2 writes between its sentence and the encoded part of a refusal.
pub const ENCODED: &str = "Encoded authorization failure message: ";

/// The encoded part of EC2's refusal.
#[must_use]
pub fn encoded(message: &str) -> Option<&str> {
    message.split(ENCODED).nth(1)?.split_whitespace().next()
}

/// What a decoded message names.
#[must_use]
pub fn decoded(message: &str) -> Option<Missing> {
    let message: Value = serde_json::from_str(message).ok()?;
    let text = |field: &str| message["context"][field].as_str().map(str::to_owned);
    Some(Missing { action: text("action")?, resource: text("resource").unwrap_or_default() })
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};
    use std::path::Path;

    use super::*;
    use crate::decide::policy;

    const PLACE: Place<'static> = Place { account: "111122223333", region: "eu-west-1" };

    fn spec() -> Spec {
        crate::config::parse("name: w\ncontainer: {image: i}\n", Path::new("spotctl.yaml")).unwrap()
    }

    #[test]
    fn the_operators_policy_allows_whatever_is_asked_about() {
        let policy = policy::operator(&spec(), PLACE, &BTreeMap::new()).unwrap();
        let mut allowed = BTreeSet::new();
        for statement in policy["Statement"].as_array().unwrap() {
            allowed.extend(
                statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap().to_owned()),
            );
        }
        for needed in of_up(&spec(), PLACE, true) {
            for action in &needed.actions {
                assert!(allowed.contains(*action), "{action}");
            }
            assert!(!needed.resource.contains('*') || needed.resource == "*", "{}", needed.resource);
        }
    }

    #[test]
    fn what_up_does_without_is_not_asked_about() {
        let needed = of_up(&spec(), PLACE, true);
        let actions: Vec<&str> = needed.iter().flat_map(|needed| needed.actions.iter().copied()).collect();
        assert!(actions.contains(&"ec2:DescribeVpcs"));
        for optional in ["servicequotas:", "pricing:", "ec2:DescribeVolumes", "ec2:DescribeRegions"] {
            assert!(!actions.iter().any(|action| action.starts_with(optional)), "{optional}");
        }
    }

    #[test]
    fn leave_to_make_the_role_for_spot_is_asked_for_only_where_it_is_missing() {
        let asks =
            |without: bool| of_up(&spec(), PLACE, without).iter().any(|needed| needed.actions == [MAKE_SPOT_ROLE]);
        assert!(asks(true) && !asks(false));
    }

    #[test]
    fn the_callers_arn_says_whose_policies_count() {
        for (arn, expected) in [
            (
                "arn:aws:iam::111122223333:user/team/ann",
                Source::User("arn:aws:iam::111122223333:user/team/ann".to_owned()),
            ),
            ("arn:aws:sts::111122223333:assumed-role/deploy/ci", Source::Role("deploy".to_owned())),
            ("arn:aws-cn:sts::111122223333:assumed-role/a.b/c/d", Source::Role("a.b".to_owned())),
            ("arn:aws:iam::111122223333:root", Source::Root),
            ("arn:aws:sts::111122223333:federated-user/ann", Source::Unknown),
            ("arn:aws:sts::111122223333:assumed-role/", Source::Unknown),
            ("", Source::Unknown),
        ] {
            assert_eq!(source(arn), expected, "{arn}");
        }
    }

    #[test]
    fn an_operation_has_its_services_action() {
        for (operation, action) in [
            ("DescribeImages", "ec2:DescribeImages"),
            ("GetAWSDefaultServiceQuota", "servicequotas:GetAWSDefaultServiceQuota"),
            ("GetParametersByPath", "ssm:GetParametersByPath"),
            ("SimulatePrincipalPolicy", "iam:SimulatePrincipalPolicy"),
        ] {
            assert_eq!(action_of(operation), action);
        }
    }

    #[test]
    fn a_refusal_names_action_and_resource_in_its_sentence_or_in_its_code() {
        let sentence = "You are not authorized to perform this operation. User: arn:aws:iam::1:user/x is not authorized to \
                        perform: ec2:RunInstances on resource: arn:aws:ec2:eu-west-1:1:instance/* because no \
                        identity-based policy allows the ec2:RunInstances action. Encoded authorization failure message: \
                        aBc-1_2";
        let missing = said(sentence).unwrap();
        assert_eq!(missing.to_string(), "ec2:RunInstances on arn:aws:ec2:eu-west-1:1:instance/*");
        assert_eq!(encoded(sentence), Some("aBc-1_2"));
        let short = "User: x is not authorized to perform: kms:ListGrants";
        assert_eq!(said(short).unwrap().to_string(), "kms:ListGrants");
        assert_eq!(said("You are not authorized to perform this operation."), None);
        assert_eq!(encoded(short), None);
        let message = r#"{"allowed":false,"context":{"action":"iam:PassRole","resource":"arn:aws:iam::1:role/r"}}"#;
        assert_eq!(decoded(message).unwrap().to_string(), "iam:PassRole on arn:aws:iam::1:role/r");
        assert_eq!(decoded("{}"), None);
        assert_eq!(decoded("gibberish"), None);
    }
}
