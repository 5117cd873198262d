//! What the file's contract refuses and takes, rule by rule, by nothing but what callers see.

use super::*;

/// The lines that `parse` finds something on, with the keys.
fn found(text: &str) -> Vec<(u64, String)> {
    let Err(findings) = parse(text, Path::new("spotctl.yaml")) else { return Vec::new() };
    let json = findings.to_json();
    let rows = json.as_array().unwrap().iter();
    rows.map(|row| (row["line"].as_u64().unwrap(), row["key"].as_str().unwrap().to_owned())).collect()
}

/// A whole file with `line` in it: in its section where it is indented, else at the top.
fn file(line: &str) -> String {
    match line.split_once('.') {
        Some(("container", rest)) => format!("name: w\ncontainer:\n  image: i\n  {rest}\n"),
        Some((section, rest)) => format!("name: w\ncontainer: {{image: i}}\n{section}:\n  {rest}\n"),
        None => format!("name: w\ncontainer: {{image: i}}\n{line}\n"),
    }
}

const REFUSED: &[&str] = &[
    "container.gpus: -1",
    "container.gpus: 1.5",
    "container.gpus: al",
    "container.env: {1X: y}",
    "container.env: {DOCKER_HOST: y}",
    "container.env: {A: [x]}",
    "container.env: {A: \"${B-C}\"}",
    "container.parameters: some",
    "container.parameters: [a-b]",
    "container.parameters: [DOCKER_CONFIG]",
    "container.args: [-d]",
    "container.args: [--detach=true]",
    "container.args: [-it]",
    "container.args: [-i]",
    "container.args: [-t]",
    "container.args: [--tty]",
    "container.args: [--interactive]",
    "container.args: [-dit]",
    "container.args: [-eA=b]",
    "container.args: [-e, A=b]",
    "container.args: [--env, A=b]",
    "container.args: [--env=A=b]",
    "container.args: [--env-file=x]",
    "container.args: [--name, x]",
    "container.args: [--rm]",
    "container.args: [--gpus, all]",
    "container.args: [--stop-timeout=1]",
    "container.args: [\"--label=${SECRET}\"]",
    "container.args: --network=host",
    "container.command: [\"${SECRET}\"]",
    "container.command: run",
    "container.stop_timeout: 90",
    "container.stop_timeout: never",
    "parameters.path: a/b",
    "parameters.path: /aws/x",
    "parameters.plain: JOB",
    "parameters.plain: [a-b]",
    "parameters.kms_key: \"my key\"",
    "instance.types: g4dn.xlarge",
    "instance.types: []",
    "instance.types: [G4DN.XLARGE]",
    "instance.gpus: 0",
    "instance.gpu_memory: 16",
    "instance.gpu_memory: 16GB",
    "instance.vcpus: 0",
    "instance.vcpus: \"4\"",
    "instance.memory: 16",
    "instance.memory: 0GiB",
    "instance.arch: x86",
    "instance.arch: [arm64]",
    "instance.exclude: g4dn.*",
    "instance.exclude: [g4dn]",
    "instance.exclude: [G4DN.*]",
    "instance.exclude: [\"*\"]",
    "instance.exclude: [\"*.*\"]",
    "instance.exclude: [\"\"]",
    "instance.types: [g4dn.xlarge, g4dn.2xlarge]\n  exclude: [g4dn.*]",
    "instance.max_price: 0",
    "instance.max_price: -0.40",
    "instance.max_price: 1e-1",
    "instance.max_price: \"$0.40\"",
    "instance.on_demand_fallback: true",
    "instance.on_demand_fallback: yess",
    "instance.ami: ami-xyz",
    "instance.ami: ssm:path",
    "instance.volume: {type: io2}",
    "instance.volume: {size: 0GiB}",
    "instance.volume: {size: 70000GiB}",
    "instance.volume: {type: gp2, size: 20000GiB}",
    "instance.volume: {type: gp2, iops: 3000}",
    "instance.volume: {type: gp2, throughput: 125}",
    "instance.volume: {iops: 100}",
    "instance.volume: {iops: 90000}",
    "instance.volume: {throughput: 124}",
    "instance.volume: {throughput: 2001}",
    "network.vpc: main",
    "network.vpc: {a: b, c: d}",
    "network.vpc: {}",
    "network.subnets: private",
    "network.subnets: []",
    "network.subnets: [vpc-0123456789abcdef0]",
    "network.egress: none",
    "network.egress: [443]",
    "network.egress: [443/tcp, 0/udp]",
    "network.egress: [443/tcp, 70000/tcp]",
    "lifetime.max: 8",
    "lifetime.max: forever",
    "lifetime.idle: -15m",
    "lifetime.boot: 0s",
    "access.queues: [jobs]",
    "access.queues: https://sqs.eu-west-1.amazonaws.com/123456789012/jobs",
    "access.buckets: {models: readwrite}",
    "access.buckets: {Models: read}",
    "access.buckets: [models]",
    "access.session_manager: maybe",
    "access.launchers: [\"arn:aws:iam::123456789012:user/x\"]",
    "access.launchers: [\"a role\"]",
    "access.statements: [{Effect: Allow, Action: \"*\"}]",
    "access.statements: [{Effect: Permit, Action: \"*\", Resource: \"*\"}]",
    "access.statements: [text]",
    "tags: {\"aws:x\": y}",
    "tags: {\"spotctl:x\": y}",
    "tags: {\"a b\": y}",
    "tags: {\"a/b\": y}",
    "tags: {Role: [x]}",
    "tags: [Role]",
    "region: us-east-1a",
    "region: US-EAST-1",
    "regoin: us-east-1",
    "lifetime: 8h",
];

const TAKEN: &[&str] = &[
    "container.gpus: 2",
    "container.gpus: none",
    "container.env: {A: 1, B: true, C: 1.50, D: \"${AWS_REGION}\", E: \"${SECRET}\", F: \"\"}",
    "container.parameters: [A, B]",
    "container.args: [--network, host, --shm-size=1g, -v, \"/a:/b\", --label=x=y]",
    "container.args: [\"--label=${AWS_REGION}\"]",
    "container.command: [run, --name, x, -e, \"--in=${AWS_ACCOUNT_ID}\"]",
    "container.stop_timeout: 1m30s",
    "parameters.path: /oncetime/worker-gpu",
    "parameters.kms_key: alias/mine",
    "parameters.kms_key: \"arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef\"",
    "instance.types: [g4dn.xlarge, u-6tb1.56xlarge]",
    "instance.vcpus: 8",
    "instance.memory: 32 GiB",
    "instance.arch: x86_64",
    "instance.arch: arm64",
    "instance.exclude: []",
    "instance.exclude: [g4dn.xlarge, g5.*, \"*.metal\", \"g?e.*\", g6*]",
    "instance.types: [g4dn.xlarge, g5.xlarge]\n  exclude: [g4dn.*]",
    "instance.max_price: 0.40",
    "instance.max_price: \"0.40\"",
    "instance.max_price: 1",
    "instance.ami: ami-0123456789abcdef0",
    "instance.ami: ssm:/images/worker",
    "instance.ami: dlami-al2023",
    "instance.volume: {type: gp2}",
    "instance.volume: {type: gp3, size: 100GiB, iops: 16000, throughput: 1000}",
    "network.vpc: vpc-0123456789abcdef0",
    "network.vpc: {Name: main}",
    "network.subnets: [subnet-0123456789abcdef0]",
    "network.egress: [443/tcp, 53/udp]",
    "lifetime.max: none",
    "lifetime.idle: 1h30m",
    "access.queues: [\"${Q}\", \"arn:aws:sqs:us-east-1:123456789012:jobs.fifo\", \"https://sqs.us-east-1.amazonaws.com/123456789012/jobs\"]",
    "access.buckets: {models: read, \"${B}\": write, results.example: read-write}",
    "access.launchers: [api, \"arn:aws:iam::123456789012:role/service/api\"]",
    "access.statements: [{Effect: Allow, Action: \"s3:GetObject\", Resource: \"arn:aws:s3:::x/*\"}]",
    "tags: {Role: worker-gpu, Count: 3}",
    "region: us-gov-west-1",
    "lifetime:",
];

#[test]
fn each_impossible_value_is_one_finding_on_its_line() {
    let mut wrong = Vec::new();
    for line in REFUSED {
        let text = file(line);
        let last = text.lines().count() as u64;
        let found = found(&text);
        if found.len() != 1 || found[0].0 != last {
            wrong.push(format!("{line}: {found:?}"));
        }
    }
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn what_the_contract_allows_is_taken() {
    let wrong: Vec<String> = TAKEN
        .iter()
        .filter_map(|line| Some(format!("{line}: {}", parse(&file(line), Path::new("x")).err()?.render(false))))
        .collect();
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn programs_get_the_files_name_with_each_finding() {
    let findings = parse("name: W\n", Path::new("dir/spotctl.yaml")).unwrap_err();
    for row in findings.to_json().as_array().unwrap() {
        assert_eq!(row["file"], "dir/spotctl.yaml");
        let mut keys: Vec<&str> = row.as_object().unwrap().keys().map(String::as_str).collect();
        keys.sort_unstable();
        assert_eq!(keys, ["column", "file", "hint", "key", "line", "message"]);
    }
}

#[test]
fn a_value_behind_an_alias_is_read_where_it_is_defined() {
    let text = "name: w\ncontainer: {image: i, env: {PRICE: &p 0.40}}\ninstance: {max_price: *p}\n";
    assert_eq!(parse(text, Path::new("x")).unwrap().instance.max_price.unwrap().to_string(), "0.40");
}

#[test]
fn two_mistakes_in_one_place_do_not_hide_others() {
    let text =
        "\u{feff}name: W\r\nname: w\r\nunknown: 1\r\ncontainer: {image: i, gpus: x, gpus: 2}\r\ntags: {a b: x}\r\n";
    let lines: Vec<u64> = found(text).into_iter().map(|(line, _)| line).collect();
    assert_eq!(lines, [1, 2, 3, 4, 4, 5]);
}

#[test]
fn a_secret_in_the_file_is_refused_and_not_shown_by_any_finding() {
    for value in ["hush", "\"hush\"", "'hush hush'", "hüsh-hush", "|\n      hush\n      hush"] {
        let text = format!(
            "name: w\ncontainer:\n  image: i\n  env:\n    AWS_SECRET_ACCESS_KEY: {value}\n    1X: y\nregoin: x\n"
        );
        let findings = parse(&text, Path::new("x")).unwrap_err();
        let shown = format!("{}{}{}{findings:?}", findings.render(false), findings.render(true), findings.to_json());
        assert_eq!(findings.len(), 3, "{shown}");
        assert!(!shown.contains("hush"), "{shown}");
    }
    let line = "name: w\ncontainer: {image: i, env: {AWS_SESSION_TOKEN: hush, 1X: y}}\n";
    assert!(!parse(line, Path::new("x")).unwrap_err().render(false).contains("hush"));
}
