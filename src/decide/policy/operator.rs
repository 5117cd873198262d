//! What a person or a pipeline may do that runs spotctl for one stack.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reference::{Repository, kms, queues};
use super::{
    Place, PolicyError, STACK_TAG, Values, allow, allow_if, document, everything, make_spot_role, pass_role, role_name,
    tag_at_creation, tagged,
};
use crate::spec::{Ami, Spec};

/// The policy for every command on this stack, in this region.
///
/// Reading is allowed widely, since most of EC2's descriptions know no resources. What changes something is held to
/// things that carry the stack's tag, or to names that the stack owns. Adopting what somebody else made (`--adopt`) is
/// not in it: that tags things without a tag, which is leave to take over anything.
///
/// Whoever holds it writes the worker's role and can hand it to a box: he can do what he writes there. Where that is too
/// much, an administrator puts a permissions boundary on the role.
///
/// # Errors
/// As for the worker's policy.
pub fn operator(spec: &Spec, place: Place<'_>, plain: &BTreeMap<String, String>) -> Result<Value, PolicyError> {
    let values = Values::new(place, plain);
    let name = &spec.name;
    // The actions say which kinds of things these are, and the conditions which of them. Kinds spelled out would not fit
    // into the 6,144 characters of a managed policy.
    let anything = place.any(&["*"]);
    let mut statements = vec![
        allow("LookAround", &LOOK_AROUND, &everything()),
        allow("RequestQuota", &["servicequotas:RequestServiceQuotaIncrease"], &[place.arn("servicequotas", "ec2/*")]),
        allow_if(
            "MakeTagged",
            &["ec2:CreateLaunchTemplate", "ec2:CreateSecurityGroup", "ec2:RunInstances"],
            &anything,
            json!({"StringEquals": {format!("aws:RequestTag/{STACK_TAG}"): name}}),
        ),
        allow("MakeInTheVpc", &["ec2:CreateSecurityGroup"], &place.any(&["vpc"])),
        allow_if("ChangeWhatIsTagged", &CHANGE, &anything, tagged(name)),
        tag_at_creation(&anything, &["CreateLaunchTemplate", "CreateSecurityGroup", "RunInstances"]),
        // The instance itself has to be tagged (above), and it is the one thing that no launch is without.
        allow("LaunchWith", &["ec2:RunInstances"], &{
            let mut resources =
                place.any(&["network-interface", "security-group", "spot-instances-request", "subnet", "volume"]);
            resources.extend(place.any_public(&["image", "snapshot"]));
            resources
        }),
    ];
    statements.extend(parameters(spec, place)?);
    statements.extend(roles(spec, place));

    if let Some(repository) = Repository::of_worker(spec, &values)? {
        statements.push(allow("SeeTheImage", &["ecr:DescribeImages"], &[repository.arn()]));
    }
    let queues = queues(spec, place, &values)?;
    if !queues.is_empty() {
        statements.push(allow("SeeQueues", &["sqs:GetQueueUrl"], &queues));
    }
    Ok(document(&statements))
}

/// Reading that has no resource, or is done before one exists.
const LOOK_AROUND: [&str; 29] = [
    "ec2:DescribeAvailabilityZones",
    "ec2:DescribeImages",
    "ec2:DescribeInstanceTypeOfferings",
    "ec2:DescribeInstanceTypes",
    "ec2:DescribeInstances",
    "ec2:DescribeLaunchTemplateVersions",
    "ec2:DescribeLaunchTemplates",
    "ec2:DescribeRegions",
    "ec2:DescribeRouteTables",
    "ec2:DescribeSecurityGroups",
    "ec2:DescribeSpotInstanceRequests",
    "ec2:DescribeSpotPriceHistory",
    "ec2:DescribeSubnets",
    "ec2:DescribeVolumes",
    "ec2:DescribeVpcs",
    "ec2:GetEbsDefaultKmsKeyId",
    "ec2:GetEbsEncryptionByDefault",
    "ec2:GetSpotPlacementScores",
    "iam:ListRoles",
    "iam:SimulatePrincipalPolicy",
    "kms:ListGrants",
    "pricing:GetProducts",
    "servicequotas:GetAWSDefaultServiceQuota",
    "servicequotas:GetServiceQuota",
    "servicequotas:ListAWSDefaultServiceQuotas",
    "servicequotas:ListRequestedServiceQuotaChangeHistoryByQuota",
    "servicequotas:ListServiceQuotas",
    "ssm:DescribeParameters",
    "sts:DecodeAuthorizationMessage",
];

/// What is done to things of the stack, and with them: a launch uses the template. There is no `AuthorizeSecurityGroupIngress`: nothing is ever let in.
const CHANGE: [&str; 13] = [
    "ec2:AuthorizeSecurityGroupEgress",
    "ec2:CancelSpotInstanceRequests",
    "ec2:CreateLaunchTemplateVersion",
    "ec2:CreateTags",
    "ec2:DeleteLaunchTemplate",
    "ec2:DeleteLaunchTemplateVersions",
    "ec2:DeleteSecurityGroup",
    "ec2:GetConsoleOutput",
    "ec2:ModifyLaunchTemplate",
    "ec2:RevokeSecurityGroupEgress",
    "ec2:RevokeSecurityGroupIngress",
    "ec2:RunInstances",
    "ec2:TerminateInstances",
];

fn parameters(spec: &Spec, place: Place<'_>) -> Result<Vec<Value>, PolicyError> {
    let path = place.arn("ssm", &format!("parameter{}", spec.parameters.path));
    let image = match &spec.instance.ami {
        Ami::Parameter(image) if !image.starts_with("/aws/service/") => {
            Some(place.arn("ssm", &format!("parameter/{}", image.trim_start_matches('/'))))
        }
        _ => None,
    };
    // AWS's public parameters belong to no account.
    let public = format!("arn:{}:ssm:{}::parameter/aws/service/*", place.partition(), place.region);
    let images: Vec<String> = image.into_iter().chain([public]).collect();
    let mut statements = vec![
        allow("ListParameters", &["ssm:GetParametersByPath"], std::slice::from_ref(&path)),
        allow(
            "WriteParameters",
            &["ssm:AddTagsToResource", "ssm:DeleteParameters", "ssm:GetParameters", "ssm:PutParameter"],
            &[format!("{path}/*")],
        ),
        allow("FindImages", &["ssm:GetParameters"], &images),
    ];
    if let Some((key, condition)) = kms(&spec.parameters.kms_key, place)? {
        // `GenerateDataKey` is for values over 4 KB, which are encrypted by a key of their own.
        let actions = ["kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey"];
        statements.push(allow_if("EncryptParameters", &actions, &[key], condition));
    }
    Ok(statements)
}

fn roles(spec: &Spec, place: Place<'_>) -> Vec<Value> {
    let name = role_name(spec, place);
    let inline = ["iam:DeleteRolePolicy", "iam:GetRolePolicy", "iam:ListRolePolicies", "iam:PutRolePolicy"];
    let mut own = vec![
        "iam:CreateRole",
        "iam:DeleteRole",
        "iam:DetachRolePolicy",
        "iam:GetRole",
        "iam:ListAttachedRolePolicies",
        "iam:TagRole",
        "iam:UpdateAssumeRolePolicy",
    ];
    own.extend(inline);
    own.sort_unstable();
    let profile = [
        "iam:AddRoleToInstanceProfile",
        "iam:CreateInstanceProfile",
        "iam:DeleteInstanceProfile",
        "iam:GetInstanceProfile",
        "iam:RemoveRoleFromInstanceProfile",
        "iam:TagInstanceProfile",
    ];
    let mut statements = vec![
        allow("KeepTheWorkersRole", &own, &[place.iam(&format!("role/{name}"))]),
        allow("KeepTheWorkersProfile", &profile, &[place.iam(&format!("instance-profile/{name}"))]),
        pass_role(spec, place),
        make_spot_role(place),
    ];
    let launchers = &spec.access.launchers;
    if !launchers.is_empty() {
        let arn =
            |role: &String| if role.starts_with("arn:") { role.clone() } else { place.iam(&format!("role/{role}")) };
        statements.push(allow("LetLaunch", &inline, &launchers.iter().map(arn).collect::<Vec<_>>()));
    }
    statements
}
