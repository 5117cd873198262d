//! `spotctl quota`: limit, use and need of the vCPU quotas; files an increase; waits until it counts.

use clap::{Subcommand, ValueEnum};
use jiff::Timestamp;

use super::Outcome;
use super::context::finish;
use super::signal::until_signal;
use crate::cloud::Cloud;
use crate::decide::names::Market;
use crate::decide::need::Known;
use crate::decide::quota;
use crate::error::{Error, Kind, Result};
use crate::report::quota::Quotas;
use crate::settings::GlobalArgs;
use crate::ui::Ui;

mod notify;
mod request;
mod sight;
mod target;
mod watch;

use sight::{Asked, Source, look};

/// Arguments of `quota`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    #[command(subcommand)]
    verb: Option<Verb>,
    #[command(flatten)]
    show: Show,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Limit, use and need of each quota that the file allows; what `quota` alone does
    Show(Show),
    /// File an increase, unless one is open or the limit suffices
    Request(request::Args),
    /// Wait until the applied limit suffices; a closed case alone does not count
    Watch(watch::Args),
}

/// Arguments of `quota show`.
#[derive(Debug, Clone, Default, PartialEq, Eq, clap::Args)]
struct Show {
    /// Every quota that is known; no file is needed
    #[arg(long, conflicts_with = "instance_types")]
    all: bool,
    /// The quota of this type, may be given several times; no file is needed
    #[arg(long = "type", value_name = "TYPE")]
    instance_types: Vec<String>,
    /// For how many workers; 1 unless said otherwise
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1000))]
    count: Option<u32>,
    /// Whose quotas; spot unless said otherwise
    #[arg(long, value_enum)]
    market: Option<Markets>,
}

/// `--market` where several may be meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Markets {
    Spot,
    OnDemand,
    All,
}

impl Markets {
    fn list(self) -> &'static [Market] {
        match self {
            Self::Spot => &[Market::Spot],
            Self::OnDemand => &[Market::OnDemand],
            Self::All => &[Market::Spot, Market::OnDemand],
        }
    }
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    if args.verb.is_some() && args.show != Show::default() {
        return Err(Error::usage("a flag of `quota show` stands before another verb of `quota`")
            .hint("write the verb first: spotctl quota request --type g4dn.xlarge")
            .into());
    }
    match &args.verb {
        None => show(ui, global, &args.show).await,
        Some(Verb::Show(args)) => show(ui, global, args).await,
        Some(Verb::Request(args)) => request::run(ui, global, args).await,
        Some(Verb::Watch(args)) => watch::run(ui, global, args).await,
    }
}

async fn show(ui: &Ui, global: &GlobalArgs, args: &Show) -> Outcome {
    let source = Source::open(ui, global, !args.all && args.instance_types.is_empty()).await?;
    let mut report = Quotas::new(&source.cloud.region, source.stack(), args.count.unwrap_or(1));
    let result = until_signal(Box::pin(read(ui, &source, args, &mut report))).await;
    finish(ui, "quota", &report, result)
}

async fn read(ui: &Ui, source: &Source, args: &Show, report: &mut Quotas) -> Result<u8> {
    let markets = args.market.unwrap_or(Markets::Spot).list();
    let asked = Asked {
        types: &args.instance_types,
        quotas: args.all.then(|| markets.iter().flat_map(|market| quota::all(*market)).collect()),
        markets,
    };
    let sight = look(ui, source, &asked).await?;
    report.fill(&sight.rows, &sight.unknown, Timestamp::now());
    advise(ui, report);
    let is_dark = |row: &Known| row.standing.limit.is_none() && row.standing.holders.is_none();
    if !sight.rows.is_empty() && sight.rows.iter().all(is_dark) {
        let missing: Vec<&str> = sight.missing().into_iter().collect();
        if !missing.is_empty() {
            return Err(nothing_allowed(&source.cloud, &missing));
        }
    }
    Ok(0)
}

/// What to type where no quota that the file allows suffices.
fn advise(ui: &Ui, report: &Quotas) {
    if report.quotas.iter().any(|row| row.sufficient == Some(true)) {
        return;
    }
    let short = report.quotas.iter().find(|row| row.sufficient == Some(false));
    let Some((row, code)) = short.and_then(|row| Some((row, row.code?))) else { return };
    if row.requests.is_empty() {
        ui.note(&format!("to ask AWS for more: spotctl quota request --code {code}"));
    } else {
        ui.note(&format!("more has been asked for; to wait for it: spotctl quota watch --code {code}"));
    }
}

fn nothing_allowed(cloud: &Cloud, missing: &[&str]) -> Error {
    let actions = missing.join(", ");
    Error::new(
        Kind::Access,
        format!("no quota and no use of one may be read in {}: {actions} are refused", cloud.region),
    )
    .hint(format!("{actions} must be allowed; what spotctl needs: spotctl render policy operator"))
}
