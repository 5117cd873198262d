//! One table from AWS's error to what it means here.
//!
//! Codes come first; a text is matched only where AWS uses one code for several things (an instance profile that is not
//! visible yet). What the table does not know is [`Class::Other`] and stops the command, never a guess.

use crate::error::Kind;

/// What an answer, or the lack of one, means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
    /// The pool (type × zone) has no machine now. Comes as HTTP 500, so the SDK's retry would silently repeat it.
    Capacity,
    /// The zone does not offer the type.
    NotOffered,
    /// The cap is below the pool's price.
    PriceTooLow,
    /// The account's vCPU quota for this market and family.
    Quota,
    /// The client token's instance has ended: the token is used up.
    TokenUsedUp,
    /// The client token belongs to a launch with other parameters.
    TokenTaken,
    /// The new instance profile has not reached EC2 yet.
    ProfileNotVisible,
    /// The thing is not there, or not visible yet.
    NotFound,
    /// Somebody made it first.
    AlreadyExists,
    /// Something still uses it.
    InUse,
    /// Too many calls.
    Throttled,
    /// AWS failed; the call may or may not have taken effect.
    Server,
    /// No answer; the call may or may not have taken effect.
    Network,
    /// No usable credentials, or they do not allow this.
    Access,
    /// This machine's clock is wrong, so that no signature holds.
    Clock,
    /// The image does not exist, or no longer.
    ImageGone,
    /// Anything else: stop and say it.
    Other,
}

impl Class {
    /// Whether the call may have taken effect although it failed.
    #[must_use]
    pub fn is_ambiguous(self) -> bool {
        matches!(self, Self::Server | Self::Network)
    }

    /// The exit status such a failure leads to, when it ends the command.
    #[must_use]
    pub fn kind(self) -> Kind {
        match self {
            Self::Capacity | Self::NotOffered | Self::PriceTooLow => Kind::Capacity,
            Self::Quota => Kind::Quota,
            Self::Access | Self::Clock => Kind::Access,
            _ => Kind::Aws,
        }
    }
}

/// Where EC2 says that a profile is unknown. The code alone (`InvalidParameterValue`) covers dozens of mistakes.
const PROFILE_NOT_VISIBLE: &str = "Invalid IAM Instance Profile";

/// Where EC2 says that the account's plan does not have the type. The code alone (`InvalidParameterCombination`) covers
/// dozens of mistakes. From public reports, not from documentation.
const FREE_PLAN: &str = "not eligible for Free Tier";

/// Whether EC2 refused because the account is on the free plan, which has no GPU types: a permission, never capacity.
#[must_use]
pub fn is_free_plan(message: &str) -> bool {
    message.contains(FREE_PLAN)
}

/// Classifies AWS's answer: its error code, its sentence, the HTTP status.
#[must_use]
pub fn classify(code: &str, message: &str, status: u16) -> Class {
    match code {
        "InsufficientInstanceCapacity"
        | "InsufficientHostCapacity"
        | "InsufficientCapacityOnHost"
        | "SpotInstanceCapacityNotAvailable"
        // Of one subnet, and so of one zone's offers.
        | "InsufficientFreeAddressesInSubnet" => Class::Capacity,
        "Unsupported" | "UnsupportedOperation" if !message.to_ascii_lowercase().contains("market") => Class::NotOffered,
        "SpotMaxPriceTooLow" => Class::PriceTooLow,
        // `VcpuLimitExceeded` is the on-demand quota, the other two are Spot's. None of them is about capacity.
        "MaxSpotInstanceCountExceeded" | "VcpuLimitExceeded" | "InstanceLimitExceeded" => Class::Quota,
        "IdempotentInstanceTerminated" => Class::TokenUsedUp,
        "IdempotentParameterMismatch" => Class::TokenTaken,
        "InvalidParameterValue" if message.contains(PROFILE_NOT_VISIBLE) => Class::ProfileNotVisible,
        "InvalidParameterCombination" if is_free_plan(message) => Class::Access,
        "InvalidIamInstanceProfileArn.NotFound" => Class::ProfileNotVisible,
        "InvalidAMIID.NotFound" | "InvalidAMIID.Unavailable" => Class::ImageGone,
        "RequestLimitExceeded"
        | "Throttling"
        | "ThrottlingException"
        | "ThrottledException"
        | "TooManyRequestsException"
        | "SlowDown" => Class::Throttled,
        _ if is_busy(code) => Class::Throttled,
        "UnauthorizedOperation"
        | "AccessDenied"
        | "AccessDeniedException"
        | "DependencyAccessDeniedException"
        | "AuthFailure"
        | "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
        | "UnrecognizedClientException"
        | "InvalidClientTokenId"
        | "InvalidClientToken"
        | "SignatureDoesNotMatch"
        | "InvalidSignatureException"
        | "IncompleteSignature"
        | "MissingAuthenticationToken"
        | "MissingAuthenticationTokenException"
        | "ExpiredToken"
        | "ExpiredTokenException"
        | "RequestExpired"
        | "RequestTimeTooSkewed"
        | "OptInRequired"
        | "Blocked"
        | "PendingVerification" => Class::Access,
        "NoSuchEntity" | "ParameterNotFound" | "NoSuchResourceException" => Class::NotFound,
        "EntityAlreadyExists" | "ParameterAlreadyExists" | "ResourceAlreadyExistsException" => Class::AlreadyExists,
        "DependencyViolation" | "DeleteConflict" | "InvalidGroup.InUse" => Class::InUse,
        "InternalError"
        | "InternalFailure"
        | "InternalServerError"
        | "Unavailable"
        | "ServiceUnavailable"
        | "ServiceFailure" => Class::Server,
        // EC2 ends such codes alike for every kind of object (`InvalidGroup.NotFound`,
        // `InvalidLaunchTemplateName.NotFoundException`, `InvalidLaunchTemplateId.VersionNotFound`,
        // `InvalidLaunchTemplateName.AlreadyExistsException`).
        _ if code.ends_with("NotFound") || code.ends_with("NotFoundException") => Class::NotFound,
        _ if code.ends_with(".Duplicate") || code.ends_with(".AlreadyExistsException") => Class::AlreadyExists,
        _ if status == 429 => Class::Throttled,
        _ if status >= 500 => Class::Server,
        _ => Class::Other,
    }
}

/// Whether another call is changing the same thing at this moment: Parameter Store, IAM (two codes) and EC2 say it in their own
/// way, as a client's error that the SDK does not repeat.
#[must_use]
pub fn is_busy(code: &str) -> bool {
    matches!(
        code,
        "TooManyUpdates" | "ConcurrentModification" | "EntityTemporarilyUnmodifiable" | "ConcurrentTagAccess"
    )
}

/// Whether the credentials are good and these permissions are what is missing: no other credentials would be found by
/// waiting, and no new ones are asked for.
#[must_use]
pub fn is_denied(code: &str) -> bool {
    matches!(
        code,
        "UnauthorizedOperation" | "AccessDenied" | "AccessDeniedException" | "DependencyAccessDeniedException"
    )
}

/// Whether the credentials were good once.
#[must_use]
pub fn is_expired(code: &str) -> bool {
    matches!(code, "ExpiredToken" | "ExpiredTokenException" | "RequestExpired")
}

/// From here on AWS refuses signatures, by its documentation (five minutes), less what a call takes.
const CLOCK_OFF: i64 = 4 * 60;

/// Whether it is the time of a signature that AWS refuses. Some services say so; EC2 says `AuthFailure`, as of a wrong key,
/// or `RequestExpired`, as of expired credentials: there only `off` tells, the seconds that this machine's clock is ahead of
/// the answer's date.
#[must_use]
pub fn is_clock(code: &str, message: &str, off: Option<i64>) -> bool {
    let says_so = message.contains("Signature expired") || message.contains("Signature not yet current");
    match code {
        "RequestTimeTooSkewed" | "RequestInTheFuture" => true,
        "SignatureDoesNotMatch" | "InvalidSignatureException" if says_so => true,
        "AuthFailure" | "RequestExpired" | "SignatureDoesNotMatch" | "InvalidSignatureException" => {
            off.is_some_and(|off| off.abs() >= CLOCK_OFF)
        }
        _ => false,
    }
}

/// What the end of an instance says about the offer it was launched from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ended {
    /// AWS took it back or never had the machine: the next offer may do better.
    Capacity,
    /// The account's quota: every offer of the family is refused.
    Quota,
    /// Somebody or the box itself ended it, or it cannot start: no other offer would help.
    OnPurpose,
}

/// Classifies an instance's `StateReason` code, the answer to "why did it end".
#[must_use]
pub fn classify_end(state_reason: &str) -> Ended {
    match state_reason {
        "Server.InsufficientInstanceCapacity"
        | "Server.SpotInstanceTermination"
        | "Server.SpotInstanceShutdown"
        | "Server.InternalError"
        | "Server.ScheduledStop" => Ended::Capacity,
        "Client.InstanceLimitExceeded" | "Client.VcpuLimitExceeded" | "Client.MaxSpotInstanceCountExceeded" => {
            Ended::Quota
        }
        _ => Ended::OnPurpose,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn aws_errors_mean_what_they_mean_and_quota_is_never_capacity() {
        for (code, message, status, class) in [
            ("InsufficientInstanceCapacity", "", 500, Class::Capacity),
            ("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded", 400, Class::Quota),
            ("VcpuLimitExceeded", "", 400, Class::Quota),
            ("SpotMaxPriceTooLow", "", 400, Class::PriceTooLow),
            ("Unsupported", "Your requested instance type is not supported in your zone", 400, Class::NotOffered),
            ("IdempotentParameterMismatch", "", 400, Class::TokenTaken),
            ("IdempotentInstanceTerminated", "", 400, Class::TokenUsedUp),
            (
                "InvalidParameterValue",
                "Value (x) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name",
                400,
                Class::ProfileNotVisible,
            ),
            ("InvalidParameterValue", "Value (x) for parameter subnetId is invalid", 400, Class::Other),
            ("InvalidGroup.NotFound", "", 400, Class::NotFound),
            ("InvalidLaunchTemplateId.VersionNotFound", "", 400, Class::NotFound),
            ("InvalidLaunchTemplateName.AlreadyExistsException", "", 400, Class::AlreadyExists),
            ("InvalidAMIID.NotFound", "", 400, Class::ImageGone),
            ("RequestLimitExceeded", "", 503, Class::Throttled),
            ("Unavailable", "", 503, Class::Server),
            ("SomethingNew", "", 500, Class::Server),
            ("SomethingNew", "", 400, Class::Other),
            ("UnauthorizedOperation", "", 403, Class::Access),
            (
                "InvalidParameterCombination",
                "The specified instance type is not eligible for Free Tier.",
                400,
                Class::Access,
            ),
            ("InvalidParameterCombination", "Network interfaces and an instance-level subnet", 400, Class::Other),
            ("DependencyAccessDeniedException", "", 400, Class::Access),
        ] {
            assert_eq!(classify(code, message, status), class, "{code} {message} {status}");
        }
    }

    #[test]
    fn a_wrong_clock_is_told_from_a_wrong_key_by_the_words_or_by_the_date_of_the_answer() {
        let late = "Signature expired: 20261124T120000Z is now earlier than 20261124T120500Z";
        for (code, message, off, is_it) in [
            ("RequestTimeTooSkewed", "", None, true),
            ("SignatureDoesNotMatch", late, None, true),
            ("InvalidSignatureException", "Signature not yet current: x", None, true),
            ("SignatureDoesNotMatch", "the signature we calculated does not match", Some(1), false),
            ("AuthFailure", "AWS was not able to validate", Some(-600), true),
            ("AuthFailure", "AWS was not able to validate", Some(2), false),
            ("AuthFailure", "AWS was not able to validate", None, false),
            ("RequestExpired", "Request has expired.", Some(600), true),
            ("RequestExpired", "Request has expired.", Some(0), false),
            ("UnauthorizedOperation", "", Some(600), false),
            ("ExpiredToken", "", Some(600), false),
        ] {
            assert_eq!(is_clock(code, message, off), is_it, "{code} {message} {off:?}");
        }
    }

    #[test]
    fn credentials_that_are_wrong_or_expired_are_no_missing_permission() {
        for (code, denied) in [
            ("UnauthorizedOperation", true),
            ("AccessDenied", true),
            ("AccessDeniedException", true),
            ("DependencyAccessDeniedException", true),
            ("ExpiredToken", false),
            ("ExpiredTokenException", false),
            ("RequestExpired", false),
            ("UnrecognizedClientException", false),
            ("InvalidClientTokenId", false),
            ("AuthFailure", false),
            ("OptInRequired", false),
        ] {
            assert_eq!(is_denied(code), denied, "{code}");
            assert_eq!(classify(code, "", 400), Class::Access, "{code}");
        }
    }
}
