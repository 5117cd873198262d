//! Roads to AWS that are no plain internet: TLS by a CA of one's own, a proxy, IPv6; and what is wrong at this end: clock, credentials.

use std::fs;
use std::io::{BufRead, BufReader};
use std::process::{Child, Stdio};

use serde_json::Value;

use super::faults::census::Census;
use super::support::{Folder, MINIMAL, Served, python_command};

/// `relay.py`, running before a served sandbox.
struct Relay {
    process: Child,
    port: String,
    folder: Folder,
}

impl Relay {
    fn before(upstream: &str, way: &str) -> Self {
        let folder = Folder::new();
        let port = upstream.rsplit(':').next().expect("a port").to_owned();
        let path = folder.path().to_str().expect("a path in UTF-8");
        let mut process = python_command("relay.py", &[way, &port, path], &[])
            .stdout(Stdio::piped())
            .spawn()
            .expect("running the relay");
        let mut line = String::new();
        let stdout = process.stdout.take().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut line).expect("the port on the first line");
        let said: serde_json::Value = serde_json::from_str(&line).expect("the relay listens");
        Self { process, port: said["port"].to_string(), folder }
    }

    fn file(&self, name: &str) -> String {
        self.folder.path().join(name).to_str().expect("a path in UTF-8").to_owned()
    }

    /// What came through the proxy until now, a line a connection.
    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.file("proxy.log")).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }
}

impl Drop for Relay {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const KEYS: [(&str, &str); 3] =
    [("AWS_ACCESS_KEY_ID", "test"), ("AWS_SECRET_ACCESS_KEY", "test"), ("AWS_REGION", "us-east-1")];

#[test]
fn a_ca_of_ones_own_is_trusted_where_it_is_named_and_the_way_to_name_it_is_told_where_it_is_not() {
    let aws = Served::with(MINIMAL);
    let tls = Relay::before(&aws.endpoint, "tls");
    let (endpoint, ca) = (format!("https://127.0.0.1:{}", tls.port), tls.file("ca.pem"));
    let status = |more: &[(&str, &str)]| {
        let environment = [&KEYS[..], &[("AWS_ENDPOINT_URL", endpoint.as_str())], more].concat();
        aws.folder.spotctl_with(&["status"], &environment)
    };
    status(&[("AWS_CA_BUNDLE", &ca)]).exits(0);
    status(&[]).exits(1).says("invalid peer certificate").says("export AWS_CA_BUNDLE=");
    // The bundle is instead of the system's: another CA's does not do.
    let another = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/ca.pem");
    status(&[("AWS_CA_BUNDLE", another)]).exits(1).says("invalid peer certificate");
    aws.folder
        .write("config", &format!("[profile corp]\nca_bundle = {ca}\n[profile lost]\nca_bundle = /nowhere.pem\n"));
    let config = aws.folder.path().join("config");
    let file = ("AWS_CONFIG_FILE", config.to_str().expect("a path in UTF-8"));
    status(&[file, ("AWS_PROFILE", "corp")]).exits(0);
    status(&[file, ("AWS_PROFILE", "lost")])
        .exits(2)
        .says("`ca_bundle` of the AWS profile `lost`")
        .says("/nowhere.pem");
    // The variable goes first.
    status(&[file, ("AWS_PROFILE", "lost"), ("AWS_CA_BUNDLE", &ca)]).exits(0);
}

#[test]
fn a_bundle_that_is_none_is_named_before_anything_is_called() {
    let folder = Folder::with(MINIMAL);
    folder.write("empty.pem", "");
    for (path, why) in [("gone.pem", "cannot be read"), ("empty.pem", "holds no certificate"), (".", "cannot be read")]
    {
        let run = folder.spotctl_with(&["status"], &[&KEYS[..], &[("AWS_CA_BUNDLE", path)]].concat());
        run.exits(2).says(&format!("`AWS_CA_BUNDLE` names the file `{path}`")).says(why);
    }
}

#[test]
fn calls_go_through_the_proxy_that_the_environment_names_and_past_it_where_it_says_so() {
    let aws = Served::with(MINIMAL);
    let tls = Relay::before(&aws.endpoint, "tls");
    let ca = tls.file("ca.pem");
    let run = |endpoint: &str, more: &[(&str, &str)], code: i32| {
        let environment = [&KEYS[..], &[("AWS_ENDPOINT_URL", endpoint), ("AWS_CA_BUNDLE", &ca)], more].concat();
        aws.folder.spotctl_with(&["status"], &environment).exits(code)
    };
    // A name that no resolver knows: only the proxy can have reached it.
    let proxy = Relay::before(&format!("http://127.0.0.1:{}", tls.port), "proxy");
    let address = format!("http://user:secret@127.0.0.1:{}", proxy.port);
    for name in ["HTTPS_PROXY", "https_proxy"] {
        let before = proxy.log().len();
        run("https://aws.example.test", &[(name, &address)], 0).does_not_say("secret");
        let seen = proxy.log().split_off(before);
        let wished = "CONNECT aws.example.test:443 HTTP/1.1 authorized";
        assert!(!seen.is_empty() && seen.iter().all(|line| line == wished), "{name}: {seen:?}");
    }
    // Loopback is no exception, as with curl and boto3, until `NO_PROXY` makes it one; nor is HTTP sent to HTTPS's proxy.
    let plain = Relay::before(&aws.endpoint, "proxy");
    let address = format!("http://127.0.0.1:{}", plain.port);
    run(&aws.endpoint, &[("HTTP_PROXY", &address)], 0);
    let came = plain.log();
    assert!(came.iter().all(|line| line.starts_with("POST http://127.0.0.1:")) && !came.is_empty(), "{came:?}");
    run(&aws.endpoint, &[("HTTP_PROXY", &address), ("NO_PROXY", "127.0.0.1")], 0);
    run(&aws.endpoint, &[("http_proxy", &address), ("no_proxy", "127.0.0.0/8")], 0);
    run(&aws.endpoint, &[("HTTPS_PROXY", &address)], 0);
    assert_eq!(plain.log().len(), came.len());
    run(&aws.endpoint, &[("HTTPS_PROXY", "socks5://127.0.0.1:1080")], 2).says("`HTTPS_PROXY` is no proxy");
}

#[test]
fn an_endpoint_on_ipv6_is_as_good_as_any() {
    let aws = Served::with(MINIMAL);
    let relay = Relay::before(&aws.endpoint, "ipv6");
    let endpoint = format!("http://[::1]:{}", relay.port);
    let run = |arguments: &[&str]| {
        aws.folder.spotctl_with(&[&["--endpoint-url", endpoint.as_str()], arguments].concat(), &KEYS)
    };
    run(&["sandbox", "set", "latency", "1ms"]).exits(0);
    run(&["up"]).exits(0);
    assert_eq!(aws.live().len(), 1);
    run(&["down"]).exits(0);
}

#[test]
fn a_clock_ten_minutes_off_keeps_nobody_from_anything() {
    // The SDK signs anew by the date of the refusal. Where that does not help, the error names the clock: `decide::classify`.
    for clock in ["clock +10m", "clock -10m"] {
        let aws = Served::with(MINIMAL);
        aws.weather("profile-delay 0s");
        aws.weather(clock);
        aws.weather("signatures strict");
        aws.spotctl(&["up"]).exits(0);
        let status = aws.spotctl(&["status", "-o", "json"]).exits(0).json();
        assert_eq!(status["workers"].as_array().map(Vec::len), Some(1), "{clock}");
        aws.spotctl(&["down"]).exits(0);
        aws.spotctl(&["up"]).exits(0);
        aws.spotctl(&["destroy", "--yes"]).exits(0);
        // boto3 does not sign anew.
        aws.weather("signatures lax");
        assert_eq!(aws.leftovers(), Vec::<String>::new(), "{clock}");
    }
}

#[test]
fn reap_ends_by_the_clock_that_stamped_the_launch_and_not_by_a_wrong_one_of_this_machine() {
    // A fresh worker, as old here as nine hours ahead make it; then one that is over, for AWS alone.
    for (clock, later, live) in
        [("clock -9h", "clock +1m", 1), ("clock -9h", "clock +3h", 0), ("clock +9h", "clock +3h", 0)]
    {
        let aws = Served::with(MINIMAL);
        aws.weather("profile-delay 0s");
        aws.weather(clock);
        aws.spotctl(&["up", "--ttl", "2h"]).exits(0);
        aws.weather(later);
        aws.weather("signatures strict");
        aws.spotctl(&["reap"]).exits(0);
        aws.weather("signatures lax");
        assert_eq!(aws.live().len(), live, "{clock}, {later}");
    }
}

/// A profile whose credentials come from this script.
fn process(aws: &Served, script: &str) -> [(String, String); 4] {
    aws.folder.write("keys.sh", script);
    aws.folder.write("config", "[default]\ncredential_process = sh keys.sh\n");
    let config = aws.folder.path().join("config").to_str().expect("a path in UTF-8").to_owned();
    [("AWS_CONFIG_FILE", config.as_str()), ("AWS_ENDPOINT_URL", &aws.endpoint), ("AWS_REGION", "us-east-1"), ("X", "x")]
        .map(|(name, value)| (name.to_owned(), value.to_owned()))
}

const ANSWER: &str = r#"printf '{"Version": 1, "AccessKeyId": "%s", "SecretAccessKey": "s", "SessionToken": "t"%s}' "#;

#[test]
fn credentials_that_expire_in_the_middle_are_asked_for_anew() {
    let aws = Served::with(MINIMAL);
    // The SDK asks anew ten seconds before they expire: after one second of the four that these calls take, or two.
    aws.weather("latency 700ms");
    let script = format!(
        "echo >> asked\nif [ \"$(wc -l < asked)\" -le 1 ]; then\n{ANSWER} KEYONE \", \\\"Expiration\\\": \\\"$(date -u \
         -d '+12 seconds' +%Y-%m-%dT%H:%M:%SZ)\\\"\"\nelse\n{ANSWER} KEYTWO ''\nfi\n"
    );
    let environment = process(&aws, &script);
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
    aws.weather("expire KEYONE after 1000");
    aws.folder.spotctl_with(&["up"], &environment).exits(0);
    assert_eq!(aws.live().len(), 1);
    let state: Value = serde_json::from_str(&fs::read_to_string(aws.state()).unwrap()).unwrap();
    let (all, left) = (state["calls"].as_object().unwrap(), &state["weather"]["expired"]["KEYONE"]);
    let all: u64 = all.values().filter_map(Value::as_u64).sum();
    let used = 1000 - left.as_u64().unwrap();
    assert!(1 < used && used < all, "{used} of {all} calls by the first credentials");
}

#[test]
fn credentials_that_expire_in_the_middle_and_cannot_be_renewed_end_with_what_exists_named() {
    let mut named = 0;
    // After so many calls: among the reads, between what is made, and at the launch.
    for after in [20, 34, 38, 42, 46] {
        let aws = Served::with(MINIMAL);
        let environment = process(&aws, &format!("{ANSWER} KEYONE ''\n"));
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        aws.weather(&format!("expire KEYONE after {after}"));
        let before = Census::taken_of(&aws);
        let run = aws.folder.spotctl_with(&["up", "-o", "json"], &environment);
        let document = run.json();
        if run.code() != 0 {
            assert_eq!(run.code(), 5, "after {after}: {run}");
            assert!(document["error"]["hints"].to_string().contains("the credentials have expired"), "{document:#}");
            assert_eq!(
                Census::taken_of(&aws).unnamed(&before, &document),
                Vec::<String>::new(),
                "after {after}: {run}"
            );
            named += usize::from(document["error"]["leftovers"].as_array().is_some_and(|left| !left.is_empty()));
        }
        aws.weather("clear");
        aws.folder.spotctl_with(&["up"], &environment).exits(0);
        assert_eq!(aws.live().len(), 1, "after {after}");
    }
    assert!(named > 0, "not once was anything made before they expired");
}

#[test]
fn down_and_destroy_whose_credentials_expire_say_so_and_the_same_command_goes_on() {
    // After so many calls: at the first read, and when something has ended already.
    for (command, calls) in [("down", 0), ("down", 5), ("destroy --yes", 0), ("destroy --yes", 16)] {
        let aws = Served::with(MINIMAL);
        aws.weather("profile-delay 0s");
        let environment = process(&aws, &format!("{ANSWER} KEYONE ''\n"));
        let environment: Vec<(&str, &str)> =
            environment.iter().map(|(key, value)| (key.as_str(), value.as_str())).collect();
        let run = |command: &str| aws.folder.spotctl_with(&command.split(' ').collect::<Vec<_>>(), &environment);
        run("up").exits(0);
        aws.weather(&format!("expire KEYONE after {calls}"));
        let ended = run(&format!("{command} -o json")).exits(5);
        let hints = ended.json()["error"]["hints"].to_string();
        assert!(
            hints.contains("the credentials have expired") && hints.contains("spotctl"),
            "{command} {calls}: {hints}"
        );
        aws.weather("clear");
        run(command).exits(0);
        assert!(aws.live().is_empty(), "{command} {calls}");
    }
}
