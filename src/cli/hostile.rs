//! Every command, as typed, over an AWS whose answers are damaged: it ends, with an exit status of the contract and a
//! reason; it says nothing that commands a terminal and no sum that ran over; and it neither launches more than was asked
//! for nor touches what does not carry the stack's tag.
//!
//! `PROPTEST_CASES` sets how many cases each command gets.

use std::collections::BTreeMap;
use std::io::Read;
use std::sync::{Arc, Mutex, OnceLock};

use base64::Engine;
use clap::Parser;
use proptest::prelude::*;
use proptest::test_runner::{TestCaseError, TestRunner};
use serde_json::Value;
use tempfile::TempDir;

use super::{Cli, carry_out};
use crate::sandbox::Sandbox;
use crate::sandbox::hostile::{Aimed, Damage, Hostile, How, Seen, damages};
use crate::settings::{Address, Color};
use crate::ui::{Heard, Ui, legible};

/// A stack that uses everything that a command looks at.
const FILE: &str = "\
name: w
region: us-east-1
container:
  image: 123456789012.dkr.ecr.us-east-1.amazonaws.com/worker:1
parameters: {plain: [OPEN]}
instance: {max_price: 5, on_demand_fallback: true}
access:
  queues: ['https://sqs.us-east-1.amazonaws.com/123456789012/jobs']
  buckets: {some-bucket: read-write}
tags: {Team: ml}
";
const ENV: &str = "TOKEN=hush\nOPEN=1\nOTHER=hush\n";
const OTHERS_FILE: &str = "name: other\nregion: us-east-1\ncontainer: {image: i}\n";

/// What the commands begin with.
#[derive(Debug)]
struct Stage {
    folder: TempDir,
    /// An account with another's stack.
    fresh: Sandbox,
    /// The same with a stack: a worker that is past its expiry, one that runs, one that has ended, a request for more vCPUs,
    /// and an instance and a parameter of nobody's.
    standing: Sandbox,
}

impl Stage {
    fn config(&self, name: &str) -> String {
        self.folder.path().join(name).join("spotctl.yaml").display().to_string()
    }
}

fn stage() -> &'static Stage {
    static STAGE: OnceLock<Stage> = OnceLock::new();
    STAGE.get_or_init(|| {
        let folder = TempDir::new().unwrap();
        for (name, file, env) in [("w", FILE, ENV), ("other", OTHERS_FILE, "X=1\n")] {
            let place = folder.path().join(name);
            std::fs::create_dir(&place).unwrap();
            std::fs::write(place.join("spotctl.yaml"), file).unwrap();
            std::fs::write(place.join(".env"), env).unwrap();
        }
        let empty = on_a_clock(async {
            let sandbox = Sandbox::in_memory();
            sandbox.set(&["profile-delay".to_owned(), "0s".to_owned()]).unwrap();
            sandbox
        });
        let mut stage = Stage { folder, fresh: empty.clone(), standing: empty };
        stage.fresh = stage.after(&stage.fresh, &["other up --wait running"]);
        stage.standing = stage.after(&stage.fresh, &["w up --wait running --count 3", "w quota request --vcpus 128"]);
        let status = told(&stage, &stage.standing, "w status -o json", Vec::new());
        let workers: Value = serde_json::from_str(&status.heard.out).unwrap();
        let id = workers["workers"][1]["id"].as_str().unwrap().to_owned();
        stage.standing = stage.after(&stage.standing, &[&format!("w down {id}")]);
        stage.standing.age("w");
        stage
    })
}

impl Stage {
    /// The account after these commands, which end well.
    fn after(&self, sandbox: &Sandbox, commands: &[&str]) -> Sandbox {
        commands.iter().fold(sandbox.clone(), |sandbox, command| {
            let ran = told(self, &sandbox, command, Vec::new());
            assert_eq!(ran.code, 0, "{command}: {}{}", ran.heard.out, ran.heard.err);
            ran.sandbox
        })
    }
}

fn on_a_clock<T>(work: impl Future<Output = T>) -> T {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    runtime.block_on(work)
}

/// What came of a command.
struct Ran {
    code: u8,
    heard: Heard,
    sandbox: Sandbox,
    hostile: Hostile,
}

/// `STACK VERB FLAG…`, typed in the stack's folder.
fn told(stage: &Stage, before: &Sandbox, command: &str, damages: Vec<Aimed>) -> Ran {
    let (folder, words) = command.split_once(' ').unwrap();
    let config = stage.config(folder);
    let words = words.replace("{folder}", &stage.folder.path().display().to_string());
    let typed = ["spotctl", "--config", &config, "--region", "us-east-1"].into_iter().chain(words.split(' '));
    let cli = Cli::try_parse_from(typed).unwrap_or_else(|error| panic!("{command}: {error}"));
    on_a_clock(async {
        let sandbox = before.copy();
        let hostile = Hostile::new(sandbox.clone(), damages);
        let _reign = hostile.reign();
        let heard = Arc::new(Mutex::new(Heard::default()));
        let ui = Ui::listened(cli.global.output, Color::Never, heard.clone()).about(Address::of(&cli.global));
        let code = Box::pin(carry_out(&ui, cli)).await;
        let heard = heard.lock().unwrap().clone();
        // The clock of a sandbox that outlives its runtime stands still.
        Ran { code, heard, sandbox: sandbox.copy(), hostile }
    })
}

/// The operations that the command calls when nothing is damaged.
fn called(stage: &Stage, before: &Sandbox, command: &str) -> Arc<Vec<String>> {
    static KNOWN: Mutex<BTreeMap<String, Arc<Vec<String>>>> = Mutex::new(BTreeMap::new());
    if let Some(known) = KNOWN.lock().unwrap().get(command) {
        return known.clone();
    }
    let ran = told(stage, before, command, Vec::new());
    let operations: Arc<Vec<String>> = Arc::new(ran.hostile.told().operations.keys().cloned().collect());
    assert!(!operations.is_empty(), "{command} calls nothing: {}{}", ran.heard.out, ran.heard.err);
    KNOWN.lock().unwrap().insert(command.to_owned(), operations.clone());
    operations
}

/// How many workers the stack may have after the command, beside those that it had.
fn wished(command: &str) -> usize {
    let mut words = command.split(' ');
    match (command.split(' ').nth(1), words.find(|word| *word == "--count").and_then(|_| words.next())) {
        (Some("up"), Some(count)) => count.parse().unwrap(),
        (Some("up"), None) => 1,
        _ => 0,
    }
}

/// Looks at all that a command may not do, whatever it was told.
fn judge(command: &str, before: &Seen, ran: &Ran) -> Result<(), TestCaseError> {
    let Heard { out, err } = &ran.heard;
    let said = || format!("{command}: exit {}\n{out}\n{err}", ran.code);
    prop_assert!(!ran.hostile.told().has_looped(), "it loops: {:?}\n{}", ran.hostile.told().operations, said());
    prop_assert!(matches!(ran.code, 0..=8), "{}", said());
    prop_assert!(legible::tests::is_legible(out) && legible::tests::is_legible(err), "{}", said().escape_debug());
    prop_assert!(!out.contains("hush") && !err.contains("hush"), "a secret: {}", said());
    if command.contains("-o json") {
        let document: Value =
            serde_json::from_str(out).map_err(|error| TestCaseError::fail(format!("{error}: {}", said())))?;
        prop_assert_eq!(&document["format"], 1);
        if !matches!(ran.code, 0 | 7) {
            let message = document["error"]["message"].as_str().unwrap_or_default();
            prop_assert!(!message.trim().is_empty(), "no reason: {}", said());
        }
        sums(&document, "")?;
    } else if !matches!(ran.code, 0 | 7) {
        let reason = err.lines().find_map(|line| line.strip_prefix("error: ")).unwrap_or_default();
        prop_assert!(!reason.trim().is_empty(), "no reason: {}", said());
    }
    let after = ran.sandbox.seen("w");
    let lost: Vec<&String> = before.others.iter().filter(|other| !after.others.contains(other)).collect();
    prop_assert!(lost.is_empty(), "what is not the stack's was touched: {lost:?}\n{}", said());
    for (stack, count) in &before.live {
        let left = after.live.get(stack).copied().unwrap_or_default();
        prop_assert!(stack == "w" || left == *count, "workers of `{stack}` were {count} and are {left}: {}", said());
    }
    let had = before.live.get("w").copied().unwrap_or_default();
    let has = after.live.get("w").copied().unwrap_or_default();
    prop_assert!(has <= had.max(wished(command)), "{has} workers: {}", said());
    // Where a list came whole, success is what was asked for.
    if ran.code == 0 && !ran.hostile.told().hides {
        let is_wrong = match command.split(' ').nth(1) {
            Some("up") => has < wished(command),
            Some("down" | "destroy") => has > 0,
            _ => false,
        };
        prop_assert!(!is_wrong, "it says that all went well, and {has} workers live: {}", said());
    }
    Ok(())
}

/// Each amount is one that a machine can cost.
fn sums(value: &Value, name: &str) -> Result<(), TestCaseError> {
    match value {
        Value::Object(fields) => fields.iter().try_for_each(|(name, value)| sums(value, name)),
        Value::Array(items) => items.iter().try_for_each(|value| sums(value, name)),
        Value::String(text) if name.contains("usd") || name.contains("price") || name == "cost_so_far" => {
            let amount = text.parse::<f64>();
            prop_assert!(amount.as_ref().is_ok_and(|usd| (0.0..9.0e12).contains(usd)), "{name}: {text}");
            Ok(())
        }
        _ => Ok(()),
    }
}

fn cases() -> u32 {
    std::env::var("PROPTEST_CASES").ok().and_then(|cases| cases.parse().ok()).unwrap_or(6)
}

/// Runs the property, in a thread with the stack that the program itself has.
fn holds_for(commands: &'static [&'static str], is_standing: bool) {
    let work = move || {
        let stage = stage();
        let before = if is_standing { &stage.standing } else { &stage.fresh };
        let seen = before.seen("w");
        let cases = cases();
        let mut failed = Vec::new();
        for command in commands {
            let config =
                ProptestConfig { cases, failure_persistence: None, max_shrink_iters: 200, ..ProptestConfig::default() };
            let property = |damages: Vec<Damage>| {
                let operations = called(stage, before, command);
                let aimed = damages.iter().map(|damage| damage.aimed(&operations)).collect();
                let ran = told(stage, before, command, aimed);
                judge(command, &seen, &ran)
            };
            if let Err(error) = TestRunner::new(config).run(&damages(), property) {
                failed.push(format!("{command} of {:?}: {error}", called(stage, before, command)));
            }
        }
        failed.join("\n\n")
    };
    let failed = std::thread::Builder::new().stack_size(8 << 20).spawn(work).unwrap().join().unwrap();
    assert!(failed.is_empty(), "{failed}");
}

/// What a shell, a template, XML, JSON or a URL would take for its own.
fn text() -> impl Strategy<Value = String> {
    let known = [
        "",
        "-",
        "--privileged",
        "'",
        "\"",
        "\\",
        "$(id)",
        "`id`",
        "$HOME",
        "{{ x }}",
        "{% x %}",
        "]]>",
        "<a>&amp;",
        "&",
        "=",
        "+",
        "%41",
        "%",
        "\n",
        "\r",
        "\t",
        " ",
        ";",
        "END_OF_FILE",
        "größe",
        "日本 🦀",
        "e\u{301}",
        "\u{1b}[31m",
        "\u{85}",
        "\u{2028}",
        "null",
        "../..",
    ];
    prop::collection::vec(proptest::sample::select(known.map(str::to_owned).to_vec()), 0..5)
        .prop_map(|parts| parts.concat())
}

/// What the template's word for the box's facts holds, as a shell reads it.
fn facts(user_data: &str) -> Value {
    let bytes = base64::engine::general_purpose::STANDARD.decode(user_data).unwrap();
    let mut script = String::new();
    if bytes.starts_with(&[0x1f, 0x8b]) {
        flate2::read::GzDecoder::new(bytes.as_slice()).read_to_string(&mut script).unwrap();
    } else {
        script = String::from_utf8(bytes).unwrap();
    }
    let line = script.lines().find(|line| line.starts_with("printf '%s' ")).unwrap();
    let words = shlex::split(line).unwrap();
    assert_eq!((words.len(), words[3].as_str()), (4, ">/opt/spotctl/box.json"), "{line}");
    serde_json::from_str(&words[2]).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_file_says_arrives_at_the_worker_as_it_is(
        env in prop::collection::btree_map("[B-Z_]{1,8}", text(), 0..4),
        labels in prop::collection::vec(text(), 0..3),
        command in prop::collection::vec(text(), 0..4),
        tags in prop::collection::btree_map("[b-r][a-z0-9_.:=+@-]{0,12}", "[a-zA-Z0-9äß日 _.:=+@/-]{0,12}[a-z]", 0..4),
    ) {
        let stage = stage();
        let place = stage.folder.path().join("any");
        let args: Vec<String> = labels.iter().map(|label| format!("--label=x={label}")).collect();
        let file = serde_json::json!({
            "name": "w",
            "container": {"image": "i", "env": env, "args": args, "command": command},
            "parameters": {"file": "../other/.env"},
            "tags": tags,
        });
        std::fs::create_dir_all(&place).unwrap();
        std::fs::write(place.join("spotctl.yaml"), file.to_string().replace('\u{85}', "\\u0085")).unwrap();
        let ran = told(stage, &stage.fresh, "any up --wait launched", Vec::new());
        prop_assert_eq!(ran.code, 0, "{}", ran.heard.err);
        let (user_data, seen) = ran.sandbox.newest("w").unwrap();
        let facts = facts(&user_data);
        for (name, given) in [("env", serde_json::json!(env)), ("args", serde_json::json!(args)), ("command", serde_json::json!(command))] {
            prop_assert_eq!(&facts[name], &given);
        }
        for (key, value) in &tags {
            prop_assert_eq!(seen.get(key), Some(value));
        }
    }
}

/// What stands before, the weather, the command and how many workers live after it.
type Late = (&'static [&'static str], &'static [&'static str], &'static str, usize);

/// Each call in turn is answered later than the client's patience, before and after it took effect: the command asks again,
/// ends well, and so does the same command after it.
fn bears_late_answers(cases: &[Late]) {
    let stage = stage();
    let things = |sandbox: &Sandbox| {
        let world = sandbox.state();
        let (region, iam) = (&world["regions"]["us-east-1"], &world["iam"]);
        let ec2 = &region["ec2"];
        // Instances that have ended are among them: how many were ever launched.
        let kinds =
            [&ec2["instances"], &ec2["security_groups"], &ec2["launch_templates"], &iam["roles"], &iam["profiles"]];
        let kinds = kinds.into_iter().chain([&region["ssm"]["parameters"]]);
        kinds.map(|kind| kind.as_object().map_or(0, serde_json::Map::len)).collect::<Vec<_>>()
    };
    for (first, weather, command, live) in cases {
        let before = stage.after(&stage.fresh, first);
        let before = on_a_clock(async { before.copy() });
        weather.iter().for_each(|words| before.say(words));
        let rehearsed = told(stage, &before, command, Vec::new());
        assert_eq!(rehearsed.code, 0, "{command}: {}", rehearsed.heard.err);
        let calls = rehearsed.hostile.told().operations.clone();
        for (operation, ordinal) in calls.iter().flat_map(|(call, count)| (0..*count).map(move |nth| (call, nth))) {
            let reads = ["Describe", "Get", "List"].iter().any(|verb| operation.starts_with(verb));
            for how in if reads { &["hold"][..] } else { &["hold", "hold-after"] } {
                let sandbox = on_a_clock(async { before.copy() });
                sandbox.say(&format!("fail {operation} {how} 1 after {ordinal}"));
                let ran = told(stage, &sandbox, command, Vec::new());
                let again = told(stage, &ran.sandbox, command, Vec::new());
                // Nothing is bought on demand at a price that is not known in time.
                let may_refuse = operation == "GetProducts" && matches!(ran.code, 3 | 4);
                let ran = if may_refuse { &again } else { &ran };
                for (which, ran) in [("at once", ran), ("again", &again)] {
                    let said =
                        format!("{command}, {operation} {ordinal} {how}, {which}: {}{}", ran.heard.out, ran.heard.err);
                    assert_eq!(ran.code, 0, "{said}");
                    assert_eq!(ran.sandbox.seen("w").live.get("w").copied().unwrap_or_default(), *live, "{said}");
                    assert_eq!(things(&ran.sandbox), things(&rehearsed.sandbox), "{said}");
                }
            }
        }
    }
}

#[test]
fn an_up_whose_answers_come_too_late_asks_again_and_makes_nothing_twice() {
    bears_late_answers(&[(&[], &[], "w up --wait launched", 1), (&["w apply"], &[], "w up --count 3", 3)]);
}

#[test]
fn an_up_over_dry_pools_whose_answers_come_too_late_asks_again_and_makes_nothing_twice() {
    let dry = &["quota L-DB2E81BA=64", "dry-spot * *"];
    bears_late_answers(&[(&["w apply"], dry, "w up --wait launched --timeout 30m", 1)]);
}

#[test]
fn all_else_that_changes_something_bears_answers_that_come_too_late() {
    let place = stage().folder.path().join("changed");
    std::fs::create_dir_all(&place).unwrap();
    std::fs::write(place.join("spotctl.yaml"), "name: w\nregion: us-east-1\ncontainer: {image: other}\n").unwrap();
    let two = &["w up --wait running --count 2"][..];
    bears_late_answers(&[
        (&["w apply"], &[], "changed apply", 0),
        (two, &[], "w down", 0),
        (two, &[], "w destroy --yes", 0),
        (&[], &[], "w params push", 0),
        (&[], &[], "w quota request --vcpus 256", 0),
    ]);
}

#[test]
fn a_list_whose_page_names_one_that_was_read_as_the_next_ends_in_an_error() {
    let stage = stage();
    // One that names itself, where the SDK stops in silence; and two that name each other, where it goes on.
    for (command, tokens) in [
        ("w status", &["again"][..]),
        ("w status", &["a", "b"]),
        ("w status --stacks", &["a", "b"]),
        ("w prices --history", &["a", "b"]),
        ("w params list", &["again"]),
    ] {
        for operation in called(stage, &stage.standing, command).iter() {
            let how = How::Pages(tokens.iter().map(|token| (*token).to_owned()).collect());
            let aimed = vec![Aimed { operation: operation.clone(), once: false, how }];
            let ran = told(stage, &stage.standing, command, aimed);
            let calls = ran.hostile.told().operations[operation];
            assert!(calls <= 60, "{command} asks for {operation} {calls} times");
            let is_needed = ["DescribeInstances", "GetParametersByPath"].contains(&operation.as_str());
            assert!(!is_needed || ran.heard.err.contains("was read already"), "{command}: {}", ran.heard.err);
        }
    }
}

#[test]
fn what_only_looks_bears_any_answer() {
    holds_for(
        &[
            "w plan -o json",
            "w plan --upgrade-image --retarget",
            "w status -o json",
            "w status",
            "w why",
            "w why -o json",
            "w params list",
            "w params diff -o json",
            "w reap --dry-run",
            "w quota show",
            "w quota show --market all -o json",
            "w quota watch --timeout 10m -o json",
            "w quota watch --vcpus 128 --timeout 10m",
            "w render launch-template",
        ],
        true,
    );
}

#[test]
fn what_looks_at_all_stacks_and_regions_bears_any_answer() {
    holds_for(
        &[
            "w status --stacks -o json",
            "w status --stacks --regions us-east-1,us-west-2",
            "w reap --all --dry-run --regions us-east-1,us-west-2 -o json",
            "w prices -o json",
            "w prices --history 36h --placement-score --limit 5 --chart {folder}/w/chart.svg",
            "w prices --regions us-east-1,us-west-2 --type g4dn.* --history",
        ],
        true,
    );
}

#[test]
fn doctor_bears_any_answer() {
    holds_for(&["w doctor -o json", "w doctor"], true);
    holds_for(&["w doctor --count 3"], false);
}

#[test]
fn what_makes_bears_any_answer() {
    holds_for(
        &[
            "w up --wait launched -o json",
            "w up --wait launched --count 2 --timeout 3m",
            "w up --wait ready --timeout 90s -o json",
            "w apply",
        ],
        false,
    );
    holds_for(
        &["w up --wait launched --count 4 -o json", "w up", "w params push", "w quota request --vcpus 256 -o json"],
        true,
    );
}

#[test]
fn what_ends_bears_any_answer() {
    holds_for(
        &["w down -o json", "w down --no-wait", "w reap", "w reap --all -o json", "w destroy --yes -o json"],
        true,
    );
}
