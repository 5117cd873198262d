//! The command line: one file a verb, each of them arguments → load → plan → apply → report.
//!
//! A verb fills its report as it goes and answers success or an error; the report is printed in either case, with what is
//! known by then. A signal ends the verb where it stands, and the journal says what exists.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::error::ErrorKind;
use clap::{CommandFactory, Parser, Subcommand};
use tracing_subscriber::filter::Targets;
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::util::SubscriberInitExt;

use crate::error::{Error, Kind, Result};
use crate::report;
use crate::settings::{Address, Color, GlobalArgs, Output};
use crate::spec::{InvalidText, Usd};
use crate::ui::Ui;

pub mod context;
pub mod signal;

mod apply;
mod completions;
mod destroy;
mod doctor;
mod down;
mod init;
mod man;
mod params;
mod plan;
mod prices;
mod quota;
mod reap;
mod regions;
mod render;
mod sandbox;
mod schema;
mod status;
mod up;
mod why;

#[cfg(test)]
mod scale;

use context::Context;

/// Turns an AWS Spot GPU worker on and off.
#[derive(Debug, Parser)]
#[command(
    name = "spotctl",
    version,
    about = "Turns an AWS Spot GPU worker on and off: outbound only, cheapest offer, nothing left behind",
    after_help = "Try it without an account:  spotctl init && spotctl --sandbox up",
    propagate_version = false,
    subcommand_required = true,
    arg_required_else_help = true,
    max_term_width = 100
)]
pub struct Cli {
    #[command(flatten)]
    global: GlobalArgs,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Write a commented `spotctl.yaml` and a `.env` sample
    Init(init::Args),
    /// Show what GPU types cost on Spot now, by type and zone; needs no file
    Prices(prices::Args),
    /// Prove, read-only, that `up` would work
    Doctor(doctor::Args),
    /// Show what `up` would change, and where it would launch at which price
    Plan(plan::Args),
    /// Make or mend security group, role, parameters and launch template; costs nothing
    Apply(apply::Args),
    /// Apply, then launch until as many workers run as wished
    Up(up::Args),
    /// End the workers and wait until they are gone
    Down(down::Args),
    /// `down`, then remove everything that was made
    Destroy(destroy::Args),
    /// Show the workers and what else exists
    #[command(visible_alias = "ls")]
    Status(status::Args),
    /// End workers that are past their expiry, from anywhere
    Reap(reap::Args),
    /// Say why the last worker ended, also when AWS has forgotten it
    Why(why::Args),
    /// Show the vCPU quotas, ask for more, wait for it
    Quota(quota::Args),
    /// Parameter Store against the `.env`; never prints a secret
    Params(params::Args),
    /// Print what would be sent: user data, launch template, policies
    Render(render::Args),
    /// Print the JSON schema of `spotctl.yaml`
    Schema(schema::Args),
    /// Print a completion script for a shell
    Completions(completions::Args),
    /// Print the manual page
    Man(man::Args),
    /// The embedded AWS: serve it, reset it, make its weather
    Sandbox(sandbox::Args),
}

impl Command {
    fn name(&self) -> &'static str {
        match self {
            Self::Init(_) => "init",
            Self::Prices(_) => "prices",
            Self::Doctor(_) => "doctor",
            Self::Plan(_) => "plan",
            Self::Apply(_) => "apply",
            Self::Up(_) => "up",
            Self::Down(_) => "down",
            Self::Destroy(_) => "destroy",
            Self::Status(_) => "status",
            Self::Reap(_) => "reap",
            Self::Why(_) => "why",
            Self::Quota(_) => "quota",
            Self::Params(_) => "params",
            Self::Render(_) => "render",
            Self::Schema(_) => "schema",
            Self::Completions(_) => "completions",
            Self::Man(_) => "man",
            Self::Sandbox(_) => "sandbox",
        }
    }
}

/// Runs the program and answers its exit status.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => return refuse(&error),
    };
    trace(cli.global.verbose);
    let ui = Ui::new(cli.global.output, cli.global.quiet, cli.global.color).about(Address::of(&cli.global));
    let command = cli.command.name();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    ExitCode::from(match runtime {
        Ok(runtime) => runtime.block_on(carry_out(&ui, cli)),
        Err(error) => {
            let error = Error::new(Kind::Aws, format!("starting the runtime: {error}"));
            report::write_failure(&ui, command, &error);
            error.kind.exit_code()
        }
    })
}

/// Runs one command to its end and answers the exit status.
async fn carry_out(ui: &Ui, cli: Cli) -> u8 {
    let command = cli.command.name();
    match Box::pin(dispatch(ui, cli)).await {
        // What was done is done, but whoever asked has not been told.
        Ok(_) if let Some(why) = ui.lost() => {
            ui.error(&Error::new(Kind::Aws, format!("writing to stdout: {why}")));
            Kind::Aws.exit_code()
        }
        Ok(code) | Err(Failure::Reported(code)) => code,
        Err(Failure::Unreported(error)) => {
            report::write_failure(ui, command, &error);
            error.kind.exit_code()
        }
    }
}

/// How a verb failed.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Its report, error included, is out; this is the exit status.
    Reported(u8),
    /// There was nothing to report yet.
    Unreported(Box<Error>),
}

impl From<Error> for Failure {
    fn from(error: Error) -> Self {
        Self::Unreported(Box::new(error))
    }
}

/// What a verb answers: the exit status.
type Outcome = Result<u8, Failure>;

async fn dispatch(ui: &Ui, cli: Cli) -> Outcome {
    let Cli { global, command } = cli;
    match command {
        Command::Init(args) => init::run(ui, &global, &args),
        Command::Schema(args) => {
            schema::run(ui, &args);
            Ok(0)
        }
        Command::Completions(args) => {
            completions::run(ui, &args);
            Ok(0)
        }
        Command::Man(args) => man::run(ui, &args),
        Command::Sandbox(args) => sandbox::run(ui, &global, args).await,
        Command::Prices(args) => prices::run(ui, &global, &args).await,
        Command::Doctor(args) => Box::pin(doctor::run(&Context::load_to_look(ui, &global).await?, &args)).await,
        Command::Plan(args) => plan::run(&Context::load(ui, &global).await?, &args).await,
        Command::Apply(args) => apply::run(&Context::load(ui, &global).await?, &args).await,
        Command::Up(args) => up::run(&Context::load(ui, &global).await?, &args).await,
        Command::Params(args) => params::run(&Context::load(ui, &global).await?, args).await,
        Command::Render(args) => render::run(&Context::load(ui, &global).await?, &args).await,
        Command::Down(args) => Box::pin(down::run(ui, &global, &args)).await,
        Command::Destroy(args) => Box::pin(destroy::run(ui, &global, &args)).await,
        Command::Status(args) => status::run(ui, &global, &args).await,
        Command::Reap(args) => reap::run(ui, &global, &args).await,
        Command::Why(args) => why::run(ui, &global, &args).await,
        Command::Quota(args) => quota::run(ui, &global, &args).await,
    }
}

/// What was typed is no command: clap's text for people, a document where JSON was asked for.
fn refuse(error: &clap::Error) -> ExitCode {
    let typed: Vec<String> = std::env::args().skip(1).collect();
    let asks_json = typed.windows(2).any(|pair| matches!(pair[0].as_str(), "-o" | "--output") && pair[1] == "json")
        || typed.iter().any(|word| word == "-ojson" || word == "--output=json");
    let is_help = matches!(error.kind(), ErrorKind::DisplayHelp | ErrorKind::DisplayVersion);
    if is_help || !asks_json {
        // clap knows which stream each of its texts belongs on; a closed one is no error.
        let _ = error.print();
        return ExitCode::from(if is_help { 0 } else { Kind::Usage.exit_code() });
    }
    let text = error.to_string();
    // What is missing stands on lines of its own.
    let is_hint = |line: &&str| line.starts_with("[possible values") || line.starts_with("tip:");
    let said = text.lines().map(str::trim).take_while(|line| !line.is_empty()).filter(|line| !is_hint(line));
    let message = said.collect::<Vec<_>>().join(" ").trim_start_matches("error: ").to_owned();
    let names = Cli::command();
    let command =
        names.get_subcommands().map(clap::Command::get_name).find(|name| typed.iter().any(|word| word == name));
    report::write_failure(
        &Ui::new(Output::Json, false, Color::Auto),
        command.unwrap_or("spotctl"),
        &text
            .lines()
            .skip(1)
            .map(str::trim)
            .filter(is_hint)
            .fold(Error::usage(message), |error, line| error.hint(line.trim_start_matches("tip: "))),
    );
    ExitCode::from(Kind::Usage.exit_code())
}

/// `-v` says which calls are made, `-vv` and `-vvv` more of ourselves. Never the SDK's own traces: they hold request
/// bodies, and with them secrets.
fn trace(verbosity: u8) {
    let level = match verbosity {
        0 => return,
        1 => tracing::Level::INFO,
        2 => tracing::Level::DEBUG,
        _ => tracing::Level::TRACE,
    };
    let ours = Targets::new().with_target("spotctl", level);
    let lines = tracing_subscriber::fmt::layer().with_writer(std::io::stderr).with_target(false).compact();
    tracing_subscriber::registry().with(lines.with_filter(ours)).init();
}

/// A price that buys something.
fn price(text: &str) -> Result<Usd, String> {
    let price: Usd = text.parse().map_err(|error: InvalidText| error.to_string())?;
    if price.micros() == 0 { Err("a price of nothing buys nothing".to_owned()) } else { Ok(price) }
}

/// Where `init` writes, and where a file that is missing would have been.
fn beside(config: &std::path::Path, name: &str) -> PathBuf {
    config.parent().map_or_else(|| PathBuf::from(name), |folder| folder.join(name))
}

#[cfg(test)]
mod hostile;
