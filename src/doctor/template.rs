//! `template` and `user-data`: whether what stands is what the file says, and whether the boot script fits.

use super::{Reads, Verdict, parameters};
use crate::decide::offers::on_demand::ListPrices;
use crate::decide::user_data::{self, LIMIT};
use crate::error::Result;
use crate::market::network::Place;
use crate::plan::{self, Observed, Wants};
use crate::resource::{Action, Change};

/// From here on the next line of `container.env` may be one too many.
const NEAR: usize = 14 * 1024;

pub(super) async fn user_data(reads: &Reads<'_>) -> Verdict {
    // The account's number stands in the script; any other has as many digits.
    let account = reads.caller.clone().await.map_or_else(|_| "0".repeat(12), |caller| caller.account);
    match plan::boot_script(reads.look.spec, &account, &reads.look.cloud.region) {
        Err(error) => Verdict::fail(error.message, "shorten or mend `container` in the file"),
        Ok(script) => match user_data::encode(&script) {
            Err(too_large) => Verdict::fail(too_large.to_string(), "move values into parameters: spotctl params push"),
            Ok(encoded) => fits(encoded.bytes, encoded.gzipped),
        },
    }
}

fn fits(bytes: usize, gzipped: bool) -> Verdict {
    let form = if gzipped { " compressed" } else { "" };
    let evidence = format!("{bytes} bytes{form}, AWS takes {LIMIT}");
    if bytes > NEAR {
        return Verdict::warn(evidence, "move long values of `container.env` into parameters, before they do not fit");
    }
    Verdict::ok(evidence)
}

pub(super) async fn drift(reads: &Reads<'_>) -> Verdict {
    if reads.look.env_error.is_some() {
        return Verdict::skip("needs the check `parameters`");
    }
    let observed = match observed(reads).await {
        Ok(observed) => observed,
        Err(error) => {
            return match reads.templates.clone().await {
                Err(error) => Verdict::unread(&error),
                Ok(_) => Verdict::hidden(&error, |evidence| format!("the plan cannot be made: {evidence}")),
            };
        }
    };
    let chosen = match reads.chosen.clone().await {
        Ok(chosen) => chosen,
        Err(error) => return Verdict::skip(format!("the plan cannot be made: {}", error.message)),
    };
    let look = reads.look;
    let is_made = observed.templates.spot.is_some();
    let wants = Wants::default();
    match plan::decide(look.spec, look.env, &observed, &chosen, &wants, &look.cloud.region) {
        Ok(plan) => compare(&plan.changes, is_made),
        Err(error) => match reads.ranking.clone().await {
            _ if !parameters::contradictions(look, &observed.parameters).is_empty() => {
                Verdict::needs("parameters", &error)
            }
            Ok(ranking) if ranking.offers.is_empty() => Verdict::needs("offers", &error),
            Err(_) => Verdict::needs("offers", &error),
            Ok(_) => Verdict::unread(&error),
        },
    }
}

async fn observed(reads: &Reads<'_>) -> Result<Observed> {
    let network = async {
        let looked = reads.network.clone().await?;
        Ok(Place { vpc: looked.vpc?, subnets: looked.subnets? })
    };
    let (caller, place, market, groups, role, launchers, parameters, templates, workers, candidates) = futures::try_join!(
        reads.caller.clone(),
        network,
        reads.market.clone(),
        reads.groups.clone(),
        reads.role.clone(),
        reads.launchers.clone(),
        reads.parameters.clone(),
        reads.templates.clone(),
        reads.workers.clone(),
        reads.candidates.clone(),
    )?;
    let mut workers = workers;
    Ok(Observed {
        region: reads.look.cloud.region.clone(),
        caller,
        place,
        market,
        groups,
        role,
        launchers,
        parameters,
        templates,
        workers: workers.remove(reads.look.spec.name.as_str()).unwrap_or_default(),
        // What anything costs, and the quotas, are no part of the foundation.
        disks: std::collections::BTreeMap::new(),
        list: ListPrices::default(),
        quotas: Vec::new(),
        candidates,
    })
}

fn compare(changes: &[Change], is_made: bool) -> Verdict {
    let needed: Vec<&Change> = changes.iter().filter(|change| change.is_needed()).collect();
    let is_fresh = !is_made && changes.iter().all(|change| change.action == Action::Create);
    match (needed.len(), is_fresh) {
        (0, _) => Verdict::ok(format!("{} things are as the file says", changes.len())),
        (count, true) => Verdict::ok(format!("nothing is made yet; `up` makes {count} things")),
        (count, false) => {
            let names: Vec<String> =
                needed.iter().map(|change| format!("{} {}", change.action.word(), change.name)).collect();
            let things = if count == 1 { "1 thing" } else { "things" };
            let count = if count == 1 { String::new() } else { format!("{count} ") };
            Verdict::warn(
                format!("`apply` would change {count}{things}: {}", names.join(", ")),
                "see why: spotctl plan\nmend it: spotctl apply",
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;
    use crate::resource::Kind;

    #[test]
    fn user_data_near_the_limit_is_worth_a_word() {
        assert_eq!(fits(9_000, true), Verdict::ok("9000 bytes compressed, AWS takes 16384"));
        assert_eq!(fits(NEAR, false).status, Status::Ok);
        assert_eq!(fits(NEAR + 1, false).status, Status::Warn);
    }

    #[test]
    fn what_is_not_made_yet_is_no_drift_and_what_is_half_made_is() {
        let change = |name: &str, action| Change::new(Kind::Role, name, action, "");
        let all_new = [change("a", Action::Create), change("b", Action::Create)];
        assert_eq!(compare(&all_new, false), Verdict::ok("nothing is made yet; `up` makes 2 things"));
        assert_eq!(compare(&all_new, true).status, Status::Warn);
        let half = [change("a", Action::None), change("b", Action::Create)];
        assert_eq!(compare(&half, false).evidence, "`apply` would change 1 thing: create b");
        let same = [change("a", Action::None), change("b", Action::None)];
        assert_eq!(compare(&same, true), Verdict::ok("2 things are as the file says"));
        let both = [change("a", Action::Update), change("b", Action::Delete)];
        assert_eq!(compare(&both, true).evidence, "`apply` would change 2 things: update a, delete b");
    }
}
