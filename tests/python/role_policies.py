"""Prints the inline policies of a role; `make` makes it first."""
import json
import sys

import boto3

iam = boto3.client("iam")
name, make = sys.argv[1], sys.argv[2:] == ["make"]
trust = {
    "Version": "2012-10-17",
    "Statement": [{"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}],
}
if make:
    iam.create_role(RoleName=name, AssumeRolePolicyDocument=json.dumps(trust))
print(json.dumps(iam.list_role_policies(RoleName=name)["PolicyNames"]))
