//! Ctrl-C and SIGTERM, at any moment.

use tokio::signal::unix::{SignalKind, signal};

use crate::error::{Error, Kind, Result};

/// Runs `work` until it ends or a signal comes. On a signal the work stops where it stands: every call it was
/// making may or may not have taken effect, which is why the journal, and not the work, says what exists.
///
/// # Errors
/// The work's own; interrupted or terminated.
pub async fn until_signal<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    let handler = |kind: SignalKind| {
        signal(kind).map_err(|error| Error::new(Kind::Aws, format!("listening for signals: {error}")))
    };
    let mut interrupt = handler(SignalKind::interrupt())?;
    let mut terminate = handler(SignalKind::terminate())?;
    tokio::select! {
        biased;
        _ = interrupt.recv() => Err(Error::new(Kind::Interrupted, "interrupted")),
        _ = terminate.recv() => Err(Error::new(Kind::Terminated, "terminated")),
        result = work => result,
    }
}
