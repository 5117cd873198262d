//! `spotctl quota watch`: waits until the applied value of a quota suffices, for hours if it must.
//!
//! Only the applied value counts: a request is `APPROVED` before it is, and `CASE_CLOSED` says nothing of it. Whatever a
//! look fails with later on, the next one may succeed: the network comes back, credentials are renewed. Only the first
//! look, with somebody at the terminal, ends the command when AWS does not let it look.

use jiff::Timestamp;
use tokio::time::Instant;

use super::super::Outcome;
use super::super::context::finish;
use super::super::signal::until_signal;
use super::notify::{News, notify};
use super::sight::{Source, doing};
use super::target::{Flags, Prefer, find};
use crate::cloud::poll::{INCREASE, Look, Pace, TimedOut, poll};
use crate::cloud::{Cloud, Failure};
use crate::decide::classify::Class;
use crate::decide::increase::{APPLIED_WITHIN, Increase, Verdict, judge};
use crate::decide::need::Known;
use crate::decide::quota::Quota;
use crate::error::{Error, Kind, Result};
use crate::market::quotas;
use crate::report::quota::{Quotas, Watched};
use crate::settings::GlobalArgs;
use crate::spec::Period;
use crate::ui::Ui;

/// Arguments of `quota watch`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    flags: Flags,
    /// How long to wait
    #[arg(long, value_name = "TIME", default_value = "48h")]
    timeout: Period,
    /// How often to look; the first looks come sooner
    #[arg(long, value_name = "TIME", default_value = "60s")]
    interval: Period,
    /// Run this through the shell when the waiting is over, unless it was interrupted; it finds `SPOTCTL_QUOTA_CODE`,
    /// `SPOTCTL_QUOTA_LIMIT` and `SPOTCTL_QUOTA_STATUS` (granted, denied, closed, nothing, timeout, failed)
    #[arg(long, value_name = "CMD")]
    notify: Option<String>,
}

impl Args {
    fn pace(&self) -> Pace {
        let slowest = self.interval.duration();
        Pace { first: INCREASE.first.min(slowest), slowest, limit: self.timeout.duration() }
    }
}

pub(super) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let source = Source::open(ui, global, args.flags.needs_file()).await?;
    let mut report = Watched::new(Quotas::new(&source.cloud.region, source.stack(), args.flags.count));
    let result = until_signal(Box::pin(watch(ui, &source, args, &mut report))).await;
    report.ends(result.as_ref().err().map(|error| error.kind));
    let news = News {
        code: report.code().unwrap_or_default().to_owned(),
        status: report.status,
        limit: report.limit().map_or_else(String::new, |limit| limit.to_string()),
    };
    let outcome = finish(ui, "quota", &report, result);
    // Whoever stops the waiting has no news to get; and a command that launches must not run after a Ctrl-C.
    let is_stopped = matches!(report.status, "interrupted");
    if let Some(command) = args.notify.as_ref().filter(|_| !is_stopped) {
        notify(ui, command, &news).await;
    }
    outcome
}

async fn watch(ui: &Ui, source: &Source, args: &Args, report: &mut Watched) -> Result<u8> {
    let known = find(ui, source, &args.flags, Prefer::Open).await?;
    report.is_about(&known, Timestamp::now());
    let quota = known.standing.quota;
    let least = known.least(args.flags.count, source.stack().as_deref()).map(|least| least.vcpus);
    let Some(wished) = args.flags.vcpus.or_else(|| wished(&known, least)) else {
        report.status = "nothing";
        return Err(nothing(quota, known.standing.limit, None));
    };
    report.vcpus = Some(wished);
    let mut cloud = source.cloud.clone();
    let look = async || {
        let seen = look(&cloud, quota).await;
        // Credentials in files are read once a client: what has been renewed there is found by a new one.
        if !source.settings.sandbox
            && let Err(failure) = &seen
            && failure.class == Class::Access
            && let Ok(anew) = Cloud::connect(&source.settings).await
        {
            cloud = anew;
        }
        seen
    };
    wait(ui, Goal { quota, wished, pace: args.pace() }, look, report).await?;
    Ok(0)
}

/// What is waited for when no number is given: what is needed; where that is there already, or nobody knows it, what was
/// asked for.
fn wished(known: &Known, least: Option<u32>) -> Option<u32> {
    let suffices = |least: u32| known.standing.limit.is_some_and(|limit| limit >= least);
    let asked = match least {
        Some(least) if !suffices(least) => return Some(least),
        Some(_) => known.open(),
        None => known.open().or(known.increases.as_ref()?.first()),
    };
    asked.and_then(|increase| increase.vcpus).or(least)
}

/// What is waited for.
#[derive(Debug, Clone, Copy)]
struct Goal {
    quota: Quota,
    wished: u32,
    pace: Pace,
}

/// What one look saw.
#[derive(Debug, Clone)]
struct Seen {
    limit: Option<u32>,
    /// The newest first.
    increases: Vec<Increase>,
    at: Timestamp,
}

async fn look(cloud: &Cloud, quota: Quota) -> Result<Seen, Failure> {
    let (limit, increases) = futures::try_join!(quotas::limit(cloud, quota), quotas::increases(cloud, quota))?;
    Ok(Seen { limit, increases, at: Timestamp::now() })
}

/// Looks until it is over; the report holds what was seen last.
async fn wait(
    ui: &Ui,
    goal: Goal,
    mut look: impl AsyncFnMut() -> Result<Seen, Failure>,
    report: &mut Watched,
) -> Result<()> {
    let Goal { quota, wished, pace } = goal;
    let mut line = ui.wait(&format!("waiting until {} is {wished} vCPUs", quota.code));
    let (mut has_seen, mut is_lost) = (false, false);
    let ended = to_the_end(pace, async || {
        let seen = match look().await {
            Ok(seen) => seen,
            Err(failure) if passes(&failure, has_seen) => {
                if !std::mem::replace(&mut is_lost, true) {
                    ui.warn(&format!("{}; going on", doing(failure, quota).message));
                }
                return Ok(Look::Again);
            }
            Err(failure) => return Err(doing(failure, quota)),
        };
        if std::mem::replace(&mut is_lost, false) {
            ui.note("AWS answers again");
        }
        has_seen = true;
        report.saw(seen.limit, &seen.increases, seen.at);
        match judge(seen.limit, wished, &seen.increases, seen.at) {
            Verdict::Granted => Ok(Look::Done(())),
            Verdict::Wait(increase) => {
                line.update(&format!("{}, {wished} are wanted: {}", now(quota, seen.limit), increase.said()));
                Ok(Look::Again)
            }
            Verdict::Refused(increase) => {
                report.status = "denied";
                Err(refused(goal, seen.limit, increase))
            }
            Verdict::InVain(increase) => {
                report.status = "closed";
                Err(in_vain(goal, seen.limit, increase))
            }
            Verdict::Nothing => {
                report.status = "nothing";
                Err(nothing(quota, seen.limit, Some(wished)))
            }
        }
    })
    .await?;
    ended.map_err(|TimedOut| {
        let now = if has_seen { now(quota, report.limit()) } else { "AWS did not answer once".to_owned() };
        timed_out(goal, &now)
    })
}

/// Polls, with a last look when the time is over: what was granted in the last minute counts.
async fn to_the_end<T>(pace: Pace, mut look: impl AsyncFnMut() -> Result<Look<T>>) -> Result<Result<T, TimedOut>> {
    let end = Instant::now() + pace.limit;
    let ended = poll(pace, &mut look).await?;
    let left = end.saturating_duration_since(Instant::now());
    if ended.is_ok() || left.is_zero() {
        return Ok(ended);
    }
    poll(Pace { first: left, slowest: left, limit: left }, &mut look).await
}

/// Whether another look may do better. Of what AWS does not allow, only once it has been allowed before.
fn passes(failure: &Failure, has_seen: bool) -> bool {
    match failure.class {
        Class::Network | Class::Server | Class::Throttled => true,
        Class::Access => has_seen,
        _ => false,
    }
}

fn now(quota: Quota, limit: Option<u32>) -> String {
    match limit {
        Some(limit) => format!("the limit of {} is {limit} vCPUs", quota.code),
        None => format!("AWS does not say what the limit of {} is", quota.code),
    }
}

const CONSOLE: &str = "https://console.aws.amazon.com/servicequotas/home/services/ec2/quotas";

fn again(goal: Goal) -> String {
    format!("to ask again: spotctl quota request --code {} --vcpus {}", goal.quota.code, goal.wished)
}

fn refused(goal: Goal, limit: Option<u32>, increase: &Increase) -> Error {
    let now = now(goal.quota, limit);
    Error::new(Kind::Quota, format!("{}, and {now}, {} are wanted", increase.said(), goal.wished))
        .hint(format!("AWS says why in the case, which can be answered: {CONSOLE}"))
        .hint(again(goal))
}

fn in_vain(goal: Goal, limit: Option<u32>, increase: &Increase) -> Error {
    let now = now(goal.quota, limit);
    let minutes = APPLIED_WITHIN.as_secs() / 60;
    let less = increase.vcpus.is_some_and(|asked| asked < goal.wished);
    let why =
        if less { "it asked for less".to_owned() } else { format!("nothing came of it within {minutes} minutes") };
    Error::new(Kind::Quota, format!("{}, but {now}, {} are wanted: {why}", increase.said(), goal.wished))
        .hint(format!("that a case is closed does not say that it was granted; read it: {CONSOLE}"))
        .hint(again(goal))
}

fn nothing(quota: Quota, limit: Option<u32>, wished: Option<u32>) -> Error {
    let wanted = wished.map_or_else(String::new, |wished| format!(" and {wished} are wanted"));
    let number = wished.map_or_else(|| "N".to_owned(), |wished| wished.to_string());
    Error::new(
        Kind::Quota,
        format!("nothing to wait for: {}{wanted}, but no increase was asked for", now(quota, limit)),
    )
    .hint(format!("spotctl quota request --code {} --vcpus {number}", quota.code))
}

fn timed_out(goal: Goal, now: &str) -> Error {
    Error::new(Kind::Timeout, format!("still waiting until {} is {} vCPUs: {now}", goal.quota.code, goal.wished))
        .hint("a request needs nobody who watches; to look again: spotctl quota watch")
}

#[cfg(test)]
mod tests;
