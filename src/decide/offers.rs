//! Which machine, where, at what price: every type × zone that the file, the subnets and AWS's offerings allow, cheapest
//! first, and for each that fell out the reason. Pure: the market is data that [`crate::market`] read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::names;
use crate::error::{Error, Kind, Result};
use crate::spec::{Gib, Types, Usd, Zone};

/// An instance type as `DescribeInstanceTypes` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// Such as `g4dn.xlarge`.
    pub name: String,
    /// vCPUs, the unit of quotas.
    pub vcpus: u32,
    /// Memory.
    pub memory_mib: u64,
    /// Local NVMe, all disks together, in AWS's GB; 0: none.
    pub nvme_gb: u32,
    /// Whole GPUs; 0 where the type has a fraction of one (g6f) or none.
    pub gpus: u32,
    /// Memory of all GPUs together.
    pub gpu_memory_mib: u64,
    /// Such as `T4`.
    pub gpu: Option<String>,
    /// Such as `NVIDIA`; an AMD GPU (g4ad) has no CUDA.
    pub gpu_maker: Option<String>,
    /// `x86_64`, `arm64`.
    pub architectures: Vec<String>,
    /// Whether it can be had on Spot at all.
    pub spot: bool,
}

/// A subnet a worker may stand in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Subnet {
    /// `subnet-…`.
    pub id: String,
    /// Its zone.
    pub zone: Zone,
    /// Free IPv4 addresses.
    pub free_addresses: u32,
}

/// What can be had where, at what price, at the moment of reading.
#[derive(Debug, Clone, Default)]
pub struct Market {
    /// The types that were asked for.
    pub types: Vec<InstanceType>,
    /// Which type is offered in which zone.
    pub offered: BTreeSet<(String, Zone)>,
    /// Current Spot prices an hour. A pool that is offered can lack one.
    pub prices: BTreeMap<(String, Zone), Usd>,
}

/// What the file and the flags ask for.
#[derive(Debug, Clone)]
pub struct Wish<'a> {
    /// Which types.
    pub types: &'a Types,
    /// With [`Types::Cheapest`]: exactly so many GPUs.
    pub gpus: u32,
    /// With [`Types::Cheapest`]: GPU memory at the least.
    pub gpu_memory: Gib,
    /// The cap.
    pub max_price: Option<Usd>,
    /// `--zone`.
    pub zone: Option<&'a Zone>,
    /// What the image runs on.
    pub architecture: &'a str,
}

/// One pool that may be tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Offer {
    /// Instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Zone.
    pub zone: Zone,
    /// Where in the zone.
    pub subnet: String,
    /// USD an hour now; `None` where AWS has no price row.
    #[serde(rename = "price")]
    pub price: Option<Usd>,
    /// vCPUs, for the quota.
    pub vcpus: u32,
    /// Spot, or on demand where the file allows that.
    pub market: names::Market,
}

/// One pool that was not taken.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Zone; `None`: in none at all.
    pub zone: Option<Zone>,
    /// Its price, where known.
    pub price: Option<Usd>,
    /// One sentence.
    pub reason: String,
    /// AWS's error code, where AWS refused it.
    pub code: Option<String>,
    /// The exit status it argues for.
    #[serde(skip)]
    pub kind: Kind,
}

/// The ranking and what fell out of it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Ranking {
    /// Cheapest first; those without a price last.
    pub offers: Vec<Offer>,
    /// Everything else that was looked at.
    pub rejected: Vec<Rejection>,
}

/// GPUs of this maker run CUDA, which every image of ours and `docker --gpus` are about.
pub(crate) const CUDA_MAKER: &str = "NVIDIA";

impl Wish<'_> {
    fn admits(&self, candidate: &InstanceType) -> bool {
        match self.types {
            Types::Listed(names) => names.contains(&candidate.name),
            Types::Cheapest => {
                candidate.gpus == self.gpus
                    && candidate.gpu_memory_mib >= self.gpu_memory.mib()
                    && candidate.gpu_maker.as_deref() == Some(CUDA_MAKER)
                    && candidate.spot
            }
        }
    }
}

/// Ranks the pools.
///
/// # Errors
/// A listed type or the wished zone does not exist: exit 2, with a "did you mean".
pub fn rank(wish: &Wish<'_>, market: &Market, subnets: &[Subnet]) -> Result<Ranking> {
    let zones = zones(subnets);
    if let Some(zone) = wish.zone
        && !zones.contains_key(zone)
    {
        let known = zones.keys().map(|zone| zone.0.as_str());
        let error = Error::usage(format!(
            "no usable subnet in the zone `{zone}`; there are some in {}",
            known.clone().collect::<Vec<_>>().join(", ")
        ));
        return Err(suggest(error, &zone.0, known));
    }
    let mut ranking = Ranking::default();
    for candidate in market.types.iter().filter(|candidate| wish.admits(candidate)) {
        let refuse = |zone: Option<&Zone>, price, reason: String| Rejection {
            instance_type: candidate.name.clone(),
            zone: zone.cloned(),
            price,
            reason,
            code: None,
            kind: Kind::Capacity,
        };
        if !candidate.architectures.iter().any(|name| name == wish.architecture) {
            let runs = candidate.architectures.join(", ");
            ranking.rejected.push(refuse(None, None, format!("runs {runs}, the image is {}", wish.architecture)));
            continue;
        }
        if !candidate.spot {
            ranking.rejected.push(refuse(None, None, "not sold on Spot".to_owned()));
            continue;
        }
        for (zone, subnet) in zones.iter().filter(|(zone, _)| wish.zone.is_none_or(|wished| wished == **zone)) {
            let pool = (candidate.name.clone(), (*zone).clone());
            let price = market.prices.get(&pool).copied();
            if !market.offered.contains(&pool) {
                ranking.rejected.push(refuse(Some(zone), None, "not offered in this zone".to_owned()));
                continue;
            }
            match (price, wish.max_price) {
                (Some(price), Some(cap)) if price > cap => {
                    let reason = format!("{price} USD an hour is above the cap of {cap}");
                    ranking.rejected.push(refuse(Some(zone), Some(price), reason));
                }
                // Without a price row nobody knows what it would cost; with a cap AWS refuses what is dearer.
                (None, None) => {
                    let reason = "AWS names no Spot price here; set `max_price` to try it all the same".to_owned();
                    ranking.rejected.push(refuse(Some(zone), None, reason));
                }
                _ => ranking.offers.push(Offer {
                    instance_type: candidate.name.clone(),
                    zone: (*zone).clone(),
                    subnet: subnet.id.clone(),
                    price,
                    vcpus: candidate.vcpus,
                    market: names::Market::Spot,
                }),
            }
        }
    }
    ranking.offers.sort_by(|a, b| order(a).cmp(&order(b)));
    ranking.rejected.sort_by(|a, b| {
        let key = |r: &Rejection| (r.price.is_none(), r.price, r.instance_type.clone(), r.zone.clone());
        key(a).cmp(&key(b))
    });
    Ok(ranking)
}

/// Price first; then the smaller machine, then names, so that two runs on one market agree on the order.
fn order(offer: &Offer) -> (bool, Option<Usd>, u32, &str, &Zone) {
    (offer.price.is_none(), offer.price, offer.vcpus, &offer.instance_type, &offer.zone)
}

/// One subnet a zone: the one with the most free addresses.
fn zones(subnets: &[Subnet]) -> BTreeMap<&Zone, &Subnet> {
    let mut zones: BTreeMap<&Zone, &Subnet> = BTreeMap::new();
    for subnet in subnets {
        let best = zones.entry(&subnet.zone).or_insert(subnet);
        if (subnet.free_addresses, &best.id) > (best.free_addresses, &subnet.id) {
            *best = subnet;
        }
    }
    zones
}

/// The error for listed types that AWS does not know, `known` being all names it does.
#[must_use]
pub fn unknown_types(unknown: &[&str], known: &[String], region: &str) -> Error {
    let names = unknown.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ");
    let error = Error::usage(format!("no instance type {names} in {region}"));
    unknown.iter().fold(error, |error, name| suggest(error, name, known.iter().map(String::as_str)))
}

/// Adds a "did you mean" when something known is close enough to be meant.
pub fn suggest<'a>(error: Error, word: &str, known: impl Iterator<Item = &'a str>) -> Error {
    const CLOSE: f64 = 0.8;
    let best = known
        .map(|candidate| (strsim::jaro_winkler(word, candidate), candidate))
        .filter(|(score, _)| *score >= CLOSE)
        .max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((_, candidate)) => error.hint(format!("did you mean {candidate}")),
        None => error,
    }
}

/// The failure when nothing is left to try: quota when any fell to quota, else capacity; with the price it would need
/// when the cap was what stood in the way.
#[must_use]
pub fn none_left(ranking: &Ranking, region: &str) -> Error {
    let quota = ranking.rejected.iter().find(|rejection| rejection.kind == Kind::Quota);
    if let Some(quota) = quota {
        let mut error = Error::new(Kind::Quota, quota.reason.clone());
        error.code.clone_from(&quota.code);
        return error.hint("the quota is the account's own limit, not AWS's stock; an increase is free and can take hours: https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas");
    }
    if ranking.rejected.is_empty() {
        return Error::new(Kind::Capacity, format!("no instance type in {region} is what the file asks for"));
    }
    let refused = ranking.rejected.iter().find(|rejection| rejection.code.is_some());
    let is_about_price =
        |rejection: &Rejection| rejection.code.as_deref().is_none_or(|code| code == "SpotMaxPriceTooLow");
    let only_price = refused.is_some() && ranking.rejected.iter().all(is_about_price);
    let dearer =
        ranking.rejected.iter().filter(|rejection| rejection.code.is_none()).find_map(|r| r.price.map(|p| (r, p)));
    let zone = |rejection: &Rejection| rejection.zone.as_ref().map_or_else(|| region.to_owned(), ToString::to_string);
    let mut error = match (refused, dearer) {
        (Some(_), None) if only_price => Error::new(
            Kind::Capacity,
            format!("nothing under the price cap in any of {} pools tried in {region}", tried(ranking)),
        ),
        (Some(_), _) if !only_price => {
            Error::new(Kind::Capacity, format!("no Spot capacity in any of {} pools tried in {region}", tried(ranking)))
        }
        (_, Some((cheapest, price))) => Error::new(
            Kind::Capacity,
            format!(
                "nothing under the price cap: the cheapest is {} in {} at {price} USD an hour",
                cheapest.instance_type,
                zone(cheapest)
            ),
        ),
        (_, None) => {
            Error::new(Kind::Capacity, format!("no Spot offer in {region} fits the file, the subnets and the image"))
        }
    };
    if let Some(refused) = refused {
        error.code.clone_from(&refused.code);
    }
    let mut reasons: Vec<String> = Vec::new();
    for rejection in ranking.rejected.iter().filter(|rejection| rejection.code.is_some() || dearer.is_none()) {
        let reason = format!("{} in {}: {}", rejection.instance_type, zone(rejection), rejection.reason);
        if reasons.len() < SHOWN_REASONS && !reasons.contains(&reason) {
            reasons.push(reason);
        }
    }
    error.hints.extend(reasons);
    if let Some((cheapest, price)) = dearer {
        error = error.hint(format!("{} in {} would take --max-price {price}", cheapest.instance_type, zone(cheapest)));
    }
    error
}

/// A person reads a few; JSON has them all.
const SHOWN_REASONS: usize = 6;

fn tried(ranking: &Ranking) -> usize {
    ranking.rejected.iter().filter(|rejection| rejection.code.is_some()).count()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn a_type(name: &str, gpus: u32, gib: u64, maker: &str, architecture: &str) -> InstanceType {
        InstanceType {
            name: name.to_owned(),
            vcpus: 4,
            memory_mib: 16 * 1024,
            nvme_gb: 0,
            gpus,
            gpu_memory_mib: gib * 1024,
            gpu: None,
            gpu_maker: Some(maker.to_owned()),
            architectures: vec![architecture.to_owned()],
            spot: true,
        }
    }

    fn zone(letter: &str) -> Zone {
        Zone(format!("us-east-1{letter}"))
    }

    fn subnet(letter: &str, free_addresses: u32) -> Subnet {
        Subnet { id: format!("subnet-{letter}{free_addresses}"), zone: zone(letter), free_addresses }
    }

    /// `g4dn` costs 0.20 in a and 0.10 in b; `g5` 0.30 in a and has no price in b; the rest falls out.
    fn market() -> Market {
        let types = vec![
            a_type("g4dn.xlarge", 1, 16, "NVIDIA", "x86_64"),
            a_type("g5.xlarge", 1, 22, "NVIDIA", "x86_64"),
            a_type("g5g.xlarge", 1, 16, "NVIDIA", "arm64"),
            a_type("g4ad.xlarge", 1, 16, "AMD", "x86_64"),
            a_type("g6f.large", 0, 2, "NVIDIA", "x86_64"),
            a_type("g4dn.12xlarge", 4, 64, "NVIDIA", "x86_64"),
        ];
        let offered = types.iter().flat_map(|t| [(t.name.clone(), zone("a")), (t.name.clone(), zone("b"))]).collect();
        let price = |name: &str, letter, micros| ((name.to_owned(), zone(letter)), Usd::from_micros(micros));
        let prices = BTreeMap::from([
            price("g4dn.xlarge", "a", 200_000),
            price("g4dn.xlarge", "b", 100_000),
            price("g5.xlarge", "a", 300_000),
        ]);
        Market { types, offered, prices }
    }

    fn wish(types: &Types) -> Wish<'_> {
        Wish { types, gpus: 1, gpu_memory: Gib(16), max_price: None, zone: None, architecture: "x86_64" }
    }

    fn names(ranking: &Ranking) -> Vec<String> {
        ranking.offers.iter().map(|offer| format!("{}@{}", offer.instance_type, offer.subnet)).collect()
    }

    #[test]
    fn the_cheapest_pool_comes_first_and_every_other_has_its_reason() {
        let subnets = [subnet("a", 5), subnet("b", 5), subnet("b", 9)];
        let ranking = rank(&wish(&Types::Cheapest), &market(), &subnets).unwrap();
        assert_eq!(names(&ranking), ["g4dn.xlarge@subnet-b9", "g4dn.xlarge@subnet-a5", "g5.xlarge@subnet-a5"]);
        let reasons: Vec<_> = ranking.rejected.iter().map(|r| format!("{}: {}", r.instance_type, r.reason)).collect();
        assert_eq!(
            reasons,
            [
                "g5.xlarge: AWS names no Spot price here; set `max_price` to try it all the same",
                "g5g.xlarge: runs arm64, the image is x86_64",
            ]
        );
    }

    #[test]
    fn an_offer_without_a_price_is_tried_last_and_only_under_a_cap() {
        let subnets = [subnet("a", 5), subnet("b", 5)];
        let capped = Wish { max_price: Some(Usd::from_micros(250_000)), ..wish(&Types::Cheapest) };
        let ranking = rank(&capped, &market(), &subnets).unwrap();
        assert_eq!(names(&ranking), ["g4dn.xlarge@subnet-b5", "g4dn.xlarge@subnet-a5", "g5.xlarge@subnet-b5"]);
        assert_eq!(ranking.rejected[0].reason, "0.30 USD an hour is above the cap of 0.25");
    }

    #[test]
    fn a_cap_below_everything_names_the_price_it_would_take() {
        let listed = Types::Listed(vec!["g5.xlarge".to_owned()]);
        let capped = Wish { max_price: Some(Usd::from_micros(1)), ..wish(&listed) };
        let error = none_left(&rank(&capped, &market(), &[subnet("a", 5)]).unwrap(), "us-east-1");
        assert_eq!(error.kind, Kind::Capacity);
        assert_eq!(error.hints, ["g5.xlarge in us-east-1a would take --max-price 0.30"]);
    }

    #[test]
    fn a_zone_that_is_not_there_is_a_mistake_with_a_suggestion() {
        let elsewhere = zone("c");
        let error =
            rank(&Wish { zone: Some(&elsewhere), ..wish(&Types::Cheapest) }, &market(), &[subnet("a", 5)]).unwrap_err();
        assert_eq!((error.kind, error.hints), (Kind::Usage, vec!["did you mean us-east-1a".to_owned()]));
    }

    #[test]
    fn quota_wins_over_capacity_when_nothing_is_left() {
        let rejection = |kind, code: &str| Rejection {
            instance_type: "g4dn.xlarge".to_owned(),
            zone: None,
            price: None,
            reason: code.to_owned(),
            code: Some(code.to_owned()),
            kind,
        };
        let rejected = vec![rejection(Kind::Capacity, "Insufficient"), rejection(Kind::Quota, "Max")];
        let error = none_left(&Ranking { offers: Vec::new(), rejected }, "us-east-1");
        assert_eq!((error.kind, error.code.as_deref()), (Kind::Quota, Some("Max")));
    }
}
