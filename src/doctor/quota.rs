//! `quota`: the account's vCPU quotas against what `up` needs and what is in use.
//!
//! Each offer counts against the quota of its family. `up` passes over the offers of a quota that is too small, so one that
//! suffices is enough, and worth a word where it is not the cheapest offer's.

use super::reads::Look;
use super::{Reads, Status, Verdict};
use crate::cloud::Cloud;
use crate::decide::increase::Increase;
use crate::decide::names::Market;
use crate::decide::offers::Offer;
use crate::decide::quota::{self, Quota, Standing};
use crate::decide::workers::slots_to_fill;
use crate::error::Error;
use crate::market::quotas;

/// One quota against its need.
#[derive(Debug, Clone, PartialEq)]
struct Need<'a> {
    quota: Quota,
    /// vCPUs of what would be launched.
    vcpus: u32,
    /// The smallest type that would be.
    instance_type: &'a str,
    standing: Option<&'a Standing>,
    /// Increases that are open, for people.
    open: Vec<String>,
}

impl Need<'_> {
    fn suffices(&self) -> Option<bool> {
        self.standing?.suffices(self.vcpus)
    }

    fn words(&self) -> String {
        let number = |value: Option<u32>| value.map_or_else(|| "unknown".to_owned(), |value| value.to_string());
        let limit = number(self.standing.and_then(|standing| standing.limit));
        let in_use = number(self.standing.and_then(Standing::in_use));
        let open = if self.open.is_empty() { String::new() } else { format!(", {}", self.open.join(", ")) };
        format!(
            "{} ({}): {limit} vCPUs, {in_use} in use, {} needed for {}{open}",
            self.quota.code, self.quota.name, self.vcpus, self.instance_type
        )
    }

    /// What mends it; `flag` is `--count`.
    fn command(&self, flag: &str) -> String {
        let verb = if self.open.is_empty() { "request" } else { "watch" };
        format!("spotctl quota {verb} --code {}{flag}", self.quota.code)
    }

    fn missing(&self) -> Vec<&'static str> {
        self.standing.map(|standing| standing.missing.iter().copied().collect()).unwrap_or_default()
    }
}

pub(super) async fn suffices(reads: &Reads<'_>) -> Verdict {
    let Look { cloud, spec, count, .. } = reads.look;
    let (ranking, standings, workers) =
        futures::join!(reads.ranking.clone(), reads.standings.clone(), reads.workers.clone());
    let standings = match standings {
        Ok(standings) => standings,
        Err(error) => return Verdict::unread(&error),
    };
    let ranking = match ranking {
        Ok(ranking) => ranking,
        Err(error) => return unknown_need(&error),
    };
    // Where they may not be read, none is counted on.
    let own = workers.ok().and_then(|mut workers| workers.remove(spec.name.as_str())).unwrap_or_default();
    let slots = u32::try_from(slots_to_fill(&own, count).len()).unwrap_or(u32::MAX);
    if slots == 0 {
        let live = own.iter().filter(|worker| worker.state.is_live()).count();
        return Verdict::ok(format!("nothing is needed: {live} of {count} workers live"));
    }
    let mut markets = vec![Market::Spot];
    if spec.instance.on_demand_fallback {
        markets.push(Market::OnDemand);
    }
    let mut verdicts = Vec::new();
    for market in markets {
        let mut needs = needs(&ranking.offers, &standings, slots, market);
        for need in needs.iter_mut().filter(|need| need.suffices() == Some(false)) {
            need.open = open_increases(cloud, need.quota).await;
        }
        verdicts.push(judge(&needs, market, count));
    }
    Verdict::all(verdicts).unwrap_or_else(|| Verdict::skip("no quota is asked about"))
}

fn unknown_need(error: &Error) -> Verdict {
    match Verdict::unread(error) {
        verdict if verdict.status == Status::Skip => verdict,
        _ => Verdict::skip("what is needed is not known (check `offers`)"),
    }
}

/// In the order of the offers: the first is the cheapest one's.
fn needs<'a>(offers: &'a [Offer], standings: &'a [Standing], slots: u32, market: Market) -> Vec<Need<'a>> {
    let mut needs: Vec<Need<'a>> = Vec::new();
    for offer in offers.iter().filter(|offer| offer.market == Market::Spot) {
        let Some(quota) = quota::of(&offer.instance_type, market) else { continue };
        let vcpus = offer.vcpus.saturating_mul(slots);
        match needs.iter_mut().find(|need| need.quota == quota) {
            Some(need) if need.vcpus <= vcpus => {}
            Some(need) => (need.vcpus, need.instance_type) = (vcpus, &offer.instance_type),
            None => needs.push(Need {
                quota,
                vcpus,
                instance_type: &offer.instance_type,
                standing: standings.iter().find(|standing| standing.quota == quota),
                open: Vec::new(),
            }),
        }
    }
    needs
}

/// `count` is what `--count` says, for the command that asks for as much.
fn judge(needs: &[Need<'_>], market: Market, count: u32) -> Verdict {
    let flag = if count > 1 { format!(" --count {count}") } else { String::new() };
    let Some(first) = needs.first() else {
        return Verdict::skip(format!("no {} offer whose quota is known (check `offers`)", market.as_str()));
    };
    if first.suffices() == Some(true) {
        return Verdict::ok(first.words());
    }
    if let Some(other) = needs.iter().find(|need| need.suffices() == Some(true)) {
        let evidence = format!("{}; `up` passes over it, to {}", first.words(), other.words());
        return Verdict::warn(evidence, format!("for the cheaper offer: {}", first.command(&flag)));
    }
    let words: Vec<String> = needs.iter().map(Need::words).collect();
    let words = words.join("; ");
    if needs.iter().all(|need| need.suffices() == Some(false)) {
        let watched = needs.iter().find(|need| !need.open.is_empty());
        // The fallback's quota matters only when Spot has nothing.
        let status = if market == Market::Spot { Status::Fail } else { Status::Warn };
        return Verdict::new(status, words, Some(watched.unwrap_or(first).command(&flag)));
    }
    let mut missing: Vec<&str> = needs.iter().flat_map(Need::missing).collect();
    missing.sort_unstable();
    missing.dedup();
    if missing.is_empty() {
        return Verdict::skip(words);
    }
    let evidence = format!("not permitted: {}; {words}", missing.join(", "));
    Verdict::new(Status::Skip, evidence, Some("spotctl render policy operator".to_owned()))
}

/// Increases that AWS has not decided, for people. Nothing where they may not be read: they only explain.
async fn open_increases(cloud: &Cloud, quota: Quota) -> Vec<String> {
    let found = quotas::increases(cloud, quota).await.unwrap_or_default();
    found.iter().filter(|increase| increase.is_open()).map(Increase::said).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::spec::Zone;

    fn offer(name: &str, vcpus: u32) -> Offer {
        Offer {
            instance_type: name.to_owned(),
            zone: Zone("r-1a".to_owned()),
            subnet: "subnet-1".to_owned(),
            price: None,
            vcpus,
            market: Market::Spot,
        }
    }

    fn standing(of: &str, limit: Option<u32>) -> Standing {
        let quota = quota::of(of, Market::Spot).unwrap();
        let missing = if limit.is_none() { BTreeSet::from(["servicequotas:GetServiceQuota"]) } else { BTreeSet::new() };
        Standing { quota, limit, holders: Some(Vec::new()), missing }
    }

    fn verdict(offers: &[Offer], standings: &[Standing], slots: u32) -> Verdict {
        judge(&needs(offers, standings, slots, Market::Spot), Market::Spot, slots)
    }

    #[test]
    fn one_quota_that_suffices_is_enough_and_zero_is_a_failure_that_names_code_and_vcpus() {
        let offers = [offer("g4dn.xlarge", 4), offer("g5.xlarge", 2), offer("p3.2xlarge", 8)];
        let with = |g, p| verdict(&offers, &[standing("g5.xlarge", g), standing("p3.2xlarge", p)], 2);
        for (g, p, status, evidence) in [
            (Some(4), Some(0), Status::Ok, "L-3819A6DF"),
            (Some(3), Some(16), Status::Warn, "passes over it, to L-7212CCBC"),
            (Some(0), Some(0), Status::Fail, "0 vCPUs, 0 in use, 4 needed for g5.xlarge"),
            (None, Some(0), Status::Skip, "not permitted: servicequotas:GetServiceQuota"),
            (Some(0), None, Status::Skip, "not permitted: servicequotas:GetServiceQuota"),
        ] {
            let verdict = with(g, p);
            assert_eq!(verdict.status, status, "{g:?} {p:?}");
            assert!(verdict.evidence.contains(evidence), "{}", verdict.evidence);
        }
        assert_eq!(with(Some(0), Some(0)).advice.as_deref(), Some("spotctl quota request --code L-3819A6DF --count 2"));
        let advice = with(Some(3), Some(16)).advice;
        assert_eq!(advice.as_deref(), Some("for the cheaper offer: spotctl quota request --code L-3819A6DF --count 2"));
        assert_eq!(verdict(&[], &[], 1).status, Status::Skip);
        assert_eq!(verdict(&[offer("p6-b200.48xlarge", 192)], &[], 1).status, Status::Skip, "a guess");
    }

    #[test]
    fn an_increase_that_is_open_is_waited_for_and_not_filed_again() {
        let offers = [offer("g4dn.xlarge", 4)];
        let standings = [standing("g5.xlarge", Some(0))];
        let mut needs = needs(&offers, &standings, 1, Market::Spot);
        needs[0].open = vec!["an increase to 16 is CASE_OPENED".to_owned()];
        let verdict = judge(&needs, Market::Spot, 1);
        assert_eq!(verdict.advice.as_deref(), Some("spotctl quota watch --code L-3819A6DF"));
        assert!(verdict.evidence.ends_with("an increase to 16 is CASE_OPENED"), "{}", verdict.evidence);
    }

    #[test]
    fn the_fallbacks_quota_is_its_own_and_never_a_failure() {
        let offers = [offer("g4dn.xlarge", 4)];
        let quota = quota::of("g4dn.xlarge", Market::OnDemand).unwrap();
        let standings = [Standing { quota, limit: Some(0), holders: Some(Vec::new()), missing: BTreeSet::new() }];
        let verdict = judge(&needs(&offers, &standings, 1, Market::OnDemand), Market::OnDemand, 1);
        assert_eq!(verdict.status, Status::Warn);
        assert!(verdict.evidence.contains("L-DB2E81BA"), "{}", verdict.evidence);
        assert_eq!(verdict.advice.as_deref(), Some("spotctl quota request --code L-DB2E81BA"));
    }
}
