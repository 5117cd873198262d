//! Existing roles, an API server's for instance, that get leave to launch from the template and to end its workers: one
//! inline policy on each.
//!
//! The roles are not ours, only the policy in them is. Whom it was given to stands on the launch template, in the tag
//! `spotctl:launchers`, so that it can be taken back when the file no longer names a role, or is gone: the tag is written
//! before a policy is, and a policy is taken off before the tag forgets it.

use std::collections::{BTreeMap, BTreeSet};

use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Action, Change, Kind};
use crate::cloud::{Cloud, call};
use crate::decide::classify::Class;
use crate::decide::names;
use crate::error::{Error, Kind as Failed, Result};
use crate::spec::{Spec, WorkerName};

/// Who shall have the policy, and what it says.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    policy_name: String,
    policy: Value,
    /// Role names.
    roles: BTreeSet<String>,
    /// Roles that have it and shall not any more.
    former: BTreeSet<String>,
}

/// What the named roles hold under the policy's name.
pub type Observed = BTreeMap<String, Option<Value>>;

/// A role's name, be it given by name or by ARN (whose last part it is).
fn role_name(given: &str) -> String {
    given.rsplit('/').next().unwrap_or(given).to_owned()
}

/// The roles of the file; `tagged` is what the launch template says who has the policy.
#[must_use]
pub fn desired(spec: &Spec, region: &str, policy: Value, tagged: Option<&str>) -> Desired {
    let roles: BTreeSet<String> = spec.access.launchers.iter().map(|given| role_name(given)).collect();
    let former = tagged.unwrap_or_default().split_whitespace().map(str::to_owned);
    Desired {
        policy_name: names::launch_policy(&spec.name, region),
        policy,
        former: former.filter(|name| !roles.contains(name)).collect(),
        roles,
    }
}

impl Desired {
    /// What the launch template's tag should say; `None`: no tag at all, as long as nobody ever had the policy.
    ///
    /// # Errors
    /// More names than a tag holds.
    pub fn tag(&self) -> Result<Option<String>> {
        const LONGEST: usize = 256;
        let text = self.roles.iter().map(String::as_str).collect::<Vec<_>>().join(" ");
        if text.len() > LONGEST {
            return Err(Error::usage(format!(
                "`access.launchers`: the names have more than {LONGEST} characters together"
            )));
        }
        Ok((!text.is_empty() || !self.former.is_empty()).then_some(text))
    }
}

/// Reads the policy of each role that the file names.
///
/// # Errors
/// A call's failure.
pub async fn observe(cloud: &Cloud, spec: &Spec) -> Result<Observed> {
    let policy = names::launch_policy(&spec.name, &cloud.region);
    let roles: BTreeSet<String> = spec.access.launchers.iter().map(|given| role_name(given)).collect();
    let reads = roles.into_iter().map(|role| {
        let request = cloud.iam.get_role_policy().role_name(&role).policy_name(&policy);
        async move {
            match call("GetRolePolicy", request.send()).await {
                Ok(answer) => {
                    let text = percent_decode_str(answer.policy_document()).decode_utf8_lossy().into_owned();
                    Ok((role, serde_json::from_str(&text).ok()))
                }
                Err(failure) if failure.class == Class::NotFound => Ok((role, None)),
                Err(failure) => Err(failure.doing(&format!("reading what the role `{role}` may launch"))),
            }
        }
    });
    futures::future::try_join_all(reads).await.map(|rows| rows.into_iter().collect())
}

/// Those of the file's roles that do not exist: a policy that is missing says nothing about its role.
///
/// # Errors
/// A call's failure.
pub async fn absent(cloud: &Cloud, spec: &Spec) -> Result<BTreeSet<String>> {
    let roles: BTreeSet<String> = spec.access.launchers.iter().map(|given| role_name(given)).collect();
    let reads = roles.into_iter().map(|role| async move {
        match call("ListRolePolicies", cloud.iam.list_role_policies().role_name(&role).send()).await {
            Ok(_) => Ok(None),
            Err(failure) if failure.class == Class::NotFound => Ok(Some(role)),
            Err(failure) => Err(failure.doing(&format!("looking for the role `{role}`, which may launch"))),
        }
    });
    futures::future::try_join_all(reads).await.map(|rows| rows.into_iter().flatten().collect())
}

/// One change a role.
#[must_use]
pub fn diff(desired: &Desired, observed: &Observed) -> Vec<Change> {
    let change = |role: &str, action, reason: &str| {
        Change::new(Kind::RolePolicy, format!("{role}/{}", desired.policy_name), action, reason)
    };
    let given = desired.roles.iter().map(|role| match observed.get(role).and_then(Option::as_ref) {
        None => change(role, Action::Create, "lets it launch from the template and end its workers"),
        Some(policy) if *policy != desired.policy => change(role, Action::Update, "differs"),
        Some(_) => change(role, Action::None, ""),
    });
    let taken =
        desired.former.iter().map(|role| change(role, Action::Delete, "the file does not name this role any more"));
    given.chain(taken).collect()
}

/// Takes the policy off the roles that shall not have it any more; before the template's tag forgets them.
///
/// # Errors
/// A call's failure.
pub async fn take_back(cloud: &Cloud, desired: &Desired) -> Result<()> {
    for role in &desired.former {
        remove(cloud, role, &desired.policy_name).await?;
    }
    Ok(())
}

/// Gives the policy to the roles of the file; after the template's tag names them.
///
/// # Errors
/// A call's failure; no such role.
pub async fn give(cloud: &Cloud, desired: &Desired, observed: &Observed) -> Result<()> {
    for role in &desired.roles {
        if observed.get(role).and_then(Option::as_ref) == Some(&desired.policy) {
            continue;
        }
        let request = cloud.iam.put_role_policy().role_name(role).policy_name(&desired.policy_name);
        match call("PutRolePolicy", request.policy_document(desired.policy.to_string()).send()).await {
            Ok(_) => {}
            Err(failure) if failure.class == Class::NotFound => {
                return Err(Error::new(Failed::Usage, format!("`access.launchers`: no role `{role}` in this account")));
            }
            Err(failure) => return Err(failure.doing(&format!("letting the role `{role}` launch"))),
        }
    }
    Ok(())
}

/// Takes the policy off every role that the template's tag names, and answers them.
///
/// # Errors
/// A call's failure.
pub async fn destroy(cloud: &Cloud, stack: &WorkerName, tagged: Option<&str>) -> Result<Vec<String>> {
    let policy = names::launch_policy(stack, &cloud.region);
    let roles: Vec<String> = tagged.unwrap_or_default().split_whitespace().map(str::to_owned).collect();
    for role in &roles {
        remove(cloud, role, &policy).await?;
    }
    Ok(roles.into_iter().map(|role| format!("{role}/{policy}")).collect())
}

async fn remove(cloud: &Cloud, role: &str, policy: &str) -> Result<()> {
    match call("DeleteRolePolicy", cloud.iam.delete_role_policy().role_name(role).policy_name(policy).send()).await {
        Ok(_) => Ok(()),
        // The role itself may be gone by now.
        Err(failure) if failure.class == Class::NotFound => Ok(()),
        Err(failure) => Err(failure.doing(&format!("taking leave to launch from the role `{role}`"))),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wish(launchers: &str, tagged: Option<&str>) -> Desired {
        let text = format!("name: w\ncontainer: {{image: i}}\naccess: {{launchers: [{launchers}]}}\n");
        let spec = crate::config::parse(&text, std::path::Path::new("x")).unwrap();
        desired(&spec, "us-east-1", json!({"p": 1}), tagged)
    }

    #[test]
    fn a_policy_is_given_mended_left_and_taken_back() {
        let wish = wish("api, \"arn:aws:iam::123456789012:role/web/front\", old", Some("old gone"));
        let observed = Observed::from([
            ("api".to_owned(), None),
            ("front".to_owned(), Some(json!({"p": 0}))),
            ("old".to_owned(), Some(json!({"p": 1}))),
        ]);
        let changes = diff(&wish, &observed);
        let rows: Vec<_> = changes.iter().map(|change| (change.name.as_str(), change.action)).collect();
        assert_eq!(
            rows,
            [
                ("api/spotctl-launch-w-us-east-1", Action::Create),
                ("front/spotctl-launch-w-us-east-1", Action::Update),
                ("old/spotctl-launch-w-us-east-1", Action::None),
                ("gone/spotctl-launch-w-us-east-1", Action::Delete),
            ]
        );
        assert_eq!(wish.tag().unwrap().as_deref(), Some("api front old"));
    }

    #[test]
    fn there_is_no_tag_until_there_is_a_launcher_and_an_empty_one_behind_the_last() {
        assert_eq!(wish("", None).tag().unwrap(), None);
        assert_eq!(wish("", Some("api")).tag().unwrap().as_deref(), Some(""));
    }
}
