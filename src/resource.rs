//! The kinds of things a stack is made of, each in one shape: `desired` (from the spec), `observe` (one read),
//! `diff` (pure, says why), `apply`, `destroy`.
//!
//! What does not carry the stack's tag is not ours: it is never changed or removed, and a name taken by such a thing is an
//! error that says how to adopt it.

use std::collections::BTreeMap;

use serde::Serialize;

use crate::decide::classify::{Class, classify};
use crate::decide::names::TAG_STACK;
use crate::error::{Error, Kind as Failed, Leftover};
use crate::spec::{Usd, WorkerName};

pub mod launch_template;
pub mod launchers;
pub mod parameters;
pub mod role;
pub mod security_group;
pub mod worker;

/// What a change is about.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// EC2's.
    SecurityGroup,
    /// IAM's.
    Role,
    /// IAM's.
    InstanceProfile,
    /// IAM's: the inline policy of a launcher's role.
    RolePolicy,
    /// Parameter Store's.
    Parameter,
    /// EC2's.
    LaunchTemplate,
    /// EC2's.
    Instance,
}

impl Kind {
    /// AWS's words for it.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::SecurityGroup => "security group",
            Self::Role => "role",
            Self::InstanceProfile => "instance profile",
            Self::RolePolicy => "role policy",
            Self::Parameter => "parameter",
            Self::LaunchTemplate => "launch template",
            Self::Instance => "instance",
        }
    }
}

/// What is done to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Action {
    /// It is not there.
    Create,
    /// It differs.
    Update,
    /// It differs in a way that only a new one mends.
    Replace,
    /// It is as it should be.
    None,
    /// It should not be there.
    Delete,
}

impl Action {
    /// The contract's word.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Create => "create",
            Self::Update => "update",
            Self::Replace => "replace",
            Self::None => "none",
            Self::Delete => "delete",
        }
    }
}

/// One line of a plan, and afterwards of what was done.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Change {
    /// What it is about.
    pub kind: Kind,
    /// Its derived name.
    pub name: String,
    /// AWS's id, once there is one.
    pub id: Option<String>,
    /// What is done.
    pub action: Action,
    /// Why.
    pub reason: String,
}

/// Changes by what they are about; of two about the same the first.
#[must_use]
pub fn by_subject(changes: &[Change]) -> BTreeMap<(Kind, &str), &Change> {
    changes.iter().rev().map(|change| ((change.kind, change.name.as_str()), change)).collect()
}

impl Change {
    /// A change of a thing without an id of its own.
    pub fn new(kind: Kind, name: impl Into<String>, action: Action, reason: impl Into<String>) -> Self {
        Self { kind, name: name.into(), id: None, action, reason: reason.into() }
    }

    /// The same with AWS's id.
    #[must_use]
    pub fn id(mut self, id: Option<String>) -> Self {
        self.id = id;
        self
    }

    /// Whether anything is to be done.
    #[must_use]
    pub fn is_needed(&self) -> bool {
        self.action != Action::None
    }

    /// As something that was made and that the failed command leaves behind.
    #[must_use]
    pub fn leftover(&self) -> Leftover {
        Leftover {
            kind: self.kind.words().to_owned(),
            id: self.id.clone().unwrap_or_else(|| self.name.clone()),
            usd_per_hour: Some(Usd::default()),
        }
    }
}

/// How the making of a thing stands. A command that ends between the first and the others does not know whether AWS has
/// made it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Making<'a> {
    /// AWS is being asked, or has failed to say whether it is done.
    Asked,
    /// It is there, with this id where it has one; also where another run, or an answer that was lost, was first.
    Made(Option<&'a str>),
    /// AWS has said no.
    Refused,
}

impl Making<'_> {
    /// After a call that failed.
    #[must_use]
    pub fn failed(class: Class) -> Self {
        if class.is_ambiguous() { Self::Asked } else { Self::Refused }
    }
}

/// Whether what failed like this may have taken effect: there was no answer, or one that AWS failed to give. A refusal is a
/// definite no.
#[must_use]
pub fn is_undecided(error: &Error) -> bool {
    let is_ambiguous = |code: &str| classify(code, "", 0).is_ambiguous();
    matches!(error.kind, Failed::Aws | Failed::Timeout) && error.code.as_deref().is_none_or(is_ambiguous)
}

/// Whose a thing is, by its stack tag.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ownership {
    /// It carries this stack's tag.
    Ours,
    /// It carries none.
    Nobodys,
    /// It carries another stack's.
    Anothers,
}

/// Reads the ownership out of a thing's tags.
#[must_use]
pub fn ownership<'a>(tags: impl IntoIterator<Item = (&'a str, &'a str)>, name: &WorkerName) -> Ownership {
    match tags.into_iter().find(|(key, _)| *key == TAG_STACK) {
        Some((_, stack)) if stack == name.as_str() => Ownership::Ours,
        Some(_) => Ownership::Anothers,
        None => Ownership::Nobodys,
    }
}

/// The error for a name that somebody else's thing has; adopting is only offered where nobody owns it.
#[must_use]
pub fn taken(kind: Kind, name: &str, ownership: Ownership) -> Error {
    let kind = kind.words();
    match ownership {
        Ownership::Anothers => Error::usage(format!("the {kind} `{name}` belongs to another stack"))
            .hint("choose another `name` in the file"),
        _ => Error::usage(format!("the {kind} `{name}` exists and does not carry the tag `{TAG_STACK}`"))
            .hint("to make it this stack's, and change it to fit the file: spotctl apply --adopt"),
    }
}

/// The tags of every object: the user's, the stack's, and a `Name` for people in the console.
#[must_use]
pub fn tags(user: &std::collections::BTreeMap<String, String>, name: &WorkerName) -> Vec<(String, String)> {
    let mut all = user.clone();
    all.entry("Name".to_owned()).or_insert_with(|| crate::decide::names::base(name));
    all.insert(TAG_STACK.to_owned(), name.to_string());
    all.into_iter().collect()
}

/// The tags in EC2's type.
pub(crate) fn ec2_tags(tags: &[(String, String)]) -> Vec<aws_sdk_ec2::types::Tag> {
    tags.iter().map(|(key, value)| aws_sdk_ec2::types::Tag::builder().key(key).value(value).build()).collect()
}

/// EC2's tags as pairs.
pub(crate) fn pairs(tags: &[aws_sdk_ec2::types::Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().filter_map(|tag| Some((tag.key()?, tag.value().unwrap_or_default())))
}

/// Which of the wished tags are missing or differ.
#[must_use]
pub fn missing_tags<'a>(
    wished: &[(String, String)],
    found: impl IntoIterator<Item = (&'a str, &'a str)>,
) -> Vec<(String, String)> {
    let found: std::collections::BTreeMap<&str, &str> = found.into_iter().collect();
    wished.iter().filter(|(key, value)| found.get(key.as_str()) != Some(&value.as_str())).cloned().collect()
}
