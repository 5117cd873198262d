//! `prices`: what it shows, in text and in JSON, how it filters and sorts, and what it says where AWS does not answer.

use serde_json::{Value, json};

use super::support::{Folder, Served, column, root};

/// No file: `prices` needs none.
fn served() -> Served {
    let aws = Served::with("");
    std::fs::remove_file(aws.folder.path().join("spotctl.yaml")).expect("removing the file");
    aws
}

fn run_as(aws: &Served, key: &str, arguments: &[&str]) -> super::support::Run {
    let mut environment = aws.environment();
    environment.retain(|(name, _)| *name != "AWS_ACCESS_KEY_ID");
    environment.push(("AWS_ACCESS_KEY_ID", key));
    aws.folder.spotctl_with(arguments, &environment)
}

/// Holds the access key to a policy that allows everything but this statement.
fn forbid(aws: &Served, key: &str, mut deny: Value) {
    deny["Effect"] = json!("Deny");
    let allow = json!({"Effect": "Allow", "Action": "*", "Resource": "*"});
    let policy = json!({"Version": "2012-10-17", "Statement": [allow, deny]}).to_string();
    let set = ["--endpoint-url", &aws.endpoint, "sandbox", "set", "principal", key, &policy];
    aws.folder.spotctl(&set).exits(0);
}

fn micros(price: &Value) -> i64 {
    let price: f64 = price.as_str().expect("a price").parse().expect("a number");
    #[expect(clippy::cast_possible_truncation, reason = "prices of a few dollars")]
    let micros = (price * 1e6).round() as i64;
    micros
}

#[test]
fn a_table_of_prices_is_as_reviewed() {
    let folder = Folder::new();
    for (pool, price) in [
        ("* *", "9.99"),
        ("g4dn.xlarge us-east-1a", "0.1578"),
        ("g4dn.xlarge us-east-1b", "0.21"),
        ("g5.xlarge us-east-1c", "0.40"),
        ("g6f.large us-east-1a", "0.05"),
        ("g5.12xlarge us-east-1d", "2.00"),
    ] {
        let mut words = vec!["--sandbox", "sandbox", "set", "price"];
        words.extend(pool.split(' '));
        folder.spotctl(&[&words[..], &[price]].concat()).exits(0);
    }
    let run = folder.spotctl(&["--sandbox", "prices", "--max-price", "2", "--limit", "4", "--history", "7d"]).exits(0);
    insta::with_settings!({snapshot_path => root().join("tests/fixtures"), prepend_module_to_snapshot => false}, {
        insta::assert_snapshot!("prices", run.stdout());
    });
}

#[test]
fn json_has_every_offer_cheapest_first_and_text_the_first_twenty() {
    let aws = served();
    let document = aws.spotctl(&["prices", "-o", "json"]).exits(0).json();
    assert_eq!((&document["format"], &document["command"]), (&json!(1), &json!("prices")));
    let offers = document["offers"].as_array().expect("offers");
    assert!(offers.len() > 100 && document["total"] == offers.len(), "{}", offers.len());
    let prices: Vec<i64> =
        offers.iter().filter(|offer| !offer["spot_usd"].is_null()).map(|offer| micros(&offer["spot_usd"])).collect();
    assert!(prices.is_sorted() && prices.len() < offers.len(), "unknown prices come last");
    assert!(offers.iter().all(|offer| offer["region"] == "us-east-1" && offer["history"].is_null()));
    for (name, gpus, memory) in [("g5.xlarge", 1, json!(22.35)), ("g4dn.12xlarge", 4, json!(64))] {
        let one = offers.iter().find(|offer| offer["type"] == name).expect(name);
        assert_eq!((&one["gpus"], &one["gpu_memory_gib"]), (&json!(gpus), &memory), "{one:#}");
        assert!(one["nvme_gb"].as_u64() > Some(100) && one["memory_gib"].as_u64() >= Some(16), "{one:#}");
    }
    let text = aws.spotctl(&["prices"]).exits(0).stdout();
    assert_eq!(text.lines().count(), 1 + 20 + 1, "{text}");
    assert!(text.ends_with(&format!("and {} more: --limit {}\n", offers.len() - 20, offers.len())), "{text}");
}

#[test]
fn flags_leave_what_fits_them() {
    let aws = served();
    let offers = |flags: &[&str]| {
        let document = aws.spotctl(&[&["prices", "-o", "json"], flags].concat()).exits(0).json();
        document["offers"].as_array().cloned().expect("offers")
    };
    let all = |flags: &[&str], says: &dyn Fn(&Value) -> bool| {
        let found = offers(flags);
        assert!(!found.is_empty() && found.iter().all(says), "{flags:?}: {found:#?}");
    };
    all(&[], &|offer| offer["gpu"] != "Radeon Pro V520");
    all(&["--gpus", "4"], &|offer| offer["gpus"] == 4);
    all(&["--gpu-memory", "96GiB"], &|offer| offer["gpu_memory_gib"].as_f64() >= Some(89.0));
    all(&["--arch", "arm64"], &|offer| offer["architectures"] == json!(["arm64"]));
    all(&["--zone", "us-east-1b"], &|offer| offer["zone"] == "us-east-1b");
    all(&["--max-price", "0.3"], &|offer| micros(&offer["spot_usd"]) <= 300_000);
    all(&["--type", "g5.*", "--type", "g4ad.xlarge"], &|offer| {
        let name = offer["type"].as_str().unwrap_or_default();
        name.starts_with("g5.") || name == "g4ad.xlarge"
    });
    assert!(offers(&["--type", "g4ad.xlarge"])[0]["gpu"] == "Radeon Pro V520");
    assert!(offers(&["--all-types"]).iter().any(|offer| offer["type"] == "m5.large" && offer["gpus"] == 0));
    assert_eq!(offers(&["--limit", "3"]).len(), 3);
    let sizes: Vec<f64> =
        offers(&["--sort", "gpu-memory"]).iter().filter_map(|offer| offer["gpu_memory_gib"].as_f64()).collect();
    assert!(sizes.is_sorted_by(|one, other| one >= other));

    let none = aws.spotctl(&["prices", "--gpus", "7"]).exits(0);
    assert_eq!(none.stdout(), "nothing on Spot in us-east-1 is what was asked for\n");
    assert_eq!(offers(&["--gpus", "7"]), Vec::<Value>::new());
}

#[test]
fn what_does_not_exist_is_exit_2_with_what_may_be_meant() {
    let aws = served();
    for (flags, says) in [
        (&["--type", "g5.xlrge"][..], "did you mean g5.xlarge"),
        (&["--type", "g99.*"], "no instance type `g99.*` in us-east-1"),
        (&["--type", "G5 xlarge"], "wildcards"),
        (&["--zone", "us-east-1z"], "no zone `us-east-1z` in us-east-1"),
        (&["--regions", "us-east-9"], "the region `us-east-9` does not exist, or this account has not enabled it"),
        (&["--regions", "us-east-1,"], "commas"),
        (&["--history", "0d"], "at most 90d"),
        (&["--history", "91d"], "at most 90d"),
        (&["--limit", "0"], "1 or more"),
        (&["--sort", "colour"], "price-per-gpu"),
        (&["--arch", "mips"], "x86_64"),
        (&["--gpu-memory", "16GB"], "GiB"),
        (&["--chart", "chart.png"], ".svg"),
        (&["--chart", "not/there/chart.svg"], "writing the chart `not/there/chart.svg`"),
    ] {
        aws.spotctl(&[&["prices"], flags].concat()).exits(2).says(says);
    }
    // Types that are there and not sold on Spot are no mistake.
    let reserved = aws.spotctl(&["prices", "--type", "p6-b200.48xlarge", "-o", "json"]).exits(0).json();
    let notes = reserved["notes"].to_string();
    assert!(!column(&reserved, "offers", "type").is_empty() || notes.contains("not sold on Spot"), "{reserved:#}");
}

#[test]
fn history_is_a_week_of_prices_and_the_chart_draws_them() {
    let aws = served();
    let flags = ["prices", "--type", "g4dn.xlarge", "--type", "g5.xlarge", "--chart", "chart.svg", "-o", "json"];
    let document = aws.spotctl(&flags).exits(0).json();
    let offers = document["offers"].as_array().expect("offers");
    for offer in offers.iter().filter(|offer| !offer["spot_usd"].is_null()) {
        let history = &offer["history"];
        let points = history["points"].as_array().expect("points");
        assert!(points.len() > 7, "{offer:#}");
        let price = |field: &str| micros(&history[field]);
        assert!(price("min") <= price("median") && price("median") <= price("max"), "{offer:#}");
        let moved: Vec<i64> = points.iter().map(|point| micros(&point["usd"])).collect();
        assert_eq!(moved.iter().max(), Some(&price("max")), "{offer:#}");
        assert_eq!(points.last().map(|point| &point["usd"]), Some(&offer["spot_usd"]), "{offer:#}");
    }
    let svg = std::fs::read_to_string(aws.folder.path().join("chart.svg")).expect("the chart");
    assert!(svg.starts_with("<svg xmlns") && svg.contains("g4dn.xlarge us-east-1a"), "{svg}");
    assert_eq!(document["chart"]["file"], "chart.svg");
    aws.spotctl(&["prices", "--gpus", "7", "--chart", "none.svg"]).exits(0).says("nothing to draw");
    assert!(!aws.folder.path().join("none.svg").exists());
}

#[test]
fn every_region_answers_and_throttling_leaves_none_out() {
    let aws = served();
    let regions = |document: &Value| {
        let mut regions = column(document, "offers", "region");
        regions.sort();
        regions.dedup();
        regions
    };
    let all = aws.spotctl(&["prices", "--regions", "all", "-o", "json"]).exits(0).json();
    assert!(regions(&all).len() > 4 && all["failed"] == json!([]), "{:#}", all["regions"]);
    aws.weather("throttle on");
    let throttled = aws.spotctl(&["prices", "--regions", "all", "-o", "json", "--history", "1d"]).exits(0).json();
    assert_eq!(throttled["total"], all["total"]);
    aws.weather("throttle off");
    aws.weather("fail DescribeInstanceTypes 503 3");
    let retried = aws.spotctl(&["prices", "--regions", "all", "-o", "json"]).exits(0).json();
    assert_eq!(retried["total"], all["total"]);
    let two = aws.spotctl(&["prices", "--regions", "us-west-2,us-east-1", "-o", "json"]).exits(0).json();
    assert_eq!(regions(&two), ["us-east-1", "us-west-2"]);
}

#[test]
fn a_region_that_does_not_answer_is_named_and_the_others_are_shown() {
    let aws = served();
    let elsewhere = json!({"StringEquals": {"aws:RequestedRegion": "us-west-2"}});
    forbid(&aws, "AKIAONE", json!({"Action": "ec2:DescribeInstanceTypes", "Resource": "*", "Condition": elsewhere}));
    let flags = ["prices", "--regions", "us-east-1,us-west-2"];
    let run = run_as(&aws, "AKIAONE", &flags).exits(5).says("us-west-2: reading the instance types");
    assert!(run.stdout().contains("us-east-1a") && !run.stdout().contains("us-west-2"), "{run}");
    let document = run_as(&aws, "AKIAONE", &[&flags[..], &["-o", "json"]].concat()).exits(5).json();
    assert_eq!(column(&document, "failed", "region"), ["us-west-2"]);
    assert_eq!(column(&document, "failed", "code"), ["UnauthorizedOperation"]);
    assert!(!column(&document, "offers", "type").is_empty() && document["error"]["kind"] == "access");

    forbid(&aws, "AKIATWO", json!({"Action": "ec2:DescribeRegions", "Resource": "*"}));
    run_as(&aws, "AKIATWO", &flags).exits(5).says("DescribeRegions");
    run_as(&aws, "AKIATWO", &["prices"]).exits(0);
    aws.weather("fail DescribeSpotPriceHistory 500 100");
    let down = aws.spotctl(&[&flags[..], &["-o", "json"]].concat()).exits(1).json();
    assert_eq!(column(&down, "failed", "region"), ["us-east-1", "us-west-2"]);
    assert_eq!(down["error"]["kind"], "aws");
}

#[test]
fn without_leave_for_the_price_list_one_note_names_the_action_and_spot_prices_are_shown() {
    let aws = served();
    let with = aws.spotctl(&["prices", "-o", "json", "--regions", "all", "--sort", "savings"]).exits(0).json();
    let first = &with["offers"][0];
    assert_eq!(with["notes"], json!([]), "{:#}", with["notes"]);
    assert!(micros(&first["on_demand_usd"]) > micros(&first["spot_usd"]), "{first:#}");
    let savings: Vec<i64> =
        with["offers"].as_array().into_iter().flatten().filter_map(|offer| offer["savings"].as_i64()).collect();
    assert!(savings.is_sorted_by(|one, other| one >= other) && savings[0] > 40, "{savings:?}");
    assert!(aws.spotctl(&["prices"]).stdout().contains("ON DEMAND  SAVES"));

    forbid(&aws, "AKIAONE", json!({"Action": "pricing:*", "Resource": "*"}));
    let run = run_as(&aws, "AKIAONE", &["prices", "--regions", "all"]).exits(0);
    assert_eq!(run.stderr().matches("pricing:GetProducts").count(), 1, "{run}");
    assert!(!run.stdout().contains("ON DEMAND"), "{run}");
    let document = run_as(&aws, "AKIAONE", &["prices", "-o", "json"]).exits(0).json();
    assert!(document["offers"][0]["on_demand_usd"].is_null() && document["notes"][0].is_string());
}

#[test]
fn a_placement_score_takes_three_types() {
    let aws = served();
    let flags = ["prices", "--placement-score", "--zone", "us-east-1a", "--type", "g4dn.xlarge", "--type", "g5.xlarge"];
    let few = aws.spotctl(&[&flags[..], &["-o", "json"]].concat()).exits(0).json();
    assert_eq!(few["scores"], json!([]));
    assert!(
        few["notes"].to_string().contains("no placement score in us-east-1: it takes three types or more"),
        "{:#}",
        few["notes"]
    );
    assert_eq!(column(&few, "offers", "type").len(), 2);
    let three = [&flags[..], &["--type", "g6.xlarge"]].concat();
    let document = aws.spotctl(&[&three[..], &["-o", "json"]].concat()).exits(0).json();
    let score = document["offers"][0]["placement_score"].as_u64();
    assert!((Some(1)..=Some(10)).contains(&score), "{document:#}");
    assert_eq!(document["scores"][0]["types"], json!(["g4dn.xlarge", "g5.xlarge", "g6.xlarge"]));
    assert!(aws.spotctl(&three).exits(0).stdout().contains("a weak signal"));
}

#[test]
fn the_region_is_the_files_when_nothing_else_names_one() {
    let folder = Folder::with("name: w\nregion: eu-west-1\ncontainer: {image: i}\n");
    let document = folder.spotctl(&["--sandbox", "prices", "-o", "json"]).exits(0).json();
    assert_eq!(document["regions"], json!(["eu-west-1"]));
    folder.write("spotctl.yaml", "name: Wrong\n");
    folder.spotctl(&["--sandbox", "prices"]).exits(0).says("`spotctl.yaml` cannot be read");
}
