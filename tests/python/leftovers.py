"""Prints what the account holds beside what a fresh one has, as a list of texts."""
import json

import boto3

ec2, iam, ssm = boto3.client("ec2"), boto3.client("iam"), boto3.client("ssm")
live = ["pending", "running", "stopping", "stopped", "shutting-down"]
found = []
for reservation in ec2.describe_instances(Filters=[{"Name": "instance-state-name", "Values": live}])["Reservations"]:
    found += [f"instance {i['InstanceId']}" for i in reservation["Instances"]]
found += [f"group {g['GroupName']}" for g in ec2.describe_security_groups()["SecurityGroups"] if g["GroupName"] != "default"]
found += [f"template {t['LaunchTemplateName']}" for t in ec2.describe_launch_templates()["LaunchTemplates"]]
found += [
    f"request {r['SpotInstanceRequestId']} {r['State']}"
    for r in ec2.describe_spot_instance_requests()["SpotInstanceRequests"]
    if r["State"] in ("open", "active")
]
found += [f"role {r['RoleName']}" for r in iam.list_roles()["Roles"] if not r["Path"].startswith("/aws-service-role/")]
found += [f"profile {p['InstanceProfileName']}" for p in iam.list_instance_profiles()["InstanceProfiles"]]
for page in ssm.get_paginator("describe_parameters").paginate():
    found += [f"parameter {p['Name']}" for p in page["Parameters"] if not p["Name"].startswith("/aws/")]
print(json.dumps(found))
