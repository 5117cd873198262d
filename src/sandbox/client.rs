//! The sandbox as the SDK's HTTP client: calls go through the SDK's own serializers, signers and retries, and never touch a
//! socket.

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::result::ConnectorError;
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use bytes::Bytes;
use http::{Request, Response};

use super::{Reply, Sandbox};

/// An HTTP client whose every request this sandbox answers.
#[must_use]
pub fn http_client(sandbox: Sandbox) -> SharedHttpClient {
    SharedHttpClient::new(Client(sandbox))
}

#[derive(Debug, Clone)]
struct Client(Sandbox);

impl HttpClient for Client {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl HttpConnector for Client {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let sandbox = self.0.clone();
        HttpConnectorFuture::new(async move {
            let request = into_http(&request)?;
            match sandbox.respond(&request).await {
                Ok(Reply::Answer(response)) => from_http(response),
                Ok(Reply::Truncated(response)) => from_http(response.map(|whole| whole.slice(..whole.len() / 2))),
                Ok(Reply::Dropped) => Err(ConnectorError::io("the sandbox's weather broke the connection".into())),
                Ok(Reply::Refused) => {
                    Err(ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionRefused).into()))
                }
                Err(error) => Err(ConnectorError::other(error.into(), None)),
            }
        })
    }
}

pub(super) fn into_http(request: &HttpRequest) -> Result<Request<Bytes>, ConnectorError> {
    let unusable = |error: Box<dyn std::error::Error + Send + Sync>| ConnectorError::user(error);
    let body = request.body().bytes().ok_or_else(|| unusable("the sandbox takes no streamed body".into()))?;
    let mut built = Request::builder().method(request.method()).uri(request.uri());
    for (name, value) in request.headers() {
        built = built.header(name, value);
    }
    built.body(Bytes::copy_from_slice(body)).map_err(|error| unusable(error.into()))
}

pub(super) fn from_http(response: Response<Bytes>) -> Result<HttpResponse, ConnectorError> {
    let (parts, body) = response.into_parts();
    let response = Response::from_parts(parts, SdkBody::from(body));
    HttpResponse::try_from(response).map_err(|error| ConnectorError::other(error.into(), None))
}

/// What a test's clients of this sandbox begin with; it adds what it is about.
#[cfg(test)]
pub(crate) fn config(sandbox: &Sandbox, region: &str) -> aws_types::sdk_config::Builder {
    let credentials = aws_credential_types::Credentials::new("a", "b", None, None, "test");
    aws_config::SdkConfig::builder()
        .behavior_version(aws_config::BehaviorVersion::latest())
        .region(aws_config::Region::new(region.to_owned()))
        .credentials_provider(aws_credential_types::provider::SharedCredentialsProvider::new(credentials))
        .http_client(http_client(sandbox.clone()))
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use aws_config::SdkConfig;
    use aws_smithy_runtime_api::client::result::SdkError;
    use aws_smithy_types::error::metadata::ProvideErrorMetadata;
    use aws_smithy_types::retry::RetryConfig;
    use aws_smithy_types::timeout::TimeoutConfig;

    use super::*;

    fn config(sandbox: &Sandbox) -> SdkConfig {
        super::config(sandbox, "us-east-1").retry_config(RetryConfig::disabled()).build()
    }

    #[tokio::test]
    async fn the_sdk_is_understood_and_understands() {
        let sandbox = Sandbox::in_memory();
        let config = config(&sandbox);
        let caller = aws_sdk_sts::Client::new(&config).get_caller_identity().send().await.unwrap();
        assert_eq!(caller.account(), Some("123456789012"));
        let ssm = aws_sdk_ssm::Client::new(&config);
        let kind = aws_sdk_ssm::types::ParameterType::SecureString;
        ssm.put_parameter().name("/a/B").value("ä $x").r#type(kind).send().await.unwrap();
        let found = ssm.get_parameters_by_path().path("/a").with_decryption(true).send().await.unwrap();
        assert_eq!(found.parameters()[0].value(), Some("ä $x"));
    }

    #[tokio::test]
    async fn a_lost_answer_leaves_its_effect_and_a_call_that_never_came_none() {
        let sandbox = Sandbox::in_memory();
        let ssm = aws_sdk_ssm::Client::new(&config(&sandbox));
        let put =
            |name: &str| ssm.put_parameter().name(name).value("1").r#type(aws_sdk_ssm::types::ParameterType::String);
        sandbox.say("fail PutParameter drop 1");
        assert!(put("/a/B").send().await.unwrap_err().into_service_error().to_string().contains("unhandled"));
        for fault in ["cut", "refuse"] {
            sandbox.say(&format!("fail PutParameter {fault} 1"));
            assert!(matches!(put("/a/C").send().await, Err(SdkError::DispatchFailure(failure)) if failure.is_io()));
        }
        let found = ssm.get_parameters_by_path().path("/a").send().await.unwrap();
        let names: Vec<_> = found.parameters().iter().filter_map(|p| p.name()).collect();
        assert_eq!(names, ["/a/B"]);
    }

    #[tokio::test]
    async fn an_answer_that_breaks_off_leaves_its_effect() {
        let sandbox = Sandbox::in_memory();
        let ssm = aws_sdk_ssm::Client::new(&config(&sandbox));
        let put = ssm.put_parameter().name("/a/B").value("1").r#type(aws_sdk_ssm::types::ParameterType::String);
        sandbox.say("fail PutParameter truncate 1");
        assert!(put.clone().send().await.is_err());
        assert!(put.send().await.unwrap_err().into_service_error().is_parameter_already_exists());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_is_held_outlasts_the_clients_patience_before_and_after_the_effect() {
        let sandbox = Sandbox::in_memory();
        let patience = TimeoutConfig::builder().operation_attempt_timeout(Duration::from_secs(30)).build();
        let config = config(&sandbox).into_builder().timeout_config(patience).build();
        let ssm = aws_sdk_ssm::Client::new(&config);
        for (word, stands) in [("hold", 0), ("hold-after", 1)] {
            sandbox.say(&format!("fail PutParameter {word} 1"));
            let put = ssm.put_parameter().name("/a/B").value("1").r#type(aws_sdk_ssm::types::ParameterType::String);
            let began = tokio::time::Instant::now();
            assert!(matches!(put.send().await.unwrap_err(), SdkError::TimeoutError(_)), "{word}");
            assert!(began.elapsed() >= Duration::from_secs(30), "{word}");
            let found = ssm.get_parameters_by_path().path("/a").send().await.unwrap();
            assert_eq!(found.parameters().len(), stands, "{word}");
        }
    }

    #[tokio::test]
    async fn each_service_throttles_with_a_code_of_its_own() {
        let sandbox = Sandbox::in_memory();
        let config = config(&sandbox);
        let status = |error: &aws_smithy_runtime_api::client::orchestrator::HttpResponse| error.status().as_u16();
        sandbox.say("fail * throttle 3");
        let ec2 = aws_sdk_ec2::Client::new(&config).describe_vpcs().send().await.unwrap_err();
        assert_eq!((ec2.code(), ec2.raw_response().map(status)), (Some("RequestLimitExceeded"), Some(503)));
        let iam = aws_sdk_iam::Client::new(&config).list_roles().send().await.unwrap_err();
        assert_eq!((iam.code(), iam.raw_response().map(status)), (Some("Throttling"), Some(400)));
        let ssm = aws_sdk_ssm::Client::new(&config).describe_parameters().send().await.unwrap_err();
        assert_eq!((ssm.code(), ssm.raw_response().map(status)), (Some("ThrottlingException"), Some(400)));
    }

    #[tokio::test]
    async fn a_refusal_reaches_the_caller_with_its_code() {
        let sandbox = Sandbox::in_memory();
        let config = config(&sandbox);
        let put = aws_sdk_ssm::Client::new(&config).put_parameter().name("/a/B").value("1");
        let put = put.r#type(aws_sdk_ssm::types::ParameterType::String);
        // A parameter that AWS has and the sandbox does not model.
        let error = put.clone().allowed_pattern("^1$").send().await.unwrap_err();
        assert_eq!(error.code(), Some("ValidationException"));
        assert!(error.message().is_some_and(|message| message.contains("AllowedPattern")));
        sandbox.say("fail PutParameter 429 1");
        assert_eq!(put.clone().send().await.unwrap_err().code(), Some("ThrottlingException"));
        assert!(put.send().await.is_ok());
        let role = aws_sdk_iam::Client::new(&config).get_role().role_name("r").send().await.unwrap_err();
        assert!(role.into_service_error().is_no_such_entity_exception());
        let quotas = aws_sdk_servicequotas::Client::new(&config);
        let quota = quotas.get_service_quota().service_code("ec2").quota_code("L-3819A6DF").send().await.unwrap();
        assert!(quota.quota().is_some_and(|quota| quota.value().is_some()));
    }

    #[tokio::test]
    async fn the_sdk_reads_what_a_check_of_the_account_asks() {
        let sandbox = Sandbox::in_memory();
        let config = config(&sandbox);
        let key = "arn:aws:kms:us-east-1:123456789012:key/01234567-89ab-cdef-0123-456789abcdef";
        sandbox.say(&format!("ebs-key {key} granted"));
        let ec2 = aws_sdk_ec2::Client::new(&config);
        let is_on = ec2.get_ebs_encryption_by_default().send().await.unwrap();
        assert_eq!(is_on.ebs_encryption_by_default(), Some(true));
        let default = ec2.get_ebs_default_kms_key_id().send().await.unwrap();
        assert_eq!(default.kms_key_id(), Some(key));
        let kms = aws_sdk_kms::Client::new(&config);
        let described = kms.describe_key().key_id(key).send().await.unwrap();
        let managed_by = described.key_metadata().and_then(|key| key.key_manager());
        assert_eq!(managed_by, Some(&aws_sdk_kms::types::KeyManagerType::Customer));
        let grants: Vec<_> =
            kms.list_grants().key_id(key).limit(1).into_paginator().items().send().try_collect().await.unwrap();
        let principals: Vec<_> = grants.iter().filter_map(|grant| grant.grantee_principal()).collect();
        assert!(principals.len() == 2 && principals.iter().any(|arn| arn.ends_with("/AWSServiceRoleForEC2Spot")));
        let iam = aws_sdk_iam::Client::new(&config);
        let simulated = iam.simulate_principal_policy().policy_source_arn("arn:aws:iam::123456789012:user/sandbox");
        let simulated = simulated.action_names("ec2:RunInstances").send().await.unwrap();
        let allowed = aws_sdk_iam::types::PolicyEvaluationDecisionType::Allowed;
        assert_eq!(simulated.evaluation_results()[0].eval_decision(), &allowed);
    }

    #[tokio::test(start_paused = true)]
    async fn latency_is_time_that_passes_beside_other_calls() {
        let sandbox = Sandbox::in_memory();
        sandbox.say("latency 50ms");
        let sts = aws_sdk_sts::Client::new(&config(&sandbox));
        let began = tokio::time::Instant::now();
        let (one, other) = futures::join!(sts.get_caller_identity().send(), sts.get_caller_identity().send());
        assert!(one.is_ok() && other.is_ok());
        let took = began.elapsed();
        assert!(took >= Duration::from_millis(50) && took < Duration::from_millis(100), "{took:?}");
    }

    #[test]
    fn two_at_once_on_one_file_lose_nothing() {
        let folder = tempfile::TempDir::new().unwrap();
        let state = folder.path().join("sub/sandbox.json");
        let threads: Vec<_> = (0..4)
            .map(|thread| {
                let sandbox = Sandbox::open(state.clone()).unwrap();
                std::thread::spawn(move || {
                    for index in 0..10 {
                        sandbox
                            .change(|world| world.weather.prices.insert(format!("{thread} {index}"), String::new()))
                            .unwrap();
                    }
                })
            })
            .collect();
        for thread in threads {
            thread.join().unwrap();
        }
        assert_eq!(Sandbox::open(state).unwrap().weather().unwrap().prices.len(), 40);
    }
}
