use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;

use super::*;
use crate::sandbox::{Sandbox, client};

fn cloud(sandbox: &Sandbox, key: &str) -> Cloud {
    let credentials = SharedCredentialsProvider::new(Credentials::new(key, "b", None, None, "test"));
    let config = client::config(sandbox, "us-east-1").credentials_provider(credentials).build();
    Cloud::from_config(&config).unwrap()
}

fn set(sandbox: &Sandbox, words: &[&str]) {
    sandbox.set(&words.iter().map(|word| (*word).to_owned()).collect::<Vec<_>>()).unwrap();
}

async fn launch(cloud: &Cloud, instance_type: &str, is_spot: bool, stack: Option<&str>) -> String {
    use aws_sdk_ec2::types::{InstanceMarketOptionsRequest, MarketType, ResourceType, Tag, TagSpecification};
    let images = cloud.ec2.describe_images().owners("amazon").send().await.unwrap();
    let image = images.images().iter().find(|image| image.architecture().is_some_and(|is| is.as_str() == "x86_64"));
    let mut request = cloud.ec2.run_instances().min_count(1).max_count(1);
    request = request.image_id(image.unwrap().image_id().unwrap()).instance_type(instance_type.into());
    if is_spot {
        let options = InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).build();
        request = request.instance_market_options(options);
    }
    if let Some(stack) = stack {
        let tag = Tag::builder().key(TAG_STACK).value(stack).build();
        let tags = TagSpecification::builder().resource_type(ResourceType::Instance).tags(tag).build();
        request = request.tag_specifications(tags);
    }
    request.send().await.unwrap().instances()[0].instance_id().unwrap().to_owned()
}

fn both_of_g() -> BTreeSet<Quota> {
    [Market::Spot, Market::OnDemand].iter().map(|market| quota::of("g4dn.xlarge", *market).unwrap()).collect()
}

#[tokio::test]
async fn each_market_has_its_own_holders_of_whatever_stack_and_what_has_ended_holds_nothing() {
    let sandbox = Sandbox::in_memory();
    set(&sandbox, &["quota", "L-DB2E81BA=8"]);
    let cloud = cloud(&sandbox, "a");
    let ours = launch(&cloud, "g4dn.xlarge", true, Some("w")).await;
    let theirs = launch(&cloud, "g5.2xlarge", true, None).await;
    let on_demand = launch(&cloud, "g4dn.2xlarge", false, None).await;
    launch(&cloud, "t3.medium", true, None).await;
    let ended = launch(&cloud, "g4dn.xlarge", true, None).await;
    cloud.ec2.terminate_instances().instance_ids(&ended).send().await.unwrap();
    let standings = read(&cloud, &both_of_g()).await.unwrap();
    let seen: Vec<_> = standings
        .iter()
        .map(|standing| {
            let holders = standing.holders.as_ref().unwrap().iter();
            let mut holders: Vec<_> =
                holders.map(|is| (is.id.clone(), is.vcpus, is.stack.clone(), is.since.is_some())).collect();
            holders.sort();
            (standing.quota.code, standing.limit, holders, standing.in_use(), standing.available())
        })
        .collect();
    let mut spot = vec![(ours, Some(4), Some("w".to_owned()), true), (theirs, Some(8), None, true)];
    spot.sort();
    assert_eq!(
        seen,
        [
            ("L-3819A6DF", Some(64), spot, Some(12), Some(52)),
            ("L-DB2E81BA", Some(8), vec![(on_demand, Some(8), None, true)], Some(8), Some(0)),
        ]
    );
}

#[tokio::test]
async fn a_quota_that_was_never_raised_has_its_default() {
    let cloud = cloud(&Sandbox::in_memory(), "a");
    let wanted = BTreeSet::from([
        quota::of("p5.4xlarge", Market::Spot).unwrap(),
        quota::of("t3.micro", Market::OnDemand).unwrap(),
    ]);
    let limits: Vec<_> = read(&cloud, &wanted).await.unwrap().iter().map(|standing| standing.limit).collect();
    assert_eq!(limits, [Some(0), Some(5)]);
}

#[tokio::test]
async fn what_nobody_allows_is_not_known_and_its_action_is_named() {
    let sandbox = Sandbox::in_memory();
    launch(&cloud(&sandbox, "a"), "g4dn.xlarge", true, None).await;
    let policy = |actions: &str| {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"*"}}]}}"#)
    };
    for (actions, limit, in_use, missing) in [
        (r#"["ec2:*"]"#, None, Some(4), vec!["servicequotas:GetServiceQuota"]),
        (
            r#"["servicequotas:*", "ec2:DescribeInstanceTypes", "ec2:DescribeInstances"]"#,
            Some(64),
            None,
            vec!["ec2:DescribeSpotInstanceRequests"],
        ),
        (
            r#"["servicequotas:*", "ec2:DescribeInstances", "ec2:DescribeSpotInstanceRequests"]"#,
            Some(64),
            None,
            vec!["ec2:DescribeInstanceTypes"],
        ),
        (
            r#"["sts:*"]"#,
            None,
            None,
            vec!["ec2:DescribeInstances", "ec2:DescribeSpotInstanceRequests", "servicequotas:GetServiceQuota"],
        ),
    ] {
        set(&sandbox, &["principal", "limited", &policy(actions)]);
        let wanted = BTreeSet::from([quota::of("g4dn.xlarge", Market::Spot).unwrap()]);
        let standing = read(&cloud(&sandbox, "limited"), &wanted).await.unwrap().remove(0);
        assert_eq!((standing.limit, standing.in_use()), (limit, in_use), "{actions}");
        assert_eq!(standing.missing, missing.into_iter().collect(), "{actions}");
    }
}

#[tokio::test]
async fn types_that_are_in_hand_cost_no_further_call() {
    let sandbox = Sandbox::in_memory();
    let cloud = cloud(&sandbox, "a");
    launch(&cloud, "g4dn.xlarge", true, None).await;
    let mut standings = look(&cloud, &both_of_g()).await.unwrap();
    assert_eq!(standings[0].in_use(), None);
    set(&sandbox, &["fail", "DescribeInstanceTypes", "400", "9"]);
    count(&cloud, &mut standings, &BTreeMap::from([("g4dn.xlarge".to_owned(), 4)])).await.unwrap();
    assert_eq!(standings[0].in_use(), Some(4));
    let mut unknown = look(&cloud, &both_of_g()).await.unwrap();
    assert!(count(&cloud, &mut unknown, &BTreeMap::new()).await.is_err());
}

#[tokio::test]
async fn a_failure_that_is_no_refusal_is_one() {
    let sandbox = Sandbox::in_memory();
    let cloud = cloud(&sandbox, "a");
    set(&sandbox, &["fail", "GetServiceQuota", "refuse", "99"]);
    let error = read(&cloud, &both_of_g()).await.unwrap_err();
    assert!(error.message.contains("L-3819A6DF") || error.message.contains("L-DB2E81BA"), "{}", error.message);
}

#[tokio::test]
async fn many_limits_come_from_the_lists_and_are_the_same() {
    let sandbox = Sandbox::in_memory();
    set(&sandbox, &["quota", "P5=192"]);
    let cloud = cloud(&sandbox, "a");
    let all: BTreeSet<Quota> = [Market::Spot, Market::OnDemand].into_iter().flat_map(quota::all).collect();
    let mut one_by_one = Vec::new();
    for quota in &all {
        one_by_one.push((*quota, limit(&cloud, *quota).await.unwrap()));
    }
    set(&sandbox, &["fail", "GetServiceQuota", "500", "99"]);
    let listed: Vec<_> = look(&cloud, &all).await.unwrap().iter().map(|found| (found.quota, found.limit)).collect();
    assert_eq!(listed, one_by_one);
    assert!(listed.iter().any(|(quota, limit)| quota.code == "L-C4BD4855" && *limit == Some(192)));
    let policy = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Action":"ec2:*","Resource":"*"}]}"#;
    set(&sandbox, &["principal", "limited", policy]);
    let dark = look(&self::cloud(&sandbox, "limited"), &all).await.unwrap();
    assert!(dark.iter().all(|found| found.limit.is_none()));
    assert_eq!(dark[0].missing, BTreeSet::from(["servicequotas:ListServiceQuotas"]));
}

#[tokio::test]
async fn a_quota_that_the_region_does_not_have_is_not_known_and_no_failure() {
    let cloud = cloud(&Sandbox::in_memory(), "a");
    let nowhere = Quota { market: Market::Spot, code: "L-00000000", name: "nowhere" };
    let standings = read(&cloud, &BTreeSet::from([nowhere])).await.unwrap();
    assert_eq!((standings[0].limit, standings[0].missing.len()), (None, 0));
    assert_eq!(increases(&cloud, nowhere).await.unwrap(), []);
}

#[test]
fn a_limit_is_whole_and_never_wraps() {
    for (value, limit) in
        [(64.0, Some(64)), (0.0, Some(0)), (-1.0, Some(0)), (1e30, Some(u32::MAX)), (f64::NAN, None), (7.9, Some(7))]
    {
        assert_eq!(whole(value), limit, "{value}");
    }
}
