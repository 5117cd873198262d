//! Where a worker can stand: the VPC and its public subnets.
//!
//! A subnet is public when its route table — the one associated with it, else the VPC's main one — sends `0.0.0.0/0` to
//! an internet gateway. That way the worker reaches AWS without a NAT gateway, which would cost money while nothing runs.

use std::collections::BTreeSet;

use aws_sdk_ec2::types::{RouteTable, Subnet as Ec2Subnet, Vpc as Ec2Vpc};

use super::filter;
use crate::cloud::{Cloud, call, pages};
use crate::decide::offers::Subnet;
use crate::error::{Error, Result};
use crate::spec::{Network, Subnets, Vpc};

/// The VPC and those of its subnets that may be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// `vpc-…`.
    pub vpc: String,
    /// At least one.
    pub subnets: Vec<Subnet>,
}

/// Reads VPCs, subnets, route tables and zones at once and picks.
///
/// # Errors
/// A call's failure; no such VPC; no usable subnet, saying what was looked for.
pub async fn read(cloud: &Cloud, network: &Network) -> Result<Place> {
    let looked = look(cloud, network).await?;
    Ok(Place { vpc: looked.vpc?, subnets: looked.subnets? })
}

/// What a look came to, when one wants to know more than the first thing that is wrong.
#[derive(Debug, Clone)]
pub struct Looked {
    /// `vpc-…`, or why none fits.
    pub vpc: Result<String>,
    /// Those that may be used, or why none may.
    pub subnets: Result<Vec<Subnet>>,
}

/// Reads the same.
///
/// # Errors
/// A call's failure.
pub async fn look(cloud: &Cloud, network: &Network) -> Result<Looked> {
    let (vpcs, subnets, tables, zones) =
        futures::try_join!(vpcs(cloud, &network.vpc), subnets(cloud), route_tables(cloud), zones(cloud))?;
    let vpc = pick_vpc(&vpcs, &network.vpc, &cloud.region);
    let subnets = vpc.clone().and_then(|vpc| {
        pick_subnets(&Seen { vpc: &vpc, subnets: &subnets, tables: &tables, zones: &zones }, &network.subnets)
    });
    Ok(Looked { vpc, subnets })
}

async fn vpcs(cloud: &Cloud, wanted: &Vpc) -> Result<Vec<Ec2Vpc>> {
    let by = match wanted {
        Vpc::Default => filter("is-default", ["true"]),
        // A filter, not `VpcIds`: an id that does not exist is then an empty answer instead of an error.
        Vpc::Id(id) => filter("vpc-id", [id]),
        Vpc::Tag { key, value } => filter(&format!("tag:{key}"), [value]),
    };
    let found = pages("DescribeVpcs", cloud.ec2.describe_vpcs().filters(by).into_paginator().send())
        .await
        .map_err(|failure| failure.doing("looking for the VPC"))?;
    Ok(found.into_iter().flat_map(|page| page.vpcs.unwrap_or_default()).collect())
}

async fn subnets(cloud: &Cloud) -> Result<Vec<Ec2Subnet>> {
    let found = pages("DescribeSubnets", cloud.ec2.describe_subnets().into_paginator().send())
        .await
        .map_err(|failure| failure.doing("looking for subnets"))?;
    Ok(found.into_iter().flat_map(|page| page.subnets.unwrap_or_default()).collect())
}

async fn route_tables(cloud: &Cloud) -> Result<Vec<RouteTable>> {
    let found = pages("DescribeRouteTables", cloud.ec2.describe_route_tables().into_paginator().send())
        .await
        .map_err(|failure| failure.doing("looking for route tables"))?;
    Ok(found.into_iter().flat_map(|page| page.route_tables.unwrap_or_default()).collect())
}

/// The region's own zones: Local and Wavelength Zones have other types, other prices and no GPU Spot worth speaking of.
async fn zones(cloud: &Cloud) -> Result<BTreeSet<String>> {
    let request = cloud.ec2.describe_availability_zones().filters(filter("zone-type", ["availability-zone"]));
    let answer = call("DescribeAvailabilityZones", request.send())
        .await
        .map_err(|failure| failure.doing("reading the zones"))?;
    Ok(answer.availability_zones().iter().filter_map(|zone| zone.zone_name().map(str::to_owned)).collect())
}

fn pick_vpc(found: &[Ec2Vpc], wanted: &Vpc, region: &str) -> Result<String> {
    let ids: Vec<&str> = found.iter().filter_map(Ec2Vpc::vpc_id).collect();
    match (ids.as_slice(), wanted) {
        ([one], _) => Ok((*one).to_owned()),
        ([], Vpc::Default) => Err(Error::usage(format!("{region} has no default VPC"))
            .hint("name one in the file: network: {vpc: vpc-…}")
            .hint("or make the default one: aws ec2 create-default-vpc")),
        ([], Vpc::Id(id)) => Err(Error::usage(format!("no VPC `{id}` in {region}"))),
        ([], Vpc::Tag { key, value }) => Err(Error::usage(format!("no VPC with the tag {key}={value} in {region}"))),
        (many, _) => Err(Error::usage(format!("several VPCs fit `network.vpc`: {}", many.join(", ")))
            .hint("name one of them: network: {vpc: vpc-…}")),
    }
}

struct Seen<'a> {
    vpc: &'a str,
    subnets: &'a [Ec2Subnet],
    tables: &'a [RouteTable],
    zones: &'a BTreeSet<String>,
}

impl Seen<'_> {
    fn is_public(&self, subnet: &str) -> bool {
        let of_vpc = || self.tables.iter().filter(|table| table.vpc_id() == Some(self.vpc));
        let associated = of_vpc().find(|table| table.associations().iter().any(|a| a.subnet_id() == Some(subnet)));
        let main = || of_vpc().find(|table| table.associations().iter().any(|a| a.main() == Some(true)));
        associated.or_else(main).is_some_and(|table| {
            table.routes().iter().any(|route| {
                route.destination_cidr_block() == Some("0.0.0.0/0")
                    && route.gateway_id().is_some_and(|id| id.starts_with("igw-"))
            })
        })
    }
}

fn pick_subnets(seen: &Seen<'_>, wanted: &Subnets) -> Result<Vec<Subnet>> {
    let of_vpc: Vec<&Ec2Subnet> = seen.subnets.iter().filter(|subnet| subnet.vpc_id() == Some(seen.vpc)).collect();
    if let Subnets::Ids(ids) = wanted
        && let Some(missing) = ids.iter().find(|id| !of_vpc.iter().any(|subnet| subnet.subnet_id() == Some(id)))
    {
        return Err(Error::usage(format!("no subnet `{missing}` in {}", seen.vpc)));
    }
    let mut usable = Vec::new();
    let mut refused = Vec::new();
    for subnet in of_vpc {
        let (Some(id), Some(zone)) = (subnet.subnet_id(), subnet.availability_zone()) else { continue };
        if let Subnets::Ids(ids) = wanted
            && !ids.iter().any(|wished| wished == id)
        {
            continue;
        }
        let free = u32::try_from(subnet.available_ip_address_count().unwrap_or_default()).unwrap_or_default();
        let why_not = if !seen.zones.contains(zone) {
            Some("in a Local or Wavelength Zone")
        } else if !seen.is_public(id) {
            Some("no route 0.0.0.0/0 to an internet gateway")
        } else if free == 0 {
            Some("no free IPv4 address")
        } else {
            None
        };
        match why_not {
            Some(why) => refused.push(format!("{id} ({zone}): {why}")),
            None => usable.push(Subnet {
                id: id.to_owned(),
                zone: crate::spec::Zone(zone.to_owned()),
                free_addresses: free,
            }),
        }
    }
    if !usable.is_empty() {
        return Ok(usable);
    }
    let error = Error::usage(format!(
        "no public subnet in {}: looked for a route 0.0.0.0/0 to an internet gateway in the subnet's own route table or the VPC's main one, a free IPv4 address and a regular zone",
        seen.vpc
    ));
    let error = refused.into_iter().fold(error, Error::hint);
    Err(error.hint("name others in the file: network: {vpc: vpc-…, subnets: [subnet-…]}"))
}

#[cfg(test)]
mod tests {
    use aws_sdk_ec2::types::{Route, RouteTableAssociation};

    use super::*;

    fn subnet(id: &str, zone: &str, free: i32) -> Ec2Subnet {
        Ec2Subnet::builder()
            .subnet_id(id)
            .vpc_id("vpc-1")
            .availability_zone(zone)
            .available_ip_address_count(free)
            .build()
    }

    fn table(target: &str, association: RouteTableAssociation) -> RouteTable {
        RouteTable::builder()
            .vpc_id("vpc-1")
            .routes(Route::builder().destination_cidr_block("0.0.0.0/0").gateway_id(target).build())
            .associations(association)
            .build()
    }

    fn own(subnet: &str) -> RouteTableAssociation {
        RouteTableAssociation::builder().subnet_id(subnet).main(false).build()
    }

    fn main_table(target: &str) -> RouteTable {
        table(target, RouteTableAssociation::builder().main(true).build())
    }

    fn pick(tables: &[RouteTable], wanted: &Subnets) -> Result<Vec<String>> {
        let subnets = [
            subnet("subnet-a", "r-1a", 9),
            subnet("subnet-b", "r-1b", 9),
            subnet("subnet-c", "r-1-lax-1a", 9),
            subnet("subnet-d", "r-1a", 0),
        ];
        let zones = BTreeSet::from(["r-1a".to_owned(), "r-1b".to_owned()]);
        let seen = Seen { vpc: "vpc-1", subnets: &subnets, tables, zones: &zones };
        Ok(pick_subnets(&seen, wanted)?.into_iter().map(|subnet| subnet.id).collect())
    }

    #[test]
    fn a_subnets_own_table_wins_over_the_main_one() {
        assert_eq!(pick(&[main_table("igw-1")], &Subnets::Public).unwrap(), ["subnet-a", "subnet-b"]);
        let private_a = [main_table("igw-1"), table("nat-1", own("subnet-a"))];
        assert_eq!(pick(&private_a, &Subnets::Public).unwrap(), ["subnet-b"]);
        let public_b = [main_table("local"), table("igw-1", own("subnet-b"))];
        assert_eq!(pick(&public_b, &Subnets::Public).unwrap(), ["subnet-b"]);
    }

    #[test]
    fn without_a_public_subnet_each_one_says_why_not() {
        let error = pick(&[main_table("vgw-1")], &Subnets::Public).unwrap_err();
        assert!(error.message.contains("internet gateway"), "{}", error.message);
        assert_eq!(error.hints.len(), 5);
        assert_eq!(error.hints[0], "subnet-a (r-1a): no route 0.0.0.0/0 to an internet gateway");
    }

    #[test]
    fn listed_subnets_must_exist_and_be_public_too() {
        let listed = |ids: &[&str]| Subnets::Ids(ids.iter().map(|id| (*id).to_owned()).collect());
        assert_eq!(pick(&[main_table("igw-1")], &listed(&["subnet-b"])).unwrap(), ["subnet-b"]);
        assert!(pick(&[main_table("igw-1")], &listed(&["subnet-x"])).is_err());
        assert!(pick(&[main_table("igw-1")], &listed(&["subnet-d"])).is_err());
    }
}
