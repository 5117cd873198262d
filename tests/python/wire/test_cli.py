"""The AWS CLI: each operation that reads, one that writes of each kind, and how it shows an error."""
import json

import pytest

READS = {
    "ec2": [
        "describe-vpcs",
        "describe-subnets",
        "describe-route-tables",
        "describe-internet-gateways",
        "describe-availability-zones",
        "describe-regions",
        "describe-security-groups",
        "describe-security-group-rules",
        "describe-launch-templates",
        "describe-images",
        "describe-instance-types",
        "describe-instance-type-offerings",
        "describe-spot-price-history --instance-types g4dn.xlarge --max-items 5",
        "describe-instances",
        "describe-instance-status",
        "describe-spot-instance-requests",
        "describe-volumes",
        "describe-network-interfaces",
        "describe-tags",
        "get-ebs-encryption-by-default",
        "get-ebs-default-kms-key-id",
    ],
    "iam": ["list-roles", "list-instance-profiles"],
    "ssm": ["describe-parameters", "get-parameters-by-path --path /none", "get-parameters --names /none"],
    "service-quotas": [
        "list-service-quotas --service-code ec2",
        "list-aws-default-service-quotas --service-code ec2",
        "list-requested-service-quota-change-history",
        "get-service-quota --service-code ec2 --quota-code L-3819A6DF",
    ],
    "sts": ["get-caller-identity"],
}


@pytest.mark.parametrize("service,command", [(s, c) for s, commands in READS.items() for c in commands])
def test_each_read_is_understood(cli, service, command):
    answer = cli(service, *command.split())
    assert isinstance(answer, dict) and answer, answer


def test_things_are_made_and_removed(cli):
    group = cli("ec2", "create-security-group", "--group-name", "cli", "--description", "d")["GroupId"]
    rule = json.dumps([{"IpProtocol": "tcp", "FromPort": 443, "ToPort": 443, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}])
    assert cli("ec2", "authorize-security-group-egress", "--group-id", group, "--ip-permissions", rule)["Return"]
    data = json.dumps({"InstanceType": "g4dn.xlarge"})
    template = cli("ec2", "create-launch-template", "--launch-template-name", "cli", "--launch-template-data", data)
    assert template["LaunchTemplate"]["LatestVersionNumber"] == 1
    versions = cli("ec2", "describe-launch-template-versions", "--launch-template-name", "cli")
    assert versions["LaunchTemplateVersions"][0]["LaunchTemplateData"] == {"InstanceType": "g4dn.xlarge"}
    assert cli("ssm", "put-parameter", "--name", "/cli/A", "--value", "v", "--type", "String")["Version"] == 1
    for arguments in [
        ("ec2", "delete-launch-template", "--launch-template-name", "cli"),
        ("ec2", "delete-security-group", "--group-id", group),
        ("ssm", "delete-parameter", "--name", "/cli/A"),
    ]:
        assert not isinstance(cli(*arguments), str)


def test_errors_are_shown_with_their_code(cli):
    for code, arguments in [
        ("InvalidGroup.NotFound", ("ec2", "delete-security-group", "--group-id", "sg-00000000000000000")),
        ("NoSuchEntity", ("iam", "get-role", "--role-name", "none")),
        ("ParameterNotFound", ("ssm", "get-parameter", "--name", "/none")),
        ("NoSuchResourceException", ("service-quotas", "get-service-quota", "--service-code", "ec2", "--quota-code", "L-7212CCBC")),
    ]:
        said = cli(*arguments)
        assert isinstance(said, str) and f"({code})" in said, said
