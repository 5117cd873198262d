//! What the checks look at: each thing read once, when the first check wants it, and handed to all that do.
//!
//! Nothing here decides. A read that depends on another says so by waiting for it, and fails as that one failed.

use std::collections::{BTreeMap, BTreeSet};

use aws_sdk_ssm::types::ParameterStringFilter;
use futures::FutureExt;
use futures::future::{LocalBoxFuture, Shared};
use jiff::Timestamp;
use secrecy::SecretString;

use super::launch::{self, Trial};
use super::permission::{self, Simulated};
use crate::cloud::{Caller, Cloud, Failure, call, pages};
use crate::decide::names::{Market as Bought, TAG_STACK};
use crate::decide::offers::{Market, Ranking, Wish, rank};
use crate::decide::policy::SPOT_ROLE;
use crate::decide::quota::{self, Standing};
use crate::decide::workers::Worker;
use crate::error::{Error, Result};
use crate::market::image::{self, Candidates};
use crate::market::network::{self, Looked};
use crate::market::{self, Wanted, filter, quotas};
use crate::plan::{self, Chosen, Sources, Trust};
use crate::resource::launch_template::{self, Both};
use crate::resource::{launchers, pairs, parameters, role, security_group, worker};
use crate::spec::{ParameterPath, Spec};

/// What is asked about.
#[derive(Debug, Clone, Copy)]
pub struct Look<'a> {
    /// AWS.
    pub cloud: &'a Cloud,
    /// The file.
    pub spec: &'a Spec,
    /// The `.env`; `None` where there is none.
    pub env: Option<&'a BTreeMap<String, SecretString>>,
    /// What is wrong with the `.env`, which is then not read.
    pub env_error: Option<&'a Error>,
    /// How many workers are wished for.
    pub count: u32,
    /// This machine's clock.
    pub now: Timestamp,
}

/// The regions that there are.
#[derive(Debug, Clone, Default)]
pub(super) struct Regions {
    /// Those that the account may use.
    pub(super) enabled: Vec<String>,
    /// Those that it has not opted in to.
    pub(super) others: Vec<String>,
}

/// Something that is read at most once.
pub(super) type Read<'a, T> = Shared<LocalBoxFuture<'a, Result<T>>>;

/// Everything that can be read.
#[derive(Debug)]
pub struct Reads<'a> {
    pub(super) look: Look<'a>,
    /// Who the credentials belong to, and AWS's clock.
    pub(super) caller: Read<'a, Caller>,
    pub(super) clock: Shared<LocalBoxFuture<'a, Option<Timestamp>>>,
    pub(super) regions: Read<'a, Regions>,
    pub(super) network: Read<'a, Looked>,
    pub(super) market: Read<'a, Market>,
    pub(super) groups: Read<'a, Vec<security_group::Observed>>,
    pub(super) role: Read<'a, role::Observed>,
    pub(super) launchers: Read<'a, launchers::Observed>,
    pub(super) parameters: Read<'a, parameters::Observed>,
    pub(super) templates: Read<'a, Both>,
    pub(super) candidates: Read<'a, Candidates>,
    pub(super) chosen: Read<'a, Chosen>,
    pub(super) ranking: Read<'a, Ranking>,
    /// Workers of every stack in the region, by stack.
    pub(super) workers: Read<'a, BTreeMap<String, Vec<Worker>>>,
    /// The quotas that the file's types may count against.
    pub(super) standings: Read<'a, Vec<Standing>>,
    /// Whether the role for EC2 Spot is there.
    pub(super) spot_role: Read<'a, bool>,
    /// The key of volumes that nobody names one for; `None`: they are not encrypted.
    pub(super) volume_key: Read<'a, Option<String>>,
    pub(super) simulated: Read<'a, Simulated>,
    /// The launch, as a dry run.
    pub(super) trial: Read<'a, Trial>,
    pub(super) stacks: Found<'a>,
}

/// What every stack in the region has, as far as a list tells.
#[derive(Debug)]
pub(super) struct Found<'a> {
    /// Stacks with a launch template.
    pub(super) templates: Read<'a, BTreeSet<String>>,
    /// Security groups by stack.
    pub(super) groups: Read<'a, Vec<(String, String)>>,
    /// The names of all roles of the account.
    pub(super) roles: Read<'a, Vec<String>>,
    /// Names of parameters where stacks have theirs unless the file says otherwise.
    pub(super) parameters: Read<'a, Vec<String>>,
}

fn read<'a, T: Clone>(future: impl Future<Output = Result<T>> + 'a) -> Read<'a, T> {
    future.boxed_local().shared()
}

impl<'a> Reads<'a> {
    /// Begins nothing yet.
    #[must_use]
    pub fn new(look: Look<'a>) -> Self {
        let Look { cloud, spec, .. } = look;
        let name = &spec.name;
        let first = async move { cloud.caller_and_clock().await }.boxed_local().shared();
        let caller = read(first.clone().map(|(caller, _)| caller));
        let clock = first.map(|(_, clock)| clock).boxed_local().shared();
        let network = read(network::look(cloud, &spec.network));
        let market = read(market::read(cloud, Wanted { types: &spec.instance.types, also: None }));
        let groups = read(security_group::observe(cloud, name));
        let role = read(role::observe(cloud, name));
        let templates = read(launch_template::observe(cloud, name));
        let candidates = read(image::candidates(cloud, &spec.instance.ami));
        let chosen = read(chosen(look, (market.clone(), candidates.clone(), templates.clone())));
        let ranking = read(ranking(spec, (market.clone(), network.clone(), chosen.clone())));
        let spot_role = read(spot_role(cloud));
        let simulated = read(permission::simulate(look, caller.clone(), spot_role.clone()));
        let trial = read(launch::trial(
            look,
            launch::Parts {
                templates: templates.clone(),
                chosen: chosen.clone(),
                ranking: ranking.clone(),
                role: role.clone(),
            },
        ));
        Self {
            look,
            regions: read(regions(cloud)),
            launchers: read(launchers::observe(cloud, spec)),
            parameters: read(parameters::observe(cloud, &spec.parameters.path, name)),
            workers: read(worker::observe_all(cloud)),
            standings: read(standings(look, market.clone())),
            volume_key: read(volume_key(cloud)),
            stacks: Found {
                templates: read(launch_template::stacks(cloud)),
                groups: read(tagged_groups(cloud)),
                roles: read(role_names(cloud)),
                parameters: read(default_parameters(cloud)),
            },
            caller,
            clock,
            network,
            market,
            groups,
            role,
            templates,
            candidates,
            chosen,
            ranking,
            spot_role,
            simulated,
            trial,
        }
    }
}

/// Asked where everybody may ask: a region that is not enabled knows nobody's credentials.
async fn regions(cloud: &Cloud) -> Result<Regions> {
    let home = match cloud.region.split('-').next() {
        Some("cn") => "cn-north-1",
        Some("us") if cloud.region.starts_with("us-gov-") => "us-gov-west-1",
        // Partitions with regions that nobody has to enable.
        Some("us") if cloud.region.starts_with("us-iso") => cloud.region.as_str(),
        Some("eusc") => cloud.region.as_str(),
        _ => "us-east-1",
    };
    let there = cloud.in_region(home)?;
    let answer = call("DescribeRegions", there.ec2.describe_regions().all_regions(true).send())
        .await
        .map_err(|failure| failure.doing("reading which regions are enabled"))?;
    let mut regions = Regions::default();
    for found in answer.regions() {
        let Some(name) = found.region_name() else { continue };
        let is_off = found.opt_in_status() == Some("not-opted-in");
        let list = if is_off { &mut regions.others } else { &mut regions.enabled };
        list.push(name.to_owned());
    }
    Ok(regions)
}

async fn chosen<'a>(
    look: Look<'a>,
    (market, candidates, templates): (Read<'a, Market>, Read<'a, Candidates>, Read<'a, Both>),
) -> Result<Chosen> {
    let (market, candidates, templates) = futures::try_join!(market, candidates, templates)?;
    let sources = Sources {
        types: &market.types,
        candidates: &candidates,
        template: templates.spot.as_ref(),
        trust: Trust::Nothing,
    };
    plan::image_of(look.cloud, look.spec, sources, false).await
}

async fn ranking<'a>(
    spec: &'a Spec,
    (market, network, chosen): (Read<'a, Market>, Read<'a, Looked>, Read<'a, Chosen>),
) -> Result<Ranking> {
    let (market, network, chosen) = futures::try_join!(market, network, chosen)?;
    // Without the quotas: they have a check of their own.
    rank(&Wish::of(&spec.instance, &chosen.image.architecture), &market, &network.subnets?, &[])
}

/// Limits and holders go beside the market, which says what the holders count.
async fn standings<'a>(look: Look<'a>, market: Read<'a, Market>) -> Result<Vec<Standing>> {
    let Look { cloud, spec, .. } = look;
    let mut wanted = quota::possible(&spec.instance.types, None, Bought::Spot);
    if spec.instance.on_demand_fallback {
        wanted.extend(quota::possible(&spec.instance.types, None, Bought::OnDemand));
    }
    let (standings, market) = futures::join!(quotas::look(cloud, &wanted), market);
    let mut standings = standings?;
    let types = market.map(|market| market.types).unwrap_or_default();
    let vcpus = types.into_iter().map(|known| (known.name, known.vcpus)).collect();
    quotas::count(cloud, &mut standings, &vcpus).await?;
    Ok(standings)
}

/// By its path, which no other role has. `GetRole` would not do: a role that is missing has no path, and so whoever may read
/// that one role may not ask for it.
async fn spot_role(cloud: &Cloud) -> Result<bool> {
    let (path, name) = SPOT_ROLE.trim_start_matches("role").rsplit_once('/').unwrap_or_default();
    let list = cloud.iam.list_roles().path_prefix(format!("{path}/")).into_paginator().send();
    let found =
        pages("ListRoles", list).await.map_err(|failure| failure.doing(&format!("looking for the role `{name}`")))?;
    Ok(found.iter().flat_map(|page| page.roles()).any(|role| role.role_name() == name))
}

async fn volume_key(cloud: &Cloud) -> Result<Option<String>> {
    let failed = |failure: Failure| failure.doing("reading how new volumes are encrypted");
    let (by_default, key) = futures::join!(
        call("GetEbsEncryptionByDefault", cloud.ec2.get_ebs_encryption_by_default().send()),
        call("GetEbsDefaultKmsKeyId", cloud.ec2.get_ebs_default_kms_key_id().send()),
    );
    if by_default.map_err(failed)?.ebs_encryption_by_default() != Some(true) {
        return Ok(None);
    }
    Ok(key.map_err(failed)?.kms_key_id)
}

async fn tagged_groups(cloud: &Cloud) -> Result<Vec<(String, String)>> {
    let request = cloud.ec2.describe_security_groups().filters(filter("tag-key", [TAG_STACK]));
    let found = pages("DescribeSecurityGroups", request.into_paginator().send())
        .await
        .map_err(|failure| failure.doing("looking for the security groups of all stacks"))?;
    let groups = found.iter().flat_map(|page| page.security_groups());
    Ok(groups
        .filter_map(|group| {
            let (_, stack) = pairs(group.tags()).find(|(key, _)| *key == TAG_STACK)?;
            Some((stack.to_owned(), group.group_id()?.to_owned()))
        })
        .collect())
}

/// IAM lists a thousand a page and filters by nothing that helps here.
async fn role_names(cloud: &Cloud) -> Result<Vec<String>> {
    let list = cloud.iam.list_roles().into_paginator().page_size(1000).send();
    let found =
        pages("ListRoles", list).await.map_err(|failure| failure.doing("looking for the roles of all stacks"))?;
    Ok(found.iter().flat_map(|page| page.roles()).map(|role| role.role_name().to_owned()).collect())
}

async fn default_parameters(cloud: &Cloud) -> Result<Vec<String>> {
    let below = ParameterStringFilter::builder()
        .key("Path")
        .option("Recursive")
        .values(ParameterPath::DEFAULT_ROOT)
        .build()
        .map_err(|error| Error::usage(error.to_string()))?;
    let list = cloud.ssm.describe_parameters().parameter_filters(below).into_paginator().page_size(50).send();
    let found = pages("DescribeParameters", list)
        .await
        .map_err(|failure| failure.doing("looking for the parameters of all stacks"))?;
    let names = found.iter().flat_map(|page| page.parameters());
    Ok(names.filter_map(|found| found.name().map(str::to_owned)).collect())
}
