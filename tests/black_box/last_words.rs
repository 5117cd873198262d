//! What a box says of itself, and what becomes of it: `up --wait ready`, `why`. The box is played by its tags; whole ones
//! run in `clients.rs`.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, ChildStderr, Stdio};

use serde_json::{Value, json};

use super::support::{MINIMAL, Served, column};

/// A launched worker, and an `up --wait ready` that has seen it and waits.
fn waiting(aws: &Served) -> (String, Waiting) {
    let up = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    let id = column(&up, "workers", "id").remove(0);
    let mut command = aws.command(&["up", "--wait", "ready", "--timeout", "2m", "-o", "json"]);
    let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("spotctl");
    let mut stderr = BufReader::new(child.stderr.take().expect("a piped stderr"));
    let mut said = String::new();
    while !said.contains("waiting until ready") {
        assert!(stderr.read_line(&mut said).expect("a line") > 0, "it ended: {said}");
    }
    (id, Waiting { child, stderr, said })
}

struct Waiting {
    child: Child,
    stderr: BufReader<ChildStderr>,
    said: String,
}

fn says(aws: &Served, id: &str, phase: &str, timeline: &str) {
    aws.boto3("tag.py", &[id, "spotctl:phase", phase, "spotctl:timeline", timeline]);
}

/// Exit status, the document, what was said.
fn ended(mut up: Waiting) -> (i32, Value, String) {
    up.stderr.read_to_string(&mut up.said).expect("its stderr");
    let output = up.child.wait_with_output().expect("its output");
    let document = serde_json::from_slice(&output.stdout).expect("one document");
    (output.status.code().unwrap_or(-1), document, up.said)
}

#[test]
fn a_wait_for_ready_shows_the_phases_with_their_seconds_and_ends_with_ready() {
    let aws = Served::with(MINIMAL);
    let (id, mut up) = waiting(&aws);
    says(&aws, &id, "pulling", "booting=8 pulling=9");
    let status = aws.spotctl(&["status", "-o", "json"]).exits(0).json();
    assert_eq!(column(&status, "workers", "phase"), ["pulling"]);
    while !up.said.contains("pulling (9 s)") {
        assert!(up.stderr.read_line(&mut up.said).expect("a line") > 0, "it ended: {}", up.said);
    }
    says(&aws, &id, "ready", "booting=8 pulling=9 ready=61");
    let (code, document, said) = ended(up);
    assert_eq!(code, 0, "{said}");
    assert_eq!(column(&document, "workers", "phase"), ["ready"]);
    assert!(said.contains(&format!("waiting until ready: {id} pulling (9 s)")), "{said}");
}

#[test]
fn a_box_that_fails_before_it_is_ready_is_exit_8_with_its_reason_and_console() {
    let aws = Served::with(MINIMAL);
    let (id, up) = waiting(&aws);
    says(&aws, &id, "failed:pulling:no image a:1", "booting=8 failed=61");
    let (code, document, said) = ended(up);
    assert_eq!(code, 8, "{said}");
    assert_eq!(document["error"]["kind"], json!("worker"));
    assert!(
        said.contains(&format!("{id} is ending before it was ready: failed:pulling:no image a:1 (61 s)")),
        "{said}"
    );
    aws.spotctl(&["down"]).exits(0);
    let why = aws.spotctl(&["why", "-o", "json"]).exits(0).json();
    assert_eq!(why["why"], json!("it failed in phase pulling: no image a:1"), "`down` does not talk over it");
    assert!(said.contains("the end of its console:") && said.contains(&format!("spotctl why {id}")), "{said}");
}

#[test]
fn a_box_that_aws_takes_back_before_it_is_ready_is_exit_8_and_no_other_is_launched() {
    let aws = Served::with(MINIMAL);
    let (id, up) = waiting(&aws);
    aws.weather(&format!("interrupt {id}"));
    aws.weather("clock +3m");
    let (code, _, said) = ended(up);
    assert_eq!(code, 8, "{said}");
    assert!(said.contains("Server.SpotInstanceTermination"), "{said}");
    assert_eq!(aws.ever_launched(), 1);
}

#[test]
fn reap_ends_what_is_past_its_expiry_in_any_stack_and_why_knows_it() {
    let aws = Served::with(MINIMAL);
    let up = aws.spotctl(&["up", "--ttl", "1h", "-o", "json"]).exits(0).json();
    let id = column(&up, "workers", "id").remove(0);
    aws.folder.write("spotctl.yaml", &MINIMAL.replace("name: w", "name: other"));
    aws.spotctl(&["up", "--ttl", "none"]).exits(0);
    let reap = |more: &[&str]| aws.spotctl(&[&["reap", "-o", "json"], more].concat()).exits(0).json();
    assert_eq!(reap(&["--all"])["expired"], json!([]));

    // The sandbox's clock stays: the worker is made older instead.
    aws.boto3("tag.py", &[&id, "spotctl:lifetime", "1s"]);
    assert_eq!(reap(&["--all"])["expired"], json!([]), "it has some minutes to drain");
    let seen = reap(&["--all", "--grace", "1s", "--dry-run"]);
    assert_eq!((column(&seen, "expired", "id"), &seen["terminated"]), (vec![id.clone()], &json!([])));
    assert_eq!(aws.live().len(), 2);
    assert_eq!(reap(&["--grace", "1s"])["expired"], json!([]), "another stack's");
    assert_eq!(reap(&["--all", "--grace", "1s"])["terminated"], json!([id]));
    assert_eq!(aws.live().len(), 1);
    let why = aws.spotctl(&["why", "--name", "w", "-o", "json"]).exits(0).json();
    assert_eq!(why["why"], json!("`spotctl reap` ended it: it was past its expiry"));
}

#[test]
fn why_knows_who_ended_a_worker_also_when_aws_has_forgotten_it() {
    let aws = Served::with(MINIMAL);
    let nothing = aws.spotctl(&["why", "-o", "json"]).exits(0).json();
    assert_eq!(
        (&nothing["id"], nothing["why"].as_str()),
        (&Value::Null, Some("no worker of `w` in us-east-1 is remembered"))
    );

    let up = aws.spotctl(&["up", "-o", "json"]).exits(0).json();
    let id = column(&up, "workers", "id").remove(0);
    assert_eq!(aws.spotctl(&["why", "-o", "json"]).exits(0).json()["why"], json!("it has not ended"));
    says(&aws, &id, "ready", "booting=8 ready=61");
    // A reboot makes a box say a last word, too.
    let template = aws.spotctl(&["status", "-o", "json"]).exits(0).json();
    let template = column(&template, "resources", "id").into_iter().find(|id| id.starts_with("lt-")).expect("one");
    let rebooted = format!("{id} 2026-11-24T00:00:00Z draining:shutdown / booting=8");
    aws.boto3("tag.py", &[&template, "spotctl:last", &rebooted]);
    assert_eq!(aws.spotctl(&["why", "-o", "json"]).exits(0).json()["why"], json!("it has not ended"));
    aws.spotctl(&["down"]).exits(0);
    let why = aws.spotctl(&["why", "--name", "w", "-o", "json"]).exits(0).json();
    assert_eq!((&why["id"], &why["why"]), (&json!(id), &json!("`spotctl down` ended it")));
    assert_eq!(why["state_reason"]["code"], json!("Client.UserInitiatedShutdown"));
    assert_eq!(why["spot_request"]["status"], json!("instance-terminated-by-user"));
    assert_eq!(why["forgotten"], json!([]), "{why:#}");

    aws.weather("clock +6h");
    let later = aws.spotctl(&["why", &id, "-o", "json"]).exits(0).json();
    assert_eq!((&later["why"], &later["sources"]), (&json!("`spotctl down` ended it"), &json!(["last word"])));
    assert_eq!(later["timeline"], json!("booting=8 ready=61"));
    assert_eq!(later["forgotten"], json!(["instance", "instance tags", "spot request", "console"]));
    aws.spotctl(&["why", "i-0123456789abcdef0"]).exits(2).says("nobody remembers a worker");
}
