//! What is asked about, and all that is known of it: limits, use, requests for more, and what the file or the types need.

use std::collections::{BTreeMap, BTreeSet};

use futures::{StreamExt, TryStreamExt, stream};

use super::super::context;
use crate::cloud::{Cloud, Failure};
use crate::decide::increase::Increase;
use crate::decide::names::Market;
use crate::decide::need::{Known, Unknown};
use crate::decide::offers::{self, Offer};
use crate::decide::quota::{self, Quota};
use crate::error::{Kind, Result};
use crate::market::{self, Wanted, quotas};
use crate::plan;
use crate::settings::{GlobalArgs, Settings};
use crate::spec::{Spec, Types};
use crate::ui::Ui;

/// The file, where there is one, and AWS.
#[derive(Debug)]
pub(super) struct Source {
    /// `None`: none is needed and none is there.
    pub(super) spec: Option<Spec>,
    pub(super) settings: Settings,
    pub(super) cloud: Cloud,
}

impl Source {
    /// Reads the file; where none is needed it still says region and stack, if it is there.
    pub(super) async fn open(ui: &Ui, global: &GlobalArgs, needs_file: bool) -> Result<Self> {
        let spec = if needs_file || global.config.exists() {
            let read = context::read(&global.config, ui);
            Some(read.map_err(|error| error.hint("or without a file: --type TYPE"))?)
        } else {
            None
        };
        let region = spec.as_ref().and_then(|spec| spec.region.as_deref());
        let settings = context::settle(ui, global, region);
        let cloud = Cloud::connect(&settings).await?;
        Ok(Self { spec, settings, cloud })
    }

    pub(super) fn stack(&self) -> Option<String> {
        self.spec.as_ref().map(|spec| spec.name.to_string())
    }
}

/// What is asked about.
#[derive(Debug)]
pub(super) struct Asked<'a> {
    /// These types instead of the file's.
    pub(super) types: &'a [String],
    /// These quotas, whatever the types need.
    pub(super) quotas: Option<BTreeSet<Quota>>,
    /// Whose quotas the types lead to.
    pub(super) markets: &'a [Market],
}

/// All that is known.
#[derive(Debug)]
pub(super) struct Sight {
    /// By market and code.
    pub(super) rows: Vec<Known>,
    pub(super) unknown: Vec<Unknown>,
    /// Where the file's types could be had, cheapest first.
    pub(super) offers: Vec<Offer>,
}

impl Sight {
    pub(super) fn missing(&self) -> BTreeSet<&'static str> {
        self.rows.iter().flat_map(|row| row.missing.iter().copied()).collect()
    }
}

/// Lists of requests that are read side by side: with every quota at once Service Quotas would throttle.
const AT_ONCE: usize = 5;

/// Reads everything at once.
pub(super) async fn look(ui: &Ui, source: &Source, asked: &Asked<'_>) -> Result<Sight> {
    let _waiting = ui.wait("reading the quotas");
    let cloud = &source.cloud;
    let types = match (&source.spec, asked.types) {
        (None, []) => None,
        (Some(spec), []) => Some(spec.instance.types.clone()),
        (_, named) => Some(Types::Listed(named.to_vec())),
    };
    let possible: BTreeSet<Quota> = match (&asked.quotas, &types) {
        (Some(quotas), _) => quotas.clone(),
        (None, Some(types)) => asked.markets.iter().flat_map(|market| quota::possible(types, None, *market)).collect(),
        (None, None) => BTreeSet::new(),
    };
    let (mut standings, increases, market) = futures::try_join!(
        quotas::look(cloud, &possible),
        stream::iter(possible.iter().map(|quota| increases(cloud, *quota))).buffered(AT_ONCE).try_collect::<Vec<_>>(),
        Box::pin(market(cloud, types.as_ref()))
    )?;
    let (types, offers, refused) = match market {
        Ok(market) if asked.types.is_empty() => {
            let allowed = source.spec.as_ref().map(|spec| plan::anywhere(spec, &market)).transpose()?;
            let allowed = allowed.unwrap_or_default();
            (allowed.types, allowed.offers, None)
        }
        Ok(market) => (market.types, Vec::new(), None),
        Err(refused) => (Vec::new(), Vec::new(), Some(refused)),
    };
    let vcpus: BTreeMap<String, u32> = types.iter().map(|found| (found.name.clone(), found.vcpus)).collect();
    quotas::count(cloud, &mut standings, &vcpus).await?;
    let mut wanted = quota::Wanted::default();
    let mut unknown = Vec::new();
    for market in asked.markets {
        let of_market = quota::wanted_by(types.iter().map(|found| found.name.as_str()), *market);
        unknown.extend(of_market.unknown.into_iter().map(|family| {
            let its = types.iter().filter(|found| quota::family(&found.name) == family);
            Unknown { vcpus: its.map(|found| found.vcpus).min(), family, market: *market }
        }));
        wanted.quotas.extend(of_market.quotas);
    }
    if let Some(refused) = &refused {
        ui.warn(&format!("what is needed is not known: {}", refused.message));
    }
    // What the types could need, and as it turns out do not, is nobody's question.
    let is_asked =
        |row: &Known| asked.quotas.is_some() || refused.is_some() || wanted.quotas.contains_key(&row.standing.quota);
    let rows = standings.into_iter().zip(increases).map(|(standing, increases)| {
        let mut missing = standing.missing.clone();
        let increases = increases.map_err(|action| missing.insert(action)).ok();
        Known {
            families: wanted.quotas.get(&standing.quota).cloned().unwrap_or_default(),
            smallest: quota::smallest(&types, standing.quota).map(|found| (found.name.clone(), found.vcpus)),
            standing,
            increases,
            missing,
        }
    });
    Ok(Sight { rows: rows.filter(is_asked).collect(), unknown, offers })
}

/// The market of the types, none where none are asked about; the failure where nobody may read it.
async fn market(cloud: &Cloud, types: Option<&Types>) -> Result<Result<offers::Market>> {
    let Some(types) = types else { return Ok(Ok(offers::Market::default())) };
    match market::read(cloud, Wanted { types, also: None }).await {
        Err(error) if error.kind == Kind::Access => Ok(Err(error)),
        other => other.map(Ok),
    }
}

/// The requests for more; or the action that nobody allowed.
async fn increases(cloud: &Cloud, quota: Quota) -> Result<Result<Vec<Increase>, &'static str>> {
    match quotas::increases(cloud, quota).await {
        Ok(found) => Ok(Ok(found)),
        Err(failure) if failure.is_denied() => Ok(Err("servicequotas:ListRequestedServiceQuotaChangeHistoryByQuota")),
        Err(failure) => Err(doing(failure, quota)),
    }
}

/// A look at a quota that failed, as users read it.
pub(super) fn doing(failure: Failure, quota: Quota) -> crate::error::Error {
    failure.doing(&format!("reading the quota {} ({}) and the requests for more", quota.code, quota.name))
}
