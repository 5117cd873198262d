//! The IAM policies of a stack, each as small as its holder's work allows.
//!
//! | policy | who holds it | what for |
//! |---|---|---|
//! | [`worker`] | the box's role, inline | boot, work, report its phase |
//! | [`trust`] | the same role | so that EC2 may hand it to a box |
//! | [`launcher`] | an API server's role | launch from the stack's template, end its workers |
//! | [`operator`] | a person or a pipeline | every command |
//!
//! Owns which action is allowed on what. Must not know AWS clients or a secret: [`worker`] and [`operator`] read the
//! parameters that are plain only, for the `${X}` in `access` and `container.image`. All functions are pure and give the
//! same document for the same input, so that a comparison with what IAM holds is a comparison of values.
//!
//! What nobody else may widen: a value that goes into an ARN is checked against the characters that AWS allows in that
//! place, so a `*` or an IAM variable in a parameter cannot turn one queue into all queues.
//!
//! AWS oddities: a role's inline policies hold 10,240 characters together, white space apart. `GetParametersByPath` is
//! checked against the path itself, `GetParameters` against the parameters. `ForAllValues` is true for an empty set. An
//! alias ARN as a resource grants nothing in KMS. EC2 checks `RunInstances` against each thing that the launch touches,
//! each with condition keys of its own.

use std::collections::BTreeMap;

use serde_json::{Value, json};

use crate::spec::{Spec, Text, WorkerName};

mod launcher;
mod operator;
mod reference;
mod worker;

#[cfg(test)]
mod tests;

pub use launcher::{LaunchScope, launcher};
pub use operator::operator;
pub use reference::Repository;
pub use worker::worker;

/// What a role's inline policies may hold together, in characters that are not white space.
pub const INLINE_LIMIT: usize = 10_240;

/// The tag that says which stack a thing belongs to.
use super::names::TAG_STACK as STACK_TAG;

/// Where a stack stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// The account's twelve digits.
    pub account: &'a str,
    /// Such as `eu-central-1`.
    pub region: &'a str,
}

impl Place<'_> {
    /// The part of AWS that the region belongs to, as ARNs name it.
    #[must_use]
    pub fn partition(&self) -> &'static str {
        partition(self.region)
    }

    pub(super) fn arn(&self, service: &str, resource: &str) -> String {
        format!("arn:{}:{service}:{}:{}:{resource}", self.partition(), self.region, self.account)
    }

    /// Things of EC2 in this account and region, of the named types, whatever their id.
    fn any(&self, types: &[&str]) -> Vec<String> {
        types.iter().map(|kind| self.arn("ec2", &format!("{kind}/*"))).collect()
    }

    /// Images and snapshots: they may be another account's, and their ARNs name none.
    fn any_public(&self, types: &[&str]) -> Vec<String> {
        types.iter().map(|kind| format!("arn:{}:ec2:{}::{kind}/*", self.partition(), self.region)).collect()
    }

    pub(crate) fn iam(&self, resource: &str) -> String {
        format!("arn:{}:iam::{}:{resource}", self.partition(), self.account)
    }

    /// How EC2 is called where one service trusts another; China has a name of its own.
    pub(super) fn ec2_service(&self) -> &'static str {
        if self.partition() == "aws-cn" { "ec2.amazonaws.com.cn" } else { "ec2.amazonaws.com" }
    }
}

/// The partition of a region.
fn partition(region: &str) -> &'static str {
    let partitions = [
        ("cn-", "aws-cn"),
        ("us-gov-", "aws-us-gov"),
        ("us-iso-", "aws-iso"),
        ("us-isob-", "aws-iso-b"),
        ("us-isof-", "aws-iso-f"),
        ("eu-isoe-", "aws-iso-e"),
        ("eusc-", "aws-eusc"),
    ];
    partitions.iter().find(|(prefix, _)| region.starts_with(prefix)).map_or("aws", |(_, partition)| partition)
}

/// Why there is no policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PolicyError {
    /// `${X}` without a parameter `X`, or with one that may not be read here because it is secret.
    #[error("`${{{key}}}` in `{place}` needs a plain parameter `{key}`, and there is none")]
    UnknownKey {
        /// The parameter.
        key: String,
        /// Where the file names it.
        place: &'static str,
    },
    /// A text that is not what AWS allows there.
    #[error("`{value}` in `{place}` is not {wanted}")]
    Invalid {
        /// The text with its `${X}` filled in.
        value: String,
        /// Where the file names it.
        place: &'static str,
        /// What it should be.
        wanted: &'static str,
    },
    /// More than IAM takes.
    #[error(
        "the worker's policy has {size} characters, and IAM takes {INLINE_LIMIT}: name fewer queues, buckets or statements in `access`"
    )]
    TooLong {
        /// Characters that are not white space.
        size: usize,
    },
}

/// The role's trust policy: EC2 may hand it to an instance, nobody else may take it.
#[must_use]
pub fn trust(place: Place<'_>) -> Value {
    document(&[json!({
        "Effect": "Allow",
        "Principal": {"Service": place.ec2_service()},
        "Action": "sts:AssumeRole",
    })])
}

/// The document as people paste it.
#[must_use]
pub fn pretty(policy: &Value) -> String {
    format!("{policy:#}\n")
}

/// What IAM counts of a document.
#[must_use]
pub fn size(policy: &Value) -> usize {
    policy.to_string().chars().filter(|c| !c.is_whitespace()).count()
}

fn document(statements: &[Value]) -> Value {
    json!({"Version": "2012-10-17", "Statement": statements})
}

/// One statement that allows `actions` on `resources`.
fn allow(sid: &str, actions: &[&str], resources: &[String]) -> Value {
    json!({"Sid": sid, "Effect": "Allow", "Action": actions, "Resource": resources})
}

/// The same under `condition`.
fn allow_if(sid: &str, actions: &[&str], resources: &[String], condition: Value) -> Value {
    let mut statement = allow(sid, actions, resources);
    statement["Condition"] = condition;
    statement
}

/// True for things that carry the stack's tag already.
fn tagged(name: &WorkerName) -> Value {
    json!({"StringEquals": {format!("ec2:ResourceTag/{STACK_TAG}"): name}})
}

fn everything() -> Vec<String> {
    vec!["*".to_owned()]
}

/// The name of the stack's role and instance profile: both are global in an account, so the region is part of it.
fn role_name(spec: &Spec, place: Place<'_>) -> String {
    super::names::role(&spec.name, place.region)
}

/// To hand the worker's role to EC2 and to nothing else.
fn pass_role(spec: &Spec, place: Place<'_>) -> Value {
    allow_if(
        "PassTheWorkersRole",
        &["iam:PassRole"],
        &[place.iam(&format!("role/{}", role_name(spec, place)))],
        json!({"StringEquals": {"iam:PassedToService": place.ec2_service()}}),
    )
}

/// The first Spot launch of an account makes this role, and fails where the caller may not.
fn make_spot_role(place: Place<'_>) -> Value {
    allow_if(
        "MakeTheRoleOfEc2Spot",
        &["iam:CreateServiceLinkedRole"],
        &[place.iam(SPOT_ROLE)],
        json!({"StringEquals": {"iam:AWSServiceName": "spot.amazonaws.com"}}),
    )
}

/// The path and the name of the role that EC2 Spot works with, as ARNs have it.
pub const SPOT_ROLE: &str = "role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot";

/// To tag what a launch makes, while it makes it; `actions` are the calls in which tags come along.
fn tag_at_creation(resources: &[String], actions: &[&str]) -> Value {
    allow_if("TagAtCreation", &["ec2:CreateTags"], resources, json!({"StringEquals": {"ec2:CreateAction": actions}}))
}

/// The image that a worker pulls, with its `${X}` filled in, and its repository where that is a private one of ECR.
///
/// # Errors
/// A `${X}` that is not plain.
pub fn image(
    spec: &Spec,
    place: Place<'_>,
    plain: &BTreeMap<String, String>,
) -> Result<(String, Option<Repository>), PolicyError> {
    let image = Values::new(place, plain).fill(&spec.container.image, "container.image")?;
    let repository = Repository::of(&image);
    Ok((image, repository))
}

/// The ARNs of the file's queues.
///
/// # Errors
/// A `${X}` that is not plain; something that is no queue.
pub fn queues(spec: &Spec, place: Place<'_>, plain: &BTreeMap<String, String>) -> Result<Vec<String>, PolicyError> {
    reference::queues(spec, place, &Values::new(place, plain))
}

/// The names of the file's buckets.
///
/// # Errors
/// A `${X}` that is not plain; something that is no bucket.
pub fn buckets(spec: &Spec, place: Place<'_>, plain: &BTreeMap<String, String>) -> Result<Vec<String>, PolicyError> {
    let arns = reference::Buckets::of(spec, place, &Values::new(place, plain))?.all;
    Ok(arns.iter().filter_map(|arn| arn.rsplit(':').next().map(str::to_owned)).collect())
}

/// The plain parameters, and what is known without one.
struct Values(BTreeMap<String, String>);

impl Values {
    fn new(place: Place<'_>, plain: &BTreeMap<String, String>) -> Self {
        let mut values = plain.clone();
        for (key, value) in [("AWS_REGION", place.region), ("AWS_ACCOUNT_ID", place.account)] {
            values.entry(key.to_owned()).or_insert_with(|| value.to_owned());
        }
        Self(values)
    }

    fn fill(&self, text: &Text, place: &'static str) -> Result<String, PolicyError> {
        text.resolve(&self.0).map_err(|unknown| PolicyError::UnknownKey { key: unknown.0, place })
    }
}
