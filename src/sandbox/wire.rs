//! AWS's wire protocols: query in and XML out (EC2, IAM, STS), JSON both ways (SSM, Service Quotas, SQS, ECR, KMS).

pub mod json;
pub mod query;
pub mod xml;

/// A digest as AWS writes digests.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes
        .iter()
        .flat_map(|byte| [byte >> 4, byte & 0xf])
        .filter_map(|digit| char::from_digit(digit.into(), 16))
        .collect()
}
