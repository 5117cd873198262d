//! `spotctl doctor`: proves, read-only, that `up` would work.

use jiff::Timestamp;

use super::context::{Context, finish};
use super::signal::until_signal;
use super::{Failure, Outcome};
use crate::doctor::{self, Look, Reads, Status};
use crate::error::{Error, Result};
use crate::report::doctor::Doctor;

/// Arguments of `doctor`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// These checks and no others
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    only: Vec<String>,
    /// All checks but these
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    skip: Vec<String>,
    /// How many workers the quota must hold
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..))]
    count: u32,
}

/// The exit status when a check failed. What it found stands in the document: `doctor` itself did not fail, so there is no
/// `error` in it.
const FAILED: u8 = 7;

impl Args {
    /// Which checks, before anything else is looked at.
    ///
    /// # Errors
    /// A name that is none.
    pub(crate) fn checks(&self) -> Result<Vec<&'static str>, Failure> {
        Ok(doctor::select(&self.only, &self.skip)?)
    }
}

/// `env_error`: what is wrong with the `.env`, which is a finding like the others.
pub(crate) async fn run(context: &(Context, Option<Error>), args: &Args) -> Outcome {
    let names = args.checks()?;
    let (context, env_error) = context;
    let mut report =
        Doctor { stack: context.spec.name.to_string(), region: context.cloud.region.clone(), ..Doctor::default() };
    let result = until_signal(Box::pin(work(context, (&names, env_error.as_ref()), args.count, &mut report))).await;
    finish(&context.ui, "doctor", &report, result)
}

async fn work(
    context: &Context,
    (names, env_error): (&[&'static str], Option<&Error>),
    count: u32,
    report: &mut Doctor,
) -> Result<u8> {
    let _waiting = context.ui.wait(&waiting(names));
    let (cloud, spec, env) = (&context.cloud, &context.spec, context.env.as_ref());
    let look = Look { cloud, spec, env, env_error, count, now: Timestamp::now() };
    let reads = Box::new(Reads::new(look));
    report.checks = doctor::run(&reads, names).await;
    report.ok = report.checks.iter().all(|check| check.status != Status::Fail);
    Ok(if report.ok { 0 } else { FAILED })
}

fn waiting(names: &[&str]) -> String {
    match names {
        [name] => format!("looking, the check `{name}`"),
        names => format!("looking, {} checks side by side", names.len()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_check_is_no_checks() {
        assert_eq!(waiting(&["clock"]), "looking, the check `clock`");
        assert_eq!(waiting(&["clock", "quota"]), "looking, 2 checks side by side");
    }
}
