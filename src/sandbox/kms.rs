//! Key Management Service: the keys of EBS encryption, and who may use them by a grant.
//!
//! It owns AWS's own key of each region, `alias/aws/ebs`, and the customer's key that `sandbox set ebs-key` names. Nothing is
//! encrypted here; what a launch with a key meets is EC2's. A customer's key always has a grant of somebody else's (the role
//! of Auto Scaling), so that a check which takes any grant for that of EC2 Spot is wrong here too.
//!
//! Odd in AWS: grants are listed of a key's id or ARN, an alias is not taken there; a list says `Truncated` and then has a
//! `NextMarker`; whoever may use a key by the key's policy needs no grant, which nothing of this shows.

use serde::Deserialize;
use serde_json::{Map, Value, json};
use sha2::{Digest, Sha256};

use super::call::{AwsError, Call};
use super::iam;
use super::wire::{hexadecimal, json};
use super::world::{ACCOUNT, World};

/// AWS's own key for EBS.
pub const EBS_ALIAS: &str = "alias/aws/ebs";

/// What the role of EC2 Spot needs to start an instance from encrypted volumes, as EC2's guide grants it.
const OPERATIONS: [&str; 7] = [
    "Decrypt",
    "Encrypt",
    "GenerateDataKey",
    "GenerateDataKeyWithoutPlaintext",
    "CreateGrant",
    "DescribeKey",
    "ReEncryptFrom",
];

/// When every key was made: a while before the sandbox was, in milliseconds.
const CREATED_AT: i64 = 1_750_000_000_000;

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct ListGrants {
    key_id: String,
    grant_id: Option<String>,
    grantee_principal: Option<String>,
    limit: Option<i64>,
    marker: Option<String>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct DescribeKey {
    key_id: String,
}

/// Answers one call.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, body: &[u8]) -> Result<Value, AwsError> {
    match call.operation.as_str() {
        "ListGrants" => list_grants(call, &json::input(body)?),
        "DescribeKey" => describe(call, &json::input(body)?),
        other => Err(AwsError::unknown_operation(other)),
    }
}

/// The region of a key's ARN; nothing when it is no key's of this account.
#[must_use]
pub fn region_of(arn: &str) -> Option<&str> {
    let (region, rest) = arn.strip_prefix("arn:aws:kms:")?.split_once(':')?;
    let id = rest.strip_prefix(ACCOUNT)?.strip_prefix(":key/")?;
    (!id.is_empty() && id.chars().all(|letter| letter.is_ascii_alphanumeric() || letter == '-')).then_some(region)
}

/// The ARN of the key that is meant, as policies name it; of one that is not there, too.
#[must_use]
pub fn resource(world: &World, region: &str, said: &str) -> String {
    match find(world, region, said) {
        Some(arn) => arn,
        None if said.starts_with("arn:") => said.to_owned(),
        None => format!("arn:aws:kms:{region}:{ACCOUNT}:key/{said}"),
    }
}

/// The id of AWS's own key: an id like any other, and in each region another.
fn own(region: &str) -> String {
    let digest = hexadecimal(&Sha256::digest(format!("key of EBS in {region}")));
    let id =
        format!("{}-{}-4{}-8{}-{}", &digest[..8], &digest[8..12], &digest[13..16], &digest[17..20], &digest[20..32]);
    format!("arn:aws:kms:{region}:{ACCOUNT}:key/{id}")
}

/// The customer's key in this region.
fn customers<'a>(world: &'a World, region: &str) -> Option<&'a str> {
    let key = world.account.ebs_key(region)?;
    Some(key.key.as_str()).filter(|key| *key != EBS_ALIAS)
}

/// The ARN of a key by its id, its ARN or its alias.
fn find(world: &World, region: &str, said: &str) -> Option<String> {
    if said == EBS_ALIAS || said == format!("arn:aws:kms:{region}:{ACCOUNT}:{EBS_ALIAS}") {
        return Some(own(region));
    }
    let keys = [Some(own(region)), customers(world, region).map(str::to_owned)];
    keys.into_iter().flatten().find(|arn| arn == said || id_of(arn) == said)
}

fn id_of(arn: &str) -> &str {
    arn.rsplit('/').next().unwrap_or(arn)
}

fn known(call: &Call<'_>, said: &str) -> Result<String, AwsError> {
    find(call.world, &call.region, said).ok_or_else(|| {
        let message = if said.starts_with("alias/") {
            format!("Alias arn:aws:kms:{}:{ACCOUNT}:{said} is not found.", call.region)
        } else {
            format!("Key '{}' does not exist", resource(call.world, &call.region, said))
        };
        AwsError::new("NotFoundException", message)
    })
}

fn describe(call: &Call<'_>, input: &DescribeKey) -> Result<Value, AwsError> {
    let arn = known(call, &input.key_id)?;
    let is_aws = arn == own(&call.region);
    let description = if is_aws { "Default key that protects my EBS volumes when no other key is defined" } else { "" };
    Ok(json!({"KeyMetadata": {
        "AWSAccountId": ACCOUNT,
        "KeyId": id_of(&arn),
        "Arn": arn,
        "CreationDate": json::time(CREATED_AT),
        "Enabled": true,
        "Description": description,
        "KeyUsage": "ENCRYPT_DECRYPT",
        "KeyState": "Enabled",
        "Origin": "AWS_KMS",
        "KeyManager": if is_aws { "AWS" } else { "CUSTOMER" },
        "CustomerMasterKeySpec": "SYMMETRIC_DEFAULT",
        "KeySpec": "SYMMETRIC_DEFAULT",
        "EncryptionAlgorithms": ["SYMMETRIC_DEFAULT"],
        "MultiRegion": false,
    }}))
}

fn list_grants(call: &Call<'_>, input: &ListGrants) -> Result<Value, AwsError> {
    if input.key_id.contains("alias/") {
        return Err(AwsError::new("NotFoundException", format!("Invalid keyId '{}'", input.key_id)));
    }
    let arn = known(call, &input.key_id)?;
    let limit = input.limit.unwrap_or(50);
    let limit = usize::try_from(limit).ok().filter(|limit| (1..=100).contains(limit)).ok_or_else(|| {
        let message = format!(
            "1 validation error detected: Value '{limit}' at 'limit' failed to satisfy constraint: Member must have value \
             between 1 and 100"
        );
        AwsError::new("ValidationException", message)
    })?;
    let after = match &input.marker {
        None => None,
        Some(marker) => Some(
            json::named_by(marker)
                .ok_or_else(|| AwsError::new("InvalidMarkerException", "Could not deserialize the marker"))?,
        ),
    };
    let is_asked = |grant: &Value| {
        input.grantee_principal.as_deref().is_none_or(|principal| grant["GranteePrincipal"] == principal)
            && input.grant_id.as_deref().is_none_or(|id| grant["GrantId"] == id)
    };
    let mut grants = grants(call, &arn);
    grants.retain(is_asked);
    if let Some(after) = after {
        grants.retain(|grant| grant["GrantId"].as_str() > Some(after.as_str()));
    }
    let is_truncated = grants.len() > limit;
    grants.truncate(limit);
    let last = grants.last().and_then(|grant| grant["GrantId"].as_str()).filter(|_| is_truncated).map(json::token);
    let mut answer = Map::new();
    answer.insert("Grants".to_owned(), grants.into());
    answer.insert("Truncated".to_owned(), is_truncated.into());
    if let Some(marker) = last {
        answer.insert("NextMarker".to_owned(), marker.into());
    }
    Ok(answer.into())
}

/// The grants of a key by their ids.
fn grants(call: &Call<'_>, arn: &str) -> Vec<Value> {
    let Some(key) = call.world.account.ebs_key(&call.region).filter(|key| key.key == arn) else { return Vec::new() };
    let role = |path: &str| format!("arn:aws:iam::{ACCOUNT}:role/aws-service-role/{path}");
    let scaling = role("autoscaling.amazonaws.com/AWSServiceRoleForAutoScaling");
    let spot = role(&format!("spot.amazonaws.com/{}", iam::SPOT_ROLE));
    let mut grants: Vec<Value> = std::iter::once(scaling)
        .chain(key.is_granted.then_some(spot))
        .map(|grantee| {
            json!({
                "KeyId": arn,
                "GrantId": hexadecimal(&Sha256::digest(format!("grant on {arn} to {grantee}"))),
                "Name": "",
                "CreationDate": json::time(CREATED_AT),
                "GranteePrincipal": grantee,
                "IssuingAccount": format!("arn:aws:iam::{ACCOUNT}:root"),
                "Operations": OPERATIONS,
            })
        })
        .collect();
    grants.sort_by(|one, other| one["GrantId"].as_str().cmp(&other["GrantId"].as_str()));
    grants
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::sandbox::weather;

    const KEY: &str = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef";

    fn with(words: &str) -> World {
        let mut world = World::default();
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        weather::set(&mut world, &words, Timestamp::UNIX_EPOCH).unwrap();
        world
    }

    fn ask(world: &mut World, region: &str, operation: &str, body: &Value) -> Result<Value, String> {
        let (region, operation) = (region.to_owned(), operation.to_owned());
        let mut call = Call { world, region, now: Timestamp::UNIX_EPOCH, operation };
        handle(&mut call, body.to_string().as_bytes()).map_err(|error| error.code)
    }

    #[test]
    fn a_grant_of_spots_role_is_there_exactly_when_it_was_given() {
        let spot = "arn:aws:iam::123456789012:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot";
        for (words, granted, all) in [("granted", 1, 2), ("ungranted", 0, 1)] {
            let mut world = with(&format!("ebs-key {KEY} {words}"));
            let mut count = |body: &Value| {
                ask(&mut world, "us-east-1", "ListGrants", body).map(|told| told["Grants"].as_array().unwrap().len())
            };
            assert_eq!(count(&json!({"KeyId": KEY, "GranteePrincipal": spot})), Ok(granted), "{words}");
            assert_eq!(count(&json!({"KeyId": KEY})), Ok(all), "{words}");
            assert_eq!(count(&json!({"KeyId": id_of(KEY)})), Ok(all), "{words}");
        }
    }

    #[test]
    fn grants_come_in_pages() {
        let mut world = with(&format!("ebs-key {KEY} granted"));
        let first = ask(&mut world, "us-east-1", "ListGrants", &json!({"KeyId": KEY, "Limit": 1})).unwrap();
        assert_eq!((&first["Truncated"], first["Grants"].as_array().unwrap().len()), (&json!(true), 1));
        let next = json!({"KeyId": KEY, "Limit": 1, "Marker": first["NextMarker"]});
        let second = ask(&mut world, "us-east-1", "ListGrants", &next).unwrap();
        assert_eq!((&second["Truncated"], second.get("NextMarker")), (&json!(false), None));
        assert_ne!(first["Grants"][0]["GrantId"], second["Grants"][0]["GrantId"]);
    }

    #[test]
    fn a_key_is_described_in_its_own_region_and_aws_own_one_everywhere() {
        let mut world = with(&format!("ebs-key {KEY}"));
        let mut manager = |region: &str, key: &str| {
            let told = ask(&mut world, region, "DescribeKey", &json!({"KeyId": key}));
            told.map(|told| told["KeyMetadata"]["KeyManager"].as_str().unwrap().to_owned())
        };
        assert_eq!(manager("us-east-1", KEY), Ok("CUSTOMER".to_owned()));
        assert_eq!(manager("eu-central-1", KEY), Err("NotFoundException".to_owned()));
        assert_eq!(manager("eu-central-1", EBS_ALIAS), Ok("AWS".to_owned()));
        assert_eq!(manager("us-east-1", "alias/mine"), Err("NotFoundException".to_owned()));
    }

    #[test]
    fn what_kms_would_refuse_is_refused() {
        let mut world = with(&format!("ebs-key {KEY}"));
        for (body, code) in [
            (json!({"KeyId": EBS_ALIAS}), "NotFoundException"),
            (json!({"KeyId": "none"}), "NotFoundException"),
            (json!({"KeyId": KEY, "Limit": 0}), "ValidationException"),
            (json!({"KeyId": KEY, "Marker": "!"}), "InvalidMarkerException"),
            (json!({"KeyId": KEY, "Colour": "red"}), "ValidationException"),
            (json!({}), "ValidationException"),
        ] {
            assert_eq!(ask(&mut world, "us-east-1", "ListGrants", &body).unwrap_err(), code, "{body}");
        }
    }
}
