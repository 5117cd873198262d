//! Why a worker ended, in one sentence, from what the box, EC2 and the Spot request say. Pure.
//!
//! The box knows best while it could speak; EC2 knows who called; a Spot request knows what AWS did. They are asked in
//! this order, and what they said stands beside the sentence, so that nobody has to believe it.

use super::phase::{Standing, standing};

/// What is known of a worker that may have ended.
#[derive(Debug, Clone, Copy, Default)]
pub struct Known<'a> {
    /// Whether EC2 shows it as living.
    pub lives: bool,
    /// The phase it was last in.
    pub phase: Option<&'a str>,
    /// EC2's `StateReason` code.
    pub state_reason: Option<&'a str>,
    /// The Spot request's status code.
    pub request_status: Option<&'a str>,
}

/// The sentence.
#[must_use]
pub fn verdict(known: Known<'_>) -> String {
    let phase = known.phase.unwrap_or_default();
    if known.lives {
        return match standing(known.phase) {
            Standing::Ending => format!("it is ending: {}", of_phase(phase).unwrap_or_else(|| phase.to_owned())),
            _ => "it has not ended".to_owned(),
        };
    }
    // A shutdown from outside: somebody else knows whose.
    let own = (phase != "draining:shutdown").then(|| of_phase(phase)).flatten();
    own.or_else(|| known.state_reason.and_then(of_state_reason).map(str::to_owned))
        .or_else(|| known.request_status.and_then(of_request).map(str::to_owned))
        .unwrap_or_else(|| match known.phase {
            Some(phase) => format!("it ended in phase {phase}, and nobody says why"),
            None => "nobody says why".to_owned(),
        })
}

fn of_phase(phase: &str) -> Option<String> {
    if let Some(rest) = phase.strip_prefix("failed:") {
        let (place, reason) = rest.split_once(':').unwrap_or((rest, "no reason given"));
        return Some(format!("it failed in phase {place}: {reason}"));
    }
    let sentence = match phase.strip_prefix("draining:")? {
        "idle" => "its queues were empty and its GPU idle for `lifetime.idle`",
        "lifetime" => "its `lifetime.max` was over",
        "interruption" => "AWS took the Spot machine back, with two minutes' notice",
        "done" => "its container ended with exit status 0",
        "down" => "`spotctl down` ended it",
        "reap" => "`spotctl reap` ended it: it was past its expiry",
        "shutdown" => "the system was shut down from outside the worker",
        other => return Some(format!("it drained: {other}")),
    };
    Some(sentence.to_owned())
}

/// EC2's codes: <https://docs.aws.amazon.com/AWSEC2/latest/APIReference/API_StateReason.html>.
fn of_state_reason(code: &str) -> Option<&'static str> {
    Some(match code {
        "Server.SpotInstanceTermination" | "Server.SpotInstanceShutdown" => "AWS took the Spot machine back",
        "Server.InsufficientInstanceCapacity" => "AWS had no machine of this type in this zone",
        "Server.InternalError" => "an error in AWS ended it",
        "Server.ScheduledStop" => "AWS retired its machine",
        "Client.InstanceInitiatedShutdown" => "it shut itself down",
        "Client.UserInitiatedShutdown" => "somebody called TerminateInstances",
        "Client.InstanceTerminated" => "its machine was rebooted or terminated while it started",
        "Client.InternalError" => {
            "it could not start: its volume is encrypted by a key that AWSServiceRoleForEC2Spot has no grant on, or is damaged"
        }
        "Client.VolumeLimitExceeded" => "the account's quota for volumes was reached",
        "Client.InvalidSnapshot.NotFound" => "the snapshot of its image is gone",
        _ => return None,
    })
}

/// Spot's status codes: <https://docs.aws.amazon.com/AWSEC2/latest/UserGuide/spot-request-status.html>.
fn of_request(code: &str) -> Option<&'static str> {
    Some(match code {
        "instance-terminated-by-price" => "the pool's price rose above the cap",
        "instance-terminated-no-capacity" | "instance-terminated-capacity-oversubscribed" => {
            "AWS took the Spot machine back for want of capacity"
        }
        "instance-terminated-by-service" | "instance-terminated-by-experiment" => "AWS ended it",
        "instance-terminated-by-schedule" => "AWS retired its machine",
        "instance-terminated-by-user" => "somebody called TerminateInstances",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_box_is_believed_first_then_ec2_then_the_request() {
        let known = |phase, state_reason, request_status| Known { lives: false, phase, state_reason, request_status };
        let user = Some("Client.UserInitiatedShutdown");
        for (known, expected) in [
            (known(Some("failed:pulling:no image a:1"), user, None), "it failed in phase pulling: no image a:1"),
            (known(Some("draining:idle"), Some("Client.InstanceInitiatedShutdown"), None), "its queues were empty"),
            (known(Some("draining:shutdown"), user, None), "somebody called TerminateInstances"),
            (known(Some("draining:shutdown"), None, None), "it ended in phase draining:shutdown, and nobody says why"),
            (known(Some("ready"), Some("Server.SpotInstanceTermination"), None), "AWS took the Spot machine back"),
            (known(Some("ready"), None, Some("instance-terminated-by-price")), "the pool's price rose above the cap"),
            (known(None, Some("Some.New"), Some("some-new")), "nobody says why"),
            (known(Some("pulling"), None, None), "it ended in phase pulling, and nobody says why"),
        ] {
            assert!(verdict(known).starts_with(expected), "{known:?}: {}", verdict(known));
        }
    }

    #[test]
    fn what_lives_has_not_ended() {
        let known = |phase| Known { lives: true, phase: Some(phase), ..Known::default() };
        assert_eq!(verdict(known("pulling")), "it has not ended");
        assert!(verdict(known("draining:lifetime")).starts_with("it is ending: its `lifetime.max`"));
    }
}
