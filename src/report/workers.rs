//! Workers as users see them, and the documents of `up`, `status`, `down` and `destroy`.

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;
use serde::Serialize;

use super::Report;
use super::choice;
use super::table::table;
use crate::decide::cost::{Hourly, Ledger, WorstCase};
use crate::decide::names::Market;
use crate::decide::offers::Rejection;
use crate::decide::workers::{State, Worker};
use crate::resource::{Change, Kind};
use crate::spec::{Period, Usd};

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
    /// The instance's price now; absent when nobody names one, and for what has ended.
    pub price_per_hour: Option<Usd>,
    /// All that it costs an hour, part by part; absent for what has ended.
    pub hourly: Option<Hourly>,
    /// Instance, volume and public address since the launch, along the price history: an estimate.
    pub cost_so_far: Option<Usd>,
    /// Public IPv4 address.
    pub public_ip: Option<String>,
    /// RFC 3339.
    pub launched_at: String,
    /// RFC 3339; absent without a lifetime.
    pub expires_at: Option<String>,
    /// Whether it lives past that.
    pub expired: bool,
    /// `sir-…`.
    pub spot_request: Option<String>,
    /// Whether this run launched it.
    pub launched_now: bool,
}

impl Row {
    /// The row of a worker at this moment.
    #[must_use]
    pub fn new(worker: &Worker, ledger: &Ledger, now: Timestamp, launched_now: bool) -> Self {
        let hourly = (!worker.state.is_over()).then(|| ledger.hourly(worker));
        Self {
            id: worker.id.clone(),
            instance_type: worker.instance_type.clone(),
            zone: worker.zone.clone(),
            market: worker.market,
            state: worker.state,
            phase: worker.phase.clone(),
            price_per_hour: hourly.and_then(|hourly| hourly.instance),
            hourly,
            cost_so_far: ledger.spent(worker, now),
            public_ip: worker.public_ip.clone(),
            launched_at: rfc3339(worker.launched_at),
            expires_at: worker.expires_at().map(rfc3339),
            expired: worker.state.is_live() && worker.expires_at().is_some_and(|end| end <= now),
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
            or_dash(row.hourly.and_then(|hourly| hourly.total()).map(|price| price.rounded_rate().to_string())),
            or_dash(row.cost_so_far.map(|cost| cost.rounded().to_string())),
            row.launched_at.clone(),
            or_dash(row.expires_at.clone()) + if row.expired { " (expired)" } else { "" },
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

/// What some workers cost, and what they can cost.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Bound {
    /// All of them together, an hour; absent when there is none.
    pub hourly: Option<Hourly>,
    /// If all of them are forgotten; absent when one has no hard end, or a price is not known.
    pub worst_case: Option<WorstCase>,
}

impl Bound {
    /// Of workers that cost so much an hour and end by themselves then.
    #[must_use]
    pub fn of(workers: &[(Hourly, Option<Period>)]) -> Self {
        let hourly = (!workers.is_empty()).then(|| workers.iter().map(|(hourly, _)| *hourly).sum());
        Self { hourly, worst_case: WorstCase::of(workers.iter().copied()) }
    }

    /// Of the workers that live.
    #[must_use]
    pub fn of_live<'a>(workers: impl IntoIterator<Item = &'a Worker>, ledger: &Ledger) -> Self {
        let live = workers.into_iter().filter(|worker| worker.state.is_live());
        Self::of(&live.map(|worker| (ledger.hourly(worker), worker.lifetime)).collect::<Vec<_>>())
    }

    /// Two lines for people; none where nothing costs anything.
    #[must_use]
    pub fn text(&self) -> String {
        const DAY: std::time::Duration = std::time::Duration::from_hours(24);
        let Some(hourly) = self.hourly else { return String::new() };
        let mut text = format!("it costs      {}\n", hourly.words());
        let _ = match (self.worst_case, hourly.total()) {
            (Some(worst), _) => writeln!(
                text,
                "if forgotten  {} USD: it ends itself {} h after its launch, prices as now",
                worst.usd.rounded(),
                (worst.hours * 100.0).round() / 100.0
            ),
            (None, Some(total)) => writeln!(
                text,
                "if forgotten  {} USD a day, without an end: a hard end is off (lifetime, --ttl)",
                total.over(DAY).rounded()
            ),
            (None, None) => writeln!(text, "if forgotten  unknown, since a price is"),
        };
        text
    }
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
    /// What they cost.
    #[serde(flatten)]
    pub bound: Bound,
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
        if self.bound.hourly.is_some() {
            text.push('\n');
            text.push_str(&self.bound.text());
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
    /// What the workers cost.
    #[serde(flatten)]
    pub bound: Bound,
}

impl Report for Status {
    fn text(&self, color: bool) -> String {
        let mut text = if self.workers.is_empty() {
            format!("no worker of `{}` in {}\n", self.stack, self.region)
        } else {
            rows(&self.workers, color)
        };
        text.push('\n');
        if self.bound.hourly.is_some() {
            text.push_str(&self.bound.text());
            text.push('\n');
        }
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

/// What a worker has cost when it was told to end: an estimate, the bill is AWS's.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Bill {
    /// `i-…`.
    pub id: String,
    /// Instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Spot or on-demand.
    pub market: Market,
    /// RFC 3339.
    pub launched_at: String,
    /// How long it lived.
    pub lived: Period,
    /// Instance along the price history, volume and public address; absent when a price is not known.
    pub usd: Option<Usd>,
}

impl Bill {
    /// Of a worker at this moment.
    #[must_use]
    pub fn new(worker: &Worker, ledger: &Ledger, now: Timestamp) -> Self {
        let lived = now.duration_since(worker.launched_at).as_secs();
        Self {
            id: worker.id.clone(),
            instance_type: worker.instance_type.clone(),
            market: worker.market,
            launched_at: rfc3339(worker.launched_at),
            lived: Period::clamped(lived),
            usd: ledger.spent(worker, now),
        }
    }

    fn words(&self) -> String {
        let usd =
            self.usd.map_or_else(|| "at an unknown price".to_owned(), |usd| format!("about {} USD", usd.rounded()));
        format!("  {} {}, {usd}", self.instance_type, self.lived)
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
    /// What each of them has cost, as far as it can be told.
    pub bills: Vec<Bill>,
    /// Spot requests that were cancelled.
    pub cancelled: Vec<String>,
    /// Everything else that was removed.
    pub deleted: Vec<Resource>,
}

impl Report for Down {
    fn text(&self, _color: bool) -> String {
        let mut text = String::new();
        let bills: BTreeMap<&str, &Bill> = self.bills.iter().map(|bill| (bill.id.as_str(), bill)).collect();
        for id in &self.terminated {
            let bill = bills.get(id.as_str()).map_or_else(String::new, |bill| bill.words());
            let _ = writeln!(text, "terminated  {id}{bill}");
        }
        for id in &self.cancelled {
            let _ = writeln!(text, "cancelled   {id}");
        }
        for resource in &self.deleted {
            let id = resource.id.as_ref().filter(|id| **id != resource.name);
            let id = id.map_or_else(String::new, |id| format!(" ({id})"));
            let _ = writeln!(text, "deleted     {} {}{id}", resource.kind.words(), resource.name);
        }
        let known: Option<Usd> = self.bills.iter().map(|bill| bill.usd).sum();
        if let Some(known) = known.filter(|_| self.bills.len() > 1) {
            let _ = writeln!(text, "in sum      about {} USD", known.rounded());
        }
        if text.is_empty() {
            let _ = writeln!(text, "nothing of `{}` to end in {}", self.stack, self.region);
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.terminated.is_empty() && self.cancelled.is_empty() && self.deleted.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::workers::tests::worker;
    use crate::spec::Zone;

    fn ledger() -> Ledger {
        let pool = ("g4dn.xlarge".to_owned(), Zone("us-east-1a".to_owned()));
        Ledger {
            region: "us-east-1".to_owned(),
            spot: BTreeMap::from([(pool, vec![(Timestamp::UNIX_EPOCH, Usd::from_micros(200_000))])]),
            ..Ledger::default()
        }
    }

    #[test]
    fn a_row_counts_cost_from_launch_and_expiry_from_the_lifetime() {
        let mut one = worker("i-1", State::Running, Some(0), 0);
        one.lifetime = Some(Period::from_secs(8 * 3600));
        let row = Row::new(&one, &ledger(), Timestamp::from_second(1800).unwrap(), true);
        assert_eq!(row.price_per_hour, Some(Usd::from_micros(200_000)));
        assert_eq!(row.cost_so_far, Some(Usd::from_micros(100_000)));
        assert_eq!(row.launched_at, "1970-01-01T00:00:00Z");
        assert_eq!(row.expires_at.as_deref(), Some("1970-01-01T08:00:00Z"));
        one.state = State::Terminated;
        let row = Row::new(&one, &ledger(), Timestamp::from_second(1800).unwrap(), true);
        assert_eq!((row.price_per_hour, row.hourly), (None, None), "what has ended costs nothing");
    }

    #[test]
    fn a_bound_names_the_parts_and_says_when_there_is_no_end() {
        let mut one = worker("i-1", State::Pending, Some(0), 0);
        one.lifetime = Some(Period::from_secs(2 * 3600));
        let mut ledger = ledger();
        let disk = crate::decide::cost::Disk {
            kind: "gp3".to_owned(),
            size: crate::spec::Gib(73),
            iops: None,
            throughput: None,
        };
        ledger.disks.insert("i-1".to_owned(), vec![disk]);
        let text = Bound::of_live([&one], &ledger).text();
        assert_eq!(
            text,
            "it costs      0.213 USD an hour (instance 0.20, volume 0.008, public IPv4 0.005)\n\
             if forgotten  0.43 USD: it ends itself 2 h after its launch, prices as now\n"
        );
        one.lifetime = None;
        assert!(Bound::of_live([&one], &ledger).text().contains("5.11 USD a day, without an end"));
        assert!(Bound::of_live([&one], &Ledger::default()).text().contains("unknown, since a price is"));
        assert_eq!(Bound::of_live([], &ledger).text(), "");
    }

    #[test]
    fn a_bill_is_what_it_cost_until_it_was_told_to_end() {
        let one = worker("i-1", State::Running, Some(0), 0);
        let bill = Bill::new(&one, &ledger(), Timestamp::from_second(5400).unwrap());
        let report = Down { terminated: vec!["i-1".to_owned()], bills: vec![bill], ..Down::default() };
        assert_eq!(report.text(false), "terminated  i-1  g4dn.xlarge 1h30m, about 0.30 USD\n");
        let years = Bill::new(&one, &ledger(), Timestamp::from_second(3 * 366 * 86_400).unwrap());
        assert_eq!(years.lived.to_string(), "8784h", "more than a year is a year at least");
    }
}
