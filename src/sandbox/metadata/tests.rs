//! What a box reads of itself, with which token, and until when.

use serde_json::Value;

use super::*;
use crate::sandbox::ec2::asking::{IMAGE, START};
use crate::sandbox::route;
use crate::sandbox::weather;

const TRUST: &str = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Principal%22%3A%22*%22%7D%7D";

/// A Spot instance that shows its tags and has a role, and the clock.
struct Worker {
    world: World,
    id: String,
    at: i64,
}

impl Worker {
    fn new(launch: &str) -> Self {
        let mut it = Self { world: World::default(), id: String::new(), at: START };
        it.call("iam", &format!("Action=CreateRole&RoleName=r&AssumeRolePolicyDocument={TRUST}"));
        it.call("iam", "Action=CreateInstanceProfile&InstanceProfileName=p");
        it.call("iam", "Action=AddRoleToInstanceProfile&InstanceProfileName=p&RoleName=r");
        it.at += 1;
        let data = format!(
            "LaunchTemplateName=lot&LaunchTemplateData.ImageId={IMAGE}&LaunchTemplateData.InstanceType=g4dn.xlarge\
             &LaunchTemplateData.IamInstanceProfile.Name=p&LaunchTemplateData.UserData=IyEvYmluL3NoCg%3D%3D"
        );
        it.call("ec2", &format!("Action=CreateLaunchTemplate&{data}"));
        let answer = it.call(
            "ec2",
            &format!(
                "Action=RunInstances&LaunchTemplate.LaunchTemplateName=lot&MinCount=1&MaxCount=1\
                 &InstanceMarketOptions.MarketType=spot&TagSpecification.1.ResourceType=instance\
                 &TagSpecification.1.Tag.1.Key=spotctl:stack&TagSpecification.1.Tag.1.Value=w&{launch}"
            ),
        );
        it.id = between(&answer, "<instanceId>").to_owned();
        it
    }

    fn usual() -> Self {
        Self::new("MetadataOptions.HttpTokens=required&MetadataOptions.InstanceMetadataTags=enabled")
    }

    fn now(&self) -> Timestamp {
        Timestamp::from_second(self.at).unwrap()
    }

    fn call(&mut self, service: &str, body: &str) -> String {
        let scope = format!("AWS4-HMAC-SHA256 Credential=AK/20270115/us-east-1/{service}/aws4_request, Signature=0");
        let request = Request::post("/").header("authorization", scope).body(Bytes::from(body.to_owned())).unwrap();
        let now = self.now();
        let response = route::answer(&mut self.world, &request, now);
        let text = String::from_utf8(response.body().to_vec()).unwrap();
        assert_eq!(response.status(), 200, "{body}: {text}");
        text
    }

    /// Status and body, or nothing where nobody answers.
    fn ask(&mut self, method: Method, path: &str, headers: &[(&str, &str)], body: &str) -> Option<(u16, String)> {
        let mut request = Request::builder().method(method).uri(format!("{DOOR}{}/{path}", self.id));
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(Bytes::from(body.to_owned())).unwrap();
        let now = self.now();
        match answer(&mut self.world, &request, now) {
            Reply::Answer(response) => {
                Some((response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap()))
            }
            Reply::Dropped | Reply::Refused | Reply::Truncated(_) => None,
        }
    }

    fn token(&mut self, ttl: &str) -> String {
        let (status, token) = self.ask(Method::PUT, "latest/api/token", &[(TOKEN_TTL, ttl)], "").unwrap();
        assert_eq!(status, 200);
        token
    }

    fn get(&mut self, path: &str) -> (u16, String) {
        let token = self.token("60");
        self.ask(Method::GET, path, &[(TOKEN, &token)], "").unwrap()
    }

    fn json(&mut self, path: &str) -> Value {
        let (status, text) = self.get(path);
        assert_eq!(status, 200, "{path}: {text}");
        serde_json::from_str(&text).unwrap()
    }

    fn weather(&mut self, words: &str) {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let now = self.now();
        weather::set(&mut self.world, &words, now).unwrap();
    }
}

fn between<'a>(text: &'a str, tag: &str) -> &'a str {
    text.split(tag).nth(1).unwrap_or_else(|| panic!("no {tag} in {text}")).split('<').next().unwrap()
}

#[test]
fn a_token_is_asked_for_with_a_time_and_holds_so_long_on_its_own_instance() {
    let mut it = Worker::usual();
    for (ttl, status) in [("1", 200), ("21600", 200), ("0", 400), ("21601", 400), ("-1", 400), ("x", 400), ("", 400)] {
        let (answered, _) = it.ask(Method::PUT, "latest/api/token", &[(TOKEN_TTL, ttl)], "").unwrap();
        assert_eq!(answered, status, "`{ttl}`");
    }
    assert_eq!(it.ask(Method::PUT, "latest/api/token", &[], "").unwrap().0, 400);
    let proxied = [(TOKEN_TTL, "60"), ("x-forwarded-for", "192.0.2.1")];
    assert_eq!(it.ask(Method::PUT, "latest/api/token", &proxied, "").unwrap().0, 403);

    let token = it.token("10");
    let id =
        |it: &mut Worker, headers: &[(&str, &str)]| it.ask(Method::GET, "latest/meta-data/instance-id", headers, "");
    assert_eq!(id(&mut it, &[(TOKEN, &token)]), Some((200, it.id.clone())));
    assert_eq!(id(&mut it, &[]).unwrap().0, 401);
    assert_eq!(id(&mut it, &[(TOKEN, "AQAEAA==")]).unwrap().0, 401);
    let foreign = super::token("i-00000000000000000", START + 1000);
    assert_eq!(id(&mut it, &[(TOKEN, &foreign)]).unwrap().0, 401);
    it.at += 10;
    assert_eq!(id(&mut it, &[(TOKEN, &token)]).unwrap().0, 401);
}

#[test]
fn the_options_of_the_instance_say_whether_a_token_is_needed_and_whether_anything_is_told() {
    for (launch, without, with_a_wrong_one) in [
        ("MetadataOptions.HttpTokens=required", 401, 401),
        ("MetadataOptions.HttpTokens=optional", 200, 401),
        ("", 200, 401),
        ("MetadataOptions.HttpEndpoint=disabled", 403, 403),
    ] {
        let mut it = Worker::new(launch);
        let mut get = |headers: &[(&str, &str)]| it.ask(Method::GET, "latest/meta-data/mac", headers, "").unwrap().0;
        assert_eq!((get(&[]), get(&[(TOKEN, "x")])), (without, with_a_wrong_one), "{launch}");
    }
}

#[test]
fn a_box_reads_what_it_is() {
    let mut it = Worker::usual();
    let id = it.id.clone();
    for (path, wanted) in [
        ("latest", "dynamic\nmeta-data\nuser-data"),
        (
            "latest/meta-data/",
            "ami-id\niam/\ninstance-id\ninstance-life-cycle\ninstance-type\nlocal-ipv4\nmac\nplacement/\npublic-ipv4\ntags/",
        ),
        ("latest/meta-data/instance-id", id.as_str()),
        ("latest/meta-data/instance-type", "g4dn.xlarge"),
        ("latest/meta-data/instance-life-cycle", "spot"),
        ("latest/meta-data/local-ipv4", "172.31.0.4"),
        ("latest/meta-data/public-ipv4", "203.0.113.1"),
        ("latest/meta-data/mac", "0e:5b:ac:1f:00:04"),
        ("latest/meta-data/placement/availability-zone", "us-east-1a"),
        ("latest/meta-data/placement/availability-zone/", "us-east-1a"),
        ("latest/meta-data/placement/region", "us-east-1"),
        ("latest/meta-data/placement", "availability-zone\nregion"),
        ("latest/meta-data/iam/security-credentials/", "r"),
        ("latest/meta-data/iam/security-credentials", "r"),
        ("latest/meta-data/tags/", "instance/"),
        ("latest/meta-data/tags/instance", "aws:ec2launchtemplate:id\naws:ec2launchtemplate:version\nspotctl:stack"),
        ("latest/meta-data/tags/instance/spotctl:stack", "w"),
        ("latest/meta-data/tags/instance/spotctl%3Astack", "w"),
        ("latest/meta-data/tags/instance/aws:ec2launchtemplate:version", "1"),
        ("latest/dynamic/instance-identity/", "document"),
        ("latest/user-data", "#!/bin/sh\n"),
    ] {
        assert_eq!(it.get(path), (200, wanted.to_owned()), "{path}");
    }
    for path in [
        "latest/meta-data/nonsense",
        "latest/meta-data/inst",
        "latest/meta-data/events/recommendations/rebalance",
        "latest/meta-data/iam/security-credentials/other",
        "latest/meta-data/spot/instance-action",
        "1.0/meta-data/instance-id",
        "",
    ] {
        assert_eq!(it.get(path).0, 404, "{path}");
    }
    let document = it.json("latest/dynamic/instance-identity/document");
    for (field, wanted) in [
        ("instanceId", id.as_str()),
        ("accountId", "123456789012"),
        ("region", "us-east-1"),
        ("architecture", "x86_64"),
        ("privateIp", "172.31.0.4"),
        ("pendingTime", "2027-01-15T08:00:01Z"),
        ("version", "2017-09-30"),
    ] {
        assert_eq!(document[field], wanted, "{field}");
    }
    assert_eq!(it.ask(Method::POST, "latest/meta-data/instance-id", &[], "").unwrap().0, 405);
}

#[test]
fn tags_are_told_only_where_the_instance_was_launched_so() {
    let mut it = Worker::new("MetadataOptions.InstanceMetadataTags=disabled");
    for path in ["latest/meta-data/tags/instance", "latest/meta-data/tags/instance/spotctl:stack"] {
        assert_eq!(it.get(path).0, 404, "{path}");
    }
}

#[test]
fn credentials_are_those_of_the_role_and_new_before_the_old_ones_expire() {
    let mut it = Worker::usual();
    let path = "latest/meta-data/iam/security-credentials/r";
    let first = it.json(path);
    assert_eq!((&first["Code"], &first["Type"]), (&"Success".into(), &"AWS-HMAC".into()));
    let key = first["AccessKeyId"].as_str().unwrap().to_owned();
    assert!(key.starts_with("ASIA") && key.len() == 20, "{key}");
    assert_eq!(first["SecretAccessKey"].as_str().unwrap().len(), 40);
    assert_eq!(first["Expiration"], "2027-01-15T09:00:01Z");
    let session = it.world.sessions[&key].clone();
    assert_eq!((session.role.as_str(), &session.instance), ("r", &it.id));
    it.at += 2699;
    assert_eq!(it.json(path), first, "fresh");
    it.at += 1;
    let second = it.json(path);
    assert_ne!(second["AccessKeyId"], first["AccessKeyId"], "about to expire");
    assert_eq!(it.world.sessions.len(), 2, "the old one is remembered");
    let info = it.json("latest/meta-data/iam/info");
    assert_eq!(info["InstanceProfileArn"], "arn:aws:iam::123456789012:instance-profile/p");
    it.call("iam", "Action=RemoveRoleFromInstanceProfile&InstanceProfileName=p&RoleName=r");
    assert_eq!(it.get(path).0, 404);
}

#[test]
fn an_interruption_is_announced_two_minutes_before_the_box_is_gone() {
    let mut it = Worker::usual();
    it.weather(&format!("interrupt {}", it.id.clone()));
    it.at += 60;
    let path = "latest/meta-data/spot/instance-action";
    assert_eq!(it.get(path).1, r#"{"action":"terminate","time":"2027-01-15T08:02:01Z"}"#);
    assert_eq!(it.get("latest/meta-data/spot/termination-time").1, "2027-01-15T08:02:01Z");
    it.at += 60;
    assert_eq!(it.ask(Method::GET, path, &[], ""), None);
}

#[test]
fn who_ends_or_never_was_answers_nothing() {
    let mut it = Worker::usual();
    let id = it.id.clone();
    it.call("ec2", &format!("Action=TerminateInstances&InstanceId.1={id}"));
    assert_eq!(it.ask(Method::PUT, "latest/api/token", &[(TOKEN_TTL, "60")], ""), None, "shutting down");
    it.id = "i-00000000000000000".to_owned();
    assert_eq!(it.ask(Method::PUT, "latest/api/token", &[(TOKEN_TTL, "60")], ""), None, "unknown");
}

#[test]
fn what_the_box_writes_stands_behind_its_boot_and_of_much_the_end_is_kept() {
    let mut it = Worker::usual();
    it.at += 10;
    let console = |it: &mut Worker| {
        let id = it.id.clone();
        let answer = it.call("ec2", &format!("Action=GetConsoleOutput&InstanceId={id}"));
        String::from_utf8(STANDARD.decode(between(&answer, "<output>")).unwrap()).unwrap()
    };
    assert!(console(&mut it).contains("user data is not run"));
    for line in ["one\n", "tw\u{f6}\n"] {
        assert_eq!(it.ask(Method::POST, "console", &[], line), Some((200, String::new())));
    }
    let text = console(&mut it);
    assert!(text.ends_with("login:\r\none\ntw\u{f6}\n") && !text.contains("user data is not run"), "{text}");
    it.ask(Method::POST, "console", &[], &"\u{f6}".repeat(40_000));
    it.ask(Method::POST, "console", &[], "!");
    let kept = &it.world.regions["us-east-1"].ec2.instances[&it.id].console;
    assert_eq!(kept.len(), 65_535, "whole characters only");
    let text = console(&mut it);
    assert!(text.len() == 65_536 && text.ends_with("\u{f6}!"), "{}", text.len());
}

#[test]
fn a_box_that_shuts_down_is_terminated_where_it_was_launched_so() {
    let mut it = Worker::new("");
    assert_eq!(it.ask(Method::POST, "shutdown", &[], "").unwrap().0, 501, "it would stop");
    assert_eq!(it.get("latest/meta-data/instance-id").0, 200, "it still runs");
    let mut it = Worker::new("InstanceInitiatedShutdownBehavior=terminate");
    assert_eq!(it.ask(Method::POST, "shutdown", &[], ""), Some((200, String::new())));
    assert_eq!(it.ask(Method::POST, "shutdown", &[], ""), None, "it ends already");
    let id = it.id.clone();
    let told = it.call("ec2", &format!("Action=DescribeInstances&InstanceId.1={id}"));
    for part in [
        "<name>shutting-down</name>",
        "<code>Client.InstanceInitiatedShutdown</code>",
        "<message>Client.InstanceInitiatedShutdown: Instance initiated shutdown</message>",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let requests = it.call("ec2", "Action=DescribeSpotInstanceRequests");
    assert!(requests.contains("<code>instance-terminated-by-user</code>"), "{requests}");
    it.at += 2;
    let told = it.call("ec2", &format!("Action=DescribeInstances&InstanceId.1={id}"));
    assert!(told.contains("<name>terminated</name>"), "{told}");
}
