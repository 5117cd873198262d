"""What prices and quotas are read from: requests that end otherwise than approved, the price list, regions, scores."""
import json

import boto3
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


def test_the_price_list_is_read_as_awss_is(refused):
    pricing = boto3.client("pricing", region_name="eu-central-1", config=ONCE)
    exact = {
        "regionCode": "ap-northeast-2",
        "operatingSystem": "Linux",
        "tenancy": "Shared",
        "preInstalledSw": "NA",
        "capacitystatus": "Used",
        "marketoption": "OnDemand",
    }
    filters = [{"Type": "TERM_MATCH", "Field": field, "Value": value} for field, value in exact.items()]
    named = {"Type": "ANY_OF", "Field": "instanceType", "Value": "g4dn.xlarge,g5.xlarge"}
    answer = pricing.get_products(ServiceCode="AmazonEC2", Filters=[*filters, named])
    rows = [json.loads(row) for row in answer["PriceList"]]
    assert {row["product"]["attributes"]["instanceType"] for row in rows} == {"g4dn.xlarge", "g5.xlarge"}
    for row in rows:
        (offer,) = row["terms"]["OnDemand"].values()
        (dimension,) = offer["priceDimensions"].values()
        assert dimension["unit"] == "Hrs" and float(dimension["pricePerUnit"]["USD"]) > 0
        assert offer["sku"] == row["product"]["sku"] and row["serviceCode"] == "AmazonEC2"
    pages = list(
        pricing.get_paginator("get_products").paginate(
            ServiceCode="AmazonEC2", Filters=filters, PaginationConfig={"PageSize": 20}
        )
    )
    skus = [json.loads(row)["product"]["sku"] for page in pages for row in page["PriceList"]]
    assert len(pages) > 2 and len(set(skus)) == len(skus) > 40
    assert "instanceType" in pricing.describe_services(ServiceCode="AmazonEC2")["Services"][0]["AttributeNames"]
    assert refused(pricing.get_products, ServiceCode="AmazonS3") == ("NotFoundException", 400)
    elsewhere = boto3.client("pricing", region_name="us-west-2", config=ONCE)
    assert refused(elsewhere.get_products, ServiceCode="AmazonEC2")[0] == "InvalidSignatureException"


def test_a_region_is_turned_off_and_more_are_turned_on(ec2, refused):
    status = lambda **more: {r["RegionName"]: r["OptInStatus"] for r in ec2.describe_regions(**more)["Regions"]}
    assert status(AllRegions=True)["eu-west-2"] == "not-opted-in" and len(status(AllRegions=True)) == 17
    assert "eu-west-2" not in status()
    off = lambda service: boto3.client(service, region_name="eu-west-2", config=ONCE)
    assert refused(off("ec2").describe_vpcs) == ("AuthFailure", 401)
    assert refused(off("ssm").describe_parameters) == ("UnrecognizedClientException", 403)
    assert refused(off("sts").get_caller_identity) == ("InvalidClientTokenId", 403)
    weather("regions", "17")
    try:
        assert len(status()) == 17 and status()["eu-west-2"] == "opted-in"
        assert off("ec2").describe_spot_price_history(InstanceTypes=["g4dn.xlarge"])["SpotPriceHistory"]
        zones = off("ec2").describe_availability_zones()["AvailabilityZones"]
        assert {zone["RegionName"] for zone in zones} == {"eu-west-2"} and len(zones) == 3
        weather("region", "eu-west-1", "off")
        assert status(RegionNames=["eu-west-1"]) == {"eu-west-1": "not-opted-in"}
    finally:
        weather("regions", "8")
    assert len(status()) == 8


def test_placement_scores_are_given_by_region_and_by_zone(ec2, refused):
    wish = dict(InstanceTypes=["g4dn.xlarge", "g5.xlarge", "g6.xlarge"], TargetCapacity=1)
    scores = ec2.get_spot_placement_scores(**wish)["SpotPlacementScores"]
    assert len(scores) == 8 and all(1 <= row["Score"] <= 10 and "AvailabilityZoneId" not in row for row in scores)
    narrow = dict(RegionNames=["us-east-1", "us-west-2"], SingleAvailabilityZone=True, TargetCapacityUnitType="units")
    pages = list(
        ec2.get_paginator("get_spot_placement_scores").paginate(**wish, **narrow, PaginationConfig={"PageSize": 10})
    )
    rows = [row for page in pages for row in page["SpotPlacementScores"]]
    zones = {(row["Region"], row["AvailabilityZoneId"]) for row in rows}
    assert ("us-east-1", "use1-az1") in zones and len(zones) == len(rows)
    few = ec2.get_spot_placement_scores(InstanceTypes=["g4dn.xlarge"], TargetCapacity=1)["SpotPlacementScores"]
    assert few and all(row["Score"] <= 3 for row in few)
    assert refused(ec2.get_spot_placement_scores, InstanceTypes=["g4dn.xlarge"], TargetCapacity=1, DryRun=True) == (
        "DryRunOperation",
        412,
    )
