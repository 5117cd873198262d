//! Dry runs: what each call that makes or ends something says of itself without doing it, and the role of EC2 Spot that a
//! real launch makes.

use super::*;

const NOTHING: &str = r#"{"Statement": {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}}"#;
const SPOT: &str = "InstanceType=g4dn.xlarge&MinCount=1&MaxCount=1&InstanceMarketOptions.MarketType=spot";

fn set(account: &mut Account, words: &str) {
    let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
    let now = account.now();
    weather::set(&mut account.world, &words, now).unwrap();
}

/// The code of EC2's refusal, or `fine`.
fn code(answer: &Result<String, String>) -> String {
    answer.as_ref().map_or_else(|error| between(error, "<Code>"), |_| "fine".to_owned())
}

#[test]
fn a_dry_run_of_each_call_says_whether_it_may_be_made_and_does_nothing() {
    let mut account = Account::with_principal(NOTHING);
    let id = account.instance("worker-gpu");
    let (group, other) = (account.group("g", "worker-gpu"), account.group("unused", "worker-gpu"));
    let template = account.template("mine", "worker-gpu", &group);
    let requests = account.user("ec2", "Action=DescribeSpotInstanceRequests");
    let request = between(&requests, "<spotInstanceRequestId>");
    let peer = "IpPermissions.1.IpProtocol=-1&IpPermissions.1.IpRanges.1.CidrIp=";
    let data = "LaunchTemplateData.EbsOptimized=true";
    let before = account.user("ec2", "Action=DescribeTags") + &account.user("ec2", "Action=DescribeSecurityGroups");
    for call in [
        format!("RunInstances&ImageId={IMAGE}&{SPOT}"),
        format!(
            "RunInstances&LaunchTemplate.LaunchTemplateId={template}&InstanceType=g4dn.xlarge&MinCount=1&MaxCount=1"
        ),
        "CreateSecurityGroup&GroupName=new&GroupDescription=d".to_owned(),
        format!("AuthorizeSecurityGroupEgress&GroupId={group}&{peer}192.0.2.0/24"),
        format!("RevokeSecurityGroupEgress&GroupId={group}&{peer}0.0.0.0/0"),
        format!("AuthorizeSecurityGroupIngress&GroupId={group}&{peer}192.0.2.0/24"),
        format!("DeleteSecurityGroup&GroupId={other}"),
        format!("CreateLaunchTemplate&LaunchTemplateName=new&{data}"),
        format!("CreateLaunchTemplateVersion&LaunchTemplateId={template}&{data}"),
        format!("ModifyLaunchTemplate&LaunchTemplateId={template}&SetDefaultVersion=1"),
        format!("DeleteLaunchTemplateVersions&LaunchTemplateId={template}&LaunchTemplateVersion.1=1"),
        format!("DeleteLaunchTemplate&LaunchTemplateId={template}"),
        format!("CreateTags&ResourceId.1={id}&Tag.1.Key=k&Tag.1.Value=v"),
        format!("DeleteTags&ResourceId.1={id}&Tag.1.Key=spotctl:stack"),
        format!("CancelSpotInstanceRequests&SpotInstanceRequestId.1={request}"),
        format!("TerminateInstances&InstanceId.1={id}"),
        format!("GetConsoleOutput&InstanceId={id}"),
        "DescribeInstances".to_owned(),
        "DescribeInstanceTypeOfferings".to_owned(),
        "DescribeSpotPriceHistory".to_owned(),
        "GetEbsEncryptionByDefault".to_owned(),
        "GetEbsDefaultKmsKeyId".to_owned(),
    ] {
        let body = format!("Action={call}&DryRun=true");
        let answer = account.ask("AK", "ec2", &body).unwrap_err();
        assert!(answer.starts_with("412 ") && answer.contains("<Code>DryRunOperation</Code>"), "{call}: {answer}");
        assert_eq!(code(&account.ask("AKIALIMITED", "ec2", &body)), "UnauthorizedOperation", "{call}");
    }
    let after = account.user("ec2", "Action=DescribeTags") + &account.user("ec2", "Action=DescribeSecurityGroups");
    let told = |text: &str| {
        text.split("<requestId>")
            .map(|part| part.split_once("</requestId>").map_or(part, |(_, rest)| rest).to_owned())
            .collect::<String>()
    };
    assert_eq!(told(&after), told(&before));
}

#[test]
fn a_dry_run_finds_what_is_wrong_and_proves_neither_quota_nor_capacity() {
    let mut account = Account::new();
    let (subnet, image) = (account.subnets().remove(0), format!("ImageId={IMAGE}"));
    set(&mut account, "dry all");
    set(&mut account, "quota G=0");
    for (parts, wanted) in [
        (format!("{image}&{SPOT}&SubnetId={subnet}&IamInstanceProfile.Name={ROLE}"), "DryRunOperation"),
        (format!("ImageId=ami-00000000000000000&{SPOT}"), "InvalidAMIID.NotFound"),
        (format!("{image}&{SPOT}&SubnetId=subnet-00000000000000000"), "InvalidSubnetID.NotFound"),
        (format!("{image}&{SPOT}&SecurityGroupId.1=sg-00000000000000000"), "InvalidGroup.NotFound"),
        (format!("{image}&{SPOT}&IamInstanceProfile.Name=none"), "InvalidParameterValue"),
        (format!("{image}&{}", SPOT.replace("g4dn.xlarge", "g99.xlarge")), "InvalidParameterValue"),
        (format!("{image}&{}", SPOT.replace("g4dn.xlarge", "g5g.xlarge")), "InvalidParameterValue"),
        (
            format!("{image}&{SPOT}&BlockDeviceMapping.1.DeviceName=/dev/sda1&BlockDeviceMapping.1.Ebs.VolumeSize=8"),
            "InvalidBlockDeviceMapping",
        ),
        (format!("{SPOT}&LaunchTemplate.LaunchTemplateName=none"), "InvalidLaunchTemplateName.NotFoundException"),
    ] {
        let answer = account.ask("AK", "ec2", &format!("Action=RunInstances&DryRun=true&{parts}"));
        assert_eq!(code(&answer), wanted, "{parts}");
    }
    let ids = |operation: &str, id: &str| format!("Action={operation}&DryRun=true&{id}");
    for (body, wanted) in [
        (ids("TerminateInstances", "InstanceId.1=i-00000000000000000"), "InvalidInstanceID.NotFound"),
        (
            ids("CancelSpotInstanceRequests", "SpotInstanceRequestId.1=sir-00000000"),
            "InvalidSpotInstanceRequestID.NotFound",
        ),
        (ids("DeleteVolume", "VolumeId=vol-00000000000000000"), "InvalidVolume.NotFound"),
        (ids("DeleteSecurityGroup", "GroupId=sg-00000000000000000"), "InvalidGroup.NotFound"),
    ] {
        assert_eq!(code(&account.ask("AK", "ec2", &body)), wanted, "{body}");
    }
}

#[test]
fn a_free_plan_launches_only_what_the_free_tier_has_dry_or_not() {
    let mut account = Account::new();
    set(&mut account, "quota L-DB2E81BA=8");
    let launch = |kind: &str, dry: bool| {
        format!("Action=RunInstances&ImageId={IMAGE}&InstanceType={kind}&MinCount=1&MaxCount=1&DryRun={dry}")
    };
    for (plan, kind, dry, wanted) in [
        ("on", "g4dn.xlarge", true, "InvalidParameterCombination"),
        ("on", "g4dn.xlarge", false, "InvalidParameterCombination"),
        ("on", "t3.micro", true, "DryRunOperation"),
        ("on", "t3.micro", false, "fine"),
        ("off", "g4dn.xlarge", true, "DryRunOperation"),
        ("off", "g4dn.xlarge", false, "fine"),
    ] {
        set(&mut account, &format!("free-plan {plan}"));
        let answer = account.ask("AK", "ec2", &launch(kind, dry));
        assert_eq!(code(&answer), wanted, "{plan} {kind} {dry}: {answer:?}");
        if wanted == "InvalidParameterCombination" {
            assert!(answer.unwrap_err().contains("is not eligible for Free Tier"));
        }
    }
}

#[test]
fn the_first_spot_launch_makes_spots_role_where_the_caller_may() {
    let launching = r#"{"Statement": [{"Effect": "Allow", "Action": ["ec2:*", "iam:GetRole"], "Resource": "*"}]}"#;
    let mut account = Account::with_principal(launching);
    set(&mut account, "quota L-DB2E81BA=8");
    let get = "Action=GetRole&RoleName=AWSServiceRoleForEC2Spot";
    let path = "<Path>/aws-service-role/spot.amazonaws.com/</Path>";
    assert!(account.ask("AKIALIMITED", "iam", get).unwrap().contains(path), "an account has it from the start");
    let launch = format!("Action=RunInstances&ImageId={IMAGE}&{SPOT}");
    let on_demand = launch.replace("&InstanceMarketOptions.MarketType=spot", "");

    set(&mut account, "spot-role none");
    assert_eq!(code(&account.ask("AK", "iam", get)), "NoSuchEntity");
    assert_eq!(code(&account.ask("AKIALIMITED", "ec2", &format!("{launch}&DryRun=true"))), "DryRunOperation");
    let refused = account.ask("AKIALIMITED", "ec2", &launch);
    assert_eq!(code(&refused), "AuthFailure.ServiceLinkedRoleCreationNotPermitted");
    assert_eq!(code(&account.ask("AKIALIMITED", "ec2", &on_demand)), "fine");
    assert_eq!(code(&account.ask("AK", "iam", get)), "NoSuchEntity");
    assert_eq!(code(&account.ask("AK", "ec2", &launch)), "fine");
    assert!(account.user("iam", get).contains(path));
    assert_eq!(code(&account.ask("AKIALIMITED", "ec2", &launch)), "fine", "now it is there");

    set(&mut account, "spot-role none");
    set(&mut account, "spot-role made");
    assert!(account.user("iam", get).contains(path));
}

#[test]
fn a_customers_key_needs_a_grant_for_spot_and_none_on_demand() {
    let key = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef");
    let elsewhere = key.replace(REGION, "us-east-1");
    for (words, is_spot, state) in [
        ("ebs-key none".to_owned(), true, "running"),
        ("ebs-key alias/aws/ebs".to_owned(), true, "running"),
        (format!("ebs-key {key}"), true, "running"),
        (format!("ebs-key {key} granted"), true, "running"),
        (format!("ebs-key {key} ungranted"), true, "terminated"),
        (format!("ebs-key {key} ungranted"), false, "running"),
        (format!("ebs-key {elsewhere} ungranted"), true, "running"),
    ] {
        let mut account = Account::new();
        set(&mut account, "quota L-DB2E81BA=8");
        set(&mut account, &words);
        let launch = format!("Action=RunInstances&ImageId={IMAGE}&{SPOT}");
        let launch = if is_spot { launch } else { launch.replace("&InstanceMarketOptions.MarketType=spot", "") };
        let answer = account.user("ec2", &launch);
        assert_eq!(between(&answer, "<name>"), "pending", "{words}");
        let id = between(&answer, "<instanceId>");
        account.at += 60;
        let told = account.user("ec2", &format!("Action=DescribeInstances&InstanceId.1={id}"));
        assert_eq!(between(&told, "<name>"), state, "{words}");
        assert_eq!(told.contains("<code>Client.InternalError</code>"), state == "terminated", "{words}");
        let is_on = account.user("ec2", "Action=GetEbsEncryptionByDefault");
        let is_here = !words.contains("none") && !words.contains("us-east-1");
        assert_eq!(between(&is_on, "<ebsEncryptionByDefault>"), is_here.to_string(), "{words}");
        let default = between(&account.user("ec2", "Action=GetEbsDefaultKmsKeyId"), "<kmsKeyId>");
        assert_eq!(default, if is_here && words.contains(&key) { key.as_str() } else { "alias/aws/ebs" }, "{words}");
        if state == "running" {
            let volumes = account.user("ec2", "Action=DescribeVolumes");
            assert_eq!(between(&volumes, "<encrypted>"), is_here.to_string(), "{words}");
        }
    }
}

#[test]
fn asking_kms_needs_leave_for_the_key() {
    let key = format!("arn:aws:kms:{REGION}:{ACCOUNT}:key/01234567-89ab-cdef-0123-456789abcdef");
    let policy = json!({"Statement": {"Effect": "Allow", "Action": "kms:ListGrants", "Resource": key}}).to_string();
    let mut account = Account::with_principal(&policy);
    set(&mut account, &format!("ebs-key {key}"));
    let body = json!({"KeyId": "01234567-89ab-cdef-0123-456789abcdef"}).to_string();
    let answer = account.ask("AKIALIMITED", "kms ListGrants", &body);
    assert_eq!(word(&answer), "fine", "{answer:?}");
    let answer = account.ask("AKIALIMITED", "kms DescribeKey", &body);
    assert_eq!(word(&answer), "AccessDeniedException", "{answer:?}");
}

#[test]
fn words_about_the_account_that_mean_nothing_are_refused() {
    let mut account = Account::new();
    let now = account.now();
    for (words, why) in [
        ("ebs-key mine", "is neither `alias/aws/ebs` nor the ARN"),
        ("ebs-key arn:aws:kms:us-west-9:123456789012:key/1", "is neither"),
        ("ebs-key alias/aws/ebs ungranted", "needs no grant"),
        ("ebs-key", "is not how `ebs-key` goes"),
        ("free-plan maybe", "is not how `free-plan` goes"),
        ("spot-role", "is not how `spot-role` goes"),
        ("fre-plan on", "did you mean `free-plan`"),
    ] {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        let error = weather::set(&mut account.world, &words, now).unwrap_err().to_string();
        assert!(error.contains(why), "{words:?}: {error}");
    }
}
