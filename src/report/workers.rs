//! Workers as users see them, and the documents of `up`, `status`, `down` and `destroy`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use super::choice;
use super::table::table;
use crate::decide::names::Market;
use crate::decide::offers::Rejection;
use crate::decide::workers::{State, Worker};
use crate::resource::{Change, Kind};
use crate::spec::{Usd, Zone};

/// A worker's row.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Row {
    /// `i-…`.
    pub id: String,
    /// Instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// Spot or on-demand.
    pub market: Market,
    /// EC2's state.
    pub state: State,
    /// What the box says of itself; absent until it does.
    pub phase: Option<String>,
    /// The pool's price now.
    pub price_per_hour: Option<Usd>,
    /// Price now times age: an estimate.
    pub cost_so_far: Option<Usd>,
    /// Public IPv4 address.
    pub public_ip: Option<String>,
    /// RFC 3339.
    pub launched_at: String,
    /// RFC 3339; absent without a lifetime.
    pub expires_at: Option<String>,
    /// `sir-…`.
    pub spot_request: Option<String>,
    /// Whether this run launched it.
    pub launched_now: bool,
}

/// Current prices by pool.
pub type Prices = BTreeMap<(String, Zone), Usd>;

impl Row {
    /// The row of a worker at this moment.
    #[must_use]
    pub fn new(worker: &Worker, prices: &Prices, now: Timestamp, launched_now: bool) -> Self {
        let pool = (worker.instance_type.clone(), Zone(worker.zone.clone()));
        let price = (worker.market == Market::Spot).then(|| prices.get(&pool).copied()).flatten();
        let age = now.duration_since(worker.launched_at).max(jiff::SignedDuration::ZERO).unsigned_abs();
        Self {
            id: worker.id.clone(),
            instance_type: worker.instance_type.clone(),
            zone: worker.zone.clone(),
            market: worker.market,
            state: worker.state,
            phase: worker.phase.clone(),
            price_per_hour: price,
            cost_so_far: price.map(|price| price.over(age)),
            public_ip: worker.public_ip.clone(),
            launched_at: rfc3339(worker.launched_at),
            expires_at: worker.expires_at().map(rfc3339),
            spot_request: worker.spot_request.clone(),
            launched_now,
        }
    }
}

/// As every time is written.
pub(crate) fn rfc3339(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

fn rows(workers: &[Row], color: bool) -> String {
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "-".to_owned());
    let lines = workers.iter().map(|row| {
        vec![
            row.id.clone(),
            row.instance_type.clone(),
            row.zone.clone(),
            row.market.as_str().to_owned(),
            row.state.as_str().to_owned(),
            or_dash(row.phase.clone()),
            or_dash(row.price_per_hour.map(|price| price.to_string())),
            or_dash(row.cost_so_far.map(|cost| cost.to_string())),
            row.launched_at.clone(),
            or_dash(row.expires_at.clone()),
            or_dash(row.public_ip.clone()),
        ]
    });
    let headings = [
        "worker",
        "type",
        "zone",
        "market",
        "state",
        "phase",
        "usd/h",
        "usd so far",
        "launched",
        "expires",
        "public ip",
    ];
    table(&headings, lines, color)
}

/// The most that one worker can cost.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WorstCase {
    /// The latest hard end, counted from launch.
    pub hours: f64,
    /// Price now times the hard end, of all workers together.
    pub usd: Usd,
}

/// `up`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Up {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
    /// What was done to the foundation.
    pub changes: Vec<Change>,
    /// Every worker of the stack that lives.
    pub workers: Vec<Row>,
    /// Offers that were not taken.
    pub rejected: Vec<Rejection>,
    /// If all of them are forgotten.
    pub worst_case: Option<WorstCase>,
}

impl WorstCase {
    /// Of these workers together, each until its own hard end; none where one has no hard end or no price.
    #[must_use]
    pub fn of<'a>(workers: impl IntoIterator<Item = (&'a Worker, &'a Row)>) -> Option<Self> {
        let mut worst = Self { hours: 0.0, usd: Usd::default() };
        for (worker, row) in workers {
            let (lifetime, price) = (worker.lifetime?, row.price_per_hour?);
            worst.hours = worst.hours.max(f64::from(lifetime.as_secs()) / 3600.0);
            worst.usd = worst.usd + price.over(lifetime.duration());
        }
        (worst.hours > 0.0).then_some(worst)
    }
}

impl Report for Up {
    fn text(&self, color: bool) -> String {
        let mut text = String::new();
        if !self.workers.is_empty() {
            text.push_str(&rows(&self.workers, color));
        }
        let new = self.workers.iter().filter(|row| row.launched_now);
        let taken = new.clone().filter_map(|row| row.price_per_hour).max();
        if new.count() > 0 {
            let rest = choice::passed_over(&self.rejected, taken, color);
            if !rest.is_empty() {
                text.push('\n');
                text.push_str(&rest);
            }
        }
        if let Some(worst) = &self.worst_case {
            use std::fmt::Write;
            let _ = writeln!(
                text,
                "\nif forgotten: ends itself after {} h, instances {} USD at today's price",
                worst.hours, worst.usd
            );
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.workers.is_empty()
    }
}

/// One thing the stack consists of.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Resource {
    /// What it is.
    pub kind: Kind,
    /// Its name.
    pub name: String,
    /// AWS's id.
    pub id: Option<String>,
}

/// `status`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Status {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// Workers that AWS still knows.
    pub workers: Vec<Row>,
    /// What else exists; it costs nothing.
    pub resources: Vec<Resource>,
}

impl Report for Status {
    fn text(&self, color: bool) -> String {
        let mut text = if self.workers.is_empty() {
            format!("no worker of `{}` in {}\n", self.stack, self.region)
        } else {
            rows(&self.workers, color)
        };
        text.push('\n');
        if self.resources.is_empty() {
            text.push_str("nothing of it exists\n");
        } else {
            let lines = self.resources.iter().map(|resource| {
                vec![resource.kind.words().to_owned(), resource.name.clone(), resource.id.clone().unwrap_or_default()]
            });
            text.push_str(&table(&["resource (costs nothing)", "name", "id"], lines, color));
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.workers.is_empty() && self.resources.is_empty()
    }
}

/// One stack in the region.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Stack {
    /// Its name.
    pub stack: String,
    /// Live workers.
    pub workers: usize,
    /// What they cost an hour now; absent when a price is unknown.
    pub usd_per_hour: Option<Usd>,
    /// The first expiry.
    pub next_expiry: Option<String>,
}

/// `status --stacks`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Stacks {
    /// The region.
    pub region: String,
    /// By name.
    pub stacks: Vec<Stack>,
}

impl Report for Stacks {
    fn text(&self, color: bool) -> String {
        if self.stacks.is_empty() {
            return format!("no stack in {}\n", self.region);
        }
        let lines = self.stacks.iter().map(|stack| {
            vec![
                stack.stack.clone(),
                stack.workers.to_string(),
                stack.usd_per_hour.map_or_else(|| "-".to_owned(), |price| price.to_string()),
                stack.next_expiry.clone().unwrap_or_else(|| "-".to_owned()),
            ]
        });
        table(&["stack", "workers", "usd/h", "next expiry"], lines, color)
    }

    fn is_empty(&self) -> bool {
        self.stacks.is_empty()
    }
}

impl Stacks {
    /// Counts the workers of each stack.
    #[must_use]
    pub fn new(region: &str, found: &BTreeMap<String, Vec<Worker>>, prices: &Prices, now: Timestamp) -> Self {
        let stacks = found
            .iter()
            .map(|(stack, workers)| {
                let live: Vec<&Worker> = workers.iter().filter(|worker| worker.state.is_live()).collect();
                let rows: Vec<Row> = live.iter().map(|worker| Row::new(worker, prices, now, false)).collect();
                let prices: Option<Vec<Usd>> = rows.iter().map(|row| row.price_per_hour).collect();
                Stack {
                    stack: stack.clone(),
                    workers: rows.len(),
                    usd_per_hour: prices.map(|prices| prices.into_iter().sum()),
                    next_expiry: live.iter().filter_map(|worker| worker.expires_at()).min().map(rfc3339),
                }
            })
            .collect();
        Self { region: region.to_owned(), stacks }
    }
}

/// `down` and `destroy`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Down {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// Instances that were told to end.
    pub terminated: Vec<String>,
    /// Spot requests that were cancelled.
    pub cancelled: Vec<String>,
    /// Everything else that was removed.
    pub deleted: Vec<Resource>,
}

impl Report for Down {
    fn text(&self, _color: bool) -> String {
        use std::fmt::Write;
        let mut text = String::new();
        for id in &self.terminated {
            let _ = writeln!(text, "terminated  {id}");
        }
        for id in &self.cancelled {
            let _ = writeln!(text, "cancelled   {id}");
        }
        for resource in &self.deleted {
            let id = resource.id.as_ref().filter(|id| **id != resource.name);
            let id = id.map_or_else(String::new, |id| format!(" ({id})"));
            let _ = writeln!(text, "deleted     {} {}{id}", resource.kind.words(), resource.name);
        }
        if text.is_empty() {
            let _ = writeln!(text, "nothing of `{}` in {}", self.stack, self.region);
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.terminated.is_empty() && self.cancelled.is_empty() && self.deleted.is_empty()
    }
}

/// A worker past its expiry.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Expired {
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
    pub fn new(stack: &str, worker: &Worker) -> Self {
        Self {
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
    /// The region.
    pub region: String,
    /// What has expired.
    pub expired: Vec<Expired>,
    /// Instances that were told to end.
    pub terminated: Vec<String>,
}

impl Report for Reap {
    fn text(&self, color: bool) -> String {
        if self.expired.is_empty() {
            return format!("no worker in {} is past its expiry\n", self.region);
        }
        let rows = self.expired.iter().map(|worker| {
            let is_told = self.terminated.contains(&worker.id);
            vec![
                worker.stack.clone(),
                worker.id.clone(),
                worker.instance_type.clone(),
                worker.expires_at.clone().unwrap_or_default(),
                if is_told { "terminated" } else { "lives" }.to_owned(),
            ]
        });
        table(&["stack", "worker", "type", "expired", ""], rows, color)
    }

    fn is_empty(&self) -> bool {
        self.expired.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::workers::tests::worker;
    use crate::spec::Period;

    #[test]
    fn a_row_counts_cost_from_launch_and_expiry_from_the_lifetime() {
        let mut one = worker("i-1", State::Running, Some(0), 0);
        one.lifetime = Some(Period::from_secs(8 * 3600));
        let prices =
            BTreeMap::from([(("g4dn.xlarge".to_owned(), Zone("us-east-1a".to_owned())), Usd::from_micros(200_000))]);
        let now = Timestamp::from_second(1800).unwrap();
        let row = Row::new(&one, &prices, now, true);
        assert_eq!(row.cost_so_far, Some(Usd::from_micros(100_000)));
        assert_eq!(row.launched_at, "1970-01-01T00:00:00Z");
        assert_eq!(row.expires_at.as_deref(), Some("1970-01-01T08:00:00Z"));
        let mut short = one.clone();
        short.lifetime = Some(Period::from_secs(3600));
        let worst = WorstCase::of([(&one, &row), (&short, &row)]).unwrap();
        assert_eq!(worst, WorstCase { hours: 8.0, usd: Usd::from_micros(1_800_000) });
    }

    #[test]
    fn without_a_price_there_is_no_cost_and_no_worst_case() {
        let mut one = worker("i-1", State::Running, None, 0);
        one.lifetime = Some(Period::from_secs(1));
        let row = Row::new(&one, &Prices::new(), Timestamp::UNIX_EPOCH, false);
        assert_eq!((row.price_per_hour, row.cost_so_far), (None, None));
        assert_eq!(WorstCase::of([(&one, &row)]), None);
    }
}
