"""Prints the inbound rules of a security group."""
import json
import sys

import boto3

groups = boto3.client("ec2").describe_security_groups(Filters=[{"Name": "group-name", "Values": [sys.argv[1]]}])
print(json.dumps(groups["SecurityGroups"][0]["IpPermissions"]))
