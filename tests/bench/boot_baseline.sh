#!/bin/bash
# What people put into user data today; the yardstick of boot.py. The parameters' names come from the environment.
set -e
apt-get install -y -qq awscli docker.io >/dev/null
for name in $NAMES; do
  export "$name=$(aws ssm get-parameter --name "/spotctl/w/$name" --with-decryption --query Parameter.Value --output text)"
done
aws ecr get-login-password --region us-east-1 |
  docker login --username AWS --password-stdin 123456789012.dkr.ecr.us-east-1.amazonaws.com
docker pull "$IMAGE"
arguments=()
for name in $NAMES; do arguments+=(-e "$name=${!name}"); done
docker run -d --restart=always --gpus all "${arguments[@]}" "$IMAGE" /bin/sleep 1000
