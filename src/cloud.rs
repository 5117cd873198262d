//! The edge to AWS: the only maker of clients, the one wrapper round every call, the one poll loop.
//!
//! Above this module nothing sees an SDK error: a call that failed is a [`Failure`] with AWS's code, request id and a
//! [`Class`]. What is asked again, how often and until when is [`retry`]'s, for every call but the launch, because EC2 answers
//! "no capacity" as HTTP 500, which the SDK's retry repeats in silence; [`Cloud::launcher`] has none.

use std::path::Path;
use std::time::Duration;

use aws_config::retry::RetryConfig;
use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_sdk_sts::operation::get_caller_identity::GetCallerIdentityOutput;
use aws_types::service_config::ServiceConfigKey;
use jiff::Timestamp;

use crate::error::{Error, Kind, Result};
use crate::sandbox;
use crate::settings::{SANDBOX_STATE, Settings};

pub mod bucket;
pub mod call;
pub mod dry_run;
mod http;
pub mod pages;
pub mod poll;
pub mod retry;

pub use call::{Clock, Failure, call};
pub use pages::{A_PAGE, each_page, pages};
use retry::{Deadline, Policy};

/// How long a connection may take to come about.
const CONNECT: Duration = Duration::from_secs(5);
/// How long one attempt may take; AWS answers the calls made here within two seconds.
const ATTEMPT: Duration = Duration::from_secs(30);

/// How long an answer is waited for.
pub(crate) fn patience() -> TimeoutConfig {
    TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build()
}

/// AWS in one account and region.
#[derive(Debug, Clone)]
pub struct Cloud {
    /// EC2.
    pub ec2: aws_sdk_ec2::Client,
    /// EC2 without the SDK's retry, for `RunInstances` alone.
    pub launcher: aws_sdk_ec2::Client,
    /// Parameter Store.
    pub ssm: aws_sdk_ssm::Client,
    /// IAM, which is global.
    pub iam: aws_sdk_iam::Client,
    /// Service Quotas.
    pub quotas: aws_sdk_servicequotas::Client,
    /// Who we are.
    pub sts: aws_sdk_sts::Client,
    /// The Price List API, which answers in three regions only, for all of them.
    pub pricing: aws_sdk_pricing::Client,
    /// ECR, for what the worker will pull.
    pub ecr: aws_sdk_ecr::Client,
    /// SQS, for the queues that the worker may use.
    pub sqs: aws_sdk_sqs::Client,
    /// KMS, for the grant on a key of the account's own.
    pub kms: aws_sdk_kms::Client,
    /// The region every regional client talks to.
    pub region: String,
    /// When the command has to be done.
    pub deadline: Deadline,
    /// EC2's clock.
    pub clock: Clock,
    config: SdkConfig,
}

impl Cloud {
    /// Makes the clients. Nothing is called yet, credentials are looked for at the first call.
    ///
    /// # Errors
    /// No region anywhere or one that is none, the sandbox's state cannot be opened, or an endpoint, a CA bundle or a proxy that is none.
    pub async fn connect(settings: &Settings) -> Result<Self> {
        #[cfg(test)]
        if let Some(config) = settings.region.as_deref().and_then(sandbox::hostile::config) {
            return Self::from_config(&config);
        }
        let mut loader =
            aws_config::defaults(BehaviorVersion::latest()).retry_config(retry::base()).timeout_config(patience());
        if let Some(region) = &settings.region {
            loader = loader.region(Region::new(region.clone()));
        }
        if let Some(profile) = &settings.profile {
            loader = loader.profile_name(profile);
        }
        if let Some(url) = &settings.endpoint_url {
            loader = loader.endpoint_url(url);
        }
        loader = if settings.sandbox {
            let sandbox = sandbox::Sandbox::open(Path::new(SANDBOX_STATE).to_owned())
                .map_err(|error| Error::usage(format!("opening the sandbox in `{SANDBOX_STATE}`: {error}")))?;
            loader
                .credentials_provider(Credentials::new("SANDBOX", "sandbox", None, None, "sandbox"))
                .http_client(sandbox::client::http_client(sandbox))
        } else {
            loader.http_client(http::client(settings.profile.as_deref()).await?)
        };
        let config = loader.load().await;
        check_endpoints(&config)?;
        Self::from_config(&config)
    }

    /// Makes the clients from a ready configuration; the tests' way in.
    ///
    /// # Errors
    /// No region.
    pub fn from_config(config: &SdkConfig) -> Result<Self> {
        Self::with_deadline(config, Deadline::default())
    }

    fn with_deadline(config: &SdkConfig, deadline: Deadline) -> Result<Self> {
        let region = config.region().map(ToString::to_string).ok_or_else(|| {
            Error::usage("no AWS region: neither `--region`, `AWS_REGION`, the file nor the AWS profile names one")
                .hint("add `region: us-east-1` to the file, or pass --region us-east-1")
        })?;
        if region.is_empty() || !region.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-') {
            return Err(Error::usage(format!("`{region}` is no AWS region")).hint("one is such as us-east-1"));
        }
        let (policy, partition) = (Policy(deadline.clone()), retry::partition());
        let clock = Clock::default();
        /// The builder of a service's client, with the policy.
        macro_rules! by_policy {
            ($service:ident) => {
                $service::config::Builder::from(config)
                    .interceptor(policy.clone())
                    .retry_classifier(retry::Busy)
                    .retry_partition(partition.clone())
            };
        }
        /// The client itself.
        macro_rules! client {
            ($service:ident) => {
                $service::Client::from_conf(by_policy!($service).build())
            };
        }
        let launcher = aws_sdk_ec2::config::Builder::from(config)
            .retry_config(RetryConfig::standard().with_max_attempts(2))
            .interceptor(retry::Once)
            .build();
        Ok(Self {
            ec2: aws_sdk_ec2::Client::from_conf(by_policy!(aws_sdk_ec2).interceptor(clock.clone()).build()),
            launcher: aws_sdk_ec2::Client::from_conf(launcher),
            ssm: client!(aws_sdk_ssm),
            iam: client!(aws_sdk_iam),
            quotas: client!(aws_sdk_servicequotas),
            sts: client!(aws_sdk_sts),
            pricing: aws_sdk_pricing::Client::from_conf(
                by_policy!(aws_sdk_pricing)
                    .region(aws_sdk_pricing::config::Region::new(price_list_region(&region)))
                    .build(),
            ),
            ecr: client!(aws_sdk_ecr),
            sqs: client!(aws_sdk_sqs),
            kms: client!(aws_sdk_kms),
            region,
            deadline,
            clock,
            config: config.clone(),
        })
    }

    /// The same account in another region, with the same credentials, retries and connections.
    ///
    /// # Errors
    /// Never for a region with a name.
    pub fn in_region(&self, region: &str) -> Result<Self> {
        if region == self.region {
            return Ok(self.clone());
        }
        let config = self.config.clone().into_builder().region(Region::new(region.to_owned())).build();
        Self::with_deadline(&config, self.deadline.clone())
    }

    /// The address that somebody gave in the place of AWS's own, by flag, environment or profile.
    #[must_use]
    pub fn endpoint(&self) -> Option<&str> {
        self.config.endpoint_url()
    }

    /// The account and the partition (`aws`, `aws-cn`, `aws-us-gov`) of the credentials.
    ///
    /// # Errors
    /// The call's failure.
    pub async fn caller(&self) -> Result<Caller> {
        self.caller_and_clock().await.0
    }

    /// The same with AWS's clock, which a refusal tells too: what is refused is often a signature of the wrong time.
    pub async fn caller_and_clock(&self) -> (Result<Caller>, Option<Timestamp>) {
        let clock = Clock::default();
        let request = self.sts.get_caller_identity().customize().interceptor(clock.clone());
        let answer = call("GetCallerIdentity", request.send()).await;
        (answer.map_err(|failure| failure.doing("asking who the credentials belong to")).map(caller), clock.told())
    }
}

/// What the variables and the profile say is found by each client itself, which panics at an empty address and takes another wrong
/// one for an AWS that does not answer.
fn check_endpoints(config: &SdkConfig) -> Result<()> {
    const SERVICES: [&str; 9] = ["EC2", "SSM", "IAM", "Service Quotas", "STS", "Pricing", "ECR", "SQS", "KMS"];
    let refuse = |whose: &str, url: &str| {
        Error::usage(format!("the endpoint of {whose} is no address: `{url}`")).hint(
            "one is such as http://127.0.0.1:4566, in --endpoint-url, in AWS_ENDPOINT_URL or in the profile's endpoint_url; \
             what is not meant has to be unset, not empty",
        )
    };
    if let Some(url) = config.endpoint_url() {
        return if is_address(url) { Ok(()) } else { Err(refuse("all services", url)) };
    }
    let told = |service| {
        let key = ServiceConfigKey::builder().service_id(service).env("AWS_ENDPOINT_URL").profile("endpoint_url");
        key.build().ok().and_then(|key| config.service_config()?.load_config(key))
    };
    let wrong = SERVICES.into_iter().find_map(|service| Some((service, told(service).filter(|url| !is_address(url))?)));
    wrong.map_or(Ok(()), |(service, url)| Err(refuse(service, &url)))
}

/// Whether calls can be sent there.
fn is_address(url: &str) -> bool {
    let is_web = |uri: &::http::Uri| matches!(uri.scheme_str(), Some("http" | "https"));
    url.parse().is_ok_and(|uri: ::http::Uri| is_web(&uri) && uri.host().is_some_and(|host| !host.is_empty()))
}

#[expect(clippy::needless_pass_by_value, reason = "it is what `map` hands over")]
fn caller(answer: GetCallerIdentityOutput) -> Caller {
    let arn = answer.arn().unwrap_or_default();
    Caller {
        account: answer.account().unwrap_or_default().to_owned(),
        partition: arn.split(':').nth(1).filter(|part| !part.is_empty()).unwrap_or("aws").to_owned(),
        arn: arn.to_owned(),
    }
}

/// The nearest region where the Price List API answers (its documentation: `us-east-1`, `eu-central-1`, `ap-south-1`, and
/// `cn-northwest-1` for China). The prices are the same everywhere.
fn price_list_region(region: &str) -> &'static str {
    match region.split('-').next() {
        Some("eu" | "me" | "af" | "il") => "eu-central-1",
        Some("ap") => "ap-south-1",
        Some("cn") => "cn-northwest-1",
        _ => "us-east-1",
    }
}

/// Whose credentials these are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// Twelve digits.
    pub account: String,
    /// `aws`, `aws-cn` or `aws-us-gov`.
    pub partition: String,
    /// The user or the assumed role.
    pub arn: String,
}

/// What an answer lacks that AWS always sends.
pub(crate) fn lacking(field: &str, operation: &str) -> Error {
    Error::new(Kind::Aws, format!("the answer to {operation} lacks `{field}`"))
}
