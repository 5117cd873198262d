//! From an HTTP request to a service and back, in AWS's wire protocols.
//!
//! The service and the region are those of the signature's credential scope, and its key says who asks. The signature itself
//! is not checked: anybody's credentials will do, which is why the sandbox listens on loopback only. One question
//! needs no signature, and is answered before any service: see [`s3`].

use bytes::Bytes;
use http::{Request, Response, header};
use jiff::Timestamp;
use serde_json::json;

use super::call::{AwsError, Call};
use super::ec2::{catalog, regions};
use super::signature::{self, Dialect};
use super::wire::query::{Query, pairs};
use super::wire::xml::{Element, leaf, node};
use super::world::World;
use super::{authorize, ec2, ecr, iam, kms, pricing, s3, service_quotas, sqs, ssm, sts};

const EC2: &str = "http://ec2.amazonaws.com/doc/2016-11-15/";
const IAM: &str = "https://iam.amazonaws.com/doc/2010-05-08/";
const STS: &str = "https://sts.amazonaws.com/doc/2011-06-15/";

/// Which service a request is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Service {
    Ec2,
    Iam,
    Sts,
    Ssm,
    Quotas,
    Sqs,
    Ecr,
    Pricing,
    Kms,
}

impl Service {
    fn named(name: &str) -> Option<Self> {
        Some(match name {
            "ec2" => Self::Ec2,
            "iam" => Self::Iam,
            "sts" => Self::Sts,
            "ssm" => Self::Ssm,
            "servicequotas" => Self::Quotas,
            "sqs" => Self::Sqs,
            "ecr" => Self::Ecr,
            "pricing" => Self::Pricing,
            "kms" => Self::Kms,
            _ => return None,
        })
    }

    const ALL: [Self; 9] =
        [Self::Ec2, Self::Iam, Self::Sts, Self::Ssm, Self::Quotas, Self::Sqs, Self::Ecr, Self::Pricing, Self::Kms];

    fn dialect(self) -> Dialect {
        match self {
            Self::Ec2 => Dialect::Ec2,
            Self::Iam | Self::Sts => Dialect::Query,
            _ => Dialect::Json,
        }
    }

    fn speaks_json(self) -> bool {
        matches!(self, Self::Ssm | Self::Quotas | Self::Sqs | Self::Ecr | Self::Pricing | Self::Kms)
    }

    /// One that speaks as the client does, for refusals before it is known whom the request is for: a client that speaks
    /// JSON finds no code in XML.
    fn speaking_like(request: &Request<Bytes>) -> Self {
        if request.headers().contains_key("x-amz-target") { Self::Ssm } else { Self::Sts }
    }
}

/// What the credential of a signature says, `AKID/20261124/us-east-1/ec2/aws4_request`: key, region, service.
pub(super) fn credential(request: &Request<Bytes>) -> Option<[&str; 3]> {
    let header = request.headers().get(header::AUTHORIZATION)?.to_str().ok()?;
    let credential = header.split("Credential=").nth(1)?.split(',').next()?;
    let mut parts = credential.split('/');
    let (key, _date) = (parts.next()?, parts.next()?);
    Some([key, parts.next()?, parts.next()?])
}

fn scope(request: &Request<Bytes>) -> Option<(String, String)> {
    credential(request).map(|[_, region, service]| (region.to_owned(), service.to_owned()))
}

/// The operation a request asks for.
#[must_use]
pub fn operation(request: &Request<Bytes>) -> Option<String> {
    if s3::asked(request).is_some() {
        return Some(s3::HEAD_BUCKET.to_owned());
    }
    if let Some(target) = request.headers().get("x-amz-target") {
        return target.to_str().ok()?.split('.').next_back().map(str::to_owned);
    }
    pairs(request.body()).into_iter().find(|(key, _)| key == "Action").map(|(_, action)| action)
}

/// Answers a request. A refusal leaves the world as it was.
pub fn answer(world: &mut World, request: &Request<Bytes>, now: Timestamp) -> Response<Bytes> {
    let request_id = world.new_uuid();
    if let Some(bucket) = s3::asked(request) {
        return s3::head(&world.account, bucket, &request_id);
    }
    let Some((region, name)) = scope(request) else {
        let error = AwsError::new("MissingAuthenticationToken", "Request is missing Authentication Token").status(403);
        return failure(Service::speaking_like(request), &error, &request_id);
    };
    let Some(service) = Service::named(&name) else {
        let message = format!("The service {name} is not part of this sandbox: it models what spotctl uses");
        return failure(Service::speaking_like(request), &AwsError::new("UnknownService", message), &request_id);
    };
    match carry_out(world, request, (service, region), now) {
        Ok(body) => success(service, request, body, &request_id),
        Err(error) => failure(service, &error, &request_id),
    }
}

/// What a service answered, still without its envelope.
enum Body {
    Xml(String, Vec<Element>),
    Json(serde_json::Value),
}

fn carry_out(
    world: &mut World,
    request: &Request<Bytes>,
    (service, region): (Service, String),
    now: Timestamp,
) -> Result<Body, AwsError> {
    let operation = operation(request).ok_or_else(|| {
        AwsError::new("MissingAction", "The request names no operation: neither Action nor X-Amz-Target")
    })?;
    answers_in(world, service, &region)?;
    signature::check(world, request, service.dialect(), now)?;
    if !world.weather.spend(&format!("{region} {service:?}"), &operation, now) {
        return Err(throttled(service));
    }
    // On a copy, so that a refusal changes nothing, whatever the operation had done by then. It shares what is not changed.
    let mut next = world.clone();
    if !next.iam.is_furnished {
        iam::furnish(&mut next.iam, now);
    }
    let mut call = Call { world: &mut next, region, now, operation };
    let caller = authorize::check(&mut call, request)?;
    let body = if service.speaks_json() {
        Body::Json(ask_json(service, &mut call, request.body())?)
    } else {
        let input = Query::parse(request.body());
        let children = ask_query(service, &mut call, &input, &caller)?;
        if let Some(name) = input.unread() {
            let code = if service == Service::Ec2 { "UnknownParameter" } else { "ValidationError" };
            return Err(AwsError::new(code, format!("The parameter {name} is not recognized")));
        }
        Body::Xml(call.operation, children)
    };
    *world = next;
    Ok(body)
}

/// Whether the service can be had in this region, and by this account.
fn answers_in(world: &World, service: Service, region: &str) -> Result<(), AwsError> {
    match service {
        // They are the same from everywhere, and no region of the account's.
        Service::Pricing => return pricing::has_endpoint(region),
        Service::Iam if catalog::all_regions().iter().any(|known| known == region) => return Ok(()),
        _ => {}
    }
    if !catalog::all_regions().iter().any(|known| known == region) {
        let known = regions::usable(world).join(", ");
        let message = format!("The region {region} is not part of this sandbox; there are {known}");
        return Err(AwsError::new("AuthFailure", message));
    }
    if regions::is_on(world, region) {
        return Ok(());
    }
    let invalid = "The security token included in the request is invalid";
    Err(match service {
        Service::Ec2 => {
            let message = "AWS was not able to validate the provided access credentials";
            AwsError::new("AuthFailure", message).status(401)
        }
        Service::Iam | Service::Sts | Service::Sqs => AwsError::new("InvalidClientTokenId", invalid).status(403),
        _ => AwsError::new("UnrecognizedClientException", invalid).status(403),
    })
}

fn ask_query(
    service: Service,
    call: &mut Call<'_>,
    input: &Query,
    caller: &sts::Caller,
) -> Result<Vec<Element>, AwsError> {
    match service {
        Service::Ec2 => ec2::handle(call, input),
        Service::Iam => iam::handle(call, input),
        _ => sts::handle(call, input, caller),
    }
}

fn ask_json(service: Service, call: &mut Call<'_>, body: &[u8]) -> Result<serde_json::Value, AwsError> {
    match service {
        Service::Ssm => ssm::handle(call, body),
        Service::Sqs => sqs::handle(call, body),
        Service::Ecr => ecr::handle(call, body),
        Service::Pricing => pricing::handle(call, body),
        Service::Kms => kms::handle(call, body),
        _ => service_quotas::handle(call, body),
    }
}

/// Whether any service models this operation. It is asked for, on a copy, so that no list can fall behind.
pub fn knows(world: &World, operation: &str) -> bool {
    let region = catalog::regions().first().cloned().unwrap_or_default();
    let unknown = AwsError::unknown_operation(operation);
    operation == s3::HEAD_BUCKET
        || Service::ALL.into_iter().any(|service| {
            let mut copy = world.clone();
            let (region, operation) = (region.clone(), operation.to_owned());
            let mut call = Call { world: &mut copy, region, now: Timestamp::UNIX_EPOCH, operation };
            let refusal = if service.speaks_json() {
                ask_json(service, &mut call, b"").err()
            } else {
                ask_query(service, &mut call, &Query::default(), &sts::Caller::user()).err()
            };
            refusal.as_ref() != Some(&unknown)
        })
}

/// As each service says it.
fn throttled(service: Service) -> AwsError {
    match service {
        Service::Ec2 => AwsError::new("RequestLimitExceeded", "Request limit exceeded.").status(503),
        Service::Iam | Service::Sts => AwsError::new("Throttling", "Rate exceeded"),
        Service::Ssm | Service::Quotas | Service::Ecr | Service::Pricing | Service::Kms => {
            AwsError::new("ThrottlingException", "Rate exceeded")
        }
        Service::Sqs => AwsError::new("RequestThrottled", "Rate exceeded").status(403),
    }
}

/// The weather's failure, with the code that AWS has for the status.
#[must_use]
pub fn fault(request: &Request<Bytes>, status: u16) -> Response<Bytes> {
    let service = service(request);
    let error = match status {
        503 if service == Service::Ec2 => {
            AwsError::new("Unavailable", "The service is unavailable. Please try again shortly.")
        }
        503 => AwsError::new("ServiceUnavailable", "Service is unable to handle request."),
        429 => throttled(service),
        403 if service == Service::Ec2 => {
            AwsError::new("UnauthorizedOperation", "You are not authorized to perform this operation.")
        }
        403 => AwsError::new("AccessDenied", "User is not authorized to perform this operation."),
        400..=499 => AwsError::new("ValidationError", "The sandbox's weather refuses this call."),
        _ if service.speaks_json() => AwsError::new("InternalServerError", "An internal error has occurred"),
        _ => AwsError::new("InternalError", "An internal error has occurred"),
    };
    failure(service, &error.status(status), WEATHERS_ID)
}

/// The weather's throttling, as the service says it.
#[must_use]
pub fn throttling(request: &Request<Bytes>) -> Response<Bytes> {
    let service = service(request);
    failure(service, &throttled(service), WEATHERS_ID)
}

/// Another call changes the same at this moment, as the service says it; one that never does throttles.
#[must_use]
pub fn busy(request: &Request<Bytes>) -> Response<Bytes> {
    let service = service(request);
    let error = match service {
        Service::Ec2 => AwsError::new("ConcurrentTagAccess", "Another request changes the tags of this resource."),
        Service::Iam => AwsError::new("ConcurrentModification", "Multiple requests to change this object.").status(409),
        Service::Ssm => AwsError::new("TooManyUpdates", ""),
        _ => throttled(service),
    };
    failure(service, &error, WEATHERS_ID)
}

/// The request id of what the weather answers.
const WEATHERS_ID: &str = "00000000-0000-4000-8000-00000000fa11";

fn service(request: &Request<Bytes>) -> Service {
    let named = scope(request).and_then(|(_, name)| Service::named(&name));
    named.unwrap_or_else(|| Service::speaking_like(request))
}

fn success(service: Service, request: &Request<Bytes>, body: Body, request_id: &str) -> Response<Bytes> {
    match body {
        Body::Json(value) => {
            // What the client said it speaks: 1.0 or 1.1.
            let kind = request.headers().get(header::CONTENT_TYPE).and_then(|kind| kind.to_str().ok());
            let kind =
                kind.filter(|kind| kind.starts_with("application/x-amz-json")).unwrap_or("application/x-amz-json-1.1");
            respond(200, kind, value.to_string().into(), request_id)
        }
        Body::Xml(operation, mut children) => {
            let root = format!("{operation}Response");
            let (tree, namespace) = match service {
                Service::Ec2 => {
                    children.insert(0, leaf("requestId", request_id));
                    (node(root, children), EC2)
                }
                other => {
                    let metadata = node("ResponseMetadata", vec![leaf("RequestId", request_id)]);
                    let tree = node(root, vec![node(format!("{operation}Result"), children), metadata]);
                    (tree, if other == Service::Iam { IAM } else { STS })
                }
            };
            respond(200, "text/xml;charset=UTF-8", tree.document(Some(namespace)).into(), request_id)
        }
    }
}

fn failure(service: Service, error: &AwsError, request_id: &str) -> Response<Bytes> {
    let body = match service {
        Service::Ec2 => {
            let error = node("Error", vec![leaf("Code", &error.code), leaf("Message", &error.message)]);
            node("Response", vec![node("Errors", vec![error]), leaf("RequestID", request_id)]).document(None)
        }
        Service::Iam | Service::Sts => {
            let whose = if error.status >= 500 { "Receiver" } else { "Sender" };
            let parts = vec![leaf("Type", whose), leaf("Code", &error.code), leaf("Message", &error.message)];
            let namespace = if service == Service::Iam { IAM } else { STS };
            node("ErrorResponse", vec![node("Error", parts), leaf("RequestId", request_id)]).document(Some(namespace))
        }
        Service::Ssm | Service::Quotas | Service::Sqs | Service::Ecr | Service::Pricing | Service::Kms => {
            return json_failure(service, error, request_id);
        }
    };
    respond(error.status, "text/xml;charset=UTF-8", body.into(), request_id)
}

fn json_failure(service: Service, error: &AwsError, request_id: &str) -> Response<Bytes> {
    // The query services' word for an operation that is not there is another than the JSON services'.
    let code = if error.code == "InvalidAction" { "UnknownOperationException" } else { &error.code };
    let (kind, named) = match service {
        Service::Sqs => ("application/x-amz-json-1.0", format!("com.amazonaws.sqs#{code}")),
        _ => ("application/x-amz-json-1.1", code.to_owned()),
    };
    let body = json!({"__type": named, "message": error.message, "Message": error.message});
    let mut response = respond(error.status, kind, body.to_string().into(), request_id);
    let mut insert = |name, value: &str| {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    };
    insert("x-amzn-errortype", code);
    if service == Service::Sqs {
        // SQS spoke the query protocol once, and its clients still go by the codes of that time.
        let whose = if error.status >= 500 { "Receiver" } else { "Sender" };
        insert("x-amzn-query-error", &format!("{};{whose}", sqs::query_code(code)));
    }
    response
}

fn respond(status: u16, kind: &str, body: Bytes, request_id: &str) -> Response<Bytes> {
    let mut response = Response::new(body);
    *response.status_mut() = http::StatusCode::from_u16(status).unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    for (name, value) in [("content-type", kind), ("x-amzn-requestid", request_id)] {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(service: &str, body: &str) -> Request<Bytes> {
        let authorization = format!(
            "AWS4-HMAC-SHA256 Credential=AK/20261124/us-east-1/{service}/aws4_request, SignedHeaders=host, Signature=0"
        );
        Request::post("/").header("authorization", authorization).body(Bytes::from(body.to_owned())).unwrap()
    }

    fn ask(world: &mut World, service: &str, body: &str) -> (u16, String) {
        let response = answer(world, &request(service, body), Timestamp::from_second(1_800_000_000).unwrap());
        (response.status().as_u16(), String::from_utf8(response.body().to_vec()).unwrap())
    }

    #[test]
    fn what_it_does_not_know_is_an_error_and_changes_nothing() {
        let mut world = World::default();
        for (service, body, code) in [
            ("s3", "Action=ListBuckets", "UnknownService"),
            ("ec2", "Action=CreateFleet", "InvalidAction"),
            ("ec2", "Action=DescribeVpcs&Colour=red", "UnknownParameter"),
            (
                "iam",
                "Action=CreateRole&RoleName=r&AssumeRolePolicyDocument=%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22ec2.amazonaws.com%22%7D%2C%22Action%22%3A%22sts%3AAssumeRole%22%7D%5D%7D&Colour=red",
                "ValidationError",
            ),
            ("ec2", "", "MissingAction"),
        ] {
            let (status, text) = ask(&mut world, service, body);
            assert!(status >= 400 && text.contains(&format!("<Code>{code}</Code>")), "{body}: {text}");
        }
        let (_, roles) = ask(&mut world, "iam", "Action=ListRoles");
        assert!(!roles.contains("<RoleName>r</RoleName>"), "{roles}");
    }

    #[test]
    fn a_region_that_is_off_does_not_know_the_credentials() {
        let mut world = World::default();
        world.opt_ins.insert("us-east-1".to_owned(), false);
        for (service, body, status, part) in [
            ("ec2", "Action=DescribeVpcs", 401, "<Code>AuthFailure</Code>"),
            ("sts", "Action=GetCallerIdentity", 403, "<Code>InvalidClientTokenId</Code>"),
            ("ssm", "Action=GetParameter", 403, r#""__type":"UnrecognizedClientException""#),
            ("sqs", "Action=ListQueues", 403, "InvalidClientTokenId"),
            // Global ones are there all the same; the second answers that this is no JSON.
            ("iam", "Action=ListRoles", 200, "<ListRolesResult>"),
            ("pricing", "Action=DescribeServices", 400, r#""__type":"ValidationException""#),
        ] {
            let (found, text) = ask(&mut world, service, body);
            assert!(found == status && text.contains(part), "{service}: {found} {text}");
        }
        world.opt_ins.clear();
        assert_eq!(ask(&mut world, "ec2", "Action=DescribeVpcs").0, 200);
    }

    #[test]
    fn a_refusal_in_json_names_its_code_in_body_and_header() {
        let mut world = World::default();
        let mut request = request("ssm", "{}");
        request.headers_mut().insert("x-amz-target", "AmazonSSM.StartSession".parse().unwrap());
        let response = answer(&mut world, &request, Timestamp::UNIX_EPOCH);
        let code = "UnknownOperationException";
        assert!(String::from_utf8_lossy(response.body()).contains(&format!(r#""__type":"{code}""#)));
        assert_eq!(response.headers()["x-amzn-errortype"], code);
    }

    #[test]
    fn a_refusal_of_sqs_has_the_code_of_the_query_protocol_beside_its_own() {
        let mut request = request("sqs", r#"{"QueueName": "none"}"#);
        request.headers_mut().insert("x-amz-target", "AmazonSQS.GetQueueUrl".parse().unwrap());
        let response = answer(&mut World::default(), &request, Timestamp::UNIX_EPOCH);
        assert_eq!(response.headers()["x-amzn-query-error"], "AWS.SimpleQueueService.NonExistentQueue;Sender");
        assert_eq!(response.headers()["content-type"], "application/x-amz-json-1.0");
        let body = String::from_utf8_lossy(response.body()).into_owned();
        assert!(body.contains(r#""__type":"com.amazonaws.sqs#QueueDoesNotExist""#), "{body}");
        let fault = String::from_utf8_lossy(fault(&request, 429).body()).into_owned();
        assert!(fault.contains("RequestThrottled"), "{fault}");
    }

    #[test]
    fn who_is_refused_before_any_service_is_refused_in_his_own_protocol() {
        for (service, code) in [(None, "MissingAuthenticationToken"), (Some("s3"), "UnknownService")] {
            let mut request = service.map_or_else(|| Request::new(Bytes::new()), |name| request(name, "{}"));
            let ask = |request: &Request<Bytes>| answer(&mut World::default(), request, Timestamp::UNIX_EPOCH);
            let xml = ask(&request);
            assert!(String::from_utf8_lossy(xml.body()).contains(&format!("<Code>{code}</Code>")));
            request.headers_mut().insert("x-amz-target", "X.ListBuckets".parse().unwrap());
            let json = ask(&request);
            assert_eq!(json.headers()["x-amzn-errortype"], code);
            assert_eq!(json.status(), xml.status());
        }
    }

    #[test]
    fn each_service_has_buckets_of_its_own() {
        let mut world = World::default();
        world.weather.throttle = true;
        let mut last = String::new();
        for _ in 0..101 {
            last = ask(&mut world, "ec2", "Action=DescribeVpcs").1;
        }
        assert!(last.contains("RequestLimitExceeded"), "{last}");
        assert_eq!(ask(&mut world, "sts", "Action=GetCallerIdentity").0, 200);
    }

    #[test]
    fn without_a_signature_nobody_is_served() {
        let mut world = World::default();
        let request = Request::post("/").body(Bytes::from_static(b"Action=DescribeVpcs")).unwrap();
        assert_eq!(answer(&mut world, &request, Timestamp::UNIX_EPOCH).status(), 403);
    }
}
