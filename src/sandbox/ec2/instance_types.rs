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
    let is_sold = |name: &str| catalog::is_sold(&call.region, name);
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
        "free-tier-eligible" => one(catalog::is_free_tier(&kind.name).to_string()),
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
        leaf("freeTierEligible", catalog::is_free_tier(&kind.name)),
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
        let each = catalog::disk_gb(kind);
        let disk = vec![leaf("sizeInGB", each), leaf("count", kind.local_storage_gb / each), leaf("type", "ssd")];
        let storage = vec![
            leaf("totalSizeInGB", kind.local_storage_gb),
            list("disks", "item", [disk]),
            leaf("nvmeSupport", "required"),
            leaf("encryptionSupport", "required"),
        ];
        item.push(node("instanceStorageInfo", storage));
    }
    // AWS counts what Habana makes among the GPUs too, so `gpuInfo` alone says nothing of CUDA.
    if let Some(gpu) = &kind.gpu {
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sandbox::world::World;

    type Operation = fn(&mut Call<'_>, &Query) -> Result<Vec<Element>, AwsError>;

    fn ask(operation: Operation, input: &str) -> Result<String, String> {
        let mut world = World::default();
        let (now, region) = (jiff::Timestamp::UNIX_EPOCH, "us-east-1".to_owned());
        let mut call = Call { world: &mut world, region, now, operation: String::new() };
        let answer = operation(&mut call, &Query::parse(input.as_bytes())).map_err(|error| error.code)?;
        Ok(String::from_utf8(node("R", answer).document(None)).unwrap())
    }

    #[test]
    fn types_are_told_as_aws_describes_them_and_filtered_by_what_they_are() {
        let dl1 = ask(describe, "InstanceType.1=dl1.24xlarge").unwrap();
        assert!(dl1.contains("<manufacturer>Habana<") && dl1.contains("<totalGpuMemoryInMiB>262144<"), "{dl1}");
        let disks = "<disks><item><sizeInGB>3800</sizeInGB><count>2</count><type>ssd</type></item></disks>";
        assert!(ask(describe, "InstanceType.1=g5.48xlarge").unwrap().contains(disks));
        let count = |input: &str| ask(describe, input).map(|answer| answer.matches("<instanceType>").count());
        let filter = |name: &str, value: &str| format!("Filter.1.Name={name}&Filter.1.Value.1={value}");
        assert_eq!(count(&filter("instance-type", "g4dn.*")), Ok(7));
        assert_eq!(
            count(&(filter("instance-type", "g4dn.*") + "&Filter.2.Name=bare-metal&Filter.2.Value.1=true")),
            Ok(1)
        );
        assert_eq!(count(&(filter("instance-type", "g5g.*") + "&MaxResults=5")), Ok(5));
        let arm = filter("processor-info.supported-architecture", "arm64");
        assert!(
            ask(describe, &arm).unwrap().contains("g5g.xlarge") && !ask(describe, &arm).unwrap().contains("g5.xlarge")
        );
        for (name, value) in [
            ("instance-type", "g4dn.xlarge"),
            ("instance-type", "g4dn.xl*"),
            ("supported-usage-class", "sp*"),
            ("processor-info.supported-architecture", "x86*"),
            ("vcpu-info.default-vcpus", "4"),
            ("memory-info.size-in-mib", "16384"),
            ("memory-info.size-in-mib", "163*"),
            ("instance-storage-supported", "true"),
            ("free-tier-eligible", "false"),
        ] {
            let found = ask(describe, &filter(name, value)).unwrap();
            assert!(found.contains("<instanceType>g4dn.xlarge<"), "{name}={value}");
        }
        assert_eq!(count(&filter("free-tier-eligible", "true")), Ok(1));
        assert_eq!(count("InstanceType.1=g99.large"), Err("InvalidInstanceType".to_owned()));
        assert_eq!(count(&filter("colour", "red")), Err("InvalidParameterValue".to_owned()));
        assert_eq!(count("InstanceType.1=g5.xlarge&DryRun=true"), Err("DryRunOperation".to_owned()));
    }

    #[test]
    fn offerings_are_told_by_region_by_zone_and_by_zone_id() {
        let count = |input: &str| {
            let input = format!("Filter.1.Name=instance-type&Filter.1.Value.1=g4dn.xlarge&{input}");
            ask(describe_offerings, &input).map(|answer| answer.matches("<location>").count())
        };
        let zones = catalog::zones("us-east-1").iter().filter(|zone| catalog::offers(zone, "g4dn.xlarge")).count();
        assert_eq!(count(""), Ok(1));
        assert_eq!(count("LocationType=availability-zone"), Ok(zones));
        let one = "LocationType=availability-zone-id&Filter.2.Name=location&Filter.2.Value.1=use1-az1";
        assert_eq!(count(one), Ok(1));
        assert_eq!(count("LocationType=outpost"), Err("InvalidParameterValue".to_owned()));
    }
}
