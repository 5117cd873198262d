//! What comes after the last Spot offer, where the file or a flag allows it: the same types at their list price, under the same
//! ceiling. AWS enforces no ceiling on demand, so a type whose list price is not known is never bought.

use std::collections::BTreeMap;

use super::{Cause, Market, Ranking, Standing, Subnet, Wish, names, rank};
use crate::error::{Error, Result};
use crate::spec::Usd;

/// List prices by type, as far as they could be read.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ListPrices {
    /// USD an hour.
    pub prices: BTreeMap<String, Usd>,
    /// Why none could be read.
    pub refused: Option<String>,
}

/// The offers on demand, cheapest first, and what fell out of them.
///
/// # Errors
/// There is no ceiling: exit 2. The wished zone does not exist.
pub fn offers(
    wish: &Wish<'_>,
    market: &Market,
    (subnets, quotas): (&[Subnet], &[Standing]),
    list: &ListPrices,
) -> Result<Ranking> {
    if wish.max_price.is_none() {
        return Err(Error::usage(
            "buying on demand needs a ceiling, and neither `instance.max_price` nor --max-price names one",
        )
        .hint("the ceiling holds for Spot and on demand alike: spotctl up --on-demand-fallback --max-price 0.60"));
    }
    let pools = market.offered.iter();
    let prices = pools.filter_map(|pool| Some((pool.clone(), *list.prices.get(&pool.0)?))).collect();
    let listed = Market { prices, ..market.clone() };
    let mut ranking = rank(&Wish { market: names::Market::OnDemand, ..wish.clone() }, &listed, subnets, quotas)?;
    // What has no pool, or the wrong architecture, has been said for Spot.
    ranking.rejected.retain(|rejection| matches!(rejection.cause, Cause::MaxPrice | Cause::NoPrice | Cause::Quota));
    Ok(ranking)
}

#[cfg(test)]
mod tests {
    use super::super::tests::{market, offered, subnet, wish};
    use super::*;
    use crate::error::Kind;
    use crate::spec::Types;

    fn list(prices: &[(&str, i64)]) -> ListPrices {
        let prices = prices.iter().map(|(name, micros)| ((*name).to_owned(), Usd::from_micros(*micros))).collect();
        ListPrices { prices, refused: None }
    }

    #[test]
    fn on_demand_the_same_types_are_offered_under_the_same_ceiling() {
        let capped = Wish { max_price: Some(Usd::from_micros(600_000)), ..wish(&Types::Cheapest) };
        let prices = list(&[("g4dn.xlarge", 526_000), ("g5.xlarge", 1_006_000), ("g5g.xlarge", 420_000)]);
        let ranking = offers(&capped, &market(), (&[subnet("a", 5), subnet("b", 5)], &[]), &prices).unwrap();
        assert_eq!(offered(&ranking), ["g4dn.xlarge@subnet-a5", "g4dn.xlarge@subnet-b5"]);
        assert!(ranking.offers.iter().all(|offer| offer.market == names::Market::OnDemand));
        let reasons: Vec<_> = ranking.rejected.iter().map(|r| (r.instance_type.as_str(), r.reason.as_str())).collect();
        assert_eq!(reasons, [("g5.xlarge", "1.006 USD an hour is above the cap of 0.60"); 2]);
    }

    #[test]
    fn what_has_no_list_price_is_never_bought_and_nothing_without_a_ceiling() {
        let capped = Wish { max_price: Some(Usd::from_micros(600_000)), ..wish(&Types::Cheapest) };
        let ranking = offers(&capped, &market(), (&[subnet("a", 5)], &[]), &list(&[])).unwrap();
        assert_eq!(ranking.offers, vec![]);
        assert!(ranking.rejected.iter().all(|rejection| rejection.cause == Cause::NoPrice), "{:?}", ranking.rejected);
        let error = offers(&wish(&Types::Cheapest), &market(), (&[subnet("a", 5)], &[]), &list(&[])).unwrap_err();
        assert_eq!(error.kind, Kind::Usage);
    }
}
