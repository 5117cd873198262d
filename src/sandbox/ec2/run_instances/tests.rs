//! Launches against a small account: the default VPC of us-east-1, a quota of eight G vCPUs on Spot and on demand.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use super::super::asking::{IMAGE, REGION, START, ask_at, first};
use crate::sandbox::call::AwsError;
use crate::sandbox::call::Call;
use crate::sandbox::weather;
use crate::sandbox::wire::query::Query;
use crate::sandbox::world::World;

const SPOT: &str = "InstanceMarketOptions.MarketType=spot&InstanceType=g4dn.xlarge&MinCount=1&MaxCount=1";

struct Account {
    world: World,
    at: i64,
}

impl Account {
    fn new() -> Self {
        let mut account = Self { world: World::default(), at: START };
        for code in ["L-3819A6DF", "L-DB2E81BA"] {
            account.world.region(REGION).quotas.applied.insert(code.to_owned(), 8.0);
        }
        account
    }

    fn ask(&mut self, operation: &str, input: &str) -> Result<String, AwsError> {
        ask_at(&mut self.world, self.at, operation, input)
    }

    fn launch(&mut self, input: &str) -> Result<String, AwsError> {
        let image = if input.contains("ImageId=") { String::new() } else { format!("&ImageId={IMAGE}") };
        self.ask("RunInstances", &format!("{input}{image}")).map(|answer| first(&answer, "instanceId"))
    }

    fn refused(&mut self, input: &str) -> String {
        self.launch(input).map_or_else(|error| error.code, |id| format!("launched {id}"))
    }

    fn dry(&mut self, zone: &str) {
        let words: Vec<String> = ["dry", "g4dn.xlarge", zone].map(str::to_owned).to_vec();
        weather::set(&mut self.world, &words, Timestamp::from_second(START).unwrap()).unwrap();
    }

    fn subnet(&mut self, zone: &str) -> String {
        let answer =
            self.ask("DescribeSubnets", &format!("Filter.1.Name=availability-zone&Filter.1.Value.1={zone}")).unwrap();
        first(&answer, "subnetId")
    }

    fn state(&mut self, id: &str) -> String {
        let answer = self.ask("DescribeInstances", &format!("InstanceId.1={id}"));
        answer.map_or_else(|error| error.code, |answer| first(&answer, "name"))
    }
}

#[test]
fn the_same_token_and_parameters_give_the_same_instance_and_others_a_mismatch() {
    let mut account = Account::new();
    let one = account.launch(&format!("{SPOT}&ClientToken=t")).unwrap();
    account.at += 5;
    let again = account.ask("RunInstances", &format!("{SPOT}&ClientToken=t&ImageId={IMAGE}")).unwrap();
    assert_eq!((first(&again, "instanceId"), first(&again, "name")), (one.clone(), "running".to_owned()));
    assert_eq!(
        account.refused(&format!("{SPOT}&ClientToken=t&Monitoring.Enabled=true")),
        "IdempotentParameterMismatch"
    );
    assert_ne!(account.launch(&format!("{SPOT}&ClientToken=u")).unwrap(), one);
}

#[test]
fn a_token_whose_instance_has_ended_is_not_free_again_even_when_the_instance_is_forgotten() {
    let mut account = Account::new();
    let input = format!("{SPOT}&ClientToken=t");
    let id = account.launch(&input).unwrap();
    account.ask("TerminateInstances", &format!("InstanceId.1={id}")).unwrap();
    for later in [0, 10, 4000] {
        account.at += later;
        assert_eq!(account.refused(&input), "IdempotentInstanceTerminated", "{later} s later");
    }
}

#[test]
fn a_token_is_zonal_where_a_subnet_or_a_zone_is_given() {
    let mut account = Account::new();
    let (a, b) = (account.subnet("us-east-1a"), account.subnet("us-east-1b"));
    let one = account.launch(&format!("{SPOT}&ClientToken=t&SubnetId={a}")).unwrap();
    let other = account.launch(&format!("{SPOT}&ClientToken=t&SubnetId={b}")).unwrap();
    assert_ne!(one, other, "the same token in another zone launches anew");
    let by_zone = account.refused(&format!("{SPOT}&ClientToken=t&Placement.AvailabilityZone=us-east-1a"));
    assert_eq!(by_zone, "IdempotentParameterMismatch", "a zone and its subnet share a key");
    assert_eq!(account.launch(&format!("{SPOT}&ClientToken=t&SubnetId={a}")).unwrap(), one);
}

#[test]
fn a_token_without_a_place_holds_for_the_region() {
    let mut account = Account::new();
    let one = account.launch(&format!("{SPOT}&ClientToken=t")).unwrap();
    let zone = account.world.region(REGION).ec2.instances[&one].zone.clone();
    account.dry(&zone);
    assert_eq!(account.launch(&format!("{SPOT}&ClientToken=t")).unwrap(), one);
}

#[test]
fn a_token_has_at_most_64_ascii_characters_and_a_failed_launch_leaves_none() {
    let mut account = Account::new();
    let long = "t".repeat(65);
    assert_eq!(account.refused(&format!("{SPOT}&ClientToken={long}")), "InvalidParameterValue");
    assert_eq!(account.refused(&format!("{SPOT}&ClientToken=%C3%A9")), "InvalidParameterValue");
    let low = format!("{SPOT}&InstanceMarketOptions.SpotOptions.MaxPrice=0.001&ClientToken=t");
    assert_eq!(account.refused(&low), "SpotMaxPriceTooLow");
    account.launch(&format!("{SPOT}&ClientToken=t")).unwrap();
}

#[test]
fn every_part_of_a_launch_is_checked_with_aws_s_code() {
    let mut account = Account::new();
    let cases = [
        ("InstanceType=g4dn.xlarge", "MissingParameter"),
        ("InstanceType=g4dn.xlarge&MinCount=0&MaxCount=1", "InvalidParameterValue"),
        ("InstanceType=g4dn.xlarge&MinCount=2&MaxCount=1", "InvalidParameterValue"),
        ("InstanceType=g4dn.xlarge&MinCount=1&MaxCount=1&Colour=red", "UnknownParameter"),
        ("LaunchTemplate.LaunchTemplateId=lt-00000000000000000", "InvalidLaunchTemplateId.NotFound"),
        ("ImageId=ami-00000000", "InvalidAMIID.NotFound"),
        ("ImageId=ubuntu", "InvalidAMIID.Malformed"),
        ("ImageId=resolve:ssm:/none", "InvalidParameterValue"),
        ("InstanceType=g99.large", "InvalidParameterValue"),
        ("InstanceType=g5g.xlarge", "InvalidParameterValue"),
        ("SubnetId=subnet-00000000", "InvalidSubnetID.NotFound"),
        ("Placement.AvailabilityZone=us-east-1z", "InvalidParameterValue"),
        ("SecurityGroupId.1=sg-00000000", "InvalidGroup.NotFound"),
        ("IamInstanceProfile.Name=none", "InvalidParameterValue"),
        ("KeyName=mine", "InvalidKeyPair.NotFound"),
        (
            "BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeSize=30",
            "InvalidBlockDeviceMapping",
        ),
        ("TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=aws:x", "InvalidParameterValue"),
        (
            "MetadataOptions.InstanceMetadataTags=enabled&TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key=a/b",
            "InvalidParameterValue",
        ),
        (
            "TagSpecification.1.ResourceType=spot-instances-request&TagSpecification.1.Tag.1.Key=a",
            "InvalidParameterCombination",
        ),
        ("HibernationOptions.Configured=true", "UnsupportedHibernationConfiguration"),
        ("DisableApiStop=true&InstanceMarketOptions.MarketType=spot", "UnsupportedOperation"),
        ("DryRun=true", "DryRunOperation"),
        // What clients say at its default is no wish.
        ("HibernationOptions.Configured=false&Placement.AvailabilityZone=&DryRun=true", "DryRunOperation"),
        ("InstanceType=p4de.24xlarge&Placement.AvailabilityZone=us-east-1a", "Unsupported"),
        ("InstanceType=g4dn.4xlarge", "VcpuLimitExceeded"),
        ("InstanceType=g4dn.4xlarge&InstanceMarketOptions.MarketType=spot", "MaxSpotInstanceCountExceeded"),
    ];
    for (input, code) in cases {
        let mut full = input.to_owned();
        if !input.contains("InstanceType=") {
            full.push_str("&InstanceType=g4dn.xlarge");
        }
        if !input.contains("MinCount=") && input != "InstanceType=g4dn.xlarge" {
            full.push_str("&MinCount=1&MaxCount=1");
        }
        assert_eq!(account.refused(&full), code, "{input}");
    }
    assert!(account.world.region(REGION).ec2.instances.is_empty(), "nothing was launched");
    let error = account.launch(&format!("{SPOT}&IamInstanceProfile.Name=none")).unwrap_err();
    let expected = "Value (none) for parameter iamInstanceProfile.name is invalid. Invalid IAM Instance Profile name";
    assert_eq!(error.message, expected);
}

#[test]
fn a_launch_from_a_template_carries_all_that_the_template_says() {
    let mut account = Account::new();
    let (a, b) = (account.subnet("us-east-1a"), account.subnet("us-east-1b"));
    let said = [
        ("ImageId", IMAGE),
        ("InstanceType", "g4dn.xlarge"),
        ("UserData", "aGVsbG8="),
        ("InstanceInitiatedShutdownBehavior", "terminate"),
        ("InstanceMarketOptions.MarketType", "spot"),
        ("InstanceMarketOptions.SpotOptions.MaxPrice", "0.5"),
        ("MetadataOptions.HttpTokens", "required"),
        ("MetadataOptions.HttpPutResponseHopLimit", "2"),
        ("BlockDeviceMapping.1.DeviceName", "/dev/sda1"),
        ("BlockDeviceMapping.1.Ebs.VolumeSize", "100"),
        ("BlockDeviceMapping.1.Ebs.Encrypted", "true"),
        ("NetworkInterface.1.DeviceIndex", "0"),
        ("NetworkInterface.1.SubnetId", a.as_str()),
        ("NetworkInterface.1.AssociatePublicIpAddress", "false"),
        ("TagSpecification.1.ResourceType", "volume"),
        ("TagSpecification.1.Tag.1.Key", "Owner"),
    ];
    let data: String = said.map(|(name, value)| format!("&LaunchTemplateData.{name}={value}")).concat();
    account.ask("CreateLaunchTemplate", &format!("LaunchTemplateName=worker{data}")).unwrap();
    let launch = "LaunchTemplate.LaunchTemplateName=worker&MinCount=1&MaxCount=1";
    let refused = account.ask("RunInstances", &format!("{launch}&SubnetId={b}")).unwrap_err();
    assert_eq!(refused.code, "InvalidParameterCombination");

    let answer = account.ask("RunInstances", launch).unwrap();
    for part in [
        "<httpTokens>required</httpTokens><httpPutResponseHopLimit>2</httpPutResponseHopLimit>",
        "<instanceLifecycle>spot</instanceLifecycle>",
        "<key>aws:ec2launchtemplate:version</key><value>1</value>",
        &format!("<subnetId>{a}</subnetId>"),
    ] {
        assert!(answer.contains(part), "{part} in {answer}");
    }
    assert!(!answer.contains("<ipAddress>"), "{answer}");
    let id = first(&answer, "instanceId");
    for (attribute, value) in [("userData", "aGVsbG8="), ("instanceInitiatedShutdownBehavior", "terminate")] {
        let input = format!("InstanceId={id}&Attribute={attribute}");
        assert_eq!(first(&account.ask("DescribeInstanceAttribute", &input).unwrap(), "value"), value);
    }
    let volumes = account.ask("DescribeVolumes", "Filter.1.Name=tag-key&Filter.1.Value.1=Owner").unwrap();
    assert!(volumes.contains("<size>100</size>") && volumes.contains("<encrypted>true</encrypted>"), "{volumes}");
    let request = account.ask("DescribeSpotInstanceRequests", "").unwrap();
    assert_eq!(first(&request, "spotPrice"), "0.5");

    let elsewhere = format!("{launch}&NetworkInterface.1.DeviceIndex=0&NetworkInterface.1.SubnetId={b}");
    assert_eq!(first(&account.ask("RunInstances", &elsewhere).unwrap(), "availabilityZone"), "us-east-1b");
}

#[test]
fn spot_and_on_demand_have_quotas_apart_and_a_count_is_met_as_far_as_it_goes() {
    let mut account = Account::new();
    let answer =
        account.ask("RunInstances", &format!("{SPOT}&ImageId={IMAGE}").replace("MaxCount=1", "MaxCount=5")).unwrap();
    assert_eq!(answer.matches("<instanceId>").count(), 2, "eight vCPUs are two instances");
    assert_eq!(account.refused(SPOT), "MaxSpotInstanceCountExceeded");
    account.launch("InstanceType=g4dn.xlarge&MinCount=1&MaxCount=1").unwrap();
    account.launch("InstanceType=g4dn.xlarge&MinCount=1&MaxCount=1").unwrap();
    assert_eq!(account.refused("InstanceType=g4dn.xlarge&MinCount=1&MaxCount=1"), "VcpuLimitExceeded");
}

#[test]
fn a_dry_pool_answers_no_capacity_as_http_500_and_a_launch_without_a_zone_goes_elsewhere() {
    let mut account = Account::new();
    account.dry("us-east-1a");
    let error = account.launch(&format!("{SPOT}&Placement.AvailabilityZone=us-east-1a&ClientToken=t")).unwrap_err();
    assert_eq!((error.code.as_str(), error.status), ("InsufficientInstanceCapacity", 500));
    let id = account.launch(SPOT).unwrap();
    assert_ne!(account.world.region(REGION).ec2.instances[&id].zone, "us-east-1a");
    assert!(account.world.region(REGION).ec2.tokens.is_empty(), "a launch that fails leaves no token");
}

#[test]
fn a_new_profile_is_invalid_until_ec2_sees_it() {
    let mut account = Account::new();
    let trust = r#"{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}"#;
    for (operation, input) in [
        ("CreateRole", format!("RoleName=r&AssumeRolePolicyDocument={trust}")),
        ("CreateInstanceProfile", "InstanceProfileName=p".to_owned()),
        ("AddRoleToInstanceProfile", "InstanceProfileName=p&RoleName=r".to_owned()),
    ] {
        let now = Timestamp::from_second(START).unwrap();
        let operation = operation.to_owned();
        let mut call = Call { world: &mut account.world, region: REGION.to_owned(), now, operation };
        crate::sandbox::iam::handle(&mut call, &Query::parse(input.as_bytes())).unwrap();
    }
    account.world.weather.profile_delay = Duration::from_secs(10);
    let input = format!("{SPOT}&IamInstanceProfile.Name=p");
    assert_eq!(account.refused(&input), "InvalidParameterValue");
    account.at += 10;
    let answer = account.ask("RunInstances", &format!("{input}&ImageId={IMAGE}")).unwrap();
    assert_eq!(first(&answer, "arn"), "arn:aws:iam::123456789012:instance-profile/p");
}

#[test]
fn an_instance_lives_by_the_clock_and_is_forgotten_after_an_hour() {
    let mut account = Account::new();
    let id = account.launch(SPOT).unwrap();
    assert_eq!(account.state(&id), "pending");
    account.at += 2;
    assert_eq!(account.state(&id), "running");
    let answer = account.ask("TerminateInstances", &format!("InstanceId.1={id}")).unwrap();
    assert!(
        answer.contains("<currentState><code>32</code>") && answer.contains("<previousState><code>16</code>"),
        "{answer}"
    );
    account.at += 2;
    assert_eq!(account.state(&id), "terminated");
    let answer = account.ask("DescribeInstances", &format!("InstanceId.1={id}")).unwrap();
    assert_eq!(first(&answer, "reason"), "User initiated (2027-01-15 08:00:02 GMT)");
    assert!(answer.contains("Client.UserInitiatedShutdown") && !answer.contains("<ipAddress>"), "{answer}");
    let answer = account.ask("DescribeSpotInstanceRequests", "").unwrap();
    assert!(answer.contains("<state>closed</state>") && answer.contains("instance-terminated-by-user"), "{answer}");
    account.at += 3600;
    assert_eq!(account.state(&id), "InvalidInstanceID.NotFound");
    assert!(!account.ask("DescribeInstances", "").unwrap().contains(&id));
}

#[test]
fn an_interruption_gives_two_minutes_and_then_ends_the_instance_and_its_request() {
    let mut account = Account::new();
    let id = account.launch(SPOT).unwrap();
    account.at += 60;
    account.world.region(REGION).ec2.instances.get_mut(&id).unwrap().interrupted_at = Some(account.at);
    assert_eq!(account.state(&id), "running");
    let marked = account.ask("DescribeSpotInstanceRequests", "").unwrap();
    assert!(marked.contains("marked-for-termination") && marked.contains("<state>active</state>"), "{marked}");
    account.at += 122;
    let answer = account.ask("DescribeInstances", "").unwrap();
    assert!(answer.contains("Server.SpotInstanceTermination") && answer.contains("terminated"), "{answer}");
    let closed = account.ask("DescribeSpotInstanceRequests", "").unwrap();
    assert!(closed.contains("instance-terminated-no-capacity") && closed.contains("<state>closed</state>"), "{closed}");
    assert_eq!(account.launch(SPOT).map(|_| ()), Ok(()), "the quota is free again");
}

#[test]
fn a_thousand_instances_have_addresses_of_their_own() {
    let mut account = Account::new();
    account.world.region(REGION).quotas.applied.insert("L-3819A6DF".to_owned(), 8000.0);
    for _ in 0..2 {
        let many = SPOT.replace("Count=1", "Count=1000");
        account.launch(&format!("{many}&Placement.AvailabilityZone=us-east-1a")).unwrap();
    }
    let instances = &account.world.regions[REGION].ec2.instances;
    let private: BTreeSet<&String> = instances.values().map(|instance| &instance.private_ip).collect();
    let public: BTreeSet<&String> = instances.values().filter_map(|instance| instance.public_ip.as_ref()).collect();
    assert_eq!((instances.len(), private.len(), public.len()), (2000, 2000, 2000));
}

#[test]
fn who_asks_when_nothing_fell_due_touches_nothing() {
    let mut account = Account::new();
    let id = account.launch(SPOT).unwrap();
    let ended = account.launch(SPOT).unwrap();
    account.ask("TerminateInstances", &format!("InstanceId.1={ended}")).unwrap();
    account.at += 60;
    let before = account.world.clone();
    for operation in ["DescribeInstances", "DescribeVolumes", "DescribeSpotInstanceRequests", "DescribeSubnets"] {
        account.ask(operation, "").unwrap();
    }
    let (old, new) = (&before.regions[REGION].ec2, &account.world.regions[REGION].ec2);
    let is_untouched = [
        new.instances.is_untouched(&old.instances),
        new.spot_requests.is_untouched(&old.spot_requests),
        new.tags.is_untouched(&old.tags),
    ];
    assert_eq!((is_untouched, account.state(&id).as_str()), ([true; 3], "running"));
}

#[test]
fn with_one_wrong_id_nothing_is_terminated() {
    let mut account = Account::new();
    let id = account.launch(SPOT).unwrap();
    for (wrong, code) in
        [("i-00000000000000000", "InvalidInstanceID.NotFound"), ("worker", "InvalidInstanceID.Malformed")]
    {
        let error = account.ask("TerminateInstances", &format!("InstanceId.1={id}&InstanceId.2={wrong}")).unwrap_err();
        assert_eq!(error.code, code);
        assert_eq!(account.state(&id), "pending");
    }
}

#[test]
fn a_new_instance_is_not_found_until_it_is_visible() {
    let mut account = Account::new();
    account.world.weather.visibility = Duration::from_secs(5);
    let id = account.launch(SPOT).unwrap();
    assert_eq!(account.state(&id), "InvalidInstanceID.NotFound");
    account.at += 5;
    assert_eq!(account.state(&id), "running");
}

#[test]
fn tags_land_on_what_they_were_meant_for() {
    let mut account = Account::new();
    let kinds = ["instance", "volume", "network-interface", "spot-instances-request"];
    let tags: Vec<String> = kinds
        .iter()
        .enumerate()
        .map(|(n, kind)| {
            let at = format!("TagSpecification.{}", n + 1);
            format!("{at}.ResourceType={kind}&{at}.Tag.1.Key=k&{at}.Tag.1.Value={kind}")
        })
        .collect();
    account.launch(&format!("{SPOT}&{}", tags.join("&"))).unwrap();
    let answer = account.ask("DescribeTags", "Filter.1.Name=key&Filter.1.Value.1=k").unwrap();
    for kind in kinds {
        assert!(
            answer.contains(&format!("<resourceType>{kind}</resourceType><key>k</key><value>{kind}</value>")),
            "{answer}"
        );
    }
    for operation in
        ["DescribeInstances", "DescribeVolumes", "DescribeNetworkInterfaces", "DescribeSpotInstanceRequests"]
    {
        let found = account.ask(operation, "Filter.1.Name=tag:k&Filter.1.Value.1=*").unwrap();
        assert!(found.contains("<key>k</key>"), "{operation}: {found}");
        let none = account.ask(operation, "Filter.1.Name=tag:k&Filter.1.Value.1=other").unwrap();
        assert!(!none.contains("<key>k</key>"), "{operation}: {none}");
    }
}

#[test]
fn tags_of_every_kind_of_object_are_checked_before_any_is_set() {
    let mut account = Account::new();
    let id = account.launch(&format!("{SPOT}&MetadataOptions.InstanceMetadataTags=enabled")).unwrap();
    let many = (1..=51).map(|n| format!("Tag.{n}.Key=k{n}")).collect::<Vec<_>>().join("&");
    let cases = [
        ("Tag.1.Key=a".to_owned(), "MissingParameter"),
        (format!("ResourceId.1={id}"), "MissingParameter"),
        (format!("ResourceId.1={id}&Tag.1.Key=AWS:a"), "InvalidParameterValue"),
        (format!("ResourceId.1={id}&Tag.1.Key=a b"), "InvalidParameterValue"),
        (format!("ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value={}", "x".repeat(257)), "InvalidParameterValue"),
        (format!("ResourceId.1={id}&{many}"), "TagLimitExceeded"),
        (format!("ResourceId.1={id}&ResourceId.2=i-00000000&Tag.1.Key=a"), "InvalidInstanceID.NotFound"),
        ("ResourceId.1=vol-00000000&Tag.1.Key=a".to_owned(), "InvalidVolume.NotFound"),
        ("ResourceId.1=sg-00000000&Tag.1.Key=a".to_owned(), "InvalidGroup.NotFound"),
        ("ResourceId.1=lt-00000000&Tag.1.Key=a".to_owned(), "InvalidLaunchTemplateId.NotFound"),
        ("ResourceId.1=sir-00000000&Tag.1.Key=a".to_owned(), "InvalidSpotInstanceRequestID.NotFound"),
        ("ResourceId.1=nonsense&Tag.1.Key=a".to_owned(), "InvalidID"),
    ];
    for (input, code) in cases {
        assert_eq!(account.ask("CreateTags", &input).unwrap_err().code, code, "{input}");
    }
    let mine = format!("Filter.1.Name=resource-id&Filter.1.Value.1={id}");
    assert!(!account.ask("DescribeTags", &mine).unwrap().contains("<key>"), "none was set");
    account
        .ask("CreateTags", &format!("ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value=1&Tag.2.Key=b&Tag.2.Value=2"))
        .unwrap();
    account.ask("DeleteTags", &format!("ResourceId.1={id}&Tag.1.Key=a&Tag.1.Value=other&Tag.2.Key=b")).unwrap();
    let left = account.ask("DescribeTags", &mine).unwrap();
    assert!(left.contains("<key>a</key><value>1</value>") && !left.contains("<key>b</key>"), "{left}");
}

#[test]
fn cancelling_a_spot_request_leaves_its_instance_running() {
    let mut account = Account::new();
    let id = account.launch(SPOT).unwrap();
    let request = first(&account.ask("DescribeSpotInstanceRequests", "").unwrap(), "spotInstanceRequestId");
    let answer = account.ask("CancelSpotInstanceRequests", &format!("SpotInstanceRequestId.1={request}")).unwrap();
    assert_eq!(first(&answer, "state"), "cancelled");
    let told = account.ask("DescribeSpotInstanceRequests", &format!("SpotInstanceRequestId.1={request}")).unwrap();
    assert!(told.contains("request-canceled-and-instance-running"), "{told}");
    account.at += 5;
    assert_eq!(account.state(&id), "running");
}

#[test]
fn a_volume_that_was_told_to_stay_outlives_its_instance() {
    let mut account = Account::new();
    let volume = "BlockDeviceMapping.1.DeviceName=/dev/sdb&BlockDeviceMapping.1.Ebs.VolumeSize=10";
    let id = account.launch(&format!("{SPOT}&{volume}&BlockDeviceMapping.1.Ebs.DeleteOnTermination=false")).unwrap();
    assert_eq!(account.ask("DescribeVolumes", "").unwrap().matches("<status>in-use</status>").count(), 2);
    account.ask("TerminateInstances", &format!("InstanceId.1={id}")).unwrap();
    for later in [10, 4000] {
        account.at += later;
        let left = account.ask("DescribeVolumes", "").unwrap();
        assert_eq!(left.matches("<status>available</status>").count(), 1, "{later} s later: {left}");
    }
    let left = first(&account.ask("DescribeVolumes", "").unwrap(), "volumeId");
    account.ask("DeleteVolume", &format!("VolumeId={left}")).unwrap();
    assert!(!account.ask("DescribeVolumes", "").unwrap().contains("volumeId"));
}
