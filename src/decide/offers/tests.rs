use super::*;
use crate::decide::quota::Holder;

fn a_type(name: &str, gpus: u32, gib: u64, maker: &str, architecture: &str) -> InstanceType {
    InstanceType {
        name: name.to_owned(),
        vcpus: 4,
        memory_mib: 16 * 1024,
        nvme_gb: 0,
        gpus,
        gpu_memory_mib: gib * 1024,
        gpu: None,
        gpu_maker: Some(maker.to_owned()),
        architectures: vec![architecture.to_owned()],
        spot: true,
    }
}

fn zone(letter: &str) -> Zone {
    Zone(format!("us-east-1{letter}"))
}

pub(super) fn subnet(letter: &str, free_addresses: u32) -> Subnet {
    Subnet { id: format!("subnet-{letter}{free_addresses}"), zone: zone(letter), free_addresses }
}

/// `g4dn` costs 0.20 in a and 0.10 in b; `g5` 0.30 in a and has no price in b; the rest falls out.
pub(super) fn market() -> Market {
    let types = vec![
        a_type("g4dn.xlarge", 1, 16, "NVIDIA", "x86_64"),
        a_type("g5.xlarge", 1, 22, "NVIDIA", "x86_64"),
        a_type("g5g.xlarge", 1, 16, "NVIDIA", "arm64"),
        a_type("g4ad.xlarge", 1, 16, "AMD", "x86_64"),
        a_type("g6f.large", 0, 2, "NVIDIA", "x86_64"),
        a_type("g4dn.12xlarge", 4, 64, "NVIDIA", "x86_64"),
    ];
    let offered = types.iter().flat_map(|t| [(t.name.clone(), zone("a")), (t.name.clone(), zone("b"))]).collect();
    let price = |name: &str, letter, micros| ((name.to_owned(), zone(letter)), Usd::from_micros(micros));
    let prices = BTreeMap::from([
        price("g4dn.xlarge", "a", 200_000),
        price("g4dn.xlarge", "b", 100_000),
        price("g5.xlarge", "a", 300_000),
    ]);
    Market { types, offered, prices }
}

pub(super) fn wish(types: &Types) -> Wish<'_> {
    Wish {
        market: names::Market::Spot,
        types,
        gpus: 1,
        gpu_memory: Gib(16),
        vcpus: None,
        memory: None,
        exclude: &[],
        max_price: None,
        zone: None,
        architecture: "x86_64",
    }
}

pub(super) fn offered(ranking: &Ranking) -> Vec<String> {
    ranking.offers.iter().map(|offer| format!("{}@{}", offer.instance_type, offer.subnet)).collect()
}

#[test]
fn the_cheapest_pool_comes_first_and_every_other_has_its_reason() {
    let subnets = [subnet("a", 5), subnet("b", 5), subnet("b", 9)];
    let ranking = rank(&wish(&Types::Cheapest), &market(), &subnets, &[]).unwrap();
    assert_eq!(offered(&ranking), ["g4dn.xlarge@subnet-b9", "g4dn.xlarge@subnet-a5", "g5.xlarge@subnet-a5"]);
    let reasons: Vec<_> = ranking.rejected.iter().map(|r| format!("{}: {}", r.instance_type, r.reason)).collect();
    assert_eq!(
        reasons,
        [
            "g4ad.xlarge: its GPU is made by AMD and runs no CUDA",
            "g5.xlarge: AWS names no Spot price here; set `max_price` to try it all the same",
            "g5g.xlarge: runs arm64, the image is x86_64",
        ]
    );
}

#[test]
fn an_offer_without_a_price_is_tried_last_and_only_under_a_cap() {
    let subnets = [subnet("a", 5), subnet("b", 5)];
    let capped = Wish { max_price: Some(Usd::from_micros(250_000)), ..wish(&Types::Cheapest) };
    let ranking = rank(&capped, &market(), &subnets, &[]).unwrap();
    assert_eq!(offered(&ranking), ["g4dn.xlarge@subnet-b5", "g4dn.xlarge@subnet-a5", "g5.xlarge@subnet-b5"]);
    assert_eq!(ranking.rejected[0].reason, "0.30 USD an hour is above the cap of 0.25");
}

#[test]
fn a_cap_below_everything_names_the_price_it_would_take() {
    let listed = Types::Listed(vec!["g5.xlarge".to_owned()]);
    let capped = Wish { max_price: Some(Usd::from_micros(1)), ..wish(&listed) };
    let error = none_left(&rank(&capped, &market(), &[subnet("a", 5)], &[]).unwrap(), "us-east-1");
    assert_eq!(error.kind, Kind::Capacity);
    assert_eq!(error.hints, ["g5.xlarge in us-east-1a would take --max-price 0.30"]);
}

#[test]
fn a_zone_that_is_not_there_is_a_mistake_with_a_suggestion() {
    let elsewhere = zone("c");
    let error = rank(&Wish { zone: Some(&elsewhere), ..wish(&Types::Cheapest) }, &market(), &[subnet("a", 5)], &[])
        .unwrap_err();
    assert_eq!((error.kind, error.hints), (Kind::Usage, vec!["did you mean us-east-1a".to_owned()]));
}

#[test]
fn quota_wins_over_capacity_when_nothing_is_left() {
    let rejection = |kind, code: &str| Rejection {
        market: names::Market::Spot,
        instance_type: "g4dn.xlarge".to_owned(),
        zone: None,
        price: None,
        reason: code.to_owned(),
        cause: Cause::Refused,
        code: Some(code.to_owned()),
        kind,
    };
    let rejected = vec![rejection(Kind::Capacity, "Insufficient"), rejection(Kind::Quota, "Max")];
    let error = none_left(&Ranking { rejected, ..Ranking::default() }, "us-east-1");
    assert_eq!((error.kind, error.code.as_deref()), (Kind::Quota, Some("Max")));
}

/// Each reason once: what is changed on a market where `g4dn.xlarge` in zone b would be taken, and what is then said of it.
#[test]
fn each_reason_names_what_stands_in_the_way() {
    let listed = Types::Listed(vec!["g4dn.xlarge".to_owned()]);
    let exclude: [TypePattern; 2] = ["g5.*".parse().unwrap(), "g4*".parse().unwrap()];
    let plain = wish(&Types::Cheapest);
    let without = |change: fn(&mut Market)| {
        let mut market = market();
        change(&mut market);
        market
    };
    assert_eq!(market().types[0].name, "g4dn.xlarge");
    let cases: [(Wish<'_>, Market, &str, Cause, &str); 12] = [
        (Wish { exclude: &exclude, ..plain.clone() }, market(), "any", Cause::Excluded, "excluded by `g4*`"),
        (
            Wish { exclude: &exclude, types: &listed, ..plain.clone() },
            market(),
            "any",
            Cause::Excluded,
            "excluded by `g4*`",
        ),
        (
            Wish { vcpus: Some(8), ..plain.clone() },
            market(),
            "any",
            Cause::Vcpus,
            "has 4 vCPUs, and `vcpus` asks for 8",
        ),
        (
            Wish { vcpus: Some(8), types: &listed, ..plain.clone() },
            market(),
            "any",
            Cause::Vcpus,
            "has 4 vCPUs, and `vcpus` asks for 8",
        ),
        (
            Wish { memory: Some(Gib(32)), ..plain.clone() },
            market(),
            "any",
            Cause::Memory,
            "has 16GiB of memory, and `memory` asks for 32GiB",
        ),
        (
            Wish { memory: Some(Gib(1)), ..plain.clone() },
            without(|market| market.types[0].memory_mib = 512),
            "any",
            Cause::Memory,
            "has 512MiB of memory, and `memory` asks for 1GiB",
        ),
        (
            plain.clone(),
            without(|market| market.types[0].gpu_maker = Some("AMD".to_owned())),
            "any",
            Cause::Gpu,
            "its GPU is made by AMD and runs no CUDA",
        ),
        (
            Wish { architecture: "arm64", ..plain.clone() },
            market(),
            "any",
            Cause::Architecture,
            "runs x86_64, the image is arm64",
        ),
        (
            Wish { types: &listed, ..plain.clone() },
            without(|market| market.types[0].spot = false),
            "any",
            Cause::NotOnSpot,
            "not sold on Spot",
        ),
        (
            plain.clone(),
            without(|market| assert!(market.offered.remove(&("g4dn.xlarge".to_owned(), zone("b"))))),
            "us-east-1b",
            Cause::NotOffered,
            "not offered in this zone",
        ),
        (
            plain.clone(),
            without(|market| assert!(market.prices.remove(&("g4dn.xlarge".to_owned(), zone("b"))).is_some())),
            "us-east-1b",
            Cause::NoPrice,
            "AWS names no Spot price here; set `max_price` to try it all the same",
        ),
        (
            Wish { max_price: Some(Usd::from_micros(99_999)), ..plain.clone() },
            market(),
            "us-east-1b",
            Cause::MaxPrice,
            "0.10 USD an hour is above the cap of 0.099999",
        ),
    ];
    let subnets = [subnet("a", 5), subnet("b", 5)];
    for (wish, market, place, cause, reason) in cases {
        let ranking = rank(&wish, &market, &subnets, &[]).unwrap();
        let is_it = |r: &&Rejection| r.instance_type == "g4dn.xlarge" && r.zone.as_ref().is_none_or(|z| z.0 == place);
        let found: Vec<_> = ranking.rejected.iter().filter(is_it).collect();
        assert_eq!(found.len(), 1, "{cause:?}: {ranking:?}");
        let shown = found[0].zone.as_ref().map_or("any", |zone| zone.0.as_str());
        assert_eq!((shown, found[0].cause, found[0].reason.as_str()), (place, cause, reason));
        assert_eq!((found[0].kind, &found[0].code), (Kind::Capacity, &None));
        let is_offered =
            |offer: &Offer| offer.instance_type == "g4dn.xlarge" && (place == "any" || offer.zone.0 == place);
        assert!(!ranking.offers.iter().any(is_offered), "{cause:?}");
    }
}

#[test]
fn what_fell_out_everywhere_has_its_lowest_price_so_that_it_can_be_told_to_look_cheaper() {
    let exclude: [TypePattern; 1] = ["g4dn.*".parse().unwrap()];
    let wish = Wish { exclude: &exclude, ..wish(&Types::Cheapest) };
    let ranking = rank(&wish, &market(), &[subnet("a", 5), subnet("b", 5)], &[]).unwrap();
    let first = &ranking.rejected[0];
    assert_eq!((first.instance_type.as_str(), first.price), ("g4dn.xlarge", Some(Usd::from_micros(100_000))));
}

fn standing(limit: Option<u32>, in_use: Option<u32>) -> Standing {
    let holder = |vcpus| Holder {
        id: "i-1".to_owned(),
        instance_type: "g5.xlarge".to_owned(),
        vcpus: Some(vcpus),
        since: None,
        stack: Some("other".to_owned()),
    };
    Standing {
        quota: quota::of("g4dn.xlarge", names::Market::Spot).unwrap(),
        limit,
        holders: in_use.map(|vcpus| if vcpus == 0 { Vec::new() } else { vec![holder(vcpus)] }),
        missing: BTreeSet::new(),
    }
}

#[test]
fn a_quota_rejects_what_does_not_fit_once_and_nothing_that_is_not_known() {
    let reason = |limit: Option<u32>, in_use: Option<u32>| {
        let quotas = [standing(limit, in_use)];
        let ranking = rank(&wish(&Types::Cheapest), &market(), &[subnet("a", 5)], &quotas).unwrap();
        let rejected = ranking.rejected.iter().find(|rejection| rejection.cause == Cause::Quota);
        assert_eq!(rejected.is_none(), !ranking.offers.is_empty());
        rejected.map(|rejection| {
            assert_eq!((rejection.kind, &rejection.code), (Kind::Quota, &None));
            rejection.reason.clone()
        })
    };
    let says = |limit: u32, rest: &str| {
        Some(format!(
            "the account's Spot quota L-3819A6DF (All G and VT Spot Instance Requests) is {limit} vCPUs{rest}: g4dn.xlarge needs 4"
        ))
    };
    for (limit, in_use, expected) in [
        (Some(0), Some(0), says(0, "")),
        (Some(7), Some(4), says(7, ", 4 in use")),
        (Some(8), Some(4), None),
        (Some(4), Some(0), None),
        // Too small whoever uses it.
        (Some(3), None, says(3, "")),
        (Some(4), None, None),
        (None, Some(1000), None),
        (None, None, None),
    ] {
        assert_eq!(reason(limit, in_use), expected, "{limit:?} {in_use:?}");
    }
    // Another quota's standing says nothing about this one.
    let p = Standing { quota: quota::of("p5.4xlarge", names::Market::Spot).unwrap(), ..standing(Some(0), Some(0)) };
    assert!(!rank(&wish(&Types::Cheapest), &market(), &[subnet("a", 5)], &[p]).unwrap().offers.is_empty());
}

#[test]
fn without_room_in_the_quota_it_says_who_holds_it_and_how_to_have_more() {
    let quotas = [standing(Some(4), Some(4))];
    let ranking = rank(&wish(&Types::Cheapest), &market(), &[subnet("a", 5)], &quotas).unwrap();
    let error = none_left(&ranking, "us-east-1");
    assert_eq!((error.kind, error.code), (Kind::Quota, None));
    assert_eq!(error.hints[0], "in use (4 vCPUs, g5.xlarge, of `other`): i-1");
    assert!(error.hints[1].ends_with(": spotctl quota request --code L-3819A6DF"), "{:?}", error.hints);
}

#[test]
fn a_requirement_that_no_type_meets_is_no_matter_of_price() {
    let wish = Wish { vcpus: Some(64), max_price: Some(Usd::from_micros(1)), ..wish(&Types::Cheapest) };
    let error = none_left(&rank(&wish, &market(), &[subnet("a", 5)], &[]).unwrap(), "us-east-1");
    assert!(!error.message.contains("cap") && error.hints.iter().any(|hint| hint.contains("`vcpus` asks for 64")));
}

#[test]
fn a_quota_without_a_price_is_not_blamed_for_what_aws_refused_for_another_reason() {
    let rejection = |cause, price: Option<i64>, kind, code: Option<&str>| Rejection {
        market: names::Market::Spot,
        instance_type: "g4dn.xlarge".to_owned(),
        zone: Some(zone("a")),
        price: price.map(Usd::from_micros),
        reason: format!("{cause:?}"),
        cause,
        code: code.map(str::to_owned),
        kind,
    };
    let refused = rejection(Cause::Refused, Some(1), Kind::Capacity, Some("InsufficientInstanceCapacity"));
    let kind = |rejected: Vec<Rejection>| none_left(&Ranking { rejected, ..Ranking::default() }, "us-east-1");
    assert_eq!(kind(vec![refused.clone(), rejection(Cause::Quota, None, Kind::Quota, None)]).kind, Kind::Capacity);
    assert_eq!(kind(vec![rejection(Cause::Quota, None, Kind::Quota, None)]).kind, Kind::Quota);
    let error = kind(vec![refused, rejection(Cause::Quota, Some(9), Kind::Quota, None)]);
    assert_eq!(
        (error.kind, error.hints[0].as_str()),
        (Kind::Quota, "g4dn.xlarge in us-east-1a: no capacity (InsufficientInstanceCapacity)")
    );
}
