//! The sandbox as an AWS whose answers are damaged on the way: for property tests, which shrink what did harm to the
//! smallest list of damages that still does.
//!
//! What a call changes has happened before its answer is damaged. Damage lies in the form of an answer and in single
//! values; it never makes a value that would be a plausible lie (another id, `terminated` for `running`), since nobody who
//! is lied to consistently can keep a promise.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};

use aws_config::SdkConfig;
use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use bytes::Bytes;
use http::{HeaderValue, Response, StatusCode, header};
use proptest::prelude::*;
use proptest::sample::{Index, select};
use serde_json::Value;

use super::ec2::placement::state_of;
use super::{Home, Reply, Sandbox, client, route};

mod tree;

use tree::Element;

/// More calls than this in one command is a loop. A throttled call is made forty times, and a command makes some thirty.
const MOST_CALLS: usize = 2_500;

/// What becomes of the answers to one operation.
#[derive(Debug, Clone)]
pub(crate) struct Damage {
    /// Of those that the command calls.
    pub(crate) operation: Index,
    /// Only the first answer, or all.
    pub(crate) once: bool,
    pub(crate) how: How,
}

#[derive(Debug, Clone)]
pub(crate) enum How {
    /// A value is replaced.
    Text(Index, String),
    /// Every value of that name is replaced.
    Every(Index, String),
    Remove(Index),
    Empty(Index),
    Rename(Index),
    /// So many copies behind it.
    Repeat(Index, usize),
    /// Something that nobody knows.
    Extra(Index),
    /// A text becomes a list, an object or a number, a list a text, …
    Kind(Index, Other),
    /// The page names this one as the next, and every further page is the same.
    Pages(Vec<String>),
    /// Nothing of it but this.
    Instead(u16, Page),
    /// The status alone.
    Status(u16),
    /// Cut off there.
    Cut(Index),
    ContentType(&'static str),
}

impl How {
    /// Where in an answer's tree it strikes; nowhere when it is about the answer as a whole.
    fn place(&self) -> Option<&Index> {
        match self {
            Self::Text(at, _)
            | Self::Every(at, _)
            | Self::Remove(at)
            | Self::Empty(at)
            | Self::Rename(at)
            | Self::Repeat(at, _)
            | Self::Extra(at)
            | Self::Kind(at, _) => Some(at),
            Self::Pages(_) | Self::Instead(..) | Self::Status(_) | Self::Cut(_) | Self::ContentType(_) => None,
        }
    }
}

#[derive(Debug, Clone, Copy)]
pub(crate) enum Other {
    Text,
    Number,
    List,
    Object,
    Nothing,
}

/// A body that is none of AWS's, or an odd one.
#[derive(Debug, Clone)]
pub(crate) enum Page {
    Empty,
    Html,
    NoCode,
    WrongRoot,
    Error { code: String, message: String },
    Bytes(Vec<u8>),
}

/// Values that are no plausible lie, and that careless code chokes on.
fn value() -> impl Strategy<Value = String> {
    let known = [
        "",
        " ",
        "0",
        "-1",
        "1",
        "4294967296",
        "9223372036854775807",
        "-9223372036854775808",
        "1e400",
        "NaN",
        "inf",
        "-inf",
        "1e-9",
        "99999999999999999999999999",
        "0.0000000000",
        "9223372036854.775807",
        "0.30000000000000004",
        "true",
        "null",
        "frozen",
        "--help",
        "-rf",
        "--",
        "../../../etc/passwd",
        "/",
        "C:\\",
        "${X}",
        "${",
        "{{ x }}",
        "{% x %}",
        "$(id)",
        "`id`",
        "'\"",
        "]]>",
        "<!--",
        "<a>&amp;</a>",
        "&#27;[1m",
        "\u{1b}[2J\u{1b}]0;x\u{7}",
        "\u{9b}31mx",
        "a\u{202e}b\u{2028}c",
        "a\nerror: b\r\nhint: c",
        "\0",
        "\t",
        "größe 日本 🦀 e\u{301}",
        "\u{fdd0}",
        "9999-12-31T23:59:59.999Z",
        "9999-12-30T22:00:00Z",
        "-009999-01-01T00:00:00Z",
        "0000-00-00T00:00:00Z",
        "1970-01-01T00:00:00.000Z",
        "0001-01-01T00:00:00Z",
        "2099-01-01T00:00:00Z",
        "yesterday",
        "253402300799",
        "-62135596800",
        "1e18",
        "i-",
        "ami-",
        "arn:",
        "arn:aws:iam::1:role/",
        "::::::::",
        "a b",
        "99999999999h",
        "8h",
        "none",
        "sha256:",
        "====",
        "H4sIAAAAAAAA",
        "ready",
        "failed:",
        "draining:\u{1b}[31m",
        "booting=99999999999999999999",
    ];
    prop_oneof![
        8 => select(known.map(str::to_owned).to_vec()),
        1 => Just("x".repeat(100_000)),
        2 => "\\PC{0,12}",
        1 => "[\u{0}-\u{ff}]{0,8}",
        1 => "-?[0-9]{1,25}(\\.[0-9]{1,25})?",
    ]
}

fn page() -> impl Strategy<Value = Page> {
    let code = select(vec![
        "",
        "-",
        "UnknownCode",
        "RequestLimitExceeded",
        "InsufficientInstanceCapacity",
        "InvalidParameterValue",
        "UnauthorizedOperation",
        "Unsupported",
        "a\u{1b}[31mb",
        "a\nb",
        "com.amazonaws#X:http://x",
        "größe",
        "ExpiredToken",
        "IdempotentParameterMismatch",
        "DryRunOperation",
        "InvalidInstanceID.NotFound",
        "ParameterNotFound",
        "NoSuchEntity",
        "SpotMaxPriceTooLow",
        "MaxSpotInstanceCountExceeded",
        "InternalError",
    ]);
    prop_oneof![
        Just(Page::Empty),
        Just(Page::Html),
        Just(Page::NoCode),
        Just(Page::WrongRoot),
        (code, value()).prop_map(|(code, message)| Page::Error { code: code.to_owned(), message }),
        prop::collection::vec(any::<u8>(), 0..40).prop_map(Page::Bytes),
    ]
}

/// A list of damages.
pub(crate) fn damages() -> impl Strategy<Value = Vec<Damage>> {
    let status = || select(vec![200_u16, 202, 204, 301, 400, 401, 403, 404, 413, 429, 500, 502, 503, 504, 599]);
    let other = || select(vec![Other::Text, Other::Number, Other::List, Other::Object, Other::Nothing]);
    let tokens = select(vec![vec!["again"], vec!["a", "b"], vec!["a", "b", "c", "d"]]);
    let index = any::<Index>;
    let how = prop_oneof![
        6 => (index(), value()).prop_map(|(at, text)| How::Text(at, text)),
        4 => (index(), value()).prop_map(|(at, text)| How::Every(at, text)),
        3 => index().prop_map(How::Remove),
        2 => index().prop_map(How::Empty),
        1 => index().prop_map(How::Rename),
        2 => (index(), prop_oneof![3 => 1_usize..4, 1 => Just(700)]).prop_map(|(at, times)| How::Repeat(at, times)),
        1 => index().prop_map(How::Extra),
        3 => (index(), other()).prop_map(|(at, other)| How::Kind(at, other)),
        1 => tokens.prop_map(|tokens| How::Pages(tokens.into_iter().map(str::to_owned).collect())),
        2 => (status(), page()).prop_map(|(status, page)| How::Instead(status, page)),
        1 => status().prop_map(How::Status),
        1 => index().prop_map(How::Cut),
        1 => select(vec!["text/html", "application/json", "", "application/octet-stream"]).prop_map(How::ContentType),
    ];
    let damage = (index(), any::<bool>(), how).prop_map(|(operation, once, how)| Damage { operation, once, how });
    prop::collection::vec(damage, 1..4)
}

/// What the client saw of a command.
#[derive(Debug, Default)]
pub(crate) struct Told {
    pub(crate) calls: usize,
    pub(crate) operations: BTreeMap<String, usize>,
    /// Whether a list of instances came without one of them, as if there were none: nobody can know better.
    pub(crate) hides: bool,
    kept: BTreeMap<String, Kept>,
}

impl Told {
    pub(crate) fn has_looped(&self) -> bool {
        self.calls > MOST_CALLS
    }
}

/// A page that comes again and again.
#[derive(Debug, Clone)]
struct Kept {
    body: Bytes,
    shown: usize,
}

/// The client.
#[derive(Debug, Clone)]
pub(crate) struct Hostile {
    sandbox: Sandbox,
    damages: Arc<Vec<Aimed>>,
    told: Arc<Mutex<Told>>,
}

/// What becomes of the answers to this operation.
#[derive(Debug, Clone)]
pub(crate) struct Aimed {
    pub(crate) operation: String,
    pub(crate) once: bool,
    pub(crate) how: How,
}

impl Damage {
    /// At one of the operations that the command calls.
    pub(crate) fn aimed(&self, operations: &[String]) -> Aimed {
        Aimed { operation: self.operation.get(operations).clone(), once: self.once, how: self.how.clone() }
    }
}

thread_local! {
    static HERE: RefCell<Option<Hostile>> = const { RefCell::new(None) };
}

impl Hostile {
    pub(crate) fn new(sandbox: Sandbox, damages: Vec<Aimed>) -> Self {
        Self { sandbox, damages: Arc::new(damages), told: Arc::default() }
    }

    /// Every command of this thread meets this AWS, until the answer is dropped.
    pub(crate) fn reign(&self) -> Reign {
        HERE.set(Some(self.clone()));
        Reign
    }

    async fn answer(&self, request: HttpRequest) -> Result<Response<Bytes>, ConnectorError> {
        let request = client::into_http(&request)?;
        let operation = route::operation(&request).unwrap_or_default();
        let nth = {
            let mut told = self.told();
            told.calls += 1;
            if told.has_looped() {
                return Err(ConnectorError::other("this command loops".into(), None));
            }
            let nth = told.operations.entry(operation.clone()).or_default();
            *nth += 1;
            *nth
        };
        let is_mine = |damage: &&Aimed| damage.operation == operation && (nth == 1 || !damage.once);
        let mine = || self.damages.iter().filter(is_mine);
        let forever = mine().find_map(|damage| match &damage.how {
            How::Pages(tokens) => Some(tokens),
            _ => None,
        });
        if let (Some(tokens), Some(kept)) = (forever, self.told().kept.get_mut(&operation)) {
            kept.shown += 1;
            let token = &tokens[kept.shown % tokens.len()];
            return Ok(respond(StatusCode::OK, named_next(&kept.body, token)));
        }
        let mut response = match self.sandbox.respond(&request).await {
            Ok(Reply::Answer(response)) => response,
            Ok(_) => return Err(ConnectorError::io("the weather".into())),
            Err(error) => return Err(ConnectorError::other(error.into(), None)),
        };
        let before = response.body().clone();
        for damage in mine() {
            response = done(response, &damage.how);
        }
        if operation == "DescribeInstances" && hides(&before, response.body()) {
            self.told().hides = true;
        }
        if let (Some(tokens), true) = (forever, response.status().is_success()) {
            let body = response.body().clone();
            *response.body_mut() = named_next(&body, &tokens[0]);
            self.told().kept.insert(operation, Kept { body, shown: 0 });
        }
        Ok(response)
    }

    pub(crate) fn told(&self) -> std::sync::MutexGuard<'_, Told> {
        self.told.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// See [`Hostile::reign`].
#[derive(Debug)]
pub(crate) struct Reign;

impl Drop for Reign {
    fn drop(&mut self) {
        HERE.set(None);
    }
}

/// The configuration of clients on this thread, where a [`Hostile`] reigns.
pub(crate) fn config(region: &str) -> Option<SdkConfig> {
    let hostile = HERE.with_borrow(Clone::clone)?;
    let config = client::config(&hostile.sandbox, region).timeout_config(crate::cloud::patience());
    Some(config.http_client(SharedHttpClient::new(hostile)).build())
}

impl HttpClient for Hostile {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Hostile {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let hostile = self.clone();
        HttpConnectorFuture::new(async move { client::from_http(hostile.answer(request).await?) })
    }
}

fn respond(status: StatusCode, body: Bytes) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    response
}

fn done(mut response: Response<Bytes>, how: &How) -> Response<Bytes> {
    let body = response.body().clone();
    let is_json = body.first() == Some(&b'{');
    let changed = match how {
        How::Instead(status, page) => {
            *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
            instead(page, is_json)
        }
        How::Status(status) => {
            *response.status_mut() = StatusCode::from_u16(*status).unwrap_or(StatusCode::OK);
            body
        }
        How::Cut(at) => body.slice(..at.index(body.len() + 1)),
        How::ContentType(kind) => {
            response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
            body
        }
        How::Pages(_) => body,
        how if is_json => match serde_json::from_slice::<Value>(&body) {
            Ok(mut value) => {
                tree::damage_json(&mut value, how);
                value.to_string().into()
            }
            Err(_) => body,
        },
        how => match Element::read(&body) {
            Some(mut root) => {
                root.damage(how);
                root.document().into()
            }
            None => body,
        },
    };
    *response.body_mut() = changed;
    response
}

fn instead(page: &Page, is_json: bool) -> Bytes {
    match page {
        Page::Empty => Bytes::new(),
        Page::Html => {
            "<!DOCTYPE html><html><head><title>502 Bad Gateway</title></head><body>\u{1b}[1mno<br></body>".into()
        }
        Page::NoCode if is_json => r#"{"message": "no"}"#.into(),
        Page::NoCode => "<Response><Errors><Error><Message>no</Message></Error></Errors></Response>".into(),
        Page::WrongRoot if is_json => "[1, [2], null]".into(),
        Page::WrongRoot => "<Wrong><a>1</a></Wrong>".into(),
        Page::Error { code, message } if is_json => {
            serde_json::json!({ "__type": code, "message": message, "Message": message }).to_string().into()
        }
        Page::Error { code, message } => {
            let parts = vec![Element::leaf("Code", code), Element::leaf("Message", message)];
            let error = Element::node("Error", parts);
            // EC2's envelope, with IAM's inside the same root.
            let errors = Element::node("Errors", vec![error.clone()]);
            Element::node("Response", vec![errors, error]).document().into()
        }
        Page::Bytes(bytes) => bytes.clone().into(),
    }
}

/// Whether what is an instance in the whole answer is none in the damaged one, which a client can read.
fn hides(whole: &[u8], damaged: &[u8]) -> bool {
    let ids = |body: &[u8]| Element::read(body).map_or_else(Vec::new, |root| root.instances());
    let shown = ids(damaged);
    ids(whole).iter().any(|id| !shown.contains(id))
}

/// The page with this token as the next one's.
fn named_next(body: &Bytes, token: &str) -> Bytes {
    if let Ok(Value::Object(mut fields)) = serde_json::from_slice(body) {
        for name in ["NextToken", "NextMarker", "nextToken"] {
            fields.insert(name.to_owned(), token.into());
        }
        fields.insert("Truncated".to_owned(), true.into());
        return Value::Object(fields).to_string().into();
    }
    let Some(mut root) = Element::read(body) else { return body.clone() };
    root.name_next(token);
    root.document().into()
}

/// What a command must not have touched, and what it may have made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Seen {
    /// Live workers of each stack; under an empty name what has no stack.
    pub(crate) live: BTreeMap<String, usize>,
    /// Everything else without the tag of `stack`: ids and names.
    pub(crate) others: Vec<String>,
}

impl Sandbox {
    /// The same account as it is now, apart from this one.
    pub(crate) fn copy(&self) -> Self {
        let clock = self.clock();
        let world = self.change(|world| world.clone()).unwrap_or_default();
        Self { home: Arc::new(Home::Memory(Box::new(Mutex::new(world)), (clock, tokio::time::Instant::now()))) }
    }

    pub(crate) fn seen(&self, stack: &str) -> Seen {
        const STACK: &str = "spotctl:stack";
        let clock = self.clock();
        let look = self.change(|world| {
            let mut live = BTreeMap::new();
            let mut others = Vec::new();
            for (name, region) in &world.regions {
                let ec2 = &region.ec2;
                let of = |id: &str| ec2.tags.get(id).and_then(|tags| tags.get(STACK)).cloned().unwrap_or_default();
                for (id, instance) in &ec2.instances {
                    if state_of(instance, clock).is_alive() {
                        *live.entry(of(id)).or_insert(0) += 1;
                    }
                }
                let groups = ec2.security_groups.iter().map(|(id, group)| (id, format!("{:?}", group.rules)));
                let templates = ec2.launch_templates.iter().map(|(id, found)| (id, found.versions.len().to_string()));
                let foreign = groups.chain(templates).filter(|(id, _)| of(id) != stack);
                others.extend(foreign.map(|(id, what)| format!("{name} {id} {what}")));
                let values = region
                    .ssm
                    .parameters
                    .iter()
                    .filter(|(_, found)| found.tags.get(STACK).map_or("", |own| own) != stack);
                others.extend(values.map(|(key, found)| format!("{name} {key} {:?}", found.versions)));
            }
            let roles = world.iam.roles.iter().filter(|(_, role)| role.tags.get(STACK).map_or("", |own| own) != stack);
            others.extend(roles.map(|(name, role)| format!("role {name} {:?}", role.inline)));
            Seen { live, others }
        });
        look.unwrap_or_else(|error| panic!("{error}"))
    }

    /// User data and tags of the newest worker of the stack, as EC2 has them.
    pub(crate) fn newest(&self, stack: &str) -> Option<(String, BTreeMap<String, String>)> {
        let look = self.change(|world| {
            let ec2 = &world.region("us-east-1").ec2;
            let mine = ec2.instances.iter().filter_map(|(id, instance)| Some((instance, ec2.tags.get(id)?)));
            let mine = mine.filter(|(_, tags)| tags.get("spotctl:stack").is_some_and(|name| name == stack));
            let (instance, tags) = mine.max_by_key(|(instance, _)| instance.launched_at)?;
            Some((instance.data.user_data.clone()?, (**tags).clone()))
        });
        look.ok().flatten()
    }

    /// One of the account's own instances, which no stack's tag names; and a worker of `stack` past its expiry.
    pub(crate) fn age(&self, stack: &str) {
        let aged = self.change(|world| {
            let region = world.region("us-east-1");
            let ids: Vec<String> = region.ec2.instances.keys().cloned().collect();
            let of = |id: &String| region.ec2.tags.get(id).and_then(|tags| tags.get("spotctl:stack")).cloned();
            let first = ids.iter().find(|id| of(id).as_deref() == Some(stack)).cloned();
            if let Some(id) = first {
                let mut stranger = region.ec2.instances[&id].clone();
                stranger.client_token = None;
                stranger.spot_request = None;
                stranger.volumes.clear();
                region.ec2.instances.insert("i-0f0f0f0f0f0f0f0f0".to_owned(), stranger);
                if let Some(found) = region.ec2.instances.get_mut(&id) {
                    found.launched_at -= 9 * 3600;
                }
            }
        });
        aged.unwrap_or_else(|error| panic!("{error}"));
    }
}
