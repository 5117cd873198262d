//! Which actions on which resources a request to IAM means.

use super::evaluate::{Context, Question};
use super::{everywhere, held, pass_role, requested};
use crate::sandbox::call::Call;
use crate::sandbox::iam::{State, service_linked_name};
use crate::sandbox::wire::query::Query;
use crate::sandbox::world::ACCOUNT;

/// All that has to be allowed.
pub fn questions(call: &Call<'_>, input: &Query) -> Vec<Question> {
    let state = &call.world.iam;
    let operation = call.operation.as_str();
    let one = |action: &str, resource: (String, Context)| Question {
        action: format!("iam:{action}"),
        resources: vec![resource],
    };
    let tags = tags(input);
    let role = input.optional("RoleName").map(|name| role(state, &name));
    let profile = input.optional("InstanceProfileName").map(|name| profile(state, &name));
    let path = |parameter: &str| input.optional(parameter).unwrap_or_else(|| "/".to_owned());
    let under = |kind: &str, path: &str, name: &str| format!("arn:aws:iam::{ACCOUNT}:{kind}{path}{name}");
    match operation {
        // Tags at creation need leave to tag, too.
        "CreateRole" | "CreateInstanceProfile" => {
            let (kind, name, tag) = if operation == "CreateRole" {
                ("role", "RoleName", "TagRole")
            } else {
                ("instance-profile", "InstanceProfileName", "TagInstanceProfile")
            };
            let name = input.optional(name).unwrap_or_default();
            let new = (under(kind, &path("Path"), &name), tags.clone());
            let tagging = (tags != Context::default()).then(|| one(tag, new.clone()));
            [one(operation, new)].into_iter().chain(tagging).collect()
        }
        "ListRoles" => vec![one(operation, (under("role", &path("PathPrefix"), ""), Context::default()))],
        "ListInstanceProfiles" => {
            vec![one(operation, (under("instance-profile", &path("PathPrefix"), ""), Context::default()))]
        }
        "CreateServiceLinkedRole" => {
            let service = input.optional("AWSServiceName").unwrap_or_default();
            vec![create_service_linked(&service)]
        }
        "SimulatePrincipalPolicy" => {
            let of = input.optional("PolicySourceArn").unwrap_or_else(|| "*".to_owned());
            vec![one(operation, (of, Context::default()))]
        }
        "AddRoleToInstanceProfile" => {
            let passed = role.map(|(arn, _)| pass_role(arn));
            profile.map(|profile| one(operation, profile)).into_iter().chain(passed).collect()
        }
        // Of both that are named it is the profile that is changed.
        _ => match profile.or(role) {
            Some((arn, mut context)) => {
                context.extend(&tags);
                if let Some(policy) = input.optional("PolicyArn") {
                    context.add("iam:PolicyARN", policy);
                }
                vec![one(operation, (arn, context))]
            }
            None => vec![everywhere(format!("iam:{operation}"))],
        },
    }
}

/// To make the role that a service has for itself.
pub(super) fn create_service_linked(service: &str) -> Question {
    let name = service_linked_name(service).unwrap_or("*");
    let arn = format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/{service}/{name}");
    let resources = vec![(arn, Context::default().with("iam:AWSServiceName", service))];
    Question { action: "iam:CreateServiceLinkedRole".to_owned(), resources }
}

fn role(state: &State, name: &str) -> (String, Context) {
    match state.roles.get(name) {
        Some(role) => (role.arn(name), held("iam:ResourceTag", &role.tags)),
        None => (format!("arn:aws:iam::{ACCOUNT}:role/{name}"), Context::default()),
    }
}

fn profile(state: &State, name: &str) -> (String, Context) {
    match state.profiles.get(name) {
        Some(profile) => (profile.arn(name), held("iam:ResourceTag", &profile.tags)),
        None => (format!("arn:aws:iam::{ACCOUNT}:instance-profile/{name}"), Context::default()),
    }
}

/// Tags to be put, or keys of tags to be taken away.
fn tags(input: &Query) -> Context {
    let tags = input.structures("Tags").into_iter();
    let mut tags: Vec<_> = tags.filter_map(|tag| Some((tag.optional("Key")?, tag.optional("Value")))).collect();
    tags.extend(input.list("TagKeys").into_iter().map(|key| (key, None)));
    requested(tags.iter().map(|(key, value)| (key.as_str(), value.as_deref())))
}
