//! `spotctl plan`: what `up` would change, and where it would launch at which price.

use super::Outcome;
use super::context::{Context, finish, guarded};
use crate::decide::cost::Hourly;
use crate::decide::offers::none_left;
use crate::error::Result;
use crate::plan::Wants;
use crate::report::foundation::Plan;
use crate::report::workers::Bound;

/// Arguments of `plan`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// Exit 10 when there are changes
    #[arg(long)]
    detailed_exitcode: bool,
    #[command(flatten)]
    apply: super::apply::Changes,
}

/// The exit status of `--detailed-exitcode` when there are changes.
const CHANGES: u8 = 10;

pub(crate) async fn run(context: &Context, args: &Args) -> Outcome {
    let mut report = Plan::default();
    let wants = Wants { count: 1, ..args.apply.wants() };
    let result = guarded(context, Box::pin(show(context, &wants, &mut report))).await;
    let code = result.map(|has_changes| if args.detailed_exitcode { has_changes } else { 0 });
    finish(&context.ui, "plan", &report, code)
}

/// Fills the report; the answer is the detailed exit status.
pub(crate) async fn show(context: &Context, wants: &Wants, report: &mut Plan) -> Result<u8> {
    report.stack = context.spec.name.to_string();
    report.region.clone_from(&context.cloud.region);
    let (observed, plan) = context.plan(wants).await?;
    report.account.clone_from(&observed.caller.account);
    report.changes.clone_from(&plan.changes);
    report.launches = plan.slots.len();
    report.offers.clone_from(&plan.ranking.offers);
    report.rejected.clone_from(&plan.ranking.rejected);
    report.notes.clone_from(&plan.notes);
    if let Some(first) = plan.ranking.offers.first() {
        // Where AWS names no price, it enforces the cap.
        let price = first.price.or(wants.max_price).or(context.spec.instance.max_price);
        let hourly = Hourly::new(price, &[plan.volume.into()], &context.cloud.region);
        report.bound = Bound::of(&vec![(hourly, plan.lifetime); plan.slots.len()]);
    }
    if !plan.slots.is_empty() && plan.ranking.offers.is_empty() {
        return Err(none_left(&plan.ranking, &context.cloud.region));
    }
    Ok(if plan.has_changes() || !plan.slots.is_empty() { CHANGES } else { 0 })
}
