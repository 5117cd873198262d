//! What a run has done so far. A command that fails, times out or is killed says from this what exists now.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use crate::decide::workers::Worker;
use crate::error::Leftover;
use crate::resource::{Action, Change, Making};
use crate::spec::Usd;

/// Written by whatever changes something, at the moment it has changed.
#[derive(Debug, Default)]
pub struct Journal(Mutex<Entries>);

#[derive(Debug, Default, Clone)]
struct Entries {
    changes: Vec<Change>,
    asked: Vec<Change>,
    /// By id: which of them it was, the worker, its price.
    workers: BTreeMap<String, (usize, Worker, Option<Usd>)>,
    launched: usize,
    /// Launches that AWS has not answered yet.
    under_way: usize,
    /// Whether the answer to one got lost. A run that begins anew asks for others, whose answers say nothing of that one.
    is_undecided: bool,
    stopped: bool,
}

impl Entries {
    /// The workers in the order in which they were launched, or last looked at.
    fn in_order(&self) -> Vec<(Worker, Option<Usd>)> {
        let mut workers: Vec<_> = self.workers.values().collect();
        workers.sort_by_key(|(place, ..)| *place);
        workers.into_iter().map(|(_, worker, price)| (worker.clone(), *price)).collect()
    }
}

impl Journal {
    /// A change was made.
    pub fn changed(&self, change: Change) {
        self.entries().changes.push(change);
    }

    /// The making of this stands like that.
    pub fn making(&self, change: Change, how: Making<'_>) {
        let mut entries = self.entries();
        entries.asked.retain(|asked| (asked.kind, &asked.name) != (change.kind, &change.name));
        match how {
            Making::Asked => entries.asked.push(change),
            Making::Made(id) => entries.changes.push(change.id(id.map(str::to_owned))),
            Making::Refused => {}
        }
    }

    /// What AWS was asked to make, and may or may not have made.
    pub fn asked(&self) -> Vec<Change> {
        self.entries().asked.clone()
    }

    /// A worker was launched, at this price an hour.
    pub fn launched(&self, worker: &Worker, price: Option<Usd>) {
        let mut entries = self.entries();
        // A later look knows the state better, an earlier one the price.
        let known = entries.workers.get(&worker.id).and_then(|(_, _, price)| *price);
        entries.launched += 1;
        let entry = (entries.launched, worker.clone(), price.or(known));
        entries.workers.insert(worker.id.clone(), entry);
    }

    /// A worker that was launched has ended.
    pub fn ended(&self, id: &str) {
        self.entries().workers.remove(id);
    }

    /// One more launch is under way, or one less.
    pub fn launching(&self, is_under_way: bool) {
        let mut entries = self.entries();
        let (one_more, one_less) = (entries.under_way + 1, entries.under_way.saturating_sub(1));
        entries.under_way = if is_under_way { one_more } else { one_less };
    }

    /// All launches have ended; of one it may be unknown how.
    pub fn launched_all(&self, is_undecided: bool) {
        let mut entries = self.entries();
        entries.under_way = 0;
        entries.is_undecided |= is_undecided;
    }

    /// Whether a launch is under way.
    pub fn is_launching(&self) -> bool {
        self.entries().under_way > 0
    }

    /// Whether a launch is under way, or was when the answer to it got lost.
    pub fn may_have_launched(&self) -> bool {
        let entries = self.entries();
        entries.under_way > 0 || entries.is_undecided
    }

    /// Nothing is launched any more: the command ends as soon as what is under way is answered.
    pub fn stop(&self) {
        self.entries().stopped = true;
    }

    /// Whether nothing is to be launched any more.
    pub fn is_stopped(&self) -> bool {
        self.entries().stopped
    }

    /// Every change made so far.
    pub fn changes(&self) -> Vec<Change> {
        self.entries().changes.clone()
    }

    /// Every worker launched so far and not ended since.
    pub fn workers(&self) -> Vec<(Worker, Option<Usd>)> {
        self.entries().in_order()
    }

    /// What a failed command leaves behind: everything it made, and what it may have made.
    pub fn leftovers(&self) -> Vec<Leftover> {
        let entries = self.entries();
        let workers = entries.in_order().into_iter().map(|(worker, price)| Leftover {
            kind: "instance".to_owned(),
            id: worker.id,
            usd_per_hour: price,
        });
        let made = entries.changes.iter().filter(|change| matches!(change.action, Action::Create | Action::Replace));
        workers.chain(made.chain(&entries.asked).map(Change::leftover)).collect()
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        // A panic elsewhere does not make the list wrong.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
