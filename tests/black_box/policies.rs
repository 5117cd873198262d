//! The policies that `render policy` prints are enough for those who hold them: the embedded AWS holds a key to one.

use super::support::{Served, column, example};

const KEY: &str = "AKIAOPERATOR";

/// Holds [`KEY`] to what `render policy` prints for `whose`.
fn limit(aws: &Served, whose: &str) {
    let policy = aws.spotctl(&["render", "policy", whose]).exits(0).stdout();
    let set = ["--endpoint-url", &aws.endpoint, "sandbox", "set", "principal", KEY, &policy];
    aws.folder.spotctl(&set).exits(0);
}

#[test]
fn the_operators_policy_is_enough_for_every_command_and_for_no_other_stack() {
    let aws = example();
    limit(&aws, "operator");
    let run = |arguments: &[&str]| {
        let mut environment = aws.environment();
        environment.retain(|(name, _)| *name != "AWS_ACCESS_KEY_ID");
        environment.push(("AWS_ACCESS_KEY_ID", KEY));
        aws.folder.spotctl_with(arguments, &environment)
    };
    run(&["plan"]).exits(0);
    run(&["apply"]).exits(0);
    let up = run(&["up", "-o", "json"]).exits(0).json();
    assert_eq!(column(&up, "workers", "state"), ["running"]);
    run(&["up"]).exits(0);
    run(&["status"]).exits(0);
    run(&["down"]).exits(0);
    run(&["destroy", "--yes"]).exits(0);
    assert_eq!(aws.leftovers(), Vec::<String>::new());

    aws.folder.write("spotctl.yaml", super::support::MINIMAL);
    run(&["up"]).says("not authorized");
    assert_eq!(aws.leftovers(), Vec::<String>::new());
}
