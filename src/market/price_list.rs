//! On-demand prices, from AWS's Price List API. It answers in three regions only, for all of them, and needs a permission of
//! its own (`pricing:GetProducts`): where that is missing, the prices are not known, and nothing else fails.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_pricing::types::{Filter, FilterType};
use serde_json::Value;

use crate::cloud::{Cloud, Failure, pages};
use crate::spec::Usd;

/// A filter's value holds 1,024 characters; type names are listed in it with commas.
const NAMES_A_FILTER: usize = 1000;

/// On-demand prices an hour of these types in the cloud's region: Linux, shared tenancy, nothing installed. A type that
/// the list lacks is missing in the answer.
///
/// # Errors
/// The first call's failure.
pub async fn on_demand(cloud: &Cloud, types: &BTreeSet<String>) -> Result<BTreeMap<String, Usd>, Failure> {
    let lists = chunks(types);
    let asked = lists.iter().map(|names| async move {
        let request = cloud.pricing.get_products().service_code("AmazonEC2").set_filters(Some(filters(cloud, names)));
        pages("GetProducts", request.into_paginator().send()).await
    });
    let pages = futures::future::try_join_all(asked).await?;
    let mut prices = BTreeMap::new();
    for (name, price) in pages.iter().flatten().flat_map(|page| page.price_list()).filter_map(|product| read(product)) {
        // A ceiling is held against what it may cost: of two rows that no filter told apart the dearer one.
        let known = prices.entry(name).or_insert(price);
        *known = (*known).max(price);
    }
    Ok(prices)
}

/// Comma-separated names, as many in one as fit.
fn chunks(types: &BTreeSet<String>) -> Vec<String> {
    let mut lists: Vec<String> = Vec::new();
    for name in types {
        match lists.last_mut() {
            Some(list) if list.len() + name.len() < NAMES_A_FILTER => {
                list.push(',');
                list.push_str(name);
            }
            _ => lists.push(name.clone()),
        }
    }
    lists
}

fn filters(cloud: &Cloud, names: &str) -> Vec<Filter> {
    let exactly = [
        ("regionCode", cloud.region.as_str()),
        ("operatingSystem", "Linux"),
        ("tenancy", "Shared"),
        ("preInstalledSw", "NA"),
        // Not the rows of capacity reservations, which cost the same when unused.
        ("capacitystatus", "Used"),
        // Not those of Capacity Blocks either, which are paid beforehand and stand there at nothing an hour.
        ("marketoption", "OnDemand"),
    ];
    let exactly = exactly.into_iter().map(|(field, value)| (FilterType::TermMatch, field, value));
    exactly
        .chain([(FilterType::AnyOf, "instanceType", names)])
        .filter_map(|(kind, field, value)| Filter::builder().r#type(kind).field(field).value(value).build().ok())
        .collect()
}

/// The type and its price of one product, which the list holds as JSON in a string.
fn read(product: &str) -> Option<(String, Usd)> {
    let product: Value = serde_json::from_str(product).ok()?;
    let name = product["product"]["attributes"]["instanceType"].as_str()?.to_owned();
    let offers = product["terms"]["OnDemand"].as_object()?;
    let dimensions = offers.values().filter_map(|offer| offer["priceDimensions"].as_object());
    let by_the_hour = dimensions.flat_map(|all| all.values()).filter(|dimension| dimension["unit"] == "Hrs");
    let price = by_the_hour.filter_map(|dimension| dimension["pricePerUnit"]["USD"].as_str()?.parse().ok()).max()?;
    // Nothing is free: a price of 0 is another kind of row.
    (price > Usd::default()).then_some((name, price))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_product_has_its_price_by_the_hour_and_an_odd_one_none() {
        let product = r#"{"product": {"productFamily": "Compute Instance", "sku": "X",
            "attributes": {"instanceType": "g5.xlarge", "regionCode": "us-east-1"}}, "serviceCode": "AmazonEC2",
            "terms": {"OnDemand": {"X.JRTCKXETXF": {"priceDimensions": {"X.JRTCKXETXF.6YS6EN2CT7":
            {"unit": "Hrs", "pricePerUnit": {"USD": "1.0060000000"}}}}}}}"#;
        assert_eq!(read(product), Some(("g5.xlarge".to_owned(), Usd::from_micros(1_006_000))));
        for odd in [
            "",
            "{}",
            "[]",
            r#"{"product": 1}"#,
            &product.replace("Hrs", "Quantity"),
            &product.replace("USD", "CNY"),
            &product.replace("1.0060000000", "0.0000000000"),
        ] {
            assert_eq!(read(odd), None, "{odd}");
        }
    }

    #[test]
    fn names_are_listed_within_what_a_filter_holds() {
        let types: BTreeSet<String> = (0..300).map(|index| format!("g{index}.24xlarge")).collect();
        let lists = chunks(&types);
        assert!(lists.iter().all(|list| list.len() <= 1024), "{lists:?}");
        assert_eq!(lists.join(",").split(',').map(str::to_owned).collect::<BTreeSet<_>>(), types);
    }
}
