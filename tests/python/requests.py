"""Prints the Spot requests that are open or active."""
import json

import boto3

answer = boto3.client("ec2").describe_spot_instance_requests(
    Filters=[{"Name": "state", "Values": ["open", "active"]}]
)
print(json.dumps([r["SpotInstanceRequestId"] for r in answer["SpotInstanceRequests"]]))
