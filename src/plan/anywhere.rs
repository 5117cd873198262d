//! What the file allows wherever it stands, before subnets and prices have their say: what a quota has to suffice for.

use super::architecture;
use crate::decide::offers::{InstanceType, Market, Offer, Subnet, Wish, rank};
use crate::error::Result;
use crate::spec::{Spec, Usd};

/// The types that the file allows, and where they could be had.
#[derive(Debug, Clone, Default)]
pub struct Allowed {
    /// In no order.
    pub types: Vec<InstanceType>,
    /// Cheapest first, whatever the file's cap: a quota is there for the day when prices fall.
    pub offers: Vec<Offer>,
}

/// Ranks every zone that offers a type of the file.
///
/// # Errors
/// A listed type that does not exist.
pub fn anywhere(spec: &Spec, market: &Market) -> Result<Allowed> {
    // No cap keeps out a pool; that it has none would keep out those without a price.
    let any_price = Some(Usd::from_micros(i64::MAX));
    let architecture = architecture(&spec.instance, &market.types);
    let wish = Wish { max_price: any_price, ..Wish::of(&spec.instance, architecture) };
    let zones = market.offered.iter().map(|(_, zone)| zone);
    let subnets: Vec<Subnet> =
        zones.map(|zone| Subnet { id: String::new(), zone: zone.clone(), free_addresses: 1 }).collect();
    let offers = rank(&wish, market, &subnets, &[])?.offers;
    let is_allowed = |found: &&InstanceType| offers.iter().any(|offer| offer.instance_type == found.name);
    let types = market.types.iter().filter(is_allowed).cloned().collect();
    Ok(Allowed { types, offers })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::cloud::Cloud;
    use crate::market::{self, Wanted};
    use crate::sandbox::{Sandbox, client};

    #[tokio::test]
    async fn neither_a_cap_nor_a_missing_price_takes_a_type_away_and_what_the_file_forbids_stays_out() {
        let config = client::config(&Sandbox::in_memory(), "us-east-1").build();
        let cloud = Cloud::from_config(&config).unwrap();
        let text = "name: w\ncontainer: {image: i}\ninstance: {max_price: 0.0001}\n";
        let spec = crate::config::parse(text, Path::new("spotctl.yaml")).unwrap();
        let wanted = Wanted { types: &spec.instance.types, also: None };
        let mut market = market::read(&cloud, wanted).await.unwrap();
        market.prices.retain(|(name, _), _| name != "g5.xlarge");
        let allowed = anywhere(&spec, &market).unwrap();
        let has = |name: &str| allowed.types.iter().any(|found| found.name == name);
        assert!(has("g4dn.xlarge") && has("g5.xlarge"), "{:?}", allowed.types);
        assert!(!has("g4ad.xlarge") && !has("g5g.xlarge") && !has("g4dn.12xlarge"), "AMD, arm64, four GPUs");
        let prices: Vec<_> = allowed.offers.iter().filter_map(|offer| offer.price).collect();
        assert!(!prices.is_empty() && prices.is_sorted(), "cheapest first");
        assert!(allowed.offers.last().is_some_and(|offer| offer.price.is_none()));
    }
}
