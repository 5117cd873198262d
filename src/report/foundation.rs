//! The documents of `plan`, `apply` and `params`.

use std::fmt::Write;

use serde::Serialize;

use super::Report;
use super::choice;
use super::table::table;
use super::workers::Bound;
use crate::decide::names::Market;
use crate::decide::offers::{Offer, Rejection};
use crate::resource::parameters::Row;
use crate::resource::{Action, Change};

/// How many offers a person is shown; JSON holds all.
const SHOWN: usize = 5;

/// `plan`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Plan {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
    /// What `apply` would do.
    pub changes: Vec<Change>,
    /// How many workers `up` would launch.
    pub launches: usize,
    /// Where, ranked.
    pub offers: Vec<Offer>,
    /// Offers that fell out.
    pub rejected: Vec<Rejection>,
    /// What the workers that `up` would launch cost, at the first offer's price.
    #[serde(flatten)]
    pub bound: Bound,
    /// What else to know.
    pub notes: Vec<String>,
}

impl Report for Plan {
    fn text(&self, color: bool) -> String {
        let mut text = changes(&self.changes, color);
        if !self.offers.is_empty() {
            let rows = self.offers.iter().take(SHOWN).map(|offer| {
                let price = offer.price.map_or_else(|| "unknown".to_owned(), |price| price.to_string());
                let market = offer.market.as_str().to_owned();
                vec![offer.instance_type.clone(), offer.zone.to_string(), market, price, offer.subnet.clone()]
            });
            text.push('\n');
            text.push_str(&table(&["offer", "zone", "market", "usd/h", "subnet"], rows, color));
            if self.offers.len() > SHOWN {
                let _ = writeln!(text, "and {} more", self.offers.len() - SHOWN);
            }
        }
        let taken = self.offers.first().and_then(|offer| offer.price);
        let rest = choice::not_taken(&self.rejected, taken, color);
        if !rest.is_empty() {
            let _ = write!(text, "\n{rest}");
        }
        let _ = match (self.launches, self.offers.first()) {
            (0, _) => writeln!(text, "\n`up` would launch nothing: as many workers live as are wished"),
            (launches, Some(first)) => {
                let price = first.price.map_or_else(String::new, |price| format!(" for {price} USD an hour"));
                let market = if first.market == Market::OnDemand { " on demand" } else { "" };
                writeln!(
                    text,
                    "\n`up` would launch {launches} × {}{market} in {}{price}",
                    first.instance_type, first.zone
                )
            }
            (_, None) => writeln!(text, "\n`up` would find nothing to launch"),
        };
        text.push_str(&self.bound.text());
        text
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// `apply`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Apply {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// The account.
    pub account: String,
    /// What was done.
    pub changes: Vec<Change>,
}

impl Report for Apply {
    fn text(&self, color: bool) -> String {
        changes(&self.changes, color)
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty()
    }
}

/// One line a change; what is as it should be counts only.
fn changes(changes: &[Change], color: bool) -> String {
    let needed = changes.iter().filter(|change| change.is_needed());
    let rows: Vec<Vec<String>> = needed
        .map(|change| {
            let id = change.id.as_deref().filter(|id| *id != change.name);
            let name = id.map_or_else(|| change.name.clone(), |id| format!("{} ({id})", change.name));
            vec![change.action.word().to_owned(), change.kind.words().to_owned(), name, change.reason.clone()]
        })
        .collect();
    let same = changes.iter().filter(|change| change.action == Action::None).count();
    let mut text =
        if rows.is_empty() { String::new() } else { table(&["change", "kind", "name", "why"], rows.clone(), color) };
    if rows.is_empty() {
        text.push_str("nothing to change\n");
    } else if same > 0 {
        let _ = writeln!(text, "{same} more as they should be");
    }
    text
}

/// `params list`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Parameters {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// Where they stand.
    pub path: String,
    /// Never with a value.
    pub parameters: Vec<Row>,
}

impl Report for Parameters {
    fn text(&self, color: bool) -> String {
        if self.parameters.is_empty() {
            return format!("no parameter under {} in {}\n", self.path, self.region);
        }
        let rows = self.parameters.iter().map(|row| {
            let owner = if row.owned { "this stack's" } else { "used, not owned" };
            vec![row.key.clone(), row.kind.to_owned(), owner.to_owned(), row.bytes.to_string(), row.name.clone()]
        });
        table(&["key", "type", "owner", "bytes", "name"], rows, color)
    }

    fn is_empty(&self) -> bool {
        self.parameters.is_empty()
    }
}

/// `params diff`, `push` and `rm`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ParameterChanges {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// Where they stand.
    pub path: String,
    /// What differs, or was done.
    pub changes: Vec<Change>,
    /// Ours, not in the `.env` any more, kept.
    pub vanished: Vec<String>,
}

impl Report for ParameterChanges {
    fn text(&self, color: bool) -> String {
        let mut text = changes(&self.changes, color);
        if !self.vanished.is_empty() {
            let _ = writeln!(text, "not in the `.env` any more, kept: {}", self.vanished.join(", "));
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.changes.is_empty() && self.vanished.is_empty()
    }
}
