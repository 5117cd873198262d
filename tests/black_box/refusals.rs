//! What AWS refuses, and how that is said.

use serde_json::json;

use super::support::{Folder, MINIMAL, Served, column};

#[test]
fn a_quota_of_zero_is_called_a_quota_and_never_capacity() {
    let aws = Served::with(MINIMAL);
    for quota in ["quota G=0", "quota P=0", "quota P5=0"] {
        aws.weather(quota);
    }
    let run =
        aws.spotctl(&["up", "-o", "json"]).exits(3).says("quota L-3819A6DF").says("0 vCPUs").does_not_say("apacity");
    let document = run.json();
    assert_eq!(document["error"]["kind"], json!("quota"));
    // The quota was read: AWS was asked for nothing, and nothing was made.
    assert_eq!(document["error"]["code"], json!(null));
    assert_eq!(document["changes"], json!([]));
    assert_eq!(aws.leftovers(), Vec::<String>::new());
}

#[test]
fn dry_pools_are_passed_over_and_all_dry_names_each() {
    let aws = Served::with(MINIMAL);
    let plan = aws.spotctl(&["plan", "-o", "json"]).exits(0).json();
    let first = (column(&plan, "offers", "type").remove(0), column(&plan, "offers", "zone").remove(0));
    aws.weather(&format!("dry {} {}", first.0, first.1));
    let up = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    let worker = &up["workers"][0];
    assert_ne!((worker["type"].as_str(), worker["zone"].as_str()), (Some(first.0.as_str()), Some(first.1.as_str())));
    let refused = up["rejected"].as_array().expect("rejected").iter();
    assert!(refused.clone().any(|row| row["code"] == "InsufficientInstanceCapacity"), "{up:#}");

    let aws = Served::with(&format!("{MINIMAL}instance: {{types: [g4dn.xlarge, g5.xlarge]}}\n"));
    aws.weather("dry all");
    let document = aws.spotctl(&["up", "-o", "json"]).exits(4).json();
    assert_eq!(document["error"]["code"], json!("InsufficientInstanceCapacity"));
    let rejected = column(&document, "rejected", "code");
    assert!(rejected.iter().filter(|code| *code == "InsufficientInstanceCapacity").count() >= 2, "{document:#}");
    assert!(aws.live().is_empty());
}

#[test]
fn a_cap_below_the_cheapest_names_the_price_it_would_take_and_makes_nothing() {
    let aws = Served::with(&format!("{MINIMAL}instance: {{types: [g4dn.xlarge]}}\n"));
    aws.spotctl(&["up", "--max-price", "0.0001"]).exits(4).says("price cap").says("--max-price 0.");
    assert_eq!(aws.leftovers(), Vec::<String>::new());
}

#[test]
fn a_pool_without_a_price_is_tried_last_under_a_cap_which_aws_enforces() {
    let aws = Served::with(MINIMAL);
    let priced = |run: &serde_json::Value| {
        let offers = run["offers"].as_array().cloned().unwrap_or_default();
        offers.iter().map(|offer| offer["price"].is_string()).collect::<Vec<_>>()
    };
    let without_cap = priced(&aws.spotctl(&["plan", "-o", "json"]).exits(0).json());
    assert!(without_cap.iter().all(|is_priced| *is_priced), "{without_cap:?}");
    let file = format!("{MINIMAL}instance: {{max_price: 0.0001}}\n");
    aws.folder.write("spotctl.yaml", &file);
    let plan = aws.spotctl(&["plan", "-o", "json"]).exits(0).json();
    assert!(!priced(&plan).is_empty() && priced(&plan).iter().all(|is_priced| !is_priced), "{plan:#}");
    let up = aws.spotctl(&["up", "-o", "json"]).exits(4).says("price cap").json();
    assert_eq!(up["error"]["code"], json!("SpotMaxPriceTooLow"));
    assert!(aws.live().is_empty());
}

#[test]
fn two_of_three_is_exit_4_and_the_two_are_workers_not_leftovers() {
    let aws = Served::with(&format!("{MINIMAL}instance: {{types: [g4dn.xlarge]}}\n"));
    // 8 vCPUs are two g4dn.xlarge.
    aws.weather("quota G=8");
    let document = aws.spotctl(&["up", "--count", "3", "-o", "json"]).exits(3).json();
    assert_eq!(document["workers"].as_array().map(Vec::len), Some(2), "{document:#}");
    let left = column(&document["error"], "leftovers", "kind");
    assert!(!left.contains(&"instance".to_owned()), "{document:#}");
    assert_eq!(aws.live().len(), 2);
    let hints = document["error"]["hints"].to_string();
    assert!(hints.contains("spotctl quota request --code L-3819A6DF --count 3"), "{hints}");
}

#[test]
fn a_name_that_somebody_has_is_refused_until_adopted() {
    let aws = Served::with(MINIMAL);
    aws.boto3("make.py", &["group", "spotctl-w"]);
    aws.spotctl(&["up"]).exits(2).says("spotctl-w").says("--adopt");
    assert!(aws.live().is_empty());
    aws.spotctl(&["up", "--adopt"]).exits(0);
}

#[test]
fn a_foreign_parameter_is_never_overwritten_unless_adopted() {
    let aws = Served::with(MINIMAL);
    aws.boto3("make.py", &["parameter", "/spotctl/w/A", "theirs"]);
    aws.folder.write(".env", "A=ours\n");
    aws.spotctl(&["apply"]).exits(2).says("`A`").says("--adopt").does_not_say("theirs").does_not_say("ours\n");
    aws.spotctl(&["apply", "--adopt"]).exits(0);
}

#[test]
fn a_vpc_without_a_public_subnet_says_what_was_looked_for() {
    let aws = Served::with(MINIMAL);
    let vpc = aws.boto3("make.py", &["private-vpc"]);
    let vpc = vpc.as_str().expect("a VPC");
    aws.folder.write("spotctl.yaml", &format!("{MINIMAL}network: {{vpc: {vpc}}}\n"));
    aws.spotctl(&["up"]).exits(2).says("internet gateway").says("subnet-");
}

#[test]
fn a_type_or_zone_that_does_not_exist_is_a_mistake_with_a_suggestion() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["up", "--type", "g4dn.xlage"]).exits(2).says("did you mean g4dn.xlarge");
    aws.spotctl(&["up", "--zone", "us-east-1z"]).exits(2).says("did you mean us-east-1");
    aws.folder.write("spotctl.yaml", &format!("{MINIMAL}instance: {{types: [g4dn.xlage]}}\n"));
    aws.spotctl(&["plan"]).exits(2).says("did you mean g4dn.xlarge");
}

#[test]
fn without_credentials_it_says_where_aws_looks() {
    let aws = Served::with(MINIMAL);
    let run = aws.folder.spotctl_with(&["up"], &[("AWS_ENDPOINT_URL", &aws.endpoint), ("AWS_REGION", "us-east-1")]);
    run.exits(5).says("AWS_ACCESS_KEY_ID").says("aws sso login");
}

#[test]
fn an_aws_that_is_not_there_is_exit_1_and_says_so() {
    let aws = Served::with(MINIMAL);
    let environment = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ];
    aws.folder.spotctl_with(&["up"], &environment).exits(1).says("no answer to");
}

#[test]
fn a_lost_connection_in_the_middle_names_what_exists() {
    let aws = Served::with(MINIMAL);
    aws.weather("fail CreateLaunchTemplate cut 99");
    let document = aws.spotctl(&["up", "-o", "json"]).exits(1).json();
    let left = column(&document["error"], "leftovers", "kind");
    assert!(left.contains(&"security group".to_owned()) && left.contains(&"role".to_owned()), "{document:#}");
    aws.weather("fail clear");
    aws.spotctl(&["up"]).exits(0);
    assert_eq!(aws.live().len(), 1);
}

#[test]
fn a_slow_instance_profile_is_waited_for() {
    let aws = Served::with(MINIMAL);
    aws.weather("profile-delay 3s");
    aws.spotctl(&["up"]).exits(0).says("instance profile");
    assert_eq!(aws.live().len(), 1);
}

#[test]
fn to_wait_for_a_box_in_process_is_refused() {
    Folder::with(MINIMAL).spotctl(&["--sandbox", "up", "--wait", "ready"]).exits(2).says("`--sandbox` runs none");
}

#[test]
fn a_down_that_runs_out_of_time_names_what_it_told_to_end() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["up"]).exits(0);
    let document = aws.spotctl(&["down", "--timeout", "1s", "-o", "json"]).exits(6).json();
    assert_eq!(document["terminated"].as_array().map(Vec::len), Some(1), "{document:#}");
    aws.spotctl(&["down"]).exits(0);
    assert!(aws.live().is_empty());
}

#[test]
fn a_down_or_destroy_that_fails_names_what_is_left_and_what_it_costs() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["up"]).exits(0);
    let left = |verb: &[&str], code: i32| {
        let document = aws.spotctl(&[verb, &["-o", "json"]].concat()).exits(code).json();
        let left = document["error"]["leftovers"].as_array().unwrap().iter();
        left.map(|left| (left["kind"].as_str().unwrap().to_owned(), left["usd_per_hour"].to_string()))
            .collect::<Vec<_>>()
    };
    aws.weather("fail TerminateInstances 403 1");
    let found = left(&["down"], 5);
    assert!(matches!(found.as_slice(), [(kind, price)] if kind == "instance" && price != "null"), "{found:?}");
    aws.weather("fail DeleteSecurityGroup 403 1");
    assert_eq!(left(&["destroy", "--yes"], 5), [("security group".to_owned(), "\"0.00\"".to_owned())]);
    aws.spotctl(&["destroy", "--yes"]).exits(0);
}

#[test]
fn a_down_that_does_not_wait_says_what_it_may_not_have_seen() {
    let aws = Served::with(MINIMAL);
    let silent = |verb: &[&str]| {
        let run = aws.spotctl(verb).exits(0);
        assert!(!run.stderr().contains("may not show itself"), "{run}");
    };
    silent(&["down", "--no-wait"]);
    aws.spotctl(&["up", "--wait", "launched"]).exits(0);
    let worker = aws.live().pop().unwrap();
    silent(&["down", "--no-wait", worker["InstanceId"].as_str().unwrap()]);
    aws.spotctl(&["down", "--no-wait"]).exits(0).says("may not show itself yet");
    silent(&["down"]);
}

#[test]
fn an_up_that_runs_out_of_time_names_what_exists() {
    let aws = Served::with(MINIMAL);
    aws.weather("profile-delay 0s");
    aws.spotctl(&["apply"]).exits(0);
    // Of the worker alone: the foundation is older than that.
    aws.weather("visibility 60s");
    aws.weather("clock +2m");
    let document = aws.spotctl(&["up", "--timeout", "1s", "-o", "json"]).exits(6).json();
    assert_eq!(document["workers"].as_array().map(Vec::len), Some(1), "{document:#}");
    let hints = document["error"]["hints"].to_string();
    assert!(hints.contains("spotctl down --name w"), "{hints}");
    // Whoever reads the error alone knows what it costs.
    let id = document["workers"][0]["id"].as_str().expect("an id");
    assert!(hints.contains(&format!("what is billed: {id} (0.")), "{hints}");
}
