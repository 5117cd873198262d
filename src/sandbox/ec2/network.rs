//! VPCs, subnets, routes, zones. A fresh region has a default VPC with a public default subnet in each zone, as a fresh
//! account has.

use std::collections::BTreeMap;

use super::catalog;
use super::filter::{Filters, dry_run, page};
use super::instances::answer::tag_set;
use super::placement::{InstanceState, state_of};
use super::state::{RouteTable, State, Subnet, Vpc};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};
use crate::sandbox::world::{ACCOUNT, World};

mod cidr;
#[cfg(test)]
mod tests;

use cidr::Cidr;

/// Where a public subnet's traffic goes.
const ANYWHERE: &str = "0.0.0.0/0";

/// Makes what a fresh region has, once.
pub fn furnish(world: &mut World, region: &str) {
    if world.region(region).ec2.is_furnished {
        return;
    }
    let vpc = make_vpc(world, region, "172.31.0.0/16", true);
    let gateway = world.new_id("igw");
    let subnets: Vec<(String, Subnet)> = catalog::zones(region)
        .into_iter()
        .enumerate()
        .map(|(index, zone)| {
            let cidr = format!("172.31.{}.0/20", index * 16);
            (world.new_id("subnet"), Subnet { vpc: vpc.clone(), zone, cidr, is_default: true })
        })
        .collect();
    let state = &mut world.region(region).ec2;
    state.internet_gateways.insert(gateway.clone(), Some(vpc.clone()));
    state.subnets.extend(subnets);
    if let Some(table) = state.route_tables.values_mut().find(|table| table.vpc == vpc) {
        table.routes.insert(ANYWHERE.to_owned(), gateway);
    }
    state.is_furnished = true;
}

/// A VPC comes with a main route table and a default security group.
fn make_vpc(world: &mut World, region: &str, cidr: &str, is_default: bool) -> String {
    let (vpc, table, association, group) =
        (world.new_id("vpc"), world.new_id("rtb"), world.new_id("rtbassoc"), world.new_id("sg"));
    let rules = super::security_groups::default_rules(world, &group);
    let state = &mut world.region(region).ec2;
    state.vpcs.insert(vpc.clone(), Vpc { cidr: cidr.to_owned(), is_default });
    let main = RouteTable {
        vpc: vpc.clone(),
        main: Some(association),
        associations: BTreeMap::new(),
        routes: BTreeMap::new(),
    };
    state.route_tables.insert(table, main);
    let default = super::state::SecurityGroup {
        name: "default".to_owned(),
        description: "default VPC security group".to_owned(),
        vpc: vpc.clone(),
        created_at: 0,
        rules,
    };
    state.security_groups.insert(group, default);
    vpc
}

/// Answers this module's operations.
pub fn handle(call: &mut Call<'_>, input: &Query) -> Option<Result<Vec<Element>, AwsError>> {
    let operation: fn(&mut Call<'_>, &Query) -> Result<Vec<Element>, AwsError> = match call.operation.as_str() {
        "DescribeVpcs" => describe_vpcs,
        "DescribeSubnets" => describe_subnets,
        "DescribeRouteTables" => describe_route_tables,
        "DescribeInternetGateways" => describe_internet_gateways,
        "DescribeAvailabilityZones" => describe_zones,
        "CreateVpc" => create_vpc,
        "CreateSubnet" => create_subnet,
        "CreateInternetGateway" => create_internet_gateway,
        "AttachInternetGateway" => attach_internet_gateway,
        "CreateRouteTable" => create_route_table,
        "CreateRoute" => create_route,
        "AssociateRouteTable" => associate_route_table,
        "DeleteSubnet" => delete_subnet,
        "DeleteVpc" => delete_vpc,
        _ => return None,
    };
    Some(operation(call, input))
}

fn here<'a>(call: &'a mut Call<'_>) -> &'a mut State {
    let region = call.region.clone();
    &mut call.world.region(&region).ec2
}

fn missing(kind: &str, what: &str, id: &str) -> AwsError {
    AwsError::new(format!("Invalid{kind}.NotFound"), format!("The {what} '{id}' does not exist"))
}

fn all_known(ids: &[String], known: impl Fn(&str) -> bool, refuse: impl Fn(&str) -> AwsError) -> Result<(), AwsError> {
    ids.iter().find(|id| !known(id)).map_or(Ok(()), |id| Err(refuse(id)))
}

fn no_vpc(id: &str) -> AwsError {
    missing("VpcID", "vpc ID", id)
}

fn no_subnet(id: &str) -> AwsError {
    missing("SubnetID", "subnet ID", id)
}

fn no_table(id: &str) -> AwsError {
    missing("RouteTableID", "routeTable ID", id)
}

fn is_asked(ids: &[String], id: &str) -> bool {
    ids.is_empty() || ids.iter().any(|asked| asked == id)
}

#[expect(clippy::unnecessary_wraps, reason = "a filter's values are optional: an unknown filter has none")]
fn one(text: &str) -> Option<Vec<String>> {
    Some(vec![text.to_owned()])
}

/// A page of items in the list `name`.
fn answer(input: &Query, name: &str, items: Vec<Vec<Element>>) -> Result<Vec<Element>, AwsError> {
    let (items, next) = page(input, items, 5..=1000)?;
    dry_run(input)?;
    let mut answer = vec![list(name, "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn vpc_item(state: &State, id: &str, vpc: &Vpc) -> Vec<Element> {
    vec![
        leaf("vpcId", id),
        leaf("ownerId", ACCOUNT),
        leaf("state", "available"),
        leaf("cidrBlock", &vpc.cidr),
        leaf("dhcpOptionsId", "default"),
        leaf("instanceTenancy", "default"),
        leaf("isDefault", vpc.is_default),
        tag_set(state, id),
    ]
}

fn describe_vpcs(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("VpcId");
    let filters = Filters::read(input)?;
    let state = here(call);
    all_known(&ids, |id| state.vpcs.contains_key(id), no_vpc)?;
    let mut items = Vec::new();
    for (id, vpc) in state.vpcs.iter().filter(|(id, _)| is_asked(&ids, id)) {
        let values = |name: &str| match name {
            "vpc-id" => one(id),
            "is-default" | "isDefault" => one(&vpc.is_default.to_string()),
            "cidr" | "cidr-block" => one(&vpc.cidr),
            "state" => one("available"),
            "owner-id" => one(ACCOUNT),
            _ => None,
        };
        if filters.accept(state.tags_of(id), values)? {
            items.push(vpc_item(state, id, vpc));
        }
    }
    answer(input, "vpcSet", items)
}

/// Addresses left: AWS keeps five of each subnet, instances have the others.
fn free_addresses(state: &State, id: &str, subnet: &Subnet, now: jiff::Timestamp) -> u32 {
    let bits: u32 = subnet.cidr.split('/').nth(1).and_then(|bits| bits.parse().ok()).unwrap_or(24);
    let taken = state
        .instances
        .values()
        .filter(|instance| instance.subnet == id && state_of(instance, now) != InstanceState::Terminated)
        .count();
    (1_u32 << (32 - bits.min(32)).min(31)).saturating_sub(5).saturating_sub(u32::try_from(taken).unwrap_or(u32::MAX))
}

fn subnet_item(state: &State, id: &str, subnet: &Subnet, now: jiff::Timestamp) -> Vec<Element> {
    vec![
        leaf("subnetId", id),
        leaf("subnetArn", format!("arn:aws:ec2:{}:{ACCOUNT}:subnet/{id}", catalog::region_of(&subnet.zone))),
        leaf("state", "available"),
        leaf("ownerId", ACCOUNT),
        leaf("vpcId", &subnet.vpc),
        leaf("cidrBlock", &subnet.cidr),
        node("ipv6CidrBlockAssociationSet", vec![]),
        leaf("availableIpAddressCount", free_addresses(state, id, subnet, now)),
        leaf("availabilityZone", &subnet.zone),
        leaf("availabilityZoneId", catalog::zone_id(&subnet.zone)),
        leaf("defaultForAz", subnet.is_default),
        leaf("mapPublicIpOnLaunch", subnet.is_default),
        leaf("assignIpv6AddressOnCreation", false),
        leaf("ipv6Native", false),
        tag_set(state, id),
    ]
}

fn describe_subnets(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("SubnetId");
    let filters = Filters::read(input)?;
    let now = call.now;
    let state = here(call);
    all_known(&ids, |id| state.subnets.contains_key(id), no_subnet)?;
    let mut items = Vec::new();
    for (id, subnet) in state.subnets.iter().filter(|(id, _)| is_asked(&ids, id)) {
        let values = |name: &str| match name {
            "subnet-id" => one(id),
            "vpc-id" => one(&subnet.vpc),
            "availability-zone" | "availabilityZone" => one(&subnet.zone),
            "availability-zone-id" => one(&catalog::zone_id(&subnet.zone)),
            "cidr-block" | "cidr" => one(&subnet.cidr),
            "default-for-az" | "defaultForAz" => one(&subnet.is_default.to_string()),
            "map-public-ip-on-launch" => one(&subnet.is_default.to_string()),
            "state" => one("available"),
            _ => None,
        };
        if filters.accept(state.tags_of(id), values)? {
            items.push(subnet_item(state, id, subnet, now));
        }
    }
    answer(input, "subnetSet", items)
}

fn table_item(state: &State, id: &str, table: &RouteTable) -> Vec<Element> {
    let association = |subnet: Option<&String>, association: &String| {
        let mut item = vec![
            leaf("routeTableAssociationId", association),
            leaf("routeTableId", id),
            leaf("main", subnet.is_none()),
            node("associationState", vec![leaf("state", "associated")]),
        ];
        item.extend(maybe("subnetId", subnet));
        item
    };
    let associations = table.main.iter().map(|main| association(None, main));
    let associations = associations.chain(table.associations.iter().map(|(subnet, id)| association(Some(subnet), id)));
    let route = |destination: &str, gateway: &str, origin: &str| {
        vec![
            leaf("destinationCidrBlock", destination),
            leaf("gatewayId", gateway),
            leaf("state", "active"),
            leaf("origin", origin),
        ]
    };
    let local = state.vpcs.get(&table.vpc).map(|vpc| route(&vpc.cidr, "local", "CreateRouteTable"));
    let routes = table.routes.iter().map(|(destination, gateway)| route(destination, gateway, "CreateRoute"));
    vec![
        leaf("routeTableId", id),
        leaf("vpcId", &table.vpc),
        leaf("ownerId", ACCOUNT),
        list("routeSet", "item", local.into_iter().chain(routes)),
        list("associationSet", "item", associations),
        node("propagatingVgwSet", vec![]),
        tag_set(state, id),
    ]
}

fn describe_route_tables(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("RouteTableId");
    let filters = Filters::read(input)?;
    let state = here(call);
    all_known(&ids, |id| state.route_tables.contains_key(id), no_table)?;
    let mut items = Vec::new();
    for (id, table) in state.route_tables.iter().filter(|(id, _)| is_asked(&ids, id)) {
        let values = |name: &str| match name {
            "route-table-id" => one(id),
            "vpc-id" => one(&table.vpc),
            "association.subnet-id" => Some(table.associations.keys().cloned().collect()),
            "association.main" => one(&table.main.is_some().to_string()),
            "route.gateway-id" => Some(table.routes.values().cloned().collect()),
            "route.destination-cidr-block" => Some(table.routes.keys().cloned().collect()),
            _ => None,
        };
        if filters.accept(state.tags_of(id), values)? {
            items.push(table_item(state, id, table));
        }
    }
    answer(input, "routeTableSet", items)
}

fn gateway_item(state: &State, id: &str, vpc: Option<&String>) -> Vec<Element> {
    let attachment = vpc.map(|vpc| vec![leaf("vpcId", vpc), leaf("state", "available")]);
    vec![
        leaf("internetGatewayId", id),
        leaf("ownerId", ACCOUNT),
        list("attachmentSet", "item", attachment),
        tag_set(state, id),
    ]
}

fn describe_internet_gateways(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("InternetGatewayId");
    let filters = Filters::read(input)?;
    let state = here(call);
    let known = |id: &str| state.internet_gateways.contains_key(id);
    all_known(&ids, known, |id| missing("InternetGatewayID", "internetGateway ID", id))?;
    let mut items = Vec::new();
    for (id, vpc) in state.internet_gateways.iter().filter(|(id, _)| is_asked(&ids, id)) {
        let values = |name: &str| match name {
            "internet-gateway-id" => one(id),
            "attachment.vpc-id" => Some(vpc.iter().cloned().collect()),
            "attachment.state" => Some(vpc.iter().map(|_| "available".to_owned()).collect()),
            _ => None,
        };
        if filters.accept(state.tags_of(id), values)? {
            items.push(gateway_item(state, id, vpc.as_ref()));
        }
    }
    answer(input, "internetGatewaySet", items)
}

fn describe_zones(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let (names, ids) = (input.list("ZoneName"), input.list("ZoneId"));
    let filters = Filters::read(input)?;
    // The model has no Local and no Wavelength Zones, so all of them are the same.
    input.boolean("AllAvailabilityZones")?;
    let zones = catalog::zones(&call.region);
    if let Some(unknown) = names.iter().find(|name| !zones.contains(name)) {
        return Err(AwsError::new("InvalidParameterValue", format!("Invalid availability zone: [{unknown}]")));
    }
    let mut items = Vec::new();
    for zone in zones.iter().filter(|zone| is_asked(&names, zone) && is_asked(&ids, &catalog::zone_id(zone))) {
        let id = catalog::zone_id(zone);
        let values = |name: &str| match name {
            "zone-name" => one(zone),
            "zone-id" => one(&id),
            "region-name" | "group-name" => one(&call.region),
            "state" => one("available"),
            "zone-type" => one("availability-zone"),
            "opt-in-status" => one("opt-in-not-required"),
            _ => None,
        };
        if filters.accept(None, values)? {
            items.push(vec![
                leaf("zoneName", zone),
                leaf("zoneId", id),
                leaf("zoneState", "available"),
                leaf("zoneType", "availability-zone"),
                leaf("regionName", &call.region),
                leaf("groupName", &call.region),
                leaf("networkBorderGroup", &call.region),
                leaf("optInStatus", "opt-in-not-required"),
                node("messageSet", vec![]),
            ]);
        }
    }
    dry_run(input)?;
    Ok(vec![list("availabilityZoneInfo", "item", items)])
}

/// The tags that the request's tag specifications put on what it makes, which is of this kind.
///
/// # Errors
/// Another kind, or tags that AWS does not take.
pub(super) fn new_tags(input: &Query, kind: &str) -> Result<BTreeMap<String, String>, AwsError> {
    let mut tags = BTreeMap::new();
    for specification in input.structures("TagSpecification") {
        let of = specification.required("ResourceType")?;
        if of != kind {
            let message = format!("'{of}' is not a valid taggable resource type for this operation.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
        for tag in specification.structures("Tag") {
            let key = tag.required("Key")?;
            if tags.insert(key.clone(), tag.optional("Value").unwrap_or_default()).is_some() {
                return Err(AwsError::new("InvalidParameterValue", format!("Duplicate tag key '{key}' specified.")));
            }
        }
    }
    super::tags::check(&tags)?;
    if tags.len() > 50 {
        let message = "More than 50 tags specified. Please reduce the number of tags.";
        return Err(AwsError::new("TagLimitExceeded", message));
    }
    Ok(tags)
}

/// Puts tags on a new object.
pub(super) fn put_tags(call: &mut Call<'_>, id: &str, tags: BTreeMap<String, String>) {
    if !tags.is_empty() {
        here(call).tags.insert(id.to_owned(), tags.into());
    }
}

/// A block of this parameter.
fn cidr_of(input: &Query, name: &str) -> Result<Cidr, AwsError> {
    let text = input.required(name)?;
    Cidr::parse(&text).ok_or_else(|| {
        let message = format!("Value ({text}) for parameter {name} is invalid. This is not a valid CIDR block.");
        AwsError::new("InvalidParameterValue", message)
    })
}

fn no_gateway(id: &str) -> AwsError {
    missing("InternetGatewayID", "internetGateway ID", id)
}

fn elsewhere(one: &str, other: &str) -> AwsError {
    AwsError::new("InvalidParameterValue", format!("{one} and {other} belong to different networks"))
}

fn create_vpc(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let cidr = cidr_of(input, "CidrBlock")?;
    if !cidr.is_for_hosts() {
        return Err(AwsError::new("InvalidVpc.Range", format!("The CIDR '{cidr}' is invalid.")));
    }
    let tags = new_tags(input, "vpc")?;
    dry_run(input)?;
    let region = call.region.clone();
    let id = make_vpc(call.world, &region, &cidr.to_string(), false);
    put_tags(call, &id, tags);
    let state = here(call);
    Ok(vec![node("vpc", vpc_item(state, &id, &state.vpcs[&id]))])
}

fn create_subnet(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let (vpc, cidr) = (input.required("VpcId")?, cidr_of(input, "CidrBlock")?);
    let tags = new_tags(input, "subnet")?;
    let zones = catalog::zones(&call.region);
    let zone = input.optional("AvailabilityZone").or_else(|| zones.first().cloned()).unwrap_or_default();
    if !zones.contains(&zone) {
        let message = format!("Value ({zone}) for parameter availabilityZone is invalid.");
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    let state = here(call);
    let around = state.vpcs.get(&vpc).ok_or_else(|| no_vpc(&vpc))?;
    if !cidr.is_for_hosts() || !Cidr::parse(&around.cidr).is_some_and(|around| around.contains(cidr)) {
        return Err(AwsError::new("InvalidSubnet.Range", format!("The CIDR '{cidr}' is invalid.")));
    }
    let is_taken = |subnet: &Subnet| Cidr::parse(&subnet.cidr).is_some_and(|taken| taken.overlaps(cidr));
    if state.subnets.values().any(|subnet| subnet.vpc == vpc && is_taken(subnet)) {
        let message = format!("The CIDR '{cidr}' conflicts with another subnet");
        return Err(AwsError::new("InvalidSubnet.Conflict", message));
    }
    dry_run(input)?;
    let id = call.world.new_id("subnet");
    here(call).subnets.insert(id.clone(), Subnet { vpc, zone, cidr: cidr.to_string(), is_default: false });
    put_tags(call, &id, tags);
    let now = call.now;
    let state = here(call);
    Ok(vec![node("subnet", subnet_item(state, &id, &state.subnets[&id], now))])
}

fn create_internet_gateway(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let tags = new_tags(input, "internet-gateway")?;
    dry_run(input)?;
    let id = call.world.new_id("igw");
    here(call).internet_gateways.insert(id.clone(), None);
    put_tags(call, &id, tags);
    Ok(vec![node("internetGateway", gateway_item(here(call), &id, None))])
}

fn attach_internet_gateway(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let (id, vpc) = (input.required("InternetGatewayId")?, input.required("VpcId")?);
    let state = here(call);
    if !state.vpcs.contains_key(&vpc) {
        return Err(no_vpc(&vpc));
    }
    let has_one = state.internet_gateways.values().any(|at| at.as_ref() == Some(&vpc));
    let gateway = state.internet_gateways.get_mut(&id).ok_or_else(|| no_gateway(&id))?;
    if let Some(at) = gateway {
        let message = format!("resource {id} is already attached to network {at}");
        return Err(AwsError::new("Resource.AlreadyAssociated", message));
    }
    if has_one {
        let message = format!("Network {vpc} already has an internet gateway attached");
        return Err(AwsError::new("InvalidParameterValue", message));
    }
    dry_run(input)?;
    *gateway = Some(vpc);
    Ok(vec![leaf("return", true)])
}

fn create_route_table(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let vpc = input.required("VpcId")?;
    // Accepted, not remembered: only tests make route tables here, and none repeats a lost call.
    let _ = input.optional("ClientToken");
    if !here(call).vpcs.contains_key(&vpc) {
        return Err(no_vpc(&vpc));
    }
    let tags = new_tags(input, "route-table")?;
    dry_run(input)?;
    let id = call.world.new_id("rtb");
    let table = RouteTable { vpc, main: None, associations: BTreeMap::new(), routes: BTreeMap::new() };
    here(call).route_tables.insert(id.clone(), table);
    put_tags(call, &id, tags);
    let state = here(call);
    Ok(vec![node("routeTable", table_item(state, &id, &state.route_tables[&id]))])
}

fn create_route(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let (id, destination) = (input.required("RouteTableId")?, cidr_of(input, "DestinationCidrBlock")?.to_string());
    let gateway = input.required("GatewayId")?;
    let state = here(call);
    let table = state.route_tables.get_mut(&id).ok_or_else(|| no_table(&id))?;
    let at = state.internet_gateways.get(&gateway).ok_or_else(|| no_gateway(&gateway))?;
    if at.as_ref() != Some(&table.vpc) {
        return Err(elsewhere(&format!("route table {id}"), &format!("network gateway {gateway}")));
    }
    if table.routes.contains_key(&destination) {
        let message = format!("The route identified by {destination} already exists.");
        return Err(AwsError::new("RouteAlreadyExists", message));
    }
    dry_run(input)?;
    table.routes.insert(destination, gateway);
    Ok(vec![leaf("return", true)])
}

fn associate_route_table(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let (id, subnet) = (input.required("RouteTableId")?, input.required("SubnetId")?);
    let state = here(call);
    let table = state.route_tables.get(&id).ok_or_else(|| no_table(&id))?;
    if state.subnets.get(&subnet).ok_or_else(|| no_subnet(&subnet))?.vpc != table.vpc {
        return Err(elsewhere(&format!("route table {id}"), &format!("subnet {subnet}")));
    }
    if state.route_tables.values().any(|table| table.associations.contains_key(&subnet)) {
        let message = format!("the specified association for route table {id} conflicts with an existing association");
        return Err(AwsError::new("Resource.AlreadyAssociated", message));
    }
    dry_run(input)?;
    let association = call.world.new_id("rtbassoc");
    if let Some(table) = here(call).route_tables.get_mut(&id) {
        table.associations.insert(subnet, association.clone());
    }
    Ok(vec![leaf("associationId", association), node("associationState", vec![leaf("state", "associated")])])
}

fn delete_subnet(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = input.required("SubnetId")?;
    let now = call.now;
    let state = here(call);
    if !state.subnets.contains_key(&id) {
        return Err(no_subnet(&id));
    }
    let in_use = |instance: &super::state::Instance| {
        instance.subnet == id && state_of(instance, now) != InstanceState::Terminated
    };
    if state.instances.values().any(|instance| in_use(instance)) {
        let message = format!("The subnet '{id}' has dependencies and cannot be deleted.");
        return Err(AwsError::new("DependencyViolation", message));
    }
    dry_run(input)?;
    state.subnets.remove(&id);
    state.tags.remove(&id);
    for table in state.route_tables.values_mut() {
        table.associations.remove(&id);
    }
    Ok(vec![leaf("return", true)])
}

/// AWS wants the gateway detached and the other route tables deleted before; nothing that this model serves needs those
/// operations, so they go with their VPC.
fn delete_vpc(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = input.required("VpcId")?;
    let state = here(call);
    if !state.vpcs.contains_key(&id) {
        return Err(no_vpc(&id));
    }
    let has_subnets = state.subnets.values().any(|subnet| subnet.vpc == id);
    let has_groups = state.security_groups.values().any(|group| group.vpc == id && group.name != "default");
    if has_subnets || has_groups {
        let message = format!("The vpc '{id}' has dependencies and cannot be deleted.");
        return Err(AwsError::new("DependencyViolation", message));
    }
    dry_run(input)?;
    state.vpcs.remove(&id);
    state.tags.remove(&id);
    state.security_groups.retain(|_, group| group.vpc != id);
    state.route_tables.retain(|_, table| table.vpc != id);
    for gateway in state.internet_gateways.values_mut().filter(|gateway| gateway.as_ref() == Some(&id)) {
        *gateway = None;
    }
    Ok(vec![leaf("return", true)])
}
