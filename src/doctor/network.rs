//! `vpc`, `subnets`, `security-group`: where a worker would stand, and that nothing gets in.

use super::{Reads, Verdict};
use crate::decide::names;
use crate::decide::offers::Subnet;
use crate::resource::security_group;

pub(super) async fn vpc(reads: &Reads<'_>) -> Verdict {
    match reads.network.clone().await.and_then(|network| network.vpc) {
        Ok(vpc) => Verdict::ok(vpc),
        Err(error) => Verdict::unread(&error),
    }
}

pub(super) async fn subnets(reads: &Reads<'_>) -> Verdict {
    match reads.network.clone().await {
        Err(error) => Verdict::needs("vpc", &error),
        Ok(network) if network.vpc.is_err() => Verdict::skip("needs the check `vpc`"),
        Ok(network) => match network.subnets {
            Ok(subnets) => room(&subnets),
            Err(error) => Verdict::unread(&error),
        },
    }
}

/// Fewer free addresses than this in all zones together are worth a word.
const FEW: u32 = 8;

fn room(subnets: &[Subnet]) -> Verdict {
    let mut zones: Vec<&str> = subnets.iter().map(|subnet| subnet.zone.0.as_str()).collect();
    zones.sort_unstable();
    zones.dedup();
    let free: u32 = subnets.iter().map(|subnet| subnet.free_addresses).sum();
    let evidence = format!(
        "{} with a route to an internet gateway and {free} free addresses, in {}",
        if subnets.len() == 1 { "1 public subnet".to_owned() } else { format!("{} public subnets", subnets.len()) },
        zones.join(", ")
    );
    match (free, zones.len()) {
        (..FEW, _) => Verdict::warn(evidence, "name more of them in the file: network: {subnets: [subnet-…]}"),
        (_, 1) => Verdict::warn(
            format!("{evidence}: one zone has one Spot price and one stock"),
            "make another in a second zone, or name one: network: {subnets: [subnet-…, subnet-…]}",
        ),
        _ => Verdict::ok(evidence),
    }
}

pub(super) async fn security_group(reads: &Reads<'_>) -> Verdict {
    match reads.groups.clone().await {
        Ok(groups) => closed(&security_group::inbound(&groups), &names::base(&reads.look.spec.name)),
        Err(error) => Verdict::unread(&error),
    }
}

/// Each of the stack's groups with its inbound rules.
fn closed(groups: &[(&str, String)], name: &str) -> Verdict {
    let open: Vec<String> = groups
        .iter()
        .filter(|(_, rules)| !rules.is_empty())
        .map(|(id, rules)| format!("{id} lets in {rules}"))
        .collect();
    if !open.is_empty() {
        return Verdict::fail(open.join("; "), "remove the inbound rules: spotctl apply");
    }
    match groups {
        [] => Verdict::ok(format!("`{name}` is not made yet; it will have no inbound rule")),
        groups => {
            let ids: Vec<&str> = groups.iter().map(|(id, _)| *id).collect();
            Verdict::ok(format!("{} has no inbound rule", ids.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Status;
    use crate::spec::Zone;

    #[test]
    fn one_zone_and_few_addresses_are_worth_a_word() {
        let subnet =
            |zone: &str, free| Subnet { id: zone.to_owned(), zone: Zone(zone.to_owned()), free_addresses: free };
        for (subnets, status, evidence) in [
            (vec![subnet("r-1a", 100), subnet("r-1b", 9)], Status::Ok, "2 public subnets"),
            (vec![subnet("r-1a", 4), subnet("r-1b", 3)], Status::Warn, "7 free addresses"),
            (vec![subnet("r-1a", 100)], Status::Warn, "1 public subnet with"),
        ] {
            let verdict = room(&subnets);
            assert_eq!(verdict.status, status, "{subnets:?}");
            assert!(verdict.evidence.contains(evidence), "{}", verdict.evidence);
        }
    }

    #[test]
    fn an_inbound_rule_fails_whichever_group_has_it() {
        let closed = |groups: &[(&str, &str)]| {
            let groups: Vec<_> = groups.iter().map(|(id, rules)| (*id, (*rules).to_owned())).collect();
            closed(&groups, "spotctl-w")
        };
        assert_eq!(closed(&[]).status, Status::Ok);
        assert_eq!(closed(&[("sg-1", "")]).status, Status::Ok);
        let verdict = closed(&[("sg-1", ""), ("sg-2", "22/tcp 0.0.0.0/0")]);
        assert_eq!(verdict.status, Status::Fail);
        assert_eq!(verdict.evidence, "sg-2 lets in 22/tcp 0.0.0.0/0");
    }
}
