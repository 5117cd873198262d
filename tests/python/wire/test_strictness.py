"""Nothing is silently ignored, and nothing modelled is without a test here.

What the sandbox models is asked of the sandbox, over every operation that botocore knows, so that no list can fall behind.
"""
import json
from pathlib import Path

import boto3
import pytest
from botocore import UNSIGNED, xform_name
from botocore.config import Config
from botocore.exceptions import ClientError

ONCE = {"total_max_attempts": 1}
SERVICES = ("ec2", "ecr", "iam", "kms", "pricing", "service-quotas", "sqs", "ssm", "sts")
# What botocore cannot build without arguments, or never signs, does not reach a service; nothing modelled is like that.
NOT_SENT, NOT_SIGNED = "not sent", "MissingAuthenticationToken"
UNKNOWN_OPERATION = {"InvalidAction", "UnknownOperationException", NOT_SENT, NOT_SIGNED}
UNKNOWN_PARAMETER = {"UnknownParameter", "ValidationError", "ValidationException"}


def code_of(operation):
    """The error code of a bare call, or nothing when it is answered."""
    try:
        operation()
    except ClientError as error:
        return error.response["Error"]["Code"]
    except TypeError:
        return NOT_SENT
    return None


def bare(service):
    """A client that sends whatever it is given."""
    return boto3.client(service, config=Config(parameter_validation=False, retries=ONCE))


@pytest.fixture(scope="module", params=SERVICES)
def modelled(request):
    """A service, and what becomes of a bare call of each operation that it models."""
    client = bare(request.param)
    codes = {name: code_of(getattr(client, name)) for name in client.meta.method_to_api_mapping}
    return request.param, {name: code for name, code in codes.items() if code not in UNKNOWN_OPERATION}


def test_every_operation_that_is_modelled_is_called_here(modelled):
    service, operations = modelled
    sources = "".join(path.read_text() for path in Path(__file__).parent.glob("*.py"))
    uncalled = [name for name in operations if f".{name}" not in sources and f'"{name}"' not in sources]
    assert operations and uncalled == [], service


def test_a_parameter_that_is_not_known_is_refused_where_a_bare_call_is_answered(modelled):
    service, operations = modelled
    client = bare(service)

    def colour(params, **_):
        if isinstance(params["body"], dict):
            params["body"]["Colour"] = "red"
        else:
            params["body"] = json.dumps(json.loads(params["body"]) | {"Colour": "red"}).encode()

    client.meta.events.register(f"before-call.{service}", colour)
    answered = [name for name, code in operations.items() if code is None]
    codes = {name: code_of(getattr(client, name)) for name in answered}
    assert {name: code for name, code in codes.items() if code not in UNKNOWN_PARAMETER} == {}


@pytest.mark.parametrize("service", SERVICES)
def test_who_does_not_sign_is_told_so(service):
    client = boto3.client(service, config=Config(signature_version=UNSIGNED, parameter_validation=False, retries=ONCE))
    operations = {xform_name(name) for name in client.meta.service_model.operation_names}
    operation = next(name for name in sorted(operations) if name.startswith(("describe", "list", "get_caller")))
    assert code_of(getattr(client, operation)) == NOT_SIGNED


@pytest.mark.parametrize(("service", "operation"), [("dynamodb", "list_tables"), ("ecs", "list_clusters")])
def test_a_service_of_json_that_is_not_modelled_says_so(service, operation):
    assert code_of(getattr(bare(service), operation)) == "UnknownService"
