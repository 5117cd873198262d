//! What EC2's refusals say in code.

use serde_json::Value;

use super::*;

/// Decodes what a refusal carries, as the account's user.
fn decoded(account: &mut Account, refusal: &str) -> Value {
    let text = between(refusal, "Encoded authorization failure message: ");
    let answer = account.user("sts", &format!("Action=DecodeAuthorizationMessage&EncodedMessage={text}"));
    let message = between(&answer, "<DecodedMessage>");
    serde_json::from_str(&message.replace("&quot;", "\"").replace("&lt;", "<").replace("&amp;", "&")).unwrap()
}

#[test]
fn a_refusal_of_ec2_can_be_decoded_to_who_may_not_do_what_to_which_resource() {
    let policy = r#"{"Statement": [
        {"Effect": "Allow", "Action": "ec2:*", "Resource": "*"},
        {"Sid": "NoGpu", "Effect": "Deny", "Action": ["ec2:RunInstances"], "Resource": "*",
         "Condition": {"StringEquals": {"ec2:InstanceType": "g4dn.xlarge"}}}]}"#;
    let mut account = Account::with_principal(policy);
    let launch =
        format!("Action=RunInstances&MinCount=1&MaxCount=1&ImageId={IMAGE}&InstanceType=g4dn.xlarge&DryRun=true");
    let refusal = account.ask("AKIALIMITED", "ec2", &launch).unwrap_err();
    let told = decoded(&mut account, &refusal);
    let wanted = json!({
        "id": "AKIALIMITED",
        "name": "AKIALIMITED",
        "arn": format!("arn:aws:iam::{ACCOUNT}:user/AKIALIMITED"),
    });
    assert_eq!(told["context"]["principal"], wanted);
    assert_eq!((&told["allowed"], &told["explicitDeny"]), (&json!(false), &json!(true)));
    assert_eq!(told["context"]["action"], "ec2:RunInstances");
    assert_eq!(told["context"]["resource"], format!("arn:aws:ec2:{REGION}:{ACCOUNT}:instance/*"));
    let conditions = told["context"]["conditions"]["items"].as_array().unwrap();
    assert!(
        conditions.contains(&json!({"key": "ec2:InstanceType", "values": {"items": [{"value": "g4dn.xlarge"}]}})),
        "{conditions:?}"
    );
    let statement = &told["matchedStatements"]["items"][0];
    assert_eq!((&statement["statementId"], &statement["effect"]), (&json!("NoGpu"), &json!("DENY")));
    let condition = &statement["conditions"]["items"][0];
    assert_eq!((&condition["operator"], &condition["key"]), (&json!("StringEquals"), &json!("ec2:InstanceType")));
}

#[test]
fn what_nobody_allows_is_no_explicit_denial_and_reads_carry_no_message() {
    let nothing = r#"{"Statement": {"Effect": "Allow", "Action": "sts:GetCallerIdentity", "Resource": "*"}}"#;
    let mut account = Account::with_principal(nothing);
    let refusal = account.ask("AKIALIMITED", "ec2", "Action=CreateVpc&CidrBlock=10.0.0.0/16").unwrap_err();
    let told = decoded(&mut account, &refusal);
    assert_eq!((&told["explicitDeny"], &told["matchedStatements"]), (&json!(false), &json!({"items": []})));
    let refusal = account.ask("AKIALIMITED", "ec2", "Action=DescribeVpcs").unwrap_err();
    assert!(refusal.contains("UnauthorizedOperation") && !refusal.contains("Encoded"), "{refusal}");
}

#[test]
fn decoding_needs_leave_and_a_message_that_ec2_made() {
    let mut account =
        Account::with_principal(r#"{"Statement": {"Effect": "Allow", "Action": "ec2:Describe*", "Resource": "*"}}"#);
    let refusal = account.ask("AKIALIMITED", "ec2", "Action=CreateVpc&CidrBlock=10.0.0.0/16").unwrap_err();
    let text = between(&refusal, "Encoded authorization failure message: ");
    let decode = format!("Action=DecodeAuthorizationMessage&EncodedMessage={text}");
    let answer = account.ask("AKIALIMITED", "sts", &decode).unwrap_err();
    assert!(answer.contains("AccessDenied") && answer.contains("sts:DecodeAuthorizationMessage"), "{answer}");
    for other in ["", "nonsense!", "bm9uZQ"] {
        let decode = format!("Action=DecodeAuthorizationMessage&EncodedMessage={other}");
        let answer = account.ask("AK", "sts", &decode).unwrap_err();
        assert!(answer.contains("InvalidAuthorizationMessageException"), "{other}: {answer}");
    }
}
