//! A served sandbox whose state is put back between cases, a folder, and the program in it.

use std::collections::BTreeMap;
use std::fmt;
use std::fs::{self, File};
use std::io::{self, ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::{Child, Command, ExitStatus};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::Value;

use super::super::support::Served;

/// Longer than any command waits for anything here.
const PATIENCE: Duration = Duration::from_secs(400);

pub(super) struct Stage(Served);

/// What a run came to.
pub(super) struct Ran {
    /// `None`: a signal ended it.
    pub(super) code: Option<i32>,
    stdout: String,
    stderr: String,
}

impl Ran {
    pub(super) fn says(&self, text: &str) -> bool {
        self.stdout.contains(text) || self.stderr.contains(text)
    }

    pub(super) fn document(&self) -> Option<Value> {
        serde_json::from_str(&self.stdout).ok()
    }
}

impl fmt::Display for Ran {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}\n--- stdout\n{}\n--- stderr\n{}", self.code, self.stdout, self.stderr)
    }
}

impl Stage {
    pub(super) fn new() -> Self {
        Self(Served::with(""))
    }

    /// An empty account with this weather.
    pub(super) fn reset(&self, weather: &[&str]) {
        self.door("POST", "reset", "");
        for words in weather {
            self.set(words);
        }
    }

    pub(super) fn write(&self, file: &str, env: &str) {
        self.0.folder.write("spotctl.yaml", file);
        self.0.folder.write(".env", env);
    }

    pub(super) fn set(&self, words: &str) {
        self.door("POST", "set", &words.replace(' ', "\n"));
    }

    pub(super) fn calls(&self) -> BTreeMap<String, u64> {
        serde_json::from_str(&self.door("GET", "calls", "")).expect("the calls")
    }

    /// Counts from nought.
    pub(super) fn forget_calls(&self) {
        let mut state: Value = serde_json::from_str(&self.state()).expect("the state");
        state["calls"] = Value::Object(serde_json::Map::new());
        self.restore(&state.to_string());
    }

    /// Of a large state the file is not all.
    pub(super) fn state(&self) -> String {
        let journal = self.0.state().with_extension("0.journal");
        assert!(!journal.exists(), "{} tells more than the state", journal.display());
        fs::read_to_string(self.0.state()).expect("the sandbox's state")
    }

    /// Puts the state back, under the sandbox's own lock: what a run that has ended had asked last may be answered still.
    pub(super) fn restore(&self, state: &str) {
        let lock = File::create(self.0.state().with_extension("lock")).expect("the sandbox's lock");
        lock.lock().expect("locking the sandbox's state");
        fs::write(self.0.state(), state).expect("writing the sandbox's state");
    }

    /// Whether a fault that was to strike so many times has struck at all.
    pub(super) fn has_struck(&self, times: u32) -> bool {
        let weather: Value = serde_json::from_str(&self.door("GET", "weather", "")).expect("the weather");
        let fault = &weather["faults"][0];
        fault.is_null() || (fault["after"] == 0 && fault["times"].as_u64() != Some(u64::from(times)))
    }

    pub(super) fn run(&self, command: &str) -> Ran {
        let mut child = self.start(command);
        let status = wait(&mut child, || false);
        self.ended(status)
    }

    /// Runs it, and signals it as soon as its call is held; whether there was such a call.
    pub(super) fn run_and_signal(&self, command: &str, signal: &str) -> (Ran, bool) {
        let mut child = self.start(command);
        let mut held = false;
        let early = wait(&mut child, || {
            held = self.state().contains(r#""faults":[]"#);
            held
        });
        let status = early.or_else(|| {
            // A run that ended by itself meanwhile is no failure of `kill`.
            let _ = Command::new("kill").args([&format!("-{signal}"), &child.id().to_string()]).status();
            wait(&mut child, || false)
        });
        (self.ended(status), held)
    }

    /// Asks the sandbox, which refuses for a second or a few where the case's fault says so, and resets what was about to be
    /// accepted then.
    #[expect(clippy::disallowed_methods, reason = "another process is waited for, in a thread that does nothing else")]
    fn exchange(&self, request: &str) -> String {
        let address = self.0.endpoint.strip_prefix("http://").expect("an address");
        let ask = || {
            let mut stream = TcpStream::connect(address)?;
            stream.write_all(request.as_bytes())?;
            let mut answer = String::new();
            // Closed without a word is away, too: it was about to be served when the port closed.
            match stream.read_to_string(&mut answer)? {
                0 => Err(io::Error::from(ErrorKind::ConnectionReset)),
                _ => Ok(answer),
            }
        };
        let began = Instant::now();
        loop {
            let away = [ErrorKind::ConnectionRefused, ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
            match ask() {
                Err(error) if away.contains(&error.kind()) && began.elapsed() < PATIENCE => {
                    thread::sleep(Duration::from_millis(50));
                }
                answer => return answer.expect("the sandbox's answer"),
            }
        }
    }

    fn start(&self, command: &str) -> Child {
        let file = |name: &str| File::create(self.0.folder.path().join(name)).expect("a file for what it says");
        let arguments: Vec<&str> = command.split(' ').chain(["-o", "json", "-vvv"]).collect();
        let mut command = self.0.command(&arguments);
        command.stdout(file("stdout")).stderr(file("stderr")).spawn().expect("starting spotctl")
    }

    fn ended(&self, status: Option<ExitStatus>) -> Ran {
        let text = |name: &str| {
            let bytes = fs::read(self.0.folder.path().join(name)).unwrap_or_default();
            String::from_utf8_lossy(&bytes).into_owned()
        };
        Ran { code: status.and_then(|status| status.code()), stdout: text("stdout"), stderr: text("stderr") }
    }

    /// The sandbox's own door.
    fn door(&self, method: &str, verb: &str, body: &str) -> String {
        let length = body.len();
        let head = format!("{method} /_sandbox/{verb} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n");
        let answer = self.exchange(&format!("{head}Content-Length: {length}\r\n\r\n{body}"));
        let (head, body) = answer.split_once("\r\n\r\n").expect("an answer");
        assert!(head.starts_with("HTTP/1.1 200"), "{verb} {body}: {answer}");
        body.to_owned()
    }
}

/// Waits until the child has ended, or `enough`; `None` where the latter came first.
#[expect(clippy::disallowed_methods, reason = "another process is waited for, in a thread that does nothing else")]
fn wait(child: &mut Child, mut enough: impl FnMut() -> bool) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("the child's status") {
            return Some(status);
        }
        if enough() {
            return None;
        }
        if began.elapsed() > PATIENCE {
            let _ = child.kill();
        }
        thread::sleep(Duration::from_millis(10));
    }
}
