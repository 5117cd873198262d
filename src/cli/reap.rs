//! `spotctl reap`: ends workers past their expiry, from anywhere (cron, CI).

use std::collections::BTreeMap;

use jiff::Timestamp;

use super::Outcome;
use super::context::{end_duplicates, finish, stack};
use super::signal::until_signal;
use crate::apply;
use crate::cloud::Cloud;
use crate::decide::workers::{Worker, expired};
use crate::error::Result;
use crate::report::workers::{Expired, Reap};
use crate::resource::worker;
use crate::settings::{GlobalArgs, Settings};
use crate::spec::{Period, WorkerName};
use crate::ui::Ui;

/// Arguments of `reap`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stack; then no file is needed
    #[arg(long, value_name = "NAME")]
    name: Option<WorkerName>,
    /// Every stack in the region
    #[arg(long, conflicts_with = "name")]
    all: bool,
    /// How long past its expiry a worker may drain by itself
    #[arg(long, value_name = "TIME", default_value = "3m")]
    grace: Period,
    /// Show what has expired and end nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let (name, cloud) = if args.all {
        let settings = Settings::resolve(global, |name| std::env::var(name).ok(), None);
        (None, Cloud::connect(&settings).await?)
    } else {
        let (name, cloud) = stack(ui, global, args.name.as_ref()).await?;
        (Some(name), cloud)
    };
    let mut report = Reap { region: cloud.region.clone(), ..Reap::default() };
    let result = until_signal(Box::pin(work(ui, &cloud, name.as_ref(), args, &mut report))).await;
    finish(ui, "reap", &report, result)
}

async fn work(ui: &Ui, cloud: &Cloud, name: Option<&WorkerName>, args: &Args, report: &mut Reap) -> Result<u8> {
    let mut stacks: BTreeMap<String, Vec<Worker>> = match name {
        Some(name) => BTreeMap::from([(name.to_string(), worker::observe(cloud, name).await?)]),
        None => worker::observe_all(cloud).await?,
    };
    let (now, grace) = (Timestamp::now(), args.grace.duration());
    report.expired = stacks
        .iter()
        .flat_map(|(stack, workers)| expired(workers, now, grace).into_iter().map(|worker| Expired::new(stack, worker)))
        .collect();
    if args.dry_run {
        return Ok(0);
    }
    for workers in stacks.values_mut() {
        end_duplicates(cloud, ui, workers).await?;
    }
    let terminated = &mut report.terminated;
    apply::reap(cloud, &stacks, (now, grace), |id| terminated.push(id.to_owned())).await?;
    Ok(0)
}
