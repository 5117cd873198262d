//! `offers`, `image`, `volume`: what would be launched, from which image, on how large a disk.

use super::{Reads, Status, Verdict};
use crate::decide::cost;
use crate::decide::offers::{Cause, Ranking, Rejection, none_left};
use crate::market::image;
use crate::plan::Chosen;
use crate::spec::{Ami, Gib, Usd, Volume};

pub(super) async fn offers(reads: &Reads<'_>) -> Verdict {
    let (ranking, market, network, chosen) =
        futures::join!(reads.ranking.clone(), reads.market.clone(), reads.network.clone(), reads.chosen.clone());
    let error = match ranking {
        Ok(ranking) => return cheapest(&ranking, reads.look.spec.instance.max_price, &reads.look.cloud.region),
        Err(error) => error,
    };
    match (market, network, chosen) {
        (Err(error), ..) => Verdict::unread(&error),
        (_, Err(error), _) => Verdict::needs("vpc", &error),
        (_, Ok(network), _) if network.vpc.is_err() => Verdict::needs("vpc", &error),
        (_, Ok(network), _) if network.subnets.is_err() => Verdict::needs("subnets", &error),
        (.., Err(error)) => Verdict::needs("image", &error),
        _ => Verdict::unread(&error),
    }
}

fn cheapest(ranking: &Ranking, cap: Option<Usd>, region: &str) -> Verdict {
    let Some(first) = ranking.offers.first() else {
        let error = none_left(ranking, region);
        return Verdict::fail(error.message, error.hints.join("\n"));
    };
    // Offers with a price come first: there is none.
    if let (None, Some(cap)) = (first.price, cap) {
        let dear = ranking.rejected.iter().filter(|rejection| rejection.cause == Cause::MaxPrice);
        let known = dear.filter_map(|rejection| Some((rejection.price?, rejection))).min_by_key(|(price, _)| *price);
        let known = known.map_or_else(String::new, |(price, rejection)| {
            let zone = rejection.zone.as_ref().map_or_else(String::new, |zone| format!(" in {zone}"));
            format!("; the cheapest known is {}{zone} at {price} USD an hour", rejection.instance_type)
        });
        let evidence = format!("no price is known to be under {cap}{known}: `up` tries pools without a price only");
        return Verdict::warn(evidence, "raise the cap in the file: instance: {max_price: …}");
    }
    let price = first.price.map_or_else(|| "an unknown price".to_owned(), |price| format!("{price} USD an hour"));
    let count = ranking.offers.len();
    let evidence = format!("{count} on Spot, the cheapest {} in {} at {price}", first.instance_type, first.zone);
    if count == 1 {
        let advice = "allow more types, or raise the cap, in the file: instance: {types: […], max_price: …}";
        return Verdict::warn(format!("{evidence}: when that pool is dry, nothing is left"), advice);
    }
    Verdict::ok(evidence)
}

pub(super) async fn image(reads: &Reads<'_>) -> Verdict {
    let (chosen, market, templates, ranking) =
        futures::join!(reads.chosen.clone(), reads.market.clone(), reads.templates.clone(), reads.ranking.clone());
    match (chosen, market, templates) {
        (Ok(chosen), ..) => fits(&chosen, ranking.as_ref().ok(), &reads.look.spec.instance.ami),
        (_, Err(error), _) => Verdict::needs("offers", &error),
        (.., Err(error)) => Verdict::needs("template", &error),
        (Err(error), ..) => Verdict::unread(&error),
    }
}

fn fits(chosen: &Chosen, ranking: Option<&Ranking>, ami: &Ami) -> Verdict {
    let image = &chosen.image;
    let name = if image.name.is_empty() { String::new() } else { format!(" ({})", image.name) };
    let said = Some(image::text(ami)).filter(|said| *said != image.id);
    let said = said.map_or_else(String::new, |said| format!("{said} is "));
    let evidence = format!("{said}{}{name}, {}", image.id, image.architecture);
    let is_about_image = |rejection: &Rejection| rejection.cause == Cause::Architecture;
    if ranking.is_some_and(|ranking| ranking.offers.is_empty() && ranking.rejected.iter().any(is_about_image)) {
        return Verdict::fail(
            format!("{evidence}: no type of the file runs it"),
            "name an image for the types' architecture, or types for the image's: instance: {ami: …, types: […]}",
        );
    }
    match &chosen.newer {
        Some(newer) => Verdict::new(
            Status::Ok,
            format!("{evidence}; a newer one is out, {newer}"),
            Some("to move to it: spotctl apply --upgrade-image".to_owned()),
        ),
        None => Verdict::ok(evidence),
    }
}

pub(super) async fn volume(reads: &Reads<'_>) -> Verdict {
    match reads.chosen.clone().await {
        Ok(chosen) => large_enough(reads.look.spec.instance.volume, chosen.image.minimum, &reads.look.cloud.region),
        Err(error) => Verdict::needs("image", &error),
    }
}

fn large_enough(wished: Volume, minimum: Gib, region: &str) -> Verdict {
    let cost = |size| cost::volume_month(wished.kind, size, region);
    if wished.size < minimum {
        return Verdict::warn(
            format!("{} is raised to {minimum}, which the image's snapshot needs: {}", wished.size, cost(minimum)),
            format!("say so in the file: instance: {{volume: {{size: {minimum}}}}}"),
        );
    }
    Verdict::ok(format!("{} holds the image's {minimum}: {}", wished.size, cost(wished.size)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::decide::names::Market;
    use crate::decide::offers::Offer;
    use crate::error::Kind;
    use crate::market::image::Image;
    use crate::spec::{Usd, VolumeKind, Zone};

    fn offer(name: &str) -> Offer {
        Offer {
            instance_type: name.to_owned(),
            zone: Zone("r-1a".to_owned()),
            subnet: "subnet-1".to_owned(),
            price: Some(Usd::from_micros(100_000)),
            vcpus: 4,
            market: Market::Spot,
        }
    }

    fn rejection(reason: &str, cause: Cause, price: Option<Usd>) -> Rejection {
        Rejection {
            instance_type: "g5g.xlarge".to_owned(),
            zone: None,
            price,
            reason: reason.to_owned(),
            cause,
            code: None,
            kind: Kind::Capacity,
            market: Market::Spot,
        }
    }

    #[test]
    fn the_cheapest_offer_is_named_one_alone_is_a_risk_and_none_says_what_it_would_take() {
        let two = Ranking { offers: vec![offer("g4dn.xlarge"), offer("g5.xlarge")], ..Ranking::default() };
        let verdict = cheapest(&two, None, "r-1");
        assert_eq!(verdict, Verdict::ok("2 on Spot, the cheapest g4dn.xlarge in r-1a at 0.10 USD an hour"));
        let one = Ranking { offers: vec![offer("g4dn.xlarge")], ..Ranking::default() };
        assert_eq!(cheapest(&one, None, "r-1").status, Status::Warn);
        let dear =
            rejection("0.2 USD an hour is above the cap of 0.1", Cause::MaxPrice, Some(Usd::from_micros(200_000)));
        let none = cheapest(&Ranking { rejected: vec![dear.clone()], ..Ranking::default() }, None, "r-1");
        assert_eq!(none.status, Status::Fail);
        assert!(none.advice.unwrap().contains("--max-price 0.20"));
        let unpriced = Offer { price: None, ..offer("g5.xlarge") };
        let hope = Ranking { offers: vec![unpriced.clone(), unpriced], rejected: vec![dear], ..Ranking::default() };
        let verdict = cheapest(&hope, Some(Usd::from_micros(100_000)), "r-1");
        assert_eq!(verdict.status, Status::Warn);
        assert_eq!(
            verdict.evidence,
            "no price is known to be under 0.10; the cheapest known is g5g.xlarge at 0.20 USD an hour: `up` tries pools \
             without a price only"
        );
    }

    #[test]
    fn a_newer_image_is_no_fault_and_one_that_no_type_runs_is() {
        let image = Image {
            id: "ami-1".to_owned(),
            name: "dl".to_owned(),
            architecture: "x86_64".to_owned(),
            root_device: "/dev/sda1".to_owned(),
            minimum: Gib(75),
            encrypted_snapshot: None,
        };
        let ami = Ami::Id("ami-1".to_owned());
        let chosen = |newer: Option<&str>| Chosen::of(image.clone(), newer.map(str::to_owned));
        assert_eq!(fits(&chosen(None), None, &ami), Verdict::ok("ami-1 (dl), x86_64"));
        let newer = fits(&chosen(Some("ami-2")), None, &ami);
        assert_eq!((newer.status, newer.advice.is_some()), (Status::Ok, true));
        let none = Ranking {
            rejected: vec![rejection("runs arm64, the image is x86_64", Cause::Architecture, None)],
            ..Ranking::default()
        };
        assert_eq!(fits(&chosen(None), Some(&none), &ami).status, Status::Fail);
        let some = Ranking { offers: vec![offer("g5.xlarge")], ..none };
        assert_eq!(fits(&chosen(None), Some(&some), &ami).status, Status::Ok);
    }

    #[test]
    fn a_volume_that_is_raised_is_said_with_its_price() {
        let volume = |size| Volume { kind: VolumeKind::Gp3, size: Gib(size), iops: None, throughput: None };
        assert_eq!(large_enough(volume(75), Gib(75), "us-east-1").status, Status::Ok);
        let verdict = large_enough(volume(30), Gib(75), "us-east-1");
        assert_eq!(verdict.status, Status::Warn);
        assert!(
            verdict.evidence.starts_with("30GiB is raised to 75GiB") && verdict.evidence.contains("6.00 USD"),
            "{verdict:?}"
        );
    }
}
