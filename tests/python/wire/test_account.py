"""What a check of the account asks: what is allowed, what is encrypted with which key, where a bucket is."""
import json

import boto3
import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.exceptions import ClientError
from conftest import ONCE, weather

ACCOUNT = "123456789012"
SPOT_ROLE = f"arn:aws:iam::{ACCOUNT}:role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot"
KEY = f"arn:aws:kms:us-east-1:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef"


@pytest.fixture
def limited():
    """A user who may read and pass a role to EC2, and clients of his."""
    key = "AKIAWIREACCOUNT"
    passing = {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}
    policy = {
        "Version": "2012-10-17",
        "Statement": [
            {"Effect": "Allow", "Action": ["ec2:Describe*", "iam:GetRole"], "Resource": "*"},
            {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*", "Condition": passing},
            {"Sid": "Keep", "Effect": "Deny", "Action": "ec2:Delete*", "Resource": "*"},
        ],
    }
    weather("principal", key, json.dumps(policy))
    session = boto3.Session(aws_access_key_id=key, aws_secret_access_key="x")
    yield f"arn:aws:iam::{ACCOUNT}:user/{key}", lambda service: session.client(service, config=ONCE)
    weather("principal", key, "none")


def launch(image, **more):
    return dict(ImageId=image, InstanceType="g4dn.xlarge", MinCount=1, MaxCount=1, **more)


SPOT = {"InstanceMarketOptions": {"MarketType": "spot"}}


def test_a_refusal_is_decoded_where_that_is_allowed(limited, image):
    who, client = limited
    sts = boto3.client("sts", config=ONCE)
    for operation, arguments, action, explicit in [
        ("run_instances", launch(image, DryRun=True), "ec2:RunInstances", False),
        ("delete_vpc", dict(VpcId="vpc-00000000000000000"), "ec2:DeleteVpc", True),
    ]:
        with pytest.raises(ClientError) as caught:
            getattr(client("ec2"), operation)(**arguments)
        error = caught.value.response["Error"]
        assert error["Code"] == "UnauthorizedOperation"
        text = error["Message"].split("Encoded authorization failure message: ")[1]
        told = json.loads(sts.decode_authorization_message(EncodedMessage=text)["DecodedMessage"])
        assert (told["allowed"], told["explicitDeny"]) == (False, explicit)
        assert (told["context"]["action"], told["context"]["principal"]["arn"]) == (action, who)
        matched = [item["statementId"] for item in told["matchedStatements"]["items"]]
        assert matched == (["Keep"] if explicit else [])
        with pytest.raises(ClientError) as caught:
            client("sts").decode_authorization_message(EncodedMessage=text)
        assert caught.value.response["Error"]["Code"] == "AccessDenied"


def test_a_policy_is_simulated(iam, limited, refused):
    who, client = limited
    ask = dict(PolicySourceArn=who, ActionNames=["ec2:DescribeVpcs", "iam:PassRole", "ec2:DeleteVpc", "ssm:GetParameter"])
    results = iam.simulate_principal_policy(**ask)["EvaluationResults"]
    decisions = [(result["EvalActionName"], result["EvalDecision"]) for result in results]
    assert decisions == [
        ("ec2:DescribeVpcs", "allowed"),
        ("iam:PassRole", "implicitDeny"),
        ("ec2:DeleteVpc", "explicitDeny"),
        ("ssm:GetParameter", "implicitDeny"),
    ]
    assert results[1]["MissingContextValues"] == ["iam:PassedToService"]
    assert [matched["SourcePolicyType"] for matched in results[2]["MatchedStatements"]] == ["user"]
    to_ec2 = {"ContextKeyName": "iam:PassedToService", "ContextKeyValues": ["ec2.amazonaws.com"], "ContextKeyType": "string"}
    roles = [f"arn:aws:iam::{ACCOUNT}:role/a", f"arn:aws:iam::{ACCOUNT}:role/b"]
    one = dict(PolicySourceArn=who, ActionNames=["iam:PassRole"], ResourceArns=roles, ContextEntries=[to_ec2])
    pages = list(iam.get_paginator("simulate_principal_policy").paginate(**one, PaginationConfig={"PageSize": 1}))
    found = [result for page in pages for result in page["EvaluationResults"]]
    assert len(pages) == 2 and [result["EvalResourceName"] for result in found] == roles
    assert {result["EvalDecision"] for result in found} == {"allowed"}
    everything = dict(PolicySourceArn=f"arn:aws:iam::{ACCOUNT}:user/sandbox", ActionNames=["ec2:RunInstances"])
    assert iam.simulate_principal_policy(**everything)["EvaluationResults"][0]["EvalDecision"] == "allowed"
    for arn, code in [
        (f"arn:aws:sts::{ACCOUNT}:assumed-role/worker/i-1", "InvalidInput"),
        (f"arn:aws:iam::{ACCOUNT}:role/none", "NoSuchEntity"),
    ]:
        assert refused(iam.simulate_principal_policy, PolicySourceArn=arn, ActionNames=["a:B"])[0] == code
    assert refused(client("iam").simulate_principal_policy, **ask) == ("AccessDenied", 403)


def test_the_role_of_ec2_spot_comes_with_the_first_spot_launch_or_not(ec2, iam, limited, image, refused):
    _, client = limited
    assert iam.get_role(RoleName="AWSServiceRoleForEC2Spot")["Role"]["Arn"] == SPOT_ROLE
    weather("spot-role", "none")
    assert refused(iam.get_role, RoleName="AWSServiceRoleForEC2Spot") == ("NoSuchEntity", 404)
    key = "AKIAWIRESPOT"
    weather("principal", key, json.dumps({"Statement": {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"}}))
    may_not = boto3.client("ec2", aws_access_key_id=key, aws_secret_access_key="x", config=ONCE)
    code = refused(may_not.run_instances, **launch(image, **SPOT))[0]
    assert code == "AuthFailure.ServiceLinkedRoleCreationNotPermitted"
    weather("principal", key, "none")
    made = ec2.run_instances(**launch(image, **SPOT))["Instances"][0]["InstanceId"]
    assert iam.get_role(RoleName="AWSServiceRoleForEC2Spot")["Role"]["Path"] == "/aws-service-role/spot.amazonaws.com/"
    ec2.terminate_instances(InstanceIds=[made])


def test_a_dry_run_tells_leave_from_refusal_and_finds_what_is_wrong(ec2, limited, image, refused):
    _, client = limited
    dry = launch(image, DryRun=True, **SPOT)
    assert refused(ec2.run_instances, **dry) == ("DryRunOperation", 412)
    assert refused(client("ec2").run_instances, **dry) == ("UnauthorizedOperation", 403)
    wrong = dict(dry, IamInstanceProfile={"Name": "none"})
    assert refused(ec2.run_instances, **wrong) == ("InvalidParameterValue", 400)
    group = dict(GroupName="wire-dry", Description="d", DryRun=True)
    assert refused(ec2.create_security_group, **group) == ("DryRunOperation", 412)
    weather("free-plan", "on")
    assert refused(ec2.run_instances, **dry) == ("InvalidParameterCombination", 400)
    assert refused(ec2.run_instances, **dict(dry, InstanceType="t3.micro")) == ("DryRunOperation", 412)
    weather("free-plan", "off")
    free = ec2.describe_instance_types(Filters=[{"Name": "free-tier-eligible", "Values": ["true"]}])["InstanceTypes"]
    assert [kind["InstanceType"] for kind in free] == ["t3.micro"] and free[0]["FreeTierEligible"]


def test_the_key_of_new_volumes_and_its_grants_are_told(ec2, refused, cli):
    kms = boto3.client("kms", config=ONCE)
    assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == "alias/aws/ebs"
    assert kms.describe_key(KeyId="alias/aws/ebs")["KeyMetadata"]["KeyManager"] == "AWS"
    try:
        for word, count in [("granted", 1), ("ungranted", 0)]:
            weather("ebs-key", KEY, word)
            assert ec2.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is True
            assert ec2.get_ebs_default_kms_key_id()["KmsKeyId"] == KEY
            assert len(kms.list_grants(KeyId=KEY, GranteePrincipal=SPOT_ROLE)["Grants"]) == count
            pages = list(kms.get_paginator("list_grants").paginate(KeyId=KEY, PaginationConfig={"PageSize": 1}))
            assert len([grant for page in pages for grant in page["Grants"]]) == count + 1
        described = kms.describe_key(KeyId=KEY)["KeyMetadata"]
        assert (described["Arn"], described["KeyManager"], described["Enabled"]) == (KEY, "CUSTOMER", True)
        assert described["CreationDate"].year == 2025
        assert cli("kms", "describe-key", "--key-id", KEY)["KeyMetadata"]["KeyId"] == KEY.split("/")[1]
        there = boto3.client("ec2", region_name="eu-central-1")
        assert there.get_ebs_encryption_by_default()["EbsEncryptionByDefault"] is False
    finally:
        weather("ebs-key", "none")
    assert refused(kms.list_grants, KeyId=KEY) == ("NotFoundException", 400)


def test_a_buckets_region_is_told_to_anybody():
    weather("bucket", "wire-results", "eu-central-1")
    s3 = boto3.client("s3", config=Config(signature_version=UNSIGNED, s3={"addressing_style": "path"}, **{"retries": {"total_max_attempts": 1}}))

    def head(name):
        with pytest.raises(ClientError) as caught:
            s3.head_bucket(Bucket=name)
        answer = caught.value.response["ResponseMetadata"]
        return answer["HTTPStatusCode"], answer["HTTPHeaders"].get("x-amz-bucket-region")

    assert head("wire-results") == (403, "eu-central-1")
    assert head("wire-none") == (404, None)
    weather("no-bucket", "wire-results")
    assert head("wire-results") == (404, None)


def test_a_type_tells_its_memory_and_its_disks(ec2):
    wanted = [
        {"Name": "instance-type", "Values": ["g*"]},
        {"Name": "supported-usage-class", "Values": ["spot"]},
        {"Name": "processor-info.supported-architecture", "Values": ["x86_64"]},
        {"Name": "vcpu-info.default-vcpus", "Values": ["48"]},
        {"Name": "memory-info.size-in-mib", "Values": ["196608"]},
    ]
    kinds = {kind["InstanceType"]: kind for kind in ec2.describe_instance_types(Filters=wanted)["InstanceTypes"]}
    assert {"g4dn.12xlarge", "g5.12xlarge", "g6.12xlarge"} <= set(kinds)
    assert kinds["g6.12xlarge"]["MemoryInfo"]["SizeInMiB"] == 196608
    store = kinds["g6.12xlarge"]["InstanceStorageInfo"]
    assert store["Disks"] == [{"SizeInGB": 940, "Count": 4, "Type": "ssd"}]
    assert (store["TotalSizeInGB"], store["NvmeSupport"]) == (3760, "required")
