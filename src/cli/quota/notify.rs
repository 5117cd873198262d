//! `--notify`: a command of the user's own, run through the shell once the waiting is over.
//!
//! It learns what happened from its environment, and what it prints goes to stderr: stdout is the report's. Nobody repeats
//! its text, which may hold the address of a private door. That it fails changes nothing.

use std::io;
use std::process::{Command, ExitStatus, Stdio};

use super::super::signal::until_signal;
use crate::cloud::poll::{self, COMMAND, Look, TimedOut};
use crate::error::{Error, Kind, Result};
use crate::ui::Ui;

/// What the command is told.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct News {
    /// The quota; empty where it was never clear which.
    pub(super) code: String,
    /// How it ended.
    pub(super) status: &'static str,
    /// The applied value; empty where it is not known.
    pub(super) limit: String,
}

/// Runs it and waits for it. It is never killed: it may be launching something.
pub(super) async fn notify(ui: &Ui, command: &str, news: &News) {
    let ended =
        until_signal(async { run(command, news).await.map_err(|error| Error::new(Kind::Aws, error.to_string())) });
    match ended.await {
        Ok(Ok(status)) if status.success() => {}
        Ok(Ok(status)) => ui.warn(&format!("the command of --notify ended with {status}")),
        Ok(Err(TimedOut)) => ui.warn("the command of --notify did not end within two hours; it is left to itself"),
        Err(error) => ui.warn(&format!("the command of --notify: {}", error.message)),
    }
}

async fn run(command: &str, news: &News) -> io::Result<Result<ExitStatus, TimedOut>> {
    let mut child = Command::new("/bin/sh")
        .args(["-c", command])
        .env("SPOTCTL_QUOTA_CODE", &news.code)
        .env("SPOTCTL_QUOTA_STATUS", news.status)
        .env("SPOTCTL_QUOTA_LIMIT", &news.limit)
        .stdin(Stdio::null())
        .stdout(io::stderr())
        .spawn()?;
    let ended =
        poll::poll(COMMAND, async || Ok::<_, io::Error>(child.try_wait()?.map_or(Look::Again, Look::Done))).await?;
    Ok(ended)
}
