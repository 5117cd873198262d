//! What is listed, what filters choose, and that spotctl's own client reads it right.

use std::collections::BTreeSet;

use super::*;
use crate::cloud::Cloud;
use crate::sandbox::Sandbox;
use crate::sandbox::client;
use crate::sandbox::world::World;

fn ask(operation: &str, body: &Value) -> Result<Value, String> {
    let mut world = World::default();
    let (now, region) = (jiff::Timestamp::UNIX_EPOCH, "us-east-1".to_owned());
    let call = Call { world: &mut world, region, now, operation: operation.to_owned() };
    handle(&call, body.to_string().as_bytes()).map_err(|error| error.code)
}

fn filters(filters: &[(&str, &str, &str)]) -> Value {
    let filters: Vec<Value> =
        filters.iter().map(|(kind, field, value)| json!({"Type": kind, "Field": field, "Value": value})).collect();
    json!({"ServiceCode": "AmazonEC2", "Filters": filters})
}

fn list(answer: &Value) -> Vec<Value> {
    let texts = answer["PriceList"].as_array().unwrap().iter();
    texts.map(|text| serde_json::from_str(text.as_str().unwrap()).unwrap()).collect()
}

const HERE: (&str, &str, &str) = ("TERM_MATCH", "regionCode", "us-east-1");
const XLARGE: (&str, &str, &str) = ("EQUALS", "instanceType", "g4dn.xlarge");

#[test]
fn a_type_is_many_products_and_one_of_them_is_what_an_instance_costs() {
    let all = list(&ask("GetProducts", &filters(&[HERE, XLARGE])).unwrap());
    assert_eq!(all.len(), VARIANTS.len());
    let skus: BTreeSet<_> = all.iter().map(|row| row["product"]["sku"].as_str().unwrap()).collect();
    assert_eq!(skus.len(), all.len());
    let exact = [
        HERE,
        XLARGE,
        ("TERM_MATCH", "operatingSystem", "Linux"),
        ("TERM_MATCH", "tenancy", "Shared"),
        ("TERM_MATCH", "preInstalledSw", "NA"),
        ("TERM_MATCH", "capacitystatus", "Used"),
        ("TERM_MATCH", "marketoption", "OnDemand"),
    ];
    let one = list(&ask("GetProducts", &filters(&exact)).unwrap());
    let [row] = one.as_slice() else { panic!("{one:?}") };
    let (product, sku) = (&row["product"], row["product"]["sku"].as_str().unwrap());
    assert_eq!(product["productFamily"], "Compute Instance");
    for (name, value) in [
        ("location", "US East (N. Virginia)"),
        ("vcpu", "4"),
        ("memory", "16 GiB"),
        ("gpu", "1"),
        ("marketoption", "OnDemand"),
        ("usagetype", "BoxUsage:g4dn.xlarge"),
    ] {
        assert_eq!(product["attributes"][name], value, "{name}");
    }
    let dimension =
        &row["terms"]["OnDemand"][format!("{sku}.{OFFER}")]["priceDimensions"][format!("{sku}.{OFFER}.{RATE}")];
    assert_eq!((&dimension["unit"], &dimension["pricePerUnit"]["USD"]), (&json!("Hrs"), &json!("0.5260000000")));
}

#[test]
fn filters_choose_as_their_type_says() {
    let count = |more: &[(&str, &str, &str)]| {
        let linux = [HERE, ("TERM_MATCH", "tenancy", "Dedicated")];
        ask("GetProducts", &filters(&[&linux, more].concat())).map(|answer| list(&answer).len())
    };
    let all = count(&[]).unwrap();
    let g4dn = count(&[("CONTAINS", "instanceType", "g4dn.")]).unwrap();
    assert_eq!(g4dn, 7);
    assert_eq!(count(&[("ANY_OF", "instanceType", "g4dn.xlarge,g5.xlarge,g99.xlarge")]), Ok(2));
    assert_eq!(count(&[("NONE_OF", "instanceType", "g4dn.xlarge,g5.xlarge")]), Ok(all - 2));
    assert_eq!(count(&[("EQUALS", "ServiceCode", "AmazonEC2"), ("TERM_MATCH", "instanceType", "g5")]), Ok(0));
    assert_eq!(count(&[("EQUALS", "productFamily", "Compute Instance (bare metal)"), XLARGE]), Ok(0));
    assert_eq!(count(&[("EQUALS", "colour", "red")]), Err("InvalidParameterException".to_owned()));
    assert_eq!(count(&[("EQUALS", "location", &"x".repeat(1025))]), Err("InvalidParameterException".to_owned()));
    assert_eq!(count(&[("LIKE", "location", "x")]), Err("ValidationException".to_owned()));
}

#[test]
fn pages_hold_a_hundred_and_follow_each_other_to_the_end() {
    let mut body = filters(&[("TERM_MATCH", "regionCode", "us-west-2")]);
    let mut skus = Vec::new();
    loop {
        let answer = ask("GetProducts", &body).unwrap();
        let page = list(&answer);
        assert!(page.len() <= 100);
        skus.extend(page.iter().map(|row| row["product"]["sku"].as_str().unwrap().to_owned()));
        let Some(next) = answer.get("NextToken") else { break };
        body["NextToken"] = next.clone();
    }
    let unique: BTreeSet<_> = skus.iter().collect();
    let sold = catalog::instance_types().iter().filter(|kind| catalog::is_sold("us-west-2", &kind.name)).count();
    assert_eq!((unique.len(), skus.len()), (sold * VARIANTS.len(), sold * VARIANTS.len()));
    for (member, value, code) in [
        ("MaxResults", json!(101), "InvalidParameterException"),
        ("MaxResults", json!(0), "InvalidParameterException"),
        ("NextToken", json!("x"), "InvalidNextTokenException"),
        ("FormatVersion", json!("aws_v2"), "InvalidParameterException"),
        ("ServiceCode", json!("AmazonS3"), "NotFoundException"),
        ("Colour", json!("red"), "ValidationException"),
    ] {
        let mut body = filters(&[HERE]);
        body[member] = value;
        assert_eq!(ask("GetProducts", &body).unwrap_err(), code, "{member}");
    }
}

#[test]
fn every_region_is_in_the_list() {
    let listed: Vec<_> = LOCATIONS.iter().map(|(region, ..)| (*region).to_owned()).collect();
    assert_eq!(listed, catalog::all_regions());
}

fn cloud(sandbox: &Sandbox, region: &str) -> Cloud {
    // The key that one of the tests holds to a policy.
    let credentials = aws_credential_types::Credentials::new("AKIA", "b", None, None, "test");
    let provider = aws_credential_types::provider::SharedCredentialsProvider::new(credentials);
    Cloud::from_config(&client::config(sandbox, region).credentials_provider(provider).build()).unwrap()
}

#[tokio::test]
async fn prices_are_read_right_from_wherever_one_asks() {
    let sandbox = Sandbox::in_memory();
    // More than a page, more than a filter's value holds, and one that is not there.
    let mut types: BTreeSet<String> = catalog::instance_types().iter().map(|kind| kind.name.clone()).collect();
    types.insert("g99.xlarge".to_owned());
    for region in ["ap-northeast-2", "us-west-2", "eu-west-1"] {
        let found = crate::market::price_list::on_demand(&cloud(&sandbox, region), &types).await.unwrap();
        let wanted = types.iter().filter(|name| catalog::is_sold(region, name));
        let wanted = wanted.map(|name| (name.clone(), prices::on_demand(name, region).parse().unwrap()));
        assert_eq!(found, wanted.collect(), "{region}");
    }
    // A pricing call leaves no trace of a region in the state.
    assert!(sandbox.change(|world| world.regions.is_empty()).unwrap());
}

#[tokio::test]
async fn prices_need_leave_of_their_own_and_a_region_that_has_them() {
    let sandbox = Sandbox::in_memory();
    let types = BTreeSet::from(["g4dn.xlarge".to_owned()]);
    let policy = |action: &str| {
        format!(r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Action":"{action}","Resource":"*"}}]}}"#)
    };
    for (action, code) in [("ec2:*", Some("AccessDeniedException")), ("pricing:GetProducts", None)] {
        sandbox.set(&["principal".to_owned(), "AKIA".to_owned(), policy(action)]).unwrap();
        let found = crate::market::price_list::on_demand(&cloud(&sandbox, "ap-northeast-2"), &types).await;
        assert_eq!(found.err().and_then(|failure| failure.code).as_deref(), code, "{action}");
    }
    assert_eq!(has_endpoint("us-west-2").unwrap_err().code, "InvalidSignatureException");
}
