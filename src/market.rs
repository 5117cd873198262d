//! What AWS offers now: types, offerings, prices, quotas, subnets, images. Reads only, all of them side by side; what is made of
//! them is decided in [`crate::decide`].
//!
//! Odd in AWS: a page of `DescribeInstanceTypes` holds a hundred types at most, so each family letter is asked for by
//! itself and beside the others instead of page after page; `instance-type` is a filter that knows wildcards, and without
//! an answer it is no error, while the parameter `InstanceTypes` knows no wildcard and refuses all for one wrong name.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::operation::describe_spot_price_history::builders::DescribeSpotPriceHistoryFluentBuilder;
use aws_sdk_ec2::types::{EphemeralNvmeSupport, Filter, InstanceTypeInfo, LocationType, UsageClassType};
use jiff::Timestamp;

use crate::cloud::{Cloud, call, pages, poll};
use crate::decide::cost::{Disk, Ledger};
use crate::decide::names::Market;
use crate::decide::offers::{self, InstanceType};
use crate::decide::workers::Worker;
use crate::error::Result;
use crate::spec::{Types, Usd, Zone};

pub mod image;
pub mod network;
pub mod price_list;
pub mod quotas;
pub mod survey;

/// Families that have GPUs by AWS's naming: `g…` (with `gr…`) and `p…`. A wildcard, so that a family that AWS adds
/// tomorrow is found without a new release.
const GPU_FAMILIES: [&str; 2] = ["g*", "p*"];

/// The product whose price a Linux worker pays.
const LINUX: &str = "Linux/UNIX";

/// An EC2 filter.
pub(crate) fn filter(name: &str, values: impl IntoIterator<Item = impl Into<String>>) -> Filter {
    Filter::builder().name(name).set_values(Some(values.into_iter().map(Into::into).collect())).build()
}

/// Which types are read: those of the file, and one that a flag names.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The file's.
    pub types: &'a Types,
    /// `--type`.
    pub also: Option<&'a str>,
}

/// One question: names or a wildcard, and whether only what is sold on Spot is meant.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Query {
    names: Vec<String>,
    only_spot: bool,
}

impl Query {
    fn filter(&self) -> Filter {
        filter("instance-type", &self.names)
    }
}

impl Wanted<'_> {
    /// What is asked side by side. Named types are asked for whatever they are sold as: that one is not sold on Spot is
    /// another answer than that there is no such type.
    fn queries(&self) -> Vec<Query> {
        let mut queries = match self.types {
            Types::Cheapest => {
                GPU_FAMILIES.map(|family| Query { names: vec![family.to_owned()], only_spot: true }).to_vec()
            }
            Types::Listed(_) => Vec::new(),
        };
        let named: Vec<String> = self.named().into_iter().map(str::to_owned).collect();
        if !named.is_empty() {
            queries.push(Query { names: named, only_spot: false });
        }
        queries
    }

    fn named(&self) -> Vec<&str> {
        let listed = match self.types {
            Types::Cheapest => [].as_slice(),
            Types::Listed(names) => names,
        };
        listed.iter().map(String::as_str).chain(self.also).collect()
    }
}

/// Reads the market for these types, all calls at once.
///
/// # Errors
/// A call's failure; a named type that AWS does not know.
pub async fn read(cloud: &Cloud, wanted: Wanted<'_>) -> Result<offers::Market> {
    let queries = wanted.queries();
    let answers = queries.iter().map(|query| {
        Box::pin(async {
            futures::try_join!(
                instance_types(cloud, Some(query.filter()), query.only_spot),
                offerings(cloud, Some(query.filter())),
                prices(cloud, query.filter())
            )
        })
    });
    let mut found: Vec<InstanceType> = Vec::new();
    let (mut offered, mut prices) = (BTreeSet::new(), BTreeMap::new());
    for (types, zones, now) in futures::future::try_join_all(answers).await? {
        // A type that a flag names is also found by its family's letter.
        found.extend(
            types.into_iter().filter(|new| !found.iter().any(|known| known.name == new.name)).collect::<Vec<_>>(),
        );
        offered.extend(zones);
        prices.extend(now);
    }
    let mut unknown = wanted.named();
    unknown.retain(|name| !found.iter().any(|known| known.name == *name));
    if !unknown.is_empty() {
        // Only on the way to an error: a page through every name in the region, for the "did you mean".
        let known = names_in_region(cloud).await?;
        return Err(offers::unknown_types(&unknown, &known, &cloud.region));
    }
    Ok(offers::Market { types: found, offered, prices })
}

/// Those that the filter meets; all of them without one.
async fn instance_types(cloud: &Cloud, names: Option<Filter>, only_spot: bool) -> Result<Vec<InstanceType>> {
    let mut request = cloud.ec2.describe_instance_types().set_filters(names.map(|names| vec![names]));
    if only_spot {
        request = request.filters(filter("supported-usage-class", [UsageClassType::Spot.as_str()]));
    }
    let found = pages("DescribeInstanceTypes", request.into_paginator().send())
        .await
        .map_err(|failure| failure.doing("reading the instance types"))?;
    Ok(found.iter().flat_map(|page| page.instance_types()).filter_map(instance_type).collect())
}

fn instance_type(info: &InstanceTypeInfo) -> Option<InstanceType> {
    let name = info.instance_type()?.as_str().to_owned();
    let gpus = info.gpu_info();
    let models = gpus.map(aws_sdk_ec2::types::GpuInfo::gpus).unwrap_or_default();
    let count = models.iter().filter_map(aws_sdk_ec2::types::GpuDeviceInfo::count).sum::<i32>();
    let total = gpus.and_then(aws_sdk_ec2::types::GpuInfo::total_gpu_memory_in_mib).unwrap_or_default();
    // Old types have local disks that are no NVMe (m3): nothing mounts those.
    let local = info
        .instance_storage_info()
        .filter(|storage| storage.nvme_support().is_some_and(|word| *word != EphemeralNvmeSupport::Unsupported))
        .and_then(aws_sdk_ec2::types::InstanceStorageInfo::total_size_in_gb);
    Some(InstanceType {
        name,
        vcpus: number(info.v_cpu_info().and_then(aws_sdk_ec2::types::VCpuInfo::default_v_cpus)),
        memory_mib: info
            .memory_info()
            .and_then(aws_sdk_ec2::types::MemoryInfo::size_in_mib)
            .and_then(|size| u64::try_from(size).ok())
            .unwrap_or_default(),
        nvme_gb: local.and_then(|size| u32::try_from(size).ok()).unwrap_or_default(),
        gpus: number(Some(count)),
        gpu_memory_mib: u64::from(number(Some(total))),
        gpu: models.first().and_then(|model| model.name()).map(str::to_owned),
        gpu_maker: models.first().and_then(|model| model.manufacturer()).map(str::to_owned),
        architectures: info
            .processor_info()
            .map(|info| info.supported_architectures().iter().map(|name| name.as_str().to_owned()).collect())
            .unwrap_or_default(),
        spot: info.supported_usage_classes().contains(&UsageClassType::Spot),
    })
}

fn number(value: Option<i32>) -> u32 {
    u32::try_from(value.unwrap_or_default()).unwrap_or_default()
}

/// The same of what each zone offers.
async fn offerings(cloud: &Cloud, names: Option<Filter>) -> Result<BTreeSet<(String, Zone)>> {
    let request = cloud.ec2.describe_instance_type_offerings().location_type(LocationType::AvailabilityZone);
    let request = request.set_filters(names.map(|names| vec![names]));
    let found = pages("DescribeInstanceTypeOfferings", request.into_paginator().send())
        .await
        .map_err(|failure| failure.doing("reading which zone offers which instance type"))?;
    let rows = found.iter().flat_map(|page| page.instance_type_offerings());
    Ok(rows
        .filter_map(|row| Some((row.instance_type()?.as_str().to_owned(), Zone(row.location()?.to_owned()))))
        .collect())
}

async fn names_in_region(cloud: &Cloud) -> Result<Vec<String>> {
    let request = cloud.ec2.describe_instance_type_offerings().location_type(LocationType::Region);
    let found = pages("DescribeInstanceTypeOfferings", request.into_paginator().send())
        .await
        .map_err(|failure| failure.doing("reading the names of all instance types"))?;
    let rows = found.iter().flat_map(|page| page.instance_type_offerings());
    Ok(rows.filter_map(|row| Some(row.instance_type()?.as_str().to_owned())).collect())
}

/// What these workers cost: the prices since the first of them was launched. `disks` are their volumes, which were read beside
/// the workers. A courtesy: where prices may not be read, or do not come in time, they are not known. No call where nothing
/// is.
pub async fn ledger(cloud: &Cloud, workers: &[Worker], disks: BTreeMap<String, Vec<Disk>>) -> Ledger {
    let of = |market: Market| {
        let bought = workers.iter().filter(move |worker| worker.market == market);
        bought.map(|worker| worker.instance_type.clone()).collect::<BTreeSet<String>>()
    };
    let since = workers.iter().map(|worker| worker.launched_at).min().unwrap_or_else(Timestamp::now);
    let listed = of(Market::OnDemand);
    let list =
        async { if listed.is_empty() { Ok(BTreeMap::new()) } else { price_list::on_demand(cloud, &listed).await } };
    let history = poll::courtesy(price_history(cloud, of(Market::Spot), since));
    let (spot, on_demand) = futures::join!(history, poll::courtesy(list));
    let mut refused = None;
    let spot = spot.unwrap_or_else(|| Ok(BTreeMap::new())).unwrap_or_else(|error| {
        refused = Some(error.message);
        BTreeMap::new()
    });
    let on_demand = on_demand.unwrap_or_else(|| Ok(BTreeMap::new())).unwrap_or_else(|failure| {
        refused = Some(failure.doing("reading the prices on demand").message);
        BTreeMap::new()
    });
    Ledger { region: cloud.region.clone(), spot, on_demand, disks, refused }
}

/// With `StartTime` = now AWS answers one row a pool: the price in force.
async fn prices(cloud: &Cloud, types: Filter) -> Result<BTreeMap<(String, Zone), Usd>> {
    let history = price_rows(cloud, jiff::Timestamp::now(), |request| request.filters(types)).await?;
    Ok(history.into_iter().filter_map(|(pool, points)| Some((pool, points.last()?.1))).collect())
}

/// Since when which price: one pool's, oldest first. The first may lie before the moment that was asked for: it is the
/// price that was in force then.
pub type History = Vec<(Timestamp, Usd)>;

/// Spot prices of these types since a moment, Linux, by type and zone. AWS looks back ninety days.
///
/// # Errors
/// A call's failure.
pub async fn price_history(
    cloud: &Cloud,
    types: BTreeSet<String>,
    since: Timestamp,
) -> Result<BTreeMap<(String, Zone), History>> {
    if types.is_empty() {
        return Ok(BTreeMap::new());
    }
    price_rows(cloud, since, |request| {
        request.set_instance_types(Some(types.iter().map(|name| name.as_str().into()).collect()))
    })
    .await
}

async fn price_rows(
    cloud: &Cloud,
    since: Timestamp,
    narrow: impl FnOnce(DescribeSpotPriceHistoryFluentBuilder) -> DescribeSpotPriceHistoryFluentBuilder,
) -> Result<BTreeMap<(String, Zone), History>> {
    let since = aws_sdk_ec2::primitives::DateTime::from_secs(since.as_second());
    let request = cloud.ec2.describe_spot_price_history();
    let request = narrow(request.start_time(since).product_descriptions(LINUX));
    let found = pages("DescribeSpotPriceHistory", request.into_paginator().send())
        .await
        .map_err(|failure| failure.doing("reading the Spot prices"))?;
    let mut pools: BTreeMap<(String, Zone), History> = BTreeMap::new();
    for row in found.iter().flat_map(|page| page.spot_price_history()) {
        let (Some(name), Some(zone), Some(price)) =
            (row.instance_type(), row.availability_zone(), row.spot_price().and_then(|price| price.parse().ok()))
        else {
            continue;
        };
        let since = row.timestamp().map_or(0, aws_sdk_ec2::primitives::DateTime::secs);
        let since = Timestamp::from_second(since).unwrap_or(Timestamp::UNIX_EPOCH);
        pools.entry((name.as_str().to_owned(), Zone(zone.to_owned()))).or_default().push((since, price));
    }
    for points in pools.values_mut() {
        points.sort();
    }
    Ok(pools)
}

/// The regions that this account may use, by name.
///
/// # Errors
/// The call's failure.
pub async fn regions(cloud: &Cloud) -> Result<Vec<String>> {
    let answer = call("DescribeRegions", cloud.ec2.describe_regions().send())
        .await
        .map_err(|failure| failure.doing("reading which regions are enabled"))?;
    let mut names: Vec<String> =
        answer.regions().iter().filter_map(|region| region.region_name().map(str::to_owned)).collect();
    names.sort();
    Ok(names)
}
