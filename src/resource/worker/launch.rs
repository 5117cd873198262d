//! The launch loop: the only place that calls `RunInstances`.
//!
//! One call is one type in one zone with a deterministic client token. What follows a refusal is
//! [`crate::decide::refusal`]'s table. The rule that keeps a second GPU from being started: the next offer is tried only
//! when AWS has *refused* the last one. No answer, or an answer that AWS failed, is followed by the same token and the
//! same parameters until there is a definite one; if there never is, the command ends and says so.

use std::cell::Cell;
use std::collections::BTreeMap;

use aws_sdk_ec2::types::{
    InstanceInterruptionBehavior, InstanceMarketOptionsRequest, InstanceNetworkInterfaceSpecification, InstanceType,
    LaunchTemplateSpecification, MarketType, SpotInstanceType, SpotMarketOptions, TagSpecification,
};
use futures::{StreamExt, stream};
use tokio::time::Instant;

use super::{Worker, cancel_requests, open_requests, read, read_all};
use crate::cloud::{Cloud, Failure, call, lacking, poll};
use crate::decide::classify::Class;
use crate::decide::names::{Market, TAG_GENERATION, TAG_LIFETIME, TAG_SLOT, TokenOf};
use crate::decide::offers::{Cause, Offer, Ranking, Rejection, none_left};
use crate::decide::quota;
use crate::decide::refusal::{Next, after};
use crate::decide::workers::Slot;
use crate::error::{Error, Kind, Result};
use crate::market::filter;
use crate::resource::launch_template::{self, Ready, Which, content::tagged, next_generation};
use crate::resource::{self, ec2_tags, role, security_group};
use crate::spec::{Usd, WorkerName};

/// `RunInstances` takes five at once and two a second.
const LAUNCHES_AT_ONCE: usize = 4;

/// What every launch of this run has in common.
#[derive(Debug, Clone)]
pub struct Order<'a> {
    /// The stack.
    pub stack: &'a WorkerName,
    /// The template and the version.
    pub template: Ready,
    /// Its twin without market options, for what is bought on demand.
    pub any_market: Ready,
    /// The security group.
    pub group: &'a str,
    /// Tags of the worker, slot and generation excepted.
    pub tags: BTreeMap<String, String>,
    /// A cap that differs from the template's.
    pub max_price: Option<Usd>,
    /// Whether EC2 may not know the profile, the group or the version yet.
    pub is_fresh: bool,
}

impl Order<'_> {
    /// A template that says Spot cannot buy on demand: what it says can be overridden, not removed.
    fn template_for(&self, market: Market) -> &Ready {
        match market {
            Market::Spot => &self.template,
            Market::OnDemand => &self.any_market,
        }
    }
}

/// What is told while it happens: a killed command must be able to say what exists.
pub trait Watch {
    /// A launch is asked for; or it is answered, whatever was lost before: AWS has said what became of it.
    fn under_way(&self, is_under_way: bool);
    /// Whether another launch may be asked for. Not after a signal: then those under way are answered, and no more is spent.
    fn may_launch(&self) -> bool;
    /// This pool is being asked.
    fn trying(&self, offer: &Offer);
    /// AWS has launched this, or says that it had.
    fn launched(&self, worker: &Worker);
    /// An answer was lost and none came after it that says what became of the launch.
    fn unanswered(&self);
    /// Something worth a line.
    fn note(&self, text: String);
}

/// Launches one worker for each slot, on the cheapest offers that AWS grants, and takes from `ranking` what it refused.
///
/// # Errors
/// None left to try; permission and bad parameters; no definite answer. What was launched until then was told to `watch`.
pub async fn launch(
    cloud: &Cloud,
    order: &Order<'_>,
    ranking: &mut Ranking,
    mut slots: Vec<Slot>,
    watch: &dyn Watch,
) -> Result<()> {
    let generation = Cell::new(order.template.generation);
    // The template's number follows the worker that follows one that has ended: EC2 forgets that one in an hour, and its
    // token in a day. With several slots the others would ask with other tokens than a run beside this one.
    let mut follow = match slots.as_slice() {
        [one] if one.left >= order.template.generation => Some(one.left + 1),
        _ => None,
    };
    while !slots.is_empty() {
        if !watch.may_launch() {
            return Err(Error::new(Kind::Interrupted, "interrupted before all were launched"));
        }
        let Some(offer) = ranking.offers.first().cloned() else { return Err(none_left(ranking, &cloud.region)) };
        watch.trying(&offer);
        let attempts = slots.iter().map(|slot| {
            let (offer, generation) = (&offer, &generation);
            async move {
                let is_lost = Cell::new(false);
                let result = attempt(cloud, order, offer, *slot, (generation, &is_lost), watch).await;
                if is_lost.get() {
                    watch.unanswered();
                }
                (*slot, result)
            }
        });
        // All of them, before any failure counts: none may be under way when the command goes on or ends.
        let followed = async {
            let Some(generation) = follow.take() else { return };
            let written = poll::courtesy(launch_template::set_generation(cloud, &order.template.id, generation)).await;
            if !matches!(written, Some(Ok(()))) {
                tracing::info!(generation, "the template's generation stays behind; used-up tokens move it on");
            }
        };
        let attempts = stream::iter(attempts).buffer_unordered(LAUNCHES_AT_ONCE).collect::<Vec<_>>();
        let (results, ()) = futures::join!(attempts, followed);
        slots.clear();
        let mut refused = None;
        let mut failed = None;
        for (slot, result) in results {
            match result {
                Ok(None) => {}
                Ok(Some(refusal)) => {
                    slots.push(slot);
                    // A quota says more than a dry pool: it rules out every offer of its code.
                    if refused.as_ref().is_none_or(|known: &Refused| known.next != Next::OtherQuota) {
                        refused = Some(refusal);
                    }
                }
                Err(error) => failed = Some(error),
            }
        }
        if let Some(refusal) = refused {
            reject(cloud, ranking, &offer, refusal).await;
        }
        if let Some(error) = failed {
            return Err(error);
        }
        slots.sort_unstable();
    }
    Ok(())
}

/// AWS's definite no to one offer.
#[derive(Debug)]
struct Refused {
    next: Next,
    failure: Failure,
}

/// Takes the offer, or every offer of its quota code, out of the ranking.
async fn reject(cloud: &Cloud, ranking: &mut Ranking, offer: &Offer, refusal: Refused) {
    let kind = refusal.failure.class.kind();
    let code = refusal.failure.code.clone();
    if refusal.next == Next::OtherQuota {
        let reason = quota_reason(cloud, offer, &refusal.failure).await;
        let of = |offer: &Offer| quota::of(&offer.instance_type, offer.market).map(|quota| quota.code);
        // An unknown quota is this type's own, never another's.
        let same = |other: &Offer| match of(offer) {
            Some(code) => of(other) == Some(code),
            None => other.instance_type == offer.instance_type && other.market == offer.market,
        };
        let (out, left): (Vec<_>, Vec<_>) = std::mem::take(&mut ranking.offers).into_iter().partition(same);
        ranking.offers = left;
        ranking.rejected.extend(out.into_iter().map(|offer| rejection(offer, reason.clone(), code.clone(), kind)));
    } else if !ranking.offers.is_empty() {
        let offer = ranking.offers.remove(0);
        ranking.rejected.push(rejection(offer, refusal.failure.message, code, kind));
    }
}

/// Takes the pool of a worker that AWS ended by itself out of the ranking.
pub fn reject_pool(ranking: &mut Ranking, worker: &Worker, reason: &str, kind: Kind) {
    let is_it = |offer: &Offer| {
        offer.instance_type == worker.instance_type && offer.zone.0 == worker.zone && offer.market == worker.market
    };
    let (out, left): (Vec<_>, Vec<_>) = std::mem::take(&mut ranking.offers).into_iter().partition(is_it);
    ranking.offers = left;
    let code = Some(reason.to_owned());
    let text = format!("{} was launched and ended by itself: {reason}", worker.id);
    ranking.rejected.extend(out.into_iter().map(|offer| rejection(offer, text.clone(), code.clone(), kind)));
}

fn rejection(offer: Offer, reason: String, code: Option<String>, kind: Kind) -> Rejection {
    Rejection {
        instance_type: offer.instance_type,
        zone: Some(offer.zone),
        market: offer.market,
        price: offer.price,
        reason,
        cause: Cause::Refused,
        code,
        kind,
    }
}

/// What the quota is and what this launch needs of it; AWS's own sentence names neither.
async fn quota_reason(cloud: &Cloud, offer: &Offer, failure: &Failure) -> String {
    let needs = format!("{} needs {} vCPUs", offer.instance_type, offer.vcpus);
    let market = offer.market.words();
    let Some(quota) = quota::of(&offer.instance_type, offer.market) else {
        return format!("the account's {market} quota for {}: {} ({needs})", offer.instance_type, failure.message);
    };
    let request = cloud.quotas.get_service_quota().service_code("ec2").quota_code(quota.code);
    let limit = call("GetServiceQuota", request.send()).await.ok().and_then(|answer| answer.quota?.value);
    let limit = limit.map_or_else(String::new, |limit| format!(" is {limit} vCPUs,"));
    format!(
        "the account's {market} quota {} ({}) in {}{limit} and what runs{} counts: {needs}",
        quota.code,
        quota.name,
        cloud.region,
        if offer.market == Market::Spot { " on Spot or is still requested" } else { "" }
    )
}

/// Asks for one worker until AWS gives a definite answer: `None` when it is there, else the refusal. `is_lost` says whether an
/// answer is missing when there is none.
async fn attempt(
    cloud: &Cloud,
    order: &Order<'_>,
    offer: &Offer,
    slot: Slot,
    (generation, is_lost): (&Cell<u64>, &Cell<bool>),
    watch: &dyn Watch,
) -> Result<Option<Refused>> {
    /// Each used-up token moves the generation on. Workers that ended by themselves may have left as many as EC2 keeps tokens
    /// of (a day); more in a row than a day holds is a template that nobody can launch.
    const ROUNDS: u32 = 100;
    let doing = format!("launching {} in {}", offer.instance_type, offer.zone);
    for _ in 0..ROUNDS {
        let round = generation.get().max(slot.left + 1);
        let token = TokenOf {
            template_id: &order.template_for(offer.market).id,
            slot: slot.number,
            generation: round,
            instance_type: &offer.instance_type,
            zone: &offer.zone.0,
            market: offer.market,
        }
        .token();
        let (mut last, missing) = (None, Missing::default());
        let pace = poll::LAUNCH.within(cloud.deadline.left());
        let ask = async || {
            if !watch.may_launch() {
                return Err(Answer::Unasked);
            }
            // One whose answer was lost before is under way still.
            if !is_lost.get() {
                watch.under_way(true);
            }
            let answer = send(cloud, order, offer, (slot.number, round), &token).await;
            let is_definite = match &answer {
                Ok(_) => true,
                Err(Answer::Refused(failure)) => !failure.class.is_ambiguous(),
                Err(_) => false,
            };
            if is_definite && !is_lost.get() {
                watch.under_way(false);
            }
            answer
        };
        let answer = poll::again(pace, async || match ask().await {
            Ok(worker) => Ok(poll::Look::Done(Ok(worker))),
            Err(Answer::Unasked) => Err(Error::new(Kind::Interrupted, doing.as_str())),
            Err(Answer::Broken(error)) => {
                // It did take effect, and what it made has no name here.
                is_lost.set(true);
                Err(error)
            }
            Err(Answer::Refused(failure)) => match after(failure.class, order.is_fresh) {
                Next::SameAgain => {
                    is_lost.set(is_lost.get() || failure.class.is_ambiguous());
                    tracing::info!(code = failure.code.as_deref(), "asking again with the same token");
                    last = Some(failure);
                    Ok(poll::Look::Again)
                }
                next if next == Next::WaitForProfile || is_foundation(&failure) => {
                    if failure.class == Class::ProfileNotVisible && last.is_none() {
                        watch.note("waiting until EC2 knows the new instance profile".to_owned());
                    }
                    match missing.look(cloud, order, offer.market, &failure).await? {
                        Stands::Changed => return Err(failure.doing(&doing).code(SUPERSEDED)),
                        Stands::Removed => {
                            return Err(removed(failure.doing(&doing)));
                        }
                        Stands::Hidden => {}
                    }
                    last = Some(failure);
                    Ok(poll::Look::Again)
                }
                Next::Stop => Err(failure.doing(&doing)),
                next => Ok(poll::Look::Done(Err(Refused { next, failure }))),
            },
        })
        .await?;
        if is_lost.replace(is_lost.get() && answer.is_err()) && !is_lost.get() {
            watch.under_way(false);
        }
        let refused = match answer {
            Ok(Ok(worker)) => {
                watch.launched(&worker);
                return Ok(None);
            }
            Ok(Err(refused)) => refused,
            Err(poll::TimedOut) => {
                let mut error = undecided(last, &doing, &token);
                if pace.limit < poll::LAUNCH.limit {
                    error.kind = Kind::Timeout;
                }
                return Err(error);
            }
        };
        match refused.next {
            Next::NextGeneration => move_on(cloud, order, generation, round).await?,
            Next::Adopt => {
                // AWS has launched it, and until it shows itself nobody can name it.
                watch.under_way(true);
                is_lost.set(true);
                let found = adopt(cloud, &token, &doing).await.map_err(|error| error.hint(look_yourself(&token)))?;
                is_lost.set(false);
                watch.under_way(false);
                match found {
                    Some(worker) if !worker.state.is_over() => {
                        watch.note(adopted(order, &worker));
                        watch.launched(&worker);
                        return Ok(None);
                    }
                    Some(_) => {}
                    None => watch.note(format!(
                        "an earlier launch had slot {slot}, and AWS shows no worker of it",
                        slot = slot.number
                    )),
                }
                move_on(cloud, order, generation, round).await?;
            }
            _ => {
                if refused.failure.code.as_deref() == Some("SpotMaxPriceTooLow") {
                    // Nothing launched, but a request that stayed open would launch later.
                    // This slot's only: another run's is its own.
                    let own = [(TAG_SLOT, slot.number.to_string()), (TAG_GENERATION, round.to_string())];
                    cancel_requests(cloud, &open_requests(cloud, order.stack, &own).await?).await?;
                }
                return Ok(Some(refused));
            }
        }
    }
    Err(Error::new(Kind::Aws, format!("{doing}: {ROUNDS} client tokens in a row belong to workers that have ended"))
        .hint(format!("see what ends them: spotctl status --name {}", order.stack)))
}

/// The code of the error for a launch whose template another run has changed meanwhile: whoever planned it plans anew.
pub const SUPERSEDED: &str = "InvalidLaunchTemplateId.VersionNotFound";

/// A template whose version is not known because it is gone is not [`SUPERSEDED`]: nothing is made anew that somebody has just
/// destroyed.
fn removed(error: Error) -> Error {
    let is_version = error.code.as_deref() == Some(SUPERSEDED);
    let error = if is_version { error.code("InvalidLaunchTemplateId.NotFound") } else { error };
    error.hint("another run has removed the stack meanwhile; the same command makes it anew")
}

/// Whether EC2 does not know the template, its version or the group. This run has read them or made them a moment ago: either
/// they do not show themselves to the launch yet, or another run has replaced or removed them.
fn is_foundation(failure: &Failure) -> bool {
    const CODES: [&str; 3] = [SUPERSEDED, "InvalidLaunchTemplateId.NotFound", "InvalidGroup.NotFound"];
    failure.code.as_deref().is_some_and(|code| CODES.contains(&code))
}

/// How that stands which a launch does not know.
enum Stands {
    /// It is there, or may be: reads and launches learn of it late.
    Hidden,
    /// Another run has made the template anew, or another version of it.
    Changed,
    /// Another run has removed it, or what hangs together with it.
    Removed,
}

/// What one launch does not know of the foundation, and since when.
#[derive(Default)]
struct Missing(Cell<Option<Instant>>);

impl Missing {
    async fn look(&self, cloud: &Cloud, order: &Order<'_>, market: Market, failure: &Failure) -> Result<Stands> {
        let since = self.0.get().unwrap_or_else(Instant::now);
        self.0.set(Some(since));
        if is_foundation(failure) {
            let both = launch_template::observe(cloud, order.stack).await?;
            let found = if market == Market::Spot { both.spot } else { both.any_market };
            match found {
                Some(found) if found.supersedes(order.template_for(market)) => return Ok(Stands::Changed),
                None if since.elapsed() > poll::VISIBLE_SOON.limit => return Ok(Stands::Removed),
                _ => {}
            }
        }
        if since.elapsed() < poll::VISIBLE_LATE.limit {
            return Ok(Stands::Hidden);
        }
        // A `destroy` that had read before this run made the templates removes all but these.
        let (groups, role) =
            futures::try_join!(security_group::observe(cloud, order.stack), role::observe(cloud, order.stack))?;
        let has_profile = role::owned(&role).contains(&resource::Kind::InstanceProfile);
        let stands = has_profile && groups.iter().any(|group| group.id == order.group);
        Ok(if stands { Stands::Hidden } else { Stands::Removed })
    }
}

/// Moves the generation on unless another slot of this run has done so meanwhile.
async fn move_on(cloud: &Cloud, order: &Order<'_>, generation: &Cell<u64>, used: u64) -> Result<()> {
    if generation.get() <= used {
        let next = next_generation(cloud, order.stack, &order.template.id, used).await?;
        generation.set(generation.get().max(next));
    }
    Ok(())
}

/// The worker that holds this token; `None` when AWS shows none for so long that it must have ended and be forgotten: that
/// takes it an hour, and it keeps the token a day. A launch of another run that is hidden for longer makes a pair, of which
/// [`crate::decide::workers::duplicates`] ends one.
async fn adopt(cloud: &Cloud, token: &str, doing: &str) -> Result<Option<Worker>> {
    let found = poll::poll(poll::VISIBLE_SOON, async || {
        let workers = read_all(cloud, filter("client-token", [token]), doing).await?;
        Ok::<_, Error>(workers.into_iter().next_back().map_or(poll::Look::Again, poll::Look::Done))
    });
    Ok(found.await?.ok())
}

/// Which values differ between what was asked for and what the slot holds.
fn adopted(order: &Order<'_>, worker: &Worker) -> String {
    let wished = order.tags.get(TAG_LIFETIME).map(String::as_str).unwrap_or_default();
    let has = worker.lifetime.map_or_else(|| "none".to_owned(), |lifetime| lifetime.to_string());
    let differs = if wished == has {
        "other values of its launch differ: template version, idle limit, tags or price cap".to_owned()
    } else {
        format!("its lifetime is {has}, not {wished}")
    };
    format!("{} already holds this slot and counts: {differs}", worker.id)
}

fn undecided(last: Option<Failure>, doing: &str, token: &str) -> Error {
    let Some(last) = last else { return Error::new(Kind::Timeout, format!("{doing}: no time left")) };
    let is_ambiguous = last.class.is_ambiguous();
    let error = last.doing(doing);
    if !is_ambiguous {
        return error;
    }
    error
        .hint("whether AWS launched it is not known; the same command finds out, and launches no second one")
        .hint(look_yourself(token))
}

fn look_yourself(token: &str) -> String {
    format!("or look yourself: aws ec2 describe-instances --filters Name=client-token,Values={token}")
}

/// Why there is no worker.
enum Answer {
    Unasked,
    Refused(Failure),
    Broken(Error),
}

async fn send(
    cloud: &Cloud,
    order: &Order<'_>,
    offer: &Offer,
    (slot, generation): (u32, u64),
    token: &str,
) -> Result<Worker, Answer> {
    let mut tags = order.tags.clone();
    tags.insert(TAG_SLOT.to_owned(), slot.to_string());
    tags.insert(TAG_GENERATION.to_owned(), generation.to_string());
    let tags: Vec<(String, String)> = tags.into_iter().collect();
    // Whether a launch's tags merge with the template's or replace them is not documented: the full set, always.
    let which = if offer.market == Market::Spot { Which::Spot } else { Which::AnyMarket };
    let template = order.template_for(offer.market);
    let max_price = order.max_price.filter(|_| offer.market == Market::Spot);
    let specifications = tagged(which)
        .into_iter()
        .map(|kind| TagSpecification::builder().resource_type(kind).set_tags(Some(ec2_tags(&tags))).build());
    // Interface 0 whole: EC2 refuses a top-level subnet beside a template that has interfaces.
    let interface = InstanceNetworkInterfaceSpecification::builder()
        .device_index(0)
        .subnet_id(&offer.subnet)
        .groups(order.group)
        .associate_public_ip_address(true)
        .delete_on_termination(true)
        .build();
    let request = cloud
        .launcher
        .run_instances()
        .launch_template(
            LaunchTemplateSpecification::builder()
                .launch_template_id(&template.id)
                .version(template.version.to_string())
                .build(),
        )
        .instance_type(InstanceType::from(offer.instance_type.as_str()))
        .network_interfaces(interface)
        .set_instance_market_options(max_price.map(capped))
        .set_tag_specifications(Some(specifications.collect()))
        .client_token(token)
        .min_count(1)
        .max_count(1);
    let answer = call("RunInstances", request.send()).await.map_err(Answer::Refused)?;
    let instance = answer.instances().first().ok_or_else(|| Answer::Broken(lacking("instancesSet", "RunInstances")))?;
    let mut worker = read(instance).map_err(|field| Answer::Broken(lacking(field, "RunInstances")))?;
    // AWS answers a launch that it had made before with the instance's state of now.
    if worker.zone.is_empty() {
        worker.zone.clone_from(&offer.zone.0);
    }
    if worker.state.is_over() {
        return Err(Answer::Refused(used_up(&worker)));
    }
    Ok(worker)
}

/// AWS's documented answer to a used-up token is an error; an ended worker means the same.
fn used_up(worker: &Worker) -> Failure {
    let message = format!("{} is {}", worker.id, worker.state.as_str());
    let code = Some("IdempotentInstanceTerminated".to_owned());
    Failure { code, ..Failure::of_answer("RunInstances", Class::TokenUsedUp, message) }
}

fn capped(max_price: Usd) -> InstanceMarketOptionsRequest {
    InstanceMarketOptionsRequest::builder()
        .market_type(MarketType::Spot)
        .spot_options(
            SpotMarketOptions::builder()
                .spot_instance_type(SpotInstanceType::OneTime)
                .instance_interruption_behavior(InstanceInterruptionBehavior::Terminate)
                .max_price(max_price.to_string())
                .build(),
        )
        .build()
}
