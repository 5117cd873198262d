//! `spotctl prices`: what GPU types cost on Spot now, by type and zone. Needs no file; one that is there may name the region.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use clap::ValueEnum;
use jiff::{SignedDuration, Timestamp};

use super::Outcome;
use super::context::{finish, settle_without_file};
use super::regions::Regions;
use super::signal::until_signal;
use crate::cloud::{Cloud, Failure};
use crate::decide::catalog::{self, Offer, Sort, Wanted, fits};
use crate::decide::classify::Class;
use crate::decide::offers::{Market, suggest, unknown_types};
use crate::decide::stability::Point;
use crate::error::{Error, Kind, Result};
use crate::market::price_list;
use crate::market::survey::{self, Scope, TYPES_TO_SCORE};
use crate::report::chart::{self, Line};
use crate::report::prices::{Chart, Failed, History, Prices, Row, Score, places};
use crate::settings::{GlobalArgs, Output};
use crate::spec::{Gib, Period, Usd, Zone};
use crate::ui::Ui;

/// How many offers a person is shown; JSON holds all, unless `--limit` says otherwise.
const SHOWN: usize = 20;

/// Arguments of `prices`.
#[derive(Debug, clap::Args)]
pub(crate) struct Args {
    /// `all` that are enabled, or names with commas between; else the one in use
    #[arg(long, value_name = "REGIONS")]
    regions: Option<Regions>,
    /// Only these types, whoever makes their GPU; `*` and `?` as in `g5.*`; may be repeated
    #[arg(long = "type", value_name = "TYPE", value_parser = pattern)]
    types: Vec<String>,
    /// Every type that is sold on Spot, those without a GPU included; reads many pages
    #[arg(long, conflicts_with = "types")]
    all_types: bool,
    /// Exactly so many GPUs
    #[arg(long, value_name = "N")]
    gpus: Option<u32>,
    /// GPU memory at the least, all GPUs together
    #[arg(long, value_name = "SIZE")]
    gpu_memory: Option<Gib>,
    /// Processor
    #[arg(long, value_enum)]
    arch: Option<Architecture>,
    /// In this zone only
    #[arg(long, value_name = "ZONE", value_parser = zone)]
    zone: Option<Zone>,
    /// Not dearer, in USD an hour
    #[arg(long, value_name = "USD", value_parser = super::price)]
    max_price: Option<Usd>,
    /// Order
    #[arg(long, value_enum, default_value_t)]
    sort: Sort,
    /// Show at most so many [default: 20 in text, all in JSON]
    #[arg(long, value_name = "N", value_parser = limit)]
    limit: Option<usize>,
    /// How the prices moved in that time, at most 90d [without TIME: 7d]
    #[arg(long, value_name = "TIME", num_args = 0..=1, default_missing_value = DEFAULT_HISTORY)]
    history: Option<LookBack>,
    /// Draw the history of the first ten offers that are shown
    #[arg(long, value_name = "FILE.svg", value_parser = chart_file)]
    chart: Option<PathBuf>,
    /// Ask for AWS's placement scores too, a weak signal; takes three types or more
    #[arg(long)]
    placement_score: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Architecture {
    #[value(name = "x86_64")]
    X86,
    #[value(name = "arm64")]
    Arm,
}

/// What `--chart` draws when `--history` does not say.
const DEFAULT_HISTORY: &str = "7d";

/// A time that AWS still knows prices of.
#[derive(Debug, Clone, PartialEq, Eq)]
struct LookBack {
    seconds: i64,
    /// As typed.
    text: String,
}

impl FromStr for LookBack {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        const DAY: i64 = 24 * 3600;
        // `DescribeSpotPriceHistory` looks back ninety days.
        const MOST: i64 = 90 * DAY;
        let days = text.strip_suffix('d').and_then(|days| days.parse::<u16>().ok());
        let seconds = match days {
            Some(days) => i64::from(days) * DAY,
            None => text.parse::<Period>().map_or(0, |period| i64::from(period.as_secs())),
        };
        if !(1..=MOST).contains(&seconds) {
            return Err(
                "a time to look back is such as 7d or 36h, and at most 90d, which is how far AWS does".to_owned()
            );
        }
        Ok(Self { seconds, text: text.to_owned() })
    }
}

fn pattern(text: &str) -> Result<String, String> {
    let is_known = |letter: char| letter.is_ascii_lowercase() || letter.is_ascii_digit() || ".-*?".contains(letter);
    if text.is_empty() || !text.chars().all(is_known) {
        return Err("a type is such as g5.xlarge, or with wildcards g5.*".to_owned());
    }
    Ok(text.to_owned())
}

fn zone(text: &str) -> Result<Zone, String> {
    if text.is_empty() { Err("a zone is such as us-east-1a".to_owned()) } else { Ok(Zone(text.to_owned())) }
}

fn limit(text: &str) -> Result<usize, String> {
    text.parse().ok().filter(|limit| *limit > 0).ok_or_else(|| "a limit is 1 or more".to_owned())
}

fn chart_file(text: &str) -> Result<PathBuf, String> {
    let path = PathBuf::from(text);
    // What it is called is what it is; and nothing but a chart is ever overwritten.
    let is_svg = path.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("svg"));
    if is_svg { Ok(path) } else { Err("a chart is drawn into a file that ends in .svg".to_owned()) }
}

impl Args {
    fn scope(&self) -> Scope {
        match (self.all_types, self.types.is_empty()) {
            (true, _) => Scope::All,
            (false, true) => Scope::Accelerators,
            (false, false) => Scope::Named(self.types.clone()),
        }
    }

    fn wanted(&self) -> Wanted<'_> {
        Wanted {
            any_maker: self.all_types || !self.types.is_empty(),
            gpus: self.gpus,
            gpu_memory: self.gpu_memory,
            architecture: self.arch.map(|arch| match arch {
                Architecture::X86 => "x86_64",
                Architecture::Arm => "arm64",
            }),
            zone: self.zone.as_ref(),
            max_price: self.max_price,
        }
    }

    fn look_back(&self) -> Option<LookBack> {
        let implied = || self.chart.as_ref().and_then(|_| DEFAULT_HISTORY.parse().ok());
        self.history.clone().or_else(implied)
    }

    fn shown(&self, output: Output) -> usize {
        self.limit.unwrap_or(if output == Output::Json { usize::MAX } else { SHOWN })
    }
}

pub(crate) async fn run(ui: &Ui, global: &GlobalArgs, args: &Args) -> Outcome {
    let cloud = Cloud::connect(&settle_without_file(ui, global, |_| true)).await?;
    let mut report = Prices { regions: vec![cloud.region.clone()], ..Prices::default() };
    let result = until_signal(Box::pin(work(ui, &cloud, args, &mut report))).await;
    for note in &report.notes {
        ui.warn(note);
    }
    finish(ui, "prices", &report, result)
}

/// A region's market, and the way to it.
type Surveyed = (Cloud, Market);

async fn work(ui: &Ui, cloud: &Cloud, args: &Args, report: &mut Prices) -> Result<u8> {
    let waiting = ui.wait("reading the prices");
    let clouds = match &args.regions {
        Some(regions) => regions.clouds(cloud).await?,
        None => vec![cloud.clone()],
    };
    report.regions = clouds.iter().map(|cloud| cloud.region.clone()).collect();
    let mut failures = Failures::default();
    let scope = args.scope();
    let asked = clouds.iter().map(|cloud| survey::survey(cloud, &scope));
    let answers = futures::future::join_all(asked).await;
    let surveyed: Vec<Surveyed> =
        clouds.into_iter().zip(answers).filter_map(|(cloud, answer)| failures.sort_out(cloud, answer)).collect();
    if failures.0.is_empty() {
        // What one region lacks another may have, so only an answer from all of them says what is nowhere.
        check_types(&surveyed, args, report).await?;
        check_zone(&surveyed, args).await?;
    }
    let wanted = args.wanted();
    let mut offers: Vec<Offer> =
        surveyed.iter().flat_map(|(cloud, market)| wanted.select(&cloud.region, market)).collect();
    add_on_demand(&surveyed, &mut offers, report).await;
    catalog::sort(&mut offers, args.sort);
    report.total = offers.len();
    offers.truncate(args.shown(ui.output));
    report.offers = offers.iter().map(Row::new).collect();

    let look_back = args.look_back();
    let until = Timestamp::now();
    let since = |back: &LookBack| until.checked_sub(SignedDuration::from_secs(back.seconds)).unwrap_or(until);
    let since = look_back.as_ref().map(since);
    let (histories, scores) = futures::join!(histories(&surveyed, &offers, since), scores(&surveyed, &offers, args));
    add_scores(scores, report);
    if let Some(since) = since {
        report.looked_back = look_back.map(|back| format!("last {}", back.text));
        let mut points = BTreeMap::new();
        for (cloud, answer) in histories {
            points.extend(failures.sort_out(cloud, answer).map(|(_, found)| found).unwrap_or_default());
        }
        let of = |offer: &Offer| points.get(&(offer.instance_type.name.clone(), offer.zone.clone()));
        for (row, offer) in report.offers.iter_mut().zip(&offers) {
            row.history = of(offer).and_then(|points| History::new(points, since, until));
        }
        if let Some(file) = &args.chart {
            let lines: Vec<Line> =
                offers.iter().filter_map(|offer| line(offer, of(offer)?)).take(chart::LINES).collect();
            draw(file, &lines, (since, until), report)?;
        }
    }
    drop(waiting);
    if let Some(Chart { file, lines }) = report.chart.as_ref().filter(|chart| chart.lines < report.total) {
        ui.note(&format!("`{file}` shows the first {lines} of {} offers", report.total));
    }
    failures.conclude(ui, report)
}

/// Regions that failed for good, by name: the SDK has repeated what can be repeated.
#[derive(Debug, Default)]
struct Failures(Vec<(String, Error)>);

impl Failures {
    /// What a region answered, or none: then its failure is kept.
    fn sort_out<T>(&mut self, cloud: Cloud, answer: Result<T>) -> Option<(Cloud, T)> {
        match answer {
            Ok(found) => Some((cloud, found)),
            Err(error) => {
                self.0.push((cloud.region, error));
                None
            }
        }
    }

    /// Names them, and fails where there are any: what is shown is not all there is.
    fn conclude(self, ui: &Ui, report: &mut Prices) -> Result<u8> {
        report.failed = self.0.iter().map(|(region, error)| Failed::new(region, error)).collect();
        if report.regions.len() > 1 {
            self.0.iter().for_each(|(region, error)| ui.warn(&format!("{region}: {}", error.message)));
        }
        match summary(self.0, report.regions.len()) {
            Some(error) => Err(error),
            None => Ok(0),
        }
    }
}

/// The failure of some regions: permission only where all of them lack it.
fn summary(mut failed: Vec<(String, Error)>, regions: usize) -> Option<Error> {
    if regions == 1 {
        return failed.pop().map(|(_, error)| error);
    }
    let all_access = failed.iter().all(|(_, error)| error.kind == Kind::Access);
    let (_, first) = failed.first()?;
    let names = failed.iter().map(|(region, _)| region.as_str()).collect::<Vec<_>>().join(", ");
    let kind = if all_access { Kind::Access } else { Kind::Aws };
    let message = format!("reading the prices of {regions} regions: {} did not answer in full: {names}", failed.len());
    let mut error = Error::new(kind, message);
    error.code.clone_from(&first.code);
    error.request_id.clone_from(&first.request_id);
    error.hints.clone_from(&first.hints);
    Some(error)
}

/// A type that was named and is nowhere is a mistake; one that is there, but not on Spot, is a note.
async fn check_types(surveyed: &[Surveyed], args: &Args, report: &mut Prices) -> Result<()> {
    let is_found =
        |pattern: &str| surveyed.iter().any(|(_, market)| market.types.iter().any(|found| fits(pattern, &found.name)));
    let missing: Vec<&str> = args.types.iter().map(String::as_str).filter(|pattern| !is_found(pattern)).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // Only on the way to an error: a page through every name, for the "did you mean".
    let names = futures::future::try_join_all(surveyed.iter().map(|(cloud, _)| survey::names(cloud))).await?;
    let known: Vec<String> = names.into_iter().flatten().collect::<BTreeSet<_>>().into_iter().collect();
    let (elsewhere, unknown): (Vec<&str>, Vec<&str>) =
        missing.into_iter().partition(|pattern| known.iter().any(|name| fits(pattern, name)));
    let place = places(&report.regions);
    if !unknown.is_empty() {
        return Err(unknown_types(&unknown, &known, &place));
    }
    report.notes.extend(elsewhere.iter().map(|pattern| format!("`{pattern}` is not sold on Spot in {place}")));
    Ok(())
}

/// A zone that is nowhere is a mistake.
async fn check_zone(surveyed: &[Surveyed], args: &Args) -> Result<()> {
    let Some(wished) = &args.zone else { return Ok(()) };
    if surveyed.iter().any(|(_, market)| market.offered.iter().any(|(_, zone)| zone == wished)) {
        return Ok(());
    }
    let zones = futures::future::try_join_all(surveyed.iter().map(|(cloud, _)| survey::zones(cloud))).await?;
    let known: Vec<String> = zones.into_iter().flatten().collect();
    if known.contains(&wished.0) {
        return Ok(());
    }
    let regions: Vec<String> = surveyed.iter().map(|(cloud, _)| cloud.region.clone()).collect();
    let error = Error::usage(format!("no zone `{wished}` in {}", places(&regions)));
    Err(suggest(error, &wished.0, known.iter().map(String::as_str)))
}

/// On-demand prices of what is shown. Where they cannot be read, one note says so, and nothing else fails.
async fn add_on_demand(surveyed: &[Surveyed], offers: &mut [Offer], report: &mut Prices) {
    let asked = surveyed.iter().map(async |(cloud, _)| {
        let types = types(offers, &cloud.region);
        let answer = if types.is_empty() { Ok(BTreeMap::new()) } else { price_list::on_demand(cloud, &types).await };
        (cloud.region.clone(), answer)
    });
    let mut failures = Vec::new();
    for (region, answer) in futures::future::join_all(asked).await {
        match answer {
            Ok(prices) => {
                for offer in offers.iter_mut().filter(|offer| offer.region == region) {
                    offer.on_demand = prices.get(&offer.instance_type.name).copied();
                }
            }
            Err(failure) => failures.push(failure),
        }
    }
    let Some(failure) = failures.pop() else { return };
    report.notes.push(match failure.class {
        Class::Access => "on-demand prices are left out: the action `pricing:GetProducts` is not allowed".to_owned(),
        _ => format!("on-demand prices are left out: {}", failure.doing("reading the price list").message),
    });
}

fn types(offers: &[Offer], region: &str) -> BTreeSet<String> {
    offers.iter().filter(|offer| offer.region == region).map(|offer| offer.instance_type.name.clone()).collect()
}

type Histories = BTreeMap<(String, Zone), Vec<Point>>;

/// The histories of the shown offers, a region's all at once; nothing where none are wished.
async fn histories(
    surveyed: &[Surveyed],
    offers: &[Offer],
    since: Option<Timestamp>,
) -> Vec<(Cloud, Result<Histories>)> {
    let Some(since) = since else { return Vec::new() };
    let asked = surveyed
        .iter()
        .map(async |(cloud, _)| (cloud.clone(), survey::histories(cloud, &types(offers, &cloud.region), since).await));
    futures::future::join_all(asked).await
}

/// A region's placement scores, or why there are none.
type Scored = Result<Vec<Score>, Unscored>;

/// Why a region has no placement scores.
enum Unscored {
    /// Too few types are shown in this one.
    Few(String),
    /// AWS does not say.
    Refused(String),
}

async fn scores(surveyed: &[Surveyed], offers: &[Offer], args: &Args) -> Vec<Scored> {
    if !args.placement_score {
        return Vec::new();
    }
    let asked = surveyed.iter().map(async |(cloud, _)| {
        let region = &cloud.region;
        let types = types(offers, region);
        match types.len() {
            0 => return Ok(Vec::new()),
            1..TYPES_TO_SCORE => return Err(Unscored::Few(region.clone())),
            _ => {}
        }
        let refused = |failure: Failure| match failure.class {
            Class::Access => format!("the action `ec2:{}` is not allowed", failure.operation),
            _ => failure.doing(&format!("reading those of {region}")).message,
        };
        let found = survey::placement_scores(cloud, &types).await;
        let found = found.map_err(|failure| Unscored::Refused(refused(failure)))?;
        let score = |(zone, score): (Zone, u8)| Score {
            region: region.clone(),
            zone: zone.0,
            score,
            types: types.iter().cloned().collect(),
        };
        Ok(found.into_iter().map(score).collect())
    });
    futures::future::join_all(asked).await
}

fn add_scores(answers: Vec<Scored>, report: &mut Prices) {
    let (mut few, mut refused) = (Vec::new(), BTreeSet::new());
    for answer in answers {
        match answer {
            Ok(scores) => report.scores.extend(scores),
            Err(Unscored::Few(region)) => few.push(region),
            Err(Unscored::Refused(why)) => drop(refused.insert(why)),
        }
    }
    if !few.is_empty() {
        let regions = few.join(", ");
        report
            .notes
            .push(format!("no placement score in {regions}: it takes three types or more, and fewer are shown"));
    }
    report.notes.extend(refused.into_iter().map(|why| format!("no placement score: {why}")));
    for row in &mut report.offers {
        row.placement_score = report.scores.iter().find(|score| score.zone == row.zone).map(|score| score.score);
    }
}

fn line(offer: &Offer, points: &[Point]) -> Option<Line> {
    let name = format!("{} {}", offer.instance_type.name, offer.zone);
    (!points.is_empty()).then(|| Line { name, points: points.to_vec() })
}

fn draw(file: &Path, lines: &[Line], (since, until): (Timestamp, Timestamp), report: &mut Prices) -> Result<()> {
    let name = file.display().to_string();
    if lines.is_empty() {
        report.notes.push(format!("nothing to draw, so `{name}` is not written"));
        return Ok(());
    }
    std::fs::write(file, chart::svg(lines, since, until))
        .map_err(|error| Error::usage(format!("writing the chart `{name}`: {error}")))?;
    report.chart = Some(Chart { file: name, lines: lines.len() });
    Ok(())
}

#[cfg(test)]
mod tests;
