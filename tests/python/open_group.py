"""Opens port 22 of a security group to the world, as somebody in a hurry would."""
import json
import sys

import boto3

ec2 = boto3.client("ec2")
group = ec2.describe_security_groups(Filters=[{"Name": "group-name", "Values": [sys.argv[1]]}])["SecurityGroups"][0]
rule = {"IpProtocol": "tcp", "FromPort": 22, "ToPort": 22, "IpRanges": [{"CidrIp": "0.0.0.0/0"}]}
ec2.authorize_security_group_ingress(GroupId=group["GroupId"], IpPermissions=[rule])
print(json.dumps(None))
