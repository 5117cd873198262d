//! Instance types and which zone offers them: facts of AWS's API, see [`super::catalog`].

use super::catalog::{self, InstanceType};
use super::filter::{Filters, dry_run, page};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};

/// `DescribeInstanceTypes`: a hundred a page at most, which is also what AWS answers without `MaxResults`.
///
/// # Errors
/// A name that is not known, a filter that is not known.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let names = input.list("InstanceType");
    let filters = Filters::read(input)?;
    let is_sold = |name: &str| catalog::zones(&call.region).iter().any(|zone| catalog::offers(zone, name));
    let unknown: Vec<&str> = names.iter().filter(|name| !is_sold(name)).map(String::as_str).collect();
    if !unknown.is_empty() {
        let message = format!("The following supplied instance types do not exist: [{}]", unknown.join(", "));
        return Err(AwsError::new("InvalidInstanceType", message));
    }
    let mut items = Vec::new();
    for kind in catalog::instance_types().iter().filter(|kind| is_sold(&kind.name)) {
        let is_asked = names.is_empty() || names.contains(&kind.name);
        if is_asked && filters.accept(None, |name| values(kind, name))? {
            items.push(item(kind));
        }
    }
    let (items, next) = page(input, items, 5..=100)?;
    dry_run(input)?;
    let mut answer = vec![list("instanceTypeSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn values(kind: &InstanceType, name: &str) -> Option<Vec<String>> {
    let one = |text: String| Some(vec![text]);
    let all = |texts: &[&'static str]| Some(texts.iter().map(|text| (*text).to_owned()).collect());
    match name {
        "instance-type" => one(kind.name.clone()),
        "supported-usage-class" => all(&kind.usage_classes),
        "processor-info.supported-architecture" => all(&kind.architectures),
        "current-generation" => one(kind.current_generation.to_string()),
        "bare-metal" => one(kind.hypervisor.is_none().to_string()),
        "hypervisor" => Some(kind.hypervisor.map(str::to_owned).into_iter().collect()),
        "instance-storage-supported" => one((kind.local_storage_gb > 0).to_string()),
        "vcpu-info.default-vcpus" => one(kind.vcpus.to_string()),
        "memory-info.size-in-mib" => one(kind.memory_mib.to_string()),
        _ => None,
    }
}

fn texts(name: &str, texts: &[&'static str]) -> Element {
    node(name, texts.iter().map(|text| leaf("item", text)).collect())
}

fn item(kind: &InstanceType) -> Vec<Element> {
    let mut item = vec![
        leaf("instanceType", &kind.name),
        leaf("currentGeneration", kind.current_generation),
        leaf("freeTierEligible", false),
        texts("supportedUsageClasses", &kind.usage_classes),
        texts("supportedRootDeviceTypes", &["ebs"]),
        texts("supportedVirtualizationTypes", &["hvm"]),
        leaf("bareMetal", kind.hypervisor.is_none()),
        node("processorInfo", vec![texts("supportedArchitectures", &kind.architectures)]),
        node("vCpuInfo", vec![leaf("defaultVCpus", kind.vcpus)]),
        node("memoryInfo", vec![leaf("sizeInMiB", kind.memory_mib)]),
        leaf("instanceStorageSupported", kind.local_storage_gb > 0),
    ];
    item.extend(maybe("hypervisor", kind.hypervisor));
    if kind.local_storage_gb > 0 {
        let storage = vec![leaf("totalSizeInGB", kind.local_storage_gb), leaf("nvmeSupport", "required")];
        item.push(node("instanceStorageInfo", storage));
    }
    // What is made by Habana AWS describes as an inference or media accelerator's cousin, not under `gpuInfo`.
    if let Some(gpu) = kind.gpu.as_ref().filter(|gpu| gpu.maker != "Habana") {
        let memory = node("memoryInfo", vec![leaf("sizeInMiB", gpu.memory_mib_each)]);
        let model = vec![leaf("name", gpu.name), leaf("manufacturer", gpu.maker), leaf("count", gpu.count), memory];
        let info = vec![list("gpus", "item", [model]), leaf("totalGpuMemoryInMiB", gpu.memory_mib_total)];
        item.push(node("gpuInfo", info));
    }
    item
}

/// `DescribeInstanceTypeOfferings`.
///
/// # Errors
/// A location type or a filter that is not known.
pub fn describe_offerings(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let by = input.optional("LocationType").unwrap_or_else(|| "region".to_owned());
    let filters = Filters::read(input)?;
    let zones = catalog::zones(&call.region);
    let mut rows: Vec<(String, String)> = Vec::new();
    for kind in catalog::instance_types() {
        let here: Vec<&String> = zones.iter().filter(|zone| catalog::offers(zone, &kind.name)).collect();
        match by.as_str() {
            "region" if !here.is_empty() => rows.push((kind.name.clone(), call.region.clone())),
            "region" => {}
            "availability-zone" => rows.extend(here.into_iter().map(|zone| (kind.name.clone(), zone.clone()))),
            "availability-zone-id" => {
                rows.extend(here.into_iter().map(|zone| (kind.name.clone(), catalog::zone_id(zone))));
            }
            other => {
                let message = format!("Value ({other}) for parameter locationType is invalid.");
                return Err(AwsError::new("InvalidParameterValue", message));
            }
        }
    }
    let mut items = Vec::new();
    for (kind, location) in rows {
        let values = |name: &str| match name {
            "instance-type" => Some(vec![kind.clone()]),
            "location" => Some(vec![location.clone()]),
            _ => None,
        };
        if filters.accept(None, values)? {
            items.push(vec![leaf("instanceType", &kind), leaf("locationType", &by), leaf("location", &location)]);
        }
    }
    let (items, next) = page(input, items, 5..=1000)?;
    dry_run(input)?;
    let mut answer = vec![list("instanceTypeOfferingSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}
