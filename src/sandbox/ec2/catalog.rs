//! What EC2 sells and where: regions, zones, instance types, their offerings, images.
//!
//! `data/instance-types.csv` and `data/offerings.csv` are facts, taken from `DescribeInstanceTypes` and
//! `DescribeInstanceTypeOfferings` of eight regions: every GPU type there is, and a few others. Nothing here changes while
//! the sandbox runs. Zone ids and image ids are made up: AWS maps names to zone ids for each account anew.
//!
//! Nine more regions bear AWS's names and are copies: **their zones, offerings and prices are made up**, those of the region
//! that [`original`] names. They are there to ask many regions at once; until they are turned on they are regions that the
//! account has not opted in to.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::LazyLock;

use sha2::{Digest, Sha256};

use crate::sandbox::service_quotas::CLASSES;

/// One instance type, as `DescribeInstanceTypes` describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InstanceType {
    /// Such as `g4dn.xlarge`.
    pub name: String,
    /// Virtual CPUs, which is what quotas count.
    pub vcpus: i64,
    /// Memory in MiB.
    pub memory_mib: i64,
    /// `x86_64`, `arm64`.
    pub architectures: Vec<&'static str>,
    /// Its accelerator, if it has one.
    pub gpu: Option<Gpu>,
    /// Local `NVMe` in GB; 0: none.
    pub local_storage_gb: i64,
    /// `on-demand`, `spot`, `capacity-block`.
    pub usage_classes: Vec<&'static str>,
    /// `nitro`; metal types have none.
    pub hypervisor: Option<&'static str>,
    /// Whether AWS counts it among the current generation.
    pub current_generation: bool,
}

/// The accelerators of one type.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gpu {
    /// `NVIDIA`, `AMD` or `Habana`.
    pub maker: &'static str,
    /// Such as `T4`.
    pub name: &'static str,
    /// How many; 0 for a fraction of one (g6f, gr6f).
    pub count: i64,
    /// Memory of each in MiB.
    pub memory_mib_each: i64,
    /// Memory of all in MiB.
    pub memory_mib_total: i64,
}

/// A machine image.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Image {
    /// `ami-…`.
    pub id: String,
    /// Its name, with the date.
    pub name: String,
    /// Twelve digits.
    pub owner: &'static str,
    /// Such as `amazon`; Canonical's have none.
    pub owner_alias: Option<&'static str>,
    /// `x86_64` or `arm64`.
    pub architecture: &'static str,
    /// `/dev/sda1` or `/dev/xvda`.
    pub root_device: &'static str,
    /// `snap-…`.
    pub snapshot: String,
    /// A root volume smaller than this is refused.
    pub snapshot_gib: i64,
    /// RFC 3339.
    pub created: &'static str,
    /// The public parameter that names the newest of its kind; older ones have none.
    pub parameter: Option<String>,
}

static TYPES: LazyLock<Vec<InstanceType>> = LazyLock::new(read_types);
static OFFERINGS: LazyLock<BTreeMap<String, BTreeSet<&'static str>>> = LazyLock::new(read_offerings);
static ALL_REGIONS: LazyLock<Vec<String>> = LazyLock::new(|| {
    let regions: BTreeSet<String> = OFFERINGS.keys().map(|zone| region_of(zone).to_owned()).collect();
    regions.into_iter().collect()
});
static REGIONS: LazyLock<Vec<String>> =
    LazyLock::new(|| all_regions().iter().filter(|region| original(region).is_none()).cloned().collect());

/// Regions that are copies, and of which.
const COPIES: [(&str, &str); 9] = [
    ("ap-northeast-3", "ap-northeast-1"),
    ("ap-south-1", "ap-southeast-1"),
    ("ap-southeast-2", "ap-southeast-1"),
    ("ca-central-1", "us-east-2"),
    ("eu-north-1", "eu-central-1"),
    ("eu-west-2", "eu-west-1"),
    ("eu-west-3", "eu-west-1"),
    ("sa-east-1", "us-east-2"),
    ("us-west-1", "us-west-2"),
];

/// The region of a zone.
#[must_use]
pub fn region_of(zone: &str) -> &str {
    zone.trim_end_matches(|letter: char| letter.is_ascii_lowercase())
}

/// The regions that the facts are of, by name: those that an account can use from the beginning.
#[must_use]
pub fn regions() -> &'static [String] {
    &REGIONS
}

/// Every region there is, by name, the copies among them.
#[must_use]
pub fn all_regions() -> &'static [String] {
    &ALL_REGIONS
}

/// Which region a copy has its zones and offerings from; nothing for a region that the facts are of.
#[must_use]
pub fn original(region: &str) -> Option<&'static str> {
    COPIES.iter().find(|(copy, _)| *copy == region).map(|(_, original)| *original)
}

/// The zones of a region, by name.
#[must_use]
pub fn zones(region: &str) -> Vec<String> {
    OFFERINGS.keys().filter(|zone| region_of(zone) == region).cloned().collect()
}

/// A zone's id, such as `use1-az1`.
#[must_use]
pub fn zone_id(zone: &str) -> String {
    let region = region_of(zone);
    let parts: Vec<&str> = region.split('-').collect();
    let short = match parts.as_slice() {
        [area, direction, number] => {
            let direction: String = match *direction {
                "northeast" => "ne".to_owned(),
                "southeast" => "se".to_owned(),
                other => other.chars().take(1).collect(),
            };
            format!("{area}{direction}{number}")
        }
        _ => region.to_owned(),
    };
    let position = zones(region).iter().position(|known| known == zone).unwrap_or_default();
    format!("{short}-az{}", position + 1)
}

/// Every instance type, by name.
#[must_use]
pub fn instance_types() -> &'static [InstanceType] {
    &TYPES
}

/// The type of this name.
#[must_use]
pub fn instance_type(name: &str) -> Option<&'static InstanceType> {
    TYPES.iter().find(|found| found.name == name)
}

/// Whether the free tier has this type, of accounts as they are made since July 2025.
#[must_use]
pub fn is_free_tier(instance_type: &str) -> bool {
    let types = ["t3.micro", "t3.small", "t4g.micro", "t4g.small", "c7i-flex.large", "m7i-flex.large"];
    types.contains(&instance_type)
}

/// Size in GB of each disk of a type's instance store; the facts have the total only. As EC2's guide lists them: where one
/// of these divides the total, there are several, else there is one disk.
#[must_use]
pub fn disk_gb(kind: &InstanceType) -> i64 {
    let (family, size) = kind.name.split_once('.').unwrap_or((&kind.name, ""));
    let each = match (family, size) {
        ("dl1" | "p4d" | "p4de", _) => 1000,
        ("g4ad", "16xlarge") => 1200,
        ("g4dn", "metal") | ("p3dn", _) => 900,
        ("g5", "48xlarge") | ("p5" | "p5e" | "p5en", _) => 3800,
        ("g6" | "gr6", "8xlarge") => 450,
        ("g6", "12xlarge" | "16xlarge" | "24xlarge" | "48xlarge") => 940,
        ("g6e", "12xlarge" | "24xlarge" | "48xlarge") => 1900,
        _ if family.starts_with("g7e") => 1900,
        _ if family.starts_with("p6") => 3800,
        _ => kind.local_storage_gb,
    };
    if each > 0 && kind.local_storage_gb % each == 0 { each } else { kind.local_storage_gb }
}

/// Whether a zone offers a type.
#[must_use]
pub fn offers(zone: &str, instance_type: &str) -> bool {
    OFFERINGS.get(zone).is_some_and(|types| types.contains(instance_type))
}

/// Whether any zone of a region offers a type.
#[must_use]
pub fn is_sold(region: &str, instance_type: &str) -> bool {
    OFFERINGS.iter().any(|(zone, types)| region_of(zone) == region && types.contains(instance_type))
}

/// The vCPU quota that a type counts against; unknown for the P6 family, whose code public tables disagree about.
#[must_use]
pub fn quota_code(instance_type: &str, is_spot: bool) -> Option<&'static str> {
    let family = instance_type.split('.').next()?;
    let letters = family.trim_end_matches(|c: char| !c.is_ascii_digit());
    let letters = letters.split(|c: char| c.is_ascii_digit()).next().unwrap_or_default();
    let class = match letters {
        "g" | "gr" | "vt" => "G",
        "p" if family.starts_with("p6") => return None,
        "p" if family.starts_with("p5") => "P5",
        "p" => "P",
        "inf" => "Inf",
        "trn" => "Trn",
        "dl" => "DL",
        "f" => "F",
        "x" => "X",
        _ if letters.starts_with(['a', 'c', 'd', 'h', 'i', 'm', 'r', 't', 'z']) => "Standard",
        _ => return None,
    };
    let (_, spot, on_demand) = CLASSES.iter().find(|(name, ..)| *name == class)?;
    Some(if is_spot { spot } else { on_demand })
}

/// The images of a region, of each kind the newest first.
#[must_use]
pub fn images(region: &str) -> Vec<Image> {
    const AMAZON: &str = "898082745236";
    let mut all = Vec::new();
    let mut add = |kind: &Kind, architecture: &'static str, created: &'static str, parameter: Option<String>| {
        let date: String = created.chars().take(10).filter(|c| *c != '-').collect();
        let name = format!("{} {date}{}", kind.name, if architecture == "arm64" { " (ARM64)" } else { "" });
        let hash = |what: &str| -> String {
            let digest = Sha256::digest(format!("{what} {region} {name}"));
            digest.iter().take(9).map(|byte| format!("{byte:02x}")).collect::<Vec<_>>().concat()[..17].to_owned()
        };
        all.push(Image {
            id: format!("ami-{}", hash("image")),
            snapshot: format!("snap-{}", hash("snapshot")),
            owner: kind.owner,
            owner_alias: kind.alias,
            architecture,
            root_device: kind.root_device,
            snapshot_gib: kind.gib,
            created,
            parameter,
            name,
        });
    };
    for (os, title, root_device) in [
        ("ubuntu-22.04", "Ubuntu 22.04", "/dev/sda1"),
        ("ubuntu-24.04", "Ubuntu 24.04", "/dev/sda1"),
        ("amazon-linux-2023", "Amazon Linux 2023", "/dev/xvda"),
    ] {
        let kind = Kind {
            name: format!("Deep Learning Base OSS Nvidia Driver GPU AMI ({title})"),
            owner: AMAZON,
            alias: Some("amazon"),
            root_device,
            gib: 75,
        };
        for architecture in ["x86_64", "arm64"] {
            let parameter =
                format!("/aws/service/deeplearning/ami/{architecture}/base-oss-nvidia-driver-gpu-{os}/latest/ami-id");
            add(&kind, architecture, "2026-11-14T06:12:31.000Z", Some(parameter.clone()));
            add(&kind, architecture, "2026-08-02T05:40:02.000Z", Some(parameter));
        }
    }
    let ubuntu = Kind {
        name: "ubuntu/images/hvm-ssd-gp3/ubuntu-noble-24.04-amd64-server".to_owned(),
        owner: "099720109477",
        alias: None,
        root_device: "/dev/sda1",
        gib: 8,
    };
    let parameter = "/aws/service/canonical/ubuntu/server/24.04/stable/current/amd64/hvm/ebs-gp3/ami-id";
    add(&ubuntu, "x86_64", "2026-11-01T04:00:00.000Z", Some(parameter.to_owned()));
    let linux = Kind {
        name: "al2023-ami-2023.9-kernel-6.12-x86_64".to_owned(),
        owner: "137112412989",
        alias: Some("amazon"),
        root_device: "/dev/xvda",
        gib: 8,
    };
    let parameter = "/aws/service/ami-amazon-linux-latest/al2023-ami-kernel-default-x86_64";
    add(&linux, "x86_64", "2026-11-10T20:00:00.000Z", Some(parameter.to_owned()));
    all
}

struct Kind {
    name: String,
    owner: &'static str,
    alias: Option<&'static str>,
    root_device: &'static str,
    gib: i64,
}

/// The image of this id in a region.
#[must_use]
pub fn image(region: &str, id: &str) -> Option<Image> {
    images(region).into_iter().find(|image| image.id == id)
}

/// What a public parameter says in a region: the newest of its kind that is not gone.
#[must_use]
pub fn image_for_parameter(region: &str, name: &str, gone: &BTreeSet<String>) -> Option<String> {
    let of = |image: &Image| image.parameter.as_deref() == Some(name) && !gone.contains(&image.id);
    images(region).into_iter().find(of).map(|image| image.id)
}

fn read_types() -> Vec<InstanceType> {
    let rows = include_str!("../data/instance-types.csv").lines().skip(1);
    rows.filter_map(|row| {
        let cells: Vec<&'static str> = row.split(',').collect();
        let &[name, vcpus, memory, architectures, maker, gpu, count, each, total, storage, usage, hypervisor, current] =
            cells.as_slice()
        else {
            return None;
        };
        let gpu = if maker.is_empty() {
            None
        } else {
            Some(Gpu {
                maker,
                name: gpu,
                count: count.parse().ok()?,
                memory_mib_each: each.parse().ok()?,
                memory_mib_total: total.parse().ok()?,
            })
        };
        Some(InstanceType {
            name: name.to_owned(),
            vcpus: vcpus.parse().ok()?,
            memory_mib: memory.parse().ok()?,
            architectures: architectures.split('/').collect(),
            gpu,
            local_storage_gb: storage.parse().ok()?,
            usage_classes: usage.split('/').collect(),
            hypervisor: Some(hypervisor).filter(|text| !text.is_empty()),
            current_generation: current == "true",
        })
    })
    .collect()
}

fn read_offerings() -> BTreeMap<String, BTreeSet<&'static str>> {
    let rows = include_str!("../data/offerings.csv").lines().skip(1);
    let mut offerings: BTreeMap<String, BTreeSet<&'static str>> = rows
        .filter_map(|row| row.split_once(','))
        .map(|(zone, types)| (zone.to_owned(), types.split_whitespace().collect()))
        .collect();
    for (copy, original) in COPIES {
        let copied = offerings.iter().filter(|(zone, _)| region_of(zone) == original);
        let copied = copied.map(|(zone, types)| (zone.replacen(original, copy, 1), types.clone()));
        let copied: Vec<_> = copied.collect();
        offerings.extend(copied);
    }
    offerings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_facts_are_all_read_and_the_main_job_is_possible_everywhere() {
        assert_eq!(instance_types().len(), 71);
        assert_eq!(regions().len(), 8);
        for region in regions() {
            let image = "/aws/service/deeplearning/ami/x86_64/base-oss-nvidia-driver-gpu-ubuntu-24.04/latest/ami-id";
            let id = image_for_parameter(region, image, &BTreeSet::new()).unwrap();
            assert_eq!(super::image(region, &id).unwrap().snapshot_gib, 75);
            assert!(zones(region).iter().any(|zone| offers(zone, "g4dn.xlarge")), "{region}");
        }
        assert_eq!(zone_id("ap-northeast-2a"), "apne2-az1");
    }

    #[test]
    fn the_disks_of_a_type_add_up_to_its_instance_store() {
        for kind in instance_types().iter().filter(|kind| kind.local_storage_gb > 0) {
            assert_eq!(kind.local_storage_gb % disk_gb(kind), 0, "{}", kind.name);
        }
        for (name, each) in [("g4dn.xlarge", 125), ("g6.12xlarge", 940), ("p4d.24xlarge", 1000), ("g5.48xlarge", 3800)]
        {
            assert_eq!(disk_gb(instance_type(name).unwrap()), each, "{name}");
        }
    }

    #[test]
    fn a_copy_has_the_zones_and_offerings_of_its_original() {
        assert_eq!(all_regions().len(), 17);
        for (copy, of) in COPIES {
            assert!(original(of).is_none() && regions().iter().any(|region| region == of), "{copy}");
            let pairs: Vec<_> = zones(copy).into_iter().zip(zones(of)).collect();
            assert!(!pairs.is_empty() && zones(copy).len() == zones(of).len(), "{copy}");
            for (one, other) in pairs {
                assert_eq!(one.strip_prefix(copy), other.strip_prefix(of));
                assert_eq!(OFFERINGS[&one], OFFERINGS[&other], "{one}");
            }
        }
        assert_eq!(zone_id("ap-south-1a"), "aps1-az1");
        assert!(is_sold("sa-east-1", "g4dn.xlarge") && !is_sold("sa-east-1", "dl1.24xlarge"));
    }

    #[test]
    fn each_family_counts_against_its_own_quota() {
        for (name, code) in [
            ("g4dn.xlarge", Some("L-3819A6DF")),
            ("gr6.4xlarge", Some("L-3819A6DF")),
            ("p4d.24xlarge", Some("L-7212CCBC")),
            ("p5en.48xlarge", Some("L-C4BD4855")),
            ("p6-b200.48xlarge", None),
            ("dl1.24xlarge", Some("L-85EED4F7")),
            ("m6i.xlarge", Some("L-34B43A08")),
        ] {
            assert_eq!(quota_code(name, true), code, "{name}");
        }
    }
}
