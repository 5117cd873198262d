//! Increases of a quota: which number is asked for, what a request's status means, and when waiting is over.
//!
//! Odd in AWS: `APPROVED` comes before the new value counts, and `CASE_CLOSED` says only that a person has closed the case.
//! So nothing but the applied value says that it was granted.

use std::time::Duration;

use jiff::Timestamp;

/// A request for more, as Service Quotas has it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Increase {
    /// Service Quotas' id.
    pub id: String,
    /// The vCPUs asked for.
    pub vcpus: Option<u32>,
    /// Service Quotas' word, such as `CASE_OPENED`.
    pub status: String,
    /// The support case, once there is one.
    pub case: Option<String>,
    /// When it was filed.
    pub created: Option<Timestamp>,
    /// When its status changed last.
    pub updated: Option<Timestamp>,
}

/// What a status means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Somebody has it.
    Open,
    /// Answered, and the answer is in the applied value; or a word that is not known, of which the same holds.
    Answered,
    /// Refused.
    Refused,
}

impl Increase {
    /// What its status means.
    #[must_use]
    pub fn fate(&self) -> Fate {
        match self.status.as_str() {
            "PENDING" | "CASE_OPENED" => Fate::Open,
            "DENIED" | "NOT_APPROVED" | "INVALID_REQUEST" => Fate::Refused,
            _ => Fate::Answered,
        }
    }

    /// Whether somebody has it.
    #[must_use]
    pub fn is_open(&self) -> bool {
        self.fate() == Fate::Open
    }

    /// For a sentence: `the request 9f… for 8 vCPUs is CASE_OPENED (case 17…)`.
    #[must_use]
    pub fn said(&self) -> String {
        let vcpus = self.vcpus.map_or_else(String::new, |vcpus| format!(" for {vcpus} vCPUs"));
        let case = self.case.as_ref().map_or_else(String::new, |case| format!(" (case {case})"));
        format!("the request {}{vcpus} is {}{case}", self.id, self.status)
    }
}

/// The request that is open.
#[must_use]
pub fn open(increases: &[Increase]) -> Option<&Increase> {
    increases.iter().find(|increase| increase.is_open())
}

/// How long after an answer the applied value may still move. AWS names no time; minutes are usual.
pub const APPLIED_WITHIN: Duration = Duration::from_mins(30);

/// Where waiting stands.
#[derive(Debug, PartialEq, Eq)]
pub enum Verdict<'a> {
    /// The applied value suffices.
    Granted,
    /// A request is open, or was answered a moment ago.
    Wait(&'a Increase),
    /// The last request was refused.
    Refused(&'a Increase),
    /// The last request was answered, and the value is too small all the same.
    InVain(&'a Increase),
    /// There never was a request.
    Nothing,
}

/// Judges what was seen at a moment: the applied value (`None`: not known) against what is wished for, and the requests,
/// the newest first.
#[must_use]
pub fn judge(limit: Option<u32>, wished: u32, increases: &[Increase], now: Timestamp) -> Verdict<'_> {
    if limit.is_some_and(|limit| limit >= wished) {
        return Verdict::Granted;
    }
    if let Some(open) = open(increases) {
        return Verdict::Wait(open);
    }
    let Some(last) = increases.first() else { return Verdict::Nothing };
    match last.fate() {
        Fate::Refused => Verdict::Refused(last),
        Fate::Open => Verdict::Wait(last),
        Fate::Answered => {
            let is_applied = last.vcpus.is_some() && limit >= last.vcpus;
            let since = last.updated.or(last.created);
            let is_fresh = since.is_some_and(|since| now.duration_since(since).unsigned_abs() <= APPLIED_WITHIN);
            if is_fresh && !is_applied { Verdict::Wait(last) } else { Verdict::InVain(last) }
        }
    }
}

/// The number to ask for: what is needed, rounded up so that a second worker of the size or the next larger type does not
/// take another request and another night, and above the present limit, or AWS refuses it.
#[must_use]
pub fn sensible(needed: u32, limit: Option<u32>) -> u32 {
    let least = needed.max(limit.map_or(0, |limit| limit.saturating_add(1))).max(1);
    least.div_ceil(STEP).saturating_mul(STEP)
}

/// [`sensible`] answers multiples of this.
pub const STEP: u32 = 8;

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn increase(status: &str, vcpus: u32, updated: i64) -> Increase {
        let at = Timestamp::from_second(updated).ok();
        Increase {
            id: "r-1".to_owned(),
            vcpus: Some(vcpus),
            status: status.to_owned(),
            case: (status != "PENDING").then(|| "17".to_owned()),
            created: at,
            updated: at,
        }
    }

    #[test]
    fn only_the_applied_value_is_a_grant_and_each_status_means_what_it_means() {
        let now = Timestamp::from_second(100_000).unwrap();
        for (limit, status, updated, verdict) in [
            (Some(8), Some("CASE_OPENED"), 99_000, "Granted"),
            (Some(9), None, 0, "Granted"),
            (Some(0), Some("PENDING"), 0, "Wait"),
            (None, Some("CASE_OPENED"), 0, "Wait"),
            (Some(0), Some("APPROVED"), 99_000, "Wait"),
            (Some(0), Some("CASE_CLOSED"), 99_000, "Wait"),
            (Some(0), Some("CASE_CLOSED"), 98_199, "InVain"),
            (Some(4), Some("APPROVED"), 90_000, "InVain"),
            (Some(0), Some("A_NEW_WORD"), 99_000, "Wait"),
            (Some(0), Some("A_NEW_WORD"), 0, "InVain"),
            (Some(0), Some("DENIED"), 99_999, "Refused"),
            (Some(0), Some("NOT_APPROVED"), 99_999, "Refused"),
            (Some(0), Some("INVALID_REQUEST"), 99_999, "Refused"),
            (Some(0), None, 0, "Nothing"),
            (None, None, 0, "Nothing"),
        ] {
            let increases: Vec<_> = status.iter().map(|status| increase(status, 8, updated)).collect();
            let judged = format!("{:?}", judge(limit, 8, &increases, now));
            assert!(judged.starts_with(verdict), "{limit:?} {status:?} {updated}: {judged}");
        }
    }

    #[test]
    fn a_request_for_less_than_is_wished_is_over_as_soon_as_it_counts() {
        let now = Timestamp::from_second(1000).unwrap();
        let less = [increase("APPROVED", 4, 999)];
        assert!(matches!(judge(Some(0), 8, &less, now), Verdict::Wait(_)));
        assert!(matches!(judge(Some(4), 8, &less, now), Verdict::InVain(_)));
    }

    #[test]
    fn an_older_request_never_speaks_for_the_one_that_is_open() {
        let now = Timestamp::from_second(1000).unwrap();
        let both = [increase("DENIED", 8, 999), increase("CASE_OPENED", 8, 1)];
        assert!(matches!(judge(Some(0), 8, &both, now), Verdict::Wait(open) if open.status == "CASE_OPENED"));
        let newest_first = [increase("APPROVED", 8, 999), increase("DENIED", 8, 1)];
        assert!(matches!(judge(Some(0), 8, &newest_first, now), Verdict::Wait(_)));
    }

    #[test]
    fn the_number_asked_for_is_a_multiple_of_eight_above_need_and_limit() {
        for (needed, limit, asked) in [
            (4, Some(0), 8),
            (8, Some(0), 8),
            (9, None, 16),
            (0, None, 8),
            (4, Some(64), 72),
            (96, Some(64), 96),
            (5, Some(5), 8),
        ] {
            assert_eq!(sensible(needed, limit), asked, "{needed} {limit:?}");
        }
        assert!(sensible(u32::MAX, Some(u32::MAX)) > 0);
    }
}
