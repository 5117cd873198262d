//! The role and its instance profile: trust EC2, one inline policy, nothing attached.
//!
//! IAM is global and its names are too, so both carry the region. A profile that was just made is unknown to EC2 for
//! seconds, sometimes minutes; the launch waits for it, nothing here does. IAM's answers URL-encode policy documents.

use aws_sdk_iam::types::Tag;
use percent_encoding::percent_decode_str;
use serde_json::Value;

use super::{Action, Change, Kind, Making, Ownership, missing_tags, ownership, taken};
use crate::cloud::{Cloud, Failure, call, poll};
use crate::decide::classify::Class;
use crate::decide::names;
use crate::error::{Error, Result};
use crate::spec::{Spec, WorkerName};

/// What role and profile should be.
#[derive(Debug, Clone, PartialEq)]
pub struct Desired {
    /// Both have this name.
    pub name: String,
    stack: WorkerName,
    trust: Value,
    policy: Value,
    tags: Vec<(String, String)>,
}

/// The role as it is.
#[derive(Debug, Clone, PartialEq)]
struct Role {
    ownership: Ownership,
    trust: Option<Value>,
    policy: Option<Value>,
    other_policies: Vec<String>,
    attached: Vec<String>,
    tags: Vec<(String, String)>,
}

/// The instance profile as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Profile {
    ownership: Ownership,
    roles: Vec<String>,
    created_at: i64,
    tags: Vec<(String, String)>,
}

/// What is there of both.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Observed {
    role: Option<Role>,
    profile: Option<Profile>,
}

/// Role and profile for this spec: `trust` and `policy` as [`crate::decide::policy`] builds them.
#[must_use]
pub fn desired(spec: &Spec, region: &str, trust: Value, policy: Value) -> Desired {
    Desired {
        name: names::role(&spec.name, region),
        stack: spec.name.clone(),
        trust,
        policy,
        tags: super::tags(&spec.tags, &spec.name),
    }
}

/// Everything about both, in one burst of calls.
///
/// # Errors
/// A call's failure.
pub async fn observe(cloud: &Cloud, stack: &WorkerName) -> Result<Observed> {
    let name = names::role(stack, &cloud.region);
    let doing = format!("looking for the role `{name}`");
    let iam = &cloud.iam;
    let (role, policy, inline, attached, profile) = futures::join!(
        call("GetRole", iam.get_role().role_name(&name).send()),
        call("GetRolePolicy", iam.get_role_policy().role_name(&name).policy_name(names::POLICY).send()),
        call("ListRolePolicies", iam.list_role_policies().role_name(&name).send()),
        call("ListAttachedRolePolicies", iam.list_attached_role_policies().role_name(&name).send()),
        call("GetInstanceProfile", iam.get_instance_profile().instance_profile_name(&name).send()),
    );
    let found = |failure| some(failure, &doing);
    let role = role.map(Some).or_else(found)?.and_then(|answer| answer.role);
    let policy = policy.map(Some).or_else(|failure| some(failure, &doing))?;
    let inline = inline.map(Some).or_else(|failure| some(failure, &doing))?;
    let attached = attached.map(Some).or_else(|failure| some(failure, &doing))?;
    let profile =
        profile.map(Some).or_else(|failure| some(failure, &doing))?.and_then(|answer| answer.instance_profile);
    Ok(Observed {
        role: role.map(|role| Role {
            ownership: ownership(pairs(role.tags()), stack),
            trust: role.assume_role_policy_document().and_then(document),
            policy: policy.and_then(|answer| document(answer.policy_document())),
            other_policies: inline
                .map(|answer| answer.policy_names().iter().filter(|name| *name != names::POLICY).cloned().collect())
                .unwrap_or_default(),
            attached: attached
                .map(|answer| {
                    answer.attached_policies().iter().filter_map(|p| p.policy_arn().map(str::to_owned)).collect()
                })
                .unwrap_or_default(),
            tags: owned_pairs(role.tags()),
        }),
        profile: profile.map(|profile| Profile {
            ownership: ownership(pairs(profile.tags()), stack),
            roles: profile.roles().iter().map(|role| role.role_name().to_owned()).collect(),
            created_at: profile.create_date().secs(),
            tags: owned_pairs(profile.tags()),
        }),
    })
}

/// Whether EC2 may not know the profile yet: it is not there, or is minutes old (an earlier run may have made it and
/// been killed), or gets its role only now. AWS names no bound; sometimes it takes over two minutes.
#[must_use]
pub fn is_fresh(desired: &Desired, observed: &Observed, now: jiff::Timestamp) -> bool {
    const SETTLED_AFTER: i64 = 10 * 60;
    observed.profile.as_ref().is_none_or(|profile| {
        now.as_second() - profile.created_at < SETTLED_AFTER || profile.roles != [desired.name.clone()]
    })
}

/// "Not there" is an observation, everything else a failure.
fn some<T>(failure: Failure, doing: &str) -> Result<Option<T>> {
    match failure.class {
        Class::NotFound => Ok(None),
        _ => Err(failure.doing(doing)),
    }
}

fn document(encoded: &str) -> Option<Value> {
    serde_json::from_str(&percent_decode_str(encoded).decode_utf8().ok()?).ok()
}

fn pairs(tags: &[Tag]) -> impl Iterator<Item = (&str, &str)> {
    tags.iter().map(|tag| (tag.key(), tag.value()))
}

fn owned_pairs(tags: &[Tag]) -> Vec<(String, String)> {
    pairs(tags).map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn missing(wished: &[(String, String)], found: &[(String, String)]) -> Vec<(String, String)> {
    missing_tags(wished, found.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// The changes of both.
///
/// # Errors
/// A name is taken by something unmanaged.
pub fn diff(desired: &Desired, observed: &Observed, adopt: bool) -> Result<[Change; 2]> {
    let change = |kind, action, reason: String| Change::new(kind, &desired.name, action, reason);
    let ours = |kind, ownership| match ownership {
        Ownership::Ours => Ok(()),
        Ownership::Nobodys if adopt => Ok(()),
        other => Err(taken(kind, &desired.name, other)),
    };
    let role = match &observed.role {
        None => change(Kind::Role, Action::Create, "not there".to_owned()),
        Some(role) => {
            ours(Kind::Role, role.ownership)?;
            let mut reasons = Vec::new();
            if role.trust.as_ref() != Some(&desired.trust) {
                reasons.push("the trust policy differs".to_owned());
            }
            if role.policy.as_ref() != Some(&desired.policy) {
                reasons.push("the policy differs from what the file allows".to_owned());
            }
            if !role.other_policies.is_empty() {
                reasons.push(format!("removes the inline policy {}", role.other_policies.join(", ")));
            }
            if !role.attached.is_empty() {
                reasons.push(format!("detaches {}", role.attached.join(", ")));
            }
            if !missing(&desired.tags, &role.tags).is_empty() {
                reasons.push("tags differ".to_owned());
            }
            let action = if reasons.is_empty() { Action::None } else { Action::Update };
            change(Kind::Role, action, reasons.join("; "))
        }
    };
    let profile = match &observed.profile {
        None => change(Kind::InstanceProfile, Action::Create, "not there".to_owned()),
        Some(profile) => {
            ours(Kind::InstanceProfile, profile.ownership)?;
            let holds_role = profile.roles.len() == 1 && profile.roles[0] == desired.name;
            let mut reasons = Vec::new();
            if !holds_role {
                reasons.push("does not hold the role".to_owned());
            }
            if !missing(&desired.tags, &profile.tags).is_empty() {
                reasons.push("tags differ".to_owned());
            }
            let action = if reasons.is_empty() { Action::None } else { Action::Update };
            change(Kind::InstanceProfile, action, reasons.join("; "))
        }
    };
    Ok([role, profile])
}

/// Makes both as desired: two round trips when nothing is there. `told` hears how the making of each stands.
///
/// # Errors
/// A call's failure; a name was taken meanwhile by something unmanaged.
pub async fn apply(
    cloud: &Cloud,
    desired: &Desired,
    observed: &Observed,
    told: impl Fn(Kind, Making<'_>),
) -> Result<()> {
    let (role, profile) = futures::join!(
        create_role(cloud, desired, observed.role.as_ref(), &told),
        create_profile(cloud, desired, observed.profile.as_ref(), &told)
    );
    let (fresh_role, fresh_profile) = (role?, profile?);
    let iam = &cloud.iam;
    let name = &desired.name;
    let doing = |what: &str| format!("{what} `{name}`");
    let policy = async {
        let has = observed.role.as_ref().and_then(|role| role.policy.as_ref()) == Some(&desired.policy);
        if has && !fresh_role {
            return Ok(());
        }
        let request = iam
            .put_role_policy()
            .role_name(name)
            .policy_name(names::POLICY)
            .policy_document(desired.policy.to_string());
        once_visible(fresh_role, async || call("PutRolePolicy", request.clone().send()).await.map(drop))
            .await
            .map_err(|failure| failure.doing(&doing("writing the policy of the role")))
    };
    let trust = async {
        let Some(role) = observed.role.as_ref().filter(|role| role.trust.as_ref() != Some(&desired.trust)) else {
            return Ok(());
        };
        let _ = role;
        let request = iam.update_assume_role_policy().role_name(name).policy_document(desired.trust.to_string());
        call("UpdateAssumeRolePolicy", request.send())
            .await
            .map(drop)
            .map_err(|failure| failure.doing(&doing("writing the trust policy of the role")))
    };
    let fewer = async {
        let Some(role) = &observed.role else { return Ok(()) };
        strip(cloud, name, &role.other_policies, &role.attached).await
    };
    let tags = async {
        let Some(role) = &observed.role else { return Ok(()) };
        let tags = missing(&desired.tags, &role.tags);
        if tags.is_empty() {
            return Ok(());
        }
        let request = iam.tag_role().role_name(name).set_tags(Some(iam_tags(&tags)?));
        call("TagRole", request.send()).await.map(drop).map_err(|failure| failure.doing(&doing("tagging the role")))
    };
    let profile_tags = async {
        let Some(profile) = &observed.profile else { return Ok(()) };
        let tags = missing(&desired.tags, &profile.tags);
        if tags.is_empty() {
            return Ok(());
        }
        let request = iam.tag_instance_profile().instance_profile_name(name).set_tags(Some(iam_tags(&tags)?));
        call("TagInstanceProfile", request.send())
            .await
            .map(drop)
            .map_err(|failure| failure.doing(&doing("tagging the instance profile")))
    };
    let is_new = fresh_role || fresh_profile;
    let membership = join_role(cloud, desired, observed.profile.as_ref().filter(|_| !fresh_profile), is_new);
    let (policy, trust, fewer, tags, profile_tags, membership) =
        futures::join!(policy, trust, fewer, tags, profile_tags, membership);
    policy.and(trust).and(fewer).and(tags).and(profile_tags).and(membership)
}

/// IAM's reads follow its writes by moments: to the next call, what was made a moment ago may be "not found".
async fn once_visible(is_new: bool, mut send: impl AsyncFnMut() -> Result<(), Failure>) -> Result<(), Failure> {
    let mut last = None;
    let done = poll::poll(poll::VISIBLE_SOON, async || match send().await {
        Ok(()) => Ok(poll::Look::Done(())),
        Err(failure) if is_new && failure.class == Class::NotFound => {
            last = Some(failure);
            Ok(poll::Look::Again)
        }
        Err(failure) => Err(failure),
    });
    match done.await? {
        Ok(()) => Ok(()),
        Err(poll::TimedOut) => last.map_or(Ok(()), Err),
    }
}

fn iam_tags(tags: &[(String, String)]) -> Result<Vec<Tag>> {
    tags.iter()
        .map(|(key, value)| Tag::builder().key(key).value(value).build())
        .collect::<Result<_, _>>()
        .map_err(|error| Error::usage(format!("a tag that IAM cannot take: {error}")))
}

/// Answers whether the role is new to this run (by its own hand or another's).
async fn create_role(
    cloud: &Cloud,
    desired: &Desired,
    observed: Option<&Role>,
    told: &impl Fn(Kind, Making<'_>),
) -> Result<bool> {
    if observed.is_some() {
        return Ok(false);
    }
    let doing = format!("creating the role `{}`", desired.name);
    let request = cloud
        .iam
        .create_role()
        .role_name(&desired.name)
        .description(format!("spotctl stack {}: what its worker may do", desired.stack))
        .assume_role_policy_document(desired.trust.to_string())
        .set_tags(Some(iam_tags(&desired.tags)?));
    let told = |how| told(Kind::Role, how);
    told(Making::Asked);
    match call("CreateRole", request.send()).await {
        Ok(_) => told(Making::Made(None)),
        Err(failure) if failure.class == Class::AlreadyExists => {
            match observe(cloud, &desired.stack).await?.role.map(|role| role.ownership) {
                // Not visible yet to a read: made a moment ago, and every maker of this name is a spotctl.
                None | Some(Ownership::Ours) => told(Making::Made(None)),
                Some(other) => {
                    told(Making::Refused);
                    return Err(taken(Kind::Role, &desired.name, other));
                }
            }
        }
        Err(failure) => {
            told(Making::failed(failure.class));
            return Err(failure.doing(&doing));
        }
    }
    Ok(true)
}

async fn create_profile(
    cloud: &Cloud,
    desired: &Desired,
    observed: Option<&Profile>,
    told: &impl Fn(Kind, Making<'_>),
) -> Result<bool> {
    if observed.is_some() {
        return Ok(false);
    }
    let doing = format!("creating the instance profile `{}`", desired.name);
    let request = cloud
        .iam
        .create_instance_profile()
        .instance_profile_name(&desired.name)
        .set_tags(Some(iam_tags(&desired.tags)?));
    let told = |how| told(Kind::InstanceProfile, how);
    told(Making::Asked);
    match call("CreateInstanceProfile", request.send()).await {
        Ok(_) => told(Making::Made(None)),
        Err(failure) if failure.class == Class::AlreadyExists => {
            match observe(cloud, &desired.stack).await?.profile.map(|profile| profile.ownership) {
                None | Some(Ownership::Ours) => told(Making::Made(None)),
                Some(other) => {
                    told(Making::Refused);
                    return Err(taken(Kind::InstanceProfile, &desired.name, other));
                }
            }
        }
        Err(failure) => {
            told(Making::failed(failure.class));
            return Err(failure.doing(&doing));
        }
    }
    Ok(true)
}

/// Puts the role into the profile, a foreign one out of it first.
async fn join_role(cloud: &Cloud, desired: &Desired, observed: Option<&Profile>, is_new: bool) -> Result<()> {
    let name = &desired.name;
    let roles = observed.map(|profile| profile.roles.as_slice()).unwrap_or_default();
    for other in roles.iter().filter(|role| *role != name) {
        remove_from_profile(cloud, name, other).await?;
    }
    if roles.contains(name) {
        return Ok(());
    }
    let request = cloud.iam.add_role_to_instance_profile().instance_profile_name(name).role_name(name);
    let add = async || call("AddRoleToInstanceProfile", request.clone().send()).await.map(drop);
    match once_visible(is_new, add).await {
        Ok(()) => Ok(()),
        // Another run has put it in: a profile holds one role, and this one's only role can be ours.
        Err(failure) if failure.code.as_deref() == Some("LimitExceeded") || failure.class == Class::AlreadyExists => {
            Ok(())
        }
        Err(failure) => Err(failure.doing(&format!("putting the role `{name}` into its instance profile"))),
    }
}

async fn remove_from_profile(cloud: &Cloud, profile: &str, role: &str) -> Result<()> {
    let request = cloud.iam.remove_role_from_instance_profile().instance_profile_name(profile).role_name(role);
    gone(
        call("RemoveRoleFromInstanceProfile", request.send()).await,
        &format!("taking the role `{role}` out of the instance profile `{profile}`"),
    )
}

/// Takes policies off the role.
async fn strip(cloud: &Cloud, name: &str, inline: &[String], attached: &[String]) -> Result<()> {
    for policy in inline {
        let request = cloud.iam.delete_role_policy().role_name(name).policy_name(policy);
        let doing = format!("deleting the policy `{policy}` of the role `{name}`");
        gone(call("DeleteRolePolicy", request.send()).await, &doing)?;
    }
    for arn in attached {
        let request = cloud.iam.detach_role_policy().role_name(name).policy_arn(arn);
        gone(call("DetachRolePolicy", request.send()).await, &format!("detaching {arn} from the role `{name}`"))?;
    }
    Ok(())
}

fn gone<T>(answer: Result<T, Failure>, doing: &str) -> Result<()> {
    match answer {
        Ok(_) => Ok(()),
        Err(failure) if failure.class == Class::NotFound => Ok(()),
        Err(failure) => Err(failure.doing(doing)),
    }
}

/// Whether role or profile is there and ours.
#[must_use]
pub fn owned(observed: &Observed) -> Vec<Kind> {
    let role = observed.role.as_ref().filter(|role| role.ownership == Ownership::Ours).map(|_| Kind::Role);
    let profile =
        observed.profile.as_ref().filter(|profile| profile.ownership == Ownership::Ours).map(|_| Kind::InstanceProfile);
    role.into_iter().chain(profile).collect()
}

/// Removes both in the order IAM asks for: role out of the profile, policies off the role, then profile and role.
///
/// # Errors
/// A call's failure.
pub async fn destroy(cloud: &Cloud, stack: &WorkerName, observed: &Observed) -> Result<()> {
    let name = names::role(stack, &cloud.region);
    let ours = owned(observed);
    let from_profile = async {
        let profile = observed.profile.as_ref().filter(|_| ours.contains(&Kind::InstanceProfile));
        for role in profile.iter().flat_map(|profile| &profile.roles) {
            remove_from_profile(cloud, &name, role).await?;
        }
        Ok(())
    };
    let policies = async {
        let Some(role) = observed.role.as_ref().filter(|_| ours.contains(&Kind::Role)) else { return Ok(()) };
        let mut inline = role.other_policies.clone();
        inline.extend(role.policy.as_ref().map(|_| names::POLICY.to_owned()));
        strip(cloud, &name, &inline, &role.attached).await
    };
    let (emptied, stripped) = futures::join!(from_profile, policies);
    emptied.and(stripped)?;
    // Neither needs the other to be gone: only that the one is not in the other.
    let profile = async {
        if !ours.contains(&Kind::InstanceProfile) {
            return Ok(());
        }
        let request = cloud.iam.delete_instance_profile().instance_profile_name(&name);
        gone(call("DeleteInstanceProfile", request.send()).await, &format!("deleting the instance profile `{name}`"))
    };
    let role = async {
        if !ours.contains(&Kind::Role) {
            return Ok(());
        }
        let request = cloud.iam.delete_role().role_name(&name);
        gone(call("DeleteRole", request.send()).await, &format!("deleting the role `{name}`"))
    };
    let (profile, role) = futures::join!(profile, role);
    profile.and(role)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn wish() -> Desired {
        let spec = crate::config::parse("name: w\ncontainer: {image: i}\n", std::path::Path::new("x")).unwrap();
        desired(&spec, "us-east-1", json!({"trust": 1}), json!({"policy": 1}))
    }

    fn as_wished(wish: &Desired) -> Observed {
        Observed {
            role: Some(Role {
                ownership: Ownership::Ours,
                trust: Some(wish.trust.clone()),
                policy: Some(wish.policy.clone()),
                other_policies: Vec::new(),
                attached: Vec::new(),
                tags: wish.tags.clone(),
            }),
            profile: Some(Profile {
                ownership: Ownership::Ours,
                roles: vec![wish.name.clone()],
                created_at: 0,
                tags: wish.tags.clone(),
            }),
        }
    }

    fn reasons(wish: &Desired, observed: &Observed) -> [(Action, String); 2] {
        diff(wish, observed, false).unwrap().map(|change| (change.action, change.reason))
    }

    #[test]
    fn nothing_is_done_to_what_is_as_wished() {
        let wish = wish();
        assert!(reasons(&wish, &as_wished(&wish)).iter().all(|(action, _)| *action == Action::None));
    }

    #[test]
    fn a_policy_somebody_added_is_taken_off_again() {
        let wish = wish();
        let mut wider = as_wished(&wish);
        wider.role.as_mut().unwrap().attached.push("arn:aws:iam::aws:policy/AdministratorAccess".to_owned());
        let [(action, reason), _] = reasons(&wish, &wider);
        assert_eq!((action, reason.as_str()), (Action::Update, "detaches arn:aws:iam::aws:policy/AdministratorAccess"));
    }

    #[test]
    fn a_document_is_compared_as_json_and_not_as_text() {
        assert_eq!(document("%7B%22a%22%3A%201%7D"), Some(json!({"a": 1})));
        assert_eq!(document("not json"), None);
    }

    #[test]
    fn a_profile_without_its_role_is_mended() {
        let wish = wish();
        let mut empty = as_wished(&wish);
        empty.profile.as_mut().unwrap().roles.clear();
        assert_eq!(reasons(&wish, &empty)[1], (Action::Update, "does not hold the role".to_owned()));
    }
}
