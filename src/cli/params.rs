//! `spotctl params`: Parameter Store against the `.env`. No value is ever printed.

use std::collections::BTreeMap;

use clap::Subcommand;

use super::Outcome;
use super::context::{Context, finish, guarded};
use crate::error::{Error, Result};
use crate::report::foundation::{ParameterChanges, Parameters};
use crate::resource::parameters::{self, Leave, Row};
use crate::resource::{Action, Change, Kind, Making};

/// Arguments of `params`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
pub(super) enum Verb {
    /// What stands under the path: keys, types, sizes
    List,
    /// What `push` would write
    Diff,
    /// Write what differs from the `.env`
    Push {
        /// Take over parameters that carry no stack tag
        #[arg(long)]
        adopt: bool,
        /// Remove parameters whose keys vanished from the `.env`
        #[arg(long)]
        prune: bool,
    },
    /// Remove parameters of this stack
    Rm {
        /// Keys, as in the `.env`
        #[arg(value_name = "KEY", required = true)]
        keys: Vec<String>,
    },
}

pub(crate) async fn run(context: &Context, args: Args) -> Outcome {
    let (stack, region) = (context.spec.name.to_string(), context.cloud.region.clone());
    let path = context.spec.parameters.path.to_string();
    if matches!(args.verb, Verb::List) {
        let mut report = Parameters { stack, region, path, ..Parameters::default() };
        let work = async {
            let observed = observe(context).await?;
            report.parameters = parameters::rows(&context.spec.parameters.path, &observed);
            Ok(0)
        };
        let result = guarded(context, work).await;
        return finish(&context.ui, "params", &report, result);
    }
    let mut report = ParameterChanges { stack, region, path, ..ParameterChanges::default() };
    let result = guarded(context, change(context, args.verb, &mut report)).await;
    if result.is_err() {
        report.changes = context.journal.changes();
    }
    finish(&context.ui, "params", &report, result)
}

async fn observe(context: &Context) -> Result<parameters::Observed> {
    parameters::observe(&context.cloud, &context.spec.parameters.path, &context.spec.name).await
}

pub(super) async fn change(context: &Context, verb: Verb, report: &mut ParameterChanges) -> Result<u8> {
    let observed = observe(context).await?;
    if let Verb::Rm { keys } = &verb {
        return remove(context, &observed, keys, report).await;
    }
    if context.env.is_none() {
        return Err(
            Error::usage("there is no `.env` to compare with").hint("name it in the file: parameters: {file: .env}")
        );
    }
    let desired = parameters::desired(&context.spec, context.env.as_ref());
    let (leave, write) = match verb {
        Verb::Push { adopt, prune } => (Leave { adopt, prune }, true),
        _ => (Leave::default(), false),
    };
    let observed = parameters::settled(&context.cloud, &context.spec.name, &desired, &observed, leave).await?;
    let diff = parameters::diff(&desired, &observed, leave)?;
    report.vanished.clone_from(&diff.vanished);
    if write {
        let _waiting = (!diff.changes.is_empty()).then(|| context.ui.wait("writing parameters"));
        let told = |change: &Change, how: Making<'_>| context.journal.making(change.clone(), how);
        parameters::apply(&context.cloud, &desired, &diff, told).await?;
    }
    report.changes = diff.changes;
    Ok(0)
}

async fn remove(
    context: &Context,
    observed: &parameters::Observed,
    keys: &[String],
    report: &mut ParameterChanges,
) -> Result<u8> {
    let path = &context.spec.parameters.path;
    let rows = parameters::rows(path, observed);
    let known: BTreeMap<&str, &Row> = rows.iter().map(|row| (row.key.as_str(), row)).collect();
    for key in keys {
        match known.get(key.as_str()) {
            Some(row) if row.owned => {}
            Some(_) => {
                return Err(Error::usage(format!("the parameter `{key}` under {path} is not this stack's"))
                    .hint("what carries no stack tag is never removed; to take it over: spotctl params push --adopt"));
            }
            None => {
                let error = Error::usage(format!("no parameter `{key}` under {path}"));
                return Err(crate::decide::offers::suggest(error, key, rows.iter().map(|row| row.key.as_str())));
            }
        }
    }
    let names: Vec<String> = keys.iter().map(|key| path.name_of(key)).collect();
    let told = |name: &str| context.journal.changed(Change::new(Kind::Parameter, name, Action::Delete, "asked for"));
    parameters::delete(&context.cloud, &names, told).await?;
    report.changes = context.journal.changes();
    Ok(0)
}
