//! Lists that come in pages, until the last one.
//!
//! AWS's rule: a page names the next by a token, the last names none. The SDK's paginators follow the tokens for as long
//! as there are any, and where a page names itself they stop in silence, as if the list were whole. Half a list of
//! workers is a second worker or a forgotten one, so here a list is whole or an error: a token that came before, or more
//! pages than any account has, is a list that does not end.

use std::collections::HashSet;
use std::fmt::Debug;
use std::time::Instant;

use aws_sdk_ec2::error::{ProvideErrorMetadata, SdkError};
use aws_smithy_async::future::pagination_stream::PaginationStream;
use aws_smithy_runtime_api::client::orchestrator::HttpResponse;

use super::call::{Failure, classified};
use crate::decide::classify::Class;

/// Three months of Spot prices of a region are some hundred pages; ten thousand parameters, which are all that Parameter
/// Store keeps as standard ones, are a thousand.
const MOST: usize = 5_000;

/// A page of a list.
pub trait Page {
    /// What names the next page.
    fn next(&self) -> Option<&str>;
}

macro_rules! page {
    ($($service:ident :: $operation:ident :: $output:ident . $token:ident),* $(,)?) => {
        $(impl Page for $service::operation::$operation::$output {
            fn next(&self) -> Option<&str> {
                self.$token()
            }
        })*
    };
}

page! {
    aws_sdk_ec2::describe_instance_type_offerings::DescribeInstanceTypeOfferingsOutput.next_token,
    aws_sdk_ec2::describe_instance_types::DescribeInstanceTypesOutput.next_token,
    aws_sdk_ec2::describe_instances::DescribeInstancesOutput.next_token,
    aws_sdk_ec2::describe_launch_template_versions::DescribeLaunchTemplateVersionsOutput.next_token,
    aws_sdk_ec2::describe_launch_templates::DescribeLaunchTemplatesOutput.next_token,
    aws_sdk_ec2::describe_route_tables::DescribeRouteTablesOutput.next_token,
    aws_sdk_ec2::describe_security_groups::DescribeSecurityGroupsOutput.next_token,
    aws_sdk_ec2::describe_spot_instance_requests::DescribeSpotInstanceRequestsOutput.next_token,
    aws_sdk_ec2::describe_spot_price_history::DescribeSpotPriceHistoryOutput.next_token,
    aws_sdk_ec2::describe_subnets::DescribeSubnetsOutput.next_token,
    aws_sdk_ec2::describe_volumes::DescribeVolumesOutput.next_token,
    aws_sdk_ec2::describe_vpcs::DescribeVpcsOutput.next_token,
    aws_sdk_ec2::get_spot_placement_scores::GetSpotPlacementScoresOutput.next_token,
    aws_sdk_iam::list_roles::ListRolesOutput.marker,
    aws_sdk_iam::simulate_principal_policy::SimulatePrincipalPolicyOutput.marker,
    aws_sdk_kms::list_grants::ListGrantsOutput.next_marker,
    aws_sdk_pricing::get_products::GetProductsOutput.next_token,
    aws_sdk_servicequotas::list_aws_default_service_quotas::ListAwsDefaultServiceQuotasOutput.next_token,
    aws_sdk_servicequotas::list_requested_service_quota_change_history_by_quota::ListRequestedServiceQuotaChangeHistoryByQuotaOutput.next_token,
    aws_sdk_servicequotas::list_service_quotas::ListServiceQuotasOutput.next_token,
    aws_sdk_ssm::describe_parameters::DescribeParametersOutput.next_token,
    aws_sdk_ssm::get_parameters_by_path::GetParametersByPathOutput.next_token,
}

/// As many as EC2 shows on one page. Without a number it shows all of them at once, and throttles that harder.
pub const A_PAGE: i32 = 1000;

/// Makes the calls of a list until its last page: `list` is the SDK's paginator, which knows each operation's tokens.
///
/// # Errors
/// The first page that failed, classified; a list that does not end. A list is whole or not at all.
pub async fn pages<T, E>(
    operation: &'static str,
    list: PaginationStream<Result<T, SdkError<E, HttpResponse>>>,
) -> Result<Vec<T>, Failure>
where
    T: Page,
    E: ProvideErrorMetadata + std::error::Error + Debug + 'static,
{
    let mut all = Vec::new();
    each_page(operation, list, |page| all.push(page)).await?;
    Ok(all)
}

/// The same for long lists: of each page `keep` keeps what is needed, and the rest of it is gone before the next one comes.
/// The SDK's own types are many times larger than what we read of them.
///
/// # Errors
/// As for [`pages`]; what was kept by then is no list.
pub async fn each_page<T, E>(
    operation: &'static str,
    mut list: PaginationStream<Result<T, SdkError<E, HttpResponse>>>,
    mut keep: impl FnMut(T),
) -> Result<(), Failure>
where
    T: Page,
    E: ProvideErrorMetadata + std::error::Error + Debug + 'static,
{
    let mut tokens = Tokens::default();
    loop {
        let began = Instant::now();
        let Some(answer) = list.next().await else { return Ok(()) };
        let page = classified(operation, began, answer)?;
        tokens.follow(page.next()).map_err(|why| Failure::of_answer(operation, Class::Server, why))?;
        keep(page);
    }
}

/// The tokens that came so far.
#[derive(Debug, Default)]
struct Tokens(HashSet<String>);

impl Tokens {
    /// Takes the token of one page more.
    fn follow(&mut self, token: Option<&str>) -> Result<(), &'static str> {
        let Some(token) = token.filter(|token| !token.is_empty()) else { return Ok(()) };
        if !self.0.insert(token.to_owned()) {
            return Err("a page of the list names as the next one that was read already");
        }
        if self.0.len() > MOST { Err("the list has more pages than any account") } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn a_list_is_followed_to_its_end_or_until_a_token_comes_back(
            tokens in prop::collection::vec(prop::option::of("[ab]{0,3}"), 0..12)
        ) {
            let mut seen = Tokens::default();
            let named: Vec<&str> = tokens.iter().flatten().map(String::as_str).filter(|token| !token.is_empty()).collect();
            let is_new = named.iter().collect::<HashSet<_>>().len() == named.len();
            prop_assert_eq!(tokens.iter().all(|token| seen.follow(token.as_deref()).is_ok()), is_new);
        }
    }

    #[test]
    fn a_list_whose_every_page_names_a_new_one_ends_in_an_error() {
        let mut seen = Tokens::default();
        let last = (0..2 * MOST).take_while(|page| seen.follow(Some(&page.to_string())).is_ok()).last();
        assert_eq!(last, Some(MOST - 1));
    }
}
