//! The file as a whole: what it means, and what is said about mistakes.

use std::path::Path;

use proptest::prelude::*;

use super::*;
use crate::spec::{Gpus, Types, Usd};

fn findings(text: &str) -> String {
    parse(text, Path::new("spotctl.yaml")).map_or_else(|findings| findings.render(false), |spec| format!("{spec:?}"))
}

#[test]
fn two_lines_suffice() {
    let spec = parse("name: w\ncontainer: {image: busybox}\n", Path::new("a/spotctl.yaml")).unwrap();
    assert_eq!(spec.name.as_str(), "w");
    assert_eq!(spec.parameters.path.as_str(), "/spotctl/w");
    assert_eq!(spec.parameters.file.as_deref(), Some(Path::new("a/.env")));
    assert_eq!((spec.container.gpus, &spec.instance.types), (Gpus::All, &Types::Cheapest));
    assert_eq!(spec.lifetime.max.map(|max| max.to_string()).as_deref(), Some("8h"));
}

#[test]
fn the_examples_are_right() {
    for example in ["minimal", "worker-gpu"] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples").join(example).join("spotctl.yaml");
        let spec = load(&path).unwrap_or_else(|error| panic!("{example}: {error:?}"));
        if spec.parameters.file_is_required {
            assert_eq!(load_env(spec.parameters.file.as_deref().unwrap()).unwrap().len(), 10);
        }
    }
}

#[test]
fn numbers_keep_the_digits_they_were_written_with() {
    for (written, micros) in [("0.40", 400_000), ("1", 1_000_000), ("\"0.1578\"", 157_800)] {
        let text = format!("name: w\ncontainer: {{image: i}}\ninstance: {{max_price: {written}}}\n");
        assert_eq!(parse(&text, Path::new("x")).unwrap().instance.max_price, Some(Usd::from_micros(micros)));
    }
}

#[test]
fn a_key_used_in_access_or_image_is_plain() {
    let text = "name: w\ncontainer: {image: \"${REPO}:1\"}\naccess:\n  queues: [\"${QUEUE}\"]\n  buckets: {\"${BUCKET}\": read}\nparameters: {plain: [OTHER]}\n";
    let spec = parse(text, Path::new("x")).unwrap();
    assert_eq!(spec.parameters.plain.iter().collect::<Vec<_>>(), ["BUCKET", "OTHER", "QUEUE", "REPO"]);
}

#[test]
fn all_mistakes_are_reported_at_once_with_line_caret_and_suggestion() {
    let text = "\
name: Worker
regoin: us-east-1
container:
  image: i
  gpus: two
  env: {1X: y}
  args: [--name=x]
instance:
  types: g4dn.xlarge
  max_price: cheap
  ami: dlami-ubuntu-24.4
  volume: {type: gp2, size: 30, iops: 3000}
network: {egress: [443/tpc]}
lifetime: {max: soon, idle: none}
access: {session_manager: maybe, buckets: {my-bucket: readwrite}}
tags: {spotctl:x: y, \"a b\": c}
";
    insta::assert_snapshot!(findings(text), @"");
}

#[test]
fn what_is_not_yaml_or_not_a_mapping_says_where() {
    insta::assert_snapshot!(findings("name: w\ncontainer: {image: i\n"), @"");
    insta::assert_snapshot!(findings(""), @"");
    insta::assert_snapshot!(findings("- a\n"), @"");
    insta::assert_snapshot!(findings("name: w\nname: v\ncontainer: {image: i}\n"), @"");
}

#[test]
fn a_secret_that_would_stand_in_the_process_list_is_refused() {
    let text = |plain: &str| {
        format!("name: w\ncontainer: {{image: i, command: [run, \"${{TOKEN}}\"]}}\nparameters: {{plain: [{plain}]}}\n")
    };
    assert!(findings(&text("")).contains("process list"));
    assert!(parse(&text("TOKEN"), Path::new("x")).is_ok());
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "(?s).{0,120}") {
        let _ = parse(&text, Path::new("x")).map_err(|findings| (findings.render(true), findings.to_json()));
    }

    #[test]
    fn no_mutation_of_a_real_file_makes_it_panic(at in 0_usize..2000, with in "(?s).{0,3}") {
        let real = include_str!("../../examples/worker-gpu/spotctl.yaml");
        let at = (0..=at.min(real.len())).rev().find(|at| real.is_char_boundary(*at)).unwrap_or(0);
        let next = real[at..].chars().next().map_or(at, |c| at + c.len_utf8());
        let text = format!("{}{with}{}", &real[..at], &real[next..]);
        let _ = parse(&text, Path::new("x")).map_err(|findings| (findings.render(false), findings.to_json()));
    }
}
