//! Launch templates and their versions.
//!
//! Reads and launches may be late, as AWS's are ([`Weather::template_delay`](crate::sandbox::weather::Weather)): they see what
//! was then. What is gone is gone for a launch at once.

use std::collections::BTreeMap;

use super::filter::{Filters, dry_run, page};
use super::instances::answer::{tag_set, time};
use super::launch_data::{self, merge};
use super::network::{new_tags, put_tags};
use super::state::{FormerTemplate, LaunchData, LaunchTemplate, State, Version};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};
use crate::sandbox::world::ACCOUNT;

#[cfg(test)]
mod tests;

/// Answers this module's operations.
pub fn handle(call: &mut Call<'_>, input: &Query) -> Option<Result<Vec<Element>, AwsError>> {
    Some(match call.operation.as_str() {
        "CreateLaunchTemplate" => create(call, input),
        "CreateLaunchTemplateVersion" => create_version(call, input),
        "ModifyLaunchTemplate" => modify(call, input),
        "DescribeLaunchTemplates" => describe(call, input),
        "DescribeLaunchTemplateVersions" => describe_versions(call, input),
        "DeleteLaunchTemplateVersions" => delete_versions(call, input),
        "DeleteLaunchTemplate" => delete(call, input),
        _ => return None,
    })
}

/// A version that a launch names.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// `lt-…`.
    pub id: String,
    /// Its number.
    pub version: i64,
    /// What it says.
    pub data: LaunchData,
}

/// Finds what `LaunchTemplate` in `RunInstances` means; without a version the default one.
///
/// # Errors
/// No such template, no such version.
pub fn resolve(call: &Call<'_>, specification: &Query) -> Result<Resolved, AwsError> {
    let none = State::default();
    let state = call.world.regions.get(&call.region).map_or(&none, |region| &region.ec2);
    let mut seen = seen(call, state);
    seen.retain(|id, _| state.launch_templates.contains_key(id));
    let id = find(&seen, specification)?;
    let template = &seen[&id];
    let version = specification.optional("Version").filter(|text| !text.is_empty());
    let number = number(&id, template, version.as_deref().unwrap_or("$Default"))?;
    if !state.launch_templates[&id].versions.contains_key(&number) {
        return Err(no_version(&id, &number.to_string()));
    }
    Ok(Resolved { version: number, data: template.versions[&number].data.clone(), id })
}

fn here<'a>(call: &'a mut Call<'_>) -> &'a mut State {
    let region = call.region.clone();
    &mut call.world.region(&region).ec2
}

type Templates = BTreeMap<String, LaunchTemplate>;

/// The templates as reads see them.
fn seen(call: &Call<'_>, state: &State) -> Templates {
    let mut seen = (*state.launch_templates).clone();
    let since = late(call);
    // The oldest of what came later than what is seen.
    for former in state.former_templates.iter().rev().filter(|former| former.changed_at > since) {
        match &former.was {
            Some(was) => seen.insert(former.id.clone(), was.clone()),
            None => seen.remove(&former.id),
        };
    }
    seen
}

/// The moment that reads see.
fn late(call: &Call<'_>) -> i64 {
    let delay = i64::try_from(call.world.weather.template_delay.as_secs()).unwrap_or(i64::MAX);
    call.now.as_second().saturating_sub(delay)
}

/// Keeps what this template is before it changes, as long as a read may ask for it.
fn keep(call: &mut Call<'_>, id: &str) {
    let (since, changed_at) = (late(call), call.now.as_second());
    let state = here(call);
    state.former_templates.retain(|former| former.changed_at > since);
    if since < changed_at {
        let was = state.launch_templates.get(id).cloned();
        state.former_templates.push(FormerTemplate { id: id.to_owned(), changed_at, was });
    }
}

/// By id or by name; one of them must be given.
fn find(templates: &Templates, input: &Query) -> Result<String, AwsError> {
    let (id, name) = (input.optional("LaunchTemplateId"), input.optional("LaunchTemplateName"));
    match (id.filter(|text| !text.is_empty()), name.filter(|text| !text.is_empty())) {
        (Some(id), None) => {
            if templates.contains_key(&id) {
                return Ok(id);
            }
            let message = format!("The specified launch template, with template ID {id}, does not exist.");
            Err(AwsError::new("InvalidLaunchTemplateId.NotFound", message))
        }
        (None, Some(name)) => by_name(templates, &name).ok_or_else(|| no_name(&name)),
        (Some(_), Some(_)) => {
            let message = "Provide only one of the parameters: launchTemplateId, launchTemplateName.";
            Err(AwsError::new("InvalidParameterCombination", message))
        }
        (None, None) => {
            let message = "Either 'LaunchTemplateId' or 'LaunchTemplateName' must be specified";
            Err(AwsError::new("MissingParameter", message))
        }
    }
}

fn by_name(templates: &Templates, name: &str) -> Option<String> {
    templates.iter().find(|(_, template)| template.name == name).map(|(id, _)| id.clone())
}

fn no_name(name: &str) -> AwsError {
    let message = format!("The specified launch template, with template name {name}, does not exist.");
    AwsError::new("InvalidLaunchTemplateName.NotFoundException", message)
}

fn number(id: &str, template: &LaunchTemplate, text: &str) -> Result<i64, AwsError> {
    let number = match text {
        "$Default" => Some(template.default_version),
        "$Latest" => template.versions.keys().next_back().copied(),
        text => text.parse().ok(),
    };
    number.filter(|number| template.versions.contains_key(number)).ok_or_else(|| no_version(id, text))
}

fn no_version(id: &str, text: &str) -> AwsError {
    let message = format!("Could not find the specified version {text} for the launch template with ID {id}.");
    AwsError::new("InvalidLaunchTemplateId.VersionNotFound", message)
}

/// As a write answers it, which knows what it did.
fn template_item(state: &State, id: &str) -> Vec<Element> {
    item_of(state, id, &state.launch_templates[id])
}

fn item_of(state: &State, id: &str, template: &LaunchTemplate) -> Vec<Element> {
    vec![
        leaf("launchTemplateId", id),
        leaf("launchTemplateName", &template.name),
        leaf("createTime", time(template.created_at)),
        leaf("createdBy", format!("arn:aws:iam::{ACCOUNT}:user/sandbox")),
        leaf("defaultVersionNumber", template.default_version),
        leaf("latestVersionNumber", template.latest_version),
        tag_set(state, id),
    ]
}

fn version_item(id: &str, template: &LaunchTemplate, number: i64) -> Vec<Element> {
    let version = &template.versions[&number];
    let mut item = vec![
        leaf("launchTemplateId", id),
        leaf("launchTemplateName", &template.name),
        leaf("versionNumber", number),
        leaf("createTime", time(version.created_at)),
        leaf("createdBy", format!("arn:aws:iam::{ACCOUNT}:user/sandbox")),
        leaf("defaultVersion", number == template.default_version),
        launch_data::to_xml(&version.data),
    ];
    item.extend(maybe("versionDescription", version.description.as_ref()));
    item
}

fn data_of(input: &Query) -> Result<LaunchData, AwsError> {
    let data = input.structure("LaunchTemplateData").ok_or_else(|| {
        AwsError::new("MissingParameter", "The request must contain the parameter LaunchTemplateData")
    })?;
    launch_data::parse_template(data)
}

/// Whether a request with this token was answered before, which its retry is told again.
///
/// # Errors
/// The token was used for something else.
fn is_retry(used: Option<&(String, String)>, token: Option<&String>, fingerprint: &str) -> Result<bool, AwsError> {
    match (used, token) {
        (Some((known, of)), Some(token)) if known == token => {
            if of == fingerprint {
                return Ok(true);
            }
            let message = "The client token was used before with other parameters";
            Err(AwsError::new("IdempotentParameterMismatch", message))
        }
        _ => Ok(false),
    }
}

fn create(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let name = input.required("LaunchTemplateName")?;
    let description = input.optional("VersionDescription");
    let token = input.optional("ClientToken").filter(|token| !token.is_empty());
    let fingerprint = input.fingerprint(&["ClientToken"]);
    let data = data_of(input)?;
    launch_data::validate(&data)?;
    let tags = new_tags(input, "launch-template")?;
    let is_fine = |c: char| c.is_ascii_alphanumeric() || "().-/_".contains(c);
    if !(3..=128).contains(&name.len()) || !name.chars().all(is_fine) {
        let message = format!("Launch template name {name} is malformed: 3 to 128 letters, digits and ()./_-");
        return Err(AwsError::new("InvalidLaunchTemplateName.MalformedException", message));
    }
    let state = here(call);
    for (id, template) in &state.launch_templates {
        if is_retry(template.client_token.as_ref(), token.as_ref(), &fingerprint)? {
            return Ok(vec![node("launchTemplate", template_item(state, id))]);
        }
    }
    if by_name(&state.launch_templates, &name).is_some() {
        let message = format!("Launch template name already in use.: {name}");
        return Err(AwsError::new("InvalidLaunchTemplateName.AlreadyExistsException", message));
    }
    dry_run(input)?;
    let id = call.world.new_id("lt");
    let created_at = call.now.as_second();
    let version = Version { description, created_at, data, client_token: None };
    let template = LaunchTemplate {
        name,
        created_at,
        default_version: 1,
        latest_version: 1,
        versions: BTreeMap::from([(1, version)]),
        client_token: token.map(|token| (token, fingerprint)),
    };
    keep(call, &id);
    here(call).launch_templates.insert(id.clone(), template);
    put_tags(call, &id, tags);
    Ok(vec![node("launchTemplate", template_item(here(call), &id))])
}

fn create_version(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = find(&here(call).launch_templates, input)?;
    let description = input.optional("VersionDescription");
    let source = input.optional("SourceVersion");
    let token = input.optional("ClientToken").filter(|token| !token.is_empty());
    let fingerprint = input.fingerprint(&["ClientToken"]);
    let mut data = data_of(input)?;
    let created_at = call.now.as_second();
    let template = &here(call).launch_templates[&id];
    for (number, version) in &template.versions {
        if is_retry(version.client_token.as_ref(), token.as_ref(), &fingerprint)? {
            return Ok(vec![node("launchTemplateVersion", version_item(&id, template, *number))]);
        }
    }
    if let Some(source) = source {
        let number = number(&id, template, &source)?;
        data = merge(&template.versions[&number].data, &data);
    }
    launch_data::validate(&data)?;
    dry_run(input)?;
    let client_token = token.map(|token| (token, fingerprint));
    keep(call, &id);
    let Some(template) = here(call).launch_templates.get_mut(&id) else { return Err(no_name(&id)) };
    template.latest_version += 1;
    let number = template.latest_version;
    template.versions.insert(number, Version { description, created_at, data, client_token });
    Ok(vec![node("launchTemplateVersion", version_item(&id, template, number))])
}

fn modify(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = find(&here(call).launch_templates, input)?;
    let _ = input.optional("ClientToken");
    let version = input.optional("SetDefaultVersion");
    let Some(template) = here(call).launch_templates.get(&id) else { return Err(no_name(&id)) };
    let default = version.map_or(Ok(template.default_version), |version| number(&id, template, &version))?;
    dry_run(input)?;
    keep(call, &id);
    let Some(template) = here(call).launch_templates.get_mut(&id) else { return Err(no_name(&id)) };
    template.default_version = default;
    Ok(vec![node("launchTemplate", template_item(here(call), &id))])
}

fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let (ids, names) = (input.list("LaunchTemplateId"), input.list("LaunchTemplateName"));
    let filters = Filters::read(input)?;
    // A fresh region has no template that would meet the filters.
    filters.check(&["launch-template-name", "create-time"])?;
    // Furnished first.
    let _ = here(call);
    let state = &call.world.regions[&call.region].ec2;
    let templates = seen(call, state);
    if let Some(id) = ids.iter().find(|id| !templates.contains_key(*id)) {
        let message = format!("The specified launch template, with template ID {id}, does not exist.");
        return Err(AwsError::new("InvalidLaunchTemplateId.NotFound", message));
    }
    if let Some(name) = names.iter().find(|name| by_name(&templates, name).is_none()) {
        return Err(no_name(name));
    }
    let mut items = Vec::new();
    for (id, template) in &templates {
        let is_asked = (ids.is_empty() || ids.contains(id)) && (names.is_empty() || names.contains(&template.name));
        let values = |name: &str| match name {
            "launch-template-name" => Some(vec![template.name.clone()]),
            "create-time" => Some(vec![time(template.created_at)]),
            _ => None,
        };
        if is_asked && filters.accept(state.tags_of(id), values)? {
            items.push(item_of(state, id, template));
        }
    }
    let (items, next) = page(input, items, 1..=200)?;
    dry_run(input)?;
    let mut answer = vec![list("launchTemplates", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn describe_versions(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let asked = input.list("LaunchTemplateVersion");
    let bound = |name: &str| input.number(name);
    let (least, most) = (bound("MinVersion")?.unwrap_or(0), bound("MaxVersion")?.unwrap_or(i64::MAX));
    let _ = here(call);
    let templates = seen(call, &call.world.regions[&call.region].ec2);
    let id = find(&templates, input)?;
    let template = &templates[&id];
    let numbers: Vec<i64> = if asked.is_empty() {
        template.versions.keys().rev().copied().filter(|number| (least..=most).contains(number)).collect()
    } else {
        let mut numbers = Vec::new();
        for text in &asked {
            let number = number(&id, template, text)?;
            if !numbers.contains(&number) {
                numbers.push(number);
            }
        }
        numbers
    };
    let items = numbers.into_iter().map(|number| version_item(&id, template, number)).collect();
    let (items, next) = page(input, items, 1..=200)?;
    dry_run(input)?;
    let mut answer = vec![list("launchTemplateVersionSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn delete_versions(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let asked = input.list("LaunchTemplateVersion");
    let id = find(&here(call).launch_templates, input)?;
    if asked.is_empty() {
        let message = "The request must contain the parameter LaunchTemplateVersion";
        return Err(AwsError::new("MissingParameter", message));
    }
    dry_run(input)?;
    keep(call, &id);
    let Some(template) = here(call).launch_templates.get_mut(&id) else { return Err(no_name(&id)) };
    let (mut done, mut left) = (Vec::new(), Vec::new());
    for text in asked {
        let item = vec![
            leaf("launchTemplateId", &id),
            leaf("launchTemplateName", &template.name),
            leaf("versionNumber", &text),
        ];
        let refuse = |code: &str, message: &str| {
            let mut item = item.clone();
            item.push(node("responseError", vec![leaf("code", code), leaf("message", message)]));
            item
        };
        match text.parse::<i64>() {
            Ok(number) if number == template.default_version => {
                left.push(refuse("unexpectedError", "The default version cannot be deleted"));
            }
            Ok(number) if template.versions.remove(&number).is_some() => done.push(item),
            _ => left.push(refuse("launchTemplateVersionDoesNotExist", "The version does not exist")),
        }
    }
    Ok(vec![
        list("successfullyDeletedLaunchTemplateVersionSet", "item", done),
        list("unsuccessfullyDeletedLaunchTemplateVersionSet", "item", left),
    ])
}

fn delete(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = find(&here(call).launch_templates, input)?;
    dry_run(input)?;
    let item = template_item(here(call), &id);
    keep(call, &id);
    let state = here(call);
    state.launch_templates.remove(&id);
    state.tags.remove(&id);
    Ok(vec![node("launchTemplate", item)])
}
