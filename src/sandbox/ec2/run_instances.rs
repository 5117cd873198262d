//! `RunInstances`: everything that a template and a request say is honoured, and refused where AWS refuses it.
//!
//! [`checks`] looks things up, [`devices`] works out the volumes, [`tokens`] keeps a launch that is sent twice from
//! launching twice; this file goes through them in about EC2's order and makes the instances. A launch that is refused
//! leaves nothing, no token either. [`reach()`] tells beforehand what a launch would touch.
//!
//! What AWS does oddly: no capacity comes as HTTP 500; a Spot quota that is full has another code than an on-demand one;
//! of a range from `MinCount` to `MaxCount` as many are launched as the quota lets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::Ipv4Addr;

use super::catalog::{self, Image, InstanceType};
use super::filter::dry_run;
use super::instances::answer::{self, Seen};
use super::placement::vcpus_in_use;
use super::state::{EndReason, Instance, InterfaceData, LaunchData, SpotRequest, State, Token, VolumeData};
use super::{launch_data, launch_templates, prices, tags};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::store::shared::Shared;
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::Element;
use crate::sandbox::world::World;
use crate::sandbox::{iam, kms, service_quotas};

mod checks;
mod devices;
mod reach;
#[cfg(test)]
mod tests;
mod tokens;

use checks::{Here, Place, Profile};
pub use reach::{Reach, Touched, reach};

/// How many instances are asked for.
#[derive(Debug, Clone, Copy)]
struct Count {
    min: i64,
    max: i64,
}

/// A launch as it is asked for, template and request together.
#[derive(Debug)]
struct Asked {
    data: LaunchData,
    interface: InterfaceData,
    /// Where the subnet or the zone said puts it.
    pinned: Option<Place>,
    client_token: Option<String>,
}

/// A launch in which every part was found.
#[derive(Debug)]
struct Launch {
    data: LaunchData,
    interface: InterfaceData,
    place: Place,
    groups: Vec<String>,
    image: Image,
    kind: &'static InstanceType,
    profile: Option<Profile>,
    /// What a Spot request bids at most.
    max_price: Option<String>,
    /// The customer's key that EC2 Spot has a grant on.
    granted: Option<String>,
    client_token: Option<String>,
}

/// `RunInstances`.
///
/// # Errors
/// EC2's refusal of any part of the launch.
pub fn run_instances(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let is_dry_run = dry_run(input);
    let count = count(input)?;
    let client_token = input.optional("ClientToken").filter(|token| !token.is_empty());
    client_token.as_deref().map_or(Ok(()), tokens::check_form)?;
    let fingerprint = input.fingerprint(&["ClientToken"]);
    let asked = launch_data::parse_run(input)?;
    let template = match input.structure("LaunchTemplate") {
        Some(template) => Some(launch_templates::resolve(call, template)?),
        None => None,
    };
    all_read(input)?;
    let mut data = asked;
    if let Some(template) = &template {
        refuse_top_level_network(input, &template.data)?;
        data = launch_data::merge(&template.data, &data);
        let own = data.tags.entry("instance".to_owned()).or_default();
        own.insert("aws:ec2launchtemplate:id".to_owned(), template.id.clone());
        own.insert("aws:ec2launchtemplate:version".to_owned(), template.version.to_string());
    }

    let interface = checks::interface(&data)?;
    let (region, now) = (call.region.clone(), call.now);
    let pinned =
        checks::pinned_place(&call.world.region(&region).ec2, interface.subnet.as_deref(), data.zone.as_deref())?;
    let key = client_token.as_ref().map(|token| tokens::key(token, pinned.as_ref().map(|place| place.zone.as_str())));
    if let (Some(key), true) = (&key, is_dry_run.is_ok()) {
        let state = &call.world.region(&region).ec2;
        if let Some(token) = tokens::earlier(state, key, &fingerprint, now)?.cloned() {
            return Ok(told(call, &token));
        }
    }

    let launch = complete(call, Asked { data, interface, pinned, client_token })?;
    is_dry_run?;
    let number = admit(call, &launch, count)?;
    let token = make(call, &launch, number, fingerprint);
    let answer = told(call, &token);
    if let Some(key) = key {
        call.world.region(&region).ec2.tokens.insert(key, token.into());
    }
    Ok(answer)
}

/// Refuses what nobody has read, before anything is changed.
///
/// # Errors
/// `UnknownParameter`.
pub fn all_read(input: &Query) -> Result<(), AwsError> {
    let unknown =
        |name: String| Err(AwsError::new("UnknownParameter", format!("The parameter {name} is not recognized")));
    input.unread().map_or(Ok(()), unknown)
}

/// A template's interface can only be replaced whole: the subnet and the groups are its own.
fn refuse_top_level_network(input: &Query, template: &LaunchData) -> Result<(), AwsError> {
    let what = if input.optional("SubnetId").is_some() {
        "subnet ID"
    } else if !input.list("SecurityGroupId").is_empty() || !input.list("SecurityGroup").is_empty() {
        "security groups"
    } else {
        return Ok(());
    };
    if template.interfaces.is_empty() {
        return Ok(());
    }
    let message = format!("Network interfaces and an instance-level {what} may not be specified on the same request");
    Err(AwsError::new("InvalidParameterCombination", message))
}

fn count(input: &Query) -> Result<Count, AwsError> {
    let (_, _) = (input.required("MinCount")?, input.required("MaxCount")?);
    let (min, max) = (input.number("MinCount")?.unwrap_or(0), input.number("MaxCount")?.unwrap_or(0));
    let bad = |name: &str, value: i64, why: &str| {
        let message = format!("Value ({value}) for parameter {name} is invalid. {why}");
        Err(AwsError::new("InvalidParameterValue", message))
    };
    match (min, max) {
        (..1, _) => bad("minCount", min, "Expected a number greater than 0."),
        (_, max) if max < min => bad("maxCount", max, "Expected a number not smaller than minCount."),
        // What an account may ask of one call; beyond it EC2 speaks of the limit on instances.
        (_, 1001..) => bad("maxCount", max, "Expected at most 1000."),
        _ => Ok(Count { min, max }),
    }
}

/// Looks up what is left and puts all of it together.
fn complete(call: &mut Call<'_>, asked: Asked) -> Result<Launch, AwsError> {
    let Asked { mut data, interface, pinned, client_token } = asked;
    let image = checks::image(call, data.image.as_deref())?;
    let kind = checks::instance_type(data.instance_type.as_deref(), &image)?;
    checks::plan(&call.world.account, kind)?;
    let (region, now) = (call.region.clone(), call.now);
    let World { iam, regions, weather, account, .. } = &mut *call.world;
    let state = &regions.entry(region.clone()).or_default().ec2;
    let place = match pinned {
        Some(place) => place,
        None => checks::choose_place(state, &kind.name, |zone| weather.is_dry(&kind.name, zone))?,
    };
    let here = Here { state, weather, now };
    let groups = checks::groups(here, &place.vpc, &interface.groups, &data.security_group_names)?;
    let profile = match &data.profile {
        Some(said) => Some(checks::profile(iam, weather, said, now)?),
        None => None,
    };
    checks::options(&data)?;
    data.volumes = checks::volumes(&data, &image)?;
    let default = account.ebs_key(&region);
    if let Some(key) = default {
        encrypt(&mut data.volumes, &key.key);
    }
    let granted = default.filter(|key| key.is_granted).map(|key| key.key.clone());
    tags::check_launch(&data)?;
    let on_demand = prices::on_demand(&kind.name, &region);
    let max_price = match &data.market {
        Some(market) => Some(match &market.max_price {
            Some(said) => price(said)?,
            None => on_demand,
        }),
        None => None,
    };

    data.image = Some(image.id.clone());
    data.instance_type = Some(kind.name.clone());
    data.zone = Some(place.zone.clone());
    data.security_groups.clone_from(&groups);
    data.security_group_names.clear();
    let made = InterfaceData { subnet: Some(place.subnet.clone()), groups: groups.clone(), ..interface.clone() };
    data.interfaces = vec![made];
    Ok(Launch { data, interface, place, groups, image, kind, profile, max_price, granted, client_token })
}

/// Encryption by default: no volume can opt out of it.
fn encrypt(volumes: &mut [VolumeData], key: &str) {
    for volume in volumes {
        volume.encrypted = Some(true);
        volume.kms_key.get_or_insert_with(|| key.to_owned());
    }
}

fn price(said: &str) -> Result<String, AwsError> {
    match said.parse::<f64>() {
        Ok(price) if price > 0.0 && price.is_finite() => Ok(said.to_owned()),
        _ => {
            let message =
                format!("Value ({said}) for parameter price is invalid. \"{said}\" is an invalid spot instance price");
            Err(AwsError::new("InvalidParameterValue", message))
        }
    }
}

fn not_offered(kind: &str, zone: &str) -> AwsError {
    let region = zone.trim_end_matches(|letter: char| letter.is_ascii_lowercase());
    let mut others: Vec<String> =
        catalog::zones(region).into_iter().filter(|zone| catalog::offers(zone, kind)).collect();
    others.sort();
    let message = format!(
        "Your requested instance type ({kind}) is not supported in your requested Availability Zone ({zone}). Please retry \
         your request by not specifying an Availability Zone or choosing {}.",
        others.join(", ")
    );
    AwsError::new("Unsupported", message)
}

/// Whether price, quota and capacity let the launch happen, and of how many instances.
fn admit(call: &mut Call<'_>, launch: &Launch, count: Count) -> Result<i64, AwsError> {
    let (region, now) = (call.region.clone(), call.now);
    let (kind, zone, is_spot) = (&launch.kind.name, &launch.place.zone, launch.data.market.is_some());
    if !catalog::offers(zone, kind) {
        return Err(not_offered(kind, zone));
    }
    if is_spot && !launch.kind.usage_classes.contains(&"spot") {
        let message = "The requested configuration is currently not supported. Please check the documentation for supported \
                       configurations.";
        return Err(AwsError::new("Unsupported", message));
    }
    if let Some(max_price) = &launch.max_price {
        let least = prices::asked(&call.world.weather, kind, zone, now);
        if max_price.parse::<f64>().ok() < least.parse::<f64>().ok() {
            let message = format!(
                "Your Spot request price of {max_price} is lower than the minimum required Spot request fulfillment price \
                 of {least}."
            );
            return Err(AwsError::new("SpotMaxPriceTooLow", message));
        }
    }
    let home = call.world.region(&region);
    let mut number = count.max;
    if let Some(code) = catalog::quota_code(kind, is_spot) {
        let limit = whole(service_quotas::limit(&home.quotas, code, now));
        let free = limit - vcpus_in_use(&home.ec2, code, is_spot, now);
        number = number.min(free / launch.kind.vcpus.max(1));
        if number < count.min {
            return Err(quota_exceeded(is_spot, limit));
        }
    }
    let addresses = free_addresses(&home.ec2, &launch.place.subnet).take(1000).count();
    number = number.min(i64::try_from(addresses).unwrap_or(i64::MAX));
    if number < count.min {
        let message =
            format!("There are not enough free addresses in subnet '{}' to satisfy the request.", launch.place.subnet);
        return Err(AwsError::new("InsufficientFreeAddressesInSubnet", message));
    }
    let weather = &call.world.weather;
    let is_dry = if is_spot { weather.is_dry_on_spot(kind, zone) } else { weather.is_dry(kind, zone) };
    if is_dry {
        return Err(no_capacity(kind, zone));
    }
    Ok(number)
}

#[expect(clippy::cast_possible_truncation, reason = "a quota is a small whole number of vCPUs")]
fn whole(limit: f64) -> i64 {
    limit.floor() as i64
}

fn quota_exceeded(is_spot: bool, limit: i64) -> AwsError {
    if is_spot {
        return AwsError::new("MaxSpotInstanceCountExceeded", "Max spot instance count exceeded");
    }
    let message = format!(
        "You have requested more vCPU capacity than your current vCPU limit of {limit} allows for the instance bucket that \
         the specified instance type belongs to. Please visit http://aws.amazon.com/contact-us/ec2-request to request an \
         adjustment to this limit."
    );
    AwsError::new("VcpuLimitExceeded", message)
}

fn no_capacity(kind: &str, zone: &str) -> AwsError {
    let message = format!(
        "We currently do not have sufficient {kind} capacity in the Availability Zone you requested ({zone}). Our system \
         will be working on provisioning additional capacity. You can currently get {kind} capacity by not specifying an \
         Availability Zone in your request or choosing another one."
    );
    // AWS answers this as its own failure, so that SDKs repeat it.
    AwsError::new("InsufficientInstanceCapacity", message).status(500)
}

/// Makes the instances, their volumes, interfaces, Spot requests and tags.
fn make(call: &mut Call<'_>, launch: &Launch, number: i64, fingerprint: String) -> Token {
    let region = call.region.clone();
    let reservation = call.world.new_id("r");
    if launch.data.market.is_some() {
        iam::make_spot_role(&mut call.world.iam, call.now);
    }
    let (data, mut instances) = (Shared::from(launch.data.clone()), Vec::new());
    let tags: BTreeMap<&str, Shared<BTreeMap<String, String>>> = launch
        .data
        .tags
        .iter()
        .filter(|(_, tags)| !tags.is_empty())
        .map(|(kind, tags)| (kind.as_str(), tags.clone().into()))
        .collect();
    let state = &call.world.region(&region).ec2;
    let has_public = launch
        .interface
        .public_ip
        .unwrap_or_else(|| state.subnets.get(&launch.place.subnet).is_some_and(|subnet| subnet.is_default));
    let (mut private, mut public) = (free_addresses(state, &launch.place.subnet), free_public_addresses(state));
    for index in 0..number {
        let id = call.world.new_id("i");
        let interface = call.world.new_id("eni");
        let request = launch.data.market.is_some().then(|| spot_request_id(call.world));
        let devices = launch.data.volumes.iter().map(|volume| (volume.device.clone(), call.world.new_id("vol")));
        let volumes: BTreeMap<String, String> = devices.collect();
        let state = &mut call.world.region(&region).ec2;
        let Some(private_ip) = private.next() else { break };
        let public_ip = if has_public { public.next() } else { None };
        let instance = Instance {
            data: data.clone(),
            launched_at: call.now.as_second(),
            ending_at: fails_to_start(launch).map(|_| call.now.as_second() + 1),
            end_reason: fails_to_start(launch),
            interrupted_at: None,
            spot_request: request.clone(),
            client_token: launch.client_token.clone(),
            reservation: reservation.clone(),
            launch_index: index,
            zone: launch.place.zone.clone(),
            vpc: launch.place.vpc.clone(),
            subnet: launch.place.subnet.clone(),
            groups: launch.groups.clone(),
            private_ip,
            public_ip,
            interface: interface.clone(),
            volumes: volumes.clone(),
            architecture: launch.image.architecture.to_owned(),
            profile_arn: launch.profile.as_ref().map(|profile| profile.arn.clone()),
            profile_id: launch.profile.as_ref().map(|profile| profile.id.clone()),
            console: String::new(),
        };
        let tagged = volumes.into_values().map(|volume| ("volume", volume));
        let tagged = tagged.chain([("instance", id.clone()), ("network-interface", interface)]);
        for (kind, owner) in tagged.chain(request.iter().map(|request| ("spot-instances-request", request.clone()))) {
            if let Some(tags) = tags.get(kind) {
                state.tags.insert(owner, tags.clone());
            }
        }
        if let Some(request) = request {
            state.spot_requests.insert(request, fulfilled(launch, &id, call.now.as_second()).into());
        }
        state.instances.insert(id.clone(), instance.into());
        instances.push(id);
    }
    Token { fingerprint, instances, reservation }
}

/// Spot requests have ids of their own form: eight letters and digits.
fn spot_request_id(world: &mut World) -> String {
    let id = world.new_id("sir");
    let end = id.char_indices().rev().nth(7).map_or(0, |(index, _)| index);
    format!("sir-{}", &id[end..])
}

fn fulfilled(launch: &Launch, instance: &str, now: i64) -> SpotRequest {
    let market = launch.data.market.clone().unwrap_or_default();
    SpotRequest {
        instance: Some(instance.to_owned()),
        created_at: now,
        state: "active".to_owned(),
        status: "fulfilled".to_owned(),
        status_message: "Your Spot request is fulfilled.".to_owned(),
        updated_at: now,
        max_price: launch.max_price.clone().unwrap_or_default(),
        kind: market.spot_type.unwrap_or_else(|| "one-time".to_owned()),
        interruption: market.interruption.unwrap_or_else(|| "terminate".to_owned()),
        instance_type: launch.kind.name.clone(),
        zone: launch.place.zone.clone(),
        image: launch.image.id.clone(),
        subnet: launch.place.subnet.clone(),
        groups: launch.groups.clone(),
    }
}

/// From a volume encrypted by a customer's key a Spot instance starts only with a grant on that key, which the account has at
/// most on the one of its encryption by default. Whoever launches on demand uses the key himself.
fn fails_to_start(launch: &Launch) -> Option<EndReason> {
    let own = launch.data.volumes.iter().filter_map(|volume| volume.kms_key.as_deref());
    let is_granted = |key: &str| {
        let granted = launch.granted.as_deref();
        granted.is_some_and(|granted| granted == key || granted.rsplit('/').next() == Some(key))
    };
    let mut own = own.filter(|key| !key.ends_with(kms::EBS_ALIAS));
    (launch.data.market.is_some() && own.any(|key| !is_granted(key))).then(|| EndReason {
        code: "Client.InternalError".to_owned(),
        message: "Client.InternalError: Client error on launch".to_owned(),
        transition: "Server.InternalError".to_owned(),
    })
}

/// The addresses of the subnet that no instance has; AWS keeps the first four and the last.
fn free_addresses(state: &State, subnet: &str) -> impl Iterator<Item = String> + use<> {
    let cidr = state.subnets.get(subnet).map_or("", |subnet| subnet.cidr.as_str());
    let (base, bits) = cidr.split_once('/').unwrap_or((cidr, "28"));
    let base = base.parse::<Ipv4Addr>().map_or(0, u32::from);
    // AWS's subnets have between sixteen and 65536 addresses.
    let last = (1_u32 << (32 - bits.parse::<u32>().unwrap_or(28).clamp(16, 28))) - 1;
    let taken: BTreeSet<String> = state.instances.values().map(|instance| instance.private_ip.clone()).collect();
    (4..last).map(move |host| Ipv4Addr::from(base + host).to_string()).filter(move |address| !taken.contains(address))
}

/// Of the blocks that are set aside for documentation and, of so many instances, for benchmarks, so that nobody is reached by
/// mistake.
fn free_public_addresses(state: &State) -> impl Iterator<Item = String> + use<> {
    let taken: BTreeSet<String> = state.instances.values().filter_map(|instance| instance.public_ip.clone()).collect();
    let documentation = ["203.0.113", "198.51.100", "192.0.2"].map(str::to_owned).into_iter();
    let benchmarks = (18..20).flat_map(|part| (0..=255).map(move |block| format!("198.{part}.{block}")));
    let addresses =
        documentation.chain(benchmarks).flat_map(|block| (1..255).map(move |host| format!("{block}.{host}")));
    addresses.filter(move |address| !taken.contains(address))
}

/// The reservation as it is now.
fn told(call: &mut Call<'_>, token: &Token) -> Vec<Element> {
    let (region, now) = (call.region.clone(), call.now);
    let state = &call.world.region(&region).ec2;
    let items = token.instances.iter().filter_map(|id| {
        let instance = state.instances.get(id)?;
        Some(Seen { state, region: &region, id, instance, now }.item())
    });
    answer::reservation(&token.reservation, items)
}
