use super::*;
use crate::sandbox::world::World;

fn ask(world: &mut World, second: i64, operation: &str, body: &Value) -> Result<Value, String> {
    let now = Timestamp::from_second(second).unwrap();
    let mut call = Call { world, region: "us-east-1".to_owned(), now, operation: operation.to_owned() };
    handle(&mut call, body.to_string().as_bytes()).map_err(|error| error.code)
}

fn quota_of(code: &str) -> Value {
    json!({"ServiceCode": "ec2", "QuotaCode": code})
}

#[test]
fn a_quota_never_raised_has_no_applied_value_but_a_default() {
    let mut world = World::default();
    for (operation, code, wanted) in [
        ("GetServiceQuota", "L-3819A6DF", Ok(64.0)),
        ("GetServiceQuota", "L-34B43A08", Ok(5.0)),
        ("GetServiceQuota", "L-7212CCBC", Err("NoSuchResourceException")),
        ("GetAWSDefaultServiceQuota", "L-7212CCBC", Ok(0.0)),
        ("GetAWSDefaultServiceQuota", "L-1216C47A", Ok(5.0)),
        ("GetAWSDefaultServiceQuota", "L-00000000", Err("NoSuchResourceException")),
        ("GetQuota", "L-7212CCBC", Err("InvalidAction")),
    ] {
        let answer =
            ask(&mut world, 1, operation, &quota_of(code)).map(|answer| answer["Quota"]["Value"].as_f64().unwrap());
        assert_eq!(answer, wanted.map_err(str::to_owned), "{operation} {code}");
    }
    for (class, spot, on_demand) in CLASSES {
        assert!(default(spot).is_some() && default(on_demand).is_some(), "{class}");
    }
}

#[test]
fn a_request_is_granted_by_the_clock_and_refused_while_one_is_open() {
    let mut world = World::default();
    let wish = |value: f64| json!({"ServiceCode": "ec2", "QuotaCode": "L-7212CCBC", "DesiredValue": value});
    let refused = ask(&mut world, 100, "RequestServiceQuotaIncrease", &wish(0.0));
    assert_eq!(refused.unwrap_err(), "IllegalArgumentException");
    let made = ask(&mut world, 100, "RequestServiceQuotaIncrease", &wish(96.0)).unwrap();
    let id = made["RequestedQuota"]["Id"].clone();
    let again = ask(&mut world, 150, "RequestServiceQuotaIncrease", &wish(128.0));
    assert_eq!(again.unwrap_err(), "ResourceAlreadyExistsException");
    for (second, status, counts) in [(119, "PENDING", 0.0), (120, "CASE_OPENED", 0.0), (160, "APPROVED", 96.0)] {
        let now = Timestamp::from_second(second).unwrap();
        assert!(
            (limit(&world.region("us-east-1").quotas, "L-7212CCBC", now) - counts).abs() < f64::EPSILON,
            "{second}"
        );
        let change = ask(&mut world, second, "GetRequestedServiceQuotaChange", &json!({"RequestId": id})).unwrap();
        assert_eq!(change["RequestedQuota"]["Status"], status, "{second}");
    }
    let by_quota =
        ask(&mut world, 161, "ListRequestedServiceQuotaChangeHistoryByQuota", &quota_of("L-7212CCBC")).unwrap();
    assert_eq!(by_quota["RequestedQuotas"][0]["DesiredValue"], 96.0);
    assert_eq!(ask(&mut world, 161, "GetServiceQuota", &quota_of("L-7212CCBC")).unwrap()["Quota"]["Value"], 96.0);
    let open = ask(&mut world, 161, "ListRequestedServiceQuotaChangeHistory", &json!({"Status": "PENDING"})).unwrap();
    assert_eq!(open["RequestedQuotas"], json!([]));
    world.region("us-east-1").quotas.applied.insert("L-7212CCBC".to_owned(), 8.0);
    assert_eq!(ask(&mut world, 162, "GetServiceQuota", &quota_of("L-7212CCBC")).unwrap()["Quota"]["Value"], 8.0);
}

#[test]
fn lists_come_in_pages_and_unknown_parameters_are_refused() {
    let mut world = World::default();
    let mut body = json!({"ServiceCode": "ec2", "MaxResults": 10});
    let first = ask(&mut world, 1, "ListAWSDefaultServiceQuotas", &body).unwrap();
    assert_eq!(first["Quotas"].as_array().unwrap().len(), 10);
    body["NextToken"] = first["NextToken"].clone();
    let second = ask(&mut world, 1, "ListAWSDefaultServiceQuotas", &body).unwrap();
    assert_eq!(second["Quotas"].as_array().unwrap().len(), QUOTAS.len() - 10);
    assert!(second.get("NextToken").is_none());
    body["Unknown"] = json!(1);
    assert_eq!(ask(&mut world, 1, "ListAWSDefaultServiceQuotas", &body).unwrap_err(), "ValidationException");
    let applied = ask(&mut world, 1, "ListServiceQuotas", &json!({"ServiceCode": "ec2"})).unwrap();
    assert_eq!(applied["Quotas"].as_array().unwrap().len(), 2);
}

#[test]
fn a_request_ends_as_the_weather_had_it_when_it_was_filed() {
    let code = "L-7212CCBC";
    let wish = json!({"ServiceCode": "ec2", "QuotaCode": code, "DesiredValue": 96.0});
    let says = |world: &mut World, words: &str| {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        crate::sandbox::weather::set(world, &words, Timestamp::UNIX_EPOCH).unwrap();
    };
    for (answer, status, value) in [
        ("approved", "APPROVED", Some(96.0)),
        ("denied", "DENIED", None),
        ("not-approved", "NOT_APPROVED", None),
        ("closed", "CASE_CLOSED", None),
        ("closed-granted", "CASE_CLOSED", Some(96.0)),
    ] {
        let mut world = World::default();
        says(&mut world, &format!("quota-answer {answer} after 9s"));
        let made = ask(&mut world, 100, "RequestServiceQuotaIncrease", &wish).unwrap();
        assert_eq!(made["RequestedQuota"]["Status"], "PENDING");
        says(&mut world, "quota-answer approved after 1s");
        let id = json!({"RequestId": made["RequestedQuota"]["Id"]});
        for (second, wanted, since) in [
            (102, "PENDING", 100),
            (103, "CASE_OPENED", 103),
            (108, "CASE_OPENED", 103),
            (109, status, 109),
            (999, status, 109),
        ] {
            let change = ask(&mut world, second, "GetRequestedServiceQuotaChange", &id).unwrap();
            let change = &change["RequestedQuota"];
            assert_eq!(
                (&change["Status"], &change["LastUpdated"]),
                (&json!(wanted), &json!(since)),
                "{answer} {second}"
            );
        }
        let applied = ask(&mut world, 109, "GetServiceQuota", &quota_of(code));
        let applied = applied.ok().and_then(|answer| answer["Quota"]["Value"].as_f64());
        assert_eq!(applied, value, "{answer}");
        // What has ended keeps nobody from asking again, and the next one ends by its own fate.
        let more = json!({"ServiceCode": "ec2", "QuotaCode": code, "DesiredValue": 192.0});
        let again = ask(&mut world, 110, "RequestServiceQuotaIncrease", &more).unwrap();
        assert_eq!(again["RequestedQuota"]["Status"], "PENDING", "{answer}");
        let quota = ask(&mut world, 111, "GetServiceQuota", &quota_of(code)).unwrap();
        assert_eq!(quota["Quota"]["Value"], 192.0, "{answer}");
    }
}

#[test]
fn a_quota_that_was_never_raised_can_be_had_again() {
    let mut world = World::default();
    let words = ["quota", "G=none", "us-east-1"].map(str::to_owned);
    crate::sandbox::weather::set(&mut world, &words, Timestamp::UNIX_EPOCH).unwrap();
    let none = ask(&mut world, 1, "GetServiceQuota", &quota_of("L-3819A6DF"));
    assert_eq!(none.unwrap_err(), "NoSuchResourceException");
    assert!(limit(&world.region("us-east-1").quotas, "L-3819A6DF", Timestamp::UNIX_EPOCH).abs() < f64::EPSILON);
}

#[test]
fn a_request_of_an_older_state_is_approved_after_a_minute() {
    let old = json!({"id": "1", "code": "L-3819A6DF", "desired": 96.0, "created_at": 100, "is_settled": false});
    let change: Change = serde_json::from_value(old).unwrap();
    let status = |second| change.status(Timestamp::from_second(second).unwrap());
    assert_eq!([status(119), status(120), status(160)], ["PENDING", "CASE_OPENED", "APPROVED"]);
}
