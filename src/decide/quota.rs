//! Which vCPU quota an instance type counts against, and how the account stands to it. Spot and on-demand have codes of
//! their own.
//!
//! Source: the Service Quotas of service `ec2`. The P6 family is left out on purpose: public tables disagree, and an
//! unknown quota is better than a wrong one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::names::Market;
use super::offers::InstanceType;
use crate::spec::Types;

/// A quota of the service `ec2`, counted in vCPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Quota {
    /// Spot or on-demand: a code belongs to one of them.
    pub market: Market,
    /// Such as `L-3819A6DF`.
    pub code: &'static str,
    /// AWS's own name for it.
    pub name: &'static str,
}

/// What counts against a quota now: a running instance, or a Spot request that is still open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Holder {
    /// `i-…` or `sir-…`.
    pub id: String,
    /// Instance type.
    pub instance_type: String,
    /// What it counts; `None` where AWS does not say.
    pub vcpus: Option<u32>,
    /// Launch or request.
    pub since: Option<Timestamp>,
    /// The stack whose tag it carries.
    pub stack: Option<String>,
}

/// A quota as the account stands to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Which.
    pub quota: Quota,
    /// vCPUs; `None` where nobody may read it, or AWS does not say.
    pub limit: Option<u32>,
    /// Who uses it, in the order of their launch; `None` where nobody may read it.
    pub holders: Option<Vec<Holder>>,
    /// The IAM actions that were refused, so that something here is not known.
    pub missing: BTreeSet<&'static str>,
}

impl Standing {
    /// vCPUs in use now; `None` where it is not known.
    #[must_use]
    pub fn in_use(&self) -> Option<u32> {
        self.sum(|_| true)
    }

    /// What the stack's own workers use: they count among those that are wished for. `None` where it is not known.
    #[must_use]
    pub fn used_by(&self, stack: &str) -> Option<u32> {
        self.sum(|holder| holder.stack.as_deref() == Some(stack))
    }

    fn sum(&self, counts: impl Fn(&&Holder) -> bool) -> Option<u32> {
        let holders = self.holders.as_ref()?.iter().filter(counts);
        holders.map(|holder| holder.vcpus).try_fold(0, |sum: u32, vcpus| Some(sum.saturating_add(vcpus?)))
    }

    /// vCPUs that may still be launched; `None` where limit or use is not known.
    #[must_use]
    pub fn available(&self) -> Option<u32> {
        Some(self.limit?.saturating_sub(self.in_use()?))
    }

    /// Whether so many vCPUs more may be launched. A limit below the need says no, whoever uses it; else `None` where the
    /// limit or the use is not known.
    #[must_use]
    pub fn suffices(&self, more: u32) -> Option<bool> {
        match (self.limit, self.available()) {
            (Some(limit), _) if limit < more => Some(false),
            (_, available) => Some(available? >= more),
        }
    }

    /// Fills in what the holders count, as far as these types say. Answers the types that they do not name.
    pub fn count(&mut self, vcpus: &BTreeMap<String, u32>) -> BTreeSet<String> {
        let holders = self.holders.iter_mut().flatten().filter(|holder| holder.vcpus.is_none());
        holders
            .filter_map(|holder| {
                holder.vcpus = vcpus.get(&holder.instance_type).copied();
                holder.vcpus.is_none().then(|| holder.instance_type.clone())
            })
            .collect()
    }
}

/// A class of instance types that share a quota.
struct Class {
    /// What a family's name begins with, up to its generation.
    letters: &'static [&'static str],
    /// First digits of the generation; empty: all that no class before it has.
    generations: &'static [char],
    /// Code and name.
    spot: (&'static str, &'static str),
    /// Code and name.
    on_demand: (&'static str, &'static str),
}

/// On demand all of P count together.
const ON_DEMAND_P: (&str, &str) = ("L-417A185B", "Running On-Demand P instances");

const CLASSES: [Class; 9] = [
    Class {
        letters: &["g", "gr", "vt"],
        generations: &[],
        spot: ("L-3819A6DF", "All G and VT Spot Instance Requests"),
        on_demand: ("L-DB2E81BA", "Running On-Demand G and VT instances"),
    },
    Class {
        letters: &["p"],
        generations: &['2', '3', '4'],
        spot: ("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests"),
        on_demand: ON_DEMAND_P,
    },
    Class {
        letters: &["p"],
        generations: &['5'],
        spot: ("L-C4BD4855", "All P5 Spot Instance Requests"),
        on_demand: ON_DEMAND_P,
    },
    Class {
        letters: &["inf"],
        generations: &[],
        spot: ("L-B5D1601B", "All Inf Spot Instance Requests"),
        on_demand: ("L-1945791B", "Running On-Demand Inf instances"),
    },
    Class {
        letters: &["trn"],
        generations: &[],
        spot: ("L-6B0D517C", "All Trn Spot Instance Requests"),
        on_demand: ("L-2C3B7624", "Running On-Demand Trn instances"),
    },
    Class {
        letters: &["dl"],
        generations: &[],
        spot: ("L-85EED4F7", "All DL Spot Instance Requests"),
        on_demand: ("L-6E869C2A", "Running On-Demand DL instances"),
    },
    Class {
        letters: &["f"],
        generations: &[],
        spot: ("L-88CF9481", "All F Spot Instance Requests"),
        on_demand: ("L-74FC7D96", "Running On-Demand F instances"),
    },
    Class {
        letters: &["x"],
        generations: &[],
        spot: ("L-E3A00192", "All X Spot Instance Requests"),
        on_demand: ("L-7295265B", "Running On-Demand X instances"),
    },
    Class {
        letters: &["a", "c", "d", "h", "i", "im", "is", "m", "r", "t", "z"],
        generations: &[],
        spot: ("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"),
        on_demand: ("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
    },
];

impl Class {
    fn quota(&self, market: Market) -> Quota {
        let (code, name) = match market {
            Market::Spot => self.spot,
            Market::OnDemand => self.on_demand,
        };
        Quota { market, code, name }
    }

    fn has(&self, letters: &str, generation: &str) -> bool {
        self.letters.contains(&letters) && (self.generations.is_empty() || generation.starts_with(self.generations))
    }
}

/// The part of a type's name that decides: `g4dn` of `g4dn.xlarge`.
#[must_use]
pub fn family(instance_type: &str) -> &str {
    instance_type.split('.').next().unwrap_or(instance_type)
}

/// The quota that `instance_type` counts against in `market`; `None` where it is not known.
#[must_use]
pub fn of(instance_type: &str, market: Market) -> Option<Quota> {
    let family = family(instance_type);
    let letters = &family[..family.find(|c: char| !c.is_ascii_lowercase())?];
    let generation = &family[letters.len()..];
    Some(CLASSES.iter().find(|class| class.has(letters, generation))?.quota(market))
}

/// Every quota of the table in this market.
#[must_use]
pub fn all(market: Market) -> BTreeSet<Quota> {
    CLASSES.iter().map(|class| class.quota(market)).collect()
}

/// Wildcards that meet every type of these quotas, and some of others: a filter for what may count against them.
#[must_use]
pub fn patterns<'a>(quotas: impl IntoIterator<Item = &'a Quota>) -> BTreeSet<String> {
    let its = |quota: &'a Quota| CLASSES.iter().filter(|class| class.quota(quota.market) == *quota);
    let letters = quotas.into_iter().flat_map(its).flat_map(|class| class.letters);
    letters.map(|letters| format!("{letters}*")).collect()
}

/// The quota with this code.
#[must_use]
pub fn by_code(code: &str) -> Option<Quota> {
    [Market::Spot, Market::OnDemand].into_iter().flat_map(all).find(|quota| quota.code.eq_ignore_ascii_case(code))
}

/// The smallest of these types that counts against the quota: what it has to suffice for at the least.
#[must_use]
pub fn smallest(types: &[InstanceType], quota: Quota) -> Option<&InstanceType> {
    let its = types.iter().filter(|found| of(&found.name, quota.market) == Some(quota));
    its.min_by(|a, b| (a.vcpus, &a.name).cmp(&(b.vcpus, &b.name)))
}

/// Quotas that types count against, and the families whose quota nobody knows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Each with the families that led to it.
    pub quotas: BTreeMap<Quota, BTreeSet<String>>,
    /// Such as `p6-b200`.
    pub unknown: BTreeSet<String>,
}

impl Wanted {
    /// The quotas alone, to be read.
    #[must_use]
    pub fn keys(&self) -> BTreeSet<Quota> {
        self.quotas.keys().copied().collect()
    }
}

/// The quotas that these types count against: with `types: cheapest` the market's candidates, else those listed.
#[must_use]
pub fn wanted_by<'a>(types: impl IntoIterator<Item = &'a str>, market: Market) -> Wanted {
    let mut wanted = Wanted::default();
    for name in types {
        let family = family(name).to_owned();
        match of(name, market) {
            Some(quota) => wanted.quotas.entry(quota).or_default().insert(family),
            None => wanted.unknown.insert(family),
        };
    }
    wanted
}

/// The quotas that a file's types can need, before the market is known: so that they are read beside it and not after it.
/// Types that are open are those of the GPU families; P6 has no known quota.
#[must_use]
pub fn possible(types: &Types, also: Option<&str>, market: Market) -> BTreeSet<Quota> {
    let listed = match types {
        Types::Cheapest => vec!["g4dn", "p4d", "p5"],
        Types::Listed(names) => names.iter().map(String::as_str).collect(),
    };
    wanted_by(listed.into_iter().chain(also), market).keys()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_wildcards_of_a_quota_meet_every_type_of_it() {
        let g = of("g4dn.xlarge", Market::Spot).unwrap();
        assert_eq!(patterns([&g]).into_iter().collect::<Vec<_>>(), ["g*", "gr*", "vt*"]);
        let p = [of("p4d.24xlarge", Market::Spot).unwrap(), of("p5.4xlarge", Market::Spot).unwrap()];
        assert_eq!(patterns(&p).into_iter().collect::<Vec<_>>(), ["p*"]);
    }

    #[test]
    fn each_family_has_its_code_and_an_unknown_one_none() {
        for (instance_type, spot, on_demand) in [
            ("g4dn.xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("gr6.4xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("vt1.3xlarge", Some("L-3819A6DF"), Some("L-DB2E81BA")),
            ("p3.2xlarge", Some("L-7212CCBC"), Some("L-417A185B")),
            ("p4de.24xlarge", Some("L-7212CCBC"), Some("L-417A185B")),
            ("p5en.48xlarge", Some("L-C4BD4855"), Some("L-417A185B")),
            ("p6-b200.48xlarge", None, None),
            ("dl1.24xlarge", Some("L-85EED4F7"), Some("L-6E869C2A")),
            ("d3.xlarge", Some("L-34B43A08"), Some("L-1216C47A")),
            ("inf2.xlarge", Some("L-B5D1601B"), Some("L-1945791B")),
            ("i4i.large", Some("L-34B43A08"), Some("L-1216C47A")),
            ("trn1.2xlarge", Some("L-6B0D517C"), Some("L-2C3B7624")),
            ("t3.micro", Some("L-34B43A08"), Some("L-1216C47A")),
            ("hpc7a.12xlarge", None, None),
            ("mac2.metal", None, None),
            ("nonsense", None, None),
        ] {
            assert_eq!(of(instance_type, Market::Spot).map(|quota| quota.code), spot, "{instance_type}");
            assert_eq!(of(instance_type, Market::OnDemand).map(|quota| quota.code), on_demand, "{instance_type}");
        }
    }

    #[test]
    fn a_code_is_found_again_and_belongs_to_one_market() {
        for market in [Market::Spot, Market::OnDemand] {
            for quota in all(market) {
                assert_eq!(by_code(quota.code), Some(quota));
            }
        }
        assert_eq!((all(Market::Spot).len(), all(Market::OnDemand).len()), (9, 8), "P counts together on demand");
        assert_eq!(by_code("l-3819a6df").map(|quota| quota.code), Some("L-3819A6DF"));
        assert_eq!(by_code("L-00000000"), None);
    }

    #[test]
    fn types_lead_to_their_quotas_once_and_an_unknown_family_is_named() {
        let wanted =
            wanted_by(["g5.xlarge", "g4dn.xlarge", "p5.4xlarge", "p6-b200.48xlarge", "g5.2xlarge"], Market::Spot);
        let codes: Vec<_> =
            wanted.quotas.iter().map(|(quota, of)| (quota.code, of.iter().cloned().collect())).collect();
        assert_eq!(
            codes,
            [("L-3819A6DF", vec!["g4dn".to_owned(), "g5".to_owned()]), ("L-C4BD4855", vec!["p5".to_owned()])]
        );
        assert_eq!(wanted.unknown, BTreeSet::from(["p6-b200".to_owned()]));
        let code = |types: &Types, also| {
            possible(types, also, Market::Spot).into_iter().map(|quota| quota.code).collect::<Vec<_>>()
        };
        assert_eq!(code(&Types::Cheapest, None), ["L-3819A6DF", "L-7212CCBC", "L-C4BD4855"]);
        assert_eq!(code(&Types::Listed(vec!["t3.micro".to_owned()]), Some("p6-b200.48xlarge")), ["L-34B43A08"]);
    }

    fn standing(limit: Option<u32>, holders: Option<&[(Option<u32>, Option<&str>)]>) -> Standing {
        let holder = |(index, (vcpus, stack)): (usize, &(Option<u32>, Option<&str>))| Holder {
            id: format!("i-{index}"),
            instance_type: format!("g{index}.xlarge"),
            vcpus: *vcpus,
            since: None,
            stack: stack.map(str::to_owned),
        };
        Standing {
            quota: of("g4dn.xlarge", Market::Spot).unwrap(),
            limit,
            holders: holders.map(|holders| holders.iter().enumerate().map(holder).collect()),
            missing: BTreeSet::new(),
        }
    }

    #[test]
    fn what_is_not_known_is_never_taken_for_enough_nor_for_nothing() {
        let used: &[_] = &[(Some(4), Some("w")), (Some(8), None)];
        let uncounted: &[_] = &[(Some(4), Some("w")), (None, None)];
        for (limit, holders, in_use, available, suffices) in [
            (Some(16), Some(used), Some(12), Some(4), Some(true)),
            (Some(15), Some(used), Some(12), Some(3), Some(false)),
            (Some(8), Some(used), Some(12), Some(0), Some(false)),
            (Some(0), Some(&[][..]), Some(0), Some(0), Some(false)),
            (None, Some(used), Some(12), None, None),
            (Some(64), None, None, None, None),
            (Some(3), None, None, None, Some(false)),
            (Some(64), Some(uncounted), None, None, None),
            (None, None, None, None, None),
        ] {
            let standing = standing(limit, holders);
            assert_eq!(
                (standing.in_use(), standing.available(), standing.suffices(4)),
                (in_use, available, suffices),
                "{standing:?}"
            );
        }
        assert_eq!(standing(None, Some(used)).used_by("w"), Some(4));
        assert_eq!(standing(None, Some(uncounted)).used_by("w"), Some(4), "another's count does not matter to it");
    }

    #[test]
    fn holders_are_counted_by_their_types_and_those_that_are_not_known_are_named() {
        let mut standing = standing(Some(8), Some(&[(None, None), (None, None), (Some(2), None)]));
        let unknown = standing.count(&BTreeMap::from([("g0.xlarge".to_owned(), 4), ("g2.xlarge".to_owned(), 96)]));
        assert_eq!(unknown, BTreeSet::from(["g1.xlarge".to_owned()]));
        let counted: Vec<_> = standing.holders.iter().flatten().map(|holder| holder.vcpus).collect();
        assert_eq!(counted, [Some(4), None, Some(2)]);
    }
}
