//! `spotctl completions`: a completion script for a shell.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Outcome};
use crate::ui::Ui;

/// Arguments of `completions`.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Which shell
    shell: Shell,
}

pub(crate) fn run(ui: &Ui, args: &Args) -> Outcome {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "spotctl", &mut script);
    ui.data(&String::from_utf8_lossy(&script));
    Ok(0)
}
