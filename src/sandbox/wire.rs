//! AWS's wire protocols: query in and XML out (EC2, IAM, STS), JSON both ways (SSM, Service Quotas).

pub mod json;
pub mod query;
pub mod xml;
