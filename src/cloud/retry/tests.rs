use std::collections::BTreeMap;

use super::*;
use crate::cloud::Cloud;
use crate::sandbox::{Sandbox, client};

fn cloud(weather: &str) -> (Sandbox, Cloud) {
    let sandbox = Sandbox::in_memory();
    sandbox.say(weather);
    let cloud = Cloud::from_config(&client::config(&sandbox, "us-east-1").build()).unwrap();
    (sandbox, cloud)
}

/// How often a call of this weather is made, whether it succeeds, and how long that takes.
async fn asked(weather: &str, limit: Option<Duration>) -> (u64, bool, Duration) {
    let (sandbox, cloud) = cloud(weather);
    if let Some(limit) = limit {
        cloud.deadline.set(limit);
    }
    let began = Instant::now();
    let answer = cloud.ec2.describe_vpcs().send().await;
    let calls: BTreeMap<_, _> = sandbox.calls().unwrap();
    (calls["DescribeVpcs"], answer.is_ok(), began.elapsed())
}

#[tokio::test(start_paused = true)]
async fn each_trouble_has_its_patience() {
    for (weather, attempts, is_ok, at_most) in [
        ("fail DescribeVpcs 503 20", 21, true, 100),
        ("fail DescribeVpcs 429 20", 21, true, 100),
        ("fail DescribeVpcs 429 99", 40, false, 200),
        ("fail DescribeVpcs 500 7", 8, true, 15),
        ("fail DescribeVpcs 500 99", 8, false, 15),
        ("fail DescribeVpcs cut 5", 6, true, 15),
        ("fail DescribeVpcs refuse 5", 6, true, 15),
        ("fail DescribeVpcs drop 99", 6, false, 15),
        ("fail DescribeVpcs busy 20", 21, true, 100),
        ("fail DescribeVpcs 403 99", 1, false, 1),
        ("fail DescribeVpcs 400 99", 1, false, 1),
    ] {
        let (made, succeeded, took) = asked(weather, None).await;
        assert_eq!((made, succeeded), (attempts, is_ok), "{weather}");
        assert!(took <= Duration::from_secs(at_most), "{weather}: {took:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn each_trouble_has_attempts_of_its_own_however_they_are_mixed() {
    let (sandbox, cloud) = cloud("fail DescribeVpcs 429 10");
    sandbox.say("fail DescribeVpcs 500 7 after 10");
    sandbox.say("fail DescribeVpcs cut 5 after 17");
    assert!(cloud.ec2.describe_vpcs().send().await.is_ok());
    assert_eq!(sandbox.calls().unwrap()["DescribeVpcs"], 10 + 7 + 5 + 1);
    sandbox.say("fail DescribeVpcs 429 10");
    sandbox.say("fail DescribeVpcs cut 6 after 10");
    assert!(cloud.ec2.describe_vpcs().send().await.is_err());
}

#[tokio::test(start_paused = true)]
async fn another_call_that_changes_the_same_is_waited_for_in_every_service() {
    let (sandbox, cloud) = cloud("clear");
    for operation in ["PutParameter", "CreateRole", "CreateTags"] {
        sandbox.say(&format!("fail {operation} busy 3"));
    }
    let kind = aws_sdk_ssm::types::ParameterType::String;
    assert!(cloud.ssm.put_parameter().name("/a").value("1").r#type(kind).send().await.is_ok());
    let trust = r#"{"Version": "2012-10-17", "Statement": {"Effect": "Allow",
        "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}}"#;
    let role = cloud.iam.create_role().role_name("r").assume_role_policy_document(trust);
    assert!(role.send().await.is_ok());
    let tag = aws_sdk_ec2::types::Tag::builder().key("a").value("b").build();
    let group = cloud.ec2.create_security_group().group_name("g").description("g").send().await.unwrap();
    let tags = cloud.ec2.create_tags().resources(group.group_id().unwrap()).tags(tag);
    assert!(tags.send().await.is_ok());
    for operation in ["PutParameter", "CreateRole", "CreateTags"] {
        assert_eq!(sandbox.calls().unwrap()[operation], 4, "{operation}");
    }
}

#[tokio::test(start_paused = true)]
async fn nothing_is_asked_again_beyond_the_deadline() {
    let limit = Duration::from_secs(3);
    let (made, is_ok, took) = asked("fail DescribeVpcs 429 99", Some(limit)).await;
    assert!(!is_ok && made > 1 && made < 40 && took <= limit, "{made} in {took:?}");
}

#[tokio::test(start_paused = true)]
async fn no_quota_of_retries_is_used_up_by_calls_that_are_throttled_again_and_again() {
    let (sandbox, cloud) = cloud("clear");
    // Each one that is given back, as the SDK counts, leaves 45 of its 500 tokens used up.
    for _ in 0..15 {
        sandbox.set(&["fail", "DescribeVpcs", "429", "10"].map(str::to_owned)).unwrap();
        assert!(cloud.ec2.describe_vpcs().send().await.is_ok());
    }
}

#[tokio::test(start_paused = true)]
async fn work_is_cut_a_moment_after_its_deadline_and_not_before() {
    let deadline = Deadline::default();
    assert_eq!(deadline.left(), None);
    assert_eq!(deadline.bound(async { Ok(1) }).await.ok(), Some(1));
    let (began, limit) = (Instant::now(), Duration::from_secs(10));
    deadline.set(limit);
    let error = deadline.bound(std::future::pending::<Result<()>>()).await.unwrap_err();
    assert_eq!(error.kind, Kind::Timeout);
    assert!(deadline.is_over());
    assert!((limit..=limit + MOMENT + Duration::from_millis(2)).contains(&began.elapsed()), "{:?}", began.elapsed());
}

#[test]
fn a_pause_is_drawn_from_all_of_it() {
    let longest = Duration::from_secs(1);
    let drawn: Vec<Duration> = (0..1000).map(|_| jittered(longest)).collect();
    let among = |from: u64, to: u64| {
        let range = Duration::from_millis(from)..=Duration::from_millis(to);
        drawn.iter().filter(|pause| range.contains(*pause)).count()
    };
    assert_eq!(among(0, 1000), 1000);
    // Far out of a fair draw's reach: the odds are beyond counting.
    assert!(among(0, 250) > 100 && among(250, 500) > 100 && among(500, 750) > 100 && among(750, 1000) > 100);
}
