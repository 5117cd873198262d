"""Terminates the given instances."""
import json
import sys

import boto3

boto3.client("ec2").terminate_instances(InstanceIds=sys.argv[1:])
print(json.dumps(None))
