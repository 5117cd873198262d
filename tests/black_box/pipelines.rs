//! The shell of the example pipelines, taken out of their YAML and run: success, failure and cancellation all end with
//! no worker.

use super::support::{Served, python_command, root};

/// Runs a pipeline's steps with this `WORK` in a folder with the minimal file, and answers its exit status.
fn run(pipeline: &str, work: &str, is_cancelled: bool) -> Option<i32> {
    let aws = Served::with(super::support::MINIMAL);
    let file = root().join("examples/ci").join(pipeline);
    let mut environment = aws.environment();
    environment.push(("WORK", work));
    let cancelled = if is_cancelled { "cancelled" } else { "" };
    let folder = aws.folder.path().to_str().expect("a path in UTF-8");
    let binary = std::path::Path::new(env!("CARGO_BIN_EXE_spotctl")).parent().expect("a folder");
    let binary = binary.to_str().expect("a path in UTF-8");
    let arguments = [file.to_str().expect("a path in UTF-8"), folder, binary, cancelled];
    let output = python_command("pipeline.py", &arguments, &environment).output().expect("running the pipeline");
    let said = format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(said.contains("WORKER"), "`up` was run: {said}");
    assert!(aws.live().is_empty(), "{pipeline} {work} left a worker: {said}");
    output.status.code()
}

#[test]
fn a_pipeline_leaves_no_worker_whatever_becomes_of_its_work() {
    for pipeline in ["github-actions.yml", "gitlab-ci.yml"] {
        assert_eq!(run(pipeline, "true", false), Some(0), "{pipeline}");
        assert_eq!(run(pipeline, "false", false), Some(1), "{pipeline}");
        assert_eq!(run(pipeline, "true", true), Some(1), "{pipeline}");
    }
}
