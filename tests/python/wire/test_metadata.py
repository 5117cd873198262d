"""A box: what botocore reads of its metadata, and what the role's credentials may do."""

import json
import os
import urllib.error
import urllib.request

import boto3
import pytest
from botocore.exceptions import ClientError
from botocore.utils import InstanceMetadataFetcher, InstanceMetadataRegionFetcher
from conftest import ONCE, until

TRUST = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
POLICY = {
    "Version": "2012-10-17",
    "Statement": [
        {"Effect": "Allow", "Action": "ssm:GetParametersByPath", "Resource": "arn:aws:ssm:*:*:parameter/box"},
        {
            "Effect": "Allow",
            "Action": "ec2:CreateTags",
            "Resource": "arn:aws:ec2:*:*:instance/*",
            "Condition": {
                "StringEquals": {"ec2:ResourceTag/stack": "box"},
                "ForAllValues:StringEquals": {"aws:TagKeys": ["phase"]},
                "Null": {"aws:TagKeys": "false"},
            },
        },
    ],
}


@pytest.fixture(scope="module")
def box(ec2, iam, image):
    """An instance with a role; its id and the base address of its metadata."""
    iam.create_role(RoleName="box", AssumeRolePolicyDocument=json.dumps(TRUST))
    iam.put_role_policy(RoleName="box", PolicyName="box", PolicyDocument=json.dumps(POLICY))
    iam.create_instance_profile(InstanceProfileName="box")
    iam.add_role_to_instance_profile(InstanceProfileName="box", RoleName="box")
    wish = dict(
        ImageId=image,
        InstanceType="g4dn.xlarge",
        MinCount=1,
        MaxCount=1,
        InstanceMarketOptions={"MarketType": "spot"},
        IamInstanceProfile={"Name": "box"},
        InstanceInitiatedShutdownBehavior="terminate",
        MetadataOptions={"HttpTokens": "required", "InstanceMetadataTags": "enabled"},
        TagSpecifications=[{"ResourceType": "instance", "Tags": [{"Key": "stack", "Value": "box"}]}],
    )
    made = []

    def launch():
        try:
            made.append(ec2.run_instances(**wish)["Instances"][0]["InstanceId"])
        except ClientError as error:
            assert "Invalid IAM Instance Profile" in str(error)
        return made

    until(launch)
    yield made[0], f"{os.environ['AWS_ENDPOINT_URL']}/_sandbox/metadata/{made[0]}"
    ec2.terminate_instances(InstanceIds=made)
    iam.remove_role_from_instance_profile(InstanceProfileName="box", RoleName="box")
    iam.delete_instance_profile(InstanceProfileName="box")
    iam.delete_role_policy(RoleName="box", PolicyName="box")
    iam.delete_role(RoleName="box")


@pytest.fixture
def session(box, monkeypatch):
    """As a program on the box has it: no credentials but those that IMDS hands out."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_EC2_METADATA_DISABLED"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_EC2_METADATA_SERVICE_ENDPOINT", box[1])
    return boto3.Session()


def test_botocores_own_providers_read_the_box(box, monkeypatch):
    monkeypatch.delenv("AWS_EC2_METADATA_DISABLED")
    fetched = InstanceMetadataFetcher(base_url=box[1]).retrieve_iam_role_credentials()
    assert fetched["role_name"] == "box" and fetched["access_key"].startswith("ASIA") and fetched["token"]
    assert InstanceMetadataRegionFetcher(base_url=box[1]).retrieve_region() == os.environ["AWS_REGION"]


def test_the_roles_credentials_may_do_what_its_policy_says(box, session, ssm, refused):
    credentials = session.get_credentials()
    assert credentials.method == "iam-role" and credentials.refresh_needed() is False
    client = lambda service: session.client(service, config=ONCE)
    caller = client("sts").get_caller_identity()["Arn"]
    assert caller == f"arn:aws:sts::123456789012:assumed-role/box/{box[0]}"

    ssm.put_parameter(Name="/box/KEY", Value="1", Type="String")
    own = client("ssm")
    assert own.get_parameters_by_path(Path="/box")["Parameters"][0]["Value"] == "1"
    assert refused(own.get_parameters_by_path, Path="/other") == ("AccessDeniedException", 400)
    ssm.delete_parameter(Name="/box/KEY")

    ec2 = client("ec2")
    ec2.create_tags(Resources=[box[0]], Tags=[{"Key": "phase", "Value": "ready"}])
    other = dict(Resources=[box[0]], Tags=[{"Key": "stack", "Value": "other"}])
    assert refused(ec2.create_tags, **other) == ("UnauthorizedOperation", 403)
    assert refused(ec2.terminate_instances, InstanceIds=[box[0]]) == ("UnauthorizedOperation", 403)
    assert refused(client("iam").get_role, RoleName="box") == ("AccessDenied", 403)


def ask(url, method="GET", data=None, **headers):
    request = urllib.request.Request(url, data=data, method=method)
    for name, value in headers.items():
        request.add_header(name.replace("_", "-"), value)
    with urllib.request.urlopen(request) as answer:
        return answer.read().decode()


def test_a_box_tells_its_tags_writes_on_its_console_and_shuts_down(box, ec2):
    instance, base = box
    with pytest.raises(urllib.error.HTTPError) as caught:
        ask(f"{base}/latest/meta-data/instance-id")
    assert caught.value.code == 401
    token = ask(f"{base}/latest/api/token", "PUT", X_aws_ec2_metadata_token_ttl_seconds="60")
    told = lambda path: ask(f"{base}/latest/{path}", X_aws_ec2_metadata_token=token)
    assert told("meta-data/instance-id") == instance
    assert told("meta-data/tags/instance/stack") == "box"
    assert json.loads(told("dynamic/instance-identity/document"))["instanceId"] == instance

    until(lambda: "Output" in ec2.get_console_output(InstanceId=instance))
    ask(f"{base}/console", "POST", b"worker: done\n")
    assert ec2.get_console_output(InstanceId=instance)["Output"].endswith("worker: done\n")

    ask(f"{base}/shutdown", "POST", b"")
    found = ec2.describe_instances(InstanceIds=[instance])["Reservations"][0]["Instances"][0]
    assert found["StateReason"]["Code"] == "Client.InstanceInitiatedShutdown"
    with pytest.raises(ConnectionError):
        told("meta-data/instance-id")
