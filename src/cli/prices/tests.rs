use std::time::Duration;

use aws_config::{BehaviorVersion, Region, SdkConfig};
use aws_credential_types::Credentials;
use aws_credential_types::provider::SharedCredentialsProvider;
use clap::Parser;
use tokio::time::Instant;

use super::*;
use crate::sandbox::{Sandbox, client};
use crate::settings::Color;

const LATENCY: Duration = Duration::from_millis(100);

#[derive(Parser)]
struct Only {
    #[command(flatten)]
    args: Args,
}

/// What `prices` answers in a new account with this weather, and how many round trips followed each other.
async fn prices(weather: &[&str], flags: &[&str]) -> (Result<u8>, Prices, u128) {
    let sandbox = Sandbox::in_memory();
    for words in ["latency 100ms"].iter().chain(weather) {
        sandbox.set(&words.split(' ').map(str::to_owned).collect::<Vec<_>>()).unwrap();
    }
    let config = SdkConfig::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(SharedCredentialsProvider::new(Credentials::new("a", "b", None, None, "test")))
        .http_client(client::http_client(sandbox))
        .build();
    let args = Only::parse_from([&["prices"], flags].concat()).args;
    let (ui, mut report) = (Ui::new(Output::Json, true, Color::Never), Prices::default());
    let began = Instant::now();
    let result = Box::pin(work(&ui, &Cloud::from_config(&config).unwrap(), &args, &mut report)).await;
    // Virtual time over latency: sequential round trips, whatever the machine.
    (result, report, (began.elapsed().as_millis() + LATENCY.as_millis() / 2) / LATENCY.as_millis())
}

#[tokio::test(start_paused = true)]
async fn all_regions_take_three_sequential_round_trips_at_most_and_four_with_history_and_scores() {
    for (flags, bound) in
        [(&[][..], 2), (&["--regions", "all"], 3), (&["--regions", "all", "--history", "7d", "--placement-score"], 4)]
    {
        let (result, report, trips) = prices(&[], flags).await;
        assert_eq!(result.map_err(|error| error.message), Ok(0), "{flags:?}");
        assert!(trips <= bound, "{flags:?}: {trips}");
        let regions = if flags.is_empty() { 1 } else { report.regions.len() };
        let answered: BTreeSet<&str> = report.offers.iter().map(|row| row.region.as_str()).collect();
        assert!(regions == answered.len() && (flags.is_empty() || regions > 4), "{flags:?}: {answered:?}");
    }
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
