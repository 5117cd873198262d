//! Which actions on which resources a request to EC2 means.

use super::evaluate::{Context, Question};
use super::{everywhere, held, pass_role, requested};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::ec2::state::State;
use crate::sandbox::ec2::tags::kind_of;
use crate::sandbox::ec2::{network, run_instances};
use crate::sandbox::iam::SPOT_ROLE;
use crate::sandbox::wire::query::Query;
use crate::sandbox::world::ACCOUNT;

/// Operations on things that the request names by their ids: the kind, and the parameter.
const ON_IDS: [(&str, &str, &str); 13] = [
    ("TerminateInstances", "instance", "InstanceId"),
    ("GetConsoleOutput", "instance", "InstanceId"),
    ("CancelSpotInstanceRequests", "spot-instances-request", "SpotInstanceRequestId"),
    ("AuthorizeSecurityGroupIngress", "security-group", "GroupId"),
    ("AuthorizeSecurityGroupEgress", "security-group", "GroupId"),
    ("RevokeSecurityGroupIngress", "security-group", "GroupId"),
    ("RevokeSecurityGroupEgress", "security-group", "GroupId"),
    ("DeleteSecurityGroup", "security-group", "GroupId"),
    ("DeleteVolume", "volume", "VolumeId"),
    ("DeleteSubnet", "subnet", "SubnetId"),
    ("DeleteVpc", "vpc", "VpcId"),
    ("CreateTags", "", "ResourceId"),
    ("DeleteTags", "", "ResourceId"),
];

/// Operations on the launch template that the request names by its id or its name.
const ON_TEMPLATE: [&str; 4] =
    ["CreateLaunchTemplateVersion", "ModifyLaunchTemplate", "DeleteLaunchTemplateVersions", "DeleteLaunchTemplate"];

/// The ARN of a thing, or with `*` of one that is yet to be made. Images and snapshots may be another account's and name
/// none.
#[must_use]
pub fn arn(region: &str, kind: &str, id: &str) -> String {
    let account = if matches!(kind, "image" | "snapshot") { "" } else { ACCOUNT };
    format!("arn:aws:ec2:{region}:{account}:{kind}/{id}")
}

/// All that has to be allowed. What the request does not name, or names wrongly, is no question: the service refuses it.
///
/// # Errors
/// Those of a launch whose parts cannot be found.
pub fn questions(call: &mut Call<'_>, input: &Query) -> Result<Vec<Question>, AwsError> {
    let region = call.region.clone();
    network::furnish(call.world, &region);
    if call.operation == "RunInstances" {
        return launch(call, input);
    }
    let here = Here { region: &region, state: &call.world.region(&region).ec2 };
    let mut resources = here.resources(&call.operation, input);
    let mut questions = Vec::new();
    for specification in input.structures("TagSpecification") {
        let Some(kind) = specification.optional("ResourceType") else { continue };
        let tags = tags_of(specification);
        let context = requested(pairs(&tags)).with("ec2:CreateAction", &call.operation);
        let new = arn(&region, &kind, "*");
        for (_, context) in resources.iter_mut().filter(|(resource, _)| *resource == new) {
            context.extend(&requested(pairs(&tags)));
        }
        questions.push(Question { action: "ec2:CreateTags".to_owned(), resources: vec![(new, context)] });
    }
    let action = format!("ec2:{}", call.operation);
    let question = if resources.is_empty() { everywhere(action) } else { Question { action, resources } };
    questions.insert(0, question);
    Ok(questions)
}

struct Here<'a> {
    region: &'a str,
    state: &'a State,
}

impl Here<'_> {
    /// A thing that is there, with its tags.
    fn known(&self, kind: &str, id: &str) -> (String, Context) {
        let tags = self.state.tags.get(id).into_iter().flatten();
        (arn(self.region, kind, id), held("ec2:ResourceTag", tags))
    }

    fn new_one(&self, kind: &str) -> (String, Context) {
        (arn(self.region, kind, "*"), Context::default())
    }

    /// What the operation is done to; nothing where the action has no resource.
    fn resources(&self, operation: &str, input: &Query) -> Vec<(String, Context)> {
        if let Some((_, kind, parameter)) = ON_IDS.iter().find(|(known, ..)| *known == operation) {
            let mut ids = input.list(parameter);
            ids.extend(input.optional(parameter));
            let tags = requested_here(input);
            let resource = |id: &String| {
                let kind = if kind.is_empty() { kind_of(id) } else { kind };
                let (arn, mut context) = self.known(kind, id);
                context.extend(&tags);
                (arn, context)
            };
            return ids.iter().map(resource).collect();
        }
        if ON_TEMPLATE.contains(&operation) {
            return self.template(input).map(|id| self.known("launch-template", &id)).into_iter().collect();
        }
        match operation {
            "CreateLaunchTemplate" => vec![self.new_one("launch-template")],
            "CreateVpc" => vec![self.new_one("vpc")],
            "CreateSubnet" | "CreateSecurityGroup" => {
                let kind = if operation == "CreateSubnet" { "subnet" } else { "security-group" };
                let default = || self.state.vpcs.iter().find(|(_, vpc)| vpc.is_default).map(|(id, _)| id.clone());
                let vpc = input.optional("VpcId").or_else(default);
                [self.new_one(kind)].into_iter().chain(vpc.map(|vpc| self.known("vpc", &vpc))).collect()
            }
            _ => Vec::new(),
        }
    }

    fn template(&self, input: &Query) -> Option<String> {
        let named = |name: String| {
            self.state.launch_templates.iter().find(|(_, found)| found.name == name).map(|(id, _)| id.clone())
        };
        input.optional("LaunchTemplateId").or_else(|| input.optional("LaunchTemplateName").and_then(named))
    }
}

/// A launch: leave for everything that it touches, for the tags it brings along, and for the role it hands over.
fn launch(call: &mut Call<'_>, input: &Query) -> Result<Vec<Question>, AwsError> {
    let reach = run_instances::reach(call, input)?;
    let region = call.region.clone();
    let here = Here { region: &region, state: &call.world.region(&region).ec2 };
    let template = reach.template.as_ref().map(|id| arn(&region, "launch-template", id));
    let tags_for = |kind: &str| {
        let tags = reach.tags.get(kind).into_iter().flatten();
        requested(tags.map(|(key, value)| (key.as_str(), Some(value.as_str()))))
    };
    let mut resources = Vec::new();
    for touched in &reach.things {
        let (arn, mut context) =
            touched.id.as_ref().map_or_else(|| here.new_one(touched.kind), |id| here.known(touched.kind, id));
        // A Spot request has none of a launch's condition keys.
        if touched.kind != "spot-instances-request" {
            if touched.id.is_none() {
                context.extend(&tags_for(touched.kind));
            }
            if let Some(template) = &template {
                context.add("ec2:LaunchTemplate", template);
            }
            context.add("ec2:IsLaunchTemplateResource", touched.is_of_template.to_string());
        }
        if touched.kind == "instance" {
            context.add("ec2:InstanceType", &reach.instance_type);
            context.add("ec2:InstanceMarketType", if reach.is_spot { "spot" } else { "on-demand" });
        }
        resources.push((arn, context));
    }
    let mut questions = vec![Question { action: "ec2:RunInstances".to_owned(), resources }];
    let tagged = reach
        .tags
        .iter()
        .filter(|(_, tags)| !tags.is_empty())
        .map(|(kind, _)| (arn(&region, kind, "*"), tags_for(kind).with("ec2:CreateAction", "RunInstances")));
    let resources: Vec<_> = tagged.collect();
    if !resources.is_empty() {
        questions.push(Question { action: "ec2:CreateTags".to_owned(), resources });
    }
    questions.extend(reach.role.map(pass_role));
    // Whether a dry run asks this is not documented: it makes no request, so here it does not.
    if reach.is_spot && !input.dry_run()? && !call.world.iam.roles.contains_key(SPOT_ROLE) {
        questions.push(super::iam::create_service_linked("spot.amazonaws.com"));
    }
    Ok(questions)
}

type Tags = Vec<(String, Option<String>)>;

fn tags_of(input: &Query) -> Tags {
    let tags = input.structures("Tag").into_iter();
    tags.filter_map(|tag| Some((tag.optional("Key")?, tag.optional("Value")))).collect()
}

fn pairs(tags: &Tags) -> impl Iterator<Item = (&str, Option<&str>)> {
    tags.iter().map(|(key, value)| (key.as_str(), value.as_deref()))
}

fn requested_here(input: &Query) -> Context {
    requested(pairs(&tags_of(input)))
}
