"""Prints the instances in the given states as JSON."""
import json
import sys

import boto3

ec2 = boto3.client("ec2")
states = sys.argv[1:] or ["pending", "running", "shutting-down", "terminated"]
pages = ec2.get_paginator("describe_instances").paginate(
    Filters=[{"Name": "instance-state-name", "Values": states}]
)
found = [i for page in pages for r in page["Reservations"] for i in r["Instances"]]
print(json.dumps(found, default=str))
