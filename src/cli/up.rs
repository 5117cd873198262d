//! `spotctl up`: apply, then launch until as many workers run as wished.

use std::collections::BTreeSet;
use std::time::Duration;

use tokio::time::Instant;

use super::context::{Context, finish, guarded};
use super::{Outcome, plan};
use crate::apply::{Run, Wait, look_on};
use crate::cloud::poll;
use crate::decide::classify::{Class, classify};
use crate::decide::offers::{Cause, Ranking, none_left};
use crate::decide::workers::{Goal, Worker};
use crate::error::{Error, Kind, Result};
use crate::plan::{Observed, Plan, Trust, Wants};
use crate::report::foundation;
use crate::report::workers::{Bound, Row, Up};
use crate::resource::by_subject;
use crate::resource::worker::launch::SUPERSEDED;
use crate::spec::{Period, Usd, Zone};

/// Arguments of `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// How many workers should run; those that run already count
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: u32,
    /// Only this instance type
    #[arg(long = "type", value_name = "TYPE")]
    instance_type: Option<String>,
    /// Only this zone
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<Zone>,
    /// Highest price in USD an hour; AWS enforces it
    #[arg(long, value_name = "USD", value_parser = super::price)]
    max_price: Option<Usd>,
    /// Buy on demand when no Spot pool can deliver; the highest price holds there too, and must be named
    #[arg(long)]
    on_demand_fallback: bool,
    /// Hard end of the new workers, such as 2h, or `none`
    #[arg(long, value_name = "TIME", value_parser = period_or_none)]
    ttl: Option<Limit>,
    /// Idle end of the new workers, such as 10m, or `none`
    #[arg(long, value_name = "TIME", value_parser = period_or_none)]
    idle: Option<Limit>,
    /// How far to wait
    #[arg(long, value_enum, default_value = "running")]
    wait: Goal,
    /// How long it may take in all: 5m unless said otherwise; with `--wait ready` `lifetime.boot` and 5m, so that the box speaks first
    #[arg(long, value_name = "TIME")]
    timeout: Option<Period>,
    /// Show the plan and change nothing
    #[arg(long)]
    dry_run: bool,
    #[command(flatten)]
    apply: super::apply::Changes,
}

/// A period, or `none`.
#[derive(Debug, Clone, Copy)]
struct Limit(Option<Period>);

fn period_or_none(text: &str) -> Result<Limit, String> {
    if text == crate::decide::names::NONE {
        return Ok(Limit(None));
    }
    text.parse()
        .map(|period| Limit(Some(period)))
        .map_err(|error: crate::spec::InvalidText| format!("{error}, or `none`"))
}

#[expect(clippy::unnecessary_wraps, reason = "clap's value parsers answer a Result")]
fn zone(text: &str) -> Result<Zone, String> {
    Ok(Zone(text.to_owned()))
}

impl Args {
    fn wants(&self) -> Wants {
        Wants {
            count: self.count,
            instance_type: self.instance_type.clone(),
            zone: self.zone.clone(),
            max_price: self.max_price,
            on_demand: self.on_demand_fallback,
            ttl: self.ttl.map(|limit| limit.0),
            idle: self.idle.map(|limit| limit.0),
            ..self.apply.wants()
        }
    }
}

impl Args {
    /// How long to wait, `boot` being the file's own limit for a box to become ready.
    fn limit(&self, boot: Option<Period>) -> Duration {
        const LAUNCH: Duration = Duration::from_mins(5);
        match self.timeout {
            Some(limit) => limit.duration(),
            None if self.wait == Goal::Ready => LAUNCH + boot.map_or(LONGEST_BOOT, Period::duration),
            None => LAUNCH,
        }
    }
}

/// Where the file says `boot: none`.
const LONGEST_BOOT: Duration = Duration::from_mins(55);

pub(crate) async fn run(context: &Context, args: &Args) -> Outcome {
    if args.wait == Goal::Ready && context.is_rehearsal {
        return Err(Error::usage("`--wait ready` waits for the box to speak, and `--sandbox` runs none")
            .hint("wait until EC2 says running: spotctl up --wait running")
            .into());
    }
    if args.dry_run {
        let mut report = foundation::Plan::default();
        let result = guarded(context, Box::pin(plan::show(context, &args.wants(), &mut report))).await.map(|_| 0);
        return finish(&context.ui, "up", &report, result);
    }
    let mut report = Up { stack: context.spec.name.to_string(), region: context.cloud.region.clone(), ..Up::default() };
    let mut state = State::default();
    let deadline = &context.cloud.deadline;
    deadline.set(args.limit(context.spec.lifetime.boot));
    let result = guarded(context, deadline.bound(Box::pin(work(context, args, &mut state)))).await;
    fill(context, &state, &mut report);
    // Workers that run are what was asked for: named as workers, with the way to end them, not as leftovers.
    let result = result.map_err(|mut error| {
        let running: BTreeSet<&str> = report.workers.iter().map(|row| row.id.as_str()).collect();
        error.leftovers.retain(|left| !running.contains(left.id.as_str()));
        match billed(&report.workers) {
            Some(workers) => {
                error.hint(format!("what is billed: {workers}; to end it: spotctl down --name {}", report.stack))
            }
            None => error,
        }
    });
    finish(&context.ui, "up", &report, result)
}

/// Which workers there are and what they cost, the first few; `None` where there are none.
fn billed(workers: &[Row]) -> Option<String> {
    const SHOWN: usize = 5;
    let one = |row: &Row| {
        let price = row.hourly.and_then(|hourly| hourly.total()).or(row.price_per_hour);
        let price = price.map_or_else(
            || "at a price that is not known".to_owned(),
            |usd| format!("{} USD an hour", usd.rounded_rate()),
        );
        format!("{} ({price})", row.id)
    };
    let mut words: Vec<String> = workers.iter().take(SHOWN).map(one).collect();
    words.extend((workers.len() > SHOWN).then(|| format!("{} more", workers.len() - SHOWN)));
    (!words.is_empty()).then(|| words.join(", "))
}

/// What is known so far; the report is made of it, however the work ended.
#[derive(Default)]
struct State {
    known: Option<(Observed, Plan)>,
    ranking: Ranking,
    workers: Vec<Worker>,
}

async fn work(context: &Context, args: &Args, state: &mut State) -> Result<u8> {
    let mut trust = Trust::Kept;
    let mut has_found = false;
    loop {
        match once(context, args, state, trust).await {
            // Nothing begins anew after a signal.
            Err(error) if context.journal.is_stopped() => return Err(error),
            Err(error) if trust == Trust::Kept && is_image_gone(&error) => {
                // The one thing that the template cannot tell of its image. Whatever was launched before is found again.
                let pinned = state.known.as_ref().and_then(|(seen, _)| seen.templates.spot.as_ref()?.image.as_deref());
                context
                    .ui
                    .warn(&format!("the pinned image {} is gone; looking for another", pinned.unwrap_or_default()));
                trust = Trust::Nothing;
                look_for_lost(context, state).await;
            }
            // Another run has applied another file, or this one, meanwhile. It is an end of both: theirs, then this one.
            Err(error) if error.code.as_deref() == Some(SUPERSEDED) && !context.cloud.deadline.is_over() => {
                context.ui.note("another run has changed the foundation meanwhile; beginning anew");
                look_for_lost(context, state).await;
            }
            Err(error) if error.kind == Kind::Quota && !has_found && was_refused(&state.ranking) => {
                // Once: others may go on launching, and the quota is full all the same.
                has_found = true;
                let Some(late) = late_worker(context, state).await else { return Err(error) };
                context.ui.note(&format!("{} was launched a moment ago and uses the quota; beginning anew", late.id));
            }
            other => return other,
        }
    }
}

/// Before anything is planned anew: that may ask another pool, whose token says nothing of a launch whose answer got lost.
async fn look_for_lost(context: &Context, state: &State) {
    if context.journal.may_have_launched() {
        late_worker(context, state).await;
    }
}

/// Whether AWS itself said that a quota is used up.
fn was_refused(ranking: &Ranking) -> bool {
    ranking.rejected.iter().any(|rejection| rejection.cause == Cause::Refused && rejection.kind == Kind::Quota)
}

/// One that was launched in the last seconds and that this run has not seen yet. If `up` launched it, it holds its slot from now
/// on, even if the next read does not show it.
async fn late_worker(context: &Context, state: &State) -> Option<Worker> {
    let launched = context.journal.workers().into_iter().map(|(worker, _)| worker.id);
    let known: BTreeSet<String> = state.workers.iter().map(|worker| worker.id.clone()).chain(launched).collect();
    let new =
        |workers: &[Worker]| workers.iter().find(|worker| worker.counts() && !known.contains(&worker.id)).cloned();
    let Context { cloud, spec, ui, .. } = context;
    let seen = look_on(cloud, &spec.name, ui, Instant::now(), |workers| new(workers).is_some());
    // Where it cannot be looked for in time the failure speaks for itself.
    let late = poll::courtesy(seen).await.and_then(Result::ok).and_then(|workers| new(&workers));
    if let Some(worker) = late.as_ref().filter(|worker| worker.slot.is_some()) {
        context.journal.launched(worker, None);
    }
    late
}

/// Whether a launch was refused because of its image.
fn is_image_gone(error: &Error) -> bool {
    let code = error.code.as_deref().filter(|_| error.operation == Some("RunInstances"));
    code.is_some_and(|code| classify(code, &error.message, 400) == Class::ImageGone)
}

async fn once(context: &Context, args: &Args, state: &mut State, trust: Trust) -> Result<u8> {
    let (observed, plan) = context.plan_to_launch(&args.wants(), trust).await?;
    super::status::warn_of_expired(&context.ui, &context.spec.name, &observed.workers, context.cloud.clock.now());
    state.workers.clone_from(&observed.workers);
    state.ranking = plan.ranking.clone();
    state.known = Some((observed.clone(), plan.clone()));
    if !plan.slots.is_empty() && plan.ranking.offers.is_empty() {
        // Before anything is made: nothing could come of it.
        return Err(none_left(&plan.ranking, &context.cloud.region));
    }
    let run = Run { cloud: &context.cloud, spec: &context.spec, ui: &context.ui, journal: &context.journal };
    let foundation = Box::pin(run.foundation(&plan, &observed)).await?;
    let limit = context.cloud.deadline.left().unwrap_or_else(|| args.limit(context.spec.lifetime.boot));
    let goal = Wait { goal: args.wait, count: args.count, limit };
    state.workers = run.workers(&plan, &observed, &foundation, &goal, &mut state.ranking).await?;
    Ok(0)
}

fn fill(context: &Context, state: &State, report: &mut Up) {
    let Some((observed, plan)) = &state.known else { return };
    report.account.clone_from(&observed.caller.account);
    let done = context.journal.changes();
    let done = by_subject(&done);
    // Every line of the plan: what was done, and what was found as it should be.
    let happened = plan.changes.iter().filter_map(|planned| {
        let found = done.get(&(planned.kind, planned.name.as_str())).copied();
        found.or((!planned.is_needed()).then_some(planned)).cloned()
    });
    report.changes = happened.collect();
    report.rejected.clone_from(&state.ranking.rejected);
    let launched = context.journal.workers();
    let mut workers = state.workers.clone();
    let known: BTreeSet<&str> = state.workers.iter().map(|worker| worker.id.as_str()).collect();
    let unknown = launched.iter().filter(|(new, _)| !known.contains(new.id.as_str()));
    workers.extend(unknown.map(|(new, _)| new.clone()));
    let now = context.cloud.clock.now();
    let live: Vec<&Worker> = workers.iter().filter(|worker| worker.state.is_live()).collect();
    // The volumes of what this run launched are the plan's: EC2 shows them only after a while.
    let mut ledger = observed.ledger();
    for worker in &live {
        ledger.disks.entry(worker.id.clone()).or_insert_with(|| vec![plan.volume.into()]);
    }
    let new: BTreeSet<&str> = launched.iter().map(|(new, _)| new.id.as_str()).collect();
    let row = |worker: &&Worker| Row::new(worker, &ledger, now, new.contains(worker.id.as_str()));
    report.workers = live.iter().map(row).collect();
    report.bound = Bound::of_live(live, &ledger);
}

#[cfg(test)]
mod hidden;
#[cfg(test)]
mod markets;
#[cfg(test)]
mod races;
#[cfg(test)]
mod weather;

#[cfg(test)]
pub(super) mod tests {
    use std::collections::BTreeMap;
    use std::path::Path;

    use clap::Parser;
    use secrecy::SecretString;
    use tokio::time::Instant;

    use super::*;
    use crate::apply::{Down, Downed, down};
    use crate::cloud::Cloud;
    use crate::journal::Journal;
    use crate::sandbox::{Sandbox, client};
    use crate::settings::{Color, Output};
    use crate::ui::Ui;

    pub(in crate::cli) const LATENCY: Duration = Duration::from_millis(50);

    #[derive(Parser)]
    pub(super) struct Only {
        #[command(flatten)]
        pub(super) args: Args,
    }

    fn context(sandbox: &Sandbox) -> Context {
        // Nine: the tenth would fill a page of parameters, and an extra page does not count.
        let env = (0..9).map(|index| (format!("K{index}"), SecretString::from("v"))).collect::<BTreeMap<_, _>>();
        Context { env: Some(env), ..context_of(sandbox, "us-east-1", "name: w\ncontainer: {image: i}\n") }
    }

    /// Without a `.env`.
    pub(in crate::cli) fn context_of(sandbox: &Sandbox, region: &str, file: &str) -> Context {
        let config = client::config(sandbox, region).timeout_config(crate::cloud::patience()).build();
        Context {
            ui: Ui::new(Output::Text, true, Color::Never),
            spec: crate::config::parse(file, Path::new("spotctl.yaml")).unwrap(),
            env: None,
            cloud: Cloud::from_config(&config).unwrap(),
            journal: Journal::default(),
            is_rehearsal: false,
        }
    }

    pub(in crate::cli) fn sandbox() -> Sandbox {
        let sandbox = Sandbox::in_memory();
        for words in ["latency 50ms", "profile-delay 0s"] {
            sandbox.say(words);
        }
        sandbox
    }

    /// Virtual time over latency: sequential round trips, whatever the machine.
    pub(in crate::cli) async fn round_trips<T>(work: impl Future<Output = T>) -> (T, u128) {
        let began = Instant::now();
        let result = work.await;
        (result, (began.elapsed().as_millis() + LATENCY.as_millis() / 2) / LATENCY.as_millis())
    }

    /// Makes what an `up` launches from, and launches nothing.
    pub(in crate::cli) async fn found(context: &Context) {
        let (observed, plan) = context.plan(&Wants::default()).await.unwrap();
        let run = Run { cloud: &context.cloud, spec: &context.spec, ui: &context.ui, journal: &context.journal };
        Box::pin(run.foundation(&plan, &observed)).await.unwrap();
    }

    /// `down` of all, or of these.
    pub(super) async fn end(context: &Context, only: &[String]) -> (Result<()>, Downed) {
        let limit = Some(Duration::from_mins(10));
        let order = Down { stack: &context.spec.name, only, limit, template_stays: true };
        let mut done = Downed::default();
        (down(&context.cloud, order, &context.ui, &mut done).await, done)
    }

    async fn up(sandbox: &Sandbox, flags: &[&str]) -> u128 {
        let args = Only::parse_from([&["up"], flags].concat()).args;
        let context = context(sandbox);
        let mut state = State::default();
        let (result, trips) = round_trips(Box::pin(work(&context, &args, &mut state))).await;
        assert_eq!(result.map_err(|error| error.message), Ok(0));
        trips
    }

    #[tokio::test(start_paused = true)]
    async fn a_cold_up_takes_five_sequential_round_trips_at_most_and_a_warm_one_two() {
        let sandbox = sandbox();
        let cold = up(&sandbox, &["--wait", "launched"]).await;
        assert!(cold <= 5, "{cold}");
        let warm = up(&sandbox, &["--wait", "launched", "--count", "2"]).await;
        assert!(warm <= 2, "{warm}");
        let nothing = up(&sandbox, &["--wait", "launched", "--count", "2"]).await;
        assert!(nothing <= 2, "{nothing}");
    }

    /// The image that the stack's template pins.
    async fn pinned(sandbox: &Sandbox) -> String {
        let context = context(sandbox);
        let templates = crate::resource::launch_template::observe(&context.cloud, &context.spec.name).await.unwrap();
        templates.spot.and_then(|spot| spot.image).unwrap()
    }

    #[tokio::test(start_paused = true)]
    async fn an_image_that_has_gone_since_it_was_pinned_is_replaced_whether_something_is_launched_or_not() {
        for launched_before in [false, true] {
            let sandbox = sandbox();
            if launched_before {
                up(&sandbox, &[]).await;
            } else {
                found(&context(&sandbox)).await;
            }
            let gone = pinned(&sandbox).await;
            sandbox.set(&["deregister".to_owned(), gone.clone()]).unwrap();
            up(&sandbox, &[]).await;
            assert_ne!(pinned(&sandbox).await, gone);
            let context = context(&sandbox);
            let workers = crate::resource::worker::observe(&context.cloud, &context.spec.name).await.unwrap();
            assert_eq!(workers.len(), 1, "launched before: {launched_before}");
            let (_, plan) = context.plan(&Wants::default()).await.unwrap();
            assert!(!plan.has_changes(), "{:?}", plan.changes);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn what_a_version_keeps_of_its_image_is_believed_of_that_image_only() {
        let sandbox = sandbox();
        let context = context(&sandbox);
        up(&sandbox, &["--wait", "launched"]).await;
        let kept = async || {
            let templates =
                crate::resource::launch_template::observe(&context.cloud, &context.spec.name).await.unwrap();
            templates.spot.unwrap().kept_image
        };
        assert!(
            kept().await.is_some_and(|image| image.minimum == crate::spec::Gib(75) && image.root_device == "/dev/sda1")
        );
        // A copy made by hand, with another image and the old description.
        let ec2 = &context.cloud.ec2;
        let template =
            || ec2.describe_launch_template_versions().launch_template_name("spotctl-w").versions("$Default");
        let said =
            template().send().await.unwrap().launch_template_versions()[0].version_description().unwrap().to_owned();
        let data = aws_sdk_ec2::types::RequestLaunchTemplateData::builder().image_id("ami-0123456789abcdef0").build();
        let copy = ec2.create_launch_template_version().launch_template_name("spotctl-w").source_version("1");
        copy.version_description(said).launch_template_data(data).send().await.unwrap();
        ec2.modify_launch_template().launch_template_name("spotctl-w").default_version("2").send().await.unwrap();
        assert_eq!(kept().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_too_late_is_asked_for_again_and_nothing_is_made_twice() {
        for operation in [
            "CreateSecurityGroup",
            "CreateRole",
            "CreateInstanceProfile",
            "PutRolePolicy",
            "AddRoleToInstanceProfile",
            "PutParameter",
            "CreateLaunchTemplate",
            "RunInstances",
            "DescribeInstances",
            "GetServiceQuota",
        ] {
            for hold in ["hold", "hold-after"] {
                let sandbox = sandbox();
                let fault = format!("fail {operation} {hold} 1");
                sandbox.say(&fault);
                let trips = up(&sandbox, &["--wait", "launched"]).await;
                // Half a minute, or the five seconds after which the SDK gives up a stream that stalls.
                assert!(trips >= 100, "{fault}: nobody waited: {trips}");
                let context = context(&sandbox);
                let workers = crate::resource::worker::observe(&context.cloud, &context.spec.name).await.unwrap();
                assert_eq!(workers.len(), 1, "{fault}");
                let (_, plan) = context.plan(&crate::plan::Wants::default()).await.unwrap();
                assert!(!plan.has_changes(), "{fault}: {:?}", plan.changes);
            }
        }
    }

    #[tokio::test(start_paused = true)]
    async fn status_takes_one_round_trip_without_workers_and_two_with() {
        use crate::cli::status;
        let sandbox = sandbox();
        let status = async |trips_wanted: u128| {
            let context = context(&sandbox);
            let mut report = crate::report::workers::Status::default();
            let work = status::one(&context.ui, &context.cloud, &context.spec.name, &mut report);
            let (result, trips) = round_trips(work).await;
            assert!(result.is_ok());
            assert_eq!(trips, trips_wanted);
        };
        status(1).await;
        up(&sandbox, &["--wait", "launched"]).await;
        status(2).await;
    }

    #[tokio::test(start_paused = true)]
    async fn fifty_workers_come_and_go_through_the_buckets_that_aws_throttles_by() {
        let sandbox = sandbox();
        for words in ["quota G=1000", "throttle on"] {
            sandbox.say(words);
        }
        up(&sandbox, &["--count", "50"]).await;
        let context = context(&sandbox);
        context.cloud.deadline.set(Duration::from_mins(10));
        let (ended, done) = end(&context, &[]).await;
        assert_eq!(ended.map_err(|error| error.message), Ok(()));
        assert_eq!(done.terminated.len(), 50);
        let calls = sandbox.calls().unwrap();
        // Five at once and two a second: most of the fifty were refused once at least.
        assert!(calls["RunInstances"] > 60, "{calls:?}");
    }
}
