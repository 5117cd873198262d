//! `spotctl reap`: ends workers past their expiry, from anywhere (cron, CI).

use std::cell::RefCell;
use std::collections::BTreeMap;

use super::Outcome;
use super::context::{end_duplicates, finish, settle, stack};
use super::regions::{self, Regions};
use super::signal::until_signal;
use crate::apply;
use crate::cloud::Cloud;
use crate::decide::workers::expired;
use crate::error::Result;
use crate::report::stacks::{Expired, FailedRegion, Found, Reap};
use crate::resource::worker;
use crate::settings::GlobalArgs;
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
    /// In these regions, or in `all` that the account may use
    #[arg(long, value_name = "A,B|all")]
    regions: Option<Regions>,
    /// How long past its expiry a worker may drain by itself
    #[arg(long, value_name = "TIME", default_value = "3m")]
    grace: Period,
    /// Show what has expired and end nothing
    #[arg(long)]
    dry_run: bool,
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let (name, cloud) = if args.all {
        let settings = settle(ui, global, None);
        (None, Cloud::connect(&settings).await?)
    } else {
        let (name, cloud) = stack(ui, global, args.name.as_ref()).await?;
        (Some(name), cloud)
    };
    let report = RefCell::new(Reap::default());
    let work = async {
        let clouds = match &args.regions {
            Some(regions) => regions.clouds(&cloud).await?,
            None => vec![cloud.clone()],
        };
        report.borrow_mut().regions = clouds.iter().map(|cloud| cloud.region.clone()).collect();
        let _waiting = (clouds.len() > 1).then(|| ui.wait(&format!("looking into {} regions", clouds.len())));
        let work = async |cloud: &Cloud| in_region(ui, cloud, name.as_ref(), args, &report).await;
        let (_, failed) = regions::in_each(&clouds, work).await;
        report.borrow_mut().failed = failed.iter().map(|(region, error)| FailedRegion::new(region, error)).collect();
        regions::failure(failed, clouds.len()).map(|()| 0)
    };
    let result = until_signal(Box::pin(work)).await;
    finish(ui, "reap", &*report.borrow(), result)
}

/// What was told to end is in the report as soon as it was.
async fn in_region(
    ui: &Ui,
    cloud: &Cloud,
    name: Option<&WorkerName>,
    args: &Args,
    report: &RefCell<Reap>,
) -> Result<()> {
    let mut stacks: Found = match name {
        Some(name) => BTreeMap::from([(name.to_string(), worker::observe(cloud, name).await?)]),
        None => worker::observe_all(cloud).await?,
    };
    // AWS has stamped the launches, so its clock decides: a wrong one here would end whoever lives, or nobody.
    let (now, grace) = (cloud.clock.now(), args.grace.duration());
    for (stack, workers) in &stacks {
        let over = expired(workers, now, grace).into_iter().map(|worker| Expired::new(&cloud.region, stack, worker));
        report.borrow_mut().expired.extend(over);
    }
    if args.dry_run {
        return Ok(());
    }
    // What two runs launched twice in one stack must not keep what has expired in another.
    let mut failed = Ok(());
    for workers in stacks.values_mut() {
        failed = failed.and(end_duplicates(cloud, ui, workers).await);
    }
    let reaped =
        apply::reap(cloud, &stacks, (now, grace), |id| report.borrow_mut().terminated.push(id.to_owned())).await;
    reaped.and(failed)
}
