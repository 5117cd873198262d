use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Command, Output, Stdio};

use base64::Engine;
use flate2::read::GzDecoder;

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
        golden::check(name, &script);
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
fn the_python_in_it_compiles_and_stays_legible_when_quoted() {
    let program = include_str!("../../../templates/worker.py");
    // With one of these the shell word is cut into pieces: still right, no longer legible.
    assert!(!program.contains(['\'', '\\', '^', '!']));
    linted("python3", &["-W", "error", "-c", "import ast, sys; ast.parse(sys.stdin.read())"], program);
}

#[test]
fn lifetime_max_is_the_first_thing_that_is_set_and_part_of_a_minute_counts_as_one() {
    for (max, line) in [
        (Some(1), Some("shutdown -h +1")),
        (Some(61), Some("shutdown -h +2")),
        (Some(28800), Some("shutdown -h +480")),
        (None, None),
    ] {
        let script = script_of(&container("busybox:1"), max.map(Period::from_secs)).unwrap();
        let first = script.lines().find(|line| line.starts_with("shutdown "));
        assert_eq!(first, line);
        if let Some(line) = line {
            let before = script.split(line).next().unwrap();
            assert!(!before.contains("\nenter ") && !before.contains("\naws ") && !before.contains("\nmkdir "));
        }
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

/// What stands in for AWS, Docker and the machine: each records its arguments, one program a file.
struct Machine {
    folder: tempfile::TempDir,
}

const STUB_AWS: &str = r#"#!/bin/bash
printf '%s\0' "$@" '' >>"$FOLDER/aws.args"
case "$1 $2" in
  "ssm get-parameters-by-path") cat "$FOLDER/answer.json" ;;
  "ecr get-login-password") printf 'registry-token' ;;
  *) exit 64 ;;
esac
"#;

const STUB_DOCKER: &str = r#"#!/bin/bash
printf '%s\0' "$@" '' >>"$FOLDER/docker.args"
case "$1" in
  login) cat >"$FOLDER/login.stdin" ;;
  pull) exit "${PULL_EXIT:-0}" ;;
  run) /bin/cat "/proc/$$/environ" >"$FOLDER/run.environ"; echo 0123abcd ;;
  wait) echo "${CODE:-0}" ;;
  inspect) echo false ;;
  *) exit 64 ;;
esac
"#;

/// The metadata service: a token, and with `TAG` set that tag; else it does not answer.
const STUB_CURL: &str = r#"#!/bin/bash
[[ -n ${TAG:-} ]] || exit 7
case "${*: -1}" in
  http://169.254.169.254/latest/api/token) printf 'imds-token' ;;
  http://169.254.169.254/latest/meta-data/tags/instance/spotctl:lifetime) printf '%s' "$TAG" ;;
  *) exit 22 ;;
esac
"#;

const STUB_SHUTDOWN: &str = "#!/bin/bash\nprintf '%s\\0' \"$@\" '' >>\"$FOLDER/shutdown.args\"\n";

impl Machine {
    /// A machine whose Parameter Store holds `parameters` under the stack's path.
    fn new(parameters: &BTreeMap<&str, &str>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bin = folder.path().join("bin");
        fs::create_dir(&bin).unwrap();
        for (name, script) in
            [("aws", STUB_AWS), ("curl", STUB_CURL), ("docker", STUB_DOCKER), ("shutdown", STUB_SHUTDOWN)]
        {
            let path = bin.join(name);
            fs::write(&path, script).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
        }
        let found: Vec<_> = parameters
            .iter()
            .map(|(key, value)| json!({"Name": format!("/oncetime/worker-gpu/{key}"), "Value": value}))
            .collect();
        fs::write(folder.path().join("answer.json"), json!({"Parameters": found}).to_string()).unwrap();
        Self { folder }
    }

    fn path(&self) -> &Path {
        self.folder.path()
    }

    /// Runs `script` with the two places it writes to moved into this folder.
    fn boot(&self, script: &str, environment: &[(&str, &str)]) -> Output {
        let here = self.path().to_str().unwrap();
        let moved = script
            .replace("run=/run/", &format!("run={here}/run/"))
            .replace("/var/lib/cloud", &format!("{here}/cloud"));
        assert!(!moved.contains("=/run/") && !moved.contains(" /var/"));
        let file = self.path().join("user-data.sh");
        fs::write(&file, moved).unwrap();
        Command::new("bash")
            .arg(file)
            .env_clear()
            .env("PATH", format!("{here}/bin:{}", env::var("PATH").unwrap()))
            .env("FOLDER", here)
            .envs(environment.iter().copied())
            .output()
            .unwrap()
    }

    /// Each call of a stub, as its arguments.
    fn calls(&self, program: &str) -> Vec<Vec<String>> {
        let bytes = fs::read(self.path().join(format!("{program}.args"))).unwrap_or_default();
        let text = String::from_utf8(bytes).unwrap();
        text.split_terminator("\0\0").map(|call| call.split('\0').map(str::to_owned).collect()).collect()
    }

    /// What the fake `docker run` had in its environment, byte for byte.
    fn handed_on(&self) -> BTreeMap<String, Vec<u8>> {
        let bytes = fs::read(self.path().join("run.environ")).unwrap();
        let variables = bytes.split(|byte| *byte == 0).filter(|variable| !variable.is_empty());
        variables
            .map(|variable| {
                let at = variable.iter().position(|byte| *byte == b'=').unwrap();
                (lossy(&variable[..at]), variable[at + 1..].to_vec())
            })
            .collect()
    }
}

#[test]
fn the_boxs_own_tag_goes_before_the_files_hard_end() {
    for (tag, ends) in [
        (None, vec![vec!["-h", "+480"], vec!["-h", "now"]]),
        (Some("2h"), vec![vec!["-h", "+480"], vec!["-h", "+120"], vec!["-h", "now"]]),
        (Some("1h1m1s"), vec![vec!["-h", "+480"], vec!["-h", "+62"], vec!["-h", "now"]]),
        (Some("none"), vec![vec!["-h", "+480"], vec!["-c"], vec!["-h", "now"]]),
        (Some("$(id)"), vec![vec!["-h", "+480"], vec!["-h", "now"]]),
    ] {
        let machine = Machine::new(&BTreeMap::from([("A", "1")]));
        let spec = crate::config::parse("name: worker-gpu\ncontainer: {image: i}\n", Path::new("x")).unwrap();
        let path = "/oncetime/worker-gpu".parse().unwrap();
        let boot = Boot {
            name: &spec.name,
            region: REGION,
            account: "123456789012",
            path: &path,
            plain: &spec.parameters.plain,
            container: &spec.container,
            lifetime: &spec.lifetime,
        };
        let environment: Vec<(&str, &str)> = tag.map(|tag| ("TAG", tag)).into_iter().collect();
        machine.boot(&render(&boot).unwrap(), &environment);
        assert_eq!(machine.calls("shutdown"), ends, "{tag:?}");
    }
}

/// The one call of `docker` whose first word is `verb`.
fn docker_call(machine: &Machine, verb: &str) -> Vec<String> {
    machine.calls("docker").into_iter().find(|call| call[0] == verb).unwrap_or_else(|| panic!("no `docker {verb}`"))
}

#[test]
fn every_value_arrives_byte_for_byte_and_stands_in_no_argument_and_not_on_the_console() {
    let long = "x'\"$`\\ü".repeat(500)[..4000].to_owned();
    let secrets = BTreeMap::from([
        ("S_QUOTES", "it's \"quoted\" 'twice'"),
        ("S_DOLLAR", "$HOME ${HOME} $(touch pwned) $$ `touch pwned`"),
        ("S_LINES", "\n\nfirst\nsecond\r\n\ttab\n\n"),
        ("S_BACKSLASH", "a\\nb\\\\c\\"),
        ("S_UNICODE", "żółć 漢字 🦀 \u{2028} \u{7f}\u{1}"),
        ("S_SPACES", "   padded   "),
        ("S_OPTION", "--privileged"),
        ("S_TEMPLATE", "{{ 7 * 7 }} ${S_QUOTES} {% raw %}"),
        ("S_HASH", "# not a comment = really"),
        ("S_END", "END_OF_FILE"),
        ("S_LONG", long.as_str()),
        ("PATH", "/opt/conda/bin"),
    ]);
    let mut parameters = secrets.clone();
    parameters.extend([
        ("ECR_AWS_ACCOUNT_ID", "999999999999"),
        ("ECR_REPOSITORY", "team/worker"),
        ("ECR_IMAGE_TAG", "v1"),
    ]);
    let machine = Machine::new(&parameters);
    let container = Container {
        env: BTreeMap::from([
            ("LOG_LEVEL".to_owned(), text("info $(id)\n")),
            ("COMPOSED".to_owned(), text("<${S_LINES}|${AWS_ACCOUNT_ID}>")),
        ]),
        args: vec![text("--label=it's $(id)")],
        command: vec![text("serve"), text("--in=${AWS_REGION}"), text("two words\n")],
        ..worker_gpu()
    };
    let output = machine.boot(&script_of(&container, Some(Period::from_secs(3600))).unwrap(), &[("CODE", "7")]);
    let console = format!("{}{}", lossy(&output.stdout), lossy(&output.stderr));

    let handed_on = machine.handed_on();
    for (key, value) in &secrets {
        assert_eq!(lossy(&handed_on[*key]), *value, "{key}");
        assert_eq!(handed_on[*key], value.as_bytes(), "{key}");
    }
    assert_eq!(handed_on["COMPOSED"], format!("<{}|{ACCOUNT}>", secrets["S_LINES"]).as_bytes());
    assert_eq!(handed_on["LOG_LEVEL"], b"info $(id)\n");
    assert_eq!(handed_on["AWS_REGION"], REGION.as_bytes());
    assert_eq!(handed_on["AWS_DEFAULT_REGION"], REGION.as_bytes());

    let image = format!("999999999999.dkr.ecr.{REGION}.amazonaws.com/team/worker:v1");
    let run = docker_call(&machine, "run");
    assert_eq!(
        run[..6],
        ["run", "--detach", "--pull=never", "--name=spotctl-worker-gpu", "--gpus=all", "--stop-timeout=90"]
    );
    let end = run.iter().position(|word| word == "--").unwrap();
    assert_eq!(run[end - 1..], ["--label=it's $(id)", "--", &image, "serve", "--in=ap-northeast-2", "two words\n"]);
    let names: BTreeSet<&str> = run.iter().filter_map(|word| word.strip_prefix("--env=")).collect();
    let wished: BTreeSet<&str> =
        parameters.keys().copied().chain(["LOG_LEVEL", "COMPOSED", "AWS_REGION", "AWS_DEFAULT_REGION"]).collect();
    assert_eq!(names, wished, "names only");

    let everything = format!("{:?}{:?}{console}", machine.calls("docker"), machine.calls("aws"));
    for (key, value) in secrets {
        assert!(!console.contains(value), "{key} stands on the console");
        assert!(
            machine.calls("docker").iter().flatten().all(|word| !word.contains(value)),
            "{key} stands in an argument"
        );
    }
    assert!(!everything.contains("registry-token"));
    assert_eq!(fs::read_to_string(machine.path().join("login.stdin")).unwrap(), "registry-token");
    assert_eq!(docker_call(&machine, "login").last().unwrap(), &format!("999999999999.dkr.ecr.{REGION}.amazonaws.com"));
    assert_eq!(docker_call(&machine, "pull").last().unwrap(), &image);

    let calls = machine.calls("aws");
    assert_eq!(calls.len(), 2, "one call for all parameters, one for the registry: {calls:?}");
    assert!(
        calls[0].contains(&"--with-decryption".to_owned()) && calls[0].contains(&"/oncetime/worker-gpu".to_owned())
    );
    assert!(console.contains("the container ended with exit status 7"), "{console}");
    assert_eq!(machine.calls("shutdown"), [["-h", "+60"], ["-h", "now"]], "the hard end first, and at last the end");
    assert!(!machine.path().join("run/spotctl").exists(), "no value stays behind");
    assert!(!machine.path().join("pwned").exists() && !Path::new("pwned").exists());
}

#[test]
fn the_file_goes_before_a_parameter_and_only_selected_parameters_are_handed_on() {
    let machine = Machine::new(&BTreeMap::from([
        ("AWS_REGION", "elsewhere-1"),
        ("LOG_LEVEL", "debug"),
        ("UNUSED", "u"),
        ("TAG", "t"),
    ]));
    let container = Container {
        gpus: Gpus::Count(2),
        parameters: Selection::Keys(BTreeSet::from(["AWS_REGION".to_owned(), "LOG_LEVEL".to_owned()])),
        ..Container { image: text("busybox:${TAG}"), ..worker_gpu() }
    };
    machine.boot(&script_of(&container, None).unwrap(), &[]);
    let handed_on = machine.handed_on();
    assert_eq!(handed_on["LOG_LEVEL"], b"info");
    assert_eq!(handed_on["AWS_REGION"], b"elsewhere-1");
    assert_eq!(handed_on["AWS_DEFAULT_REGION"], REGION.as_bytes());
    assert!(!handed_on.contains_key("UNUSED"));
    assert!(docker_call(&machine, "run").contains(&"--gpus=2".to_owned()));
    assert!(machine.calls("docker").iter().all(|call| call[0] != "login"), "no login where the registry is not ECR");
}

#[test]
fn ecr_is_recognized_in_any_account_and_region() {
    for (image, login) in [
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1", Some("us-east-1")),
        ("123456789012.dkr.ecr-fips.us-gov-west-1.amazonaws.com/a:1", Some("us-gov-west-1")),
        ("123456789012.dkr.ecr.cn-north-1.amazonaws.com.cn/a:1", Some("cn-north-1")),
        ("123456789012.dkr-ecr.eu-west-1.on.aws/a@sha256:0", Some("eu-west-1")),
        ("public.ecr.aws/a/b:1", None),
        ("ghcr.io/123456789012.dkr.ecr.us-east-1.amazonaws.com/a:1", None),
        ("12345.dkr.ecr.us-east-1.amazonaws.com/a:1", None),
        ("123456789012.dkr.ecr.us-east-1.amazonaws.com.evil.example/a:1", None),
    ] {
        let machine = Machine::new(&BTreeMap::new());
        machine.boot(&script_of(&container(image), None).unwrap(), &[]);
        let asked =
            machine.calls("aws").into_iter().find(|call| call[0] == "ecr").map(|call| call.last().unwrap().clone());
        assert_eq!(asked.as_deref(), login, "{image}");
        assert_eq!(docker_call(&machine, "pull").last().unwrap(), image);
    }
}

#[test]
fn whatever_fails_names_its_phase_and_ends_the_box() {
    let no_parameters = BTreeMap::new();
    let forbidden = BTreeMap::from([("DOCKER_HOST", "tcp://elsewhere")]);
    for (parameters, image, environment, said) in [
        (&no_parameters, "a:${MISSING}", ("X", ""), ["no parameter `MISSING`", "failed in phase parameters"]),
        (&no_parameters, "a:1", ("PULL_EXIT", "3"), ["phase pulling", "failed in phase pulling with exit status 3"]),
        (&forbidden, "a:1", ("X", ""), ["`DOCKER_HOST` cannot be handed on", "failed in phase starting"]),
    ] {
        let machine = Machine::new(parameters);
        let output = machine.boot(&script_of(&container(image), None).unwrap(), &[environment]);
        let console = format!("{}{}", lossy(&output.stdout), lossy(&output.stderr));
        assert!(said.iter().all(|part| console.contains(part)), "{said:?}: {console}");
        assert_eq!(machine.calls("shutdown"), [["-h", "now"]]);
        assert!(!console.contains("tcp://elsewhere"), "{console}");
    }
}

#[test]
fn a_box_that_reboots_ends() {
    let machine = Machine::new(&BTreeMap::new());
    machine.boot(&script_of(&container("a:1"), None).unwrap(), &[]);
    let hook = machine.path().join("cloud/scripts/per-boot/spotctl");
    assert!(fs::metadata(&hook).unwrap().permissions().mode() & 0o100 != 0);
    assert!(fs::read_to_string(hook).unwrap().contains("\nshutdown -h now\n"));
}
