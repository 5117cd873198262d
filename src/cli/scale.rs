//! Large accounts, in virtual time: the calls and the sequential round trips are those that AWS's pages need, and what
//! throttles them only makes them slower.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_ec2::types as ec2;
use secrecy::SecretString;

use super::context::Context;
use super::status;
use super::up::tests::{context_of, found, round_trips, sandbox};
use crate::apply::{self, Down, Downed};
use crate::plan::Wants;
use crate::report::workers::Status;
use crate::resource::parameters::{self, Leave};
use crate::resource::worker;
use crate::sandbox::Sandbox;

const FILE: &str = "name: w\ncontainer: {image: i}\n";
const REGION: &str = "us-east-1";

/// Spot instances of this stack, with volumes, as an API server launches them: `RunInstances` takes a thousand at once.
async fn launch(sandbox: &Sandbox, stack: &str, zone: &str, count: i32) {
    sandbox.say("quota G=100000");
    let cloud = context_of(sandbox, REGION, FILE).cloud;
    let found = cloud.ec2.describe_images().owners("amazon").send().await.unwrap();
    let is_fit = |image: &&ec2::Image| image.architecture() == Some(&ec2::ArchitectureValues::X8664);
    let image = found.images().iter().find(is_fit).and_then(ec2::Image::image_id).unwrap();
    let tag = |key: &str, value: &str| ec2::Tag::builder().key(key).value(value).build();
    let tagged = |kind| {
        let tags = [tag("spotctl:stack", stack), tag("spotctl:lifetime", "8h")];
        ec2::TagSpecification::builder().resource_type(kind).set_tags(Some(tags.to_vec())).build()
    };
    let market = ec2::InstanceMarketOptionsRequest::builder().market_type(ec2::MarketType::Spot).build();
    let place = ec2::Placement::builder().availability_zone(zone).build();
    let mut left = count;
    while left > 0 {
        let some = left.min(1000);
        let request = cloud.ec2.run_instances().image_id(image).instance_type(ec2::InstanceType::G4dnXlarge);
        let request = request.min_count(some).max_count(some).instance_market_options(market.clone());
        let kinds = [ec2::ResourceType::Instance, ec2::ResourceType::Volume, ec2::ResourceType::SpotInstancesRequest];
        let request = request.placement(place.clone()).set_tag_specifications(Some(kinds.map(tagged).to_vec()));
        let launched = request.send().await.unwrap();
        assert_eq!(launched.instances().len(), usize::try_from(some).unwrap());
        left -= some;
    }
}

/// The calls that `work` makes, by operation, and its sequential round trips.
async fn calls_of<T>(sandbox: &Sandbox, work: impl Future<Output = T>) -> (T, BTreeMap<String, u64>, u128) {
    let before = sandbox.calls().unwrap();
    let (result, trips) = round_trips(Box::pin(work)).await;
    let mut calls = sandbox.calls().unwrap();
    calls.retain(|operation, number| {
        *number -= before.get(operation).copied().unwrap_or_default();
        *number > 0
    });
    (result, calls, trips)
}

fn with_keys(sandbox: &Sandbox, file: &str, count: u32) -> Context {
    let env = (0..count).map(|number| (format!("KEY_{number:04}"), SecretString::from(format!("value {number}"))));
    Context { env: Some(env.collect()), ..context_of(sandbox, REGION, file) }
}

#[tokio::test(start_paused = true)]
async fn a_status_reads_the_pages_of_what_it_shows_whatever_else_the_account_runs() {
    let sandbox = sandbox();
    for (stack, zone, count) in [("w", "us-east-1a", 200), ("v", "us-east-1b", 2300), ("u", "us-east-1c", 2500)] {
        launch(&sandbox, stack, zone, count).await;
    }
    let context = context_of(&sandbox, REGION, FILE);
    let mut report = Status::default();
    let work = status::one(&context.ui, &context.cloud, &context.spec.name, &mut report);
    let (shown, calls, trips) = calls_of(&sandbox, work).await;
    assert_eq!(shown.map_err(|error| error.message), Ok(0));
    assert_eq!(report.workers.len(), 200);
    assert_eq!((calls["DescribeInstances"], calls["DescribeVolumes"], trips), (1, 1, 2), "{calls:?}");

    let (stacks, calls, trips) = calls_of(&sandbox, status::in_region(&context.cloud)).await;
    let stacks = stacks.map_err(|error| error.message).unwrap();
    assert_eq!(stacks.iter().map(|stack| stack.workers).collect::<Vec<_>>(), [2500, 2300, 200]);
    // Five pages one after the other, which name the next; then the prices.
    assert_eq!((calls["DescribeInstances"], calls["DescribeVolumes"], trips), (5, 5, 6), "{calls:?}");
    assert_eq!(calls.values().sum::<u64>(), 5 + 5 + 1 + 1, "{calls:?}");
}

#[tokio::test(start_paused = true)]
async fn a_thousand_workers_are_told_to_end_in_ten_calls_and_seen_to_end_in_one_each_look() {
    let sandbox = sandbox();
    let context = context_of(&sandbox, REGION, FILE);
    for (limit, is_throttled) in [(None, false), (Some(Duration::from_mins(10)), true)] {
        launch(&sandbox, "w", "us-east-1a", 1000).await;
        sandbox.say(if is_throttled { "throttle on" } else { "throttle off" });
        let mut done = Downed::default();
        let order = Down { stack: &context.spec.name, only: &[], limit, template_stays: true };
        let work = apply::down(&context.cloud, order, &context.ui, &mut done);
        let (ended, calls, trips) = calls_of(&sandbox, work).await;
        assert_eq!(ended.map_err(|error| error.message), Ok(()));
        assert_eq!(done.terminated.len(), 1000);
        assert_eq!((calls["TerminateInstances"], calls["CreateTags"]), (10, 10), "{calls:?}");
        if limit.is_none() {
            // What there is; then five calls at once, twice.
            assert_eq!((calls["DescribeInstances"], trips), (1, 3), "{calls:?}");
        } else {
            // The first thousand are told of for an hour. Two seconds until they have ended.
            let looks = calls["DescribeInstances"] / 2;
            assert!(looks <= 5 && trips < 100, "{trips} {calls:?}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_request_that_is_gone_keeps_no_other_from_being_cancelled() {
    let sandbox = sandbox();
    launch(&sandbox, "w", "us-east-1a", 150).await;
    let context = context_of(&sandbox, REGION, FILE);
    let requests = async || worker::requests(&context.cloud, &context.spec.name).await.unwrap();
    let mut ids: Vec<String> = requests().await.into_iter().map(|request| request.id).collect();
    ids.insert(3, "sir-00000000".to_owned());
    let (cancelled, calls, _) = calls_of(&sandbox, worker::cancel_requests(&context.cloud, &ids)).await;
    assert_eq!(cancelled.map_err(|error| error.message), Ok(()));
    assert!(requests().await.iter().all(|request| request.state == "cancelled"));
    assert_eq!(calls["CancelSpotInstanceRequests"], 2 + 100, "one call's ids each by themselves: {calls:?}");
}

/// What a `down` that ended something has done: then `destroy` need not wait for what does not show itself yet.
fn downed() -> Downed {
    Downed { terminated: vec!["i-00000000".to_owned()], ..Downed::default() }
}

#[tokio::test(start_paused = true)]
async fn a_thousand_parameters_are_read_by_tens_and_removed_by_tens() {
    let sandbox = sandbox();
    let context = with_keys(&sandbox, FILE, 1000);
    found(&context).await;
    let (cloud, spec) = (&context.cloud, &context.spec);
    let work = parameters::observe(cloud, &spec.parameters.path, &spec.name);
    let (observed, calls, trips) = calls_of(&sandbox, work).await;
    let desired = parameters::desired(spec, context.env.as_ref());
    assert!(parameters::diff(&desired, &observed.unwrap(), Leave::default()).unwrap().changes.is_empty());
    // A full page does not know that it is the last; names and values are read side by side.
    assert_eq!((calls["GetParametersByPath"], calls["DescribeParameters"], trips), (101, 20, 101), "{calls:?}");

    for words in ["throttle off", "throttle on"] {
        sandbox.say(words);
        found(&context).await;
        let (gone, calls, trips) =
            calls_of(&sandbox, apply::destroy(cloud, &spec.name, &context.journal, &downed())).await;
        assert_eq!(gone.map_err(|error| error.message), Ok(()));
        assert_eq!(calls["DescribeParameters"], 20, "{calls:?}");
        if words == "throttle off" {
            assert_eq!(calls["DeleteParameters"], 100, "{calls:?}");
            // The names' pages; the templates, and a look whether they launched something; five deletions at once.
            assert!(trips <= 20 + 5 + 100 / 5, "{trips}");
        } else {
            // Fifty at once, then five a second.
            assert!(trips < 60 * 20, "{trips}");
        }
    }
}

#[tokio::test(start_paused = true)]
async fn two_hundred_keys_are_written_one_by_one_as_fast_as_aws_takes_them() {
    let sandbox = sandbox();
    let context = with_keys(&sandbox, FILE, 200);
    let ((), calls, trips) = calls_of(&sandbox, found(&context)).await;
    assert_eq!(calls["PutParameter"], 200, "{calls:?}");
    // Five at once beside all else.
    assert!(trips <= 200 / 5 + 5, "{trips}");
    let (planned, calls, trips) = calls_of(&sandbox, context.plan(&Wants::default())).await;
    assert!(!planned.unwrap().1.has_changes());
    assert_eq!((calls["GetParametersByPath"], calls["DescribeParameters"]), (21, 4), "{calls:?}");
    assert!(trips <= 21 + 1, "{trips}");

    apply::destroy(&context.cloud, &context.spec.name, &context.journal, &downed()).await.unwrap();
    sandbox.say("throttle on");
    let ((), _, trips) = calls_of(&sandbox, found(&context)).await;
    // Three a second, which take 67 seconds; `up` gives itself five minutes.
    assert!(trips < 150 * 20, "{trips}");
}

#[tokio::test(start_paused = true)]
async fn keys_that_change_their_type_are_deleted_together_and_looked_at_by_name() {
    let sandbox = sandbox();
    found(&with_keys(&sandbox, FILE, 50)).await;
    let keys: Vec<String> = (0..50).map(|number| format!("KEY_{number:04}")).collect();
    let plain = format!("{FILE}parameters: {{plain: [{}]}}\n", keys.join(", "));
    // The SDK asks again, and AWS says that the parameter is there.
    sandbox.say("fail PutParameter drop 1");
    let context = with_keys(&sandbox, &plain, 50);
    let ((), calls, _) = calls_of(&sandbox, found(&context)).await;
    assert_eq!((calls["DeleteParameters"], calls["PutParameter"]), (5, 51), "{calls:?}");
    // Six pages of values and one of names before; nobody reads them all again for one.
    assert_eq!((calls["GetParametersByPath"], calls["DescribeParameters"]), (6, 1), "{calls:?}");
    let (_, again) = context.plan(&Wants::default()).await.unwrap();
    assert!(!again.has_changes(), "{:?}", again.changes);
}
