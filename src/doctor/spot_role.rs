//! `spot-role` and `volume-key`: the service-linked role that EC2 Spot works with, and its leave to use the key that
//! encrypts the volumes.
//!
//! Odd in AWS: the first Spot launch of an account makes the role, with the launcher's permission. A volume that a customer's
//! key encrypts needs a grant for that role, which nothing makes by itself; without it the instance goes from pending to
//! terminated with `Client.InternalError`.

use super::permission::Simulated;
use super::{Reads, Verdict};
use crate::cloud::{Cloud, pages};
use crate::decide::permissions::MAKE_SPOT_ROLE;
use crate::decide::policy::{Place, SPOT_ROLE};
use crate::error::Result;

const MAKE: &str = "aws iam create-service-linked-role --aws-service-name spot.amazonaws.com";

pub(super) async fn there(reads: &Reads<'_>) -> Verdict {
    match reads.spot_role.clone().await {
        Err(error) => Verdict::unseen(&error),
        Ok(true) => Verdict::ok("AWSServiceRoleForEC2Spot is there"),
        Ok(false) => may_make(reads.simulated.clone().await.ok().as_ref()),
    }
}

/// The role is missing; whether the first launch may make it.
fn may_make(simulated: Option<&Simulated>) -> Verdict {
    match simulated {
        Some(Simulated::Asked { missing, .. }) if missing.iter().any(|missing| missing.action == MAKE_SPOT_ROLE) => {
            Verdict::fail(
                format!(
                    "AWSServiceRoleForEC2Spot is not there, and the first launch may not make it: {MAKE_SPOT_ROLE}"
                ),
                format!("with more rights, once: {MAKE}"),
            )
        }
        Some(Simulated::Asked { .. } | Simulated::Root) => {
            Verdict::ok("AWSServiceRoleForEC2Spot is not there yet; the first launch makes it, and may")
        }
        Some(Simulated::Nobody(_)) | None => Verdict::warn(
            format!(
                "AWSServiceRoleForEC2Spot is not there yet; whether the first launch may make it ({MAKE_SPOT_ROLE}) is not known"
            ),
            format!("make it, once: {MAKE}"),
        ),
    }
}

/// What a grant must allow so that EC2 Spot can start an instance from an encrypted volume, by EC2's user guide.
const OPERATIONS: [&str; 8] = [
    "CreateGrant",
    "Decrypt",
    "DescribeKey",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "ReEncryptFrom",
    "ReEncryptTo",
];

/// Without these no volume can be attached.
const NEEDED: [&str; 3] = ["CreateGrant", "Decrypt", "GenerateDataKeyWithoutPlaintext"];

pub(super) async fn volume_key(reads: &Reads<'_>) -> Verdict {
    let key = match reads.volume_key.clone().await {
        Ok(key) => key.filter(|key| !is_aws_managed(key)),
        Err(error) => return Verdict::unseen(&error),
    };
    let Some(key) = key else {
        return match reads.chosen.clone().await.ok().and_then(|chosen| chosen.image.encrypted_snapshot) {
            None => Verdict::ok("new volumes are not encrypted with a key of the account's own"),
            Some(snapshot) => Verdict::warn(
                format!(
                    "the image's {snapshot} is encrypted; with a key of the account's own, EC2 Spot needs a grant on it"
                ),
                format!(
                    "see which key: aws ec2 describe-snapshots --snapshot-ids {snapshot} --query 'Snapshots[].KmsKeyId'"
                ),
            ),
        };
    };
    let account = match reads.caller.clone().await {
        Ok(caller) => caller.account,
        Err(error) => return Verdict::unseen(&error),
    };
    let place = Place { account: &account, region: &reads.look.cloud.region };
    let role = place.iam(SPOT_ROLE);
    match grants(reads.look.cloud, &key, &role).await {
        Ok(grants) => granted(&key, &role, &grants, place.region),
        Err(error) => Verdict::unseen(&error),
    }
}

fn is_aws_managed(key: &str) -> bool {
    key.rsplit(':').next().is_some_and(|key| key == "alias/aws/ebs")
}

/// The operations of each grant on the key for the role.
async fn grants(cloud: &Cloud, key: &str, role: &str) -> Result<Vec<Vec<String>>> {
    let list = cloud.kms.list_grants().key_id(key).grantee_principal(role).into_paginator().send();
    let found = pages("ListGrants", list)
        .await
        .map_err(|failure| failure.doing(&format!("reading the grants on the key {key}")))?;
    let grants = found.iter().flat_map(|page| page.grants());
    let to_role = grants.filter(|grant| grant.grantee_principal().is_none_or(|grantee| grantee == role));
    Ok(to_role.map(|grant| grant.operations().iter().map(|name| name.as_str().to_owned()).collect()).collect())
}

fn granted(key: &str, role: &str, grants: &[Vec<String>], region: &str) -> Verdict {
    let suffices = |grant: &&Vec<String>| NEEDED.iter().all(|needed| grant.iter().any(|name| name == needed));
    if grants.iter().any(|grant| suffices(&grant)) {
        return Verdict::ok(format!("volumes are encrypted with {key}, and EC2 Spot has a grant on it"));
    }
    let evidence = format!(
        "volumes are encrypted with {key}, and EC2 Spot has no grant on it{}: instances end with Client.InternalError",
        if grants.is_empty() { "" } else { " that suffices" }
    );
    let operations = OPERATIONS.join(" ");
    Verdict::fail(
        evidence,
        format!(
            "aws kms create-grant --region {region} --key-id {key} --grantee-principal {role} --operations {operations}"
        ),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::permissions::Missing;
    use crate::doctor::Status;

    #[test]
    fn a_missing_role_is_made_by_the_first_launch_if_it_may() {
        let lacks = |action: &str| Simulated::Asked {
            actions: 1,
            missing: vec![Missing { action: action.to_owned(), resource: String::new() }],
        };
        for (simulated, status) in [
            (Some(lacks(MAKE_SPOT_ROLE)), Status::Fail),
            (Some(lacks("iam:PassRole")), Status::Ok),
            (Some(Simulated::Root), Status::Ok),
            (Some(Simulated::Nobody(String::new())), Status::Warn),
            (None, Status::Warn),
        ] {
            assert_eq!(may_make(simulated.as_ref()).status, status, "{simulated:?}");
        }
    }

    #[test]
    fn a_grant_that_lets_a_volume_be_attached_is_enough_and_another_is_none() {
        let grant = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let status = |grants: &[Vec<String>]| granted("key-1", "arn:role", grants, "r-1").status;
        assert_eq!(status(&[]), Status::Fail);
        assert_eq!(status(&[grant(&["Decrypt"])]), Status::Fail);
        assert_eq!(status(&[grant(&["Decrypt"]), grant(&OPERATIONS)]), Status::Ok);
        let advice = granted("key-1", "arn:role", &[], "r-1").advice.unwrap();
        assert!(advice.starts_with("aws kms create-grant --region r-1 --key-id key-1 --grantee-principal arn:role"));
    }

    #[test]
    fn awss_own_key_needs_no_grant() {
        assert!(is_aws_managed("alias/aws/ebs") && is_aws_managed("arn:aws:kms:r-1:1:alias/aws/ebs"));
        assert!(!is_aws_managed("arn:aws:kms:r-1:1:key/1") && !is_aws_managed("alias/mine"));
    }
}
