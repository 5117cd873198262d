//! Which machine, where, at what price: every type × zone that the file, the subnets and AWS's offerings allow, cheapest
//! first, and for each that fell out the reason. Pure: the market is data that [`crate::market`] read.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;

use super::names;
use super::quota::{self, Standing};
use crate::error::{Error, Kind, Result};
use crate::spec::{Gib, Instance, TypePattern, Types, Usd, Zone};

mod none_left;

pub use none_left::none_left;

pub mod on_demand;

/// An instance type as `DescribeInstanceTypes` has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// Such as `g4dn.xlarge`.
    pub name: String,
    /// vCPUs, the unit of quotas.
    pub vcpus: u32,
    /// Main memory.
    pub memory_mib: u64,
    /// Local `NVMe`, all disks together, in AWS's GB; 0: none.
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
    /// How it would be bought.
    pub market: names::Market,
    /// Which types.
    pub types: &'a Types,
    /// With [`Types::Cheapest`]: exactly so many GPUs.
    pub gpus: u32,
    /// With [`Types::Cheapest`]: GPU memory at the least.
    pub gpu_memory: Gib,
    /// vCPUs at the least.
    pub vcpus: Option<u32>,
    /// Memory at the least.
    pub memory: Option<Gib>,
    /// Never these.
    pub exclude: &'a [TypePattern],
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

/// Why a pool was not taken, as one word for programs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cause {
    /// The file excludes the type.
    Excluded,
    /// Too few vCPUs.
    Vcpus,
    /// Too little memory.
    Memory,
    /// Too little memory on its GPUs.
    GpuMemory,
    /// No CUDA on its GPUs.
    Gpu,
    /// Another architecture than the image's.
    Architecture,
    /// Not sold on Spot.
    NotOnSpot,
    /// Not offered in the zone.
    NotOffered,
    /// No price row, and no cap to try it under.
    NoPrice,
    /// Above the cap.
    MaxPrice,
    /// The account's quota has no room for it.
    Quota,
    /// AWS refused it in this run.
    Refused,
}

/// One pool that was not taken, or one type in all its zones.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Rejection {
    /// Instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// Zone; `None`: in none at all.
    pub zone: Option<Zone>,
    /// On Spot or on demand.
    pub market: names::Market,
    /// Its price, where known; of a type in all its zones the lowest.
    pub price: Option<Usd>,
    /// One sentence.
    pub reason: String,
    /// The same as a word.
    pub cause: Cause,
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
    /// How the account stands to the quotas, as far as it was read.
    pub quotas: Vec<Standing>,
    /// How many workers are wished for in all.
    pub count: u32,
}

/// GPUs of this maker run CUDA, which every image of ours and `docker --gpus` are about.
pub(crate) const CUDA_MAKER: &str = "NVIDIA";

impl<'a> Wish<'a> {
    /// What the file asks for, on an image of this architecture.
    #[must_use]
    pub fn of(instance: &'a Instance, architecture: &'a str) -> Self {
        Self {
            market: names::Market::Spot,
            types: &instance.types,
            gpus: instance.gpus,
            gpu_memory: instance.gpu_memory,
            vcpus: instance.vcpus,
            memory: instance.memory,
            exclude: &instance.exclude,
            max_price: instance.max_price,
            zone: None,
            architecture,
        }
    }

    /// Whether the type has the GPUs that are asked for: what does not is simply another machine.
    fn admits(&self, candidate: &InstanceType) -> bool {
        match self.types {
            Types::Listed(names) => names.contains(&candidate.name),
            Types::Cheapest => candidate.gpus == self.gpus,
        }
    }

    /// Why the type cannot be taken in any zone.
    fn unfit(&self, candidate: &InstanceType) -> Option<(Cause, String)> {
        if let Some(pattern) = self.exclude.iter().find(|pattern| pattern.fits(&candidate.name)) {
            return Some((Cause::Excluded, format!("excluded by `{pattern}`")));
        }
        match (self.types, candidate.gpu_maker.as_deref()) {
            (Types::Listed(_), _) | (_, Some(CUDA_MAKER)) => {}
            (_, Some(maker)) => return Some((Cause::Gpu, format!("its GPU is made by {maker} and runs no CUDA"))),
            (_, None) => return Some((Cause::Gpu, "AWS does not say that its GPU runs CUDA".to_owned())),
        }
        if *self.types == Types::Cheapest && candidate.gpu_memory_mib < self.gpu_memory.mib() {
            // A card that is sold as one of 24 GB has 22.35 GiB: a near miss must show.
            let has = exact(candidate.gpu_memory_mib);
            return Some((
                Cause::GpuMemory,
                format!("has {has} of GPU memory, `gpu_memory` asks for {}", self.gpu_memory),
            ));
        }
        if let Some(least) = self.vcpus.filter(|least| candidate.vcpus < *least) {
            return Some((Cause::Vcpus, format!("has {} vCPUs, and `vcpus` asks for {least}", candidate.vcpus)));
        }
        if let Some(least) = self.memory.filter(|least| candidate.memory_mib < least.mib()) {
            let has = memory(candidate.memory_mib);
            return Some((Cause::Memory, format!("has {has} of memory, and `memory` asks for {least}")));
        }
        if !candidate.architectures.iter().any(|name| name == self.architecture) {
            let runs = candidate.architectures.join(", ");
            return Some((Cause::Architecture, format!("runs {runs}, the image is {}", self.architecture)));
        }
        let is_sold = candidate.spot || self.market == names::Market::OnDemand;
        (!is_sold).then(|| (Cause::NotOnSpot, "not sold on Spot".to_owned()))
    }
}

/// With two decimals where it is no whole number.
fn exact(mib: u64) -> String {
    let (whole, part) = (mib / 1024, mib % 1024 * 100 / 1024);
    if part == 0 { format!("{whole}GiB") } else { format!("{whole}.{part:02}GiB") }
}

/// Small machines have half a GiB.
fn memory(mib: u64) -> String {
    if mib.is_multiple_of(1024) { format!("{}GiB", mib / 1024) } else { format!("{mib}MiB") }
}

/// Ranks the pools. `quotas` is what is known of the account's; what is not known rejects nothing, and AWS has the word.
///
/// # Errors
/// A listed type or the wished zone does not exist: exit 2, with a "did you mean".
pub fn rank(wish: &Wish<'_>, market: &Market, subnets: &[Subnet], quotas: &[Standing]) -> Result<Ranking> {
    let mut zones = zones(subnets);
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
    zones.retain(|zone, _| wish.zone.is_none_or(|wished| wished == *zone));
    let mut ranking = Ranking { quotas: quotas.to_vec(), ..Ranking::default() };
    for candidate in market.types.iter().filter(|candidate| wish.admits(candidate)) {
        let pool = |zone: &Zone| (candidate.name.clone(), zone.clone());
        let price_in = |zone: &Zone| market.prices.get(&pool(zone)).copied();
        let is_offered = |zone: &Zone| market.offered.contains(&pool(zone));
        let refuse = |zone: Option<&Zone>, price, (cause, reason): (Cause, String)| Rejection {
            instance_type: candidate.name.clone(),
            zone: zone.cloned(),
            market: wish.market,
            price,
            reason,
            cause,
            code: None,
            kind: if cause == Cause::Quota { Kind::Quota } else { Kind::Capacity },
        };
        if let Some(why) = wish.unfit(candidate) {
            let price = zones.keys().filter(|zone| is_offered(zone)).filter_map(|zone| price_in(zone)).min();
            ranking.rejected.push(refuse(None, price, why));
            continue;
        }
        let full = no_room(candidate, wish.market, quotas);
        for (zone, subnet) in &zones {
            let price = price_in(zone).filter(|_| is_offered(zone));
            let why = match (price, wish.max_price) {
                _ if !is_offered(zone) => Some((Cause::NotOffered, "not offered in this zone".to_owned())),
                (Some(price), Some(cap)) if price > cap => {
                    Some((Cause::MaxPrice, format!("{price} USD an hour is above the cap of {cap}")))
                }
                // AWS enforces no cap on demand: what it would cost must be known.
                (None, _) if wish.market == names::Market::OnDemand => {
                    Some((Cause::NoPrice, "AWS's price list names no price".to_owned()))
                }
                // Without a price row nobody knows what it would cost; with a cap AWS refuses what is dearer.
                (None, None) => Some((
                    Cause::NoPrice,
                    "AWS names no Spot price here; set `max_price` to try it all the same".to_owned(),
                )),
                _ => full.clone().map(|reason| (Cause::Quota, reason)),
            };
            match why {
                Some(why) => ranking.rejected.push(refuse(Some(zone), price, why)),
                None => ranking.offers.push(Offer {
                    instance_type: candidate.name.clone(),
                    zone: (*zone).clone(),
                    subnet: subnet.id.clone(),
                    price,
                    vcpus: candidate.vcpus,
                    market: wish.market,
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

/// Why the account's quota lets not even one of this type be launched, where that is known. More than one may be wished for:
/// as many are launched as fit, and AWS refuses the next.
fn no_room(candidate: &InstanceType, market: names::Market, quotas: &[Standing]) -> Option<String> {
    let quota = quota::of(&candidate.name, market)?;
    let standing = quotas.iter().find(|standing| standing.quota == quota)?;
    if standing.suffices(candidate.vcpus)? {
        return None;
    }
    // Where the limit itself is too small, it does not matter who uses it.
    let in_use = standing.in_use().filter(|_| standing.limit >= Some(candidate.vcpus));
    let in_use = in_use.map_or_else(String::new, |in_use| format!(", {in_use} in use"));
    Some(format!(
        "the account's {} quota {} ({}) is {} vCPUs{in_use}: {} needs {}",
        market.words(),
        quota.code,
        quota.name,
        standing.limit?,
        candidate.name,
        candidate.vcpus
    ))
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

#[cfg(test)]
mod tests;
