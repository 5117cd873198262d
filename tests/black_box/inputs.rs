//! Wrong files, wrong arguments, missing things: exit 2, all of it said at once, nothing called.

use serde_json::json;

use super::support::{Folder, MINIMAL};

#[test]
fn a_missing_file_names_init_and_init_writes_one_that_works() {
    let folder = Folder::new();
    folder.spotctl(&["--sandbox", "up"]).exits(2).says("no file `spotctl.yaml`").says("spotctl init");
    folder.spotctl(&["init"]).exits(0);
    folder.spotctl(&["init"]).exits(2).says("exists");
    let plan = folder.spotctl(&["--sandbox", "plan", "-o", "json"]).exits(0).json();
    assert!(!plan["offers"].as_array().expect("offers").is_empty());
    folder.spotctl(&["--sandbox", "up"]).exits(0);
}

#[test]
fn every_mistake_of_the_file_is_reported_with_its_line() {
    let folder = Folder::with(
        "name: Worker\ncontainer:\n  imag: x\ninstance:\n  volume: {size: 30}\nlifetime: {max: soon}\nnonsense: 1\n",
    );
    let run = folder.spotctl(&["--sandbox", "up"]).exits(2);
    for text in [
        "spotctl.yaml:1",
        "spotctl.yaml:3",
        "spotctl.yaml:5",
        "spotctl.yaml:6",
        "spotctl.yaml:7",
        "image",
        "mistakes in",
    ] {
        assert!(run.stderr().contains(text), "lacks `{text}`: {run}");
    }
    let document = folder.spotctl(&["--sandbox", "up", "-o", "json"]).exits(2).json();
    let findings = document["error"]["findings"].as_array().expect("findings").len();
    assert!(findings >= 5, "{document:#}");
    assert!(!folder.path().join(".spotctl").exists(), "nothing is called before the file is right");
}

#[test]
fn an_empty_value_in_the_env_names_its_key_and_no_value_is_shown() {
    let folder = Folder::with(MINIMAL);
    folder.write(".env", "TOKEN=\nOTHER=hush\nOTHER=hush\n");
    folder.spotctl(&["--sandbox", "up"]).exits(2).says("TOKEN").says("OTHER").does_not_say("hush");
}

#[test]
fn a_parameter_that_is_named_and_not_there_is_found_before_anything_is_made() {
    let folder = Folder::with("name: w\ncontainer: {image: \"${REPO}:1\"}\n");
    folder.spotctl(&["--sandbox", "up"]).exits(2).says("`REPO` (container.image)");
    let status = folder.spotctl(&["--sandbox", "status", "--name", "w", "-o", "json"]).exits(0).json();
    assert_eq!(status["resources"], json!([]));
}

#[test]
fn another_region_in_the_env_is_a_mistake() {
    let folder = Folder::with(MINIMAL);
    folder.write(".env", "AWS_REGION=eu-west-1\n");
    folder.spotctl(&["--sandbox", "--region", "us-east-1", "up"]).exits(2).says("eu-west-1");
}

#[test]
fn wrong_arguments_are_exit_2_and_json_stays_one_document() {
    let folder = Folder::with(MINIMAL);
    folder.spotctl(&["--sandbox", "up", "--cuont", "2"]).exits(2).says("--count");
    folder.spotctl(&["--sandbox", "up", "--ttl", "soon"]).exits(2).says("8h");
    let document = folder.spotctl(&["up", "-o", "json", "--nonsense"]).exits(2).json();
    assert_eq!((&document["command"], &document["error"]["kind"]), (&json!("up"), &json!("usage")));
    folder.spotctl(&["frobnicate"]).exits(2);
    folder.spotctl(&["--sandbox", "sandbox", "set", "rain"]).exits(2);
    folder.spotctl(&["--sandbox", "down", "i-0123456789abcdef0"]).exits(2).says("no worker of the stack");
}

#[test]
fn destroy_without_a_terminal_asks_for_yes() {
    let folder = Folder::with(MINIMAL);
    folder.spotctl(&["--sandbox", "destroy"]).exits(2).says("--yes").says("nothing was changed");
}

#[test]
fn down_destroy_and_status_need_no_file_when_named() {
    let folder = Folder::with(MINIMAL);
    folder.spotctl(&["--sandbox", "up"]).exits(0);
    std::fs::remove_file(folder.path().join("spotctl.yaml")).expect("removing the file");
    folder.spotctl(&["--sandbox", "status"]).exits(2).says("--name");
    folder.spotctl(&["--sandbox", "status", "--name", "w"]).exits(0);
    folder.spotctl(&["--sandbox", "down", "--name", "w"]).exits(0);
    folder.spotctl(&["--sandbox", "destroy", "--name", "w", "--yes"]).exits(0);
}
