//! Whether `up` launches the cheapest possible offer, against an oracle that knows the sandbox's market from the inside and
//! looks at every type in every zone. The oracle shares no line with what decides: it reads the catalogue, the weather and
//! the quotas as the sandbox holds them, and what a wildcard means is written beside it.
//!
//! Each market is made of its seed and a moment of a fixed season, so that it is the same on every machine and every day.
//! One that fails is made again by its seed alone: `SPOTCTL_MARKETS=SEED..END cargo test markets`.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;

use clap::Parser;
use jiff::Timestamp;

use super::tests::{Only, context_of};
use super::*;
use crate::cloud::Cloud;
use crate::error::Kind;
use crate::sandbox::Sandbox;
use crate::sandbox::ec2::{catalog, prices};
use crate::sandbox::service_quotas::CLASSES;
use crate::sandbox::weather::Weather;

/// Both have four zones.
const REGIONS: [&str; 2] = ["us-west-2", "ap-northeast-2"];
/// 2026-01-15T00:00:00Z.
const BEGIN: i64 = 1_768_435_200;
const DAYS: u64 = 60;

type Means = fn(&str) -> bool;

/// Type and zone.
type Pool = (String, String);
/// Micro-dollars, type and zone.
type Priced = (i64, String, String);

/// Wildcards for `exclude`, and what they mean.
const PATTERNS: [(&str, Means); 9] = [
    ("g4dn.*", |name| name.starts_with("g4dn.")),
    ("*.xlarge", |name| name.ends_with(".xlarge")),
    ("g5*", |name| name.starts_with("g5")),
    ("g6.*", |name| name.starts_with("g6.")),
    ("g?e.*", |name| name.starts_with("g6e.") || name.starts_with("g7e.")),
    ("*.metal", |name| name.strip_suffix(".metal").is_some()),
    ("gr6.4xlarge", |name| name == "gr6.4xlarge"),
    ("p*", |name| name.starts_with('p')),
    ("*2xlarge", |name| name.ends_with("2xlarge")),
];

/// `SplitMix64`: the same numbers everywhere.
#[derive(Debug)]
pub(super) struct Random(pub(super) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }

    pub(super) fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    pub(super) fn one_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    pub(super) fn pick<T: Clone>(&mut self, from: &[T]) -> T {
        from[usize::try_from(self.below(from.len() as u64)).unwrap()].clone()
    }

    /// Cents, so that prices meet and ties are decided.
    fn usd(&mut self) -> String {
        let end = if self.one_in(4) { 2000 } else { 60 };
        let cents = 5 + self.below(end);
        format!("{}.{:02}", cents / 100, cents % 100)
    }
}

/// What a market is, in the words of the oracle.
#[derive(Debug, Clone)]
struct Case {
    region: &'static str,
    /// What `sandbox set` is told.
    words: Vec<String>,
    quotas: [(&'static str, i64); 3],
    /// Another's worker, launched before.
    stranger: Option<&'static str>,
    types: Option<Vec<String>>,
    gpus: i64,
    gpu_memory_gib: i64,
    vcpus: Option<i64>,
    memory_gib: Option<i64>,
    arch: Option<&'static str>,
    exclude: Vec<(&'static str, Means)>,
    cap: Option<String>,
    flag_cap: Option<String>,
    flag_zone: Option<String>,
}

impl Case {
    fn of(seed: u64) -> Self {
        let random = &mut Random(seed);
        let region = random.pick(&REGIONS);
        let zones = catalog::zones(region);
        let is_sold = |name: &String| zones.iter().any(|zone| catalog::offers(zone, name));
        let sold: Vec<String> =
            catalog::instance_types().iter().map(|kind| kind.name.clone()).filter(is_sold).collect();
        let gpus = random.pick(&[1, 1, 1, 1, 1, 1, 2, 4, 8]);
        let gpu_memory_gib = random.pick(&[1, 16, 16, 16, 16, 22, 24, 40, 80]);
        // Most of what is made up meets what is asked for; else nearly every market would decide among the model's prices.
        let is_close = |name: &&String| {
            let gpu = catalog::instance_type(name).and_then(|kind| kind.gpu.as_ref());
            gpu.is_some_and(|gpu| gpu.count == gpus && gpu.memory_mib_total >= gpu_memory_gib * 1024)
        };
        let close: Vec<String> = sold.iter().filter(is_close).cloned().collect();
        let close = if close.is_empty() { sold.clone() } else { close };
        let any = |random: &mut Random| if random.one_in(5) { random.pick(&sold) } else { random.pick(&close) };
        let zone = |random: &mut Random| if random.one_in(8) { "*".to_owned() } else { random.pick(&zones) };
        let mut words = Vec::new();
        for _ in 0..random.below(40) {
            words.push(format!("price {} {} {}", any(random), zone(random), random.usd()));
        }
        for _ in 0..random.pick(&[0, 0, 3, 12, 40]) {
            words.push(format!("dry {} {}", any(random), zone(random)));
        }
        if random.one_in(12) {
            words.push(format!("dry * {}", random.pick(&zones)));
        }
        let limits = [0, 4, 8, 16, 32, 64, 96, 192, 1000, 1000];
        let listed = random.one_in(4).then(|| {
            let names: BTreeSet<String> = (0..=random.below(6)).map(|_| any(random)).collect();
            names.into_iter().collect()
        });
        let mut case = Self {
            region,
            words,
            quotas: ["G", "P", "P5"].map(|class| (class, random.pick(&limits))),
            stranger: random.one_in(4).then(|| random.pick(&["g4dn.xlarge", "g5.2xlarge", "g5.4xlarge"])),
            types: listed,
            gpus,
            gpu_memory_gib,
            vcpus: random.one_in(3).then(|| random.pick(&[1, 4, 8, 16, 32])),
            memory_gib: random.one_in(3).then(|| random.pick(&[8, 16, 17, 32, 64])),
            arch: random.one_in(5).then(|| random.pick(&["x86_64", "arm64"])),
            exclude: (0..random.pick(&[0, 0, 1, 3])).map(|_| random.pick(&PATTERNS)).collect(),
            cap: random.one_in(3).then(|| random.usd()),
            flag_cap: random.one_in(6).then(|| random.usd()),
            flag_zone: random.one_in(8).then(|| random.pick(&zones)),
        };
        if random.one_in(8) {
            case.leave_an_unpublished_price(random, &close);
        }
        // A file that excludes all that it lists is a mistake, and no market.
        if case.types.as_ref().is_some_and(|names| names.iter().all(|name| case.is_excluded(name))) {
            case.exclude.clear();
        }
        case
    }

    /// A market in which a pool without a price row is all that is left, where the region has one of these types.
    fn leave_an_unpublished_price(&mut self, random: &mut Random, types: &[String]) {
        let zones = catalog::zones(self.region);
        let weather = Weather::default();
        let at = Timestamp::from_second(BEGIN).unwrap();
        let pools = types.iter().flat_map(|name| zones.iter().map(move |zone| (name, zone)));
        let is_one = |(name, zone): &(&String, &String)| {
            catalog::offers(zone, name) && prices::spot(&weather, name, zone, at).is_none()
        };
        let pools: Vec<_> = pools.filter(is_one).collect();
        if pools.is_empty() {
            return;
        }
        let (name, zone) = random.pick(&pools);
        self.words = zones.iter().filter(|other| *other != zone).map(|other| format!("dry {name} {other}")).collect();
        self.types = Some(vec![name.clone()]);
        self.cap = Some("40.00".to_owned());
        self.flag_zone = None;
    }

    fn file(&self) -> String {
        let quoted = |list: &[String]| {
            let items: Vec<String> = list.iter().map(|text| format!("\"{text}\"")).collect();
            format!("[{}]", items.join(", "))
        };
        let exclude: Vec<String> = self.exclude.iter().map(|(pattern, _)| (*pattern).to_owned()).collect();
        let lines = [
            ("types", self.types.as_deref().map(quoted)),
            ("gpus", Some(self.gpus.to_string())),
            ("gpu_memory", Some(format!("{}GiB", self.gpu_memory_gib))),
            ("vcpus", self.vcpus.map(|least| least.to_string())),
            ("memory", self.memory_gib.map(|least| format!("{least}GiB"))),
            ("arch", self.arch.map(str::to_owned)),
            ("exclude", Some(quoted(&exclude))),
            ("max_price", self.cap.clone()),
        ];
        let mut file = "name: w\ncontainer: {image: i}\ninstance:\n".to_owned();
        for (key, value) in lines.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            let _ = writeln!(file, "  {key}: {value}");
        }
        file
    }

    fn arguments(&self) -> Vec<&str> {
        let mut arguments = vec!["up", "--wait", "launched"];
        arguments.extend(self.flag_cap.iter().flat_map(|cap| ["--max-price", cap.as_str()]));
        arguments.extend(self.flag_zone.iter().flat_map(|zone| ["--zone", zone.as_str()]));
        arguments
    }

    fn is_excluded(&self, name: &str) -> bool {
        self.exclude.iter().any(|(_, means)| means(name))
    }

    fn architecture(&self) -> &'static str {
        let of_list = self.types.as_ref().map(|names| &catalog::instance_type(&names[0]).unwrap().architectures);
        match (self.arch, of_list) {
            (Some(arch), _) => arch,
            (None, Some(runs)) if !runs.contains(&"x86_64") => runs[0],
            _ => "x86_64",
        }
    }

    fn is_right(&self, kind: &catalog::InstanceType) -> bool {
        let is_meant = match &self.types {
            Some(names) => names.contains(&kind.name),
            None => kind.gpu.as_ref().is_some_and(|gpu| {
                gpu.maker == "NVIDIA" && gpu.count == self.gpus && gpu.memory_mib_total >= self.gpu_memory_gib * 1024
            }),
        };
        is_meant
            && kind.usage_classes.contains(&"spot")
            && kind.architectures.contains(&self.architecture())
            && self.vcpus.is_none_or(|least| kind.vcpus >= least)
            && self.memory_gib.is_none_or(|least| kind.memory_mib >= least * 1024)
            && !self.is_excluded(&kind.name)
            && self.room(&kind.name).is_none_or(|room| kind.vcpus <= room)
    }

    /// vCPUs that the quota leaves; `None` for a family without a known quota.
    fn room(&self, name: &str) -> Option<i64> {
        let code = catalog::quota_code(name, true)?;
        let (class, _, _) = CLASSES.iter().find(|(_, spot, _)| *spot == code)?;
        // What no weather raised: five of the ordinary ones, none of the others.
        let unraised = if *class == "Standard" { 5 } else { 0 };
        let limit = self.quotas.iter().find(|(name, _)| name == class).map_or(unraised, |(_, limit)| *limit);
        let stranger = self.stranger.filter(|name| catalog::quota_code(name, true) == Some(code));
        Some(limit - stranger.map_or(0, |name| catalog::instance_type(name).unwrap().vcpus))
    }

    /// Every pool that can be had, with its price; and those whose price AWS does not publish, which are worth a try only
    /// under a cap.
    fn possible(&self, weather: &Weather) -> (Vec<Priced>, Vec<Pool>) {
        let now = weather.now(Timestamp::now());
        let micros = |usd: &str| usd.parse::<Usd>().unwrap().micros();
        let cap = self.flag_cap.as_ref().or(self.cap.as_ref()).map(|cap| micros(cap));
        let (mut priced, mut unpriced) = (Vec::new(), Vec::new());
        for zone in catalog::zones(self.region) {
            if self.flag_zone.as_ref().is_some_and(|wished| *wished != zone) {
                continue;
            }
            for kind in catalog::instance_types().iter().filter(|kind| self.is_right(kind)) {
                if !catalog::offers(&zone, &kind.name) || weather.is_dry(&kind.name, &zone) {
                    continue;
                }
                let asked = micros(&prices::asked(weather, &kind.name, &zone, now));
                // Whoever names no cap offers AWS the on-demand price; the weather's prices can be above it.
                let cap = cap.unwrap_or_else(|| micros(&prices::on_demand(&kind.name, self.region)));
                let has_cap = self.flag_cap.is_some() || self.cap.is_some();
                match prices::spot(weather, &kind.name, &zone, now) {
                    Some(price) if micros(&price) <= cap => {
                        priced.push((micros(&price), kind.name.clone(), zone.clone()));
                    }
                    None if has_cap && asked <= cap => unpriced.push((kind.name.clone(), zone.clone())),
                    _ => {}
                }
            }
        }
        (priced, unpriced)
    }

    /// A moment that no pool's price changes for a while after: it must not while `up` works.
    fn moment(&self, random: &mut Random) -> i64 {
        const WHILE: i64 = 120;
        let zones = catalog::zones(self.region);
        let is_quiet = |second: i64| {
            let at = |second| Timestamp::from_second(second).unwrap();
            let changes =
                |name: &str, zone: &str| prices::history(name, zone, at(second), at(second + WHILE)).len() > 1;
            let right = catalog::instance_types().iter().filter(|kind| self.is_right(kind));
            !right.flat_map(|kind| zones.iter().map(move |zone| (kind, zone))).any(|(k, z)| changes(&k.name, z))
        };
        let mut second = BEGIN + i64::try_from(random.below(DAYS * 86400)).unwrap();
        while !is_quiet(second) {
            second += WHILE;
        }
        second
    }
}

/// What came of a market, to see that the markets are not all alike.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Came {
    Cheapest,
    Unpriced,
    Quota,
    Capacity,
}

async fn workers(cloud: &Cloud) -> Vec<(String, String)> {
    let request = cloud.ec2.describe_instances().filters(crate::market::filter("tag:spotctl:stack", ["w"]));
    let answer = request.send().await.unwrap();
    let instances = answer.reservations().iter().flat_map(aws_sdk_ec2::types::Reservation::instances);
    instances
        .map(|found| {
            let zone = found.placement().and_then(|placement| placement.availability_zone()).unwrap();
            (found.instance_type().unwrap().as_str().to_owned(), zone.to_owned())
        })
        .collect()
}

async fn launch_stranger(cloud: &Cloud, kind: &str) {
    use aws_sdk_ec2::types::{InstanceMarketOptionsRequest, MarketType, Placement};
    let image = catalog::images(&cloud.region).into_iter().find(|image| image.architecture == "x86_64").unwrap();
    let zone = catalog::zones(&cloud.region).into_iter().find(|zone| catalog::offers(zone, kind)).unwrap();
    let request = cloud.ec2.run_instances().image_id(image.id).instance_type(kind.into()).min_count(1).max_count(1);
    let request = request.placement(Placement::builder().availability_zone(zone).build());
    let spot = InstanceMarketOptionsRequest::builder().market_type(MarketType::Spot).build();
    request.instance_market_options(spot).send().await.unwrap();
}

async fn check(seed: u64) -> Came {
    let case = Case::of(seed);
    let sandbox = Sandbox::in_memory();
    sandbox.say("profile-delay 0s");
    let moment = case.moment(&mut Random(!seed));
    sandbox.say(&format!("clock -{}s", Timestamp::now().as_second() - moment));
    let context = context_of(&sandbox, case.region, &case.file());
    if let Some(stranger) = case.stranger {
        launch_stranger(&context.cloud, stranger).await;
    }
    for (class, limit) in case.quotas {
        sandbox.say(&format!("quota {class}={limit} {}", case.region));
    }
    case.words.iter().for_each(|words| sandbox.say(words));
    let (priced, unpriced) = case.possible(&sandbox.weather().unwrap());

    let args = Only::parse_from(case.arguments()).args;
    let mut state = State::default();
    let result = Box::pin(work(&context, &args, &mut state)).await;
    let launched = workers(&context.cloud).await;
    let what = || format!("seed {seed}: {result:?} launched {launched:?}\n{case:#?}\n{}", case.file());
    let Some(cheapest) = priced.iter().map(|(price, ..)| *price).min() else {
        if !unpriced.is_empty() {
            assert!(result.is_ok() && launched.len() == 1 && unpriced.contains(&launched[0]), "{}", what());
            return Came::Unpriced;
        }
        assert!(launched.is_empty(), "{}", what());
        return match result.as_ref().map_err(|error| error.kind) {
            Err(Kind::Quota) => Came::Quota,
            Err(Kind::Capacity) => Came::Capacity,
            _ => panic!("{}", what()),
        };
    };
    assert!(result.is_ok() && launched.len() == 1, "{}", what());
    let (kind, zone) = &launched[0];
    let price = priced.iter().find(|(_, of, at)| of == kind && at == zone).map(|(price, ..)| *price);
    assert_eq!(price, Some(cheapest), "{}", what());
    Came::Cheapest
}

/// A runtime whose clock is paused, for one of the threads: a thousand times `up` is a minute's work for one.
fn check_all(seeds: impl Iterator<Item = u64>) -> BTreeMap<Came, u32> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().start_paused(true).build().unwrap();
    let mut came = BTreeMap::new();
    for seed in seeds {
        *came.entry(runtime.block_on(check(seed))).or_default() += 1;
    }
    came
}

#[test]
fn the_launched_offer_is_the_cheapest_possible_one_in_a_thousand_markets() {
    const THREADS: usize = 4;
    let only = std::env::var("SPOTCTL_MARKETS").ok().map(|range| {
        let (from, to) = range.split_once("..").expect("SPOTCTL_MARKETS=FROM..TO");
        from.parse().unwrap()..to.parse().unwrap()
    });
    let is_whole = only.is_none();
    let seeds = only.unwrap_or(0..1000);
    let mut came = BTreeMap::<Came, u32>::new();
    std::thread::scope(|scope| {
        let threads: Vec<_> = (0..THREADS)
            .map(|thread| {
                scope.spawn({
                    let seeds = seeds.clone();
                    move || check_all(seeds.skip(thread).step_by(THREADS))
                })
            })
            .collect();
        for (way, count) in threads.into_iter().flat_map(|thread| thread.join().unwrap()) {
            *came.entry(way).or_default() += count;
        }
    });
    // Each way must be met often enough to mean something.
    for (way, least) in [(Came::Cheapest, 400), (Came::Unpriced, 20), (Came::Quota, 100), (Came::Capacity, 100)] {
        assert!(!is_whole || came.get(&way).is_some_and(|count| *count >= least), "{came:?}");
    }
}
