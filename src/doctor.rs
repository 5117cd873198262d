//! Proves, read-only, that `up` would work: the checks, and how they run.
//!
//! A check is a question with a name. It answers with a [`Verdict`]: how it stands, what it was seen by, and the command
//! that mends it. It must not change anything; the calls that would are dry runs. It knows no other check, only what has been
//! read: [`Reads`] holds every read once, begun by the first check that wants it and shared by all that do. So the checks
//! run side by side, what nobody asked about is not read, and a read that fails takes down its own checks and no others.
//!
//! | status | means |
//! |---|---|
//! | `ok` | seen, and as `up` needs it |
//! | `warn` | `up` works, but somebody should know |
//! | `fail` | `up` would not work, or money is being lost |
//! | `skip` | it cannot be seen: a permission that `up` does without is missing, or another check says what is wrong |
//!
//! One cause is one failure: a read belongs to one check, which fails for it; the checks that need it too say whose it is.
//! A region that is not enabled and an AWS that does not answer would fail them all: [`run`] knows these two.

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use serde::Serialize;

use crate::decide::classify::is_denied;
use crate::decide::offers::suggest;
use crate::decide::permissions;
use crate::error::{Error, Kind, Result};

mod access;
mod destinations;
mod image;
mod launch;
mod leftovers;
mod network;
mod parameters;
mod permission;
mod quota;
mod reads;
mod spot_role;
mod template;

pub use reads::{Look, Reads};

/// How a check stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// As it should be.
    Ok,
    /// Works, and should be known.
    Warn,
    /// Would not work.
    Fail,
    /// Could not be seen.
    Skip,
}

impl Status {
    /// The contract's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::Fail => "fail",
            Self::Skip => "skip",
        }
    }
}

/// What a check came to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// How it stands.
    pub status: Status,
    /// What was seen.
    pub evidence: String,
    /// Commands that mend it, one a line.
    pub advice: Option<String>,
    /// What kept AWS from being asked at all.
    blocked: Option<Blocked>,
}

/// What keeps every call from being answered, and so may be one cause of many verdicts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Blocked {
    /// AWS does not accept the credentials here, which it also says where the region is not enabled.
    Refused,
    /// No answer.
    Unanswered,
}

impl Verdict {
    fn new(status: Status, evidence: impl Into<String>, advice: Option<String>) -> Self {
        Self { status, evidence: evidence.into(), advice, blocked: None }
    }

    fn ok(evidence: impl Into<String>) -> Self {
        Self::new(Status::Ok, evidence, None)
    }

    fn warn(evidence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Status::Warn, evidence, Some(advice.into()))
    }

    fn fail(evidence: impl Into<String>, advice: impl Into<String>) -> Self {
        Self::new(Status::Fail, evidence, Some(advice.into()))
    }

    fn skip(evidence: impl Into<String>) -> Self {
        Self::new(Status::Skip, evidence, None)
    }

    /// Of a read that `up` makes too, and that failed: so would `up`. Missing credentials say nothing about the thing.
    fn unread(error: &Error) -> Self {
        match Self::unseen(error) {
            Self { status: Status::Skip, evidence, advice: Some(advice), .. } => {
                Self::fail(format!("{evidence}, which `up` calls"), advice)
            }
            verdict => verdict,
        }
    }

    /// Of a read that `up` does without: a missing permission hides the thing and says nothing about it.
    fn unseen(error: &Error) -> Self {
        if error.kind != Kind::Access {
            let advice = (!error.hints.is_empty()).then(|| error.hints.join("\n"));
            let blocked = is_unanswered(error).then_some(Blocked::Unanswered);
            return Self { blocked, ..Self::new(Status::Fail, error.message.clone(), advice) };
        }
        match error.code.as_deref() {
            None => Self::skip("needs credentials"),
            Some(code) if !is_denied(code) => Self {
                blocked: Some(Blocked::Refused),
                ..Self::skip(format!("needs credentials that AWS accepts ({code})"))
            },
            Some(_) => Self::new(
                Status::Skip,
                format!("not permitted: {}", denied(error)),
                Some("spotctl render policy operator".to_owned()),
            ),
        }
    }

    /// Of a read that failed and that another check fails for.
    fn hidden(error: &Error, words: impl FnOnce(&str) -> String) -> Self {
        match Self::unread(error) {
            verdict if verdict.status == Status::Skip => verdict,
            verdict => Self { blocked: verdict.blocked, ..Self::skip(words(&verdict.evidence)) },
        }
    }

    /// The same where that check's name says enough.
    fn needs(check: &str, error: &Error) -> Self {
        Self::hidden(error, |_| format!("needs the check `{check}`"))
    }

    /// One verdict of several about things of one kind: the worst status, everything that was seen.
    fn all(verdicts: impl IntoIterator<Item = Self>) -> Option<Self> {
        let rank = |status| match status {
            Status::Ok => 0,
            Status::Skip => 1,
            Status::Warn => 2,
            Status::Fail => 3,
        };
        verdicts.into_iter().reduce(|one, other| {
            let status = if rank(other.status) > rank(one.status) { other.status } else { one.status };
            let mut advice: Vec<String> = Vec::new();
            for line in [one.advice, other.advice].into_iter().flatten() {
                if !advice.contains(&line) {
                    advice.push(line);
                }
            }
            let advice = (!advice.is_empty()).then(|| advice.join("\n"));
            let evidence = format!("{}; {}", one.evidence, other.evidence);
            Self { blocked: one.blocked.or(other.blocked), ..Self::new(status, evidence, advice) }
        })
    }
}

/// The action that was refused.
fn denied(error: &Error) -> String {
    let named = permissions::said(&error.message).map(|missing| missing.action);
    named.unwrap_or_else(|| error.operation.map_or_else(|| "the call".to_owned(), permissions::action_of))
}

/// Whether nobody answered: a call has failed, and AWS has said nothing about it.
fn is_unanswered(error: &Error) -> bool {
    error.kind == Kind::Aws && error.operation.is_some() && error.code.is_none()
}

/// A check with its verdict.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Check {
    /// Such as `spot-role`.
    pub name: &'static str,
    /// How it stands.
    pub status: Status,
    /// What was seen.
    pub evidence: String,
    /// Commands that mend it, one a line.
    pub advice: Option<String>,
}

/// Every check, in the order in which they are shown: who asks, what he may, what is there, what is left over.
pub const NAMES: [&str; 25] = [
    "credentials",
    "clock",
    "region",
    "permissions",
    "dry-run",
    "account-plan",
    "vpc",
    "subnets",
    "security-group",
    "profile",
    "launchers",
    "spot-role",
    "volume-key",
    "quota",
    "offers",
    "image",
    "volume",
    "parameters",
    "registry",
    "queues",
    "buckets",
    "user-data",
    "template",
    "forgotten",
    "orphans",
];

async fn ask(name: &'static str, reads: &Reads<'_>) -> Verdict {
    match name {
        "credentials" => access::credentials(reads).await,
        "clock" => access::clock(reads).await,
        "region" => access::region(reads).await,
        "permissions" => permission::simulated(reads).await,
        "dry-run" => launch::dry_run(reads).await,
        "account-plan" => launch::account_plan(reads).await,
        "vpc" => network::vpc(reads).await,
        "subnets" => network::subnets(reads).await,
        "security-group" => network::security_group(reads).await,
        "profile" => launch::profile(reads).await,
        "launchers" => access::launchers(reads).await,
        "spot-role" => spot_role::there(reads).await,
        "volume-key" => spot_role::volume_key(reads).await,
        "quota" => quota::suffices(reads).await,
        "offers" => image::offers(reads).await,
        "image" => image::image(reads).await,
        "volume" => image::volume(reads).await,
        "parameters" => parameters::complete(reads).await,
        "registry" => destinations::registry(reads).await,
        "queues" => destinations::queues(reads).await,
        "buckets" => destinations::buckets(reads).await,
        "user-data" => template::user_data(reads).await,
        "template" => template::drift(reads).await,
        "forgotten" => leftovers::forgotten(reads).await,
        "orphans" => leftovers::orphans(reads).await,
        other => Verdict::skip(format!("there is no check `{other}`")),
    }
}

/// Runs these checks side by side; in the order of [`NAMES`].
pub async fn run(reads: &Reads<'_>, names: &[&'static str]) -> Vec<Check> {
    // Boxed: the futures are large, and there are two dozen of them.
    let asked = names.iter().map(|name| {
        Box::pin(async move {
            let verdict = ask(name, reads).await;
            let Verdict { status, evidence, advice, .. } = settled(verdict, name, reads, names).await;
            Check { name, status, evidence, advice }
        })
    });
    let mut checks: Vec<Check> = asked.collect::<FuturesUnordered<_>>().collect().await;
    checks.sort_by_key(|check| NAMES.iter().position(|name| *name == check.name));
    checks
}

/// One cause of many verdicts is left to the check that is about it, if that is asked.
async fn settled(verdict: Verdict, name: &str, reads: &Reads<'_>, names: &[&str]) -> Verdict {
    match verdict.blocked {
        Some(Blocked::Refused) => match access::disabled(reads).await {
            Some(said) if name == "credentials" && !names.contains(&"region") => said,
            Some(_) => Verdict::skip(format!("region {} is not enabled", reads.look.cloud.region)),
            None => verdict,
        },
        Some(Blocked::Unanswered) if name != "credentials" && names.contains(&"credentials") => {
            match reads.caller.clone().await {
                Err(error) if is_unanswered(&error) => Verdict::skip("AWS does not answer (check `credentials`)"),
                _ => verdict,
            }
        }
        _ => verdict,
    }
}

/// Which checks `--only` and `--skip` leave.
///
/// # Errors
/// A name that is none; nothing left.
pub fn select(only: &[String], skip: &[String]) -> Result<Vec<&'static str>> {
    for name in only.iter().chain(skip) {
        if !NAMES.contains(&name.as_str()) {
            let error = suggest(Error::usage(format!("no check `{name}`")), name, NAMES.into_iter());
            return Err(error.hint(format!("there are {}", NAMES.join(", "))));
        }
    }
    let is_in = |list: &[String], name: &str| list.iter().any(|known| known == name);
    let left = NAMES.into_iter().filter(|name| (only.is_empty() || is_in(only, name)) && !is_in(skip, name));
    let left: Vec<&'static str> = left.collect();
    if left.is_empty() {
        return Err(Error::usage("`--only` and `--skip` leave no check"));
    }
    Ok(left)
}

#[cfg(test)]
mod tests;
