//! What the box's role may do, and nothing more.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use super::reference::{Buckets, Repository, kms, objects, queues};
use super::{INLINE_LIMIT, Place, PolicyError, STACK_TAG, Values, allow, allow_if, document, everything, size};
use crate::decide::names::{TAG_LAST, TAG_PHASE, TAG_TIMELINE};
use crate::spec::{Spec, Text};

/// The worker's inline policy. `plain` are the values of the parameters that are not secret.
///
/// A queue is there to be worked off: receive, delete, more time, and its length for the idle watch. Sending is not
/// part of it, since a worker that may send to its own queue can keep itself busy, and the account paying, for ever; a
/// queue for results is a statement of its own in `access.statements`.
///
/// `read` of a bucket includes listing it, without which S3 answers "forbidden" for a key that does not exist. `write`
/// makes and replaces objects; it deletes none.
///
/// # Errors
/// A `${X}` without a plain parameter, a text that is no queue, bucket or key, a document too long for IAM.
pub fn worker(spec: &Spec, place: Place<'_>, plain: &BTreeMap<String, String>) -> Result<Value, PolicyError> {
    let values = Values::new(place, plain);
    let mut statements = Vec::new();

    let parameters = place.arn("ssm", &format!("parameter{}", spec.parameters.path));
    statements.push(allow("ListParameters", &["ssm:GetParametersByPath"], std::slice::from_ref(&parameters)));
    statements.push(allow("ReadParameters", &["ssm:GetParameter", "ssm:GetParameters"], &[format!("{parameters}/*")]));
    if let Some((key, condition)) = kms(&spec.parameters.kms_key, place)? {
        statements.push(allow_if("DecryptParameters", &["kms:Decrypt"], &[key], condition));
    }

    if let Some(repository) = Repository::of_worker(spec, &values)? {
        statements.push(allow("LogInToEcr", &["ecr:GetAuthorizationToken"], &everything()));
        let pull = ["ecr:BatchCheckLayerAvailability", "ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"];
        statements.push(allow("PullTheImage", &pull, &[repository.arn()]));
    }

    let queues = queues(spec, place, &values)?;
    if !queues.is_empty() {
        let work_off = [
            "sqs:ChangeMessageVisibility",
            "sqs:DeleteMessage",
            "sqs:GetQueueAttributes",
            "sqs:GetQueueUrl",
            "sqs:ReceiveMessage",
        ];
        statements.push(allow("WorkOffQueues", &work_off, &queues));
    }

    let buckets = Buckets::of(spec, place, &values)?;
    for (sid, actions, resources) in [
        ("LocateBuckets", ["s3:GetBucketLocation"].as_slice(), buckets.all),
        ("ListBuckets", &["s3:ListBucket"], buckets.read.clone()),
        ("ReadObjects", &["s3:GetObject"], objects(&buckets.read)),
        (
            "WriteObjects",
            &["s3:AbortMultipartUpload", "s3:ListMultipartUploadParts", "s3:PutObject"],
            objects(&buckets.written),
        ),
    ] {
        if !resources.is_empty() {
            statements.push(allow(sid, actions, &resources));
        }
    }

    statements.push(report(spec, "ReportThePhase", &place.any(&["instance"]), &[TAG_PHASE, TAG_TIMELINE]));
    statements.push(report(spec, "LeaveALastWord", &place.any(&["launch-template"]), &[TAG_LAST]));

    if spec.access.session_manager {
        // Never the managed policy `AmazonSSMManagedInstanceCore`: it reads every parameter of the account.
        let shell = [
            "ssm:UpdateInstanceInformation",
            "ssmmessages:CreateControlChannel",
            "ssmmessages:CreateDataChannel",
            "ssmmessages:OpenControlChannel",
            "ssmmessages:OpenDataChannel",
        ];
        statements.push(allow("SessionManager", &shell, &everything()));
    }

    for statement in &spec.access.statements {
        statements.push(filled(statement, &values)?);
    }

    let policy = document(&statements);
    match size(&policy) {
        size if size > INLINE_LIMIT => Err(PolicyError::TooLong { size }),
        _ => Ok(policy),
    }
}

/// To set these tags, and no other, on things of the stack. `ForAllValues` alone is true where no key is named.
fn report(spec: &Spec, sid: &str, resources: &[String], keys: &[&str]) -> Value {
    let condition = json!({
        "StringEquals": {format!("ec2:ResourceTag/{STACK_TAG}"): spec.name},
        "ForAllValues:StringEquals": {"aws:TagKeys": keys},
        "Null": {"aws:TagKeys": "false"},
    });
    allow_if(sid, &["ec2:CreateTags"], resources, condition)
}

/// A statement of the file with its `${X}` filled in, wherever they stand in a value. IAM's own variables, such as
/// `${aws:username}`, are no keys of parameters and stay.
fn filled(statement: &Value, values: &Values) -> Result<Value, PolicyError> {
    Ok(match statement {
        Value::String(text) => Value::String(fill_keys(text, values)?),
        Value::Array(items) => items.iter().map(|item| filled(item, values)).collect::<Result<_, _>>()?,
        Value::Object(fields) => {
            let fields = fields.iter().map(|(name, value)| Ok((name.clone(), filled(value, values)?)));
            Value::Object(fields.collect::<Result<_, PolicyError>>()?)
        }
        other => other.clone(),
    })
}

fn fill_keys(text: &str, values: &Values) -> Result<String, PolicyError> {
    let mut done = String::new();
    let mut rest = text;
    while let Some(start) = rest.find("${") {
        let end = rest[start..].find('}').map_or(rest.len(), |end| start + end + 1);
        done.push_str(&rest[..start]);
        match rest[start..end].parse::<Text>() {
            Ok(variable) => done.push_str(&values.fill(&variable, "access.statements")?),
            Err(_) => done.push_str(&rest[start..end]),
        }
        rest = &rest[end..];
    }
    done.push_str(rest);
    Ok(done)
}
