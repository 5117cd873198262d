//! `up` on AWS's slow days, in virtual time: what is made shows itself late, and what is answered lacks what is usual.

use std::sync::{Arc, Mutex};

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use clap::Parser;
use jiff::Timestamp;
use regex::Regex;
use tokio::time::Instant;

use super::tests::{Only, context_of, end};
use super::*;
use crate::cli::context::name_leftovers;
use crate::cli::status;
use crate::cloud::Cloud;
use crate::error::Kind;
use crate::report::Report;
use crate::report::workers::Status;
use crate::sandbox::{Sandbox, client};

pub(super) const FILE: &str = "name: w\ncontainer: {image: i}\ninstance: {types: [g4dn.xlarge]}\n";
const CHANGED: &str = "name: w\ncontainer: {image: j}\ninstance: {types: [g4dn.xlarge]}\n";

pub(super) fn sandbox(weather: &[&str]) -> Sandbox {
    let sandbox = Sandbox::in_memory();
    for words in weather {
        sandbox.say(words);
    }
    sandbox
}

pub(super) async fn up(context: &Context, flags: &[&str]) -> Result<Up> {
    let args = Only::parse_from([&["up"], flags].concat()).args;
    let mut state = State::default();
    let deadline = &context.cloud.deadline;
    deadline.set(args.limit(context.spec.lifetime.boot));
    let result = deadline.bound(Box::pin(work(context, &args, &mut state))).await;
    let mut report = Up::default();
    fill(context, &state, &mut report);
    match result {
        Ok(_) => Ok(report),
        Err(error) => Err(name_leftovers(context, error).await),
    }
}

pub(super) async fn workers(context: &Context) -> Vec<Worker> {
    crate::resource::worker::observe(&context.cloud, &context.spec.name).await.unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_ec2_knows_after_two_minutes_only_is_waited_for() {
    let sandbox = sandbox(&["profile-delay 2m"]);
    let context = context_of(&sandbox, "us-east-1", FILE);
    let began = Instant::now();
    assert_eq!(up(&context, &[]).await.map_err(|error| error.message).unwrap().workers.len(), 1);
    assert!(began.elapsed() >= Duration::from_mins(2));
    assert_eq!(workers(&context).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn what_a_run_has_launched_holds_its_slot_when_it_plans_anew_before_it_shows_itself() {
    let sandbox = sandbox(&["visibility 2m"]);
    let context = context_of(&sandbox, "us-east-1", FILE);
    let first = up(&context, &["--wait", "launched"]).await.unwrap().workers;
    let launches = sandbox.calls().unwrap()["RunInstances"];
    // The next pool's token is another one: only the run itself knows that its slot is held.
    sandbox.say(&format!("dry g4dn.xlarge {}", first[0].zone));
    // What `work` does when another run has changed the foundation meanwhile.
    let again = up(&context, &["--wait", "launched"]).await.unwrap().workers;
    assert_eq!((again.len(), &again[0].id), (1, &first[0].id));
    assert_eq!(sandbox.calls().unwrap()["RunInstances"], launches);
}

async fn generation(context: &Context) -> u64 {
    let found = crate::resource::launch_template::observe(&context.cloud, &context.spec.name).await.unwrap();
    found.spot.unwrap().generation
}

#[tokio::test(start_paused = true)]
async fn the_template_follows_a_worker_that_follows_one_that_has_ended() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    let fresh = || context_of(&sandbox, "us-east-1", FILE);
    for round in 1..=3 {
        let context = fresh();
        let launched = up(&context, &["--wait", "launched"]).await.unwrap().workers;
        assert_eq!((launched.len(), generation(&context).await), (1, round));
        // No token was used up on the way.
        assert_eq!(sandbox.calls().unwrap()["RunInstances"], round);
        context.cloud.ec2.terminate_instances().instance_ids(&launched[0].id).send().await.unwrap();
        tokio::time::advance(Duration::from_secs(10)).await;
    }
}

#[tokio::test(start_paused = true)]
async fn down_ends_what_followed_a_worker_that_has_ended_and_shows_itself_only_then() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    let fresh = || context_of(&sandbox, "us-east-1", FILE);
    let context = fresh();
    up(&context, &["--count", "3"]).await.unwrap();
    for worker in workers(&context).await.iter().filter(|worker| worker.slot != Some(0)) {
        context.cloud.ec2.terminate_instances().instance_ids(&worker.id).send().await.unwrap();
    }
    tokio::time::advance(Duration::from_secs(10)).await;
    // Two slots at once, so that the template's number stays behind theirs; seen while `down` waits for the third.
    sandbox.say("visibility 1s");
    up(&fresh(), &["--count", "3", "--wait", "launched"]).await.unwrap();
    let context = fresh();
    assert_eq!(
        (workers(&context).await.iter().filter(|worker| worker.counts()).count(), generation(&context).await),
        (1, 1)
    );
    let (result, _) = end(&context, &[]).await;
    assert_eq!(result.map_err(|error| error.message), Ok(()));
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(workers(&context).await.iter().filter(|worker| worker.state.is_live()).count(), 0);
}

#[tokio::test(start_paused = true)]
async fn a_destroy_ends_the_workers_although_nothing_else_can_be_read() {
    use crate::apply::{Down, Downed, down};
    let sandbox = sandbox(&[]);
    let context = context_of(&sandbox, "us-east-1", FILE);
    up(&context, &[]).await.unwrap();
    sandbox.say("fail GetRole hold 99");
    let context = context_of(&sandbox, "us-east-1", FILE);
    let stack = &context.spec.name;
    let order = Down { stack, only: &[], limit: Some(Duration::from_mins(5)), template_stays: false };
    let (mut done, began) = (Downed::default(), Instant::now());
    assert_eq!(down(&context.cloud, order, &context.ui, &mut done).await.map_err(|error| error.message), Ok(()));
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
}

#[tokio::test(start_paused = true)]
async fn a_profile_that_ec2_does_not_know_in_time_ends_with_what_exists_and_the_same_command_goes_on() {
    let sandbox = sandbox(&["profile-delay 2m"]);
    let context = context_of(&sandbox, "us-east-1", FILE);
    let error = up(&context, &["--timeout", "30s"]).await.unwrap_err();
    assert_eq!(error.kind.exit_code(), 6, "{error:?}");
    let kinds: Vec<&str> = error.leftovers.iter().map(|left| left.kind.as_str()).collect();
    for kind in ["security group", "role", "instance profile", "launch template"] {
        assert!(kinds.contains(&kind), "{kind} is not among {kinds:?}");
    }
    assert!(error.hints.iter().any(|hint| hint.contains("spotctl destroy --name w --yes")), "{:?}", error.hints);
    assert!(workers(&context).await.is_empty());
    // An earlier run made the profile, and it is new all the same.
    assert_eq!(up(&context_of(&sandbox, "us-east-1", FILE), &[]).await.unwrap().workers.len(), 1);
    assert_eq!(workers(&context).await.len(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_template_or_a_group_that_a_launch_does_not_know_yet_is_waited_for() {
    for slow in ["template-delay 20s", "visibility 20s"] {
        let sandbox = sandbox(&["profile-delay 0s", slow]);
        let context = context_of(&sandbox, "us-east-1", FILE);
        let report = up(&context, &[]).await.unwrap_or_else(|error| panic!("{slow}: {error}"));
        assert_eq!((report.workers.len(), workers(&context).await.len()), (1, 1), "{slow}");
        let calls = sandbox.calls().unwrap();
        assert!(calls["RunInstances"] > 1, "{slow}: nothing was late: {calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn an_apply_waits_for_what_it_made_to_show_itself_and_takes_no_other_run_for_the_reason() {
    for slow in ["template-delay 50s", "visibility 70s"] {
        let sandbox = sandbox(&["profile-delay 0s", slow]);
        let context = context_of(&sandbox, "us-east-1", FILE);
        let mut report = crate::report::foundation::Apply::default();
        let done = Box::pin(crate::cli::apply::work(&context, &Wants::default(), &mut report)).await;
        done.unwrap_or_else(|error| panic!("{slow}: {error}"));
        let calls = sandbox.calls().unwrap();
        assert_eq!((calls["CreateSecurityGroup"], calls["CreateLaunchTemplate"]), (1, 2), "{slow}: {calls:?}");
        assert!(calls["DescribeSecurityGroups"] > 10, "{slow}: nothing was late: {calls:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_a_killed_down_has_only_marked_is_ended_by_the_next_up_and_not_kept_beside_a_second() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    let context = context_of(&sandbox, "us-east-1", FILE);
    up(&context, &["--count", "2"]).await.unwrap();
    let marked = workers(&context).await[0].id.clone();
    crate::resource::worker::mark(&context.cloud, &[&marked], crate::decide::phase::BY_DOWN).await;
    up(&context_of(&sandbox, "us-east-1", FILE), &["--count", "2"]).await.unwrap();
    let live: Vec<String> =
        workers(&context).await.into_iter().filter(|worker| worker.state.is_live()).map(|worker| worker.id).collect();
    assert!(live.len() == 2 && !live.contains(&marked), "{marked}: {live:?}");
}

#[tokio::test(start_paused = true)]
async fn a_token_whose_worker_aws_has_forgotten_and_whose_parameters_differ_is_left_behind() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    let context = context_of(&sandbox, "us-east-1", FILE);
    up(&context, &["--wait", "launched"]).await.unwrap();
    let id = workers(&context).await[0].id.clone();
    crate::resource::worker::terminate(&context.cloud, &[&id], |_| ()).await.unwrap();
    sandbox.say("clock +3h");
    assert!(workers(&context).await.is_empty(), "it is forgotten");
    let flags = ["--ttl", "2h", "--wait", "launched"];
    let report = up(&context_of(&sandbox, "us-east-1", FILE), &flags).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!((report.workers.len(), workers(&context).await.len()), (1, 1));
    assert_ne!(report.workers[0].id, id);
}

#[tokio::test(start_paused = true)]
async fn a_launch_whose_answer_was_lost_is_named_whatever_is_refused_after_it() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    let context = context_of(&sandbox, "us-east-1", FILE);
    for words in ["fail RunInstances drop 1", "fail RunInstances 403 1 after 1"] {
        sandbox.say(words);
    }
    let error = up(&context, &["--wait", "launched"]).await.unwrap_err();
    assert_eq!(error.kind.exit_code(), 5, "{error:?}");
    let launched = workers(&context).await[0].id.clone();
    assert!(error.leftovers.iter().any(|left| left.id == launched), "{launched}: {:?}", error.leftovers);
    assert!(error.hints.iter().any(|hint| hint.starts_with("a launch was under way")), "{:?}", error.hints);
}

#[tokio::test(start_paused = true)]
async fn a_down_also_ends_what_was_launched_before_it_and_shows_itself_while_it_waits() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    let context = context_of(&sandbox, "us-east-1", FILE);
    up(&context, &["--wait", "launched"]).await.unwrap();
    tokio::time::advance(Duration::from_mins(1)).await;
    sandbox.say("visibility 2s");
    up(&context_of(&sandbox, "us-east-1", FILE), &["--count", "2", "--wait", "launched"]).await.unwrap();
    assert_eq!(workers(&context).await.len(), 1, "the second one is hidden");
    let (result, done) = end(&context, &[]).await;
    result.unwrap();
    assert!(workers(&context).await.iter().all(|worker| !worker.state.is_live()));
    assert_eq!(done.terminated.len(), 2);
}

#[tokio::test(start_paused = true)]
async fn machines_that_read_a_new_version_late_launch_no_more_than_wished_and_come_to_rest() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    up(&context_of(&sandbox, "us-east-1", FILE), &["--wait", "launched"]).await.unwrap();
    sandbox.say("template-delay 8s");
    for count in ["2", "3", "3"] {
        let context = context_of(&sandbox, "us-east-1", CHANGED);
        let flags = ["--count", count, "--wait", "launched"];
        up(&context, &flags).await.unwrap_or_else(|error| panic!("{error}"));
        assert_eq!(workers(&context).await.len().to_string(), count);
    }
    sandbox.say("template-delay 0s");
    let context = context_of(&sandbox, "us-east-1", CHANGED);
    up(&context, &["--count", "3"]).await.unwrap_or_else(|error| panic!("{error}"));
    let (_, plan) = context.plan(&Wants::default()).await.unwrap();
    assert!(!plan.has_changes(), "{:?}", plan.changes);
}

#[tokio::test(start_paused = true)]
async fn a_version_that_a_read_shows_and_a_launch_does_not_know_is_waited_for_though_nothing_is_new() {
    let unknown: Rewrite = |text| {
        if !text.contains("<RunInstancesResponse") {
            return text.to_owned();
        }
        format!("<Response><Errors><Error><Code>{SUPERSEDED}</Code><Message>m</Message></Error></Errors></Response>")
    };
    // The profile is an old one: nothing but the answer is a reason to be patient.
    let sandbox = Sandbox::in_memory_at(Timestamp::now() - Duration::from_hours(1));
    sandbox.say("profile-delay 0s");
    up(&context_of(&sandbox, "us-east-1", FILE), &["--wait", "launched"]).await.unwrap();
    let (context, rewritten) = rewritten(&sandbox, unknown, 3);
    up(&context, &["--count", "2", "--wait", "launched"]).await.unwrap_or_else(|error| panic!("{error}"));
    assert_eq!(workers(&context).await.len(), 2);
    assert_eq!(rewritten.count(), 3, "no launch met a version that it does not know");
}

/// What an answer becomes on its way.
pub(super) type Rewrite = fn(&str) -> String;

/// A client whose answers come otherwise than the sandbox gives them, the first so many.
#[derive(Debug, Clone)]
pub(super) struct Rewritten {
    sandbox: SharedHttpClient,
    rewrite: Rewrite,
    most: u32,
    count: Arc<Mutex<u32>>,
}

pub(super) fn rewritten(sandbox: &Sandbox, rewrite: Rewrite, most: u32) -> (Context, Rewritten) {
    let client = Rewritten { sandbox: client::http_client(sandbox.clone()), rewrite, most, count: Arc::default() };
    let config = client::config(sandbox, "us-east-1").http_client(SharedHttpClient::new(client.clone()));
    let mut context = context_of(sandbox, "us-east-1", FILE);
    context.cloud = Cloud::from_config(&config.timeout_config(crate::cloud::patience()).build()).unwrap();
    (context, client)
}

impl Rewritten {
    /// How many answers came otherwise.
    pub(super) fn count(&self) -> u32 {
        *self.count.lock().unwrap()
    }
}

impl HttpClient for Rewritten {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(RewrittenConnector(self.sandbox.http_connector(settings, components), self.clone()))
    }
}

#[derive(Debug)]
struct RewrittenConnector(SharedHttpConnector, Rewritten);

impl HttpConnector for RewrittenConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let answer = self.0.call(request);
        let Rewritten { rewrite, most, count, .. } = self.1.clone();
        HttpConnectorFuture::new(async move {
            let mut answer = answer.await?;
            let text =
                answer.body().bytes().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).unwrap_or_default();
            let new = rewrite(&text);
            let mut count = count.lock().unwrap();
            if new != text && *count < most {
                *count += 1;
                if new.contains("<Errors>") {
                    *answer.status_mut() = 400.try_into().unwrap();
                }
                answer.headers_mut().insert("content-length", new.len().to_string());
                *answer.body_mut() = SdkBody::from(new);
            }
            Ok(answer)
        })
    }
}

fn replaced(text: &str, pattern: &str, by: &str) -> String {
    Regex::new(pattern).unwrap().replace_all(text, by).into_owned()
}

const V6: &str = "<ipv6Address>2600:1f18::1</ipv6Address>";
const NO_V4: &str = "<association>.*?</association>|<dnsName>[^<]*</dnsName>";

#[tokio::test(start_paused = true)]
async fn a_worker_with_ipv6_alone_is_shown_without_an_ipv4_address_and_counts() {
    let absent: Rewrite = |text| {
        let text = replaced(text, r"<ipAddress>[^<]*</ipAddress>", V6);
        replaced(&replaced(&text, NO_V4, ""), r"<privateIpAddress>[^<]*</privateIpAddress>", "")
    };
    let empty: Rewrite = |text| {
        let text = replaced(text, r"<ipAddress>[^<]*</ipAddress>", &format!("<ipAddress/>{V6}"));
        replaced(&replaced(&text, NO_V4, ""), r"<privateIpAddress>[^<]*</privateIpAddress>", "<privateIpAddress/>")
    };
    for rewrite in [absent, empty] {
        let sandbox = sandbox(&["profile-delay 0s"]);
        let (context, rewritten) = rewritten(&sandbox, rewrite, u32::MAX);
        let report = up(&context, &[]).await.unwrap_or_else(|error| panic!("{error}"));
        assert!(rewritten.count() > 0, "no answer had an address");
        let document = serde_json::to_value(&report).unwrap();
        assert_eq!(document["workers"][0]["state"], "running", "{document:#}");
        assert!(document["workers"][0]["public_ip"].is_null(), "{document:#}");
        let mut status = Status::default();
        status::one(&context.ui, &context.cloud, &context.spec.name, &mut status).await.unwrap();
        let document = serde_json::to_value(&status).unwrap();
        assert!(document["workers"][0]["public_ip"].is_null(), "{document:#}");
        assert_eq!(document["workers"].as_array().map(Vec::len), Some(1));
        let text = status.text(false);
        assert!(text.contains(&report.workers[0].id) && !text.contains("2600"), "{text}");
        // It counts: no second one is launched for it.
        assert_eq!(up(&context, &[]).await.unwrap().workers.len(), 1);
        assert_eq!(workers(&context).await.len(), 1);
    }
}

#[tokio::test(start_paused = true)]
async fn a_subnet_with_ipv6_alone_is_none_for_a_worker_that_pulls_over_ipv4_and_says_so() {
    let all: Rewrite = |text| {
        let text = replaced(text, r"<availableIpAddressCount>\d+<", "<availableIpAddressCount>0<");
        replaced(&text, r"<cidrBlock>172[^<]*</cidrBlock>", "<ipv6Native>true</ipv6Native>")
    };
    let sandbox = sandbox(&["profile-delay 0s"]);
    let (context, _) = rewritten(&sandbox, all, u32::MAX);
    let error = up(&context, &[]).await.unwrap_err();
    assert_eq!(error.kind, Kind::Usage, "{error}");
    assert!(error.hints.iter().any(|hint| hint.contains("no free IPv4 address")), "{:?}", error.hints);
    assert!(error.leftovers.is_empty() && workers(&context).await.is_empty());
}
