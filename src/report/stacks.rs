//! What runs anywhere: the documents of `status --stacks` and `reap`, over one region or several.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use super::table::table;
use super::workers::{Row, rfc3339};
use crate::decide::cost::Ledger;
use crate::decide::workers::Worker;
use crate::error::Error;
use crate::spec::Usd;

/// A region that did not answer; what the others said stands all the same.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FailedRegion {
    /// Which.
    pub region: String,
    /// AWS's code.
    pub code: Option<String>,
    /// What went wrong.
    pub message: String,
}

impl FailedRegion {
    /// Of this error.
    #[must_use]
    pub fn new(region: &str, error: &Error) -> Self {
        Self { region: region.to_owned(), code: error.code.clone(), message: error.message.clone() }
    }
}

/// One stack in one region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// Where.
    pub region: String,
    /// Its name.
    pub stack: String,
    /// Live workers.
    pub workers: usize,
    /// How many of them are past their expiry.
    pub expired: usize,
    /// What they cost an hour now, volumes and addresses included; absent when a price is unknown.
    pub usd_per_hour: Option<Usd>,
    /// What they have cost since their launch; absent when a price is unknown.
    pub cost_so_far: Option<Usd>,
    /// The first expiry.
    pub next_expiry: Option<String>,
    /// The live workers.
    pub instances: Vec<Row>,
}

impl Stack {
    /// Counts the workers of a stack.
    #[must_use]
    pub fn new(region: &str, stack: &str, workers: &[Worker], ledger: &Ledger, now: Timestamp) -> Self {
        let live: Vec<&Worker> = workers.iter().filter(|worker| worker.state.is_live()).collect();
        let instances: Vec<Row> = live.iter().map(|worker| Row::new(worker, ledger, now, false)).collect();
        let ends = || live.iter().filter_map(|worker| worker.expires_at());
        Self {
            region: region.to_owned(),
            stack: stack.to_owned(),
            workers: instances.len(),
            expired: ends().filter(|end| *end <= now).count(),
            usd_per_hour: instances.iter().map(|row| row.hourly?.total()).sum(),
            cost_so_far: instances.iter().map(|row| row.cost_so_far).sum(),
            next_expiry: ends().min().map(rfc3339),
            instances,
        }
    }
}

/// `status --stacks`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stacks {
    /// Where was looked.
    pub regions: Vec<String>,
    /// By region and name.
    pub stacks: Vec<Stack>,
    /// Regions that did not answer.
    pub failed: Vec<FailedRegion>,
}

impl Report for Stacks {
    fn text(&self, color: bool) -> String {
        if self.stacks.is_empty() {
            return format!("no stack in {}\n", places(&self.regions));
        }
        let or_dash = |usd: Option<Usd>| usd.map_or_else(|| "-".to_owned(), |usd| usd.to_string());
        let lines = self.stacks.iter().map(|stack| {
            let end = stack.next_expiry.clone().unwrap_or_else(|| "-".to_owned());
            vec![
                stack.stack.clone(),
                stack.region.clone(),
                stack.workers.to_string(),
                or_dash(stack.usd_per_hour.map(Usd::rounded_rate)),
                or_dash(stack.cost_so_far.map(Usd::rounded)),
                if stack.expired > 0 { format!("{end} ({} expired)", stack.expired) } else { end },
            ]
        });
        let mut text = table(&["stack", "region", "workers", "usd/h", "usd so far", "next expiry"], lines, color);
        if self.stacks.iter().any(|stack| stack.expired > 0) {
            let _ = writeln!(text, "\nto end what has expired: spotctl reap --all{}", flag(&self.regions));
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }
}

/// The regions for people.
fn places(regions: &[String]) -> String {
    match regions {
        [one] => one.clone(),
        many => format!("any of {} regions", many.len()),
    }
}

fn flag(regions: &[String]) -> String {
    match regions {
        [one] => format!(" --region {one}"),
        _ => " --regions all".to_owned(),
    }
}

/// A worker past its expiry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expired {
    /// Where.
    pub region: String,
    /// The stack.
    pub stack: String,
    /// `i-…`.
    pub id: String,
    /// Instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// RFC 3339.
    pub expires_at: Option<String>,
}

impl Expired {
    /// Of this stack's worker.
    #[must_use]
    pub fn new(region: &str, stack: &str, worker: &Worker) -> Self {
        Self {
            region: region.to_owned(),
            stack: stack.to_owned(),
            id: worker.id.clone(),
            instance_type: worker.instance_type.clone(),
            expires_at: worker.expires_at().map(rfc3339),
        }
    }
}

/// `reap`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Reap {
    /// Where was looked.
    pub regions: Vec<String>,
    /// What has expired.
    pub expired: Vec<Expired>,
    /// Instances that were told to end.
    pub terminated: Vec<String>,
    /// Regions that did not answer, or not to everything.
    pub failed: Vec<FailedRegion>,
}

impl Report for Reap {
    fn text(&self, color: bool) -> String {
        if self.expired.is_empty() {
            return format!("no worker in {} is past its expiry\n", places(&self.regions));
        }
        let terminated: BTreeSet<&String> = self.terminated.iter().collect();
        let rows = self.expired.iter().map(|worker| {
            let is_told = terminated.contains(&worker.id);
            vec![
                worker.stack.clone(),
                worker.region.clone(),
                worker.id.clone(),
                worker.instance_type.clone(),
                worker.expires_at.clone().unwrap_or_default(),
                if is_told { "terminated" } else { "lives" }.to_owned(),
            ]
        });
        table(&["stack", "region", "worker", "type", "expired", ""], rows, color)
    }

    fn is_empty(&self) -> bool {
        self.expired.is_empty()
    }
}

/// Stacks by name, each with its workers.
pub type Found = BTreeMap<String, Vec<Worker>>;

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::workers::State;
    use crate::decide::workers::tests::worker;
    use crate::spec::Period;

    #[test]
    fn a_stack_counts_what_lives_and_says_what_has_expired() {
        let mut old = worker("i-1", State::Running, Some(0), 0);
        old.lifetime = Some(Period::from_secs(60));
        let workers = [old, worker("i-2", State::Running, Some(1), 90), worker("i-3", State::Terminated, None, 0)];
        let now = Timestamp::from_second(100).unwrap();
        let stack = Stack::new("eu-west-1", "w", &workers, &Ledger::default(), now);
        assert_eq!((stack.workers, stack.expired, stack.usd_per_hour), (2, 1, None));
        let report = Stacks { regions: vec!["eu-west-1".to_owned()], stacks: vec![stack], failed: Vec::new() };
        let text = report.text(false);
        assert!(
            text.contains("w      eu-west-1  2        -      -           1970-01-01T00:01:00Z (1 expired)"),
            "{text}"
        );
        assert!(text.ends_with("to end what has expired: spotctl reap --all --region eu-west-1\n"), "{text}");
    }

    #[test]
    fn nothing_is_said_of_as_many_regions_as_were_asked() {
        let regions = vec!["a".to_owned(), "b".to_owned()];
        assert_eq!(
            Stacks { regions: regions.clone(), ..Stacks::default() }.text(false),
            "no stack in any of 2 regions\n"
        );
        let reap = Reap { regions, ..Reap::default() };
        assert_eq!(reap.text(false), "no worker in any of 2 regions is past its expiry\n");
    }
}
