//! What AWS holds, read from the sandbox's state: comparable between two runs, and by name for what a run left.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::sync::LazyLock;

use regex::Regex;
use serde_json::{Value, json};

use super::super::support::Served;

/// Kind, id and name.
type Thing = (&'static str, String, String);

/// One account and region.
pub(crate) struct Census {
    /// What everything is like, whatever its id: what two runs that are worth the same have in common.
    alike: BTreeMap<String, usize>,
    /// What stays until it is removed.
    things: BTreeSet<Thing>,
    live: usize,
    ever: usize,
}

/// Ids are another world's in each run.
static ID: LazyLock<Regex> = LazyLock::new(|| Regex::new(r"\b(sg|subnet|vpc|lt|i)-[0-9a-f]{17}\b").expect("a pattern"));

impl Census {
    /// What a served sandbox holds now.
    pub(crate) fn taken_of(aws: &Served) -> Self {
        Self::of(&fs::read_to_string(aws.state()).expect("the sandbox's state"))
    }

    pub(super) fn of(state: &str) -> Self {
        let state: Value = serde_json::from_str(state).expect("the sandbox's state");
        let region = &state["regions"]["us-east-1"];
        let ec2 = &region["ec2"];
        let mut census =
            Self { alike: BTreeMap::new(), things: BTreeSet::new(), live: 0, ever: entries(&ec2["instances"]).count() };
        for (id, group) in entries(&ec2["security_groups"]).filter(|(_, group)| group["name"] != "default") {
            let rules: BTreeSet<String> = entries(&group["rules"]).map(|(_, rule)| rule.to_string()).collect();
            census.thing("security group", id, text(&group["name"]), &json!([rules, tags(ec2, id)]));
        }
        for (id, template) in entries(&ec2["launch_templates"]) {
            let version = &template["versions"][template["default_version"].to_string()];
            let is_latest = template["default_version"] == template["latest_version"];
            let versions = entries(&template["versions"]).count();
            let like = json!([version["description"], version["data"], is_latest, versions, tags(ec2, id)]);
            census.thing("launch template", id, text(&template["name"]), &like);
        }
        for (id, instance) in entries(&ec2["instances"]).filter(|(_, instance)| instance["ending_at"].is_null()) {
            census.live += 1;
            let market = instance["spot_request"].is_null();
            let kind = &instance["data"]["instance_type"];
            census.thing("instance", id, "", &json!([kind, instance["zone"], market, tags(ec2, id)]));
        }
        for (_, request) in entries(&ec2["spot_requests"]) {
            if request["state"] == "open" || request["state"] == "active" {
                census.like(&format!("spot request {}", request["state"]));
            }
        }
        for (id, _) in entries(&ec2["left_volumes"]) {
            census.thing("volume", id, "", &json!(null));
        }
        for (name, role) in entries(&state["iam"]["roles"]).filter(|(_, role)| role["path"] == "/") {
            let like = json!([role["trust"], role["inline"], role["attached"], role["tags"]]);
            census.thing("role", name, name, &like);
        }
        for (name, profile) in entries(&state["iam"]["profiles"]) {
            census.thing("instance profile", name, name, &json!([profile["roles"], profile["role"], profile["tags"]]));
        }
        for (name, parameter) in entries(&region["ssm"]["parameters"]) {
            let newest = entries(&parameter["versions"]).max_by_key(|(number, _)| number.parse::<u64>().ok());
            let newest = newest.map_or(&Value::Null, |(_, version)| version);
            let like = json!([newest["kind"], newest["value"], newest["key"], parameter["tags"]]);
            census.thing("parameter", name, name, &like);
        }
        for request in region["quotas"]["requests"].as_array().into_iter().flatten() {
            let like = json!([request["code"], request["desired"], request["value"]]);
            census.thing("quota request", text(&request["id"]), "", &like);
        }
        census
    }

    fn thing(&mut self, kind: &'static str, id: &str, name: &str, like: &Value) {
        self.things.insert((kind, id.to_owned(), name.to_owned()));
        self.like(&format!("{kind} {name} {like}"));
    }

    fn like(&mut self, text: &str) {
        *self.alike.entry(ID.replace_all(text, "$1-…").into_owned()).or_default() += 1;
    }

    /// Instances that nobody has told to end.
    pub(crate) fn live(&self) -> usize {
        self.live
    }

    /// Kind, id and name of all that is neither the fresh account's nor gone.
    pub(crate) fn left(&self) -> Vec<String> {
        self.things.iter().map(|(kind, id, name)| format!("{kind} {id} {name}")).collect()
    }

    /// Those that have ended included.
    pub(super) fn ever_launched(&self) -> usize {
        self.ever
    }

    /// What is here and not there, and the other way round.
    pub(super) fn difference(&self, other: &Self) -> Vec<String> {
        let of = |one: &Self, other: &Self, word: &str| -> Vec<String> {
            let differs = one.alike.iter().filter(|(like, count)| other.alike.get(*like) != Some(count));
            differs.map(|(like, count)| format!("{word} {count} × {like}")).collect()
        };
        [of(self, other, "+"), of(other, self, "-")].concat()
    }

    /// What was not there before, and what the document of the run that left it does not name.
    pub(crate) fn unnamed(&self, before: &Self, document: &Value) -> Vec<String> {
        // AWS gives a quota request its id, and whoever has no answer has none.
        let hints = document["error"]["hints"].to_string();
        let is_hinted = |kind: &str| kind == "quota request" && hints.contains("spotctl quota watch");
        let new = self.things.difference(&before.things).filter(|(kind, ..)| !is_hinted(kind));
        // The one launch whose answer never comes; the others that were under way have theirs.
        let mut held = usize::from(hints.contains("a launch was under way"));
        let mut unnamed = not_named(new, document);
        unnamed.retain(|thing| {
            let is_held = thing.starts_with("instance i-") && held > 0;
            held -= usize::from(is_held);
            !is_held
        });
        unnamed
    }

    /// What stands, was to be removed, and is not named by the document of the run that left it.
    pub(super) fn kept_unnamed(&self, removes: &[&str], document: &Value) -> Vec<String> {
        not_named(self.things.iter().filter(|(kind, ..)| removes.contains(kind)), document)
    }
}

/// Those that the document of a run names neither by id nor by name as there.
fn not_named<'a>(things: impl Iterator<Item = &'a Thing>, document: &Value) -> Vec<String> {
    let leftovers = document["error"]["leftovers"].as_array().into_iter().flatten();
    let workers = document["workers"].as_array().into_iter().flatten();
    let named = leftovers.chain(workers).chain([&document["request"]]).filter_map(|row| row["id"].as_str());
    let named: BTreeSet<&str> = named.collect();
    let unnamed = things.filter(|(_, id, name)| !named.contains(id.as_str()) && !named.contains(name.as_str()));
    unnamed.map(|(kind, id, name)| format!("{kind} {id} {name}")).collect()
}

fn entries(map: &Value) -> impl Iterator<Item = (&str, &Value)> {
    map.as_object().into_iter().flatten().map(|(key, value)| (key.as_str(), value))
}

fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

/// Without what counts the runs.
fn tags(ec2: &Value, id: &str) -> Value {
    let mut tags = ec2["tags"][id].clone();
    if let Some(tags) = tags.as_object_mut() {
        tags.retain(|key, _| !["spotctl:generation", "spotctl:last", "spotctl:phase"].contains(&key.as_str()));
    }
    tags
}
