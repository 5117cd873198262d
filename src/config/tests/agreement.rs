//! The shape, the rules, the template and the committed schema say the same.

use serde_json::Value;

use super::*;
use crate::spec::{Architecture, Spec};

#[test]
fn the_committed_schema_is_the_one_that_the_program_prints() {
    check_file(&root().join("examples/spotctl.schema.json"), &format!("{:#}\n", schema()));
}

/// Each key with its schema, `container.gpus` and so on, leaves and sections alike.
fn keys(schema: &Value, path: &str, all: &mut Vec<(String, Value)>) {
    for (name, inner) in schema["properties"].as_object().into_iter().flatten() {
        let path = if path.is_empty() { name.clone() } else { format!("{path}.{name}") };
        keys(inner, &path, all);
        all.push((path, inner.clone()));
    }
}

fn all_keys() -> Vec<(String, Value)> {
    let mut all = Vec::new();
    keys(&schema(), "", &mut all);
    all
}

/// The spec without what a written-out default may change: that the file with the values must be there.
fn comparable(text: &str) -> Spec {
    let mut spec = parse(text, Path::new("spotctl.yaml")).unwrap();
    spec.parameters.file_is_required = true;
    spec
}

#[test]
fn each_default_that_the_schema_names_is_the_one_in_use() {
    let plain = comparable(MINIMAL);
    let mut count = 0;
    for (path, schema) in all_keys() {
        let Some(default) = schema.get("default") else { continue };
        count += 1;
        let value = path.rsplit('.').fold(default.to_string(), |inner, key| format!("{{{key}: {inner}}}"));
        let text = match path.strip_prefix("container.") {
            Some(key) => format!("name: w\ncontainer: {{image: i, {key}: {default}}}\n"),
            None => format!("{MINIMAL}{}\n", &value[1..value.len() - 1]),
        };
        assert_eq!(comparable(&text), plain, "{path}");
    }
    assert!(count > 20, "{count}");
}

/// Lines such as `#gpus: all` are keys; a blank behind `#` makes a line a remark.
fn uncommented(template: &str) -> String {
    let mut text = String::new();
    for line in template.lines() {
        let indent = line.len() - line.trim_start().len();
        let is_key =
            line[indent..].strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        text.push_str(&line[..indent]);
        text.push_str(&line[indent + usize::from(is_key)..]);
        text.push('\n');
    }
    text
}

#[test]
fn the_template_works_as_it_stands_and_shows_every_key_with_its_default() {
    for name in ["worker-gpu", "w", "a-name-of-exactly-forty-characters-00000"] {
        let template = template(name);
        let spec = comparable(&template);
        assert_eq!(spec.name.as_str(), name);
        let whole = uncommented(&template);
        let mut shown = comparable(&whole);
        // The lines that say "for example".
        assert_eq!(shown.region.take().as_deref(), Some("ap-northeast-2"));
        assert_eq!(shown.instance.max_price.take(), "0.40".parse().ok());
        assert_eq!((shown.instance.vcpus.take(), shown.instance.memory.take()), (Some(4), Some(Gib(16))));
        assert_eq!(shown.instance.arch.take(), Some(Architecture::X86));
        assert_eq!(shown, spec);
        let (node, _) = tree::read(&whole);
        let node = node.unwrap();
        for (path, _) in all_keys() {
            if path.contains("statements.") {
                continue;
            }
            let steps: Vec<tree::Step> = path.split('.').map(|key| tree::Step::KeyItself(key.to_owned())).collect();
            let parents: Vec<tree::Step> = path.split('.').map(|key| tree::Step::Key(key.to_owned())).collect();
            let mut place = parents[..parents.len() - 1].to_vec();
            place.extend(steps.last().cloned());
            let span = node.place(&place);
            assert_eq!(&whole[span], path.rsplit('.').next().unwrap(), "{path} is not in the template");
        }
    }
    // The sample's parameters are comments until they are real; with their `#` gone they are right.
    let sample: String = uncommented_env(env_template());
    assert!(env_file::parse(env_template(), Path::new(".env")).unwrap().is_empty());
    assert_eq!(env_file::parse(&sample, Path::new(".env")).unwrap().len(), 4);
}

fn uncommented_env(sample: &str) -> String {
    let is_key = |line: &str| line.starts_with('#') && line[1..].starts_with(|c: char| c.is_ascii_uppercase());
    sample.lines().map(|line| if is_key(line) { &line[1..] } else { line }).collect::<Vec<_>>().join("\n")
}

/// Texts for one key, and whether it takes them; the schema's pattern and the rules must both think so.
#[test]
fn patterns_and_rules_take_and_refuse_the_same() {
    let cases: [(&str, &[&str], &[&str]); 13] = [
        ("name", &["w", "worker-gpu"], &["W", "-w", "1w", "a b", "w_w"]),
        ("region", &["eu-west-1", "us-gov-west-1", "ap-northeast-2"], &["eu", "eu-west", "eu-west-1a", "EU-west-1"]),
        ("container.stop_timeout", &["90s", "1m 30s", "1m30s", "110 s"], &["90", "soon", "-5s", "1.5s"]),
        ("parameters.path", &["/a", "/a/b.c-d_e"], &["a", "/", "/a/", "/a b", "//a"]),
        ("instance.gpu_memory", &["16GiB", "16 GiB"], &["16", "16GB", "GiB", "16.5GiB"]),
        ("instance.memory", &["16GiB", "1024 GiB"], &["16", "16GB", "GiB", "0.5GiB"]),
        ("instance.volume.size", &["30GiB"], &["30", "30gib", "-30GiB"]),
        ("instance.max_price", &["0.40", "1", "12.5"], &["$1", "1,5", "-1", "1e3", "x"]),
        ("instance.ami", &["dlami-al2023", "ami-01234567", "ssm:/a/b"], &["ami-x", "dlami", "ssm:a", "ubuntu"]),
        ("network.vpc", &["default", "vpc-01234567"], &["vpc-x", "main", "vpc"]),
        ("lifetime.max", &["none", "8h", "1h30m", "2 hours"], &["8", "never", "-8h", "2days", "2y"]),
        ("lifetime.idle", &["none", "900s"], &["None", "x"]),
        ("lifetime.boot", &["20m"], &["m"]),
    ];
    let all = all_keys();
    for (path, good, bad) in cases {
        let schema = &all.iter().find(|(key, _)| key == path).unwrap().1;
        let branches = schema["anyOf"].as_array().cloned().unwrap_or_else(|| vec![schema.clone()]);
        let pattern = branches.iter().find_map(|branch| branch["pattern"].as_str()).unwrap();
        let pattern = regex::Regex::new(pattern).unwrap();
        let texts = good.iter().map(|text| (*text, true)).chain(bad.iter().map(|text| (*text, false)));
        for (text, is_good) in texts {
            let quoted = Value::from(text).to_string();
            let value = path.rsplit('.').fold(quoted.clone(), |inner, key| format!("{{{key}: {inner}}}"));
            let file = match path {
                "name" => format!("name: {quoted}\ncontainer: {{image: i}}\n"),
                "container.stop_timeout" => format!("name: w\ncontainer: {{image: i, stop_timeout: {quoted}}}\n"),
                _ => format!("{MINIMAL}{}\n", &value[1..value.len() - 1]),
            };
            assert_eq!(pattern.is_match(text), is_good, "the pattern of {path} on `{text}`");
            assert_eq!(parse(&file, Path::new("x")).is_ok(), is_good, "the rule of {path} on `{text}`");
        }
    }
}
