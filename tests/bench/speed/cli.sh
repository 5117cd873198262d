#!/bin/bash
# The worker by the AWS CLI, as people write it; the yardstick of speed.py, which sets NAME and PARAMETERS and calls it
# with the job's name. It takes a fixed type in a fixed zone, compares no prices, looks at no quota, knows no fallback.
set -euo pipefail
TYPE=g4dn.xlarge
ZONE=us-east-1a
IMAGE=/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id
LIVE=Name=instance-state-name,Values=pending,running,stopping,stopped

workers() {
  aws ec2 describe-instances --filters "Name=tag:stack,Values=$NAME" "$LIVE" \
    --query 'Reservations[].Instances[].InstanceId' --output text
}

launch() {
  aws ec2 run-instances --launch-template "LaunchTemplateName=$NAME" --count 1 \
    --query 'Instances[0].InstanceId' --output text
}

template() {
  cat <<JSON
{
  "ImageId": "$1", "InstanceType": "$TYPE",
  "IamInstanceProfile": {"Name": "$NAME"},
  "InstanceInitiatedShutdownBehavior": "terminate",
  "InstanceMarketOptions": {
    "MarketType": "spot",
    "SpotOptions": {"SpotInstanceType": "one-time", "InstanceInterruptionBehavior": "terminate"}
  },
  "MetadataOptions": {"HttpTokens": "required", "HttpPutResponseHopLimit": 2},
  "NetworkInterfaces": [
    {"DeviceIndex": 0, "SubnetId": "$2", "Groups": ["$3"], "AssociatePublicIpAddress": true}
  ],
  "BlockDeviceMappings": [{"DeviceName": "/dev/sda1", "Ebs": {"VolumeSize": 75, "VolumeType": "gp3"}}],
  "TagSpecifications": [{"ResourceType": "instance", "Tags": [{"Key": "stack", "Value": "$NAME"}]}],
  "UserData": "$(printf '#!/bin/sh\ndocker run busybox\n' | base64 -w0)"
}
JSON
}

# Nothing is there yet, and nothing is looked for.
cold() {
  local vpc subnet image group id trust policy
  vpc=$(aws ec2 describe-vpcs --filters Name=is-default,Values=true --query 'Vpcs[0].VpcId' --output text)
  subnet=$(aws ec2 describe-subnets --filters "Name=vpc-id,Values=$vpc" "Name=availability-zone,Values=$ZONE" \
    --query 'Subnets[0].SubnetId' --output text)
  image=$(aws ssm get-parameter --name "$IMAGE" --query Parameter.Value --output text)
  # EC2 gives a new group its outbound rule to everywhere by itself.
  group=$(aws ec2 create-security-group --group-name "$NAME" --description "outbound only" --vpc-id "$vpc" \
    --query GroupId --output text)
  trust='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "sts:AssumeRole",
    "Principal": {"Service": "ec2.amazonaws.com"}}]}'
  policy='{"Version": "2012-10-17", "Statement": [{"Effect": "Allow", "Action": "ssm:GetParametersByPath",
    "Resource": "arn:aws:ssm:us-east-1:123456789012:parameter/'$NAME'"}]}'
  aws iam create-role --role-name "$NAME" --assume-role-policy-document "$trust"
  aws iam put-role-policy --role-name "$NAME" --policy-name worker --policy-document "$policy"
  aws iam create-instance-profile --instance-profile-name "$NAME"
  aws iam add-role-to-instance-profile --instance-profile-name "$NAME" --role-name "$NAME"
  aws iam wait instance-profile-exists --instance-profile-name "$NAME"
  for ((number = 0; number < PARAMETERS; number++)); do
    aws ssm put-parameter --name "/$NAME/KEY_$number" --value "value-$number" --type SecureString
  done
  aws ec2 create-launch-template --launch-template-name "$NAME" \
    --launch-template-data "$(template "$image" "$subnet" "$group")"
  # People sleep ten seconds here, until EC2 knows the profile. That is the weather's, and not counted.
  id=$(launch)
  aws ec2 describe-instances --instance-ids "$id"
}

# The script of those who run it again: it looks whether each thing is there (and would make what is missing).
again() {
  aws ec2 describe-security-groups --filters "Name=group-name,Values=$NAME" --query 'SecurityGroups[0].GroupId'
  aws iam get-role --role-name "$NAME"
  aws iam get-instance-profile --instance-profile-name "$NAME"
  aws ssm get-parameters-by-path --path "/$NAME" --with-decryption
  aws ec2 describe-launch-templates --launch-template-names "$NAME"
  # shellcheck disable=SC2046 # ids hold no spaces
  set -- $(workers)
  if (($# < 2)); then launch; fi
}

# The least there is: it does not look, so a second run of it is a second worker.
bare() {
  launch
}

status() {
  local types
  types=$(aws ec2 describe-instances --filters "Name=tag:stack,Values=$NAME" "$LIVE" \
    --query 'Reservations[].Instances[].InstanceType' --output text)
  if [ -n "$types" ]; then
    # shellcheck disable=SC2086 # types hold no spaces
    aws ec2 describe-spot-price-history --instance-types $types --product-descriptions Linux/UNIX \
      --start-time "$(date -u +%FT%TZ)"
  fi
}

down() {
  # shellcheck disable=SC2046
  set -- $(workers)
  if (($# > 0)); then aws ec2 terminate-instances --instance-ids "$@"; fi
}

destroy() {
  # shellcheck disable=SC2046
  set -- $(workers)
  if (($# > 0)); then
    aws ec2 terminate-instances --instance-ids "$@"
    aws ec2 wait instance-terminated --instance-ids "$@"
  fi
  aws ec2 delete-launch-template --launch-template-name "$NAME"
  aws iam remove-role-from-instance-profile --instance-profile-name "$NAME" --role-name "$NAME"
  aws iam delete-instance-profile --instance-profile-name "$NAME"
  aws iam delete-role-policy --role-name "$NAME" --policy-name worker
  aws iam delete-role --role-name "$NAME"
  local names=()
  for ((number = 0; number < PARAMETERS; number++)); do names+=("/$NAME/KEY_$number"); done
  aws ssm delete-parameters --names "${names[@]}"
  local group
  group=$(aws ec2 describe-security-groups --filters "Name=group-name,Values=$NAME" \
    --query 'SecurityGroups[0].GroupId' --output text)
  aws ec2 delete-security-group --group-id "$group"
}

"$1"
