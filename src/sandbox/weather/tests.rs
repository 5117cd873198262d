//! What the words make, and what they may not.

use serde_json::json;

use super::*;
use crate::sandbox::ec2::state::{Instance, LaunchData};
use crate::sandbox::service_quotas;
use crate::sandbox::world::Region;

fn say(world: &mut World, text: &str) -> Result<String, WeatherError> {
    let words: Vec<String> = text.split(' ').map(str::to_owned).collect();
    set(world, &words, Timestamp::UNIX_EPOCH)
}

/// On-Demand and running.
fn instance() -> Instance {
    let instance = json!({
        "data": LaunchData::default(), "launched_at": 0, "reservation": "r-1", "launch_index": 0,
        "zone": "us-east-1a", "vpc": "vpc-1", "subnet": "subnet-1", "groups": [], "private_ip": "172.31.0.4",
        "interface": "eni-1", "volumes": {}, "architecture": "x86_64",
    });
    serde_json::from_value(instance).unwrap()
}

#[test]
fn a_fault_lets_some_through_strikes_and_is_over() {
    let mut world = World::default();
    say(&mut world, "fail RunInstances drop 2 after 1").unwrap();
    let weather = &mut world.weather;
    let struck: Vec<_> = (0..4).map(|_| weather.strike("RunInstances")).collect();
    assert_eq!(struck, [None, Some(Fault::Drop), Some(Fault::Drop), None]);
    assert_eq!(weather.strike("DescribeVpcs"), None);
}

#[test]
fn faults_of_one_operation_count_its_calls_each_for_itself() {
    let mut world = World::default();
    for text in ["fail RunInstances cut 1 after 3", "fail RunInstances drop 1 after 1", "fail * 503 1 after 2"] {
        say(&mut world, text).unwrap();
    }
    let weather = &mut world.weather;
    let struck: Vec<_> = (0..5).map(|_| weather.strike("RunInstances")).collect();
    assert_eq!(struck, [None, Some(Fault::Drop), Some(Fault::Status(503)), Some(Fault::Cut), None]);
}

#[test]
fn each_way_to_fail_has_its_word() {
    for (word, fault) in [
        ("500", Fault::Status(500)),
        ("throttle", Fault::Throttle),
        ("busy", Fault::Busy),
        ("drop", Fault::Drop),
        ("cut", Fault::Cut),
        ("refuse", Fault::Refuse),
        ("truncate", Fault::Truncate),
        ("hold", Fault::Hold),
        ("hold-after", Fault::HoldAfter),
    ] {
        let mut world = World::default();
        say(&mut world, &format!("fail RunInstances {word} 1")).unwrap();
        assert_eq!(world.weather.strike("RunInstances"), Some(fault), "{word}");
        assert!(WORDS.contains(word) || word == "500", "{word} is in no help");
    }
    let said = say(&mut World::default(), "fail RunInstances explode 1").unwrap_err().to_string();
    assert!(said.contains("not an HTTP status, `throttle`"), "{said}");
}

#[test]
fn words_that_are_not_understood_say_what_is() {
    let mut world = World::default();
    for (text, part) in [
        ("rain", "no weather `rain`"),
        ("latncy 5ms", "did you mean `latency`"),
        ("latency soon", "not a length of time"),
        ("dry g4dn.xlage us-east-1a", "did you mean `g4dn.xlarge`"),
        ("dry g4dn.xlarge us-east-9a", "no zone"),
        ("quota Q=1", "no quota class `Q`"),
        ("quota G=many", "is not a quota such as"),
        ("quota G=1 us-est-1", "did you mean `us-east-1`"),
        ("region us-east-9 off", "no region `us-east-9`"),
        ("region us-east-1 away", "not how `region` goes: region NAME off|on; all words"),
        ("regions 12", "not how `regions` goes"),
        ("quota-answer aproved", "did you mean `approved`"),
        ("quota-answer denied soon", "not how `quota-answer` goes"),
        ("quota-answer denied after 0s", "not how long a request takes"),
        ("quota-answer denied after 1500ms", "no whole number of seconds"),
        ("fail RunInstances 200 1", "not an HTTP status"),
        ("interrupt i-1", "no instance"),
        ("imge team/worker:1 1GiB", "did you mean `image`"),
        ("image team/worker:1", "not how `image` goes: image REPO:TAG 1.5GiB [REGION]; all"),
        ("image worker 1GiB", "no image such as `team/worker:1`"),
        ("image Worker:1 1GiB", "no image such as"),
        ("image worker:1 1GB", "not a size"),
        ("image worker:1 0MiB", "not a size"),
        ("image worker:1 1.GiB", "not a size"),
        ("image worker:1 99999999999GiB", "not a size"),
        ("image worker:1 1GiB us-east-9", "no region"),
        ("no-image worker:1", "there was no image"),
        ("principal AKIA", "not how `principal` goes"),
        ("principal a/b none", "no access key id"),
        ("principal AKIA x", "no JSON"),
        (r#"principal AKIA {"Statement":[{"Effect":"Allow","NotAction":"*","Resource":"*"}]}"#, "NotAction"),
    ] {
        let error = say(&mut world, text).unwrap_err().to_string();
        assert!(error.contains(part), "{text}: {error}");
    }
}

#[test]
fn what_would_not_be_so_is_refused() {
    for (text, part) in [
        ("quota G=nan", "not a quota"),
        ("quota G=inf", "not a quota"),
        ("quota G=-1", "not a quota"),
        ("wet g4dn.xlage us-east-1a", "did you mean `g4dn.xlarge`"),
        ("wet g4dn.xlarge us-east-1a", "still dry"),
        ("wet * us-east-1a", "still dry"),
        ("fail RunInstance 503 1", "no operation `RunInstance`"),
        ("fail RunInstances 503 0", "not how many times"),
        ("visibility 500ms", "no whole number of seconds"),
        ("profile-delay 1500ms", "no whole number of seconds"),
        ("clock -1ms", "no whole number of seconds"),
        ("deregister ami-1", "no image `ami-1`"),
    ] {
        let mut world = World::default();
        say(&mut world, "dry all").unwrap();
        let error = say(&mut world, text).map_err(|error| error.to_string());
        assert!(error.as_ref().is_err_and(|error| error.contains(part)), "{text}: {error:?}");
    }
}

#[test]
fn a_failure_may_be_of_any_modelled_operation() {
    let mut world = World::default();
    for operation in [
        "*",
        "RunInstances",
        "DescribeSpotPriceHistory",
        "CreateRole",
        "GetCallerIdentity",
        "PutParameter",
        "GetServiceQuota",
        "ReceiveMessage",
        "GetAuthorizationToken",
    ] {
        say(&mut world, &format!("fail {operation} refuse 1")).unwrap();
    }
    assert_eq!(world.weather.faults.len(), 9);
}

#[test]
fn the_closest_price_that_was_set_holds() {
    let mut world = World::default();
    for text in ["price * * 4", "price * us-east-1a 3", "price g4dn.xlarge * 2", "price g4dn.xlarge us-east-1a 1"] {
        say(&mut world, text).unwrap();
    }
    let found = |kind, zone| world.weather.price(kind, zone);
    for (kind, zone, usd) in [
        ("g4dn.xlarge", "us-east-1a", "1"),
        ("g4dn.xlarge", "us-east-1b", "2"),
        ("g5.xlarge", "us-east-1a", "3"),
        ("g5.xlarge", "us-east-1b", "4"),
    ] {
        assert_eq!(found(kind, zone), Some(usd), "{kind} {zone}");
    }
}

#[test]
fn only_a_living_spot_instance_is_interrupted() {
    let mut world = World::default();
    let error = |world: &mut World| say(world, "interrupt i-1").map_err(|error| error.to_string());
    world.region("us-east-1").ec2.instances.insert("i-1".to_owned(), instance().into());
    let change = |world: &mut World, to: fn(&mut Instance)| {
        to(world.region("us-east-1").ec2.instances.get_mut("i-1").unwrap());
    };
    assert!(error(&mut world).is_err_and(|error| error.contains("On-Demand")));
    change(&mut world, |instance| instance.spot_request = Some("sir-1".to_owned()));
    assert!(error(&mut world).is_ok());
    change(&mut world, |instance| instance.ending_at = Some(0));
    assert!(error(&mut world).is_err_and(|error| error.contains("has ended")));
}

#[test]
fn a_quota_that_is_set_outlives_an_increase_that_was_approved_before() {
    let mut world = World::default();
    let quotas = &mut world.region("us-east-1").quotas;
    quotas.requests.push(service_quotas::Change {
        id: "1".to_owned(),
        code: "L-3819A6DF".to_owned(),
        desired: 99.0,
        created_at: -1_000_000,
        is_settled: false,
        fate: Fate::default(),
    });
    say(&mut world, "quota G=0 us-east-1").unwrap();
    let limit = service_quotas::limit(&world.region("us-east-1").quotas, "L-3819A6DF", Timestamp::UNIX_EPOCH);
    assert!(limit.abs() < f64::EPSILON, "{limit}");
}

#[test]
fn an_image_is_in_the_region_that_is_named_or_in_all() {
    let mut world = World::default();
    let sizes = |world: &World| {
        let of = |(name, region): (&String, &Region)| {
            let repository = region.ecr.repositories.get("team/worker")?;
            Some(format!("{name}={}", repository.images.values().map(|image| image.size.to_string()).next()?))
        };
        world.regions.iter().filter_map(of).collect::<Vec<_>>()
    };
    say(&mut world, "image team/worker:1 1.5GiB us-east-1").unwrap();
    assert_eq!(sizes(&world), ["us-east-1=1610612736"]);
    say(&mut world, "no-image team/worker:1 us-east-1").unwrap();
    say(&mut world, "image team/worker:1 0.25KiB").unwrap();
    assert_eq!(sizes(&world).len(), catalog::regions().len());
    assert!(sizes(&world).iter().all(|size| size.ends_with("=256")));
    say(&mut world, "no-image team/worker:1").unwrap();
    assert!(sizes(&world).is_empty());
}

#[test]
fn regions_are_on_as_it_was_said_and_all_means_those() {
    let mut world = World::default();
    let limited = |world: &World| {
        let zero = |region: &&Region| region.quotas.applied.get("L-3819A6DF").is_some_and(|value| value.abs() < 0.1);
        world.regions.values().filter(zero).count()
    };
    for (text, usable) in [
        ("region us-east-1 off", 7),
        ("region eu-west-2 on", 8),
        ("clear", 8),
        ("regions 17", 17),
        ("region us-east-1 off", 16),
        ("regions 8", 8),
    ] {
        say(&mut world, text).unwrap();
        assert_eq!(crate::sandbox::ec2::regions::usable(&world).len(), usable, "{text}");
    }
    assert!(world.regions.is_empty() && world.opt_ins.is_empty());
    say(&mut world, "regions 17").unwrap();
    say(&mut world, "quota G=0").unwrap();
    assert_eq!(limited(&world), 17);
}

#[test]
fn a_principal_stays_limited_until_it_is_said_otherwise() {
    let mut world = World::default();
    let policy = r#"{"Statement":[]}"#;
    say(&mut world, &format!("principal AKIA {policy}")).unwrap();
    say(&mut world, "clear").unwrap();
    assert_eq!(world.principals.get("AKIA").map(String::as_str), Some(policy));
    say(&mut world, "principal AKIA none").unwrap();
    assert!(world.principals.is_empty());
}

#[test]
fn a_state_of_an_older_weather_is_read() {
    let weather: Weather = serde_json::from_str(r#"{"throttle": true}"#).unwrap();
    assert!(weather.throttle && weather.profile_delay == Weather::default().profile_delay);
}

#[test]
fn messages_pass_where_other_calls_are_throttled() {
    let mut weather = Weather { throttle: true, ..Weather::default() };
    let mut spent = |operation| (0..200).filter(|_| weather.spend("r", operation, Timestamp::UNIX_EPOCH)).count();
    assert_eq!([spent("CreateQueue"), spent("SendMessage"), spent("ReceiveMessage")], [50, 200, 200]);
}

#[test]
fn a_bucket_runs_empty_and_fills_again() {
    let mut weather = Weather { throttle: true, ..Weather::default() };
    let at = |second| Timestamp::from_second(second).unwrap();
    let spent = (0..7).filter(|_| weather.spend("r", "RunInstances", at(0))).count();
    assert_eq!(spent, 5);
    assert!(weather.spend("r", "RunInstances", at(1)));
}
