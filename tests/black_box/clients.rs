//! The sandbox's wire formats, checked by clients that nobody here wrote: boto3 and the AWS CLI.

use super::support::{MINIMAL, Served, python, root};

#[test]
fn boto3_and_the_aws_cli_understand_every_operation() {
    let aws = Served::with(MINIMAL);
    let python = python();
    let bin = python.parent().expect("a folder").display().to_string();
    let path = format!("{bin}:{}", std::env::var("PATH").unwrap_or_default());
    let output = std::process::Command::new(python)
        .args(["-m", "pytest", "-q", "-p", "no:cacheprovider", "wire"])
        .current_dir(root().join("tests/python"))
        .env_clear()
        .env("PATH", path)
        .env("HOME", aws.folder.path())
        .env("PYTHONDONTWRITEBYTECODE", "1")
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(aws.environment())
        .output()
        .expect("running pytest");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
}
