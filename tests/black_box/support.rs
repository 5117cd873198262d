//! What the tests share: a folder to work in, a served sandbox, the program, Python's AWS clients.

use std::collections::BTreeMap;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::OnceLock;

use serde_json::Value;
use tempfile::TempDir;

/// The repository.
pub(crate) fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The smallest file that works, with its parameters.
pub(crate) const MINIMAL: &str = "name: w\ncontainer: {image: public.ecr.aws/docker/library/busybox:1}\n";

/// A folder that goes with the test.
#[derive(Debug)]
pub(crate) struct Folder(TempDir);

impl Folder {
    pub(crate) fn new() -> Self {
        Self(TempDir::new().expect("a folder for the test"))
    }

    /// With `spotctl.yaml`.
    pub(crate) fn with(file: &str) -> Self {
        let folder = Self::new();
        folder.write("spotctl.yaml", file);
        folder
    }

    pub(crate) fn path(&self) -> &Path {
        self.0.path()
    }

    pub(crate) fn write(&self, name: &str, text: &str) {
        std::fs::write(self.path().join(name), text).expect("writing into the test's folder");
    }

    /// The program in this folder; nothing of the test's own environment reaches it.
    pub(crate) fn spotctl(&self, arguments: &[&str]) -> Run {
        self.spotctl_with(arguments, &[])
    }

    pub(crate) fn spotctl_with(&self, arguments: &[&str], environment: &[(&str, &str)]) -> Run {
        let mut command = self.command(arguments);
        command.envs(environment.iter().copied());
        Run(command.output().expect("running spotctl"))
    }

    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_spotctl"));
        command
            .args(arguments)
            .current_dir(self.path())
            .stdin(Stdio::null())
            .env_clear()
            .env("PATH", std::env::var_os("PATH").unwrap_or_default())
            .env("HOME", self.path())
            .env("AWS_EC2_METADATA_DISABLED", "true");
        command
    }
}

/// What a run came to.
#[derive(Debug)]
pub(crate) struct Run(Output);

impl Run {
    pub(crate) fn code(&self) -> i32 {
        self.0.status.code().unwrap_or(-1)
    }

    pub(crate) fn stdout(&self) -> String {
        String::from_utf8_lossy(&self.0.stdout).into_owned()
    }

    pub(crate) fn stderr(&self) -> String {
        String::from_utf8_lossy(&self.0.stderr).into_owned()
    }

    /// The one JSON document on stdout.
    #[track_caller]
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout()).unwrap_or_else(|error| panic!("no JSON ({error}): {self}"))
    }

    /// The run, which must have ended like this.
    #[track_caller]
    pub(crate) fn exits(self, code: i32) -> Self {
        assert_eq!(self.code(), code, "{self}");
        self
    }

    #[track_caller]
    pub(crate) fn says(self, text: &str) -> Self {
        assert!(self.stderr().contains(text), "stderr lacks `{text}`: {self}");
        self
    }

    #[track_caller]
    pub(crate) fn does_not_say(self, text: &str) -> Self {
        assert!(!self.stderr().contains(text) && !self.stdout().contains(text), "`{text}` is said: {self}");
        self
    }
}

impl std::fmt::Display for Run {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "exit {}\n--- stdout\n{}\n--- stderr\n{}", self.code(), self.stdout(), self.stderr())
    }
}

/// The embedded AWS, served on a free loopback port by a process of its own, and a folder to work in.
#[derive(Debug)]
pub(crate) struct Served {
    pub(crate) folder: Folder,
    pub(crate) endpoint: String,
    pub(crate) region: &'static str,
    server: Child,
    state: Folder,
}

impl Served {
    pub(crate) fn with(file: &str) -> Self {
        let state = Folder::new();
        let mut server = state
            .command(&["sandbox", "serve", "--port", "0"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("serving the sandbox");
        let mut endpoint = String::new();
        let stdout = server.stdout.take().expect("a piped stdout");
        BufReader::new(stdout).read_line(&mut endpoint).expect("the endpoint on the first line");
        let endpoint = endpoint.trim().to_owned();
        assert!(endpoint.starts_with("http://127.0.0.1:"), "{endpoint}");
        Self { folder: Folder::with(file), endpoint, region: "us-east-1", server, state }
    }

    /// Where it keeps what it knows.
    pub(crate) fn state(&self) -> PathBuf {
        self.state.path().join(".spotctl/sandbox.json")
    }

    /// The environment of every client of this AWS.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        vec![
            ("AWS_ENDPOINT_URL", &self.endpoint),
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_REGION", self.region),
            ("AWS_DEFAULT_REGION", self.region),
        ]
    }

    pub(crate) fn spotctl(&self, arguments: &[&str]) -> Run {
        self.folder.spotctl_with(arguments, &self.environment())
    }

    /// The program, not yet started.
    pub(crate) fn command(&self, arguments: &[&str]) -> Command {
        let mut command = self.folder.command(arguments);
        command.envs(self.environment());
        command
    }

    /// `sandbox set` on the served one.
    #[track_caller]
    pub(crate) fn weather(&self, words: &str) {
        let mut arguments = vec!["--endpoint-url", &self.endpoint, "sandbox", "set"];
        arguments.extend(words.split(' '));
        self.folder.spotctl(&arguments).exits(0);
    }

    /// A script of `tests/python` that prints JSON.
    #[track_caller]
    pub(crate) fn boto3(&self, script: &str, arguments: &[&str]) -> Value {
        python_json(script, arguments, &self.environment())
    }

    /// Live instances, as boto3 sees them.
    #[track_caller]
    pub(crate) fn live(&self) -> Vec<Value> {
        self.boto3("instances.py", &["pending", "running"]).as_array().cloned().unwrap_or_default()
    }

    /// How many instances were ever launched, those that have ended again included: AWS remembers them for an hour.
    #[track_caller]
    pub(crate) fn ever_launched(&self) -> usize {
        self.boto3("instances.py", &[]).as_array().map_or(0, Vec::len)
    }

    /// Everything that is neither the fresh account's nor gone, as boto3 sees it.
    #[track_caller]
    pub(crate) fn leftovers(&self) -> Vec<String> {
        let found = self.boto3("leftovers.py", &[]);
        found.as_array().into_iter().flatten().map(ToString::to_string).collect()
    }
}

/// The file of a real worker, as the repository's example has it.
pub(crate) fn example() -> Served {
    let folder = root().join("examples/worker-gpu");
    let read = |name: &str| std::fs::read_to_string(folder.join(name)).expect("the example");
    let mut served = Served::with(&read("spotctl.yaml"));
    served.region = "ap-northeast-2";
    served.folder.write(".env.example", &read(".env.example"));
    served
}

impl Drop for Served {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Python with boto3, the AWS CLI and moto, in a virtual environment that is made once and kept in `target`.
pub(crate) fn python() -> &'static Path {
    static PYTHON: OnceLock<PathBuf> = OnceLock::new();
    PYTHON.get_or_init(|| {
        let requirements = root().join("tests/python/requirements.txt");
        let wanted = std::fs::read_to_string(&requirements).expect("the requirements");
        let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("python");
        let stamp = home.join("requirements.txt");
        if std::fs::read_to_string(&stamp).ok().as_deref() != Some(&wanted) {
            let run = |program: &Path, arguments: &[&str]| {
                let output = Command::new(program).args(arguments).output().expect("python3 with its venv module");
                assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
            };
            let folder = home.to_str().expect("a path in UTF-8");
            run(Path::new("python3"), &["-m", "venv", "--clear", folder]);
            let list = requirements.to_str().expect("a path in UTF-8");
            run(&home.join("bin/pip"), &["install", "--quiet", "--disable-pip-version-check", "--requirement", list]);
            std::fs::write(&stamp, wanted).expect("the stamp");
        }
        home.join("bin/python")
    })
}

/// Runs a script of `tests/python` and reads the JSON that it prints.
#[track_caller]
pub(crate) fn python_json(script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Value {
    let output = python_command(script, arguments, environment).output().expect("running python");
    assert!(output.status.success(), "{script} {arguments:?}: {}", String::from_utf8_lossy(&output.stderr));
    serde_json::from_slice(&output.stdout).expect("the script prints JSON")
}

pub(crate) fn python_command(script: &str, arguments: &[&str], environment: &[(&str, &str)]) -> Command {
    let python = python();
    let mut command = Command::new(python);
    let path =
        format!("{}:{}", python.parent().expect("a folder").display(), std::env::var("PATH").unwrap_or_default());
    command
        .arg(root().join("tests/python").join(script))
        .args(arguments)
        .env_clear()
        .env("PATH", path)
        .env("HOME", env!("CARGO_TARGET_TMPDIR"))
        .env("AWS_EC2_METADATA_DISABLED", "true")
        .envs(environment.iter().copied());
    command
}

/// Text fields of the rows of a JSON list.
pub(crate) fn column(document: &Value, list: &str, field: &str) -> Vec<String> {
    let rows = document[list].as_array().cloned().unwrap_or_default();
    rows.iter().map(|row| row[field].as_str().unwrap_or_default().to_owned()).collect()
}

/// How many lines of `changes` say what.
pub(crate) fn actions(document: &Value) -> BTreeMap<String, usize> {
    let mut counts = BTreeMap::new();
    for action in column(document, "changes", "action") {
        *counts.entry(action).or_insert(0) += 1;
    }
    counts
}
