use std::collections::BTreeMap;
use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use secrecy::SecretString;
use tokio::time::Instant;

use super::*;
use crate::cloud::Cloud;
use crate::sandbox::{Sandbox, client};
use crate::spec::Spec;

const LATENCY: Duration = Duration::from_millis(50);

fn sandbox(weather: &[&str]) -> Sandbox {
    let sandbox = Sandbox::in_memory();
    for words in weather {
        sandbox.say(words);
    }
    sandbox
}

fn cloud(sandbox: &Sandbox) -> Cloud {
    Cloud::from_config(&client::config(sandbox, "us-east-1").build()).unwrap()
}

fn spec(text: &str) -> Spec {
    crate::config::parse(text, Path::new("spotctl.yaml")).unwrap()
}

/// A file that leaves no check without a question.
const FULL: &str = "name: w\n\
    container: {image: \"123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1\"}\n\
    instance: {on_demand_fallback: true, max_price: 1.00}\n\
    access:\n  queues: [\"arn:aws:sqs:us-east-1:123456789012:jobs\"]\n  buckets: {media: read}\n";

async fn look(sandbox: &Sandbox, names: &[&'static str]) -> Vec<Check> {
    let (cloud, spec) = (cloud(sandbox), spec(FULL));
    // Nine: the tenth would fill a page of parameters, and an extra page does not count.
    let env = (0..9).map(|index| (format!("K{index}"), SecretString::from("v"))).collect::<BTreeMap<_, _>>();
    let reads = Reads::new(Look {
        cloud: &cloud,
        spec: &spec,
        env: Some(&env),
        env_error: None,
        count: 1,
        now: Timestamp::now(),
    });
    run(&reads, names).await
}

#[tokio::test(start_paused = true)]
async fn two_seconds_hold_every_check_on_a_slow_link() {
    // The worst case: a quota that is too small asks for open increases, and everything there is is asked for.
    let sandbox = sandbox(&["latency 50ms", "quota G=0", "quota P=0", "quota P5=0"]);
    let began = Instant::now();
    let checks = look(&sandbox, &NAMES).await;
    let trips = (began.elapsed().as_millis() + LATENCY.as_millis() / 2) / LATENCY.as_millis();
    assert_eq!(checks.iter().map(|check| check.name).collect::<Vec<_>>(), NAMES);
    assert!(trips <= 6, "{trips} sequential round trips");
}

#[tokio::test]
async fn a_check_reads_what_it_needs_and_nothing_else() {
    for (name, operations) in [
        ("clock", vec!["GetCallerIdentity"]),
        ("region", vec!["DescribeRegions"]),
        ("security-group", vec!["DescribeSecurityGroups"]),
        ("forgotten", vec!["DescribeInstances"]),
        ("user-data", vec!["GetCallerIdentity"]),
    ] {
        let sandbox = sandbox(&[]);
        let checks = look(&sandbox, &[name]).await;
        assert_eq!((checks.len(), checks[0].status), (1, Status::Ok), "{checks:?}");
        let called: Vec<String> = sandbox.calls().unwrap().into_keys().collect();
        assert_eq!(called, operations, "{name}");
    }
}

#[tokio::test]
async fn a_read_that_breaks_takes_down_its_own_checks_only_and_is_made_once() {
    let sandbox = sandbox(&["fail DescribeSecurityGroups 400 9"]);
    let checks = look(&sandbox, &["vpc", "subnets", "security-group", "quota", "offers"]).await;
    let failed: Vec<_> = checks.iter().filter(|check| check.status == Status::Fail).map(|check| check.name).collect();
    assert_eq!(failed, ["security-group"], "{checks:?}");
    let calls = sandbox.calls().unwrap();
    assert_eq!(calls["DescribeVpcs"], 1, "{calls:?}");
}

fn names(list: &[&str]) -> Vec<String> {
    list.iter().map(|name| (*name).to_owned()).collect()
}

#[test]
fn only_and_skip_leave_what_they_say_in_the_order_of_the_list() {
    for (only, skip, left) in [
        (names(&["quota", "clock"]), names(&[]), vec!["clock", "quota"]),
        (names(&["quota", "clock"]), names(&["clock"]), vec!["quota"]),
    ] {
        assert_eq!(select(&only, &skip).unwrap(), left);
    }
    assert_eq!(select(&[], &[]).unwrap(), NAMES);
    assert_eq!(select(&[], &names(&["orphans"])).unwrap().len(), NAMES.len() - 1);
    assert!(select(&names(&["quota"]), &names(&["quota"])).is_err());
}

#[test]
fn a_name_that_is_none_is_a_mistake_with_a_suggestion_and_the_list() {
    for (only, skip) in [(names(&["qouta"]), names(&[])), (names(&[]), names(&["quotas"]))] {
        let error = select(&only, &skip).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
        assert_eq!(error.hints[0], "did you mean quota");
        assert!(error.hints[1].contains("credentials, clock"), "{}", error.hints[1]);
    }
}

#[test]
fn a_read_that_failed_hides_or_fails_by_whose_fault_it_is() {
    let error = |kind, code: Option<&str>, message: &str| {
        let mut error = Error::new(kind, message).hint("do this");
        error.code = code.map(str::to_owned);
        error.operation = Some("ListGrants");
        error
    };
    for (error, status, evidence) in [
        (error(Kind::Access, None, "no AWS credentials"), Status::Skip, "needs credentials"),
        (
            error(Kind::Access, Some("ExpiredToken"), "x"),
            Status::Skip,
            "needs credentials that AWS accepts (ExpiredToken)",
        ),
        (error(Kind::Access, Some("AccessDenied"), "x"), Status::Skip, "not permitted: kms:ListGrants"),
        (
            error(Kind::Access, Some("AccessDenied"), "u is not authorized to perform: iam:GetRole on resource: r"),
            Status::Skip,
            "not permitted: iam:GetRole",
        ),
        (error(Kind::Usage, None, "no VPC"), Status::Fail, "no VPC"),
        (error(Kind::Aws, Some("InternalError"), "it broke"), Status::Fail, "it broke"),
    ] {
        let verdict = Verdict::unseen(&error);
        assert_eq!((verdict.status, verdict.evidence.as_str()), (status, evidence));
        // What `up` reads too it would be refused as well; the rest is the same.
        let verdict = Verdict::unread(&error);
        if evidence.starts_with("not permitted") {
            assert_eq!(verdict.status, Status::Fail);
            assert_eq!(verdict.evidence, format!("{evidence}, which `up` calls"));
            assert_eq!(verdict.advice.as_deref(), Some("spotctl render policy operator"));
        } else {
            assert_eq!((verdict.status, verdict.evidence.as_str()), (status, evidence));
        }
        // Of another check's read nothing fails.
        assert_eq!(Verdict::needs("x", &error).status, Status::Skip);
    }
}

#[test]
fn of_several_verdicts_the_worst_counts_and_nothing_seen_is_lost() {
    let verdicts = [Verdict::ok("a"), Verdict::fail("b", "mend b"), Verdict::warn("c", "mend b")];
    assert_eq!(Verdict::all(verdicts), Some(Verdict::fail("a; b; c", "mend b")));
    assert_eq!(Verdict::all([Verdict::ok("a"), Verdict::skip("b")]).map(|all| all.status), Some(Status::Skip));
    assert_eq!(Verdict::all([]), None);
}
