//! What a launch is made of, each part looked up and checked with EC2's code, in about EC2's order.

use jiff::Timestamp;

use super::super::catalog::{self, Image, InstanceType};
use super::super::placement::is_id;
use super::super::state::{InterfaceData, LaunchData, State};
use super::devices::{self, Root};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::weather::{Account, Weather};
use crate::sandbox::{iam, ssm};

/// Where a launch goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    /// `subnet-…`.
    pub subnet: String,
    /// Its zone.
    pub zone: String,
    /// Its VPC.
    pub vpc: String,
}

/// The profile that the instances get.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Profile {
    /// ARN.
    pub arn: String,
    /// `AIPA…`.
    pub id: String,
}

/// What a launch meets.
#[derive(Debug, Clone, Copy)]
pub(super) struct Here<'a> {
    /// The region's.
    pub state: &'a State,
    /// The delays.
    pub weather: &'a Weather,
    /// The clock.
    pub now: Timestamp,
}

/// The one network interface of a launch: interface 0, or what is said at the top level.
///
/// # Errors
/// `UnsupportedOperation`: the model gives an instance one interface.
pub(super) fn interface(data: &LaunchData) -> Result<InterfaceData, AwsError> {
    let mut interface = match data.interfaces.as_slice() {
        [] => InterfaceData::default(),
        [one] if one.device_index.unwrap_or(0) == 0 => one.clone(),
        [_] => {
            let message = "The specified network interfaces must include one with the device index 0.";
            return Err(AwsError::new("InvalidParameterValue", message));
        }
        _ => {
            let message = "This sandbox gives an instance one network interface only.";
            return Err(AwsError::new("UnsupportedOperation", message));
        }
    };
    if interface.groups.is_empty() {
        interface.groups.clone_from(&data.security_groups);
    }
    Ok(interface)
}

/// The image, by id or by `resolve:ssm:`.
///
/// # Errors
/// `MissingParameter`, `InvalidAMIID.Malformed`, `InvalidAMIID.NotFound`, `InvalidParameterValue`.
pub(super) fn image(call: &Call<'_>, said: Option<&str>) -> Result<Image, AwsError> {
    let missing = || AwsError::new("MissingParameter", "The request must contain the parameter ImageId");
    let said = said.filter(|text| !text.is_empty()).ok_or_else(missing)?;
    let id = match said.strip_prefix("resolve:ssm:") {
        Some(name) => ssm::plain_value(call, name).ok_or_else(|| {
            let message = format!("The parameter '{name}' in Systems Manager could not be resolved to an image.");
            AwsError::new("InvalidParameterValue", message)
        })?,
        None => said.to_owned(),
    };
    if !is_id(&id, "ami-") {
        return Err(AwsError::new("InvalidAMIID.Malformed", format!("Invalid id: \"{id}\" (expecting \"ami-...\")")));
    }
    catalog::image(&call.region, &id)
        .filter(|image| !call.world.account.deregistered.contains(&image.id))
        .ok_or_else(|| AwsError::new("InvalidAMIID.NotFound", format!("The image id '[{id}]' does not exist")))
}

/// The type, which must run the image.
///
/// # Errors
/// `InvalidParameterValue`.
pub(super) fn instance_type(said: Option<&str>, image: &Image) -> Result<&'static InstanceType, AwsError> {
    // EC2's own default.
    let name = said.unwrap_or("m1.small");
    let kind = catalog::instance_type(name)
        .ok_or_else(|| AwsError::new("InvalidParameterValue", format!("Invalid value '{name}' for InstanceType.")))?;
    if kind.architectures.contains(&image.architecture) {
        return Ok(kind);
    }
    let message = format!(
        "The architecture '{}' of the specified instance type does not match the architecture '{}' of the specified AMI. \
         Specify an instance type and an AMI that have matching architectures, and try again. You can use \
         'describe-instance-types' or 'describe-images' to discover the architecture of the instance type or AMI.",
        kind.architectures.join(","),
        image.architecture
    );
    Err(AwsError::new("InvalidParameterValue", message))
}

/// What the account's plan lets it launch. The wording is that of public reports, from memory; AWS documents the plan, not
/// the error.
///
/// # Errors
/// `InvalidParameterCombination`: it is no matter of capacity or quota.
pub(super) fn plan(account: &Account, kind: &InstanceType) -> Result<(), AwsError> {
    if !account.free_plan || catalog::is_free_tier(&kind.name) {
        return Ok(());
    }
    let message = "The specified instance type is not eligible for Free Tier. For a list of Free Tier instance types, run \
                   'describe-instance-types' with the filter 'free-tier-eligible=true'.";
    Err(AwsError::new("InvalidParameterCombination", message))
}

/// The subnet said, or the default VPC's in the zone said; `None`: EC2 chooses, see [`choose_place`].
///
/// # Errors
/// `InvalidSubnetID.NotFound`, `InvalidParameterValue`, `InvalidInput`.
pub(super) fn pinned_place(state: &State, subnet: Option<&str>, zone: Option<&str>) -> Result<Option<Place>, AwsError> {
    if let Some(id) = subnet {
        let found = state
            .subnets
            .get(id)
            .ok_or_else(|| AwsError::new("InvalidSubnetID.NotFound", format!("The subnet ID '{id}' does not exist")))?;
        if zone.is_some_and(|zone| zone != found.zone) {
            let message = "The specified subnet is not in the specified Availability Zone.".to_owned();
            return Err(AwsError::new("InvalidParameterValue", message));
        }
        return Ok(Some(Place { subnet: id.to_owned(), zone: found.zone.clone(), vpc: found.vpc.clone() }));
    }
    let Some(zone) = zone else { return Ok(None) };
    if !state.subnets.values().any(|subnet| subnet.zone == zone) {
        return Err(AwsError::new("InvalidParameterValue", format!("Invalid availability zone: [{zone}]")));
    }
    let place = default_places(state).into_iter().find(|place| place.zone == zone);
    place
        .map(Some)
        .ok_or_else(|| AwsError::new("InvalidInput", format!("No default subnet for availability zone: '{zone}'.")))
}

/// The default VPC's subnet in a zone that offers the type and has capacity; failing that, in one that offers it.
///
/// # Errors
/// `MissingInput`.
pub(super) fn choose_place(state: &State, kind: &str, is_dry: impl Fn(&str) -> bool) -> Result<Place, AwsError> {
    let places = default_places(state);
    let offering = |place: &&Place| catalog::offers(&place.zone, kind);
    places
        .iter()
        .filter(offering)
        .find(|place| !is_dry(&place.zone))
        .or_else(|| places.iter().find(offering))
        .or_else(|| places.first())
        .cloned()
        .ok_or_else(|| AwsError::new("MissingInput", "No subnets found for the default VPC. Please specify a subnet."))
}

fn default_places(state: &State) -> Vec<Place> {
    let is_default = |vpc: &str| state.vpcs.get(vpc).is_some_and(|vpc| vpc.is_default);
    let mut places: Vec<Place> = state
        .subnets
        .iter()
        .filter(|(_, subnet)| subnet.is_default && is_default(&subnet.vpc))
        .map(|(id, subnet)| Place { subnet: id.clone(), zone: subnet.zone.clone(), vpc: subnet.vpc.clone() })
        .collect();
    places.sort_by(|one, other| one.zone.cmp(&other.zone));
    places
}

/// The ids of the groups, or of the VPC's default one when none is said.
///
/// # Errors
/// `InvalidGroup.NotFound`, `InvalidParameter`.
pub(super) fn groups(here: Here<'_>, vpc: &str, ids: &[String], names: &[String]) -> Result<Vec<String>, AwsError> {
    let Here { state, weather, now } = here;
    let is_there = |created_at: i64| {
        let delay = i64::try_from(weather.visibility.as_secs()).unwrap_or(i64::MAX);
        now.as_second() >= created_at.saturating_add(delay)
    };
    let mut found = Vec::new();
    for id in ids {
        let group = state.security_groups.get(id).filter(|group| is_there(group.created_at)).ok_or_else(|| {
            AwsError::new("InvalidGroup.NotFound", format!("The security group '{id}' does not exist"))
        })?;
        if group.vpc != vpc {
            let message = format!("Security group {id} and subnet belong to different networks.");
            return Err(AwsError::new("InvalidParameter", message));
        }
        found.push(id.clone());
    }
    for name in names {
        let found_by_name = state.security_groups.iter().find(|(_, group)| group.vpc == vpc && group.name == *name);
        let (id, _) = found_by_name.filter(|(_, group)| is_there(group.created_at)).ok_or_else(|| {
            let message = format!("The security group '{name}' does not exist in VPC '{vpc}'");
            AwsError::new("InvalidGroup.NotFound", message)
        })?;
        found.push(id.clone());
    }
    if found.is_empty() {
        let default = state.security_groups.iter().find(|(_, group)| group.vpc == vpc && group.name == "default");
        found.extend(default.map(|(id, _)| id.clone()));
    }
    Ok(found)
}

/// The instance profile by name or ARN, once EC2 sees it.
///
/// # Errors
/// `InvalidParameterValue`, in the words that tell a new profile from a wrong value.
pub(super) fn profile(iam: &iam::State, weather: &Weather, said: &str, now: Timestamp) -> Result<Profile, AwsError> {
    let is_arn = said.starts_with("arn:");
    let (field, what) = if is_arn { ("arn", "ARN") } else { ("name", "name") };
    let (arn, id, _) = iam::profile_for_ec2(iam, said, now, weather.profile_delay).ok_or_else(|| {
        let message = format!(
            "Value ({said}) for parameter iamInstanceProfile.{field} is invalid. Invalid IAM Instance Profile {what}"
        );
        AwsError::new("InvalidParameterValue", message)
    })?;
    Ok(Profile { arn, id })
}

/// The rest of what a template can say, which needs no look-up.
///
/// # Errors
/// `InvalidKeyPair.NotFound`, `InvalidParameterCombination`, `InvalidParameterValue`.
pub(super) fn options(data: &LaunchData) -> Result<(), AwsError> {
    if let Some(key) = &data.key_name {
        return Err(AwsError::new("InvalidKeyPair.NotFound", format!("The key pair '{key}' does not exist")));
    }
    let bad = |name: &str, value: &str| {
        let message = format!("Value ({value}) for parameter {name} is invalid.");
        Err(AwsError::new("InvalidParameterValue", message))
    };
    let combination = |message: &str| Err(AwsError::new("InvalidParameterCombination", message));
    let words: [(&str, &Option<String>, &[&str]); 7] = [
        ("instanceInitiatedShutdownBehavior", &data.shutdown_behavior, &["stop", "terminate"]),
        ("placement.tenancy", &data.tenancy, &["default", "dedicated"]),
        ("metadataOptions.httpEndpoint", &data.metadata.endpoint, &["enabled", "disabled"]),
        ("metadataOptions.httpTokens", &data.metadata.tokens, &["optional", "required"]),
        ("metadataOptions.instanceMetadataTags", &data.metadata.tags, &["enabled", "disabled"]),
        ("metadataOptions.httpProtocolIpv6", &data.metadata.ipv6, &["enabled", "disabled"]),
        ("spotInstanceType", &data.market.as_ref().and_then(|m| m.spot_type.clone()), &["one-time", "persistent"]),
    ];
    for (name, value, known) in words {
        if let Some(value) = value.as_deref().filter(|value| !known.contains(value)) {
            return bad(name, value);
        }
    }
    if let Some(hops) = data.metadata.hop_limit.filter(|hops| !(1..=64).contains(hops)) {
        return bad("metadataOptions.httpPutResponseHopLimit", &hops.to_string());
    }
    let Some(market) = &data.market else {
        if data.tags.contains_key("spot-instances-request") {
            return combination(
                "The parameter tagSpecification with resource type spot-instances-request requires the market type spot.",
            );
        }
        return Ok(());
    };
    let is_one_time = market.spot_type.as_deref().unwrap_or("one-time") == "one-time";
    match (is_one_time, market.interruption.as_deref().unwrap_or("terminate")) {
        (true, "terminate") => {}
        (true, "stop" | "hibernate") => {
            return combination("The interruption behavior stop or hibernate requires the Spot type persistent.");
        }
        (false, "terminate") => {
            return combination("A persistent Spot request requires the interruption behavior stop or hibernate.");
        }
        (false, "stop" | "hibernate") => {
            return Err(AwsError::new("UnsupportedOperation", "This sandbox does not model persistent Spot requests."));
        }
        (_, other) => return bad("instanceInterruptionBehavior", other),
    }
    let protections =
        [("disableApiTermination", data.disable_api_termination), ("disableApiStop", data.disable_api_stop)];
    if let Some((name, _)) = protections.into_iter().find(|(_, said)| *said == Some(true)) {
        let message = format!("The '{name}' attribute is not supported for Spot Instances.");
        return Err(AwsError::new("UnsupportedOperation", message));
    }
    Ok(())
}

/// The volumes on this image.
///
/// # Errors
/// See [`devices::resolve`].
pub(super) fn volumes(data: &LaunchData, image: &Image) -> Result<Vec<super::super::state::VolumeData>, AwsError> {
    let root = Root { device: image.root_device, snapshot: &image.snapshot, size: image.snapshot_gib };
    devices::resolve(&data.volumes, root)
}
