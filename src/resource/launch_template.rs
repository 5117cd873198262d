//! The launch template, complete in itself: `RunInstances` with its name and nothing else gives the right one-time Spot
//! worker. And its twin without market options, for on-demand launches, fleets and Auto Scaling, which refuse templates
//! that have them; a value in a template can be overridden at launch, not removed, so one template cannot serve both.
//!
//! A template is as it should be when the fingerprint in its default version's description is the wished one. Type and
//! subnet are not in the fingerprint: they are the cheapest offer when the template was made and stay until the file no
//! longer allows them.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{
    LaunchTemplate, LaunchTemplateVersion, RequestLaunchTemplateData, ResourceType, TagSpecification,
};

use super::{Action, Change, Kind, Making, Ownership, ec2_tags, missing_tags, ownership, pairs, taken};
use crate::cloud::{Cloud, Failure, call, lacking, pages, poll};
use crate::decide::classify::Class;
use crate::decide::names::{self, TAG_GENERATION, TAG_LAST, TAG_LAUNCHERS, TAG_PARAMETERS};
use crate::decide::phase::LastWord;
use crate::error::{Error, Result};
use crate::market::filter;
use crate::market::image::Image;
use crate::spec::WorkerName;

pub mod content;
mod description;

pub use content::{Content, Target};
use description::Kept;

/// Which of the two templates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// One-time Spot.
    Spot,
    /// Without market options.
    AnyMarket,
}

impl Which {
    /// Its name.
    #[must_use]
    pub fn name(self, stack: &WorkerName) -> String {
        match self {
            Self::Spot => names::base(stack),
            Self::AnyMarket => names::twin(stack),
        }
    }
}

/// What one template should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Desired {
    /// Its name.
    pub name: String,
    stack: WorkerName,
    which: Which,
    content: Content,
    /// The `ami` of the file, word for word: when it changes, the pinned image moves.
    ami: String,
    /// The pinned image, as far as the version keeps it.
    kept: Kept,
    tags: Vec<(String, String)>,
    /// Whether to move to the cheapest offer although the old target is still allowed.
    retarget: bool,
    /// Whether to make a version although the one that stands says the same: see `apply`'s `foundation_alone`.
    pub(crate) anew: bool,
}

/// A template as it is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Observed {
    /// `lt-…`.
    pub id: String,
    /// The round of workers; 1 where the tag is missing.
    pub generation: u64,
    /// Where the stack's parameters are.
    pub parameters: Option<String>,
    /// Roles that were given leave to launch from it.
    pub launchers: Option<String>,
    /// What the last worker that ended has left.
    pub last_word: Option<LastWord>,
    /// The pinned image.
    pub image: Option<String>,
    /// What is known of it without a call.
    pub kept_image: Option<Image>,
    /// What a launch by name alone gives.
    pub target: Option<Target>,
    /// The file's `ami` when the version was made.
    pub ami: Option<String>,
    group: Option<String>,
    ownership: Ownership,
    default_version: i64,
    latest_version: i64,
    /// A run that ended before it had pruned them has left some.
    has_old_versions: bool,
    fingerprint: Option<String>,
    tags: Vec<(String, String)>,
}

/// A template that is ready for a launch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ready {
    /// `lt-…`.
    pub id: String,
    /// The version to launch: named, because a read of `$Default` may still answer the one before.
    pub version: i64,
    /// The round of workers.
    pub generation: u64,
}

/// One of the two templates with this content.
#[must_use]
pub fn desired(stack: &WorkerName, which: Which, content: &Content, plan: &Pinned<'_>) -> Desired {
    let mut tags = plan.tags.to_vec();
    tags.push((TAG_PARAMETERS.to_owned(), plan.parameters.to_owned()));
    tags.extend(
        plan.launchers.filter(|_| which == Which::Spot).map(|roles| (TAG_LAUNCHERS.to_owned(), roles.to_owned())),
    );
    Desired {
        name: which.name(stack),
        stack: stack.clone(),
        which,
        content: content.clone(),
        ami: plan.ami.to_owned(),
        kept: Kept {
            image: plan.image.id.clone(),
            architecture: plan.image.architecture.clone(),
            minimum: plan.image.minimum,
        },
        tags,
        retarget: plan.retarget,
        anew: false,
    }
}

/// What stands on a template beside its content.
#[derive(Debug, Clone, Copy)]
pub struct Pinned<'a> {
    /// The file's `ami`.
    pub ami: &'a str,
    /// What it meant when the image was pinned.
    pub image: &'a Image,
    /// The stack's parameter path.
    pub parameters: &'a str,
    /// Roles that are given leave to launch from it.
    pub launchers: Option<&'a str>,
    /// The template's own tags.
    pub tags: &'a [(String, String)],
    /// `--retarget`.
    pub retarget: bool,
}

/// Both templates, with what their default versions hold.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Both {
    /// One-time Spot.
    pub spot: Option<Observed>,
    /// Without market options.
    pub any_market: Option<Observed>,
}

/// Reads both at once; again where another run is just making one, so that its list is newer than its versions.
///
/// # Errors
/// A call's failure.
pub async fn observe(cloud: &Cloud, stack: &WorkerName) -> Result<Both> {
    let mut both = Both::default();
    let whole = poll::poll(poll::VISIBLE_SOON, async || {
        both = observe_once(cloud, stack).await?;
        let is_torn = |found: &Option<Observed>| found.as_ref().is_some_and(|found| found.default_version == 0);
        let is_whole = !is_torn(&both.spot) && !is_torn(&both.any_market);
        Ok::<_, Error>(if is_whole { poll::Look::Done(()) } else { poll::Look::Again })
    });
    // One that shows no version for so long is taken as it is, and gets one.
    let _ = whole.await?;
    Ok(both)
}

async fn observe_once(cloud: &Cloud, stack: &WorkerName) -> Result<Both> {
    let (spot, twin) = (Which::Spot.name(stack), Which::AnyMarket.name(stack));
    let doing = format!("looking for the launch template `{spot}`");
    let list = cloud.ec2.describe_launch_templates().filters(filter("launch-template-name", [&spot, &twin]));
    let (list, spot_version, twin_version) =
        futures::join!(call("DescribeLaunchTemplates", list.send()), versions(cloud, &spot), versions(cloud, &twin));
    let list = list.map_err(|failure| failure.doing(&doing))?;
    let find = |name: &str, versions: Result<Vec<LaunchTemplateVersion>, Failure>| -> Result<Option<Observed>> {
        let versions = versions.map_err(|failure| failure.doing(&doing))?;
        let found = list.launch_templates().iter().find(|found| found.launch_template_name() == Some(name));
        Ok(found.and_then(|found| read(found, &versions, stack)))
    };
    Ok(Both { spot: find(&spot, spot_version)?, any_market: find(&twin, twin_version)? })
}

/// The names of all stacks that have a launch template in the region.
///
/// # Errors
/// A call's failure.
pub async fn stacks(cloud: &Cloud) -> Result<BTreeSet<String>> {
    let request = cloud.ec2.describe_launch_templates().filters(filter("tag-key", [names::TAG_STACK]));
    let found = pages("DescribeLaunchTemplates", request.into_paginator().send())
        .await
        .map_err(|failure| failure.doing("looking for the launch templates of all stacks"))?;
    let tags = found.iter().flat_map(|page| page.launch_templates()).flat_map(|found| pairs(found.tags()));
    Ok(tags.filter(|(key, _)| *key == names::TAG_STACK).map(|(_, stack)| stack.to_owned()).collect())
}

/// All of them, which is one as a rule: `$Default` alone would not show what an earlier run has failed to prune.
async fn versions(cloud: &Cloud, name: &str) -> Result<Vec<LaunchTemplateVersion>, Failure> {
    let request = cloud.ec2.describe_launch_template_versions().launch_template_name(name);
    match pages("DescribeLaunchTemplateVersions", request.into_paginator().send()).await {
        Ok(found) => Ok(found.into_iter().flat_map(|page| page.launch_template_versions.unwrap_or_default()).collect()),
        Err(failure) if failure.class == Class::NotFound => Ok(Vec::new()),
        Err(failure) => Err(failure),
    }
}

fn read(found: &LaunchTemplate, versions: &[LaunchTemplateVersion], stack: &WorkerName) -> Option<Observed> {
    let version = versions.iter().find(|version| version.default_version() == Some(true));
    let default = version.and_then(LaunchTemplateVersion::version_number);
    let is_old = |version: &LaunchTemplateVersion| version.version_number().zip(default).is_some_and(|(n, of)| n < of);
    let tag = |wanted: &str| pairs(found.tags()).find(|(key, _)| *key == wanted).map(|(_, value)| value.to_owned());
    let data = version.and_then(LaunchTemplateVersion::launch_template_data);
    let interface = data.and_then(|data| data.network_interfaces().first());
    let subnet = interface.and_then(|first| first.subnet_id());
    let target = data.and_then(|data| data.instance_type()).zip(subnet).map(|(instance_type, subnet)| Target {
        instance_type: instance_type.as_str().to_owned(),
        subnet: subnet.to_owned(),
    });
    let said = version.and_then(|version| version.version_description()).map(description::parse).unwrap_or_default();
    let image = data.and_then(|data| data.image_id()).map(str::to_owned);
    let root_device = data.and_then(|data| data.block_device_mappings().first()).and_then(|root| root.device_name());
    // Of this image: whoever copies a version by hand may take another one and leave the description.
    let kept = said.kept.filter(|kept| Some(&kept.image) == image.as_ref());
    let kept_image = kept.zip(root_device).map(|(kept, device)| kept.image(device));
    Some(Observed {
        id: found.launch_template_id()?.to_owned(),
        generation: tag(TAG_GENERATION).and_then(|value| value.parse().ok()).unwrap_or(1),
        parameters: tag(TAG_PARAMETERS),
        launchers: tag(TAG_LAUNCHERS),
        last_word: tag(TAG_LAST).and_then(|text| LastWord::parse(&text)),
        image,
        kept_image,
        target,
        ami: said.ami,
        group: interface.and_then(|first| first.groups().first()).cloned(),
        ownership: ownership(pairs(found.tags()), stack),
        // Both of one read: the list may be older, or newer.
        default_version: default.unwrap_or_default(),
        latest_version: versions.iter().filter_map(LaunchTemplateVersion::version_number).max().unwrap_or_default(),
        has_old_versions: versions.iter().any(is_old),
        fingerprint: said.fingerprint,
        tags: pairs(found.tags()).map(|(key, value)| (key.to_owned(), value.to_owned())).collect(),
    })
}

impl Desired {
    /// The content for people, in AWS's names; `group` stands for the security group's id.
    #[must_use]
    pub fn rendered(&self, group: &str) -> serde_json::Value {
        self.content.rendered(self.which, group)
    }
}

impl Observed {
    /// Whether it carries this stack's tag.
    #[must_use]
    pub fn is_ours(&self) -> bool {
        self.ownership == Ownership::Ours
    }

    /// The highest number.
    #[must_use]
    pub fn latest_version(&self) -> i64 {
        self.latest_version
    }

    /// Whether another run has made a version after this one, or the whole template anew.
    #[must_use]
    pub fn supersedes(&self, ready: &Ready) -> bool {
        self.id != ready.id || self.latest_version > ready.version
    }
}

/// The change. `group` is the security group's id; `None` while it has yet to be made.
///
/// # Errors
/// The name is taken by something unmanaged.
pub fn diff(desired: &Desired, observed: Option<&Observed>, group: Option<&str>, adopt: bool) -> Result<Change> {
    let change = |action, reason: String| Change::new(Kind::LaunchTemplate, &desired.name, action, reason);
    let Some(found) = observed else {
        let target = &desired.content.target;
        let reason = format!("not there; {} in {}", target.instance_type, target.subnet);
        return Ok(change(Action::Create, reason));
    };
    if found.ownership != Ownership::Ours && !(adopt && found.ownership == Ownership::Nobodys) {
        return Err(taken(Kind::LaunchTemplate, &desired.name, found.ownership));
    }
    let mut reasons = version_reasons(desired, found, group);
    if !missing(desired, found).is_empty() {
        reasons.push("tags differ".to_owned());
    }
    if found.has_old_versions {
        reasons.push("old versions are left".to_owned());
    }
    let action = if reasons.is_empty() { Action::None } else { Action::Update };
    Ok(change(action, reasons.join("; ")).id(Some(found.id.clone())))
}

/// Why a new version is needed.
fn version_reasons(desired: &Desired, found: &Observed, group: Option<&str>) -> Vec<String> {
    let mut reasons = Vec::new();
    let target = &desired.content.target;
    if found.image.as_deref().is_some_and(|image| image != desired.content.image) {
        let before = found.image.as_deref().unwrap_or_default();
        reasons.push(format!("image {before} becomes {}", desired.content.image));
    } else if found.fingerprint.as_deref() != Some(&desired.content.fingerprint(desired.which)) {
        reasons.push("the file or the boot script changed".to_owned());
    }
    if let Some(before) = found.target.as_ref().filter(|before| *before != target) {
        let why = if desired.retarget { "--retarget" } else { "the file does not allow the old one any more" };
        reasons.push(format!(
            "{} in {} becomes {} in {}: {why}",
            before.instance_type, before.subnet, target.instance_type, target.subnet
        ));
    }
    if found.group.as_deref() != group {
        reasons.push("the security group is a new one".to_owned());
    }
    if found.default_version != found.latest_version {
        reasons.push("its latest version is not its default".to_owned());
    }
    if desired.anew {
        reasons.push("another run was writing at the same time".to_owned());
    }
    reasons
}

fn missing(desired: &Desired, found: &Observed) -> Vec<(String, String)> {
    missing_tags(&desired.tags, found.tags.iter().map(|(key, value)| (key.as_str(), value.as_str())))
}

/// Makes the template as desired. `group` and `profile` exist by now. `told` hears how the making of a new one stands.
///
/// # Errors
/// A call's failure; the name was taken meanwhile by something unmanaged.
pub async fn apply(
    cloud: &Cloud,
    desired: &Desired,
    observed: Option<&Observed>,
    group: &str,
    told: impl Fn(Making<'_>),
) -> Result<Ready> {
    let mut desired = desired.clone();
    let mut found = match observed {
        Some(found) => found.clone(),
        None => match create(cloud, &desired, &desired.content.request(desired.which, group), &told).await? {
            Some(ready) => {
                told(Making::Made(Some(&ready.id)));
                return Ok(ready);
            }
            None => {
                let found = made_by_another(cloud, &desired).await?;
                told(Making::Made(Some(&found.id)));
                // Of the same file, and so where that file allows it: an offer that was the cheapest a moment ago stays.
                let is_same = found.fingerprint.as_deref() == Some(&desired.content.fingerprint(desired.which));
                if let Some(target) = found.target.clone().filter(|_| is_same && !desired.retarget) {
                    desired.content.target = target;
                }
                found
            }
        },
    };
    let desired = &desired;
    let tags = missing(desired, &found);
    let tag = async {
        if tags.is_empty() {
            return Ok(());
        }
        let request = cloud.ec2.create_tags().resources(&found.id).set_tags(Some(ec2_tags(&tags)));
        call("CreateTags", request.send())
            .await
            .map(drop)
            .map_err(|failure| failure.doing(&format!("tagging the launch template {}", found.id)))
    };
    let version = async {
        if version_reasons(desired, &found, Some(group)).is_empty() {
            if found.has_old_versions {
                let doing = format!("pruning old versions of the launch template `{}`", desired.name);
                prune(cloud, &found.id, found.default_version).await.map_err(|failure| failure.doing(&doing))?;
            }
            return Ok(found.default_version);
        }
        new_version(cloud, desired, &found.id, &desired.content.request(desired.which, group)).await
    };
    // The version last: it is what says whose file stands.
    tag.await?;
    found.default_version = version.await?;
    Ok(Ready { id: found.id, version: found.default_version, generation: found.generation })
}

/// `None`: the name exists already.
async fn create(
    cloud: &Cloud,
    desired: &Desired,
    data: &RequestLaunchTemplateData,
    told: &impl Fn(Making<'_>),
) -> Result<Option<Ready>> {
    let mut tags = desired.tags.clone();
    tags.push((TAG_GENERATION.to_owned(), "1".to_owned()));
    let request = cloud
        .ec2
        .create_launch_template()
        .launch_template_name(&desired.name)
        .version_description(description::of(desired))
        .launch_template_data(data.clone())
        .tag_specifications(
            TagSpecification::builder()
                .resource_type(ResourceType::LaunchTemplate)
                .set_tags(Some(ec2_tags(&tags)))
                .build(),
        );
    told(Making::Asked);
    match call("CreateLaunchTemplate", request.send()).await {
        Ok(answer) => {
            let template = answer.launch_template().ok_or_else(|| lacking("launchTemplate", "CreateLaunchTemplate"))?;
            // Whoever took another's id for this one's would look for it in vain, for minutes.
            if template.launch_template_name().is_some_and(|name| name != desired.name) {
                return Err(lacking(&desired.name, "CreateLaunchTemplate"));
            }
            let id = template
                .launch_template_id()
                .ok_or_else(|| lacking("launchTemplateId", "CreateLaunchTemplate"))?
                .to_owned();
            Ok(Some(Ready { id, version: template.latest_version_number().unwrap_or(1), generation: 1 }))
        }
        Err(failure) if failure.class == Class::AlreadyExists => Ok(None),
        Err(failure) => {
            told(Making::failed(failure.class));
            Err(failure.doing(&format!("creating the launch template `{}`", desired.name)))
        }
    }
}

/// Another run was first: wait until its template can be read.
async fn made_by_another(cloud: &Cloud, desired: &Desired) -> Result<Observed> {
    let found = poll::poll(poll::VISIBLE_SOON, async || {
        let both = observe(cloud, &desired.stack).await?;
        let found = match desired.which {
            Which::Spot => both.spot,
            Which::AnyMarket => both.any_market,
        };
        Ok::<_, Error>(found.map_or(poll::Look::Again, poll::Look::Done))
    });
    let found = found.await?.map_err(|poll::TimedOut| {
        let message = format!("the launch template `{}` exists, AWS says, but does not show itself", desired.name);
        Error::new(crate::error::Kind::Aws, message)
    })?;
    match found.ownership {
        Ownership::Ours => Ok(found),
        other => Err(taken(Kind::LaunchTemplate, &desired.name, other)),
    }
}

/// A new version, made the default, and the others pruned.
async fn new_version(cloud: &Cloud, desired: &Desired, id: &str, data: &RequestLaunchTemplateData) -> Result<i64> {
    let doing = |what: &str| format!("{what} of the launch template `{}`", desired.name);
    let request = cloud
        .ec2
        .create_launch_template_version()
        .launch_template_id(id)
        .version_description(description::of(desired))
        .launch_template_data(data.clone());
    let answer = call("CreateLaunchTemplateVersion", request.send())
        .await
        .map_err(|failure| failure.doing(&doing("making a version")))?;
    let version = answer
        .launch_template_version()
        .and_then(LaunchTemplateVersion::version_number)
        .ok_or_else(|| lacking("versionNumber", "CreateLaunchTemplateVersion"))?;
    make_default(cloud, id, version)
        .await
        .map_err(|(version, failure)| failure.doing(&doing(&format!("making version {version} the default"))))?;
    prune(cloud, id, version).await.map_err(|failure| failure.doing(&doing("pruning old versions")))?;
    Ok(version)
}

/// Makes a version the default, and then the latest where another run has made a later one meanwhile: whoever comes last with
/// this call sees the latest, so that in the end the two are the same, in whichever order the calls arrive.
async fn make_default(cloud: &Cloud, id: &str, version: i64) -> Result<(), (i64, Failure)> {
    let mut wished = version;
    loop {
        let request = cloud.ec2.modify_launch_template().launch_template_id(id).default_version(wished.to_string());
        match call("ModifyLaunchTemplate", request.send()).await {
            Ok(answer) => match answer.launch_template().and_then(LaunchTemplate::latest_version_number) {
                Some(latest) if latest > wished => wished = latest,
                _ => return Ok(()),
            },
            // Pruned already, by the run that made a later one and its default.
            Err(failure) if failure.class == Class::NotFound && is_pruned(cloud, id, wished).await => return Ok(()),
            Err(failure) => return Err((wished, failure)),
        }
    }
}

/// Whether a later version is the default and this one is gone.
async fn is_pruned(cloud: &Cloud, id: &str, version: i64) -> bool {
    let Ok(numbers) = numbers(cloud, id).await else { return false };
    !numbers.contains(&version) && numbers.iter().any(|number| *number > version)
}

/// Of the versions of this very template, whatever has its name by now.
async fn numbers(cloud: &Cloud, id: &str) -> Result<Vec<i64>, Failure> {
    let request = cloud.ec2.describe_launch_template_versions().launch_template_id(id);
    let found = pages("DescribeLaunchTemplateVersions", request.into_paginator().send()).await?;
    let versions = found.iter().flat_map(|page| page.launch_template_versions());
    Ok(versions.filter_map(LaunchTemplateVersion::version_number).collect())
}

/// Deletes every version below the new one: a run that makes a still newer one at the same time keeps its own.
async fn prune(cloud: &Cloud, id: &str, keep: i64) -> Result<(), Failure> {
    const VERSIONS_A_CALL: usize = 200;
    let numbers = numbers(cloud, id).await?;
    let old: Vec<String> = numbers.iter().filter(|number| **number < keep).map(i64::to_string).collect();
    for some in old.chunks(VERSIONS_A_CALL) {
        let request = cloud.ec2.delete_launch_template_versions().launch_template_id(id);
        // What another run has deleted meanwhile comes back as unsuccessful, not as an error.
        call("DeleteLaunchTemplateVersions", request.set_versions(Some(some.to_vec())).send()).await?;
    }
    Ok(())
}

/// Moves the generation on, past `used`, and answers the new one: tokens of the old round are not used again. Another
/// run may have moved it already, then its number is taken, so that both ask with the same tokens.
///
/// # Errors
/// A call's failure.
pub async fn next_generation(cloud: &Cloud, stack: &WorkerName, id: &str, used: u64) -> Result<u64> {
    let current = observe(cloud, stack).await?.spot.map_or(used, |found| found.generation);
    if current > used {
        return Ok(current);
    }
    set_generation(cloud, id, used + 1).await?;
    Ok(used + 1)
}

/// Writes the generation's tag.
///
/// # Errors
/// The call's failure.
pub async fn set_generation(cloud: &Cloud, id: &str, generation: u64) -> Result<()> {
    let tag = (TAG_GENERATION.to_owned(), generation.to_string());
    let doing = || format!("moving the generation of the launch template {id} on to {generation}");
    write_tag(cloud, id, tag).await.map_err(|failure| failure.doing(&doing()))
}

/// Where another run has removed the template meanwhile there is nothing to write: its tokens went with its id.
async fn write_tag(cloud: &Cloud, id: &str, tag: (String, String)) -> Result<(), Failure> {
    let request = cloud.ec2.create_tags().resources(id).set_tags(Some(ec2_tags(&[tag])));
    match call("CreateTags", request.send()).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.class == Class::NotFound => Ok(()),
        Err(failure) => Err(failure),
    }
}

/// Writes the last word of a worker that is being ended from outside.
///
/// # Errors
/// The call's failure.
pub async fn set_last_word(cloud: &Cloud, id: &str, word: &LastWord) -> Result<()> {
    let tag = (TAG_LAST.to_owned(), word.to_string().trim_end().to_owned());
    write_tag(cloud, id, tag)
        .await
        .map_err(|failure| failure.doing(&format!("leaving the last word of {} on {id}", word.worker)))
}

/// Removes a template with all its versions.
///
/// # Errors
/// The call's failure.
pub async fn destroy(cloud: &Cloud, id: &str) -> Result<()> {
    match call("DeleteLaunchTemplate", cloud.ec2.delete_launch_template().launch_template_id(id).send()).await {
        Ok(_) => Ok(()),
        Err(failure) if failure.class == Class::NotFound => Ok(()),
        Err(failure) => Err(failure.doing(&format!("deleting the launch template {id}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Gib;

    fn wish(retarget: bool) -> Desired {
        wish_of("dlami-ubuntu-24.04", retarget)
    }

    pub(super) fn wish_of(ami: &str, retarget: bool) -> Desired {
        let tags = [(names::TAG_STACK.to_owned(), "w".to_owned())];
        let image = &Image {
            id: "ami-1".to_owned(),
            name: "an image".to_owned(),
            architecture: "x86_64".to_owned(),
            root_device: "/dev/sda1".to_owned(),
            minimum: Gib(75),
            encrypted_snapshot: None,
        };
        let pinned = Pinned { ami, image, parameters: "/spotctl/w", launchers: None, tags: &tags, retarget };
        desired(&"w".parse().unwrap(), Which::Spot, &content::tests::content(), &pinned)
    }

    fn as_wished(wish: &Desired) -> Observed {
        Observed {
            id: "lt-1".to_owned(),
            generation: 1,
            parameters: None,
            launchers: None,
            last_word: None,
            image: Some(wish.content.image.clone()),
            kept_image: None,
            target: Some(wish.content.target.clone()),
            ami: Some(wish.ami.clone()),
            group: Some("sg-1".to_owned()),
            ownership: Ownership::Ours,
            default_version: 3,
            latest_version: 3,
            has_old_versions: false,
            fingerprint: Some(wish.content.fingerprint(Which::Spot)),
            tags: wish.tags.clone(),
        }
    }

    fn reason(change: impl Fn(&mut Observed)) -> String {
        let wish = wish(false);
        let mut found = as_wished(&wish);
        change(&mut found);
        diff(&wish, Some(&found), Some("sg-1"), false).unwrap().reason
    }

    #[test]
    fn each_difference_has_its_reason_and_none_none() {
        assert_eq!(reason(|_| ()), "");
        assert_eq!(reason(|found| found.image = Some("ami-0".to_owned())), "image ami-0 becomes ami-1");
        assert_eq!(reason(|found| found.fingerprint = None), "the file or the boot script changed");
        assert_eq!(reason(|found| found.latest_version = 4), "its latest version is not its default");
        assert_eq!(reason(|found| found.has_old_versions = true), "old versions are left");
        assert_eq!(reason(|found| found.group = Some("sg-0".to_owned())), "the security group is a new one");
        assert_eq!(reason(|found| found.tags.clear()), "tags differ");
    }
}
