//! The weather: what `sandbox set` makes, so that a rehearsal meets what AWS does on a bad day. The same door changes the
//! account ([`account`]): its quotas, its regions, whom it lets in, what its registry holds.

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Serialize};

use super::ec2::catalog;
use super::route;
use super::service_quotas::Fate;
use super::store::delta::whole;
use super::world::World;

mod account;
mod standing;

pub use standing::{Account, EbsKey};

/// What `sandbox set` understands; shown in its help.
pub const WORDS: &str = "\
Words:
  quota G=0 [REGION]              vCPUs of a class (G, P, P5, Standard, …) or of a quota code, on Spot; G=none: never
                                  raised, so that the default counts
  quota-answer HOW [after TIME]   how requests for more end that are filed from now on, and when (60s): approved, denied,
                                  not-approved, closed (and nothing raised), closed-granted (closed, and raised)
  dry TYPE ZONE | dry all         no capacity there; wet TYPE ZONE | wet all undoes it
  dry-spot TYPE ZONE              none on Spot, while it can be had on demand; wet undoes it too
  price TYPE ZONE USD             another Spot price; price clear undoes it
  latency 50ms                    each call takes so long
  visibility 5s                   new instances and groups show themselves only then
  profile-delay 8s                EC2 knows a new instance profile only then
  template-delay 5s               reads and launches know a launch template and its versions, new, changed or gone, only then
  interrupt INSTANCE              AWS gives its two minutes' notice
  fail OPERATION STATUS TIMES     answers HTTP STATUS; throttle instead: as AWS throttles; busy: as when another call
                                  changes the same; drop: does it and breaks the connection; cut: breaks it before;
                                  refuse: that, and nobody listens for a second; truncate: does it and breaks the answer
                                  off; hold: never answers; hold-after: does it and never answers; [after N] lets N
                                  through first; fail clear undoes
  principal KEYID POLICY          requests signed with this access key id are held to the policy, JSON in one word;
                                  principal KEYID none undoes it
  region NAME off|on              the account may not use this region; on: it may
  regions 17 | regions 8          it may use nine more regions, copies of the eight that there are; or these eight only
  throttle on|off                 AWS's bucket sizes
  signatures strict|lax           a request whose time is more than 5 minutes off the clock is refused
  expire KEYID [after N]          this access key id has expired; N calls pass first
  clock +3h | clock reset         moves the clock
  image REPO:TAG 1.5GiB [REGION]  the registry has this image; no-image REPO:TAG [REGION] undoes it
  deregister AMI                  its owner has deregistered the image; deregister none undoes it
  spot-role none | spot-role made the account has no AWSServiceRoleForEC2Spot before its first Spot launch
  ebs-key KEY [granted|ungranted] volumes are encrypted by default with alias/aws/ebs or a key's ARN; ebs-key none
  free-plan on|off                the account is on the free plan, which has no GPU types
  bucket NAME REGION              S3 has this bucket; no-bucket NAME undoes it
  clear                           good weather";

/// The weather now.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default)] // A state of an older version lacks what came later.
pub struct Weather {
    /// Each call takes so long.
    pub latency: Duration,
    /// New instances and groups show themselves only then.
    pub visibility: Duration,
    /// EC2 knows a new instance profile only then.
    pub profile_delay: Duration,
    /// Reads and launches know what a launch template has become only then.
    pub template_delay: Duration,
    /// Pools without capacity: type and zone, `*` for any.
    pub dry: BTreeSet<(String, String)>,
    /// The same for Spot alone.
    pub dry_spot: BTreeSet<(String, String)>,
    /// Prices that differ from the model's: `TYPE ZONE`, `*` for any, to USD an hour.
    pub prices: BTreeMap<String, String>,
    /// Failures to come.
    pub faults: Vec<Failing>,
    /// Whether AWS's buckets throttle.
    pub throttle: bool,
    /// Whether a request's time must be near the clock's.
    pub strict: bool,
    /// Access key ids that have expired, and how many calls pass first.
    pub expired: BTreeMap<String, u32>,
    /// Seconds the clock is off.
    pub clock: i64,
    /// What is left in each bucket, and when that was.
    pub buckets: BTreeMap<String, (f64, i64)>,
    /// How requests for a higher quota end that are filed now.
    pub quota_answer: Fate,
}

whole!(Weather, Account);

impl Default for Weather {
    fn default() -> Self {
        Self {
            latency: Duration::ZERO,
            visibility: Duration::ZERO,
            // Real ones take seconds, sometimes minutes; this is enough to meet it, and short enough for a first try.
            profile_delay: Duration::from_secs(1),
            template_delay: Duration::ZERO,
            dry: BTreeSet::new(),
            dry_spot: BTreeSet::new(),
            prices: BTreeMap::new(),
            faults: Vec::new(),
            throttle: false,
            strict: false,
            expired: BTreeMap::new(),
            clock: 0,
            buckets: BTreeMap::new(),
            quota_answer: Fate::default(),
        }
    }
}

/// A failure that will strike some calls.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failing {
    /// Which operation; `*` for any.
    pub operation: String,
    /// How.
    pub fault: Fault,
    /// So many calls pass first.
    pub after: u32,
    /// So many calls fail then.
    pub times: u32,
}

/// How a call fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Fault {
    /// The connection breaks before the call takes effect.
    Cut,
    /// The same, and connections are refused for a while: the call's next attempt and every other call meet that.
    Refuse,
    /// The call takes effect and its answer is lost.
    Drop,
    /// The call takes effect and its answer breaks off in the middle.
    Truncate,
    /// The call takes no effect and no answer comes; the connection stays until the client ends it.
    Hold,
    /// The call takes effect and no answer comes; the connection stays until the client ends it.
    HoldAfter,
    /// AWS says that there are too many calls, with the service's own code and status.
    Throttle,
    /// AWS says that another call changes the same thing at this moment, with the service's own code and status.
    Busy,
    /// AWS answers with this HTTP status and does nothing.
    Status(u16),
}

/// What `sandbox set` cannot do.
#[derive(Debug, thiserror::Error)]
pub enum WeatherError {
    /// The words are not understood.
    #[error("{0}")]
    Words(String),
    /// The state cannot be read or written.
    #[error("the sandbox's state: {0}")]
    Io(#[from] io::Error),
}

impl Weather {
    /// The sandbox's clock.
    #[must_use]
    pub fn now(&self, real: Timestamp) -> Timestamp {
        real.checked_add(SignedDuration::from_secs(self.clock)).unwrap_or(real)
    }

    /// Whether this pool has no capacity.
    #[must_use]
    pub fn is_dry(&self, instance_type: &str, zone: &str) -> bool {
        is_among(&self.dry, instance_type, zone)
    }

    /// Whether this pool has none on Spot.
    #[must_use]
    pub fn is_dry_on_spot(&self, instance_type: &str, zone: &str) -> bool {
        self.is_dry(instance_type, zone) || is_among(&self.dry_spot, instance_type, zone)
    }

    /// The price that was set for this pool; the closest one holds.
    #[must_use]
    pub fn price(&self, instance_type: &str, zone: &str) -> Option<&str> {
        [(instance_type, zone), (instance_type, "*"), ("*", zone), ("*", "*")]
            .into_iter()
            .find_map(|(of, at)| self.prices.get(&format!("{of} {at}")).map(String::as_str))
    }

    /// Counts a call of this operation, and answers how it fails, if it does.
    pub fn strike(&mut self, operation: &str) -> Option<Fault> {
        // Each one counts the calls that it lets through; the first that is due strikes.
        let mut fault = None;
        for failing in &mut self.faults {
            if failing.operation != operation && failing.operation != "*" {
                continue;
            }
            if failing.after > 0 {
                failing.after -= 1;
            } else if fault.is_none() {
                failing.times -= 1;
                fault = Some(failing.fault);
            }
        }
        self.faults.retain(|failing| failing.times > 0);
        fault
    }

    /// Takes one from the bucket of this operation; whether there was one. `scope` keeps apart what AWS counts apart: each
    /// region and service has buckets of its own.
    pub fn spend(&mut self, scope: &str, operation: &str, now: Timestamp) -> bool {
        if !self.throttle {
            return true;
        }
        let (name, burst, a_second) = bucket(operation);
        let now = now.as_millisecond();
        let (left, since) = self.buckets.get(&format!("{scope} {name}")).copied().unwrap_or((burst, now));
        #[expect(clippy::cast_precision_loss, reason = "milliseconds between two calls")]
        let refilled = (left + (now - since).max(0) as f64 / 1000.0 * a_second).min(burst);
        let has_one = refilled >= 1.0;
        let left = if has_one { refilled - 1.0 } else { refilled };
        self.buckets.insert(format!("{scope} {name}"), (left, now));
        has_one
    }
}

fn is_among(pools: &BTreeSet<(String, String)>, instance_type: &str, zone: &str) -> bool {
    let fits = |pattern: &str, name: &str| pattern == "*" || pattern == name;
    pools.iter().any(|(of, at)| fits(of, instance_type) && fits(at, zone))
}

/// Name, size and refill a second of an operation's bucket, after EC2's documented request throttling; Parameter Store's
/// default throughput for writes. SQS promises nearly any number of calls for messages; three thousand is its word for FIFO.
fn bucket(operation: &str) -> (&str, f64, f64) {
    match operation {
        "RunInstances" => ("RunInstances", 5.0, 2.0),
        "PutParameter" => ("PutParameter", 3.0, 3.0),
        "TerminateInstances" => ("TerminateInstances", 100.0, 5.0),
        "SendMessage"
        | "SendMessageBatch"
        | "ReceiveMessage"
        | "ChangeMessageVisibility"
        | "DeleteMessage"
        | "DeleteMessageBatch" => ("messages", 3000.0, 3000.0),
        _ if operation.starts_with("Describe") || operation.starts_with("Get") || operation.starts_with("List") => {
            ("read", 100.0, 20.0)
        }
        _ => ("write", 50.0, 5.0),
    }
}

/// Makes weather of words, and says what is now so.
///
/// # Errors
/// The words are not understood.
pub fn set(world: &mut World, words: &[String], now: Timestamp) -> Result<String, WeatherError> {
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let weather = &mut world.weather;
    let said = match words.as_slice() {
        ["clear"] => {
            *weather = Weather::default();
            "good weather".to_owned()
        }
        ["dry", "all"] => {
            weather.dry.insert(("*".to_owned(), "*".to_owned()));
            "every pool is dry".to_owned()
        }
        ["wet", "all"] => {
            weather.dry.clear();
            weather.dry_spot.clear();
            "no pool is dry".to_owned()
        }
        ["dry", instance_type, zone] => {
            check_pool(instance_type, zone)?;
            weather.dry.insert(((*instance_type).to_owned(), (*zone).to_owned()));
            format!("{instance_type} in {zone} is dry")
        }
        ["dry-spot", instance_type, zone] => {
            check_pool(instance_type, zone)?;
            weather.dry_spot.insert(((*instance_type).to_owned(), (*zone).to_owned()));
            format!("{instance_type} in {zone} is dry on Spot")
        }
        ["wet", instance_type, zone] => wet(weather, instance_type, zone)?,
        ["price", "clear"] => {
            weather.prices.clear();
            "prices are the model's".to_owned()
        }
        ["price", instance_type, zone, usd] => {
            check_pool(instance_type, zone)?;
            usd.parse::<crate::spec::Usd>().map_err(|error| WeatherError::Words(error.to_string()))?;
            weather.prices.insert(format!("{instance_type} {zone}"), (*usd).to_owned());
            format!("{instance_type} in {zone} costs {usd} USD an hour")
        }
        ["latency", time] => {
            weather.latency = duration(time)?;
            format!("each call takes {time}")
        }
        ["visibility", time] => {
            weather.visibility = whole_seconds(time)?;
            format!("new things are visible after {time}")
        }
        ["profile-delay", time] => {
            weather.profile_delay = whole_seconds(time)?;
            format!("EC2 knows a new instance profile after {time}")
        }
        ["template-delay", time] => {
            weather.template_delay = whole_seconds(time)?;
            format!("what a launch template has become is known after {time}")
        }
        ["interrupt", id] => interrupt(world, id, now)?,
        ["fail", "clear"] => {
            weather.faults.clear();
            "nothing fails".to_owned()
        }
        ["fail", operation, how, times] => fail(world, operation, how, times, "0")?,
        ["fail", operation, how, times, "after", after] => fail(world, operation, how, times, after)?,
        ["throttle", "on"] => {
            weather.throttle = true;
            weather.buckets.clear();
            "AWS's buckets throttle".to_owned()
        }
        ["throttle", "off"] => {
            weather.throttle = false;
            "nothing is throttled".to_owned()
        }
        ["signatures", how @ ("strict" | "lax")] => {
            weather.strict = *how == "strict";
            format!("the time of signatures is held to {how}")
        }
        ["expire", key] => expire(weather, key, "0")?,
        ["expire", key, "after", calls] => expire(weather, key, calls)?,
        ["clock", "reset"] => {
            weather.clock = 0;
            "the clock is right".to_owned()
        }
        ["clock", shift] => {
            let (sign, time) = match shift.strip_prefix('-') {
                Some(time) => (-1, time),
                None => (1, shift.strip_prefix('+').unwrap_or(shift)),
            };
            let seconds = i64::try_from(whole_seconds(time)?.as_secs()).unwrap_or(i64::MAX);
            weather.clock = weather.clock.saturating_add(sign * seconds);
            format!("the clock is {} s off", weather.clock)
        }
        words => match standing::set(world, words, now) {
            Some(said) => said?,
            None => account::set(world, words, now)?,
        },
    };
    Ok(said)
}

const VERBS: [&str; 28] = [
    "quota",
    "quota-answer",
    "dry",
    "dry-spot",
    "wet",
    "price",
    "latency",
    "visibility",
    "profile-delay",
    "template-delay",
    "interrupt",
    "fail",
    "principal",
    "region",
    "regions",
    "throttle",
    "signatures",
    "expire",
    "clock",
    "image",
    "no-image",
    "deregister",
    "spot-role",
    "ebs-key",
    "free-plan",
    "bucket",
    "no-bucket",
    "clear",
];

fn not_understood(words: &[&str]) -> WeatherError {
    let first = words.first().copied().unwrap_or_default();
    if VERBS.contains(&first) {
        let words = words.join(" ");
        return WeatherError::Words(format!("`{words}` is not how `{first}` goes: {}; {HELP}", shape(first)));
    }
    WeatherError::Words(format!("no weather `{first}`{}; {HELP}", meant(first, VERBS)))
}

/// Where all of them are shown.
const HELP: &str = "all words: spotctl sandbox set --help";

/// How a word goes, as the help shows it: before the two spaces that part it from what it does.
fn shape(first: &str) -> &str {
    let lines = WORDS.lines().filter_map(|line| line.strip_prefix("  "));
    let shapes = lines.filter_map(|line| line.split("  ").next());
    let mut shapes = shapes.filter(|shape| shape.split(' ').any(|word| word == first));
    shapes.next().unwrap_or(first)
}

fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> String {
    let scored = known.into_iter().map(|candidate| (strsim::jaro_winkler(word, candidate), candidate));
    let best = scored.filter(|(score, _)| *score > 0.8).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map_or_else(String::new, |(_, candidate)| format!("; did you mean `{candidate}`"))
}

fn duration(text: &str) -> Result<Duration, WeatherError> {
    let parsed = text.parse::<SignedDuration>().ok().and_then(|time| Duration::try_from(time).ok());
    parsed.ok_or_else(|| WeatherError::Words(format!("`{text}` is not a length of time such as `50ms` or `8s`")))
}

/// What is held against the account's times, which are kept in seconds: a part of one would be dropped unsaid.
fn whole_seconds(text: &str) -> Result<Duration, WeatherError> {
    match duration(text)? {
        time if time.subsec_nanos() == 0 => Ok(time),
        _ => Err(WeatherError::Words(format!("`{text}` is no whole number of seconds, such as `8s`"))),
    }
}

fn check_pool(instance_type: &str, zone: &str) -> Result<(), WeatherError> {
    let zones: Vec<String> = catalog::all_regions().iter().flat_map(|region| catalog::zones(region)).collect();
    if zone != "*" && !zones.iter().any(|known| known == zone) {
        let hint = meant(zone, zones.iter().map(String::as_str));
        return Err(WeatherError::Words(format!("no zone `{zone}`{hint}")));
    }
    if instance_type != "*" && catalog::instance_type(instance_type).is_none() {
        let hint = meant(instance_type, catalog::instance_types().iter().map(|found| found.name.as_str()));
        return Err(WeatherError::Words(format!("no instance type `{instance_type}`{hint}")));
    }
    Ok(())
}

fn wet(weather: &mut Weather, instance_type: &str, zone: &str) -> Result<String, WeatherError> {
    check_pool(instance_type, zone)?;
    weather.dry.remove(&(instance_type.to_owned(), zone.to_owned()));
    weather.dry_spot.remove(&(instance_type.to_owned(), zone.to_owned()));
    // Whatever is still dry and has a pool in common with what was named.
    let meet = |one: &str, other: &str| one == "*" || other == "*" || one == other;
    let words =
        weather.dry.iter().map(|pool| ("dry", pool)).chain(weather.dry_spot.iter().map(|pool| ("dry-spot", pool)));
    match words.into_iter().find(|(_, (of, at))| meet(of, instance_type) && meet(at, zone)) {
        Some((word, (of, at))) => {
            Err(WeatherError::Words(format!("still dry by `{word} {of} {at}`; `wet {of} {at}` undoes it")))
        }
        None => Ok(format!("{instance_type} in {zone} is not dry")),
    }
}

fn expire(weather: &mut Weather, key: &str, calls: &str) -> Result<String, WeatherError> {
    let left = calls.parse().map_err(|_| WeatherError::Words(format!("`{calls}` is not how many calls")))?;
    weather.expired.insert(key.to_owned(), left);
    Ok(format!("`{key}` has expired after {left} calls"))
}

fn interrupt(world: &mut World, id: &str, now: Timestamp) -> Result<String, WeatherError> {
    let now = world.weather.now(now).as_second();
    let found = world.regions.values_mut().find_map(|region| region.ec2.instances.get_mut(id));
    let instance = found.ok_or_else(|| WeatherError::Words(format!("no instance `{id}`")))?;
    if instance.spot_request.is_none() {
        return Err(WeatherError::Words(format!("`{id}` is On-Demand; AWS interrupts Spot instances only")));
    }
    if instance.ending_at.is_some_and(|ending| ending <= now) {
        return Err(WeatherError::Words(format!("`{id}` has ended")));
    }
    instance.interrupted_at = Some(now);
    Ok(format!("{id} ends in two minutes"))
}

fn fail(world: &mut World, operation: &str, how: &str, times: &str, after: &str) -> Result<String, WeatherError> {
    // One that never comes would never fail, and a rehearsal would pass for nothing.
    if operation != "*" && !route::knows(world, operation) {
        return Err(WeatherError::Words(format!("no operation `{operation}` in the sandbox, such as `RunInstances`")));
    }
    let number =
        |text: &str| text.parse::<u32>().map_err(|_| WeatherError::Words(format!("`{text}` is not how many times")));
    let fault = match how {
        "drop" => Fault::Drop,
        "cut" => Fault::Cut,
        "refuse" => Fault::Refuse,
        "truncate" => Fault::Truncate,
        "hold" => Fault::Hold,
        "hold-after" => Fault::HoldAfter,
        "throttle" => Fault::Throttle,
        "busy" => Fault::Busy,
        status => match status.parse::<u16>() {
            Ok(status) if (400..600).contains(&status) => Fault::Status(status),
            _ => {
                const WAYS: &str = "`throttle`, `busy`, `drop`, `cut`, `refuse`, `truncate`, `hold` or `hold-after`";
                return Err(WeatherError::Words(format!("`{status}` is not an HTTP status, {WAYS}")));
            }
        },
    };
    let (count, after) = (number(times)?, number(after)?);
    if count == 0 {
        return Err(WeatherError::Words(format!("`{times}` is not how many times; `fail clear` ends all failures")));
    }
    world.weather.faults.push(Failing { operation: operation.to_owned(), fault, after, times: count });
    Ok(format!("{operation} fails {count} times ({how}) after {after}"))
}

#[cfg(test)]
mod tests;
