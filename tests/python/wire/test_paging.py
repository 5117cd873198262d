"""Every operation that boto3 can page: the pages together are the whole, none is too long, a false token is refused.

Which operations those are is botocore's to say, so that none can be forgotten: what the sandbox models and botocore pages
stands in `WHOLE`, and a test holds the two against each other.
"""
import json

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import ONCE, weather

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
POLICY = json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:*", "Resource": "*"}]})
SPOT = {"MarketType": "spot", "SpotOptions": {"SpotInstanceType": "one-time"}}
ROLE, PROFILE, PATH = "wire-paged", "wire-paged", "/wire-paged"
MANAGED = ["AmazonSSMManagedInstanceCore", "AmazonS3ReadOnlyAccess", "CloudWatchAgentServerPolicy"]
F_SPOT = {"ServiceCode": "ec2", "QuotaCode": "L-88CF9481"}
G4DN = {"InstanceTypes": ["g4dn.xlarge"], "ProductDescriptions": ["Linux/UNIX"], "EndTime": 2_000_000_000}
USER, ACTIONS = "arn:aws:iam::123456789012:user/sandbox", ["ec2:RunInstances", "iam:PassRole", "ssm:GetParameter"]
KEY = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef"
ZONES = {"LocationType": "availability-zone"}
SCORED = {"InstanceTypes": ["g4dn.xlarge"], "TargetCapacity": 1, "SingleAvailabilityZone": True}
HERE = {"ServiceCode": "AmazonEC2", "Filters": [{"Type": "EQUALS", "Field": "regionCode", "Value": "us-east-1"}]}

# Service, operation, arguments, the size of a page, and what is different in every item (`None`: the item itself).
WHOLE = [
    ("ec2", "describe_images", {"Owners": ["amazon"]}, 5, "ImageId"),
    ("ec2", "describe_instance_status", {"IncludeAllInstances": True}, 5, "InstanceId"),
    ("ec2", "describe_instance_type_offerings", ZONES, 50, ("InstanceType", "Location")),
    ("ec2", "describe_instance_types", {}, 20, "InstanceType"),
    ("ec2", "describe_instances", {}, 5, "ReservationId"),
    ("ec2", "describe_internet_gateways", {}, 5, "InternetGatewayId"),
    ("ec2", "describe_launch_template_versions", {"LaunchTemplateName": "wire-paged-0"}, 2, "VersionNumber"),
    ("ec2", "describe_launch_templates", {}, 2, "LaunchTemplateId"),
    ("ec2", "describe_network_interfaces", {}, 5, "NetworkInterfaceId"),
    ("ec2", "describe_route_tables", {}, 5, "RouteTableId"),
    ("ec2", "describe_security_group_rules", {}, 5, "SecurityGroupRuleId"),
    ("ec2", "describe_security_groups", {}, 5, "GroupId"),
    ("ec2", "describe_spot_instance_requests", {}, 5, "SpotInstanceRequestId"),
    ("ec2", "describe_spot_price_history", G4DN, 50, ("AvailabilityZone", "Timestamp")),
    ("ec2", "describe_subnets", {}, 5, "SubnetId"),
    ("ec2", "describe_tags", {}, 5, ("ResourceId", "Key")),
    ("ec2", "describe_volumes", {}, 5, "VolumeId"),
    ("ec2", "describe_vpcs", {}, 5, "VpcId"),
    ("ec2", "get_spot_placement_scores", SCORED, 10, "AvailabilityZoneId"),
    ("ecr", "describe_images", {"repositoryName": "wire-paged-0"}, 2, "imageDigest"),
    ("ecr", "describe_repositories", {}, 2, "repositoryName"),
    ("iam", "list_attached_role_policies", {"RoleName": ROLE}, 1, "PolicyArn"),
    ("iam", "list_instance_profile_tags", {"InstanceProfileName": PROFILE + "-0"}, 2, "Key"),
    ("iam", "list_instance_profiles", {}, 2, "InstanceProfileName"),
    ("iam", "list_instance_profiles_for_role", {"RoleName": ROLE}, 1, "InstanceProfileName"),
    ("iam", "list_role_policies", {"RoleName": ROLE}, 2, None),
    ("iam", "list_role_tags", {"RoleName": ROLE}, 2, "Key"),
    ("iam", "list_roles", {}, 2, "RoleName"),
    ("iam", "simulate_principal_policy", {"PolicySourceArn": USER, "ActionNames": ACTIONS}, 2, "EvalActionName"),
    ("kms", "list_grants", {"KeyId": KEY}, 1, "GrantId"),
    ("pricing", "describe_services", {}, 1, "ServiceCode"),
    ("pricing", "get_products", HERE, 50, None),
    ("service-quotas", "list_aws_default_service_quotas", {"ServiceCode": "ec2"}, 5, "QuotaCode"),
    ("service-quotas", "list_requested_service_quota_change_history", {}, 1, "Id"),
    ("service-quotas", "list_requested_service_quota_change_history_by_quota", F_SPOT, 1, "Id"),
    ("service-quotas", "list_service_quotas", {"ServiceCode": "ec2"}, 1, "QuotaCode"),
    ("sqs", "list_queues", {}, 2, None),
    ("ssm", "describe_parameters", {}, 5, "Name"),
    ("ssm", "get_parameters_by_path", {"Path": PATH}, 5, "Name"),
]
NAMES = [row[1] for row in WHOLE]
# One request a quota is all there can be while it is open, and only EC2 has prices.
ALONE = {"list_requested_service_quota_change_history_by_quota", "describe_services"}
FALSE_TOKEN = {
    "ec2": "InvalidNextToken",
    "ecr": "InvalidParameterException",
    "iam": "ValidationError",
    "kms": "InvalidMarkerException",
    "pricing": "InvalidNextTokenException",
    "sqs": "InvalidParameterValue",
    "ssm": "InvalidNextToken",
    "service-quotas": "InvalidPaginationTokenException",
}


@pytest.fixture(scope="module", autouse=True)
def plenty(ec2, ecr, iam, sqs, ssm, quotas, image):
    """Two pages of everything."""
    tags = [{"Key": f"k{index}", "Value": "v"} for index in range(6)]
    iam.create_role(RoleName=ROLE, AssumeRolePolicyDocument=TRUST, Tags=tags)
    others = [f"{ROLE}-{index}" for index in range(2)]
    for other in others:
        iam.create_role(RoleName=other, AssumeRolePolicyDocument=TRUST)
    for index in range(3):
        iam.put_role_policy(RoleName=ROLE, PolicyName=f"p{index}", PolicyDocument=POLICY)
        iam.attach_role_policy(RoleName=ROLE, PolicyArn=f"arn:aws:iam::aws:policy/{MANAGED[index]}")
        iam.create_instance_profile(InstanceProfileName=f"{PROFILE}-{index}", Tags=tags)
        iam.add_role_to_instance_profile(InstanceProfileName=f"{PROFILE}-{index}", RoleName=ROLE)
    names = [f"{PATH}/P{index:02}" for index in range(12)]
    for name in names:
        ssm.put_parameter(Name=name, Value="v", Type="String")
    for code in ("L-88CF9481", "L-E3A00192"):
        quotas.request_service_quota_increase(ServiceCode="ec2", QuotaCode=code, DesiredValue=8)
    repositories = [f"wire-paged-{index}" for index in range(3)]
    for repository in repositories:
        ecr.create_repository(repositoryName=repository)
    for tag in range(3):
        weather("image", f"{repositories[0]}:{tag}", "1MiB", "us-east-1")
    weather("ebs-key", KEY, "granted")
    queues = [sqs.create_queue(QueueName=f"wire-paged-{index}")["QueueUrl"] for index in range(3)]
    vpcs = [ec2.create_vpc(CidrBlock=f"10.{index}.0.0/16")["Vpc"]["VpcId"] for index in range(30, 36)]
    groups = []
    for vpc in vpcs:
        ec2.create_internet_gateway()
        groups.append(ec2.create_security_group(GroupName="wire-paged", Description="d", VpcId=vpc)["GroupId"])
    templates = [f"wire-paged-{index}" for index in range(3)]
    data = {"InstanceType": "t3.micro"}
    for template in templates:
        ec2.create_launch_template(LaunchTemplateName=template, LaunchTemplateData=data)
        ec2.create_launch_template_version(LaunchTemplateName=templates[0], LaunchTemplateData=data)
    named = [{"ResourceType": "instance", "Tags": [{"Key": "wire", "Value": "paged"}]}]
    wish = dict(ImageId=image, InstanceType="g4dn.xlarge", InstanceMarketOptions=SPOT, TagSpecifications=named)
    made = [ec2.run_instances(**wish, MinCount=1, MaxCount=1)["Instances"][0]["InstanceId"] for _ in range(6)]
    yield
    weather("ebs-key", "none")
    ec2.terminate_instances(InstanceIds=made)
    for template in templates:
        ec2.delete_launch_template(LaunchTemplateName=template)
    for index in range(3):
        iam.remove_role_from_instance_profile(InstanceProfileName=f"{PROFILE}-{index}", RoleName=ROLE)
        iam.delete_instance_profile(InstanceProfileName=f"{PROFILE}-{index}")
        iam.delete_role_policy(RoleName=ROLE, PolicyName=f"p{index}")
        iam.detach_role_policy(RoleName=ROLE, PolicyArn=f"arn:aws:iam::aws:policy/{MANAGED[index]}")
    for role in [ROLE, *others]:
        iam.delete_role(RoleName=role)
    for repository in repositories:
        ecr.delete_repository(repositoryName=repository, force=True)
    for queue in queues:
        sqs.delete_queue(QueueUrl=queue)
    for start in (0, 10):
        ssm.delete_parameters(Names=names[start : start + 10])
    for vpc, group in zip(vpcs, groups):
        ec2.delete_security_group(GroupId=group)
        ec2.delete_vpc(VpcId=vpc)


@pytest.fixture(scope="module")
def client():
    made = {}
    return lambda service: made.get(service) or made.setdefault(service, boto3.client(service, config=ONCE))


def keys(items, what):
    """What tells the items of a list apart."""
    if what is None:
        return items
    fields = (what,) if isinstance(what, str) else what
    return [tuple(item[field] for field in fields) for item in items]


@pytest.mark.parametrize(("service", "operation", "arguments", "size", "what"), WHOLE, ids=NAMES)
def test_the_pages_together_are_the_whole(client, service, operation, arguments, size, what):
    paginator = client(service).get_paginator(operation)
    listed = paginator.result_keys[0].expression

    def read_whole():
        return [key for page in paginator.paginate(**arguments) for key in keys(page.get(listed, []), what)]

    whole = read_whole()
    # What ends by the clock between two reads, as other tests' instances do, is no fault of the pages.
    for _ in range(5):
        pages = [page.get(listed, []) for page in paginator.paginate(**arguments, PaginationConfig={"PageSize": size})]
        before, whole = whole, read_whole()
        if before == whole:
            break
    paged = [key for page in pages for key in keys(page, what)]
    assert paged == whole
    assert len(set(paged)) == len(paged)
    assert max(len(page) for page in pages) <= size
    assert len(pages) > 1 or operation in ALONE, f"{len(whole)} items are not two pages"


@pytest.mark.parametrize(("service", "operation", "arguments", "size", "what"), WHOLE, ids=NAMES)
def test_a_false_token_is_refused(client, refused, service, operation, arguments, size, what):
    token = client(service).get_paginator(operation)._input_token[0]
    code = refused(getattr(client(service), operation), **arguments, **{token: "nonsense"})
    assert code == (FALSE_TOKEN[service], 400)


def test_no_operation_that_pages_is_forgotten():
    # Without validation a bare call reaches the sandbox, which says whether it knows the operation.
    bare = Config(parameter_validation=False, retries={"total_max_attempts": 1})
    forgotten = []
    for service in ("ec2", "ecr", "iam", "kms", "pricing", "service-quotas", "sqs", "ssm"):
        asked = boto3.client(service, config=bare)
        for operation in asked.meta.method_to_api_mapping:
            if operation in NAMES or not asked.can_paginate(operation):
                continue
            try:
                getattr(asked, operation)()
                forgotten.append(operation)
            except ClientError as error:
                if error.response["Error"]["Code"] not in ("InvalidAction", "UnknownOperationException"):
                    forgotten.append(operation)
    assert forgotten == []
