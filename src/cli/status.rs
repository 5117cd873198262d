//! `spotctl status`: the workers and what else exists.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;

use super::Outcome;
use super::context::{end_duplicates, finish, stack};
use super::signal::until_signal;
use crate::cloud::Cloud;
use crate::decide::workers::Worker;
use crate::decide::{names, workers};
use crate::error::Result;
use crate::market;
use crate::report::workers::{Prices, Resource, Row, Stacks, Status};
use crate::resource::{Kind, launch_template, parameters, role, security_group, worker};
use crate::settings::{GlobalArgs, Settings};
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
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    if args.stacks {
        return stacks(ui, global).await;
    }
    let (name, cloud) = stack(ui, global, args.name.as_ref()).await?;
    let mut report = Status { stack: name.to_string(), region: cloud.region.clone(), ..Status::default() };
    let result = until_signal(one(ui, &cloud, &name, &mut report)).await;
    finish(ui, "status", &report, result)
}

pub(super) async fn one(ui: &Ui, cloud: &Cloud, name: &WorkerName, report: &mut Status) -> Result<u8> {
    let (mut found, groups, role, templates, values) = futures::try_join!(
        worker::observe(cloud, name),
        security_group::observe(cloud, name),
        Box::pin(role::observe(cloud, name)),
        Box::pin(launch_template::observe(cloud, name)),
        parameters::owned_names(cloud, name)
    )?;
    // Whoever may only read still gets to read.
    if let Err(error) = end_duplicates(cloud, ui, &mut found).await {
        ui.warn(&error.message);
    }
    let prices = prices(cloud, &found).await?;
    let now = Timestamp::now();
    report.workers = found.iter().map(|worker| Row::new(worker, &prices, now, false)).collect();
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

/// Prices of what lives; no call where nothing does.
async fn prices(cloud: &Cloud, found: &[Worker]) -> Result<Prices> {
    let live = found.iter().filter(|worker| worker.state.is_live());
    let types: BTreeSet<String> = live.map(|worker| worker.instance_type.clone()).collect();
    if types.is_empty() { Ok(Prices::new()) } else { market::spot_prices(cloud, types).await }
}

async fn stacks(ui: &Ui, global: &GlobalArgs) -> Outcome {
    let settings = Settings::resolve(global, |name| std::env::var(name).ok(), None);
    let cloud = Cloud::connect(&settings).await?;
    let mut report = Stacks { region: cloud.region.clone(), ..Stacks::default() };
    let work = async {
        let (workers, templates) = futures::try_join!(worker::observe_all(&cloud), launch_template::stacks(&cloud))?;
        let mut found: BTreeMap<String, Vec<workers::Worker>> = workers;
        for stack in templates {
            found.entry(stack).or_default();
        }
        let all: Vec<Worker> = found.values().flatten().cloned().collect();
        let prices = prices(&cloud, &all).await?;
        report = Stacks::new(&cloud.region, &found, &prices, Timestamp::now());
        Ok(0)
    };
    let result = until_signal(work).await;
    finish(ui, "status", &report, result)
}
