//! `spotctl down`: ends the workers and waits until they are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Outcome;
use super::context::{finish, stack};
use super::signal::until_signal;
use crate::apply;
use crate::error::{Error, Leftover};
use crate::report::workers::{Bill, Down};
use crate::resource::Change;
use crate::settings::GlobalArgs;
use crate::spec::{Period, WorkerName};
use crate::ui::Ui;

/// Arguments of `down`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Only these workers; all of the stack when none is named
    #[arg(value_name = "ID")]
    ids: Vec<String>,
    /// The stack; then no file is needed
    #[arg(long, value_name = "NAME")]
    name: Option<WorkerName>,
    /// Do not wait until AWS shows them as terminated, nor for one that was launched seconds ago and does not show itself yet
    #[arg(long)]
    no_wait: bool,
    /// How long it may take in all
    #[arg(long, value_name = "TIME", default_value = "10m")]
    timeout: Period,
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let (name, cloud) = stack(ui, global, args.name.as_ref()).await?;
    let mut report = Down { stack: name.to_string(), region: cloud.region.clone(), ..Down::default() };
    let limit = Duration::from_secs(u64::from(args.timeout.as_secs()));
    cloud.deadline.set(limit);
    let limit = (!args.no_wait).then_some(limit);
    let mut done = apply::Downed::default();
    let order = apply::Down { stack: &name, only: &args.ids, limit, template_stays: true };
    let work = async {
        apply::down(&cloud, order, ui, &mut done).await?;
        if done.may_miss {
            ui.note(&format!(
                "a worker launched in the last seconds may not show itself yet; to wait for it: spotctl down --name {name}"
            ));
        }
        if !done.later.is_empty() {
            ui.note(&format!(
                "not ended, since launched meanwhile: {}; to end that, too: spotctl down --name {name}",
                done.later.join(", ")
            ));
        }
        Ok(0)
    };
    let look = format!("spotctl status --name {name}");
    let again = |error: Error| {
        let is_said = error.hints.iter().any(|hint| hint.ends_with(&look));
        if is_said { error } else { error.hint(format!("what is left: {look}")) }
    };
    let result = until_signal(cloud.deadline.bound(Box::pin(work))).await.map_err(again);
    let result = result.map_err(|error| left(error, &done, &[]));
    ended(&mut report, done);
    finish(ui, "down", &report, result)
}

/// Names what was seen and is not known to be ended or removed.
pub(super) fn left(mut error: Error, done: &apply::Downed, deleted: &[Change]) -> Error {
    let deleted: Vec<Leftover> = deleted.iter().map(Change::leftover).collect();
    let is_gone = |left: &Leftover| {
        let is_it = |gone: &Leftover| (&gone.kind, &gone.id) == (&left.kind, &left.id);
        done.terminated.contains(&left.id) || deleted.iter().any(is_it)
    };
    let price = |id: &str| {
        let (workers, _, ledger) = done.ended.as_ref()?;
        ledger.hourly(workers.iter().find(|worker| worker.id == id)?).total()
    };
    // Seen twice where it was looked for before the workers ended, and after.
    let mut named = BTreeSet::new();
    let seen = done.seen.borrow();
    let left = seen.iter().filter(|left| !is_gone(left) && named.insert((&left.kind, &left.id))).cloned();
    error.leftovers =
        left.map(|left| Leftover { usd_per_hour: left.usd_per_hour.or(price(&left.id)), ..left }).collect();
    error
}

/// What was ended, and what it has cost.
pub(super) fn ended(report: &mut Down, done: apply::Downed) {
    if let Some((workers, now, ledger)) = done.ended {
        let terminated: BTreeSet<&String> = done.terminated.iter().collect();
        let told = workers.iter().filter(|worker| terminated.contains(&worker.id));
        report.bills = told.map(|worker| Bill::new(worker, &ledger, now)).collect();
    }
    report.terminated = done.terminated;
    report.cancelled = done.cancelled;
}
