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
    insta::assert_snapshot!(findings(text), @r#"
    error: `name`: `Worker` is not a name: it starts with a letter a-z, holds a-z, 0-9 and `-`, and is at most 40 characters long
     --> spotctl.yaml:1:7
      |
    1 | name: Worker
      |       ^^^^^^

    error: no key `regoin`
     --> spotctl.yaml:2:1
      |
    2 | regoin: us-east-1
      | ^^^^^^
      |
      = help: did you mean `region`?

    error: `container.gpus`: `two` is none of all, none, a number
     --> spotctl.yaml:5:9
      |
    5 |   gpus: two
      |         ^^^

    error: `container.env.1X`: `1X` is not a key: letters, digits and `_`, and no digit first
     --> spotctl.yaml:6:9
      |
    6 |   env: {1X: y}
      |         ^^

    error: `container.args[0]`: `--name` is not for `args`: spotctl names it
     --> spotctl.yaml:7:10
      |
    7 |   args: [--name=x]
      |          ^^^^^^^^

    error: `instance.types` is `cheapest` or a list, not `g4dn.xlarge`
     --> spotctl.yaml:9:10
      |
    9 |   types: g4dn.xlarge
      |          ^^^^^^^^^^^
      |
      = help: a list: [g4dn.xlarge]

    error: `instance.max_price`: `cheap` is not an amount in USD such as `0.40`
      --> spotctl.yaml:10:14
       |
    10 |   max_price: cheap
       |              ^^^^^

    error: `instance.ami`: `dlami-ubuntu-24.4` is none of dlami-ubuntu-24.04, dlami-ubuntu-22.04, dlami-al2023, ami-…, ssm:/…
      --> spotctl.yaml:11:8
       |
    11 |   ami: dlami-ubuntu-24.4
       |        ^^^^^^^^^^^^^^^^^
       |
       = help: did you mean `dlami-ubuntu-24.04`?

    error: `instance.volume.size`: `30` is not a size such as `30GiB`
      --> spotctl.yaml:12:29
       |
    12 |   volume: {type: gp2, size: 30, iops: 3000}
       |                             ^^

    error: `instance.volume.iops`: a gp2 volume's IOPS follow from its size
      --> spotctl.yaml:12:39
       |
    12 |   volume: {type: gp2, size: 30, iops: 3000}
       |                                       ^^^^

    error: `network.egress[0]`: `443/tpc` is not a port such as `443/tcp` or `53/udp`
      --> spotctl.yaml:13:20
       |
    13 | network: {egress: [443/tpc]}
       |                    ^^^^^^^

    error: `lifetime.max`: `soon` is not a length of time such as `8h`, `15m` or `90s`
      --> spotctl.yaml:14:17
       |
    14 | lifetime: {max: soon, idle: none}
       |                 ^^^^

    error: `access.session_manager` is true or false, not a text
      --> spotctl.yaml:15:27
       |
    15 | access: {session_manager: maybe, buckets: {my-bucket: readwrite}}
       |                           ^^^^^

    error: `access.buckets.my-bucket`: `readwrite` is none of read, write, read-write
      --> spotctl.yaml:15:55
       |
    15 | access: {session_manager: maybe, buckets: {my-bucket: readwrite}}
       |                                                       ^^^^^^^^^
       |
       = help: did you mean `read-write`?

    error: `tags.spotctl:x`: tag keys that begin with `spotctl:` are not yours
      --> spotctl.yaml:16:8
       |
    16 | tags: {spotctl:x: y, "a b": c}
       |        ^^^^^^^^^

    error: `tags.a b`: the tag key `a b` holds a space or a `/`: the box could not read its tags
      --> spotctl.yaml:16:22
       |
    16 | tags: {spotctl:x: y, "a b": c}
       |                      ^^^^^
    "#);
}

#[test]
fn what_is_not_yaml_or_not_a_mapping_says_where() {
    insta::assert_snapshot!(findings("name: w\ncontainer: {image: i\n"), @r#"
    error: unclosed bracket '{'
     --> spotctl.yaml:2:12
      |
    2 | container: {image: i
      |            ^^^^^^^^^
    "#);
    insta::assert_snapshot!(findings(""), @r#"
    error: the file is a mapping, not nothing
     --> spotctl.yaml:1:1
      |
    1 |
      | ^

    error: the key `container` is missing
     --> spotctl.yaml:1:1
      |
    1 |
      | ^
      |
      = help: add `container: {image: …}`

    error: the key `name` is missing
     --> spotctl.yaml:1:1
      |
    1 |
      | ^
      |
      = help: add `name: worker-gpu`
    "#);
    insta::assert_snapshot!(findings("- a\n"), @r#"
    error: the key `container` is missing
     --> spotctl.yaml:1:1
      |
    1 | - a
      | ^
      |
      = help: add `container: {image: …}`

    error: the key `name` is missing
     --> spotctl.yaml:1:1
      |
    1 | - a
      | ^
      |
      = help: add `name: worker-gpu`

    error: the file is a mapping, not a list
     --> spotctl.yaml:1:1
      |
    1 | - a
      | ^^^
    "#);
    insta::assert_snapshot!(findings("name: w\nname: v\ncontainer: {image: i}\n"), @r#"
    error: the key `name` is set a second time
     --> spotctl.yaml:2:1
      |
    2 | name: v
      | ^^^^^^^
    "#);
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
