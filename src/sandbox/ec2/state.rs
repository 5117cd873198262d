//! What EC2 holds in one region.
//!
//! Times are seconds of the epoch; what happens by the clock (pending → running, the forgetting of terminated instances)
//! is computed from them at each request, never by a daemon. All tags of all objects lie in one map, by id.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::sandbox::store::delta::{in_fields, whole};
use crate::sandbox::store::shared::Shared;

/// The state of one region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct State {
    /// Whether the default VPC and its subnets were made.
    pub is_furnished: bool,
    /// By id.
    pub vpcs: Shared<BTreeMap<String, Vpc>>,
    /// By id.
    pub subnets: Shared<BTreeMap<String, Subnet>>,
    /// By id.
    pub route_tables: Shared<BTreeMap<String, RouteTable>>,
    /// Internet gateway id to the VPC it is attached to.
    pub internet_gateways: Shared<BTreeMap<String, Option<String>>>,
    /// By id.
    pub security_groups: Shared<BTreeMap<String, SecurityGroup>>,
    /// By id.
    pub launch_templates: Shared<BTreeMap<String, LaunchTemplate>>,
    /// What launch templates were, for reads that are late; empty where none is.
    #[serde(default)] // A state of an older version lacks what came later.
    pub former_templates: Vec<FormerTemplate>,
    /// By id; the forgotten ones are gone.
    pub instances: Shared<BTreeMap<String, Shared<Instance>>>,
    /// By id.
    pub spot_requests: Shared<BTreeMap<String, Shared<SpotRequest>>>,
    /// Resource id to its tags.
    pub tags: Shared<BTreeMap<String, Shared<BTreeMap<String, String>>>>,
    /// Volumes that outlived their instance, which is forgotten.
    #[serde(default)]
    pub left_volumes: Shared<BTreeMap<String, LeftVolume>>,
    /// What each client token was used for, by token and zone (empty: no zone was given).
    pub tokens: Shared<BTreeMap<String, Shared<Token>>>,
}

in_fields!(State {
    is_furnished,
    vpcs,
    subnets,
    route_tables,
    internet_gateways,
    security_groups,
    launch_templates,
    former_templates,
    instances,
    spot_requests,
    tags,
    left_volumes,
    tokens,
});

impl State {
    /// The tags of an object, whatever it is.
    #[must_use]
    pub fn tags_of(&self, id: &str) -> Option<&BTreeMap<String, String>> {
        self.tags.get(id).map(|tags| &**tags)
    }
}

/// A VPC.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Vpc {
    /// Such as `172.31.0.0/16`.
    pub cidr: String,
    /// Whether it is the default one.
    pub is_default: bool,
}

/// A subnet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Subnet {
    /// Its VPC.
    pub vpc: String,
    /// Its zone.
    pub zone: String,
    /// Such as `172.31.16.0/20`.
    pub cidr: String,
    /// Whether it is the zone's default one (then it maps public addresses on launch).
    pub is_default: bool,
}

/// A route table. The local route is implied.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct RouteTable {
    /// Its VPC.
    pub vpc: String,
    /// Whether it is the VPC's main one; and the id of that association.
    pub main: Option<String>,
    /// Subnet to association id.
    pub associations: BTreeMap<String, String>,
    /// Destination to gateway.
    pub routes: BTreeMap<String, String>,
}

/// A security group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SecurityGroup {
    /// Unique in its VPC.
    pub name: String,
    /// Free text.
    pub description: String,
    /// Its VPC.
    pub vpc: String,
    /// When it was made, for the visibility delay.
    pub created_at: i64,
    /// Rule id to rule.
    pub rules: BTreeMap<String, Rule>,
}

/// One rule with one peer.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Rule {
    /// Outbound or inbound.
    pub egress: bool,
    /// `-1`, `tcp`, `udp`, `icmp`.
    pub protocol: String,
    /// Absent for `-1`.
    pub from_port: Option<i64>,
    /// Absent for `-1`.
    pub to_port: Option<i64>,
    /// The other side.
    pub peer: Peer,
    /// Free text.
    pub description: Option<String>,
}

/// The other side of a rule.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Peer {
    /// An IPv4 block.
    V4(String),
    /// An IPv6 block.
    V6(String),
    /// A security group's id.
    Group(String),
    /// A prefix list's id.
    PrefixList(String),
}

/// A launch template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchTemplate {
    /// Unique in the region.
    pub name: String,
    /// When.
    pub created_at: i64,
    /// The default version.
    pub default_version: i64,
    /// The highest number ever given.
    pub latest_version: i64,
    /// By number.
    pub versions: BTreeMap<i64, Version>,
    /// Of `CreateLaunchTemplate`, with the fingerprint of its request.
    pub client_token: Option<(String, String)>,
}

/// What a launch template was before it changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct FormerTemplate {
    /// `lt-…`.
    pub id: String,
    /// When it changed.
    pub changed_at: i64,
    /// `None`: there was none of this id.
    pub was: Option<LaunchTemplate>,
}

/// A version of a launch template.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Version {
    /// Free text.
    pub description: Option<String>,
    /// When.
    pub created_at: i64,
    /// What it says.
    pub data: LaunchData,
    /// Of `CreateLaunchTemplateVersion`, with the fingerprint of its request.
    #[serde(default)]
    pub client_token: Option<(String, String)>,
}

/// What a launch needs, as a template holds it and as `RunInstances` completes it. `None` is "not said".
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct LaunchData {
    /// `ami-…` or `resolve:ssm:…`.
    pub image: Option<String>,
    /// Such as `g4dn.xlarge`.
    pub instance_type: Option<String>,
    /// Name or ARN of the instance profile.
    pub profile: Option<String>,
    /// Key pair; the sandbox has none, so any is refused at launch.
    pub key_name: Option<String>,
    /// Base64.
    pub user_data: Option<String>,
    /// `stop` or `terminate`.
    pub shutdown_behavior: Option<String>,
    /// Volumes.
    pub volumes: Vec<VolumeData>,
    /// Network interfaces, by device index.
    pub interfaces: Vec<InterfaceData>,
    /// Top-level groups.
    pub security_groups: Vec<String>,
    /// Top-level groups by name.
    pub security_group_names: Vec<String>,
    /// `Placement.AvailabilityZone`.
    pub zone: Option<String>,
    /// `Placement.Tenancy`.
    pub tenancy: Option<String>,
    /// IMDS.
    pub metadata: MetadataData,
    /// Absent: on demand.
    pub market: Option<MarketData>,
    /// Resource type to tags.
    pub tags: BTreeMap<String, BTreeMap<String, String>>,
    /// Detailed monitoring.
    pub monitoring: Option<bool>,
    /// EBS optimization.
    pub ebs_optimized: Option<bool>,
    /// Termination protection.
    pub disable_api_termination: Option<bool>,
    /// The same of being stopped.
    #[serde(default)] // A state of an older version lacks what came later.
    pub disable_api_stop: Option<bool>,
}

/// One block device mapping.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct VolumeData {
    /// Such as `/dev/sda1`.
    pub device: String,
    /// GiB.
    pub size: Option<i64>,
    /// `gp3`, …
    pub kind: Option<String>,
    /// IOPS.
    pub iops: Option<i64>,
    /// MiB a second.
    pub throughput: Option<i64>,
    /// Goes with its instance.
    pub delete_on_termination: Option<bool>,
    /// Encrypted.
    pub encrypted: Option<bool>,
    /// KMS key.
    pub kms_key: Option<String>,
    /// Made from this.
    pub snapshot: Option<String>,
}

/// One network interface to be made.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct InterfaceData {
    /// 0 is the first.
    pub device_index: Option<i64>,
    /// Where.
    pub subnet: Option<String>,
    /// Security groups.
    pub groups: Vec<String>,
    /// Public IPv4 address.
    pub public_ip: Option<bool>,
    /// Goes with its instance.
    pub delete_on_termination: Option<bool>,
    /// Free text.
    pub description: Option<String>,
}

/// Metadata options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MetadataData {
    /// `enabled` or `disabled`.
    pub endpoint: Option<String>,
    /// `required` or `optional`.
    pub tokens: Option<String>,
    /// 1 to 64.
    pub hop_limit: Option<i64>,
    /// `enabled` or `disabled`.
    pub tags: Option<String>,
    /// `enabled` or `disabled`.
    pub ipv6: Option<String>,
}

/// Spot options.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MarketData {
    /// USD an hour as sent.
    pub max_price: Option<String>,
    /// `one-time` or `persistent`.
    pub spot_type: Option<String>,
    /// `terminate`, `stop`, `hibernate`.
    pub interruption: Option<String>,
}

/// An instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Instance {
    /// What it was launched with, template and request merged, all resolved (image id, subnet, groups, zone).
    pub data: Shared<LaunchData>,
    /// When it was launched.
    pub launched_at: i64,
    /// When somebody or something began to end it.
    pub ending_at: Option<i64>,
    /// Why: EC2's code and sentence, and `StateTransitionReason`.
    pub end_reason: Option<EndReason>,
    /// When AWS gives its two minutes' notice; two minutes later it ends.
    pub interrupted_at: Option<i64>,
    /// `sir-…`, for Spot.
    pub spot_request: Option<String>,
    /// As sent.
    pub client_token: Option<String>,
    /// `r-…`.
    pub reservation: String,
    /// Its place in the launch.
    pub launch_index: i64,
    /// Its zone.
    pub zone: String,
    /// Its VPC.
    pub vpc: String,
    /// Its subnet.
    pub subnet: String,
    /// Its groups' ids.
    pub groups: Vec<String>,
    /// Private IPv4 address.
    pub private_ip: String,
    /// Public IPv4 address, when it asked for one.
    pub public_ip: Option<String>,
    /// `eni-…`.
    pub interface: String,
    /// Device to `vol-…`.
    pub volumes: BTreeMap<String, String>,
    /// `x86_64` or `arm64`.
    pub architecture: String,
    /// ARN of the instance profile.
    pub profile_arn: Option<String>,
    /// Id of the instance profile.
    pub profile_id: Option<String>,
    /// What the box itself has written on its console.
    #[serde(default)]
    pub console: String,
}

/// Why an instance ends.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct EndReason {
    /// `StateReason.Code`, such as `Client.UserInitiatedShutdown`.
    pub code: String,
    /// `StateReason.Message`.
    pub message: String,
    /// `StateTransitionReason`.
    pub transition: String,
}

/// A volume that outlived its instance.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct LeftVolume {
    /// What it was made with.
    pub data: VolumeData,
    /// When.
    pub created_at: i64,
    /// Its zone.
    pub zone: String,
}

/// A Spot request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SpotRequest {
    /// `i-…`.
    pub instance: Option<String>,
    /// When.
    pub created_at: i64,
    /// `open`, `active`, `closed`, `cancelled`, `failed`.
    pub state: String,
    /// Such as `fulfilled`.
    pub status: String,
    /// One sentence.
    pub status_message: String,
    /// When the status last moved.
    pub updated_at: i64,
    /// USD an hour.
    pub max_price: String,
    /// `one-time` or `persistent`.
    pub kind: String,
    /// `terminate`, …
    pub interruption: String,
    /// Instance type asked for.
    pub instance_type: String,
    /// Zone.
    pub zone: String,
    /// Image.
    pub image: String,
    /// Subnet.
    pub subnet: String,
    /// Groups.
    pub groups: Vec<String>,
}

/// What a client token was used for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token {
    /// Of the request's parameters.
    pub fingerprint: String,
    /// The instances it launched.
    pub instances: Vec<String>,
    /// Their reservation.
    pub reservation: String,
}

in_fields!(Instance {
    data,
    launched_at,
    ending_at,
    end_reason,
    interrupted_at,
    spot_request,
    client_token,
    reservation,
    launch_index,
    zone,
    vpc,
    subnet,
    groups,
    private_ip,
    public_ip,
    interface,
    volumes,
    architecture,
    profile_arn,
    profile_id,
    console,
});
whole!(
    Vec<FormerTemplate>,
    Vpc,
    Subnet,
    RouteTable,
    SecurityGroup,
    LaunchTemplate,
    LaunchData,
    Option<EndReason>,
    LeftVolume,
    SpotRequest,
    Token
);
