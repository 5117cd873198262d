//! The offers of `prices`: which of the types that AWS sells are shown, and in which order. Unlike [`super::offers`], which
//! chooses for one file, this knows no file, no subnet and no image.

use std::cmp::Reverse;

use clap::ValueEnum;

use super::offers::{CUDA_MAKER, InstanceType, Market};
use crate::spec::{Gib, Usd, Zone};

/// One type in one zone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: Zone,
    /// What it is.
    pub instance_type: InstanceType,
    /// Spot price an hour now; `None` where AWS has no row.
    pub spot: Option<Usd>,
    /// On-demand price an hour; `None` where nobody may read it.
    pub on_demand: Option<Usd>,
}

impl Offer {
    /// How much less Spot is than on demand, in whole per cent; below 0 where it is more.
    #[must_use]
    pub fn savings(&self) -> Option<i64> {
        let (spot, on_demand) = (self.spot?.micros(), self.on_demand?.micros());
        (on_demand > 0).then(|| ((on_demand - spot) * 200 + on_demand).div_euclid(on_demand * 2))
    }

    /// The Spot price of each GPU; `None` for a fraction of one.
    #[must_use]
    pub fn spot_per_gpu(&self) -> Option<Usd> {
        self.spot?.micros().checked_div(i64::from(self.instance_type.gpus)).map(Usd::from_micros)
    }
}

/// What the flags ask for.
#[derive(Debug, Clone, Default)]
pub struct Wanted<'a> {
    /// Not only what runs CUDA.
    pub any_maker: bool,
    /// Exactly so many whole GPUs.
    pub gpus: Option<u32>,
    /// GPU memory at the least, all GPUs together.
    pub gpu_memory: Option<Gib>,
    /// `x86_64`, `arm64`.
    pub architecture: Option<&'a str>,
    /// In this zone only.
    pub zone: Option<&'a Zone>,
    /// Not dearer; leaves out what has no price.
    pub max_price: Option<Usd>,
}

impl Wanted<'_> {
    fn admits(&self, candidate: &InstanceType) -> bool {
        candidate.spot
            && (self.any_maker || candidate.gpu_maker.as_deref() == Some(CUDA_MAKER))
            && self.gpus.is_none_or(|gpus| candidate.gpus == gpus)
            && self.gpu_memory.is_none_or(|size| candidate.gpu_memory_mib >= size.mib())
            && self.architecture.is_none_or(|name| candidate.architectures.iter().any(|known| known == name))
    }

    /// The offers of one region's market that are wanted.
    #[must_use]
    pub fn select(&self, region: &str, market: &Market) -> Vec<Offer> {
        let mut offers = Vec::new();
        for candidate in market.types.iter().filter(|candidate| self.admits(candidate)) {
            let pools = market
                .offered
                .iter()
                .filter(|(name, zone)| *name == candidate.name && self.zone.is_none_or(|wished| wished == zone));
            for pool in pools {
                let spot = market.prices.get(pool).copied();
                if self.max_price.is_some_and(|cap| spot.is_none_or(|price| price > cap)) {
                    continue;
                }
                offers.push(Offer {
                    region: region.to_owned(),
                    zone: pool.1.clone(),
                    instance_type: candidate.clone(),
                    spot,
                    on_demand: None,
                });
            }
        }
        offers
    }
}

/// The order of the offers.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, ValueEnum)]
pub enum Sort {
    /// Cheapest first
    #[default]
    Price,
    /// Cheapest for each GPU first; fractions of a GPU last
    PricePerGpu,
    /// What saves most against on-demand first
    Savings,
    /// Most GPU memory first
    GpuMemory,
    /// By the type's name
    Type,
}

/// Sorts. What has no price comes after what has one, and equals are in the order of price, type and zone.
pub fn sort(offers: &mut [Offer], by: Sort) {
    offers.sort_by(|one, other| {
        let known = |price: Option<Usd>| (price.is_none(), price);
        let first = match by {
            Sort::Price => std::cmp::Ordering::Equal,
            Sort::PricePerGpu => known(one.spot_per_gpu()).cmp(&known(other.spot_per_gpu())),
            Sort::Savings => Reverse(one.savings()).cmp(&Reverse(other.savings())),
            Sort::GpuMemory => other.instance_type.gpu_memory_mib.cmp(&one.instance_type.gpu_memory_mib),
            Sort::Type => by_name(&one.instance_type.name).cmp(&by_name(&other.instance_type.name)),
        };
        let rest = |offer: &Offer| (known(offer.spot), offer.instance_type.vcpus);
        let named = |offer: &Offer| (offer.instance_type.name.clone(), offer.zone.clone());
        first.then_with(|| rest(one).cmp(&rest(other))).then_with(|| named(one).cmp(&named(other)))
    });
}

/// `g5.xlarge` before `g5.2xlarge` before `g5.12xlarge`: family, then how often `xlarge`, then what is left.
fn by_name(name: &str) -> (&str, u32, &str) {
    let (family, size) = name.split_once('.').unwrap_or((name, ""));
    let digits = size.bytes().take_while(u8::is_ascii_digit).count();
    let times = match (&size[..digits], &size[digits..]) {
        ("", "metal") => u32::MAX,
        ("", "xlarge") => 1,
        ("", _) => 0,
        (number, _) => number.parse().unwrap_or(u32::MAX),
    };
    (family, times, size)
}

/// Whether a name fits a pattern as EC2's filters understand them: `*` is any text, `?` any one character.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    match (pattern.chars().next(), name.chars().next()) {
        (None, None) => true,
        (Some('*'), _) => {
            fits(&pattern[1..], name)
                || name.chars().next().is_some_and(|letter| fits(pattern, &name[letter.len_utf8()..]))
        }
        (Some(wanted), Some(letter)) if wanted == '?' || wanted == letter => {
            fits(&pattern[wanted.len_utf8()..], &name[letter.len_utf8()..])
        }
        _ => false,
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use super::*;

    pub(crate) fn a_type(name: &str, gpus: u32, gib: u64, maker: &str, architecture: &str) -> InstanceType {
        InstanceType {
            name: name.to_owned(),
            vcpus: 4,
            memory_mib: 16 * 1024,
            nvme_gb: 125,
            gpus,
            gpu_memory_mib: gib * 1024,
            gpu: Some("T4".to_owned()),
            gpu_maker: Some(maker.to_owned()),
            architectures: vec![architecture.to_owned()],
            spot: true,
        }
    }

    fn zone(letter: &str) -> Zone {
        Zone(format!("us-east-1{letter}"))
    }

    /// `g4dn` costs 0.20 in a and 0.10 in b; four of its GPUs 0.60 in a; the fraction 0.05 in a; `g5` has no price.
    fn market() -> Market {
        let mut reserved = a_type("p5.4xlarge", 1, 80, "NVIDIA", "x86_64");
        reserved.spot = false;
        let types = vec![
            a_type("g4dn.xlarge", 1, 16, "NVIDIA", "x86_64"),
            a_type("g4dn.12xlarge", 4, 64, "NVIDIA", "x86_64"),
            a_type("g5.xlarge", 1, 22, "NVIDIA", "x86_64"),
            a_type("g5g.xlarge", 1, 16, "NVIDIA", "arm64"),
            a_type("g4ad.xlarge", 1, 16, "AMD", "x86_64"),
            a_type("g6f.large", 0, 2, "NVIDIA", "x86_64"),
            reserved,
        ];
        let mut offered: BTreeSet<_> = types.iter().map(|of| (of.name.clone(), zone("a"))).collect();
        offered.insert(("g4dn.xlarge".to_owned(), zone("b")));
        let price = |name: &str, letter, micros| ((name.to_owned(), zone(letter)), Usd::from_micros(micros));
        let prices = BTreeMap::from([
            price("g4dn.xlarge", "a", 200_000),
            price("g4dn.xlarge", "b", 100_000),
            price("g4dn.12xlarge", "a", 600_000),
            price("g4ad.xlarge", "a", 70_000),
            price("g5g.xlarge", "a", 150_000),
            price("g6f.large", "a", 50_000),
        ]);
        Market { types, offered, prices }
    }

    fn shown(offers: &[Offer]) -> String {
        let name =
            |offer: &Offer| format!("{}{}", offer.instance_type.name, offer.zone.0.trim_start_matches("us-east-1"));
        offers.iter().map(name).collect::<Vec<_>>().join(" ").replace("xlarge", "x")
    }

    #[test]
    fn each_wish_leaves_what_fits_it_and_nothing_that_spot_does_not_sell() {
        let all = Wanted::default();
        let b = zone("b");
        for (why, wanted, expected) in [
            ("only what runs CUDA", all.clone(), "g6f.largea g4dn.xb g5g.xa g4dn.xa g4dn.12xa g5.xa"),
            (
                "any maker",
                Wanted { any_maker: true, ..all.clone() },
                "g6f.largea g4ad.xa g4dn.xb g5g.xa g4dn.xa g4dn.12xa g5.xa",
            ),
            ("exactly four GPUs", Wanted { gpus: Some(4), ..all.clone() }, "g4dn.12xa"),
            ("GPU memory at the least", Wanted { gpu_memory: Some(Gib(22)), ..all.clone() }, "g4dn.12xa g5.xa"),
            ("the processor", Wanted { architecture: Some("arm64"), ..all.clone() }, "g5g.xa"),
            ("the zone", Wanted { zone: Some(&b), ..all.clone() }, "g4dn.xb"),
            (
                "the cap, to the cent",
                Wanted { max_price: Some(Usd::from_micros(200_000)), ..all.clone() },
                "g6f.largea g4dn.xb g5g.xa g4dn.xa",
            ),
            ("nothing", Wanted { gpus: Some(3), ..all }, ""),
        ] {
            let mut offers = wanted.select("us-east-1", &market());
            sort(&mut offers, Sort::Price);
            assert_eq!(shown(&offers), expected, "{why}");
        }
    }

    #[test]
    fn each_order_has_what_is_not_known_last() {
        let mut offers = Wanted::default().select("us-east-1", &market());
        for offer in &mut offers {
            let micros = match offer.instance_type.name.as_str() {
                "g4dn.xlarge" => 400_000,
                "g4dn.12xlarge" => 3_000_000,
                _ => continue,
            };
            offer.on_demand = Some(Usd::from_micros(micros));
        }
        for (by, expected) in [
            (Sort::Price, "g6f.largea g4dn.xb g5g.xa g4dn.xa g4dn.12xa g5.xa"),
            (Sort::PricePerGpu, "g4dn.xb g5g.xa g4dn.12xa g4dn.xa g6f.largea g5.xa"),
            (Sort::Savings, "g4dn.12xa g4dn.xb g4dn.xa g6f.largea g5g.xa g5.xa"),
            (Sort::GpuMemory, "g4dn.12xa g5.xa g4dn.xb g5g.xa g4dn.xa g6f.largea"),
            (Sort::Type, "g4dn.xb g4dn.xa g4dn.12xa g5.xa g5g.xa g6f.largea"),
        ] {
            sort(&mut offers, by);
            assert_eq!(shown(&offers), expected, "{by:?}");
        }
    }

    #[test]
    fn savings_are_whole_per_cents_of_the_on_demand_price() {
        let mut offer = Wanted::default().select("us-east-1", &market()).remove(0);
        for (spot, on_demand, expected) in [
            (Some(100_000), Some(400_000), Some(75)),
            (Some(333_333), Some(1_000_000), Some(67)),
            (Some(400_000), Some(400_000), Some(0)),
            (Some(500_000), Some(400_000), Some(-25)),
            (Some(1), Some(0), None),
            (None, Some(400_000), None),
            (Some(100_000), None, None),
        ] {
            (offer.spot, offer.on_demand) = (spot.map(Usd::from_micros), on_demand.map(Usd::from_micros));
            assert_eq!(offer.savings(), expected, "{spot:?} {on_demand:?}");
        }
    }

    #[test]
    fn sizes_are_in_the_order_of_their_size() {
        let mut names = ["g5.metal", "g5.12xlarge", "g5.2xlarge", "g5.xlarge", "g4dn.16xlarge", "g5.large"];
        names.sort_by_key(|name| by_name(name));
        assert_eq!(names, ["g4dn.16xlarge", "g5.large", "g5.xlarge", "g5.2xlarge", "g5.12xlarge", "g5.metal"]);
    }

    #[test]
    fn a_pattern_is_understood_as_ec2_does() {
        for (pattern, name, expected) in [
            ("g5.*", "g5.xlarge", true),
            ("g5.*", "g5g.xlarge", false),
            ("g?.xlarge", "g6.xlarge", true),
            ("g?.xlarge", "g6e.xlarge", false),
            ("*.xlarge", "g4dn.xlarge", true),
            ("*", "", true),
            ("?", "", false),
            ("g5.xlarge", "g5.xlarge", true),
            ("g5.xlarge", "g5.xlarg", false),
            ("g*n.*2*", "g4dn.12xlarge", true),
        ] {
            assert_eq!(fits(pattern, name), expected, "{pattern} {name}");
        }
    }
}
