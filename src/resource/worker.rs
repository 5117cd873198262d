//! The workers: instances with the stack's tag, whoever launched them.
//!
//! `desired` is a number, `diff` is [`crate::decide::workers::slots_to_fill`], `apply` is [`launch`], `destroy` is
//! [`terminate`]. Reads are eventually consistent: a new instance may be missing from a list for seconds, and after a
//! termination "not found" does not mean gone.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ec2::types::{Filter, Instance, InstanceLifecycleType, InstanceStateName, SpotInstanceState, Volume};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use futures::{StreamExt, stream};
use jiff::Timestamp;
use tokio::time::Instant;

use super::{ec2_tags, pairs};
use crate::cloud::{A_PAGE, Cloud, call, each_page, lacking, pages, poll};
use crate::decide::classify::Class;
use crate::decide::cost::Disk;
use crate::decide::names::{self, Market};
use crate::decide::workers::{State, Worker, abandoned, duplicates};
use crate::error::{Error, Kind, Result};
use crate::market::filter;
use crate::spec::{Gib, WorkerName};

pub mod launch;

/// All workers of the stack that AWS still knows, in the order of their launch.
///
/// # Errors
/// A call's failure.
pub async fn observe(cloud: &Cloud, stack: &WorkerName) -> Result<Vec<Worker>> {
    let by = filter(&format!("tag:{}", names::TAG_STACK), [stack.as_str()]);
    read_all(cloud, by, &format!("looking for the workers of stack `{stack}`")).await
}

/// Every stack's workers in the region, by stack.
///
/// # Errors
/// A call's failure.
pub async fn observe_all(cloud: &Cloud) -> Result<BTreeMap<String, Vec<Worker>>> {
    let mut stacks: BTreeMap<String, Vec<Worker>> = BTreeMap::new();
    let by = filter("tag-key", [names::TAG_STACK]);
    for (stack, worker) in read_pages(cloud, by, "looking for workers of all stacks").await? {
        stacks.entry(stack).or_default().push(worker);
    }
    Ok(stacks)
}

/// The workers of the stack as soon as they are enough, or else once every one that was launched before `began` shows itself.
///
/// # Errors
/// A call's failure.
pub async fn observe_until(
    cloud: &Cloud,
    stack: &WorkerName,
    began: Instant,
    is_enough: impl Fn(&[Worker]) -> bool,
) -> Result<Vec<Worker>> {
    let mut workers = Vec::new();
    let look = poll::poll(poll::UNSEEN.within(cloud.deadline.left()), async || {
        let is_last = began.elapsed() >= poll::SHOWN;
        workers = observe(cloud, stack).await?;
        Ok::<_, Error>(if is_last || is_enough(&workers) { poll::Look::Done(()) } else { poll::Look::Again })
    });
    // Where the command's own time ends before, what was seen counts.
    look.await?.unwrap_or_default();
    Ok(workers)
}

async fn read_all(cloud: &Cloud, by: Filter, doing: &str) -> Result<Vec<Worker>> {
    Ok(read_pages(cloud, by, doing).await?.into_iter().map(|(_, worker)| worker).collect())
}

/// Each with the name of its stack, in the order of their launch.
async fn read_pages(cloud: &Cloud, by: Filter, doing: &str) -> Result<Vec<(String, Worker)>> {
    let request = cloud.ec2.describe_instances().filters(by);
    let mut workers: Vec<Result<(String, Worker), &'static str>> = Vec::new();
    each_page("DescribeInstances", request.into_paginator().page_size(A_PAGE).send(), |page| {
        let instances = page.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
        workers.extend(instances.map(|instance| {
            let stack = pairs(instance.tags()).find(|(key, _)| *key == names::TAG_STACK);
            let stack = stack.map_or_else(String::new, |(_, stack)| stack.to_owned());
            read(instance).map(|worker| (stack, worker))
        }));
    })
    .await
    .map_err(|failure| failure.doing(doing))?;
    // One that is passed over would be launched a second time, or forgotten by `down`.
    let workers: Result<Vec<(String, Worker)>, &'static str> = workers.into_iter().collect();
    let mut workers = workers.map_err(|field| lacking(field, "DescribeInstances"))?;
    workers.sort_by(|(_, a), (_, b)| (a.launched_at, &a.id).cmp(&(b.launched_at, &b.id)));
    Ok(workers)
}

/// An instance as a worker, or the field that AWS left out and always sends.
fn read(instance: &Instance) -> Result<Worker, &'static str> {
    let tag = |wanted: &str| pairs(instance.tags()).find(|(key, _)| *key == wanted).map(|(_, value)| value);
    let id = instance.instance_id().filter(|id| !id.is_empty()).ok_or("instanceId")?;
    let state = match instance.state().and_then(|state| state.name()).ok_or("instanceState")? {
        InstanceStateName::Pending => State::Pending,
        InstanceStateName::Stopping => State::Stopping,
        InstanceStateName::Stopped => State::Stopped,
        InstanceStateName::ShuttingDown => State::ShuttingDown,
        InstanceStateName::Terminated => State::Terminated,
        // `running`, and a state that AWS adds some day: billed until we know better.
        _ => State::Running,
    };
    let launched_at = instance.launch_time().and_then(|time| Timestamp::from_second(time.secs()).ok());
    let launched_at = launched_at.ok_or("launchTime")?;
    let is_spot = instance.instance_lifecycle() == Some(&InstanceLifecycleType::Spot);
    Ok(Worker {
        id: id.to_owned(),
        instance_type: instance.instance_type().ok_or("instanceType")?.as_str().to_owned(),
        zone: instance.placement().and_then(|placement| placement.availability_zone()).unwrap_or_default().to_owned(),
        market: if is_spot { Market::Spot } else { Market::OnDemand },
        state,
        launched_at,
        public_ip: instance.public_ip_address().filter(|ip| !ip.is_empty()).map(str::to_owned),
        spot_request: instance.spot_instance_request_id().map(str::to_owned),
        slot: tag(names::TAG_SLOT).and_then(|value| value.parse().ok()),
        generation: tag(names::TAG_GENERATION).and_then(|value| value.parse().ok()),
        lifetime: tag(names::TAG_LIFETIME).and_then(|value| value.parse().ok()),
        phase: tag(names::TAG_PHASE).map(str::to_owned),
        timeline: tag(names::TAG_TIMELINE).map(str::to_owned),
        ended_at: instance.state_transition_reason().and_then(ended_at),
        state_reason: instance.state_reason().and_then(|reason| reason.code()).map(str::to_owned),
        state_message: instance.state_reason().and_then(|reason| reason.message()).map(str::to_owned),
    })
}

/// EC2 writes the moment into the reason of the transition, `User initiated (2026-11-24 13:05:00 GMT)`, and only there;
/// for what AWS ends by itself it writes none.
fn ended_at(reason: &str) -> Option<Timestamp> {
    let time = reason.strip_suffix(" GMT)")?.rsplit_once('(')?.1;
    let time = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S", time).ok()?;
    jiff::tz::TimeZone::UTC.to_timestamp(time).ok()
}

/// The volumes of the stack's instances, or of all stacks', by instance.
///
/// # Errors
/// A call's failure.
pub async fn disks(cloud: &Cloud, stack: Option<&WorkerName>) -> Result<BTreeMap<String, Vec<Disk>>> {
    let by = match stack {
        Some(stack) => filter(&format!("tag:{}", names::TAG_STACK), [stack.as_str()]),
        None => filter("tag-key", [names::TAG_STACK]),
    };
    let request = cloud.ec2.describe_volumes().filters(by);
    let mut disks: BTreeMap<String, Vec<Disk>> = BTreeMap::new();
    each_page("DescribeVolumes", request.into_paginator().page_size(A_PAGE).send(), |page| {
        for volume in page.volumes() {
            let Some(disk) = disk(volume) else { continue };
            for instance in volume.attachments().iter().filter_map(|attachment| attachment.instance_id()) {
                disks.entry(instance.to_owned()).or_default().push(disk.clone());
            }
        }
    })
    .await
    .map_err(|failure| failure.doing("looking for the workers' volumes"))?;
    Ok(disks)
}

fn disk(volume: &Volume) -> Option<Disk> {
    let number = |value: Option<i32>| value.and_then(|value| u32::try_from(value).ok());
    Some(Disk {
        kind: volume.volume_type()?.as_str().to_owned(),
        size: Gib(number(volume.size())?),
        iops: number(volume.iops()),
        throughput: number(volume.throughput()),
    })
}

/// The same as a courtesy: where it is not allowed or does not answer, what a worker costs is not known, and nothing fails.
pub async fn disks_if_allowed(cloud: &Cloud, stack: Option<&WorkerName>) -> BTreeMap<String, Vec<Disk>> {
    let disks = poll::courtesy(disks(cloud, stack)).await.unwrap_or_else(|| Ok(BTreeMap::new()));
    disks.unwrap_or_else(|error| {
        tracing::info!(%error, "the volumes are not known");
        BTreeMap::new()
    })
}

/// Ends the workers that are one too many in their slot, and answers their ids. Whoever sees such a pair does this: both
/// racers come to the same answer.
///
/// # Errors
/// The call's failure.
pub async fn end_duplicates(cloud: &Cloud, workers: &mut [Worker]) -> Result<Vec<String>> {
    let extra = duplicates(workers).into_iter().map(|worker| worker.id.clone()).collect();
    end_these(cloud, workers, extra).await
}

/// Ends the workers that a killed `down` or `reap` has marked and not ended, and answers their ids.
///
/// # Errors
/// The call's failure.
pub async fn end_abandoned(cloud: &Cloud, workers: &mut [Worker]) -> Result<Vec<String>> {
    let left = abandoned(workers).into_iter().map(|worker| worker.id.clone()).collect();
    end_these(cloud, workers, left).await
}

async fn end_these(cloud: &Cloud, workers: &mut [Worker], these: BTreeSet<String>) -> Result<Vec<String>> {
    let ids: Vec<&str> = these.iter().map(String::as_str).collect();
    terminate(cloud, &ids, |_| ()).await?;
    for worker in workers.iter_mut().filter(|worker| these.contains(&worker.id)) {
        worker.state = State::ShuttingDown;
    }
    Ok(these.into_iter().collect())
}

/// AWS takes this many ids in one call without complaint; it recommends no more.
const IDS_A_CALL: usize = 100;

/// So many calls on some ids each are under way at once.
const CALLS_AT_ONCE: usize = 5;

/// Ends these instances, which a read has shown; `told` hears of each that was told to end. With one unknown id in the
/// list AWS ends none, so after such an answer each goes by itself. "Not found" means "not visible there yet": it is asked
/// again, until AWS has had time enough to know the id.
///
/// # Errors
/// The first call's failure, after all were tried.
pub async fn terminate(cloud: &Cloud, ids: &[&str], mut told: impl FnMut(&str)) -> Result<()> {
    let mut failed = Vec::new();
    let answers = ids.chunks(IDS_A_CALL).map(async |some| (some, send_terminate(cloud, some).await));
    let mut answers = stream::iter(answers).buffer_unordered(CALLS_AT_ONCE);
    let mut alone = Vec::new();
    while let Some((some, answer)) = answers.next().await {
        match answer {
            Ok(()) => some.iter().for_each(|id| told(id)),
            Err(failure) if failure.class == Class::NotFound => alone.extend(some),
            Err(failure) => failed.push(failure.doing(&format!("terminating {}", named(some)))),
        }
    }
    let answers = alone.into_iter().map(async |id| (id, terminate_one(cloud, id).await));
    let mut answers = stream::iter(answers).buffer_unordered(CALLS_AT_ONCE);
    while let Some((id, answer)) = answers.next().await {
        match answer {
            Ok(()) => told(id),
            Err(error) => failed.push(error),
        }
    }
    failed.into_iter().next().map_or(Ok(()), Err)
}

/// The ids of one call, in a sentence.
fn named(ids: &[&str]) -> String {
    match ids {
        [first, _, _, _, others @ ..] if !others.is_empty() => format!("{first} and {} others", ids.len() - 1),
        few => few.join(", "),
    }
}

async fn terminate_one(cloud: &Cloud, id: &str) -> Result<()> {
    let ended = poll::poll(poll::VISIBLE_SOON, async || match send_terminate(cloud, &[id]).await {
        Ok(()) => Ok(poll::Look::Done(())),
        Err(failure) if failure.class == Class::NotFound => Ok(poll::Look::Again),
        Err(failure) => Err(failure.doing(&format!("terminating {id}"))),
    });
    // Still unknown: AWS has forgotten it, an hour after it ended.
    let _ = ended.await?;
    Ok(())
}

async fn send_terminate(cloud: &Cloud, ids: &[&str]) -> Result<(), crate::cloud::Failure> {
    let request = cloud.ec2.terminate_instances();
    let request = request.set_instance_ids(Some(ids.iter().map(|id| (*id).to_owned()).collect()));
    call("TerminateInstances", request.send()).await.map(drop)
}

/// Says on the workers themselves who ends them, so that the box repeats it as its last word and does not only see a
/// shutdown from outside. A courtesy: what ends them does not depend on it.
pub async fn mark(cloud: &Cloud, ids: &[&str], phase: &str) {
    let calls = ids.chunks(IDS_A_CALL).map(async |some| {
        let tag = ec2_tags(&[(names::TAG_PHASE.to_owned(), phase.to_owned())]);
        let request = cloud.ec2.create_tags().set_resources(Some(some.iter().map(|id| (*id).to_owned()).collect()));
        let _ = call("CreateTags", request.set_tags(Some(tag)).send()).await;
    });
    stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).collect::<()>().await;
}

/// Open requests of the stack, those with these tags only: they would launch a worker later, and they count towards the
/// quota.
///
/// # Errors
/// The call's failure.
pub async fn open_requests(cloud: &Cloud, stack: &WorkerName, tags: &[(&str, String)]) -> Result<Vec<String>> {
    let open = filter("state", [SpotInstanceState::Open.as_str()]);
    let tags = tags.iter().map(|(key, value)| filter(&format!("tag:{key}"), [value]));
    let doing = format!("looking for open Spot requests of stack `{stack}`");
    let found = read_requests(cloud, stack, std::iter::once(open).chain(tags), &doing).await?;
    Ok(found.into_iter().map(|request| request.id).collect())
}

/// Cancels requests; that does not end an instance that one has already launched. With one that is gone in the list AWS
/// cancels none, so after such an answer each goes by itself.
///
/// # Errors
/// The first call's failure, after all were tried.
pub async fn cancel_requests(cloud: &Cloud, ids: &[String]) -> Result<()> {
    let calls = ids.chunks(IDS_A_CALL).map(async |some| match send_cancel(cloud, some).await? {
        Found::All => Ok(()),
        Found::NotAll => {
            for id in some {
                let _ = send_cancel(cloud, std::slice::from_ref(id)).await?;
            }
            Ok(())
        }
    });
    let answers: Vec<Result<()>> = stream::iter(calls).buffer_unordered(CALLS_AT_ONCE).collect().await;
    answers.into_iter().collect()
}

/// Whether AWS still knew what was named.
enum Found {
    All,
    NotAll,
}

async fn send_cancel(cloud: &Cloud, ids: &[String]) -> Result<Found> {
    let request = cloud.ec2.cancel_spot_instance_requests().set_spot_instance_request_ids(Some(ids.to_vec()));
    match call("CancelSpotInstanceRequests", request.send()).await {
        Ok(_) => Ok(Found::All),
        Err(failure) if failure.class == Class::NotFound => Ok(Found::NotAll),
        Err(failure) => {
            let ids: Vec<&str> = ids.iter().map(String::as_str).collect();
            Err(failure.doing(&format!("cancelling the Spot requests {}", named(&ids))))
        }
    }
}

/// A Spot request, as far as it says why its worker ended.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct SpotRequest {
    /// `sir-…`.
    pub id: String,
    /// `open`, `active`, `closed`, `cancelled`, `failed`.
    pub state: String,
    /// AWS's status code, such as `instance-terminated-by-price`.
    pub status: String,
    /// AWS's sentence to it.
    pub message: String,
    #[serde(skip)]
    instance: Option<String>,
}

impl SpotRequest {
    /// Whether it launched this worker.
    #[must_use]
    pub fn is_of(&self, worker: &str) -> bool {
        self.instance.as_deref() == Some(worker)
    }
}

/// The stack's Spot requests that AWS still knows; a closed one for about four hours.
///
/// # Errors
/// A call's failure.
pub async fn requests(cloud: &Cloud, stack: &WorkerName) -> Result<Vec<SpotRequest>> {
    read_requests(cloud, stack, [], &format!("looking for the Spot requests of stack `{stack}`")).await
}

async fn read_requests(
    cloud: &Cloud,
    stack: &WorkerName,
    more: impl IntoIterator<Item = Filter>,
    doing: &str,
) -> Result<Vec<SpotRequest>> {
    let mut by = vec![filter(&format!("tag:{}", names::TAG_STACK), [stack.as_str()])];
    by.extend(more);
    let request = cloud.ec2.describe_spot_instance_requests().set_filters(Some(by));
    let found = pages("DescribeSpotInstanceRequests", request.into_paginator().send())
        .await
        .map_err(|failure| failure.doing(doing))?;
    let requests = found.iter().flat_map(|page| page.spot_instance_requests());
    Ok(requests
        .filter_map(|request| {
            Some(SpotRequest {
                id: request.spot_instance_request_id()?.to_owned(),
                state: request.state().map_or_else(String::new, |state| state.as_str().to_owned()),
                status: request.status().and_then(|status| status.code()).unwrap_or_default().to_owned(),
                message: request.status().and_then(|status| status.message()).unwrap_or_default().to_owned(),
                instance: request.instance_id().map(str::to_owned),
            })
        })
        .collect())
}

/// What the box printed on its console; `None` where AWS has nothing, or has forgotten the instance.
///
/// # Errors
/// A call's failure.
pub async fn console(cloud: &Cloud, id: &str) -> Result<Option<String>> {
    let ask = async |latest: bool| {
        let request = cloud.ec2.get_console_output().instance_id(id).latest(latest);
        call("GetConsoleOutput", request.send()).await
    };
    let answer = match ask(true).await {
        // Types that are no Nitro ones (p3, g3) know no `latest`: AWS's answer is then some minutes old.
        Err(failure) if failure.code.as_deref() == Some("UnsupportedOperation") => ask(false).await,
        other => other,
    };
    match answer {
        Ok(answer) => {
            let bytes = answer.output().and_then(|text| STANDARD.decode(text.trim()).ok());
            Ok(bytes.map(|bytes| String::from_utf8_lossy(&bytes).into_owned()).filter(|text| !text.is_empty()))
        }
        Err(failure) if failure.class == Class::NotFound => Ok(None),
        Err(failure) => Err(failure.doing(&format!("reading the console of {id}"))),
    }
}

/// Waits until AWS shows each of these as terminated. Missing from the list does not mean gone, unless it was seen ending.
///
/// # Errors
/// A call's failure; the time ran out, with those that are left.
pub async fn gone(
    cloud: &Cloud,
    stack: &WorkerName,
    ids: &BTreeSet<String>,
    pace: poll::Pace,
    mut seen: impl FnMut(&[Worker]),
) -> Result<()> {
    let mut ending = BTreeSet::new();
    let mut left = ids.clone();
    let done = poll::poll(pace, async || {
        let workers = observe(cloud, stack).await?;
        ending.extend(workers.iter().filter(|worker| worker.state.is_over()).map(|worker| worker.id.clone()));
        let states: BTreeMap<&str, State> = workers.iter().map(|worker| (worker.id.as_str(), worker.state)).collect();
        left.retain(|id| match states.get(id.as_str()) {
            Some(state) => *state != State::Terminated,
            None => !ending.contains(id),
        });
        seen(&workers);
        Ok::<_, Error>(if left.is_empty() { poll::Look::Done(()) } else { poll::Look::Again })
    })
    .await?;
    done.map_err(|poll::TimedOut| {
        let left = left.iter().map(String::as_str).collect::<Vec<_>>().join(", ");
        Error::new(Kind::Timeout, format!("still waiting for {left} to end"))
    })
}
