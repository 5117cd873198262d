"""Prints the id of an x86_64 image that the account knows."""
import json

import boto3

images = boto3.client("ec2").describe_images(
    Owners=["amazon"], Filters=[{"Name": "architecture", "Values": ["x86_64"]}]
)
print(json.dumps(images["Images"][0]["ImageId"]))
