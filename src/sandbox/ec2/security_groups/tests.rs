//! Groups and rules, asked as a client asks.

use std::time::Duration;

use super::super::asking::{ask, code, first};
use super::*;

fn group(world: &mut World, name: &str) -> String {
    let answer = ask(world, "CreateSecurityGroup", &format!("GroupName={name}&GroupDescription=d")).unwrap();
    first(&answer, "groupId")
}

#[test]
fn rules_are_added_once_and_taken_away_once() {
    let mut world = World::default();
    let (id, other) = (group(&mut world, "a"), group(&mut world, "b"));
    let rule = |rest: &str| format!("GroupId={id}&IpPermissions.1.{}", rest.replace('&', "&IpPermissions.1."));
    let https = rule("IpProtocol=tcp&FromPort=443&ToPort=443&IpRanges.1.CidrIp=10.0.0.0/8");
    let by_number = https.replace("tcp", "6");
    for (operation, input, expected) in [
        ("AuthorizeSecurityGroupIngress", https.clone() + "&DryRun=true", "DryRunOperation"),
        ("AuthorizeSecurityGroupIngress", https.clone(), "fine"),
        ("AuthorizeSecurityGroupIngress", by_number.clone(), "InvalidPermission.Duplicate"),
        ("AuthorizeSecurityGroupEgress", https.clone(), "fine"),
        (
            "AuthorizeSecurityGroupIngress",
            rule("IpProtocol=udp&FromPort=1&ToPort=1&IpRanges.1.CidrIp=1.0.0.0/8&IpRanges.2.CidrIp=1.0.0.0/8"),
            "InvalidParameterValue",
        ),
        ("AuthorizeSecurityGroupIngress", rule("IpProtocol=tcp&IpRanges.1.CidrIp=1.0.0.0/8"), "InvalidParameterValue"),
        (
            "AuthorizeSecurityGroupIngress",
            rule("IpProtocol=tcp&FromPort=2&ToPort=1&IpRanges.1.CidrIp=1.0.0.0/8"),
            "InvalidParameterValue",
        ),
        (
            "AuthorizeSecurityGroupIngress",
            rule("IpProtocol=smoke&IpRanges.1.CidrIp=1.0.0.0/8"),
            "InvalidParameterValue",
        ),
        ("AuthorizeSecurityGroupIngress", rule("IpProtocol=-1&IpRanges.1.CidrIp=1.0.0.0/40"), "InvalidParameterValue"),
        (
            "AuthorizeSecurityGroupIngress",
            rule("IpProtocol=-1&Ipv6Ranges.1.CidrIpv6=1.0.0.0/8"),
            "InvalidParameterValue",
        ),
        ("AuthorizeSecurityGroupIngress", rule("IpProtocol=-1&Ipv6Ranges.1.CidrIpv6=::/0"), "fine"),
        ("AuthorizeSecurityGroupIngress", rule("IpProtocol=-1&Groups.1.GroupId=sg-0"), "InvalidGroup.NotFound"),
        ("AuthorizeSecurityGroupIngress", rule(&format!("IpProtocol=-1&Groups.1.GroupId={other}")), "fine"),
        ("DeleteSecurityGroup", format!("GroupId={other}"), "DependencyViolation"),
        ("RevokeSecurityGroupIngress", by_number, "fine"),
        ("RevokeSecurityGroupIngress", https, "InvalidPermission.NotFound"),
        (
            "RevokeSecurityGroupIngress",
            format!("GroupId={id}&SecurityGroupRuleId.1=sgr-0"),
            "InvalidSecurityGroupRuleId.NotFound",
        ),
        ("DescribeSecurityGroupRules", "SecurityGroupRuleId.1=sgr-0".to_owned(), "InvalidSecurityGroupRuleId.NotFound"),
        ("DeleteSecurityGroup", format!("GroupId={id}"), "fine"),
        ("DeleteSecurityGroup", format!("GroupId={other}"), "fine"),
    ] {
        assert_eq!(code(ask(&mut world, operation, &input)), expected, "{operation} {input}");
    }
}

#[test]
fn groups_are_found_by_name_and_rule_and_only_once_they_are_visible() {
    let mut world = World::default();
    let id = group(&mut world, "web");
    let describe = |world: &mut World, input: &str| {
        let answer = ask(world, "DescribeSecurityGroups", input).map_err(|error| error.code)?;
        Ok::<_, String>(answer.matches("<groupName>").count())
    };
    let permission = format!("GroupId={id}&IpPermissions.1.IpProtocol=tcp&IpPermissions.1.FromPort=80");
    let permission = format!("{permission}&IpPermissions.1.ToPort=80&IpPermissions.1.Ipv6Ranges.1.CidrIpv6=::/0");
    ask(&mut world, "AuthorizeSecurityGroupIngress", &permission).unwrap();
    for (input, expected) in [
        ("GroupName.1=web".to_owned(), Ok(1)),
        ("GroupName.1=none".to_owned(), Err("InvalidGroup.NotFound")),
        (format!("GroupId.1={id}"), Ok(1)),
        ("GroupId.1=group".to_owned(), Err("InvalidGroupId.Malformed")),
        ("Filter.1.Name=group-name&Filter.1.Value.1=w*".to_owned(), Ok(1)),
        ("Filter.1.Name=ip-permission.ipv6-cidr&Filter.1.Value.1=::/0".to_owned(), Ok(1)),
        ("Filter.1.Name=ip-permission.from-port&Filter.1.Value.1=81".to_owned(), Ok(0)),
        ("Filter.1.Name=egress.ip-permission.cidr&Filter.1.Value.1=0.0.0.0/0".to_owned(), Ok(2)),
        ("Filter.1.Name=colour&Filter.1.Value.1=red".to_owned(), Err("InvalidParameterValue")),
    ] {
        assert_eq!(describe(&mut world, &input), expected.map_err(str::to_owned), "{input}");
    }
    world.weather.visibility = Duration::from_secs(5);
    assert_eq!(describe(&mut world, &format!("GroupId.1={id}")), Err("InvalidGroup.NotFound".to_owned()));
    assert_eq!(describe(&mut world, ""), Ok(1));
}

#[test]
fn a_name_is_taken_once_a_vpc_and_the_default_group_stays() {
    let mut world = World::default();
    group(&mut world, "web");
    let default = ask(&mut world, "DescribeSecurityGroups", "GroupName.1=default").unwrap();
    let default = default.split("<groupId>").nth(1).unwrap().split('<').next().unwrap().to_owned();
    for (operation, input, expected) in [
        ("CreateSecurityGroup", "GroupName=web&GroupDescription=d".to_owned(), "InvalidGroup.Duplicate"),
        ("CreateSecurityGroup", "GroupName=web&GroupDescription=d&VpcId=vpc-0".to_owned(), "InvalidVpcID.NotFound"),
        ("CreateSecurityGroup", "GroupName=sg-1&GroupDescription=d".to_owned(), "InvalidParameterValue"),
        (
            "CreateSecurityGroup",
            "GroupName=c&GroupDescription=d&DryRun=true&TagSpecification.1.ResourceType=vpc".to_owned(),
            "InvalidParameterValue",
        ),
        ("CreateSecurityGroup", "GroupName=c&GroupDescription=d&DryRun=true".to_owned(), "DryRunOperation"),
        ("DeleteSecurityGroup", format!("GroupId={default}"), "CannotDelete"),
    ] {
        assert_eq!(code(ask(&mut world, operation, &input)), expected, "{operation} {input}");
    }
}
