//! EBS encryption by default: whether it is on in a region, and with which key.
//!
//! It tells what `sandbox set ebs-key` made; the launch itself encrypts. Odd in AWS: the default key is told where encryption
//! by default is off, too, for a volume that asks for encryption and names no key gets it.

use super::filter::dry_run;
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::kms;
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf};

/// `GetEbsEncryptionByDefault`.
///
/// # Errors
/// `DryRunOperation`.
pub fn by_default(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    dry_run(input)?;
    let is_on = call.world.account.ebs_key(&call.region).is_some();
    let kind = is_on.then(|| leaf("sseType", "sse-kms"));
    Ok([leaf("ebsEncryptionByDefault", is_on)].into_iter().chain(kind).collect())
}

/// `GetEbsDefaultKmsKeyId`.
///
/// # Errors
/// `DryRunOperation`.
pub fn default_key(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    dry_run(input)?;
    let key = call.world.account.ebs_key(&call.region).map_or(kms::EBS_ALIAS, |key| key.key.as_str());
    Ok(vec![leaf("kmsKeyId", key)])
}
