use super::*;
use crate::decide::names::Market;
use crate::decide::quota;
use crate::sandbox::{Sandbox, client};

fn cloud(sandbox: &Sandbox) -> Cloud {
    Cloud::from_config(&client::config(sandbox, "us-east-1").build()).unwrap()
}

fn p5() -> Quota {
    quota::of("p5.4xlarge", Market::Spot).unwrap()
}

#[tokio::test(start_paused = true)]
async fn a_lost_answer_is_looked_for_and_there_is_one_request() {
    // Once the SDK's own repetition meets what the first attempt did, once no attempt is answered at all.
    for fault in ["drop 1", "drop 99"] {
        let sandbox = Sandbox::in_memory();
        sandbox.say(&format!("fail RequestServiceQuotaIncrease {fault}"));
        let cloud = cloud(&sandbox);
        let filed = file(&cloud, p5(), 16, &[]).await.unwrap();
        assert!(filed.is_ours && filed.increase.vcpus == Some(16), "{filed:?}");
        assert_eq!(quotas::increases(&cloud, p5()).await.unwrap(), [filed.increase], "{fault}");
    }
}

#[tokio::test(start_paused = true)]
async fn whoever_was_faster_is_shown_and_not_doubled() {
    let cloud = cloud(&Sandbox::in_memory());
    let theirs = file(&cloud, p5(), 64, &[]).await.unwrap().increase;
    let came = file(&cloud, p5(), 16, &[]).await.unwrap();
    assert_eq!(came, Filed { increase: theirs, is_ours: false });
}

#[tokio::test(start_paused = true)]
async fn a_request_that_did_not_come_about_is_a_failure_that_says_so() {
    let sandbox = Sandbox::in_memory();
    sandbox.say("fail RequestServiceQuotaIncrease cut 99");
    let cloud = cloud(&sandbox);
    let error = file(&cloud, p5(), 16, &[]).await.unwrap_err();
    assert!(error.message.contains("asking for 16 vCPUs of L-C4BD4855"), "{}", error.message);
    assert!(error.hints.iter().any(|hint| hint.contains("spotctl quota watch --code L-C4BD4855")), "{error:?}");
    assert_eq!(quotas::increases(&cloud, p5()).await.unwrap(), []);
    sandbox.say("fail clear");
    let definite = file(&cloud, quota::of("g5.xlarge", Market::Spot).unwrap(), 1, &[]).await.unwrap_err();
    assert_eq!(definite.code.as_deref(), Some("IllegalArgumentException"));
    assert!(definite.hints.is_empty(), "what AWS refused outright was not filed: {definite:?}");
}
