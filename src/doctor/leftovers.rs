//! `forgotten` and `orphans`: workers of any stack past their expiry, and what is left of stacks that nobody can launch any
//! more, in this region.
//!
//! A stack is known by its launch template. Groups are found by their tag and roles by their names, since IAM lists by no
//! tag; parameters where they stand unless a file says otherwise, and then by their tag. Parameters elsewhere, of a stack
//! that has nothing else left, are not found.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use jiff::Timestamp;

use super::{Reads, Status, Verdict, denied};
use crate::cloud::Cloud;
use crate::decide::cost::Ledger;
use crate::decide::workers::{Worker, expired};
use crate::error::{Error, Result};
use crate::market;
use crate::resource::parameters::owned_names;
use crate::spec::{ParameterPath, WorkerName};

/// What a box may take to end itself, as `reap` has it.
const GRACE: Duration = Duration::from_mins(3);

pub(super) async fn forgotten(reads: &Reads<'_>) -> Verdict {
    let stacks = match reads.workers.clone().await {
        Ok(stacks) => stacks,
        Err(error) => return Verdict::unread(&error),
    };
    let over = late(&stacks, reads.look.cloud.clock.now());
    let workers: Vec<Worker> = over.iter().map(|(_, worker)| (*worker).clone()).collect();
    let ledger = if workers.is_empty() {
        Ledger::default()
    } else {
        // What they cost is worth knowing, and nothing to fail for.
        market::ledger(reads.look.cloud, &workers, BTreeMap::new()).await
    };
    judge(&stacks, &over, &ledger)
}

fn late(stacks: &BTreeMap<String, Vec<Worker>>, now: Timestamp) -> Vec<(&str, &Worker)> {
    stacks
        .iter()
        .flat_map(|(stack, workers)| {
            expired(workers, now, GRACE).into_iter().map(move |worker| (stack.as_str(), worker))
        })
        .collect()
}

fn judge(stacks: &BTreeMap<String, Vec<Worker>>, over: &[(&str, &Worker)], ledger: &Ledger) -> Verdict {
    let live = || stacks.values().flatten().filter(|worker| worker.state.is_live());
    if over.is_empty() {
        let endless = live().filter(|worker| worker.lifetime.is_none()).count();
        let evidence = match live().count() {
            0 => "no worker of any stack lives here".to_owned(),
            1 => "1 worker of all stacks lives here, not past its expiry".to_owned(),
            count => format!("{count} workers of all stacks live here, none past its expiry"),
        };
        return match endless {
            0 => Verdict::ok(evidence),
            endless => Verdict::warn(
                format!("{evidence}; {endless} without a hard end"),
                "what they cost: spotctl status --stacks",
            ),
        };
    }
    let rows = over.iter().map(|(stack, worker)| {
        let price = ledger.hourly(worker).instance;
        let price = price.map_or_else(|| "an unknown price".to_owned(), |price| format!("{price} USD an hour"));
        format!("{} of `{stack}`, {} at {price}", worker.id, worker.instance_type)
    });
    let rows: Vec<String> = rows.collect();
    Verdict::fail(format!("past their expiry and still billed: {}", rows.join("; ")), "end them: spotctl reap --all")
}

/// What is left of a stack without a template.
type Strays = BTreeMap<WorkerName, Vec<String>>;

pub(super) async fn orphans(reads: &Reads<'_>) -> Verdict {
    let found = &reads.stacks;
    let (templates, groups, roles, parameters) =
        futures::join!(found.templates.clone(), found.groups.clone(), found.roles.clone(), found.parameters.clone());
    let templates = match templates {
        Ok(templates) => templates,
        Err(error) => return Verdict::unseen(&error),
    };
    let mut unseen = Vec::new();
    let (groups, roles, parameters) = (
        or_unseen("security groups", groups, &mut unseen),
        or_unseen("roles", roles, &mut unseen),
        or_unseen("parameters", parameters, &mut unseen),
    );
    let look = reads.look;
    let known = |name: &WorkerName| templates.contains(name.as_str()) || *name == look.spec.name;
    let mut strays = strays(&groups, &roles, &look.cloud.region);
    let mut candidates: BTreeSet<WorkerName> = strays.keys().cloned().collect();
    candidates.extend(parameters.iter().filter_map(|name| stack_of(name)));
    strays.retain(|name, _| !known(name));
    candidates.retain(|name| !known(name));
    add_parameters(look.cloud, &candidates, &mut strays, &mut unseen).await;
    left(&strays, &unseen)
}

/// What was read; or nothing, and a word that it was not.
fn or_unseen<T: Default>(what: &str, read: Result<T>, unseen: &mut Vec<String>) -> T {
    read.unwrap_or_else(|error| {
        unseen.push(format!("{what} ({})", why(&error)));
        T::default()
    })
}

fn why(error: &Error) -> String {
    match Verdict::unseen(error).status {
        Status::Skip => denied(error),
        _ => error.message.clone(),
    }
}

/// By tag and by name. Roles of other regions' stacks have another end to their names.
fn strays(groups: &[(String, String)], roles: &[String], region: &str) -> Strays {
    let mut strays = Strays::new();
    for (stack, id) in groups {
        if let Ok(name) = stack.parse() {
            strays.entry(name).or_default().push(format!("security group {id}"));
        }
    }
    for role in roles {
        let stack = role.strip_prefix("spotctl-").and_then(|rest| rest.strip_suffix(region)?.strip_suffix('-'));
        if let Some(Ok(name)) = stack.map(str::parse) {
            strays.entry(name).or_default().push(format!("role {role}"));
        }
    }
    strays
}

/// `/spotctl/<stack>/…`.
fn stack_of(parameter: &str) -> Option<WorkerName> {
    parameter.strip_prefix(ParameterPath::DEFAULT_ROOT)?.strip_prefix('/')?.split_once('/')?.0.parse().ok()
}

/// Only those with the stack's tag: a parameter under such a path may be anybody's.
async fn add_parameters(
    cloud: &Cloud,
    candidates: &BTreeSet<WorkerName>,
    strays: &mut Strays,
    unseen: &mut Vec<String>,
) {
    /// More would take longer than they are worth here; what is shown is enough to begin with.
    const ASKED: usize = 20;
    let asked = candidates.iter().take(ASKED).map(|name| async move { (name, owned_names(cloud, name).await) });
    for (name, owned) in futures::future::join_all(asked).await {
        match owned {
            Ok(owned) if owned.is_empty() => {}
            Ok(owned) => {
                let parameters = if owned.len() == 1 { "parameter" } else { "parameters" };
                strays.entry(name.clone()).or_default().push(format!("{} {parameters}", owned.len()));
            }
            Err(error) => unseen.push(format!("parameters of `{name}` ({})", why(&error))),
        }
    }
}

fn left(strays: &Strays, unseen: &[String]) -> Verdict {
    let not_seen = if unseen.is_empty() { String::new() } else { format!("; not looked at: {}", unseen.join(", ")) };
    if strays.is_empty() {
        return Verdict::ok(format!("no security group, role or parameter of a stack without its template{not_seen}"));
    }
    let rows: Vec<String> =
        strays.iter().map(|(stack, things)| format!("`{stack}` has {}", things.join(", "))).collect();
    let advice: Vec<String> = strays.keys().map(|stack| format!("spotctl destroy --name {stack} --yes")).collect();
    Verdict::warn(format!("without a launch template: {}{not_seen}", rows.join("; ")), advice.join("\n"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::names::Market;
    use crate::decide::workers::State;
    use crate::spec::Period;

    fn worker(id: &str, launched_at: i64, lifetime: Option<u32>) -> Worker {
        Worker {
            id: id.to_owned(),
            instance_type: "g4dn.xlarge".to_owned(),
            zone: "r-1a".to_owned(),
            market: Market::Spot,
            state: State::Running,
            launched_at: Timestamp::from_second(launched_at).unwrap(),
            public_ip: None,
            spot_request: None,
            slot: None,
            generation: None,
            lifetime: lifetime.map(Period::from_secs),
            phase: None,
            timeline: None,
            ended_at: None,
            state_reason: None,
            state_message: None,
        }
    }

    #[test]
    fn workers_of_any_stack_past_their_expiry_are_named_with_stack_and_price() {
        let verdict = |workers: Vec<Worker>| {
            let stacks = BTreeMap::from([("w".to_owned(), workers)]);
            judge(&stacks, &late(&stacks, Timestamp::from_second(10_000).unwrap()), &Ledger::default())
        };
        assert_eq!(verdict(vec![worker("i-1", 9_000, Some(3600))]).status, Status::Ok);
        // Three minutes to drain.
        assert_eq!(verdict(vec![worker("i-1", 9_000, Some(821))]).status, Status::Ok);
        let late = verdict(vec![worker("i-1", 9_000, Some(3600)), worker("i-2", 1_000, Some(3600))]);
        assert_eq!(late.status, Status::Fail);
        assert!(late.evidence.contains("i-2 of `w`, g4dn.xlarge at an unknown price"), "{}", late.evidence);
        assert!(!late.evidence.contains("i-1"), "{}", late.evidence);
        assert_eq!(verdict(vec![worker("i-1", 0, None)]).status, Status::Warn, "nothing ends it");
    }

    #[test]
    fn a_stack_is_read_from_tags_names_and_paths_and_from_nothing_else() {
        let groups = [("gone".to_owned(), "sg-1".to_owned()), ("Not A Name".to_owned(), "sg-2".to_owned())];
        let roles = ["spotctl-gone-r-1", "spotctl-other-r-2", "spotctl--r-1", "spotctl-r-1", "admin"];
        let strays = strays(&groups, &roles.map(str::to_owned), "r-1");
        let names: Vec<_> = strays.iter().map(|(name, things)| (name.as_str(), things.join(", "))).collect();
        assert_eq!(names, [("gone", "security group sg-1, role spotctl-gone-r-1".to_owned())]);
        for (parameter, stack) in
            [("/spotctl/w/A", Some("w")), ("/spotctl/w", None), ("/other/w/A", None), ("/spotctl2/w/A", None)]
        {
            assert_eq!(stack_of(parameter).as_ref().map(WorkerName::as_str), stack, "{parameter}");
        }
    }

    #[test]
    fn orphans_come_with_the_command_that_removes_them_and_what_was_not_seen_is_said() {
        let strays = Strays::from([("gone".parse().unwrap(), vec!["role spotctl-gone-r-1".to_owned()])]);
        let verdict = left(&strays, &["parameters (ssm:DescribeParameters)".to_owned()]);
        assert_eq!(verdict.status, Status::Warn);
        assert_eq!(verdict.advice.as_deref(), Some("spotctl destroy --name gone --yes"));
        assert!(verdict.evidence.ends_with("not looked at: parameters (ssm:DescribeParameters)"));
        assert_eq!(left(&Strays::new(), &[]).status, Status::Ok);
    }
}
