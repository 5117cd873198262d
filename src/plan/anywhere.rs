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
    /// Cheapest first, those above the file's cap last.
    pub offers: Vec<Offer>,
}

/// Ranks every zone that offers a type of the file.
///
/// # Errors
/// A listed type that does not exist.
pub fn anywhere(spec: &Spec, market: &Market) -> Result<Allowed> {
    let instance = &spec.instance;
    let wish = Wish {
        types: &instance.types,
        gpus: instance.gpus,
        gpu_memory: instance.gpu_memory,
        // No cap keeps out a pool; that it has none would keep out those without a price.
        max_price: Some(Usd::from_micros(i64::MAX)),
        zone: None,
        architecture: architecture(&instance.types, &market.types),
    };
    let zones = market.offered.iter().map(|(_, zone)| zone);
    let subnets: Vec<Subnet> =
        zones.map(|zone| Subnet { id: String::new(), zone: zone.clone(), free_addresses: 1 }).collect();
    let mut offers = rank(&wish, market, &subnets)?.offers;
    let is_allowed = |found: &&InstanceType| offers.iter().any(|offer| offer.instance_type == found.name);
    let types = market.types.iter().filter(is_allowed).cloned().collect();
    // Stable, so that the order by price stays within each half.
    offers.sort_by_key(|offer| instance.max_price.is_some_and(|cap| offer.price.is_none_or(|price| price > cap)));
    Ok(Allowed { types, offers })
}
