//! What a launch says, read from a template's and from `RunInstances`' parameters, merged, and written back as XML. A field
//! that is not read here makes the call fail, so nothing a template says is dropped in silence.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use super::state::{InterfaceData, LaunchData, MarketData, MetadataData, VolumeData};
use super::tags as tag_rules;
use crate::sandbox::call::AwsError;
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};

#[cfg(test)]
mod tests;

/// Reads `LaunchTemplateData`.
///
/// # Errors
/// A value of the wrong form.
pub fn parse_template(input: &Query) -> Result<LaunchData, AwsError> {
    parse_common(input, "InvalidUserData.Malformed")
}

/// Reads the parameters of `RunInstances` that a template could have said.
///
/// # Errors
/// A value of the wrong form; parameters that exclude each other.
pub fn parse_run(input: &Query) -> Result<LaunchData, AwsError> {
    let mut data = parse_common(input, "InvalidParameterValue")?;
    let subnet = input.optional("SubnetId");
    let has_groups = !(data.security_groups.is_empty() && data.security_group_names.is_empty());
    if !data.interfaces.is_empty() && (subnet.is_some() || has_groups) {
        let message = "Network interfaces and an instance-level subnet ID or security groups may not be specified on the same request";
        return Err(AwsError::new("InvalidParameterCombination", message));
    }
    if subnet.is_some() {
        data.interfaces.push(InterfaceData { device_index: Some(0), subnet, ..InterfaceData::default() });
    }
    Ok(data)
}

/// EC2 has another code for user data that is too long in a template than in a launch.
fn parse_common(input: &Query, too_long: &str) -> Result<LaunchData, AwsError> {
    let profile = input.structure("IamInstanceProfile");
    let placement = input.structure("Placement");
    let data = LaunchData {
        image: input.optional("ImageId"),
        instance_type: input.optional("InstanceType"),
        profile: profile.and_then(|profile| profile.optional("Arn").or_else(|| profile.optional("Name"))),
        key_name: input.optional("KeyName"),
        user_data: user_data(input, too_long)?,
        shutdown_behavior: input.optional("InstanceInitiatedShutdownBehavior"),
        volumes: input.structures("BlockDeviceMapping").into_iter().map(volume).collect::<Result<_, _>>()?,
        interfaces: input.structures("NetworkInterface").into_iter().map(interface).collect::<Result<_, _>>()?,
        security_groups: input.list("SecurityGroupId"),
        security_group_names: input.list("SecurityGroup"),
        // Empty is AWS's choice, as some clients say it.
        zone: placement.and_then(|placement| placement.optional("AvailabilityZone")).filter(|zone| !zone.is_empty()),
        tenancy: placement.and_then(|placement| placement.optional("Tenancy")),
        metadata: metadata(input)?,
        market: market(input)?,
        tags: tags(input)?,
        monitoring: input.structure("Monitoring").map_or(Ok(None), |monitoring| monitoring.boolean("Enabled"))?,
        ebs_optimized: input.boolean("EbsOptimized")?,
        disable_api_termination: input.boolean("DisableApiTermination")?,
        disable_api_stop: input.boolean("DisableApiStop")?,
    };
    no_hibernation(input)?;
    Ok(data)
}

/// Clients say that they do not want it; that somebody does is not modelled.
fn no_hibernation(input: &Query) -> Result<(), AwsError> {
    let options = input.structure("HibernationOptions");
    match options.map_or(Ok(None), |options| options.boolean("Configured"))? {
        Some(true) => Err(AwsError::new(
            "UnsupportedHibernationConfiguration",
            "This sandbox does not model instances that hibernate.",
        )),
        _ => Ok(()),
    }
}

/// 16 KB before base64.
fn user_data(input: &Query, too_long: &str) -> Result<Option<String>, AwsError> {
    const LIMIT: usize = 16_384;
    let Some(text) = input.base64("UserData")? else { return Ok(None) };
    if STANDARD.decode(&text).is_ok_and(|bytes| bytes.len() > LIMIT) {
        return Err(AwsError::new(too_long, "User data is limited to 16384 bytes"));
    }
    Ok(Some(text))
}

fn volume(mapping: &Query) -> Result<VolumeData, AwsError> {
    let mut data = VolumeData { device: mapping.required("DeviceName")?, ..VolumeData::default() };
    if let Some(ebs) = mapping.structure("Ebs") {
        data.size = ebs.number("VolumeSize")?;
        data.kind = ebs.optional("VolumeType");
        data.iops = ebs.number("Iops")?;
        data.throughput = ebs.number("Throughput")?;
        data.delete_on_termination = ebs.boolean("DeleteOnTermination")?;
        data.encrypted = ebs.boolean("Encrypted")?;
        data.kms_key = ebs.optional("KmsKeyId");
        data.snapshot = ebs.optional("SnapshotId");
    }
    Ok(data)
}

fn interface(input: &Query) -> Result<InterfaceData, AwsError> {
    Ok(InterfaceData {
        device_index: input.number("DeviceIndex")?,
        subnet: input.optional("SubnetId"),
        groups: input.list("SecurityGroupId"),
        public_ip: input.boolean("AssociatePublicIpAddress")?,
        delete_on_termination: input.boolean("DeleteOnTermination")?,
        description: input.optional("Description"),
    })
}

fn metadata(input: &Query) -> Result<MetadataData, AwsError> {
    let Some(options) = input.structure("MetadataOptions") else { return Ok(MetadataData::default()) };
    Ok(MetadataData {
        endpoint: options.optional("HttpEndpoint"),
        tokens: options.optional("HttpTokens"),
        hop_limit: options.number("HttpPutResponseHopLimit")?,
        tags: options.optional("InstanceMetadataTags"),
        ipv6: options.optional("HttpProtocolIpv6"),
    })
}

fn market(input: &Query) -> Result<Option<MarketData>, AwsError> {
    let Some(options) = input.structure("InstanceMarketOptions") else { return Ok(None) };
    match options.optional("MarketType").as_deref() {
        Some("spot") => {}
        other => {
            let message = format!("Value ({}) for parameter marketType is invalid.", other.unwrap_or_default());
            return Err(AwsError::new("InvalidParameterValue", message));
        }
    }
    let spot = options.structure("SpotOptions");
    let text = |name: &str| spot.and_then(|spot| spot.optional(name));
    Ok(Some(MarketData {
        max_price: text("MaxPrice"),
        spot_type: text("SpotInstanceType"),
        interruption: text("InstanceInterruptionBehavior"),
    }))
}

fn tags(input: &Query) -> Result<BTreeMap<String, BTreeMap<String, String>>, AwsError> {
    let mut all: BTreeMap<String, BTreeMap<String, String>> = BTreeMap::new();
    for specification in input.structures("TagSpecification") {
        let of = all.entry(specification.required("ResourceType")?).or_default();
        for tag in specification.structures("Tag") {
            let key = tag.required("Key")?;
            if of.insert(key.clone(), tag.optional("Value").unwrap_or_default()).is_some() {
                return Err(AwsError::new("InvalidParameterValue", format!("Duplicate tag key '{key}' specified.")));
            }
        }
    }
    Ok(all)
}

/// What is wrong in itself, whatever the account holds: a template is held against this when it is made. What needs a
/// look-up (image, subnet, profile, …) AWS tells only at a launch.
///
/// # Errors
/// `InvalidParameterValue`, `InvalidParameterCombination`, `TagLimitExceeded`.
pub fn validate(data: &LaunchData) -> Result<(), AwsError> {
    let market = data.market.as_ref();
    let words: [(&str, Option<&String>, &[&str]); 8] = [
        ("instanceInitiatedShutdownBehavior", data.shutdown_behavior.as_ref(), &["stop", "terminate"]),
        ("placement.tenancy", data.tenancy.as_ref(), &["default", "dedicated", "host"]),
        ("metadataOptions.httpEndpoint", data.metadata.endpoint.as_ref(), &["enabled", "disabled"]),
        ("metadataOptions.httpTokens", data.metadata.tokens.as_ref(), &["optional", "required"]),
        ("metadataOptions.instanceMetadataTags", data.metadata.tags.as_ref(), &["enabled", "disabled"]),
        ("metadataOptions.httpProtocolIpv6", data.metadata.ipv6.as_ref(), &["enabled", "disabled"]),
        ("spotInstanceType", market.and_then(|market| market.spot_type.as_ref()), &["one-time", "persistent"]),
        (
            "instanceInterruptionBehavior",
            market.and_then(|market| market.interruption.as_ref()),
            &["terminate", "stop", "hibernate"],
        ),
    ];
    let invalid = |name: &str, value: &str| {
        AwsError::new("InvalidParameterValue", format!("Value ({value}) for parameter {name} is invalid."))
    };
    for (name, value, known) in words {
        if let Some(value) = value.filter(|value| !known.contains(&value.as_str())) {
            return Err(invalid(name, value));
        }
    }
    if let Some(hops) = data.metadata.hop_limit.filter(|hops| !(1..=64).contains(hops)) {
        return Err(invalid("metadataOptions.httpPutResponseHopLimit", &hops.to_string()));
    }
    let has_groups = !(data.security_groups.is_empty() && data.security_group_names.is_empty());
    if has_groups && !data.interfaces.is_empty() {
        let message = "Network interfaces and instance-level security groups may not be specified on the same request";
        return Err(AwsError::new("InvalidParameterCombination", message));
    }
    // Each key, also those that AWS itself adds at a launch.
    data.tags.values().try_for_each(tag_rules::check)?;
    tag_rules::check_launch(data)
}

/// A launch's own word wins over the template's. Interfaces are replaced whole, by device index; block devices by device
/// name, field by field; metadata and market options field by field.
///
/// Tags: whether AWS merges a launch's tags with the template's or replaces them is not documented. This model replaces
/// them for each resource type that the launch names, so that a client which relies on merging is found out.
#[must_use]
pub fn merge(template: &LaunchData, request: &LaunchData) -> LaunchData {
    let text = |of: fn(&LaunchData) -> &Option<String>| of(request).clone().or_else(|| of(template).clone());
    let flag = |of: fn(&LaunchData) -> Option<bool>| of(request).or_else(|| of(template));
    let list = |of: fn(&LaunchData) -> &Vec<String>| {
        if of(request).is_empty() { of(template).clone() } else { of(request).clone() }
    };
    let mut interfaces: BTreeMap<i64, InterfaceData> = BTreeMap::new();
    for interface in template.interfaces.iter().chain(&request.interfaces) {
        interfaces.insert(interface.device_index.unwrap_or(0), interface.clone());
    }
    let mut tags = template.tags.clone();
    tags.extend(request.tags.clone());
    LaunchData {
        image: text(|data| &data.image),
        instance_type: text(|data| &data.instance_type),
        profile: text(|data| &data.profile),
        key_name: text(|data| &data.key_name),
        user_data: text(|data| &data.user_data),
        shutdown_behavior: text(|data| &data.shutdown_behavior),
        volumes: merge_volumes(&template.volumes, &request.volumes),
        interfaces: interfaces.into_values().collect(),
        security_groups: list(|data| &data.security_groups),
        security_group_names: list(|data| &data.security_group_names),
        zone: text(|data| &data.zone),
        tenancy: text(|data| &data.tenancy),
        metadata: MetadataData {
            endpoint: text(|data| &data.metadata.endpoint),
            tokens: text(|data| &data.metadata.tokens),
            hop_limit: request.metadata.hop_limit.or(template.metadata.hop_limit),
            tags: text(|data| &data.metadata.tags),
            ipv6: text(|data| &data.metadata.ipv6),
        },
        market: merge_markets(template.market.as_ref(), request.market.as_ref()),
        tags,
        monitoring: flag(|data| data.monitoring),
        ebs_optimized: flag(|data| data.ebs_optimized),
        disable_api_termination: flag(|data| data.disable_api_termination),
        disable_api_stop: flag(|data| data.disable_api_stop),
    }
}

fn merge_markets(template: Option<&MarketData>, request: Option<&MarketData>) -> Option<MarketData> {
    match (template, request) {
        (Some(old), Some(new)) => Some(MarketData {
            max_price: new.max_price.clone().or_else(|| old.max_price.clone()),
            spot_type: new.spot_type.clone().or_else(|| old.spot_type.clone()),
            interruption: new.interruption.clone().or_else(|| old.interruption.clone()),
        }),
        (old, new) => new.or(old).cloned(),
    }
}

fn merge_volumes(template: &[VolumeData], request: &[VolumeData]) -> Vec<VolumeData> {
    let mut merged: Vec<VolumeData> = template.to_vec();
    for new in request {
        match merged.iter_mut().find(|old| old.device == new.device) {
            None => merged.push(new.clone()),
            Some(old) => {
                *old = VolumeData {
                    device: new.device.clone(),
                    size: new.size.or(old.size),
                    kind: new.kind.clone().or_else(|| old.kind.clone()),
                    iops: new.iops.or(old.iops),
                    throughput: new.throughput.or(old.throughput),
                    delete_on_termination: new.delete_on_termination.or(old.delete_on_termination),
                    encrypted: new.encrypted.or(old.encrypted),
                    kms_key: new.kms_key.clone().or_else(|| old.kms_key.clone()),
                    snapshot: new.snapshot.clone().or_else(|| old.snapshot.clone()),
                };
            }
        }
    }
    merged
}

/// `launchTemplateData`, every field that was said.
#[must_use]
pub fn to_xml(data: &LaunchData) -> Element {
    let mut parts = Vec::new();
    parts.extend(maybe("imageId", data.image.as_ref()));
    parts.extend(maybe("instanceType", data.instance_type.as_ref()));
    parts.extend(data.profile.as_ref().map(|profile| {
        let name = if profile.starts_with("arn:") { "arn" } else { "name" };
        node("iamInstanceProfile", vec![leaf(name, profile)])
    }));
    parts.extend(maybe("keyName", data.key_name.as_ref()));
    parts.extend(maybe("userData", data.user_data.as_ref()));
    parts.extend(maybe("instanceInitiatedShutdownBehavior", data.shutdown_behavior.as_ref()));
    parts.extend(maybe("ebsOptimized", data.ebs_optimized));
    parts.extend(maybe("disableApiTermination", data.disable_api_termination));
    parts.extend(maybe("disableApiStop", data.disable_api_stop));
    parts.extend(data.monitoring.map(|enabled| node("monitoring", vec![leaf("enabled", enabled)])));
    let mut placement = Vec::new();
    placement.extend(maybe("availabilityZone", data.zone.as_ref()));
    placement.extend(maybe("tenancy", data.tenancy.as_ref()));
    parts.extend((!placement.is_empty()).then(|| node("placement", placement)));
    if !data.volumes.is_empty() {
        parts.push(list("blockDeviceMappingSet", "item", data.volumes.iter().map(volume_xml)));
    }
    if !data.interfaces.is_empty() {
        parts.push(list("networkInterfaceSet", "item", data.interfaces.iter().map(interface_xml)));
    }
    let texts =
        |name: &str, item: &str, texts: &[String]| node(name, texts.iter().map(|text| leaf(item, text)).collect());
    if !data.security_groups.is_empty() {
        parts.push(texts("securityGroupIdSet", "item", &data.security_groups));
    }
    if !data.security_group_names.is_empty() {
        parts.push(texts("securityGroupSet", "item", &data.security_group_names));
    }
    if data.metadata != MetadataData::default() {
        let metadata = &data.metadata;
        let mut options = vec![leaf("state", "applied")];
        options.extend(maybe("httpEndpoint", metadata.endpoint.as_ref()));
        options.extend(maybe("httpTokens", metadata.tokens.as_ref()));
        options.extend(maybe("httpPutResponseHopLimit", metadata.hop_limit));
        options.extend(maybe("instanceMetadataTags", metadata.tags.as_ref()));
        options.extend(maybe("httpProtocolIpv6", metadata.ipv6.as_ref()));
        parts.push(node("metadataOptions", options));
    }
    if let Some(market) = &data.market {
        let mut spot = Vec::new();
        spot.extend(maybe("maxPrice", market.max_price.as_ref()));
        spot.extend(maybe("spotInstanceType", market.spot_type.as_ref()));
        spot.extend(maybe("instanceInterruptionBehavior", market.interruption.as_ref()));
        parts.push(node("instanceMarketOptions", vec![leaf("marketType", "spot"), node("spotOptions", spot)]));
    }
    if !data.tags.is_empty() {
        let specifications = data.tags.iter().map(|(kind, tags)| {
            let tags = tags.iter().map(|(key, value)| vec![leaf("key", key), leaf("value", value)]);
            vec![leaf("resourceType", kind), list("tagSet", "item", tags)]
        });
        parts.push(list("tagSpecificationSet", "item", specifications));
    }
    node("launchTemplateData", parts)
}

fn volume_xml(volume: &VolumeData) -> Vec<Element> {
    let mut ebs = Vec::new();
    ebs.extend(maybe("volumeSize", volume.size));
    ebs.extend(maybe("volumeType", volume.kind.as_ref()));
    ebs.extend(maybe("iops", volume.iops));
    ebs.extend(maybe("throughput", volume.throughput));
    ebs.extend(maybe("deleteOnTermination", volume.delete_on_termination));
    ebs.extend(maybe("encrypted", volume.encrypted));
    ebs.extend(maybe("kmsKeyId", volume.kms_key.as_ref()));
    ebs.extend(maybe("snapshotId", volume.snapshot.as_ref()));
    vec![leaf("deviceName", &volume.device), node("ebs", ebs)]
}

fn interface_xml(interface: &InterfaceData) -> Vec<Element> {
    let mut parts = Vec::new();
    parts.extend(maybe("deviceIndex", interface.device_index));
    parts.extend(maybe("subnetId", interface.subnet.as_ref()));
    parts.extend(maybe("associatePublicIpAddress", interface.public_ip));
    parts.extend(maybe("deleteOnTermination", interface.delete_on_termination));
    parts.extend(maybe("description", interface.description.as_ref()));
    let groups = interface.groups.iter().map(|group| leaf("groupId", group)).collect();
    parts.push(node("groupSet", groups));
    parts
}
