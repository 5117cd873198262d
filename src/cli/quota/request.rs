//! `spotctl quota request`: files an increase, never twice.

use std::cell::Cell;

use jiff::Timestamp;

use super::super::Outcome;
use super::super::context::finish;
use super::super::signal::until_signal;
use super::sight::Source;
use super::target::{Flags, Prefer, find};
use crate::apply::increase::{self, may_be_filed};
use crate::decide::increase::{STEP, Verdict, judge, sensible};
use crate::decide::need::Known;
use crate::error::{Error, Kind, Result};
use crate::report::quota::{Came, Filing, Quotas};
use crate::settings::GlobalArgs;
use crate::ui::Ui;

/// Arguments of `quota request`.
#[derive(Debug, clap::Args)]
pub(super) struct Args {
    #[command(flatten)]
    flags: Flags,
}

pub(super) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let source = Source::open(ui, global, args.flags.needs_file()).await?;
    let mut report = Filing::new(Quotas::new(&source.cloud.region, source.stack(), args.flags.count));
    let under_way = Cell::new(None);
    let result = until_signal(Box::pin(file(ui, &source, &args.flags, (&mut report, &under_way)))).await;
    let result = result.map_err(|error| match under_way.get().filter(|_| is_signal(&error)) {
        Some(code) => error.hint(may_be_filed(code)),
        None => error,
    });
    finish(ui, "quota", &report, result)
}

fn is_signal(error: &Error) -> bool {
    matches!(error.kind, Kind::Interrupted | Kind::Terminated)
}

/// `under_way` holds the quota's code while AWS is being asked.
async fn file(
    ui: &Ui,
    source: &Source,
    flags: &Flags,
    (report, under_way): (&mut Filing, &Cell<Option<&'static str>>),
) -> Result<u8> {
    let known = find(ui, source, flags, Prefer::Cheapest).await?;
    report.quotas.fill(std::slice::from_ref(&known), &[], Timestamp::now());
    let (quota, limit) = (known.standing.quota, known.standing.limit);
    if let (Some(wished), Some(limit)) = (flags.vcpus, limit)
        && wished < limit
    {
        return Err(Error::usage(format!(
            "`--vcpus {wished}` is below the limit of {limit} that {} has in {} already: a quota is only ever raised",
            quota.code, source.cloud.region
        )));
    }
    let number = number(&known, flags, source.stack().as_deref())?;
    report.reason.clone_from(&number.because);
    if limit.is_some_and(|limit| limit >= number.least) {
        report.vcpus = Some(number.least);
        report.outcome = Some(Came::Suffices);
        return Ok(0);
    }
    report.vcpus = Some(number.asked);
    if number.asked != number.least {
        report.reason = format!("{}; rounded up to a multiple of {STEP}", number.because);
    }
    // One that was answered a moment ago may still be applied: AWS approves before the new value counts.
    let increases = known.increases.as_deref().unwrap_or_default();
    let waiting = match judge(limit, number.least, increases, Timestamp::now()) {
        Verdict::Wait(increase) => Some(increase),
        _ => None,
    };
    if let Some(open) = waiting {
        report.is_open(open, Came::Open);
        if open.vcpus.is_some_and(|asked| asked < number.least) {
            let wished = number.least;
            ui.warn(&format!("it asks for fewer than the {wished} that are wanted; AWS takes one request at a time"));
        }
        return Ok(0);
    }
    let before = known.increases.unwrap_or_default();
    let filed = {
        let _waiting = ui.wait(&format!("asking for {} vCPUs of {}", number.asked, quota.code));
        under_way.set(Some(quota.code));
        increase::file(&source.cloud, quota, number.asked, &before).await?
    };
    report.is_open(&filed.increase, if filed.is_ours { Came::Filed } else { Came::Open });
    let (code, least) = (quota.code, number.least);
    ui.note(&format!("AWS takes minutes or a day; to wait for it: spotctl quota watch --code {code} --vcpus {least}"));
    Ok(0)
}

/// How many vCPUs to ask for.
#[derive(Debug, PartialEq, Eq)]
struct Number {
    /// What suffices.
    least: u32,
    /// What is asked for: that, rounded up.
    asked: u32,
    because: String,
}

fn number(known: &Known, flags: &Flags, stack: Option<&str>) -> Result<Number> {
    if let Some(wished) = flags.vcpus {
        return Ok(Number { least: wished, asked: wished, because: format!("--vcpus {wished}") });
    }
    let Some(least) = known.least(flags.count, stack) else {
        let code = known.standing.quota.code;
        return Err(Error::usage(format!("how many vCPUs of {code}: neither a file nor a type says what is needed"))
            .hint(format!("spotctl quota request --code {code} --vcpus 8")));
    };
    let asked = sensible(least.vcpus, known.standing.limit);
    Ok(Number { least: least.vcpus, asked, because: least.because })
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::decide::need::tests::known;

    #[derive(Parser)]
    struct Only {
        #[command(flatten)]
        args: Args,
    }

    #[test]
    fn the_number_is_what_was_said_or_what_is_needed_rounded_up() {
        let other = Some(&[("i-1", 6, None)][..]);
        for (flags, limit, holders, least, asked) in [
            (&["--vcpus", "5"][..], Some(0), other, 5, 5),
            (&[], Some(0), Some(&[][..]), 4, 8),
            (&["--count", "2"], Some(0), other, 14, 16),
            (&["--count", "2"], Some(16), other, 14, 24),
            (&[], None, None, 4, 8),
        ] {
            let args = Only::parse_from([&["request"], flags].concat()).args;
            let number = number(&known(limit, holders), &args.flags, Some("w")).unwrap();
            assert_eq!((number.least, number.asked), (least, asked), "{flags:?} {limit:?}");
        }
        let args = Only::parse_from(["request"]).args;
        let nothing = Known { smallest: None, ..known(Some(0), None) };
        assert!(number(&nothing, &args.flags, None).unwrap_err().hints[0].contains("--vcpus"));
    }
}
