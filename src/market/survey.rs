//! The market of a whole region, for `prices`: no file narrows it. AWS answers a hundred instance types a page, one page
//! after the other, so the accelerators are asked for by the letters that their families begin with, side by side.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::Filter;
use jiff::Timestamp;

use super::{GPU_FAMILIES, History, filter, instance_types, offerings, price_rows};
use crate::cloud::{Cloud, Failure, call, pages};
use crate::decide::offers::Market;
use crate::error::Result;
use crate::spec::Zone;

/// EC2 takes so many values in a filter.
const VALUES_A_FILTER: usize = 200;
/// Price histories are asked for in so many parts at once, and no more: EC2 lets about a hundred reads pass at a time.
const PARTS_OF_HISTORY: usize = 20;
/// AWS gives no score worth the name to fewer types.
pub const TYPES_TO_SCORE: usize = 3;

/// Which types are asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Scope {
    /// Whatever has accelerators.
    Accelerators,
    /// These names and patterns.
    Named(Vec<String>),
    /// Everything there is.
    All,
}

impl Scope {
    /// The filters of the calls to make side by side.
    fn filters(&self) -> Vec<Option<Filter>> {
        match self {
            Self::Accelerators => GPU_FAMILIES.iter().map(|family| Some(filter("instance-type", [*family]))).collect(),
            Self::Named(names) => {
                names.chunks(VALUES_A_FILTER).map(|names| Some(filter("instance-type", names))).collect()
            }
            Self::All => vec![None],
        }
    }
}

/// Reads what the region sells on Spot, where and for how much: types, offerings and prices all at once.
///
/// # Errors
/// A call's failure.
pub async fn survey(cloud: &Cloud, scope: &Scope) -> Result<Market> {
    let filters = scope.filters();
    let each = filters.iter().map(|filter| async move {
        futures::try_join!(
            instance_types(cloud, filter.clone(), true),
            offerings(cloud, filter.clone()),
            price_rows(cloud, Timestamp::now(), |request| request
                .set_filters(filter.clone().map(|filter| vec![filter])))
        )
    });
    let mut market = Market::default();
    for (types, offered, prices) in futures::future::try_join_all(each).await? {
        market.types.extend(types);
        market.offered.extend(offered);
        let last = prices.into_iter().filter_map(|(pool, points)| Some((pool, points.last()?.1)));
        market.prices.extend(last);
    }
    Ok(market)
}

/// Price histories of these types, in parts side by side: a page holds a thousand rows, and each follows the last.
///
/// # Errors
/// A call's failure.
pub async fn histories(
    cloud: &Cloud,
    types: &BTreeSet<String>,
    since: Timestamp,
) -> Result<BTreeMap<(String, Zone), History>> {
    let names: Vec<&String> = types.iter().collect();
    let parts = names.chunks(names.len().div_ceil(PARTS_OF_HISTORY).max(1));
    let asked = parts.map(|part| super::price_history(cloud, part.iter().map(|name| (*name).clone()).collect(), since));
    Ok(futures::future::try_join_all(asked).await?.into_iter().flatten().collect())
}

/// AWS's Spot placement score of each zone, from 1 to 10, for one instance of any of these types. It is a guess at this
/// moment, about all the types together, and promises nothing.
///
/// # Errors
/// The first call's failure.
pub async fn placement_scores(cloud: &Cloud, types: &BTreeSet<String>) -> Result<BTreeMap<Zone, u8>, Failure> {
    let request = cloud.ec2.get_spot_placement_scores().set_instance_types(Some(types.iter().cloned().collect()));
    let request = request.target_capacity(1).single_availability_zone(true).region_names(&cloud.region);
    // Scores name zones by their ids, prices by the names that this account has for them.
    let (scores, names) = futures::try_join!(
        pages("GetSpotPlacementScores", request.into_paginator().send()),
        call("DescribeAvailabilityZones", cloud.ec2.describe_availability_zones().send())
    )?;
    let by_id: BTreeMap<&str, &str> =
        names.availability_zones().iter().filter_map(|zone| Some((zone.zone_id()?, zone.zone_name()?))).collect();
    let scores = scores.iter().flat_map(|page| page.spot_placement_scores());
    Ok(scores
        .filter_map(|row| {
            let zone = by_id.get(row.availability_zone_id()?)?;
            Some((Zone((*zone).to_owned()), u8::try_from(row.score()?).ok()?))
        })
        .collect())
}

/// The zones of the region, by name.
///
/// # Errors
/// The call's failure.
pub async fn zones(cloud: &Cloud) -> Result<Vec<String>> {
    let answer = call("DescribeAvailabilityZones", cloud.ec2.describe_availability_zones().send())
        .await
        .map_err(|failure| failure.doing("reading the zones"))?;
    Ok(answer.availability_zones().iter().filter_map(|zone| zone.zone_name().map(str::to_owned)).collect())
}

/// Every name of an instance type in the region, those included that are not sold on Spot.
///
/// # Errors
/// A call's failure.
pub async fn names(cloud: &Cloud) -> Result<Vec<String>> {
    super::names_in_region(cloud).await
}
