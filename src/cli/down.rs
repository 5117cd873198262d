//! `spotctl down`: ends the workers and waits until they are gone.

use std::collections::BTreeSet;
use std::time::Duration;

use super::Outcome;
use super::context::{finish, stack};
use super::signal::until_signal;
use crate::apply;
use crate::report::workers::{Bill, Down};
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
    /// Do not wait until AWS shows them as terminated
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
    let work = async { apply::down(&cloud, order, ui, &mut done).await.map(|()| 0) };
    let again = |error: crate::error::Error| error.hint(format!("what is left: spotctl status --name {name}"));
    let result = until_signal(cloud.deadline.bound(Box::pin(work))).await.map_err(again);
    ended(&mut report, done);
    finish(ui, "down", &report, result)
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
