//! What `SimulatePrincipalPolicy` says of the same policies.

use super::*;

const USER: &str = "PolicySourceArn=arn:aws:iam::123456789012:user/AKIALIMITED";

fn simulate(account: &mut Account, input: &str) -> Result<String, String> {
    account.ask("AK", "iam", &format!("Action=SimulatePrincipalPolicy&{input}"))
}

/// The decisions, in order.
#[track_caller]
fn decisions(account: &mut Account, input: &str) -> Vec<String> {
    let answer = simulate(account, input).unwrap_or_else(|error| panic!("{input}: {error}"));
    answer.split("<EvalDecision>").skip(1).map(|rest| rest.split('<').next().unwrap().to_owned()).collect()
}

#[test]
fn a_simulation_says_what_the_call_would_meet() {
    let policy = r#"{"Version": "2012-10-17", "Statement": [
        {"Effect": "Allow", "Action": "ssm:Get*", "Resource": "arn:aws:ssm:*:*:parameter/a/*"},
        {"Effect": "Allow", "Action": "iam:PassRole", "Resource": "*",
         "Condition": {"StringEquals": {"iam:PassedToService": "ec2.amazonaws.com"}}},
        {"Effect": "Deny", "Action": "iam:Delete*", "Resource": "*"}]}"#;
    let mut account = Account::with_principal(policy);
    let parameter = |name: &str| format!("ResourceArns.member.1=arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/{name}");
    let entry = "ContextEntries.member.1.ContextKeyName=iam:PassedToService&ContextEntries.member.1.ContextKeyType=string\
                 &ContextEntries.member.1.ContextKeyValues.member.1";
    for (input, wanted) in [
        (format!("ActionNames.member.1=ssm:GetParameter&{}", parameter("a/B")), "allowed"),
        (format!("ActionNames.member.1=ssm:GetParameter&{}", parameter("b")), "implicitDeny"),
        ("ActionNames.member.1=ssm:GetParameter".to_owned(), "implicitDeny"),
        ("ActionNames.member.1=iam:DeleteRole".to_owned(), "explicitDeny"),
        ("ActionNames.member.1=iam:PassRole".to_owned(), "implicitDeny"),
        (format!("ActionNames.member.1=iam:PassRole&{entry}=ec2.amazonaws.com"), "allowed"),
        (format!("ActionNames.member.1=iam:PassRole&{entry}=ecs.amazonaws.com"), "implicitDeny"),
    ] {
        assert_eq!(decisions(&mut account, &format!("{USER}&{input}")), [wanted], "{input}");
    }
    let missing = simulate(&mut account, &format!("{USER}&ActionNames.member.1=iam:PassRole")).unwrap();
    let wanted = "<MissingContextValues><member>iam:PassedToService</member></MissingContextValues>";
    assert!(missing.contains(wanted), "{missing}");
    let matched = simulate(&mut account, &format!("{USER}&ActionNames.member.1=iam:DeleteRole")).unwrap();
    let wanted = "<SourcePolicyId>user_AKIALIMITED_principal</SourcePolicyId><SourcePolicyType>user</SourcePolicyType>";
    assert!(matched.contains(wanted), "{matched}");
}

#[test]
fn each_action_on_each_resource_is_a_result_and_results_come_in_pages() {
    let mut account =
        Account::with_principal(r#"{"Statement": {"Effect": "Allow", "Action": "a:B", "Resource": "arn:aws:a:::x"}}"#);
    let input = format!(
        "{USER}&ActionNames.member.1=a:B&ActionNames.member.2=a:C\
         &ResourceArns.member.1=arn:aws:a:::x&ResourceArns.member.2=arn:aws:a:::y"
    );
    let all = ["allowed", "implicitDeny", "implicitDeny", "implicitDeny"];
    assert_eq!(decisions(&mut account, &input), all);
    let first = simulate(&mut account, &format!("{input}&MaxItems=3")).unwrap();
    assert!(
        first.contains("<IsTruncated>true</IsTruncated>") && first.matches("<EvalDecision>").count() == 3,
        "{first}"
    );
    let marker = encoded(&between(&first, "<Marker>"));
    assert_eq!(decisions(&mut account, &format!("{input}&MaxItems=3&Marker={marker}")), ["implicitDeny"]);
}

#[test]
fn a_role_is_asked_by_its_own_arn_and_not_by_a_session_of_it() {
    let (mut account, key) = Account::with_worker();
    let instance = account.world.sessions[&key].instance.clone();
    let own = format!("ResourceArns.member.1=arn:aws:ssm:{REGION}:{ACCOUNT}:parameter/oncetime/worker-gpu/A");
    let ask = format!("ActionNames.member.1=ssm:GetParameter&{own}");
    let role = format!("PolicySourceArn=arn:aws:iam::{ACCOUNT}:role/{ROLE}&{ask}");
    assert_eq!(decisions(&mut account, &role), ["allowed"]);
    let everybody = format!("PolicySourceArn=arn:aws:iam::{ACCOUNT}:user/sandbox&{ask}");
    assert_eq!(decisions(&mut account, &everybody), ["allowed"]);
    for (source, code) in [
        (format!("arn:aws:sts::{ACCOUNT}:assumed-role/{ROLE}/{instance}"), "<Code>InvalidInput</Code>"),
        (format!("arn:aws:iam::{ACCOUNT}:root"), "<Code>InvalidInput</Code>"),
        (format!("arn:aws:iam::{ACCOUNT}:role/none"), "<Code>NoSuchEntity</Code>"),
        (format!("arn:aws:iam::{ACCOUNT}:user/none"), "<Code>NoSuchEntity</Code>"),
    ] {
        let answer = simulate(&mut account, &format!("PolicySourceArn={source}&{ask}")).unwrap_err();
        assert!(answer.contains(code), "{source}: {answer}");
    }
    for wrong in
        ["ActionNames.member.1=ssm:*", "ActionNames.member.1=ssm", "ActionNames.member.1=a:B&ResourceArns.member.1=x"]
    {
        let answer = simulate(&mut account, &format!("{USER}&{wrong}")).unwrap_err();
        assert!(answer.contains("<Code>InvalidInput</Code>"), "{wrong}: {answer}");
    }
}

#[test]
fn simulating_needs_leave() {
    let mut account =
        Account::with_principal(r#"{"Statement": {"Effect": "Allow", "Action": "iam:Get*", "Resource": "*"}}"#);
    let body = format!("Action=SimulatePrincipalPolicy&{USER}&ActionNames.member.1=iam:GetRole");
    let answer = account.ask("AKIALIMITED", "iam", &body).unwrap_err();
    let wanted = format!("iam:SimulatePrincipalPolicy on resource: arn:aws:iam::{ACCOUNT}:user/AKIALIMITED");
    assert!(answer.contains(&wanted), "{answer}");
}
