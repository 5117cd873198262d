"""EC2: networks, groups, templates, images, types, prices."""
import boto3


def test_a_fresh_region_has_a_public_default_vpc(ec2, network, cli):
    vpc, subnets = network
    assert len(subnets) == 6
    tables = ec2.describe_route_tables(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["RouteTables"]
    gateways = [route.get("GatewayId", "") for route in tables[0]["Routes"]]
    assert any(gateway.startswith("igw-") for gateway in gateways) and tables[0]["Associations"][0]["Main"]
    attached = [{"Name": "attachment.vpc-id", "Values": [vpc]}]
    assert len(ec2.describe_internet_gateways(Filters=attached)["InternetGateways"]) == 1
    zones = ec2.describe_availability_zones(Filters=[{"Name": "zone-type", "Values": ["availability-zone"]}])
    assert {zone["ZoneName"] for zone in zones["AvailabilityZones"]} == set(subnets)
    assert len(ec2.describe_regions()["Regions"]) == 8
    assert cli("ec2", "describe-vpcs")["Vpcs"][0]["VpcId"] == vpc


def test_another_region_is_another_place():
    here = boto3.client("ec2").describe_vpcs()["Vpcs"]
    there = boto3.client("ec2", region_name="eu-central-1").describe_vpcs()["Vpcs"]
    assert {vpc["VpcId"] for vpc in here}.isdisjoint(vpc["VpcId"] for vpc in there)


def test_a_network_of_ones_own(ec2, refused):
    vpc = ec2.create_vpc(CidrBlock="10.9.0.0/16")["Vpc"]["VpcId"]
    subnet = ec2.create_subnet(VpcId=vpc, CidrBlock="10.9.1.0/24", AvailabilityZone="us-east-1b")["Subnet"]
    assert subnet["AvailableIpAddressCount"] == 251 and not subnet["MapPublicIpOnLaunch"]
    gateway = ec2.create_internet_gateway()["InternetGateway"]["InternetGatewayId"]
    ec2.attach_internet_gateway(InternetGatewayId=gateway, VpcId=vpc)
    table = ec2.create_route_table(VpcId=vpc)["RouteTable"]["RouteTableId"]
    ec2.create_route(RouteTableId=table, DestinationCidrBlock="0.0.0.0/0", GatewayId=gateway)
    ec2.associate_route_table(RouteTableId=table, SubnetId=subnet["SubnetId"])
    own = [{"Name": "association.subnet-id", "Values": [subnet["SubnetId"]]}]
    assert ec2.describe_route_tables(Filters=own)["RouteTables"][0]["RouteTableId"] == table
    assert refused(ec2.delete_vpc, VpcId=vpc) == ("DependencyViolation", 400)
    assert refused(ec2.describe_vpcs, VpcIds=["vpc-00000000000000000"]) == ("InvalidVpcID.NotFound", 400)
    assert refused(ec2.describe_subnets, SubnetIds=["subnet-00000000000000000"]) == ("InvalidSubnetID.NotFound", 400)
    ec2.delete_subnet(SubnetId=subnet["SubnetId"])
    ec2.delete_vpc(VpcId=vpc)


def test_security_groups_and_their_rules(ec2, network, refused):
    vpc, _ = network
    made = dict(GroupName="wire", Description="d", VpcId=vpc)
    tags = [{"ResourceType": "security-group", "Tags": [{"Key": "a", "Value": "b"}]}]
    group = ec2.create_security_group(**made, TagSpecifications=tags)["GroupId"]
    assert refused(ec2.create_security_group, **made) == ("InvalidGroup.Duplicate", 400)
    found = ec2.describe_security_groups(Filters=[{"Name": "tag:a", "Values": ["b"]}])["SecurityGroups"][0]
    assert found["GroupId"] == group and found["IpPermissions"] == []
    assert found["IpPermissionsEgress"][0]["IpRanges"] == [{"CidrIp": "0.0.0.0/0"}]
    https = [{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}]
    ec2.authorize_security_group_egress(GroupId=group, IpPermissions=https)
    again = refused(ec2.authorize_security_group_egress, GroupId=group, IpPermissions=https)
    assert again == ("InvalidPermission.Duplicate", 400)
    ec2.revoke_security_group_egress(GroupId=group, IpPermissions=https)
    gone = refused(ec2.revoke_security_group_egress, GroupId=group, IpPermissions=https)
    assert gone == ("InvalidPermission.NotFound", 400)
    ec2.authorize_security_group_ingress(GroupId=group, IpPermissions=https)
    rules = ec2.describe_security_group_rules(Filters=[{"Name": "group-id", "Values": [group]}])["SecurityGroupRules"]
    assert sorted(rule["IsEgress"] for rule in rules) == [False, True]
    ec2.revoke_security_group_ingress(GroupId=group, IpPermissions=https)
    ec2.delete_security_group(GroupId=group)
    assert refused(ec2.delete_security_group, GroupId=group) == ("InvalidGroup.NotFound", 400)
    assert refused(ec2.describe_security_groups, GroupIds=["nonsense"])[0] == "InvalidGroupId.Malformed"


def test_launch_templates_and_their_versions(ec2, refused, cli):
    name = dict(LaunchTemplateName="wire")
    data = dict(InstanceType="g4dn.xlarge", MetadataOptions={"HttpTokens": "required"}, UserData="IyE=")
    template = ec2.create_launch_template(**name, LaunchTemplateData=data)["LaunchTemplate"]["LaunchTemplateId"]
    taken = refused(ec2.create_launch_template, **name, LaunchTemplateData=data)
    assert taken == ("InvalidLaunchTemplateName.AlreadyExistsException", 400)
    second = ec2.create_launch_template_version(**name, LaunchTemplateData=dict(data, InstanceType="g5.xlarge"))
    assert second["LaunchTemplateVersion"]["VersionNumber"] == 2
    ec2.modify_launch_template(**name, DefaultVersion="2")
    versions = ec2.describe_launch_template_versions(**name, Versions=["$Default", "1"])["LaunchTemplateVersions"]
    assert [v["LaunchTemplateData"]["InstanceType"] for v in versions] == ["g5.xlarge", "g4dn.xlarge"]
    assert versions[0]["LaunchTemplateData"]["MetadataOptions"]["HttpTokens"] == "required"
    pages = list(ec2.get_paginator("describe_launch_template_versions").paginate(**name, PaginationConfig={"PageSize": 1}))
    assert len(pages) == 2
    deleted = ec2.delete_launch_template_versions(**name, Versions=["1", "2", "7"])
    assert [v["VersionNumber"] for v in deleted["SuccessfullyDeletedLaunchTemplateVersions"]] == [1]
    assert len(deleted["UnsuccessfullyDeletedLaunchTemplateVersions"]) == 2
    missing = refused(ec2.describe_launch_template_versions, LaunchTemplateId=template, Versions=["9"])
    assert missing == ("InvalidLaunchTemplateId.VersionNotFound", 400)
    assert cli("ec2", "describe-launch-templates")["LaunchTemplates"][0]["LaunchTemplateName"] == "wire"
    ec2.delete_launch_template(**name)
    gone = refused(ec2.describe_launch_template_versions, **name)
    assert gone == ("InvalidLaunchTemplateName.NotFoundException", 400)
    gone = refused(ec2.delete_launch_template, LaunchTemplateId=template)
    assert gone == ("InvalidLaunchTemplateId.NotFound", 400)


def test_images_types_offerings_and_prices(ec2, image, refused):
    found = ec2.describe_images(ImageIds=[image])["Images"][0]
    assert found["RootDeviceName"] == "/dev/sda1"
    assert found["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"] == 75
    assert refused(ec2.describe_images, ImageIds=["ami-00000000000000000"]) == ("InvalidAMIID.NotFound", 400)
    assert refused(ec2.describe_images, ImageIds=["nonsense"]) == ("InvalidAMIID.Malformed", 400)
    t4 = ec2.describe_instance_types(InstanceTypes=["g4dn.xlarge"])["InstanceTypes"][0]
    assert t4["GpuInfo"]["Gpus"][0]["Name"] == "T4" and t4["VCpuInfo"]["DefaultVCpus"] == 4
    assert refused(ec2.describe_instance_types, InstanceTypes=["g99.large"]) == ("InvalidInstanceType", 400)
    pages = list(ec2.get_paginator("describe_instance_types").paginate(PaginationConfig={"PageSize": 20}))
    assert len(pages) >= 3
    wild = [{"Name": "instance-type", "Values": ["p5*"]}]
    offers = ec2.describe_instance_type_offerings(LocationType="availability-zone", Filters=wild)
    assert {"us-east-1e"} < {offer["Location"] for offer in offers["InstanceTypeOfferings"]}
    import datetime

    now = datetime.datetime.now(datetime.timezone.utc)
    current = ec2.describe_spot_price_history(StartTime=now, InstanceTypes=["g4dn.xlarge"])["SpotPriceHistory"]
    zones = [row["AvailabilityZone"] for row in current]
    assert len(zones) == len(set(zones)) == 5 and all(0.05 < float(row["SpotPrice"]) < 1 for row in current)
    history = ec2.get_paginator("describe_spot_price_history").paginate(InstanceTypes=["g4dn.xlarge"], MaxResults=100)
    assert sum(len(page["SpotPriceHistory"]) for page in history) > 100


def test_dry_runs_and_what_is_not_known(ec2, refused):
    assert refused(ec2.describe_vpcs, DryRun=True) == ("DryRunOperation", 412)
    assert refused(ec2.describe_vpcs, Filters=[{"Name": "nonsense", "Values": ["x"]}])[0] == "InvalidParameterValue"
    assert refused(ec2.describe_key_pairs)[0] == "InvalidAction"
    assert refused(ec2.describe_security_groups, MaxResults=5, NextToken="nonsense")[0] == "InvalidNextToken"
