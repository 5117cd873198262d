//! Which vCPU quota an instance type counts against. Spot and on-demand have codes of their own.
//!
//! Source: the Service Quotas of service `ec2`. The P6 family is left out on purpose: public tables disagree, and an
//! unknown quota is better than a wrong one.

use jiff::Timestamp;

use super::names::Market;

/// A quota of the service `ec2`, counted in vCPUs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Quota {
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
    /// Spot or on-demand.
    pub market: Market,
    /// vCPUs; `None` where nobody may read it.
    pub limit: Option<u32>,
    /// Who uses it.
    pub holders: Vec<Holder>,
}

impl Standing {
    /// vCPUs in use now.
    #[must_use]
    pub fn in_use(&self) -> u32 {
        self.holders.iter().filter_map(|holder| holder.vcpus).sum()
    }

    /// vCPUs that may still be launched; `None` where the limit is not known.
    #[must_use]
    pub fn available(&self) -> Option<u32> {
        Some(self.limit?.saturating_sub(self.in_use()))
    }
}

const fn quota(code: &'static str, name: &'static str) -> Quota {
    Quota { code, name }
}

/// The quota that `instance_type` counts against in `market`; `None` where it is not known.
#[must_use]
pub fn of(instance_type: &str, market: Market) -> Option<Quota> {
    let family = instance_type.split('.').next()?;
    let letters = &family[..family.find(|c: char| !c.is_ascii_lowercase())?];
    let generation = &family[letters.len()..];
    let (spot, on_demand) = match letters {
        "g" | "gr" | "vt" => (
            quota("L-3819A6DF", "All G and VT Spot Instance Requests"),
            quota("L-DB2E81BA", "Running On-Demand G and VT instances"),
        ),
        "p" if generation.starts_with('6') => return None,
        "p" if generation.starts_with('5') => {
            (quota("L-C4BD4855", "All P5 Spot Instance Requests"), quota("L-417A185B", "Running On-Demand P instances"))
        }
        "p" => (
            quota("L-7212CCBC", "All P4, P3 and P2 Spot Instance Requests"),
            quota("L-417A185B", "Running On-Demand P instances"),
        ),
        "inf" => (
            quota("L-B5D1601B", "All Inf Spot Instance Requests"),
            quota("L-1945791B", "Running On-Demand Inf instances"),
        ),
        "trn" => (
            quota("L-6B0D517C", "All Trn Spot Instance Requests"),
            quota("L-2C3B7624", "Running On-Demand Trn instances"),
        ),
        "dl" => (
            quota("L-85EED4F7", "All DL Spot Instance Requests"),
            quota("L-6E869C2A", "Running On-Demand DL instances"),
        ),
        "f" => {
            (quota("L-88CF9481", "All F Spot Instance Requests"), quota("L-74FC7D96", "Running On-Demand F instances"))
        }
        "x" => {
            (quota("L-E3A00192", "All X Spot Instance Requests"), quota("L-7295265B", "Running On-Demand X instances"))
        }
        "a" | "c" | "d" | "h" | "i" | "im" | "is" | "m" | "r" | "t" | "z" => (
            quota("L-34B43A08", "All Standard (A, C, D, H, I, M, R, T, Z) Spot Instance Requests"),
            quota("L-1216C47A", "Running On-Demand Standard (A, C, D, H, I, M, R, T, Z) instances"),
        ),
        _ => return None,
    };
    Some(match market {
        Market::Spot => spot,
        Market::OnDemand => on_demand,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

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
}
