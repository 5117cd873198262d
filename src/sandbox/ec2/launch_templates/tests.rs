//! Templates and their versions, asked as a client asks.

use super::super::asking::{START, ask, ask_at, code};
use crate::sandbox::world::World;

const DATA: &str = "LaunchTemplateName=lt-a&LaunchTemplateData.InstanceType=g5.xlarge";

#[test]
fn a_call_that_is_sent_twice_makes_one_template_and_one_version() {
    let mut world = World::default();
    let tagged = "TagSpecification.1.ResourceType=launch-template&TagSpecification.1.Tag.1.Key=a";
    let create = format!("{DATA}&ClientToken=t&{tagged}");
    let first = ask(&mut world, "CreateLaunchTemplate", &create).unwrap();
    assert_eq!(ask(&mut world, "CreateLaunchTemplate", &create).unwrap(), first);
    let other = create.replace("g5", "g6");
    assert_eq!(code(ask(&mut world, "CreateLaunchTemplate", &other)), "IdempotentParameterMismatch");
    assert_eq!(code(ask(&mut world, "CreateLaunchTemplate", DATA)), "InvalidLaunchTemplateName.AlreadyExistsException");

    let version = format!("{DATA}&ClientToken=v");
    let first = ask(&mut world, "CreateLaunchTemplateVersion", &version).unwrap();
    assert!(first.contains("<versionNumber>2<"), "{first}");
    assert_eq!(ask(&mut world, "CreateLaunchTemplateVersion", &version).unwrap(), first);
    let other = version.replace("g5", "g6");
    assert_eq!(code(ask(&mut world, "CreateLaunchTemplateVersion", &other)), "IdempotentParameterMismatch");
    let next = ask(&mut world, "CreateLaunchTemplateVersion", DATA).unwrap();
    assert!(next.contains("<versionNumber>3<"), "{next}");
}

#[test]
fn versions_are_named_by_number_and_by_role_and_the_default_stays() {
    let mut world = World::default();
    ask(&mut world, "CreateLaunchTemplate", DATA).unwrap();
    let second = "LaunchTemplateName=lt-a&SourceVersion=1&LaunchTemplateData.ImageId=ami-1&VersionDescription=d";
    let made = ask(&mut world, "CreateLaunchTemplateVersion", second).unwrap();
    assert!(made.contains("<instanceType>g5.xlarge<") && made.contains("<imageId>ami-1<"), "{made}");
    let versions = |world: &mut World, which: &str| {
        let input = format!("LaunchTemplateName=lt-a&{which}");
        let answer = ask(world, "DescribeLaunchTemplateVersions", &input).map_err(|error| error.code)?;
        let numbers = answer.split("<versionNumber>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned());
        Ok::<_, String>(numbers.collect::<Vec<_>>().join(" "))
    };
    for (which, expected) in [
        ("", Ok("2 1")),
        ("LaunchTemplateVersion.1=$Default&LaunchTemplateVersion.2=$Latest", Ok("1 2")),
        ("LaunchTemplateVersion.1=1&LaunchTemplateVersion.2=2&LaunchTemplateVersion.3=$Default", Ok("1 2")),
        ("MinVersion=2", Ok("2")),
        ("MaxVersion=1", Ok("1")),
        ("LaunchTemplateVersion.1=7", Err("InvalidLaunchTemplateId.VersionNotFound")),
    ] {
        let expected = expected.map(str::to_owned).map_err(str::to_owned);
        assert_eq!(versions(&mut world, which), expected, "{which}");
    }
    let delete =
        "LaunchTemplateName=lt-a&LaunchTemplateVersion.1=1&LaunchTemplateVersion.2=2&LaunchTemplateVersion.3=9";
    let answer = ask(&mut world, "DeleteLaunchTemplateVersions", delete).unwrap();
    let (done, left) = answer.split_once("</successfullyDeleted").unwrap();
    assert!(done.contains("<versionNumber>2<") && !done.contains("<versionNumber>1<"), "{answer}");
    assert!(left.contains("launchTemplateVersionDoesNotExist") && left.contains("<versionNumber>1<"), "{answer}");
    assert_eq!(versions(&mut world, "LaunchTemplateVersion.1=$Latest"), Ok("1".to_owned()));
}

#[test]
fn what_is_not_there_has_its_code_and_a_dry_run_comes_last() {
    let mut world = World::default();
    for (operation, input, expected) in [
        ("DescribeLaunchTemplates", "LaunchTemplateName.1=x", "InvalidLaunchTemplateName.NotFoundException"),
        ("DescribeLaunchTemplates", "LaunchTemplateId.1=lt-0", "InvalidLaunchTemplateId.NotFound"),
        ("DescribeLaunchTemplates", "Filter.1.Name=colour&Filter.1.Value.1=red", "InvalidParameterValue"),
        ("DescribeLaunchTemplates", "Filter.1.Name=tag:a&Filter.1.Value.1=red", "fine"),
        ("CreateLaunchTemplate", "LaunchTemplateName=lt-a&DryRun=true", "MissingParameter"),
        (
            "CreateLaunchTemplate",
            "LaunchTemplateName=a b c&LaunchTemplateData.ImageId=x",
            "InvalidLaunchTemplateName.MalformedException",
        ),
        ("CreateLaunchTemplate", &format!("{DATA}&DryRun=true"), "DryRunOperation"),
        (
            "CreateLaunchTemplate",
            &format!("{DATA}&DryRun=true&LaunchTemplateData.MetadataOptions.HttpTokens=x"),
            "InvalidParameterValue",
        ),
        (
            "CreateLaunchTemplate",
            &format!("{DATA}&DryRun=true&TagSpecification.1.ResourceType=vpc"),
            "InvalidParameterValue",
        ),
        ("CreateLaunchTemplate", DATA, "fine"),
        (
            "ModifyLaunchTemplate",
            "LaunchTemplateName=lt-a&SetDefaultVersion=2&DryRun=true",
            "InvalidLaunchTemplateId.VersionNotFound",
        ),
        ("ModifyLaunchTemplate", "LaunchTemplateName=lt-a&SetDefaultVersion=1&DryRun=true", "DryRunOperation"),
        ("ModifyLaunchTemplate", "LaunchTemplateName=lt-a&LaunchTemplateId=lt-1", "InvalidParameterCombination"),
        ("DeleteLaunchTemplateVersions", "LaunchTemplateName=lt-a", "MissingParameter"),
        ("DeleteLaunchTemplate", "LaunchTemplateName=lt-a", "fine"),
        ("DeleteLaunchTemplate", "LaunchTemplateName=lt-a", "InvalidLaunchTemplateName.NotFoundException"),
    ] {
        assert_eq!(code(ask(&mut world, operation, input)), expected, "{operation} {input}");
    }
}

#[test]
fn reads_may_be_late_and_a_launch_knows_no_version_that_they_do_not_know() {
    let mut world = World::default();
    let latest = |world: &mut World, at: i64| {
        let named = "LaunchTemplateName.1=lt-a";
        let answer = ask_at(world, at, "DescribeLaunchTemplates", named).map_err(|error| error.code)?;
        let named = "LaunchTemplateName=lt-a";
        let versions = ask_at(world, at, "DescribeLaunchTemplateVersions", named).map_err(|error| error.code)?;
        let of = |text: &str, name: &str| text.split(name).nth(1).unwrap_or_default().chars().next();
        Ok::<_, String>((of(&answer, "<defaultVersionNumber>"), versions.matches("<versionNumber>").count()))
    };
    let launch = |world: &mut World, at: i64, version: &str| {
        let input = format!("LaunchTemplate.LaunchTemplateName=lt-a&LaunchTemplate.Version={version}");
        code(ask_at(world, at, "RunInstances", &format!("{input}&MinCount=1&MaxCount=1")))
    };
    world.weather.template_delay = std::time::Duration::from_secs(5);
    ask(&mut world, "CreateLaunchTemplate", DATA).unwrap();
    let none = "InvalidLaunchTemplateName.NotFoundException";
    assert_eq!(latest(&mut world, START), Err(none.to_owned()));
    assert_eq!(launch(&mut world, START, "1"), none);
    assert_eq!(code(ask(&mut world, "CreateLaunchTemplate", DATA)), "InvalidLaunchTemplateName.AlreadyExistsException");
    let at = START + 5;
    assert_eq!(latest(&mut world, at), Ok((Some('1'), 1)));
    for (operation, more) in [
        ("CreateLaunchTemplateVersion", "LaunchTemplateData.InstanceType=g6.xlarge"),
        ("ModifyLaunchTemplate", "SetDefaultVersion=2"),
        ("DeleteLaunchTemplateVersions", "LaunchTemplateVersion.1=1"),
    ] {
        ask_at(&mut world, at, operation, &format!("LaunchTemplateName=lt-a&{more}")).unwrap();
    }
    assert_eq!(latest(&mut world, at), Ok((Some('1'), 1)), "as it was");
    for version in ["1", "2"] {
        assert_eq!(launch(&mut world, at, version), "InvalidLaunchTemplateId.VersionNotFound", "{version}");
    }
    let at = at + 5;
    assert_eq!(latest(&mut world, at), Ok((Some('2'), 1)));
    assert_ne!(launch(&mut world, at, "2"), "InvalidLaunchTemplateId.VersionNotFound");
}
