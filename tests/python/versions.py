"""Prints the versions of a launch template."""
import json
import sys

import boto3

answer = boto3.client("ec2").describe_launch_template_versions(LaunchTemplateName=sys.argv[1])
print(
    json.dumps(
        [
            {
                "number": v["VersionNumber"],
                "default": v["DefaultVersion"],
                "size": v["LaunchTemplateData"]["BlockDeviceMappings"][0]["Ebs"]["VolumeSize"],
            }
            for v in answer["LaunchTemplateVersions"]
        ]
    )
)
