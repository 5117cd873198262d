//! A fresh region's network, and one of one's own.

use super::super::asking::{REGION, ask, code, first};
use super::*;

#[test]
fn a_fresh_region_has_a_public_subnet_in_each_zone() {
    let mut world = World::default();
    let subnets = ask(&mut world, "DescribeSubnets", "Filter.1.Name=default-for-az&Filter.1.Value.1=true").unwrap();
    assert_eq!(subnets.matches("<subnetId>").count(), catalog::zones(REGION).len());
    assert_eq!(first(&subnets, "availableIpAddressCount"), "4091");
    let tables =
        ask(&mut world, "DescribeRouteTables", "Filter.1.Name=association.main&Filter.1.Value.1=true").unwrap();
    assert!(tables.contains("<destinationCidrBlock>0.0.0.0/0</destinationCidrBlock><gatewayId>igw-"), "{tables}");
    let zones = "Filter.1.Name=zone-type&Filter.1.Value.1=local-zone";
    assert!(!ask(&mut world, "DescribeAvailabilityZones", zones).unwrap().contains("<zoneName>"));
}

#[test]
fn a_network_of_ones_own_is_refused_where_it_would_not_hold_together() {
    let mut world = World::default();
    let default = first(&ask(&mut world, "DescribeVpcs", "").unwrap(), "vpcId");
    let own = first(&ask(&mut world, "CreateVpc", "CidrBlock=10.0.0.9/16").unwrap(), "vpcId");
    let subnet = format!("VpcId={own}&CidrBlock=10.0.1.0/24");
    let subnet = first(&ask(&mut world, "CreateSubnet", &subnet).unwrap(), "subnetId");
    let table = first(&ask(&mut world, "CreateRouteTable", &format!("VpcId={own}")).unwrap(), "routeTableId");
    let gateway = first(&ask(&mut world, "CreateInternetGateway", "").unwrap(), "internetGatewayId");
    let foreign = first(&ask(&mut world, "CreateRouteTable", &format!("VpcId={default}")).unwrap(), "routeTableId");
    let route =
        |table: &str, more: &str| format!("RouteTableId={table}&GatewayId={gateway}&DestinationCidrBlock={more}");
    let attach = |vpc: &str| format!("InternetGatewayId={gateway}&VpcId={vpc}");
    let associate = |table: &str| format!("RouteTableId={table}&SubnetId={subnet}");
    for (operation, input, expected) in [
        ("CreateVpc", "CidrBlock=10.0.0.0/8".to_owned(), "InvalidVpc.Range"),
        ("CreateVpc", "CidrBlock=ten".to_owned(), "InvalidParameterValue"),
        ("CreateVpc", "CidrBlock=10.3.0.0/16&DryRun=true".to_owned(), "DryRunOperation"),
        ("CreateSubnet", format!("VpcId={own}&CidrBlock=10.1.0.0/24"), "InvalidSubnet.Range"),
        ("CreateSubnet", format!("VpcId={own}&CidrBlock=10.0.1.128/25"), "InvalidSubnet.Conflict"),
        (
            "CreateSubnet",
            format!("VpcId={own}&CidrBlock=10.0.2.0/24&AvailabilityZone=mars-1a"),
            "InvalidParameterValue",
        ),
        ("CreateSubnet", "VpcId=vpc-0&CidrBlock=10.0.2.0/24".to_owned(), "InvalidVpcID.NotFound"),
        ("CreateRoute", route(&table, "0.0.0.0/0"), "InvalidParameterValue"),
        ("AttachInternetGateway", attach(&default), "InvalidParameterValue"),
        ("AttachInternetGateway", attach("vpc-0"), "InvalidVpcID.NotFound"),
        ("AttachInternetGateway", attach(&own) + "&DryRun=true", "DryRunOperation"),
        ("AttachInternetGateway", attach(&own), "fine"),
        ("AttachInternetGateway", attach(&own), "Resource.AlreadyAssociated"),
        ("CreateRoute", route("rtb-0", "0.0.0.0/0&DryRun=true"), "InvalidRouteTableID.NotFound"),
        ("CreateRoute", route(&table, "0.0.0.0/0"), "fine"),
        ("CreateRoute", route(&table, "0.0.0.0/0"), "RouteAlreadyExists"),
        ("AssociateRouteTable", associate("rtb-0"), "InvalidRouteTableID.NotFound"),
        ("AssociateRouteTable", associate(&foreign), "InvalidParameterValue"),
        ("AssociateRouteTable", associate(&table), "fine"),
        ("AssociateRouteTable", associate(&table), "Resource.AlreadyAssociated"),
        ("DeleteVpc", format!("VpcId={own}"), "DependencyViolation"),
        ("DeleteSubnet", format!("SubnetId={subnet}"), "fine"),
        ("DeleteSubnet", format!("SubnetId={subnet}"), "InvalidSubnetID.NotFound"),
        ("DeleteVpc", format!("VpcId={own}"), "fine"),
        ("DescribeVpcs", format!("VpcId.1={own}"), "InvalidVpcID.NotFound"),
        ("DescribeRegions", "RegionName.1=mars-1".to_owned(), "InvalidParameterValue"),
    ] {
        assert_eq!(code(ask(&mut world, operation, &input)), expected, "{operation} {input}");
    }
    let gateways = format!("InternetGatewayId.1={gateway}");
    assert!(!ask(&mut world, "DescribeInternetGateways", &gateways).unwrap().contains("<vpcId>"));
}

#[test]
fn tags_of_a_new_object_are_checked_before_a_dry_run_answers() {
    let mut world = World::default();
    let tags = |kind: &str, keys: &[&str]| {
        let keys = keys.iter().enumerate().map(|(n, key)| format!("&TagSpecification.1.Tag.{}.Key={key}", n + 1));
        format!("CidrBlock=10.0.0.0/16&TagSpecification.1.ResourceType={kind}{}", keys.collect::<String>())
    };
    for (input, expected) in [
        (tags("vpc", &["a", "a"]), "InvalidParameterValue"),
        (tags("vpc", &["aws:a"]) + "&DryRun=true", "InvalidParameterValue"),
        (tags("subnet", &["a"]) + "&DryRun=true", "InvalidParameterValue"),
        (tags("vpc", &["a"]), "fine"),
    ] {
        assert_eq!(code(ask(&mut world, "CreateVpc", &input)), expected, "{input}");
    }
    let tagged = ask(&mut world, "DescribeVpcs", "Filter.1.Name=tag-key&Filter.1.Value.1=a").unwrap();
    assert_eq!(tagged.matches("<vpcId>").count(), 1);
}

#[test]
fn a_block_is_canonical_and_knows_what_lies_in_it() {
    let block = |text: &str| Cidr::parse(text).unwrap();
    assert_eq!(block("10.0.0.9/16").to_string(), "10.0.0.0/16");
    assert!(
        block("10.0.0.0/16").contains(block("10.0.255.0/24")) && !block("10.0.0.0/16").contains(block("10.1.0.0/24"))
    );
    assert!(block("10.0.1.128/25").overlaps(block("10.0.1.0/24")) && block("0.0.0.0/0").overlaps(block("1.2.3.4/32")));
    for wrong in ["10.0.0.0", "10.0.0.0/33", "10.0.0/16", "::/0"] {
        assert_eq!(Cidr::parse(wrong), None, "{wrong}");
    }
}
