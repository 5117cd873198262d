//! `spotctl init`: writes a commented `spotctl.yaml` and a `.env` sample beside it; never over a file that is there.

use std::fs::OpenOptions;
use std::io::{ErrorKind, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;

use super::{Outcome, beside};
use crate::config;
use crate::error::{Error, Result};
use crate::report::{self, Report};
use crate::settings::GlobalArgs;
use crate::spec::WorkerName;
use crate::ui::Ui;

/// Arguments of `init`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// The stack's name
    #[arg(long, value_name = "NAME", default_value = "worker-gpu")]
    name: WorkerName,
}

#[derive(Debug, Default, Serialize)]
struct Written {
    written: Vec<PathBuf>,
}

impl Report for Written {
    fn text(&self, _color: bool) -> String {
        let lines = self.written.iter().map(|path| format!("wrote {}", path.display()));
        lines.collect::<Vec<_>>().join("\n") + "\n"
    }
}

pub(crate) fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let env = beside(&global.config, ".env");
    // Both or none: looked at before either is written.
    if let Some(there) = [global.config.as_path(), env.as_path()].into_iter().find(|path| path.exists()) {
        return Err(exists(there).into());
    }
    write(&global.config, &config::template(args.name.as_str()), false)?;
    write(&env, config::env_template(), true)?;
    let report = Written { written: vec![global.config.clone(), env.clone()] };
    report::write(ui, "init", &report, None);
    ui.note(&format!(
        "next: set `container.image` in {}, put parameters into {} (and keep it out of git), then: spotctl plan",
        global.config.display(),
        env.display()
    ));
    Ok(0)
}

fn exists(path: &Path) -> Error {
    Error::usage(format!("`{}` exists; it was not touched", path.display()))
        .hint("to write elsewhere: spotctl --config FILE init")
}

/// Creates the file; one that will hold secrets is its owner's alone.
fn write(path: &Path, text: &str, is_private: bool) -> Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    let failed = |error: std::io::Error| match error.kind() {
        ErrorKind::AlreadyExists => exists(path),
        _ => Error::usage(format!("writing `{}`: {error}", path.display())),
    };
    let mode = if is_private { 0o600 } else { 0o644 };
    let mut file = OpenOptions::new().write(true).create_new(true).mode(mode).open(path).map_err(failed)?;
    file.write_all(text.as_bytes()).map_err(failed)
}
