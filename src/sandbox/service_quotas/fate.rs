//! A request for more, and what becomes of it: pending, at a third of its time a case, at the end what its fate says.
//!
//! Odd in AWS: `CASE_CLOSED` says that a person has answered, not what. The value may have been raised or not, and only the
//! applied value tells.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

/// A request for more.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Change {
    /// Its id.
    pub id: String,
    /// The quota.
    pub code: String,
    /// The value wanted.
    pub desired: f64,
    /// When.
    pub created_at: i64,
    /// Whether the granted value went into `applied`.
    pub is_settled: bool,
    /// How it ends, as the weather was when it was filed.
    #[serde(default)] // Requests of an older version were all approved after a minute.
    pub fate: Fate,
}

/// How a request ends, and when.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fate {
    /// How.
    pub ending: Ending,
    /// Seconds after it was filed.
    pub after: i64,
}

impl Default for Fate {
    fn default() -> Self {
        Self { ending: Ending::Approved, after: 60 }
    }
}

/// How a request ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Ending {
    /// `APPROVED`, and the value is raised.
    Approved,
    /// `DENIED`.
    Denied,
    /// `NOT_APPROVED`.
    NotApproved,
    /// `CASE_CLOSED`, and nothing is raised.
    Closed,
    /// `CASE_CLOSED`, and the value is raised.
    ClosedGranted,
}

impl Ending {
    /// All, as `sandbox set quota-answer` names them.
    pub const ALL: [(&str, Self); 5] = [
        ("approved", Self::Approved),
        ("denied", Self::Denied),
        ("not-approved", Self::NotApproved),
        ("closed", Self::Closed),
        ("closed-granted", Self::ClosedGranted),
    ];

    fn status(self) -> &'static str {
        match self {
            Self::Approved => "APPROVED",
            Self::Denied => "DENIED",
            Self::NotApproved => "NOT_APPROVED",
            Self::Closed | Self::ClosedGranted => "CASE_CLOSED",
        }
    }

    fn grants(self) -> bool {
        matches!(self, Self::Approved | Self::ClosedGranted)
    }
}

impl Change {
    /// As AWS names it at this moment.
    #[must_use]
    pub fn status(&self, now: Timestamp) -> &'static str {
        match self.age(now) {
            age if age >= self.fate.after => self.fate.ending.status(),
            age if age >= self.case_after() => "CASE_OPENED",
            _ => "PENDING",
        }
    }

    /// Whether it keeps another one from being filed.
    #[must_use]
    pub fn is_open(&self, now: Timestamp) -> bool {
        self.age(now) < self.fate.after
    }

    /// When its status changed last, in seconds of the epoch.
    #[must_use]
    pub fn updated_at(&self, now: Timestamp) -> i64 {
        let since = match self.age(now) {
            age if age >= self.fate.after => self.fate.after,
            age if age >= self.case_after() => self.case_after(),
            _ => 0,
        };
        self.created_at + since
    }

    /// Whether it was granted by now and nobody has raised the applied value yet.
    #[must_use]
    pub fn is_due(&self, now: Timestamp) -> bool {
        !self.is_settled && !self.is_open(now) && self.fate.ending.grants()
    }

    fn age(&self, now: Timestamp) -> i64 {
        now.as_second() - self.created_at
    }

    /// A third of its time, a second at least: it is pending when it is filed.
    fn case_after(&self) -> i64 {
        (self.fate.after / 3).max(1)
    }
}
