//! `spotctl apply`: makes or mends the foundation. Costs nothing.

use tokio::time::Instant;

use super::Outcome;
use super::context::{Context, finish, guarded};
use crate::apply::Run;
use crate::cloud::poll;
use crate::error::{Error, Kind, Result};
use crate::journal::Journal;
use crate::plan::{Observed, Plan, Wants};
use crate::report::foundation::Apply;
use crate::resource::{Action, by_subject};

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

/// What a look after the writing has shown.
enum Stands {
    /// All is as the file says.
    Ours,
    /// Another run has written the Spot template later. An `apply` sees to it that its own file stands; an `up` does not
    /// look again, and the next command finds what is left.
    Theirs,
    /// Neither: another run has written before, and some of it after this one.
    Mixed,
}

/// Applies until what stands is this file's whole, or another run's, which then sees to that.
async fn alone(context: &Context, wants: &Wants, first: (Observed, Plan)) -> Result<()> {
    /// Two runs that overtake each other again and again are two people who disagree.
    const ROUNDS: u32 = 5;
    let run = Run { cloud: &context.cloud, spec: &context.spec, ui: &context.ui, journal: &context.journal };
    // What was asked for once is done once.
    let wants = Wants { retarget: false, upgrade_image: false, ..wants.clone() };
    let (mut observed, mut plan) = first;
    let mut patience = poll::SETTLED;
    for _ in 0..ROUNDS {
        let stood = observed.templates.spot.as_ref().map(|found| found.latest_version());
        let made = Box::pin(run.foundation_alone(&plan, &observed)).await?;
        let began = Instant::now();
        let stands = poll::poll(poll::VISIBLE_LATE, async || {
            (observed, plan) = context.look_again(&observed, &wants).await?;
            let spot = observed.templates.spot.as_ref();
            Ok::<_, Error>(if spot.is_some_and(|found| found.supersedes(&made.template)) {
                poll::Look::Done(Stands::Theirs)
            } else if !plan.has_changes() {
                poll::Look::Done(Stands::Ours)
            } else if began.elapsed() > patience && !is_unseen(&plan, &context.journal) {
                poll::Look::Done(Stands::Mixed)
            } else {
                poll::Look::Again
            })
        });
        match stands.await? {
            Ok(Stands::Ours) => return Ok(()),
            // It wrote no version of its own, and so may have written after the other: not before it has one.
            Ok(Stands::Theirs) if stood == Some(made.template.version) => plan.spot.anew = true,
            Ok(Stands::Theirs) => {
                context.ui.warn(
                    "another run has changed the foundation meanwhile, and after this one: what stands is its file's",
                );
                return Ok(());
            }
            Ok(Stands::Mixed) | Err(poll::TimedOut) => plan.spot.anew = true,
        }
        // Two that begin anew in step would miss each other's version again and again: whoever waits longer sees it.
        patience *= 2;
    }
    Err(Error::new(Kind::Aws, "other runs keep changing what this one applies").hint("let one of them end first"))
}

/// Whether something is missing that this very run has made: AWS does not show it yet, and what hangs on it seems to differ.
fn is_unseen(plan: &Plan, journal: &Journal) -> bool {
    let made = journal.changes();
    let made = by_subject(&made);
    let mut missing = plan.changes.iter().filter(|change| change.action == Action::Create);
    missing.any(|change| made.contains_key(&(change.kind, change.name.as_str())))
}
