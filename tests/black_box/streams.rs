//! stdout is data, stderr is everything else; nothing depends on colour.

use super::support::{Folder, MINIMAL, Served};

#[test]
fn json_is_one_document_and_progress_is_elsewhere() {
    let folder = Folder::with(MINIMAL);
    for command in ["plan", "apply", "up", "status", "down"] {
        let document = folder.spotctl(&["--sandbox", command, "-o", "json"]).exits(0).json();
        assert_eq!(document["format"], 1, "{document:#}");
        assert_eq!(document["command"], command, "{document:#}");
    }
}

#[test]
fn quiet_says_nothing_and_a_pipe_gets_plain_lines() {
    let folder = Folder::with(MINIMAL);
    assert_eq!(folder.spotctl(&["--sandbox", "-q", "up"]).exits(0).stderr(), "");
    let run = folder.spotctl(&["--sandbox", "down"]).exits(0);
    assert!(!run.stderr().contains('\u{1b}') && !run.stdout().contains('\u{1b}'), "{run}");
    assert!(run.stderr().contains("waiting until 1 worker has ended …"), "{run}");
    let colored = folder.spotctl(&["--sandbox", "--color", "always", "status"]).exits(0);
    assert!(colored.stdout().contains('\u{1b}'), "{colored}");
}

#[test]
fn no_secret_is_in_any_output_even_when_everything_is_said() {
    let aws = Served::with(MINIMAL);
    let secret = "hush-$(id)-'\"`x";
    aws.folder.write(".env", &format!("TOKEN={secret}\n"));
    for arguments in [
        &["plan"][..],
        &["up"],
        &["up", "-o", "json"],
        &["params", "list"],
        &["render", "user-data"],
        &["render", "launch-template"],
        &["render", "policy", "worker"],
        &["status"],
    ] {
        let run = aws.spotctl(&[arguments, &["-vvv"]].concat()).exits(0);
        let said = run.stdout() + &run.stderr();
        assert!(!said.contains("hush"), "{arguments:?}: {said}");
    }
    // And where AWS refuses the very call that carries it.
    aws.folder.write(".env", "TOKEN=hush-other\n");
    aws.weather("fail PutParameter 500 99");
    let run = aws.spotctl(&["up", "-vvv", "-o", "json"]).exits(1);
    assert!(!(run.stdout() + &run.stderr()).contains("hush"), "{run}");
}

#[test]
fn verbose_names_the_calls_and_how_often_each_is_made() {
    let aws = Served::with(MINIMAL);
    let run = aws.spotctl(&["status", "-v"]).exits(0).says("DescribeInstances");
    assert_eq!(run.stderr().matches("DescribeInstances").count(), 1, "{run}");
}

#[test]
fn data_that_does_not_get_out_is_a_failure_and_a_reader_that_has_enough_is_none() {
    let folder = Folder::with(MINIMAL);
    for (stdout, code) in
        [(std::fs::OpenOptions::new().write(true).open("/dev/full").expect("/dev/full").into(), 1), (closed_pipe(), 0)]
    {
        let mut command = folder.command(&["--sandbox", "status", "-o", "json"]);
        let run = command.stdout::<std::process::Stdio>(stdout).output().expect("running spotctl");
        let said = String::from_utf8_lossy(&run.stderr);
        assert_eq!((run.status.code(), said.contains("writing to stdout")), (Some(code), code == 1), "{said}");
    }
}

/// The end of a pipe that nobody reads.
fn closed_pipe() -> std::process::Stdio {
    let (reader, writer) = std::io::pipe().expect("a pipe");
    drop(reader);
    writer.into()
}

#[test]
fn after_a_failure_nothing_is_claimed_that_was_not_looked_at() {
    let folder = Folder::with(MINIMAL);
    let environment = [("AWS_REGION", "us-east-1")];
    for arguments in [&["status"][..], &["plan"], &["down"], &["apply"], &["params", "list"]] {
        let run = folder.spotctl_with(arguments, &environment).exits(5);
        assert_eq!(run.stdout(), "", "{arguments:?}");
    }
}
