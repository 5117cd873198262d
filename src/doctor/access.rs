//! Who asks, when, and where: `credentials`, `clock`, `region`.

use jiff::Timestamp;

use super::{Reads, Verdict};
use crate::decide::classify::is_denied;
use crate::decide::offers::suggest;
use crate::error::{Error, Kind};

/// A signature that is older or younger than this is refused by AWS.
const REFUSED: i64 = 5 * 60;
/// Worth a word before it grows.
const NOTICED: i64 = 60;

pub(super) async fn credentials(reads: &Reads<'_>) -> Verdict {
    match reads.caller.clone().await {
        Ok(caller) => Verdict::ok(format!("account {}, {}", caller.account, caller.arn)),
        Err(error) => without(&error),
    }
}

/// Nobody can be kept from asking who he is, so a refusal is about the credentials themselves.
fn without(error: &Error) -> Verdict {
    let is_refused = error.code.as_deref().is_some_and(|code| !is_denied(code));
    let advice = match (error.kind, is_refused) {
        (Kind::Access, true) => "sign in again: aws sso login, or name others: --profile NAME".to_owned(),
        _ => error.hints.join("\n"),
    };
    Verdict::fail(error.message.clone(), advice)
}

pub(super) async fn clock(reads: &Reads<'_>) -> Verdict {
    let began = reads.look.now;
    match reads.clock.clone().await {
        Some(theirs) => skew(began, Timestamp::now(), theirs),
        None => match reads.caller.clone().await {
            Err(error) if error.kind != Kind::Access => Verdict::skip("AWS did not answer"),
            Err(error) if error.code.is_none() => Verdict::unread(&error),
            _ => Verdict::skip("the answer tells no time"),
        },
    }
}

/// AWS's clock stood somewhere between asking and answer; its header counts whole seconds.
fn skew(asked: Timestamp, answered: Timestamp, theirs: Timestamp) -> Verdict {
    const ADVICE: &str = crate::cloud::call::SET_CLOCK;
    let (asked, answered, theirs) = (asked.as_second(), answered.as_second(), theirs.as_second());
    let (off, word) = match theirs {
        theirs if theirs > answered => (theirs - answered, "behind"),
        theirs if theirs < asked => (asked - theirs, "ahead of"),
        _ => (0, "with"),
    };
    let evidence = format!("this machine's clock is {off} s {word} AWS's");
    match off {
        ..2 => Verdict::ok("this machine's clock agrees with AWS's"),
        2..=NOTICED => Verdict::ok(evidence),
        off if off <= REFUSED => Verdict::warn(format!("{evidence}; beyond 5 minutes AWS refuses every call"), ADVICE),
        _ => Verdict::fail(format!("{evidence}; AWS refuses signatures that are off by more than 5 minutes"), ADVICE),
    }
}

pub(super) async fn region(reads: &Reads<'_>) -> Verdict {
    match reads.regions.clone().await {
        Ok(enabled) => enabled_in(&enabled, &reads.look.cloud.region),
        Err(error) => Verdict::unread(&error),
    }
}

fn enabled_in(enabled: &[String], region: &str) -> Verdict {
    if enabled.iter().any(|name| name == region) {
        return Verdict::ok(format!("{region} is enabled"));
    }
    let near = suggest(Error::usage(""), region, enabled.iter().map(String::as_str));
    let enable = format!("if it exists: aws account enable-region --region-name {region}");
    let advice: Vec<String> = near.hints.into_iter().chain([enable]).collect();
    Verdict::fail(format!("{region} does not exist, or this account has not enabled it"), advice.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;

    #[test]
    fn a_clock_is_off_by_what_the_time_of_the_call_does_not_explain() {
        let at = |second: i64| Timestamp::from_second(1_800_000_000 + second).unwrap();
        for (asked, answered, theirs, status, evidence) in [
            (0, 0, 0, Status::Ok, "agrees"),
            (0, 9, 5, Status::Ok, "agrees"),
            (0, 0, 1, Status::Ok, "agrees"),
            (0, 1, 60, Status::Ok, "59 s behind"),
            (0, 1, 62, Status::Warn, "61 s behind"),
            (0, 1, -300, Status::Warn, "300 s ahead of"),
            (0, 1, -301, Status::Fail, "301 s ahead of"),
            (0, 1, 3600, Status::Fail, "3599 s behind"),
        ] {
            let verdict = skew(at(asked), at(answered), at(theirs));
            assert_eq!(verdict.status, status, "{asked} {answered} {theirs}");
            assert!(verdict.evidence.contains(evidence), "{}", verdict.evidence);
        }
    }

    #[test]
    fn a_region_is_enabled_or_not_and_a_slip_is_suggested() {
        let enabled = ["us-east-1".to_owned(), "eu-west-1".to_owned()];
        assert_eq!(enabled_in(&enabled, "eu-west-1").status, Status::Ok);
        let verdict = enabled_in(&enabled, "us-eest-1");
        assert_eq!(verdict.status, Status::Fail);
        let advice = verdict.advice.unwrap();
        assert!(advice.contains("did you mean us-east-1") && advice.contains("enable-region"), "{advice}");
    }

    #[test]
    fn refused_credentials_want_another_login_and_missing_ones_a_place_to_be() {
        let mut refused = Error::new(Kind::Access, "no").hint("GetCallerIdentity must be allowed");
        refused.code = Some("ExpiredToken".to_owned());
        assert!(without(&refused).advice.unwrap().contains("aws sso login"));
        let missing = Error::new(Kind::Access, "no").hint("AWS looks in: …");
        assert_eq!(without(&missing).advice.as_deref(), Some("AWS looks in: …"));
    }
}
