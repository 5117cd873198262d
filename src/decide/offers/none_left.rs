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
    if let Some(rejection) = ranking.rejected.iter().find(is_in_the_way) {
        return no_quota(ranking, rejection, region);
    }
    if ranking.rejected.is_empty() {
        return Error::new(Kind::Capacity, format!("no instance type in {region} is what the file asks for"));
    }
    let is_about_price =
        |rejection: &Rejection| rejection.code.as_deref().is_none_or(|code| code == "SpotMaxPriceTooLow");
    let only_price = refused.is_some() && ranking.rejected.iter().all(is_about_price);
    let above_cap = ranking.rejected.iter().filter(|rejection| rejection.cause == Cause::MaxPrice);
    let dearer = above_cap.filter_map(|rejection| Some((rejection, rejection.price?))).next();
    let zone = |rejection: &Rejection| place(rejection, region);
    let is_on_demand = |rejection: &Rejection| rejection.market == Market::OnDemand;
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
        error = error.hint(format!("{} in {} would take --max-price {price}", cheapest.instance_type, zone(cheapest)));
    }
    error
}

fn place(rejection: &Rejection, region: &str) -> String {
    rejection.zone.as_ref().map_or_else(|| region.to_owned(), ToString::to_string)
}

/// The first few, each once.
fn reasons<'a>(rejections: impl Iterator<Item = &'a Rejection>, region: &str) -> Vec<String> {
    let mut reasons: Vec<String> = Vec::new();
    for rejection in rejections {
        let market = if rejection.market == Market::OnDemand { " on demand" } else { "" };
        let zone = place(rejection, region);
        let reason = format!("{}{market} in {zone}: {}", rejection.instance_type, rejection.reason);
        if reasons.len() < SHOWN_REASONS && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    reasons
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
    error.hint(format!(
        "the quota is the account's own limit, not AWS's stock; an increase is free and can take hours: spotctl quota request{code}"
    ))
}

fn tried(ranking: &Ranking) -> usize {
    ranking.rejected.iter().filter(|rejection| rejection.code.is_some()).count()
}
