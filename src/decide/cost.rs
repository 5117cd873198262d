//! What a worker costs: instance, volume and public address, each by itself. Pure: [`Ledger`] is data that others read.
//!
//! Prices of instances come from AWS at run time; a volume's and an address's do not, because the Price List API answers in
//! three regions only and needs a permission of its own. Spot instances are billed by the second at the price in force,
//! which moves while they run: what a worker has cost so far follows the price history, what it will cost is today's price
//! going on. Both are estimates; the bill is AWS's.

use std::borrow::Cow;
use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use super::names::Market;
use super::workers::{State, Worker};
use crate::spec::{Gib, Period, Usd, Volume, VolumeKind, Zone};

/// Price of a GiB and month in micro-dollars, gp3 and gp2 (EBS price list, 2026). Other regions are somewhat dearer than
/// the first row; for them the answer is a lower bound, and is shown as "from".
const EBS: [(&str, i64, i64); 8] = [
    ("us-east-1", 80_000, 100_000),
    ("us-east-2", 80_000, 100_000),
    ("us-west-2", 80_000, 100_000),
    ("eu-west-1", 88_000, 110_000),
    ("eu-central-1", 95_200, 119_000),
    ("ap-northeast-1", 96_000, 120_000),
    ("ap-northeast-2", 91_200, 114_000),
    ("ap-southeast-1", 96_000, 120_000),
];

/// A public IPv4 address an hour, in every region, in use or not (VPC price list, since February 2024).
const PUBLIC_IPV4: Usd = Usd::from_micros(5_000);

/// Hours of a month, as AWS turns monthly prices into seconds.
const MONTH_HOURS: i64 = 730;

/// What is billed for even the shortest life (EC2's on-demand pricing page; Spot's and EBS's say the same).
const LEAST_BILLED: std::time::Duration = std::time::Duration::from_mins(1);

/// gp3's share that the price of the size includes.
const FREE_IOPS: u32 = 3000;
/// The same, in MiB a second.
const FREE_THROUGHPUT: u32 = 125;

/// A volume, as far as its price depends on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Disk {
    /// AWS's word, such as `gp3`.
    pub kind: String,
    /// Size.
    pub size: Gib,
    /// Operations a second, where AWS names them.
    pub iops: Option<u32>,
    /// MiB a second, where AWS names them.
    pub throughput: Option<u32>,
}

impl From<Volume> for Disk {
    fn from(volume: Volume) -> Self {
        Self {
            kind: volume.kind.as_str().to_owned(),
            size: volume.size,
            iops: volume.iops,
            throughput: volume.throughput,
        }
    }
}

impl Disk {
    /// Micro-dollars a month; `None` for a kind whose price is not known here.
    fn month(&self, region: &str) -> Option<i64> {
        let (_, gp3, gp2) = EBS.iter().find(|(name, ..)| *name == region).unwrap_or(&EBS[0]);
        let size = i64::from(self.size.0);
        match self.kind.as_str() {
            "gp2" => Some(gp2 * size),
            "gp3" => {
                let above = |has: Option<u32>, free: u32| i64::from(has.unwrap_or(free).saturating_sub(free));
                // In every region an operation costs a sixteenth of what a GiB does, a MiB a second half of it.
                let iops = above(self.iops, FREE_IOPS) * gp3 / 16;
                let throughput = above(self.throughput, FREE_THROUGHPUT) * gp3 / 2;
                Some(gp3 * size + iops + throughput)
            }
            _ => None,
        }
    }
}

/// What a volume of this size costs if it existed for a whole month, for people: `6.00 USD a month`.
#[must_use]
pub fn volume_month(kind: VolumeKind, size: Gib, region: &str) -> String {
    let is_known = EBS.iter().any(|(name, ..)| *name == region);
    let disk = Disk { kind: kind.as_str().to_owned(), size, iops: None, throughput: None };
    let from = if is_known { "" } else { "from " };
    let month = Usd::from_micros(disk.month(region).unwrap_or_default());
    format!("{from}{month} USD a month, by the hour while the worker lives")
}

/// USD an hour, by what is billed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hourly {
    /// The instance at its price now; `None` where nobody names one.
    pub instance: Option<Usd>,
    /// Its volumes; `None` where they are not known yet.
    pub volume: Option<Usd>,
    /// Its public address.
    pub public_ipv4: Usd,
}

impl Hourly {
    /// Of an instance at this price with these volumes and one public address.
    #[must_use]
    pub fn new(instance: Option<Usd>, disks: &[Disk], region: &str) -> Self {
        let months: Option<i64> = disks.iter().map(|disk| disk.month(region)).sum();
        let volume = months.map(|micros| Usd::from_micros((micros + MONTH_HOURS / 2) / MONTH_HOURS));
        Self { instance, volume: volume.filter(|_| !disks.is_empty()), public_ipv4: PUBLIC_IPV4 }
    }

    /// All of it; `None` where a part is not known.
    #[must_use]
    pub fn total(&self) -> Option<Usd> {
        Some(self.instance? + self.volume? + self.public_ipv4)
    }

    /// For people: `0.2314 USD an hour (instance 0.218, volume 0.0084, public IPv4 0.005)`.
    #[must_use]
    pub fn words(&self) -> String {
        let or_unknown =
            |usd: Option<Usd>| usd.map_or_else(|| "unknown".to_owned(), |usd| usd.rounded_rate().to_string());
        let total = self.total().map(Usd::rounded_rate);
        let total = total.map_or_else(|| "an unknown price".to_owned(), |usd| format!("{usd} USD"));
        let (instance, volume) = (or_unknown(self.instance), or_unknown(self.volume));
        format!("{total} an hour (instance {instance}, volume {volume}, public IPv4 {})", self.public_ipv4)
    }
}

impl std::iter::Sum for Hourly {
    fn sum<I: Iterator<Item = Self>>(all: I) -> Self {
        let nothing =
            Self { instance: Some(Usd::default()), volume: Some(Usd::default()), public_ipv4: Usd::default() };
        all.fold(nothing, |a, b| Self {
            instance: a.instance.zip(b.instance).map(|(a, b)| a + b),
            volume: a.volume.zip(b.volume).map(|(a, b)| a + b),
            public_ipv4: a.public_ipv4 + b.public_ipv4,
        })
    }
}

impl Serialize for Hourly {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct;
        let mut fields = serializer.serialize_struct("Hourly", 4)?;
        fields.serialize_field("instance", &self.instance)?;
        fields.serialize_field("volume", &self.volume)?;
        fields.serialize_field("public_ipv4", &self.public_ipv4)?;
        fields.serialize_field("total", &self.total())?;
        fields.end()
    }
}

/// What it comes to if it is forgotten: until its own hard end at today's price.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct WorstCase {
    /// The latest hard end, counted from launch.
    pub hours: f64,
    /// Of all workers together, each until its own hard end: instances, volumes and public addresses.
    pub usd: Usd,
}

impl WorstCase {
    /// Of workers that cost so much and end by themselves then; `None` where there is none, or one has no hard end or no
    /// price.
    #[must_use]
    pub fn of(workers: impl IntoIterator<Item = (Hourly, Option<Period>)>) -> Option<Self> {
        let mut worst = Self { hours: 0.0, usd: Usd::default() };
        for (hourly, lifetime) in workers {
            let (lifetime, price) = (lifetime?, hourly.total()?);
            worst.hours = worst.hours.max(f64::from(lifetime.as_secs()) / 3600.0);
            worst.usd = worst.usd + price.over(lifetime.duration());
        }
        (worst.hours > 0.0).then_some(worst)
    }
}

/// What is known of prices: enough to say what a worker costs.
#[derive(Debug, Clone, Default)]
pub struct Ledger {
    /// Where.
    pub region: String,
    /// Spot prices by pool: since when which, oldest first.
    pub spot: BTreeMap<(String, Zone), Vec<(Timestamp, Usd)>>,
    /// List prices by type.
    pub on_demand: BTreeMap<String, Usd>,
    /// Volumes by instance.
    pub disks: BTreeMap<String, Vec<Disk>>,
    /// Why some price could not be read.
    pub refused: Option<String>,
}

impl Ledger {
    fn prices(&self, worker: &Worker) -> Cow<'_, [(Timestamp, Usd)]> {
        match worker.market {
            Market::Spot => {
                let pool = (worker.instance_type.clone(), Zone(worker.zone.clone()));
                Cow::Borrowed(self.spot.get(&pool).map(Vec::as_slice).unwrap_or_default())
            }
            Market::OnDemand => {
                let price = self.on_demand.get(&worker.instance_type);
                price.map(|price| (worker.launched_at, *price)).into_iter().collect()
            }
        }
    }

    /// What it costs an hour now; one that has ended, or has no address, has no address to pay.
    #[must_use]
    pub fn hourly(&self, worker: &Worker) -> Hourly {
        let disks = self.disks.get(&worker.id).map(Vec::as_slice).unwrap_or_default();
        let price = self.prices(worker).last().map(|(_, price)| *price);
        let mut hourly = Hourly::new(price, disks, &self.region);
        // One that is stopped keeps its volume, and that is billed.
        if matches!(worker.state, State::Stopping | State::Stopped) {
            hourly.instance = Some(Usd::default());
        }
        // A new one gets its address in a moment.
        if worker.public_ip.is_none() && worker.state != State::Pending {
            hourly.public_ipv4 = Usd::default();
        }
        hourly
    }

    /// What it has cost until now, or until its end; `None` where its price or its end is not known. The volume of one
    /// that has ended is gone, and not in it.
    #[must_use]
    pub fn spent(&self, worker: &Worker, now: Timestamp) -> Option<Usd> {
        let end = match worker.ended_at {
            Some(end) => end,
            None if worker.state.is_over() => return None,
            None => now,
        };
        // Linux is billed by the second, and for a minute at the least.
        let end = worker.launched_at.checked_add(LEAST_BILLED).map_or(end, |least| end.max(least));
        let prices = self.prices(worker);
        let instance = integrate(&prices, worker.launched_at, end)?;
        let age = length(worker.launched_at, end);
        let hourly = self.hourly(worker);
        let address = if worker.state.is_over() { PUBLIC_IPV4 } else { hourly.public_ipv4 };
        Some(instance + hourly.volume.unwrap_or_default().over(age) + address.over(age))
    }
}

/// Each price for as long as it held; before the first it was the first.
fn integrate(prices: &[(Timestamp, Usd)], from: Timestamp, to: Timestamp) -> Option<Usd> {
    let mut total = Usd::default();
    let (_, mut price) = *prices.first()?;
    let mut since = from;
    for (at, next) in prices {
        let at = (*at).clamp(from, to.max(from));
        total = total + price.over(length(since, at));
        (since, price) = (at, *next);
    }
    Some(total + price.over(length(since, to)))
}

fn length(from: Timestamp, to: Timestamp) -> std::time::Duration {
    to.duration_since(from).max(jiff::SignedDuration::ZERO).unsigned_abs()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::workers::tests::worker;

    fn gp3(size: u32) -> Disk {
        Disk { kind: "gp3".to_owned(), size: Gib(size), iops: None, throughput: None }
    }

    fn second(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_volume_names_its_month_and_admits_a_region_it_does_not_know() {
        assert!(volume_month(VolumeKind::Gp3, Gib(75), "us-east-1").starts_with("6.00 USD a month"));
        assert!(volume_month(VolumeKind::Gp2, Gib(75), "sa-east-1").starts_with("from 7.50 USD a month"));
    }

    #[test]
    fn an_hour_is_the_sum_of_its_parts_and_unknown_where_one_is() {
        let price = Usd::from_micros(200_000);
        let fast = Disk { iops: Some(4000), throughput: Some(225), ..gp3(73) };
        for (instance, disks, volume, total) in [
            (Some(price), vec![gp3(73)], Some(8_000), Some(213_000)),
            // 5.84 for the size, 5.00 for the operations, 4.00 for the throughput a month.
            (Some(price), vec![fast], Some(20_329), Some(225_329)),
            (Some(price), vec![gp3(73), gp3(73)], Some(16_000), Some(221_000)),
            (None, vec![gp3(73)], Some(8_000), None),
            (Some(price), vec![], None, None),
            (Some(price), vec![Disk { kind: "io2".to_owned(), ..gp3(73) }], None, None),
        ] {
            let hourly = Hourly::new(instance, &disks, "us-east-1");
            assert_eq!(hourly.volume.map(Usd::micros), volume, "{disks:?}");
            assert_eq!(hourly.total().map(Usd::micros), total, "{disks:?}");
        }
        let words = Hourly::new(Some(price), &[gp3(73)], "us-east-1").words();
        assert_eq!(words, "0.213 USD an hour (instance 0.20, volume 0.008, public IPv4 0.005)");
    }

    #[test]
    fn what_was_spent_follows_the_price_while_it_moved() {
        let mut ledger = Ledger { region: "us-east-1".to_owned(), ..Ledger::default() };
        let pool = ("g4dn.xlarge".to_owned(), Zone("us-east-1a".to_owned()));
        // Half an hour at 0.20, one hour at 0.40, then 0.10.
        let history =
            [(-9000, 200_000), (1800, 400_000), (5400, 100_000)].map(|(at, usd)| (second(at), Usd::from_micros(usd)));
        ledger.spot.insert(pool, history.to_vec());
        let mut one = worker("i-1", State::Running, Some(0), 0);
        assert_eq!(ledger.spent(&one, second(9000)).map(Usd::micros), Some(100_000 + 400_000 + 100_000));
        assert_eq!(ledger.spent(&one, second(900)).map(Usd::micros), Some(50_000), "before the price moved");
        assert_eq!(ledger.spent(&one, second(3)).map(Usd::micros), Some(3_333), "a minute at the least");
        one.public_ip = Some("3.1.2.3".to_owned());
        ledger.disks.insert("i-1".to_owned(), vec![gp3(73)]);
        assert_eq!(ledger.spent(&one, second(9000)).map(Usd::micros), Some(600_000 + 12_500 + 20_000));
        assert_eq!(ledger.hourly(&one).total().map(Usd::micros), Some(113_000), "now");
        one.state = State::Terminated;
        assert_eq!(ledger.spent(&one, second(9000)), None, "nobody knows when it ended");
        one.ended_at = Some(second(1800));
        assert_eq!(ledger.spent(&one, second(9000)).map(Usd::micros), Some(100_000 + 2_500 + 4_000));
        one.market = Market::OnDemand;
        assert_eq!(ledger.spent(&one, second(9000)), None, "no list price");
        ledger.on_demand.insert("g4dn.xlarge".to_owned(), Usd::from_micros(526_000));
        assert_eq!(ledger.spent(&one, second(9000)).map(Usd::micros), Some(263_000 + 2_500 + 4_000));
    }

    #[test]
    fn the_worst_case_is_each_until_its_own_end_and_unknown_without_one() {
        let hourly = Hourly::new(Some(Usd::from_micros(187_000)), &[gp3(73)], "us-east-1");
        let hours = |hours: u32| Some(Period::from_secs(hours * 3600));
        let worst = WorstCase::of([(hourly, hours(8)), (hourly, hours(1))]);
        assert_eq!(worst, Some(WorstCase { hours: 8.0, usd: Usd::from_micros(1_800_000) }));
        assert_eq!(WorstCase::of([(hourly, hours(8)), (hourly, None)]), None);
        assert_eq!(WorstCase::of([(Hourly { instance: None, ..hourly }, hours(8))]), None);
        assert_eq!(WorstCase::of([]), None);
    }
}
