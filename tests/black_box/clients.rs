//! Tests written in Python: the sandbox's wire formats, checked by clients that nobody here wrote (boto3 and the AWS CLI),
//! the programs of the box, and whole boxes.

use super::support::{MINIMAL, Served, python, root};

/// Runs a folder of `tests/python` by pytest, and repeats what it says of skipped tests.
#[track_caller]
fn pytest(folder: &str, more: &[&str], environment: &[(&str, &str)]) {
    let python = python();
    let bin = python.parent().expect("a folder").display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let output = std::process::Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", folder])
        .args(more)
        .current_dir(root().join("tests/python"))
        .env_clear()
        .env("PATH", path)
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .output()
        .expect("running pytest");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    #[expect(clippy::print_stderr, reason = "a test that did not look must say so")]
    for line in said.lines().filter(|line| line.starts_with("SKIPPED")) {
        eprintln!("{line}");
    }
}

#[test]
fn boto3_and_the_aws_cli_understand_every_operation() {
    let aws = Served::with(MINIMAL);
    pytest("wire", &[], &aws.environment());
}

#[test]
fn the_programs_of_the_box_sign_as_botocore_does_and_end_what_must_end() {
    pytest("box", &[], &[]);
}

/// As root, with a Docker Engine and Debian's debootstrap; elsewhere it says why not.
#[test]
fn real_boxes_come_alive_and_end_by_themselves() {
    pytest("boxes", &["-n", "4"], &[("SPOTCTL", env!("CARGO_BIN_EXE_spotctl"))]);
}
