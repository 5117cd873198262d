"""Tags a resource: `tag.py ID KEY VALUE …`. What a box does with its phase."""

import json
import sys

import boto3

resource, *words = sys.argv[1:]
tags = [{"Key": key, "Value": value} for key, value in zip(words[::2], words[1::2])]
boto3.client("ec2").create_tags(Resources=[resource], Tags=tags)
print(json.dumps(len(tags)))
