//! What a worker costs is said before it is launched, while it lives and when it ends; on demand is bought under the same ceiling.

use serde_json::Value;

use super::support::{MINIMAL, Served, column};

/// Money is a decimal string; a test compares it within what a few seconds cost.
fn usd(value: &Value) -> f64 {
    value.as_str().and_then(|text| text.parse().ok()).unwrap_or_else(|| panic!("no amount: {value}"))
}

#[track_caller]
fn is_about(value: &Value, expected: f64) {
    let has = usd(value);
    assert!((has - expected).abs() < 0.01, "{has} is not about {expected}");
}

#[test]
fn plan_up_status_and_down_name_every_part_of_the_cost() {
    let aws = Served::with(MINIMAL);
    aws.weather("price * * 9.00");
    aws.weather("price g4dn.xlarge us-east-1b 0.20");
    // 75 GiB of gp3 are 6 USD a month.
    let part = |document: &Value| {
        is_about(&document["hourly"]["instance"], 0.20);
        assert_eq!(document["hourly"]["volume"], "0.008219");
        assert_eq!(document["hourly"]["public_ipv4"], "0.005");
        is_about(&document["hourly"]["total"], 0.2132);
        assert_eq!(document["worst_case"]["hours"], 8.0);
        is_about(&document["worst_case"]["usd"], 8.0 * 0.2132);
    };
    let plan = aws.spotctl(&["plan", "-o", "json"]).exits(0);
    part(&plan.json());
    let text = aws.spotctl(&["plan"]).exits(0).stdout();
    assert!(text.contains("0.2132 USD an hour (instance 0.20, volume 0.0082, public IPv4 0.005)"), "{text}");
    assert!(text.contains("if forgotten  1.71 USD: it ends itself 8 h after its launch"), "{text}");
    // Launched two hours ago by the clock of this machine.
    aws.weather("clock -2h");
    part(&aws.spotctl(&["up", "-o", "json"]).exits(0).json());
    aws.weather("clock reset");
    let status = aws.spotctl(&["status", "-o", "json"]).exits(0).json();
    part(&status);
    is_about(&status["workers"][0]["cost_so_far"], 2.0 * 0.2132);
    let stacks = aws.spotctl(&["status", "--stacks", "-o", "json"]).exits(0).json();
    is_about(&stacks["stacks"][0]["cost_so_far"], 2.0 * 0.2132);
    is_about(&stacks["stacks"][0]["usd_per_hour"], 0.2132);

    let down = aws.spotctl(&["down", "-o", "json"]).exits(0).json();
    is_about(&down["bills"][0]["usd"], 2.0 * 0.2132);
    assert_eq!(down["bills"][0]["id"], down["terminated"][0]);
    let after = aws.spotctl(&["status", "-o", "json"]).exits(0).json();
    assert_eq!((&after["hourly"], &after["worst_case"]), (&Value::Null, &Value::Null), "what has ended costs nothing");
}

#[test]
fn what_has_no_hard_end_is_said_by_the_day() {
    let aws = Served::with("name: w\ncontainer: {image: b}\nlifetime: {max: none}\n");
    aws.weather("price g4dn.xlarge * 0.20");
    let plan = aws.spotctl(&["plan"]).exits(0).stdout();
    assert!(plan.contains("5.12 USD a day, without an end"), "{plan}");
    assert_eq!(aws.spotctl(&["plan", "-o", "json"]).exits(0).json()["worst_case"], Value::Null);
}

#[test]
fn stacks_and_expired_workers_are_found_in_every_region() {
    let aws = Served::with(MINIMAL);
    let at = |region: &str, arguments: &[&str]| aws.spotctl(&[&["--region", region], arguments].concat());
    aws.weather("clock -2h");
    at("us-east-1", &["up"]).exits(0);
    at("eu-central-1", &["up", "--ttl", "1h"]).exits(0);
    aws.weather("clock reset");
    let all = aws.spotctl(&["status", "--stacks", "--regions", "all", "-o", "json"]).exits(0).json();
    assert_eq!(column(&all, "stacks", "region"), ["eu-central-1", "us-east-1"]);
    let one = aws.spotctl(&["status", "--stacks", "--regions", "us-west-2,us-east-1", "-o", "json"]).exits(0).json();
    assert_eq!(column(&one, "stacks", "region"), ["us-east-1"]);

    let found = aws.spotctl(&["reap", "--all", "--regions", "all", "--dry-run", "-o", "json"]).exits(0).json();
    assert_eq!(column(&found, "expired", "region"), ["eu-central-1"]);
    assert_eq!(found["terminated"], serde_json::json!([]));
    let reaped = aws.spotctl(&["reap", "--all", "--regions", "all", "-o", "json"]).exits(0).json();
    assert_eq!(reaped["terminated"].as_array().map(Vec::len), Some(1));
    let left = aws.spotctl(&["status", "--stacks", "--regions", "all"]).exits(0).stdout();
    assert!(left.contains("w      eu-central-1  0") && left.contains("w      us-east-1     1"), "{left}");
}

#[test]
fn a_region_that_fails_is_named_and_the_others_are_shown() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["up"]).exits(0);
    aws.spotctl(&["status", "--stacks", "--regions", "mars-1"]).exits(2).says("enabled are ap-northeast-1");
    aws.weather("fail DescribeInstances 403 1");
    let status = aws.spotctl(&["status", "--stacks", "--regions", "all", "-o", "json"]).exits(5).json();
    assert_eq!(status["failed"].as_array().map(Vec::len), Some(1), "{status}");
    assert_eq!(status["regions"].as_array().map(Vec::len), Some(8));
    assert_eq!(status["error"]["kind"], "access");
}

#[test]
fn what_something_costs_is_a_courtesy_that_hides_no_worker_and_keeps_none_alive() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["up"]).exits(0);
    for operation in ["DescribeVolumes", "DescribeSpotPriceHistory"] {
        aws.weather(&format!("fail {operation} 403 100"));
    }
    let status = aws.spotctl(&["status", "-o", "json"]).exits(0).says("what it costs is not known");
    assert_eq!(column(&status.json(), "workers", "state"), ["running"]);
    assert_eq!(status.json()["worst_case"], Value::Null);
    let down = aws.spotctl(&["down", "-o", "json"]).exits(0).json();
    assert_eq!(down["bills"][0]["usd"], Value::Null);
    assert!(aws.live().is_empty());
}

#[test]
fn a_duplicate_that_cannot_be_ended_keeps_no_expired_worker_alive() {
    let aws = Served::with(MINIMAL);
    aws.weather("clock -2h");
    let up = aws.spotctl(&["up", "--ttl", "1h", "-o", "json"]).exits(0).json();
    aws.spotctl(&["up", "--count", "3", "--ttl", "none"]).exits(0);
    // Two workers of one slot, as two racing runs may leave them.
    let young: Vec<String> =
        aws.live().iter().filter_map(|one| one["InstanceId"].as_str().map(str::to_owned)).collect();
    let old = column(&up, "workers", "id").remove(0);
    for id in young.iter().filter(|id| **id != old) {
        aws.boto3("tag.py", &[id, "spotctl:slot", "7"]);
    }
    aws.weather("clock reset");
    aws.weather("fail TerminateInstances 403 1");
    let reap = aws.spotctl(&["reap", "--all", "-o", "json"]).exits(5).json();
    assert_eq!(column(&reap, "expired", "id"), std::slice::from_ref(&old));
    assert_eq!(reap["terminated"], serde_json::json!([old]));
}

/// On Spot the cheap pools are dry; on demand a `g4dn.xlarge` costs 0.526 in the sandbox.
fn dry() -> Served {
    let aws = Served::with(MINIMAL);
    // An hour ago by the clock of this machine; a new account's quota on demand is 0.
    for words in
        ["clock -1h", "quota L-DB2E81BA=64", "price * * 9.00", "price g4dn.xlarge * 0.20", "dry-spot g4dn.xlarge *"]
    {
        aws.weather(words);
    }
    aws
}

#[test]
fn on_demand_is_bought_under_the_ceiling_when_spot_is_dry_and_only_when_allowed() {
    let aws = dry();
    aws.spotctl(&["up", "--max-price", "0.60"]).exits(4).says("no Spot capacity");
    aws.spotctl(&["up", "--on-demand-fallback"]).exits(2).says("needs a ceiling");
    aws.spotctl(&["up", "--on-demand-fallback", "--max-price", "0.50"]).exits(4).says("Spot capacity");
    assert_eq!(aws.live().len(), 0);

    let up = aws.spotctl(&["up", "--on-demand-fallback", "--max-price", "0.60", "-o", "json"]).exits(0);
    assert!(up.stderr().contains("buying on demand, g4dn.xlarge at 0.526 USD an hour"), "{up}");
    let up = up.json();
    assert_eq!(column(&up, "workers", "market"), ["on-demand"]);
    assert_eq!(up["workers"][0]["price_per_hour"], "0.526");
    assert_eq!(up["workers"][0]["spot_request"], Value::Null);
    let [live] = aws.live().try_into().expect("one worker");
    assert_eq!(live["InstanceLifecycle"], Value::Null);

    // It counts, with or without the flag, and is ended like any other.
    aws.spotctl(&["up"]).exits(0);
    aws.spotctl(&["up", "--on-demand-fallback", "--max-price", "0.60"]).exits(0);
    assert_eq!(aws.ever_launched(), 1);
    aws.weather("clock reset");
    let status = aws.spotctl(&["status", "-o", "json"]).exits(0).json();
    is_about(&status["workers"][0]["cost_so_far"], 0.526 + 0.0132);
    aws.spotctl(&["down"]).exits(0);
    aws.spotctl(&["destroy", "--yes"]).exits(0);
    assert_eq!(aws.leftovers(), Vec::<String>::new());
}

#[test]
fn a_lost_answer_on_demand_starts_no_second_machine() {
    let aws = dry();
    let buy = ["up", "--on-demand-fallback", "--max-price", "0.60", "-o", "json"];
    // The five Spot pools are refused; the sixth launch is the one on demand, and its answer is lost.
    aws.weather("fail RunInstances drop 1 after 5");
    let up = aws.spotctl(&buy).exits(0).json();
    assert_eq!(column(&up, "workers", "market"), ["on-demand"]);
    assert_eq!(aws.ever_launched(), 1);
    // Spot has recovered: the machine on demand still holds the slot.
    aws.weather("wet all");
    aws.spotctl(&buy).exits(0);
    assert_eq!(aws.ever_launched(), 1);
}

#[test]
fn the_quota_on_demand_is_another_and_is_named() {
    let aws = dry();
    aws.weather("quota L-DB2E81BA=0");
    let up = aws.spotctl(&["up", "--on-demand-fallback", "--max-price", "0.60"]).exits(3);
    up.says("on-demand quota L-DB2E81BA").says("spotctl quota request --code L-DB2E81BA");
    assert_eq!(aws.live().len(), 0);
}

#[test]
fn spot_is_asked_before_on_demand_whatever_the_quota_is_said_to_be() {
    let aws = dry();
    aws.weather("wet all");
    aws.weather("quota G=0");
    let up = aws.spotctl(&["up", "--on-demand-fallback", "--max-price", "0.60", "-o", "json"]).exits(0).json();
    assert_eq!(column(&up, "workers", "market"), ["on-demand"]);
    let refused =
        up["rejected"].as_array().into_iter().flatten().filter(|row| row["code"] == "MaxSpotInstanceCountExceeded");
    assert!(refused.count() > 0, "AWS itself said no: {up:#}");
}

#[test]
fn without_leave_to_read_the_price_list_nothing_is_bought_on_demand() {
    let aws = dry();
    aws.weather("fail GetProducts 403 100");
    let up = aws.spotctl(&["up", "--on-demand-fallback", "--max-price", "0.60"]).exits(4);
    up.says("the ceiling could not be kept").says("GetProducts").says("no Spot capacity");
    assert_eq!(aws.live().len(), 0);
}
