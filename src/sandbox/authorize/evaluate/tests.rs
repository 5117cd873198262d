//! IAM's documented rules, case by case.

use serde_json::json;

use super::*;

/// Whether a policy of these statements allows `do:It` on a resource of which this is known.
fn allows(statements: &Value, action: &str, resource: &str, context: &[(&str, &str)]) -> bool {
    let policy: Policy = json!({"Version": "2012-10-17", "Statement": statements}).to_string().parse().unwrap();
    let mut known = Context::default();
    for (key, value) in context {
        known.add(key, *value);
    }
    let question = Question { action: action.to_owned(), resources: vec![(resource.to_owned(), known)] };
    evaluate(&[policy], &question).is_ok()
}

#[test]
fn an_action_is_matched_without_regard_to_case_and_with_wildcards() {
    for (named, asked, is_allowed) in [
        (json!("ec2:RunInstances"), "ec2:RunInstances", true),
        (json!("EC2:runinstances"), "ec2:RunInstances", true),
        (json!("ec2:*"), "ec2:RunInstances", true),
        (json!("*"), "ec2:RunInstances", true),
        (json!("ec2:Run?nstances"), "ec2:RunInstances", true),
        (json!("ec2:*Tags"), "ec2:CreateTags", true),
        (json!(["s3:GetObject", "ec2:Describe*"]), "ec2:DescribeVpcs", true),
        (json!("ec2:Describe*"), "ec2:RunInstances", false),
        (json!("ec2:Run?Instances"), "ec2:RunInstances", false),
        (json!("ec2:RunInstances"), "ec2:RunInstancesNow", false),
        (json!([]), "ec2:RunInstances", false),
    ] {
        let statement = json!({"Effect": "Allow", "Action": named, "Resource": "*"});
        assert_eq!(allows(&statement, asked, "*", &[]), is_allowed, "{named} {asked}");
    }
}

#[test]
fn a_resource_is_matched_part_by_part_of_its_arn() {
    let instance = "arn:aws:ec2:us-east-1:1:instance/i-1";
    for (named, asked, is_allowed) in [
        ("*", instance, true),
        ("*", "*", true),
        ("arn:aws:ec2:us-east-1:1:instance/*", instance, true),
        ("arn:aws:ec2:*:*:instance/i-?", instance, true),
        ("arn:aws:ec2:us-east-1:1:*/*", instance, true),
        ("arn:aws:ec2", instance, true),
        ("arn:aws:s3:::b/*", "arn:aws:s3:::b/x/y:z", true),
        ("arn:aws:ec2:us-east-1:1:instance/*", "arn:aws:ec2:us-east-1:1:volume/v", false),
        ("arn:aws:ec2:us-east-1:2:instance/*", instance, false),
        ("arn:aws:ec2:us-east-1:*/i-1", instance, false),
        ("arn:aws:ec2:us-east-1:1:INSTANCE/*", instance, false),
        ("arn:aws:ec2:us-east-1:1:instance/i-1", "arn:aws:ec2:us-east-1:1:instance/*", false),
        ("arn:aws:ec2:us-east-1:1:*", "*", false),
    ] {
        let statement = json!({"Effect": "Allow", "Action": "do:It", "Resource": [named]});
        assert_eq!(allows(&statement, "do:It", asked, &[]), is_allowed, "{named} {asked}");
    }
}

#[test]
fn a_deny_wins_and_each_resource_needs_an_allow() {
    let allow = |resource: &str| json!({"Effect": "Allow", "Action": "*", "Resource": resource});
    let deny = |resource: &str| json!({"Effect": "Deny", "Action": "do:*", "Resource": resource});
    let read =
        |statements: Value| json!({"Version": "2012-10-17", "Statement": statements}).to_string().parse().unwrap();
    let refused = |resource: &str, is_explicit| Err((resource.to_owned(), is_explicit));
    for (policies, asked, wanted) in [
        (vec![json!([allow("*")])], vec!["arn:a", "arn:b"], Ok(())),
        (vec![json!([allow("arn:a")]), json!([allow("arn:b")])], vec!["arn:a", "arn:b"], Ok(())),
        (vec![json!([allow("arn:a")])], vec!["arn:a", "arn:b"], refused("arn:b", false)),
        (vec![json!([deny("arn:b"), allow("*")])], vec!["arn:a", "arn:b"], refused("arn:b", true)),
        (vec![json!([allow("*")]), json!([deny("arn:a")])], vec!["arn:a"], refused("arn:a", true)),
        (vec![json!([deny("arn:b")])], vec!["arn:a"], refused("arn:a", false)),
        (vec![], vec!["*"], refused("*", false)),
    ] {
        let policies: Vec<Policy> = policies.into_iter().map(read).collect();
        let resources = asked.iter().map(|resource| ((*resource).to_owned(), Context::default())).collect();
        let question = Question { action: "do:It".to_owned(), resources };
        let told = evaluate(&policies, &question).map_err(|refusal| (refusal.resource, refusal.denied_by));
        let told = told.map_err(|(resource, denied_by)| (resource, denied_by.is_some_and(|by| by["Effect"] == "Deny")));
        assert_eq!(told, wanted, "{policies:?} {asked:?}");
    }
}

#[test]
fn a_condition_holds_as_its_operator_says() {
    let a = &[("k", "a")][..];
    let both = &[("k", "a"), ("k", "b")][..];
    let none = &[][..];
    for (operator, values, context, is_held) in [
        ("StringEquals", json!("a"), a, true),
        ("StringEquals", json!("A"), a, false),
        ("StringEquals", json!(["b", "a"]), a, true),
        ("StringEquals", json!("*"), a, false),
        ("StringEquals", json!("a"), none, false),
        ("StringEqualsIfExists", json!("a"), none, true),
        ("StringEqualsIfExists", json!("b"), a, false),
        ("StringNotEquals", json!("b"), a, true),
        ("StringNotEquals", json!(["a", "b"]), a, false),
        ("StringNotEquals", json!("a"), none, true),
        ("StringNotEquals", json!("a"), both, false),
        ("StringEqualsIgnoreCase", json!("A"), a, true),
        ("StringNotEqualsIgnoreCase", json!("A"), a, false),
        ("StringLike", json!("a*"), &[("k", "abc")], true),
        ("StringLike", json!("*b?"), &[("k", "aabbc")], true),
        ("StringLike", json!("b*"), &[("k", "abc")], false),
        ("StringNotLike", json!("a*"), &[("k", "abc")], false),
        ("ArnEquals", json!("arn:aws:ec2:r:1:lt/*"), &[("k", "arn:aws:ec2:r:1:lt/lt-1")], true),
        ("ArnLike", json!("arn:aws:*:r:1:lt/*"), &[("k", "arn:aws:ec2:r:1:lt/lt-1")], true),
        ("ArnLike", json!("arn:aws:*:lt/*"), &[("k", "arn:aws:ec2:r:1:lt/lt-1")], false),
        ("ArnNotLike", json!("arn:aws:ec2:r:1:*"), &[("k", "arn:aws:ec2:r:1:lt/lt-1")], false),
        ("ArnNotEquals", json!("arn:aws:ec2:r:1:*"), none, true),
        ("Bool", json!("true"), &[("k", "true")], true),
        ("Bool", json!(true), &[("k", "true")], true),
        ("Bool", json!("true"), &[("k", "false")], false),
        ("Bool", json!("false"), none, false),
        ("BoolIfExists", json!("true"), none, true),
        ("Null", json!("true"), none, true),
        ("Null", json!("true"), a, false),
        ("Null", json!("false"), a, true),
        ("Null", json!(false), none, false),
        ("NumericLessThanEquals", json!("10"), &[("k", "10")], true),
        ("NumericLessThanEquals", json!(10), &[("k", "9.5")], true),
        ("NumericLessThanEquals", json!("10"), &[("k", "11")], false),
        ("NumericLessThan", json!("10"), &[("k", "10")], false),
        ("NumericGreaterThan", json!("9"), &[("k", "10")], true),
        ("NumericGreaterThanEquals", json!("10"), &[("k", "9")], false),
        ("NumericEquals", json!("1.0"), &[("k", "1")], true),
        ("NumericNotEquals", json!("1"), &[("k", "1")], false),
        ("NumericGreaterThan", json!("x"), a, false),
        ("NumericGreaterThan", json!("1"), a, false),
        ("ForAllValues:StringEquals", json!(["a", "b", "c"]), both, true),
        ("ForAllValues:StringEquals", json!("a"), both, false),
        ("ForAllValues:StringEquals", json!("a"), none, true),
        ("ForAllValues:StringNotEquals", json!("c"), both, true),
        ("ForAllValues:StringNotEquals", json!("a"), both, false),
        ("ForAnyValue:StringEquals", json!("b"), both, true),
        ("ForAnyValue:StringEquals", json!("c"), both, false),
        ("ForAnyValue:StringEquals", json!("a"), none, false),
        ("ForAnyValue:StringEqualsIfExists", json!("a"), none, true),
        ("ForAnyValue:StringNotEquals", json!("a"), both, true),
        ("ForAnyValue:StringNotLike", json!("?"), both, false),
    ] {
        let condition = json!({operator: {"K": values}});
        let statement = json!({"Effect": "Allow", "Action": "do:It", "Resource": "*", "Condition": condition});
        assert_eq!(allows(&statement, "do:It", "*", context), is_held, "{condition} {context:?}");
    }
}

#[test]
fn all_conditions_have_to_hold() {
    let condition = json!({"StringEquals": {"a": "1", "b": "2"}, "Null": {"c": "true"}});
    let statement = json!({"Effect": "Allow", "Action": "do:It", "Resource": "*", "Condition": condition});
    for (context, is_allowed) in [
        (&[("a", "1"), ("b", "2")][..], true),
        (&[("a", "1")], false),
        (&[("a", "1"), ("b", "3")], false),
        (&[("a", "1"), ("b", "2"), ("c", "3")], false),
    ] {
        assert_eq!(allows(&statement, "do:It", "*", context), is_allowed, "{context:?}");
    }
}

#[test]
fn a_variable_stands_for_what_is_known_and_for_no_wildcard() {
    for (resource, value, context, is_allowed) in [
        ("arn:a/${k}", "v", &[("k", "x"), ("v", "v")][..], true),
        ("arn:a/${K}", "v", &[("k", "x"), ("v", "v")], true),
        ("arn:a/${k}", "v", &[("v", "v")], false),
        ("arn:a/${k}", "v", &[("k", "*"), ("v", "v")], false),
        ("arn:a/${k}", "v", &[("k", "x"), ("k", "y"), ("v", "v")], false),
        ("arn:a/${k, 'x'}", "v", &[("v", "v")], true),
        ("*", "${k}", &[("k", "v"), ("v", "v")], true),
        ("*", "${k}", &[("v", "v")], false),
        ("*", "a${*}", &[("v", "a*")], true),
        ("*", "a${*}", &[("v", "ab")], false),
        ("*", "${", &[("v", "v")], false),
    ] {
        let condition = json!({"StringLike": {"v": value}});
        let statement = json!({"Effect": "Allow", "Action": "do:It", "Resource": resource, "Condition": condition});
        assert_eq!(allows(&statement, "do:It", "arn:a/x", context), is_allowed, "{resource} {value} {context:?}");
    }
    let old: Policy =
        r#"{"Statement": {"Effect": "Allow", "Action": "do:It", "Resource": "arn:a/${k}"}}"#.parse().unwrap();
    let literal = vec![("arn:a/${k}".to_owned(), Context::default())];
    let question = Question { action: "do:It".to_owned(), resources: literal };
    assert_eq!(evaluate(&[old], &question), Ok(()), "before 2012 there were none");
}

#[test]
fn what_is_not_understood_is_an_error_of_the_policy() {
    let with = |field: &str, value: Value| {
        let mut statement = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
        statement[field] = value;
        json!({"Version": "2012-10-17", "Statement": [statement]}).to_string()
    };
    for (document, part) in [
        (with("NotAction", json!("*")), "element NotAction"),
        (with("NotResource", json!("*")), "element NotResource"),
        (with("Principal", json!("*")), "element Principal"),
        (with("Effect", json!("allow")), "Effect"),
        (with("Action", json!(null)), "value null"),
        (with("Condition", json!([])), "Condition"),
        (with("Condition", json!({"IpAddress": {"aws:SourceIp": "192.0.2.0/24"}})), "operator IpAddress"),
        (with("Condition", json!({"NullIfExists": {"a": "true"}})), "operator NullIfExists"),
        (with("Condition", json!({"ForAllValues:Null": {"a": "true"}})), "operator ForAllValues:Null"),
        (with("Condition", json!({"ForSome:StringEquals": {"a": "b"}})), "operator ForSome:StringEquals"),
        (r#"{"Version": "2024-01-01", "Statement": []}"#.to_owned(), "Version"),
        (r#"{"Version": "2012-10-17"}"#.to_owned(), "no Statement"),
        (r#"{"Statement": [{"Effect": "Allow", "Resource": "*"}]}"#.to_owned(), "no Action"),
        ("x".to_owned(), "no JSON"),
    ] {
        let error = document.parse::<Policy>().unwrap_err();
        assert!(error.contains(part), "{document}: {error}");
    }
}
