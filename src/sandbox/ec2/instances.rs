//! Instances: describing and terminating them, and what hangs on them. The dispatch of all that instances bring along.
//!
//! What AWS does oddly: a terminated instance is told of for an hour; with one wrong id in a list nothing is terminated;
//! `DescribeInstanceStatus` tells of running instances only unless it is asked for all.

use std::collections::BTreeSet;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::filter::{self, Filters, dry_run};
use super::placement::{self, InstanceState, all_exist, is_visible, private_ip, public_ip, state_of, user_initiated};
use super::run_instances::all_read;
use super::state::{Instance, State};
use super::{run_instances, spot_requests, tags, volumes};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};
use crate::sandbox::world::ACCOUNT;

pub mod answer;

use answer::{Seen, instance_state, time};

/// Answers the operations on instances and on what hangs on them; `None`: not one of these. What fell due by the clock is
/// settled already.
pub fn handle(call: &mut Call<'_>, input: &Query) -> Option<Result<Vec<Element>, AwsError>> {
    let operation: fn(&mut Call<'_>, &Query) -> Result<Vec<Element>, AwsError> = match call.operation.as_str() {
        "RunInstances" => run_instances::run_instances,
        "DescribeInstances" => describe,
        "DescribeInstanceStatus" => describe_status,
        "TerminateInstances" => terminate,
        "GetConsoleOutput" => console_output,
        "DescribeInstanceAttribute" => describe_attribute,
        "DescribeNetworkInterfaces" => describe_interfaces,
        "DescribeSpotInstanceRequests" => spot_requests::describe,
        "CancelSpotInstanceRequests" => spot_requests::cancel,
        "DescribeVolumes" => volumes::describe,
        "DeleteVolume" => volumes::delete,
        "CreateTags" => tags::create,
        "DeleteTags" => tags::delete,
        "DescribeTags" => tags::describe,
        _ => return None,
    };
    Some(operation(call, input))
}

/// The region's state and how long new things stay unseen.
fn look<'a>(call: &'a mut Call<'_>) -> (&'a State, Duration) {
    let visibility = call.world.weather.visibility;
    (&call.world.region(&call.region).ec2, visibility)
}

/// `DescribeInstances`.
///
/// # Errors
/// `InvalidInstanceID.NotFound`, `InvalidInstanceID.Malformed`, `InvalidParameterCombination`, `InvalidParameterValue`.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("InstanceId");
    let filters = Filters::read(input)?;
    dry_run(input)?;
    if !ids.is_empty() && input.optional("MaxResults").is_some() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(AwsError::new("InvalidParameterCombination", message));
    }
    let (region, now) = (call.region.clone(), call.now);
    let (state, visibility) = look(call);
    all_exist(state, &ids, visibility, now)?;
    let mut found: Vec<Seen<'_>> = Vec::new();
    for (id, instance) in filter::asked(&state.instances, &ids) {
        let seen = Seen { state, region: &region, id, instance, now };
        if is_visible(instance, visibility, now) && filters.accept(state.tags_of(id), |name| values(&seen, name))? {
            found.push(seen);
        }
    }
    found.sort_by_key(|seen| (&seen.instance.reservation, seen.instance.launch_index));
    // A page counts instances; a reservation that crosses the edge shows up on both pages.
    let (found, next) = filter::page(input, found, 5..=1000)?;
    let reservations = found
        .chunk_by(|one, other| one.instance.reservation == other.instance.reservation)
        .map(|chunk| answer::reservation(&chunk[0].instance.reservation, chunk.iter().map(Seen::item)));
    let mut answer = vec![list("reservationSet", "item", reservations)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

/// What a filter of `DescribeInstances` looks at.
fn values(seen: &Seen<'_>, name: &str) -> Option<Vec<String>> {
    let (instance, data) = (seen.instance, &seen.instance.data);
    let one = |text: &str| Some(vec![text.to_owned()]);
    let of = |text: Option<&str>| Some(text.map(str::to_owned).into_iter().collect());
    let reason = instance.end_reason.as_ref().filter(|_| !seen.is().is_alive());
    match name {
        "instance-id" => one(seen.id),
        "instance-state-name" => one(seen.is().name()),
        "instance-state-code" => one(&seen.is().code().to_string()),
        "client-token" => of(instance.client_token.as_deref()),
        "vpc-id" | "network-interface.vpc-id" => one(&instance.vpc),
        "subnet-id" | "network-interface.subnet-id" => one(&instance.subnet),
        "instance-lifecycle" => of(instance.spot_request.as_ref().map(|_| "spot")),
        "spot-instance-request-id" => of(instance.spot_request.as_deref()),
        "availability-zone" => one(&instance.zone),
        "instance-type" => of(data.instance_type.as_deref()),
        "image-id" => of(data.image.as_deref()),
        "instance.group-id" | "network-interface.group-id" => Some(instance.groups.clone()),
        "instance.group-name" => {
            let named = instance.groups.iter().filter_map(|id| seen.state.security_groups.get(id));
            Some(named.map(|group| group.name.clone()).collect())
        }
        "iam-instance-profile.arn" => of(instance.profile_arn.as_deref()),
        "iam-instance-profile.id" => of(instance.profile_id.as_deref()),
        "private-ip-address" => of(private_ip(instance, seen.now)),
        "ip-address" => of(public_ip(instance, seen.now)),
        "reservation-id" => one(&instance.reservation),
        "launch-time" => one(&time(instance.launched_at)),
        "architecture" => one(&instance.architecture),
        "owner-id" => one(ACCOUNT),
        "state-reason-code" => of(reason.map(|reason| reason.code.as_str())),
        "reason" => of(reason.map(|reason| reason.transition.as_str())),
        "tenancy" => one(data.tenancy.as_deref().unwrap_or("default")),
        "network-interface.network-interface-id" => one(&instance.interface),
        "block-device-mapping.volume-id" => Some(instance.volumes.values().cloned().collect()),
        "root-device-type" => one("ebs"),
        "virtualization-type" => one("hvm"),
        _ => None,
    }
}

/// `DescribeInstanceStatus`.
///
/// # Errors
/// As `DescribeInstances`.
pub fn describe_status(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("InstanceId");
    let filters = Filters::read(input)?;
    dry_run(input)?;
    let is_all = input.boolean("IncludeAllInstances")?.unwrap_or(false);
    if !ids.is_empty() && input.optional("MaxResults").is_some() {
        let message = "The parameter instancesSet cannot be used with the parameter maxResults";
        return Err(AwsError::new("InvalidParameterCombination", message));
    }
    let (region, now) = (call.region.clone(), call.now);
    let (state, visibility) = look(call);
    all_exist(state, &ids, visibility, now)?;
    let mut found = Vec::new();
    for (id, instance) in filter::asked(&state.instances, &ids) {
        let seen = Seen { state, region: &region, id, instance, now };
        if !is_visible(instance, visibility, now) || !(is_all || seen.is() == InstanceState::Running) {
            continue;
        }
        if filters.accept(state.tags_of(id), |name| status_values(&seen, name))? {
            found.push(seen);
        }
    }
    let (found, next) = filter::page(input, found, 5..=1000)?;
    let items = found.iter().map(status_item);
    let mut answer = vec![list("instanceStatusSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn status_values(seen: &Seen<'_>, name: &str) -> Option<Vec<String>> {
    match name {
        "instance-state-name" | "instance-state-code" | "availability-zone" => values(seen, name),
        "instance-status.status" | "system-status.status" => Some(vec![check(seen).0.to_owned()]),
        "instance-status.reachability" | "system-status.reachability" => Some(vec![check(seen).1.to_owned()]),
        _ => None,
    }
}

/// The checks pass two minutes after the launch.
fn check(seen: &Seen<'_>) -> (&'static str, &'static str) {
    match seen.is() {
        InstanceState::Running if seen.now.as_second() >= seen.instance.launched_at + 120 => ("ok", "passed"),
        InstanceState::Running => ("initializing", "initializing"),
        _ => ("not-applicable", "not-applicable"),
    }
}

fn status_item(seen: &Seen<'_>) -> Vec<Element> {
    let (status, reachability) = check(seen);
    let checked = |name: &str| {
        let detail = vec![leaf("name", "reachability"), leaf("status", reachability)];
        let details = (seen.is() == InstanceState::Running).then_some(detail);
        node(name, vec![leaf("status", status), list("details", "item", details)])
    };
    vec![
        leaf("instanceId", seen.id),
        leaf("availabilityZone", &seen.instance.zone),
        instance_state("instanceState", seen.is()),
        checked("systemStatus"),
        checked("instanceStatus"),
    ]
}

/// `TerminateInstances`: all of them or, with one wrong id, none; again and again.
///
/// # Errors
/// `InvalidInstanceID.NotFound`, `InvalidInstanceID.Malformed`, `OperationNotPermitted`, `MissingParameter`.
pub fn terminate(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("InstanceId");
    if ids.is_empty() {
        return Err(AwsError::new("MissingParameter", "The request must contain the parameter InstanceId"));
    }
    let is_dry_run = dry_run(input);
    all_read(input)?;
    let (region, now) = (call.region.clone(), call.now);
    let (state, visibility) = look(call);
    all_exist(state, &ids, visibility, now)?;
    let is_protected = |id: &&String| {
        let instance = state.instances.get(*id);
        instance.is_some_and(|it| it.data.disable_api_termination == Some(true) && state_of(it, now).is_alive())
    };
    if let Some(id) = ids.iter().find(is_protected) {
        let message = format!(
            "The instance '{id}' may not be terminated. Modify its 'disableApiTermination' instance attribute and try again."
        );
        return Err(AwsError::new("OperationNotPermitted", message));
    }
    is_dry_run?;
    let state = &mut call.world.region(&region).ec2;
    let mut items = Vec::new();
    for id in &ids {
        let Some(instance) = state.instances.get_mut(id) else { continue };
        let before = state_of(instance, now);
        if before.is_alive() {
            instance.ending_at = Some(now.as_second());
            instance.end_reason = Some(user_initiated(now));
        }
        let after = state_of(instance, now);
        items.push(vec![
            leaf("instanceId", id),
            instance_state("currentState", after),
            instance_state("previousState", before),
        ]);
    }
    // Their Spot requests follow at once.
    placement::settle(state, now);
    Ok(vec![list("instancesSet", "item", items)])
}

fn one<'a>(call: &'a mut Call<'_>, id: &str) -> Result<(&'a State, &'a Instance), AwsError> {
    let now = call.now;
    let (state, visibility) = look(call);
    let ids = [id.to_owned()];
    all_exist(state, &ids, visibility, now)?;
    let gone = || AwsError::new("InvalidInstanceID.NotFound", format!("The instance ID '{id}' does not exist"));
    Ok((state, state.instances.get(id).ok_or_else(gone)?))
}

/// As much of a console as EC2 keeps.
const CONSOLE_SIZE: usize = 64 * 1024;

/// Adds what the box writes on its console; of all that it wrote the end is kept.
pub fn add_to_console(instance: &mut Instance, text: &str) {
    instance.console.push_str(text);
    instance.console = end_of(&instance.console).to_owned();
}

/// The last 64 KB, or as much less as makes whole characters.
fn end_of(console: &str) -> &str {
    let mut start = console.len().saturating_sub(CONSOLE_SIZE);
    while !console.is_char_boundary(start) {
        start += 1;
    }
    &console[start..]
}

/// `GetConsoleOutput`: nothing while it starts, then what a boot of Linux leaves and what the box has written itself.
///
/// # Errors
/// `InvalidInstanceID.NotFound`, `InvalidInstanceID.Malformed`.
pub fn console_output(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = input.required("InstanceId")?;
    // `Latest` is for what is not there yet; here all is there at once.
    let _ = input.boolean("Latest")?;
    dry_run(input)?;
    let now = call.now;
    let (_, instance) = one(call, &id)?;
    let mut answer = vec![leaf("instanceId", &id), leaf("timestamp", time(now.as_second()))];
    if state_of(instance, now) != InstanceState::Pending {
        answer.push(leaf("output", STANDARD.encode(end_of(&console(instance)))));
    }
    Ok(answer)
}

fn console(instance: &Instance) -> String {
    let host = format!("ip-{}", instance.private_ip.replace('.', "-"));
    let image = instance.data.image.as_deref().unwrap_or_default();
    let kind = instance.data.instance_type.as_deref().unwrap_or_default();
    let mut lines = vec![
        format!("[    0.000000] Linux version 6.8.0-sandbox ({image}) {}", instance.architecture),
        format!("[    0.000000] DMI: Amazon EC2 {kind}/, BIOS 1.0"),
        "[    1.204511] systemd[1]: Detected virtualization amazon.".to_owned(),
        format!("[    1.398210] systemd[1]: Hostname set to <{host}>."),
        "[    4.120077] cloud-init: Cloud-init running 'init'".to_owned(),
        "[    6.871346] cloud-init: Cloud-init running 'modules:final'".to_owned(),
    ];
    // Where the box writes, somebody runs it.
    if instance.data.user_data.is_some() && instance.console.is_empty() {
        lines.push("[    7.002114] cloud-init: user data is not run in this sandbox".to_owned());
    }
    lines.push("[    7.114590] cloud-init: Cloud-init finished".to_owned());
    lines.push(format!("{host} login:"));
    lines.join("\r\n") + "\r\n" + &instance.console
}

/// `DescribeInstanceAttribute`: the attributes that no other operation tells.
///
/// # Errors
/// `InvalidInstanceID.NotFound`, `InvalidInstanceID.Malformed`, `InvalidParameterValue`.
pub fn describe_attribute(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let id = input.required("InstanceId")?;
    let attribute = input.required("Attribute")?;
    dry_run(input)?;
    let (state, instance) = one(call, &id)?;
    let data = &instance.data;
    let value = |name: &str, value: &str| node(name, vec![leaf("value", value)]);
    let told = match attribute.as_str() {
        "userData" => node("userData", maybe("value", data.user_data.as_deref()).into_iter().collect()),
        "instanceInitiatedShutdownBehavior" => value(&attribute, data.shutdown_behavior.as_deref().unwrap_or("stop")),
        "disableApiTermination" => value(&attribute, &(data.disable_api_termination == Some(true)).to_string()),
        "disableApiStop" => value(&attribute, &(data.disable_api_stop == Some(true)).to_string()),
        "ebsOptimized" => value(&attribute, &(data.ebs_optimized == Some(true)).to_string()),
        "instanceType" => value(&attribute, data.instance_type.as_deref().unwrap_or_default()),
        "sourceDestCheck" => value(&attribute, "true"),
        "groupSet" => {
            let groups = instance.groups.iter().map(|id| {
                let name = state.security_groups.get(id).map(|group| group.name.as_str()).unwrap_or_default();
                vec![leaf("groupId", id), leaf("groupName", name)]
            });
            list("groupSet", "item", groups)
        }
        other => {
            let message = format!("Value ({other}) for parameter attribute is invalid. Unknown attribute.");
            return Err(AwsError::new("InvalidParameterValue", message));
        }
    };
    Ok(vec![leaf("instanceId", &id), told])
}

/// `DescribeNetworkInterfaces`: those of instances; a terminated one has none any more.
///
/// # Errors
/// `InvalidNetworkInterfaceID.NotFound`, `InvalidParameterValue`.
pub fn describe_interfaces(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("NetworkInterfaceId");
    let filters = Filters::read(input)?;
    dry_run(input)?;
    let (region, now) = (call.region.clone(), call.now);
    let (state, _) = look(call);
    let live = || state.instances.iter().filter(|(_, instance)| state_of(instance, now) != InstanceState::Terminated);
    let there: BTreeSet<&String> = live().map(|(_, instance)| &instance.interface).collect();
    if let Some(id) = ids.iter().find(|id| !there.contains(id)) {
        let message = format!("The networkInterface ID '{id}' does not exist");
        return Err(AwsError::new("InvalidNetworkInterfaceID.NotFound", message));
    }
    let named: BTreeSet<&String> = ids.iter().collect();
    let mut found = Vec::new();
    for (id, instance) in live().filter(|(_, instance)| named.is_empty() || named.contains(&instance.interface)) {
        let seen = Seen { state, region: &region, id, instance, now };
        if filters.accept(state.tags_of(&instance.interface), |name| interface_values(&seen, name))? {
            found.push(seen);
        }
    }
    let (found, next) = filter::page(input, found, 5..=1000)?;
    let items = found.iter().map(Seen::interface);
    let mut answer = vec![list("networkInterfaceSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

fn interface_values(seen: &Seen<'_>, name: &str) -> Option<Vec<String>> {
    let instance = seen.instance;
    let one = |text: &str| Some(vec![text.to_owned()]);
    match name {
        "group-id" => Some(instance.groups.clone()),
        "network-interface-id" => one(&instance.interface),
        "attachment.instance-id" => one(seen.id),
        "vpc-id" => one(&instance.vpc),
        "subnet-id" => one(&instance.subnet),
        "availability-zone" => one(&instance.zone),
        "status" => one("in-use"),
        "private-ip-address" | "addresses.private-ip-address" => one(&instance.private_ip),
        "association.public-ip" => Some(public_ip(instance, seen.now).map(str::to_owned).into_iter().collect()),
        "interface-type" => one("interface"),
        "owner-id" => one(ACCOUNT),
        _ => None,
    }
}
