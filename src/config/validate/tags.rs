//! Rules of `tags`: what EC2, IAM and Parameter Store all take, and the metadata service can show.
//!
//! IAM is the strictest about characters (no comma, no quotes) and takes `Role` and `role` for one
//! key; the metadata service refuses keys with a space or `/`, and an instance with such a tag does not launch.

use std::collections::BTreeMap;

use super::{Rules, file, key, within};
use crate::config::tree::Step;

/// AWS allows fifty on an object; the rest is for spotctl's own.
const MOST: usize = 40;
const LONGEST_KEY: usize = 128;
const LONGEST_VALUE: usize = 256;

pub(super) fn tags(rules: &mut Rules<'_>, tags: BTreeMap<String, file::Plain>) -> BTreeMap<String, String> {
    if tags.len() > MOST {
        rules.refuse(&key("tags"), format!("{} tags are too many: at most {MOST}, spotctl adds its own", tags.len()));
    }
    let mut seen: BTreeMap<String, &str> = BTreeMap::new();
    for (name, value) in &tags {
        check_key(rules, name);
        if let Some(other) = seen.insert(name.to_lowercase(), name) {
            let path = within(&key("tags"), Step::KeyItself(name.clone()));
            rules.refuse(&path, format!("`{name}` and `{other}` are one key to IAM"));
        }
        let path = within(&key("tags"), Step::Key(name.clone()));
        let length = value.0.chars().count();
        if length > LONGEST_VALUE {
            rules.refuse(&path, format!("a tag's value has at most {LONGEST_VALUE} characters, and this one {length}"));
        } else if let Some(odd) = value.0.chars().find(|c| !is_allowed(*c) && *c != ' ' && *c != '/') {
            rules.refuse(&path, format!("{} cannot stand in a tag's value: {ALLOWED}, space and `/` can", shown(odd)));
        }
    }
    tags.into_iter().map(|(key, value)| (key, value.0)).collect()
}

const ALLOWED: &str = "letters, digits and `_.:=+-@`";

fn check_key(rules: &mut Rules<'_>, name: &str) {
    let path = within(&key("tags"), Step::KeyItself(name.to_owned()));
    let lower = name.to_lowercase();
    let length = name.chars().count();
    if let Some(prefix) = ["aws:", "spotctl:"].iter().find(|prefix| lower.starts_with(**prefix)) {
        let owner = if *prefix == "aws:" { "AWS" } else { "spotctl" };
        rules.refuse(&path, format!("tags that begin with `{prefix}` are {owner}'s own"));
    } else if name.is_empty() || length > LONGEST_KEY {
        rules.refuse(&path, format!("a tag's key has 1 to {LONGEST_KEY} characters, and this one {length}"));
    } else if [".", "..", "_index"].contains(&name) {
        rules.refuse(&path, format!("`{name}` is a path to the metadata service, not a tag"));
    } else if let Some(odd) = name.chars().find(|c| !is_allowed(*c)) {
        let message = format!("{} cannot stand in a tag's key: {ALLOWED} can", shown(odd));
        let plain: String = name.chars().map(|c| if is_allowed(c) { c } else { '-' }).collect();
        rules.refuse_with(&path, message, format!("the worker reads its tags as paths; such as `{plain}`"));
    }
}

fn is_allowed(c: char) -> bool {
    c.is_alphanumeric() || "_.:=+-@".contains(c)
}

fn shown(c: char) -> String {
    match c {
        ' ' => "a space".to_owned(),
        c if c.is_control() => format!("U+{:04X}", u32::from(c)),
        c => format!("`{c}`"),
    }
}
