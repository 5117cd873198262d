//! The retry policy, all of it: which trouble is met by how many attempts, with which pauses, and until when.
//!
//! | what | attempts | pause before the next: none up to | at most |
//! |---|---|---|---|
//! | throttled (by AWS's codes, HTTP 429), HTTP 503, or another call changes the same thing ([`Busy`]) | 40 | 0.5 s, doubling | 5 s |
//! | AWS failed (HTTP 5xx) | 8 | 0.1 s, doubling | 2 s |
//! | no answer: refused, reset, cut short, timed out | 6 | 0.2 s, doubling | 5 s |
//! | refused: permission, parameters, capacity, a certificate | 1 | | |
//! | a launch, by [`crate::decide::refusal`]'s table | until [`super::poll::LAUNCH`] ends | 0.5 s, by half more | 5 s |
//! | `HEAD` of a bucket ([`super::bucket`]) | 1 | | |
//!
//! Each trouble has its own attempts: a call that was throttled ten times and then lost has five left for lost answers.
//! Every pause is drawn evenly from nothing to its longest (full jitter), so that runs that were throttled together do not
//! come back together. Nothing is asked again once the command's deadline is over, and none of it outlives that by more than
//! [`MOMENT`]: `--timeout` of `up`, `down` and `destroy` counts from their beginning, retries and waits included.
//!
//! The SDK carries it out: its standard strategy reads a [`RetryConfig`] after each attempt, and [`Policy`] writes the one
//! for the trouble that the attempt met. Its own quota of retries (500 tokens a process and service) is off: it is made for
//! servers with many callers, and 50 launches that meet AWS's buckets would use it up. Attempts and deadline bound us.
//!
//! The launch has a loop of its own, in `resource::worker::launch`, because EC2 answers "no capacity" as HTTP 500, which the
//! SDK's strategy would repeat in silence. A new instance profile takes up to minutes and is waited for there.

use std::collections::BTreeMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_smithy_runtime::client::retries::classifiers::run_classifiers_on_ctx;
use aws_smithy_runtime::client::retries::{RetryPartition, TokenBucket};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::{FinalizerInterceptorContextRef, InterceptorContext};
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::retries::classifiers::{
    ClassifyRetry, RetryAction, RetryClassifierPriority, RetryReason,
};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::{ConfigBag, Storable, StoreReplace};
use aws_smithy_types::retry::ErrorKind;
use tokio::time::Instant;

use crate::decide::classify::is_busy;
use crate::error::{Error, Kind, Result};

/// How much longer than its deadline a command may take, to say what it knows.
pub const MOMENT: Duration = Duration::from_secs(2);

/// What stood in the way of an attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Trouble {
    /// Too many calls, or AWS has no room for them now.
    Throttled,
    /// AWS failed.
    Server,
    /// There was no answer.
    NoAnswer,
}

/// How one kind of trouble is met.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Patience {
    attempts: u32,
    first: Duration,
    slowest: Duration,
}

impl Trouble {
    /// EC2 throttles with HTTP 503, by the code `RequestLimitExceeded` or, when it is itself overloaded, `Unavailable`.
    fn of(kind: ErrorKind, status: Option<u16>) -> Self {
        match (kind, status) {
            (ErrorKind::ThrottlingError, _) | (_, Some(429 | 503)) => Self::Throttled,
            (_, Some(500..)) => Self::Server,
            _ => Self::NoAnswer,
        }
    }

    fn patience(self) -> Patience {
        let (attempts, first, slowest) = match self {
            Self::Throttled => (40, 500, 5),
            Self::Server => (8, 100, 2),
            Self::NoAnswer => (6, 200, 5),
        };
        Patience { attempts, first: Duration::from_millis(first), slowest: Duration::from_secs(slowest) }
    }
}

impl Patience {
    /// As the SDK reads it, which counts every attempt, so those that met `other` trouble come on top; `left` is what the
    /// deadline leaves.
    fn config(self, other: u32, left: Option<Duration>) -> RetryConfig {
        let is_over = left.is_some_and(|left| left.is_zero());
        RetryConfig::standard()
            .with_max_attempts(if is_over { 1 } else { self.attempts + other })
            .with_initial_backoff(self.first)
            .with_max_backoff(left.map_or(self.slowest, |left| self.slowest.min(left)))
    }
}

/// For calls that [`Policy`] does not see: those that fetch credentials.
pub(super) fn base() -> RetryConfig {
    Trouble::NoAnswer.patience().config(0, None)
}

/// No quota of retries; see above.
pub(super) fn partition() -> RetryPartition {
    RetryPartition::custom("spotctl").token_bucket(TokenBucket::unlimited()).build()
}

/// When a command has to be done. Clones share it; a command without one may take as long as it takes.
#[derive(Debug, Clone, Default)]
pub struct Deadline(Arc<OnceLock<Instant>>);

impl Deadline {
    /// From now on. The first word counts.
    pub fn set(&self, limit: Duration) {
        let _ = self.0.set(Instant::now() + limit);
    }

    /// What is left; `None` without a deadline.
    #[must_use]
    pub fn left(&self) -> Option<Duration> {
        self.0.get().map(|end| end.saturating_duration_since(Instant::now()))
    }

    /// Whether there is one and it is over.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.left().is_some_and(|left| left.is_zero())
    }

    /// Runs `work` until it ends, and a moment beyond the deadline at most. As with a signal, the work is then dropped where
    /// it stands, and the journal says what exists.
    ///
    /// # Errors
    /// The work's own; the time is over.
    pub async fn bound<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some(end) = self.0.get() else { return work.await };
        let done = tokio::time::timeout_at(*end + MOMENT, work).await;
        done.unwrap_or_else(|_| Err(Error::new(Kind::Timeout, "not done within --timeout")))
    }
}

/// A pause drawn from nothing to `longest`.
#[must_use]
pub fn jittered(longest: Duration) -> Duration {
    // Without random numbers the longest is as good as any.
    drawn().map_or(longest, |drawn| longest.mul_f64(f64::from(drawn) / f64::from(u32::MAX)))
}

#[cfg(not(test))]
fn drawn() -> Option<u32> {
    getrandom::u32().ok()
}

/// From the seed where a test has set one, so that what it tries can be tried again.
#[cfg(test)]
fn drawn() -> Option<u32> {
    seed::drawn().or_else(|| getrandom::u32().ok())
}

/// Pauses that are the same each time, for the thread that sets a seed.
#[cfg(test)]
pub(crate) mod seed {
    use std::cell::Cell;

    thread_local! {
        static STATE: Cell<Option<u32>> = const { Cell::new(None) };
    }

    pub(crate) fn set(seed: u32) {
        STATE.set(Some(seed | 1));
    }

    /// Marsaglia's `xorshift`.
    pub(super) fn drawn() -> Option<u32> {
        let mut state = STATE.get()?;
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        STATE.set(Some(state));
        Some(state)
    }
}

/// How often one call has met each trouble so far.
#[derive(Debug, Clone, Default)]
struct Met(BTreeMap<Trouble, u32>);

impl Storable for Met {
    type Storer = StoreReplace<Self>;
}

/// What the SDK's own classifiers take for final, and what is over in a moment: another call is changing the same thing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Busy;

impl ClassifyRetry for Busy {
    fn classify_retry(&self, context: &InterceptorContext) -> RetryAction {
        // The error is of each operation's own type; its code stands in the answer, in XML and JSON alike a word by itself.
        let answer = context.response().filter(|answer| answer.status().is_client_error());
        let text = answer.and_then(|answer| std::str::from_utf8(answer.body().bytes()?).ok()).unwrap_or_default();
        let is_busy = text.split(|mark: char| !mark.is_ascii_alphanumeric()).any(is_busy);
        if is_busy { RetryAction::throttling_error() } else { RetryAction::NoActionIndicated }
    }

    fn name(&self) -> &'static str {
        "another call changes the same"
    }

    fn priority(&self) -> RetryClassifierPriority {
        RetryClassifierPriority::run_after(RetryClassifierPriority::transient_error_classifier())
    }
}

/// Tells the SDK's strategy after each attempt how to go on.
#[derive(Debug, Clone, Default)]
pub(super) struct Policy(pub(super) Deadline);

#[dyn_dispatch_hint]
impl Intercept for Policy {
    fn name(&self) -> &'static str {
        "retry policy"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        components: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let action = run_classifiers_on_ctx(components.retry_classifiers(), context.inner());
        if let RetryAction::RetryIndicated(RetryReason::RetryableError { kind, .. }) = action {
            let status = context.response().map(|response| response.status().as_u16());
            let trouble = Trouble::of(kind, status);
            let mut met = config.load::<Met>().cloned().unwrap_or_default();
            *met.0.entry(trouble).or_default() += 1;
            let other = met.0.iter().filter(|(kind, _)| **kind != trouble).map(|(_, times)| times).sum();
            let state = config.interceptor_state();
            state.store_put(trouble.patience().config(other, self.0.left()));
            state.store_put(met);
        }
        Ok(())
    }
}

/// For the launch, which is asked once: but a signature of the wrong time, which the SDK makes anew by the date of the
/// refusal, launched nothing.
#[derive(Debug, Clone, Copy)]
pub(super) struct Once;

#[dyn_dispatch_hint]
impl Intercept for Once {
    fn name(&self) -> &'static str {
        "no retry but for the clock"
    }

    fn read_after_attempt(
        &self,
        context: &FinalizerInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        config: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let status = context.response().map(|response| response.status().as_u16());
        let attempts = if matches!(status, Some(401 | 403)) { 2 } else { 1 };
        config.interceptor_state().store_put(RetryConfig::standard().with_max_attempts(attempts));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
