//! What of a signature can be wrong without looking at it: its time, and a key that has expired. The signature itself is not
//! checked. Both are weather: any time and any key will do until `sandbox set` says otherwise.
//!
//! What AWS does oddly: EC2 says of a wrong clock that the credentials could not be validated, and of expired ones that the
//! request has expired; the others name the signature's time and the token.

use bytes::Bytes;
use http::Request;
use jiff::Timestamp;
use jiff::civil::DateTime;
use jiff::tz::TimeZone;

use super::call::AwsError;
use super::world::World;

/// In which words a service refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// EC2.
    Ec2,
    /// IAM and STS.
    Query,
    /// The services that speak JSON.
    Json,
}

/// AWS's documentation: a request must reach it within five minutes of its time stamp.
const TOLERATED: i64 = 5 * 60;

/// Refuses a time stamp that is too far off, where the weather is strict, and a key that has expired.
pub(super) fn check(
    world: &mut World,
    request: &Request<Bytes>,
    dialect: Dialect,
    now: Timestamp,
) -> Result<(), AwsError> {
    let stamp = request.headers().get("x-amz-date").and_then(|value| value.to_str().ok()).unwrap_or_default();
    if world.weather.strict && signed_at(stamp).is_none_or(|at| (at - now.as_second()).abs() > TOLERATED) {
        let late = signed_at(stamp).is_none_or(|at| at < now.as_second());
        let now = now.strftime("%Y%m%dT%H%M%SZ");
        let off = if late {
            format!("Signature expired: {stamp} is now earlier than {now}, 5 min. ago")
        } else {
            format!("Signature not yet current: {stamp} is still later than {now}, in 5 min.")
        };
        return Err(match dialect {
            Dialect::Ec2 => {
                let message = "AWS was not able to validate the provided access credentials";
                AwsError::new("AuthFailure", message).status(401)
            }
            Dialect::Query => AwsError::new("SignatureDoesNotMatch", off).status(403),
            Dialect::Json => AwsError::new("InvalidSignatureException", off),
        });
    }
    let Some([key, ..]) = super::route::credential(request) else { return Ok(()) };
    match world.weather.expired.get_mut(key) {
        None => Ok(()),
        Some(left) if *left > 0 => {
            *left -= 1;
            Ok(())
        }
        Some(_) => Err(match dialect {
            Dialect::Ec2 => AwsError::new("RequestExpired", "Request has expired."),
            Dialect::Query => {
                AwsError::new("ExpiredToken", "The security token included in the request is expired").status(403)
            }
            Dialect::Json => {
                AwsError::new("ExpiredTokenException", "The security token included in the request is expired")
            }
        }),
    }
}

fn signed_at(stamp: &str) -> Option<i64> {
    let time = DateTime::strptime("%Y%m%dT%H%M%SZ", stamp).ok()?;
    Some(TimeZone::UTC.to_timestamp(time).ok()?.as_second())
}
