//! Templates and launches read, checked, merged and written back.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::*;

fn template(input: &str) -> Result<LaunchData, AwsError> {
    let query = Query::parse(input.as_bytes());
    let data = parse_template(&query)?;
    assert_eq!(query.unread(), None, "{input}");
    validate(&data).map(|()| data)
}

fn code(input: &str) -> String {
    template(input).map_or_else(|error| error.code, |_| "fine".to_owned())
}

#[test]
fn user_data_ends_at_16384_bytes_and_each_operation_has_its_code_for_more() {
    let of = |bytes: usize| format!("UserData={}", STANDARD.encode(vec![b'x'; bytes]).replace('+', "%2B"));
    let launch = |input: &str| parse_run(&Query::parse(input.as_bytes())).map_err(|error| error.code);
    assert!(launch(&of(16_384)).is_ok() && template(&of(16_384)).is_ok());
    assert_eq!(launch(&of(16_385)), Err("InvalidParameterValue".to_owned()));
    assert_eq!(code(&of(16_385)), "InvalidUserData.Malformed");
    assert_eq!(code("UserData=%"), "InvalidUserData.Malformed");
}

#[test]
fn what_is_wrong_in_itself_is_refused_in_a_template() {
    let tag = |key: &str| format!("TagSpecification.1.ResourceType=instance&TagSpecification.1.Tag.1.Key={key}");
    let many: Vec<String> = (1..=51).map(|n| format!("TagSpecification.1.Tag.{n}.Key=k{n}")).collect();
    let spot = "InstanceMarketOptions.MarketType=spot&InstanceMarketOptions.SpotOptions";
    for (input, expected) in [
        ("MetadataOptions.HttpPutResponseHopLimit=64".to_owned(), "fine"),
        ("MetadataOptions.HttpPutResponseHopLimit=65".to_owned(), "InvalidParameterValue"),
        ("MetadataOptions.HttpTokens=maybe".to_owned(), "InvalidParameterValue"),
        ("InstanceInitiatedShutdownBehavior=sleep".to_owned(), "InvalidParameterValue"),
        (format!("{spot}.SpotInstanceType=one-time"), "fine"),
        (format!("{spot}.SpotInstanceType=twice"), "InvalidParameterValue"),
        (format!("{spot}.InstanceInterruptionBehavior=burn"), "InvalidParameterValue"),
        ("InstanceMarketOptions.MarketType=rent".to_owned(), "InvalidParameterValue"),
        ("NetworkInterface.1.DeviceIndex=0&SecurityGroupId.1=sg-1".to_owned(), "InvalidParameterCombination"),
        ("NetworkInterface.1.DeviceIndex=0&SecurityGroup.1=web".to_owned(), "InvalidParameterCombination"),
        (tag("a b"), "fine"),
        (tag("a b") + "&MetadataOptions.InstanceMetadataTags=enabled", "InvalidParameterValue"),
        (tag("aws:x"), "InvalidParameterValue"),
        (tag("aws:ec2launchtemplate:id"), "InvalidParameterValue"),
        (tag(&"k".repeat(129)), "InvalidParameterValue"),
        (tag("k") + "&TagSpecification.1.Tag.2.Key=k", "InvalidParameterValue"),
        (format!("TagSpecification.1.ResourceType=instance&{}", many.join("&")), "TagLimitExceeded"),
        (tag("k").replace("instance", "castle"), "InvalidParameterValue"),
    ] {
        assert_eq!(code(&input), expected, "{input}");
    }
}

#[test]
fn a_launch_wins_field_by_field_and_replaces_an_interface_and_a_kind_s_tags_whole() {
    let base = template(
        "ImageId=ami-1&InstanceType=g5.xlarge&MetadataOptions.HttpTokens=required&NetworkInterface.1.DeviceIndex=0\
         &NetworkInterface.1.AssociatePublicIpAddress=true&NetworkInterface.1.SecurityGroupId.1=sg-1\
         &BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeType=gp3\
         &BlockDeviceMapping.1.Ebs.VolumeSize=80&TagSpecification.1.ResourceType=instance\
         &TagSpecification.1.Tag.1.Key=a&TagSpecification.2.ResourceType=volume&TagSpecification.2.Tag.1.Key=v",
    )
    .unwrap();
    let request = parse_run(&Query::parse(
        b"InstanceType=g6.xlarge&MetadataOptions.HttpPutResponseHopLimit=2&NetworkInterface.1.DeviceIndex=0\
          &NetworkInterface.1.SubnetId=subnet-1&BlockDeviceMapping.1.DeviceName=/dev/sda1\
          &BlockDeviceMapping.1.Ebs.VolumeSize=100&TagSpecification.1.ResourceType=instance\
          &TagSpecification.1.Tag.1.Key=b",
    ))
    .unwrap();
    let merged = merge(&base, &request);
    assert_eq!((merged.image.as_deref(), merged.instance_type.as_deref()), (Some("ami-1"), Some("g6.xlarge")));
    assert_eq!((merged.metadata.tokens.as_deref(), merged.metadata.hop_limit), (Some("required"), Some(2)));
    assert_eq!(merged.interfaces, request.interfaces);
    assert_eq!((merged.volumes[0].size, merged.volumes[0].kind.as_deref()), (Some(100), Some("gp3")));
    let keys = |kind: &str| merged.tags[kind].keys().cloned().collect::<Vec<_>>();
    assert_eq!((keys("instance"), keys("volume")), (vec!["b".to_owned()], vec!["v".to_owned()]));
}

#[test]
fn every_field_of_a_template_is_written_back() {
    let input = "ImageId=ami-1&InstanceType=g5.xlarge&IamInstanceProfile.Name=worker&KeyName=k&UserData=IyE%3D\
                 &InstanceInitiatedShutdownBehavior=terminate&EbsOptimized=true&DisableApiTermination=false&DisableApiStop=false\
                 &Monitoring.Enabled=true&Placement.AvailabilityZone=us-east-1a&Placement.Tenancy=default\
                 &MetadataOptions.HttpEndpoint=enabled&MetadataOptions.HttpTokens=required\
                 &MetadataOptions.HttpPutResponseHopLimit=2&MetadataOptions.InstanceMetadataTags=disabled\
                 &MetadataOptions.HttpProtocolIpv6=disabled&InstanceMarketOptions.MarketType=spot\
                 &InstanceMarketOptions.SpotOptions.MaxPrice=0.2\
                 &InstanceMarketOptions.SpotOptions.SpotInstanceType=one-time\
                 &InstanceMarketOptions.SpotOptions.InstanceInterruptionBehavior=terminate\
                 &BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeSize=80\
                 &BlockDeviceMapping.1.Ebs.VolumeType=gp3&BlockDeviceMapping.1.Ebs.Iops=3000\
                 &BlockDeviceMapping.1.Ebs.Throughput=125&BlockDeviceMapping.1.Ebs.DeleteOnTermination=true\
                 &BlockDeviceMapping.1.Ebs.Encrypted=true&BlockDeviceMapping.1.Ebs.KmsKeyId=key\
                 &BlockDeviceMapping.1.Ebs.SnapshotId=snap-1&NetworkInterface.1.DeviceIndex=0\
                 &NetworkInterface.1.SubnetId=subnet-1&NetworkInterface.1.SecurityGroupId.1=sg-1\
                 &NetworkInterface.1.AssociatePublicIpAddress=true&NetworkInterface.1.DeleteOnTermination=true\
                 &NetworkInterface.1.Description=d&TagSpecification.1.ResourceType=instance\
                 &TagSpecification.1.Tag.1.Key=a&TagSpecification.1.Tag.1.Value=b";
    let xml = String::from_utf8(to_xml(&template(input).unwrap()).document(None)).unwrap();
    for pair in input.split('&').filter(|pair| !pair.contains("TagSpecification.1.Tag.1.Key")) {
        let value = pair.split_once('=').unwrap().1.replace("%3D", "=");
        assert!(xml.contains(&format!(">{value}</")), "{pair} is not in {xml}");
    }
    assert!(xml.contains("<key>a</key><value>b</value>"), "{xml}");
}
