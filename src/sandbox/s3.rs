//! S3, of which there is one thing only: which region a bucket is in.
//!
//! It owns how a bucket is asked for without a signature: `HEAD /BUCKET`, path style. S3 answers anybody who may not look into
//! a bucket with 403 and the bucket's region in a header, and with 404 where there is no such bucket, so that a region is
//! learned without any permission. What is in a bucket is not modelled, and a signed request meets no S3 here.

use bytes::Bytes;
use http::{Method, Request, Response, StatusCode, header};

use super::weather::Account;

/// The operation as S3 names it.
pub const HEAD_BUCKET: &str = "HeadBucket";

/// The bucket that is asked for, where the request is such a question.
#[must_use]
pub fn asked(request: &Request<Bytes>) -> Option<&str> {
    let is_unsigned = !request.headers().contains_key(header::AUTHORIZATION);
    let name = request.uri().path().trim_matches('/');
    (request.method() == Method::HEAD && is_unsigned && !name.is_empty() && !name.contains('/')).then_some(name)
}

/// S3's answer to nobody in particular.
#[must_use]
pub fn head(account: &Account, name: &str, request_id: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::new());
    *response.status_mut() = StatusCode::NOT_FOUND;
    let region = account.buckets.get(name);
    if region.is_some() {
        *response.status_mut() = StatusCode::FORBIDDEN;
    }
    let region = region.map(|region| ("x-amz-bucket-region", region.as_str()));
    for (name, value) in
        [("x-amz-request-id", request_id), ("content-type", "application/xml")].into_iter().chain(region)
    {
        if let Ok(value) = value.parse() {
            response.headers_mut().insert(name, value);
        }
    }
    response
}

/// Whether S3 would take the name for a new bucket: 3 to 63 small letters, digits, hyphens and dots.
#[must_use]
pub fn is_bucket_name(name: &str) -> bool {
    let is_letter = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit();
    (3..=63).contains(&name.len())
        && name.chars().all(|letter| is_letter(letter) || letter == '-' || letter == '.')
        && name.starts_with(is_letter)
        && name.ends_with(is_letter)
        && !name.contains("..")
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use super::*;
    use crate::sandbox::world::World;
    use crate::sandbox::{route, weather};

    fn set(world: &mut World, words: &str) -> Result<String, String> {
        let words: Vec<String> = words.split(' ').map(str::to_owned).collect();
        weather::set(world, &words, Timestamp::UNIX_EPOCH).map_err(|error| error.to_string())
    }

    fn ask(world: &mut World, method: Method, path: &str, signed: bool) -> (u16, String) {
        let mut request = Request::builder().method(method).uri(path);
        if signed {
            let scope = "AWS4-HMAC-SHA256 Credential=AK/20261124/us-east-1/s3/aws4_request, Signature=0";
            request = request.header("authorization", scope);
        }
        let response = route::answer(world, &request.body(Bytes::new()).unwrap(), Timestamp::UNIX_EPOCH);
        let region = response.headers().get("x-amz-bucket-region").map(|region| region.to_str().unwrap().to_owned());
        (response.status().as_u16(), region.unwrap_or_default())
    }

    #[test]
    fn whoever_asks_without_a_signature_learns_a_buckets_region_and_nothing_else() {
        let mut world = World::default();
        set(&mut world, "bucket my-results eu-central-1").unwrap();
        let there = (403, "eu-central-1".to_owned());
        for (method, path, signed, wanted) in [
            (Method::HEAD, "/my-results", false, there.clone()),
            (Method::HEAD, "https://s3.us-east-1.amazonaws.com/my-results/", false, there),
            (Method::HEAD, "/another", false, (404, String::new())),
            (Method::HEAD, "/my-results", true, (400, String::new())),
            (Method::HEAD, "/my-results/key", false, (403, String::new())),
            (Method::GET, "/my-results", false, (403, String::new())),
        ] {
            assert_eq!(ask(&mut world, method.clone(), path, signed), wanted, "{method} {path} {signed}");
        }
        set(&mut world, "no-bucket my-results").unwrap();
        assert_eq!(ask(&mut world, Method::HEAD, "/my-results", false).0, 404);
        assert!(set(&mut world, "no-bucket my-results").unwrap_err().contains("there was no bucket"));
    }

    #[test]
    fn a_bucket_that_s3_would_not_take_is_refused() {
        let mut world = World::default();
        for (words, why) in [
            ("bucket Upper us-east-1", "no name"),
            ("bucket ab us-east-1", "no name"),
            ("bucket -ab us-east-1", "no name"),
            ("bucket a..b us-east-1", "no name"),
            ("bucket abc us-west-9", "no region `us-west-9`"),
            ("bucket abc", "is not how `bucket` goes"),
        ] {
            assert!(set(&mut world, words).unwrap_err().contains(why), "{words}");
        }
    }
}
