//! `doctor`: what it says of a good account, of each thing that can be wrong, and of what it may not see; and that it changes
//! nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{Read, Write};
use std::net::TcpStream;

use serde_json::{Value, json};

use super::support::{Folder, MINIMAL, Run, Served, column};

const KEY: &str = "AKIADOCTOR";

/// A file that leaves no check without a question.
const FULL: &str = "name: w
container: {image: \"123456789012.dkr.ecr.us-east-1.amazonaws.com/app:v1\"}
instance: {volume: {size: 75GiB}}
parameters: {plain: [QUEUE]}
access: {queues: [\"${QUEUE}\"], buckets: {media: read}}
";

/// What [`FULL`] asks for is there.
fn furnished() -> Served {
    let aws = Served::with(FULL);
    aws.weather("image app:v1 2GiB");
    aws.weather("bucket media us-east-1");
    aws.boto3("make.py", &["queue", "jobs"]);
    aws.folder.write(".env", "QUEUE=arn:aws:sqs:us-east-1:123456789012:jobs\nSECRET=hush\n");
    aws
}

#[track_caller]
fn check<'a>(document: &'a Value, name: &str) -> &'a Value {
    let checks = document["checks"].as_array().expect("checks");
    checks.iter().find(|check| check["name"] == name).unwrap_or_else(|| panic!("no check {name}: {document:#}"))
}

/// Runs one check and asserts how it stands.
#[track_caller]
fn stands(aws: &Served, name: &str, status: &str, evidence: &str, advice: &str) {
    let code = if status == "fail" { 7 } else { 0 };
    let document = aws.spotctl(&["doctor", "--only", name, "-o", "json"]).exits(code).json();
    assert_eq!(document["checks"].as_array().map(Vec::len), Some(1), "{document:#}");
    let found = check(&document, name);
    assert_eq!(found["status"], status, "{found:#}");
    let said = |field: &str| found[field].as_str().unwrap_or_default().to_owned();
    assert!(said("evidence").contains(evidence), "{found:#}");
    assert!(said("advice").contains(advice), "{found:#}");
    assert_eq!(document["ok"], json!(status != "fail"));
}

fn by_status(document: &Value) -> BTreeMap<String, BTreeSet<String>> {
    let mut all: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for (name, status) in column(document, "checks", "name").into_iter().zip(column(document, "checks", "status")) {
        all.entry(status).or_default().insert(name);
    }
    all
}

fn calls(aws: &Served) -> BTreeMap<String, u64> {
    let address = aws.endpoint.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).expect("the sandbox");
    write!(stream, "GET /_sandbox/calls HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n").expect("asking");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("an answer");
    let body = answer.split("\r\n\r\n").nth(1).expect("a body");
    serde_json::from_str(body).expect("JSON")
}

/// Calls that change something unless they are dry runs.
fn changing(aws: &Served) -> BTreeMap<String, u64> {
    let reads = ["Describe", "Get", "List", "Simulate", "Decode", "Head"];
    calls(aws).into_iter().filter(|(name, _)| !reads.iter().any(|read| name.starts_with(read))).collect()
}

#[test]
fn a_good_account_passes_before_the_first_up_and_after_it_and_nothing_is_changed() {
    let aws = furnished();
    let before = changing(&aws);
    let document = aws.spotctl(&["doctor", "-o", "json"]).exits(0).does_not_say("hush").json();
    assert_eq!(by_status(&document).keys().collect::<Vec<_>>(), ["ok"], "{document:#}");
    assert_eq!(
        (&document["ok"], &document["command"], &document["format"]),
        (&json!(true), &json!("doctor"), &json!(1))
    );
    assert_eq!(document["error"], Value::Null);
    let tried: BTreeSet<String> = changing(&aws).into_keys().filter(|name| !before.contains_key(name)).collect();
    let dry_runs = ["CreateLaunchTemplate", "CreateSecurityGroup", "RunInstances"].map(str::to_owned);
    assert_eq!(tried, BTreeSet::from(dry_runs), "something else was changed");
    assert_eq!(aws.leftovers(), Vec::<String>::new());
    assert_eq!(aws.ever_launched(), 0);

    aws.spotctl(&["up"]).exits(0);
    let before = aws.leftovers();
    let document = aws.spotctl(&["doctor", "--count", "2", "-o", "json"]).exits(0).json();
    assert_eq!(by_status(&document).keys().collect::<Vec<_>>(), ["ok"], "{document:#}");
    let tried = check(&document, "dry-run")["evidence"].as_str().unwrap_or_default().to_owned();
    assert_eq!(tried, "EC2 permits CreateLaunchTemplateVersion, CreateTags, TerminateInstances, RunInstances");
    assert_eq!(aws.leftovers(), before);
    assert_eq!((aws.ever_launched(), aws.live().len()), (1, 1));
}

#[test]
fn text_has_a_line_a_check_with_its_advice_below_and_says_how_many_failed() {
    let aws = Served::with(MINIMAL);
    for quota in ["quota G=0", "quota P=0", "quota P5=0"] {
        aws.weather(quota);
    }
    let run = aws.spotctl(&["doctor"]).exits(7);
    let out = run.stdout();
    let line = out.lines().find(|line| line.starts_with("fail  quota")).unwrap_or_else(|| panic!("{run}"));
    assert!(line.contains("L-3819A6DF") && line.contains("0 vCPUs") && line.contains("4 needed for g"), "{line}");
    let next = out.lines().skip_while(|other| *other != line).nth(1).unwrap_or_default();
    assert_eq!(next.trim(), "spotctl quota request --code L-3819A6DF");
    assert!(next.starts_with("    "), "{next}");
    assert!(out.trim_end().lines().last().is_some_and(|last| last.starts_with("1 failed, ")), "{out}");
    aws.spotctl(&["doctor", "--skip", "quota"]).exits(0);

    // What is asked for already is waited for, and what is granted is enough.
    aws.weather("quota-answer approved after 60s");
    aws.spotctl(&["quota", "request", "--code", "L-3819A6DF"]).exits(0);
    stands(&aws, "quota", "fail", "the request ", "spotctl quota watch --code L-3819A6DF");
    aws.weather("clock +5m");
    stands(&aws, "quota", "ok", "0 in use, 4 needed", "");
}

#[test]
fn the_quota_must_hold_as_many_workers_as_are_wished_for() {
    let aws = Served::with(&format!("{MINIMAL}instance: {{types: [g4dn.xlarge, g5.xlarge]}}\n"));
    aws.weather("quota G=8");
    aws.spotctl(&["doctor", "--only", "quota", "--count", "2"]).exits(0);
    let run = aws.spotctl(&["doctor", "--only", "quota", "--count", "3"]).exits(7);
    assert!(run.stdout().contains("8 vCPUs, 0 in use, 12 needed for g4dn.xlarge"), "{run}");
    aws.spotctl(&["up"]).exits(0);
    // The worker that lives is one of the two.
    aws.spotctl(&["doctor", "--only", "quota", "--count", "2"]).exits(0);
    aws.spotctl(&["down"]).exits(0);
    aws.spotctl(&["up"]).exits(0);
    // One that has ended is none.
    stands(&aws, "quota", "ok", "nothing is needed: 1 of 1 workers live", "");
    aws.spotctl(&["doctor", "--only", "quota", "--count", "0"]).exits(2);
}

#[test]
fn each_thing_that_is_wrong_with_the_account_is_named_with_what_mends_it() {
    let aws = furnished();
    let key = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef";
    for (weather, name, status, evidence, advice) in [
        ("free-plan on", "account-plan", "fail", "not eligible for Free Tier", "upgrade the account's plan"),
        ("free-plan off", "account-plan", "ok", "", ""),
        (&format!("ebs-key {key} ungranted"), "volume-key", "fail", key, "aws kms create-grant --region us-east-1"),
        (&format!("ebs-key {key} granted"), "volume-key", "ok", "has a grant", ""),
        ("ebs-key none", "volume-key", "ok", "", ""),
        ("clock +2m", "clock", "warn", "behind AWS's", "set the clock"),
        ("clock +10m", "clock", "fail", "behind AWS's", "set the clock"),
        ("clock reset", "clock", "ok", "agrees", ""),
        ("no-bucket media", "buckets", "fail", "no bucket `media`", "aws s3 mb s3://media --region us-east-1"),
        ("bucket media eu-central-1", "buckets", "warn", "in eu-central-1 and the worker in us-east-1", "eu-central-1"),
        ("spot-role none", "spot-role", "ok", "the first launch makes it, and may", ""),
        ("spot-role made", "spot-role", "ok", "is there", ""),
        ("image app:v1 90GiB", "registry", "fail", "does not fit", "local NVMe"),
        ("no-image app:v1", "registry", "fail", "there is no ", "aws ecr "),
        ("quota G=0", "offers", "ok", "on Spot, the cheapest", ""),
        ("quota G=4", "quota", "ok", "4 vCPUs, 0 in use, 4 needed", ""),
    ] {
        aws.weather(weather);
        stands(&aws, name, status, evidence, advice);
    }
    aws.folder.write(".env", "QUEUE=arn:aws:sqs:us-east-1:123456789012:gone\n");
    stands(&aws, "queues", "fail", "no queue `gone`", "aws sqs create-queue --region us-east-1 --queue-name gone");
}

#[test]
fn each_thing_that_is_wrong_with_the_file_is_named_with_what_mends_it() {
    let aws = Served::with(MINIMAL);
    let vpc = aws.boto3("make.py", &["private-vpc"]);
    let private = format!("network: {{vpc: {}}}\n", vpc.as_str().expect("a VPC"));
    for (more, name, status, evidence, advice) in [
        (
            "instance: {max_price: 0.0001, types: [g4dn.xlarge]}\n",
            "offers",
            "fail",
            "under the price cap",
            "--max-price 0.",
        ),
        (
            "instance: {ami: ami-00000000000000000}\n",
            "image",
            "fail",
            "no image `ami-00000000000000000`",
            "dlami-ubuntu-24.04",
        ),
        ("instance: {volume: {size: 30GiB}}\n", "volume", "warn", "30GiB is raised to 75GiB", "size: 75GiB"),
        ("network: {vpc: vpc-00000000000000000}\n", "vpc", "fail", "no VPC `vpc-00000000000000000`", ""),
        ("network: {vpc: vpc-00000000000000000}\n", "subnets", "skip", "check `vpc`", ""),
        (&private, "subnets", "fail", "internet gateway", "network: {vpc: vpc-…, subnets: [subnet-…]}"),
        ("access: {queues: [\"${QUEUE}\"]}\n", "parameters", "fail", "`QUEUE` (access.queues)", "add it to"),
        ("access: {queues: [\"${QUEUE}\"]}\n", "queues", "skip", "needs the check `parameters`", ""),
        (
            "instance: {max_price: 0.01}\n",
            "offers",
            "warn",
            "no price is known to be under 0.01; the cheapest known is g4dn.xlarge in us-east-1",
            "max_price",
        ),
        ("access: {launchers: [nosuchrole]}\n", "launchers", "fail", "no role `nosuchrole` in this account", "make it"),
        ("", "launchers", "ok", "names none", ""),
        ("", "registry", "skip", "not in a private registry of ECR", ""),
    ] {
        aws.folder.write("spotctl.yaml", &format!("{MINIMAL}{more}"));
        stands(&aws, name, status, evidence, advice);
    }
}

#[test]
fn parameters_that_differ_or_are_blank_are_named_by_key_and_never_by_value() {
    let aws = Served::with(MINIMAL);
    aws.folder.write(".env", "A=hush-one\nB=hush-two\n");
    stands(&aws, "parameters", "ok", "2 for /spotctl/w, none is blank, 2 of them yet to be written", "");
    aws.spotctl(&["apply"]).exits(0);
    stands(&aws, "parameters", "ok", "2 under /spotctl/w", "");
    aws.folder.write(".env", "A=hush-three\n");
    stands(&aws, "parameters", "warn", "differs from /spotctl/w in A; B under /spotctl/w", "spotctl params diff");
    stands(&aws, "template", "warn", "update /spotctl/w/A", "spotctl apply");
    aws.folder.write(".env", "A=\"  \"\nB=hush-two\n");
    stands(&aws, "parameters", "fail", "white space under /spotctl/w: A", "spotctl params push");
    aws.spotctl(&["doctor", "-o", "json"]).does_not_say("hush");
}

#[test]
fn an_inbound_rule_fails_until_apply_has_removed_it() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["apply"]).exits(0);
    stands(&aws, "security-group", "ok", "has no inbound rule", "");
    aws.boto3("open_group.py", &["spotctl-w"]);
    stands(&aws, "security-group", "fail", "lets in 22/tcp 0.0.0.0/0", "spotctl apply");
    stands(&aws, "template", "warn", "update spotctl-w", "spotctl apply");
    aws.spotctl(&["apply"]).exits(0);
    stands(&aws, "security-group", "ok", "has no inbound rule", "");
}

#[test]
fn a_profile_that_ec2_does_not_know_yet_is_worth_a_word() {
    let aws = Served::with(MINIMAL);
    stands(&aws, "profile", "ok", "not made yet", "");
    aws.weather("profile-delay 60s");
    aws.spotctl(&["apply"]).exits(0);
    stands(&aws, "profile", "warn", "does not know the instance profile `spotctl-w-us-east-1`", "spotctl apply");
    stands(&aws, "dry-run", "ok", "RunInstances", "");
    aws.weather("profile-delay 0s");
    stands(&aws, "profile", "ok", "EC2 knows `spotctl-w-us-east-1`", "");
}

#[test]
fn a_worker_of_any_stack_past_its_expiry_fails_and_reap_mends_it() {
    let aws = Served::with(MINIMAL);
    aws.weather("clock -10h");
    aws.spotctl(&["up", "--ttl", "1h"]).exits(0);
    aws.weather("clock reset");
    let id = aws.live()[0]["InstanceId"].as_str().expect("an id").to_owned();
    aws.folder.write("spotctl.yaml", &MINIMAL.replace("name: w", "name: another"));
    stands(&aws, "forgotten", "fail", &format!("{id} of `w`, g"), "spotctl reap --all");
    stands(&aws, "forgotten", "fail", " USD an hour", "");
    aws.spotctl(&["reap", "--all"]).exits(0);
    stands(&aws, "forgotten", "ok", "no worker of any stack lives here", "");
}

#[test]
fn what_is_left_of_a_stack_without_its_template_is_named_and_destroy_removes_it() {
    let aws = Served::with(MINIMAL);
    aws.folder.write(".env", "A=1\n");
    aws.spotctl(&["apply"]).exits(0);
    aws.folder.write("spotctl.yaml", &MINIMAL.replace("name: w", "name: another"));
    stands(&aws, "orphans", "ok", "no security group", "");
    for name in ["spotctl-w", "spotctl-w-any-market"] {
        aws.boto3("make.py", &["no-template", name]);
    }
    let destroy = "spotctl destroy --name w --yes";
    stands(&aws, "orphans", "warn", "`w` has security group sg-", destroy);
    stands(&aws, "orphans", "warn", "role spotctl-w-us-east-1, 1 parameter", destroy);
    let words: Vec<&str> = destroy.split(' ').skip(1).collect();
    aws.spotctl(&words).exits(0);
    stands(&aws, "orphans", "ok", "no security group", "");
}

/// Holds [`KEY`] to the operator's policy without these actions.
fn without(aws: &Served, actions: &[&str]) -> Value {
    let mut policy = aws.spotctl(&["render", "policy", "operator"]).exits(0).json();
    for statement in policy["Statement"].as_array_mut().expect("statements") {
        let list = statement["Action"].as_array_mut().expect("actions");
        let is_meant = |action: &str| {
            actions
                .iter()
                .any(|without| without.strip_suffix('*').map_or(action == *without, |all| action.starts_with(all)))
        };
        list.retain(|action| !action.as_str().is_some_and(is_meant));
    }
    let statements = policy["Statement"].as_array_mut().expect("statements");
    statements.retain(|statement| statement["Action"].as_array().is_some_and(|list| !list.is_empty()));
    let run = held_to(aws, &policy, &["doctor", "-o", "json"]);
    assert!([0, 7].contains(&run.code()), "{run}");
    run.json()
}

/// Runs spotctl with [`KEY`], which may do what this policy says.
fn held_to(aws: &Served, policy: &Value, arguments: &[&str]) -> Run {
    let set = ["--endpoint-url", &aws.endpoint, "sandbox", "set", "principal", KEY, &policy.to_string()];
    aws.folder.spotctl(&set).exits(0);
    let mut environment = aws.environment();
    environment.retain(|(name, _)| *name != "AWS_ACCESS_KEY_ID");
    environment.push(("AWS_ACCESS_KEY_ID", KEY));
    aws.folder.spotctl_with(arguments, &environment)
}

fn failed(document: &Value) -> Vec<String> {
    by_status(document).remove("fail").unwrap_or_default().into_iter().collect()
}

#[test]
fn a_caller_whom_up_would_refuse_is_not_well() {
    let aws = furnished();
    let nothing = json!({"Version": "2012-10-17", "Statement": [{"Effect": "Deny", "Action": "*", "Resource": "*"}]});
    let document = held_to(&aws, &nothing, &["doctor", "-o", "json"]).exits(7).json();
    for (name, status, evidence) in [
        ("credentials", "ok", "account 123456789012"),
        // Whichever of its reads answers first.
        ("vpc", "fail", "not permitted: ec2:Describe"),
        ("subnets", "skip", "needs the check `vpc`"),
        ("security-group", "fail", "not permitted: ec2:DescribeSecurityGroups, which `up` calls"),
        ("profile", "fail", "not permitted: iam:GetRole, which `up` calls"),
        ("parameters", "fail", "not permitted: ssm:GetParametersByPath, which `up` calls"),
        ("image", "skip", "needs the check `offers`"),
        ("region", "skip", "not permitted: ec2:DescribeRegions"),
        ("permissions", "skip", "not permitted: iam:SimulatePrincipalPolicy"),
        ("spot-role", "skip", "not permitted: iam:ListRoles"),
    ] {
        let found = check(&document, name);
        assert_eq!(found["status"], status, "{found:#}");
        assert!(found["evidence"].to_string().contains(evidence), "{found:#}");
    }
    assert_eq!(check(&document, "vpc")["advice"], "spotctl render policy operator");
    held_to(&aws, &nothing, &["up"]).exits(5);

    let document = without(&aws, &["iam:*"]);
    assert_eq!(failed(&document), ["profile"], "{document:#}");
    assert_eq!(document["ok"], json!(false));
}

#[test]
fn what_up_does_without_is_no_reason_to_fail() {
    let aws = furnished();
    let document = without(&aws, &["servicequotas:*", "pricing:*", "ec2:DescribeVolumes"]);
    assert_eq!(failed(&document), Vec::<String>::new(), "{document:#}");
    let found = check(&document, "permissions");
    assert_eq!(found["status"], "ok", "{found:#}");
    assert!(found["evidence"].to_string().contains("actions beside those that `dry-run` tries"), "{found:#}");
    let found = check(&document, "quota");
    assert_eq!(found["status"], "skip", "{found:#}");
    assert!(found["evidence"].to_string().contains("not permitted: servicequotas:"), "{found:#}");
}

#[test]
fn one_cause_is_one_failure() {
    let aws = Served::with(MINIMAL);
    let doctor = |more: &str| {
        aws.folder.write("spotctl.yaml", &format!("{MINIMAL}{more}"));
        aws.spotctl(&["doctor", "-o", "json"]).exits(7).json()
    };
    let document = doctor("instance: {types: [g4dn.xlrage]}\n");
    assert_eq!(failed(&document), ["offers"], "{document:#}");
    assert_eq!(check(&document, "image")["evidence"], "needs the check `offers`");
    let document = doctor("access: {queues: [\"${QUEUE}\"], buckets: {\"${BUCKET}\": read}}\n");
    assert_eq!(failed(&document), ["parameters"], "{document:#}");
    aws.folder.write(".env", "A=1\nSECRET=\n");
    let document = doctor("");
    assert_eq!(failed(&document), ["parameters"], "{document:#}");
    let found = check(&document, "parameters");
    assert!(found["evidence"].to_string().contains(":2: `SECRET` has no value"), "{found:#}");
    assert_eq!(check(&document, "credentials")["status"], "ok");
    assert_eq!(check(&document, "template")["evidence"], "needs the check `parameters`");
    aws.spotctl(&["up"]).exits(2);
    aws.folder.write(".env", "A=1\n");

    // An account without GPU types is not one that may launch them.
    aws.weather("free-plan on");
    let document = doctor("");
    assert_eq!(failed(&document), ["account-plan"], "{document:#}");
    let tried = check(&document, "dry-run")["evidence"].to_string();
    assert!(tried.contains("; RunInstances fails before (check `account-plan`)"), "{tried}");
    assert!(!tried.contains("permits RunInstances") && !tried.contains(", RunInstances"), "{tried}");
}

#[test]
fn room_for_an_image_is_where_docker_has_its_data() {
    let aws = furnished();
    aws.weather("image app:v1 20GiB");
    for (types, status, evidence, advice) in [
        ("g4dn.xlarge", "ok", "about 50 GiB unpacked, about 116 of the local NVMe's 125 GB free", ""),
        ("c5.large", "fail", "about 25 of the volume's 75 GiB free: it does not fit", "volume: {size: 100GiB}"),
    ] {
        aws.folder.write("spotctl.yaml", &FULL.replace("instance: {", &format!("instance: {{types: [{types}], ")));
        stands(&aws, "registry", status, evidence, advice);
    }
}

#[test]
fn the_fallbacks_quota_is_asked_for_by_its_own_code() {
    let file = format!("{MINIMAL}instance: {{types: [g4dn.xlarge], on_demand_fallback: true, max_price: 1.00}}\n");
    let aws = Served::with(&file);
    aws.weather("quota L-DB2E81BA=0");
    stands(&aws, "quota", "warn", "L-DB2E81BA", "spotctl quota request --code L-DB2E81BA");
    let document = aws.spotctl(&["quota", "request", "--code", "L-DB2E81BA", "-o", "json"]).exits(0).json();
    assert!(document.to_string().contains("L-DB2E81BA"), "{document:#}");
}

#[test]
fn the_operators_policy_sees_everything_and_without_an_action_its_check_says_which() {
    let aws = furnished();
    let document = without(&aws, &[]);
    assert_eq!(by_status(&document).keys().collect::<Vec<_>>(), ["ok"], "{document:#}");

    // Nothing that `up` needs: the checks cannot see, and nothing fails.
    let document = without(
        &aws,
        &[
            "servicequotas:GetServiceQuota",
            "iam:SimulatePrincipalPolicy",
            "ec2:GetEbsEncryptionByDefault",
            "iam:ListRoles",
            "ecr:DescribeImages",
            "sqs:GetQueueUrl",
            "ec2:DescribeRegions",
            "sts:DecodeAuthorizationMessage",
            "pricing:GetProducts",
        ],
    );
    for (name, action) in [
        ("quota", "servicequotas:GetServiceQuota"),
        ("permissions", "iam:SimulatePrincipalPolicy"),
        ("volume-key", "ec2:GetEbsEncryptionByDefault"),
        ("registry", "ecr:DescribeImages"),
        ("queues", "sqs:GetQueueUrl"),
        ("region", "ec2:DescribeRegions"),
    ] {
        let found = check(&document, name);
        assert_eq!(found["status"], "skip", "{found:#}");
        assert!(found["evidence"].to_string().contains(&format!("not permitted: {action}")), "{found:#}");
        assert_eq!(found["advice"], "spotctl render policy operator");
    }
    let orphans = check(&document, "orphans");
    assert!(orphans["evidence"].to_string().contains("not looked at: roles (iam:ListRoles)"), "{orphans:#}");
    assert_eq!(document["ok"], json!(true), "{document:#}");

    // Something that `up` needs: EC2 and the simulator both say so, and name it.
    let document = without(&aws, &["ec2:RunInstances", "iam:PassRole"]);
    assert_eq!(document["ok"], json!(false));
    let found = check(&document, "dry-run");
    assert_eq!(found["status"], "fail", "{found:#}");
    assert!(found["evidence"].to_string().contains("RunInstances needs ec2:RunInstances on arn:aws:ec2:"), "{found:#}");
    let found = check(&document, "permissions");
    assert_eq!(found["status"], "fail", "{found:#}");
    assert!(
        found["evidence"].to_string().contains("iam:PassRole on arn:aws:iam::123456789012:role/spotctl-w-us-east-1")
    );
}

#[test]
fn an_account_without_the_spot_role_fails_whoever_may_not_make_it() {
    let aws = furnished();
    aws.weather("spot-role none");
    let document = without(&aws, &["iam:CreateServiceLinkedRole"]);
    let found = check(&document, "spot-role");
    assert_eq!(found["status"], "fail", "{found:#}");
    assert!(found["advice"].to_string().contains("aws iam create-service-linked-role"), "{found:#}");
    let document = without(&aws, &["iam:CreateServiceLinkedRole", "iam:SimulatePrincipalPolicy"]);
    assert_eq!(check(&document, "spot-role")["status"], "warn");
}

#[test]
fn without_credentials_one_check_fails_and_the_others_are_not_seen() {
    let aws = Served::with(MINIMAL);
    let environment = [("AWS_ENDPOINT_URL", aws.endpoint.as_str()), ("AWS_REGION", "us-east-1")];
    let document = aws.folder.spotctl_with(&["doctor", "-o", "json"], &environment).exits(7).json();
    let found = check(&document, "credentials");
    assert_eq!(found["status"], "fail");
    assert!(found["advice"].to_string().contains("AWS_ACCESS_KEY_ID"), "{found:#}");
    let evidence = found["evidence"].as_str().unwrap_or_default();
    assert!(evidence.contains("no AWS credentials") && !evidence.contains('\n'), "{found:#}");
    let all = by_status(&document);
    assert_eq!(all["fail"], BTreeSet::from(["credentials".to_owned()]), "{document:#}");
    // What needs no call needs no credentials.
    assert_eq!(all["ok"], ["buckets", "launchers", "queues", "user-data"].map(str::to_owned).into(), "{document:#}");
}

#[test]
fn a_region_that_is_not_enabled_is_said_to_be_so() {
    let aws = Served::with(MINIMAL);
    let run = aws.spotctl(&["--region", "us-eest-1", "doctor", "--only", "region"]).exits(7);
    assert!(run.stdout().contains("us-eest-1 does not exist, or this account has not enabled it"), "{run}");
    assert!(run.stdout().contains("did you mean us-east-1"), "{run}");

    // AWS says of such a region that the credentials are wrong.
    aws.weather("region us-west-2 off");
    let document = aws.spotctl(&["--region", "us-west-2", "doctor", "-o", "json"]).exits(7).json();
    assert_eq!(failed(&document), ["region"], "{document:#}");
    let found = check(&document, "region");
    assert_eq!(found["evidence"], "us-west-2 is not enabled in this account");
    assert_eq!(found["advice"], "aws account enable-region --region-name us-west-2");
    for name in ["credentials", "vpc", "offers", "quota"] {
        assert_eq!(check(&document, name)["evidence"], "region us-west-2 is not enabled", "{document:#}");
    }
    let only = ["--region", "us-west-2", "doctor", "--only", "credentials"];
    let run = aws.spotctl(&only).exits(7);
    assert!(run.stdout().contains("us-west-2 is not enabled in this account"), "{run}");
}

#[test]
fn a_check_that_does_not_exist_and_a_file_that_is_wrong_are_mistakes() {
    let aws = Served::with(MINIMAL);
    aws.spotctl(&["doctor", "--only", "qouta"])
        .exits(2)
        .says("no check `qouta`")
        .says("did you mean quota")
        .says("orphans");
    let document = aws.spotctl(&["doctor", "--skip", "clock,qouta", "-o", "json"]).exits(2).json();
    assert_eq!(document["error"]["kind"], "usage");
    assert!(document["error"]["hints"].to_string().contains("did you mean quota"), "{document:#}");
    let document = aws.spotctl(&["doctor", "--only", "quota,clock", "--skip", "quota", "-o", "json"]).exits(0).json();
    assert_eq!(column(&document, "checks", "name"), ["clock"]);

    Folder::new().spotctl(&["doctor"]).exits(2).says("spotctl init");
    Folder::with("name: w\ncontainer: {imag: i}\n").spotctl(&["doctor"]).exits(2).says("did you mean");
}

#[test]
fn an_aws_that_does_not_answer_fails_what_needs_it_and_says_so() {
    let aws = Served::with(MINIMAL);
    let environment = [
        ("AWS_ENDPOINT_URL", "http://127.0.0.1:1"),
        ("AWS_ACCESS_KEY_ID", "x"),
        ("AWS_SECRET_ACCESS_KEY", "x"),
        ("AWS_REGION", "us-east-1"),
        ("AWS_MAX_ATTEMPTS", "1"),
    ];
    let run = aws.folder.spotctl_with(&["doctor", "--only", "credentials,clock"], &environment).exits(7);
    assert!(run.stdout().contains("no answer to GetCallerIdentity"), "{run}");
    assert!(run.stdout().contains("skip  clock"), "{run}");
    let document = aws.folder.spotctl_with(&["doctor", "-o", "json"], &environment).exits(7).json();
    assert_eq!(failed(&document), ["credentials"], "{document:#}");
    assert!(check(&document, "credentials")["evidence"].to_string().contains("http://127.0.0.1:1"), "{document:#}");
    assert_eq!(check(&document, "vpc")["evidence"], "AWS does not answer (check `credentials`)");
    let run = aws.folder.spotctl_with(&["doctor", "--only", "vpc"], &environment).exits(7);
    assert!(run.stdout().contains("fail  vpc"), "{run}");
}
