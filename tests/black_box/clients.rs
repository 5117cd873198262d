//! Tests written in Python: the sandbox's wire formats, checked by clients that nobody here wrote (boto3 and the AWS CLI),
//! and the programs of the box.

use super::support::{MINIMAL, Served, python, root};

/// Runs a folder of `tests/python` by pytest.
#[track_caller]
fn pytest(folder: &str, environment: &[(&str, &str)]) {
    let python = python();
    let bin = python.parent().expect("a folder").display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let output = std::process::Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", folder])
        .current_dir(root().join("tests/python"))
        .env_clear()
        .env("PATH", path)
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied())
        .output()
        .expect("running pytest");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}

#[test]
fn boto3_and_the_aws_cli_understand_every_operation() {
    let aws = Served::with(MINIMAL);
    pytest("wire", &aws.environment());
}

#[test]
fn the_programs_of_the_box_sign_as_botocore_does_and_end_what_must_end() {
    pytest("box", &[]);
}
