//! `spotctl render`: prints what would be sent, ready to be pasted. Nothing is changed.

use clap::{Subcommand, ValueEnum};
use serde::Serialize;
use serde_json::Value;

use super::Outcome;
use super::context::{Context, finish, guarded};
use crate::decide::policy::{self, LaunchScope, Place};
use crate::error::{Error, Result};
use crate::plan::{self, Wants};
use crate::report::Report;
use crate::resource::{launch_template, parameters};

/// Arguments of `render`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    /// The boot script
    UserData,
    /// The content of the launch template
    LaunchTemplate,
    /// A least-privilege policy
    Policy {
        /// Whose
        #[arg(value_enum)]
        whose: Whose,
    },
}

#[derive(Debug, Clone, Copy, ValueEnum)]
enum Whose {
    /// The box's own role
    Worker,
    /// A person or a pipeline that runs spotctl
    Operator,
    /// An API server that launches from the template
    Launcher,
}

#[derive(Debug, Default, Serialize)]
struct Document {
    stack: String,
    region: String,
    rendered: Value,
}

impl Report for Document {
    fn text(&self, _color: bool) -> String {
        match &self.rendered {
            Value::Null => String::new(),
            Value::String(text) => text.clone(),
            document => format!("{document:#}\n"),
        }
    }

    fn is_empty(&self) -> bool {
        self.rendered.is_null()
    }
}

pub(crate) async fn run(context: &Context, args: &Args) -> Outcome {
    let mut report =
        Document { stack: context.spec.name.to_string(), region: context.cloud.region.clone(), rendered: Value::Null };
    let work = async {
        report.rendered = match &args.what {
            What::UserData => user_data(context).await?,
            What::LaunchTemplate => template(context).await?,
            What::Policy { whose } => policy(context, *whose).await?,
        };
        Ok(0)
    };
    let result = guarded(context, work).await;
    finish(&context.ui, "render", &report, result)
}

async fn user_data(context: &Context) -> Result<Value> {
    let caller = context.cloud.caller().await?;
    plan::boot_script(&context.spec, &caller.account, &context.cloud.region).map(Value::String)
}

/// As `apply` would send it; where the security group is yet to be made, a placeholder stands for its id.
async fn template(context: &Context) -> Result<Value> {
    let (observed, plan) = context.plan(&Wants::default()).await?;
    let group = observed.groups.first().map_or("sg-to-be-created", |group| group.id.as_str());
    Ok(plan.spot.rendered(group))
}

async fn policy(context: &Context, whose: Whose) -> Result<Value> {
    let (cloud, spec) = (&context.cloud, &context.spec);
    let (caller, found, templates) = futures::try_join!(
        cloud.caller(),
        parameters::observe(cloud, &spec.parameters.path, &spec.name),
        launch_template::observe(cloud, &spec.name)
    )?;
    let place = Place { account: &caller.account, region: &cloud.region };
    let desired = parameters::desired(spec, context.env.as_ref());
    let plain = parameters::plain_values(&desired, &found, &spec.parameters.plain);
    let ids: Vec<String> = [&templates.spot, &templates.any_market]
        .into_iter()
        .flatten()
        .filter(|found| found.is_ours())
        .map(|found| found.id.clone())
        .collect();
    let failed = |error: policy::PolicyError| Error::usage(error.to_string());
    match whose {
        Whose::Worker => policy::worker(spec, place, &plain).map_err(failed),
        Whose::Operator => policy::operator(spec, place, &plain).map_err(failed),
        Whose::Launcher => Ok(policy::launcher(spec, place, LaunchScope { templates: &ids, subnets: &[] })),
    }
}
