//! `spotctl status`: the workers and what else exists.

use futures::FutureExt;
use jiff::Timestamp;

use super::Outcome;
use super::context::{end_duplicates, finish, settle, stack};
use super::regions::{self, Regions};
use super::signal::until_signal;
use crate::cloud::Cloud;
use crate::decide::names;
use crate::decide::workers::{Worker, expired};
use crate::error::Result;
use crate::market;
use crate::report::stacks::{FailedRegion, Found, Stack, Stacks};
use crate::report::workers::{Bound, Resource, Row, Status};
use crate::resource::{Kind, launch_template, parameters, role, security_group, worker};
use crate::settings::GlobalArgs;
use crate::spec::WorkerName;
use crate::ui::Ui;

/// Arguments of `status`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stack; then no file is needed
    #[arg(long, value_name = "NAME")]
    name: Option<WorkerName>,
    /// Every stack in the region
    #[arg(long, conflicts_with = "name")]
    stacks: bool,
    /// With `--stacks`: these regions, or `all` that the account may use
    #[arg(long, value_name = "A,B|all", requires = "stacks")]
    regions: Option<Regions>,
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    if args.stacks {
        return stacks(ui, global, args.regions.as_ref()).await;
    }
    let (name, cloud) = stack(ui, global, args.name.as_ref()).await?;
    let mut report = Status { stack: name.to_string(), region: cloud.region.clone(), ..Status::default() };
    let result = until_signal(one(ui, &cloud, &name, &mut report)).await;
    finish(ui, "status", &report, result)
}

pub(super) async fn one(ui: &Ui, cloud: &Cloud, name: &WorkerName, report: &mut Status) -> Result<u8> {
    let (mut found, disks, groups, role, templates, values) = futures::try_join!(
        worker::observe(cloud, name),
        worker::disks_if_allowed(cloud, Some(name)).map(Ok),
        security_group::observe(cloud, name),
        Box::pin(role::observe(cloud, name)),
        Box::pin(launch_template::observe(cloud, name)),
        parameters::owned_names(cloud, name)
    )?;
    // Whoever may only read still gets to read.
    if let Err(error) = end_duplicates(cloud, ui, &mut found).await {
        ui.warn(&error.message);
    }
    let ledger = market::ledger(cloud, &found, disks).await;
    if let Some(why) = &ledger.refused {
        ui.warn(&format!("what it costs is not known: {why}"));
    }
    let now = cloud.clock.now();
    report.workers = found.iter().map(|worker| Row::new(worker, &ledger, now, false)).collect();
    report.bound = Bound::of_live(&found, &ledger);
    warn_of_expired(ui, name, &found, now);
    let resource = |kind, name: String, id: Option<String>| Resource { kind, name, id };
    let groups = security_group::owned(&groups);
    report
        .resources
        .extend(groups.iter().map(|group| resource(Kind::SecurityGroup, names::base(name), Some(group.id.clone()))));
    let role_name = names::role(name, &cloud.region);
    report.resources.extend(role::owned(&role).into_iter().map(|kind| resource(kind, role_name.clone(), None)));
    report.resources.extend(values.into_iter().map(|name| resource(Kind::Parameter, name, None)));
    for (found, which) in
        [(&templates.spot, launch_template::Which::Spot), (&templates.any_market, launch_template::Which::AnyMarket)]
    {
        let ours = found.as_ref().filter(|found| found.is_ours());
        report
            .resources
            .extend(ours.map(|found| resource(Kind::LaunchTemplate, which.name(name), Some(found.id.clone()))));
    }
    Ok(0)
}

/// A worker that has outlived its limit could not end itself, and is paid for.
pub(super) fn warn_of_expired(ui: &Ui, name: &WorkerName, workers: &[Worker], now: Timestamp) {
    for worker in expired(workers, now, std::time::Duration::ZERO) {
        ui.warn(&format!("{} is past its expiry and still billed; end it: spotctl reap --name {name}", worker.id));
    }
}

async fn stacks(ui: &Ui, global: &GlobalArgs, regions: Option<&Regions>) -> Outcome {
    let settings = settle(ui, global, None);
    let cloud = Cloud::connect(&settings).await?;
    let mut report = Stacks::default();
    let work = async {
        let clouds = match regions {
            Some(regions) => regions.clouds(&cloud).await?,
            None => vec![cloud.clone()],
        };
        report.regions = clouds.iter().map(|cloud| cloud.region.clone()).collect();
        let _waiting = (clouds.len() > 1).then(|| ui.wait(&format!("looking into {} regions", clouds.len())));
        let (found, failed) = regions::in_each(&clouds, in_region).await;
        report.stacks = found.into_iter().flat_map(|(_, stacks)| stacks).collect();
        report.failed = failed.iter().map(|(region, error)| FailedRegion::new(region, error)).collect();
        regions::failure(failed, clouds.len()).map(|()| 0)
    };
    let result = until_signal(Box::pin(work)).await;
    finish(ui, "status", &report, result)
}

pub(super) async fn in_region(cloud: &Cloud) -> Result<Vec<Stack>> {
    let (workers, disks, templates) = futures::try_join!(
        worker::observe_all(cloud),
        worker::disks_if_allowed(cloud, None).map(Ok),
        launch_template::stacks(cloud)
    )?;
    let mut found: Found = workers;
    for stack in templates {
        found.entry(stack).or_default();
    }
    let live = found.values().flatten().filter(|worker| worker.state.is_live());
    let ledger = market::ledger(cloud, &live.cloned().collect::<Vec<Worker>>(), disks).await;
    let now = cloud.clock.now();
    Ok(found.iter().map(|(stack, workers)| Stack::new(&cloud.region, stack, workers, &ledger, now)).collect())
}
