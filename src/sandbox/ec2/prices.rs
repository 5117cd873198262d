//! What a Spot pool costs, at any moment.
//!
//! **Every price here is made up.** AWS's move by supply and demand; these follow a formula of type, zone and hour, so
//! that the sandbox needs no history and answers the same question always alike: a reference price of the right
//! magnitude (`data/reference-prices.csv`), times a discount that each pool keeps (56 to 68 %), times a slow swing of a
//! few per cent. They differ by zone, change every few hours as AWS's do, and some pools have an offering but no price
//! row at all, which happens on AWS too.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use jiff::Timestamp;
use sha2::{Digest as _, Sha256};

use super::catalog;
use super::filter::{Filters, dry_run, page};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::weather::Weather;
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list};

/// How long a price stands before it may change. Pools change at different minutes.
const STEP_SECONDS: i64 = 6 * 3600;
/// The swing of a price goes from one random level to the next in this many steps (five days).
const STEPS_PER_LEVEL: i64 = 20;
/// `DescribeSpotPriceHistory` looks back ninety days at most.
pub const HISTORY_SECONDS: i64 = 90 * 24 * 3600;

/// A price that began to hold at some moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Point {
    /// Since when.
    pub since: Timestamp,
    /// Millionths of a USD an hour.
    pub micro_usd: u64,
}

/// The on-demand price an hour in millionths of a USD.
fn reference(instance_type: &str) -> Option<u64> {
    static REFERENCE: LazyLock<BTreeMap<&'static str, u64>> = LazyLock::new(|| {
        let rows = include_str!("../data/reference-prices.csv").lines().skip(1);
        rows.filter_map(|row| row.split_once(',')).filter_map(|(name, usd)| Some((name, micros(usd)?))).collect()
    });
    REFERENCE.get(instance_type).copied()
}

/// The on-demand price an hour, as AWS writes it; the same in each region of this model.
#[must_use]
pub fn on_demand(instance_type: &str, _region: &str) -> String {
    usd(reference(instance_type).unwrap_or_default())
}

/// The price that holds in a pool at `at`, a weather's price first; `None`: AWS publishes none for this pool.
#[must_use]
pub fn spot(weather: &Weather, instance_type: &str, zone: &str, at: Timestamp) -> Option<String> {
    let made = weather.price(instance_type, zone).map(|price| usd(micros(price).unwrap_or_default()));
    made.or_else(|| {
        let pool = Pool::new(instance_type, zone)?;
        Some(usd(pool.point(pool.step_at(at)).micro_usd))
    })
}

/// What a launch must offer at least: the price of the pool, also where AWS publishes none.
#[must_use]
pub fn asked(weather: &Weather, instance_type: &str, zone: &str, at: Timestamp) -> String {
    let unpublished = || usd(reference(instance_type).unwrap_or_default() * 2 / 5);
    spot(weather, instance_type, zone, at).unwrap_or_else(unpublished)
}

fn micros(text: &str) -> Option<u64> {
    let usd: crate::spec::Usd = text.parse().ok()?;
    u64::try_from(usd.micros()).ok()
}

/// The points of a pool from `start` to `end`, the one that already held at `start` included, newest first.
pub fn history(instance_type: &str, zone: &str, start: Timestamp, end: Timestamp) -> Vec<Point> {
    let Some(pool) = Pool::new(instance_type, zone) else { return Vec::new() };
    (pool.step_at(start)..=pool.step_at(end)).rev().map(|step| pool.point(step)).collect()
}

/// As AWS writes it: six decimals.
pub fn usd(micro_usd: u64) -> String {
    format!("{}.{:06}", micro_usd / 1_000_000, micro_usd % 1_000_000)
}

/// One type in one zone.
struct Pool {
    seed: [u8; 32],
    reference: u64,
}

impl Pool {
    fn new(instance_type: &str, zone: &str) -> Option<Self> {
        let reference = reference(instance_type)?;
        let seed: [u8; 32] = Sha256::digest(format!("{instance_type} in {zone}")).into();
        // One pool in nineteen has no row; the type that most people begin with always has one.
        (!number(&seed[..4]).is_multiple_of(19) || instance_type == "g4dn.xlarge").then_some(Self { seed, reference })
    }

    /// The number of price changes between 1970 and `at`.
    fn step_at(&self, at: Timestamp) -> i64 {
        (at.as_second() - self.offset()).div_euclid(STEP_SECONDS)
    }

    fn offset(&self) -> i64 {
        i64::try_from(number(&self.seed[4..8])).unwrap_or(0) % STEP_SECONDS
    }

    fn point(&self, step: i64) -> Point {
        let since = Timestamp::from_second(step * STEP_SECONDS + self.offset()).unwrap_or(Timestamp::UNIX_EPOCH);
        // Thousandths of the reference: 320 to 440 for the pool, times 950 to 1070 for the swing.
        let discount = 320 + number(&self.seed[8..12]) % 121;
        let swing = 950 + self.swing(step);
        // Rounded to hundredths of a cent, as most of AWS's are.
        Point { since, micro_usd: (self.reference * discount * swing / 1_000_000 / 100 * 100).max(100) }
    }

    /// 0 to 120, moving in a straight line from one level to the next.
    fn swing(&self, step: i64) -> u64 {
        let level = |index: i64| {
            let digest = Sha256::new_with_prefix(self.seed).chain_update(index.to_le_bytes()).finalize();
            i64::try_from(number(&digest[..4]) % 121).unwrap_or(0)
        };
        let (index, within) = (step.div_euclid(STEPS_PER_LEVEL), step.rem_euclid(STEPS_PER_LEVEL));
        let (from, to) = (level(index), level(index + 1));
        u64::try_from(from + (to - from) * within / STEPS_PER_LEVEL).unwrap_or(0)
    }
}

fn number(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte))
}

/// The only product that the model prices.
const LINUX: &str = "Linux/UNIX";

/// `DescribeSpotPriceHistory`: with a start of now one row a pool, the price in force.
///
/// # Errors
/// An unknown type in `InstanceType`, a filter that is not known.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let types = input.list("InstanceType");
    let products = input.list("ProductDescription");
    let zone = input.optional("AvailabilityZone");
    let filters = Filters::read(input)?;
    let oldest = Timestamp::from_second(call.now.as_second() - HISTORY_SECONDS).unwrap_or(call.now);
    let end = input.timestamp("EndTime")?.unwrap_or(call.now).min(call.now);
    let start = input.timestamp("StartTime")?.unwrap_or(oldest).max(oldest).min(end);
    if let Some(unknown) = types.iter().find(|name| catalog::instance_type(name).is_none()) {
        let message = format!("Invalid instance type: {unknown}");
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    let is_linux =
        products.is_empty() || products.iter().any(|product| product == LINUX || product.starts_with("Linux/UNIX ("));
    let mut rows = Vec::new();
    let zones = catalog::zones(&call.region);
    for of in zones.iter().filter(|of| zone.as_deref().is_none_or(|zone| zone == of.as_str()) && is_linux) {
        let sold = catalog::instance_types().iter().filter(|kind| {
            catalog::offers(of, &kind.name)
                && kind.usage_classes.contains(&"spot")
                && (types.is_empty() || types.contains(&kind.name))
        });
        for kind in sold {
            let points = match call.world.weather.price(&kind.name, of) {
                Some(made) => vec![Point { since: start, micro_usd: micros(made).unwrap_or_default() }],
                None => history(&kind.name, of, start, end),
            };
            for point in points {
                let price = usd(point.micro_usd);
                let values = |name: &str| match name {
                    "availability-zone" => Some(vec![of.clone()]),
                    "instance-type" => Some(vec![kind.name.clone()]),
                    "product-description" => Some(vec![LINUX.to_owned()]),
                    "spot-price" => Some(vec![price.clone()]),
                    "timestamp" => Some(vec![point.since.to_string()]),
                    _ => None,
                };
                if filters.accept(None, values)? {
                    rows.push((point.since, kind.name.clone(), of.clone(), price));
                }
            }
        }
    }
    rows.sort_by(|a, b| b.0.cmp(&a.0).then_with(|| (&a.1, &a.2).cmp(&(&b.1, &b.2))));
    let (rows, next) = page(input, rows, 1..=1000)?;
    dry_run(input)?;
    let items = rows.into_iter().map(|(since, kind, zone, price)| {
        vec![
            leaf("instanceType", kind),
            leaf("productDescription", LINUX),
            leaf("spotPrice", price),
            leaf("timestamp", since.strftime("%Y-%m-%dT%H:%M:%S.000Z")),
            leaf("availabilityZoneId", catalog::zone_id(&zone)),
            leaf("availabilityZone", zone),
        ]
    });
    Ok(vec![list("spotPriceHistorySet", "item", items), leaf("nextToken", next.unwrap_or_default())])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_price_is_the_same_whenever_it_is_asked_for_and_moves_within_days() {
        let weather = Weather::default();
        let at = |day: i64| Timestamp::from_second(1_800_000_000 + day * 86_400).unwrap();
        let price = |day| spot(&weather, "g4dn.xlarge", "us-east-1a", at(day)).unwrap();
        assert_eq!(price(0), price(0));
        assert!((0..10).any(|day| price(day) != price(0)));
        let usd: f64 = price(0).parse().unwrap();
        assert!((0.12..0.30).contains(&usd), "{usd}");
    }

    #[test]
    fn some_pools_are_offered_and_have_no_price() {
        let weather = Weather::default();
        let now = Timestamp::from_second(1_800_000_000).unwrap();
        let without = catalog::zones("us-east-1").into_iter().flat_map(|zone| {
            catalog::instance_types()
                .iter()
                .filter(move |kind| catalog::offers(&zone, &kind.name))
                .map(|kind| kind.name.clone())
                .collect::<Vec<_>>()
        });
        assert!(without.into_iter().any(|kind| spot(&weather, &kind, "us-east-1a", now).is_none()));
        for zone in catalog::regions().iter().flat_map(|region| catalog::zones(region)) {
            assert!(spot(&weather, "g4dn.xlarge", &zone, now).is_some());
        }
    }
}
