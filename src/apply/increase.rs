//! Files an increase of a quota, and never two: AWS takes one request at a time, and an answer that was lost is looked
//! for before anything is said about it.

use crate::cloud::{Cloud, Failure, call, lacking, poll};
use crate::decide::classify::Class;
use crate::decide::increase::Increase;
use crate::decide::quota::Quota;
use crate::error::{Error, Result};
use crate::market::quotas::{self, SERVICE};

/// What came of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filed {
    /// The request that is there now.
    pub increase: Increase,
    /// Whether it was filed here; else somebody else was faster.
    pub is_ours: bool,
}

/// Asks AWS for so many vCPUs; `before` are the requests that were there.
///
/// # Errors
/// AWS's refusal; no answer, and no request that could be its effect.
pub async fn file(cloud: &Cloud, quota: Quota, vcpus: u32, before: &[Increase]) -> Result<Filed> {
    let request = cloud.quotas.request_service_quota_increase().service_code(SERVICE).quota_code(quota.code);
    let answer = call("RequestServiceQuotaIncrease", request.desired_value(f64::from(vcpus)).send()).await;
    let failure = match answer {
        Ok(answer) => {
            let increase = answer.requested_quota().and_then(quotas::increase);
            let increase = increase.ok_or_else(|| lacking("RequestedQuota", "RequestServiceQuotaIncrease"))?;
            return Ok(Filed { increase, is_ours: true });
        }
        Err(failure) => failure,
    };
    // The SDK repeats a call whose answer was lost: then the second answer is that there is one already.
    // Or that there is nothing to ask for any more, where it was granted at once.
    let is_told_off = failure.code.as_deref() == Some("IllegalArgumentException");
    let may_have_filed = failure.class.is_ambiguous() || failure.class == Class::AlreadyExists;
    if (may_have_filed || is_told_off)
        && let Some(increase) = appeared(cloud, quota, before).await
    {
        let is_ours = increase.vcpus == Some(vcpus);
        return Ok(Filed { increase, is_ours });
    }
    Err(refused(failure, quota, vcpus, may_have_filed))
}

/// A request that was not there before, or is open; the list may lag behind by seconds. A failure to look is no answer.
async fn appeared(cloud: &Cloud, quota: Quota, before: &[Increase]) -> Option<Increase> {
    let is_new = |found: &Increase| found.is_open() || !before.iter().any(|known| known.id == found.id);
    let found = poll::poll(poll::VISIBLE_SOON, async || {
        let found = quotas::increases(cloud, quota).await?.into_iter().find(is_new);
        Ok::<_, Failure>(found.map_or(poll::Look::Again, poll::Look::Done))
    });
    found.await.ok()?.ok()
}

fn refused(failure: Failure, quota: Quota, vcpus: u32, may_have_filed: bool) -> Error {
    let error = failure.doing(&format!("asking for {vcpus} vCPUs of {} ({})", quota.code, quota.name));
    if may_have_filed {
        return error.hint(may_be_filed(quota.code));
    }
    error
}

/// For whoever does not know whether AWS has the request.
#[must_use]
pub fn may_be_filed(code: &str) -> String {
    format!("it may have been filed all the same: spotctl quota watch --code {code}")
}

#[cfg(test)]
mod tests;
