//! The Price List API: what things cost on demand, as products with attributes and terms.
//!
//! It owns nothing: the prices are those of [`prices`], and **made up** like all of them. Odd in AWS: the list is answered in
//! three regions only, for all of them; a product is JSON in a string; beside the row that most people mean stand others of
//! the same type, with Windows, on dedicated hardware, or for a capacity reservation that lies idle, and whoever does not
//! filter them out reads a wrong price.

use serde::Deserialize;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::call::{AwsError, Call};
use super::ec2::{catalog, prices};
use super::wire::json;

/// Where it answers.
pub const REGIONS: [&str; 3] = ["us-east-1", "eu-central-1", "ap-south-1"];

const SERVICE: &str = "AmazonEC2";

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Ask {
    service_code: String,
    #[serde(default)]
    filters: Vec<Filter>,
    format_version: Option<String>,
    next_token: Option<String>,
    max_results: Option<usize>,
}

#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Filter {
    r#type: String,
    field: String,
    value: String,
}

impl Filter {
    fn accepts(&self, attributes: &Value) -> Result<bool, AwsError> {
        let has = attributes[&self.field].as_str();
        let among = || self.value.split(',').any(|value| has == Some(value));
        match self.r#type.as_str() {
            "TERM_MATCH" | "EQUALS" => Ok(has == Some(&self.value)),
            "CONTAINS" => Ok(has.is_some_and(|has| has.contains(&self.value))),
            "ANY_OF" => Ok(among()),
            "NONE_OF" => Ok(!among()),
            other => Err(invalid(&format!(
                "Filter type {other} is not one of TERM_MATCH, EQUALS, CONTAINS, ANY_OF, NONE_OF"
            ))),
        }
    }
}

fn invalid(message: &str) -> AwsError {
    AwsError::new("InvalidParameterException", message)
}

/// Answers one Price List call.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, body: &[u8]) -> Result<Value, AwsError> {
    match call.operation.as_str() {
        "GetProducts" => products(&json::input(body)?),
        other => Err(AwsError::unknown_operation(other)),
    }
}

fn products(ask: &Ask) -> Result<Value, AwsError> {
    if ask.service_code != SERVICE {
        let message = format!("The service {} is not part of this sandbox's price list", ask.service_code);
        return Err(AwsError::new("NotFoundException", message));
    }
    if ask.format_version.as_deref().is_some_and(|version| version != "aws_v1") {
        return Err(invalid("Format version must be aws_v1"));
    }
    let most = ask.max_results.unwrap_or(100);
    if !(1..=100).contains(&most) {
        return Err(invalid("MaxResults must be from 1 to 100"));
    }
    if let Some(long) = ask.filters.iter().find(|filter| filter.value.len() > 1024) {
        return Err(invalid(&format!("The value of the filter {} is longer than 1024 characters", long.field)));
    }
    let after = match &ask.next_token {
        Some(token) => {
            let named = json::named_by(token);
            Some(named.ok_or_else(|| AwsError::new("InvalidNextTokenException", "The next token is invalid"))?)
        }
        None => None,
    };
    let mut found = Vec::new();
    let mut last = None;
    let mut has_more = false;
    for (sku, product) in all() {
        if after.as_ref().is_some_and(|after| sku <= *after) {
            continue;
        }
        let attributes = &product["product"]["attributes"];
        let fits = ask.filters.iter().map(|filter| filter.accepts(attributes)).collect::<Result<Vec<_>, _>>()?;
        if fits.contains(&false) {
            continue;
        }
        if found.len() == most {
            has_more = true;
            break;
        }
        found.push(product.to_string());
        last = Some(sku);
    }
    let mut answer = json!({ "FormatVersion": "aws_v1", "PriceList": found });
    if let Some(last) = last.filter(|_| has_more) {
        answer["NextToken"] = json!(json::token(&last));
    }
    Ok(answer)
}

/// What a row differs in from another of the same type, and the price's share of the reference, in hundredths.
const ROWS: [(&str, &str, &str, u64); 5] = [
    ("Linux", "Shared", "Used", 100),
    ("Windows", "Shared", "Used", 135),
    ("Linux", "Dedicated", "Used", 110),
    ("Linux", "Shared", "UnusedCapacityReservation", 100),
    ("Linux", "Shared", "AllocatedCapacityReservation", 0),
];

/// Every product, in the order of its SKU.
fn all() -> Vec<(String, Value)> {
    let mut products = Vec::new();
    for region in catalog::regions() {
        for kind in catalog::instance_types() {
            let micros: u64 = prices::on_demand(&kind.name, region).replace('.', "").parse().unwrap_or_default();
            if micros == 0 {
                continue;
            }
            for row in ROWS {
                let key = format!("{region} {} {} {} {}", kind.name, row.0, row.1, row.2);
                let digest = Sha256::digest(&key);
                let sku: String = digest.iter().take(8).map(|byte| format!("{byte:02X}")).collect();
                let product = product(&sku, region, kind, row, micros * row.3 / 100);
                products.push((sku, product));
            }
        }
    }
    products.sort_by(|a, b| a.0.cmp(&b.0));
    products
}

fn product(
    sku: &str,
    region: &str,
    kind: &catalog::InstanceType,
    (system, tenancy, status, _): (&str, &str, &str, u64),
    micros: u64,
) -> Value {
    let family = if kind.gpu.is_some() { "GPU instance" } else { "General purpose" };
    let mut attributes = json!({
        "servicecode": SERVICE,
        "servicename": "Amazon Elastic Compute Cloud",
        "location": region,
        "locationType": "AWS Region",
        "regionCode": region,
        "instanceType": kind.name,
        "instanceFamily": family,
        "vcpu": kind.vcpus.to_string(),
        "memory": format!("{} GiB", kind.memory_mib / 1024),
        "operatingSystem": system,
        "tenancy": tenancy,
        "capacitystatus": status,
        "preInstalledSw": "NA",
        "licenseModel": "No License required",
        "marketoption": "OnDemand",
        "operation": if system == "Windows" { "RunInstances:0002" } else { "RunInstances" },
        "currentGeneration": if kind.current_generation { "Yes" } else { "No" },
    });
    if let Some(gpu) = &kind.gpu {
        attributes["gpu"] = json!(gpu.count.to_string());
    }
    let offer = format!("{sku}.JRTCKXETXF");
    let rate = format!("{offer}.6YS6EN2CT7");
    let dimension = json!({
        "unit": "Hrs",
        "beginRange": "0",
        "endRange": "Inf",
        "description": format!("{} per On Demand {system} {} Instance Hour", prices::usd(micros), kind.name),
        "appliesTo": [],
        "rateCode": rate,
        "pricePerUnit": { "USD": format!("{}0000", prices::usd(micros)) },
    });
    let term = json!({
        "priceDimensions": { rate: dimension },
        "sku": sku,
        "effectiveDate": "2026-11-01T00:00:00Z",
        "offerTermCode": "JRTCKXETXF",
        "termAttributes": {},
    });
    json!({
        "product": { "productFamily": "Compute Instance", "attributes": attributes, "sku": sku },
        "serviceCode": SERVICE,
        "terms": { "OnDemand": { offer: term } },
        "version": "20261101000000",
        "publicationDate": "2026-11-01T00:00:00Z",
    })
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use aws_config::{BehaviorVersion, Region, SdkConfig};
    use aws_credential_types::Credentials;
    use aws_credential_types::provider::SharedCredentialsProvider;

    use crate::cloud::Cloud;
    use crate::market::price_list;
    use crate::sandbox::ec2::{catalog, prices};
    use crate::sandbox::{Sandbox, client};

    fn cloud(region: &'static str) -> Cloud {
        let config = SdkConfig::builder()
            .behavior_version(BehaviorVersion::latest())
            .region(Region::new(region))
            .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
            .http_client(client::http_client(Sandbox::in_memory()))
            .build();
        Cloud::from_config(&config).unwrap()
    }

    #[tokio::test]
    async fn the_price_of_plain_linux_is_read_whatever_rows_stand_beside_it() {
        let names: BTreeSet<String> = catalog::instance_types().iter().map(|kind| kind.name.clone()).collect();
        // The list is asked in another region than the worker's.
        for region in ["us-east-1", "ap-northeast-2"] {
            let found = price_list::on_demand(&cloud(region), &names).await.unwrap();
            assert!(found.len() > 50, "{}", found.len());
            for (name, price) in found {
                assert_eq!(price, prices::on_demand(&name, region).parse().unwrap(), "{name}");
            }
        }
    }

    #[tokio::test]
    async fn a_type_that_is_not_in_the_list_has_no_price() {
        let names = BTreeSet::from(["g4dn.xlarge".to_owned(), "q1.nano".to_owned()]);
        let found = price_list::on_demand(&cloud("us-east-1"), &names).await.unwrap();
        assert_eq!(found.keys().collect::<Vec<_>>(), ["g4dn.xlarge"]);
    }
}
