//! The shape of `spotctl.yaml`: which keys there are, of which kind, with which defaults.
//!
//! This is the one table of keys. Its JSON schema is what editors read, and what `check` holds the file against; its doc
//! comments are the schema's descriptions, so they speak to whoever writes the file. What a value means and whether it
//! can be is `validate`'s. A default stands here as the file would write it; a test holds it against the real one.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use schemars::generate::SchemaSettings;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// One Spot GPU worker.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(title = "spotctl.yaml")]
pub(super) struct File {
    /// Names everything that is made: spotctl-NAME.
    #[schemars(required, regex(pattern = r"^[a-z][a-z0-9-]{0,39}$"))]
    pub(super) name: Option<String>,
    /// AWS region; without it AWS's own settings decide (--region and `AWS_REGION` go before it).
    #[schemars(regex(pattern = r"^[a-z]{2,}(-[a-z]+)+-[0-9]+$"))]
    pub(super) region: Option<String>,
    /// What runs on the worker.
    #[schemars(required)]
    pub(super) container: Option<Container>,
    /// Values that the worker reads when it boots, kept in Parameter Store.
    pub(super) parameters: Option<Parameters>,
    /// The machine.
    pub(super) instance: Option<Instance>,
    /// Where the machine stands, and whom it may call. Nobody can call it.
    pub(super) network: Option<Network>,
    /// When the worker ends by itself.
    pub(super) lifetime: Option<Lifetime>,
    /// What the worker's role may do; nothing more.
    pub(super) access: Option<Access>,
    /// Tags on everything that is made. Keys hold no space and no slash: the worker reads its tags.
    #[schemars(extend("default" = {}, "maxProperties" = 40))]
    pub(super) tags: Option<BTreeMap<String, Plain>>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Container {
    /// Image reference. ${X} is a parameter, read when the worker boots.
    #[schemars(required, length(min = 1))]
    pub(super) image: Option<String>,
    /// GPUs that the container gets: all, none or a number.
    #[schemars(extend("default" = "all"))]
    pub(super) gpus: Option<Gpus>,
    /// Environment that is not secret; secrets are parameters. ${X} is a parameter.
    #[schemars(extend("default" = {}))]
    pub(super) env: Option<BTreeMap<String, Plain>>,
    /// Parameters that reach the container as environment: all under the path, or a list of keys.
    #[schemars(extend("default" = "all"))]
    pub(super) parameters: Option<Keys>,
    /// More arguments of `docker run`, one a list item. ${X} is a parameter.
    #[schemars(extend("default" = []))]
    pub(super) args: Option<Vec<Plain>>,
    /// The container's command, one word a list item; empty is the image's own. ${X} is a parameter.
    #[schemars(extend("default" = []))]
    pub(super) command: Option<Vec<Plain>>,
    /// Time between SIGTERM and SIGKILL; at most 110s, because AWS gives two minutes before it takes the machine.
    #[schemars(regex(pattern = r"^[0-9]+ ?[hms][a-z]*( ?[0-9]+ ?[hms][a-z]*)*$"), extend("default" = "90s"))]
    pub(super) stop_timeout: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Parameters {
    /// Path in Parameter Store; without it /spotctl/NAME.
    #[schemars(regex(pattern = r"^(/[A-Za-z0-9_.-]+)+$"))]
    pub(super) path: Option<String>,
    /// File with the values, one KEY=value a line. When it is named it must be there.
    #[schemars(length(min = 1), extend("default" = ".env"))]
    pub(super) file: Option<String>,
    /// Keys that are not secret (String); so is each that stands as ${X} in access or container.image.
    #[schemars(extend("default" = []))]
    pub(super) plain: Option<Vec<String>>,
    /// Key that encrypts the secrets: alias/NAME, a key id or the ARN of either.
    #[schemars(length(min = 1), extend("default" = "alias/aws/ssm"))]
    pub(super) kms_key: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Instance {
    /// Cheapest is any type with the GPUs below; a list allows these types only.
    #[schemars(extend("default" = "cheapest"))]
    pub(super) types: Option<Types>,
    /// How many GPUs, with types: cheapest.
    #[schemars(range(min = 1, max = 16), extend("default" = 1))]
    pub(super) gpus: Option<u32>,
    /// Memory of all GPUs together at least, with types: cheapest.
    #[schemars(regex(pattern = r"^[0-9]+ *GiB$"), extend("default" = "16GiB"))]
    pub(super) gpu_memory: Option<String>,
    /// How many vCPUs at least; holds for listed types too.
    #[schemars(range(min = 1, max = 1024))]
    pub(super) vcpus: Option<u32>,
    /// Memory at least; holds for listed types too.
    #[schemars(regex(pattern = r"^[0-9]+ *GiB$"))]
    pub(super) memory: Option<String>,
    /// What the machine and the dlami images run; without it what the image needs, or the listed types.
    pub(super) arch: Option<Arch>,
    /// Never these: types or wildcards such as g4dn.* or *.metal.
    #[schemars(
        inner(regex(pattern = r"^([a-z0-9*?-]+\.[a-z0-9*?-]+|[a-z0-9-]*[*?][a-z0-9*?-]*)$")),
        extend("default" = [])
    )]
    pub(super) exclude: Option<Vec<String>>,
    /// Highest price in USD an hour; without it up to the on-demand price.
    pub(super) max_price: Option<Price>,
    /// Buys on demand when no Spot capacity is left; needs `max_price`.
    #[schemars(extend("default" = false))]
    pub(super) on_demand_fallback: Option<bool>,
    /// Machine image: dlami-ubuntu-24.04, dlami-ubuntu-22.04, dlami-al2023, `ami-ID` or `ssm:/PARAMETER`.
    #[schemars(
        regex(pattern = r"^(dlami-ubuntu-24\.04|dlami-ubuntu-22\.04|dlami-al2023|ami-[0-9a-f]{8,17}|ssm:/.+)$"),
        extend("default" = "dlami-ubuntu-24.04")
    )]
    pub(super) ami: Option<String>,
    /// The root volume.
    pub(super) volume: Option<Volume>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Volume {
    /// Volume type.
    #[serde(rename = "type")]
    #[schemars(extend("default" = "gp3"))]
    pub(super) kind: Option<VolumeKind>,
    /// Size; raised to the image's minimum, and said so.
    #[schemars(regex(pattern = r"^[0-9]+ *GiB$"), extend("default" = "30GiB"))]
    pub(super) size: Option<String>,
    /// Operations a second, gp3 only; above 3000 costs extra.
    #[schemars(range(min = 3000, max = 80000), extend("default" = 3000))]
    pub(super) iops: Option<u32>,
    /// MiB a second, gp3 only; above 125 costs extra.
    #[schemars(range(min = 125, max = 2000), extend("default" = 125))]
    pub(super) throughput: Option<u32>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Network {
    /// The account's default VPC, a VPC by its id, or the one with a tag.
    #[schemars(extend("default" = "default"))]
    pub(super) vpc: Option<Vpc>,
    /// Those with a route to an internet gateway, or a list of ids.
    #[schemars(extend("default" = "public"))]
    pub(super) subnets: Option<Subnets>,
    /// Everything, or a list of ports such as 443/tcp.
    #[schemars(extend("default" = "all"))]
    pub(super) egress: Option<Egress>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Lifetime {
    /// The worker ends this long after its launch, whatever it does; `none` must be written out.
    #[schemars(regex(pattern = r"^(none|[0-9]+ ?[hms][a-z]*( ?[0-9]+ ?[hms][a-z]*)*)$"), extend("default" = "8h"))]
    pub(super) max: Option<String>,
    /// Queues empty and GPU idle this long: the worker ends; or none.
    #[schemars(regex(pattern = r"^(none|[0-9]+ ?[hms][a-z]*( ?[0-9]+ ?[hms][a-z]*)*)$"), extend("default" = "15m"))]
    pub(super) idle: Option<String>,
    /// Not ready by then: the worker ends; or none.
    #[schemars(regex(pattern = r"^(none|[0-9]+ ?[hms][a-z]*( ?[0-9]+ ?[hms][a-z]*)*)$"), extend("default" = "20m"))]
    pub(super) boot: Option<String>,
}

#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Access {
    /// SQS queues to receive from, by URL or ARN. ${X} is a parameter.
    #[schemars(extend("default" = []))]
    pub(super) queues: Option<Vec<String>>,
    /// S3 buckets by name, each with read, write or read-write. ${X} is a parameter.
    #[schemars(extend("default" = {}))]
    pub(super) buckets: Option<BTreeMap<String, BucketAccess>>,
    /// A shell through Session Manager, without an inbound rule.
    #[schemars(extend("default" = true))]
    pub(super) session_manager: Option<bool>,
    /// Existing roles, by name or ARN, that may launch from the template and end its workers.
    #[schemars(extend("default" = []))]
    pub(super) launchers: Option<Vec<String>>,
    /// Further IAM statements.
    #[schemars(extend("default" = []))]
    pub(super) statements: Option<Vec<Statement>>,
}

/// A text, or a number or truth value that is taken as it is written.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
#[schemars(inline)]
pub(super) struct Plain(#[schemars(extend("type" = ["string", "number", "boolean"]))] pub(super) String);

/// USD, as a number or a text; never a float, in which 0.1 is not 0.1.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(transparent)]
pub(super) struct Price(
    #[schemars(regex(pattern = r"^[0-9]+(\.[0-9]+)?$"), extend("type" = ["number", "string"], "exclusiveMinimum" = 0))]
    pub(super) String,
);

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Gpus {
    Word(GpusWord),
    Count(#[schemars(range(min = 1, max = 16))] u32),
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum GpusWord {
    All,
    None,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum All {
    All,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Keys {
    All(All),
    Listed(Vec<String>),
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Cheapest {
    Cheapest,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Types {
    Cheapest(Cheapest),
    Listed(#[schemars(length(min = 1), inner(regex(pattern = r"^[a-z0-9-]+\.[a-z0-9-]+$")))] Vec<String>),
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Arch {
    #[serde(rename = "x86_64")]
    X86,
    Arm64,
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum VolumeKind {
    Gp3,
    Gp2,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Vpc {
    Name(#[schemars(regex(pattern = r"^(default|vpc-[0-9a-f]{8,17})$"))] String),
    Tag(#[schemars(extend("minProperties" = 1, "maxProperties" = 1))] BTreeMap<String, Plain>),
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Public {
    Public,
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Subnets {
    Public(Public),
    Listed(#[schemars(length(min = 1), inner(regex(pattern = r"^subnet-[0-9a-f]{8,17}$")))] Vec<String>),
}

#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum Egress {
    All(All),
    Ports(#[schemars(length(min = 1), inner(regex(pattern = r"^[0-9]{1,5}/(tcp|udp)$")))] Vec<String>),
}

#[derive(Debug, Clone, Copy, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub(super) enum BucketAccess {
    Read,
    Write,
    ReadWrite,
}

/// A statement of a role's policy, in IAM's own words.
#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(deny_unknown_fields, rename_all = "PascalCase")]
pub(super) struct Statement {
    #[schemars(regex(pattern = r"^[A-Za-z0-9]*$"))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) sid: Option<String>,
    #[schemars(required)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) effect: Option<Effect>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) action: Option<OneOrMore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_action: Option<OneOrMore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) resource: Option<OneOrMore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) not_resource: Option<OneOrMore>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(super) condition: Option<serde_json::Map<String, Value>>,
}

#[derive(Debug, Clone, Copy, Deserialize, Serialize, JsonSchema)]
pub(super) enum Effect {
    Allow,
    Deny,
}

#[derive(Debug, Clone, Deserialize, Serialize, JsonSchema)]
#[serde(untagged)]
pub(super) enum OneOrMore {
    One(#[schemars(length(min = 1))] String),
    More(#[schemars(length(min = 1), inner(length(min = 1)))] Vec<String>),
}

/// The JSON schema of the file, for editors and for `check`.
pub(super) fn schema() -> Value {
    let settings = SchemaSettings::draft2020_12().with(|settings| settings.inline_subschemas = true);
    let mut schema = settings.into_generator().into_root_schema_for::<File>().to_value();
    without_null(&mut schema);
    schema
}

/// serde takes `null` for whatever may be missing. In the file a section whose lines are all comments is null, and means
/// nothing; a key with nothing behind it is a slip, and the schema says so.
fn without_null(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("format"); // `uint32` and the like: `minimum` says it, and editors warn of unknown formats
            let is_section = |types: &[Value]| types.iter().any(|kind| kind == "object");
            if let Some(Value::Array(types)) = object.get_mut("type")
                && !is_section(types)
            {
                types.retain(|kind| kind != "null");
                if let [only] = &types[..] {
                    let only = only.clone();
                    object.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(branches)) = object.get_mut("anyOf") {
                branches.retain(|branch| branch.get("type").is_none_or(|kind| kind != "null"));
                if let [Value::Object(only)] = &branches[..] {
                    let only = only.clone();
                    object.remove("anyOf");
                    for (key, value) in only {
                        object.entry(key).or_insert(value);
                    }
                }
            }
            object.values_mut().for_each(without_null);
            if let Some(Value::Array(words)) = object.get_mut("enum") {
                words.retain(|word| !word.is_null());
            }
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}
