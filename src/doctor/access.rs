//! Who asks, when, and where: `credentials`, `clock`, `region`; and who else may launch: `launchers`.

use jiff::Timestamp;

use super::reads::Regions;
use super::{Blocked, Reads, Status, Verdict, is_unanswered};
use crate::decide::classify::is_denied;
use crate::decide::offers::suggest;
use crate::error::{Error, Kind};
use crate::resource::launchers;

/// A signature that is older or younger than this is refused by AWS.
const REFUSED: i64 = 5 * 60;
/// Worth a word before it grows.
const NOTICED: i64 = 60;

pub(super) async fn credentials(reads: &Reads<'_>) -> Verdict {
    match reads.caller.clone().await {
        Ok(caller) => Verdict::ok(format!("account {}, {}", caller.account, caller.arn)),
        Err(error) if is_refused(&error) && is_accepted_elsewhere(reads).await => {
            let region = &reads.look.cloud.region;
            Verdict::fail(
                format!("AWS accepts the credentials elsewhere and not in {region}: it may not be enabled"),
                enable(region),
            )
        }
        Err(error) => without(&error, reads.look.cloud.endpoint()),
    }
}

fn is_refused(error: &Error) -> bool {
    error.kind == Kind::Access && error.code.as_deref().is_some_and(|code| !is_denied(code))
}

/// Whether AWS knows the credentials where the regions are asked for, and lets them not ask.
async fn is_accepted_elsewhere(reads: &Reads<'_>) -> bool {
    matches!(reads.regions.clone().await, Err(error) if error.code.as_deref().is_some_and(is_denied))
}

/// Nobody can be kept from asking who he is, so a refusal is about the credentials themselves.
fn without(error: &Error, endpoint: Option<&str>) -> Verdict {
    if is_refused(error) {
        let advice = "sign in again: aws sso login, or name others: --profile NAME";
        return Verdict { blocked: Some(Blocked::Refused), ..Verdict::fail(error.message.clone(), advice) };
    }
    if is_unanswered(error) {
        let at = endpoint.map_or_else(String::new, |endpoint| format!("; asked at {endpoint}"));
        let advice = match endpoint {
            Some(_) => "is it up, and meant: --endpoint-url, AWS_ENDPOINT_URL",
            None => "is there a network, and does the region exist",
        };
        return Verdict::fail(format!("{}{at}", error.message), advice);
    }
    // What each provider says of itself is several lines; the hint says where they look.
    let mut lines = error.message.lines().map(str::trim).filter(|line| !line.is_empty());
    let first = lines.next().unwrap_or_default();
    let evidence = match (error.kind, lines.next()) {
        (Kind::Access, Some(_)) => first.split(" (").next().unwrap_or(first),
        _ => first,
    };
    Verdict::fail(evidence, error.hints.join("\n"))
}

/// Said where the region of the run is one that the account may not use; `None` where it is, or where it is not known.
pub(super) async fn disabled(reads: &Reads<'_>) -> Option<Verdict> {
    let verdict = enabled_in(&reads.regions.clone().await.ok()?, &reads.look.cloud.region);
    (verdict.status == Status::Fail).then_some(verdict)
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
        Err(error) => Verdict::unseen(&error),
    }
}

fn enable(region: &str) -> String {
    format!("aws account enable-region --region-name {region}")
}

fn enabled_in(known: &Regions, region: &str) -> Verdict {
    let Regions { enabled, others } = known;
    if others.iter().any(|name| name == region) {
        return Verdict::fail(format!("{region} is not enabled in this account"), enable(region));
    }
    if enabled.iter().any(|name| name == region) {
        return Verdict::ok(format!("{region} is enabled"));
    }
    let near = suggest(Error::usage(""), region, enabled.iter().chain(others).map(String::as_str));
    let advice: Vec<String> = near.hints.into_iter().chain([format!("if it exists: {}", enable(region))]).collect();
    Verdict::fail(format!("{region} does not exist, or this account has not enabled it"), advice.join("\n"))
}

/// Whether the roles are there that the file lets launch.
pub(super) async fn launchers(reads: &Reads<'_>) -> Verdict {
    let count = reads.look.spec.access.launchers.len();
    if count == 0 {
        return Verdict::ok("the file names none");
    }
    let (absent, policies) =
        futures::join!(launchers::absent(reads.look.cloud, reads.look.spec), reads.launchers.clone());
    match (policies, absent) {
        (Err(error), _) => Verdict::unread(&error),
        (_, Err(error)) => Verdict::unseen(&error),
        (_, Ok(absent)) if absent.is_empty() => Verdict::ok(match count {
            1 => "the role is there".to_owned(),
            count => format!("the {count} roles are there"),
        }),
        (_, Ok(absent)) => {
            let names: Vec<String> = absent.iter().map(|role| format!("`{role}`")).collect();
            Verdict::fail(
                format!("`access.launchers`: no role {} in this account", names.join(", ")),
                "make it, or take its name out of the file: access: {launchers: […]}",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
        let names = |names: [&str; 2]| names.map(str::to_owned).to_vec();
        let enabled =
            Regions { enabled: names(["us-east-1", "eu-west-1"]), others: names(["us-east-2", "af-south-1"]) };
        assert_eq!(enabled_in(&enabled, "eu-west-1").status, Status::Ok);
        let verdict = enabled_in(&enabled, "us-eest-1");
        assert_eq!(verdict.status, Status::Fail);
        let advice = verdict.advice.unwrap();
        assert!(advice.contains("did you mean us-east-1") && advice.contains("enable-region"), "{advice}");
        // One that exists is none that is written wrong.
        let verdict = enabled_in(&enabled, "us-east-2");
        assert_eq!(
            verdict,
            Verdict::fail(
                "us-east-2 is not enabled in this account",
                "aws account enable-region --region-name us-east-2"
            )
        );
    }

    #[test]
    fn refused_credentials_want_another_login_and_missing_ones_a_place_to_be() {
        let mut refused = Error::new(Kind::Access, "no").hint("GetCallerIdentity must be allowed");
        refused.code = Some("ExpiredToken".to_owned());
        assert!(without(&refused, None).advice.unwrap().contains("aws sso login"));
        let chain =
            "asking who: no AWS credentials (the chain came to its end\n  Environment: not set\n  Profile: none)";
        let missing = without(&Error::new(Kind::Access, chain).hint("AWS looks in: …"), None);
        assert_eq!(missing, Verdict::fail("asking who: no AWS credentials", "AWS looks in: …"));
    }

    #[test]
    fn an_aws_that_does_not_answer_is_said_with_the_address_that_somebody_gave() {
        let mut silent = Error::new(Kind::Aws, "no answer to GetCallerIdentity: connection refused");
        silent.operation = Some("GetCallerIdentity");
        let evidence = |endpoint| without(&silent, endpoint).evidence;
        assert!(evidence(Some("http://127.0.0.1:1")).ends_with("connection refused; asked at http://127.0.0.1:1"));
        assert!(evidence(None).ends_with("connection refused"));
    }
}
