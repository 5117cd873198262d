//! Whether each `${X}` of the file has its parameter, before anything is made that would fail on the box.

use std::collections::{BTreeMap, BTreeSet};

use super::user_data::BUILT_IN;
use crate::error::{Error, Result};
use crate::spec::{Selection, Spec, Text};

/// Checks every `${X}` and every key that the file lists against the keys that a worker will find.
///
/// # Errors
/// All that are missing, in one error.
pub fn check(spec: &Spec, keys: &BTreeSet<String>) -> Result<()> {
    let container = &spec.container;
    let access = &spec.access;
    let texts: [(&str, Vec<&Text>); 6] = [
        ("container.image", vec![&container.image]),
        ("container.env", container.env.values().collect()),
        ("container.args", container.args.iter().collect()),
        ("container.command", container.command.iter().collect()),
        ("access.queues", access.queues.iter().collect()),
        ("access.buckets", access.buckets.iter().map(|(bucket, _)| bucket).collect()),
    ];
    let is_known = |key: &str| keys.contains(key) || BUILT_IN.contains(&key);
    let mut missing: BTreeMap<String, &str> = BTreeMap::new();
    for (place, texts) in &texts {
        for key in texts.iter().flat_map(|text| text.keys()).filter(|key| !is_known(key)) {
            missing.entry(key.to_owned()).or_insert(place);
        }
    }
    for text in access.statements.iter().flat_map(texts_of) {
        for key in text.keys().filter(|key| !is_known(key)) {
            missing.entry(key.to_owned()).or_insert("access.statements");
        }
    }
    if let Selection::Keys(listed) = &container.parameters {
        for key in listed.iter().filter(|key| !is_known(key)) {
            missing.entry(key.clone()).or_insert("container.parameters");
        }
    }
    if missing.is_empty() {
        return Ok(());
    }
    let list: Vec<String> = missing.iter().map(|(key, place)| format!("`{key}` ({place})")).collect();
    let path = &spec.parameters.path;
    let file = spec.parameters.file.as_ref().map_or_else(|| ".env".to_owned(), |file| file.display().to_string());
    Err(Error::usage(format!("no parameter under {path} and no line in the `.env` for {}", list.join(", ")))
        .hint(format!("add it to {file}, one KEY=value a line")))
}

/// Every text of a statement that is one of ours; IAM's own `${aws:…}` is none.
fn texts_of(statement: &serde_json::Value) -> Vec<Text> {
    match statement {
        serde_json::Value::String(text) => text.parse().into_iter().collect(),
        serde_json::Value::Array(items) => items.iter().flat_map(texts_of).collect(),
        serde_json::Value::Object(entries) => entries.values().flat_map(texts_of).collect(),
        _ => Vec::new(),
    }
}

/// Keys that would steer the box's own `docker` command must not reach the container as its environment does.
///
/// # Errors
/// The first such key.
pub fn check_environment(spec: &Spec, keys: &BTreeSet<String>) -> Result<()> {
    let reaches = |key: &&String| match &spec.container.parameters {
        Selection::All => true,
        Selection::Keys(listed) => listed.contains(*key),
    };
    match keys.iter().filter(reaches).find(|key| key.starts_with("DOCKER_")) {
        Some(key) => Err(Error::usage(format!("the parameter `{key}` would steer the box's own docker command"))
            .hint("give it another name, or list the keys that the container gets under `container.parameters`")),
        None => Ok(()),
    }
}

/// The pair of parameters that the box logs in to a private registry with; ECR needs none.
pub const REGISTRY_PAIR: [&str; 2] = ["REGISTRY_USERNAME", "REGISTRY_PASSWORD"];

/// A registry's login needs both of its parameters, or neither.
///
/// # Errors
/// One is there without the other.
pub fn check_registry(keys: &BTreeSet<String>) -> Result<()> {
    let (there, missing): (Vec<&str>, Vec<&str>) = REGISTRY_PAIR.iter().partition(|key| keys.contains(**key));
    match (there.as_slice(), missing.as_slice()) {
        ([there], [missing]) => {
            Err(Error::usage(format!("there is a parameter `{there}` and none of the name `{missing}`"))
                .hint("the box logs in to a private registry with both; a public one and ECR need neither"))
        }
        _ => Ok(()),
    }
}

/// What will be pulled where the image reference names neither tag nor digest: a moving target, which is worth a line.
#[must_use]
pub fn untagged(image: &Text, plain: &BTreeMap<String, String>) -> Option<String> {
    // What is not known yet is checked on the box.
    let image = image.resolve(plain).ok()?;
    let name = image.rsplit('/').next().unwrap_or_default();
    let has_tag = name.contains(':') || image.contains('@');
    (!has_tag).then(|| {
        format!("`container.image` names no tag, so {image}:latest is pulled: whatever that is when a worker boots")
    })
}

/// `${AWS_REGION}` in the `.env` must be the region in use: a worker would look for its queue elsewhere.
///
/// # Errors
/// It differs.
pub fn check_region(values: &BTreeMap<String, String>, region: &str) -> Result<()> {
    match values.get("AWS_REGION") {
        Some(other) if other != region => Err(Error::usage(format!(
            "the parameter `AWS_REGION` says {other}, and the region in use is {region}"
        ))
        .hint(format!("change one of them; the region comes from --region, AWS_REGION, the file, the profile, in this order; to use {other}: --region {other}"))),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn spec(text: &str) -> Spec {
        crate::config::parse(text, std::path::Path::new("x")).unwrap()
    }

    #[test]
    fn a_registry_needs_both_of_its_parameters_or_neither() {
        let keys = |keys: &[&str]| keys.iter().map(|key| (*key).to_owned()).collect();
        assert!(check_registry(&keys(&["A"])).is_ok());
        assert!(check_registry(&keys(&["REGISTRY_USERNAME", "REGISTRY_PASSWORD"])).is_ok());
        let error = check_registry(&keys(&["REGISTRY_PASSWORD"])).unwrap_err();
        assert!(error.message.ends_with("none of the name `REGISTRY_USERNAME`"), "{}", error.message);
    }

    #[test]
    fn an_image_without_tag_and_digest_says_what_is_pulled() {
        let plain = BTreeMap::from([("TAG".to_owned(), "v1".to_owned()), ("NAME".to_owned(), "a/b".to_owned())]);
        for (image, said) in [
            ("busybox", Some("busybox:latest")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b:latest")),
            ("${NAME}", Some("a/b:latest")),
            ("busybox:1", None),
            ("a/b@sha256:00", None),
            ("${NAME}:${TAG}", None),
            ("${UNKNOWN}", None),
        ] {
            let note = untagged(&image.parse().unwrap(), &plain);
            assert_eq!(note.is_some(), said.is_some(), "{image}: {note:?}");
            assert!(note.unwrap_or_default().contains(said.unwrap_or_default()), "{image}");
        }
    }

    #[test]
    fn all_missing_parameters_are_named_at_once() {
        let spec = spec(
            "name: w\ncontainer:\n  image: \"${REPO}:${TAG}\"\n  parameters: [LISTED]\naccess: {queues: [\"${QUEUE}\"]}\n",
        );
        let keys = BTreeSet::from(["TAG".to_owned()]);
        let message = check(&spec, &keys).unwrap_err().message;
        for part in ["`LISTED` (container.parameters)", "`QUEUE` (access.queues)", "`REPO` (container.image)"] {
            assert!(message.contains(part), "{message}");
        }
        assert!(!message.contains("TAG"), "{message}");
    }

    #[test]
    fn a_key_that_steers_docker_is_refused_where_it_would_reach_the_container() {
        let keys = BTreeSet::from(["DOCKER_HOST".to_owned(), "A".to_owned()]);
        assert!(check_environment(&spec("name: w\ncontainer: {image: i}\n"), &keys).is_err());
        assert!(check_environment(&spec("name: w\ncontainer: {image: i, parameters: [A]}\n"), &keys).is_ok());
    }

    #[test]
    fn the_region_and_the_account_need_no_parameter() {
        let spec = spec("name: w\ncontainer: {image: \"${AWS_ACCOUNT_ID}.dkr.ecr.${AWS_REGION}.amazonaws.com/x\"}\n");
        assert!(check(&spec, &BTreeSet::new()).is_ok());
    }

    #[test]
    fn another_region_in_the_env_is_an_error() {
        let values = BTreeMap::from([("AWS_REGION".to_owned(), "eu-west-1".to_owned())]);
        assert!(check_region(&values, "us-east-1").is_err());
        assert!(check_region(&values, "eu-west-1").is_ok());
    }
}
