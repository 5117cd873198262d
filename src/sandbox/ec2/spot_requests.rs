//! Spot requests: `DescribeSpotInstanceRequests`, `CancelSpotInstanceRequests`.
//!
//! `RunInstances` makes them, already fulfilled; by themselves they are never made (`RequestSpotInstances` is a thing of
//! the past). What AWS does oddly: cancelling a request does not end its instance.

use super::filter::{self, Filters, dry_run};
use super::instances::answer::{tag_set, time};
use super::state::{SpotRequest, State};
use crate::sandbox::call::{AwsError, Call};
use crate::sandbox::store::shared::Shared;
use crate::sandbox::wire::query::Query;
use crate::sandbox::wire::xml::{Element, leaf, list, maybe, node};

fn find<'a>(state: &'a State, ids: &[String]) -> Result<Vec<(&'a String, &'a Shared<SpotRequest>)>, AwsError> {
    let is_malformed = |id: &&String| {
        !id.strip_prefix("sir-")
            .is_some_and(|rest| rest.len() >= 8 && rest.bytes().all(|byte| byte.is_ascii_alphanumeric()))
    };
    if let Some(id) = ids.iter().find(is_malformed) {
        let message = format!("Invalid id: \"{id}\" (expecting \"sir-...\")");
        return Err(AwsError::new("InvalidSpotInstanceRequestID.Malformed", message));
    }
    if let Some(id) = ids.iter().find(|id| !state.spot_requests.contains_key(*id)) {
        let message = format!("The spot instance request ID '{id}' does not exist");
        return Err(AwsError::new("InvalidSpotInstanceRequestID.NotFound", message));
    }
    Ok(filter::asked(&state.spot_requests, ids))
}

/// `DescribeSpotInstanceRequests`.
///
/// # Errors
/// `InvalidSpotInstanceRequestID.NotFound`, `InvalidSpotInstanceRequestID.Malformed`, `InvalidParameterValue`.
pub fn describe(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("SpotInstanceRequestId");
    let filters = Filters::read(input)?;
    dry_run(input)?;
    let region = call.region.clone();
    let state = &call.world.region(&region).ec2;
    let mut found = Vec::new();
    for (id, request) in find(state, &ids)? {
        if filters.accept(state.tags_of(id), |name| values(id, request, name))? {
            found.push((id, request));
        }
    }
    let (found, next) = filter::page(input, found, 5..=1000)?;
    let items = found.into_iter().map(|(id, request)| item(state, id, request));
    let mut answer = vec![list("spotInstanceRequestSet", "item", items)];
    answer.extend(maybe("nextToken", next));
    Ok(answer)
}

/// `CancelSpotInstanceRequests`: the instance goes on, only the request is over.
///
/// # Errors
/// `InvalidSpotInstanceRequestID.NotFound`, `InvalidSpotInstanceRequestID.Malformed`, `MissingParameter`.
pub fn cancel(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    let ids = input.list("SpotInstanceRequestId");
    if ids.is_empty() {
        let message = "The request must contain the parameter spotInstanceRequestId";
        return Err(AwsError::new("MissingParameter", message));
    }
    let is_dry_run = dry_run(input);
    super::run_instances::all_read(input)?;
    let now = call.now.as_second();
    let region = call.region.clone();
    let state = &mut call.world.region(&region).ec2;
    find(state, &ids)?;
    is_dry_run?;
    let mut items = Vec::new();
    for id in ids {
        let Some(request) = state.spot_requests.get_mut(&id) else { continue };
        if matches!(request.state.as_str(), "open" | "active") {
            let (status, message) = match request.instance {
                Some(_) => (
                    "request-canceled-and-instance-running",
                    "Your Spot request is canceled, but your instance is still running.",
                ),
                None => ("canceled-before-fulfillment", "Your Spot request is canceled before it was fulfilled."),
            };
            "cancelled".clone_into(&mut request.state);
            status.clone_into(&mut request.status);
            message.clone_into(&mut request.status_message);
            request.updated_at = now;
        }
        items.push(vec![leaf("spotInstanceRequestId", &id), leaf("state", &request.state)]);
    }
    Ok(vec![list("spotInstanceRequestSet", "item", items)])
}

fn values(id: &str, request: &SpotRequest, name: &str) -> Option<Vec<String>> {
    let one = |text: &str| Some(vec![text.to_owned()]);
    match name {
        "spot-instance-request-id" => one(id),
        "state" => one(&request.state),
        "status-code" => one(&request.status),
        "status-message" => one(&request.status_message),
        "instance-id" => Some(request.instance.iter().cloned().collect()),
        "type" => one(&request.kind),
        "spot-price" => one(&request.max_price),
        "create-time" => one(&time(request.created_at)),
        "launched-availability-zone" => one(&request.zone),
        "launch.instance-type" => one(&request.instance_type),
        "launch.image-id" => one(&request.image),
        "launch.group-id" => Some(request.groups.clone()),
        "network-interface.subnet-id" => one(&request.subnet),
        "product-description" => one("Linux/UNIX"),
        _ => None,
    }
}

fn item(state: &State, id: &str, request: &SpotRequest) -> Vec<Element> {
    let groups = request.groups.iter().map(|group| {
        let name = state.security_groups.get(group).map(|group| group.name.as_str()).unwrap_or_default();
        vec![leaf("groupId", group), leaf("groupName", name)]
    });
    let specification = vec![
        leaf("imageId", &request.image),
        list("groupSet", "item", groups),
        leaf("instanceType", &request.instance_type),
        node("placement", vec![leaf("availabilityZone", &request.zone)]),
        leaf("subnetId", &request.subnet),
    ];
    let mut item = vec![
        leaf("spotInstanceRequestId", id),
        leaf("spotPrice", &request.max_price),
        leaf("type", &request.kind),
        leaf("state", &request.state),
        node(
            "status",
            vec![
                leaf("code", &request.status),
                leaf("updateTime", time(request.updated_at)),
                leaf("message", &request.status_message),
            ],
        ),
        node("launchSpecification", specification),
    ];
    item.extend(maybe("instanceId", request.instance.as_deref()));
    item.push(leaf("createTime", time(request.created_at)));
    item.push(leaf("productDescription", "Linux/UNIX"));
    item.push(tag_set(state, id));
    item.push(leaf("launchedAvailabilityZone", &request.zone));
    item.push(leaf("instanceInterruptionBehavior", &request.interruption));
    item
}
