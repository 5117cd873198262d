//! Amounts with units: money, memory and time.

use std::fmt;
use std::ops::{Add, Mul};
use std::str::FromStr;
use std::time::Duration;

use serde::{Serialize, Serializer};

use super::InvalidText;

/// US dollars, in whole micro-dollars: prices an hour have at most six decimals in AWS's answers, and sums of them are
/// compared, so they are never floats. A text of more than a billion is none, so that a price over a year and the sum of
/// thousands of prices are what they are; beyond what the type holds a sum stays at the highest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Usd(i64);

impl Usd {
    const MICROS: i64 = 1_000_000;
    /// No price is near it: the dearest machine costs some hundred dollars an hour.
    const MAX: i64 = 1_000_000_000 * Self::MICROS;

    /// So many millionths of a dollar.
    #[must_use]
    pub const fn from_micros(micros: i64) -> Self {
        Self(micros)
    }

    /// Millionths of a dollar.
    #[must_use]
    pub const fn micros(self) -> i64 {
        self.0
    }

    /// For people: an estimate has no millionths. Cents from a dime on, hundredths of a cent below it.
    #[must_use]
    pub fn rounded(self) -> Self {
        self.to_the_nearest(if self.0.unsigned_abs() >= 100_000 { 10_000 } else { 100 })
    }

    fn to_the_nearest(self, step: i64) -> Self {
        Self((self.0.saturating_add(step / 2).div_euclid(step)).saturating_mul(step))
    }

    /// The same of a price an hour, which is compared: hundredths of a cent.
    #[must_use]
    pub fn rounded_rate(self) -> Self {
        self.to_the_nearest(100)
    }

    /// What `self` an hour comes to over `time`, rounded to the nearest micro-dollar.
    #[must_use]
    pub fn over(self, time: Duration) -> Self {
        let micros = (i128::from(self.0) * i128::from(time.as_secs()) + 1800).div_euclid(3600);
        Self(i64::try_from(micros).unwrap_or(if micros < 0 { i64::MIN } else { i64::MAX }))
    }
}

impl Add for Usd {
    type Output = Self;
    fn add(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }
}

impl Mul<u32> for Usd {
    type Output = Self;
    fn mul(self, times: u32) -> Self {
        Self(self.0.saturating_mul(i64::from(times)))
    }
}

impl std::iter::Sum for Usd {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::default(), Add::add)
    }
}

/// At least two decimals, at most six, no trailing zeros beyond the second: `0.40`, `0.1578`.
impl fmt::Display for Usd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.0 < 0 { "-" } else { "" };
        let (whole, micros) = (self.0.unsigned_abs() / 1_000_000, self.0.unsigned_abs() % 1_000_000);
        let mut decimals = format!("{micros:06}");
        while decimals.len() > 2 && decimals.ends_with('0') {
            decimals.pop();
        }
        f.pad(&format!("{sign}{whole}.{decimals}"))
    }
}

impl FromStr for Usd {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let refuse = || InvalidText(format!("`{text}` is not an amount in USD such as `0.40`"));
        let (whole, decimals) = text.split_once('.').unwrap_or((text, ""));
        let is_digits = |digits: &str| digits.bytes().all(|b| b.is_ascii_digit());
        if whole.is_empty() || !is_digits(whole) || !is_digits(decimals) || (text.contains('.') && decimals.is_empty())
        {
            return Err(refuse());
        }
        // AWS answers up to ten decimals ("0.1578000000"); what is below a micro-dollar is cut, not rounded up.
        let micros: i64 = format!("{decimals:0<6.6}").parse().map_err(|_| refuse())?;
        let whole: i64 = whole.parse().map_err(|_| refuse())?;
        let amount = whole.checked_mul(Self::MICROS).and_then(|amount| amount.checked_add(micros));
        amount.filter(|amount| *amount <= Self::MAX).map(Self).ok_or_else(refuse)
    }
}

impl Serialize for Usd {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        super::as_text(self, serializer)
    }
}

/// Whole gibibytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Gib(pub u32);

impl Gib {
    /// The amount in MiB, as AWS counts memory.
    #[must_use]
    pub const fn mib(self) -> u64 {
        self.0 as u64 * 1024
    }
}

impl fmt::Display for Gib {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}GiB", self.0)
    }
}

impl FromStr for Gib {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let refuse = || InvalidText(format!("`{text}` is not a size such as `30GiB`"));
        let number = text.strip_suffix("GiB").map(str::trim_end).ok_or_else(refuse)?;
        if number.is_empty() || !number.bytes().all(|b| b.is_ascii_digit()) {
            return Err(refuse());
        }
        match number.parse() {
            Ok(size) if size > 0 => Ok(Self(size)),
            _ => Err(refuse()),
        }
    }
}

/// A length of time in whole seconds, more than none, at most a year: `8h`, `90s`, `1h30m`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Period(u32);

impl Period {
    const MAX: u32 = 366 * 24 * 3600;

    /// So many seconds.
    ///
    /// # Panics
    /// At compile time when used in a constant: none, or more than a year.
    #[must_use]
    pub const fn from_secs(seconds: u32) -> Self {
        assert!(seconds > 0 && seconds <= Self::MAX, "a period is more than none and at most a year");
        Self(seconds)
    }

    /// So many seconds, at least one and at most a year: for what was measured and may be longer.
    #[must_use]
    pub fn clamped(seconds: i64) -> Self {
        Self(u32::try_from(seconds.max(1)).unwrap_or(Self::MAX).min(Self::MAX))
    }

    /// Whole seconds.
    #[must_use]
    pub const fn as_secs(self) -> u32 {
        self.0
    }

    /// The same for the clock.
    #[must_use]
    pub const fn duration(self) -> Duration {
        Duration::from_secs(self.0 as u64)
    }
}

/// The largest units that fit, none of them empty: `8h`, `1h30m`, `90s` reads back as `1m30s`.
impl fmt::Display for Period {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let units = [(self.0 / 3600, "h"), (self.0 / 60 % 60, "m"), (self.0 % 60, "s")];
        let parts = units.iter().filter(|(count, _)| *count > 0).map(|(count, unit)| format!("{count}{unit}"));
        f.pad(&parts.collect::<Vec<_>>().concat())
    }
}

impl FromStr for Period {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let refuse = || InvalidText(format!("`{text}` is not a length of time such as `8h`, `15m` or `90s`"));
        // jiff's friendly format takes words, commas and signs too; what people write in this file is digits and units.
        if !text.starts_with(|c: char| c.is_ascii_digit()) || text.ends_with("ago") {
            return Err(refuse());
        }
        let duration: jiff::SignedDuration = text.parse().map_err(|_| refuse())?;
        match u32::try_from(duration.as_secs()) {
            Ok(seconds) if (1..=Self::MAX).contains(&seconds) && duration.subsec_nanos() == 0 => Ok(Self(seconds)),
            _ => Err(refuse()),
        }
    }
}

impl Serialize for Period {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        super::as_text(self, serializer)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn no_sum_runs_over_whatever_the_amounts(micros in any::<i64>(), more in any::<i64>(), times in any::<u32>(), seconds in any::<u64>()) {
            let (one, other) = (Usd::from_micros(micros), Usd::from_micros(more));
            prop_assert_eq!((one + other).micros(), micros.saturating_add(more));
            let bounds = i128::from(i64::MIN)..=i128::from(i64::MAX);
            let exact = i128::from(micros) * i128::from(times);
            prop_assert!(!bounds.contains(&exact) || i128::from((one * times).micros()) == exact);
            let over = i128::from(one.over(Duration::from_secs(seconds)).micros());
            let exact = i128::from(micros) * i128::from(seconds) / 3600;
            prop_assert!(!bounds.contains(&exact) || (over - exact).abs() <= 1, "{} {}", over, exact);
            for rounded in [one.rounded(), one.rounded_rate()] {
                prop_assert!(i128::from(rounded.micros()).abs_diff(i128::from(micros)) <= 10_000);
            }
            prop_assert!(!one.to_string().is_empty() && !one.rounded().to_string().is_empty());
        }

        #[test]
        fn a_text_is_an_amount_that_shows_itself_or_none(text in "-?[0-9]{0,25}(\\.[0-9]{0,25})?|NaN|inf|1e400|\\PC{0,8}") {
            if let Ok(usd) = text.parse::<Usd>() {
                prop_assert!((0..=Usd::MAX).contains(&usd.micros()));
                prop_assert_eq!(usd.to_string().parse::<Usd>().unwrap(), usd);
                prop_assert!(usd.over(Duration::from_hours(366 * 24)).micros() < i64::MAX);
            }
        }

        #[test]
        fn a_text_is_a_size_or_a_time_that_shows_itself_or_none(text in "-?[0-9]{0,25}([.][0-9]{0,3})? ?(GiB|h|m|s|d|y|h[0-9]{1,12}m|ago)?|\\PC{0,8}") {
            if let Ok(size) = text.parse::<Gib>() {
                prop_assert_eq!(size.to_string().parse::<Gib>().unwrap(), size);
                prop_assert!(size.mib() >= 1024);
            }
            if let Ok(period) = text.parse::<Period>() {
                prop_assert_eq!(period.to_string().parse::<Period>().unwrap(), period);
            }
        }
    }

    #[test]
    fn money_is_read_as_aws_and_people_write_it() {
        for (text, micros, shown) in [
            ("0.40", 400_000, "0.40"),
            ("1", 1_000_000, "1.00"),
            ("0.157800", 157_800, "0.1578"),
            ("0.1578000000", 157_800, "0.1578"),
            ("12.0000019", 12_000_001, "12.000001"),
        ] {
            let usd: Usd = text.parse().unwrap();
            assert_eq!((usd.micros(), usd.to_string().as_str()), (micros, shown), "{text}");
        }
        assert_eq!("1000000000".parse(), Ok(Usd::from_micros(Usd::MAX)));
        for bad in ["", ".", "1.", ".5", "-1", "1,5", "1e3", "NaN", "$1", "1000000000.000001", "99999999999999999999"] {
            assert!(bad.parse::<Usd>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_price_an_hour_over_a_time_is_rounded_to_the_nearest_micro_dollar() {
        let price = Usd::from_micros(100_000);
        assert_eq!(price.over(Duration::from_hours(8)), Usd::from_micros(800_000));
        assert_eq!(price.over(Duration::from_secs(1)), Usd::from_micros(28));
        let shown = |micros| {
            let usd = Usd::from_micros(micros);
            (usd.rounded().to_string(), usd.rounded_rate().to_string())
        };
        assert_eq!(shown(1_515_352), ("1.52".to_owned(), "1.5154".to_owned()));
        assert_eq!(shown(8_219), ("0.0082".to_owned(), "0.0082".to_owned()));
    }

    #[test]
    fn a_size_has_its_unit() {
        assert_eq!("30GiB".parse::<Gib>().unwrap(), Gib(30));
        assert_eq!("30 GiB".parse::<Gib>().unwrap(), Gib(30));
        for bad in ["30", "30GB", "0GiB", "-1GiB", "GiB", "3.5GiB", "99999999999GiB"] {
            assert!(bad.parse::<Gib>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_period_reads_back_as_itself() {
        for (text, seconds, shown) in [
            ("8h", 28800, "8h"),
            ("15m", 900, "15m"),
            ("90s", 90, "1m30s"),
            ("1h30m", 5400, "1h30m"),
            ("36h", 129_600, "36h"),
        ] {
            let period: Period = text.parse().unwrap();
            assert_eq!((period.as_secs(), period.to_string().as_str()), (seconds, shown));
            assert_eq!(shown.parse::<Period>().unwrap(), period);
        }
        for bad in ["", "0s", "8", "-8h", "8h ago", "1.5s", "2y", "soon", "500000000s"] {
            assert!(bad.parse::<Period>().is_err(), "{bad}");
        }
    }
}
