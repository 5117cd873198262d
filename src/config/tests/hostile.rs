//! Whatever stands in the files, they are read or refused; nothing panics, and no secret changes.

use proptest::prelude::*;

use super::*;

fn quoted(value: &str) -> String {
    let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n").replace('\r', "\\r");
    format!("\"{}\"", escaped.replace('\t', "\\t"))
}

/// Every sample, to be broken.
fn any_sample() -> impl Strategy<Value = String> {
    let files = samples("valid").into_iter().chain(samples("invalid"));
    let texts: Vec<String> = files.map(|path| fs::read_to_string(path).unwrap()).collect();
    proptest::sample::select(texts)
}

fn look_at(text: &str) {
    if let Err(findings) = parse(text, Path::new("spotctl.yaml")) {
        assert!(!findings.is_empty(), "refused without a reason");
        let shown = findings.render(false);
        assert!(findings.render(true).len() > shown.len());
        assert_eq!(findings.to_json().as_array().map(Vec::len), Some(findings.len()));
    }
}

proptest! {
    // A failure is printed; a file of them beside the sources would be one more thing to keep.
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn any_text_is_read_or_refused(text in "\\PC{0,60}|[ \\t\\n\\r:{}\\[\\],#&*!|>'\"%@`a-c0-9-]{0,60}") {
        look_at(&text);
        if let Err(findings) = env_file::parse(&text, Path::new(".env")) {
            prop_assert!(!findings.render(false).is_empty());
        }
    }

    #[test]
    fn any_damaged_file_is_read_or_refused(
        sample in any_sample(),
        at in any::<prop::sample::Index>(),
        length in 0_usize..12,
        with in "[ \\t\\n:{}\\[\\],#&*!|>'\"$\u{0}\u{feff}ßé日a0.-]{0,6}",
    ) {
        let mut chars: Vec<char> = sample.chars().collect();
        let start = at.index(chars.len() + 1);
        let end = (start + length).min(chars.len());
        chars.splice(start..end, with.chars());
        look_at(&chars.into_iter().collect::<String>());
    }

    #[test]
    fn any_value_in_any_place_is_taken_or_refused(
        key in proptest::sample::select(vec![
            "name", "region", "container", "container.image", "container.gpus", "container.env", "container.args",
            "container.parameters", "parameters.path", "parameters.plain", "instance.types", "instance.gpus",
            "instance.gpu_memory", "instance.max_price", "instance.ami", "instance.volume", "instance.volume.size",
            "instance.volume.iops", "instance.volume.throughput", "network.vpc", "network.subnets", "network.egress",
            "lifetime.max", "access.queues", "access.buckets", "access.launchers", "access.statements", "tags",
        ]),
        value in proptest::sample::select(vec![
            "", "~", "0", "-1", "4294967295", "99999999999999999999999", "1e400", "0x10", "007", ".5", "true", "\"\"",
            "\"${\"", "\"${A}\"", "\"\\0\"", "[]", "[[]]", "[~]", "[\"\"]", "{}", "{\"\": \"\"}", "{a: ~}", "{a: read}",
            "{? [a] : b}", "[{}]", "[{Effect: Allow}]", "!!str 5", "!x y", "|\n  a\n  b", "2024-01-01", "\"-\"", "\"/\"",
            "\"a/b:c@d\"", "\"://\"", "none", "all",
        ]),
    ) {
        let nested = |(depth, part): (usize, &str)| format!("{}{part}:", " ".repeat(depth));
        let lines: Vec<String> = key.split('.').enumerate().map(nested).collect();
        look_at(&format!("{} {value}\n", lines.join("\n")));
    }

    #[test]
    fn any_secret_arrives_byte_for_byte(
        values in prop::collection::btree_map("[A-Za-z_][A-Za-z0-9_]{0,20}", "[^\u{0}]{1,80}", 0..8),
        line_end in prop::sample::select(vec!["\n", "\r\n", " # a comment\n"]),
        prefix in prop::sample::select(vec!["", "export ", "  "]),
    ) {
        prop_assume!(values.values().all(|value| !value.contains("{{")));
        let lines = values.iter().map(|(key, value)| format!("{prefix}{key}={}{line_end}", quoted(value)));
        let text = lines.collect::<Vec<_>>().concat();
        let read = env_file::parse(&text, Path::new(".env")).unwrap();
        let read: std::collections::BTreeMap<String, String> =
            read.into_iter().map(|(key, value)| (key, value.expose_secret().to_owned())).collect();
        prop_assert_eq!(read, values);
    }

    #[test]
    fn no_finding_holds_a_value(
        lines in prop::collection::vec("(export )?[A-Z]{1,3}[ -]?=[ \"']{0,2}hush[\"'#= ]{0,3}|hush|hush-[=\"']{0,2}|hush \"=hush", 1..8)
    ) {
        if let Err(findings) = env_file::parse(&lines.join("\n"), Path::new(".env")) {
            let shown = format!("{}{}{findings:?}", findings.render(false), findings.to_json());
            prop_assert!(!shown.contains("hush"), "{}", shown);
        }
    }
}
