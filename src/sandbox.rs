//! An embedded AWS that behaves: a small model of the slice of AWS that spotctl uses, and of what its workers' containers
//! come from and work on (a registry, queues), behind AWS's own wire protocols.
//!
//! It serves two ways: in process, as the SDK's HTTP client ([`client`]), and on a loopback port for boto3, the AWS CLI and
//! others ([`serve`]). It is a model, not AWS: its rules follow AWS's documentation where no public emulator has them
//! (client tokens, spot requests, quotas, capacity), its prices are made up. It is strict: an operation or a parameter that
//! it does not know is an error, never silently ignored.
//!
//! State lies in a file that processes side by side share (see [`store`]); time moves by the clock, so nothing has to run in
//! between.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use http::{Request, Response};
use jiff::Timestamp;

pub mod authorize;
pub mod call;
pub mod client;
pub mod ec2;
pub mod ecr;
#[cfg(test)]
pub(crate) mod hostile;
pub mod iam;
pub mod kms;
pub mod metadata;
pub mod pricing;
pub mod route;
pub mod s3;
pub mod serve;
pub mod service_quotas;
mod signature;
pub mod sqs;
pub mod ssm;
pub mod store;
pub mod sts;
pub mod weather;
pub mod wire;
pub mod world;

use store::Store;
use weather::{Fault, Weather, WeatherError};
use world::World;

/// The embedded AWS. Clones share one state.
#[derive(Debug, Clone)]
pub struct Sandbox {
    home: Arc<Home>,
}

#[derive(Debug)]
enum Home {
    File(Box<Store>),
    /// With the time it began, and tokio's clock then: where that one is paused, buckets fill and instances boot as it goes.
    Memory(Box<Mutex<World>>, (Timestamp, tokio::time::Instant)),
}

/// What becomes of a request, as the network shows it.
#[derive(Debug)]
pub enum Reply {
    /// AWS answers.
    Answer(Response<Bytes>),
    /// The connection breaks without an answer; whether the call took effect is not told.
    Dropped,
    /// The same, and new connections are refused for a while.
    Refused,
    /// The connection breaks in the middle of this answer.
    Truncated(Response<Bytes>),
}

impl Sandbox {
    /// The sandbox whose state lies in this file; the folder is made when it is missing.
    ///
    /// # Errors
    /// The folder cannot be made, or the file is not a sandbox's state.
    pub fn open(state: PathBuf) -> io::Result<Self> {
        if let Some(folder) = state.parent() {
            fs::create_dir_all(folder)?;
        }
        let store = Store::new(state);
        store.change(|_| ())?;
        Ok(Self { home: Arc::new(Home::File(Box::new(store))) })
    }

    /// A sandbox that is gone when it is dropped.
    #[must_use]
    pub fn in_memory() -> Self {
        Self { home: Arc::new(Home::Memory(Box::default(), (Timestamp::now(), tokio::time::Instant::now()))) }
    }

    /// The same whose clock begins then.
    #[cfg(test)]
    pub(crate) fn in_memory_at(began: Timestamp) -> Self {
        Self { home: Arc::new(Home::Memory(Box::default(), (began, tokio::time::Instant::now()))) }
    }

    /// Makes weather by the words as they are typed.
    #[cfg(test)]
    pub(crate) fn say(&self, words: &str) {
        let split: Vec<String> = words.split(' ').map(str::to_owned).collect();
        self.set(&split).unwrap_or_else(|error| panic!("{words}: {error}"));
    }

    /// Everything that it holds, for a test that looks at it from the outside of every client.
    #[cfg(test)]
    pub(crate) fn state(&self) -> serde_json::Value {
        self.change(|world| serde_json::to_value(&*world)).ok().and_then(Result::ok).unwrap_or_default()
    }

    /// Forgets everything.
    ///
    /// # Errors
    /// The state cannot be written.
    pub fn reset(&self) -> io::Result<()> {
        self.change(|world| *world = World::default())
    }

    /// Makes weather: the words of `sandbox set`.
    ///
    /// # Errors
    /// The words are not understood, or the state cannot be written.
    pub fn set(&self, words: &[String]) -> Result<String, WeatherError> {
        let now = self.clock();
        self.change(|world| weather::set(world, words, now)).map_err(WeatherError::Io)?
    }

    /// The weather now.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn weather(&self) -> io::Result<Weather> {
        self.change(|world| world.weather.clone())
    }

    /// How often each operation was asked for since the state was made.
    ///
    /// # Errors
    /// The state cannot be read.
    pub fn calls(&self) -> io::Result<BTreeMap<String, u64>> {
        self.change(|world| world.calls.clone())
    }

    /// Answers one request as AWS would, latency included.
    ///
    /// # Errors
    /// The state cannot be read or written.
    pub async fn respond(&self, request: &Request<Bytes>) -> io::Result<Reply> {
        let clock = self.clock();
        let (reply, latency) = self.change(|world| {
            let now = world.weather.now(clock);
            let latency = world.weather.latency;
            let operation = route::operation(request);
            *world.calls.entry(operation.clone().unwrap_or_default()).or_default() += 1;
            let fault = operation.and_then(|operation| world.weather.strike(&operation));
            let reply = match fault {
                Some(Fault::Cut) => Some(Reply::Dropped),
                Some(Fault::Refuse) => Some(Reply::Refused),
                Some(Fault::Status(status)) => Some(Reply::Answer(route::fault(request, status))),
                Some(Fault::Throttle) => Some(Reply::Answer(route::throttling(request))),
                Some(Fault::Busy) => Some(Reply::Answer(route::busy(request))),
                Some(Fault::Drop) => {
                    let _ = route::answer(world, request, now);
                    Some(Reply::Dropped)
                }
                Some(Fault::Truncate) => Some(Reply::Truncated(route::answer(world, request, now))),
                Some(Fault::Hold) => None,
                Some(Fault::HoldAfter) => {
                    let _ = route::answer(world, request, now);
                    None
                }
                None => Some(Reply::Answer(route::answer(world, request, now))),
            };
            (reply.map(|reply| dated(reply, now)), latency)
        })?;
        if latency > Duration::ZERO {
            wait(latency).await;
        }
        match reply {
            Some(reply) => Ok(reply),
            // It ends when the client has had enough: whoever asks for this answer is dropped then.
            None => std::future::pending().await,
        }
    }

    /// Answers one request to an instance's metadata service. It is not AWS's network, and no weather of calls reaches it.
    ///
    /// # Errors
    /// The state cannot be read or written.
    pub fn metadata(&self, request: &Request<Bytes>) -> io::Result<Reply> {
        let clock = self.clock();
        self.change(|world| {
            let now = world.weather.now(clock);
            *world.calls.entry("metadata".to_owned()).or_default() += 1;
            metadata::answer(world, request, now)
        })
    }

    /// The clock that the weather may set wrong.
    pub(crate) fn clock(&self) -> Timestamp {
        match &*self.home {
            Home::File(_) => Timestamp::now(),
            Home::Memory(_, (began, then)) => began.saturating_add(then.elapsed()).unwrap_or(*began),
        }
    }

    /// Runs `change` alone on the state.
    fn change<T>(&self, change: impl FnOnce(&mut World) -> T) -> io::Result<T> {
        match &*self.home {
            Home::Memory(world, _) => Ok(change(&mut world.lock().unwrap_or_else(PoisonError::into_inner))),
            Home::File(store) => store.change(change),
        }
    }
}

/// AWS's answers tell its clock, by which clients find out that theirs is wrong.
fn dated(mut reply: Reply, now: Timestamp) -> Reply {
    let date = jiff::fmt::rfc2822::DateTimePrinter::new().timestamp_to_rfc9110_string(&now).ok();
    if let (Reply::Answer(answer), Some(date)) = (&mut reply, date.and_then(|date| date.parse().ok())) {
        answer.headers_mut().insert(http::header::DATE, date);
    }
    reply
}

/// The round trip that the weather asks for, outside the lock.
#[expect(clippy::disallowed_methods, reason = "the sandbox's latency is the network, not a wait of spotctl's")]
async fn wait(latency: Duration) {
    tokio::time::sleep(latency).await;
}
