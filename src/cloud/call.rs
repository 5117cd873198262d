//! One wrapper round every call: a trace line, AWS's code and request id, a class.

use std::error::Error as _;
use std::fmt::Debug;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_runtime_api::box_error::BoxError;
use aws_smithy_runtime_api::client::interceptors::context::BeforeDeserializationInterceptorContextRef;
use aws_smithy_runtime_api::client::interceptors::{Intercept, dyn_dispatch_hint};
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::config_bag::ConfigBag;
use jiff::Timestamp;
use jiff::fmt::rfc2822::DateTimeParser;

use crate::decide::classify::{Class, classify, is_clock, is_denied, is_expired, is_free_plan};
use crate::decide::permissions::ENCODED;
use crate::error::{Error, Kind};

/// What helps against a wrong clock.
pub const SET_CLOCK: &str = "set the clock: sudo timedatectl set-ntp true, or on macOS: sudo sntp -sS time.apple.com";

/// How rustls begins to say that it does not trust a certificate.
const UNTRUSTED: &str = "invalid peer certificate";

/// A call that did not succeed.
#[derive(Debug, Clone)]
pub struct Failure {
    /// AWS's name of the operation.
    pub operation: &'static str,
    /// What it means.
    pub class: Class,
    /// AWS's error code; `None` where there was no answer.
    pub code: Option<String>,
    /// AWS's sentence, or the network's.
    pub message: String,
    /// AWS's request id.
    pub request_id: Option<String>,
    /// No credentials were found, as opposed to refused ones.
    pub without_credentials: bool,
}

/// Makes one call and says at `-v` that it was made. Inputs and outputs are never logged: parameters are secrets.
///
/// # Errors
/// Whatever the SDK answered, classified.
pub fn call<T, E>(
    operation: &'static str,
    request: impl Future<Output = Result<T, SdkError<E, HttpResponse>>>,
) -> impl Future<Output = Result<T, Failure>>
where
    E: ProvideErrorMetadata + std::error::Error + Debug + 'static,
{
    // The SDK's futures are tens of kilobytes; on the heap at once, they do not swell every caller's.
    let request = Box::pin(request);
    async move {
        let began = Instant::now();
        classified(operation, began, request.await)
    }
}

pub(super) fn classified<T, E>(
    operation: &'static str,
    began: Instant,
    answer: Result<T, SdkError<E, HttpResponse>>,
) -> Result<T, Failure>
where
    E: ProvideErrorMetadata + std::error::Error + Debug + 'static,
{
    let answer = answer.map_err(|error| Failure::from_sdk(operation, &error));
    let took = began.elapsed();
    match &answer {
        Ok(_) => tracing::info!(operation, ?took, "called"),
        Err(failure) => {
            let code = failure.code.as_deref().unwrap_or("-");
            tracing::info!(operation, ?took, code, request_id = failure.request_id.as_deref(), "failed");
        }
    }
    answer
}

impl Failure {
    /// What AWS did not call a failure and is one: an answer that cannot be, or that means no.
    pub(crate) fn of_answer(operation: &'static str, class: Class, message: impl Into<String>) -> Self {
        Self { operation, class, code: None, message: message.into(), request_id: None, without_credentials: false }
    }

    fn from_sdk<E>(operation: &'static str, error: &SdkError<E, HttpResponse>) -> Self
    where
        E: ProvideErrorMetadata + std::error::Error + Debug + 'static,
    {
        let status = error.raw_response().map_or(0, |response| response.status().as_u16());
        let header = |name| error.raw_response().and_then(|response| response.headers().get(name)).map(str::to_owned);
        let request_id = error
            .as_service_error()
            .and_then(|service| service.meta().extra("aws_request_id").map(str::to_owned))
            .or_else(|| header("x-amzn-requestid"))
            .or_else(|| header("x-amz-request-id"));
        let code = error.as_service_error().and_then(ProvideErrorMetadata::code).map(str::to_owned);
        let without_credentials = chain(error).any(|cause| cause.downcast_ref::<CredentialsError>().is_some());
        let (class, message) = match (&code, error) {
            (Some(code), SdkError::ServiceError(service)) => {
                let message = service.err().message().unwrap_or("no message").to_owned();
                let date = header("date").as_deref().and_then(date);
                let off = date.map(|date| Timestamp::now().as_second() - date.as_second());
                match off {
                    off if !is_clock(code, &message, off) => (classify(code, &message, status), message),
                    None => (Class::Clock, format!("{message}; this machine's clock is wrong")),
                    Some(off) => {
                        let word = if off < 0 { "behind" } else { "ahead of" };
                        let off = off.unsigned_abs();
                        (Class::Clock, format!("{message}; this machine's clock is {off} s {word} AWS's"))
                    }
                }
            }
            _ if without_credentials => (Class::Access, innermost(error)),
            // An error without a code: a body cut short, a proxy's page. What it did is unknown.
            (None, SdkError::ServiceError(_)) => {
                let class = match status {
                    429 => Class::Throttled,
                    401 | 403 => Class::Access,
                    _ => Class::Server,
                };
                (class, format!("HTTP {status} without an error code"))
            }
            _ => (Class::Network, innermost(error)),
        };
        Self { operation, class, code, message, request_id, without_credentials }
    }

    /// Whether AWS knows who asks and does not allow it, as opposed to credentials that are missing, wrong or expired.
    #[must_use]
    pub fn is_denied(&self) -> bool {
        self.class == Class::Access && self.code.as_deref().is_some_and(is_denied)
    }

    /// The failure as users read it; `doing` says what was being done, to what.
    #[must_use]
    pub fn doing(self, doing: &str) -> Error {
        if self.without_credentials {
            let mut error = Error::new(Kind::Access, format!("{doing}: no AWS credentials ({})", self.message));
            error.operation = Some(self.operation);
            return error
                .hint("AWS looks in: AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, AWS_PROFILE or --profile in ~/.aws/config, SSO (aws sso login), web identity, the container's and the instance's role")
                .hint("without an account: spotctl --sandbox up");
        }
        // For `sts:DecodeAuthorizationMessage`, thousands of characters long; the sentence before it says what is missing.
        let sentence = self.message.split(ENCODED).next().unwrap_or_default().trim_end();
        let said = match &self.code {
            Some(code) => format!("{sentence} ({code})"),
            None => sentence.to_owned(),
        };
        let mut error = Error::new(self.class.kind(), format!("{doing}: {} answered: {said}", self.operation));
        if self.class == Class::Network {
            error.message = format!("{doing}: no answer to {}: {said}", self.operation);
            if said.contains(UNTRUSTED) {
                error = error
                    .hint("behind a proxy that looks into TLS, name the file with its CA: export AWS_CA_BUNDLE=FILE");
            }
        }
        if is_free_plan(&self.message) {
            error = error.hint("the account is on the free plan, which has no GPU types at all, whatever its quota; upgrading the plan is free: https://console.aws.amazon.com/billing/home#/account");
        } else if self.class == Class::Clock {
            error = error.hint(SET_CLOCK);
        } else if self.code.as_deref().is_some_and(is_expired) {
            error = error.hint("the credentials have expired; sign in again (aws sso login) or name others (--profile NAME), then the same command goes on");
        } else if self.class == Class::Access && !self.code.as_deref().is_none_or(is_denied) {
            error = error.hint("AWS does not accept these credentials there: they are wrong or have expired (aws sso login), or the region is not enabled: spotctl doctor --only credentials,region");
        } else if self.class == Class::Access {
            error = error.hint(format!(
                "{} must be allowed; what spotctl needs: spotctl render policy operator",
                self.operation
            ));
        }
        error.code = self.code;
        error.request_id = self.request_id;
        error.operation = Some(self.operation);
        error
    }
}

/// What a `Date` header says.
fn date(text: &str) -> Option<Timestamp> {
    DateTimeParser::new().parse_timestamp(text).ok()
}

/// AWS's clock, as the `Date` header of the last answer told it. What is decided by the time that AWS stamps on things has to be
/// decided by this one: the SDK signs anew where this machine's clock is wrong, so that nothing else says it.
#[derive(Debug, Clone, Default)]
pub struct Clock(Arc<Mutex<Option<Told>>>);

/// What AWS's clock said, and when that was by this machine's own.
#[derive(Debug, Clone, Copy)]
struct Told {
    theirs: Timestamp,
    ours: Timestamp,
}

impl Clock {
    /// What it said last; `None` without an answer that told.
    pub(super) fn told(&self) -> Option<Timestamp> {
        self.last().map(|told| told.theirs)
    }

    /// What it says now, to a second; this machine's own where AWS has not told.
    #[must_use]
    pub fn now(&self) -> Timestamp {
        let now = Timestamp::now();
        let theirs = self.last().and_then(|told| now.checked_add(told.ours.duration_until(told.theirs)).ok());
        theirs.unwrap_or(now)
    }

    fn last(&self) -> Option<Told> {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[dyn_dispatch_hint]
impl Intercept for Clock {
    fn name(&self) -> &'static str {
        "AWS's clock"
    }

    fn read_before_deserialization(
        &self,
        context: &BeforeDeserializationInterceptorContextRef<'_>,
        _: &RuntimeComponents,
        _: &mut ConfigBag,
    ) -> Result<(), BoxError> {
        let date = context.response().headers().get("date").and_then(date);
        // What does not tell, such as a proxy's page, leaves what was told before.
        if let Some(theirs) = date {
            let told = Told { theirs, ours: Timestamp::now() };
            *self.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(told);
        }
        Ok(())
    }
}

type Cause<'a> = &'a (dyn std::error::Error + 'static);

fn chain(error: Cause<'_>) -> impl Iterator<Item = Cause<'_>> {
    // Through both references, or the compiler takes the short-lived one's `source`.
    std::iter::successors(Some(error), |error| (**error).source())
}

/// The last cause is the one that says something (`connection refused`); those before it name SDK layers.
pub(super) fn innermost<E, R>(error: &SdkError<E, R>) -> String
where
    E: std::error::Error + 'static,
    R: Debug + 'static,
{
    let last = error.source().map(|source| chain(source).last().map_or_else(String::new, ToString::to_string));
    last.filter(|text| !text.is_empty()).unwrap_or_else(|| error.to_string())
}
