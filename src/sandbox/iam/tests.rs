use super::*;
use crate::sandbox::wire::xml::node;
use crate::sandbox::world::World;

const TRUST: &str = "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22sts%3AAssumeRole%22%2C%22Principal%22%3A%22*%22%7D%7D";
const POLICY: &str =
    "%7B%22Statement%22%3A%7B%22Effect%22%3A%22Allow%22%2C%22Action%22%3A%22*%22%2C%22Resource%22%3A%22*%22%7D%7D";

/// The answer as text, or the refusal.
fn ask(world: &mut World, second: i64, operation: &str, body: &str) -> String {
    let now = Timestamp::from_second(second).unwrap();
    let mut call = Call { world, region: "us-east-1".to_owned(), now, operation: operation.to_owned() };
    let query = Query::parse(body.as_bytes());
    match handle(&mut call, &query) {
        Ok(children) => {
            assert_eq!(query.unread(), None, "{operation} {body}");
            let text = String::from_utf8(node("R", children).document(None)).unwrap();
            text.split_once('\n').unwrap().1.to_owned()
        }
        Err(error) => format!("{} {}: {}", error.status, error.code, error.message),
    }
}

#[test]
fn a_role_and_its_profile_come_and_go_in_aws_order() {
    let mut world = World::default();
    let create = format!("RoleName=r&AssumeRolePolicyDocument={TRUST}&Tags.member.1.Key=k&Tags.member.1.Value=v");
    let policy = format!("RoleName=r&PolicyName=p&PolicyDocument={POLICY}");
    let lower = format!("RoleName=R&AssumeRolePolicyDocument={TRUST}");
    let managed = "RoleName=r&PolicyArn=arn:aws:iam::aws:policy/AmazonSSMManagedInstanceCore";
    let both = "RoleName=r&InstanceProfileName=i";
    let steps: [(&str, &str, &str); 29] = [
        ("GetRole", "RoleName=r", "404 NoSuchEntity"),
        ("CreateRole", &create, "<Arn>arn:aws:iam::123456789012:role/r</Arn>"),
        ("CreateRole", &create, "409 EntityAlreadyExists"),
        ("CreateRole", &lower, "409 EntityAlreadyExists"),
        ("GetRole", "RoleName=r", "%22sts%3AAssumeRole%22%2C%22Principal%22%3A%22%2A%22"),
        ("GetRole", "RoleName=r", "<Tags><member><Key>k</Key><Value>v</Value></member></Tags>"),
        ("CreateInstanceProfile", "InstanceProfileName=i", "<Roles></Roles>"),
        ("AddRoleToInstanceProfile", both, "<R></R>"),
        ("AddRoleToInstanceProfile", both, "409 LimitExceeded"),
        ("GetInstanceProfile", "InstanceProfileName=i", "<RoleName>r</RoleName>"),
        ("ListInstanceProfilesForRole", "RoleName=r", "<InstanceProfileName>i</InstanceProfileName>"),
        ("PutRolePolicy", &policy, "<R></R>"),
        ("GetRolePolicy", "RoleName=r&PolicyName=p", "<PolicyDocument>%7B%22Statement"),
        ("ListRolePolicies", "RoleName=r", "<PolicyNames><member>p</member></PolicyNames>"),
        ("AttachRolePolicy", managed, "<R></R>"),
        ("AttachRolePolicy", "RoleName=r&PolicyArn=arn:aws:iam::123456789012:policy/own", "404 NoSuchEntity"),
        ("ListAttachedRolePolicies", "RoleName=r", "<PolicyName>AmazonSSMManagedInstanceCore</PolicyName>"),
        ("DeleteRole", "RoleName=r", "409 DeleteConflict: Cannot delete entity, must delete policies"),
        ("DeleteRolePolicy", "RoleName=r&PolicyName=p", "<R></R>"),
        ("DeleteRolePolicy", "RoleName=r&PolicyName=p", "404 NoSuchEntity"),
        ("DeleteRole", "RoleName=r", "409 DeleteConflict: Cannot delete entity, must detach all policies"),
        ("DetachRolePolicy", managed, "<R></R>"),
        ("DetachRolePolicy", managed, "404 NoSuchEntity"),
        ("DeleteRole", "RoleName=r", "409 DeleteConflict: Cannot delete entity, must remove roles"),
        (
            "DeleteInstanceProfile",
            "InstanceProfileName=i",
            "409 DeleteConflict: Cannot delete entity, must remove roles",
        ),
        ("RemoveRoleFromInstanceProfile", both, "<R></R>"),
        ("DeleteInstanceProfile", "InstanceProfileName=i", "<R></R>"),
        ("DeleteRole", "RoleName=r", "<R></R>"),
        ("GetRole", "RoleName=r", "404 NoSuchEntity"),
    ];
    for (index, (operation, body, wanted)) in steps.into_iter().enumerate() {
        let answer = ask(&mut world, 1, operation, body);
        assert!(answer.contains(wanted), "step {index}: {operation} {body}\n{answer}");
    }
}

#[test]
fn what_iam_would_refuse_is_refused() {
    let mut world = World::default();
    let long = "n".repeat(65);
    let table = [
        ("CreateRole", format!("RoleName={long}&AssumeRolePolicyDocument={TRUST}"), "400 ValidationError"),
        ("CreateRole", format!("RoleName=a/b&AssumeRolePolicyDocument={TRUST}"), "400 ValidationError"),
        ("CreateRole", "RoleName=a&AssumeRolePolicyDocument=x".to_owned(), "400 MalformedPolicyDocument"),
        ("CreateRole", format!("RoleName=a&AssumeRolePolicyDocument={POLICY}"), "400 MalformedPolicyDocument"),
        (
            "CreateRole",
            format!(
                "RoleName=a&AssumeRolePolicyDocument={}",
                TRUST.replace("Principal", "Resource%22%3A1%2C%22Principal")
            ),
            "400 MalformedPolicyDocument: Has prohibited field Resource",
        ),
        ("CreateRole", "RoleName=a".to_owned(), "400 ValidationError"),
        ("CreateInstanceProfile", "InstanceProfileName=a&Path=x".to_owned(), "400 ValidationError"),
        ("CreateUser", String::new(), "400 InvalidAction"),
        ("CreateServiceLinkedRole", "AWSServiceName=unknown.example".to_owned(), "400 InvalidInput"),
    ];
    for (operation, body, wanted) in table {
        let answer = ask(&mut world, 1, operation, &body);
        assert!(answer.starts_with(wanted), "{operation} {body}\n{answer}");
    }
}

#[test]
fn lists_come_in_pages() {
    let mut world = World::default();
    for name in ["a", "b", "c"] {
        ask(&mut world, 1, "CreateInstanceProfile", &format!("InstanceProfileName={name}&Path=/p/"));
    }
    ask(&mut world, 1, "CreateInstanceProfile", "InstanceProfileName=other");
    let first = ask(&mut world, 1, "ListInstanceProfiles", "PathPrefix=/p/&MaxItems=2");
    assert!(first.contains("<IsTruncated>true</IsTruncated><Marker>"), "{first}");
    let marker = first.split("<Marker>").nth(1).unwrap().split('<').next().unwrap().replace('=', "%3D");
    let second = ask(&mut world, 1, "ListInstanceProfiles", &format!("PathPrefix=/p/&MaxItems=2&Marker={marker}"));
    assert!(second.contains("Name>c<") && second.contains("<IsTruncated>false</IsTruncated>"), "{second}");
    assert!(!second.contains("Name>a<") && !second.contains("other"), "{second}");
}

#[test]
fn ec2_sees_a_profile_only_after_the_delay_and_with_a_role() {
    let mut world = World::default();
    let seen = |world: &World, second, name: &str| {
        profile_for_ec2(&world.iam, name, Timestamp::from_second(second).unwrap(), Duration::from_secs(10))
            .map(|found| found.2)
    };
    ask(&mut world, 100, "CreateRole", &format!("RoleName=r&AssumeRolePolicyDocument={TRUST}"));
    ask(&mut world, 100, "CreateInstanceProfile", "InstanceProfileName=i");
    assert_eq!(seen(&world, 200, "i"), None, "no role");
    ask(&mut world, 150, "AddRoleToInstanceProfile", "InstanceProfileName=i&RoleName=r");
    assert_eq!(seen(&world, 159, "i"), None, "too early");
    assert_eq!(seen(&world, 160, "i").as_deref(), Some("r"));
    assert_eq!(seen(&world, 160, "arn:aws:iam::123456789012:instance-profile/i").as_deref(), Some("r"));
    assert_eq!(seen(&world, 160, "other"), None);
}

#[test]
fn the_spot_role_is_made_once() {
    let mut world = World::default();
    let body = "AWSServiceName=spot.amazonaws.com";
    let answer = ask(&mut world, 1, "CreateServiceLinkedRole", body);
    assert!(answer.contains(":role/aws-service-role/spot.amazonaws.com/AWSServiceRoleForEC2Spot<"), "{answer}");
    assert!(ask(&mut world, 1, "CreateServiceLinkedRole", body).starts_with("400 InvalidInput"));
    assert!(
        ask(&mut world, 1, "DeleteRole", "RoleName=AWSServiceRoleForEC2Spot").starts_with("400 UnmodifiableEntity")
    );
}
