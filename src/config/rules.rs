//! Which values AWS or the box would refuse, told before anything is called. Each rule answers one sentence.

use std::collections::BTreeSet;

use crate::decide::names;
use crate::spec::{Gib, Text, VolumeKind, WorkerName, is_key};

type Checked = Result<(), String>;

fn ensure(holds: bool, otherwise: impl FnOnce() -> String) -> Checked {
    if holds { Ok(()) } else { Err(otherwise()) }
}

/// AWS takes fifty tags on an object; ten are left to spotctl.
pub(super) const MOST_TAGS: usize = 40;

pub(super) fn region(text: &str) -> Checked {
    let parts: Vec<&str> = text.split('-').collect();
    let is_word = |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase());
    let holds = parts.len() >= 3
        && parts[..parts.len() - 1].iter().all(is_word)
        && parts.last().is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit()));
    ensure(holds, || format!("`{text}` is not a region such as us-east-1"))
}

pub(super) fn role_name(name: &WorkerName, region: &str) -> Checked {
    const LONGEST: usize = 64;
    let role = names::role(name, region);
    ensure(role.len() <= LONGEST, || format!("the role's name `{role}` is longer than IAM's {LONGEST} characters"))
}

pub(super) fn image(text: &str) -> Checked {
    ensure(!text.is_empty() && !text.contains(char::is_whitespace) && !text.starts_with('-'), || {
        format!("`{text}` is not an image reference")
    })
}

pub(super) fn key(text: &str) -> Checked {
    ensure(is_key(text), || format!("`{text}` is not a key: letters, digits and `_`, and no digit first"))
}

pub(super) fn env_key(text: &str) -> Checked {
    key(text)?;
    // The box's own docker command would obey them.
    ensure(!text.starts_with("DOCKER_"), || format!("`{text}` would steer the box's own docker command"))
}

/// Arguments that spotctl sets itself or that would break a promise.
pub(super) fn docker_argument(text: &str) -> Checked {
    const TAKEN: [(&str, &str); 14] = [
        ("-d", "the container always runs detached"),
        ("--detach", "the container always runs detached"),
        ("-i", "nobody is at its terminal"),
        ("-t", "nobody is at its terminal"),
        ("-it", "nobody is at its terminal"),
        ("--name", "spotctl names it"),
        ("--rm", "its exit status is read after it ended"),
        ("-e", "use `env`, or a parameter for a secret"),
        ("--env", "use `env`, or a parameter for a secret"),
        ("--env-file", "use `env`, or parameters: a file cannot hold every value"),
        ("--gpus", "use `gpus`"),
        ("--stop-timeout", "use `stop_timeout`"),
        ("--cidfile", "spotctl reads the container's id itself"),
        ("--pull", "the image is pulled before it is run"),
    ];
    let flag = text.split('=').next().unwrap_or_default();
    TAKEN
        .iter()
        .find(|(taken, _)| *taken == flag)
        .map_or(Ok(()), |(taken, why)| Err(format!("`{taken}` is not for `args`: {why}")))
}

pub(super) fn instance_type(text: &str) -> Checked {
    let is_part = |part: &str| {
        !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
    };
    let holds = text.split_once('.').is_some_and(|(family, size)| is_part(family) && is_part(size));
    ensure(holds, || format!("`{text}` is not an instance type such as g4dn.xlarge"))
}

/// An id of EC2: a prefix and hexadecimal digits.
pub(super) fn id(text: &str, prefix: &str) -> Checked {
    let holds = text.strip_prefix(prefix).is_some_and(|digits| {
        !digits.is_empty() && digits.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
    });
    ensure(holds, || format!("`{text}` is not an id such as {prefix}0123456789abcdef0"))
}

pub(super) fn public_parameter(name: &str) -> Checked {
    ensure(name.starts_with('/') && !name.contains(char::is_whitespace) && name.len() > 1, || {
        format!("`ssm:{name}` does not name a parameter such as ssm:/path/ami-id")
    })
}

/// EBS's sizes for gp2 and gp3, up to where gp2 ends.
pub(super) fn volume_size(size: Gib) -> Checked {
    const LARGEST: u32 = 16_384;
    ensure(size.0 <= LARGEST, || format!("{size} is more than EBS's {LARGEST}GiB"))
}

/// What every region grants a gp3 volume; some grant more since 2025, where AWS would then decide.
pub(super) fn iops(kind: VolumeKind, iops: u32) -> Checked {
    ensure(kind == VolumeKind::Gp3, || "a gp2 volume's IOPS follow from its size".to_owned())?;
    ensure((3_000..=80_000).contains(&iops), || format!("{iops} is not within gp3's 3000 to 80000"))
}

pub(super) fn throughput(kind: VolumeKind, mib: u32) -> Checked {
    ensure(kind == VolumeKind::Gp3, || "a gp2 volume's throughput follows from its size".to_owned())?;
    ensure((125..=2_000).contains(&mib), || format!("{mib} is not within gp3's 125 to 2000 MiB a second"))
}

pub(super) fn kms_key(text: &str) -> Checked {
    let is_id = text.len() >= 36
        && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b'-' || b == b'm' || b == b'r' || b == b'k');
    ensure(text.starts_with("alias/") || text.starts_with("arn:") || is_id, || {
        format!("`{text}` is no alias/…, key id or ARN")
    })
}

pub(super) fn queue(text: &str) -> Checked {
    ensure(
        text.contains("${") || text.starts_with("https://") || text.starts_with("http://") || text.starts_with("arn:"),
        || format!("`{text}` is no queue's URL, ARN or ${{KEY}}"),
    )
}

pub(super) fn bucket(text: &str) -> Checked {
    let is_name = (3..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.');
    ensure(text.contains("${") || is_name, || format!("`{text}` is no bucket's name or ${{KEY}}"))
}

pub(super) fn role(text: &str) -> Checked {
    let is_name = !text.is_empty()
        && text.len() <= 64
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "+=,.@_-".contains(c));
    let is_arn = text.starts_with("arn:") && text.contains(":role/");
    ensure(is_name || is_arn, || format!("`{text}` is no role's name or ARN"))
}

pub(super) fn statement(statement: &serde_json::Value) -> Checked {
    let has = |one: &str, other: &str| statement.get(one).is_some() || statement.get(other).is_some();
    ensure(statement.is_object(), || "a statement is a mapping with Effect, Action and Resource".to_owned())?;
    let effect = statement.get("Effect").and_then(serde_json::Value::as_str);
    ensure(matches!(effect, Some("Allow" | "Deny")), || "`Effect` is Allow or Deny".to_owned())?;
    ensure(has("Action", "NotAction"), || "`Action` is missing".to_owned())?;
    ensure(has("Resource", "NotResource"), || "`Resource` is missing".to_owned())
}

/// The `${X}` of further statements; IAM's own `${aws:…}` are none.
pub(super) fn keys_in_statements(statements: &[serde_json::Value]) -> BTreeSet<String> {
    fn walk(value: &serde_json::Value, keys: &mut BTreeSet<String>) {
        match value {
            serde_json::Value::String(text) => {
                if let Ok(parsed) = text.parse::<Text>() {
                    keys.extend(parsed.keys().map(str::to_owned));
                }
            }
            serde_json::Value::Array(items) => items.iter().for_each(|item| walk(item, keys)),
            serde_json::Value::Object(entries) => entries.values().for_each(|item| walk(item, keys)),
            _ => {}
        }
    }
    let mut keys = BTreeSet::new();
    for statement in statements {
        walk(statement, &mut keys);
    }
    keys
}

/// The box reads its own tags from the metadata service, which refuses keys with a space or a `/`.
pub(super) fn tag_key(text: &str) -> Checked {
    let reserved = ["aws:", "spotctl:"].into_iter().find(|prefix| text.to_ascii_lowercase().starts_with(prefix));
    ensure(reserved.is_none(), || {
        format!("tag keys that begin with `{}` are not yours", reserved.unwrap_or_default())
    })?;
    ensure(!text.contains([' ', '/']), || {
        format!("the tag key `{text}` holds a space or a `/`: the box could not read its tags")
    })?;
    ensure((1..=128).contains(&text.chars().count()), || "a tag key has 1 to 128 characters".to_owned())
}

pub(super) fn tag_value(text: &str) -> Checked {
    ensure(text.chars().count() <= 256, || "a tag value has at most 256 characters".to_owned())
}
