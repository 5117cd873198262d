//! The road between one run and the sandbox, with a length for each call that is drawn: what another run does can come
//! between any two calls, and between a call's effect and its answer.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::HttpRequest;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use tokio::time::Instant;

use super::super::markets::Random;
use crate::sandbox::{Sandbox, client};

/// What was called, in the order of its effect, for whoever looks why a schedule fails.
pub(super) type Log = Arc<Mutex<Vec<String>>>;

/// How long calls take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Length {
    /// Nothing.
    Still,
    /// As drawn.
    Drawn,
}

#[derive(Debug, Clone)]
struct Road {
    sandbox: SharedHttpClient,
    name: String,
    length: Length,
    random: Arc<Mutex<Random>>,
    log: Log,
    began: Instant,
}

/// An HTTP client for the run of this name.
pub(super) fn road(
    sandbox: &Sandbox,
    name: &str,
    (length, seed): (Length, u64),
    (began, log): (Instant, &Log),
) -> SharedHttpClient {
    SharedHttpClient::new(Road {
        sandbox: client::http_client(sandbox.clone()),
        name: name.to_owned(),
        length,
        random: Arc::new(Mutex::new(Random(seed))),
        log: log.clone(),
        began,
    })
}

impl Road {
    /// Mostly as usual, seldom so long that another run does much meanwhile.
    fn drawn(&self) -> Duration {
        if self.length == Length::Still {
            return Duration::ZERO;
        }
        let mut random = self.random.lock().unwrap_or_else(PoisonError::into_inner);
        let most = random.pick(&[1, 40, 40, 40, 200, 1900]);
        Duration::from_millis(random.below(most))
    }
}

impl HttpClient for Road {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let sandbox = self.sandbox.http_connector(settings, components);
        SharedHttpConnector::new(Connector { road: self.clone(), sandbox })
    }
}

#[derive(Debug)]
struct Connector {
    road: Road,
    sandbox: SharedHttpConnector,
}

impl HttpConnector for Connector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let (road, sandbox) = (self.road.clone(), self.sandbox.clone());
        let (there, back) = (road.drawn(), road.drawn());
        HttpConnectorFuture::new(async move {
            let operation = operation(&request);
            pause(there).await;
            let answer = sandbox.call(request).await;
            let status = answer.as_ref().map_or(0, |answer| answer.status().as_u16());
            let at = road.began.elapsed().as_millis();
            let line = format!("{at:>7} {} {operation} {status}", road.name);
            road.log.lock().unwrap_or_else(PoisonError::into_inner).push(line);
            pause(back).await;
            answer
        })
    }
}

fn operation(request: &HttpRequest) -> String {
    let body = request.body().bytes().map(String::from_utf8_lossy).unwrap_or_default();
    let target = request.headers().get("x-amz-target").and_then(|target| target.rsplit('.').next());
    let action = body.split('&').find_map(|pair| pair.strip_prefix("Action="));
    action.or(target).unwrap_or("?").to_owned()
}

#[expect(clippy::disallowed_methods, reason = "the length of the road, not a wait of spotctl's")]
pub(super) async fn pause(time: Duration) {
    if time > Duration::ZERO {
        tokio::time::sleep(time).await;
    }
}
