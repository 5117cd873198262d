//! `GetSpotPlacementScores`: how likely a Spot request is to succeed, by region or by zone.
//!
//! **Every score here is made up**: a number that a pool keeps, lower the more is wanted, and 1 where the weather is dry. Odd
//! in AWS: with one or two types the score is always low, whatever there is; a zone's score is found by its id, not its
//! name; and the best score says nothing of the price. Requirements in place of types are not modelled.

use std::collections::BTreeSet;

use sha2::{Digest as _, Sha256};

use super::filter::{dry_run, page};
use super::{catalog, regions};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::weather::Weather;
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe};

/// Fewer types than this never score high.
const TYPES_WANTED: usize = 3;
/// The most that too few types can score.
const LOW: i64 = 3;
/// `RegionNames` holds so many.
const REGIONS_AT_MOST: usize = 10;

/// What is wanted.
struct Wish {
    types: BTreeSet<String>,
    /// What takes one off the score: each tenfold of the capacity.
    size: i64,
}

/// The scores, best first. Where none of the types is offered there is no score.
///
/// # Errors
/// No types, no capacity, a type, unit or region that is not known.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let wish = wish(input)?;
    let by_zone = input.boolean("SingleAvailabilityZone")?.unwrap_or(false);
    let named = input.list("RegionName");
    let usable = regions::usable(call.world);
    if let Some(unknown) = named.iter().find(|name| !usable.contains(name)) {
        return Err(AwsError::new("InvalidParameterValue", format!("Invalid region name: [{unknown}]")));
    }
    if named.len() > REGIONS_AT_MOST {
        let message = format!("RegionNames may hold {REGIONS_AT_MOST} regions at most");
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    let mut scores: Vec<(i64, String, Option<String>)> = Vec::new();
    for region in usable.into_iter().filter(|region| named.is_empty() || named.contains(region)) {
        let zones = catalog::zones(&region).into_iter();
        let zones: Vec<(String, i64)> = zones
            .filter_map(|zone| Some((catalog::zone_id(&zone), score(&call.world.weather, &wish, &zone)?)))
            .collect();
        if by_zone {
            scores.extend(zones.into_iter().map(|(id, score)| (score, region.clone(), Some(id))));
        } else if let Some(best) = zones.iter().map(|(_, score)| *score).max() {
            // A second zone to go to makes a region better than its best zone, where there is anything at all.
            let spare = i64::from(best > 1 && zones.iter().filter(|(_, score)| *score > 1).count() > 1);
            scores.push(((best + spare).min(most(&wish)), region, None));
        }
    }
    scores.sort_by(|one, other| other.0.cmp(&one.0).then_with(|| (&one.1, &one.2).cmp(&(&other.1, &other.2))));
    let (scores, next) = page(input, scores, 10..=1000)?;
    dry_run(input)?;
    let items = scores.into_iter().map(|(score, region, zone)| {
        let mut item = vec![leaf("region", region)];
        item.extend(maybe("availabilityZoneId", zone));
        item.push(leaf("score", score));
        item
    });
    let mut answer = vec![list("spotPlacementScoreSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn wish(input: &Query) -> Result<Wish, AwsError> {
    let types: BTreeSet<String> = input.list("InstanceType").into_iter().collect();
    if types.is_empty() {
        return Err(AwsError::new("MissingParameter", "The request must contain the parameter InstanceTypes"));
    }
    if let Some(unknown) = types.iter().find(|name| catalog::instance_type(name).is_none()) {
        return Err(AwsError::new("InvalidParameterValue", format!("Invalid instance type: {unknown}")));
    }
    input.required("TargetCapacity")?;
    let capacity = input.number("TargetCapacity")?.unwrap_or_default();
    if !(1..=2_000_000_000).contains(&capacity) {
        return Err(AwsError::new("InvalidParameterValue", "TargetCapacity must be 1 to 2000000000"));
    }
    // What one instance of a usual size has of it.
    let each = match input.optional("TargetCapacityUnitType").as_deref() {
        None | Some("units") => 1,
        Some("vcpu") => 8,
        Some("memory-mib") => 32 * 1024,
        Some(other) => {
            let message = format!("Value ({other}) for parameter targetCapacityUnitType is invalid.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
    };
    let size = i64::from((capacity / each).max(1).ilog10());
    Ok(Wish { types, size })
}

/// The highest score that this wish can have.
fn most(wish: &Wish) -> i64 {
    if wish.types.len() < TYPES_WANTED { LOW } else { 10 }
}

/// A zone's score, that of its best pool; nothing where no pool is.
fn score(weather: &Weather, wish: &Wish, zone: &str) -> Option<i64> {
    let sold = wish.types.iter().filter(|name| {
        let on_spot = catalog::instance_type(name).is_some_and(|kind| kind.usage_classes.contains(&"spot"));
        on_spot && catalog::offers(zone, name)
    });
    let pool = |name: &String| {
        if weather.is_dry(name, zone) {
            return 1;
        }
        let seed = Sha256::digest(format!("score of {name} in {zone}"));
        (2 + i64::from(seed[0] % 8) - wish.size).max(1)
    };
    sold.map(pool).max().map(|score| score.min(most(wish)))
}

#[cfg(test)]
mod tests {
    use super::super::asking::{ask, code};
    use super::*;
    use crate::sandbox::world::World;

    const THREE: &str = "InstanceType.1=g4dn.xlarge&InstanceType.2=g5.xlarge&InstanceType.3=g6.xlarge";

    /// Region or zone id, and score, in the order of the answer.
    fn scores(world: &mut World, input: &str) -> Vec<(String, i64)> {
        let answer = ask(world, "GetSpotPlacementScores", input).unwrap();
        let text = |item: &str, name: &str| {
            let rest = item.split(&format!("<{name}>")).nth(1)?;
            Some(rest.split('<').next().unwrap_or_default().to_owned())
        };
        let items = answer.split("<item>").skip(1);
        items
            .map(|item| {
                let place = text(item, "availabilityZoneId").or_else(|| text(item, "region")).unwrap();
                (place, text(item, "score").unwrap().parse().unwrap())
            })
            .collect()
    }

    #[test]
    fn scores_are_stable_come_best_first_and_stay_within_their_bounds() {
        let mut world = World::default();
        for (input, count, most) in [
            (format!("{THREE}&TargetCapacity=1"), 8, 10),
            ("InstanceType.1=g4dn.xlarge&InstanceType.2=g4dn.xlarge&TargetCapacity=1".to_owned(), 8, LOW),
            (format!("{THREE}&TargetCapacity=1&RegionName.1=us-east-1&RegionName.2=eu-west-1"), 2, 10),
            (format!("{THREE}&TargetCapacity=1&SingleAvailabilityZone=true&RegionName.1=eu-west-1"), 3, 10),
        ] {
            let found = scores(&mut world, &input);
            assert_eq!(found.len(), count, "{input}");
            assert!(found.iter().all(|(_, score)| (1..=most).contains(score)), "{found:?}");
            assert!(found.is_sorted_by(|one, other| one.1 >= other.1), "{found:?}");
            assert_eq!(found, scores(&mut world, &input));
        }
        let sum = |world: &mut World, capacity: &str| {
            scores(world, &format!("{THREE}&{capacity}")).iter().map(|(_, score)| score).sum::<i64>()
        };
        let few = sum(&mut world, "TargetCapacity=8&TargetCapacityUnitType=vcpu");
        assert!(few > sum(&mut world, "TargetCapacity=8000&TargetCapacityUnitType=vcpu"));
        assert_eq!(few, sum(&mut world, "TargetCapacity=32768&TargetCapacityUnitType=memory-mib"));
    }

    #[test]
    fn one_zone_is_no_better_than_its_region_and_a_dry_one_is_the_worst() {
        let mut world = World::default();
        let region = format!("{THREE}&TargetCapacity=1&RegionName.1=us-east-1");
        let zones = format!("{region}&SingleAvailabilityZone=true");
        let best = |world: &mut World, input: &str| scores(world, input).first().map(|(_, score)| *score).unwrap();
        assert!(best(&mut world, &zones) <= best(&mut world, &region) && best(&mut world, &zones) > 1);
        // us-east-1e offers none of the three.
        assert!(scores(&mut world, &zones).iter().all(|(zone, _)| zone != "use1-az5"));
        world.weather.dry.insert(("*".to_owned(), "us-east-1a".to_owned()));
        assert!(scores(&mut world, &zones).contains(&("use1-az1".to_owned(), 1)));
        world.weather.dry.insert(("*".to_owned(), "*".to_owned()));
        assert_eq!(scores(&mut world, &region), [("us-east-1".to_owned(), 1)]);
    }

    #[test]
    fn a_wish_that_cannot_be_scored_is_refused() {
        let mut world = World::default();
        for (input, wanted) in [
            ("TargetCapacity=1".to_owned(), "MissingParameter"),
            (THREE.to_owned(), "MissingParameter"),
            (format!("{THREE}&TargetCapacity=0"), "InvalidParameterValue"),
            (format!("{THREE}&TargetCapacity=1&TargetCapacityUnitType=gpus"), "InvalidParameterValue"),
            (format!("{THREE}&TargetCapacity=1&RegionName.1=eu-west-2"), "InvalidParameterValue"),
            (format!("{THREE}&TargetCapacity=1&MaxResults=9"), "InvalidParameterValue"),
            ("InstanceType.1=g99.xlarge&TargetCapacity=1".to_owned(), "InvalidParameterValue"),
            (format!("{THREE}&TargetCapacity=1&DryRun=true"), "DryRunOperation"),
        ] {
            assert_eq!(code(ask(&mut world, "GetSpotPlacementScores", &input)), wanted, "{input}");
        }
    }
}
