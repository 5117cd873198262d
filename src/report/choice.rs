//! Why the offer that was taken is the one: what looked as good or better and fell out. JSON holds every rejection; a
//! person is shown the few that raise the question.

use std::fmt::Write;

use super::table::table;
use crate::decide::names::Market;
use crate::decide::offers::{Cause, Rejection};
use crate::spec::{Usd, Zone};

/// So many lines of a table that a person reads beside another.
const SHOWN: usize = 6;
/// More zones than these are counted instead of named.
const NAMED_ZONES: usize = 2;

/// One line: a type with one reason, in all the zones where that is so.
struct Line<'a> {
    instance_type: &'a str,
    zones: Vec<&'a Zone>,
    price: Option<Usd>,
    reason: &'a str,
    market: Market,
    rank: u8,
}

impl Line<'_> {
    fn is_of(&self, rejection: &Rejection) -> bool {
        (self.instance_type, self.reason, self.market)
            == (rejection.instance_type.as_str(), rejection.reason.as_str(), rejection.market)
    }
}

/// The table of what was not taken, `taken` being the price of what was; nothing where there is nothing to explain. What
/// looks cheaper comes first, then what has no price or no room, then what is dearer anyway.
#[must_use]
pub fn not_taken(rejected: &[Rejection], taken: Option<Usd>, color: bool) -> String {
    shown(rejected, taken, color, |_| true)
}

/// The same for a run that launched: only what looked cheaper and what AWS refused.
#[must_use]
pub fn passed_over(rejected: &[Rejection], taken: Option<Usd>, color: bool) -> String {
    shown(rejected, taken, color, |rank| rank <= REFUSED)
}

const CHEAPER: u8 = 0;
const REFUSED: u8 = 1;

/// How much a rejection surprises.
fn rank(rejection: &Rejection, taken: Option<Usd>) -> u8 {
    let is_cheaper = rejection.price.is_some_and(|price| taken.is_none_or(|taken| price < taken));
    match rejection.cause {
        Cause::Refused if is_cheaper || rejection.price.is_none() => REFUSED,
        _ if is_cheaper => CHEAPER,
        Cause::Refused => 2,
        Cause::NoPrice | Cause::Quota => 3,
        Cause::NotOffered => 5,
        _ => 4,
    }
}

fn shown(rejected: &[Rejection], taken: Option<Usd>, color: bool, counts: impl Fn(u8) -> bool) -> String {
    let mut lines: Vec<Line<'_>> = Vec::new();
    for rejection in rejected {
        let rank = rank(rejection, taken);
        if !counts(rank) {
            continue;
        }
        let same = lines.iter_mut().find(|line| line.is_of(rejection));
        match same {
            Some(line) => {
                line.zones.extend(&rejection.zone);
                line.price = line.price.into_iter().chain(rejection.price).min();
                line.rank = line.rank.min(rank);
            }
            None => lines.push(Line {
                instance_type: &rejection.instance_type,
                zones: rejection.zone.iter().collect(),
                price: rejection.price,
                reason: &rejection.reason,
                market: rejection.market,
                rank,
            }),
        }
    }
    if lines.is_empty() {
        return String::new();
    }
    // The rejections come cheapest first, and so do those of one rank.
    lines.sort_by_key(|line| line.rank);
    let rows = lines.iter().take(SHOWN).map(|line| {
        let price = line.price.map_or_else(|| "-".to_owned(), |price| price.to_string());
        let market = if line.market == Market::OnDemand { " on demand" } else { "" };
        vec![format!("{}{market}", line.instance_type), zones(&line.zones), price, line.reason.to_owned()]
    });
    let mut text = table(&["not taken", "zone", "usd/h", "why"], rows, color);
    if lines.len() > SHOWN {
        let _ = writeln!(text, "and {} more, all in -o json", lines.len() - SHOWN);
    }
    text
}

fn zones(zones: &[&Zone]) -> String {
    match zones {
        [] => "any".to_owned(),
        few if few.len() <= NAMED_ZONES => few.iter().map(|zone| zone.0.as_str()).collect::<Vec<_>>().join(", "),
        many => format!("{} zones", many.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn rejection(name: &str, zone: Option<&str>, price: Option<i64>, cause: Cause, reason: &str) -> Rejection {
        Rejection {
            market: crate::decide::names::Market::Spot,
            instance_type: name.to_owned(),
            zone: zone.map(|zone| Zone(zone.to_owned())),
            price: price.map(Usd::from_micros),
            reason: reason.to_owned(),
            cause,
            code: None,
            kind: Kind::Capacity,
        }
    }

    fn market() -> Vec<Rejection> {
        let refused = rejection("g4dn.xlarge", Some("r-1a"), Some(150_000), Cause::Refused, "no capacity");
        vec![
            rejection("g5g.xlarge", None, Some(100_000), Cause::Architecture, "runs arm64, the image is x86_64"),
            refused,
            rejection("g5.xlarge", Some("r-1a"), Some(400_000), Cause::MaxPrice, "0.40 is above the cap of 0.30"),
            rejection("g6.xlarge", Some("r-1b"), None, Cause::NoPrice, "no price"),
            rejection("g6e.xlarge", Some("r-1a"), None, Cause::NotOffered, "not offered in this zone"),
            rejection("g6e.xlarge", Some("r-1b"), None, Cause::NotOffered, "not offered in this zone"),
            rejection("g6e.xlarge", Some("r-1c"), None, Cause::NotOffered, "not offered in this zone"),
        ]
    }

    #[test]
    fn what_looks_cheaper_comes_first_and_zones_with_one_reason_are_one_line() {
        insta::assert_snapshot!(not_taken(&market(), Some(Usd::from_micros(200_000)), false), @r"
        NOT TAKEN    ZONE     USD/H  WHY
        g5g.xlarge   any      0.10   runs arm64, the image is x86_64
        g4dn.xlarge  r-1a     0.15   no capacity
        g6.xlarge    r-1b     -      no price
        g5.xlarge    r-1a     0.40   0.40 is above the cap of 0.30
        g6e.xlarge   3 zones  -      not offered in this zone
        ");
    }

    #[test]
    fn a_launch_explains_only_what_looked_cheaper_or_was_refused() {
        let text = passed_over(&market(), Some(Usd::from_micros(200_000)), false);
        assert_eq!(text.lines().count(), 3, "{text}");
        assert_eq!(passed_over(&market()[2..], Some(Usd::from_micros(200_000)), false), "");
    }

    #[test]
    fn many_are_counted() {
        let many: Vec<Rejection> = (0..9)
            .map(|index| rejection(&format!("g{index}.xlarge"), None, Some(index), Cause::Vcpus, "has 4 vCPUs"))
            .collect();
        let text = not_taken(&many, None, false);
        assert!(text.ends_with("and 3 more, all in -o json\n"), "{text}");
        assert_eq!(not_taken(&[], None, false), "");
    }
}
