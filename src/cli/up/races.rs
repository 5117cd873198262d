//! Several runs at once over one AWS, in orders that nobody thought of: what each command really does, in virtual time, with
//! a length drawn for each call, on the way there and on the way back.
//!
//! A schedule is made of the race's name and a seed, and is the same each time. One that fails is played again by these:
//! `SPOTCTL_RACES=SEED..END cargo test --lib races::NAME`. Each plays a few seeds without.
//!
//! What holds after each, however the calls fell (invariant 1):
//! - every run ends, and well, but where another one took away what it waited for;
//! - no worker of an API server is ended by `up`, and after a look there are not more workers than were wished for;
//! - `up` again, undisturbed, comes to exactly the wished number, and to a foundation at which a plan changes nothing;
//! - `destroy` leaves nothing.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::RangeInclusive;
use std::path::Path;
use std::sync::{Arc, PoisonError};

use clap::Parser;
use jiff::Timestamp;
use secrecy::SecretString;
use serde_json::Value;
use tokio::time::Instant;

use super::markets::Random;
use super::tests::Only;
use super::*;
use crate::apply::{Down, Downed, down};
use crate::cli::{apply, params, status};
use crate::cloud::Cloud;
use crate::decide::classify::{Class, classify};
use crate::error::Kind;
use crate::journal::Journal;
use crate::report::workers::Status;
use crate::sandbox::{Sandbox, client};
use crate::settings::{Color, Output};
use crate::spec::WorkerName;
use crate::ui::Ui;

mod road;

use road::{Length, Log, pause, road};

const A: &str = "name: w
container: {image: public.ecr.aws/docker/library/busybox:1}
instance: {types: [g4dn.xlarge, g5.xlarge]}
";

/// Every part of the foundation is another one.
const B: &str = "name: w
container: {image: public.ecr.aws/docker/library/busybox:2}
instance: {types: [g4dn.xlarge, g5.xlarge]}
parameters: {plain: [K]}
network: {egress: [443/tcp]}
access: {buckets: {media: read}}
tags: {Role: worker}
";

const ENV_A: [(&str, &str); 2] = [("K", "1"), ("L", "1")];
const ENV_B: [(&str, &str); 2] = [("K", "2"), ("M", "2")];

/// One of the two files, with its `.env`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum File {
    A,
    B,
}

/// Who takes part.
#[derive(Debug, Clone)]
enum Run {
    Up(File, Vec<&'static str>),
    Apply(File),
    Push(File),
    Down,
    Destroy,
    Reap,
    /// An API server that launches so many by the template's name alone; nothing where there is no template.
    Server(i32),
    /// AWS changes its mind.
    Weather(&'static str),
    /// AWS takes back whoever lives: the notice was given two minutes ago.
    TakeBack,
    /// A minute goes by, and everything shows itself.
    Minute,
}

fn up(flags: &[&'static str]) -> Run {
    Run::Up(File::A, flags.to_vec())
}

/// A race: what stands before it, who takes part, and what it comes to.
struct Race {
    name: &'static str,
    weather: &'static [&'static str],
    before: Vec<Run>,
    /// Whether what stands before may have stood for long.
    can_be_old: bool,
    /// Whether reads and launches may know launch templates late. Not where a template is removed: what a late read does not
    /// show, nobody removes, and the next command finds it.
    can_be_late: bool,
    runs: fn(&mut Random) -> Vec<Run>,
    /// How many may live after a look.
    live: RangeInclusive<usize>,
    /// How many may ever have been launched; `None`: a duplicate that is ended again is in order.
    ever: Option<RangeInclusive<usize>>,
    /// What `up --count` of the end wishes for, and finds.
    wished: usize,
    /// Failures that are in order: what another run took away.
    may_fail: fn(&Run, &Error) -> bool,
}

/// The table's usual.
fn race(name: &'static str, runs: fn(&mut Random) -> Vec<Run>) -> Race {
    Race {
        name,
        weather: &[],
        before: Vec::new(),
        can_be_old: false,
        can_be_late: true,
        runs,
        live: 1..=1,
        ever: None,
        wished: 1,
        may_fail: |_, _| false,
    }
}

/// One schedule under way.
struct Stage {
    sandbox: Sandbox,
    seed: u64,
    began: Instant,
    log: Log,
}

impl Stage {
    /// Of an old stack EC2 knows all: then a launch has no reason to be patient.
    fn new(seed: u64, is_old: bool) -> Self {
        crate::cloud::retry::seed::set(u32::try_from(seed & 0xffff).unwrap_or_default() * 2 + 1);
        // From a whole second on, so that a launch's second is the same each time; not always at its beginning.
        let began = Timestamp::from_second(Timestamp::now().as_second()).unwrap();
        let began = began + Duration::from_millis(Random(!seed).below(1000));
        let began = if is_old { began - Duration::from_hours(1) } else { began };
        let stage = Self { sandbox: Sandbox::in_memory_at(began), seed, began: Instant::now(), log: Arc::default() };
        // The model's prices move with the day.
        for words in ["profile-delay 0s", "price g4dn.xlarge * 0.20", "price g5.xlarge * 0.40"] {
            stage.set(words);
        }
        stage
    }

    fn set(&self, words: &str) {
        self.sandbox.say(words);
    }

    fn context(&self, name: &str, file: File, length: Length, number: u64) -> Context {
        let seed = self.seed << 8 | number;
        let client = road(&self.sandbox, name, (length, seed), (self.began, &self.log));
        let config = client::config(&self.sandbox, "us-east-1").http_client(client);
        let config = config.timeout_config(crate::cloud::patience()).build();
        let (file, env) = match file {
            File::A => (A, ENV_A),
            File::B => (B, ENV_B),
        };
        let env = env.into_iter().map(|(key, value)| (key.to_owned(), SecretString::from(value)));
        Context {
            ui: Ui::new(Output::Text, true, Color::Never),
            spec: crate::config::parse(file, Path::new("spotctl.yaml")).unwrap(),
            env: Some(env.collect::<BTreeMap<_, _>>()),
            cloud: Cloud::from_config(&config).unwrap(),
            journal: Journal::default(),
            is_rehearsal: false,
        }
    }

    async fn act(&self, run: &Run, length: Length, number: u64) -> Result<()> {
        let name = format!("{number}:{}", word(run));
        let file = match run {
            Run::Up(file, _) | Run::Apply(file) | Run::Push(file) => *file,
            _ => File::A,
        };
        let context = self.context(&name, file, length, number);
        let (cloud, ui, stack) = (&context.cloud, &context.ui, &context.spec.name);
        match run {
            Run::Up(_, flags) => {
                let args = Only::parse_from([&["up"], flags.as_slice()].concat()).args;
                cloud.deadline.set(args.limit(None));
                let mut state = State::default();
                cloud.deadline.bound(Box::pin(work(&context, &args, &mut state))).await.map(drop)
            }
            Run::Apply(_) => {
                let mut report = crate::report::foundation::Apply::default();
                Box::pin(apply::work(&context, &Wants::default(), &mut report)).await.map(drop)
            }
            Run::Push(_) => {
                let mut report = foundation::ParameterChanges::default();
                let push = params::Verb::Push { adopt: false, prune: false };
                Box::pin(params::change(&context, push, &mut report)).await.map(drop)
            }
            Run::Down => {
                cloud.deadline.set(Duration::from_mins(10));
                let mut done = Downed::default();
                cloud.deadline.bound(Box::pin(down(cloud, order(stack, true), ui, &mut done))).await
            }
            Run::Destroy => {
                cloud.deadline.set(Duration::from_mins(10));
                let mut done = Downed::default();
                let work = async {
                    down(cloud, order(stack, false), ui, &mut done).await?;
                    crate::apply::destroy(cloud, stack, &context.journal, &done).await
                };
                cloud.deadline.bound(Box::pin(work)).await
            }
            Run::Reap => {
                let workers = crate::resource::worker::observe(cloud, stack).await?;
                let stacks = BTreeMap::from([(stack.to_string(), workers)]);
                let now = self.sandbox.weather().unwrap().now(self.sandbox.clock());
                let now = (now, Duration::ZERO);
                crate::apply::reap(cloud, &stacks, now, |_| ()).await
            }
            Run::Server(count) => {
                let template = aws_sdk_ec2::types::LaunchTemplateSpecification::builder();
                let template = template.launch_template_name("spotctl-w").build();
                let request = cloud.ec2.run_instances().launch_template(template).min_count(*count).max_count(*count);
                let _ = request.send().await;
                Ok(())
            }
            Run::TakeBack => {
                for id in self.live() {
                    self.set(&format!("interrupt {id}"));
                }
                self.set("clock +2m");
                Ok(())
            }
            Run::Minute => {
                pause(Duration::from_mins(1)).await;
                Ok(())
            }
            Run::Weather(words) => {
                self.set(words);
                Ok(())
            }
        }
    }

    async fn look(&self) -> Result<()> {
        let context = self.context("status", File::A, Length::Still, 250);
        let mut report = Status::default();
        Box::pin(status::one(&context.ui, &context.cloud, &context.spec.name, &mut report)).await.map(drop)
    }

    /// Instances that nobody has told to end.
    fn live(&self) -> BTreeSet<String> {
        let state = self.sandbox.state();
        let instances = &state["regions"]["us-east-1"]["ec2"]["instances"];
        let live = entries(instances).filter(|(_, instance)| instance["ending_at"].is_null());
        live.map(|(id, _)| id.to_owned()).collect()
    }

    /// Instances that `up` did not launch and that have ended.
    fn ended_servers(&self) -> Vec<String> {
        let state = self.sandbox.state();
        let ec2 = &state["regions"]["us-east-1"]["ec2"];
        let ended = entries(&ec2["instances"]).filter(|(_, instance)| !instance["ending_at"].is_null());
        let servers = ended.filter(|(id, _)| ec2["tags"][*id]["spotctl:slot"].is_null());
        servers.map(|(id, _)| id.to_owned()).collect()
    }

    fn ever(&self) -> usize {
        entries(&self.sandbox.state()["regions"]["us-east-1"]["ec2"]["instances"]).count()
    }

    /// Everything that is neither the fresh account's nor gone.
    fn left(&self) -> Vec<String> {
        let state = self.sandbox.state();
        let region = &state["regions"]["us-east-1"];
        let ec2 = &region["ec2"];
        let mut left: Vec<String> = self.live().into_iter().collect();
        let mut add = |kind: &str, map: &Value, is_left: fn(&str, &Value) -> bool| {
            left.extend(entries(map).filter(|(id, thing)| is_left(id, thing)).map(|(id, _)| format!("{kind} {id}")));
        };
        add("security group", &ec2["security_groups"], |_, group| group["name"] != "default");
        add("launch template", &ec2["launch_templates"], |_, _| true);
        add("volume", &ec2["left_volumes"], |_, _| true);
        add("spot request", &ec2["spot_requests"], |_, request| request["state"] == "open");
        add("role", &state["iam"]["roles"], |_, role| role["path"] == "/");
        add("instance profile", &state["iam"]["profiles"], |_, _| true);
        add("parameter", &region["ssm"]["parameters"], |_, _| true);
        left
    }

    /// Whether the latest version of each template is its default and only one.
    fn templates_are_whole(&self) -> bool {
        let state = self.sandbox.state();
        let mut templates = entries(&state["regions"]["us-east-1"]["ec2"]["launch_templates"]);
        templates.all(|(_, found)| {
            found["default_version"] == found["latest_version"] && entries(&found["versions"]).count() == 1
        })
    }

    /// What a plan of this file would still change.
    async fn changes(&self, file: File) -> Result<Vec<String>> {
        let context = self.context("plan", file, Length::Still, 251);
        let (_, plan) = Box::pin(context.plan(&Wants::default())).await?;
        let needed = plan.changes.iter().filter(|change| change.is_needed());
        Ok(needed.map(|change| format!("{:?} {} {}", change.kind, change.name, change.reason)).collect())
    }
}

fn order(stack: &WorkerName, template_stays: bool) -> Down<'_> {
    Down { stack, only: &[], limit: Some(Duration::from_mins(10)), template_stays }
}

fn entries(map: &Value) -> impl Iterator<Item = (&str, &Value)> {
    map.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn word(run: &Run) -> String {
    format!("{run:?}").split(['(', ',']).next().unwrap_or_default().to_lowercase()
}

/// Plays one schedule; what is wrong.
async fn play(race: &Race, seed: u64) -> Result<(), String> {
    let is_old = race.can_be_old && seed.is_multiple_of(2);
    let stage = Stage::new(seed, is_old);
    let result = schedule(race, &stage, is_old).await;
    result.map_err(|why| {
        let log = stage.log.lock().unwrap_or_else(PoisonError::into_inner);
        let writes = log.iter().filter(|line| !["Describe", "Get", "List"].iter().any(|verb| line.contains(verb)));
        let writes: Vec<&str> = writes.map(String::as_str).collect();
        format!("{}, seed {seed}: {why}\n{}", race.name, writes.join("\n"))
    })
}

async fn schedule(race: &Race, stage: &Stage, is_old: bool) -> Result<(), String> {
    for run in &race.before {
        stage.act(run, Length::Still, 0).await.map_err(|error| format!("before: {run:?}: {}", error.message))?;
    }
    if is_old {
        pause(Duration::from_mins(1)).await;
    }
    let mut random = Random(stage.seed);
    for words in race.weather {
        stage.set(words);
    }
    stage.set(&format!("visibility {}s", random.below(6)));
    let late = if race.can_be_late { random.pick(&[0, 0, 1, 5]) } else { 0 };
    stage.set(&format!("template-delay {late}s"));
    let runs = (race.runs)(&mut random);
    let spread = random.pick(&[1, 50, 3000, 12_000]);
    let racing = runs.iter().zip(1..).map(|(run, number)| {
        let offset = Duration::from_millis(random.below(spread));
        async move {
            pause(offset).await;
            stage.act(run, Length::Drawn, number).await
        }
    });
    let stood = stage.live();
    let racing: Vec<_> = racing.collect();
    let ended = tokio::time::timeout(Duration::from_mins(30), futures::future::join_all(racing)).await;
    let ended = ended.map_err(|_| "a run goes on for ever".to_owned())?;
    for (run, result) in runs.iter().zip(ended) {
        match result {
            Err(error) if !(race.may_fail)(run, &error) => {
                return Err(format!("{run:?}: {} {:?}", error.message, error.hints));
            }
            _ => {}
        }
    }
    // Everything shows itself.
    pause(Duration::from_secs(6)).await;
    stage.set("template-delay 0s");
    // Whoever waited until his own worker showed itself has seen what else was in its slot, so that no look is needed.
    let only_ups = runs.iter().all(|run| matches!(run, Run::Up(..)));
    if only_ups && stage.live().len() > *race.live.end() {
        return Err(format!("before a look: {} live: {:?}", stage.live().len(), stage.live()));
    }
    // And somebody looks.
    stage.look().await.map_err(|error| format!("status: {}", error.message))?;
    let is_emptied = runs.iter().any(|run| matches!(run, Run::Down | Run::Destroy | Run::Reap));
    let live = stage.live();
    if !race.live.contains(&live.len()) {
        return Err(format!("{} live: {live:?}", live.len()));
    }
    let ended = stage.ended_servers();
    if !is_emptied && !ended.is_empty() {
        return Err(format!("{ended:?} were an API server's"));
    }
    // What shows itself is ended: all of it, or what has expired, which all of it has where somebody reaps.
    if is_emptied && is_old && !stood.is_disjoint(&live) {
        return Err(format!("{stood:?} were to end, and {live:?} live"));
    }
    if let Some(ever) = race.ever.as_ref().filter(|ever| !ever.contains(&stage.ever())) {
        return Err(format!("{} were launched, not {ever:?}", stage.ever()));
    }
    let last = runs.iter().filter(|run| matches!(run, Run::Apply(_))).count();
    // Whoever reads late cannot see that another one was there: then the next command alone makes it whole.
    if last > 1 && late == 0 {
        let (a, b) = (stage.changes(File::A).await, stage.changes(File::B).await);
        let (a, b) = (a.map_err(|error| error.message)?, b.map_err(|error| error.message)?);
        if !a.is_empty() && !b.is_empty() {
            return Err(format!("neither file stands; A would change\n{a:#?}, B\n{b:#?}"));
        }
        if !stage.templates_are_whole() {
            return Err("a template's latest version is not its default and only one".to_owned());
        }
    }
    let count = race.wished.to_string();
    let mend = Run::Up(File::A, vec!["--count", count.leak()]);
    stage.act(&mend, Length::Still, 200).await.map_err(|error| format!("`up` in the end: {}", error.message))?;
    let before = live.len();
    let live = stage.live();
    // `up` never scales down, and two workers of one slot are gone by now.
    if live.len() != race.wished.max(before) {
        return Err(format!("`up` in the end comes to {}: {live:?}", live.len()));
    }
    let changes = stage.changes(File::A).await.map_err(|error| error.message)?;
    if !changes.is_empty() || !stage.templates_are_whole() {
        return Err(format!("`up` in the end leaves {changes:#?}"));
    }
    stage.act(&Run::Destroy, Length::Still, 201).await.map_err(|error| format!("`destroy`: {}", error.message))?;
    match stage.left() {
        left if left.is_empty() => Ok(()),
        left => Err(format!("`destroy` leaves {left:?}")),
    }
}

/// Plays the seeds that the environment names, or the first few, and says all that failed.
fn play_all(race: &Race) {
    const SEEDS: u64 = 4;
    let seeds = std::env::var("SPOTCTL_RACES").map_or(0..SEEDS, |range| {
        let (from, to) = range.split_once("..").expect("SPOTCTL_RACES=FROM..TO");
        from.parse().unwrap()..to.parse().unwrap()
    });
    let count = seeds.end - seeds.start;
    let mut failures = Vec::new();
    for seed in seeds {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
        failures.extend(runtime.block_on(play(race, seed)).err());
    }
    let shown: Vec<&str> = failures.iter().take(3).map(String::as_str).collect();
    assert!(failures.is_empty(), "{} of {count} schedules fail, such as\n{}", failures.len(), shown.join("\n\n"));
}

#[test]
fn ups_at_once_launch_one_worker_and_never_another() {
    let runs = |random: &mut Random| vec![up(&[]); random.pick(&[2, 5, 10])];
    play_all(&Race { ever: Some(1..=1), ..race("ups", runs) });
}

#[test]
fn warm_ups_at_once_launch_as_many_as_wished() {
    let runs = |random: &mut Random| vec![up(&["--count", "3"]); random.pick(&[2, 5])];
    let before = vec![Run::Apply(File::A)];
    play_all(&Race { before, can_be_old: true, live: 3..=3, ever: Some(3..=3), wished: 3, ..race("warm ups", runs) });
}

#[test]
fn ups_that_rank_the_offers_differently_end_with_one_worker() {
    let runs = |random: &mut Random| {
        let flags: [&[&str]; 7] = [
            &["--type", "g5.xlarge"],
            &["--type", "g4dn.xlarge"],
            &["--zone", "us-east-1a"],
            &["--zone", "us-east-1b"],
            &["--max-price", "0.60"],
            &["--ttl", "2h"],
            &[],
        ];
        (0..random.pick(&[2, 3, 5])).map(|_| up(random.pick(&flags))).collect()
    };
    play_all(&race("ranks", runs));
}

#[test]
fn ups_whose_prices_change_between_them_end_with_one_worker() {
    let runs = |random: &mut Random| {
        let dearer = Run::Weather("price g4dn.xlarge us-east-1a 0.90");
        let cheaper = Run::Weather("price g5.xlarge us-east-1b 0.10");
        let mut runs = vec![up(&[]); random.pick(&[2, 5])];
        runs.extend([dearer, cheaper]);
        runs
    };
    play_all(&race("prices", runs));
}

#[test]
fn ups_that_meet_dry_pools_end_with_one_worker() {
    let runs = |random: &mut Random| {
        let dry = ["dry g4dn.xlarge *", "dry g4dn.xlarge us-east-1b", "dry-spot g4dn.xlarge *"];
        let wet = ["wet all"];
        let mut runs = vec![up(&[]); random.pick(&[2, 3, 5])];
        runs.push(Run::Weather(random.pick(&dry)));
        if random.one_in(3) {
            runs.push(Run::Weather(random.pick(&wet)));
        }
        runs
    };
    play_all(&Race { before: vec![Run::Apply(File::A)], can_be_old: true, ..race("dry", runs) });
}

#[test]
fn spot_beside_on_demand_in_one_slot_ends_with_one_worker() {
    let runs = |random: &mut Random| {
        let fallback = up(&["--on-demand-fallback", "--max-price", "2.00"]);
        let mut runs = vec![fallback; random.pick(&[1, 2])];
        runs.extend(vec![up(&[]); random.pick(&[1, 2])]);
        runs.push(Run::Weather("wet all"));
        runs
    };
    play_all(&Race {
        weather: &["quota L-DB2E81BA=64", "dry-spot * *"],
        may_fail: |run, error| matches!(run, Run::Up(_, flags) if flags.is_empty()) && error.kind == Kind::Capacity,
        ..race("fallback", runs)
    });
}

#[test]
fn workers_of_an_api_server_are_never_ended_by_ups() {
    let runs = |random: &mut Random| {
        let mut runs = vec![up(&["--count", "3"]); random.pick(&[1, 2, 3])];
        runs.extend(vec![Run::Server(1); random.pick(&[0, 1, 2])]);
        runs
    };
    let before = vec![Run::Apply(File::A), Run::Server(2)];
    // What does not show itself yet is not counted, and `up` never scales down.
    play_all(&Race { before, can_be_old: true, live: 3..=7, wished: 5, ..race("servers", runs) });
}

#[test]
fn up_against_down_leaves_a_stack_that_can_be_turned_on_and_off() {
    let runs = |random: &mut Random| {
        let mut runs = vec![up(&[]); random.pick(&[1, 2])];
        runs.extend(vec![Run::Down; random.pick(&[1, 2])]);
        runs
    };
    play_all(&Race {
        before: vec![up(&[])],
        can_be_old: true,
        live: 0..=1,
        may_fail: |run, error| matches!(run, Run::Up(..)) && error.kind == Kind::Worker,
        ..race("up and down", runs)
    });
}

#[test]
fn ups_beside_a_worker_that_aws_takes_back_launch_one_and_never_another() {
    let runs = |random: &mut Random| {
        let mut runs = vec![up(&random.pick(&[vec![], vec!["--wait", "launched"]])); random.pick(&[2, 3, 5])];
        runs.push(Run::TakeBack);
        runs
    };
    play_all(&Race {
        // The next one comes from another pool than the one that is taken back.
        weather: &["price g5.xlarge us-east-1b 0.10"],
        before: vec![up(&[]), Run::Minute],
        can_be_old: true,
        live: 0..=1,
        ever: Some(1..=2),
        may_fail: |run, error| matches!(run, Run::Up(..)) && error.kind == Kind::Worker,
        ..race("taken back", runs)
    });
}

#[test]
fn down_against_down_ends_all_and_both_end_well() {
    let runs = |random: &mut Random| vec![Run::Down; random.pick(&[2, 3])];
    play_all(&Race { before: vec![up(&["--count", "3"])], can_be_old: true, live: 0..=0, ..race("downs", runs) });
}

#[test]
fn destroy_against_up_leaves_what_the_next_command_mends() {
    let runs = |random: &mut Random| {
        let mut runs = vec![up(&[]); random.pick(&[1, 2])];
        runs.push(Run::Destroy);
        runs
    };
    play_all(&Race {
        before: vec![up(&[])],
        can_be_old: true,
        live: 0..=1,
        may_fail: |run, error| {
            let is_gone = error.code.as_deref().is_some_and(|code| classify(code, "", 400) == Class::NotFound);
            let is_told = error.hints.iter().any(|hint| hint.starts_with("another run has removed the stack"));
            matches!(run, Run::Up(..)) && (error.kind == Kind::Worker || is_gone || is_told)
        },
        can_be_late: false,
        ..race("destroy and up", runs)
    });
}

#[test]
fn destroy_against_destroy_leaves_nothing_and_both_end_well() {
    let runs = |random: &mut Random| vec![Run::Destroy; random.pick(&[2, 3])];
    play_all(&Race {
        before: vec![up(&["--count", "2"])],
        can_be_old: true,
        live: 0..=0,
        can_be_late: false,
        ..race("destroys", runs)
    });
}

#[test]
fn of_two_applies_of_different_files_one_stands_whole() {
    let runs = |random: &mut Random| {
        let mut runs = vec![Run::Apply(File::A), Run::Apply(File::B)];
        if random.one_in(3) {
            runs.push(Run::Apply(random.pick(&[File::A, File::B])));
        }
        runs
    };
    play_all(&Race { live: 0..=0, ..race("applies", runs) });
}

#[test]
fn of_two_applies_of_changed_files_one_stands_whole() {
    let runs = |_: &mut Random| vec![Run::Apply(File::A), Run::Apply(File::B)];
    let before = vec![Run::Apply(File::B)];
    play_all(&Race { before, can_be_old: true, live: 0..=0, ..race("changed applies", runs) });
}

#[test]
fn up_against_apply_of_another_file_launches_one_worker() {
    let runs = |_: &mut Random| vec![up(&[]), Run::Apply(File::B)];
    play_all(&Race { before: vec![Run::Apply(File::A)], can_be_old: true, ..race("up and apply", runs) });
}

#[test]
fn ups_of_different_files_launch_one_worker() {
    let runs = |_: &mut Random| vec![up(&[]), Run::Up(File::B, vec![])];
    play_all(&Race { before: vec![Run::Apply(File::A)], can_be_old: true, ..race("ups of two files", runs) });
}

#[test]
fn reap_against_up_ends_what_has_expired_and_nothing_else() {
    let runs = |random: &mut Random| {
        let mut runs = vec![up(&["--ttl", "8h"]); random.pick(&[1, 2])];
        runs.extend(vec![Run::Reap; random.pick(&[1, 2])]);
        runs
    };
    play_all(&Race {
        before: vec![up(&["--ttl", "1h"])],
        can_be_old: true,
        weather: &["clock +2h"],
        live: 0..=1,
        may_fail: |run, error| matches!(run, Run::Up(..)) && error.kind == Kind::Worker,
        ..race("reap and up", runs)
    });
}

#[test]
fn params_pushed_twice_at_once_are_one_env() {
    let runs = |_: &mut Random| vec![Run::Push(File::A), Run::Push(File::A)];
    play_all(&Race { live: 0..=0, ..race("push", runs) });
}
