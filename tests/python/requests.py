"""Prints the instances of the Spot requests that are active."""
import json

import boto3

answer = boto3.client("ec2").describe_spot_instance_requests(
    Filters=[{"Name": "state", "Values": ["active"]}]
)
print(json.dumps([r["InstanceId"] for r in answer["SpotInstanceRequests"]]))
