//! The life of an instance and of its Spot request, by the clock.
//!
//! Nothing here runs in the background: what became of an instance is computed from its times whenever somebody asks, and
//! what has to be written down (an interruption that fell due, the forgetting) is written by [`settle`], which every
//! operation calls first. It must not know any wire format.
//!
//! What AWS does oddly: a terminated instance stays visible for about an hour, a closed Spot request for about four; and a
//! new instance may not be found by its id for a while, which looks just like an instance that never was.

use jiff::Timestamp;

use super::catalog;
use super::state::{EndReason, Instance, LeftVolume, SpotRequest, State};
use crate::sandbox::call::AwsError;

/// From launch to running.
const BOOTS_IN: i64 = 2;
/// From the call to terminated.
const SHUTS_DOWN_IN: i64 = 2;
/// Between the notice of an interruption and the interruption.
const NOTICE: i64 = 120;
/// How long a terminated instance is told of.
const INSTANCE_REMEMBERED: i64 = 3600;
/// How long a closed Spot request is told of.
const REQUEST_REMEMBERED: i64 = 4 * 3600;

/// How a Spot request tells of its instance's end: status and sentence.
const NO_CAPACITY: (&str, &str) = (
    "instance-terminated-no-capacity",
    "Your Spot instance was terminated because there is no Spot capacity available that matches your request.",
);
const BY_USER: (&str, &str) = ("instance-terminated-by-user", "Your Spot instance was terminated by the user.");

/// `stopping` and `stopped` are not modelled: a one-time Spot instance cannot be stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum InstanceState {
    /// Starting.
    Pending,
    /// Running.
    Running,
    /// Ending.
    ShuttingDown,
    /// Ended.
    Terminated,
}

impl InstanceState {
    /// As EC2 numbers it.
    pub fn code(self) -> u8 {
        match self {
            Self::Pending => 0,
            Self::Running => 16,
            Self::ShuttingDown => 32,
            Self::Terminated => 48,
        }
    }

    /// As EC2 names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Pending => "pending",
            Self::Running => "running",
            Self::ShuttingDown => "shutting-down",
            Self::Terminated => "terminated",
        }
    }

    /// Whether it runs or is about to.
    pub fn is_alive(self) -> bool {
        matches!(self, Self::Pending | Self::Running)
    }
}

/// What the instance is now.
pub fn state_of(instance: &Instance, now: Timestamp) -> InstanceState {
    let now = now.as_second();
    match end_of(instance) {
        Some(end) if now >= end + SHUTS_DOWN_IN => InstanceState::Terminated,
        Some(end) if now >= end => InstanceState::ShuttingDown,
        _ if now >= instance.launched_at + BOOTS_IN => InstanceState::Running,
        _ => InstanceState::Pending,
    }
}

/// When the instance begins to end, whether somebody asked for it or the interruption falls due before.
fn end_of(instance: &Instance) -> Option<i64> {
    instance.ending_at.into_iter().chain(interruption_of(instance)).min()
}

/// When AWS ends the instance that it has given notice to.
pub fn interruption_of(instance: &Instance) -> Option<i64> {
    instance.interrupted_at.map(|notice| notice + NOTICE)
}

/// Why an instance ends whose operating system has shut down. EC2 tells no transition of it.
pub fn instance_initiated() -> EndReason {
    EndReason {
        code: "Client.InstanceInitiatedShutdown".to_owned(),
        message: "Client.InstanceInitiatedShutdown: Instance initiated shutdown".to_owned(),
        transition: String::new(),
    }
}

/// Why an instance ends that somebody terminated.
pub fn user_initiated(now: Timestamp) -> EndReason {
    EndReason {
        code: "Client.UserInitiatedShutdown".to_owned(),
        message: "Client.UserInitiatedShutdown: User initiated shutdown".to_owned(),
        transition: format!("User initiated ({})", now.strftime("%Y-%m-%d %H:%M:%S GMT")),
    }
}

/// Writes down what fell due since the last call, and forgets what AWS would have forgotten. It looks before it touches:
/// what nothing became of stays shared with the state that others see.
pub fn settle(state: &mut State, now: Timestamp) {
    let due = |instance: &Instance| {
        let due = interruption_of(instance).filter(|due| *due <= now.as_second());
        due.filter(|due| instance.ending_at.is_none_or(|ending| *due < ending))
    };
    let fell: Vec<(String, i64)> =
        state.instances.iter().filter_map(|(id, instance)| Some((id.clone(), due(instance)?))).collect();
    for (id, due) in fell {
        let Some(instance) = state.instances.get_mut(&id) else { continue };
        instance.ending_at = Some(due);
        instance.end_reason = Some(EndReason {
            code: "Server.SpotInstanceTermination".to_owned(),
            message: "Server.SpotInstanceTermination: Spot instance termination".to_owned(),
            transition: "Server.SpotInstanceTermination".to_owned(),
        });
    }
    let followed = state.spot_requests.iter().filter_map(|(id, request)| {
        let instance = state.instances.get(request.instance.as_ref()?)?;
        Some((id.clone(), follow(request, instance, now.as_second())?))
    });
    for (id, request) in followed.collect::<Vec<_>>() {
        state.spot_requests.insert(id, request.into());
    }
    forget(state, now);
}

/// A fulfilled request follows its instance; `None`: it has done so.
fn follow(request: &SpotRequest, instance: &Instance, now: i64) -> Option<SpotRequest> {
    let (is_over, since, status, message) = match (instance.ending_at, &instance.end_reason) {
        (Some(ending), reason) if ending <= now => {
            let is_interruption = reason.as_ref().is_some_and(|reason| reason.code == "Server.SpotInstanceTermination");
            let (status, message) = if is_interruption { NO_CAPACITY } else { BY_USER };
            (true, ending, status, message)
        }
        _ => match instance.interrupted_at.filter(|notice| *notice <= now) {
            Some(notice) => (
                false,
                notice,
                "marked-for-termination",
                "Your Spot instance is marked for termination and will be interrupted in two minutes.",
            ),
            None => return None,
        },
    };
    if request.status == status {
        return None;
    }
    let mut request = request.clone();
    // A request that was cancelled stays so; only its status tells how the instance ended.
    if is_over && request.state == "active" {
        "closed".clone_into(&mut request.state);
    }
    status.clone_into(&mut request.status);
    message.clone_into(&mut request.status_message);
    request.updated_at = since;
    Some(request)
}

/// Drops terminated instances after an hour and closed Spot requests after four, with their tags.
fn forget(state: &mut State, now: Timestamp) {
    let now = now.as_second();
    let gone = |end: Option<i64>| end.is_some_and(|end| now >= end + SHUTS_DOWN_IN + INSTANCE_REMEMBERED);
    let instances: Vec<String> =
        state.instances.iter().filter(|(_, instance)| gone(instance.ending_at)).map(|(id, _)| id.clone()).collect();
    for id in instances {
        let Some(instance) = state.instances.remove(&id) else { continue };
        for id in [&id, &instance.interface] {
            state.tags.remove(id);
        }
        for (device, volume) in &instance.volumes {
            let data = instance.data.volumes.iter().find(|data| data.device == *device);
            match data.filter(|data| data.delete_on_termination == Some(false)) {
                Some(data) => {
                    let (created_at, zone) = (instance.launched_at, instance.zone.clone());
                    let left = LeftVolume { data: data.clone(), created_at, zone };
                    state.left_volumes.insert(volume.clone(), left);
                }
                None => drop(state.tags.remove(volume)),
            }
        }
    }

    let gone = |request: &SpotRequest| {
        let is_over = matches!(request.state.as_str(), "closed" | "cancelled" | "failed");
        let runs =
            request.instance.as_ref().and_then(|id| state.instances.get(id)).is_some_and(|i| i.ending_at.is_none());
        is_over && !runs && now >= request.updated_at + REQUEST_REMEMBERED
    };
    let requests: Vec<String> =
        state.spot_requests.iter().filter(|(_, request)| gone(request)).map(|(id, _)| id.clone()).collect();
    for id in requests {
        state.spot_requests.remove(&id);
        state.tags.remove(&id);
    }
}

/// The vCPUs that count against a quota: those of living instances and, for Spot, of requests that are open.
pub fn vcpus_in_use(state: &State, quota: &str, is_spot: bool, now: Timestamp) -> i64 {
    let vcpus = |name: &str| {
        let counts = catalog::quota_code(name, is_spot).is_some_and(|code| code == quota);
        if counts { catalog::instance_type(name).map_or(0, |kind| kind.vcpus) } else { 0 }
    };
    let living = state
        .instances
        .values()
        .filter(|instance| instance.spot_request.is_some() == is_spot && state_of(instance, now).is_alive())
        .filter_map(|instance| instance.data.instance_type.as_deref());
    let open = state
        .spot_requests
        .values()
        .filter(|request| is_spot && request.state == "open")
        .map(|request| request.instance_type.as_str());
    living.chain(open).map(vcpus).sum()
}

/// The public address, which an instance gives back when it ends.
pub fn public_ip(instance: &Instance, now: Timestamp) -> Option<&str> {
    instance.public_ip.as_deref().filter(|_| state_of(instance, now).is_alive())
}

/// The private address, which goes with the network interface.
pub fn private_ip(instance: &Instance, now: Timestamp) -> Option<&str> {
    (state_of(instance, now) != InstanceState::Terminated).then_some(instance.private_ip.as_str())
}

/// Whether describing finds the instance already.
pub fn is_visible(instance: &Instance, visibility: std::time::Duration, now: Timestamp) -> bool {
    let delay = i64::try_from(visibility.as_secs()).unwrap_or(i64::MAX);
    now.as_second() >= instance.launched_at.saturating_add(delay)
}

/// Checks ids as EC2 does: one that is malformed or not there fails the whole call.
///
/// # Errors
/// `InvalidInstanceID.Malformed`, `InvalidInstanceID.NotFound`.
pub fn all_exist(
    state: &State,
    ids: &[String],
    visibility: std::time::Duration,
    now: Timestamp,
) -> Result<(), AwsError> {
    if let Some(id) = ids.iter().find(|id| !is_id(id, "i-")) {
        return Err(AwsError::new(
            "InvalidInstanceID.Malformed",
            format!("Invalid id: \"{id}\" (expecting \"i-...\")"),
        ));
    }
    let missing: Vec<&str> = ids
        .iter()
        .filter(|id| !state.instances.get(*id).is_some_and(|instance| is_visible(instance, visibility, now)))
        .map(String::as_str)
        .collect();
    let (word, verb) = if missing.len() == 1 { ("ID", "does") } else { ("IDs", "do") };
    let message = || format!("The instance {word} '{}' {verb} not exist", missing.join(", "));
    if missing.is_empty() { Ok(()) } else { Err(AwsError::new("InvalidInstanceID.NotFound", message())) }
}

/// Whether a text has the form of an id: the prefix and eight or seventeen hexadecimal digits.
pub fn is_id(text: &str, prefix: &str) -> bool {
    text.strip_prefix(prefix).is_some_and(|digits| {
        matches!(digits.len(), 8 | 17) && digits.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
    })
}
