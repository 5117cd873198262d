//! From how people name things (an image reference, a queue's URL, a bucket, a key) to how IAM names them.

use serde_json::{Value, json};

use super::{Place, PolicyError, Values, partition};
use crate::spec::{BucketAccess, KmsKey, Spec};

/// A repository in ECR, read from an image reference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Repository {
    /// Twelve digits.
    pub account: String,
    /// Such as `eu-central-1`.
    pub region: String,
    /// With its slashes, without tag.
    pub name: String,
}

impl Repository {
    /// The repository that `image` is pulled from; `None` where the registry is not a private one of ECR.
    ///
    /// Registries are `<account>.dkr.ecr.<region>.amazonaws.com` (`ecr-fips` too, `.cn` in China) and, with IPv6,
    /// `<account>.dkr-ecr.<region>.on.aws`. The boot script knows the same forms.
    pub(super) fn of(image: &str) -> Option<Self> {
        let (host, rest) = image.split_once('/')?;
        let (account, host) = host.split_at_checked(12)?;
        let (region, suffix) = [".dkr.ecr.", ".dkr.ecr-fips.", ".dkr-ecr.", ".dkr-ecr-fips."]
            .iter()
            .find_map(|service| host.strip_prefix(service))?
            .split_once('.')?;
        let is_aws = ["amazonaws.com", "amazonaws.com.cn", "on.aws", "on.amazonwebservices.com.cn"].contains(&suffix);
        let name = rest.split('@').next()?;
        let name = name.split_once(':').map_or(name, |(name, _)| name);
        let is_name = !name.is_empty()
            && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || "._-/".contains(c));
        let is_valid = is_aws && is_account(account) && is_region(region) && is_name;
        is_valid.then(|| Self { account: account.to_owned(), region: region.to_owned(), name: name.to_owned() })
    }

    /// The repository that the worker's image comes from, if it is in ECR.
    pub(super) fn of_worker(spec: &Spec, values: &Values) -> Result<Option<Self>, PolicyError> {
        let image = values.fill(&spec.container.image, "container.image")?;
        Ok(Self::of(&image))
    }

    /// For a policy.
    pub(super) fn arn(&self) -> String {
        let Self { account, region, name } = self;
        format!("arn:{}:ecr:{region}:{account}:repository/{name}", partition(region))
    }
}

/// The ARNs of the file's queues, each once, in the file's order.
pub(super) fn queues(spec: &Spec, place: Place<'_>, values: &Values) -> Result<Vec<String>, PolicyError> {
    let mut arns = Vec::new();
    for text in &spec.access.queues {
        let queue = values.fill(text, "access.queues")?;
        let arn = queue_arn(&queue, place).ok_or(PolicyError::Invalid {
            value: queue,
            place: "access.queues",
            wanted: "the URL or the ARN of an SQS queue",
        })?;
        if !arns.contains(&arn) {
            arns.push(arn);
        }
    }
    Ok(arns)
}

/// `https://sqs.<region>.amazonaws.com/<account>/<name>` and its older and private forms, or an ARN.
///
/// What the last two levels of a URL say is certain; the region stands somewhere in the host's name, and where it does
/// not (a test's server on loopback) it is the stack's own.
fn queue_arn(queue: &str, place: Place<'_>) -> Option<String> {
    let (region, account, name) = if let Some(arn) = queue.strip_prefix("arn:") {
        let parts: Vec<&str> = arn.split(':').collect();
        let [_, "sqs", region, account, name] = parts[..] else { return None };
        (region, account, name)
    } else {
        let url = queue.strip_prefix("https://").or_else(|| queue.strip_prefix("http://"))?;
        let (host, path) = url.split_once('/')?;
        let (account, name) = path.split_once('/')?;
        let host = host.split(':').next().unwrap_or(host);
        // Before regions had names of their own, there was one.
        let region = if host == "queue.amazonaws.com" { "us-east-1" } else { region_in(host).unwrap_or(place.region) };
        (region, account, name)
    };
    let plain = name.strip_suffix(".fifo").unwrap_or(name);
    let is_name =
        !plain.is_empty() && name.len() <= 80 && plain.chars().all(|c| c.is_ascii_alphanumeric() || "_-".contains(c));
    (is_region(region) && is_account(account) && is_name)
        .then(|| format!("arn:{}:sqs:{region}:{account}:{name}", partition(region)))
}

fn region_in(host: &str) -> Option<&str> {
    host.split('.').find(|label| is_region(label))
}

/// `us-east-1`, `us-gov-west-1`, `eusc-de-east-1`: words of letters, then a number.
fn is_region(text: &str) -> bool {
    let Some((words, number)) = text.rsplit_once('-') else { return false };
    let is_word = |word: &str| !word.is_empty() && word.chars().all(|c| c.is_ascii_lowercase());
    words.contains('-')
        && words.split('-').all(is_word)
        && (1..=2).contains(&number.len())
        && number.chars().all(|c| c.is_ascii_digit())
}

fn is_account(text: &str) -> bool {
    text.len() == 12 && text.chars().all(|c| c.is_ascii_digit())
}

/// The file's buckets as ARNs, in the file's order.
#[derive(Debug, Default)]
pub(super) struct Buckets {
    /// Every bucket.
    pub(super) all: Vec<String>,
    /// Those that are read.
    pub(super) read: Vec<String>,
    /// Those that are written.
    pub(super) written: Vec<String>,
}

impl Buckets {
    pub(super) fn of(spec: &Spec, place: Place<'_>, values: &Values) -> Result<Self, PolicyError> {
        let mut buckets = Self::default();
        let prefix = format!("arn:{}:s3:::", place.partition());
        for (text, access) in &spec.access.buckets {
            let value = values.fill(text, "access.buckets")?;
            let name = value.strip_prefix(&prefix).unwrap_or(&value);
            let is_name = (3..=63).contains(&name.len())
                && name.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || ".-".contains(c));
            if !is_name {
                return Err(PolicyError::Invalid { value, place: "access.buckets", wanted: "the name of a bucket" });
            }
            let arn = format!("{prefix}{name}");
            let mut lists = vec![&mut buckets.all];
            if matches!(access, BucketAccess::Read | BucketAccess::ReadWrite) {
                lists.push(&mut buckets.read);
            }
            if matches!(access, BucketAccess::Write | BucketAccess::ReadWrite) {
                lists.push(&mut buckets.written);
            }
            for list in lists {
                if !list.contains(&arn) {
                    list.push(arn.clone());
                }
            }
        }
        Ok(buckets)
    }
}

/// The objects in buckets.
pub(super) fn objects(buckets: &[String]) -> Vec<String> {
    buckets.iter().map(|bucket| format!("{bucket}/*")).collect()
}

/// The statement's `Resource` and `Condition` for the stack's KMS key; `None` where AWS's own key needs no statement.
///
/// The condition on the service keeps the key for Parameter Store's use. An alias names no resource: it is a condition
/// on all keys.
pub(super) fn kms(key: &KmsKey, place: Place<'_>) -> Result<Option<(String, Value)>, PolicyError> {
    let invalid = || PolicyError::Invalid {
        value: key.0.clone(),
        place: "parameters.kms_key",
        wanted: "a key's id or ARN, or an alias `alias/…` or its ARN",
    };
    let is_plain =
        |text: &str| !text.is_empty() && text.chars().all(|c| c.is_ascii_alphanumeric() || "-_/".contains(c));
    let (region, account, resource) = if let Some(arn) = key.0.strip_prefix("arn:") {
        let parts: Vec<&str> = arn.split(':').collect();
        let [_, "kms", region, account, resource] = parts[..] else { return Err(invalid()) };
        (region, account, resource.to_owned())
    } else if key.0.starts_with("alias/") {
        (place.region, place.account, key.0.clone())
    } else {
        (place.region, place.account, format!("key/{}", key.0))
    };
    if !(is_region(region) && is_account(account) && is_plain(&resource) && !resource.ends_with('/')) {
        return Err(invalid());
    }
    if resource == KmsKey::AWS_MANAGED {
        return Ok(None);
    }
    let arn = |resource: &str| format!("arn:{}:kms:{region}:{account}:{resource}", place.partition());
    let through_ssm = json!({"kms:ViaService": format!("ssm.{}.{}", place.region, dns_suffix(place))});
    if resource.starts_with("alias/") {
        let condition =
            json!({"StringEquals": through_ssm, "ForAnyValue:StringEquals": {"kms:ResourceAliases": resource}});
        return Ok(Some((arn("key/*"), condition)));
    }
    if !resource.starts_with("key/") {
        return Err(invalid());
    }
    Ok(Some((arn(&resource), json!({"StringEquals": through_ssm}))))
}

fn dns_suffix(place: Place<'_>) -> &'static str {
    if place.partition() == "aws-cn" { "amazonaws.com.cn" } else { "amazonaws.com" }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACE: Place<'static> = Place { account: "111122223333", region: "eu-west-1" };

    #[test]
    fn an_image_reference_says_which_repository_may_be_pulled() {
        for (image, arn) in [
            (
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1",
                Some("arn:aws:ecr:us-east-1:123456789012:repository/a"),
            ),
            (
                "123456789012.dkr.ecr.us-east-1.amazonaws.com/a/b",
                Some("arn:aws:ecr:us-east-1:123456789012:repository/a/b"),
            ),
            (
                "123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a:1",
                Some("arn:aws-us-gov:ecr:us-gov-west-1:123456789012:repository/a"),
            ),
            (
                "123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a:1",
                Some("arn:aws-cn:ecr:cn-north-1:123456789012:repository/a"),
            ),
            (
                "123456789012.dkr-ecr.eu-west-1.on.aws/a:1@sha256:00",
                Some("arn:aws:ecr:eu-west-1:123456789012:repository/a"),
            ),
            ("public.ecr.aws/a/b:1", None),
            ("ghcr.io/a/b", None),
            ("busybox", None),
            ("12345.dkr.ecr.us-east-1.amazonaws.com/a", None),
            ("ghcr.io/123456789012.dkr.ecr.us-east-1.amazonaws.com/a", None),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example/a", None),
            ("123456789012.dkr.ecr.*.amazonaws.com/a", None),
            ("123456789012.dkr.ecr.us-east-1.amazonaws.com/*:1", None),
            ("ééééééé.x/a", None),
        ] {
            assert_eq!(Repository::of(image).map(|repository| repository.arn()).as_deref(), arn, "{image}");
        }
    }

    #[test]
    fn a_queue_is_known_by_any_of_its_urls_and_by_its_arn() {
        for (queue, arn) in [
            ("https://sqs.us-east-1.amazonaws.com/123456789012/jobs", Some("arn:aws:sqs:us-east-1:123456789012:jobs")),
            (
                "https://sqs.us-east-1.amazonaws.com/123456789012/jobs.fifo",
                Some("arn:aws:sqs:us-east-1:123456789012:jobs.fifo"),
            ),
            (
                "https://us-west-2.queue.amazonaws.com/123456789012/jobs",
                Some("arn:aws:sqs:us-west-2:123456789012:jobs"),
            ),
            ("https://queue.amazonaws.com/123456789012/jobs", Some("arn:aws:sqs:us-east-1:123456789012:jobs")),
            (
                "https://sqs-fips.us-gov-west-1.amazonaws.com/123456789012/jobs",
                Some("arn:aws-us-gov:sqs:us-gov-west-1:123456789012:jobs"),
            ),
            ("https://sqs.us-east-1.api.aws/123456789012/jobs", Some("arn:aws:sqs:us-east-1:123456789012:jobs")),
            (
                "https://sqs.cn-north-1.amazonaws.com.cn/123456789012/jobs",
                Some("arn:aws-cn:sqs:cn-north-1:123456789012:jobs"),
            ),
            (
                "https://vpce-0a-b.sqs.eu-central-1.vpce.amazonaws.com/123456789012/jobs",
                Some("arn:aws:sqs:eu-central-1:123456789012:jobs"),
            ),
            ("http://127.0.0.1:4566/000000000000/jobs", Some("arn:aws:sqs:eu-west-1:000000000000:jobs")),
            ("arn:aws:sqs:us-east-1:123456789012:jobs", Some("arn:aws:sqs:us-east-1:123456789012:jobs")),
            ("arn:aws:sqs:us-east-1:123456789012:*", None),
            ("arn:aws:sqs:*:123456789012:jobs", None),
            ("arn:aws:sns:us-east-1:123456789012:jobs", None),
            ("https://sqs.us-east-1.amazonaws.com/123456789012/jo*s", None),
            ("https://sqs.us-east-1.amazonaws.com/123456789012/${aws:username}", None),
            ("https://sqs.us-east-1.amazonaws.com/123456789012", None),
            ("https://sqs.us-east-1.amazonaws.com/123456789012/a/b", None),
            ("jobs", None),
            ("", None),
        ] {
            assert_eq!(queue_arn(queue, PLACE).as_deref(), arn, "{queue}");
        }
    }

    #[test]
    fn a_key_is_a_resource_and_an_alias_is_a_condition() {
        let through = json!({"kms:ViaService": "ssm.eu-west-1.amazonaws.com"});
        let aliased =
            |alias: &str| json!({"StringEquals": through, "ForAnyValue:StringEquals": {"kms:ResourceAliases": alias}});
        for (key, expected) in [
            ("alias/aws/ssm", Ok(None)),
            ("arn:aws:kms:eu-west-1:111122223333:alias/aws/ssm", Ok(None)),
            ("alias/mine", Ok(Some(("arn:aws:kms:eu-west-1:111122223333:key/*", aliased("alias/mine"))))),
            (
                "arn:aws:kms:eu-west-1:444455556666:alias/m/n",
                Ok(Some(("arn:aws:kms:eu-west-1:444455556666:key/*", aliased("alias/m/n")))),
            ),
            ("1234-ab", Ok(Some(("arn:aws:kms:eu-west-1:111122223333:key/1234-ab", json!({"StringEquals": through}))))),
            (
                "arn:aws:kms:eu-west-1:444455556666:key/mrk-1",
                Ok(Some(("arn:aws:kms:eu-west-1:444455556666:key/mrk-1", json!({"StringEquals": through})))),
            ),
            ("arn:aws:kms:eu-west-1:444455556666:key/*", Err(())),
            ("arn:aws:kms:eu-west-1:444455556666:grant/1", Err(())),
            ("arn:aws:sqs:eu-west-1:444455556666:jobs", Err(())),
            ("*", Err(())),
            ("", Err(())),
        ] {
            let actual = kms(&KmsKey(key.to_owned()), PLACE).map_err(drop);
            let expected = expected.map(|key| key.map(|(arn, condition)| (arn.to_owned(), condition)));
            assert_eq!(actual, expected, "{key}");
        }
    }
}
