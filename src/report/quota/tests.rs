use serde_json::{Value, json};

use super::*;
use crate::decide::increase::tests::increase;
use crate::decide::need::tests::known;

fn at(second: i64) -> Timestamp {
    Timestamp::from_second(second).unwrap()
}

fn quotas() -> Quotas {
    let mut seen = known(Some(8), Some(&[("i-1", 4, Some("w")), ("sir-2", 4, None)]));
    seen.increases = Some(vec![increase("CASE_OPENED", 64, 60), increase("DENIED", 8, 30)]);
    let mut dark = known(None, None);
    dark.standing.quota = crate::decide::quota::of("p5.4xlarge", Market::Spot).unwrap();
    dark.smallest = None;
    dark.missing = BTreeSet::from(["servicequotas:GetServiceQuota"]);
    let unknown = Unknown { family: "p6-b200".to_owned(), market: Market::Spot, vcpus: Some(192) };
    let mut quotas = Quotas::new("us-east-1", Some("w".to_owned()), 2);
    quotas.fill(&[seen, dark], &[unknown], at(8040));
    quotas
}

#[test]
fn each_holder_and_each_open_request_is_named_and_the_unknown_is_not_guessed() {
    let text = "\
CODE        MARKET  LIMIT    IN USE   AVAILABLE  NEEDED  ENOUGH   NAME
L-3819A6DF  spot    8        8        0          8       no       All G and VT Spot Instance Requests
L-C4BD4855  spot    unknown  unknown  unknown    -       -        All P5 Spot Instance Requests
-           spot    unknown  unknown  unknown    384     unknown  the quota of p6-b200 is unknown: AWS's tables disagree

CODE        USED BY  TYPE         VCPUS  AGE    STACK
L-3819A6DF  i-1      g4dn.xlarge  4      2h14m  w
L-3819A6DF  sir-2    g4dn.xlarge  4      2h14m  -

CODE        REQUEST  VCPUS  STATUS       CASE  FILED
L-3819A6DF  r-1      64     CASE_OPENED  17    1970-01-01T00:01:00Z

what is unknown would take leave for servicequotas:GetServiceQuota
";
    assert_eq!(quotas().text(false), text);
}

#[test]
fn the_document_has_the_contracts_fields_and_null_for_what_is_not_known() {
    let document = serde_json::to_value(quotas()).unwrap();
    let first = &document["quotas"][0];
    for (field, value) in [
        ("code", json!("L-3819A6DF")),
        ("market", json!("spot")),
        ("limit", json!(8)),
        ("in_use", json!(8)),
        ("available", json!(0)),
        ("needed", json!(8)),
        ("sufficient", json!(false)),
    ] {
        assert_eq!(first[field], value, "{field}");
    }
    assert_eq!(
        first["holders"][0],
        json!({
            "id": "i-1", "type": "g4dn.xlarge", "vcpus": 4, "age": "2h14m", "since": "1970-01-01T00:00:00Z", "stack": "w",
        })
    );
    assert_eq!(first["requests"].as_array().map(Vec::len), Some(1), "only what is open");
    assert_eq!(first["requests"][0]["status"], json!("CASE_OPENED"));
    for field in ["limit", "in_use", "available", "needed", "sufficient"] {
        assert_eq!(document["quotas"][1][field], Value::Null, "{field}");
    }
    assert_eq!(document["quotas"][1]["missing"], json!(["servicequotas:GetServiceQuota"]));
    assert_eq!(document["quotas"][2]["code"], Value::Null);
}

#[test]
fn an_age_has_its_two_largest_units() {
    for (seconds, text) in
        [(-5, "0s"), (0, "0s"), (59, "59s"), (60, "1m"), (3600, "1h0m"), (8040, "2h14m"), (180_000, "2d2h")]
    {
        assert_eq!(age(at(0), at(seconds)), text);
    }
}

#[test]
fn what_came_of_a_request_is_said_in_a_sentence_with_the_request() {
    let mut report = Filing::new(quotas());
    report.vcpus = Some(16);
    report.reason = "2 × g4dn.xlarge need 8".to_owned();
    assert!(report.is_empty() && report.text(false).is_empty());
    for (came, begins) in [
        (
            Came::Filed,
            "asked for 16 vCPUs of L-3819A6DF (All G and VT Spot Instance Requests) in us-east-1: 2 × g4dn.xlarge need 8\n",
        ),
        (
            Came::Open,
            "a request for L-3819A6DF (All G and VT Spot Instance Requests) in us-east-1 is open already, nothing was filed\n",
        ),
    ] {
        report.is_open(&increase("PENDING", 16, 0), came);
        let request = "request r-1: 16 vCPUs, PENDING, filed 1970-01-01T00:00:00Z\n";
        assert_eq!(report.text(false), format!("{begins}{request}"));
    }
    assert_eq!(report.quotas.quotas[0].requests.len(), 2, "the new one once, beside the one that was there");
}

#[test]
fn a_watch_shows_what_it_saw_last_and_claims_a_grant_only_then() {
    let mut watched = Watched::new(Quotas::new("us-east-1", None, 1));
    watched.is_about(&known(Some(0), Some(&[("i-1", 4, None)])), at(0));
    watched.vcpus = Some(8);
    watched.saw(Some(16), &[increase("APPROVED", 16, 0)], at(0));
    assert_eq!((watched.limit(), watched.quotas.quotas[0].available), (Some(16), Some(12)));
    assert_eq!(watched.request.as_ref().map(|request| request.status.as_str()), Some("APPROVED"));
    assert!(watched.is_empty());
    for (failed, status) in
        [(Some(Kind::Timeout), "timeout"), (Some(Kind::Terminated), "interrupted"), (None, "granted")]
    {
        watched.ends(failed);
        assert_eq!(watched.status, status);
    }
    assert!(watched.text(false).ends_with("is 16 vCPUs now, 8 were wanted\n"));
}
