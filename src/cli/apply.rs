//! `spotctl apply`: makes or mends the foundation. Costs nothing.

use super::Outcome;
use super::context::{Context, finish, guarded};
use crate::apply::Run;
use crate::error::Result;
use crate::plan::Wants;
use crate::report::foundation::Apply;
use crate::resource::by_subject;

/// How far a change may go; shared by `plan`, `apply` and `up`.
#[derive(Debug, clap::Args)]
pub(crate) struct Changes {
    /// Take over things of this name that carry no stack tag
    #[arg(long)]
    adopt: bool,
    /// Remove parameters whose keys vanished from the `.env`
    #[arg(long)]
    prune: bool,
    /// Move to the newest image that `instance.ami` means
    #[arg(long)]
    upgrade_image: bool,
    /// Move the launch template to the cheapest offer of now
    #[arg(long)]
    retarget: bool,
}

impl Changes {
    pub(crate) fn wants(&self) -> Wants {
        Wants {
            adopt: self.adopt,
            prune: self.prune,
            upgrade_image: self.upgrade_image,
            retarget: self.retarget,
            ..Wants::default()
        }
    }
}

/// Arguments of `apply`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(flatten)]
    changes: Changes,
}

pub(crate) async fn run(context: &Context, args: &Args) -> Outcome {
    let mut report =
        Apply { stack: context.spec.name.to_string(), region: context.cloud.region.clone(), ..Apply::default() };
    let result = guarded(context, Box::pin(work(context, &args.changes.wants(), &mut report))).await;
    if result.is_err() {
        report.changes = context.journal.changes();
    }
    finish(&context.ui, "apply", &report, result)
}

async fn work(context: &Context, wants: &Wants, report: &mut Apply) -> Result<u8> {
    let (observed, plan) = context.plan(wants).await?;
    report.account.clone_from(&observed.caller.account);
    let run = Run { cloud: &context.cloud, spec: &context.spec, ui: &context.ui, journal: &context.journal };
    Box::pin(run.foundation(&plan, &observed)).await?;
    let done = context.journal.changes();
    let done = by_subject(&done);
    let happened =
        plan.changes.iter().map(|planned| *done.get(&(planned.kind, planned.name.as_str())).unwrap_or(&planned));
    report.changes = happened.cloned().collect();
    Ok(0)
}
