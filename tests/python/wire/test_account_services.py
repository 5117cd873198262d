"""IAM, Parameter Store, STS and Service Quotas."""
import json

import boto3
from botocore.exceptions import ClientError
from conftest import weather

TRUST = json.dumps(
    {
        "Version": "2012-10-17",
        "Statement": [{"Effect": "Allow", "Principal": {"Service": "ec2.amazonaws.com"}, "Action": "sts:AssumeRole"}],
    }
)
POLICY = json.dumps(
    {"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "s3:GetObject", "Resource": "*"}]}
)


def test_sts_says_who_asks(cli):
    assert boto3.client("sts").get_caller_identity()["Account"] == "123456789012"
    assert cli("sts", "get-caller-identity")["Account"] == "123456789012"


def test_a_role_and_its_profile_live_as_in_iam(iam, refused):
    tags = [{"Key": "a", "Value": "b"}]
    made = iam.create_role(RoleName="wire", AssumeRolePolicyDocument=TRUST, Tags=tags)["Role"]
    assert made["AssumeRolePolicyDocument"] == json.loads(TRUST) and made["Arn"].endswith("role/wire")
    assert refused(iam.create_role, RoleName="wire", AssumeRolePolicyDocument=TRUST) == ("EntityAlreadyExists", 409)
    assert refused(iam.get_role, RoleName="none") == ("NoSuchEntity", 404)
    iam.put_role_policy(RoleName="wire", PolicyName="p", PolicyDocument=POLICY)
    assert iam.get_role_policy(RoleName="wire", PolicyName="p")["PolicyDocument"] == json.loads(POLICY)
    assert refused(iam.get_role_policy, RoleName="wire", PolicyName="q") == ("NoSuchEntity", 404)
    code, _ = refused(iam.put_role_policy, RoleName="wire", PolicyName="p", PolicyDocument="{")
    assert code == "MalformedPolicyDocument"
    assert iam.list_role_policies(RoleName="wire")["PolicyNames"] == ["p"]
    arn = "arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore"
    iam.attach_role_policy(RoleName="wire", PolicyArn=arn)
    assert iam.list_attached_role_policies(RoleName="wire")["AttachedPolicies"][0]["PolicyArn"] == arn
    iam.tag_role(RoleName="wire", Tags=[{"Key": "c", "Value": "d"}])
    iam.untag_role(RoleName="wire", TagKeys=["a"])
    assert iam.list_role_tags(RoleName="wire")["Tags"] == [{"Key": "c", "Value": "d"}]
    iam.update_assume_role_policy(RoleName="wire", PolicyDocument=TRUST)

    iam.create_instance_profile(InstanceProfileName="wire", Tags=tags)
    iam.tag_instance_profile(InstanceProfileName="wire", Tags=[{"Key": "e", "Value": "f"}])
    iam.add_role_to_instance_profile(InstanceProfileName="wire", RoleName="wire")
    again = refused(iam.add_role_to_instance_profile, InstanceProfileName="wire", RoleName="wire")
    assert again == ("LimitExceeded", 409)
    profile = iam.get_instance_profile(InstanceProfileName="wire")["InstanceProfile"]
    assert profile["Roles"][0]["RoleName"] == "wire" and len(profile["Tags"]) == 2
    assert len(iam.list_instance_profile_tags(InstanceProfileName="wire")["Tags"]) == 2
    iam.untag_instance_profile(InstanceProfileName="wire", TagKeys=["e"])
    named = [found["InstanceProfileName"] for found in iam.list_instance_profiles()["InstanceProfiles"]]
    assert "wire" in named
    assert iam.list_instance_profiles_for_role(RoleName="wire")["InstanceProfiles"][0]["InstanceProfileName"] == "wire"

    assert refused(iam.delete_role, RoleName="wire") == ("DeleteConflict", 409)
    assert refused(iam.delete_instance_profile, InstanceProfileName="wire") == ("DeleteConflict", 409)
    iam.remove_role_from_instance_profile(InstanceProfileName="wire", RoleName="wire")
    iam.delete_instance_profile(InstanceProfileName="wire")
    iam.delete_role_policy(RoleName="wire", PolicyName="p")
    iam.detach_role_policy(RoleName="wire", PolicyArn=arn)
    iam.delete_role(RoleName="wire")
    assert refused(iam.delete_role, RoleName="wire") == ("NoSuchEntity", 404)


def test_the_role_of_ec2_spot_is_made_once(iam, refused):
    weather("spot-role", "none")
    role = iam.create_service_linked_role(AWSServiceName="spot.amazonaws.com")["Role"]
    assert role["RoleName"] == "AWSServiceRoleForEC2Spot"
    assert refused(iam.create_service_linked_role, AWSServiceName="spot.amazonaws.com")[0] == "InvalidInput"


def test_roles_come_in_pages(iam, cli):
    names = [f"wire-page-{index}" for index in range(5)]
    for name in names:
        iam.create_role(RoleName=name, AssumeRolePolicyDocument=TRUST)
    pages = list(iam.get_paginator("list_roles").paginate(PaginationConfig={"PageSize": 2}))
    found = [role["RoleName"] for page in pages for role in page["Roles"]]
    assert len(pages) >= 3 and set(names) <= set(found)
    assert set(names) <= {role["RoleName"] for role in cli("iam", "list-roles")["Roles"]}
    for name in names:
        iam.delete_role(RoleName=name)


def test_parameters_live_as_in_parameter_store(ssm, refused):
    tags = [{"Key": "spotctl:stack", "Value": "wire"}]
    ssm.put_parameter(Name="/wire/A", Value="secret ü $x", Type="SecureString", Tags=tags)
    assert ssm.get_parameter(Name="/wire/A", WithDecryption=True)["Parameter"]["Value"] == "secret ü $x"
    assert ssm.get_parameter(Name="/wire/A")["Parameter"]["Value"] != "secret ü $x"
    assert refused(ssm.put_parameter, Name="/wire/A", Value="2", Type="SecureString") == ("ParameterAlreadyExists", 400)
    both = dict(Name="/wire/A", Value="2", Type="SecureString", Overwrite=True, Tags=tags)
    assert refused(ssm.put_parameter, **both)[0] == "ValidationException"
    assert ssm.put_parameter(Name="/wire/A", Value="2", Type="SecureString", Overwrite=True)["Version"] == 2
    changed = refused(ssm.put_parameter, Name="/wire/A", Value="2", Type="String", Overwrite=True)
    assert changed[0] == "HierarchyTypeMismatchException"
    for wrong in ["{{x}}", "x" * 4097]:
        assert refused(ssm.put_parameter, Name="/wire/B", Value=wrong, Type="String")[0] == "ValidationException"
    assert refused(ssm.get_parameter, Name="/wire/none") == ("ParameterNotFound", 400)
    got = ssm.get_parameters(Names=["/wire/A", "/wire/none"])
    assert [p["Name"] for p in got["Parameters"]] == ["/wire/A"] and got["InvalidParameters"] == ["/wire/none"]
    ssm.add_tags_to_resource(ResourceType="Parameter", ResourceId="/wire/A", Tags=[{"Key": "k", "Value": "v"}])
    assert len(ssm.list_tags_for_resource(ResourceType="Parameter", ResourceId="/wire/A")["TagList"]) == 2
    ssm.remove_tags_from_resource(ResourceType="Parameter", ResourceId="/wire/A", TagKeys=["k"])
    by_tag = ssm.describe_parameters(ParameterFilters=[{"Key": "tag:spotctl:stack", "Values": ["wire"]}])
    assert [p["Name"] for p in by_tag["Parameters"]] == ["/wire/A"]
    ssm.delete_parameter(Name="/wire/A")
    assert refused(ssm.delete_parameter, Name="/wire/A") == ("ParameterNotFound", 400)


def test_parameters_come_ten_a_page(ssm, cli):
    names = [f"/wire-page/P{index:02}" for index in range(23)]
    for name in names:
        ssm.put_parameter(Name=name, Value="v", Type="String")
    pages = list(ssm.get_paginator("get_parameters_by_path").paginate(Path="/wire-page"))
    assert [p["Name"] for page in pages for p in page["Parameters"]] == names
    assert max(len(page["Parameters"]) for page in pages) == 10
    listed = cli("ssm", "get-parameters-by-path", "--path", "/wire-page")
    assert len(listed["Parameters"]) == 23
    for start in range(0, 23, 10):
        assert ssm.delete_parameters(Names=names[start : start + 10] + [])["InvalidParameters"] == []


def test_quotas_have_defaults_and_grow_on_request(quotas, refused):
    applied = quotas.get_service_quota(ServiceCode="ec2", QuotaCode="L-3819A6DF")["Quota"]
    assert applied["Value"] == 64 and applied["QuotaName"] == "All G and VT Spot Instance Requests"
    never = refused(quotas.get_service_quota, ServiceCode="ec2", QuotaCode="L-7212CCBC")
    assert never == ("NoSuchResourceException", 400)
    assert quotas.get_aws_default_service_quota(ServiceCode="ec2", QuotaCode="L-7212CCBC")["Quota"]["Value"] == 0
    assert len(quotas.list_service_quotas(ServiceCode="ec2")["Quotas"]) >= 2
    # DL, which no other test launches: the wish is granted after a minute.
    wish = dict(ServiceCode="ec2", QuotaCode="L-85EED4F7", DesiredValue=192)
    request = quotas.request_service_quota_increase(**wish)["RequestedQuota"]
    assert request["Status"] == "PENDING"
    assert refused(quotas.request_service_quota_increase, **wish)[0] == "ResourceAlreadyExistsException"
    history = quotas.list_requested_service_quota_change_history_by_quota(ServiceCode="ec2", QuotaCode="L-85EED4F7")
    assert [r["Id"] for r in history["RequestedQuotas"]] == [request["Id"]]
    everything = quotas.list_requested_service_quota_change_history(ServiceCode="ec2")["RequestedQuotas"]
    assert request["Id"] in [row["Id"] for row in everything]
    assert quotas.list_aws_default_service_quotas(ServiceCode="ec2")["Quotas"]
    got = quotas.get_requested_service_quota_change(RequestId=request["Id"])
    assert got["RequestedQuota"]["DesiredValue"] == 192


def test_a_service_that_is_not_modelled_says_so():
    try:
        boto3.client("s3").list_buckets()
    except ClientError as error:
        assert "not part of this sandbox" in str(error)
    else:
        raise AssertionError("S3 is not modelled")
