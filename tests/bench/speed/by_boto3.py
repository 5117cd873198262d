"""The worker by boto3, one call after the other, as AWS's own examples are; the yardstick of speed.py.

speed.py sets NAME and PARAMETERS and calls it with the job's name. It does what cli.sh does, call for call.
"""

import base64
import datetime
import json
import os
import sys

import boto3

NAME = os.environ["NAME"]
KEYS = [f"/{NAME}/KEY_{number}" for number in range(int(os.environ["PARAMETERS"]))]
TYPE = "g4dn.xlarge"
ZONE = "us-east-1a"
IMAGE = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
OURS = [
    {"Name": "tag:stack", "Values": [NAME]},
    {"Name": "instance-state-name", "Values": ["pending", "running", "stopping", "stopped"]},
]

ec2 = boto3.client("ec2")


def allow(action, **more):
    return json.dumps({"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": action, **more}]})


def workers():
    found = ec2.describe_instances(Filters=OURS)["Reservations"]
    return [instance for reservation in found for instance in reservation["Instances"]]


def launch():
    answer = ec2.run_instances(LaunchTemplate={"LaunchTemplateName": NAME}, MinCount=1, MaxCount=1)
    return answer["Instances"][0]["InstanceId"]


def cold():
    ssm, iam = boto3.client("ssm"), boto3.client("iam")
    vpc = ec2.describe_vpcs(Filters=[{"Name": "is-default", "Values": ["true"]}])["Vpcs"][0]["VpcId"]
    there = [{"Name": "vpc-id", "Values": [vpc]}, {"Name": "availability-zone", "Values": [ZONE]}]
    subnet = ec2.describe_subnets(Filters=there)["Subnets"][0]["SubnetId"]
    image = ssm.get_parameter(Name=IMAGE)["Parameter"]["Value"]
    group = ec2.create_security_group(GroupName=NAME, Description="outbound only", VpcId=vpc)["GroupId"]
    trust = allow("sts:AssumeRole", Principal={"Service": "ec2.amazonaws.com"})
    iam.create_role(RoleName=NAME, AssumeRolePolicyDocument=trust)
    reads = allow("ssm:GetParametersByPath", Resource=f"arn:aws:ssm:us-east-1:123456789012:parameter/{NAME}")
    iam.put_role_policy(RoleName=NAME, PolicyName="worker", PolicyDocument=reads)
    iam.create_instance_profile(InstanceProfileName=NAME)
    iam.add_role_to_instance_profile(InstanceProfileName=NAME, RoleName=NAME)
    iam.get_waiter("instance_profile_exists").wait(InstanceProfileName=NAME)
    for number, key in enumerate(KEYS):
        ssm.put_parameter(Name=key, Value=f"value-{number}", Type="SecureString")
    spot = {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
    interface = {"DeviceIndex": 0, "SubnetId": subnet, "Groups": [group], "AssociatePublicIpAddress": True}
    ec2.create_launch_template(LaunchTemplateName=NAME, LaunchTemplateData={
        "ImageId": image,
        "InstanceType": TYPE,
        "IamInstanceProfile": {"Name": NAME},
        "InstanceInitiatedShutdownBehavior": "terminate",
        "InstanceMarketOptions": {"MarketType": "spot", "SpotOptions": spot},
        "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
        "NetworkInterfaces": [interface],
        "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 75, "VolumeType": "gp3"}}],
        "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "stack", "Value": NAME}]}],
        "UserData": base64.b64encode(b"#!/bin/sh\ndocker run busybox\n").decode(),
    })
    ec2.describe_instances(InstanceIds=[launch()])


def again():
    ssm, iam = boto3.client("ssm"), boto3.client("iam")
    ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [NAME]}])
    iam.get_role(RoleName=NAME)
    iam.get_instance_profile(InstanceProfileName=NAME)
    pages = ssm.get_paginator("get_parameters_by_path").paginate(Path=f"/{NAME}", WithDecryption=True)
    list(pages)
    ec2.describe_launch_templates(LaunchTemplateNames=[NAME])
    if len(workers()) < 2:
        launch()


def bare():
    launch()


def status():
    types = [worker["InstanceType"] for worker in workers()]
    if types:
        now = datetime.datetime.now(datetime.timezone.utc)
        ec2.describe_spot_price_history(InstanceTypes=types, ProductDescriptions=["Linux/UNIX"], StartTime=now)


def down():
    ids = [worker["InstanceId"] for worker in workers()]
    if ids:
        ec2.terminate_instances(InstanceIds=ids)
    return ids


def destroy():
    ssm, iam = boto3.client("ssm"), boto3.client("iam")
    ids = down()
    if ids:
        ec2.get_waiter("instance_terminated").wait(InstanceIds=ids)
    ec2.delete_launch_template(LaunchTemplateName=NAME)
    iam.remove_role_from_instance_profile(InstanceProfileName=NAME, RoleName=NAME)
    iam.delete_instance_profile(InstanceProfileName=NAME)
    iam.delete_role_policy(RoleName=NAME, PolicyName="worker")
    iam.delete_role(RoleName=NAME)
    ssm.delete_parameters(Names=KEYS)
    found = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [NAME]}])
    ec2.delete_security_group(GroupId=found["SecurityGroups"][0]["GroupId"])


if __name__ == "__main__":
    {work.__name__: work for work in (cold, again, bare, status, down, destroy)}[sys.argv[1]]()
