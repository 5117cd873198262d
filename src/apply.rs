//! Carries a plan out: what depends on nothing side by side, the rest along AWS's own dependencies, then the launch and
//! the wait.
//!
//! ```text
//! security group ─┬─ launch template ─┬─ launch ── wait
//! parameters ─────│───────────────────┤
//! role ┬─ policy ─│───────────────────┤
//!      └─ profile holds role ─────────┘
//! ```
//!
//! Branches are joined, never raced: when one fails the others end first, so that nothing is under way, and so unknown,
//! when the command says what exists.

use std::cell::{Cell, RefCell};
use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use crate::cloud::{Cloud, poll};
use crate::decide::classify::{Ended, classify_end};
use crate::decide::names::Market;
use crate::decide::offers::{Offer, Ranking, none_left};
use crate::decide::phase::console_tail;
use crate::decide::workers::{Goal, Progress, Worker, progress, slots_to_fill, unseen};
use crate::error::{Error, Kind as Failed, Result};
use crate::journal::Journal;
use crate::plan::{Observed, Plan, is_fresh};
use crate::resource::launch_template::Ready;
use crate::resource::worker::launch::{self, Watch, launch, reject_pool};
use crate::resource::{
    Kind, Making, by_subject, is_undecided, launch_template, launchers, parameters, role, security_group, worker,
};
use crate::spec::{Spec, Usd};
use crate::ui::{Ui, Waiting};

mod destroy;
mod down;
pub mod increase;
mod reap;

pub use destroy::destroy;
pub use down::{Down, Downed, down, look_on};
pub use reap::reap;

/// What an `apply` or `up` works with.
#[derive(Debug, Clone, Copy)]
pub struct Run<'a> {
    /// AWS.
    pub cloud: &'a Cloud,
    /// The file.
    pub spec: &'a Spec,
    /// The terminal.
    pub ui: &'a Ui,
    /// What was done.
    pub journal: &'a Journal,
}

/// In which order the foundation is made.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Order {
    /// Side by side, as far as AWS lets it.
    Quick,
    /// All else before the Spot template.
    TemplateLast,
}

/// The foundation, ready for a launch.
#[derive(Debug, Clone)]
pub struct Foundation {
    /// The Spot template.
    pub template: Ready,
    /// Its twin without market options.
    pub any_market: Ready,
    /// The security group's id.
    pub group: String,
}

impl Run<'_> {
    /// Makes or mends security group, role, parameters and launch templates.
    ///
    /// # Errors
    /// The first failure, after everything under way has ended.
    pub async fn foundation(&self, plan: &Plan, observed: &Observed) -> Result<Foundation> {
        Box::pin(self.in_order(plan, observed, Order::Quick)).await
    }

    /// The same so that of two runs with different files one file stands whole in the end, whatever the order of their calls:
    /// the Spot template's version is written after all that differs between files. Whoever wrote the latest version has
    /// written after all that others wrote before theirs. It looks whether all is as it wrote it ([`launch_template::Observed::supersedes`]), and where it is not
    /// begins anew, with a version of its own again; whoever did not leaves it at that. It takes two round trips more than
    /// an `up` spends.
    ///
    /// # Errors
    /// As for [`Run::foundation`].
    pub async fn foundation_alone(&self, plan: &Plan, observed: &Observed) -> Result<Foundation> {
        Box::pin(self.in_order(plan, observed, Order::TemplateLast)).await
    }

    async fn in_order(&self, plan: &Plan, observed: &Observed, order: Order) -> Result<Foundation> {
        let _waiting = plan.has_changes().then(|| self.ui.wait("making the foundation"));
        let (cloud, journal) = (self.cloud, self.journal);
        let change = |kind: Kind, name: &str| {
            plan.changes.iter().find(|change| change.kind == kind && change.name == name).cloned()
        };
        let told = |kind: Kind, name: &str, how: Making<'_>| {
            if let Some(change) = change(kind, name) {
                journal.making(change, how);
            }
        };
        let group = async {
            launchers::take_back(cloud, &plan.launchers).await?;
            let (desired, groups) = (&plan.group, &observed.groups);
            let of_group = |how: Making<'_>| told(Kind::SecurityGroup, &desired.name, how);
            security_group::apply(cloud, desired, groups, of_group).await
        };
        let templates = async |group: String| {
            let one = |desired: &launch_template::Desired, observed| {
                let desired = desired.clone();
                let group = group.clone();
                async move {
                    let of_template = |how: Making<'_>| told(Kind::LaunchTemplate, &desired.name, how);
                    launch_template::apply(cloud, &desired, observed, &group, of_template).await
                }
            };
            let spot = one(&plan.spot, observed.templates.spot.as_ref());
            let twin = one(&plan.any_market, observed.templates.any_market.as_ref());
            let (template, any_market) = match order {
                Order::Quick => {
                    let (spot, twin) = futures::join!(spot, twin);
                    (spot?, twin?)
                }
                Order::TemplateLast => {
                    let twin = twin.await?;
                    (spot.await?, twin)
                }
            };
            launchers::give(cloud, &plan.launchers, &observed.launchers).await?;
            Ok::<_, Error>(Foundation { template, any_market, group })
        };
        let role = async {
            let of_both = |kind: Kind, how: Making<'_>| told(kind, &plan.role.name, how);
            role::apply(cloud, &plan.role, &observed.role, of_both).await
        };
        let (wished, diff) = &plan.parameters;
        let parameters = parameters::apply(cloud, wished, diff, |change, how| journal.making(change.clone(), how));
        let foundation = match order {
            Order::Quick => {
                let templates = async { templates(group.await?).await };
                let (foundation, role, parameters) = futures::join!(templates, role, parameters);
                role?;
                parameters?;
                foundation?
            }
            Order::TemplateLast => {
                let (group, role, parameters) = futures::join!(group, role, parameters);
                role?;
                parameters?;
                templates(group?).await?
            }
        };
        for group in security_group::stale(&plan.group, &observed.groups) {
            security_group::destroy(cloud, group, async || Ok(())).await?;
        }
        self.record(plan);
        Ok(foundation)
    }

    /// Updates are in the journal when all is done; what was created is there already.
    fn record(&self, plan: &Plan) {
        let known = self.journal.changes();
        let known = by_subject(&known);
        let missing = plan
            .changes
            .iter()
            .filter(|change| change.is_needed() && !known.contains_key(&(change.kind, change.name.as_str())));
        missing.cloned().for_each(|change| self.journal.changed(change));
    }

    /// Launches what is missing and waits for it. What AWS refused is left in `ranking.rejected`.
    ///
    /// # Errors
    /// Nothing left to try; no definite answer; the time ran out; a worker ended before it got there.
    pub async fn workers(
        &self,
        plan: &Plan,
        observed: &Observed,
        foundation: &Foundation,
        goal: &Wait,
        ranking: &mut Ranking,
    ) -> Result<Vec<Worker>> {
        let mut order = launch::Order {
            stack: &self.spec.name,
            template: foundation.template.clone(),
            any_market: foundation.any_market.clone(),
            group: &foundation.group,
            tags: plan.worker_tags.clone(),
            max_price: plan.max_price,
            is_fresh: is_fresh(plan, observed, self.cloud.clock.now()),
        };
        // One deadline for all attempts: what AWS takes back again and again must not keep the command for ever.
        let end = Instant::now() + goal.limit;
        let mut workers = observed.workers.clone();
        // Those that live already count, and so does their end.
        let live = observed.workers.iter().filter(|worker| worker.counts());
        let mut awaited: BTreeSet<String> = live.map(|worker| worker.id.clone()).collect();
        let mut slots = plan.slots.clone();
        loop {
            if !slots.is_empty() {
                let narrator = Narrator::new(self, ranking);
                let result = launch(self.cloud, &order, ranking, slots, &narrator).await;
                let is_undecided = result.as_ref().is_err_and(is_undecided) || narrator.unanswered.get();
                self.journal.launched_all(is_undecided);
                let new = narrator.finish();
                awaited.extend(new.iter().map(|worker| worker.id.clone()));
                workers.retain(without(&new));
                workers.extend(new);
                result?;
            }
            if self.journal.is_stopped() {
                return Err(Error::new(Failed::Interrupted, "interrupted"));
            }
            if goal.goal == Goal::Launched {
                return Ok(workers);
            }
            let left = Wait { limit: end.saturating_duration_since(Instant::now()), ..*goal };
            match self.wait(&left, &awaited, workers.clone()).await? {
                (None, workers) => return Ok(workers),
                (Some(worker), mut now) => {
                    awaited.remove(&worker.id);
                    // What was launched and does not show itself yet holds its slot all the same.
                    let mut unseen = workers;
                    unseen.retain(|known| awaited.contains(&known.id));
                    unseen.retain(without(&now));
                    now.extend(unseen);
                    let reason = worker.state_reason.clone().unwrap_or_default();
                    let kind = match classify_end(&reason) {
                        Ended::Quota => Failed::Quota,
                        Ended::Capacity | Ended::OnPurpose => Failed::Capacity,
                    };
                    self.ui.warn(&format!("{} ended by itself ({reason}); trying the next offer", worker.id));
                    reject_pool(ranking, &worker, &reason, kind);
                    if ranking.offers.is_empty() {
                        return Err(none_left(ranking, &self.cloud.region));
                    }
                    slots = slots_to_fill(&now, goal.count);
                    // The launch may have moved it on.
                    order.template.generation = order.template.generation.max(worker.generation.unwrap_or(1));
                    workers = now;
                }
            }
        }
    }

    /// Looks until as many as wished got there. Each look also ends what two racing runs launched twice.
    /// Answers all workers, and the one that AWS ended by itself where there is such a one.
    async fn wait(
        &self,
        goal: &Wait,
        awaited: &BTreeSet<String>,
        before: Vec<Worker>,
    ) -> Result<(Option<Worker>, Vec<Worker>)> {
        let mut waiting: Option<Waiting> = None;
        let what = if goal.goal == Goal::Ready { "ready" } else { "running" };
        let pace = poll::Pace { limit: goal.limit, ..poll::STATE };
        let mut seen = before;
        let mut patience = LOOKS_FOR_ANOTHER;
        let (began, mut is_enough) = (Instant::now(), false);
        // A worker that has run is no refusal any more when AWS takes it back.
        let mut has_run = BTreeSet::new();
        let answer = poll::poll(pace, async || {
            let mut workers = worker::observe(self.cloud, &self.spec.name).await?;
            for extra in worker::end_duplicates(self.cloud, &mut workers).await? {
                self.journal.ended(&extra);
                self.ui.note(&format!("{extra} was launched by another run for the same slot and is ended"));
            }
            has_run.extend(workers.iter().filter(|worker| worker.has_run()).map(|worker| worker.id.clone()));
            let mut say = |label: String| match &mut waiting {
                Some(waiting) => waiting.update(&label),
                None => waiting = Some(self.ui.wait(&label)),
            };
            let progress = progress(&workers, awaited, goal.count, goal.goal);
            is_enough = progress == Progress::Done;
            let unseen = unseen(&workers, awaited);
            let look = match progress {
                // Another run's worker holds the slot of one that this run has launched: perhaps nobody else looks at the pair.
                Progress::Done if began.elapsed() < poll::VISIBLE_SOON.limit && !unseen.is_empty() => {
                    say(format!("waiting until {} shows itself", unseen.join(", ")));
                    poll::Look::Again
                }
                Progress::Done => poll::Look::Done((None, workers.clone())),
                Progress::Waiting(text) => {
                    say(format!("waiting until {what}: {text}"));
                    poll::Look::Again
                }
                Progress::Lost(worker) => {
                    let reason = worker.state_reason.clone().unwrap_or_default();
                    self.journal.ended(&worker.id);
                    match classify_end(&reason) {
                        // Another run may have ended it as the later one of a pair, and the earlier one be unseen yet.
                        Ended::OnPurpose if patience > 0 && reason == USER_ENDED => {
                            patience -= 1;
                            poll::Look::Again
                        }
                        Ended::OnPurpose => return Err(ended(self.cloud, worker, what).await),
                        _ if goal.goal == Goal::Ready && has_run.contains(&worker.id) => {
                            return Err(ended(self.cloud, worker, what).await);
                        }
                        Ended::Capacity | Ended::Quota => poll::Look::Done((Some(worker.clone()), workers.clone())),
                    }
                }
                Progress::Ending(worker) => return Err(ended(self.cloud, worker, what).await),
            };
            seen = workers;
            Ok::<_, Error>(look)
        })
        .await?;
        if answer.is_err() && is_enough {
            return Ok((None, seen));
        }
        answer.map_err(|poll::TimedOut| {
            let states: Vec<String> = seen
                .iter()
                .filter(|worker| worker.state.is_live())
                .map(|worker| format!("{} is {}", worker.id, worker.stands()))
                .collect();
            let states = if states.is_empty() { "no worker is visible".to_owned() } else { states.join(", ") };
            Error::new(Failed::Timeout, format!("not {what} within --timeout: {states}"))
                .hint(format!("it goes on without this command; look: spotctl status --name {}", self.spec.name))
        })
    }
}

/// How EC2 says that somebody called `TerminateInstances`.
const USER_ENDED: &str = "Client.UserInitiatedShutdown";

/// So many looks before a worker that somebody ended counts as lost.
const LOOKS_FOR_ANOTHER: u32 = 3;

/// Lines of the console that an error shows; `spotctl why` shows more.
const CONSOLE_LINES: usize = 15;

/// The error for a worker that ended, or says that it ends, before it got there: with the last lines of its console, since
/// the box and what it knows are gone in a moment.
async fn ended(cloud: &Cloud, worker: &Worker, what: &str) -> Error {
    let state = if worker.state.is_live() { "ending" } else { worker.state.as_str() };
    let mut reasons = Vec::new();
    reasons.extend(worker.phase.is_some().then(|| worker.stands()));
    reasons.extend(worker.state_reason.clone().filter(|_| !worker.state.is_live()));
    if reasons.is_empty() {
        reasons.push("no reason given".to_owned());
    }
    let mut error =
        Error::new(Failed::Worker, format!("{} is {state} before it was {what}: {}", worker.id, reasons.join(", ")));
    if let Ok(Some(text)) = worker::console(cloud, &worker.id).await {
        error.console = console_tail(&text, CONSOLE_LINES);
    }
    if worker.state_reason.as_deref() == Some("Client.InternalError") {
        error = error
            .hint("with volumes encrypted by a key of your own, the role AWSServiceRoleForEC2Spot needs a grant on it");
    }
    error.hint(format!("all that is known of it: spotctl why {}", worker.id))
}

/// How far `up` waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wait {
    /// Which state.
    pub goal: Goal,
    /// How many workers.
    pub count: u32,
    /// How long.
    pub limit: Duration,
}

/// Whether a worker is none of these.
fn without(others: &[Worker]) -> impl Fn(&Worker) -> bool {
    let others: BTreeSet<&str> = others.iter().map(|worker| worker.id.as_str()).collect();
    move |worker| !others.contains(worker.id.as_str())
}

/// Tells the journal and the terminal what the launch does.
struct Narrator<'a> {
    run: &'a Run<'a>,
    prices: Vec<Offer>,
    launched: RefCell<Vec<Worker>>,
    waiting: RefCell<Option<Waiting>>,
    said: RefCell<Vec<String>>,
    unanswered: Cell<bool>,
}

impl<'a> Narrator<'a> {
    fn new(run: &'a Run<'a>, ranking: &Ranking) -> Self {
        Self {
            run,
            prices: ranking.offers.clone(),
            launched: RefCell::default(),
            waiting: RefCell::default(),
            said: RefCell::default(),
            unanswered: Cell::default(),
        }
    }

    fn price(&self, worker: &Worker) -> Option<Usd> {
        let is_it = |offer: &&Offer| {
            offer.instance_type == worker.instance_type && offer.zone.0 == worker.zone && offer.market == worker.market
        };
        self.prices.iter().find(is_it).and_then(|offer| offer.price)
    }

    fn finish(self) -> Vec<Worker> {
        self.launched.into_inner()
    }
}

impl Watch for Narrator<'_> {
    fn under_way(&self, is_under_way: bool) {
        self.run.journal.launching(is_under_way);
    }

    fn may_launch(&self) -> bool {
        !self.run.journal.is_stopped()
    }

    fn trying(&self, offer: &Offer) {
        let price = offer.price.map_or_else(|| "price unknown".to_owned(), |price| format!("{price} USD an hour"));
        let label = format!("launching {} in {}, {price}", offer.instance_type, offer.zone);
        if offer.market == Market::OnDemand {
            self.note(format!("no Spot offer is left: buying on demand, {} at {price}", offer.instance_type));
        }
        let mut waiting = self.waiting.borrow_mut();
        match waiting.as_mut() {
            Some(waiting) => waiting.update(&label),
            None => *waiting = Some(self.run.ui.wait(&label)),
        }
    }

    fn launched(&self, worker: &Worker) {
        self.run.journal.launched(worker, self.price(worker));
        self.launched.borrow_mut().push(worker.clone());
    }

    fn unanswered(&self) {
        self.unanswered.set(true);
    }

    fn note(&self, text: String) {
        // Several launches at once meet the same thing; it is said once.
        let mut said = self.said.borrow_mut();
        if !said.contains(&text) {
            self.run.ui.note(&text);
            said.push(text);
        }
    }
}
