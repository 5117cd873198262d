"""What the wire tests share: clients, and the error code of a call that must fail."""
import json
import os
import subprocess
import time
import urllib.request

import boto3
import pytest
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = Config(retries={"total_max_attempts": 1})


@pytest.fixture(scope="session")
def ec2():
    return boto3.client("ec2", config=ONCE)


@pytest.fixture(scope="session")
def iam():
    return boto3.client("iam", config=ONCE)


@pytest.fixture(scope="session")
def ssm():
    return boto3.client("ssm", config=ONCE)


@pytest.fixture(scope="session")
def quotas():
    return boto3.client("service-quotas", config=ONCE)


@pytest.fixture(scope="session")
def sqs():
    return boto3.client("sqs", config=ONCE)


@pytest.fixture(scope="session")
def ecr():
    return boto3.client("ecr", config=ONCE)


@pytest.fixture
def refused():
    """Calls, and answers the error code and the HTTP status."""

    def call(operation, **arguments):
        with pytest.raises(ClientError) as caught:
            operation(**arguments)
        answer = caught.value.response
        assert answer["ResponseMetadata"]["RequestId"]
        return answer["Error"]["Code"], answer["ResponseMetadata"]["HTTPStatusCode"]

    return call


@pytest.fixture(scope="session")
def cli():
    def run(*arguments):
        output = subprocess.run(["aws", *arguments, "--output", "json"], capture_output=True, text=True)
        if output.returncode:
            return output.stderr
        return json.loads(output.stdout) if output.stdout.strip() else None

    return run


@pytest.fixture(scope="session")
def image(ssm):
    name = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
    return ssm.get_parameter(Name=name)["Parameter"]["Value"]


@pytest.fixture(scope="session")
def network(ec2):
    """The default VPC and its subnets by zone."""
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    subnets = ec2.describe_subnets(Filters=[{"Name": "vpc-id", "Values": [vpc]}])["Subnets"]
    return vpc, {subnet["AvailabilityZone"]: subnet["SubnetId"] for subnet in subnets}


def weather(*words):
    """`sandbox set`, by the sandbox's own door."""
    body = "\n".join(words).encode()
    request = urllib.request.Request(os.environ["AWS_ENDPOINT_URL"] + "/_sandbox/set", data=body, method="POST")
    with urllib.request.urlopen(request) as answer:
        assert answer.status == 200


def until(look, seconds=20):
    """Looks until it is true; the sandbox's clock is the wall's."""
    end = time.time() + seconds
    while not look():
        assert time.time() < end
        time.sleep(0.2)
