//! The account itself, as `sandbox set` makes it: its plan, its EBS key, its buckets, the images that it can no longer launch,
//! and whether EC2 Spot has its role.
//!
//! It owns what is kept of them and the words for it. It is no weather: `clear` changes none of it.
//!
//! What AWS does oddly: encryption by default and its key are set for each region apart, and a volume cannot opt out of it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::WeatherError;
use crate::sandbox::ec2::catalog;
use crate::sandbox::world::{ACCOUNT, World};
use crate::sandbox::{iam, kms, s3};

/// What an account is, beside what it holds.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)] // A state of an older version lacks what came later.
pub struct Account {
    /// Whether it is on the free plan, which launches only types that are eligible for the free tier.
    pub free_plan: bool,
    /// EBS encryption by default, where it is on.
    pub ebs_key: Option<EbsKey>,
    /// Buckets of S3 and their regions.
    pub buckets: BTreeMap<String, String>,
    /// Images that their owner has deregistered: what runs goes on, nothing launches from them any more.
    pub deregistered: BTreeSet<String>,
}

/// The key of EBS encryption by default.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EbsKey {
    /// `alias/aws/ebs`, which holds in every region, or the ARN of a customer's key, which holds in its own.
    pub key: String,
    /// Whether the role of EC2 Spot has a grant on it; AWS's own needs none.
    pub is_granted: bool,
}

impl Account {
    /// The key that new volumes of this region are encrypted with, when they are.
    #[must_use]
    pub fn ebs_key(&self, region: &str) -> Option<&EbsKey> {
        let of = |found: &&EbsKey| found.key == kms::EBS_ALIAS || kms::region_of(&found.key) == Some(region);
        self.ebs_key.as_ref().filter(of)
    }
}

/// Does what the words say; nothing when they are not about the account.
pub(super) fn set(world: &mut World, words: &[&str], now: Timestamp) -> Option<Result<String, WeatherError>> {
    let account = &mut world.account;
    Some(match words {
        ["spot-role", "none"] => {
            iam::remove_spot_role(&mut world.iam);
            Ok(format!("the account has no {}", iam::SPOT_ROLE))
        }
        ["spot-role", "made"] => {
            let now = world.weather.now(now);
            iam::make_spot_role(&mut world.iam, now);
            Ok(format!("the account has {}", iam::SPOT_ROLE))
        }
        ["free-plan", "on"] => {
            account.free_plan = true;
            Ok("the account is on the free plan".to_owned())
        }
        ["free-plan", "off"] => {
            account.free_plan = false;
            Ok("the account is on the paid plan".to_owned())
        }
        ["ebs-key", "none"] => {
            account.ebs_key = None;
            Ok("volumes are not encrypted by default".to_owned())
        }
        ["ebs-key", key] => ebs_key(account, key, true),
        ["ebs-key", key, "granted"] => ebs_key(account, key, true),
        ["ebs-key", key, "ungranted"] => ebs_key(account, key, false),
        ["deregister", "none"] => {
            account.deregistered.clear();
            Ok("every image can be launched".to_owned())
        }
        ["deregister", id] => deregister(account, id),
        ["bucket", name, region] => bucket(account, name, region),
        ["no-bucket", name] => match account.buckets.remove(*name) {
            Some(_) => Ok(format!("there is no bucket {name}")),
            None => Err(WeatherError::Words(format!("there was no bucket `{name}`"))),
        },
        _ => return None,
    })
}

fn ebs_key(account: &mut Account, key: &str, is_granted: bool) -> Result<String, WeatherError> {
    let is_own = kms::region_of(key).is_some_and(|region| catalog::regions().iter().any(|known| known == region));
    if key != kms::EBS_ALIAS && !is_own {
        let such = format!("arn:aws:kms:us-east-1:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef");
        return Err(WeatherError::Words(format!(
            "`{key}` is neither `{}` nor the ARN of a key of this account and one of the sandbox's regions, such as `{such}`",
            kms::EBS_ALIAS
        )));
    }
    if key == kms::EBS_ALIAS && !is_granted {
        return Err(WeatherError::Words(format!("`{key}` is AWS's own and needs no grant")));
    }
    account.ebs_key = Some(EbsKey { key: key.to_owned(), is_granted });
    let grant = if is_granted { "may use it" } else { "has no grant on it" };
    Ok(format!("volumes are encrypted with {key}, and {} {grant}", iam::SPOT_ROLE))
}

fn deregister(account: &mut Account, id: &str) -> Result<String, WeatherError> {
    if !catalog::all_regions().iter().any(|region| catalog::image(region, id).is_some()) {
        return Err(WeatherError::Words(format!("no image `{id}` in the sandbox")));
    }
    account.deregistered.insert(id.to_owned());
    Ok(format!("{id} is deregistered"))
}

fn bucket(account: &mut Account, name: &str, region: &str) -> Result<String, WeatherError> {
    if !s3::is_bucket_name(name) {
        return Err(WeatherError::Words(format!("`{name}` is no name of a bucket such as `my-results`")));
    }
    if !catalog::regions().iter().any(|known| known == region) {
        return Err(WeatherError::Words(format!("no region `{region}` in the sandbox")));
    }
    account.buckets.insert(name.to_owned(), region.to_owned());
    Ok(format!("there is a bucket {name} in {region}"))
}
