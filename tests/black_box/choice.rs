//! Which offer is taken, and why the others are not.

use serde_json::{Value, json};

use super::support::{MINIMAL, Served, column};

fn with(instance: &str) -> Served {
    Served::with(&format!("{MINIMAL}instance: {{{instance}}}\n"))
}

/// The reasons that a document gives for a type.
fn reasons(document: &Value, name: &str) -> Vec<String> {
    let rejected = document["rejected"].as_array().expect("rejected").iter();
    rejected
        .filter(|row| row["type"] == name)
        .map(|row| row["reason"].as_str().unwrap_or_default().to_owned())
        .collect()
}

#[test]
fn what_the_file_requires_is_what_is_offered_and_the_rest_has_its_reason() {
    let aws = with("vcpus: 8, memory: 33GiB, exclude: [\"g6e.*\"]");
    let plan = aws.spotctl(&["plan", "-o", "json"]).exits(0).json();
    let offered = column(&plan, "offers", "type");
    assert!(!offered.is_empty() && !offered.iter().any(|name| name.ends_with(".2xlarge") && !name.starts_with("g7e")));
    for (name, reason) in [
        ("g4dn.xlarge", "has 4 vCPUs, and `vcpus` asks for 8"),
        ("g4dn.2xlarge", "has 32GiB of memory, and `memory` asks for 33GiB"),
        ("g6e.2xlarge", "excluded by `g6e.*`"),
        ("g5g.4xlarge", "has 32GiB of memory, and `memory` asks for 33GiB"),
        ("g5g.8xlarge", "runs arm64, the image is x86_64"),
    ] {
        assert_eq!(reasons(&plan, name), [reason], "{name}");
        assert!(!offered.contains(&name.to_owned()), "{name}");
    }
    let text = aws.spotctl(&["plan"]).exits(0).stdout();
    assert!(text.contains("NOT TAKEN") && text.contains("g4dn.xlarge") && text.contains("all in -o json"), "{text}");
}

#[test]
fn arm64_takes_its_own_image_and_its_own_types() {
    let aws = with("arch: arm64");
    let up = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    assert!(up["workers"][0]["type"].as_str().is_some_and(|name| name.starts_with("g5g.")), "{up:#}");
    assert_eq!(reasons(&up, "g4dn.xlarge"), ["runs x86_64, the image is arm64"]);
}

#[test]
fn an_image_of_another_architecture_than_the_file_asks_for_is_a_mistake() {
    let aws = with("arch: arm64, ami: \"ssm:/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64\"");
    aws.spotctl(&["plan"]).exits(2).says("`instance.arch` is arm64").says("runs x86_64");
}

#[test]
fn requirements_hold_for_listed_types_and_a_named_one_goes_before_them() {
    let aws = with("types: [g4dn.xlarge, g5.2xlarge], vcpus: 8");
    let plan = aws.spotctl(&["plan", "-o", "json"]).exits(0).json();
    assert!(column(&plan, "offers", "type").iter().all(|name| name == "g5.2xlarge"), "{plan:#}");
    let up = aws.spotctl(&["up", "--type", "g4dn.xlarge", "-o", "json"]).exits(0).json();
    assert_eq!(up["workers"][0]["type"], json!("g4dn.xlarge"));
}

#[test]
fn a_launch_that_passed_a_cheaper_offer_over_says_why() {
    let aws = with("types: [g4dn.xlarge, g5.xlarge]");
    aws.weather("dry g4dn.xlarge *");
    let text = aws.spotctl(&["up"]).exits(0).stdout();
    let refused = text.lines().find(|line| line.starts_with("g4dn.xlarge")).unwrap_or_default();
    assert!(text.contains("NOT TAKEN") && refused.contains("sufficient g4dn.xlarge capacity"), "{text}");
    // Nothing is launched, so there is nothing to explain.
    let again = aws.spotctl(&["up"]).exits(0).stdout();
    assert!(!again.contains("NOT TAKEN"), "{again}");
}

#[test]
fn without_room_in_the_quota_nothing_is_made_and_the_holder_is_named() {
    let aws = with("types: [g4dn.xlarge]");
    aws.weather("quota G=7");
    aws.spotctl(&["up"]).exits(0);
    let held = aws.live();
    let id = held[0]["InstanceId"].as_str().expect("an id").to_owned();
    aws.folder.write("spotctl.yaml", "name: other\ncontainer: {image: i}\ninstance: {types: [g4dn.xlarge]}\n");
    let run = aws.spotctl(&["up", "-o", "json"]).exits(3).says(&id).says("spotctl quota request");
    let document = run.says("is 7 vCPUs, 4 in use: g4dn.xlarge needs 4").json();
    assert_eq!((&document["error"]["kind"], &document["changes"]), (&json!("quota"), &json!([])));
    assert_eq!(aws.live().len(), 1);
    // The one that holds it is as many as are wished for: nothing is launched, and no quota is in the way.
    aws.folder.write("spotctl.yaml", &format!("{MINIMAL}instance: {{types: [g4dn.xlarge]}}\n"));
    aws.spotctl(&["up"]).exits(0).does_not_say("L-3819A6DF");
    let plan = aws.spotctl(&["plan", "-o", "json"]).exits(0).json();
    assert!(!column(&plan, "offers", "type").is_empty(), "{plan:#}");
}

#[test]
fn without_leave_for_service_quotas_the_launch_decides() {
    let aws = with("types: [g4dn.xlarge]");
    aws.weather("fail GetServiceQuota 403 99");
    aws.spotctl(&["plan"]).exits(0);
    aws.spotctl(&["up"]).exits(0);
    aws.weather("quota G=4");
    let document = aws.spotctl(&["up", "--count", "2", "-o", "json"]).exits(3).json();
    assert_eq!(document["error"]["code"], json!("MaxSpotInstanceCountExceeded"));
    assert_eq!(aws.live().len(), 1);
}
