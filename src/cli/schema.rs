//! `spotctl schema`: the JSON schema of the file, for editors.

use crate::config;
use crate::ui::Ui;

/// Arguments of `schema`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {}

pub(crate) fn run(ui: &Ui, _args: &Args) {
    ui.data(&format!("{:#}\n", config::schema()));
}
