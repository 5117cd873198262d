//! `spotctl schema`: the JSON schema of the file, for editors.

use super::Outcome;
use crate::config;
use crate::ui::Ui;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub struct Args {}

pub(crate) fn run(ui: &Ui, _args: &Args) -> Outcome {
    ui.data(&format!("{:#}\n", config::schema()));
    Ok(0)
}
