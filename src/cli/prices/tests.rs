use std::time::Duration;

use aws_smithy_runtime_api::client::http::{
    HttpClient, HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpClient, SharedHttpConnector,
};
use aws_smithy_runtime_api::client::orchestrator::{HttpRequest, HttpResponse};
use aws_smithy_runtime_api::client::runtime_components::RuntimeComponents;
use aws_smithy_types::body::SdkBody;
use clap::Parser;
use tokio::time::Instant;

use super::*;
use crate::report::Report;
use crate::sandbox::{Sandbox, client};
use crate::settings::Color;

const LATENCY: Duration = Duration::from_millis(100);

#[derive(Parser)]
struct Only {
    #[command(flatten)]
    args: Args,
}

/// The sandbox, and before it what AWS answers to `GetSpotPlacementScores`.
#[derive(Debug, Clone)]
struct Scoring(SharedHttpClient);

const SCORES: &str = r#"<GetSpotPlacementScoresResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/">
  <requestId>5a1e7e7e-0000-4000-8000-000000000000</requestId>
  <spotPlacementScoreSet>
    <item><region>us-east-1</region><availabilityZoneId>use1-az1</availabilityZoneId><score>9</score></item>
    <item><region>us-east-1</region><availabilityZoneId>use1-az99</availabilityZoneId><score>3</score></item>
  </spotPlacementScoreSet>
</GetSpotPlacementScoresResponse>"#;

impl HttpClient for Scoring {
    fn http_connector(&self, settings: &HttpConnectorSettings, parts: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(ScoringConnector(self.0.http_connector(settings, parts)))
    }
}

#[derive(Debug)]
struct ScoringConnector(SharedHttpConnector);

impl HttpConnector for ScoringConnector {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        if !body.contains("Action=GetSpotPlacementScores") {
            return self.0.call(request);
        }
        // One instance in one zone, of this region only, whatever the type.
        let wanted = ["SingleAvailabilityZone=true", "TargetCapacity=1", "RegionName.1=us-east-1", "InstanceType.3="];
        assert!(wanted.iter().all(|part| body.contains(part)), "{body}");
        let answer = HttpResponse::new(200_u16.try_into().unwrap(), SdkBody::from(SCORES));
        HttpConnectorFuture::ready(Ok(answer))
    }
}

/// What `prices` answers in a new account with this weather, and how many round trips followed each other.
async fn prices(weather: &[&str], flags: &[&str]) -> (Result<u8>, Prices, u128) {
    let sandbox = Sandbox::in_memory();
    for words in ["latency 100ms"].iter().chain(weather) {
        sandbox.say(words);
    }
    let scoring = Scoring(client::http_client(sandbox.clone()));
    let config = client::config(&sandbox, "us-east-1").http_client(scoring).build();
    let args = Only::parse_from([&["prices"], flags].concat()).args;
    let (ui, mut report) = (Ui::new(Output::Json, true, Color::Never), Prices::default());
    let began = Instant::now();
    let result = Box::pin(work(&ui, &Cloud::from_config(&config).unwrap(), &args, &mut report)).await;
    // Virtual time over latency: sequential round trips, whatever the machine.
    (result, report, (began.elapsed().as_millis() + LATENCY.as_millis() / 2) / LATENCY.as_millis())
}

#[tokio::test(start_paused = true)]
async fn all_regions_take_three_sequential_round_trips_at_most_and_four_with_history() {
    for (flags, bound) in [(&[][..], 2), (&["--regions", "all"], 3), (&["--regions", "all", "--history", "7d"], 4)] {
        let (result, report, trips) = prices(&[], flags).await;
        assert_eq!(result.map_err(|error| error.message), Ok(0), "{flags:?}");
        assert!(trips <= bound, "{flags:?}: {trips}");
        let regions = if flags.is_empty() { 1 } else { report.regions.len() };
        let answered: BTreeSet<&str> = report.offers.iter().map(|row| row.region.as_str()).collect();
        assert!(regions == answered.len() && (flags.is_empty() || regions > 4), "{flags:?}: {answered:?}");
    }
}

#[tokio::test(start_paused = true)]
async fn a_placement_score_goes_to_the_zone_of_its_id_and_is_called_a_weak_signal() {
    let (result, report, _) = prices(&[], &["--placement-score", "--type", "g5.*"]).await;
    assert_eq!(result.map_err(|error| error.message), Ok(0));
    let scores: Vec<_> = report.scores.iter().map(|score| (score.zone.as_str(), score.score)).collect();
    assert_eq!(scores, [("us-east-1a", 9)]);
    for row in &report.offers {
        assert_eq!(row.placement_score, (row.zone == "us-east-1a").then_some(9), "{}", row.zone);
    }
    assert!(report.text(false).contains("a weak signal"));
    let (_, report, _) = prices(&[], &["--placement-score", "--type", "g5.xlarge"]).await;
    assert!(report.scores.is_empty() && report.notes.len() == 1, "{:?}", report.notes);
}

#[test]
fn some_regions_failing_is_a_matter_of_permission_only_where_all_of_them_lack_it() {
    let failed = |kinds: &[Kind]| {
        let named = kinds.iter().enumerate().map(|(number, kind)| (format!("r{number}"), Error::new(*kind, "no")));
        named.collect::<Vec<_>>()
    };
    for (kinds, regions, expected) in [
        (&[][..], 3, None),
        (&[Kind::Access], 3, Some((Kind::Access, "reading the prices of 3 regions: 1 did not answer in full: r0"))),
        (
            &[Kind::Access, Kind::Aws],
            3,
            Some((Kind::Aws, "reading the prices of 3 regions: 2 did not answer in full: r0, r1")),
        ),
        (&[Kind::Access], 1, Some((Kind::Access, "no"))),
    ] {
        let found = summary(failed(kinds), regions);
        assert_eq!(found.as_ref().map(|error| (error.kind, error.message.as_str())), expected, "{kinds:?}");
    }
}

#[test]
fn a_look_back_is_days_or_hours_and_no_longer_than_aws_looks() {
    for (text, seconds) in
        [("7d", Some(604_800)), ("90d", Some(7_776_000)), ("36h", Some(129_600)), ("1h30m", Some(5400))]
    {
        assert_eq!(text.parse::<LookBack>().ok().map(|back| back.seconds), seconds, "{text}");
    }
    for wrong in ["0d", "91d", "2161h", "-1d", "7", "d", "", "1.5d", "week", "99999d"] {
        assert!(wrong.parse::<LookBack>().is_err(), "{wrong}");
    }
}

#[test]
fn a_chart_is_an_svg_and_implies_a_week_of_history() {
    let parse = |flags: &[&str]| Only::try_parse_from([&["prices"], flags].concat()).map(|only| only.args);
    let back = |flags: &[&str]| parse(flags).unwrap().look_back().map(|back| back.text);
    assert_eq!(back(&["--chart", "x.svg"]).as_deref(), Some("7d"));
    assert_eq!(back(&["--chart", "x.SVG", "--history", "1d"]).as_deref(), Some("1d"));
    assert_eq!(back(&["--history"]).as_deref(), Some("7d"));
    assert_eq!(back(&[]), None);
    for wrong in ["x.png", "svg", "x", ""] {
        assert!(parse(&["--chart", wrong]).is_err(), "{wrong}");
    }
}
