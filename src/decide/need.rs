//! What is known of a quota, and what of it the wished workers need.

use std::collections::BTreeSet;

use super::increase::{Increase, open};
use super::names::Market;
use super::quota::Standing;

/// One quota: how the account stands to it, what was asked for, what is needed.
#[derive(Debug, Clone)]
pub struct Known {
    /// Limit and use.
    pub standing: Standing,
    /// Requests for more, the newest first; `None` where nobody may read them.
    pub increases: Option<Vec<Increase>>,
    /// The families that led here.
    pub families: BTreeSet<String>,
    /// The smallest type that it has to suffice for, with its vCPUs; `None`: nobody said which types are meant.
    pub smallest: Option<(String, u32)>,
    /// IAM actions that were refused, so that something here is not known.
    pub missing: BTreeSet<&'static str>,
}

/// A family whose quota nobody knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unknown {
    /// Such as `p6-b200`.
    pub family: String,
    /// Spot or on-demand.
    pub market: Market,
    /// vCPUs of its smallest type.
    pub vcpus: Option<u32>,
}

/// What the limit has to reach, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Least {
    /// vCPUs.
    pub vcpus: u32,
    /// For a sentence.
    pub because: String,
}

impl Known {
    /// vCPUs of so many workers, each of the smallest type.
    #[must_use]
    pub fn needed(&self, count: u32) -> Option<u32> {
        Some(self.smallest.as_ref()?.1.saturating_mul(count))
    }

    /// Whether so many workers of the stack may run, those that do included; `None` where it is not known.
    #[must_use]
    pub fn suffices(&self, count: u32, stack: Option<&str>) -> Option<bool> {
        let own = stack.map_or(Some(0), |stack| self.standing.used_by(stack));
        self.standing.suffices(self.needed(count)?.saturating_sub(own.unwrap_or(0)))
    }

    /// The request that is open.
    #[must_use]
    pub fn open(&self) -> Option<&Increase> {
        open(self.increases.as_deref()?)
    }

    /// What the limit has to reach so that so many workers of the stack may run beside what others use; `None`: nobody
    /// said which types are meant.
    #[must_use]
    pub fn least(&self, count: u32, stack: Option<&str>) -> Option<Least> {
        let ((smallest, _), needed) = (self.smallest.as_ref()?, self.needed(count)?);
        let need = if count == 1 { "needs" } else { "need" };
        let mut because = format!("{count} × {smallest} {need} {needed}");
        // The stack's own workers are among those wished for.
        let own = stack.map_or(Some(0), |stack| self.standing.used_by(stack));
        let others = match (self.standing.in_use(), own) {
            (Some(all), Some(own)) => all.saturating_sub(own),
            _ => {
                because.push_str(", what others use is not known");
                0
            }
        };
        if others > 0 {
            because = format!("{because}, others use {others}");
        }
        Some(Least { vcpus: needed.saturating_add(others), because })
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::decide::quota::{self, Holder};

    pub(crate) fn known(limit: Option<u32>, holders: Option<&[(&str, u32, Option<&str>)]>) -> Known {
        let holder = |(id, vcpus, stack): &(&str, u32, Option<&str>)| Holder {
            id: (*id).to_owned(),
            instance_type: "g4dn.xlarge".to_owned(),
            vcpus: Some(*vcpus),
            since: jiff::Timestamp::from_second(0).ok(),
            stack: stack.map(str::to_owned),
        };
        let standing = Standing {
            quota: quota::of("g4dn.xlarge", Market::Spot).unwrap(),
            limit,
            holders: holders.map(|holders| holders.iter().map(holder).collect()),
            missing: BTreeSet::new(),
        };
        Known {
            standing,
            increases: Some(Vec::new()),
            families: BTreeSet::from(["g4dn".to_owned()]),
            smallest: Some(("g4dn.xlarge".to_owned(), 4)),
            missing: BTreeSet::new(),
        }
    }

    #[test]
    fn the_stacks_own_workers_are_among_those_wished_for_and_others_are_not() {
        for (holders, count, vcpus, because, suffices) in [
            (Some(&[][..]), 1, 4, "1 × g4dn.xlarge needs 4", Some(true)),
            (Some(&[("i-1", 4, Some("w"))][..]), 1, 4, "1 × g4dn.xlarge needs 4", Some(true)),
            (
                Some(&[("i-1", 4, Some("w")), ("i-2", 4, None)][..]),
                2,
                12,
                "2 × g4dn.xlarge need 8, others use 4",
                Some(false),
            ),
            (Some(&[("i-1", 8, Some("v"))][..]), 1, 12, "1 × g4dn.xlarge needs 4, others use 8", Some(false)),
            (None, 1, 4, "1 × g4dn.xlarge needs 4, what others use is not known", None),
        ] {
            let known = known(Some(8), holders);
            let least = known.least(count, Some("w")).unwrap();
            assert_eq!((least.vcpus, least.because.as_str()), (vcpus, because));
            assert_eq!(known.suffices(count, Some("w")), suffices, "{holders:?} {count}");
        }
    }

    #[test]
    fn without_types_nothing_is_needed_and_nothing_is_claimed() {
        let known = Known { smallest: None, ..known(Some(8), Some(&[])) };
        assert_eq!((known.needed(1), known.least(1, None), known.suffices(1, None)), (None, None, None));
    }
}
