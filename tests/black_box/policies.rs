//! The policies that `render policy` prints are enough for those who hold them: the embedded AWS holds a key to one.

use std::collections::BTreeSet;

use serde_json::Value;

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
    let run = |arguments: &[&str]| aws.folder.spotctl_with(arguments, &as_operator(&aws));
    let doctor = run(&["doctor", "-o", "json"]).json();
    let unseen = doctor["checks"].as_array().into_iter().flatten().filter(|check| check["status"] == "skip");
    assert_eq!(unseen.collect::<Vec<_>>(), Vec::<&Value>::new(), "the policy lets every check see");
    run(&["prices", "--history", "1d", "--placement-score"]).exits(0);
    run(&["quota"]).exits(0);
    run(&["quota", "request", "--vcpus", "96"]).exits(0);
    run(&["params", "diff"]).exits(0);
    run(&["plan"]).exits(0);
    run(&["apply"]).exits(0);
    let up = run(&["up", "-o", "json"]).exits(0).json();
    assert_eq!(column(&up, "workers", "state"), ["running"]);
    run(&["up"]).exits(0);
    run(&["status"]).exits(0);
    run(&["status", "--stacks", "--regions", "ap-northeast-2"]).exits(0);
    run(&["params", "push"]).exits(0);
    run(&["why"]).exits(0);
    run(&["reap", "--all"]).exits(0);
    run(&["down"]).exits(0);
    run(&["destroy", "--yes"]).exits(0);
    assert_eq!(aws.leftovers(), Vec::<String>::new());

    aws.folder.write("spotctl.yaml", super::support::MINIMAL);
    run(&["up"]).says("not authorized");
    assert_eq!(aws.leftovers(), Vec::<String>::new());
}

/// A file with everything that puts a statement into the operator's policy; `EncryptParameters`, for a customer key, is left
/// out: the sandbox evaluates no key.
const WHOLE: &str = r#"
name: w
container: {image: "123456789012.dkr.ecr.us-east-1.amazonaws.com/team/worker:1"}
access:
  queues: ["https://sqs.us-east-1.amazonaws.com/123456789012/jobs"]
  launchers: [api]
"#;

/// Each statement of the operator's policy, a command that needs it, its exit status without it, and what it names then.
const NEEDED: [(&str, &[&str], i32, &str); 18] = [
    ("LookAround", &["plan"], 5, "ec2:Describe"),
    ("RequestQuota", &["quota", "request", "--vcpus", "96"], 5, "servicequotas:RequestServiceQuotaIncrease"),
    ("MakeTagged", &["up"], 5, "ec2:Create"),
    ("MakeInTheVpc", &["up"], 5, "ec2:CreateSecurityGroup"),
    ("ChangeWhatIsTagged", &["up"], 5, "ec2:"),
    ("TagAtCreation", &["up"], 5, "ec2:CreateTags"),
    ("LaunchWith", &["up"], 5, "ec2:RunInstances"),
    ("ListParameters", &["plan"], 5, "ssm:GetParametersByPath"),
    ("WriteParameters", &["up"], 5, "ssm:PutParameter"),
    ("FindImages", &["plan"], 5, "ssm:GetParameters"),
    ("KeepTheWorkersRole", &["up"], 5, "iam:"),
    ("KeepTheWorkersProfile", &["up"], 5, "iam:"),
    ("PassTheWorkersRole", &["up"], 5, "iam:PassRole"),
    ("MakeTheRoleOfEc2Spot", &["up"], 5, "AuthFailure.ServiceLinkedRoleCreationNotPermitted"),
    ("LetLaunch", &["up"], 5, "iam:"),
    // What `doctor` alone looks at is not seen then, and says so.
    ("SeeTheImage", &["doctor", "--only", "registry"], 0, "ecr:DescribeImages"),
    ("SeeQueues", &["doctor", "--only", "queues"], 0, "sqs:GetQueueUrl"),
    ("", &["up"], 0, ""),
];

#[test]
fn without_any_one_statement_the_command_that_needs_it_names_the_missing_action() {
    let policy: Value = serde_json::from_str(&whole().spotctl(&["render", "policy", "operator"]).exits(0).stdout())
        .expect("a policy is JSON");
    let statements = |policy: &Value| policy["Statement"].as_array().cloned().expect("statements");
    let sids: BTreeSet<String> = column(&policy, "Statement", "Sid").into_iter().collect();
    let tried: BTreeSet<String> = NEEDED.iter().map(|row| row.0.to_owned()).filter(|sid| !sid.is_empty()).collect();
    assert_eq!(sids, tried, "each statement is tried");
    for (sid, command, code, named) in NEEDED {
        let aws = whole();
        let mut less = policy.clone();
        less["Statement"] = statements(&policy).into_iter().filter(|statement| statement["Sid"] != sid).collect();
        aws.weather("spot-role none");
        let set = ["--endpoint-url", &aws.endpoint, "sandbox", "set", "principal", KEY, &less.to_string()];
        aws.folder.spotctl(&set).exits(0);
        let run = aws.folder.spotctl_with(command, &as_operator(&aws));
        assert_eq!(run.code(), code, "without {sid}: {run}");
        let said = run.stdout() + &run.stderr();
        assert!(said.contains(named), "without {sid} `{named}` is not named: {run}");
    }
}

fn whole() -> Served {
    let aws = Served::with(WHOLE);
    aws.folder.write(".env", "TOKEN=secret\n");
    aws.boto3("role_policies.py", &["api", "make"]);
    aws.boto3("make.py", &["queue", "jobs"]);
    aws.weather("image team/worker:1 1GiB");
    aws
}

fn as_operator(aws: &Served) -> Vec<(&str, &str)> {
    let mut environment = aws.environment();
    environment.retain(|(name, _)| *name != "AWS_ACCESS_KEY_ID");
    environment.push(("AWS_ACCESS_KEY_ID", KEY));
    environment
}
