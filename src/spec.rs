//! What the user wants, in types that cannot hold a wrong value.
//!
//! [`Spec`] is the file after parsing, defaulting and validation: everything downstream (`decide`, `resource`, `plan`)
//! reads this and never the YAML. Each type here is built once, at the edge, by its `FromStr`; what the constructor
//! refuses cannot exist afterwards. This module must not know AWS clients, the YAML library or the terminal.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;

use serde::{Serialize, Serializer};

mod amount;
mod requirement;
mod text;

pub use amount::{Gib, Period, Usd};
pub use requirement::{Architecture, TypePattern};
pub use text::{InvalidText, ParameterPath, Text, UnknownKey, WorkerName, is_key};

/// One worker stack, as the file describes it, with every default filled in.
#[derive(Debug, Clone, PartialEq)]
pub struct Spec {
    /// Names everything the stack makes.
    pub name: WorkerName,
    /// The file's `region`; flags and environment go before it, AWS's own settings come after.
    pub region: Option<String>,
    /// What runs on the box.
    pub container: Container,
    /// Where its parameters live and come from.
    pub parameters: Parameters,
    /// The machine.
    pub instance: Instance,
    /// Where the machine stands and whom it may call.
    pub network: Network,
    /// When it ends.
    pub lifetime: Lifetime,
    /// What its role may do.
    pub access: Access,
    /// The user's own tags, on every object.
    pub tags: BTreeMap<String, String>,
}

/// The file's `container` section.
#[derive(Debug, Clone, PartialEq)]
pub struct Container {
    /// Image reference; `${X}` is read from the parameters when the worker boots.
    pub image: Text,
    /// Which GPUs `docker run --gpus` gets.
    pub gpus: Gpus,
    /// Environment that is not secret.
    pub env: BTreeMap<String, Text>,
    /// Which parameters reach the container as environment.
    pub parameters: Selection,
    /// More `docker run` arguments, one an item.
    pub args: Vec<Text>,
    /// The container's command; empty: the image's own.
    pub command: Vec<Text>,
    /// Between an interruption's SIGTERM and SIGKILL.
    pub stop_timeout: Period,
}

/// `container.gpus`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Gpus {
    /// `--gpus all`.
    All,
    /// No `--gpus` at all.
    None,
    /// `--gpus N`.
    Count(u32),
}

/// `container.parameters`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Selection {
    /// Every parameter under the path.
    All,
    /// These keys only.
    Keys(BTreeSet<String>),
}

/// The file's `parameters` section.
#[derive(Debug, Clone, PartialEq)]
pub struct Parameters {
    /// Absolute path without a trailing `/`, such as `/spotctl/worker-gpu`.
    pub path: ParameterPath,
    /// Where `up` reads the values, resolved against the file's own folder; `None`: they are in Parameter Store already.
    pub file: Option<PathBuf>,
    /// Whether the file named `parameters.file` itself (then a missing one is an error) or `.env` is only the default.
    pub file_is_required: bool,
    /// Keys stored as `String`: those listed, and each key used as `${X}` in `access` or `container.image`.
    pub plain: BTreeSet<String>,
    /// `alias/aws/ssm` unless the file says otherwise.
    pub kms_key: KmsKey,
}

/// `parameters.kms_key`: a key id, key ARN, alias (`alias/…`) or alias ARN.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KmsKey(pub String);

impl KmsKey {
    /// The key AWS owns for Parameter Store, free and without an IAM statement.
    pub const AWS_MANAGED: &'static str = "alias/aws/ssm";

    /// Whether this is the key that needs no IAM statement.
    #[must_use]
    pub fn is_aws_managed(&self) -> bool {
        self.0 == Self::AWS_MANAGED
    }
}

/// The file's `instance` section.
#[derive(Debug, Clone, PartialEq)]
pub struct Instance {
    /// `types`.
    pub types: Types,
    /// How many whole GPUs, with `types: cheapest`.
    pub gpus: u32,
    /// Memory of all GPUs together at the least, with `types: cheapest`.
    pub gpu_memory: Gib,
    /// vCPUs at the least, of a listed type too.
    pub vcpus: Option<u32>,
    /// Memory at the least, of a listed type too.
    pub memory: Option<Gib>,
    /// What type and image run; `None`: what the image needs, or the listed types.
    pub arch: Option<Architecture>,
    /// Never these types.
    pub exclude: Vec<TypePattern>,
    /// USD an hour, enforced by AWS too.
    pub max_price: Option<Usd>,
    /// Whether `up` may buy on demand when every Spot pool is dry.
    pub on_demand_fallback: bool,
    /// The machine image.
    pub ami: Ami,
    /// The root volume.
    pub volume: Volume,
}

/// `instance.types`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Types {
    /// Any type that meets `gpus`, `gpu_memory` and what else is required.
    Cheapest,
    /// These types, none other.
    Listed(Vec<String>),
}

/// `instance.ami`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ami {
    /// A Deep Learning Base image with the open NVIDIA driver, named by AWS's public parameter.
    DeepLearning(DeepLearningOs),
    /// `ami-…`, fixed.
    Id(String),
    /// `ssm:/path`: a parameter that holds an image id.
    Parameter(String),
}

/// The operating systems that Deep Learning Base images come in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DeepLearningOs {
    /// `dlami-ubuntu-22.04`.
    Ubuntu2204,
    /// `dlami-ubuntu-24.04`, the default.
    Ubuntu2404,
    /// `dlami-al2023`.
    AmazonLinux2023,
}

impl DeepLearningOs {
    /// How the file names it.
    pub const NAMES: [(&'static str, Self); 3] = [
        ("dlami-ubuntu-24.04", Self::Ubuntu2404),
        ("dlami-ubuntu-22.04", Self::Ubuntu2204),
        ("dlami-al2023", Self::AmazonLinux2023),
    ];

    /// AWS's public parameter for this image on `architecture` (`x86_64` or `arm64`).
    #[must_use]
    pub fn parameter(self, architecture: &str) -> String {
        let os = match self {
            Self::Ubuntu2204 => "ubuntu-22.04",
            Self::Ubuntu2404 => "ubuntu-24.04",
            Self::AmazonLinux2023 => "amazon-linux-2023",
        };
        format!("/aws/service/deeplearning/ami/{architecture}/base-oss-nvidia-driver-gpu-{os}/latest/ami-id")
    }
}

/// `instance.volume`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Volume {
    /// `gp3` or `gp2`.
    pub kind: VolumeKind,
    /// Wished size; raised to the image's minimum.
    pub size: Gib,
    /// gp3 only; AWS's default 3,000 when absent.
    pub iops: Option<u32>,
    /// MiB a second, gp3 only; AWS's default 125 when absent.
    pub throughput: Option<u32>,
}

/// The volume types that make sense for a root disk that lives for hours.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum VolumeKind {
    /// General purpose SSD, third generation.
    Gp3,
    /// General purpose SSD, second generation.
    Gp2,
}

impl VolumeKind {
    /// AWS's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Gp3 => "gp3",
            Self::Gp2 => "gp2",
        }
    }
}

/// The file's `network` section.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Network {
    /// Which VPC.
    pub vpc: Vpc,
    /// Which subnets in it.
    pub subnets: Subnets,
    /// Whom the worker may call.
    pub egress: Egress,
}

/// `network.vpc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Vpc {
    /// The account's default VPC in the region.
    Default,
    /// `vpc-…`.
    Id(String),
    /// The one VPC that carries this tag.
    Tag {
        /// Tag key.
        key: String,
        /// Tag value.
        value: String,
    },
}

/// `network.subnets`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Subnets {
    /// Those whose route table sends `0.0.0.0/0` to an internet gateway.
    Public,
    /// These.
    Ids(Vec<String>),
}

/// `network.egress`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Egress {
    /// Everything, IPv4 and IPv6.
    All,
    /// These ports to everywhere.
    Ports(BTreeSet<Port>),
}

/// One outbound port, such as `443/tcp`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Port {
    /// 1 to 65535.
    pub number: u16,
    /// `tcp` or `udp`.
    pub protocol: Protocol,
}

/// Transport protocol of a [`Port`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Protocol {
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

impl Protocol {
    /// AWS's word for it.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
        }
    }
}

impl fmt::Display for Port {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.protocol.as_str())
    }
}

impl FromStr for Port {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let refuse = || InvalidText(format!("`{text}` is not a port such as `443/tcp` or `53/udp`"));
        let (number, protocol) = text.split_once('/').ok_or_else(refuse)?;
        let protocol = match protocol {
            "tcp" => Protocol::Tcp,
            "udp" => Protocol::Udp,
            _ => return Err(refuse()),
        };
        match number.parse() {
            Ok(number) if number > 0 => Ok(Self { number, protocol }),
            _ => Err(refuse()),
        }
    }
}

/// The file's `lifetime` section. `None` is the written-out `none`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Lifetime {
    /// The hard end, counted from launch.
    pub max: Option<Period>,
    /// Queue empty and GPU idle this long: the box ends itself.
    pub idle: Option<Period>,
    /// Not ready by then: the box ends itself.
    pub boot: Option<Period>,
}

/// The file's `access` section.
#[derive(Debug, Clone, PartialEq)]
pub struct Access {
    /// SQS queues, by URL or ARN.
    pub queues: Vec<Text>,
    /// S3 buckets, by name.
    pub buckets: Vec<(Text, BucketAccess)>,
    /// A shell through Session Manager, without an inbound rule.
    pub session_manager: bool,
    /// Existing roles (name or ARN) that may launch from the template and end its workers.
    pub launchers: Vec<String>,
    /// Further IAM statements, as the file wrote them (JSON objects).
    pub statements: Vec<serde_json::Value>,
}

/// What the worker may do with a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BucketAccess {
    /// `read`.
    Read,
    /// `write`.
    Write,
    /// `read-write`.
    ReadWrite,
}

/// An availability zone's name, such as `us-east-1a`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct Zone(pub String);

impl fmt::Display for Zone {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Serializes what has a `Display` as its text.
pub(crate) fn as_text<T: fmt::Display, S: Serializer>(value: &T, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
