//! How the account stands to its vCPU quotas in a region: the limit, and who uses it now, of whatever stack or none.
//!
//! Odd in AWS: a quota that was never raised may have no applied value at all (`NoSuchResourceException`); the default
//! counts then. Spot requests count as long as they are open, and their instances afterwards. Where Service Quotas or EC2 do
//! not allow the look, what they would have said is not known, the action is named, and nothing fails.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Instance, InstanceLifecycleType, SpotInstanceRequest, SpotInstanceState, Tenancy};
use aws_sdk_servicequotas::types::{RequestedServiceQuotaChange, ServiceQuota};
use jiff::Timestamp;

use super::{filter, number};
use crate::cloud::{A_PAGE, Cloud, Failure, call, each_page, pages};
use crate::decide::classify::Class;
use crate::decide::increase::Increase;
use crate::decide::names::{Market, TAG_STACK};
use crate::decide::quota::{self, Holder, Quota, Standing};
use crate::error::Result;
use crate::resource::pairs;

/// Service Quotas' name for EC2.
pub const SERVICE: &str = "ec2";

/// States of an instance that count: one that stops or has ended counts no more.
const COUNTING: [&str; 2] = ["pending", "running"];

/// Reads limits and holders, and what the holders count: one round trip, another where there are holders.
///
/// # Errors
/// A call's failure, unless it is that nobody allowed it.
pub async fn read(cloud: &Cloud, wanted: &BTreeSet<Quota>) -> Result<Vec<Standing>> {
    let mut standings = look(cloud, wanted).await?;
    count(cloud, &mut standings, &BTreeMap::new()).await?;
    Ok(standings)
}

/// Limits and holders without what these count, all calls side by side, for whoever reads the types in the same breath;
/// [`count`] completes it. In the order of `wanted`.
///
/// # Errors
/// A call's failure, unless it is that nobody allowed it.
pub async fn look(cloud: &Cloud, wanted: &BTreeSet<Quota>) -> Result<Vec<Standing>> {
    if wanted.is_empty() {
        return Ok(Vec::new());
    }
    let has_spot = wanted.iter().any(|quota| quota.market == Market::Spot);
    let (limits, instances, requests) = futures::try_join!(
        Box::pin(limits(cloud, wanted)),
        Box::pin(instances(cloud, quota::patterns(wanted))),
        Box::pin(open_requests(cloud, has_spot))
    )?;
    let standings = wanted.iter().map(|quota| {
        let mut missing: BTreeSet<&'static str> = BTreeSet::new();
        let limit = limits.get(quota).copied().unwrap_or(Ok(None)).unwrap_or_else(|action| {
            missing.insert(action);
            None
        });
        let mut all = Vec::new();
        for (market, found) in [(None, &instances), (Some(Market::Spot), &requests)] {
            match found {
                _ if market.is_some_and(|market| market != quota.market) => {}
                Ok(found) => all.extend(found),
                Err(action) => drop(missing.insert(action)),
            }
        }
        let is_whole = !missing.iter().any(|action| action.starts_with("ec2:"));
        let is_its = |(market, holder): &&(Market, Holder)| {
            *market == quota.market && quota::of(&holder.instance_type, *market) == Some(*quota)
        };
        let mut holders: Vec<Holder> = all.into_iter().filter(is_its).map(|(_, holder)| holder.clone()).collect();
        holders.sort_by(|a, b| (a.since, &a.id).cmp(&(b.since, &b.id)));
        Standing { quota: *quota, limit, holders: is_whole.then_some(holders), missing }
    });
    Ok(standings.collect())
}

/// Fills in what the holders count, from these types as far as they go; one call for the others, if there are any.
///
/// # Errors
/// The call's failure, unless it is that nobody allowed it.
pub async fn count(cloud: &Cloud, standings: &mut [Standing], known: &BTreeMap<String, u32>) -> Result<()> {
    let unknown: BTreeSet<String> = standings.iter_mut().flat_map(|standing| standing.count(known)).collect();
    if unknown.is_empty() {
        return Ok(());
    }
    match allowed(vcpus_of(cloud, unknown).await) {
        Ok(Ok(found)) => {
            for standing in standings.iter_mut() {
                standing.count(&found);
            }
            Ok(())
        }
        Ok(Err(_)) => {
            let uncounted =
                |standing: &&mut Standing| standing.holders.iter().flatten().any(|holder| holder.vcpus.is_none());
            standings.iter_mut().filter(uncounted).for_each(|standing| {
                standing.missing.insert("ec2:DescribeInstanceTypes");
            });
            Ok(())
        }
        Err(failure) => Err(failure.doing("reading how many vCPUs the types in use have")),
    }
}

/// The limit that counts now: the applied value, the default where there is none; `None` where AWS does not say.
///
/// # Errors
/// The call's failure.
pub async fn limit(cloud: &Cloud, quota: Quota) -> Result<Option<u32>, Failure> {
    let applied = cloud.quotas.get_service_quota().service_code(SERVICE).quota_code(quota.code);
    let default = cloud.quotas.get_aws_default_service_quota().service_code(SERVICE).quota_code(quota.code);
    // Both at once: most accounts that start have no applied value, and the second answer then costs no round trip more.
    let (applied, default) =
        futures::join!(call("GetServiceQuota", applied.send()), call("GetAWSDefaultServiceQuota", default.send()));
    match applied {
        Ok(answer) => Ok(value(answer.quota())),
        Err(failure) if failure.class == Class::NotFound => match default {
            Ok(answer) => Ok(value(answer.quota())),
            // A region without such machines has no such quota.
            Err(failure) if failure.class == Class::NotFound => Ok(None),
            Err(failure) => Err(failure),
        },
        Err(failure) => Err(failure),
    }
}

/// The requests for more of a quota that AWS remembers, the newest first.
///
/// # Errors
/// A call's failure.
pub async fn increases(cloud: &Cloud, quota: Quota) -> Result<Vec<Increase>, Failure> {
    let request = cloud.quotas.list_requested_service_quota_change_history_by_quota();
    let request = request.service_code(SERVICE).quota_code(quota.code);
    let found = match pages("ListRequestedServiceQuotaChangeHistoryByQuota", request.into_paginator().send()).await {
        Err(failure) if failure.class == Class::NotFound => return Ok(Vec::new()),
        answer => answer?,
    };
    let mut increases: Vec<Increase> =
        found.iter().flat_map(|page| page.requested_quotas()).filter_map(increase).collect();
    increases.sort_by(|a, b| (b.created, &b.id).cmp(&(a.created, &a.id)));
    Ok(increases)
}

/// A request as AWS describes it; `None` where it lacks what AWS always sends.
pub(crate) fn increase(change: &RequestedServiceQuotaChange) -> Option<Increase> {
    let time = |time: Option<&aws_sdk_servicequotas::primitives::DateTime>| {
        time.and_then(|time| Timestamp::from_second(time.secs()).ok())
    };
    Some(Increase {
        id: change.id()?.to_owned(),
        vcpus: change.desired_value().and_then(whole),
        status: change.status()?.as_str().to_owned(),
        case: change.case_id().map(str::to_owned),
        created: time(change.created()),
        updated: time(change.last_updated()),
    })
}

/// `None` also where AWS answers a quota with an error in the place of its value.
fn value(quota: Option<&ServiceQuota>) -> Option<u32> {
    whole(quota?.value()?)
}

/// Service Quotas counts in floating point; a quota of vCPUs is whole.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped to what fits before")]
pub(crate) fn whole(value: f64) -> Option<u32> {
    value.is_finite().then(|| value.clamp(0.0, f64::from(u32::MAX)) as u32)
}

/// A limit, or the action that nobody allowed.
type Limit = Result<Option<u32>, &'static str>;

/// So many limits are asked for one by one; more are read from the two lists, which takes no more calls for all of EC2's
/// quotas than for some.
const ONE_BY_ONE: usize = 3;

async fn limits(cloud: &Cloud, wanted: &BTreeSet<Quota>) -> Result<BTreeMap<Quota, Limit>> {
    if wanted.len() <= ONE_BY_ONE {
        let each = wanted.iter().map(|quota| async { Ok((*quota, limit_or_action(cloud, *quota).await?)) });
        return Ok(futures::future::try_join_all(each).await?.into_iter().collect());
    }
    let applied = cloud.quotas.list_service_quotas().service_code(SERVICE).into_paginator().send();
    let defaults = cloud.quotas.list_aws_default_service_quotas().service_code(SERVICE).into_paginator().send();
    let read = futures::try_join!(
        async {
            Ok(allowed(pages("ListServiceQuotas", applied).await)?.map_err(|_| "servicequotas:ListServiceQuotas"))
        },
        async {
            let found = allowed(pages("ListAWSDefaultServiceQuotas", defaults).await)?;
            Ok(found.map_err(|_| "servicequotas:ListAWSDefaultServiceQuotas"))
        }
    );
    let (applied, defaults) = read.map_err(|failure: Failure| failure.doing("reading the quotas of EC2"))?;
    let applied = applied.map(|found| by_code(found.iter().flat_map(|page| page.quotas())));
    let defaults = defaults.map(|found| by_code(found.iter().flat_map(|page| page.quotas())));
    let limit = |quota: &Quota| match (&applied, &defaults) {
        // Without the applied values a default says nothing.
        (Err(action), _) => Err(*action),
        (Ok(applied), defaults) => match (applied.get(quota.code), defaults) {
            (Some(limit), _) => Ok(*limit),
            (None, Ok(defaults)) => Ok(defaults.get(quota.code).copied().flatten()),
            (None, Err(action)) => Err(*action),
        },
    };
    Ok(wanted.iter().map(|quota| (*quota, limit(quota))).collect())
}

fn by_code<'a>(quotas: impl Iterator<Item = &'a ServiceQuota>) -> BTreeMap<String, Option<u32>> {
    quotas.filter_map(|quota| Some((quota.quota_code()?.to_owned(), value(Some(quota))))).collect()
}

/// The limit; or the action that nobody allowed.
async fn limit_or_action(cloud: &Cloud, quota: Quota) -> Result<Limit> {
    match allowed(limit(cloud, quota).await) {
        Ok(Ok(limit)) => Ok(Ok(limit)),
        Ok(Err("GetAWSDefaultServiceQuota")) => Ok(Err("servicequotas:GetAWSDefaultServiceQuota")),
        Ok(Err(_)) => Ok(Err("servicequotas:GetServiceQuota")),
        Err(failure) => Err(failure.doing(&format!("reading the quota {} ({})", quota.code, quota.name))),
    }
}

/// What was found; or the operation that nobody allowed.
pub(crate) fn allowed<T>(answer: Result<T, Failure>) -> Result<Result<T, &'static str>, Failure> {
    match answer {
        Ok(found) => Ok(Ok(found)),
        Err(failure) if failure.is_denied() => Ok(Err(failure.operation)),
        Err(failure) => Err(failure),
    }
}

/// A filter holds 200 values at most.
const TYPES_A_CALL: usize = 200;

async fn vcpus_of(cloud: &Cloud, types: BTreeSet<String>) -> Result<BTreeMap<String, u32>, Failure> {
    let types: Vec<String> = types.into_iter().collect();
    let asked = types.chunks(TYPES_A_CALL).map(|some| {
        let request = cloud.ec2.describe_instance_types().filters(filter("instance-type", some));
        pages("DescribeInstanceTypes", request.into_paginator().send())
    });
    let found = futures::future::try_join_all(asked).await?;
    let infos = found.iter().flatten().flat_map(|page| page.instance_types());
    Ok(infos
        .filter_map(|info| {
            // What it has by default: switched off threads and cores count all the same.
            let vcpus = info.v_cpu_info()?.default_v_cpus();
            Some((info.instance_type()?.as_str().to_owned(), number(vcpus)))
        })
        .collect())
}

type Found = Result<Vec<(Market, Holder)>, &'static str>;

/// Of these types only: an account may run thousands of others.
async fn instances(cloud: &Cloud, types: BTreeSet<String>) -> Result<Found> {
    let request = cloud.ec2.describe_instances().filters(filter("instance-state-name", COUNTING));
    let request = request.filters(filter("instance-type", types));
    let mut found = Vec::new();
    let read = each_page("DescribeInstances", request.into_paginator().page_size(A_PAGE).send(), |page| {
        let instances = page.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
        found.extend(instances.filter_map(instance));
    });
    match allowed(read.await) {
        Ok(Ok(())) => Ok(Ok(found)),
        Ok(Err(_)) => Ok(Err("ec2:DescribeInstances")),
        Err(failure) => Err(failure.doing("looking for the instances that use the quotas")),
    }
}

fn instance(instance: &Instance) -> Option<(Market, Holder)> {
    let market = match instance.instance_lifecycle() {
        None => Market::OnDemand,
        Some(InstanceLifecycleType::Spot) => Market::Spot,
        // Scheduled ones and capacity blocks are bought ahead and count elsewhere.
        Some(_) => return None,
    };
    // So do dedicated hosts.
    if instance.placement().and_then(|placement| placement.tenancy()) == Some(&Tenancy::Host) {
        return None;
    }
    let holder = Holder {
        id: instance.instance_id()?.to_owned(),
        instance_type: instance.instance_type()?.as_str().to_owned(),
        vcpus: None,
        since: instance.launch_time().and_then(|time| Timestamp::from_second(time.secs()).ok()),
        stack: pairs(instance.tags()).find(|(key, _)| *key == TAG_STACK).map(|(_, stack)| stack.to_owned()),
    };
    Some((market, holder))
}

async fn open_requests(cloud: &Cloud, is_asked: bool) -> Result<Found> {
    if !is_asked {
        return Ok(Ok(Vec::new()));
    }
    let open = filter("state", [SpotInstanceState::Open.as_str()]);
    let request = cloud.ec2.describe_spot_instance_requests().filters(open);
    match allowed(pages("DescribeSpotInstanceRequests", request.into_paginator().send()).await) {
        Ok(Ok(found)) => {
            let requests = found.iter().flat_map(|page| page.spot_instance_requests());
            Ok(Ok(requests.filter_map(open_request).collect()))
        }
        Ok(Err(_)) => Ok(Err("ec2:DescribeSpotInstanceRequests")),
        Err(failure) => Err(failure.doing("looking for the open Spot requests that use the quotas")),
    }
}

fn open_request(request: &SpotInstanceRequest) -> Option<(Market, Holder)> {
    let holder = Holder {
        id: request.spot_instance_request_id()?.to_owned(),
        instance_type: request.launch_specification()?.instance_type()?.as_str().to_owned(),
        vcpus: None,
        since: request.create_time().and_then(|time| Timestamp::from_second(time.secs()).ok()),
        stack: pairs(request.tags()).find(|(key, _)| *key == TAG_STACK).map(|(_, stack)| stack.to_owned()),
    };
    Some((Market::Spot, holder))
}

#[cfg(test)]
mod tests;
