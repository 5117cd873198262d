"""EC2: launches, their tokens, Spot requests, tags, the end."""

import pytest
from conftest import until

SPOT = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}


@pytest.fixture
def launch(ec2, image):
    """Launches one Spot instance, and ends all of them behind the test."""
    made = []

    def call(**arguments):
        wish = dict(
            ImageId=image, InstanceType="g4dn.xlarge", MinCount=1, MaxCount=1, InstanceMarketOptions=SPOT, **arguments
        )
        instance = ec2.run_instances(**wish)["Instances"][0]
        made.append(instance["InstanceId"])
        return instance

    yield call
    if made:
        ec2.terminate_instances(InstanceIds=list(set(made)))


def state(ec2, instance):
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    return found["State"]["Name"]


def test_an_instance_lives_and_its_request_with_it(ec2, launch, refused, cli):
    tags = [{"ResourceType": kind, "Tags": [{"Key": "w", "Value": "1"}]} for kind in ("instance", "spot-instances-request")]
    one = launch(TagSpecifications=tags)
    assert one["State"]["Name"] == "pending" and one["InstanceLifecycle"] == "spot"
    until(lambda: state(ec2, one["InstanceId"]) == "running")
    found = ec2.describe_instances(Filters=[{"Name": "tag:w", "Values": ["1"]}])["Reservations"][0]["Instances"][0]
    assert found["PublicIpAddress"] and found["SpotInstanceRequestId"] == one["SpotInstanceRequestId"]
    request = ec2.describe_spot_instance_requests(Filters=[{"Name": "tag:w", "Values": ["1"]}])["SpotInstanceRequests"][0]
    assert (request["State"], request["Status"]["Code"]) == ("active", "fulfilled")
    assert request["InstanceId"] == one["InstanceId"]
    statuses = ec2.describe_instance_status(InstanceIds=[one["InstanceId"]])["InstanceStatuses"]
    assert statuses[0]["InstanceState"]["Name"] == "running"
    listed = cli("ec2", "describe-instances", "--instance-ids", one["InstanceId"])
    assert listed["Reservations"][0]["Instances"][0]["InstanceType"] == "g4dn.xlarge"
    assert ec2.describe_volumes(Filters=[{"Name": "attachment.instance-id", "Values": [one["InstanceId"]]}])["Volumes"]
    assert ec2.describe_network_interfaces()["NetworkInterfaces"]
    assert "Output" in ec2.get_console_output(InstanceId=one["InstanceId"])
    end = ec2.describe_instance_attribute(
        InstanceId=one["InstanceId"], Attribute="instanceInitiatedShutdownBehavior"
    )
    assert end["InstanceInitiatedShutdownBehavior"]["Value"] == "stop"
    stop = ec2.describe_instance_attribute(InstanceId=one["InstanceId"], Attribute="disableApiStop")
    assert stop["DisableApiStop"] == {"Value": False}
    ended = ec2.terminate_instances(InstanceIds=[one["InstanceId"]])["TerminatingInstances"][0]
    assert ended["CurrentState"]["Name"] == "shutting-down"
    until(lambda: state(ec2, one["InstanceId"]) == "terminated")
    closed = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[one["SpotInstanceRequestId"]])
    assert closed["SpotInstanceRequests"][0]["Status"]["Code"] == "instance-terminated-by-user"
    assert ec2.terminate_instances(InstanceIds=[one["InstanceId"]])


def test_a_client_token_is_what_the_documentation_says(ec2, launch, image, network, refused):
    _, subnets = network
    here, there = subnets["us-east-1a"], subnets["us-east-1b"]
    one = launch(SubnetId=here, ClientToken="wire-token")
    again = launch(SubnetId=here, ClientToken="wire-token")
    assert again["InstanceId"] == one["InstanceId"]
    other_zone = launch(SubnetId=there, ClientToken="wire-token")
    assert other_zone["InstanceId"] != one["InstanceId"]
    wish = dict(ImageId=image, MinCount=1, MaxCount=1, InstanceMarketOptions=SPOT, SubnetId=here, ClientToken="wire-token")
    assert refused(ec2.run_instances, InstanceType="g5.xlarge", **wish) == ("IdempotentParameterMismatch", 400)
    ec2.terminate_instances(InstanceIds=[one["InstanceId"]])
    ended = refused(ec2.run_instances, InstanceType="g4dn.xlarge", **wish)
    assert ended == ("IdempotentInstanceTerminated", 400)


def test_what_a_launch_is_refused_for(ec2, image, network, refused):
    _, subnets = network
    wish = dict(ImageId=image, InstanceType="g4dn.xlarge", MinCount=1, MaxCount=1)
    small = [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 30}}]
    low = {"MarketType": "spot", "SpotOptions": {"MaxPrice": "0.0001"}}
    for changed, code in [
        (dict(InstanceType="g99.large"), "InvalidParameterValue"),
        (dict(InstanceType="g5g.xlarge"), "InvalidParameterValue"),
        (dict(ImageId="ami-00000000000000000"), "InvalidAMIID.NotFound"),
        (dict(SubnetId="subnet-00000000000000000"), "InvalidSubnetID.NotFound"),
        (dict(SecurityGroupIds=["sg-00000000000000000"]), "InvalidGroup.NotFound"),
        (dict(IamInstanceProfile={"Name": "none"}), "InvalidParameterValue"),
        (dict(BlockDeviceMappings=small), "InvalidBlockDeviceMapping"),
        (dict(InstanceType="p5.48xlarge", SubnetId=subnets["us-east-1a"], InstanceMarketOptions=SPOT), "MaxSpotInstanceCountExceeded"),
        (dict(InstanceType="g4dn.xlarge"), "VcpuLimitExceeded"),
        (dict(InstanceMarketOptions=low), "SpotMaxPriceTooLow"),
        (dict(LaunchTemplate={"LaunchTemplateName": "none"}), "InvalidLaunchTemplateName.NotFoundException"),
        (dict(ClientToken="x" * 65, InstanceMarketOptions=SPOT), "InvalidParameterValue"),
    ]:
        assert refused(ec2.run_instances, **{**wish, **changed}) == (code, 400), changed
    dry = refused(ec2.run_instances, **wish, InstanceMarketOptions=SPOT, DryRun=True)
    assert dry == ("DryRunOperation", 412)
    not_offered = dict(wish, InstanceType="p4de.24xlarge", SubnetId=subnets["us-east-1a"], InstanceMarketOptions=SPOT)
    assert refused(ec2.run_instances, **not_offered) == ("Unsupported", 400)


def test_a_volume_may_outlive_its_instance(ec2, launch, refused):
    stays = {"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 80, "DeleteOnTermination": False}}
    one = launch(BlockDeviceMappings=[stays])["InstanceId"]
    attached = [{"Name": "attachment.instance-id", "Values": [one]}]
    until(lambda: ec2.describe_volumes(Filters=attached)["Volumes"])
    volume = ec2.describe_volumes(Filters=attached)["Volumes"][0]["VolumeId"]
    assert refused(ec2.delete_volume, VolumeId=volume) == ("VolumeInUse", 400)
    ec2.terminate_instances(InstanceIds=[one])
    until(lambda: ec2.describe_volumes(VolumeIds=[volume])["Volumes"][0]["State"] == "available")
    ec2.delete_volume(VolumeId=volume)
    assert refused(ec2.delete_volume, VolumeId=volume) == ("InvalidVolume.NotFound", 400)


def test_one_wrong_id_and_none_is_ended(ec2, launch, refused):
    one = launch()
    wrong = refused(ec2.terminate_instances, InstanceIds=[one["InstanceId"], "i-00000000000000000"])
    assert wrong == ("InvalidInstanceID.NotFound", 400)
    assert state(ec2, one["InstanceId"]) in ("pending", "running")
    assert refused(ec2.describe_instances, InstanceIds=["nonsense"])[0] == "InvalidInstanceID.Malformed"


def test_tags_and_requests(ec2, launch, refused):
    one = launch()
    ec2.create_tags(Resources=[one["InstanceId"]], Tags=[{"Key": "k", "Value": "v"}])
    found = ec2.describe_tags(Filters=[{"Name": "resource-id", "Values": [one["InstanceId"]]}])["Tags"]
    assert {"k": "v"} == {tag["Key"]: tag["Value"] for tag in found}
    ec2.delete_tags(Resources=[one["InstanceId"]], Tags=[{"Key": "k"}])
    reserved = refused(ec2.create_tags, Resources=[one["InstanceId"]], Tags=[{"Key": "aws:k", "Value": "v"}])
    assert reserved[0] == "InvalidParameterValue"
    cancelled = ec2.cancel_spot_instance_requests(SpotInstanceRequestIds=[one["SpotInstanceRequestId"]])
    assert cancelled["CancelledSpotInstanceRequests"][0]["State"] == "cancelled"
    assert state(ec2, one["InstanceId"]) in ("pending", "running")
    missing = refused(ec2.cancel_spot_instance_requests, SpotInstanceRequestIds=["sir-none"])
    assert missing[0].startswith("InvalidSpotInstanceRequestID")


def test_instances_come_in_pages(ec2, launch):
    made = {launch()["InstanceId"] for _ in range(7)}
    pages = list(ec2.get_paginator("describe_instances").paginate(PaginationConfig={"PageSize": 5}))
    found = {i["InstanceId"] for page in pages for r in page["Reservations"] for i in r["Instances"]}
    assert len(pages) >= 2 and made <= found
