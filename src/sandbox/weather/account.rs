//! The part of `sandbox set` that changes the account, not what happens to calls: quotas and how requests for more end,
//! principals, regions, images in the registry, which nobody can push to. None of it but the fate of requests is weather, so
//! `clear` undoes none of it.

use jiff::Timestamp;

use super::{WeatherError, meant, not_understood, whole_seconds};
use crate::sandbox::authorize::evaluate::Policy;
use crate::sandbox::ec2::{catalog, regions};
use crate::sandbox::ecr::images::{self, Reference};
use crate::sandbox::service_quotas::{self, CLASSES, Ending, Fate};
use crate::sandbox::world::World;

/// Changes the account by words that are no weather, and says what is now so.
///
/// # Errors
/// The words are not understood here either.
pub(super) fn set(world: &mut World, words: &[&str], now: Timestamp) -> Result<String, WeatherError> {
    match words {
        ["quota", quota] => set_quota(world, quota, None, now),
        ["quota", quota, region] => set_quota(world, quota, Some(region), now),
        ["quota-answer", how] => quota_answer(world, how, None),
        ["quota-answer", how, "after", time] => quota_answer(world, how, Some(time)),
        ["principal", key, policy] => set_principal(world, key, policy),
        ["region", name, state @ ("on" | "off")] => set_region(world, name, *state == "on"),
        ["regions", count @ ("8" | "17")] => Ok(set_regions(world, *count == "17")),
        ["image", reference, size] => put_image(world, reference, size, None, now),
        ["image", reference, size, region] => put_image(world, reference, size, Some(region), now),
        ["no-image", reference] => remove_image(world, reference, None),
        ["no-image", reference, region] => remove_image(world, reference, Some(region)),
        _ => Err(not_understood(words)),
    }
}

/// The account's, not the weather's: `clear` lets nobody loose.
fn set_principal(world: &mut World, key: &str, policy: &str) -> Result<String, WeatherError> {
    if key.is_empty() || !key.chars().all(|letter| letter.is_ascii_alphanumeric()) {
        return Err(WeatherError::Words(format!("`{key}` is no access key id such as `AKIAOPERATOR`")));
    }
    if policy == "none" {
        world.principals.remove(key);
        return Ok(format!("`{key}` may do everything"));
    }
    if let Err(why) = policy.parse::<Policy>() {
        return Err(WeatherError::Words(format!("the policy cannot be evaluated: {why}")));
    }
    world.principals.insert(key.to_owned(), policy.to_owned());
    Ok(format!("`{key}` may do what the policy allows"))
}

fn set_quota(world: &mut World, quota: &str, region: Option<&str>, now: Timestamp) -> Result<String, WeatherError> {
    let wrong = || WeatherError::Words(format!("`{quota}` is not a quota such as `G=0` or `L-3819A6DF=8`"));
    let (class, value) = quota.split_once('=').ok_or_else(wrong)?;
    let value = match value {
        "none" => None,
        // JSON, in which the state is kept, has neither infinity nor what is no number.
        text => {
            let value = text.parse::<f64>().ok().filter(|value| value.is_finite() && *value >= 0.0);
            Some(value.ok_or_else(wrong)?)
        }
    };
    let code = CLASSES
        .iter()
        .find_map(|(name, spot, on_demand)| {
            if *name == class || *spot == class { Some(*spot) } else { (*on_demand == class).then_some(*on_demand) }
        })
        .ok_or_else(|| {
            let known: Vec<&str> = CLASSES.iter().map(|(name, ..)| *name).collect();
            WeatherError::Words(format!("no quota class `{class}`; there are {}", known.join(", ")))
        })?;
    let now = world.weather.now(now);
    for name in asked(world, region)? {
        let quotas = &mut world.region(&name).quotas;
        // What was approved by now comes first, else it would come after this and win.
        service_quotas::settle(quotas, now);
        match value {
            Some(value) => quotas.applied.insert(code.to_owned(), value),
            None => quotas.applied.remove(code),
        };
    }
    Ok(match value {
        Some(value) => format!("the quota {code} is {value} vCPUs"),
        None => format!("the quota {code} has no applied value; its default counts"),
    })
}

/// Requests that were filed before keep the fate that they were filed with.
fn quota_answer(world: &mut World, how: &str, after: Option<&str>) -> Result<String, WeatherError> {
    let ending = Ending::ALL.into_iter().find(|(word, _)| *word == how).map(|(_, ending)| ending).ok_or_else(|| {
        let known = Ending::ALL.map(|(word, _)| word);
        let hint = meant(how, known);
        WeatherError::Words(format!("no end of a request `{how}`{hint}; there are {}", known.join(", ")))
    })?;
    let mut fate = Fate { ending, ..Fate::default() };
    if let Some(text) = after {
        let seconds = i64::try_from(whole_seconds(text)?.as_secs()).ok().filter(|seconds| *seconds > 0);
        // A request is pending when it is filed, whatever becomes of it.
        fate.after = seconds.ok_or_else(|| WeatherError::Words(format!("`{text}` is not how long a request takes")))?;
    }
    let after = fate.after;
    world.weather.quota_answer = fate;
    Ok(format!("requests for a quota end {how} after {after} s"))
}

/// The one that is named, or all that the account may use.
fn asked(world: &World, named: Option<&str>) -> Result<Vec<String>, WeatherError> {
    match named {
        Some(name) => known(name).map(|name| vec![name]),
        None => Ok(regions::usable(world)),
    }
}

fn known(region: &str) -> Result<String, WeatherError> {
    let all = catalog::all_regions();
    all.iter().find(|known| *known == region).cloned().ok_or_else(|| {
        let hint = meant(region, all.iter().map(String::as_str));
        WeatherError::Words(format!("no region `{region}` in the sandbox{hint}"))
    })
}

fn set_region(world: &mut World, name: &str, is_on: bool) -> Result<String, WeatherError> {
    world.opt_ins.insert(known(name)?, is_on);
    Ok(format!("the account may {} {name}", if is_on { "use" } else { "not use" }))
}

/// All of them or those of a fresh account, whatever was said of single ones.
fn set_regions(world: &mut World, with_copies: bool) -> String {
    world.opt_ins.clear();
    if with_copies {
        let copies = catalog::all_regions().iter().filter(|region| catalog::original(region).is_some());
        world.opt_ins.extend(copies.map(|region| (region.clone(), true)));
    }
    format!("the account may use {} regions", regions::usable(world).len())
}

fn put_image(
    world: &mut World,
    reference: &str,
    size: &str,
    region: Option<&str>,
    now: Timestamp,
) -> Result<String, WeatherError> {
    let reference: Reference = reference.parse().map_err(WeatherError::Words)?;
    let bytes = bytes(size)
        .ok_or_else(|| WeatherError::Words(format!("`{size}` is not a size such as `1.5GiB`, `700MiB` or `512KiB`")))?;
    let now = world.weather.now(now).as_millisecond();
    for name in asked(world, region)? {
        images::put(&mut world.region(&name).ecr, &reference, bytes, now);
    }
    Ok(format!("the registry has {reference} of {bytes} bytes"))
}

fn remove_image(world: &mut World, reference: &str, region: Option<&str>) -> Result<String, WeatherError> {
    let reference: Reference = reference.parse().map_err(WeatherError::Words)?;
    let mut was_there = false;
    for name in asked(world, region)? {
        was_there |= images::remove(&mut world.region(&name).ecr, &reference);
    }
    if !was_there {
        return Err(WeatherError::Words(format!("there was no image `{reference}`")));
    }
    Ok(format!("the registry has no {reference}"))
}

/// Whole bytes of a size with a unit, at least one; what is behind the point may have nine digits.
fn bytes(text: &str) -> Option<u64> {
    let units = [("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)];
    let (number, unit) = units.iter().find_map(|(name, unit)| Some((text.strip_suffix(name)?, *unit)))?;
    let (whole, part) = number.split_once('.').unwrap_or((number, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.chars().all(|digit| digit.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 9 {
        return None;
    }
    let scale = 10_u64.pow(u32::try_from(part.len()).ok()?);
    let part = part.parse::<u64>().ok()?.checked_mul(unit)? / scale;
    whole.parse::<u64>().ok()?.checked_mul(unit)?.checked_add(part).filter(|bytes| *bytes > 0)
}
