//! Several at once, answers lost, processes killed: one worker.

use std::collections::BTreeSet;
use std::process::Stdio;

use super::support::{MINIMAL, Served, column};

#[test]
fn ten_ups_at_once_give_one_worker() {
    let aws = Served::with(MINIMAL);
    let children: Vec<_> = (0..10)
        .map(|_| {
            aws.command(&["up", "-o", "json"])
                .stdout(Stdio::piped())
                .stderr(Stdio::piped())
                .spawn()
                .expect("starting spotctl")
        })
        .collect();
    let mut ids = BTreeSet::new();
    for child in children {
        let output = child.wait_with_output().expect("waiting for spotctl");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{said}");
        let document = serde_json::from_slice(&output.stdout).expect("JSON");
        ids.extend(column(&document, "workers", "id"));
    }
    assert_eq!((ids.len(), aws.live().len()), (1, 1), "{ids:?}");
    assert_eq!(aws.ever_launched(), 1, "not launched and ended again: never launched");
}

#[test]
fn ups_that_rank_the_zones_differently_end_with_one_worker() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["apply"]).exits(0);
    // Each sees its own zone only: two tokens, two instances of one slot.
    let zones = ["us-east-1a", "us-east-1b"];
    let children: Vec<_> = zones
        .iter()
        .map(|zone| {
            aws.command(&["up", "--zone", zone, "--wait", "launched"])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .expect("starting spotctl")
        })
        .collect();
    for child in children {
        assert!(child.wait_with_output().expect("waiting for spotctl").status.success());
    }
    // Whoever looks next ends the later one, if the two were quick enough to launch both.
    aws.spotctl(&["status"]).exits(0);
    assert_eq!(aws.live().len(), 1);
}

#[test]
fn workers_of_an_api_server_count_and_are_never_ended_by_up() {
    let aws = Served::with(MINIMAL);
    aws.weather("profile-delay 0s");
    aws.spotctl(&["apply"]).exits(0);
    aws.boto3("run_template.py", &["spotctl-w", "3"]);
    let before: BTreeSet<String> = ids(&aws);
    let up = aws.spotctl(&["up", "-o", "json"]).exits(0).says("`up` never ends one").json();
    assert_eq!(ids(&aws), before);
    assert_eq!(up["workers"].as_array().map(Vec::len), Some(3));
    aws.spotctl(&["up", "--count", "4"]).exits(0);
    assert_eq!(aws.live().len(), 4);
    assert!(before.is_subset(&ids(&aws)));
}

fn ids(aws: &Served) -> BTreeSet<String> {
    aws.live().iter().map(|instance| instance["InstanceId"].as_str().unwrap_or_default().to_owned()).collect()
}

#[test]
fn a_lost_answer_to_the_launch_never_starts_a_second_worker() {
    let aws = Served::with(MINIMAL);
    // The profile is known at once, so that the lost answers are those to launches that took effect.
    aws.weather("profile-delay 0s");
    aws.weather("fail RunInstances drop 2");
    aws.spotctl(&["up"]).exits(0);
    assert_eq!((aws.live().len(), aws.ever_launched()), (1, 1));
}

#[test]
fn a_server_error_to_the_launch_is_followed_by_the_same_request() {
    let aws = Served::with(MINIMAL);
    aws.weather("profile-delay 0s");
    aws.weather("fail RunInstances 503 2");
    let plan = aws.spotctl(&["plan", "-o", "json"]).exits(0).json();
    let up = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    assert_eq!((aws.live().len(), aws.ever_launched()), (1, 1));
    let first = (&plan["offers"][0]["type"], &plan["offers"][0]["zone"]);
    assert_eq!((&up["workers"][0]["type"], &up["workers"][0]["zone"]), first, "no other offer was tried");
}

#[test]
fn an_up_that_is_killed_right_after_the_launch_is_finished_by_the_next() {
    let aws = Served::with(MINIMAL);
    aws.weather("visibility 3s");
    aws.weather("latency 30ms");
    let mut child = aws
        .command(&["up", "--wait", "running"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .expect("starting spotctl");
    for _ in 0..400 {
        if !aws.boto3("requests.py", &[]).as_array().expect("a list").is_empty() {
            break;
        }
        std::thread::yield_now();
    }
    child.kill().expect("killing spotctl");
    child.wait().expect("waiting for spotctl");
    // The instance is not visible yet: only the client token keeps this from launching another.
    aws.spotctl(&["up"]).exits(0);
    aws.weather("visibility 0s");
    assert_eq!((aws.live().len(), aws.ever_launched()), (1, 1));
}

#[test]
fn every_creation_whose_answer_is_lost_is_found_again() {
    for operation in
        ["CreateSecurityGroup", "CreateRole", "CreateInstanceProfile", "PutParameter", "CreateLaunchTemplate"]
    {
        let aws = Served::with(MINIMAL);
        aws.folder.write(".env", "A=1\n");
        aws.weather(&format!("fail {operation} drop 1"));
        aws.spotctl(&["up"]).exits(0);
        assert_eq!(aws.live().len(), 1, "{operation}");
        aws.spotctl(&["destroy", "--yes"]).exits(0);
        assert_eq!(aws.leftovers(), Vec::<String>::new(), "{operation}");
    }
}

#[test]
fn an_interrupted_up_says_what_exists_and_how_to_remove_it() {
    use std::io::Read;
    let aws = Served::with(MINIMAL);
    aws.weather("dry all");
    aws.weather("latency 200ms");
    let mut child = aws
        .command(&["up", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting spotctl");
    // Until the foundation stands; then it is busy with dry pools.
    let stands = || aws.boto3("leftovers.py", &[]).to_string().contains("template");
    let mut looks = 0;
    while !stands() && looks < 200 {
        looks += 1;
    }
    let id = child.id().to_string();
    std::process::Command::new("kill").args(["-INT", &id]).status().expect("kill");
    let mut said = String::new();
    child.stderr.take().expect("stderr").read_to_string(&mut said).expect("stderr");
    let output = child.wait_with_output().expect("waiting for spotctl");
    assert_eq!(output.status.code(), Some(130), "{said}");
    assert!(said.contains("spotctl destroy --name w --yes"), "{said}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("one JSON document");
    assert_eq!(document["error"]["kind"], "interrupted");
    let left = document["error"]["leftovers"].as_array().expect("leftovers");
    assert!(left.iter().any(|left| left["kind"] == "security group"), "{document:#}");
}

#[test]
fn a_worker_that_aws_takes_back_before_it_runs_is_replaced_from_another_pool() {
    let aws = Served::with(MINIMAL);
    aws.weather("profile-delay 0s");
    aws.spotctl(&["apply"]).exits(0);
    // Nothing new shows itself, so `up` waits until the clock is moved.
    aws.weather("visibility 60s");
    aws.weather("clock +2m");
    let child = aws
        .command(&["up", "-o", "json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("starting spotctl");
    let other_than = |known: &str| {
        let mut looks = 0;
        loop {
            let found = aws.boto3("requests.py", &[]);
            let other = found.as_array().into_iter().flatten().filter_map(|id| id.as_str()).find(|id| *id != known);
            if let Some(other) = other {
                return other.to_owned();
            }
            looks += 1;
            assert!(looks < 100, "no instance but `{known}`");
        }
    };
    let first = other_than("");
    aws.weather(&format!("interrupt {first}"));
    aws.weather("clock +3m");
    let second = other_than(&first);
    aws.weather("clock +2m");
    let output = child.wait_with_output().expect("waiting for spotctl");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    assert!(said.contains("trying the next offer"), "{said}");
    let document: serde_json::Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(column(&document, "workers", "id"), [second]);
    assert!(
        column(&document, "rejected", "code").contains(&"Server.SpotInstanceTermination".to_owned()),
        "{document:#}"
    );
    assert_eq!((aws.live().len(), aws.ever_launched()), (1, 2));
}
