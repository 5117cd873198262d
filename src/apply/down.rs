//! `down`: ends workers, and waits until they are gone.

use std::cell::RefCell;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::time::Instant;

use super::destroy::Standing;
use crate::cloud::{Cloud, poll};
use crate::decide::cost::Ledger;
use crate::decide::phase::{BY_DOWN, LastWord};
use crate::decide::workers::{State, Worker, unseen};
use crate::error::{Error, Leftover, Result};
use crate::market;
use crate::resource::{Kind, launch_template, worker};
use crate::spec::WorkerName;
use crate::ui::Ui;

/// Which workers are to end, and how far to wait.
#[derive(Debug, Clone, Copy)]
pub struct Down<'a> {
    /// The stack.
    pub stack: &'a WorkerName,
    /// These workers; none named: all of them.
    pub only: &'a [String],
    /// How long to wait until they are gone; `None`: not at all.
    pub limit: Option<Duration>,
    /// Whether the launch template stays, and with it the last word of the worker that was launched last.
    pub template_stays: bool,
}

/// What `down` did.
#[derive(Debug, Clone, Default)]
pub struct Downed {
    /// What was seen to be there and is to go; what is not said to be ended or removed is left when the command fails.
    pub seen: RefCell<Vec<Leftover>>,
    /// Whether workers may be there that did not show themselves yet: nobody waited for them.
    pub may_miss: bool,
    /// Workers that live and are not meant: who launched them had seen that others were ended.
    pub later: Vec<String>,
    /// Instances that were told to end.
    pub terminated: Vec<String>,
    /// Requests that were cancelled.
    pub cancelled: Vec<String>,
    /// What was ended, when, and the prices it was bought at, for the estimate of the bill.
    pub ended: Option<(Vec<Worker>, Timestamp, Ledger)>,
}

/// Ends these workers, or all of the stack, and moves the generation on, so that the next `up` asks with new tokens. What
/// was told to end is in `done` as soon as it was.
///
/// # Errors
/// An id that is not this stack's; a call's failure; the time ran out.
pub async fn down(cloud: &Cloud, order: Down<'_>, ui: &Ui, done: &mut Downed) -> Result<()> {
    let Down { stack, only, .. } = order;
    let began = Instant::now();
    // What is to go after them, so that whoever ends before that can say what is left. Where it cannot be read in a moment
    // the workers end all the same.
    let rest =
        async { if order.template_stays { None } else { poll::courtesy(Standing::glimpse(cloud, stack)).await } };
    let (workers, templates, requests, rest) = futures::join!(
        worker::observe(cloud, stack),
        launch_template::observe(cloud, stack),
        worker::open_requests(cloud, stack, &[]),
        rest
    );
    let rest = rest.map(|rest| rest.with(templates.as_ref().ok()).leftovers(cloud, stack));
    done.seen.borrow_mut().extend(rest.into_iter().flatten());
    let (mut workers, templates, requests) = (workers?, templates?, requests?);
    let began_at = cloud.clock.now();
    let template = templates.spot.filter(launch_template::Observed::is_ours);
    // An `up` that was killed a moment ago may have launched what no read shows yet. `destroy` looks for that itself, when
    // nothing can be launched any more, and whoever holds the group back shows itself then.
    let may_be_late = order.limit.is_some() && order.template_stays && template.is_some();
    let is_enough = |workers: &[Worker]| {
        if only.is_empty() { any_lives(workers) } else { !unseen(workers, only).into_iter().any(is_instance_id) }
    };
    // Whether all that was launched before this began has shown itself.
    let mut is_shown = !may_be_late || !only.is_empty();
    if may_be_late && !is_enough(&workers) {
        workers = look_on(cloud, stack, ui, began, is_enough).await?;
        is_shown |= !is_enough(&workers) && began.elapsed() >= poll::SHOWN;
    }
    if let Some(unknown) = unseen(&workers, only).first() {
        return Err(Error::usage(format!("`{unknown}` is no worker of the stack `{stack}`"))
            .hint(format!("its workers: spotctl status --name {stack}")));
    }
    let only: BTreeSet<&String> = only.iter().collect();
    let is_meant = |worker: &&Worker| !worker.state.is_over() && (only.is_empty() || only.contains(&worker.id));
    let meant: Vec<&Worker> = workers.iter().filter(is_meant).collect();
    let ids: Vec<&str> = meant.iter().map(|worker| worker.id.as_str()).collect();
    done.seen.borrow_mut().extend(ids.iter().copied().map(left));
    done.may_miss = order.limit.is_none() && only.is_empty() && template.is_some();
    let requests = if only.is_empty() { requests } else { Vec::new() };
    // The template's number may lag behind: who follows one that drains or has ended is of the next, and may not show itself yet.
    let next = |worker: &Worker| worker.generation.map(|of| of + u64::from(!worker.counts()));
    let known = workers.iter().filter_map(next).max().unwrap_or_default();
    let generation = template.as_ref().map_or(known, |found| found.generation.max(known));
    let move_on = async {
        match template.as_ref().filter(|_| !ids.is_empty()) {
            Some(found) => launch_template::set_generation(cloud, &found.id, generation + 1).await,
            None => Ok(()),
        }
    };
    // What ends already has said why, or is about to.
    let unspoken: Vec<&Worker> = meant.iter().copied().filter(|worker| !worker.is_ending()).collect();
    let marked: Vec<&str> = unspoken.iter().map(|worker| worker.id.as_str()).collect();
    let last = unspoken.last();
    let leave_word = async || match template.as_ref().filter(|_| order.template_stays).zip(last) {
        Some((found, worker)) => {
            let word = LastWord::of(&worker.id, cloud.clock.now(), BY_DOWN, worker.timeline.as_deref());
            launch_template::set_last_word(cloud, &found.id, &word).await
        }
        None => Ok(()),
    };
    let at_once = async { if order.limit.is_none() { leave_word().await } else { Ok(()) } };
    let bought: Vec<Worker> = meant.iter().map(|worker| (*worker).clone()).collect();
    // What it has cost is a courtesy, read beside the end of it: nothing of it keeps a worker alive.
    let costs = async {
        if bought.is_empty() {
            return Ledger::default();
        }
        let (disks, ledger) = futures::join!(
            worker::disks_if_allowed(cloud, Some(stack)),
            market::ledger(cloud, &bought, BTreeMap::new())
        );
        Ledger { disks, ..ledger }
    };
    let (ended, cancelled, moved, said, (), ledger) = futures::join!(
        worker::terminate(cloud, &ids, |id| done.terminated.push(id.to_owned())),
        worker::cancel_requests(cloud, &requests),
        move_on,
        at_once,
        worker::mark(cloud, &marked, BY_DOWN),
        costs
    );
    done.ended = Some((bought, cloud.clock.now(), ledger));
    ended?;
    cancelled?;
    done.cancelled = requests;
    moved.and(said)?;
    let Some(limit) = order.limit else { return Ok(()) };
    // Those that were ending already are waited for too: `down` is over when nothing is left.
    let over = |worker: &&Worker| worker.state == State::ShuttingDown;
    let ending = workers.iter().filter(over).filter(|_| only.is_empty()).map(|worker| worker.id.clone());
    let mut pending: BTreeSet<String> = ids.iter().map(|id| (*id).to_owned()).chain(ending).collect();
    // Launched before this began, by an `up` that was killed, and seen only later. What is of a later generation is not meant:
    // somebody has turned the stack on again.
    // An API server's has none, but AWS says in which second it was launched.
    let is_of_before = |worker: &Worker| began_at.duration_since(worker.launched_at) >= SignedDuration::from_secs(1);
    let is_before = |worker: &Worker| worker.generation.map_or_else(|| is_of_before(worker), |of| of <= generation);
    let is_late = |worker: &&Worker| worker.state.is_live() && is_before(worker);
    let mut seen = Vec::new();
    loop {
        let was_waiting = !pending.is_empty();
        seen = if was_waiting {
            let left = cloud.deadline.left().unwrap_or(limit);
            wait_until_gone(cloud, stack, &pending, left, ui).await?
        } else if !is_shown && !cloud.deadline.is_over() {
            // The others were gone sooner than one that was launched just before shows itself.
            look_on(cloud, stack, ui, began, |workers| workers.iter().any(|found| is_late(&found))).await?
        } else {
            break;
        };
        let late: Vec<&str> =
            seen.iter().filter(|_| only.is_empty()).filter(is_late).map(|worker| worker.id.as_str()).collect();
        is_shown |= late.is_empty() && !was_waiting && began.elapsed() >= poll::SHOWN;
        if late.is_empty() && !was_waiting {
            break;
        }
        done.seen.borrow_mut().extend(late.iter().copied().map(left));
        worker::terminate(cloud, &late, |id| done.terminated.push(id.to_owned())).await?;
        pending = late.into_iter().map(str::to_owned).collect();
    }
    if only.is_empty() {
        done.may_miss = !is_shown;
        let later = seen.iter().filter(|worker| worker.counts() && !done.terminated.contains(&worker.id));
        done.later = later.map(|worker| worker.id.clone()).collect();
    }
    // After the box's own, which a shutdown from outside makes it leave, and which knows less.
    leave_word().await
}

/// [`worker::observe_until`], told to whoever waits for it.
///
/// # Errors
/// A call's failure.
pub async fn look_on(
    cloud: &Cloud,
    stack: &WorkerName,
    ui: &Ui,
    began: Instant,
    is_enough: impl Fn(&[Worker]) -> bool,
) -> Result<Vec<Worker>> {
    let _waiting = ui.wait("looking for a worker that was launched in the last seconds");
    worker::observe_until(cloud, stack, began, is_enough).await
}

/// A worker that is to end; what it costs is not known yet.
pub(super) fn left(id: &str) -> Leftover {
    Leftover { kind: Kind::Instance.words().to_owned(), id: id.to_owned(), usd_per_hour: None }
}

/// Whether it may be an instance's id (`i-` and hexadecimal digits); what cannot be one need not be looked for.
fn is_instance_id(text: &str) -> bool {
    let digits = text.strip_prefix("i-").unwrap_or_default();
    digits.len() >= 8 && digits.bytes().all(|byte| byte.is_ascii_hexdigit())
}

pub(super) fn any_lives(workers: &[Worker]) -> bool {
    workers.iter().any(|worker| worker.state.is_live())
}

/// Answers all workers as they are then.
async fn wait_until_gone(
    cloud: &Cloud,
    stack: &WorkerName,
    pending: &BTreeSet<String>,
    limit: Duration,
    ui: &Ui,
) -> Result<Vec<Worker>> {
    let label = |left: usize| {
        let workers = if left == 1 { "1 worker has".to_owned() } else { format!("{left} workers have") };
        format!("waiting until {workers} ended")
    };
    let mut waiting = ui.wait(&label(pending.len()));
    let pace = poll::Pace { limit, ..poll::STATE };
    let mut seen = Vec::new();
    worker::gone(cloud, stack, pending, pace, |workers| {
        let is_left = |worker: &&Worker| pending.contains(&worker.id) && worker.state != State::Terminated;
        let left = workers.iter().filter(is_left).count();
        if left > 0 {
            waiting.update(&label(left));
        }
        seen = workers.to_vec();
    })
    .await
    .map_err(|error| error.hint(format!("AWS goes on ending them; look: spotctl status --name {stack}")))?;
    Ok(seen)
}
