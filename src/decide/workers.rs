//! Which workers there are, which are too many, and what a wait has come to. Pure.

use std::cmp::Reverse;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::names::Market;
use super::phase::{self, BY_DOWN, BY_REAP, Standing};
use crate::spec::Period;

/// EC2's instance states.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum State {
    /// Being started.
    Pending,
    /// Up; billed.
    Running,
    /// On-demand only: on its way to `stopped`.
    Stopping,
    /// On-demand only: its volume is billed.
    Stopped,
    /// On its way out; not billed any more.
    ShuttingDown,
    /// Gone.
    Terminated,
}

impl State {
    /// EC2's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::Stopping => "stopping",
            Self::Stopped => "stopped",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        }
    }

    /// Counts as a worker.
    #[must_use]
    pub fn is_live(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }

    /// Has ended or is ending.
    #[must_use]
    pub fn is_over(self) -> bool {
        matches!(self, Self::ShuttingDown | Self::Terminated)
    }
}

/// An instance that carries the stack's tag, whoever launched it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Worker {
    /// `i-…`.
    pub id: String,
    /// Instance type.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// How it is bought.
    pub market: Market,
    /// EC2's state.
    pub state: State,
    /// When AWS launched it.
    pub launched_at: Timestamp,
    /// When it runs and has one.
    pub public_ip: Option<String>,
    /// `sir-…`.
    pub spot_request: Option<String>,
    /// Which of the wished workers; `None`: not launched by `up`.
    pub slot: Option<u32>,
    /// Which round; `None`: not launched by `up`.
    pub generation: Option<u64>,
    /// The hard end counted from launch; `None`: none, or the tag is missing.
    pub lifetime: Option<Period>,
    /// What the box last said of itself.
    pub phase: Option<String>,
    /// Seconds after launch of each phase, as the box wrote them.
    pub timeline: Option<String>,
    /// When somebody ended it; `None`: it lives, or EC2 does not say.
    pub ended_at: Option<Timestamp>,
    /// Why it ended, EC2's code.
    pub state_reason: Option<String>,
    /// EC2's sentence to that.
    pub state_message: Option<String>,
}

impl Worker {
    /// Whether it counts towards the wish: it lives, and does not say of itself that it ends.
    #[must_use]
    pub fn counts(&self) -> bool {
        self.state.is_live() && !self.is_ending()
    }

    /// Whether the box says that it ends.
    #[must_use]
    pub fn is_ending(&self) -> bool {
        phase::standing(self.phase.as_deref()) == Standing::Ending
    }

    /// Whether the box was ready once and drained afterwards: a short job may be done between two looks.
    fn was_ready(&self) -> bool {
        let has_drained = self.phase.as_deref().is_some_and(|phase| phase.starts_with("draining:"));
        has_drained && self.timeline.as_deref().is_some_and(|timeline| phase::began(timeline, "ready").is_some())
    }

    /// Whether it got beyond `pending`: AWS had a machine for it.
    #[must_use]
    pub fn has_run(&self) -> bool {
        self.state == State::Running || self.phase.is_some()
    }

    /// The phase with its second where the box has said one, else EC2's state.
    #[must_use]
    pub fn stands(&self) -> String {
        let Some(phase) = &self.phase else { return self.state.as_str().to_owned() };
        match self.timeline.as_deref().and_then(|timeline| phase::began(timeline, phase)) {
            Some(second) => format!("{phase} ({second} s)"),
            None => phase.clone(),
        }
    }

    /// When it ends itself at the latest: launch plus lifetime, computed, never stored.
    #[must_use]
    pub fn expires_at(&self) -> Option<Timestamp> {
        self.launched_at.checked_add(self.lifetime?.duration()).ok()
    }
}

/// A place for a worker.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Slot {
    /// Counted from 0.
    pub number: u32,
    /// The latest generation that has left it, 0 where none has as far as EC2 shows: whoever drains there, shuts down or is
    /// gone. Its client token means that one yet, so the next worker is of a later generation.
    pub left: u64,
}

/// Slots to fill so that `count` workers live; those that no spotctl launched count too, and nobody is ever ended. One that
/// drains does not hold its slot: of two `up`s the one that sees it draining and the one that sees it gone fill the same
/// slot, in one pool with the same token, and else [`duplicates`] ends one. Which pool that is may differ from the one that
/// it left, so both have to count it, however far its end has come.
#[must_use]
pub fn slots_to_fill(workers: &[Worker], count: u32) -> Vec<Slot> {
    let counting = || workers.iter().filter(|worker| worker.counts());
    let held: BTreeSet<u32> = counting().filter_map(|worker| worker.slot).collect();
    let have = u32::try_from(counting().count() - duplicates(workers).len()).unwrap_or(u32::MAX);
    let left = |number: u32| {
        let there = workers.iter().filter(|worker| worker.slot == Some(number));
        there.map(|worker| worker.generation.unwrap_or(1)).max().unwrap_or_default()
    };
    let free = (0..).filter(|number| !held.contains(number)).take(count.saturating_sub(have) as usize);
    free.map(|number| Slot { number, left: left(number) }).collect()
}

/// Workers of one slot that count but the first: the later (launch time, then id) is the one too many, so that work under
/// way goes on. Client tokens keep a slot from being filled twice in one zone; two racing `up`s in different zones, or an
/// `up` that had read the generation before `down` moved it on, can still make a pair. No command wants two in one slot,
/// whatever their generations; one of a later generation stays, since it was launched when the other one was ending. One
/// that drains has left its slot to the next.
#[must_use]
pub fn duplicates(workers: &[Worker]) -> Vec<&Worker> {
    let mut holders: BTreeMap<u32, Vec<&Worker>> = BTreeMap::new();
    for worker in workers.iter().filter(|worker| worker.counts()) {
        if let Some(slot) = worker.slot {
            holders.entry(slot).or_default().push(worker);
        }
    }
    holders
        .into_values()
        .flat_map(|mut pair| {
            pair.sort_by_key(|worker| (Reverse(worker.generation), worker.launched_at, worker.id.clone()));
            pair.split_off(1)
        })
        .collect()
}

/// Workers of `up` that a `down` or `reap` has marked as ended and that live: it may have been killed between the two, and
/// whoever launched another one beside them would pay for both.
#[must_use]
pub fn abandoned(workers: &[Worker]) -> Vec<&Worker> {
    let is_told = |worker: &&Worker| matches!(worker.phase.as_deref(), Some(BY_DOWN | BY_REAP));
    workers.iter().filter(|worker| worker.state.is_live() && worker.slot.is_some()).filter(is_told).collect()
}

/// Live workers that are past their expiry by more than `grace`, in which the box drains by itself. One without a lifetime
/// never expires.
#[must_use]
pub fn expired(workers: &[Worker], now: Timestamp, grace: Duration) -> Vec<&Worker> {
    let is_over = |worker: &&Worker| {
        let end = worker.expires_at().and_then(|end| end.checked_add(grace).ok());
        worker.state.is_live() && end.is_some_and(|end| end <= now)
    };
    workers.iter().filter(is_over).collect()
}

/// How far `--wait` goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub enum Goal {
    /// AWS has launched it.
    Launched,
    /// EC2 says running.
    Running,
    /// The box says that its container is up.
    Ready,
}

/// What one look during the wait means.
#[derive(Debug, PartialEq, Eq)]
pub enum Progress<'a> {
    /// As many as wished have got there.
    Done,
    /// Not yet; the line says what is seen.
    Waiting(String),
    /// This one, of those that were counted on, ended before it got there, and too few others live.
    Lost(&'a Worker),
    /// This one says of itself that it ends, before it was ready.
    Ending(&'a Worker),
}

/// Those of the awaited that are not in the list yet.
#[must_use]
pub fn unseen<'a>(workers: &[Worker], awaited: impl IntoIterator<Item = &'a String>) -> Vec<&'a str> {
    let seen: BTreeSet<&str> = workers.iter().map(|worker| worker.id.as_str()).collect();
    awaited.into_iter().map(String::as_str).filter(|id| !seen.contains(id)).collect()
}

/// Looks at the workers while waiting for `count` of them to reach `goal`. `awaited` are the ids this run launched or
/// counted on; one that is not in the list yet is not visible yet, which is no reason to worry.
#[must_use]
pub fn progress<'a>(workers: &'a [Worker], awaited: &BTreeSet<String>, count: u32, goal: Goal) -> Progress<'a> {
    let extra: BTreeSet<&str> = duplicates(workers).into_iter().map(|worker| worker.id.as_str()).collect();
    let live: Vec<&Worker> =
        workers.iter().filter(|worker| worker.counts() && !extra.contains(worker.id.as_str())).collect();
    let unseen = unseen(workers, awaited).len();
    let there = |worker: &&&Worker| match goal {
        Goal::Launched => true,
        Goal::Running => worker.state == State::Running,
        Goal::Ready => phase::standing(worker.phase.as_deref()) == Standing::Ready,
    };
    let count = count as usize;
    let done = |worker: &&Worker| goal == Goal::Ready && awaited.contains(&worker.id) && worker.was_ready();
    let arrived = live.iter().filter(there).count() + workers.iter().filter(done).count();
    if arrived >= count {
        return Progress::Done;
    }
    if live.len() + unseen < count {
        let ours = || workers.iter().filter(|worker| awaited.contains(&worker.id));
        if let Some(lost) = ours().find(|worker| worker.state.is_over()) {
            return Progress::Lost(lost);
        }
        if let Some(ending) = ours().find(|worker| worker.state.is_live() && worker.is_ending()) {
            return Progress::Ending(ending);
        }
    }
    let seen: Vec<String> = live.iter().map(|worker| format!("{} {}", worker.id, worker.stands())).collect();
    Progress::Waiting(if seen.is_empty() { "not visible yet".to_owned() } else { seen.join(", ") })
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn worker(id: &str, state: State, slot: Option<u32>, launched_second: i64) -> Worker {
        Worker {
            id: id.to_owned(),
            instance_type: "g4dn.xlarge".to_owned(),
            zone: "us-east-1a".to_owned(),
            market: Market::Spot,
            state,
            launched_at: Timestamp::from_second(launched_second).unwrap(),
            public_ip: None,
            spot_request: None,
            slot,
            generation: slot.map(|_| 1),
            lifetime: None,
            phase: None,
            timeline: None,
            ended_at: None,
            state_reason: None,
            state_message: None,
        }
    }

    fn launched(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn free_slots_are_filled_and_workers_of_others_count() {
        let running = |id, slot| worker(id, State::Running, slot, 0);
        for (workers, count, slots) in [
            (vec![], 1, vec![0]),
            (vec![], 3, vec![0, 1, 2]),
            (vec![running("i-1", Some(0))], 1, vec![]),
            (vec![running("i-1", Some(1))], 3, vec![0, 2]),
            (vec![running("i-1", Some(0)), running("i-2", Some(0))], 2, vec![1]),
            (vec![running("i-1", None)], 1, vec![]),
            (vec![running("i-1", None)], 2, vec![0]),
            (vec![running("i-1", None), running("i-2", None), running("i-3", None)], 1, vec![]),
            (vec![worker("i-1", State::ShuttingDown, Some(0), 0)], 1, vec![0]),
        ] {
            let found: Vec<u32> = slots_to_fill(&workers, count).into_iter().map(|slot| slot.number).collect();
            assert_eq!(found, slots, "{workers:?} {count}");
        }
    }

    #[test]
    fn one_that_drains_leaves_its_slot_to_a_later_generation() {
        let mut draining = worker("i-1", State::Running, Some(0), 0);
        draining.phase = Some("draining:idle".to_owned());
        draining.generation = Some(4);
        assert_eq!(slots_to_fill(&[draining.clone()], 1), [Slot { number: 0, left: 4 }]);
        let next = worker("i-2", State::Pending, Some(0), 9);
        assert_eq!(duplicates(&[draining.clone(), next.clone()]), Vec::<&Worker>::new(), "the next one stays");
        let workers = [draining.clone(), next];
        assert_eq!(slots_to_fill(&workers, 2), [Slot { number: 1, left: 0 }]);
        draining.state = State::ShuttingDown;
        assert_eq!(slots_to_fill(&[draining.clone()], 1), [Slot { number: 0, left: 4 }]);
        draining.state = State::Terminated;
        assert_eq!(
            slots_to_fill(&[draining], 1),
            [Slot { number: 0, left: 4 }],
            "as who saw it shut down a moment ago"
        );
    }

    #[test]
    fn what_a_killed_down_has_marked_and_not_ended_is_abandoned_and_what_drains_by_itself_is_not() {
        let marked = |phase: &str, state, slot| {
            let mut one = worker("i-1", state, slot, 0);
            one.phase = Some(phase.to_owned());
            !abandoned(&[one]).is_empty()
        };
        assert!(marked("draining:down", State::Running, Some(0)) && marked("draining:reap", State::Pending, Some(0)));
        assert!(!marked("draining:idle", State::Running, Some(0)) && !marked("ready", State::Running, Some(0)));
        assert!(!marked("draining:down", State::ShuttingDown, Some(0)));
        assert!(!marked("draining:down", State::Running, None), "an API server's is never ended by `up`");
    }

    #[test]
    fn of_two_in_one_slot_the_later_is_too_many_and_of_two_generations_the_earlier() {
        let mut before = worker("i-5", State::Running, Some(0), 1);
        before.generation = Some(0);
        let workers = [
            worker("i-2", State::Running, Some(0), 5),
            worker("i-1", State::Pending, Some(0), 7),
            worker("i-3", State::Running, Some(1), 7),
            worker("i-4", State::Running, None, 8),
            worker("i-6", State::Terminated, Some(0), 1),
            before,
        ];
        assert_eq!(duplicates(&workers).iter().map(|w| w.id.as_str()).collect::<Vec<_>>(), ["i-1", "i-5"]);
        let same_second = [worker("i-b", State::Running, Some(0), 5), worker("i-a", State::Running, Some(0), 5)];
        assert_eq!(duplicates(&same_second).iter().map(|w| w.id.as_str()).collect::<Vec<_>>(), ["i-b"]);
    }

    #[test]
    fn a_wait_knows_unseen_from_lost_and_counts_whoever_runs() {
        let ours = launched(&["i-1"]);
        assert!(matches!(progress(&[], &ours, 1, Goal::Running), Progress::Waiting(_)));
        let pending = [worker("i-1", State::Pending, Some(0), 0)];
        assert!(matches!(progress(&pending, &ours, 1, Goal::Running), Progress::Waiting(_)));
        assert_eq!(progress(&pending, &ours, 1, Goal::Launched), Progress::Done);
        let running = [worker("i-1", State::Running, Some(0), 0)];
        assert_eq!(progress(&running, &ours, 1, Goal::Running), Progress::Done);
        let gone = [worker("i-1", State::Terminated, Some(0), 0)];
        assert_eq!(progress(&gone, &ours, 1, Goal::Running), Progress::Lost(&gone[0]));
        // Another racer ended ours as the later one: the survivor does.
        let replaced = [gone[0].clone(), worker("i-0", State::Running, Some(0), 0)];
        assert_eq!(progress(&replaced, &ours, 1, Goal::Running), Progress::Done);
    }

    #[test]
    fn a_wait_for_ready_ends_with_what_the_box_says() {
        let ours = launched(&["i-1"]);
        let mut one = worker("i-1", State::Running, Some(0), 0);
        let mut look = |phase: &str, timeline: Option<&str>| {
            one.phase = Some(phase.to_owned());
            one.timeline = timeline.map(str::to_owned);
            format!("{:?}", progress(std::slice::from_ref(&one), &ours, 1, Goal::Ready))
                .chars()
                .take(40)
                .collect::<String>()
        };
        assert_eq!(look("pulling", Some("booting=5 pulling=9")), "Waiting(\"i-1 pulling (9 s)\")");
        assert_eq!(look("pulling", None), "Waiting(\"i-1 pulling\")");
        assert_eq!(look("ready", None), "Done");
        assert!(look("failed:pulling:no image", None).starts_with("Ending(Worker"));
        assert!(look("draining:interruption", None).starts_with("Ending(Worker"));
        assert!(look("draining:done", Some("ready=61 draining=62")).starts_with("Done"), "a short job");
        let mut gone = [one.clone(), worker("i-2", State::Running, Some(1), 1)];
        gone[0].phase = Some("draining:idle".to_owned());
        assert_eq!(progress(&gone, &ours, 1, Goal::Running), Progress::Done, "another one is there");
        assert!(matches!(progress(&gone[..1], &ours, 1, Goal::Running), Progress::Ending(_)));
        assert!(matches!(progress(&gone[..1], &launched(&[]), 1, Goal::Running), Progress::Waiting(_)), "nobody's");
    }

    #[test]
    fn a_duplicate_never_counts_towards_the_wish() {
        let twice = [worker("i-1", State::Running, Some(0), 0), worker("i-2", State::Running, Some(0), 1)];
        assert!(matches!(progress(&twice, &launched(&["i-2"]), 2, Goal::Running), Progress::Waiting(_)));
    }

    #[test]
    fn a_worker_has_expired_when_its_lifetime_and_the_grace_are_over() {
        let mut one = worker("i-1", State::Running, None, 1000);
        one.lifetime = Some(Period::from_secs(60));
        let forever = worker("i-2", State::Running, None, 0);
        let gone = Worker { state: State::Terminated, ..one.clone() };
        let workers = [one, forever, gone];
        let at = |second| {
            let found = expired(&workers, Timestamp::from_second(second).unwrap(), Duration::from_secs(10));
            found.iter().map(|worker| worker.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!((at(1069), at(1070)), (vec![], vec!["i-1".to_owned()]));
    }

    #[test]
    fn expiry_is_launch_plus_lifetime() {
        let mut one = worker("i-1", State::Running, None, 1000);
        assert_eq!(one.expires_at(), None);
        one.lifetime = Some(Period::from_secs(60));
        assert_eq!(one.expires_at(), Some(Timestamp::from_second(1060).unwrap()));
    }
}
