//! The documents of `quota show`, `quota request` and `quota watch`.

use std::collections::BTreeSet;
use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use super::table::table;
use super::workers::rfc3339;
use crate::decide::increase::Increase;
use crate::decide::names::Market;
use crate::decide::need::{Known, Unknown};
use crate::decide::quota;
use crate::error::Kind;

/// Who uses a quota.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Holder {
    /// `i-…`, or `sir-…` for a Spot request that is open.
    pub id: String,
    /// Instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// What it counts; absent where AWS does not say.
    pub vcpus: Option<u32>,
    /// Since its launch or request, such as `2h14m`.
    pub age: Option<String>,
    /// RFC 3339.
    pub since: Option<String>,
    /// The stack whose tag it carries.
    pub stack: Option<String>,
}

/// A request for more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Request {
    /// Service Quotas' id.
    pub id: String,
    /// Service Quotas' word, such as `CASE_OPENED`.
    pub status: String,
    /// What was asked for.
    pub vcpus: Option<u32>,
    /// The support case.
    pub case_id: Option<String>,
    /// RFC 3339.
    pub created_at: Option<String>,
    /// RFC 3339.
    pub updated_at: Option<String>,
}

impl From<&Increase> for Request {
    fn from(increase: &Increase) -> Self {
        Self {
            id: increase.id.clone(),
            status: increase.status.clone(),
            vcpus: increase.vcpus,
            case_id: increase.case.clone(),
            created_at: increase.created.map(rfc3339),
            updated_at: increase.updated.map(rfc3339),
        }
    }
}

/// A quota's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// Such as `L-3819A6DF`; absent where the family's quota is not known.
    pub code: Option<&'static str>,
    /// AWS's name for it, or `unknown`.
    pub name: &'static str,
    /// Spot or on-demand.
    pub market: Market,
    /// The instance families that it was asked for.
    pub families: BTreeSet<String>,
    /// vCPUs; absent where it may not be read.
    pub limit: Option<u32>,
    /// vCPUs; absent where it may not be read.
    pub in_use: Option<u32>,
    /// vCPUs; absent where limit or use is.
    pub available: Option<u32>,
    /// vCPUs of the wished workers; absent where no types are meant.
    pub needed: Option<u32>,
    /// The type that `needed` is counted by: the smallest that is allowed.
    pub smallest_type: Option<String>,
    /// Whether the wished workers may run, the stack's own that do included; absent where that is not known.
    pub sufficient: Option<bool>,
    /// Requests for more that are open.
    pub requests: Vec<Request>,
    /// Who uses it.
    pub holders: Vec<Holder>,
    /// The IAM actions that were refused.
    pub missing: BTreeSet<&'static str>,
}

/// `quota show`, and what the others know of their quota.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Quotas {
    /// The region.
    pub region: String,
    /// The file's stack.
    pub stack: Option<String>,
    /// For how many workers.
    pub count: u32,
    /// By market and code.
    pub quotas: Vec<Row>,
}

impl Quotas {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(region: &str, stack: Option<String>, count: u32) -> Self {
        Self { region: region.to_owned(), stack, count, quotas: Vec::new() }
    }

    /// What is known at this moment.
    pub fn fill(&mut self, known: &[Known], unknown: &[Unknown], now: Timestamp) {
        let known = known.iter().map(|known| self.row(known, now));
        self.quotas = known.chain(unknown.iter().map(|unknown| self.unknown(unknown))).collect();
    }

    fn row(&self, known: &Known, now: Timestamp) -> Row {
        let standing = &known.standing;
        let holder = |holder: &quota::Holder| Holder {
            id: holder.id.clone(),
            instance_type: holder.instance_type.clone(),
            vcpus: holder.vcpus,
            age: holder.since.map(|since| age(since, now)),
            since: holder.since.map(rfc3339),
            stack: holder.stack.clone(),
        };
        let open = known.increases.iter().flatten().filter(|increase| increase.is_open());
        Row {
            code: Some(standing.quota.code),
            name: standing.quota.name,
            market: standing.quota.market,
            families: known.families.clone(),
            limit: standing.limit,
            in_use: standing.in_use(),
            available: standing.available(),
            needed: known.needed(self.count),
            smallest_type: known.smallest.as_ref().map(|(smallest, _)| smallest.clone()),
            sufficient: known.suffices(self.count, self.stack.as_deref()),
            requests: open.map(Request::from).collect(),
            holders: standing.holders.iter().flatten().map(holder).collect(),
            missing: known.missing.clone(),
        }
    }

    fn unknown(&self, unknown: &Unknown) -> Row {
        Row {
            code: None,
            name: "unknown",
            market: unknown.market,
            families: BTreeSet::from([unknown.family.clone()]),
            limit: None,
            in_use: None,
            available: None,
            needed: unknown.vcpus.map(|vcpus| vcpus.saturating_mul(self.count)),
            smallest_type: None,
            sufficient: None,
            requests: Vec::new(),
            holders: Vec::new(),
            missing: BTreeSet::new(),
        }
    }
}

fn age(since: Timestamp, now: Timestamp) -> String {
    let seconds = now.duration_since(since).max(jiff::SignedDuration::ZERO).as_secs();
    match (seconds / 86_400, seconds / 3600 % 24, seconds / 60 % 60) {
        (0, 0, 0) => format!("{seconds}s"),
        (0, 0, minutes) => format!("{minutes}m"),
        (0, hours, minutes) => format!("{hours}h{minutes}m"),
        (days, hours, _) => format!("{days}d{hours}h"),
    }
}

fn or<T: ToString>(value: Option<T>, otherwise: &str) -> String {
    value.map_or_else(|| otherwise.to_owned(), |value| value.to_string())
}

impl Report for Quotas {
    fn text(&self, color: bool) -> String {
        const NOT_KNOWN: &str = "unknown";
        if self.quotas.is_empty() {
            return format!("no instance type in {} is what is asked for\n", self.region);
        }
        let lines = self.quotas.iter().map(|row| {
            let name = match row.code {
                Some(_) => row.name.to_owned(),
                None => format!("the quota of {} is unknown: AWS's tables disagree", join(&row.families)),
            };
            vec![
                or(row.code, "-"),
                row.market.as_str().to_owned(),
                or(row.limit, NOT_KNOWN),
                or(row.in_use, NOT_KNOWN),
                or(row.available, NOT_KNOWN),
                or(row.needed, "-"),
                match (row.needed, row.sufficient) {
                    (None, _) => "-",
                    (_, None) => NOT_KNOWN,
                    (_, Some(true)) => "yes",
                    (_, Some(false)) => "no",
                }
                .to_owned(),
                name,
            ]
        });
        let headings = ["code", "market", "limit", "in use", "available", "needed", "enough", "name"];
        let mut text = table(&headings, lines, color);
        let known = || self.quotas.iter().filter_map(|row| Some((row.code?, row)));
        let holders = known().flat_map(|(code, row)| {
            row.holders.iter().map(move |holder| {
                vec![
                    code.to_owned(),
                    holder.id.clone(),
                    holder.instance_type.clone(),
                    or(holder.vcpus, NOT_KNOWN),
                    or(holder.age.as_ref(), "-"),
                    or(holder.stack.as_ref(), "-"),
                ]
            })
        });
        section(&mut text, &["code", "used by", "type", "vcpus", "age", "stack"], holders.collect(), color);
        let requests = known().flat_map(|(code, row)| {
            row.requests.iter().map(move |request| {
                vec![
                    code.to_owned(),
                    request.id.clone(),
                    or(request.vcpus, NOT_KNOWN),
                    request.status.clone(),
                    or(request.case_id.as_ref(), "-"),
                    or(request.created_at.as_ref(), "-"),
                ]
            })
        });
        section(&mut text, &["code", "request", "vcpus", "status", "case", "filed"], requests.collect(), color);
        let missing: BTreeSet<&str> = self.quotas.iter().flat_map(|row| row.missing.iter().copied()).collect();
        if !missing.is_empty() {
            let missing: Vec<&str> = missing.into_iter().collect();
            let _ = writeln!(text, "\nwhat is unknown would take leave for {}", missing.join(", "));
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.quotas.is_empty()
    }
}

fn join(names: &BTreeSet<String>) -> String {
    names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
}

fn section(text: &mut String, headings: &[&str], rows: Vec<Vec<String>>, color: bool) {
    if !rows.is_empty() {
        text.push('\n');
        text.push_str(&table(headings, rows, color));
    }
}

/// What came of `quota request`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Came {
    /// A request was filed.
    Filed,
    /// One was open already.
    Open,
    /// The limit suffices.
    Suffices,
}

/// `quota request`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Filing {
    /// The quota.
    #[serde(flatten)]
    pub quotas: Quotas,
    /// The limit that is wished for.
    pub vcpus: Option<u32>,
    /// Why so many.
    pub reason: String,
    /// What came of it; absent after a failure.
    pub outcome: Option<Came>,
    /// The request that is open now.
    pub request: Option<Request>,
}

impl Filing {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(quotas: Quotas) -> Self {
        Self { quotas, ..Self::default() }
    }

    /// A request is open now.
    pub fn is_open(&mut self, increase: &Increase, came: Came) {
        let request = Request::from(increase);
        if let Some(row) = self.quotas.quotas.first_mut()
            && increase.is_open()
            && !row.requests.contains(&request)
        {
            row.requests.insert(0, request.clone());
        }
        self.request = Some(request);
        self.outcome = Some(came);
    }
}

impl Report for Filing {
    fn text(&self, _color: bool) -> String {
        let Some(row) = self.quotas.quotas.first() else { return String::new() };
        let which = format!("{} ({}) in {}", or(row.code, "-"), row.name, self.quotas.region);
        let vcpus = or(self.vcpus, "-");
        let request = self.request.as_ref().map_or_else(String::new, |request| {
            let case = request.case_id.as_ref().map_or_else(String::new, |case| format!(", case {case}"));
            let filed = request.created_at.as_ref().map_or_else(String::new, |at| format!(", filed {at}"));
            format!("request {}: {} vCPUs, {}{case}{filed}\n", request.id, or(request.vcpus, "-"), request.status)
        });
        match self.outcome {
            None => String::new(),
            Some(Came::Filed) => format!("asked for {vcpus} vCPUs of {which}: {}\n{request}", self.reason),
            Some(Came::Open) => format!("a request for {which} is open already, nothing was filed\n{request}"),
            Some(Came::Suffices) => {
                let limit = or(row.limit, "-");
                format!(
                    "the limit of {which} is {limit} vCPUs already and {vcpus} suffice ({}): nothing was filed\n",
                    self.reason
                )
            }
        }
    }

    fn is_empty(&self) -> bool {
        self.outcome.is_none()
    }
}

/// `quota watch`.
#[derive(Debug, Clone, Serialize)]
pub struct Watched {
    /// The quota as it was seen last.
    #[serde(flatten)]
    pub quotas: Quotas,
    /// The limit that is waited for.
    pub vcpus: Option<u32>,
    /// `granted`, `denied`, `closed`, `nothing`, `timeout`, `interrupted`, `failed`.
    pub status: &'static str,
    /// The last request.
    pub request: Option<Request>,
    #[serde(skip)]
    known: Option<Known>,
}

impl Watched {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(quotas: Quotas) -> Self {
        Self { quotas, vcpus: None, status: "failed", request: None, known: None }
    }

    /// The quota that it is about.
    pub fn is_about(&mut self, known: &Known, now: Timestamp) {
        self.request = known.increases.as_ref().and_then(|all| all.first()).map(Request::from);
        self.quotas.fill(std::slice::from_ref(known), &[], now);
        self.known = Some(known.clone());
    }

    /// What a look saw, the newest request first.
    pub fn saw(&mut self, limit: Option<u32>, increases: &[Increase], now: Timestamp) {
        if let Some(mut known) = self.known.take() {
            known.standing.limit = limit;
            known.increases = Some(increases.to_vec());
            self.is_about(&known, now);
        }
    }

    /// It is over; what AWS said of the request has been noted by then.
    pub fn ends(&mut self, failed: Option<Kind>) {
        self.status = match failed {
            None => "granted",
            Some(Kind::Timeout) => "timeout",
            Some(Kind::Interrupted | Kind::Terminated) => "interrupted",
            Some(_) => self.status,
        };
    }

    /// The quota's code, once it is known.
    #[must_use]
    pub fn code(&self) -> Option<&'static str> {
        Some(self.known.as_ref()?.standing.quota.code)
    }

    /// The applied value, as far as it is known.
    #[must_use]
    pub fn limit(&self) -> Option<u32> {
        self.known.as_ref()?.standing.limit
    }
}

impl Report for Watched {
    fn text(&self, _color: bool) -> String {
        let Some(row) = self.quotas.quotas.first().filter(|_| self.status == "granted") else { return String::new() };
        format!(
            "the limit of {} ({}) in {} is {} vCPUs now, {} were wanted\n",
            or(row.code, "-"),
            row.name,
            self.quotas.region,
            or(row.limit, "-"),
            or(self.vcpus, "-")
        )
    }

    fn is_empty(&self) -> bool {
        self.status != "granted"
    }
}

#[cfg(test)]
mod tests;
