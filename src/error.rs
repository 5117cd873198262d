//! What can go wrong, as users meet it: a kind (which is the exit code), a sentence, hints that can be pasted, and what
//! exists now.
//!
//! The wording: lower case, no full stop, literals in backticks; what was being done, to what, where. AWS's own sentence
//! and code follow it. Nothing here knows an AWS type; [`crate::cloud`] turns answers into these.

use serde::Serialize;

use crate::spec::Usd;

/// The result of everything that can fail in front of a user.
pub type Result<T, E = Error> = std::result::Result<T, E>;

/// What a failure means for the caller: its exit code and its word in JSON.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// AWS or the network failed for another reason than those below.
    Aws,
    /// Usage or configuration.
    Usage,
    /// The account may not launch this.
    Quota,
    /// No capacity, or none under the price cap.
    Capacity,
    /// Credentials or permission.
    Access,
    /// Timed out waiting.
    Timeout,
    /// The worker ended or failed before it reached the wished state.
    Worker,
    /// Ctrl-C.
    Interrupted,
    /// SIGTERM.
    Terminated,
}

impl Kind {
    /// The exit code of the contract.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Aws => 1,
            Self::Usage => 2,
            Self::Quota => 3,
            Self::Capacity => 4,
            Self::Access => 5,
            Self::Timeout => 6,
            Self::Worker => 8,
            Self::Interrupted => 130,
            Self::Terminated => 143,
        }
    }

    /// The word in the JSON document.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Aws => "aws",
            Self::Usage => "usage",
            Self::Quota => "quota",
            Self::Capacity => "capacity",
            Self::Access => "access",
            Self::Timeout => "timeout",
            Self::Worker => "worker",
            Self::Interrupted => "interrupted",
            Self::Terminated => "terminated",
        }
    }
}

/// Something that exists and that a failed command did not mean to leave alone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Leftover {
    /// `instance`, `security group`, …
    pub kind: String,
    /// What AWS calls it.
    pub id: String,
    /// What it costs an hour; nothing for everything but instances, absent where an instance's price is not known.
    pub usd_per_hour: Option<Usd>,
}

/// A failure, complete enough to be acted on.
#[derive(Debug, Clone)]
pub struct Error {
    /// Decides the exit code.
    pub kind: Kind,
    /// One sentence.
    pub message: String,
    /// AWS's error code.
    pub code: Option<String>,
    /// AWS's request id, for a support case.
    pub request_id: Option<String>,
    /// AWS's name of the call that failed.
    pub operation: Option<&'static str>,
    /// Commands or places to look at.
    pub hints: Vec<String>,
    /// What exists now.
    pub leftovers: Vec<Leftover>,
    /// The last lines of the console of the worker that failed.
    pub console: Vec<String>,
    /// Findings with lines and carets, already drawn; shown before the message.
    pub findings: Option<Box<Findings>>,
}

/// The file's mistakes, drawn for people and listed for programs.
#[derive(Debug, Clone)]
pub struct Findings {
    /// With lines and carets.
    pub text: String,
    /// One object a finding.
    pub list: serde_json::Value,
}

impl Error {
    /// A failure of this kind.
    pub fn new(kind: Kind, message: impl Into<String>) -> Self {
        Self {
            kind,
            message: message.into(),
            code: None,
            request_id: None,
            operation: None,
            hints: Vec::new(),
            leftovers: Vec::new(),
            console: Vec::new(),
            findings: None,
        }
    }

    /// Wrong usage or configuration.
    pub fn usage(message: impl Into<String>) -> Self {
        Self::new(Kind::Usage, message)
    }

    /// The same with one more hint.
    #[must_use]
    pub fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hints.push(hint.into());
        self
    }

    /// The same with AWS's code.
    #[must_use]
    pub fn code(mut self, code: impl Into<String>) -> Self {
        self.code = Some(code.into());
        self
    }
}

impl std::fmt::Display for Error {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}
