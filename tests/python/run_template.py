"""Launches from a template by its name and nothing else, N times, as an API server would; prints the instances."""
import json
import sys

import boto3

ec2 = boto3.client("ec2")
name, times = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 1
found = []
for _ in range(times):
    answer = ec2.run_instances(LaunchTemplate={"LaunchTemplateName": name}, MinCount=1, MaxCount=1)
    found += answer["Instances"]
for instance in found:
    attribute = ec2.describe_instance_attribute(
        InstanceId=instance["InstanceId"], Attribute="instanceInitiatedShutdownBehavior"
    )
    instance["Shutdown"] = attribute["InstanceInitiatedShutdownBehavior"]["Value"]
    data = ec2.describe_instance_attribute(InstanceId=instance["InstanceId"], Attribute="userData")
    instance["UserData"] = data["UserData"].get("Value", "")
    if "SpotInstanceRequestId" in instance:
        request = ec2.describe_spot_instance_requests(SpotInstanceRequestIds=[instance["SpotInstanceRequestId"]])
        instance["Request"] = request["SpotInstanceRequests"][0]
print(json.dumps(found, default=str))
