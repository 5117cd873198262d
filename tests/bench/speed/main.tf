# The worker by Terraform; the yardstick of speed.py, which hands over the variables. `terraform init` is not counted.
terraform {
  required_providers { aws = { source = "hashicorp/aws" } }
}
variable "name" { type = string }
variable "endpoint" { type = string }
variable "workers" { type = number }
variable "parameters" { type = number }

provider "aws" {
  region                  = "us-east-1"
  access_key              = "test"
  secret_key              = "test"
  skip_metadata_api_check = true
  skip_region_validation  = true
  endpoints {
    ec2 = var.endpoint
    iam = var.endpoint
    ssm = var.endpoint
    sts = var.endpoint
  }
}

data "aws_subnet" "one" {
  default_for_az    = true
  availability_zone = "us-east-1a"
}
data "aws_ssm_parameter" "image" {
  name = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id"
}

resource "aws_security_group" "worker" {
  name        = var.name
  description = "outbound only"
  vpc_id      = data.aws_subnet.one.vpc_id
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}

resource "aws_iam_role" "worker" {
  name = var.name
  assume_role_policy = jsonencode({
    Version   = "2012-10-17"
    Statement = [{ Effect = "Allow", Action = "sts:AssumeRole", Principal = { Service = "ec2.amazonaws.com" } }]
  })
}

resource "aws_iam_role_policy" "worker" {
  name = "worker"
  role = aws_iam_role.worker.name
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Effect   = "Allow", Action = ["ssm:GetParametersByPath"],
      Resource = "arn:aws:ssm:us-east-1:123456789012:parameter/${var.name}"
    }]
  })
}

resource "aws_iam_instance_profile" "worker" {
  name = var.name
  role = aws_iam_role.worker.name
}

resource "aws_ssm_parameter" "value" {
  count = var.parameters
  name  = "/${var.name}/KEY_${count.index}"
  type  = "SecureString"
  value = "value-${count.index}"
}

resource "aws_launch_template" "worker" {
  name                                 = var.name
  image_id                             = data.aws_ssm_parameter.image.value
  instance_type                        = "g4dn.xlarge"
  instance_initiated_shutdown_behavior = "terminate"
  update_default_version               = true
  iam_instance_profile { name = aws_iam_instance_profile.worker.name }
  instance_market_options {
    market_type = "spot"
    spot_options {
      spot_instance_type             = "one-time"
      instance_interruption_behavior = "terminate"
    }
  }
  metadata_options {
    http_tokens                 = "required"
    http_put_response_hop_limit = 2
  }
  vpc_security_group_ids = [aws_security_group.worker.id]
  block_device_mappings {
    device_name = "/dev/sda1"
    ebs {
      volume_size = 75
      volume_type = "gp3"
    }
  }
  user_data = base64encode("#!/bin/sh\ndocker run busybox\n")
}

resource "aws_instance" "worker" {
  count     = var.workers
  subnet_id = data.aws_subnet.one.id
  launch_template {
    id      = aws_launch_template.worker.id
    version = aws_launch_template.worker.latest_version
  }
  tags       = { Name = var.name }
  depends_on = [aws_iam_role_policy.worker, aws_ssm_parameter.value]
}
