//! `spotctl man`: the manual page, in roff.

use clap::CommandFactory;

use super::{Cli, Outcome};
use crate::error::{Error, Kind};
use crate::ui::Ui;

/// Arguments of `man`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The page of this command instead of the program's
    #[arg(value_name = "COMMAND")]
    command: Option<String>,
}

pub(crate) fn run(ui: &Ui, args: &Args) -> Outcome {
    let mut program = Cli::command();
    program.build();
    let page = match &args.command {
        None => program,
        Some(name) => match program.find_subcommand(name) {
            Some(found) => found.clone(),
            None => return Err(Error::usage(format!("no command `{name}`")).hint("spotctl --help lists them").into()),
        },
    };
    let mut roff = Vec::new();
    clap_mangen::Man::new(page)
        .render(&mut roff)
        .map_err(|error| Error::new(Kind::Aws, format!("rendering the manual page: {error}")))?;
    ui.data(&String::from_utf8_lossy(&roff));
    Ok(0)
}
