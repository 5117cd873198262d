//! Holds the tree against the shape: unknown keys, wrong types, words that are none of those known, numbers out of range.
//!
//! Driven by the JSON schema that `file` generates, so a key is described once. What fails is reported and left out, and
//! the rest goes on: one run shows every mistake. Texts with a `pattern` pass as they are, since `validate` says in words
//! what is wrong with them; nothing here knows what a key means.

use std::ops::Range;

use serde_json::{Map, Value as Schema};

use super::diagnostic::{Finding, did_you_mean};
use super::tree::{Entry, Node, Step, Value, dotted};

/// The part of `node` that fits `schema`, in a form that deserializes.
pub(super) fn check(schema: &Schema, node: &Node, findings: &mut Vec<Finding>) -> Option<Node> {
    let mut check = Check { findings, path: Vec::new(), key_span: node.span.clone() };
    check.node(schema, node)
}

/// The value for serde; numbers that no program could hold stay texts.
pub(super) fn to_json(node: &Node) -> Schema {
    match &node.value {
        Value::Null => Schema::Null,
        Value::Bool(is, _) => Schema::Bool(*is),
        Value::Whole(text) | Value::Decimal(text) => serde_json::from_str::<serde_json::Number>(text)
            .map_or_else(|_| Schema::from(text.as_str()), Schema::Number),
        Value::Text(text) => Schema::from(text.as_str()),
        Value::List(items) => Schema::Array(items.iter().map(to_json).collect()),
        Value::Map(entries) => {
            Schema::Object(entries.iter().map(|entry| (entry.key.clone(), to_json(&entry.node))).collect())
        }
    }
}

struct Check<'a> {
    findings: &'a mut Vec<Finding>,
    path: Vec<Step>,
    /// Where the key of the value in hand stands.
    key_span: Range<usize>,
}

impl Check<'_> {
    fn node(&mut self, schema: &Schema, node: &Node) -> Option<Node> {
        if schema.as_object().is_none_or(Map::is_empty) {
            return Some(node.clone()); // `true` or `{}`: whatever stands there
        }
        let branches = branches(schema);
        let Some(branch) = branches.iter().find(|branch| takes(branch, &node.value)) else {
            self.wrong_kind(schema, &branches, node);
            return None;
        };
        match &node.value {
            Value::Map(entries) => Some(self.map(branch, node, entries)),
            Value::List(items) => self.list(branch, node, items),
            Value::Text(text) => self.text(schema, &branches, branch, node, text),
            Value::Whole(text) | Value::Decimal(text) | Value::Bool(_, text) if is(branch, "string") => {
                Some(Node { span: node.span.clone(), value: Value::Text(text.clone()) })
            }
            Value::Whole(text) => self.whole(branch, node, text),
            Value::Null | Value::Bool(..) | Value::Decimal(_) => Some(node.clone()),
        }
    }

    fn map(&mut self, schema: &Schema, node: &Node, entries: &[Entry]) -> Node {
        let mut kept = Vec::new();
        let properties = schema.get("properties").and_then(Schema::as_object);
        let required = schema.get("required").and_then(Schema::as_array);
        for entry in entries {
            self.path.push(Step::Key(entry.key.clone()));
            let outer = std::mem::replace(&mut self.key_span, entry.key_span.clone());
            let inner =
                properties.and_then(|known| known.get(&entry.key)).or_else(|| schema.get("additionalProperties"));
            match inner {
                Some(Schema::Bool(false)) => self.unknown_key(properties, entry),
                Some(inner) => {
                    let checked = self.node(inner, &entry.node);
                    kept.extend(checked.map(|node| Entry { node, ..entry.clone() }));
                }
                None => kept.push(entry.clone()),
            }
            self.key_span = outer;
            self.path.pop();
        }
        for key in required.into_iter().flatten().filter_map(Schema::as_str) {
            if entries.iter().all(|entry| entry.key != key) {
                self.path.push(Step::Key(key.to_owned()));
                let name = dotted(&self.path);
                self.path.pop();
                let finding = Finding::new(self.key_span.clone(), &name, format!("`{name}` is missing"));
                self.findings.push(match name.as_str() {
                    "name" => finding.hint("add a line: name: worker"),
                    "container" => finding.hint("add a line: container: {image: IMAGE}"),
                    "container.image" => finding.hint("add below: image: IMAGE"),
                    _ => finding,
                });
            }
        }
        Node { span: node.span.clone(), value: Value::Map(kept) }
    }

    fn list(&mut self, schema: &Schema, node: &Node, items: &[Node]) -> Option<Node> {
        if items.is_empty() && schema.get("minItems").is_some() {
            let message = format!("`{}` is an empty list", dotted(&self.path));
            let hint = "put something into it, or remove the line";
            self.findings.push(Finding::new(self.key_span.clone(), dotted(&self.path), message).hint(hint));
            return None;
        }
        let inner = schema.get("items").unwrap_or(&Schema::Bool(true));
        let mut kept = Vec::new();
        for (index, item) in items.iter().enumerate() {
            self.path.push(Step::Index(index));
            self.key_span = item.span.clone();
            kept.extend(self.node(inner, item));
            self.path.pop();
        }
        Some(Node { span: node.span.clone(), value: Value::List(kept) })
    }

    fn text(
        &mut self,
        schema: &Schema,
        branches: &[&Schema],
        branch: &Schema,
        node: &Node,
        text: &str,
    ) -> Option<Node> {
        let words = words(branches);
        let is_free = branches.iter().any(|branch| is(branch, "string") && branch.get("enum").is_none());
        if !is_free && !words.contains(&text) {
            let name = dotted(&self.path);
            let message = format!("`{name}` takes {}, not `{text}`", describe(branches));
            let mut finding = Finding::new(node.span.clone(), name, message);
            if let Some(word) = did_you_mean(text, words) {
                finding = finding.hint(format!("did you mean `{word}`?"));
            } else if branches.iter().any(|branch| is(branch, "array")) {
                finding = finding.hint(format!("a list has brackets: [{text}]"));
            } else if text.parse::<u64>().is_ok() && branches.iter().any(|branch| is(branch, "integer")) {
                finding = finding.hint("a number stands without quotes");
            }
            self.findings.push(finding);
            return None;
        }
        if text.is_empty() && (branch.get("minLength").is_some() || branch.get("pattern").is_some()) {
            self.empty(schema);
            return None;
        }
        Some(node.clone())
    }

    fn whole(&mut self, schema: &Schema, node: &Node, text: &str) -> Option<Node> {
        if !is(schema, "integer") {
            return Some(node.clone());
        }
        let bound = |which: &str| schema.get(which).and_then(Schema::as_i64);
        let (least, most) = (bound("minimum").unwrap_or(0), bound("maximum").unwrap_or(i64::from(u32::MAX)));
        if text.parse().is_ok_and(|number: i64| (least..=most).contains(&number)) && !text.starts_with('+') {
            return Some(node.clone());
        }
        let name = dotted(&self.path);
        let message = format!("`{name}` is a number from {least} to {most}, not {text}");
        self.findings.push(Finding::new(node.span.clone(), name, message));
        None
    }

    fn unknown_key(&mut self, known: Option<&Map<String, Schema>>, entry: &Entry) {
        let name = dotted(&self.path);
        let mut finding = Finding::new(entry.key_span.clone(), &name, format!("unknown key `{name}`"));
        let keys: Vec<&str> = known.into_iter().flat_map(|known| known.keys().map(String::as_str)).collect();
        if let Some(key) = did_you_mean(&entry.key, keys.iter().copied()) {
            finding = finding.hint(format!("did you mean `{key}`?"));
        } else if let Some(section) = section_of(&entry.key) {
            finding = finding.hint(format!("did you mean `{section}`?"));
        } else {
            finding = finding.hint(format!("known here: {}", keys.join(", ")));
        }
        self.findings.push(finding);
    }

    fn wrong_kind(&mut self, schema: &Schema, branches: &[&Schema], node: &Node) {
        let name = dotted(&self.path);
        if node.value == Value::Null {
            return self.empty(schema);
        }
        let subject = if name.is_empty() { "the file".to_owned() } else { format!("`{name}`") };
        let message = format!("{subject} takes {}, not {}", describe(branches), found(&node.value));
        let is_section = matches!(node.value, Value::Map(_) | Value::List(_));
        let span = if is_section { &self.key_span } else { &node.span };
        let mut finding = Finding::new(span.clone(), name, message);
        let hint = match &node.value {
            Value::Whole(_) | Value::Decimal(_) | Value::Bool(..)
                if branches.iter().any(|branch| is(branch, "string")) =>
            {
                Some("a text that looks like a number or a truth value needs quotes".to_owned())
            }
            Value::Text(text) if branches.iter().any(|branch| is(branch, "boolean")) => {
                let meant = match text.to_lowercase().as_str() {
                    "yes" | "y" | "on" | "true" => Some("did you mean `true`?"),
                    "no" | "n" | "off" | "false" => Some("did you mean `false`?"),
                    _ => None,
                };
                meant.map(str::to_owned)
            }
            Value::Text(text) if branches.iter().any(|branch| is(branch, "array")) => {
                Some(format!("a list has brackets: [{text}]"))
            }
            Value::Text(text) if text.parse::<f64>().is_ok() => Some("a number stands without quotes".to_owned()),
            // `${X}` without quotes inside brackets is a mapping with the key X.
            Value::Map(entries) if entries.iter().all(|entry| entry.node.value == Value::Null) => {
                Some("a text with braces needs quotes".to_owned())
            }
            _ => None,
        };
        if let Some(hint) = hint {
            finding = finding.hint(hint);
        }
        self.findings.push(finding);
    }

    fn empty(&mut self, schema: &Schema) {
        let name = dotted(&self.path);
        let finding = Finding::new(self.key_span.clone(), &name, format!("`{name}` has no value"));
        self.findings.push(match schema.get("default") {
            Some(Schema::String(default)) => finding.hint(format!("remove the line to have the default, `{default}`")),
            Some(default) => finding.hint(format!("remove the line to have the default, `{default}`")),
            None => finding.hint(format!("write {} behind it, or remove the line", describe(&branches(schema)))),
        });
    }
}

/// Where a key stands that people look for at the top or in the wrong section.
fn section_of(key: &str) -> Option<&'static str> {
    const ELSEWHERE: [(&str, &str); 21] = [
        ("image", "container.image"),
        ("env", "container.env"),
        ("environment", "container.env"),
        ("command", "container.command"),
        ("entrypoint", "container.args"),
        ("ports", "network.egress"),
        ("instance_type", "instance.types"),
        ("type", "instance.types"),
        ("types", "instance.types"),
        ("ami", "instance.ami"),
        ("max_price", "instance.max_price"),
        ("price", "instance.max_price"),
        ("volume", "instance.volume"),
        ("vpc", "network.vpc"),
        ("subnets", "network.subnets"),
        ("subnet", "network.subnets"),
        ("egress", "network.egress"),
        ("ttl", "lifetime.max"),
        ("queues", "access.queues"),
        ("buckets", "access.buckets"),
        ("policy", "access.statements"),
    ];
    ELSEWHERE.iter().find(|(name, _)| *name == key).map(|(_, place)| *place)
}

fn branches(schema: &Schema) -> Vec<&Schema> {
    match schema.get("anyOf").and_then(Schema::as_array) {
        Some(branches) => branches.iter().collect(),
        None => vec![schema],
    }
}

/// Whether `schema` names the type `kind`.
fn is(schema: &Schema, kind: &str) -> bool {
    match schema.get("type") {
        Some(Schema::String(only)) => only == kind,
        Some(Schema::Array(kinds)) => kinds.iter().any(|one| one == kind),
        _ => false,
    }
}

fn takes(schema: &Schema, value: &Value) -> bool {
    // What `name: 5` should have been is said better by whoever knows the pattern.
    let is_pattern = is(schema, "string") && schema.get("pattern").is_some();
    if schema.get("type").is_none() {
        return true;
    }
    match value {
        Value::Null => is(schema, "null"),
        Value::Bool(..) => is(schema, "boolean") || is_pattern,
        Value::Whole(_) => is(schema, "integer") || is(schema, "number") || is_pattern,
        Value::Decimal(_) => is(schema, "number") || is_pattern,
        Value::Text(_) => is(schema, "string"),
        Value::List(_) => is(schema, "array"),
        Value::Map(_) => is(schema, "object"),
    }
}

fn words<'a>(branches: &[&'a Schema]) -> Vec<&'a str> {
    let lists = branches.iter().filter_map(|branch| branch.get("enum").and_then(Schema::as_array));
    lists.flatten().filter_map(Schema::as_str).collect()
}

const NAMES: [(&str, &str); 6] = [
    ("integer", "a whole number"),
    ("boolean", "`true` or `false`"),
    ("string", "a text"),
    ("number", "a number"),
    ("array", "a list"),
    ("object", "a mapping"),
];

/// What a key takes: `all`, `none` or a number.
fn describe(branches: &[&Schema]) -> String {
    let mut kinds: Vec<String> = words(branches).iter().map(|word| format!("`{word}`")).collect();
    for branch in branches.iter().filter(|branch| branch.get("enum").is_none()) {
        // A price may be quoted and a text may look like a number; people are told the kind that is meant.
        let kind = ["integer", "array", "object"].into_iter().find(|kind| is(branch, kind)).unwrap_or_else(|| {
            match (is(branch, "string"), is(branch, "number"), is(branch, "boolean")) {
                (_, true, false) => "number",
                (false, false, true) => "boolean",
                _ => "string",
            }
        });
        kinds.push(NAMES.iter().find(|(name, _)| *name == kind).map_or(kind, |(_, shown)| *shown).to_owned());
    }
    match &kinds[..] {
        [] => "something else".to_owned(),
        [only] => only.clone(),
        [first @ .., last] => format!("{} or {last}", first.join(", ")),
    }
}

fn found(value: &Value) -> String {
    match value {
        Value::Null => "nothing".to_owned(),
        Value::Bool(_, text) => format!("`{text}`"),
        Value::Whole(text) | Value::Decimal(text) => format!("the number {text}"),
        Value::Text(text) => format!("the text `{text}`"),
        Value::List(_) => "a list".to_owned(),
        Value::Map(_) => "a mapping".to_owned(),
    }
}
