//! Several at once, answers lost, processes killed: one worker.

use std::collections::BTreeSet;
use std::process::Stdio;

use super::faults::census::Census;
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

/// Every part of the foundation is another one than [`MINIMAL`]'s.
const OTHER: &str = "name: w
container: {image: public.ecr.aws/docker/library/busybox:2}
parameters: {plain: [A], file: other.env}
network: {egress: [443/tcp]}
tags: {Role: worker}
";

/// What stands before, what runs at once, how long new instances hide, how many may live then, and which exit codes are in
/// order: a run whose worker another one ended says so (8), one whose stack another one removed too (1).
type Race = (&'static str, &'static [&'static str], u32, std::ops::RangeInclusive<usize>, &'static [i32]);

/// The orders that nobody thought of are searched in `cli::up::races`; here are the program, its processes and files.
const RACES: [Race; 10] = [
    ("", &["up", "up", "up", "up", "up"], 2, 1..=1, &[0]),
    ("apply", &["up --count 2", "up --count 2", "up --count 2"], 2, 2..=2, &[0]),
    ("up", &["up", "down"], 0, 0..=1, &[0, 8]),
    ("up", &["up", "destroy --yes"], 0, 0..=1, &[0, 1, 8]),
    ("up --count 2", &["down", "down"], 0, 0..=0, &[0]),
    ("up --count 2", &["destroy --yes", "destroy --yes"], 0, 0..=0, &[0]),
    ("", &["apply", "apply -c other.yaml"], 0, 0..=0, &[0]),
    ("apply", &["up", "apply -c other.yaml"], 0, 1..=1, &[0]),
    ("", &["params push", "params push"], 0, 0..=0, &[0]),
    ("up", &["reap", "up", "status"], 0, 1..=1, &[0]),
];

#[test]
fn whatever_runs_at_once_the_next_command_finds_it_whole() {
    std::thread::scope(|scope| {
        for race in &RACES {
            scope.spawn(|| run_at_once(race));
        }
    });
}

fn run_at_once((before, commands, hidden, live, codes): &Race) {
    let aws = Served::with(MINIMAL);
    aws.folder.write("other.yaml", OTHER);
    aws.folder.write(".env", "A=1\nB=1\n");
    aws.folder.write("other.env", "A=2\nC=2\n");
    aws.weather("profile-delay 0s");
    let census = || Census::taken_of(&aws);
    let words = |command: &'static str| command.split(' ').collect::<Vec<_>>();
    if !before.is_empty() {
        aws.spotctl(&words(before)).exits(0);
    }
    aws.weather(&format!("visibility {hidden}s"));
    let start = |command: &&'static str| {
        let mut command = aws.command(&words(command));
        command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().expect("starting spotctl")
    };
    let children: Vec<_> = commands.iter().map(start).collect();
    for (child, command) in children.into_iter().zip(*commands) {
        let output = child.wait_with_output().expect("waiting for spotctl");
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        let code = output.status.code().unwrap_or(-1);
        assert!(code == 0 || codes.contains(&code), "{commands:?}: {command} ends with {code}: {said}");
    }
    aws.weather("visibility 0s");
    aws.spotctl(&["status"]).exits(0);
    assert!(live.contains(&census().live()), "{commands:?}: {} live", census().live());
    let applied: Vec<_> = commands.iter().filter(|command| command.starts_with("apply")).collect();
    if applied.len() > 1 {
        let stands = |command: &&&str| {
            let plan = command.replacen("apply", "plan", 1);
            aws.spotctl(&plan.split(' ').collect::<Vec<_>>()).exits(0).stdout().starts_with("nothing to change")
        };
        assert_eq!(applied.iter().filter(|command| stands(command)).count(), 1, "{commands:?}: which file stands");
    }
    let wished = (*live.end()).max(1);
    aws.spotctl(&["up", "--count", &wished.to_string()]).exits(0);
    assert_eq!(census().live(), wished, "{commands:?}");
    aws.spotctl(&["plan", "--detailed-exitcode"]).exits(0);
    aws.spotctl(&["destroy", "--yes"]).exits(0);
    assert_eq!(census().left(), Vec::<String>::new(), "{commands:?}");
}
