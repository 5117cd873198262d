//! Where a bucket is. S3 answers an unsigned `HEAD` of any bucket with its region in `x-amz-bucket-region`, also where it
//! refuses the rest (403) or sends one elsewhere (301), and with 404 where there is none. No permission is asked, and the SDK
//! for S3, which would cost a minute of each build, is not needed.
//!
//! The request goes through the same HTTP client as every call, so `--sandbox`, `--endpoint-url` and TLS hold here too.

use std::time::Instant;

use aws_smithy_runtime::client::orchestrator::operation::Operation;
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_types::body::SdkBody;
use aws_smithy_types::timeout::TimeoutConfig;

use super::{ATTEMPT, CONNECT, Cloud};
use crate::error::{Error, Kind, Result};

/// What S3 says of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Bucket {
    /// There is one, in this region.
    In(String),
    /// There is none of this name, anywhere in the partition.
    Nowhere,
}

/// What an answer to a `HEAD` of a bucket means; `None`: nothing.
#[must_use]
pub fn read(status: u16, region: Option<&str>) -> Option<Bucket> {
    match (status, region) {
        (404, _) => Some(Bucket::Nowhere),
        (_, Some(region)) => Some(Bucket::In(region.to_owned())),
        _ => None,
    }
}

impl Cloud {
    /// Asks S3 where a bucket is.
    ///
    /// # Errors
    /// No answer, or one that names no region.
    pub async fn bucket(&self, name: &str) -> Result<Bucket> {
        let doing = format!("asking S3 where the bucket `{name}` is");
        let failed = |why: String| {
            let mut error = Error::new(Kind::Aws, format!("{doing}: {why}"));
            error.operation = Some("HeadBucket");
            error
        };
        let Some(client) = self.config.http_client() else { return Err(failed("there is no HTTP client".to_owned())) };
        let suffix = if self.region.starts_with("cn-") { "amazonaws.com.cn" } else { "amazonaws.com" };
        let own = format!("https://s3.{}.{suffix}", self.region);
        let address = self.config.endpoint_url().unwrap_or(&own).trim_end_matches('/').to_owned();
        let path = format!("/{name}");
        let mut builder = Operation::builder()
            .service_name("s3")
            .operation_name("HeadBucket")
            .http_client(client)
            .endpoint_url(&address)
            .no_auth()
            .no_retry()
            .timeout_config(TimeoutConfig::builder().connect_timeout(CONNECT).operation_timeout(ATTEMPT).build())
            .serializer(move |()| {
                let mut request = HttpRequest::new(SdkBody::empty());
                request.set_method("HEAD")?;
                request.set_uri(path.as_str())?;
                Ok(request)
            })
            .deserializer::<_, std::convert::Infallible>(|answer: &HttpResponse| {
                Ok(read(answer.status().as_u16(), answer.headers().get("x-amz-bucket-region")))
            });
        if let Some(sleep) = self.config.sleep_impl() {
            builder = builder.sleep_impl(sleep);
        }
        let began = Instant::now();
        let answer = Box::pin(builder.build().invoke(())).await;
        tracing::info!(operation = "HeadBucket", took = ?began.elapsed(), ok = answer.is_ok(), "called");
        match answer {
            Ok(Some(bucket)) => Ok(bucket),
            Ok(None) => Err(failed("the answer names no region".to_owned())),
            Err(error) => Err(failed(super::call::innermost(&error))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_region_is_told_with_every_status_and_404_is_no_bucket() {
        let there = Some(Bucket::In("eu-west-1".to_owned()));
        for (status, region, bucket) in [
            (200, Some("eu-west-1"), there.clone()),
            (301, Some("eu-west-1"), there.clone()),
            (403, Some("eu-west-1"), there),
            (404, None, Some(Bucket::Nowhere)),
            (403, None, None),
            (503, None, None),
        ] {
            assert_eq!(read(status, region), bucket, "{status} {region:?}");
        }
    }
}
