//! The one quota that `request` and `watch` are about, and what of it is needed.

use std::collections::BTreeSet;

use super::sight::{Asked, Sight, Source, look};
use crate::decide::names::Market;
use crate::decide::need::Known;
use crate::decide::quota::{self, Quota, by_code};
use crate::error::{Error, Kind, Result};
use crate::ui::Ui;

/// Which quota, and how much of it.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct Flags {
    /// The vCPUs wished for, those in use included; else what the file or the type needs beside what others use
    #[arg(long, value_name = "N", value_parser = vcpus)]
    pub(super) vcpus: Option<u32>,
    /// The quota with this code; no file is needed
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub(super) code: Option<Quota>,
    /// The quota of this type; no file is needed
    #[arg(long = "type", value_name = "TYPE", conflicts_with = "code")]
    pub(super) instance_type: Option<String>,
    /// For how many workers
    #[arg(long, value_name = "N", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub(super) count: u32,
    /// Whose quota
    #[arg(long, value_enum, default_value = "spot", conflicts_with = "code")]
    market: OneMarket,
}

/// `--market` where one is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
enum OneMarket {
    Spot,
    OnDemand,
}

fn vcpus(text: &str) -> Result<u32, String> {
    match text.parse() {
        Ok(0) => Err("0 vCPUs are nothing to ask for; a quota is only ever raised".to_owned()),
        Ok(vcpus) => Ok(vcpus),
        Err(_) => Err("a number of vCPUs is a whole number such as 8".to_owned()),
    }
}

fn code(text: &str) -> Result<Quota, String> {
    by_code(text).ok_or_else(|| {
        let known = [Market::Spot, Market::OnDemand].into_iter().flat_map(quota::all);
        let known: Vec<&str> = known.map(|quota| quota.code).collect();
        format!("no vCPU quota that spotctl knows; it knows {}", known.join(", "))
    })
}

impl Flags {
    pub(super) fn needs_file(&self) -> bool {
        self.code.is_none() && self.instance_type.is_none()
    }
}

/// Which of several quotas is meant when nobody names one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Prefer {
    /// That of the cheapest offer.
    Cheapest,
    /// One that a request is open for; else the same.
    Open,
}

/// Finds the quota, and says which one where several could be meant.
pub(super) async fn find(ui: &Ui, source: &Source, flags: &Flags, prefer: Prefer) -> Result<Known> {
    let market = flags.code.map_or(
        match flags.market {
            OneMarket::Spot => Market::Spot,
            OneMarket::OnDemand => Market::OnDemand,
        },
        |quota| quota.market,
    );
    let named: Vec<String> = flags.instance_type.iter().cloned().collect();
    let asked = Asked { types: &named, quotas: flags.code.map(|quota| BTreeSet::from([quota])), markets: &[market] };
    let sight = look(ui, source, &asked).await?;
    pick(ui, source, &sight, prefer)
}

fn pick(ui: &Ui, source: &Source, sight: &Sight, prefer: Prefer) -> Result<Known> {
    match sight.rows.as_slice() {
        [] => return Err(none(source, sight)),
        [only] => return Ok(only.clone()),
        _ => {}
    }
    let codes: Vec<&str> = sight.rows.iter().map(|row| row.standing.quota.code).collect();
    let taken = |row: &Known, why: &str| {
        let quota = row.standing.quota;
        let codes = codes.join(", ");
        ui.note(&format!("the file allows types of {codes}: taking {} ({}), {why}", quota.code, quota.name));
        Ok(row.clone())
    };
    if prefer == Prefer::Open
        && let Some(row) = sight.rows.iter().find(|row| row.open().is_some())
    {
        return taken(row, "which has an open request");
    }
    for offer in &sight.offers {
        let its = |row: &&Known| quota::of(&offer.instance_type, row.standing.quota.market) == Some(row.standing.quota);
        if let Some(row) = sight.rows.iter().find(its) {
            let price = offer.price.map_or_else(String::new, |price| format!(" at {price} USD an hour"));
            return taken(
                row,
                &format!("that of the cheapest offer, {} in {}{price}", offer.instance_type, offer.zone),
            );
        }
    }
    Err(Error::usage(format!(
        "the file allows types of several quotas, {}, and which is meant is not known",
        codes.join(", ")
    ))
    .hint("name one: --code CODE"))
}

/// Why there is no quota to speak of.
fn none(source: &Source, sight: &Sight) -> Error {
    let region = &source.cloud.region;
    match sight.unknown.first() {
        Some(unknown) => Error::usage(format!(
            "which quota {} counts against is unknown: AWS's public tables disagree, and spotctl does not guess",
            unknown.family
        ))
        .hint(format!(
            "look it up and ask there: https://{region}.console.aws.amazon.com/servicequotas/home/services/ec2/quotas"
        )),
        None => Error::new(Kind::Capacity, format!("no instance type in {region} is what the file asks for")),
    }
}
