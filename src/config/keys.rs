//! Every key of the file, once: what is known, what the schema says, what `init` writes. A key that is not in this table
//! does not exist.

use serde_json::{Map, Value, json};

/// One key.
#[derive(Debug, Clone, Copy)]
pub(super) struct Field {
    pub(super) key: &'static str,
    /// One line for people.
    pub(super) doc: &'static str,
    /// A value as one writes it.
    pub(super) sample: &'static str,
    /// Whether the sample is also what holds without it.
    pub(super) is_default: bool,
    /// Its JSON schema, without description and default.
    schema: fn() -> Value,
}

/// The keys under one key, or the file's own.
#[derive(Debug, Clone, Copy)]
pub(super) struct Section {
    /// Empty for the file itself.
    pub(super) key: &'static str,
    doc: &'static str,
    pub(super) fields: &'static [Field],
}

const fn default(key: &'static str, sample: &'static str, doc: &'static str, schema: fn() -> Value) -> Field {
    Field { key, doc, sample, is_default: true, schema }
}

const fn optional(key: &'static str, sample: &'static str, doc: &'static str, schema: fn() -> Value) -> Field {
    Field { key, doc, sample, is_default: false, schema }
}

fn text() -> Value {
    json!({"type": "string"})
}

fn texts() -> Value {
    json!({"type": "array", "items": {"type": "string"}})
}

fn period() -> Value {
    json!({"type": "string", "pattern": "^([0-9]+(h|m|s) ?)+$"})
}

fn period_or_none() -> Value {
    json!({"type": "string", "pattern": "^(none|([0-9]+(h|m|s) ?)+)$"})
}

fn size() -> Value {
    json!({"type": "string", "pattern": "^[0-9]+ ?GiB$"})
}

fn flag() -> Value {
    json!({"type": "boolean"})
}

fn choice_or_texts(word: &str) -> Value {
    json!({"oneOf": [{"const": word}, texts()]})
}

fn whole() -> Value {
    json!({"type": "integer", "minimum": 1})
}

/// The file's own keys that hold no other keys.
pub(super) const FILE: Section = Section {
    key: "",
    doc: "",
    fields: &[
        Field {
            key: "name",
            doc: "names everything: spotctl-<name>",
            sample: "worker-gpu",
            is_default: false,
            schema: || json!({"type": "string", "pattern": "^[a-z][a-z0-9-]{0,39}$"}),
        },
        optional(
            "region",
            "us-east-1",
            "else AWS's own settings; --region and AWS_REGION go before it",
            || json!({"type": "string", "pattern": "^[a-z]{2}(-[a-z]+)+-[0-9]+$"}),
        ),
        optional(
            "tags",
            "{Role: worker-gpu}",
            "on everything it makes",
            || json!({"type": "object", "additionalProperties": {"type": "string"}}),
        ),
    ],
};

/// The keys that hold others, in the order of the file.
pub(super) const SECTIONS: [Section; 6] = [
    Section {
        key: "container",
        doc: "What runs on the box.",
        fields: &[
            Field {
                key: "image",
                doc: "${X} is the parameter X, read when the worker boots",
                sample: "public.ecr.aws/docker/library/busybox:1",
                is_default: false,
                schema: text,
            },
            default(
                "gpus",
                "all",
                "all | none | a number",
                || json!({"oneOf": [{"enum": ["all", "none"]}, {"type": "integer", "minimum": 1}]}),
            ),
            default(
                "env",
                "{}",
                "not secret; secrets are parameters",
                || json!({"type": "object", "additionalProperties": {"type": ["string", "number", "boolean"]}}),
            ),
            default("parameters", "all", "which reach the container as environment: all | a list", || {
                choice_or_texts("all")
            }),
            default("args", "[]", "more `docker run` arguments, one a list item", texts),
            default("command", "[]", "instead of the image's own", texts),
            default("stop_timeout", "90s", "between an interruption's SIGTERM and SIGKILL", period),
        ],
    },
    Section {
        key: "parameters",
        doc: "Where its parameters live in Parameter Store, and where `up` reads them.",
        fields: &[
            optional("path", "/spotctl/worker-gpu", "this by default, with the stack's name", text),
            default("file", ".env", "optional when they are in Parameter Store already", text),
            default(
                "plain",
                "[]",
                "stored as String; so is each ${X} of `access` and `image`; the rest as SecureString",
                texts,
            ),
            default("kms_key", "alias/aws/ssm", "a key of your own: its alias, id or ARN", text),
        ],
    },
    Section {
        key: "instance",
        doc: "The machine: the cheapest Spot offer of these.",
        fields: &[
            default(
                "types",
                "cheapest",
                "cheapest (any that meets gpus and gpu_memory) | a list such as [g4dn.xlarge]",
                || choice_or_texts("cheapest"),
            ),
            default("gpus", "1", "with cheapest: exactly so many", whole),
            default("gpu_memory", "16GiB", "with cheapest: of all GPUs together, at least", size),
            optional(
                "max_price",
                "0.40",
                "USD an hour; AWS enforces it",
                || json!({"type": ["number", "string"], "exclusiveMinimum": 0, "pattern": "^[0-9]+(\\.[0-9]+)?$"}),
            ),
            default("on_demand_fallback", "false", "buy on demand when no Spot pool delivers; needs max_price", flag),
            default(
                "ami",
                "dlami-ubuntu-24.04",
                "| dlami-ubuntu-22.04 | dlami-al2023 | ami-… | ssm:/path",
                || json!({"type": "string", "pattern": "^(dlami-(ubuntu-24\\.04|ubuntu-22\\.04|al2023)|ami-[0-9a-f]+|ssm:/.+)$"}),
            ),
            default("volume", "{type: gp3, size: 30GiB}", "raised to the image's minimum, and said so", || {
                object(&VOLUME, &[])
            }),
        ],
    },
    Section {
        key: "network",
        doc: "Where it stands. No inbound rule, ever.",
        fields: &[
            default("vpc", "default", "default | vpc-… | {tag: value}", || {
                json!({"oneOf": [
                    {"type": "string", "pattern": "^(default|vpc-[0-9a-f]+)$"},
                    {"type": "object", "additionalProperties": {"type": "string"}, "minProperties": 1, "maxProperties": 1},
                ]})
            }),
            default(
                "subnets",
                "public",
                "public (a route to an internet gateway) | a list such as [subnet-…]",
                || choice_or_texts("public"),
            ),
            default("egress", "all", "all | a list such as [443/tcp, 53/udp]", || choice_or_texts("all")),
        ],
    },
    Section {
        key: "lifetime",
        doc: "When it ends by itself; `none` must be written out.",
        fields: &[
            default("max", "8h", "the hard end, counted from launch", period_or_none),
            default("idle", "15m", "queue empty and GPU idle this long", period_or_none),
            default("boot", "20m", "not ready by then", period_or_none),
        ],
    },
    Section {
        key: "access",
        doc: "What the worker's role may do, nothing more.",
        fields: &[
            default("queues", "[]", "SQS, by URL or ARN: receive and delete", texts),
            default(
                "buckets",
                "{}",
                "S3, by name: read | write | read-write",
                || json!({"type": "object", "additionalProperties": {"enum": ["read", "write", "read-write"]}}),
            ),
            default("session_manager", "true", "a shell without an inbound rule", flag),
            default("launchers", "[]", "existing roles that may launch from the template and end its workers", texts),
            default(
                "statements",
                "[]",
                "further IAM statements",
                || json!({"type": "array", "items": {"type": "object"}}),
            ),
        ],
    },
];

/// `instance.volume`.
pub(super) const VOLUME: Section = Section {
    key: "volume",
    doc: "",
    fields: &[
        default("type", "gp3", "gp3 | gp2", || json!({"enum": ["gp3", "gp2"]})),
        default("size", "30GiB", "at least the image's snapshot", size),
        optional("iops", "3000", "gp3 only", whole),
        optional("throughput", "125", "MiB a second, gp3 only", whole),
    ],
};

impl Section {
    /// The keys, for "did you mean".
    pub(super) fn keys(&self) -> impl Iterator<Item = &'static str> {
        self.fields.iter().map(|field| field.key)
    }
}

fn properties(section: &Section) -> Map<String, Value> {
    section
        .fields
        .iter()
        .map(|field| {
            let mut schema = (field.schema)();
            schema["description"] = json!(field.doc);
            if field.is_default {
                schema["default"] = default_value(field.sample);
            }
            (field.key.to_owned(), schema)
        })
        .collect()
}

/// A sample is written in YAML's flow form; for these few shapes that is JSON but for quotes.
fn default_value(sample: &str) -> Value {
    serde_json::from_str(sample).unwrap_or_else(|_| match sample {
        "{type: gp3, size: 30GiB}" => json!({"type": "gp3", "size": "30GiB"}),
        text => json!(text),
    })
}

fn object(section: &Section, required: &[&str]) -> Value {
    let mut object = json!({"type": "object", "additionalProperties": false, "properties": properties(section)});
    if !required.is_empty() {
        object["required"] = json!(required);
    }
    object
}

/// The JSON schema of the file.
#[must_use]
pub(super) fn schema() -> Value {
    let mut file = object(&FILE, &["name", "container"]);
    for section in &SECTIONS {
        let required: &[&str] = if section.key == "container" { &["image"] } else { &[] };
        let mut schema = object(section, required);
        schema["description"] = json!(section.doc);
        file["properties"][section.key] = schema;
    }
    let mut root = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "spotctl.yaml",
        "description": "One AWS Spot GPU worker",
    });
    if let (Value::Object(root), Value::Object(file)) = (&mut root, file) {
        root.extend(file);
    }
    root
}

/// A key and, in a column, what it is.
fn padded(written: &str, doc: &str) -> String {
    format!("{written:<44} # {doc}\n")
}

/// The file that `init` writes: what must be said, and every other key with its default, commented out. A comment for
/// people has a blank after its `#`, a key that is commented out has none.
#[must_use]
pub(super) fn template(name: &str) -> String {
    let mut text = String::from(
        "# One AWS Spot GPU worker. What is commented out shows the defaults.\n# Every mistake in here is reported with its line: spotctl plan\n\n",
    );
    let mut line = |indent: &str, is_commented: bool, field: &Field, sample: &str| {
        let mark = if is_commented { "#" } else { "" };
        let written = format!("{indent}{mark}{}: {sample}", field.key);
        text += &padded(&written, field.doc);
    };
    for field in FILE.fields {
        let sample = if field.key == "name" { name } else { field.sample };
        line("", field.key != "name", field, sample);
    }
    for section in &SECTIONS {
        let is_live = section.key == "container";
        let heading = format!("\n# {}\n{}{}:\n", section.doc, if is_live { "" } else { "#" }, section.key);
        text += &heading;
        let mut line = |is_commented: bool, field: &Field| {
            let mark = if is_commented { "#" } else { "" };
            let sample = if field.key == "path" { format!("/spotctl/{name}") } else { field.sample.to_owned() };
            let written = format!("  {mark}{}: {sample}", field.key);
            text += &padded(&written, field.doc);
        };
        for field in section.fields {
            line(field.key != "image", field);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::config::parse;

    fn uncomment(text: &str, keep: impl Fn(&str) -> bool) -> String {
        let lines = text.lines().map(|line| {
            let trimmed = line.trim_start();
            match trimmed.strip_prefix('#') {
                Some(rest) if !rest.starts_with(' ') && !rest.is_empty() => {
                    let key = rest.split(':').next().unwrap_or_default();
                    let indent = &line[..line.len() - trimmed.len()];
                    if keep(key) { format!("{indent}{rest}") } else { line.to_owned() }
                }
                _ => line.to_owned(),
            }
        });
        lines.collect::<Vec<_>>().join("\n")
    }

    #[test]
    fn what_init_writes_works_and_shows_the_defaults_that_hold() {
        let file = Path::new("spotctl.yaml");
        let written = parse(&template("worker-gpu"), file).unwrap();
        let everything = parse(&uncomment(&template("worker-gpu"), |_| true), file);
        assert!(everything.is_ok(), "{}", everything.unwrap_err().render(false));
        let is_default = |key: &str| {
            let fields = SECTIONS.iter().chain([&FILE, &VOLUME]).flat_map(|section| section.fields);
            fields.clone().all(|field| field.key != key || field.is_default || key == "path")
        };
        let mut defaults = parse(&uncomment(&template("worker-gpu"), is_default), file).unwrap();
        // Named is required, by default it is not: the one difference that a default makes.
        defaults.parameters.file_is_required = false;
        assert_eq!(defaults, written);
    }

    #[test]
    fn the_committed_schema_is_this_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/spotctl.schema.json");
        let text = format!("{:#}\n", schema());
        if std::env::var_os("SPOTCTL_UPDATE").is_some() {
            std::fs::write(&path, &text).unwrap();
        }
        assert_eq!(std::fs::read_to_string(path).unwrap(), text, "SPOTCTL_UPDATE=1 cargo test writes it");
    }
}
