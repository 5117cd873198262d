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
fn what_a_usage_error_is_about_stands_in_its_message_in_json_too() {
    let folder = Folder::new();
    let document = folder.spotctl(&["-o", "json", "status", "--regions", "all"]).exits(2).json();
    assert!(document["error"]["message"].as_str().is_some_and(|text| text.contains("--stacks")), "{document:#}");
    let document = folder.spotctl(&["-o", "json", "up", "--max-price", "0"]).exits(2).json();
    assert!(document["error"]["message"].as_str().is_some_and(|text| text.contains("buys nothing")), "{document:#}");
}

#[test]
fn an_address_or_a_region_that_is_none_is_a_mistake_and_no_panic() {
    let folder = Folder::with(MINIMAL);
    let keys = [("AWS_ACCESS_KEY_ID", "k"), ("AWS_SECRET_ACCESS_KEY", "s"), ("AWS_REGION", "us-east-1")];
    for wrong in ["", "nonsense", "ftp://x", "http://"] {
        for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_SSM"] {
            let run = folder.spotctl_with(&["status"], &[&keys[..], &[(name, wrong)]].concat());
            run.exits(2).says(&format!("is no address: `{wrong}`"));
        }
        // Not ours, and not heeded.
        folder.spotctl_with(&["--sandbox", "plan"], &[("AWS_ENDPOINT_URL_S3", wrong)]).exits(0);
        let ignored = [("AWS_ENDPOINT_URL", wrong), ("AWS_IGNORE_CONFIGURED_ENDPOINT_URLS", "true")];
        folder.spotctl_with(&["--sandbox", "plan"], &ignored).exits(0);
        folder.write("profile", &format!("[default]\nendpoint_url = {wrong}\n"));
        let file = folder.path().join("profile");
        let file = [("AWS_CONFIG_FILE", file.to_str().expect("UTF-8"))];
        let run = folder.spotctl_with(&["status"], &[&keys[..], &file].concat());
        run.exits(2).says("is no address");
        let run = folder.spotctl_with(&["status", "-o", "json", "--endpoint-url", wrong], &keys).exits(2);
        assert_eq!(run.json()["error"]["kind"], "usage", "{run}");
    }
    for wrong in ["", "us east", "eu_west_1"] {
        folder.spotctl_with(&["status", "--region", wrong], &keys).exits(2).says("is no AWS region");
    }
}

#[test]
fn nothing_of_a_dotenv_is_shown_that_is_named_as_the_file() {
    let folder = Folder::new();
    let texts = ["TOKEN=hush\nB=1\n", "  # c\n\nexport\tTOKEN=hush: x\n", "\u{feff}TOKEN=hush\r\n", " TOKEN = hush\n"];
    for text in texts {
        folder.write(".env", text);
        for more in [&[][..], &["-o", "json"]] {
            let run = folder.spotctl(&[&["--sandbox", "-c", ".env", "status"], more].concat()).exits(2);
            run.says("this is a `.env`").does_not_say("hush");
        }
    }
}

#[test]
fn a_hint_about_a_named_stack_keeps_the_region_of_the_file() {
    let folder = Folder::with(&format!("{MINIMAL}region: eu-west-1\n"));
    let run = folder.spotctl(&["--sandbox", "down", "--no-wait"]).exits(0);
    assert!(!run.stderr().contains("--region"), "nothing is there, and nothing is hinted at: {run}");
    folder.spotctl(&["--sandbox", "up"]).exits(0);
    let run = folder.spotctl(&["--sandbox", "down", "--no-wait"]).exits(0);
    let hinted = run.stderr();
    let hinted = hinted.lines().find_map(|line| line.split(": spotctl ").nth(1)).expect("a command");
    assert_eq!(hinted, "--sandbox --region eu-west-1 down --name w");
    // Beside the file its own stack is found by name, too; and from anywhere by what the hint says.
    folder.write("broken.yaml", "name: w\nnonsense: 1\n");
    folder
        .spotctl(&["--sandbox", "-c", "broken.yaml", "status", "--name", "w"])
        .exits(0)
        .says("its region is not known");
    for (name, region) in [("w", "eu-west-1"), ("other", "us-east-1")] {
        let status = folder.spotctl(&["--sandbox", "status", "--name", name, "-o", "json"]).exits(0).json();
        assert_eq!(status["region"], region);
    }
    std::fs::remove_file(folder.path().join("spotctl.yaml")).expect("removing the file");
    let hinted: Vec<&str> = hinted.split(' ').collect();
    let status = folder.spotctl(&[&hinted[..], &["-o", "json"]].concat()).exits(0).json();
    assert_eq!(status["region"], "eu-west-1");
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
