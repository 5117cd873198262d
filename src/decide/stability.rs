//! How a pool's price moved: lowest, median and highest over a time, and the shape of it. A price holds until the next one,
//! so everything is weighed by time: a price of five minutes says less than one of five days.

use jiff::Timestamp;

use crate::spec::Usd;

/// Since when which price.
pub type Point = (Timestamp, Usd);

/// The highest level of a [`levels`] bucket.
pub const TOP: u8 = 7;

/// What a pool's price was over a time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stability {
    /// From when on it is known: later than what was asked for where the pool is younger.
    pub since: Timestamp,
    /// The lowest.
    pub min: Usd,
    /// At least half the time it cost this or less.
    pub median: Usd,
    /// The highest.
    pub max: Usd,
}

/// A price that held from one second to another.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    from: i64,
    to: i64,
    price: Usd,
}

impl Stretch {
    fn seconds(self) -> i64 {
        self.to - self.from
    }
}

/// The prices that held between two moments, `points` being in order. What held before the first moment begins at it; what
/// held no time at all is not there, unless nothing else is.
fn stretches(points: &[Point], since: Timestamp, until: Timestamp) -> Vec<Stretch> {
    let (since, until) = (since.as_second(), until.as_second());
    let ends = points.iter().skip(1).map(|(at, _)| at.as_second()).chain([until]);
    let all = points.iter().zip(ends);
    let mut held: Vec<Stretch> = all
        .map(|((at, price), end)| Stretch { from: at.as_second().max(since), to: end.min(until), price: *price })
        .filter(|stretch| stretch.seconds() > 0)
        .collect();
    if held.is_empty() {
        held.extend(points.last().map(|(_, price)| Stretch { from: until, to: until, price: *price }));
    }
    held
}

/// Lowest, median and highest price; `None` where no price is known.
#[must_use]
pub fn stability(points: &[Point], since: Timestamp, until: Timestamp) -> Option<Stability> {
    let mut held = stretches(points, since, until);
    let from = Timestamp::from_second(held.first()?.from).ok()?;
    held.sort_by_key(|stretch| stretch.price);
    let total: i64 = held.iter().map(|stretch| stretch.seconds()).sum();
    let mut passed = 0;
    let median = held.iter().find(|stretch| {
        passed += stretch.seconds();
        passed * 2 >= total
    })?;
    Some(Stability { since: from, min: held.first()?.price, median: median.price, max: held.last()?.price })
}

/// The shape: the mean price of each of so many equal parts of the time, from 0 (the lowest price) to [`TOP`] (the highest);
/// `None` where no price is known yet. A price that never moved is 0 throughout.
#[must_use]
pub fn levels(points: &[Point], since: Timestamp, until: Timestamp, parts: u32) -> Vec<Option<u8>> {
    let held = stretches(points, since, until);
    let prices = || held.iter().map(|stretch| i128::from(stretch.price.micros()));
    let (low, high) = (prices().min().unwrap_or_default(), prices().max().unwrap_or_default());
    let (begin, length) = (since.as_second(), until.as_second() - since.as_second());
    let edge = |part: u32| begin + length * i64::from(part) / i64::from(parts);
    (0..parts)
        .map(|part| {
            let (from, to) = (edge(part), edge(part + 1));
            let shared = held.iter().map(|stretch| {
                let seconds = i128::from((stretch.to.min(to) - stretch.from.max(from)).max(0));
                (seconds, seconds * i128::from(stretch.price.micros()))
            });
            let (seconds, sum) = shared.fold((0, 0), |(seconds, sum), (more, worth)| (seconds + more, sum + worth));
            if seconds == 0 {
                return None;
            }
            // To the nearest level, in whole numbers.
            let (above, range) = (sum - low * seconds, ((high - low) * seconds).max(1));
            u8::try_from((above * i128::from(TOP) * 2 + range) / (range * 2)).ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn any_moment() -> impl Strategy<Value = Timestamp> {
        let (first, last) = (Timestamp::MIN.as_second(), Timestamp::MAX.as_second());
        prop_oneof![first..=last, Just(first), Just(last), 0_i64..1000]
            .prop_map(|at| Timestamp::from_second(at).unwrap())
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn prices_of_any_size_at_any_time_have_a_middle_and_a_shape(
            mut points in prop::collection::vec((any_moment(), any::<i64>().prop_map(Usd::from_micros)), 0..6),
            (one, other) in (any_moment(), any_moment()),
            parts in 1_u32..50,
        ) {
            points.sort();
            let (since, until) = (one.min(other), one.max(other));
            if let Some(found) = stability(&points, since, until) {
                prop_assert!(found.min <= found.median && found.median <= found.max);
            } else {
                prop_assert!(points.is_empty());
            }
            prop_assert!(levels(&points, since, until, parts).iter().flatten().all(|level| *level <= TOP));
        }
    }

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(hour * 3600).unwrap()
    }

    fn points(prices: &[(i64, i64)]) -> Vec<Point> {
        prices.iter().map(|(hour, cents)| (at(*hour), Usd::from_micros(cents * 10_000))).collect()
    }

    /// Since when, lowest, median, highest, in hours and cents.
    fn summary(prices: &[(i64, i64)], since: i64, until: i64) -> Option<(i64, i64, i64, i64)> {
        let found = stability(&points(prices), at(since), at(until))?;
        let cents = |usd: Usd| usd.micros() / 10_000;
        Some((found.since.as_second() / 3600, cents(found.min), cents(found.median), cents(found.max)))
    }

    #[test]
    fn a_price_counts_as_long_as_it_held() {
        for (why, prices, expected) in [
            ("nothing known", &[][..], None),
            ("one price all the time", &[(0, 20)], Some((10, 20, 20, 20))),
            ("a peak of one hour moves the maximum alone", &[(0, 20), (12, 90), (13, 21)], Some((10, 20, 21, 90))),
            (
                "three rows of the higher price, but briefly",
                &[(0, 20), (17, 30), (18, 31), (19, 32)],
                Some((10, 20, 20, 32)),
            ),
            ("half and half: the lower", &[(0, 20), (15, 30)], Some((10, 20, 20, 30))),
            (
                "what was over before the beginning does not count",
                &[(0, 99), (5, 20), (15, 10)],
                Some((10, 10, 10, 20)),
            ),
            ("what was over when it began does not count", &[(0, 99), (10, 20)], Some((10, 20, 20, 20))),
            ("a pool that is younger than the time", &[(16, 20), (18, 30)], Some((16, 20, 20, 30))),
            ("only this moment", &[(20, 20)], Some((20, 20, 20, 20))),
            ("two rows of one moment: the later holds", &[(0, 20), (12, 90), (12, 20)], Some((10, 20, 20, 20))),
        ] {
            assert_eq!(summary(prices, 10, 20), expected, "{why}");
        }
    }

    #[test]
    fn the_shape_goes_from_the_lowest_to_the_highest_price() {
        for (why, prices, expected) in [
            ("nothing known", &[][..], "    "),
            ("flat", &[(0, 20)], "0000"),
            ("up and down", &[(0, 10), (13, 80), (16, 10), (19, 80)], "0707"),
            ("half a part high is the middle", &[(0, 10), (16, 80)], "0077"),
            ("the middle", &[(0, 0), (13, 70), (16, 35)], "0744"),
            ("not known before", &[(16, 20), (19, 30)], "  07"),
        ] {
            let shape: String = levels(&points(prices), at(10), at(22), 4)
                .into_iter()
                .map(|level| level.map_or(' ', |level| char::from(b'0' + level)))
                .collect();
            assert_eq!(shape, expected, "{why}");
        }
    }
}
