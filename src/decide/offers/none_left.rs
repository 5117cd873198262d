//! What is said when nothing is left to try: what stood in the way, and what would help.

use super::{Cause, Ranking, Rejection};
use crate::decide::names::Market;
use crate::decide::quota::{self, Holder};
use crate::error::{Error, Kind};

/// A person reads a few; JSON has them all.
const SHOWN_REASONS: usize = 6;

/// The failure when nothing is left to try: quota when any fell to quota, else capacity; with the price it would need
/// when the cap was what stood in the way.
#[must_use]
pub fn none_left(ranking: &Ranking, region: &str) -> Error {
    let refused = ranking.rejected.iter().find(|rejection| rejection.code.is_some());
    // Where AWS has refused and the pool without room has no price, nobody knows whether room would have helped.
    let is_in_the_way = |rejection: &&Rejection| {
        rejection.kind == Kind::Quota && (rejection.code.is_some() || rejection.price.is_some() || refused.is_none())
    };
    // What AWS itself said comes before what was read; then the first.
    let in_the_way = ranking.rejected.iter().filter(is_in_the_way).min_by_key(|rejection| rejection.code.is_none());
    if let Some(rejection) = in_the_way {
        return no_quota(ranking, rejection, region);
    }
    if ranking.rejected.is_empty() {
        return Error::new(Kind::Capacity, format!("no instance type in {region} is what the file asks for"));
    }
    let is_about_price =
        |rejection: &Rejection| rejection.code.as_deref().is_none_or(|code| code == "SpotMaxPriceTooLow");
    let only_price = refused.is_some() && ranking.rejected.iter().all(is_about_price);
    let mut above_cap = ranking.rejected.iter().filter(|rejection| rejection.cause == Cause::MaxPrice);
    let dearer = above_cap.find_map(|rejection| Some((rejection, rejection.price?)));
    let zone = |rejection: &Rejection| place(rejection, region);
    let sold = if ranking.rejected.iter().any(|rejection| rejection.code.is_some() && is_on_demand(rejection)) {
        "capacity, neither on Spot nor on demand,"
    } else {
        "Spot capacity"
    };
    let mut error = match (refused, dearer) {
        (Some(_), None) if only_price => Error::new(
            Kind::Capacity,
            format!("nothing under the price cap in any of {} pools tried in {region}", tried(ranking)),
        ),
        (Some(_), _) if !only_price => {
            Error::new(Kind::Capacity, format!("no {sold} in any of {} pools tried in {region}", tried(ranking)))
        }
        (_, Some((cheapest, price))) => Error::new(
            Kind::Capacity,
            format!(
                "nothing under the price cap: the cheapest is {} in {} at {price} USD an hour",
                cheapest.instance_type,
                zone(cheapest)
            ),
        ),
        (_, None) => {
            Error::new(Kind::Capacity, format!("no Spot offer in {region} fits the file, the subnets and the image"))
        }
    };
    if let Some(refused) = refused {
        error.code.clone_from(&refused.code);
    }
    let of_use = ranking.rejected.iter().filter(|rejection| rejection.code.is_some() || dearer.is_none());
    error.hints.extend(reasons(of_use, region));
    if let Some((cheapest, price)) = dearer {
        let market = market(cheapest);
        error = error.hint(format!(
            "{}{market} in {} would take --max-price {price}",
            cheapest.instance_type,
            zone(cheapest)
        ));
    }
    if refused.is_some_and(is_dry) {
        error = error.hint("AWS's stock changes by the minute: try again later, or let more types and zones be tried");
        if !ranking.rejected.iter().any(is_on_demand) {
            error = error.hint("or buy on demand under a ceiling: spotctl up --on-demand-fallback --max-price USD");
        }
    }
    error
}

/// AWS's code for a pool without a machine, and its sentence is always the same.
const NO_CAPACITY: &str = "InsufficientInstanceCapacity";

fn is_dry(rejection: &Rejection) -> bool {
    rejection.code.as_deref() == Some(NO_CAPACITY)
}

fn market(rejection: &Rejection) -> &'static str {
    if rejection.market == Market::OnDemand { " on demand" } else { "" }
}

fn is_on_demand(rejection: &Rejection) -> bool {
    rejection.market == Market::OnDemand
}

fn place(rejection: &Rejection, region: &str) -> String {
    rejection.zone.as_ref().map_or_else(|| region.to_owned(), ToString::to_string)
}

/// The first few, each once, the zones of one reason together.
fn reasons<'a>(rejections: impl Iterator<Item = &'a Rejection>, region: &str) -> Vec<String> {
    let mut reasons: Vec<(String, Vec<String>, String)> = Vec::new();
    for rejection in rejections {
        let subject = format!("{}{}", rejection.instance_type, market(rejection));
        let why = if is_dry(rejection) { format!("no capacity ({NO_CAPACITY})") } else { rejection.reason.clone() };
        match reasons.iter_mut().find(|(of, _, known)| *of == subject && *known == why) {
            Some((_, zones, _)) => zones.push(place(rejection, region)),
            None => reasons.push((subject, vec![place(rejection, region)], why)),
        }
    }
    let line =
        |(subject, zones, why): (String, Vec<String>, String)| format!("{subject} in {}: {why}", zones.join(", "));
    let left = reasons.len().saturating_sub(SHOWN_REASONS);
    let mut lines: Vec<String> = reasons.into_iter().take(SHOWN_REASONS).map(line).collect();
    lines.extend((left > 0).then(|| format!("and {left} more types or reasons, all in -o json")));
    lines
}

/// With what AWS refused for another reason, and with those who hold the quota now: ending one is the quickest way to room.
fn no_quota(ranking: &Ranking, rejection: &Rejection, region: &str) -> Error {
    let mut error = Error::new(Kind::Quota, rejection.reason.clone());
    error.code.clone_from(&rejection.code);
    let others = ranking.rejected.iter().filter(|other| other.code.is_some() && other.kind != Kind::Quota);
    error.hints.extend(reasons(others, region));
    let quota = quota::of(&rejection.instance_type, rejection.market);
    let standing = ranking.quotas.iter().find(|standing| Some(standing.quota) == quota);
    let holders: &[Holder] = standing.and_then(|standing| standing.holders.as_deref()).unwrap_or_default();
    for holder in holders.iter().take(SHOWN_REASONS) {
        let vcpus = holder.vcpus.map_or_else(String::new, |vcpus| format!("{vcpus} vCPUs, "));
        let whose = holder.stack.as_ref().map_or_else(|| "of no stack".to_owned(), |stack| format!("of `{stack}`"));
        error = error.hint(format!("in use ({vcpus}{}, {whose}): {}", holder.instance_type, holder.id));
    }
    if holders.len() > SHOWN_REASONS {
        error = error.hint(format!("and {} more: spotctl quota", holders.len() - SHOWN_REASONS));
    }
    let code = quota.map_or_else(String::new, |quota| format!(" --code {}", quota.code));
    let count = if ranking.count > 1 { format!(" --count {}", ranking.count) } else { String::new() };
    error.hint(format!(
        "the quota is the account's own limit, not AWS's stock; an increase is free and can take hours: \
         spotctl quota request{code}{count}"
    ))
}

fn tried(ranking: &Ranking) -> usize {
    ranking.rejected.iter().filter(|rejection| rejection.code.is_some()).count()
}
