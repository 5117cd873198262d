//! From text to spec or to findings, as the rest of the program sees it. The sample files lie in `tests/fixtures/config`:
//! each valid one is read, each invalid one stands beside what is said about it.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

use secrecy::ExposeSecret;

use super::*;
use crate::spec::{BucketAccess, Gib, Period, Usd, Vpc};

mod agreement;
mod contract;
mod hostile;

const MINIMAL: &str = "name: w\ncontainer: {image: i}\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn samples(folder: &str) -> Vec<PathBuf> {
    let folder = root().join("tests/fixtures/config").join(folder);
    let mut files: Vec<PathBuf> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    files
}

/// Holds `actual` against the file at `path`, or writes it there where `SPOTCTL_WRITE_GOLDEN` is set.
fn check_file(path: &Path, actual: &str) {
    if std::env::var_os("SPOTCTL_WRITE_GOLDEN").is_some() {
        fs::write(path, actual).unwrap();
    }
    let expected = fs::read_to_string(path).unwrap_or_default();
    assert!(
        actual == expected,
        "{} differs; set SPOTCTL_WRITE_GOLDEN=1 to write it, then read the diff\n--- expected\n{expected}\n--- actual\n{actual}",
        path.display()
    );
}

fn findings(text: &str) -> Findings {
    parse(text, Path::new("spotctl.yaml")).unwrap_err()
}

#[test]
fn each_valid_sample_is_read() {
    for path in samples("valid") {
        let spec = load(&path);
        assert!(spec.is_ok(), "{}: {}", path.display(), spec.unwrap_err());
    }
    for name in ["examples/minimal/spotctl.yaml", "examples/worker-gpu/spotctl.yaml"] {
        load(&root().join(name)).unwrap();
    }
    assert_eq!(load_env(&root().join("examples/worker-gpu/.env.example")).unwrap().len(), 10);
}

#[test]
fn each_invalid_sample_gets_every_finding_it_stands_beside() {
    for path in samples("invalid").into_iter().filter(|path| path.extension().is_some_and(|ext| ext == "yaml")) {
        let text = fs::read_to_string(&path).unwrap();
        let findings = parse(&text, Path::new(path.file_name().unwrap())).unwrap_err();
        check_file(&path.with_extension("txt"), &format!("{}\n", findings.render(false)));
    }
}

#[test]
fn values_arrive_as_the_file_writes_them() {
    let spec = load(&root().join("tests/fixtures/config/valid/everything.yaml")).unwrap();
    let env = |key: &str| spec.container.env[key].to_string();
    assert_eq!((env("PORT"), env("RATIO"), env("VERBOSE")), ("8080".into(), "1.10".into(), "true".into()));
    assert_eq!(spec.container.command.last().unwrap().to_string(), "4");
    assert_eq!(spec.container.stop_timeout, Period::from_secs(110));
    assert_eq!(spec.parameters.plain, BTreeSet::from(["BUCKET".to_owned(), "QUEUE".to_owned()]));
    let file = root().join("tests/fixtures/config/valid").join("../secrets/.env");
    assert_eq!((spec.parameters.file, spec.parameters.file_is_required), (Some(file), true));
    assert_eq!(spec.instance.max_price, Some(Usd::from_micros(1_250_000)));
    assert_eq!(spec.instance.volume.size, Gib(200));
    assert_eq!(spec.network.vpc, Vpc::Tag { key: "Name".to_owned(), value: "main vpc".to_owned() });
    assert_eq!((spec.lifetime.max, spec.lifetime.boot), (None, Some(Period::from_secs(5400))));
    let buckets: Vec<(String, BucketAccess)> =
        spec.access.buckets.iter().map(|(bucket, access)| (bucket.to_string(), *access)).collect();
    assert!(buckets.contains(&("${BUCKET}".to_owned(), BucketAccess::ReadWrite)), "{buckets:?}");
    assert_eq!(spec.access.statements[1]["Condition"]["NumericLessThan"]["aws:MultiFactorAuthAge"], 3600);
    assert_eq!(spec.access.statements[0]["Action"], "dynamodb:GetItem");
    assert_eq!(spec.tags["Cost.Center"], "4711");
}

#[test]
fn what_two_lines_leave_out_has_its_default() {
    let spec = parse(MINIMAL, Path::new("some/where/spotctl.yaml")).unwrap();
    assert_eq!(spec.parameters.path.as_str(), "/spotctl/w");
    assert_eq!((spec.parameters.file, spec.parameters.file_is_required), (Some("some/where/.env".into()), false));
    let lifetime = spec.lifetime;
    let hours = |period: Option<Period>| period.unwrap().to_string();
    assert_eq!(
        (hours(lifetime.max), hours(lifetime.idle), hours(lifetime.boot)),
        ("8h".into(), "15m".into(), "20m".into())
    );
    assert_eq!((spec.instance.max_price, spec.access.session_manager), (None, true));
}

#[test]
fn a_key_used_in_access_or_image_is_plain() {
    let text = "\
name: w
container: {image: \"${REPO}:1\", env: {A: \"${SECRET}\"}}
access:
  queues: [\"${QUEUE}\"]
  buckets: {\"${BUCKET}\": read}
  statements: [{Effect: Allow, Action: \"s3:*\", Resource: [\"arn:aws:s3:::${TABLE}/${aws:username}\", \"${TABLE}\"]}]
parameters: {plain: [OTHER]}
";
    let spec = parse(text, Path::new("x")).unwrap();
    assert_eq!(spec.parameters.plain.iter().collect::<Vec<_>>(), ["BUCKET", "OTHER", "QUEUE", "REPO", "TABLE"]);
}

#[test]
fn findings_for_programs_have_file_line_column_key_message_and_hint() {
    let text = "name: w\ncontainer: {image: i, gpsu: 1}\ntags: {größe: \"a,b\"}\n";
    insta::assert_json_snapshot!(findings(text).to_json(), @r#"
    [
      {
        "file": "spotctl.yaml",
        "line": 2,
        "column": 23,
        "key": "container.gpsu",
        "message": "unknown key `container.gpsu`",
        "hint": "did you mean `gpus`?"
      },
      {
        "file": "spotctl.yaml",
        "line": 3,
        "column": 15,
        "key": "tags.größe",
        "message": "`,` cannot stand in a tag's value: letters, digits and `_.:=+-@`, space and `/` can",
        "hint": null
      }
    ]
    "#);
}

#[test]
fn color_is_only_in_what_asks_for_it() {
    let findings = findings("name: W\ncontainer: {image: i}\n");
    assert!(findings.render(true).contains("\u{1b}["));
    assert!(!findings.render(false).contains('\u{1b}'));
}

#[test]
fn an_arguments_refusal_points_at_the_argument_with_its_place_in_the_list() {
    let findings = findings("name: w\ncontainer:\n  image: i\n  args: [-P, [], -d]\n");
    let shown = findings.to_string();
    assert_eq!(
        shown,
        "spotctl.yaml:4:14: `container.args[1]` takes a text, not a list\n\
         spotctl.yaml:4:18: `--detach` is not for `container.args`"
    );
}

#[test]
fn a_file_that_is_not_there_or_not_text_says_so() {
    let folder = tempfile::tempdir().unwrap();
    assert!(matches!(load(&folder.path().join("spotctl.yaml")), Err(LoadError::NotFound)));
    assert!(matches!(load_env(&folder.path().join(".env")), Err(LoadError::NotFound)));
    assert!(matches!(load(folder.path()), Err(LoadError::Unreadable(_))));
    let path = folder.path().join("latin1.yaml");
    fs::write(&path, b"name: gr\xf6\xdfe\n").unwrap();
    assert!(matches!(load(&path), Err(LoadError::Unreadable(why)) if why.contains("UTF-8")));
}

#[test]
fn an_env_is_read_as_people_write_it() {
    let path = root().join("tests/fixtures/config/env/everything.env");
    let text = fs::read_to_string(path).unwrap();
    let expected = [
        ("PLAIN", "hush-plain"),
        ("EXPORTED", "hush exported"),
        ("EQUALS", "postgres://u:p@h/db?a=b&c=d"),
        ("HASH", "hush#not-a-comment"),
        ("ONLY_HASH", "#hush"),
        ("DOLLAR", "$HOME${HOME}$$"),
        ("SINGLE", "hush $HOME \\n \"x\""),
        ("DOUBLE", "a \"quoted\" \\ $5\ttab\nline \\d"),
        ("MULTI", "-----BEGIN KEY-----\naGVsbG8=\n-----END KEY-----\n"),
        ("MULTI_SINGLE", "one\ntwo"),
        ("TAB", "1"),
        ("UNICODE", "größe 日本"),
    ];
    // The same from Windows: a BOM, and line ends that are not the values'.
    for text in [text.clone(), format!("\u{feff}{}", text.replace('\n', "\r\n"))] {
        let values = env_file::parse(&text, Path::new(".env")).unwrap();
        for (key, value) in expected {
            assert_eq!(values[key].expose_secret(), value, "{key}");
        }
        assert_eq!(values.len(), expected.len());
        assert!(!format!("{values:?}").contains("hush"));
    }
}

#[test]
fn mistakes_in_an_env_show_keys_and_no_value() {
    let text = fs::read_to_string(root().join("tests/fixtures/config/env/wrong.env")).unwrap();
    let text = format!("{text}LONG={}\nNUL=hush\0\n", "x".repeat(4097));
    let findings = env_file::parse(&text, Path::new(".env")).unwrap_err();
    let shown = findings.render(false);
    let whole = format!("{shown}\n{findings:?}\n{}", findings.to_json());
    assert!(!whole.contains("hush") && !whole.contains("xxx"), "{whole}");
    check_file(&root().join("tests/fixtures/config/env/wrong.txt"), &format!("{shown}\n"));
}
