use std::collections::BTreeMap;
use std::fs;
use std::io::{Read, Write};
use std::process::{Command, Stdio};

use base64::Engine;
use flate2::read::GzDecoder;
use proptest::prelude::*;

use super::*;
use crate::decide::golden;

const REGION: &str = "ap-northeast-2";
const ACCOUNT: &str = "123456789012";

fn text(text: &str) -> Text {
    text.parse().unwrap()
}

fn container(image: &str) -> Container {
    Container {
        image: text(image),
        gpus: Gpus::All,
        env: BTreeMap::new(),
        parameters: Selection::All,
        args: Vec::new(),
        command: Vec::new(),
        stop_timeout: Period::from_secs(90),
    }
}

fn worker_gpu() -> Container {
    Container {
        env: BTreeMap::from([("LOG_LEVEL".to_owned(), text("info"))]),
        ..container("${ECR_AWS_ACCOUNT_ID}.dkr.ecr.${AWS_REGION}.amazonaws.com/${ECR_REPOSITORY}:${ECR_IMAGE_TAG}")
    }
}

fn script_of(container: &Container, max: Option<Period>) -> Result<String, InvalidUserData> {
    let plain = BTreeSet::from(["PLAIN".to_owned()]);
    let lifetime = Lifetime { max, idle: None, boot: None };
    render(&Boot {
        name: &"worker-gpu".parse().unwrap(),
        region: REGION,
        account: ACCOUNT,
        path: &"/oncetime/worker-gpu".parse().unwrap(),
        plain: &plain,
        container,
        queues: &[text("${QUEUE}")],
        lifetime: &lifetime,
    })
}

/// Two scripts that use every branch of the template.
fn samples() -> [(&'static str, String); 2] {
    let hostile = Container {
        gpus: Gpus::None,
        env: BTreeMap::from([("GREETING".to_owned(), text("it's \"$HOME\" `id` $(id)\nEND_OF_FILE\n"))]),
        parameters: Selection::Keys(BTreeSet::from(["API_TOKEN".to_owned()])),
        args: vec![text("--shm-size=1g"), text("--label=a b'c")],
        command: vec![text("sh"), text("-c"), text("echo \"$1\"; exit ${PLAIN}")],
        ..container("public.ecr.aws/docker/library/busybox:1")
    };
    [
        ("user-data/worker-gpu.sh", script_of(&worker_gpu(), Some(Period::from_secs(8 * 3600))).unwrap()),
        ("user-data/hostile.sh", script_of(&hostile, None).unwrap()),
    ]
}

#[test]
fn the_script_is_the_one_that_was_reviewed() {
    for (name, script) in samples() {
        // The programs are reviewed where they stand; another test holds that they arrive whole.
        let brief = FILES.iter().fold(script, |script, file| script.replace(file.text, "(as in templates/box/)\n"));
        golden::check(name, &brief);
    }
}

/// Runs a program on `script`, or says why not.
fn linted(program: &str, arguments: &[&str], script: &str) {
    let spawned = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = spawned else {
        #[expect(clippy::print_stderr, reason = "a test that did not look must say so")]
        {
            eprintln!("skipped, because `{program}` is not installed");
        }
        return;
    };
    child.stdin.take().unwrap().write_all(script.as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{program}: {}{}", lossy(&output.stdout), lossy(&output.stderr));
}

fn lossy(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

#[test]
fn bash_and_shellcheck_have_nothing_to_say() {
    for (_, script) in samples() {
        linted("bash", &["-n"], &script);
        linted("shellcheck", &["--shell=bash", "-"], &script);
    }
}

#[test]
fn the_programs_are_python_that_the_oldest_image_understands() {
    // Amazon Linux 2023 has 3.9.
    let check = "import ast, sys; ast.parse(sys.stdin.read(), feature_version=(3, 9))";
    for file in FILES.iter().filter(|file| file.place.starts_with("/opt/")) {
        linted("python3", &["-W", "error", "-c", check], file.text);
    }
}

#[test]
fn the_script_unpacks_each_file_byte_for_byte_and_starts_the_guard() {
    let folder = tempfile::tempdir().unwrap();
    let here = folder.path().to_str().unwrap();
    let (_, script) = &samples()[1];
    let moved = script.replace("/opt/", &format!("{here}/opt/")).replace("/etc/systemd/system", here);
    let stubs = "systemctl() { echo \"systemctl $*\"; }\nshutdown() { echo \"shutdown $*\"; }\n";
    let output = Command::new("bash").args(["-c", &(stubs.to_owned() + &moved)]).output().unwrap();
    assert!(output.status.success(), "{}", lossy(&output.stderr));
    assert_eq!(lossy(&output.stdout), "systemctl daemon-reload\nsystemctl enable --now --no-block spotctl.service\n");
    for file in &FILES {
        assert!(file.text.ends_with('\n') && !file.text.lines().any(|line| line == BoxFile::END), "{}", file.place);
        let place = file.place.replace("/opt/", &format!("{here}/opt/")).replace("/etc/systemd/system", here);
        assert_eq!(fs::read_to_string(place).unwrap().replace(here, ""), file.text.replace("/etc/systemd/system", ""));
    }
    let facts: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(format!("{here}/opt/spotctl/box.json")).unwrap()).unwrap();
    assert_eq!(facts["env"]["GREETING"], "it's \"$HOME\" `id` $(id)\nEND_OF_FILE\n");
    assert_eq!(facts["args"], json!(["--shm-size=1g", "--label=a b'c"]));
    assert_eq!((&facts["lifetime"], &facts["queues"]), (&json!("none"), &json!(["${QUEUE}"])));
}

#[test]
fn a_box_that_cannot_be_unpacked_ends() {
    let (_, script) = &samples()[0];
    let stubs = "mkdir() { return 1; }\nshutdown() { echo \"shutdown $*\"; }\n";
    let output = Command::new("bash").args(["-c", &(stubs.to_owned() + script)]).output().unwrap();
    assert!(lossy(&output.stdout).ends_with("this box ends now\nshutdown -h now\n"), "{}", lossy(&output.stdout));
    assert!(!output.status.success());
}

#[test]
fn the_hard_end_is_the_first_thing_that_is_set_and_part_of_a_minute_counts_as_one() {
    for (max, line) in [
        (Some(1), Some("shutdown -h +11 || true")),
        (Some(61), Some("shutdown -h +12 || true")),
        (Some(28800), Some("shutdown -h +490 || true")),
        (None, None),
    ] {
        let script = script_of(&container("busybox:1"), max.map(Period::from_secs)).unwrap();
        let first = script.lines().find(|line| line.starts_with("shutdown "));
        assert_eq!(first, line);
        if let Some(line) = line {
            let before = script.split(line).next().unwrap();
            assert!(!before.contains("\nmkdir ") && !before.contains("\ncat "));
        }
    }
}

#[test]
fn a_usual_script_leaves_two_kilobytes_for_the_files_own() {
    for (name, script) in samples() {
        let encoded = encode(&script).unwrap();
        assert!(encoded.bytes + 2048 <= LIMIT, "{name} leaves little room: {}", encoded.bytes);
    }
}

#[test]
fn a_secret_in_an_argument_is_refused_and_one_in_the_environment_is_not() {
    let base = || container("busybox:1");
    let secret = || vec![text("--token=${API_TOKEN}")];
    for (container, refused) in [
        (Container { args: secret(), ..base() }, Some("args")),
        (Container { command: secret(), ..base() }, Some("command")),
        (Container { command: vec![text("${PLAIN}${AWS_REGION}${AWS_ACCOUNT_ID}")], ..base() }, None),
        (Container { env: BTreeMap::from([("T".to_owned(), text("${API_TOKEN}"))]), ..base() }, None),
    ] {
        match (script_of(&container, None), refused) {
            (Err(InvalidUserData::Exposed { key, place }), Some(expected)) => {
                assert_eq!((key.as_str(), place), ("API_TOKEN", expected));
            }
            (outcome, expected) => assert!(outcome.is_ok() && expected.is_none(), "{expected:?}: {outcome:?}"),
        }
    }
}

#[test]
fn a_nul_byte_is_an_error_and_not_a_shorter_value() {
    let container = Container { command: vec![text("a\0b")], ..container("busybox:1") };
    // JSON escapes it, so it never reaches the shell; the box's `execve` refuses it.
    assert!(!script_of(&container, None).unwrap().contains('\0'));
    let mut environment = templates().unwrap();
    environment.add_template("t", "{{ x }}").unwrap();
    environment.add_template("if", "{% if x %}{% endif %}").unwrap();
    let template = environment.get_template("t").unwrap();
    assert!(template.render(minijinja::context! { x => "a\0b" }).is_err());
    assert!(template.render(minijinja::context! {}).is_err(), "undefined is an error");
    assert!(environment.get_template("if").unwrap().render(minijinja::context! {}).is_err(), "in a condition too");
    assert!(template.render(minijinja::context! { x => vec!["a"] }).is_err(), "a list is not one word");
    assert_eq!(template.render(minijinja::context! { x => "it's $(id)" }).unwrap(), "\"it's \"'$(id)'");
}

/// Lines that differ, so that gzip does not do wonders.
fn filler(bytes: usize) -> String {
    let mut state = 1_u64;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        char::from(b'!' + u8::try_from((state >> 33) % 90).unwrap())
    };
    (0..bytes).map(|_| next()).collect()
}

#[test]
fn a_script_is_packed_only_over_the_limit_and_refused_with_its_size_when_that_does_not_help() {
    let plain = encode(&filler(LIMIT)).unwrap();
    assert_eq!((plain.gzipped, plain.bytes), (false, LIMIT));
    assert_eq!(STANDARD.decode(plain.base64).unwrap(), filler(LIMIT).into_bytes());

    let packed = encode(&filler(LIMIT + 1)).unwrap();
    let bytes = STANDARD.decode(&packed.base64).unwrap();
    assert!(packed.gzipped && packed.bytes == bytes.len() && packed.bytes <= LIMIT);
    assert_eq!(bytes[4..8], [0; 4], "no time stamp");
    let mut unpacked = String::new();
    GzDecoder::new(bytes.as_slice()).read_to_string(&mut unpacked).unwrap();
    assert_eq!(unpacked, filler(LIMIT + 1));
    assert_eq!(encode(&filler(LIMIT + 1)).unwrap(), packed, "the same script, the same bytes");

    let refused = encode(&filler(40_000)).unwrap_err();
    assert!(refused.bytes == 40_000 && refused.gzipped > LIMIT);
    assert!(refused.to_string().contains("40000 bytes") && refused.to_string().contains("16384"));
}

/// Texts that a shell, a template, JSON, YAML or a here-document would take for its own.
fn hostile() -> impl Strategy<Value = String> {
    let known = [
        "",
        "-",
        "--",
        "--privileged",
        "-v /:/host",
        "'",
        "\"",
        "'\"'\"'",
        "\\",
        "\\'",
        "$(id)",
        "`id`",
        "$HOME",
        "${PLAIN}",
        "{{ box_json }}",
        "{% raw %}",
        "{# x #}",
        "]]>",
        "END_OF_FILE",
        "\nEND_OF_FILE\n",
        "\n",
        "\r\n",
        "\t",
        "%s%n",
        "!x",
        "!!",
        "#",
        "a # b",
        "*",
        "~",
        ">/etc/passwd",
        ";reboot",
        "&& x",
        "|| x",
        "\u{1b}[31m",
        "\u{7f}",
        "\u{85}",
        "\u{2028}",
        "größe",
        "日本",
        "null",
        "</script>",
    ];
    let text = prop_oneof![
        3 => proptest::sample::select(known.map(str::to_owned).to_vec()),
        1 => "[^\\x00$]{0,12}",
        1 => "x{200}",
    ];
    prop::collection::vec(text, 0..4).prop_map(|parts| parts.concat())
}

fn texts(words: &[String]) -> Vec<Text> {
    words.iter().map(|word| text(word)).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_the_file_says_is_one_word_of_the_script_and_nothing_else_in_it_moves(
        image in hostile(),
        env in prop::collection::btree_map("[A-Z_]{1,8}", hostile(), 0..4),
        args in prop::collection::vec(hostile(), 0..4),
        command in prop::collection::vec(hostile(), 0..4),
    ) {
        let given = Container {
            env: env.iter().map(|(key, value)| (key.clone(), text(value))).collect(),
            args: texts(&args),
            command: texts(&command),
            ..container(&image)
        };
        let script = script_of(&given, None).unwrap();
        let plain = script_of(&container("i"), None).unwrap();
        let (begin, end) = ("printf '%s' ", " >/opt/spotctl/box.json\n");
        let around = plain.split_once(begin).and_then(|(before, rest)| Some((before, rest.split_once(end)?.1))).unwrap();
        let word = script.strip_prefix(around.0).and_then(|rest| rest.strip_prefix(begin));
        let word = word.and_then(|rest| rest.strip_suffix(around.1)?.strip_suffix(end)).unwrap();
        let words = shlex::split(word).unwrap();
        prop_assert_eq!(words.len(), 1);
        let facts: serde_json::Value = serde_json::from_str(&words[0]).unwrap();
        prop_assert_eq!(&facts["image"], &json!(image));
        prop_assert_eq!(&facts["env"], &json!(env));
        prop_assert_eq!(&facts["args"], &json!(args));
        prop_assert_eq!(&facts["command"], &json!(command));
        let encoded = encode(&script).unwrap();
        let bytes = STANDARD.decode(encoded.base64).unwrap();
        let mut unpacked = Vec::new();
        if encoded.gzipped {
            GzDecoder::new(bytes.as_slice()).read_to_end(&mut unpacked).unwrap();
        }
        let sent = if encoded.gzipped { unpacked } else { bytes };
        prop_assert!(script.as_bytes() == sent);
    }
}

proptest! {
    // A process for each.
    #![proptest_config(ProptestConfig { failure_persistence: None, cases: 12, ..ProptestConfig::default() })]

    #[test]
    fn a_shell_reads_each_word_as_it_was(words in prop::collection::vec(hostile(), 1..40)) {
        let mut environment = templates().unwrap();
        environment.add_template("t", "printf '%s\\0'{% for word in words %} {{ word }}{% endfor %}").unwrap();
        let script = environment.get_template("t").unwrap().render(minijinja::context! { words => words.clone() }).unwrap();
        let output = Command::new("bash").args(["-c", &script]).output().unwrap();
        let read: Vec<String> = output.stdout.split(|byte| *byte == 0).map(lossy).collect();
        prop_assert_eq!(&read[..read.len() - 1], &words[..], "{}", script);
    }
}
