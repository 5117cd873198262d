"""What prices and quotas are read from: requests that end otherwise than approved, the price list, regions, scores."""
import json

import boto3
from botocore.config import Config
from conftest import ONCE, until, weather

# P5, which no other test launches.
CODE = "L-C4BD4855"


def test_a_closed_case_says_nothing_of_the_value(quotas, refused):
    weather("quota-answer", "closed", "after", "1s")
    try:
        wish = dict(ServiceCode="ec2", QuotaCode=CODE, DesiredValue=192)
        change = quotas.request_service_quota_increase(**wish)["RequestedQuota"]
        status = lambda: quotas.get_requested_service_quota_change(RequestId=change["Id"])["RequestedQuota"]["Status"]
        until(lambda: status() == "CASE_CLOSED")
        never = refused(quotas.get_service_quota, ServiceCode="ec2", QuotaCode=CODE)
        assert never == ("NoSuchResourceException", 400)
        weather("quota-answer", "closed-granted", "after", "1s")
        change = quotas.request_service_quota_increase(**wish)["RequestedQuota"]
        until(lambda: status() == "CASE_CLOSED")
        assert quotas.get_service_quota(ServiceCode="ec2", QuotaCode=CODE)["Quota"]["Value"] == 192
    finally:
        weather("quota-answer", "approved")
