//! Every console block of the README runs: those for a real account with the endpoint at the sandbox.

use std::process::{Command, Stdio};

use super::support::{Folder, Served, root};

/// The commands of the console blocks, each with the block's mark (the comment before it, or nothing).
fn commands() -> Vec<(String, String)> {
    let text = std::fs::read_to_string(root().join("README.md")).expect("the README");
    let mut found = Vec::new();
    let (mut mark, mut is_inside) = (String::new(), false);
    for line in text.lines() {
        if is_inside && line == "```" {
            is_inside = false;
            mark.clear();
        } else if line == "```console" {
            is_inside = true;
        } else if let Some(command) = line.strip_prefix("$ ").filter(|_| is_inside) {
            found.push((mark.clone(), command.to_owned()));
        } else if let Some(comment) = line.strip_prefix("<!-- ").and_then(|rest| rest.strip_suffix(" -->")) {
            comment.clone_into(&mut mark);
        }
    }
    found
}

/// Runs a line as a shell would, `spotctl` being the program under test.
#[track_caller]
fn shell(folder: &Folder, line: &str, environment: &[(&str, &str)]) -> String {
    let binary = env!("CARGO_BIN_EXE_spotctl");
    let line = line.replacen("cargo run --", binary, 1);
    let line = if line.starts_with("spotctl") { line.replacen("spotctl", binary, 1) } else { line };
    let output = Command::new("sh")
        .args(["-c", &line])
        .current_dir(folder.path())
        .stdin(Stdio::null())
        .env_clear()
        .env("PATH", std::env::var_os("PATH").unwrap_or_default())
        .env("HOME", folder.path())
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .output()
        .expect("a shell");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success(), "{line}: {said}");
    said
}

#[test]
fn the_first_command_shows_one_running_worker_and_its_kin_leave_nothing() {
    let folder = Folder::new();
    let example = folder.path().join("examples/worker-gpu");
    std::fs::create_dir_all(&example).expect("a folder");
    for name in ["spotctl.yaml", ".env.example"] {
        std::fs::copy(root().join("examples/worker-gpu").join(name), example.join(name)).expect("the example");
    }
    let plain: Vec<String> =
        commands().into_iter().filter(|(mark, _)| mark.is_empty()).map(|(_, command)| command).collect();
    let [up] = plain.as_slice() else { panic!("one unmarked command: {plain:?}") };
    let instead = |verb: &str| format!("{}{verb}", up.strip_suffix("up").expect("the command is `up`"));
    let table = shell(&folder, up, &[]);
    assert_eq!(table.lines().filter(|line| line.starts_with("i-") && line.contains("running")).count(), 1, "{table}");
    shell(&folder, up, &[]);
    assert!(shell(&folder, &instead("down"), &[]).contains("terminated"));
    assert!(shell(&folder, &instead("destroy --yes"), &[]).contains("deleted"));
}

#[test]
fn the_way_with_a_real_account_works_with_the_endpoint_at_the_sandbox() {
    let aws = Served::with("");
    std::fs::remove_file(aws.folder.path().join("spotctl.yaml")).expect("an empty folder");
    for (mark, command) in commands() {
        if mark == "real account" || mark == "operator policy" {
            if mark == "operator policy" && !aws.folder.path().join("spotctl.yaml").exists() {
                shell(&aws.folder, "spotctl init", &aws.environment());
            }
            shell(&aws.folder, &command, &aws.environment());
        }
    }
    assert_eq!(aws.leftovers(), Vec::<String>::new());
}

#[test]
fn one_block_is_the_test_command_that_ci_runs() {
    let tests: Vec<_> = commands().into_iter().filter(|(mark, _)| mark == "test command").collect();
    assert_eq!(tests, [("test command".to_owned(), "cargo test --locked".to_owned())]);
}
