//! Every fault at every call: a command is disturbed at one call, by AWS, by the network or by a signal, and run again
//! undisturbed. Then AWS holds what one undisturbed run leaves, nothing twice and nothing else; and what the disturbed
//! run left was named.
//!
//! The calls are learned from an undisturbed run, by operation and ordinal; each meets every fault. An answer later than the
//! client's patience takes half a minute a case, and is tried where time can be paused: in `cli::hostile`.
//!
//! `SPOTCTL_FAULTS=all` tries every case, another value those whose name has it in it; without it every few, so that
//! each fault and each command is met.

use std::collections::{BTreeMap, VecDeque};
use std::fmt;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use stage::{Ran, Stage};

pub(crate) mod census;
mod scenarios;
mod stage;

use census::Census;
use scenarios::{SCENARIOS, Scenario};

/// Each has a served sandbox of its own; many of them wait, for a retry or for a worker. Beside them are the other tests.
const STAGES: usize = 12;

/// Where every case is tried, beside nothing else.
const MORE_STAGES: usize = 32;

/// Without `SPOTCTL_FAULTS` every so many cases are tried; prime to the number of faults, so that all are met.
const STRIDE: usize = 19;

/// What happens at the call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// `sandbox set fail`: how, how many times.
    Weather(&'static str, u32),
    /// The program is signalled while the call is in flight, before it takes effect (`hold`) or after (`hold-after`).
    Signal(&'static str, &'static str),
}

/// So often that the attempts at a call without an answer are used up, and the launch's own last some ten seconds.
const AGAIN: u32 = 6;

const FAULTS: [Fault; 18] = [
    Fault::Weather("500", 1),
    Fault::Weather("503", AGAIN),
    Fault::Weather("403", 1),
    Fault::Weather("throttle", 1),
    Fault::Weather("throttle", 20),
    Fault::Weather("busy", AGAIN),
    Fault::Weather("cut", AGAIN),
    Fault::Weather("refuse", 1),
    Fault::Weather("refuse", AGAIN),
    Fault::Weather("drop", 1),
    Fault::Weather("drop", AGAIN),
    Fault::Weather("truncate", 1),
    Fault::Signal("hold", "KILL"),
    Fault::Signal("hold", "TERM"),
    Fault::Signal("hold", "INT"),
    Fault::Signal("hold-after", "KILL"),
    Fault::Signal("hold-after", "TERM"),
    Fault::Signal("hold-after", "INT"),
];

/// A scenario that was played once without a disturbance.
struct Rehearsed {
    scenario: &'static Scenario,
    /// The sandbox's state before the command.
    before: String,
    calls: BTreeMap<String, u64>,
    after: Census,
}

/// One disturbance of one command.
struct Case<'a> {
    rehearsed: &'a Rehearsed,
    operation: &'a str,
    ordinal: u64,
    fault: Fault,
}

impl fmt::Display for Case<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {} {} ", self.rehearsed.scenario.name, self.operation, self.ordinal + 1)?;
        match self.fault {
            Fault::Weather(how, times) => write!(f, "{how} x{times}"),
            Fault::Signal(hold, signal) => write!(f, "{hold} SIG{signal}"),
        }
    }
}

#[test]
#[expect(clippy::print_stdout, reason = "how many cases there were, and which failed, for whoever asks for the output")]
fn every_fault_at_every_call_is_mended_by_the_same_command() {
    let began = Instant::now();
    let wished = std::env::var("SPOTCTL_FAULTS").ok();
    let stages = if wished.is_some() { MORE_STAGES } else { STAGES };
    let rehearsed = on_all_stages(stages, SCENARIOS.iter().collect(), |stage, scenario| Ok(rehearse(stage, scenario)));
    let rehearsed: Vec<Rehearsed> = rehearsed.into_iter().filter_map(Result::ok).collect();
    let cases: Vec<Case<'_>> = rehearsed.iter().flat_map(cases).collect();
    let all = cases.len();
    let is_wished = |(index, case): &(usize, Case<'_>)| match wished.as_deref() {
        None => index.is_multiple_of(STRIDE),
        Some("all") => true,
        Some(part) => case.to_string().contains(part),
    };
    let mut cases: Vec<Case<'_>> = cases.into_iter().enumerate().filter(is_wished).map(|(_, case)| case).collect();
    // Those that wait longest first, so that nothing waits for them in the end.
    cases.sort_by_key(|case| match case.fault {
        Fault::Weather(_, times) => (case.operation != "RunInstances", std::cmp::Reverse(times)),
        Fault::Signal(..) => (true, std::cmp::Reverse(0)),
    });
    let count = cases.len();
    let results = on_all_stages(stages, cases, |stage, case| {
        try_case(stage, &case).map_err(|why| {
            // At once: the whole takes minutes.
            println!("{case}: {}", why.lines().next().unwrap_or_default());
            format!("{case}: {why}")
        })
    });
    let met = results.iter().filter(|result| matches!(result, Ok(true))).count();
    let failures: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    println!("{count} of {all} cases, {met} met their fault, {} failed, {:.0?}", failures.len(), began.elapsed());
    assert!(count > 0, "no case has `{}` in its name", wished.as_deref().unwrap_or_default());
    assert!(failures.is_empty(), "{} of {count}:\n{}", failures.len(), failures.join("\n"));
    // How often a command looks while it waits differs from run to run, so the last looks of the rehearsal may be missing.
    let is_sample = wished.is_none_or(|wished| wished == "all");
    assert!(!is_sample || met * 20 >= count * 19, "only {met} of {count} met their fault");
}

/// Does the work on as many stages as there are, each with one piece at a time.
fn on_all_stages<W: Send, T: Send>(
    stages: usize,
    work: Vec<W>,
    act: impl Fn(&Stage, W) -> Result<T, String> + Sync,
) -> Vec<Result<T, String>> {
    let stages = stages.min(work.len());
    let work = Mutex::new(VecDeque::from(work));
    let results = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..stages {
            scope.spawn(|| {
                let stage = Stage::new();
                loop {
                    let next = work.lock().unwrap_or_else(PoisonError::into_inner).pop_front();
                    let Some(piece) = next else { return };
                    let result = act(&stage, piece);
                    results.lock().unwrap_or_else(PoisonError::into_inner).push(result);
                }
            });
        }
    });
    results.into_inner().unwrap_or_else(PoisonError::into_inner)
}

/// Sets the scene, and plays it once without a disturbance.
fn rehearse(stage: &Stage, scenario: &'static Scenario) -> Rehearsed {
    let name = scenario.name;
    stage.reset(&[&["profile-delay 0s", "quota-answer approved after 2h"], scenario.weather].concat());
    stage.write(scenario.file, scenario.env);
    for command in scenario.before {
        let ran = stage.run(command);
        assert_eq!(ran.code, Some(0), "{name}: {command}: {ran}");
    }
    stage.forget_calls();
    if let Some((file, env)) = scenario.change {
        stage.write(file, env);
    }
    let before = stage.state();
    let ran = stage.run(scenario.command);
    assert_eq!(ran.code, Some(0), "{name}: {ran}");
    let calls = stage.calls();
    let after = Census::of(&stage.state());
    let (live, ever) = (after.live(), after.ever_launched());
    assert_eq!((live, ever), (scenario.live, scenario.ever), "{name}: {ran}");
    Rehearsed { scenario, before, calls, after }
}

fn cases(rehearsed: &Rehearsed) -> impl Iterator<Item = Case<'_>> {
    let only = rehearsed.scenario.only;
    let calls = rehearsed.calls.iter().filter(|(call, _)| only.is_empty() || only.contains(&call.as_str()));
    calls.flat_map(move |(operation, count)| {
        (0..*count).flat_map(move |ordinal| {
            FAULTS.iter().map(move |fault| Case { rehearsed, operation, ordinal, fault: *fault })
        })
    })
}

/// Whether the fault struck; what is wrong.
fn try_case(stage: &Stage, case: &Case<'_>) -> Result<bool, String> {
    let scenario = case.rehearsed.scenario;
    let (file, env) = scenario.change.unwrap_or((scenario.file, scenario.env));
    stage.write(file, env);
    stage.restore(&case.rehearsed.before);
    let (how, times) = match case.fault {
        Fault::Weather(how, times) => (how, times),
        Fault::Signal(hold, _) => (hold, 1),
    };
    stage.set(&format!("fail {} {how} {times} after {}", case.operation, case.ordinal));
    let (ran, struck) = match case.fault {
        Fault::Weather(..) => (stage.run(scenario.command), stage.has_struck(times)),
        Fault::Signal(_, signal) => stage.run_and_signal(scenario.command, signal),
    };
    let said = |ran: &Ran, why: String| Err(format!("{why}\n{ran}"));
    let left = Census::of(&stage.state());
    if let Some(secret) = scenario.secrets().find(|secret| ran.says(secret)) {
        return said(&ran, format!("the secret `{secret}` is said"));
    }
    match (case.fault, ran.code) {
        (Fault::Signal(_, "KILL"), None) => {}
        (Fault::Signal(_, "INT"), Some(130)) | (Fault::Signal(_, "TERM"), Some(143)) => {}
        (Fault::Signal(..), code) if struck => return said(&ran, format!("ended with {code:?}")),
        (_, Some(0..=8)) => {}
        (_, code) => return said(&ran, format!("ended with {code:?}")),
    }
    if ran.code.is_some() {
        let Some(document) = ran.document() else { return said(&ran, "no JSON document".to_owned()) };
        let unnamed = left.unnamed(&Census::of(&case.rehearsed.before), &document);
        if ran.code != Some(0) && !unnamed.is_empty() {
            return said(&ran, format!("left unnamed: {}", unnamed.join(", ")));
        }
        // What a run could not read it cannot name.
        let is_read = ["Describe", "Get", "List"].iter().any(|verb| case.operation.starts_with(verb));
        let kept = left.kept_unnamed(scenario.removes, &document);
        if ran.code != Some(0) && !is_read && !kept.is_empty() {
            return said(&ran, format!("kept unnamed: {}", kept.join(", ")));
        }
    }
    stage.set("fail clear");
    let second = stage.run(scenario.command);
    let both = || format!("first: {ran}\nsecond: {second}");
    if second.code != Some(0) {
        return Err(format!("the second run fails\n{}", both()));
    }
    if let Some(secret) = scenario.secrets().find(|secret| second.says(secret)) {
        return said(&second, format!("the secret `{secret}` is said"));
    }
    let after = Census::of(&stage.state());
    let differs = after.difference(&case.rehearsed.after);
    if !differs.is_empty() {
        return Err(format!("AWS differs:\n{}\n{}", differs.join("\n"), both()));
    }
    if after.ever_launched() != scenario.ever {
        return Err(format!("{} were launched\n{}", after.ever_launched(), both()));
    }
    Ok(struck)
}
