//! EC2: what spotctl uses of it, as AWS documents it.
//!
//! Each module below owns the operations of one kind of thing. A region is furnished with what a fresh account has at its
//! first call, and what the clock has brought since the last call is settled before each. What only reads the catalog
//! furnishes nothing: whoever asks every region for its prices leaves none of them in the state.

use super::call::{AwsError, Call};
use super::wire::query::Query;
use super::wire::xml::Element;

pub mod catalog;
pub mod encryption;
pub mod filter;
pub mod images;
pub mod instance_types;
pub mod instances;
pub mod launch_data;
pub mod launch_templates;
pub mod network;
pub mod placement;
pub mod placement_scores;
pub mod prices;
pub mod regions;
pub mod run_instances;
pub mod security_groups;
pub mod spot_requests;
pub mod state;
pub mod tags;
pub mod volumes;

#[cfg(test)]
pub(in crate::sandbox) mod asking;

pub use state::State;

/// Answers an operation: the children of `<OperationResponse>`, without the request id.
///
/// # Errors
/// AWS's refusal.
pub fn handle(call: &mut Call<'_>, input: &Query) -> Result<Vec<Element>, AwsError> {
    match call.operation.as_str() {
        "DescribeRegions" => return regions::describe(call, input),
        "DescribeImages" => return images::describe(call, input),
        "DescribeInstanceTypes" => return instance_types::describe(call, input),
        "DescribeInstanceTypeOfferings" => return instance_types::describe_offerings(call, input),
        "DescribeSpotPriceHistory" => return prices::describe(call, input),
        "GetSpotPlacementScores" => return placement_scores::describe(call, input),
        _ => {}
    }
    let (region, now) = (call.region.clone(), call.now);
    network::furnish(call.world, &region);
    let state = &mut call.world.region(&region).ec2;
    placement::settle(state, now);
    match call.operation.as_str() {
        "GetEbsEncryptionByDefault" => return encryption::by_default(call, input),
        "GetEbsDefaultKmsKeyId" => return encryption::default_key(call, input),
        _ => {}
    }
    let services = [network::handle, security_groups::handle, launch_templates::handle, instances::handle];
    let answer = services.iter().find_map(|service| service(call, input));
    answer.unwrap_or_else(|| Err(AwsError::unknown_operation(&call.operation)))
}
