//! Whatever stands in the files, they are read or refused; nothing panics, and no secret changes.

use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::*;
use crate::decide::policy::{self, LaunchScope, Place};
use crate::decide::user_data;
use crate::plan;
use crate::resource::{parameters, security_group};
use crate::spec::Spec;
use crate::ui::legible;

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
        assert!(legible::tests::is_legible(&shown), "it commands the terminal: {shown:?}");
        assert!(findings.render(true).len() > shown.len());
        assert_eq!(findings.to_json().as_array().map(Vec::len), Some(findings.len()));
    }
}

/// What is made of a file that is right, without AWS.
fn use_all_of(spec: &Spec) {
    let place = Place { account: "123456789012", region: spec.region.as_deref().unwrap_or("us-east-1") };
    // What an argument would show is refused before, with its line.
    let script = plan::boot_script(spec, place.account, place.region).unwrap();
    if let Err(large) = user_data::encode(&script) {
        assert!(!large.to_string().is_empty());
    }
    let values = spec.parameters.plain.iter().map(|key| (key.clone(), "x\"'${}\n*".to_owned())).collect();
    for made in [policy::worker(spec, place, &values), policy::operator(spec, place, &values)] {
        match made {
            Ok(made) => assert!(policy::size(&made) > 0),
            Err(why) => assert!(!why.to_string().is_empty()),
        }
    }
    assert!(policy::launcher(spec, place, LaunchScope::default()).is_object());
    assert_eq!(security_group::desired(spec, "vpc-1"), security_group::desired(spec, "vpc-1"));
    let tags = plan::worker_tags(spec, spec.lifetime.max, spec.lifetime.idle);
    // The metadata service shows no others, and EC2 takes no more.
    assert!(tags.len() <= 48 && tags.keys().all(|key| !key.contains([' ', '/'])), "{tags:?}");
    let _ = parameters::desired(spec, None);
}

/// A slip of the hand, or of a program that writes files.
#[derive(Debug, Clone)]
enum Slip {
    Delete(Index),
    Double(Index),
    Swap(Index, Index),
    Indent(Index, usize),
    Tab(Index),
    /// Another value behind the colon.
    Value(Index, String),
    Key(Index, String),
    /// A key within a key, and so on.
    Nest(Index, usize),
    Alias(Index),
    Wide(Index, usize),
}

fn slip() -> impl Strategy<Value = Slip> {
    let index = any::<Index>;
    let words = || {
        select(
            [
                "",
                "~",
                "-1",
                "99999999999h",
                "4294967296",
                "1e999",
                ".inf",
                "-.inf",
                ".nan",
                "0o17",
                "0x1F",
                "1_000",
                "+5",
                "'it''s'",
                "\"\\u0000\"",
                "\"\\x1b[31m\"",
                "\"\\ud800\"",
                "--help",
                "\"-v\"",
                "'{{ x }}'",
                "'{% x %}'",
                "']]>'",
                "'$(id)'",
                "'${'",
                "'${AWS_REGION}'",
                "[]",
                "[[[[]]]]",
                "{}",
                "{a: {b: c}}",
                "!!binary aGk=",
                "!!set {a, b}",
                "&a [*a]",
                "*nobody",
                "<<",
                "{<<: *a}",
                "| \n",
                ">-",
                "2026-01-01T00:00:00Z",
                "yes",
                "No",
                "NULL",
                "'\u{202e}x'",
                "größe",
                "日本",
                "e\u{301}\u{301}\u{301}",
                "🦀",
                "none",
                "all",
                "public",
                "cheapest",
                "/",
                "../..",
                "a/b:c@sha256:d",
                "http://x",
                "[443/tcp, 99999/udp]",
                "[-1, --, '']",
                "30GiB",
                "99999999999GiB",
                "0.0000001",
                "1000000001",
            ]
            .map(str::to_owned)
            .to_vec(),
        )
    };
    prop_oneof![
        1 => index().prop_map(Slip::Delete),
        1 => index().prop_map(Slip::Double),
        1 => (index(), index()).prop_map(|(one, other)| Slip::Swap(one, other)),
        1 => (index(), 0_usize..9).prop_map(|(at, by)| Slip::Indent(at, by)),
        1 => index().prop_map(Slip::Tab),
        5 => (index(), words()).prop_map(|(at, word)| Slip::Value(at, word)),
        1 => (index(), words()).prop_map(|(at, word)| Slip::Key(at, word)),
        1 => (index(), select(vec![3_usize, 12, 60, 3000])).prop_map(|(at, depth)| Slip::Nest(at, depth)),
        1 => index().prop_map(Slip::Alias),
        1 => (index(), select(vec![1_usize, 80, 5000])).prop_map(|(at, times)| Slip::Wide(at, times)),
    ]
}

/// JSON is YAML but for the characters that YAML wants escaped.
fn escaped(json: &str) -> String {
    let is_odd = |letter: char| letter.is_control() || matches!(letter, '\u{feff}' | '\u{fffe}' | '\u{ffff}');
    let shown =
        |letter: char| if is_odd(letter) { format!("\\u{:04x}", u32::from(letter)) } else { letter.to_string() };
    json.chars().map(shown).collect()
}

/// So many cases, unless `PROPTEST_CASES` says otherwise.
fn cases(cases: u32) -> ProptestConfig {
    let named = std::env::var_os("PROPTEST_CASES").is_some();
    let config = ProptestConfig { failure_persistence: None, ..ProptestConfig::default() };
    if named { config } else { ProptestConfig { cases, ..config } }
}

fn slipped(text: &str, slips: &[Slip]) -> String {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    for slip in slips {
        let (Slip::Delete(at)
        | Slip::Double(at)
        | Slip::Swap(at, _)
        | Slip::Indent(at, _)
        | Slip::Tab(at)
        | Slip::Value(at, _)
        | Slip::Key(at, _)
        | Slip::Nest(at, _)
        | Slip::Alias(at)
        | Slip::Wide(at, _)) = slip;
        if lines.is_empty() {
            break;
        }
        let at = at.index(lines.len());
        let line = lines[at].clone();
        let (key, value) = line.split_once(':').unwrap_or((&line, ""));
        match slip {
            Slip::Delete(_) => drop(lines.remove(at)),
            Slip::Double(_) => lines.insert(at, line),
            Slip::Swap(_, other) => {
                let other = other.index(lines.len());
                lines.swap(at, other);
            }
            Slip::Indent(_, by) => lines[at] = format!("{:by$}{}", "", line.trim_start()),
            Slip::Tab(_) => lines[at] = format!("\t{}", line.trim_start()),
            Slip::Value(_, word) => lines[at] = format!("{key}: {word}"),
            Slip::Key(_, word) => lines[at] = format!("{word}:{value}"),
            Slip::Nest(_, depth) => lines[at] = format!("{key}: {}{}", "[".repeat(*depth), "]".repeat(*depth)),
            Slip::Alias(_) => {
                // Ten to the power of nine, if somebody unfolded it.
                let ten = |of: char| vec![format!("*{of}"); 10].join(", ");
                let bomb = ('a'..='h').zip('b'..='i').map(|(of, name)| format!("{name}: &{name} [{}]", ten(of)));
                lines.splice(at..at, std::iter::once("a: &a [x]".to_owned()).chain(bomb));
            }
            Slip::Wide(_, times) => {
                lines[at] = format!("{}{line}\t # {}", "\t".repeat(times % 7), "日e\u{301}".repeat(*times));
            }
        }
    }
    lines.join("\n")
}

#[test]
fn what_lies_deeper_than_any_file_needs_is_refused_before_it_fills_the_stack() {
    for depth in [17, 60, 250, 1_000, 100_000] {
        let text = format!("{MINIMAL}tags: {}{}\n", "[".repeat(depth), "]".repeat(depth));
        assert!(findings(&text).to_string().contains("too deep"), "{depth}");
        let text = (0..depth.min(2_000)).fold(String::new(), |text, at| format!("{text}{:at$}a:\n", ""));
        assert!(findings(&text).to_string().contains("too deep"), "{depth}");
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
    fn any_bytes_are_read_or_refused(
        sample in any_sample(),
        at in any::<Index>(),
        bytes in prop::collection::vec(any::<u8>(), 0..20),
    ) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        let mut whole = sample.into_bytes();
        let at = at.index(whole.len() + 1);
        whole.splice(at..at, bytes.iter().copied());
        for content in [&whole, &bytes] {
            fs::write(&path, content).unwrap();
            let errors = [load(&path).err(), load_env(&path).err()];
            for error in errors.into_iter().flatten() {
                prop_assert!(!error.to_string().is_empty());
            }
        }
    }

    #[test]
    fn what_a_file_holds_that_is_no_slip_reaches_the_spec_as_it_is(
        env in prop::collection::btree_map("[A-Z_][A-Z0-9_]{0,8}", "([^\\x00$]|[$][^{\\x00]|\\PC){0,30}", 0..5),
        command in prop::collection::vec("([^\\x00$]|\\{\\{|\\{%|[`'\"\\\\]|\\PC){0,20}", 0..5),
        tags in prop::collection::btree_map("[a-zA-Z0-9_.:=+@-]{1,20}", "[\\p{L}0-9 _.:=+@/-]{0,30}", 0..5),
    ) {
        let env: std::collections::BTreeMap<String, String> =
            env.into_iter().filter(|(key, text)| !key.starts_with("DOCKER_") && !key.starts_with("AWS_") && !text.ends_with('$')).collect();
        let command: Vec<String> = command.iter().map(|word| word.replace("${", "$ {")).collect();
        let env: std::collections::BTreeMap<String, String> =
            env.into_iter().map(|(key, text)| (key, text.replace("${", "$ {"))).collect();
        let json = serde_json::json!({
            "name": "w",
            "container": {"image": "i", "env": env, "command": command},
            "tags": tags,
        });
        let text = escaped(&json.to_string());
        let Ok(spec) = parse(&text, Path::new("x")) else {
            let is_odd = |tags: &std::collections::BTreeMap<String, String>| tags.keys().any(|key| {
                let lower = key.to_lowercase();
                [".", "..", "_index"].contains(&key.as_str()) || lower.starts_with("aws:") || lower.starts_with("spotctl:")
                    || tags.keys().filter(|other| other.to_lowercase() == lower).count() > 1
            });
            prop_assert!(is_odd(&tags), "{}", findings(&text).render(false));
            return Ok(());
        };
        prop_assert_eq!(&spec.tags, &tags);
        let read: std::collections::BTreeMap<String, String> =
            spec.container.env.iter().map(|(key, text)| (key.clone(), text.to_string())).collect();
        prop_assert_eq!(read, env);
        let read: Vec<String> = spec.container.command.iter().map(ToString::to_string).collect();
        prop_assert_eq!(read, command);
        use_all_of(&spec);
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

proptest! {
    // The long ones among them take a while to draw.
    #![proptest_config(cases(64))]

    #[test]
    fn any_slip_is_read_or_refused_and_what_is_read_can_be_used(
        sample in any_sample(),
        slips in prop::collection::vec(slip(), 1..6),
        line_end in select(vec!["\n", "\r\n", "\r", "\n\u{feff}", "\u{2028}"]),
        start in select(vec!["", "\u{feff}", "---\n", "%YAML 1.2\n---\n", "\0"]),
    ) {
        let text = format!("{start}{}", slipped(&sample, &slips).replace('\n', line_end));
        look_at(&text);
        if let Ok(spec) = parse(&text, Path::new("spotctl.yaml")) {
            use_all_of(&spec);
        }
    }
}
