//! `registry`, `queues`, `buckets`: what the worker will reach, whether it is there, and where.
//!
//! Only a private registry of ECR can be looked into with AWS's credentials. Data that leaves its region costs money and time,
//! so another region is worth a word.

use std::collections::BTreeMap;

use aws_sdk_ecr::types::ImageIdentifier;

use super::parameters::contradictions;
use super::{Reads, Verdict};
use crate::cloud::bucket::Bucket;
use crate::cloud::{Caller, Cloud, call};
use crate::decide::classify::Class;
use crate::decide::offers::{InstanceType, Offer};
use crate::decide::policy::{self, Place, PolicyError, Repository};
use crate::error::{Error, Result};
use crate::resource::parameters;
use crate::spec::Gib;

/// What `${X}` in the file stands for; and why parameters could not be read, which matters only where one is asked for.
struct Known {
    caller: Caller,
    plain: BTreeMap<String, String>,
    hidden: Option<Error>,
    /// Whether `parameters` fails already for what it does not know.
    is_said: bool,
}

impl Known {
    async fn of(reads: &Reads<'_>) -> Result<Self> {
        let (caller, found) = futures::join!(reads.caller.clone(), reads.parameters.clone());
        let spec = reads.look.spec;
        let wished = parameters::desired(spec, reads.look.env);
        let (found, hidden) = match found {
            Ok(found) => (found, None),
            Err(error) => (parameters::Observed::default(), Some(error)),
        };
        let plain = parameters::plain_values(&wished, &found, &spec.parameters.plain);
        let is_said = !contradictions(reads.look, &found).is_empty();
        Ok(Self { caller: caller?, plain, hidden, is_said })
    }

    /// Why a text of the file has no meaning.
    fn unknown(&self, error: &PolicyError) -> Verdict {
        match (&self.hidden, error) {
            (Some(hidden), PolicyError::UnknownKey { .. }) => Verdict::needs("parameters", hidden),
            (None, PolicyError::UnknownKey { .. }) if self.is_said => Verdict::skip("needs the check `parameters`"),
            _ => Verdict::fail(error.to_string(), "set it in the `.env`, then: spotctl params push"),
        }
    }
}

pub(super) async fn registry(reads: &Reads<'_>) -> Verdict {
    let known = match Known::of(reads).await {
        Ok(known) => known,
        Err(error) => return Verdict::unread(&error),
    };
    let cloud = reads.look.cloud;
    let place = Place { account: &known.caller.account, region: &cloud.region };
    let (image, repository) = match policy::image(reads.look.spec, place, &known.plain) {
        Ok(found) => found,
        Err(error) => return known.unknown(&error),
    };
    let Some(repository) = repository else {
        return Verdict::skip(format!(
            "{image} is not in a private registry of ECR: it cannot be looked into from here"
        ));
    };
    let (size, chosen, ranking, market) = futures::join!(
        size(cloud, &repository, &image),
        reads.chosen.clone(),
        reads.ranking.clone(),
        reads.market.clone()
    );
    match size {
        Ok(size) => {
            let types = market.map(|market| market.types).unwrap_or_default();
            let offers = ranking.map(|ranking| ranking.offers).unwrap_or_default();
            let there = match chosen {
                Ok(chosen) if !offers.is_empty() => {
                    let snapshot = chosen.image.minimum;
                    let volume = reads.look.spec.instance.volume.size.max(snapshot);
                    pulled(&image, size, Disk { volume, snapshot }, &nvme_of(&offers, &types))
                }
                _ => Verdict::skip(format!("{image} is there; whether it fits needs the check `offers`")),
            };
            let far = another_region("the registry", &repository.region, &cloud.region);
            Verdict::all([Some(there), far].into_iter().flatten()).unwrap_or_else(|| Verdict::skip(image))
        }
        Err(Absent::Repository) => Verdict::fail(
            format!(
                "there is no repository `{}` of account {} in {}",
                repository.name, repository.account, repository.region
            ),
            format!(
                "make it, then push: aws ecr create-repository --region {} --repository-name {}",
                repository.region, repository.name
            ),
        ),
        Err(Absent::Image) => Verdict::fail(
            format!("there is no image {image}"),
            format!(
                "push it: docker push {image}\nwhat is there: aws ecr describe-images --region {} --registry-id {} \
                 --repository-name {}",
                repository.region, repository.account, repository.name
            ),
        ),
        Err(Absent::Unread(error)) => Verdict::unseen(&error),
    }
}

/// Why an image's size is not known.
enum Absent {
    Repository,
    Image,
    Unread(Box<Error>),
}

/// Compressed bytes, of the largest platform where there are several; `None` where ECR does not say.
async fn size(cloud: &Cloud, repository: &Repository, image: &str) -> Result<Option<u64>, Absent> {
    let there = cloud.in_region(&repository.region).map_err(|error| Absent::Unread(Box::new(error)))?;
    let (tag, digest) = reference(image);
    let id = ImageIdentifier::builder().set_image_tag(tag).set_image_digest(digest).build();
    let request = there.ecr.describe_images().registry_id(&repository.account).repository_name(&repository.name);
    match call("DescribeImages", request.image_ids(id).send()).await {
        Ok(answer) => {
            let size = answer.image_details().first().and_then(|found| found.image_size_in_bytes());
            Ok(size.and_then(|size| u64::try_from(size).ok()).filter(|size| *size > 0))
        }
        Err(failure) if failure.class == Class::NotFound => {
            let is_repository = failure.code.as_deref() == Some("RepositoryNotFoundException");
            Err(if is_repository { Absent::Repository } else { Absent::Image })
        }
        Err(failure) => Err(Absent::Unread(Box::new(failure.doing(&format!("looking for {image} in ECR"))))),
    }
}

/// Tag and digest of a reference; a digest wins, and without either it is `latest`.
fn reference(image: &str) -> (Option<String>, Option<String>) {
    if let Some((_, digest)) = image.split_once('@') {
        return (None, Some(digest.to_owned()));
    }
    let last = image.rsplit('/').next().unwrap_or_default();
    let tag = last.split_once(':').map_or("latest", |(_, tag)| tag);
    (Some(tag.to_owned()), None)
}

/// The root volume, and the machine image's snapshot on it.
#[derive(Debug, Clone, Copy)]
struct Disk {
    volume: Gib,
    snapshot: Gib,
}

/// Local `NVMe` of what would be launched, in AWS's GB, the cheapest offer first and each type once.
fn nvme_of<'a>(offers: &'a [Offer], types: &[InstanceType]) -> Vec<(&'a str, u32)> {
    let mut known: Vec<(&str, u32)> = Vec::new();
    for offer in offers.iter().filter(|offer| known_type(types, &offer.instance_type).is_some()) {
        let name = offer.instance_type.as_str();
        if !known.iter().any(|(other, _)| *other == name) {
            known.push((name, known_type(types, name).map_or(0, |found| found.nvme_gb)));
        }
    }
    known
}

fn known_type<'a>(types: &'a [InstanceType], name: &str) -> Option<&'a InstanceType> {
    types.iter().find(|found| found.name == name)
}

const GIB: u64 = 1024 * 1024 * 1024;

/// Where Docker has its data on a type, and how much of that is free.
struct Room {
    place: String,
    free: u64,
}

impl Room {
    /// The boot script puts it on the local `NVMe` where there is one.
    fn on(nvme_gb: u32, disk: Disk) -> Self {
        if nvme_gb > 0 {
            let free = u64::from(nvme_gb) * 1_000_000_000 / GIB;
            return Self { place: format!("the local NVMe's {nvme_gb} GB"), free };
        }
        let used = u64::from(disk.snapshot.0) * 2 / 3;
        let free = u64::from(disk.volume.0).saturating_sub(used);
        Self { place: format!("the volume's {} GiB", disk.volume.0), free }
    }
}

/// Whether an image of this compressed size can be pulled onto the disk; `nvme` is of the types that may be launched.
///
/// Estimates, and said to be: layers unpack to about two and a half times what the registry counts, hardly to less than one
/// and a half; and nobody tells how full a machine image is, so its snapshot counts with two thirds.
fn pulled(image: &str, size: Option<u64>, disk: Disk, nvme: &[(&str, u32)]) -> Verdict {
    let Some(size) = size else { return Verdict::ok(format!("{image} is there; its size is not told")) };
    let tenths = size.saturating_mul(10).div_ceil(GIB);
    let (least, needed) = (size.saturating_mul(3).div_ceil(2 * GIB), size.saturating_mul(5).div_ceil(2 * GIB));
    let said = format!("{image} is there, {}.{} GiB compressed", tenths / 10, tenths % 10);
    let volume = (u64::from(disk.snapshot.0) * 2 / 3).saturating_add(needed);
    let advice = |nvme_gb| match nvme_gb {
        0 => format!("a larger one in the file: instance: {{volume: {{size: {volume}GiB}}}}"),
        _ => "types with more local NVMe in the file: instance: {types: […]}".to_owned(),
    };
    let first = nvme.first().map_or(0, |(_, nvme)| *nvme);
    let room = Room::on(first, disk);
    let reckoned = format!("about {needed} GiB unpacked, about {} of {} free", room.free, room.place);
    if least > room.free {
        return Verdict::fail(format!("{said}, {reckoned}: it does not fit"), advice(first));
    }
    if needed > room.free {
        return Verdict::warn(format!("{said}, {reckoned}: the pull may run out of space"), advice(first));
    }
    // What `up` falls back to may have less.
    match nvme.iter().find(|(_, local)| needed > Room::on(*local, disk).free) {
        Some((kind, less)) => {
            let room = Room::on(*less, disk);
            let evidence =
                format!("{said}, {reckoned}; on {kind} the pull may run out of space: {} of {}", room.free, room.place);
            Verdict::warn(evidence, advice(*less))
        }
        None => Verdict::ok(format!("{said}, {reckoned}")),
    }
}

fn another_region(what: &str, theirs: &str, ours: &str) -> Option<Verdict> {
    (theirs != ours).then(|| {
        Verdict::warn(
            format!("{what} is in {theirs} and the worker in {ours}: data between regions costs money and time"),
            format!("use one in {ours}, or run there: --region {theirs}"),
        )
    })
}

pub(super) async fn queues(reads: &Reads<'_>) -> Verdict {
    let is_empty = reads.look.spec.access.queues.is_empty();
    let names = |place: Place<'_>, known: &Known| policy::queues(reads.look.spec, place, &known.plain);
    several(reads, is_empty, names, queue).await
}

/// One verdict of all that the file names.
async fn several(
    reads: &Reads<'_>,
    is_empty: bool,
    names: impl Fn(Place<'_>, &Known) -> Result<Vec<String>, PolicyError>,
    check: impl AsyncFn(&Cloud, &str) -> Verdict,
) -> Verdict {
    const NONE: &str = "the file names none";
    if is_empty {
        return Verdict::ok(NONE);
    }
    let known = match Known::of(reads).await {
        Ok(known) => known,
        Err(error) => return Verdict::unread(&error),
    };
    let cloud = reads.look.cloud;
    let place = Place { account: &known.caller.account, region: &cloud.region };
    match names(place, &known) {
        Ok(names) => {
            let verdicts = futures::future::join_all(names.iter().map(|name| check(cloud, name))).await;
            Verdict::all(verdicts).unwrap_or_else(|| Verdict::ok(NONE))
        }
        Err(error) => known.unknown(&error),
    }
}

/// `arn:aws:sqs:<region>:<account>:<name>`, as the policy has it.
async fn queue(cloud: &Cloud, arn: &str) -> Verdict {
    let parts: Vec<&str> = arn.split(':').collect();
    let [_, _, _, region, account, name] = parts[..] else { return Verdict::skip(format!("{arn} is no queue")) };
    let there = match cloud.in_region(region) {
        Ok(there) => there,
        Err(error) => return Verdict::unread(&error),
    };
    let request = there.sqs.get_queue_url().queue_name(name).queue_owner_aws_account_id(account);
    match call("GetQueueUrl", request.send()).await {
        Ok(_) => another_region(&format!("the queue `{name}`"), region, &cloud.region)
            .unwrap_or_else(|| Verdict::ok(format!("{name} is there"))),
        Err(failure) if is_no_queue(failure.code.as_deref()) => Verdict::fail(
            format!("there is no queue `{name}` of account {account} in {region}"),
            format!("make it: aws sqs create-queue --region {region} --queue-name {name}"),
        ),
        Err(failure) => Verdict::unseen(&failure.doing(&format!("looking for the queue `{name}` in {region}"))),
    }
}

/// The code in JSON, and the one of the older protocol, which AWS still sends beside it.
fn is_no_queue(code: Option<&str>) -> bool {
    code.is_some_and(|code| code.ends_with("NonExistentQueue") || code.ends_with("QueueDoesNotExist"))
}

pub(super) async fn buckets(reads: &Reads<'_>) -> Verdict {
    let is_empty = reads.look.spec.access.buckets.is_empty();
    let names = |place: Place<'_>, known: &Known| policy::buckets(reads.look.spec, place, &known.plain);
    several(reads, is_empty, names, bucket).await
}

async fn bucket(cloud: &Cloud, name: &str) -> Verdict {
    match cloud.bucket(name).await {
        Ok(found) => place_of(name, &found, &cloud.region),
        Err(error) => Verdict::unseen(&error),
    }
}

fn place_of(name: &str, found: &Bucket, region: &str) -> Verdict {
    match found {
        Bucket::In(theirs) => another_region(&format!("the bucket `{name}`"), theirs, region)
            .unwrap_or_else(|| Verdict::ok(format!("{name} is there, in {region}"))),
        Bucket::Nowhere => Verdict::fail(
            format!("there is no bucket `{name}`"),
            format!("make it: aws s3 mb s3://{name} --region {region}"),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn an_image_is_pulled_by_digest_by_tag_or_as_latest() {
        let tag = |tag: &str| (Some(tag.to_owned()), None);
        for (image, expected) in [
            ("1.dkr.ecr.r-1.amazonaws.com/a/b:v1", tag("v1")),
            ("1.dkr.ecr.r-1.amazonaws.com/a/b", tag("latest")),
            ("localhost:5000/a", tag("latest")),
            ("h/a:v1@sha256:00", (None, Some("sha256:00".to_owned()))),
        ] {
            assert_eq!(reference(image), expected, "{image}");
        }
    }

    #[test]
    fn an_image_fits_when_its_layers_do_beside_what_the_machine_has_already() {
        let disk = Disk { volume: Gib(75), snapshot: Gib(75) };
        let (plain, local) = (("p3.2xlarge", 0), ("g4dn.xlarge", 125));
        for (size, types, status, evidence) in [
            (None, vec![], Status::Ok, "not told"),
            (
                Some(1),
                vec![],
                Status::Ok,
                "1.0 GiB compressed, about 3 GiB unpacked, about 25 of the volume's 75 GiB free",
            ),
            (Some(10), vec![plain], Status::Ok, "about 25 GiB unpacked"),
            (Some(11), vec![plain], Status::Warn, "may run out of space"),
            (Some(17), vec![plain], Status::Fail, "does not fit"),
            (Some(17), vec![local], Status::Ok, "about 43 GiB unpacked, about 116 of the local NVMe's 125 GB free"),
            (
                Some(17),
                vec![local, plain],
                Status::Warn,
                "on p3.2xlarge the pull may run out of space: 25 of the volume's",
            ),
            (Some(17), vec![plain, local], Status::Fail, "does not fit"),
            (Some(60), vec![local], Status::Warn, "of the local NVMe's 125 GB free: the pull may"),
            (Some(90), vec![local], Status::Fail, "does not fit"),
        ] {
            let verdict = pulled("i", size.map(|size| size * GIB), disk, &types);
            assert_eq!(verdict.status, status, "{size:?} {types:?}");
            assert!(verdict.evidence.contains(evidence), "{}", verdict.evidence);
        }
        let advice = |types: &[(&str, u32)]| pulled("i", Some(90 * GIB), disk, types).advice.unwrap();
        assert!(advice(&[plain]).contains("size: 275GiB") && advice(&[local]).contains("more local NVMe"));
    }

    #[test]
    fn a_bucket_is_here_elsewhere_or_nowhere() {
        for (found, status) in [
            (Bucket::In("r-1".to_owned()), Status::Ok),
            (Bucket::In("r-2".to_owned()), Status::Warn),
            (Bucket::Nowhere, Status::Fail),
        ] {
            assert_eq!(place_of("b", &found, "r-1").status, status, "{found:?}");
        }
    }

    #[test]
    fn a_queue_that_does_not_exist_has_two_codes() {
        for (code, is_none) in [
            (Some("AWS.SimpleQueueService.NonExistentQueue"), true),
            (Some("QueueDoesNotExist"), true),
            (Some("AccessDeniedException"), false),
            (None, false),
        ] {
            assert_eq!(is_no_queue(code), is_none, "{code:?}");
        }
    }
}
