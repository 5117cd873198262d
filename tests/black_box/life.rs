//! The main job: up, up again, status, down, destroy.

use serde_json::json;

use super::support::{Folder, MINIMAL, Served, actions, column, example};

#[test]
fn the_example_goes_its_whole_way_and_leaves_nothing() {
    let aws = example();
    let up = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    assert_eq!(column(&up, "workers", "state"), ["running"]);
    assert_eq!(column(&up, "workers", "market"), ["spot"]);
    assert_eq!(up["workers"][0]["launched_now"], json!(true));
    assert_eq!(actions(&up).get("create"), Some(&15), "group, role, profile, ten parameters, two templates: {up:#}");
    let live = aws.live();
    assert_eq!(live.len(), 1);

    let again = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    assert_eq!(column(&again, "workers", "id"), column(&up, "workers", "id"));
    assert_eq!(again["workers"][0]["launched_now"], json!(false));
    assert_eq!(actions(&again).keys().collect::<Vec<_>>(), ["none"], "a second `up` changes nothing: {again:#}");
    assert_eq!(aws.live().len(), 1);

    let status = aws.spotctl(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(column(&status, "workers", "id"), column(&up, "workers", "id"));
    assert!(status["workers"][0]["price_per_hour"].is_string(), "{status:#}");

    let down = aws.spotctl(&["down", "-o", "json"]).exits(0).json();
    assert_eq!(down["terminated"].as_array().map(Vec::len), Some(1));
    assert!(aws.live().is_empty());
    let nothing = aws.spotctl(&["down", "-o", "json"]).exits(0).json();
    assert_eq!(nothing["terminated"], json!([]));

    let destroyed = aws.spotctl(&["destroy", "--yes", "-o", "json"]).exits(0).json();
    assert_eq!(destroyed["deleted"].as_array().map(Vec::len), Some(15), "{destroyed:#}");
    assert_eq!(aws.leftovers(), Vec::<String>::new());
    aws.spotctl(&["destroy", "--yes", "-o", "json"]).exits(0);
}

#[test]
fn a_worker_after_down_is_a_new_one() {
    let aws = Served::with(MINIMAL);
    let id = |run: &serde_json::Value| column(run, "workers", "id");
    let first = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    aws.spotctl(&["down"]).exits(0);
    let second = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    assert_ne!(id(&first), id(&second));
    assert_eq!(aws.live().len(), 1);
}

#[test]
fn a_worker_that_somebody_ended_is_replaced_although_its_token_is_used_up() {
    let aws = Served::with(MINIMAL);
    let first = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    let id = column(&first, "workers", "id").remove(0);
    aws.boto3("terminate.py", &[&id]);
    let second = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    assert_ne!(column(&second, "workers", "id"), [id]);
    assert_eq!(aws.live().len(), 1);
}

#[test]
fn more_workers_are_launched_beside_those_that_run_and_none_is_ended_for_fewer() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["up"]).exits(0);
    let three = aws.spotctl(&["up", "--count", "3", "-o", "json"]).exits(0).json();
    assert_eq!(three["workers"].as_array().map(Vec::len), Some(3));
    aws.spotctl(&["up", "--count", "1"]).exits(0).says("`up` never ends one");
    assert_eq!(aws.live().len(), 3);
}

#[test]
fn the_template_alone_gives_the_right_worker() {
    let aws = example();
    aws.weather("profile-delay 0s");
    aws.spotctl(&["apply"]).exits(0);
    let launched = aws.boto3("run_template.py", &["spotctl-worker-gpu"]);
    let worker = &launched[0];
    let tags: std::collections::BTreeMap<&str, &str> = worker["Tags"]
        .as_array()
        .expect("tags")
        .iter()
        .map(|tag| (tag["Key"].as_str().unwrap_or_default(), tag["Value"].as_str().unwrap_or_default()))
        .collect();
    assert_eq!(worker["InstanceLifecycle"], json!("spot"));
    assert_eq!(worker["Shutdown"], json!("terminate"));
    assert_eq!(worker["Request"]["Type"], json!("one-time"));
    assert_eq!(worker["MetadataOptions"]["HttpTokens"], json!("required"));
    assert_eq!(worker["MetadataOptions"]["HttpPutResponseHopLimit"], json!(2));
    assert_eq!(worker["MetadataOptions"]["InstanceMetadataTags"], json!("enabled"));
    assert!(
        worker["IamInstanceProfile"]["Arn"].as_str().expect("a profile").ends_with("spotctl-worker-gpu-ap-northeast-2")
    );
    assert_eq!(worker["NetworkInterfaces"][0]["Groups"].as_array().map(Vec::len), Some(1));
    assert!(!worker["UserData"].as_str().expect("user data").is_empty());
    assert_eq!(tags["spotctl:stack"], "worker-gpu");
    assert_eq!(tags["spotctl:lifetime"], "8h");
    assert_eq!(tags["spotctl:idle"], "15m");
    assert_eq!(tags["Role"], "worker-gpu");
    assert!(!tags.contains_key("spotctl:slot"), "slots are `up`'s");
    // And `up` counts it.
    aws.spotctl(&["up"]).exits(0);
    assert_eq!(aws.live().len(), 1);
}

#[test]
fn apply_follows_the_file_and_prunes_old_versions() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["apply"]).exits(0);
    aws.spotctl(&["plan", "--detailed-exitcode"]).exits(10);
    aws.folder
        .write("spotctl.yaml", &format!("{MINIMAL}instance: {{volume: {{size: 200GiB}}}}\nlifetime: {{max: 2h}}\n"));
    let changed = aws.spotctl(&["apply", "-o", "json"]).exits(0).json();
    assert_eq!(actions(&changed).get("update"), Some(&2), "both templates: {changed:#}");
    let versions = aws.boto3("versions.py", &["spotctl-w"]);
    assert_eq!(versions, json!([{"number": 2, "default": true, "size": 200}]));
    let same = aws.spotctl(&["apply", "-o", "json"]).exits(0).json();
    assert_eq!(actions(&same).keys().collect::<Vec<_>>(), ["none"]);
}

#[test]
fn an_inbound_rule_is_removed_and_said_aloud() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["apply"]).exits(0);
    aws.boto3("open_group.py", &["spotctl-w"]);
    aws.spotctl(&["apply"]).exits(0).says("inbound rule 22/tcp 0.0.0.0/0");
    assert_eq!(aws.boto3("inbound.py", &["spotctl-w"]), json!([]));
}

#[test]
fn parameters_follow_the_env_and_only_what_changed_is_written() {
    let aws = Served::with(MINIMAL);
    aws.folder.write(".env", "A=1\nB=hush-two\nC=3\n");
    aws.spotctl(&["params", "push"]).exits(0);
    aws.folder.write(".env", "A=1\nB=hush-other\n");
    let diff = aws.spotctl(&["params", "diff", "-o", "json"]).exits(0).does_not_say("hush").json();
    assert_eq!(column(&diff, "changes", "name"), ["/spotctl/w/B"]);
    assert_eq!(diff["vanished"], json!(["C"]));
    aws.spotctl(&["params", "push", "--prune"]).exits(0).does_not_say("hush");
    let list = aws.spotctl(&["params", "list", "-o", "json"]).exits(0).does_not_say("hush").json();
    assert_eq!(column(&list, "parameters", "key"), ["A", "B"]);
    assert_eq!(column(&list, "parameters", "type"), ["SecureString", "SecureString"]);
    aws.spotctl(&["params", "rm", "A"]).exits(0);
    aws.spotctl(&["params", "rm", "AB"]).exits(2);
}

#[test]
fn the_embedded_aws_needs_no_server_no_account_and_remembers() {
    let folder = Folder::with(MINIMAL);
    let up = folder.spotctl(&["--sandbox", "up", "-o", "json"]).exits(0).json();
    let again = folder.spotctl(&["--sandbox", "up", "-o", "json"]).exits(0).json();
    assert_eq!(column(&up, "workers", "id"), column(&again, "workers", "id"));
    folder.spotctl(&["--sandbox", "down"]).exits(0);
    folder.spotctl(&["--sandbox", "destroy", "--yes"]).exits(0);
    let status = folder.spotctl(&["--sandbox", "status", "-o", "json"]).exits(0).json();
    assert_eq!(status["resources"], json!([]));
}

#[test]
fn a_launchers_role_gets_one_policy_and_loses_it_again() {
    let aws = Served::with(&format!("{MINIMAL}access: {{launchers: [api]}}\n"));
    aws.spotctl(&["apply"]).exits(2).says("no role `api`");
    let policies = |argument: &str| aws.boto3("role_policies.py", &["api", argument]);
    assert_eq!(policies("make"), json!([]));
    aws.spotctl(&["apply"]).exits(0);
    assert_eq!(policies(""), json!(["spotctl-launch-w-us-east-1"]));
    let again = aws.spotctl(&["apply", "-o", "json"]).exits(0).json();
    assert_eq!(actions(&again).keys().collect::<Vec<_>>(), ["none"]);
    aws.folder.write("spotctl.yaml", MINIMAL);
    aws.spotctl(&["apply"]).exits(0);
    assert_eq!(policies(""), json!([]));
    aws.folder.write("spotctl.yaml", &format!("{MINIMAL}access: {{launchers: [api]}}\n"));
    aws.spotctl(&["apply"]).exits(0);
    aws.spotctl(&["destroy", "--yes", "--name", "w"]).exits(0);
    assert_eq!(policies(""), json!([]));
    assert_eq!(aws.leftovers(), ["\"role api\""], "the role itself is its owner's");
}
