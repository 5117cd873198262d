//! The instance metadata service, and the two doors through which a box that runs elsewhere tells what became of it.
//!
//! Each instance has a base address of its own, [`DOOR`] and its id, because here is no 169.254.169.254 that would know who
//! asks. Below `latest/` it is IMDS as AWS documents it; beside that, `POST console` adds to what `GetConsoleOutput` answers
//! and `POST shutdown` says that the operating system has shut down. It owns what may be read and with which token. It must
//! not know what the role may do: it hands out a session, and `authorize` holds it to the role's policies.
//!
//! What AWS does oddly: a slash at the end of a path makes no difference, of a value's neither (botocore asks so for the
//! zone); an interruption shows itself as a path that was not there before; a token that is wrong is refused also where none
//! is needed. How many network hops an answer may take is not modelled. An instance that ends, or that is not there, answers
//! nothing at all.

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use base64::engine::general_purpose::{STANDARD, URL_SAFE};
use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};
use jiff::Timestamp;
use percent_encoding::percent_decode_str;
use serde_json::json;

use super::ec2::instances::{self, answer::mac_address};
use super::ec2::placement::{instance_initiated, interruption_of, settle, state_of};
use super::ec2::state::{Instance, State};
use super::world::{ACCOUNT, World};
use super::{Reply, iam, sts};

/// What an instance's base address begins with; its id follows.
pub const DOOR: &str = "/_sandbox/metadata/";

const TOKEN: &str = "x-aws-ec2-metadata-token";
const TOKEN_TTL: &str = "x-aws-ec2-metadata-token-ttl-seconds";

/// Six hours.
const LONGEST_TTL: i64 = 21_600;

/// What lies at a path.
#[derive(Debug)]
enum Leaf {
    Bytes(Vec<u8>),
    /// Of this role: made when somebody reads them.
    Credentials(String),
}

/// Answers a request below [`DOOR`].
pub fn answer(world: &mut World, request: &Request<Bytes>, now: Timestamp) -> Reply {
    respond(world, request, now).map_or(Reply::Dropped, Reply::Answer)
}

/// `None`: nobody is there.
fn respond(world: &mut World, request: &Request<Bytes>, now: Timestamp) -> Option<Response<Bytes>> {
    let path = percent_decode_str(request.uri().path()).decode_utf8_lossy();
    let (id, path) = path.strip_prefix(DOOR)?.split_once('/')?;
    let (region, home) = world.regions.iter_mut().find(|(_, home)| home.ec2.instances.contains_key(id))?;
    let region = region.clone();
    let instance = home.ec2.instances.get_mut(id)?;
    if !state_of(instance, now).is_alive() {
        return None;
    }
    match (request.method(), path) {
        (&Method::POST, "console") => {
            instances::add_to_console(instance, &String::from_utf8_lossy(request.body()));
            Some(text(StatusCode::OK, ""))
        }
        (&Method::POST, "shutdown") => Some(shut_down(&mut home.ec2, id, now)),
        _ => {
            if let Some(refusal) = refusal(instance, id, request, path, now) {
                return Some(refusal);
            }
            Some(read(world, (&region, id), path, now))
        }
    }
}

/// The operating system has ended, which is the end of an instance that was launched so.
fn shut_down(state: &mut State, id: &str, now: Timestamp) -> Response<Bytes> {
    let Some(instance) = state.instances.get_mut(id) else { return text(StatusCode::NOT_FOUND, "") };
    if instance.data.shutdown_behavior.as_deref() != Some("terminate") {
        let message = "this instance would stop, and stopped ones are not modelled here: launch it with \
                       InstanceInitiatedShutdownBehavior terminate";
        return text(StatusCode::NOT_IMPLEMENTED, message);
    }
    instance.ending_at = Some(now.as_second());
    instance.end_reason = Some(instance_initiated());
    // Its Spot request follows at once.
    settle(state, now);
    text(StatusCode::OK, "")
}

/// All that is said before a path is looked at, the making of a token included.
fn refusal(
    instance: &Instance,
    id: &str,
    request: &Request<Bytes>,
    path: &str,
    now: Timestamp,
) -> Option<Response<Bytes>> {
    let options = &instance.data.metadata;
    let header = |name: &str| request.headers().get(name).map(|value| value.to_str().unwrap_or_default());
    if options.endpoint.as_deref() == Some("disabled") {
        return Some(text(StatusCode::FORBIDDEN, "the metadata service of this instance is turned off"));
    }
    match *request.method() {
        // What came through a proxy is not from the instance itself.
        Method::PUT if header("x-forwarded-for").is_some() => Some(text(StatusCode::FORBIDDEN, "")),
        Method::PUT if path == "latest/api/token" => {
            let ttl = header(TOKEN_TTL).and_then(|ttl| ttl.parse().ok());
            let Some(ttl) = ttl.filter(|ttl| (1..=LONGEST_TTL).contains(ttl)) else {
                return Some(text(StatusCode::BAD_REQUEST, "Missing or Invalid Parameters"));
            };
            let mut response = text(StatusCode::OK, &token(id, now.as_second() + ttl));
            response.headers_mut().insert(TOKEN_TTL, ttl.into());
            Some(response)
        }
        Method::GET => {
            let is_admitted = match header(TOKEN) {
                Some(token) => is_valid(token, id, now),
                None => options.tokens.as_deref() != Some("required"),
            };
            (!is_admitted).then(|| text(StatusCode::UNAUTHORIZED, "Unauthorized"))
        }
        _ => Some(text(StatusCode::METHOD_NOT_ALLOWED, "")),
    }
}

/// Says for whom and until when it holds, so that nothing has to be remembered. Nobody is kept from making one by himself:
/// the sandbox guards nothing, it shows whether a client asks for a token.
fn token(id: &str, expires_at: i64) -> String {
    URL_SAFE.encode(format!("sandbox metadata {id} {expires_at}"))
}

fn is_valid(said: &str, id: &str, now: Timestamp) -> bool {
    let decoded = URL_SAFE.decode(said).ok().and_then(|bytes| String::from_utf8(bytes).ok());
    let expires_at = decoded.and_then(|text| text.rsplit(' ').next()?.parse::<i64>().ok());
    expires_at.is_some_and(|expires_at| now.as_second() < expires_at && token(id, expires_at) == said)
}

fn read(world: &mut World, (region, id): (&str, &str), path: &str, now: Timestamp) -> Response<Bytes> {
    let leaves = leaves(world, region, id, now);
    let path = path.strip_suffix('/').unwrap_or(path);
    match leaves.get(path) {
        Some(Leaf::Bytes(bytes)) => respond_with(StatusCode::OK, bytes.clone().into()),
        Some(Leaf::Credentials(role)) => {
            let (key, session) = sts::session_of_instance(world, role, id, now);
            let credentials = json!({
                "Code": "Success",
                "LastUpdated": time(session.issued_at),
                "Type": "AWS-HMAC",
                "AccessKeyId": key,
                "SecretAccessKey": sts::secret(&key),
                "Token": sts::token(&key),
                "Expiration": time(session.expires_at),
            });
            text(StatusCode::OK, &format!("{credentials:#}"))
        }
        None => match listing(&leaves, path) {
            Some(names) => text(StatusCode::OK, &names),
            None => text(StatusCode::NOT_FOUND, "Not Found"),
        },
    }
}

/// What lies directly under a path, a name a line; directories have a slash at their end, but for the three topmost.
fn listing(leaves: &BTreeMap<String, Leaf>, path: &str) -> Option<String> {
    let is_top = path == "latest";
    let below = leaves.keys().filter_map(|leaf| leaf.strip_prefix(path)?.strip_prefix('/'));
    let names: BTreeSet<String> = below
        .map(|rest| match rest.split_once('/') {
            Some((name, _)) if !is_top => format!("{name}/"),
            Some((name, _)) => name.to_owned(),
            None => rest.to_owned(),
        })
        .collect();
    (!names.is_empty()).then(|| names.into_iter().collect::<Vec<_>>().join("\n"))
}

/// Everything that may be read of an instance now, by its path.
fn leaves(world: &World, region: &str, id: &str, now: Timestamp) -> BTreeMap<String, Leaf> {
    let mut leaves = BTreeMap::new();
    let Some(home) = world.regions.get(region) else { return leaves };
    let Some(instance) = home.ec2.instances.get(id) else { return leaves };
    let data = &instance.data;
    let life_cycle = if instance.spot_request.is_some() { "spot" } else { "on-demand" };
    let kind = data.instance_type.as_deref().unwrap_or_default();
    let image = data.image.as_deref().unwrap_or_default();
    let mut add = |path: &str, text: &str| {
        leaves.insert(format!("latest/{path}"), Leaf::Bytes(text.as_bytes().to_vec()));
    };
    add("meta-data/ami-id", image);
    add("meta-data/instance-id", id);
    add("meta-data/instance-life-cycle", life_cycle);
    add("meta-data/instance-type", kind);
    add("meta-data/local-ipv4", &instance.private_ip);
    add("meta-data/mac", &mac_address(&instance.private_ip));
    add("meta-data/placement/availability-zone", &instance.zone);
    add("meta-data/placement/region", region);
    if let Some(address) = &instance.public_ip {
        add("meta-data/public-ipv4", address);
    }
    if let Some(at) = interruption_of(instance).filter(|_| instance.interrupted_at <= Some(now.as_second())) {
        let action = data.market.as_ref().and_then(|market| market.interruption.as_deref()).unwrap_or("terminate");
        add("meta-data/spot/instance-action", &json!({"action": action, "time": time(at)}).to_string());
        add("meta-data/spot/termination-time", &time(at));
    }
    if data.metadata.tags.as_deref() == Some("enabled") {
        for (key, value) in home.ec2.tags.get(id).into_iter().flatten() {
            add(&format!("meta-data/tags/instance/{key}"), value);
        }
    }
    let document = json!({
        "accountId": ACCOUNT,
        "architecture": instance.architecture,
        "availabilityZone": instance.zone,
        "billingProducts": null,
        "devpayProductCodes": null,
        "marketplaceProductCodes": null,
        "imageId": image,
        "instanceId": id,
        "instanceType": kind,
        "kernelId": null,
        "pendingTime": time(instance.launched_at),
        "privateIp": instance.private_ip,
        "ramdiskId": null,
        "region": region,
        "version": "2017-09-30",
    });
    add("dynamic/instance-identity/document", &format!("{document:#}"));
    if let Some((arn, role)) =
        instance.profile_arn.as_deref().and_then(|arn| Some((arn, iam::role_in(&world.iam, arn)?)))
    {
        let info = json!({
            "Code": "Success",
            "LastUpdated": time(now.as_second()),
            "InstanceProfileArn": arn,
            "InstanceProfileId": instance.profile_id,
        });
        add("meta-data/iam/info", &format!("{info:#}"));
        let path = format!("latest/meta-data/iam/security-credentials/{role}");
        leaves.insert(path, Leaf::Credentials(role));
    }
    // Checked when it was launched.
    if let Some(bytes) = data.user_data.as_ref().and_then(|text| STANDARD.decode(text).ok()) {
        leaves.insert("latest/user-data".to_owned(), Leaf::Bytes(bytes));
    }
    leaves
}

/// RFC 3339, to the second, with a `Z`.
fn time(seconds: i64) -> String {
    Timestamp::from_second(seconds).unwrap_or_default().to_string()
}

fn text(status: StatusCode, text: &str) -> Response<Bytes> {
    respond_with(status, Bytes::from(text.to_owned()))
}

fn respond_with(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response.headers_mut().insert(header::CONTENT_TYPE, header::HeaderValue::from_static("text/plain"));
    response
}

#[cfg(test)]
mod tests;
