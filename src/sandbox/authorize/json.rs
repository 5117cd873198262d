//! Which actions on which resources a request to a service that speaks JSON means: Parameter Store, Service Quotas, SQS,
//! ECR, KMS, the price list (whose actions have no resource). Read from the body's members by their names, whatever else the
//! service makes of them.

use serde_json::Value;

use super::evaluate::{Context, Question};
use super::{everywhere, held, requested};
use crate::sandbox::call::Call;
use crate::sandbox::kms;
use crate::sandbox::world::ACCOUNT;

/// All that has to be allowed; `service` is as signatures name it.
pub fn questions(call: &Call<'_>, service: &str, body: &Value) -> Vec<Question> {
    let operation = call.operation.as_str();
    // A call on many messages is no action of its own.
    let action = if service == "sqs" { operation.strip_suffix("Batch").unwrap_or(operation) } else { operation };
    let action = format!("{service}:{action}");
    let resources = match service {
        "ssm" => parameters(call, body),
        "servicequotas" => quotas(call, body),
        "sqs" => queue(call, body).into_iter().collect(),
        "ecr" => repositories(call, body),
        "kms" => {
            let key = text(body, "KeyId").map(|key| kms::resource(call.world, &call.region, key));
            key.map(|arn| (arn, Context::default())).into_iter().collect()
        }
        _ => Vec::new(),
    };
    if resources.is_empty() {
        return vec![everywhere(action)];
    }
    let mut questions = vec![Question { action, resources }];
    // Tags at creation need leave to tag, too.
    if operation == "PutParameter" && !texts(body, "Tags").is_empty() {
        let resources = questions[0].resources.clone();
        questions.push(Question { action: "ssm:AddTagsToResource".to_owned(), resources });
    }
    questions
}

fn text<'a>(body: &'a Value, member: &str) -> Option<&'a str> {
    body[member].as_str()
}

/// The items of a list, those that are no texts as JSON.
fn texts(body: &Value, member: &str) -> Vec<String> {
    let items = body[member].as_array().into_iter().flatten();
    items.map(|item| item.as_str().map_or_else(|| item.to_string(), str::to_owned)).collect()
}

fn parameters(call: &Call<'_>, body: &Value) -> Vec<(String, Context)> {
    let named: Vec<String> = match call.operation.as_str() {
        "GetParametersByPath" => {
            text(body, "Path").map(|path| path.trim_end_matches('/').to_owned()).into_iter().collect()
        }
        "GetParameters" | "DeleteParameters" => texts(body, "Names"),
        "GetParameter" | "PutParameter" | "DeleteParameter" => {
            text(body, "Name").map(str::to_owned).into_iter().collect()
        }
        "AddTagsToResource" | "RemoveTagsFromResource" | "ListTagsForResource" => {
            text(body, "ResourceId").map(str::to_owned).into_iter().collect()
        }
        _ => Vec::new(),
    };
    let tags = body["Tags"].as_array().into_iter().flatten();
    let tags = tags.filter_map(|tag| Some((text(tag, "Key")?, text(tag, "Value"))));
    let keys = texts(body, "TagKeys");
    let mut asked = requested(tags.chain(keys.iter().map(|key| (key.as_str(), None))));
    if call.operation == "PutParameter" {
        asked.add("ssm:Overwrite", body["Overwrite"].as_bool().unwrap_or(false).to_string());
    }
    let known = call.world.regions.get(&call.region).map(|region| &region.ssm.parameters);
    let resource = |name: &String| {
        // The version or label behind the name belongs to no ARN.
        let name = name.split(':').next().unwrap_or(name);
        // AWS's public ones belong to no account.
        let account = if name.starts_with("/aws/service/") { "" } else { ACCOUNT };
        let arn = format!("arn:aws:ssm:{}:{account}:parameter/{}", call.region, name.trim_start_matches('/'));
        let mut context = asked.clone();
        if let Some(parameter) = known.and_then(|known| known.get(name)) {
            context.extend(&held("ssm:resourceTag", &parameter.tags));
        }
        (arn, context)
    };
    named.iter().map(resource).collect()
}

fn quotas(call: &Call<'_>, body: &Value) -> Vec<(String, Context)> {
    let has_resource =
        ["GetServiceQuota", "RequestServiceQuotaIncrease", "ListRequestedServiceQuotaChangeHistoryByQuota"];
    let (Some(service), Some(code)) = (text(body, "ServiceCode"), text(body, "QuotaCode")) else { return Vec::new() };
    if !has_resource.contains(&call.operation.as_str()) {
        return Vec::new();
    }
    let arn = format!("arn:aws:servicequotas:{}:{ACCOUNT}:{service}/{code}", call.region);
    vec![(arn, Context::default().with("servicequotas:service", service))]
}

/// By the last two parts of the queue's URL, or by its name.
fn queue(call: &Call<'_>, body: &Value) -> Option<(String, Context)> {
    let (account, name) = match text(body, "QueueUrl") {
        Some(url) => {
            let mut parts = url.trim_end_matches('/').rsplit('/');
            let name = parts.next()?;
            (parts.next()?, name)
        }
        None => (text(body, "QueueOwnerAWSAccountId").unwrap_or(ACCOUNT), text(body, "QueueName")?),
    };
    Some((format!("arn:aws:sqs:{}:{account}:{name}", call.region), Context::default()))
}

fn repositories(call: &Call<'_>, body: &Value) -> Vec<(String, Context)> {
    let mut names = texts(body, "repositoryNames");
    names.extend(text(body, "repositoryName").map(str::to_owned));
    if names.is_empty() && call.operation == "DescribeRepositories" {
        names.push("*".to_owned());
    }
    let registry = text(body, "registryId").unwrap_or(ACCOUNT);
    let arn = |name: &String| format!("arn:aws:ecr:{}:{registry}:repository/{name}", call.region);
    names.iter().map(|name| (arn(name), Context::default())).collect()
}
