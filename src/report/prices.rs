//! The document of `prices`.

use std::fmt::Write;

use jiff::Timestamp;
use serde::{Serialize, Serializer};

use super::Report;
use super::table::table;
use super::workers::rfc3339;
use crate::decide::catalog::Offer;
use crate::decide::stability::{Point, levels, stability};
use crate::error::Error;
use crate::spec::Usd;

/// So many signs draw a price's history in a table.
const PARTS: u32 = 16;
/// From the lowest price to the highest.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// `prices`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Prices {
    /// The regions that were looked at.
    pub regions: Vec<String>,
    /// How many offers there are; `offers` may hold fewer.
    pub total: usize,
    /// Sorted as wished.
    pub offers: Vec<Row>,
    /// Placement scores by zone; empty unless wished, and where too few types are shown.
    pub scores: Vec<Score>,
    /// Regions that did not answer, or not in full.
    pub failed: Vec<Failed>,
    /// Where the chart was drawn.
    pub chart: Option<Chart>,
    /// What else to know.
    pub notes: Vec<String>,
    /// The heading of the history, as it was asked for.
    #[serde(skip)]
    pub looked_back: Option<String>,
}

/// One type in one zone.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// Instance type.
    #[serde(rename = "type")]
    pub instance_type: String,
    /// vCPUs.
    pub vcpus: u32,
    /// Memory.
    #[serde(rename = "memory_gib")]
    pub memory: Mib,
    /// Whole GPUs; 0 for a fraction of one, and for none.
    pub gpus: u32,
    /// GPU model.
    pub gpu: Option<String>,
    /// Memory of all GPUs together.
    #[serde(rename = "gpu_memory_gib")]
    pub gpu_memory: Mib,
    /// Local `NVMe` as AWS gives it, in GB.
    pub nvme_gb: u32,
    /// `x86_64`, `arm64`.
    pub architectures: Vec<String>,
    /// Spot price an hour now; `null` where AWS has no row.
    pub spot_usd: Option<Usd>,
    /// The same for each GPU.
    pub spot_usd_per_gpu: Option<Usd>,
    /// On-demand price an hour; `null` where nobody may read it.
    pub on_demand_usd: Option<Usd>,
    /// Per cent.
    pub savings: Option<i64>,
    /// How the price moved; only with `--history`.
    pub history: Option<History>,
    /// Of the zone, for all types shown there; only with `--placement-score`.
    pub placement_score: Option<u8>,
}

/// How a price moved.
#[derive(Debug, Clone, Serialize)]
pub struct History {
    /// From when on it is known, RFC 3339.
    pub since: String,
    /// Lowest.
    pub min: Usd,
    /// At least half the time it was this or less.
    pub median: Usd,
    /// Highest.
    pub max: Usd,
    /// Each change, oldest first; the first may lie before `since`.
    pub points: Vec<Change>,
    /// For the table.
    #[serde(skip)]
    shape: String,
}

/// From when on a price held.
#[derive(Debug, Clone, Serialize)]
pub struct Change {
    /// RFC 3339.
    pub at: String,
    /// USD an hour.
    pub usd: Usd,
}

/// A zone's placement score.
#[derive(Debug, Clone, Serialize)]
pub struct Score {
    /// Region.
    pub region: String,
    /// Zone.
    pub zone: String,
    /// 1 to 10, AWS's guess.
    pub score: u8,
    /// What it is about: one instance of any of these.
    pub types: Vec<String>,
}

/// A region that did not answer.
#[derive(Debug, Clone, Serialize)]
pub struct Failed {
    /// Region.
    pub region: String,
    /// AWS's code, if it gave one.
    pub code: Option<String>,
    /// What failed.
    pub message: String,
}

/// A chart that was drawn.
#[derive(Debug, Clone, Serialize)]
pub struct Chart {
    /// The file.
    pub file: String,
    /// How many offers it shows.
    pub lines: usize,
}

/// Memory: MiB as AWS counts it, written in GiB, a whole number where it is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Mib(pub u64);

impl Mib {
    /// Hundredths of a GiB, to the nearest.
    fn hundredths(self) -> u64 {
        (self.0 * 100 + 512) / 1024
    }
}

impl std::fmt::Display for Mib {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (self.hundredths() / 100, self.hundredths() % 100) {
            (whole, 0) => write!(f, "{whole} GiB"),
            (whole, part) if part % 10 == 0 => write!(f, "{whole}.{} GiB", part / 10),
            (whole, part) => write!(f, "{whole}.{part:02} GiB"),
        }
    }
}

impl Serialize for Mib {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let hundredths = self.hundredths();
        match (hundredths % 100, u32::try_from(hundredths)) {
            (0, _) => serializer.serialize_u64(hundredths / 100),
            (_, Ok(hundredths)) => serializer.serialize_f64(f64::from(hundredths) / 100.0),
            (_, Err(_)) => serializer.serialize_u64(hundredths / 100),
        }
    }
}

impl Row {
    /// The row of an offer, without a history.
    #[must_use]
    pub fn new(offer: &Offer) -> Self {
        let is = &offer.instance_type;
        Self {
            region: offer.region.clone(),
            zone: offer.zone.to_string(),
            instance_type: is.name.clone(),
            vcpus: is.vcpus,
            memory: Mib(is.memory_mib),
            gpus: is.gpus,
            gpu: is.gpu.clone(),
            gpu_memory: Mib(is.gpu_memory_mib),
            nvme_gb: is.nvme_gb,
            architectures: is.architectures.clone(),
            spot_usd: offer.spot,
            spot_usd_per_gpu: offer.spot_per_gpu(),
            on_demand_usd: offer.on_demand,
            savings: offer.savings(),
            history: None,
            placement_score: None,
        }
    }

    /// Such as `4 × T4, 64 GiB`.
    fn gpus(&self) -> String {
        match (self.gpu.as_deref(), self.gpus) {
            (None, _) => String::new(),
            (Some(model), 0) => format!("part of {model}, {}", self.gpu_memory),
            (Some(model), count) => format!("{count} × {model}, {}", self.gpu_memory),
        }
    }
}

impl History {
    /// What is known of a pool between two moments.
    #[must_use]
    pub fn new(points: &[Point], since: Timestamp, until: Timestamp) -> Option<Self> {
        let found = stability(points, since, until)?;
        let shape = levels(points, since, until, PARTS).into_iter();
        Some(Self {
            since: rfc3339(found.since),
            min: found.min,
            median: found.median,
            max: found.max,
            points: points.iter().map(|(at, usd)| Change { at: rfc3339(*at), usd: *usd }).collect(),
            shape: shape.map(|level| level.map_or(' ', |level| LEVELS[usize::from(level) % LEVELS.len()])).collect(),
        })
    }
}

impl Failed {
    /// The region's failure.
    #[must_use]
    pub fn new(region: &str, error: &Error) -> Self {
        Self { region: region.to_owned(), code: error.code.clone(), message: error.message.clone() }
    }
}

/// One column of the table: its heading, and what it says of a row.
type Column<'a> = (&'a str, fn(&Row) -> String);

fn amount(price: Option<Usd>) -> String {
    price.map_or_else(String::new, |price| price.rounded_rate().to_string())
}

const ALWAYS: [Column<'static>; 10] = [
    ("type", |row| row.instance_type.clone()),
    ("zone", |row| row.zone.clone()),
    ("gpu", Row::gpus),
    ("vcpus", |row| row.vcpus.to_string()),
    ("memory", |row| row.memory.to_string()),
    ("nvme", |row| if row.nvme_gb == 0 { String::new() } else { format!("{} GB", row.nvme_gb) }),
    ("spot usd/h", |row| row.spot_usd.map_or_else(|| "unknown".to_owned(), |price| amount(Some(price)))),
    ("per gpu", |row| amount(row.spot_usd_per_gpu)),
    ("on demand", |row| amount(row.on_demand_usd)),
    ("saves", |row| row.savings.map_or_else(String::new, |savings| format!("{savings} %"))),
];

fn moved(row: &Row, of: fn(&History) -> String) -> String {
    row.history.as_ref().map_or_else(String::new, of)
}

impl Prices {
    fn columns(&self) -> Vec<Column<'_>> {
        let any = |says: fn(&Row) -> bool| self.offers.iter().any(says);
        let mut columns = ALWAYS.to_vec();
        columns.retain(|(heading, _)| match *heading {
            // Where nobody may read them, or no GPU is shown, an empty column says nothing.
            "on demand" | "saves" => any(|row| row.on_demand_usd.is_some()),
            "per gpu" => any(|row| row.gpus > 1),
            "gpu" => any(|row| row.gpu.is_some()),
            _ => true,
        });
        if let Some(looked_back) = &self.looked_back {
            columns.extend([
                ("min", (|row| moved(row, |history| amount(Some(history.min)))) as fn(&Row) -> String),
                ("median", |row| moved(row, |history| amount(Some(history.median)))),
                ("max", |row| moved(row, |history| amount(Some(history.max)))),
                (looked_back, |row| moved(row, |history| history.shape.clone())),
            ]);
        }
        if !self.scores.is_empty() {
            columns.push(("score", |row| row.placement_score.map_or_else(String::new, |score| score.to_string())));
        }
        columns
    }
}

impl Report for Prices {
    fn text(&self, color: bool) -> String {
        if self.offers.is_empty() {
            return format!("nothing on Spot in {} is what was asked for\n", places(&self.regions));
        }
        let columns = self.columns();
        let headings: Vec<&str> = columns.iter().map(|(heading, _)| *heading).collect();
        let rows = self.offers.iter().map(|row| columns.iter().map(|(_, says)| says(row)).collect());
        let mut text = table(&headings, rows, color);
        if self.total > self.offers.len() {
            let _ = writeln!(text, "and {} more: --limit {}", self.total - self.offers.len(), self.total);
        }
        if !self.scores.is_empty() {
            text.push_str(
                "score: AWS's guess, from 1 to 10, whether any one of the types shown in a zone's region would start there \
                 at this moment; a weak signal, about all of them together, and no promise\n",
            );
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.offers.is_empty()
    }
}

/// Regions for a sentence.
#[must_use]
pub fn places(regions: &[String]) -> String {
    const NAMED: usize = 4;
    if regions.len() > NAMED { format!("any of {} regions", regions.len()) } else { regions.join(", ") }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::decide::catalog::tests::a_type;
    use crate::spec::Zone;

    fn row() -> Row {
        Row::new(&Offer {
            region: "us-east-1".to_owned(),
            zone: Zone("us-east-1a".to_owned()),
            instance_type: a_type("g4dn.xlarge", 1, 16, "NVIDIA", "x86_64"),
            spot: Some(Usd::from_micros(157_800)),
            on_demand: None,
        })
    }

    #[test]
    fn a_program_reads_every_field_and_null_where_nothing_is_known() {
        assert_eq!(
            serde_json::to_value(row()).unwrap(),
            json!({
                "region": "us-east-1", "zone": "us-east-1a", "type": "g4dn.xlarge", "vcpus": 4, "memory_gib": 16,
                "gpus": 1, "gpu": "T4", "gpu_memory_gib": 16, "nvme_gb": 125, "architectures": ["x86_64"],
                "spot_usd": "0.1578", "spot_usd_per_gpu": "0.1578", "on_demand_usd": null, "savings": null,
                "history": null, "placement_score": null,
            })
        );
    }

    #[test]
    fn memory_is_whole_where_it_is_and_else_has_two_decimals() {
        for (mib, json, text) in [
            (16_384, json!(16), "16 GiB"),
            (22_888, json!(22.35), "22.35 GiB"),
            (512, json!(0.5), "0.5 GiB"),
            (2_865, json!(2.8), "2.8 GiB"),
            (0, json!(0), "0 GiB"),
        ] {
            assert_eq!((serde_json::to_value(Mib(mib)).unwrap(), Mib(mib).to_string()), (json, text.to_owned()));
        }
    }

    #[test]
    fn a_column_that_would_be_empty_is_left_out_and_a_fraction_is_named_one() {
        let mut part = row();
        (part.gpus, part.spot_usd, part.gpu_memory) = (0, None, Mib(2_865));
        let mut prices =
            Prices { regions: vec!["us-east-1".to_owned()], total: 9, offers: vec![row(), part], ..Prices::default() };
        assert_eq!(
            prices.text(false),
            "TYPE         ZONE        GPU                  VCPUS  MEMORY  NVME    SPOT USD/H\n\
             g4dn.xlarge  us-east-1a  1 × T4, 16 GiB       4      16 GiB  125 GB  0.1578\n\
             g4dn.xlarge  us-east-1a  part of T4, 2.8 GiB  4      16 GiB  125 GB  unknown\n\
             and 7 more: --limit 9\n"
        );
        prices.offers.clear();
        assert_eq!(prices.text(false), "nothing on Spot in us-east-1 is what was asked for\n");
        prices.regions = (1..9).map(|number| format!("us-east-{number}")).collect();
        assert_eq!(prices.text(false), "nothing on Spot in any of 8 regions is what was asked for\n");
    }

    #[test]
    fn a_history_is_three_prices_and_a_shape_that_begins_when_it_is_known() {
        let at = |hour: i64| Timestamp::from_second(hour * 3600).unwrap();
        let points = [(at(8), Usd::from_micros(100_000)), (at(12), Usd::from_micros(200_000))];
        let mut offer = row();
        offer.history = History::new(&points, at(0), at(16));
        let prices = Prices { offers: vec![offer], looked_back: Some("last 16h".to_owned()), ..Prices::default() };
        let text = prices.text(false);
        assert!(text.contains("MIN   MEDIAN  MAX   LAST 16H"), "{text}");
        assert!(text.contains("0.10  0.10    0.20          ▁▁▁▁████"), "{text}");
        let json = serde_json::to_value(&prices).unwrap();
        assert_eq!(
            json["offers"][0]["history"],
            json!({
                "since": "1970-01-01T08:00:00Z", "min": "0.10", "median": "0.10", "max": "0.20",
                "points": [
                    {"at": "1970-01-01T08:00:00Z", "usd": "0.10"},
                    {"at": "1970-01-01T12:00:00Z", "usd": "0.20"},
                ],
            })
        );
    }
}
