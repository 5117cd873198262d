use std::cell::Cell;
use std::time::Duration;

use super::*;
use crate::decide::increase::tests::increase;
use crate::decide::need::tests::known;
use crate::settings::{Color, Output};

/// When the watches below begin, so that what was answered long ago has a time before it.
const BEGIN: i64 = 1_000_000;

/// Limit, the last request's status and when it came to it; or a failure.
type Answer = Result<(u32, Option<(&'static str, i64)>), Failure>;

/// What AWS says from a second of the watch on.
type Says = (u64, Answer);

fn failure(class: Class, code: Option<&str>) -> Failure {
    Failure {
        operation: "GetServiceQuota",
        class,
        code: code.map(str::to_owned),
        message: "no".to_owned(),
        request_id: None,
        without_credentials: false,
    }
}

struct Came {
    result: Result<()>,
    status: &'static str,
    seconds: u64,
    looks: u32,
}

/// Waits for 8 vCPUs for a day at the most.
async fn came(script: &[Says]) -> Came {
    let (began, looks) = (Instant::now(), Cell::new(0));
    let look = async || {
        looks.set(looks.get() + 1);
        let now = began.elapsed().as_secs();
        let (_, says) = script.iter().rfind(|(from, _)| *from <= now).unwrap();
        says.clone().map(|(limit, request)| Seen {
            limit: Some(limit),
            increases: request.iter().map(|(status, since)| increase(status, 8, BEGIN + since)).collect(),
            at: Timestamp::from_second(BEGIN + i64::try_from(now).unwrap()).unwrap(),
        })
    };
    let known = known(Some(0), Some(&[]));
    let pace = Pace { limit: Duration::from_hours(24), ..INCREASE };
    let goal = Goal { quota: known.standing.quota, wished: 8, pace };
    let mut report = Watched::new(Quotas::new("us-east-1", None, 1));
    report.is_about(&known, Timestamp::UNIX_EPOCH);
    let result = wait(&Ui::new(Output::Text, true, Color::Never), goal, look, &mut report).await;
    report.ends(result.as_ref().err().map(|error| error.kind));
    Came { result, status: report.status, seconds: began.elapsed().as_secs(), looks: looks.get() }
}

const PENDING: Answer = Ok((0, Some(("PENDING", 0))));

#[tokio::test(start_paused = true)]
async fn it_ends_with_the_applied_value_and_with_nothing_else() {
    let day = 24 * 3600;
    let opened = Ok((0, Some(("CASE_OPENED", 100))));
    let cases: [(&str, Vec<Says>, &str, std::ops::RangeInclusive<u64>); 10] = [
        ("at once", vec![(0, Ok((8, None)))], "granted", 0..=0),
        (
            "hours later, whatever the status says",
            vec![(0, PENDING), (100, opened.clone()), (9000, Ok((8, Some(("CASE_OPENED", 100)))))],
            "granted",
            9000..=9060,
        ),
        (
            "approved before it counts",
            vec![(0, PENDING), (100, Ok((0, Some(("APPROVED", 100))))), (900, Ok((8, Some(("APPROVED", 100)))))],
            "granted",
            900..=960,
        ),
        (
            "closed and granted",
            vec![
                (0, opened.clone()),
                (600, Ok((0, Some(("CASE_CLOSED", 600))))),
                (1800, Ok((16, Some(("CASE_CLOSED", 600))))),
            ],
            "granted",
            1800..=1860,
        ),
        (
            "closed and not granted",
            vec![(0, opened.clone()), (600, Ok((0, Some(("CASE_CLOSED", 600)))))],
            "closed",
            2400..=2470,
        ),
        ("closed days ago", vec![(0, Ok((0, Some(("CASE_CLOSED", -200_000)))))], "closed", 0..=0),
        ("denied", vec![(0, PENDING), (600, Ok((0, Some(("DENIED", 600)))))], "denied", 600..=660),
        ("nobody asked", vec![(0, Ok((0, None)))], "nothing", 0..=0),
        ("granted in the last minute", vec![(0, opened.clone()), (day - 5, Ok((8, None)))], "granted", day..=day),
        ("never answered", vec![(0, opened)], "timeout", day..=day),
    ];
    for (name, script, status, seconds) in cases {
        let came = came(&script).await;
        assert_eq!(came.status, status, "{name}");
        assert!(seconds.contains(&came.seconds), "{name}: {}", came.seconds);
        let kind = match status {
            "granted" => None,
            "timeout" => Some(Kind::Timeout),
            _ => Some(Kind::Quota),
        };
        assert_eq!(came.result.err().map(|error| error.kind), kind, "{name}");
        assert!(came.looks <= 2 + u32::try_from(came.seconds / 30).unwrap(), "{name}: {} looks", came.looks);
    }
}

#[tokio::test(start_paused = true)]
async fn a_night_without_network_or_credentials_is_survived() {
    let expired = || Err(failure(Class::Access, Some("ExpiredTokenException")));
    for (name, lost) in [
        ("network", Err(failure(Class::Network, None))),
        ("server", Err(failure(Class::Server, Some("ServiceException")))),
        ("throttled", Err(failure(Class::Throttled, Some("TooManyRequestsException")))),
        ("expired", expired()),
        ("no credentials at all", Err(Failure { without_credentials: true, ..failure(Class::Access, None) })),
        ("leave taken away", Err(failure(Class::Access, Some("AccessDeniedException")))),
    ] {
        let script = [(0, PENDING), (100, lost.clone()), (40_000, Ok((8, Some(("APPROVED", 39_000)))))];
        let came = came(&script).await;
        assert_eq!((came.result.map_err(|error| error.message), came.status), (Ok(()), "granted"), "{name}");
        assert!((40_000..=40_060).contains(&came.seconds), "{name}: {}", came.seconds);
        // And a denial that came in the meantime is still one.
        let script = [(0, PENDING), (100, lost), (40_000, Ok((0, Some(("NOT_APPROVED", 39_000)))))];
        assert_eq!(self::came(&script).await.status, "denied", "{name}");
    }
}

#[tokio::test(start_paused = true)]
async fn what_the_first_look_may_not_see_ends_it_and_a_network_that_is_down_does_not() {
    let granted = || Ok((8, None));
    for (code, class, kind) in [
        (Some("AccessDeniedException"), Class::Access, Some(Kind::Access)),
        (Some("ExpiredTokenException"), Class::Access, Some(Kind::Access)),
        (Some("NoSuchResourceException"), Class::NotFound, Some(Kind::Aws)),
        (Some("IllegalArgumentException"), Class::Other, Some(Kind::Aws)),
        (None, Class::Network, None),
        (Some("ServiceException"), Class::Server, None),
    ] {
        let came = came(&[(0, Err(failure(class, code))), (10, granted())]).await;
        assert_eq!(came.result.err().map(|error| error.kind), kind, "{code:?}");
        assert_eq!(came.seconds == 0, kind.is_some(), "{code:?}");
    }
    let never = came(&[(0, Err(failure(Class::Network, None)))]).await.result.unwrap_err();
    assert_eq!(never.kind, Kind::Timeout);
    assert!(never.message.contains("did not answer once"), "{}", never.message);
}

#[tokio::test(start_paused = true)]
async fn a_denial_names_status_case_and_what_to_do_and_nothing_to_wait_for_names_the_command() {
    let denied = came(&[(0, Ok((0, Some(("DENIED", 0)))))]).await.result.unwrap_err();
    assert_eq!(
        denied.message,
        "the request r-1 for 8 vCPUs is DENIED (case 17), and the limit of L-3819A6DF is 0 vCPUs, 8 are wanted"
    );
    assert!(denied.hints.contains(&"to ask again: spotctl quota request --code L-3819A6DF --vcpus 8".to_owned()));
    let nothing = came(&[(0, Ok((0, None)))]).await.result.unwrap_err();
    assert_eq!(nothing.hints, ["spotctl quota request --code L-3819A6DF --vcpus 8"]);
}

#[test]
fn without_a_number_the_need_is_waited_for_and_what_was_asked_for_where_that_is_there() {
    for (limit, least, request, waited) in [
        (Some(0), Some(4), Some(("PENDING", 8)), Some(4)),
        (Some(4), Some(4), Some(("PENDING", 64)), Some(64)),
        (Some(4), Some(4), Some(("APPROVED", 64)), Some(4)),
        (Some(4), Some(4), None, Some(4)),
        (Some(0), None, Some(("CASE_OPENED", 64)), Some(64)),
        (Some(0), None, Some(("CASE_CLOSED", 64)), Some(64)),
        (Some(0), None, None, None),
    ] {
        let increases = request.iter().map(|(status, vcpus)| increase(status, *vcpus, 0)).collect();
        let known = Known { increases: Some(increases), ..known(limit, Some(&[])) };
        assert_eq!(wished(&known, least), waited, "{limit:?} {least:?} {request:?}");
    }
}
