"""Makes something that spotctl did not make: `group NAME`, `parameter NAME VALUE`, `queue NAME`, `private-vpc`, `queue NAME`; or removes
behind its back what it did: `no-template NAME`."""
import json
import sys

import boto3

ec2, ssm = boto3.client("ec2"), boto3.client("ssm")
kind, arguments = sys.argv[1], sys.argv[2:]
made = None
if kind == "group":
    made = ec2.create_security_group(GroupName=arguments[0], Description="somebody's")["GroupId"]
elif kind == "parameter":
    ssm.put_parameter(Name=arguments[0], Value=arguments[1], Type="SecureString")
elif kind == "queue":
    made = boto3.client("sqs").create_queue(QueueName=arguments[0])["QueueUrl"]
elif kind == "private-vpc":
    made = ec2.create_vpc(CidrBlock="10.0.0.0/16")["Vpc"]["VpcId"]
    ec2.create_subnet(VpcId=made, CidrBlock="10.0.0.0/24")
elif kind == "queue":
    made = boto3.client("sqs").create_queue(QueueName=arguments[0])["QueueUrl"]
elif kind == "no-template":
    ec2.delete_launch_template(LaunchTemplateName=arguments[0])
else:
    sys.exit(f"unknown kind {kind}")
print(json.dumps(made))
