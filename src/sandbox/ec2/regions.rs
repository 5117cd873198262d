//! Regions, and which of them the account has opted in to. What is not said is as in a fresh account: the regions that the
//! facts are of are on, their copies are off.
//!
//! Odd in AWS: a region that is off is listed only when it is named or all are asked for, and a call to it is refused as if
//! the credentials were wrong.

use super::catalog;
use super::filter::{Filters, dry_run};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list};
use crate::sandbox::world::World;

/// Whether the account may use a region.
#[must_use]
pub fn is_on(world: &World, region: &str) -> bool {
    world.opt_ins.get(region).copied().unwrap_or_else(|| catalog::original(region).is_none())
}

/// The regions that the account may use, by name.
#[must_use]
pub fn usable(world: &World) -> Vec<String> {
    catalog::all_regions().iter().filter(|region| is_on(world, region)).cloned().collect()
}

fn status(world: &World, region: &str) -> &'static str {
    match (is_on(world, region), catalog::original(region)) {
        (false, _) => "not-opted-in",
        (true, None) => "opt-in-not-required",
        (true, Some(_)) => "opted-in",
    }
}

/// `DescribeRegions`.
///
/// # Errors
/// A region or a filter that is not known.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let names = input.list("RegionName");
    let filters = Filters::read(input)?;
    let all = input.boolean("AllRegions")?.unwrap_or(false);
    if let Some(unknown) = names.iter().find(|name| !catalog::all_regions().contains(name)) {
        return Err(AwsError::new("InvalidParameterValue", format!("Invalid region name: [{unknown}]")));
    }
    let mut items = Vec::new();
    for region in catalog::all_regions() {
        let is_asked = if names.is_empty() { all || is_on(call.world, region) } else { names.contains(region) };
        let (endpoint, status) = (format!("ec2.{region}.amazonaws.com"), status(call.world, region));
        let values = |name: &str| match name {
            "region-name" => Some(vec![region.clone()]),
            "endpoint" => Some(vec![endpoint.clone()]),
            "opt-in-status" => Some(vec![status.to_owned()]),
            _ => None,
        };
        if filters.accept(None, values)? && is_asked {
            items.push(vec![
                leaf("regionName", region),
                leaf("regionEndpoint", &endpoint),
                leaf("optInStatus", status),
            ]);
        }
    }
    dry_run(input)?;
    Ok(vec![list("regionInfo", "item", items)])
}

#[cfg(test)]
mod tests {
    use super::super::asking::{ask, code};
    use super::*;

    #[test]
    fn a_region_that_is_off_is_listed_when_it_is_named_or_all_are_asked_for() {
        let mut world = World::default();
        world.opt_ins.insert("us-west-2".to_owned(), false);
        world.opt_ins.insert("eu-west-2".to_owned(), true);
        let statuses = |world: &mut World, input: &str| {
            let answer = ask(world, "DescribeRegions", input).unwrap();
            ["opt-in-not-required", "not-opted-in", "opted-in"]
                .map(|status| answer.matches(&format!("<optInStatus>{status}<")).count())
        };
        let only_off = "AllRegions=true&Filter.1.Name=opt-in-status&Filter.1.Value.1=not-opted-in";
        for (input, wanted) in [
            ("", [7, 0, 1]),
            ("AllRegions=false", [7, 0, 1]),
            ("AllRegions=true", [7, 9, 1]),
            (only_off, [0, 9, 0]),
            ("RegionName.1=us-west-2&RegionName.2=us-east-1", [1, 1, 0]),
        ] {
            assert_eq!(statuses(&mut world, input), wanted, "{input}");
        }
        assert_eq!(code(ask(&mut world, "DescribeRegions", "RegionName.1=mars-1")), "InvalidParameterValue");
        assert_eq!(usable(&world).len(), 8);
    }

    #[test]
    fn what_is_read_of_the_catalog_leaves_no_trace_of_the_region() {
        let mut world = World::default();
        for operation in [
            "DescribeRegions",
            "DescribeInstanceTypes",
            "DescribeInstanceTypeOfferings",
            "DescribeSpotPriceHistory",
            "DescribeImages",
        ] {
            ask(&mut world, operation, "").unwrap();
        }
        assert!(world.regions.is_empty());
        ask(&mut world, "DescribeVpcs", "").unwrap();
        assert_eq!(world.regions.len(), 1);
    }
}
