//! `reap`: ends workers that are past their expiry, whoever launched them. The box ends itself; this is for the one that
//! cannot, and for those whose box never came up.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;

use crate::cloud::Cloud;
use crate::decide::phase::{BY_REAP, LastWord};
use crate::decide::workers::{Worker, expired};
use crate::error::Result;
use crate::resource::{launch_template, worker};
use crate::spec::WorkerName;

/// Ends what has expired among these workers, by stack; `told` hears of each that was told to end.
///
/// # Errors
/// The first call's failure, after all were tried.
pub async fn reap(
    cloud: &Cloud,
    stacks: &BTreeMap<String, Vec<Worker>>,
    (now, grace): (Timestamp, Duration),
    told: impl FnMut(&str),
) -> Result<()> {
    let meant: Vec<(&str, Vec<&Worker>)> =
        stacks.iter().map(|(stack, workers)| (stack.as_str(), expired(workers, now, grace))).collect();
    let all = || meant.iter().flat_map(|(_, workers)| workers);
    let ids: Vec<&str> = all().map(|worker| worker.id.as_str()).collect();
    if ids.is_empty() {
        return Ok(());
    }
    // What ends already has said why, or is about to.
    let marked: Vec<&str> = all().filter(|worker| !worker.is_ending()).map(|worker| worker.id.as_str()).collect();
    let words = meant.iter().filter_map(|(stack, workers)| {
        let last = workers.iter().rfind(|worker| !worker.is_ending())?;
        Some(leave_word(cloud, stack, last, now))
    });
    let (ended, said, ()) = futures::join!(
        worker::terminate(cloud, &ids, told),
        futures::future::join_all(words),
        worker::mark(cloud, &marked, BY_REAP)
    );
    ended?;
    said.into_iter().collect()
}

async fn leave_word(cloud: &Cloud, stack: &str, worker: &Worker, now: Timestamp) -> Result<()> {
    // A tag that is no name of ours has no template of ours either.
    let Ok(stack) = stack.parse::<WorkerName>() else { return Ok(()) };
    let found = Box::pin(launch_template::observe(cloud, &stack)).await?.spot;
    let Some(found) = found.filter(launch_template::Observed::is_ours) else { return Ok(()) };
    let word = LastWord::of(&worker.id, now, BY_REAP, worker.timeline.as_deref());
    launch_template::set_last_word(cloud, &found.id, &word).await
}
