//! The quota: seen, asked for, waited for, and never asked for twice.

use std::io::{BufRead, BufReader, Read};
use std::process::Stdio;

use serde_json::{Value, json};

use super::support::{Folder, MINIMAL, Run, Served, column, example};

const KEY: &str = "AKIALIMITED";

/// A file with one family, so that one quota is meant.
fn g4dn() -> Served {
    Served::with(&format!("{MINIMAL}instance: {{types: [g4dn.xlarge]}}\n"))
}

fn limit(aws: &Served, policy: &str) {
    let set = ["--endpoint-url", &aws.endpoint, "sandbox", "set", "principal", KEY, policy];
    aws.folder.spotctl(&set).exits(0);
}

/// With the key that is held to a policy.
fn limited(aws: &Served, arguments: &[&str]) -> Run {
    let mut environment = aws.environment();
    environment.retain(|(name, _)| *name != "AWS_ACCESS_KEY_ID");
    environment.push(("AWS_ACCESS_KEY_ID", KEY));
    aws.folder.spotctl_with(arguments, &environment)
}

fn first(document: &Value) -> &Value {
    &document["quotas"][0]
}

#[test]
fn a_new_account_sees_the_wall_asks_once_waits_for_the_grant_and_then_launches() {
    let aws = g4dn();
    aws.weather("quota G=0");
    let seen = aws.spotctl(&["quota", "-o", "json"]).exits(0).json();
    let row = first(&seen);
    assert_eq!((&row["code"], &row["market"]), (&json!("L-3819A6DF"), &json!("spot")), "{seen:#}");
    let numbers = ["limit", "in_use", "available", "needed"].map(|field| row[field].clone());
    assert_eq!(numbers, [json!(0), json!(0), json!(0), json!(4)], "{seen:#}");
    assert_eq!(row["sufficient"], json!(false));
    let text = aws.spotctl(&["quota", "show", "--count", "2"]).exits(0).stdout();
    assert!(text.contains("L-3819A6DF  spot    0      0       0          8       no"), "{text}");

    aws.spotctl(&["quota", "watch"])
        .exits(3)
        .says("nothing to wait for")
        .says("spotctl quota request --code L-3819A6DF --vcpus 4");
    let filed = aws.spotctl(&["quota", "request", "-o", "json"]).exits(0).json();
    assert_eq!((&filed["outcome"], &filed["vcpus"]), (&json!("filed"), &json!(8)), "{filed:#}");
    let again = aws.spotctl(&["quota", "request", "-o", "json"]).exits(0).json();
    assert_eq!((&again["outcome"], &again["request"]["id"]), (&json!("open"), &filed["request"]["id"]), "{again:#}");
    aws.spotctl(&["quota", "request", "--vcpus", "64"]).exits(0).says("fewer than the 64");
    let open = aws.spotctl(&["quota", "-o", "json"]).exits(0).json();
    assert_eq!(first(&open)["requests"].as_array().map(Vec::len), Some(1), "{open:#}");

    let mut watch = aws
        .command(&["quota", "watch", "--interval", "1s", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting spotctl");
    let mut said = BufReader::new(watch.stderr.take().expect("stderr")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("is PENDING")), "it says what it waits for");
    aws.weather("clock +2m");
    let rest: Vec<String> = said.collect();
    let output = watch.wait_with_output().expect("waiting for spotctl");
    assert_eq!(output.status.code(), Some(0), "{rest:?}");
    let granted: Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!((&granted["status"], &first(&granted)["limit"]), (&json!("granted"), &json!(8)), "{granted:#}");
    aws.spotctl(&["quota", "request"]).exits(0);
    assert_eq!(aws.spotctl(&["quota", "request", "-o", "json"]).exits(0).json()["outcome"], json!("suffices"));

    let up = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    let used = aws.spotctl(&["quota", "-o", "json"]).exits(0).json();
    let holder = &first(&used)["holders"][0];
    assert_eq!(holder["id"], up["workers"][0]["id"], "{used:#}");
    assert_eq!(
        (&holder["type"], &holder["vcpus"], &holder["stack"]),
        (&json!("g4dn.xlarge"), &json!(4), &json!("w")),
        "{used:#}"
    );
    assert_eq!((&first(&used)["in_use"], &first(&used)["available"]), (&json!(4), &json!(4)));
}

#[test]
fn an_answer_that_was_lost_does_not_ask_twice() {
    let aws = g4dn();
    aws.weather("quota G=0");
    aws.weather("fail RequestServiceQuotaIncrease drop 1");
    let filed = aws.spotctl(&["quota", "request", "-o", "json"]).exits(0).json();
    assert_eq!((&filed["outcome"], &filed["request"]["vcpus"]), (&json!("filed"), &json!(8)), "{filed:#}");
}

#[test]
fn what_makes_no_sense_is_a_mistake_and_nothing_is_filed() {
    let aws = g4dn();
    for (arguments, says) in [
        (&["--vcpus", "0"][..], "0 vCPUs are nothing to ask for"),
        (&["--vcpus=-8"], "whole number"),
        (&["--vcpus", "many"], "whole number"),
        (&["--vcpus", "32"], "is below the limit of 64"),
        (&["--code", "L-00000000", "--vcpus", "8"], "L-3819A6DF"),
        (&["--code", "L-C4BD4855"], "how many vCPUs"),
        (&["--type", "g4dn.xlrge"], "did you mean g4dn.xlarge"),
        (&["--type", "p6-b200.48xlarge"], "unknown"),
        (&["--type", "g4dn.xlarge", "--code", "L-3819A6DF"], "cannot be used with"),
        (&["--count", "0"], "--count"),
    ] {
        let run = aws.spotctl(&[&["quota", "request"], arguments].concat()).exits(2).says(says);
        assert!(run.stdout().is_empty(), "{run}");
        let json = aws.spotctl(&[&["quota", "request", "-o", "json"], arguments].concat()).exits(2).json();
        assert_eq!(json["error"]["kind"], json!("usage"), "{json:#}");
    }
    aws.spotctl(&["quota", "--all", "request"]).exits(2).says("stands before another verb");
    let all = aws.spotctl(&["quota", "--all", "--market", "all", "-o", "json"]).exits(0).json();
    let requests = all["quotas"].as_array().expect("quotas").iter().map(|row| row["requests"].clone());
    assert!(requests.eq((0..17).map(|_| json!([]))), "{all:#}");
}

#[test]
fn without_a_file_the_types_or_all_are_asked_about_and_what_nobody_knows_is_not_guessed() {
    let folder = Folder::new();
    folder.spotctl(&["--sandbox", "quota"]).exits(2).says("no file `spotctl.yaml`").says("--type TYPE");
    let run = folder.spotctl(&[
        "--sandbox",
        "quota",
        "--type",
        "p6-b200.48xlarge",
        "--type",
        "g5.xlarge",
        "--market",
        "all",
        "-o",
        "json",
    ]);
    let document = run.exits(0).json();
    assert_eq!(column(&document, "quotas", "code"), ["L-3819A6DF", "L-DB2E81BA", "", ""], "{document:#}");
    assert_eq!(column(&document, "quotas", "name")[2..], ["unknown", "unknown"]);
    assert_eq!(column(&document, "quotas", "market"), ["spot", "on-demand", "spot", "on-demand"]);
    let unknown = &document["quotas"][2];
    assert_eq!((&unknown["limit"], &unknown["sufficient"]), (&Value::Null, &Value::Null), "{document:#}");
    let all = folder.spotctl(&["--sandbox", "quota", "--all", "-o", "json"]).exits(0).json();
    assert_eq!(all["quotas"].as_array().map(Vec::len), Some(9), "{all:#}");
    let filed =
        folder.spotctl(&["--sandbox", "quota", "request", "--type", "p5.4xlarge", "--count", "3", "-o", "json"]);
    let filed = filed.exits(0).json();
    assert_eq!((&filed["outcome"], &filed["vcpus"]), (&json!("filed"), &json!(48)), "{filed:#}");
}

#[test]
fn where_several_quotas_are_meant_the_cheapest_offers_is_taken_and_said() {
    let aws = Served::with(&format!("{MINIMAL}instance: {{types: [p5.4xlarge, g4dn.xlarge]}}\n"));
    aws.weather("quota G=0");
    aws.weather("price p5.4xlarge * 0.01");
    aws.spotctl(&["quota", "request"]).exits(0).says("taking L-C4BD4855").says("p5.4xlarge in us-east-1");
    // What is asked for is what is waited for, whatever has become the cheapest by then.
    aws.weather("price p5.4xlarge * 9");
    aws.weather("clock +30s");
    let watch = aws.spotctl(&["quota", "watch", "--timeout", "1s", "-o", "json"]).exits(6).says("open request").json();
    assert_eq!((&first(&watch)["code"], &watch["status"]), (&json!("L-C4BD4855"), &json!("timeout")), "{watch:#}");
    assert_eq!(watch["request"]["status"], json!("CASE_OPENED"), "{watch:#}");
}

#[test]
fn without_leave_for_service_quotas_the_action_is_named_and_what_can_be_read_is_shown() {
    let aws = g4dn();
    aws.spotctl(&["up"]).exits(0);
    let allow = |actions: &str| {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":{actions},"Resource":"*"}}]}}"#)
    };
    limit(&aws, &allow(r#"["ec2:*","sts:*"]"#));
    let shown = limited(&aws, &["quota", "-o", "json"]).exits(0).json();
    let row = first(&shown);
    assert_eq!((&row["limit"], &row["in_use"], &row["sufficient"]), (&Value::Null, &json!(4), &Value::Null));
    let missing = row["missing"].to_string();
    for action in ["GetServiceQuota\"", "ListRequestedServiceQuotaChangeHistoryByQuota"] {
        assert!(missing.contains(&format!("servicequotas:{action}")), "{shown:#}");
    }
    let text = limited(&aws, &["quota"]).exits(0).stdout();
    assert!(text.contains("servicequotas:GetServiceQuota"), "{text}");
    limited(&aws, &["quota", "request"]).exits(5).says("RequestServiceQuotaIncrease must be allowed");
    limited(&aws, &["quota", "watch"]).exits(5).says("GetServiceQuota must be allowed");
    limit(&aws, &allow(r#"["sts:*"]"#));
    limited(&aws, &["quota"]).exits(5).says("servicequotas:GetServiceQuota").says("ec2:DescribeInstances");
}

#[test]
fn the_operators_policy_is_enough_to_look_ask_and_wait() {
    let aws = example();
    aws.weather("quota G=0 ap-northeast-2");
    limit(&aws, &aws.spotctl(&["render", "policy", "operator"]).exits(0).stdout());
    let seen = limited(&aws, &["quota", "--market", "all", "-o", "json"]).exits(0).json();
    let rows = seen["quotas"].as_array().expect("quotas").iter();
    assert!(rows.clone().count() >= 2 && rows.clone().all(|row| row["missing"] == json!([])), "{seen:#}");
    limited(&aws, &["quota", "request"]).exits(0);
    aws.weather("clock +2m");
    limited(&aws, &["quota", "watch"]).exits(0);
}

#[test]
fn a_command_hears_of_every_end_and_its_own_failure_changes_none() {
    let aws = g4dn();
    let told = "printf '%s %s %s\\n' \"$SPOTCTL_QUOTA_CODE\" \"$SPOTCTL_QUOTA_STATUS\" \"$SPOTCTL_QUOTA_LIMIT\"";
    let run = aws.spotctl(&["quota", "watch", "-o", "json", "--notify", told]).exits(0).says("L-3819A6DF granted 64\n");
    assert_eq!(run.json()["status"], json!("granted"), "what the command prints does not reach stdout");
    let run = aws.spotctl(&["quota", "watch", "--vcpus", "65", "--notify", told]).exits(3);
    run.says("L-3819A6DF nothing 64\n");
    let failing = "cat; exit 7 # https://example.com/secret";
    aws.spotctl(&["quota", "watch", "--notify", failing]).exits(0).says("warning").says("7").does_not_say("secret");
    aws.spotctl(&["quota", "watch", "--type", "g4dn.xlrge", "--notify", told]).exits(2).says(" failed \n");
}

#[test]
fn credentials_that_are_renewed_in_their_file_end_the_night_well() {
    let aws = g4dn();
    aws.weather("quota G=0");
    aws.spotctl(&["quota", "request"]).exits(0);
    let keys = |id: &str| format!("[default]\naws_access_key_id = {id}\naws_secret_access_key = test\n");
    std::fs::create_dir(aws.folder.path().join(".aws")).expect("a folder");
    aws.folder.write(".aws/credentials", &keys(KEY));
    let mut command = aws.command(&["quota", "watch", "--interval", "1s"]);
    command.env_remove("AWS_ACCESS_KEY_ID").env_remove("AWS_SECRET_ACCESS_KEY");
    let mut watch = command.stderr(Stdio::piped()).stdout(Stdio::null()).spawn().expect("starting spotctl");
    let mut said = BufReader::new(watch.stderr.take().expect("stderr")).lines().map_while(Result::ok);
    assert!(said.any(|line| line.contains("is PENDING")));
    limit(&aws, r#"{"Version":"2012-10-17","Statement":[]}"#);
    assert!(said.any(|line| line.starts_with("warning:") && line.ends_with("; going on")));
    aws.weather("clock +2m");
    aws.folder.write(".aws/credentials", &keys("AKIARENEWED"));
    let rest: Vec<String> = said.collect();
    assert_eq!(watch.wait().expect("waiting for spotctl").code(), Some(0), "{rest:?}");
    assert!(rest.iter().any(|line| line.contains("answers again")), "{rest:?}");
    assert!(!rest.iter().any(|line| line.contains("going on")), "it is said once: {rest:?}");
}

#[test]
fn ctrl_c_ends_the_waiting_and_not_the_request() {
    let aws = g4dn();
    aws.weather("quota G=0");
    aws.spotctl(&["quota", "request"]).exits(0);
    let mut watch = aws
        .command(&["quota", "watch", "--notify", "echo it is $SPOTCTL_QUOTA_STATUS"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting spotctl");
    let mut stderr = BufReader::new(watch.stderr.take().expect("stderr"));
    let mut line = String::new();
    while !line.contains("PENDING") {
        line.clear();
        assert!(stderr.read_line(&mut line).expect("stderr") > 0, "it ended by itself");
    }
    std::process::Command::new("kill").args(["-INT", &watch.id().to_string()]).status().expect("kill");
    let mut said = String::new();
    stderr.read_to_string(&mut said).expect("stderr");
    assert_eq!(watch.wait().expect("waiting for spotctl").code(), Some(130), "{said}");
    assert!(!said.contains("it is"), "whoever stops the waiting has no news to get: {said}");
    let open = aws.spotctl(&["quota", "-o", "json"]).exits(0).json();
    assert_eq!(first(&open)["requests"].as_array().map(Vec::len), Some(1), "{open:#}");
}

#[test]
fn however_aws_answers_only_the_applied_value_is_a_grant() {
    for (answer, code, status, said) in [
        ("approved", 0, "granted", "APPROVED"),
        ("closed-granted", 0, "granted", "CASE_CLOSED"),
        ("closed", 3, "closed", "CASE_CLOSED"),
        ("denied", 3, "denied", "DENIED"),
        ("not-approved", 3, "denied", "NOT_APPROVED"),
    ] {
        let aws = g4dn();
        aws.weather("quota G=none");
        aws.weather(&format!("quota-answer {answer}"));
        // Filed an hour ago, and answered a minute later.
        aws.weather("clock -60m");
        aws.spotctl(&["quota", "request"]).exits(0);
        aws.weather("clock reset");
        let run = aws.spotctl(&["quota", "watch", "-o", "json", "--notify", "echo told $SPOTCTL_QUOTA_STATUS"]);
        let run = run.exits(code).says(&format!("told {status}\n"));
        let document = run.json();
        assert_eq!(
            (&document["status"], &document["request"]["status"]),
            (&json!(status), &json!(said)),
            "{document:#}"
        );
        if code == 3 {
            assert_eq!(document["error"]["kind"], json!("quota"), "{document:#}");
            let case = document["request"]["case_id"].as_str().expect("a case").to_owned();
            run.says(said).says(&case).says("spotctl quota request --code L-3819A6DF --vcpus 4");
        }
    }
}
