//! `spotctl apply`: makes or mends the foundation. Costs nothing.

use super::Outcome;
use super::context::{Context, finish, guarded};
use crate::apply::Run;
use crate::cloud::poll;
use crate::error::{Error, Kind, Result};
use crate::plan::{Observed, Plan, Wants};
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

pub(super) async fn work(context: &Context, wants: &Wants, report: &mut Apply) -> Result<u8> {
    let (observed, plan) = context.plan(wants).await?;
    report.account.clone_from(&observed.caller.account);
    if plan.has_changes() {
        Box::pin(alone(context, wants, (observed, plan.clone()))).await?;
    }
    let done = context.journal.changes();
    let done = by_subject(&done);
    let happened =
        plan.changes.iter().map(|planned| *done.get(&(planned.kind, planned.name.as_str())).unwrap_or(&planned));
    report.changes = happened.cloned().collect();
    Ok(0)
}

/// Applies until what stands is this file's whole, or another run's, which then sees to that.
async fn alone(context: &Context, wants: &Wants, first: (Observed, Plan)) -> Result<()> {
    /// Two runs that overtake each other again and again are two people who disagree.
    const ROUNDS: u32 = 5;
    let run = Run { cloud: &context.cloud, spec: &context.spec, ui: &context.ui, journal: &context.journal };
    // What was asked for once is done once.
    let wants = Wants { retarget: false, upgrade_image: false, ..wants.clone() };
    let (mut observed, mut plan) = first;
    for _ in 0..ROUNDS {
        let stood = observed.templates.spot.as_ref().map(|found| found.latest_version());
        let made = Box::pin(run.foundation_alone(&plan, &observed)).await?;
        let stands = poll::poll(poll::SETTLED, async || {
            (observed, plan) = context.look_again(&observed, &wants).await?;
            let spot = observed.templates.spot.as_ref();
            Ok::<_, Error>(if spot.is_some_and(|found| found.supersedes(&made.template)) {
                poll::Look::Done(false)
            } else if plan.has_changes() {
                poll::Look::Again
            } else {
                poll::Look::Done(true)
            })
        });
        match stands.await? {
            Ok(true) => return Ok(()),
            // It wrote no version of its own, and so may have written after the other: not before it has one.
            Ok(false) if stood == Some(made.template.version) => plan.spot.anew = true,
            Ok(false) => {
                context
                    .ui
                    .warn("another run has applied at the same time, and after this one: what stands is its file's");
                return Ok(());
            }
            Err(poll::TimedOut) => plan.spot.anew = true,
        }
    }
    Err(Error::new(Kind::Aws, "other runs keep changing what this one applies").hint("let one of them end first"))
}
