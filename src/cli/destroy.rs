//! `spotctl destroy`: `down`, then removes everything that was made.

use std::time::Duration;

use super::Outcome;
use super::context::{finish, stack};
use super::down::{ended, left};
use super::signal::until_signal;
use crate::apply;
use crate::error::Error;
use crate::journal::Journal;
use crate::report::workers::{Down, Resource};
use crate::settings::GlobalArgs;
use crate::spec::{Period, WorkerName};
use crate::ui::Ui;

/// Arguments of `destroy`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stack; then no file is needed
    #[arg(long, value_name = "NAME")]
    name: Option<WorkerName>,
    /// Do not ask
    #[arg(short, long)]
    yes: bool,
    /// How long it may take in all
    #[arg(long, value_name = "TIME", default_value = "10m")]
    timeout: Period,
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let (name, cloud) = stack(ui, global, args.name.as_ref()).await?;
    if !args.yes {
        let question = format!("end the workers of `{name}` in {} and remove everything of it?", cloud.region);
        match ui.confirm(&question) {
            Some(true) => {}
            Some(false) => return Err(Error::usage("not confirmed; nothing was changed").into()),
            None => {
                return Err(Error::usage("nobody to ask; nothing was changed")
                    .hint(format!("to destroy without a question: spotctl destroy --name {name} --yes"))
                    .into());
            }
        }
    }
    let journal = Journal::default();
    let mut report = Down { stack: name.to_string(), region: cloud.region.clone(), ..Down::default() };
    let limit = Duration::from_secs(u64::from(args.timeout.as_secs()));
    cloud.deadline.set(limit);
    let mut done = apply::Downed::default();
    let work = async {
        let order = apply::Down { stack: &name, only: &[], limit: Some(limit), template_stays: false };
        apply::down(&cloud, order, ui, &mut done).await?;
        let _waiting = ui.wait("removing the foundation");
        apply::destroy(&cloud, &name, &journal, &done).await?;
        Ok(0)
    };
    let again = |error: Error| error.hint(format!("the same command goes on: spotctl destroy --name {name} --yes"));
    let result = until_signal(cloud.deadline.bound(Box::pin(work))).await.map_err(again);
    let result = result.map_err(|error| left(error, &done, &journal.changes()));
    ended(&mut report, done);
    let deleted = journal.changes().into_iter();
    report.deleted = deleted.map(|change| Resource { kind: change.kind, name: change.name, id: change.id }).collect();
    finish(ui, "destroy", &report, result)
}
