//! Workers that AWS has launched and does not show yet, in virtual time: an instance may be missing from a list for five
//! seconds, and whoever takes it for none leaves it running, or launches another.

use super::tests::{context_of, end, found};
use super::weather::{FILE, Rewrite, rewritten, sandbox, up, workers};
use super::*;
use crate::apply::Downed;
use crate::cloud::poll;
use crate::journal::Journal;
use crate::sandbox::Sandbox;

fn fresh(sandbox: &Sandbox) -> Context {
    context_of(sandbox, "us-east-1", FILE)
}

/// A foundation that shows itself to all, under this weather.
async fn founded(weather: &[&str]) -> Sandbox {
    let sandbox = sandbox(&["profile-delay 0s"]);
    found(&fresh(&sandbox)).await;
    tokio::time::advance(Duration::from_mins(1)).await;
    for words in weather {
        sandbox.say(words);
    }
    sandbox
}

async fn live(context: &Context) -> Vec<String> {
    workers(context).await.into_iter().filter(|worker| worker.state.is_live()).map(|worker| worker.id).collect()
}

#[tokio::test(start_paused = true)]
async fn an_up_waits_until_its_own_worker_shows_itself_although_another_one_fills_the_slot() {
    let sandbox = founded(&["visibility 5s"]).await;
    let launched = up(&fresh(&sandbox), &["--zone", "us-east-1a", "--wait", "launched"]).await.unwrap().workers;
    tokio::time::advance(Duration::from_secs(3)).await;
    // It plans while that one is hidden, and sees it before its own.
    let report = up(&fresh(&sandbox), &["--zone", "us-east-1b"]).await.unwrap();
    assert_eq!(sandbox.calls().unwrap()["RunInstances"], 2, "they make no pair");
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(live(&fresh(&sandbox)).await, [launched[0].id.clone()]);
    assert_eq!(report.workers.iter().map(|row| &row.id).collect::<Vec<_>>(), [&launched[0].id]);
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_never_shows_itself_keeps_no_up_for_ever() {
    let sandbox = founded(&[]).await;
    up(&fresh(&sandbox), &[]).await.unwrap();
    tokio::time::advance(Duration::from_mins(10)).await;
    sandbox.say("visibility 9m");
    let began = Instant::now();
    let context = fresh(&sandbox);
    up(&context, &["--count", "2", "--wait", "launched"]).await.unwrap();
    // Enough others are there.
    up(&context, &["--count", "1"]).await.unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_secs(20) && took < Duration::from_secs(40), "{took:?}");
    // Its own time may be shorter.
    let short = fresh(&sandbox);
    context.journal.workers().iter().for_each(|(worker, price)| short.journal.launched(worker, *price));
    let began = Instant::now();
    up(&short, &["--count", "1", "--timeout", "5s"]).await.unwrap();
    let took = began.elapsed();
    assert!(took > Duration::from_secs(2) && took <= Duration::from_secs(5), "{took:?}");
}

#[tokio::test(start_paused = true)]
async fn a_down_looks_on_where_all_it_saw_is_gone_sooner_than_the_last_launched_shows_itself() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    up(&fresh(&sandbox), &["--wait", "launched"]).await.unwrap();
    tokio::time::advance(Duration::from_mins(1)).await;
    sandbox.say("visibility 5s");
    up(&fresh(&sandbox), &["--count", "2", "--wait", "launched"]).await.unwrap();
    let context = fresh(&sandbox);
    assert_eq!(live(&context).await.len(), 1, "the second one is hidden");
    let (result, done) = end(&context, &[]).await;
    assert_eq!(result.map_err(|error| error.message), Ok(()));
    assert_eq!((done.terminated.len(), done.may_miss), (2, false));
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(live(&context).await, Vec::<String>::new());
}

#[tokio::test(start_paused = true)]
async fn a_down_whose_time_is_over_before_the_last_launched_can_show_itself_says_so() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    up(&fresh(&sandbox), &[]).await.unwrap();
    let context = fresh(&sandbox);
    context.cloud.deadline.set(Duration::from_secs(4));
    let (result, done) = end(&context, &[]).await;
    assert_eq!(result.map_err(|error| error.message), Ok(()));
    assert_eq!((done.terminated.len(), done.may_miss), (1, true));
    let context = fresh(&sandbox);
    context.cloud.deadline.set(Duration::from_secs(3));
    let (result, done) = end(&context, &[]).await;
    assert_eq!(result.map_err(|error| error.message), Ok(()));
    assert_eq!((done.terminated.len(), done.may_miss), (0, true), "nothing was seen");
}

#[tokio::test(start_paused = true)]
async fn a_down_of_one_that_does_not_show_itself_yet_waits_for_it_and_not_for_what_can_be_no_instance() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    up(&fresh(&sandbox), &[]).await.unwrap();
    sandbox.say("visibility 4s");
    let launched = up(&fresh(&sandbox), &["--count", "2", "--wait", "launched"]).await.unwrap().workers;
    let context = fresh(&sandbox);
    let shown = live(&context).await;
    let hidden: Vec<String> = launched.into_iter().map(|row| row.id).filter(|id| !shown.contains(id)).collect();
    assert_eq!((shown.len(), hidden.len()), (1, 1));
    let (result, done) = end(&context, &hidden).await;
    assert_eq!((result.map_err(|error| error.message), done.terminated), (Ok(()), hidden));
    assert_eq!(live(&context).await, shown);
    let began = Instant::now();
    let (result, _) = end(&context, &["worker".to_owned()]).await;
    assert_eq!((result.unwrap_err().kind, began.elapsed()), (Kind::Usage, Duration::ZERO));
}

#[tokio::test(start_paused = true)]
async fn a_late_worker_that_a_down_or_a_destroy_may_not_end_is_left_and_named() {
    let sandbox = sandbox(&["profile-delay 0s"]);
    up(&fresh(&sandbox), &[]).await.unwrap();
    sandbox.say("visibility 1s");
    let launched = up(&fresh(&sandbox), &["--count", "2", "--wait", "launched"]).await.unwrap().workers;
    let late = launched.into_iter().map(|row| row.id).next_back().unwrap();
    sandbox.say("fail TerminateInstances 403 1 after 1");
    let (result, done) = end(&fresh(&sandbox), &[]).await;
    let error = crate::cli::down::left(result.unwrap_err(), &done, &[]);
    assert_eq!(error.leftovers.iter().map(|left| &left.id).collect::<Vec<_>>(), [&late], "{error:?}");
    sandbox.say("fail TerminateInstances 403 1");
    let journal = Journal::default();
    let context = fresh(&sandbox);
    let done = Downed::default();
    let result = crate::apply::destroy(&context.cloud, &context.spec.name, &journal, &done).await;
    let error = crate::cli::down::left(result.unwrap_err(), &done, &journal.changes());
    assert!(error.leftovers.iter().any(|left| left.id == late), "{error:?}");
}

#[tokio::test(start_paused = true)]
async fn a_worker_that_holds_the_slot_and_that_nobody_can_name_yet_is_told_of() {
    let mut said = Vec::new();
    for after in 0..9 {
        let sandbox = founded(&["visibility 5s"]).await;
        up(&fresh(&sandbox), &["--wait", "launched"]).await.unwrap();
        sandbox.say(&format!("fail DescribeInstances 403 9 after {after}"));
        // The same token with other parameters: AWS says that it has launched it, and shows nothing of it.
        let result = up(&fresh(&sandbox), &["--ttl", "2h", "--wait", "launched"]).await;
        if sandbox.calls().unwrap()["RunInstances"] == 2 {
            said.extend(result.err().filter(|error| error.operation == Some("DescribeInstances")));
        }
    }
    assert!(!said.is_empty(), "no look for the holder was refused");
    for error in said {
        assert_eq!(error.kind.exit_code(), 5);
        for hint in
            ["a launch was under way", "or look yourself: aws ec2 describe-instances --filters Name=client-token"]
        {
            assert!(error.hints.iter().any(|said| said.starts_with(hint)), "{hint}: {:?}", error.hints);
        }
    }
}

#[tokio::test(start_paused = true)]
async fn a_hidden_worker_that_uses_up_the_quota_is_found_and_counts() {
    let sandbox = founded(&["quota G=4", "visibility 5s"]).await;
    let hidden = up(&fresh(&sandbox), &["--zone", "us-east-1a", "--wait", "launched"]).await.unwrap().workers;
    let report = up(&fresh(&sandbox), &["--zone", "us-east-1b"]).await.unwrap_or_else(|error| panic!("{error:?}"));
    assert_eq!(report.workers.iter().map(|row| &row.id).collect::<Vec<_>>(), [&hidden[0].id]);
    assert_eq!(live(&fresh(&sandbox)).await, [hidden[0].id.clone()]);
}

#[tokio::test(start_paused = true)]
async fn a_down_also_ends_an_api_servers_worker_that_was_launched_before_it_and_spares_a_later_one() {
    let sandbox = founded(&["visibility 4s"]).await;
    let launch = async || {
        let template =
            aws_sdk_ec2::types::LaunchTemplateSpecification::builder().launch_template_name("spotctl-w").build();
        let request = fresh(&sandbox).cloud.ec2.run_instances().launch_template(template).min_count(1).max_count(1);
        request.send().await.unwrap().instances()[0].instance_id().unwrap().to_owned()
    };
    let before = launch().await;
    tokio::time::advance(Duration::from_secs(2)).await;
    let context = fresh(&sandbox);
    let looks = sandbox.calls().unwrap()["DescribeInstances"];
    let later = async {
        // After the first read of `down`, which finds none.
        let looked = poll::poll(poll::ANSWERED, async || {
            let now = sandbox.calls().unwrap()["DescribeInstances"];
            Ok::<_, Error>(if now > looks { poll::Look::Done(()) } else { poll::Look::Again })
        });
        assert_eq!(looked.await.map_err(|error| error.message), Ok(Ok(())));
        launch().await
    };
    let ((result, done), later) = futures::join!(end(&context, &[]), later);
    assert_eq!((result.map_err(|error| error.message), done.terminated), (Ok(()), vec![before]));
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(live(&context).await, [later]);
}

#[test]
fn an_answer_that_got_lost_is_not_forgotten_when_a_run_begins_anew() {
    let journal = Journal::default();
    journal.launching(true);
    journal.launched_all(true);
    assert!(journal.may_have_launched() && !journal.is_launching());
    journal.launching(true);
    journal.launching(false);
    journal.launched_all(false);
    assert!(journal.may_have_launched());
}

#[tokio::test(start_paused = true)]
async fn a_run_that_begins_anew_looks_for_the_launch_whose_answer_got_lost_before_it_asks_another_pool() {
    let sandbox = founded(&["visibility 4s", "price g4dn.xlarge * 0.20", "fail RunInstances drop 1"]).await;
    // The answer gets lost, the call's repetition says that the image is gone, and meanwhile another pool is the cheapest.
    let gone: Rewrite = |text| {
        if !text.contains("<RunInstancesResponse") {
            return text.to_owned();
        }
        let error = "<Error><Code>InvalidAMIID.NotFound</Code><Message>m</Message></Error>";
        format!("<Response><Errors>{error}</Errors></Response>")
    };
    let (context, rewritten) = rewritten(&sandbox, gone, 1);
    let cheaper = poll::poll(poll::ANSWERED, async || {
        if !sandbox.calls().unwrap().contains_key("RunInstances") {
            return Ok::<_, Error>(poll::Look::Again);
        }
        for zone in ["a", "b", "c", "d", "f"] {
            sandbox.say(&format!("price g4dn.xlarge us-east-1{zone} 0.1{}", u8::from(zone == "a")));
        }
        Ok(poll::Look::Done(()))
    });
    let flags = ["--wait", "launched"];
    let (result, cheaper) = futures::join!(up(&context, &flags), cheaper);
    assert_eq!(cheaper.map_err(|error| error.message), Ok(Ok(())));
    assert_eq!(rewritten.count(), 1);
    assert_eq!(result.unwrap_or_else(|error| panic!("{error:?}")).workers.len(), 1);
    tokio::time::advance(Duration::from_mins(1)).await;
    assert_eq!(live(&fresh(&sandbox)).await.len(), 1);
}
