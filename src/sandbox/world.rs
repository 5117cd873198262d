//! Everything the sandbox's AWS holds: one account, its global IAM, its regions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::weather::Weather;
use super::{ec2, iam, service_quotas, ssm, sts};

/// The sandbox's one account.
pub const ACCOUNT: &str = "123456789012";

/// The state.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct World {
    /// IAM, which is global.
    pub iam: iam::State,
    /// By name; made when first asked.
    pub regions: BTreeMap<String, Region>,
    /// Of roles, by access key id.
    #[serde(default)]
    pub sessions: BTreeMap<String, sts::Session>,
    /// Keys that `sandbox set principal` holds to a policy, and the policy.
    #[serde(default)]
    pub principals: BTreeMap<String, String>,
    /// What `sandbox set` made.
    pub weather: Weather,
    /// Feeds ids.
    pub counter: u64,
}

/// One region.
#[derive(Debug, Clone, Default, Serialize, Deserialize)]
pub struct Region {
    /// EC2.
    pub ec2: ec2::State,
    /// Parameter Store.
    pub ssm: ssm::State,
    /// Service Quotas.
    pub quotas: service_quotas::State,
}

impl World {
    /// The region, made when first asked.
    pub fn region(&mut self, name: &str) -> &mut Region {
        self.regions.entry(name.to_owned()).or_default()
    }

    /// A new id in AWS's form: the prefix and seventeen hexadecimal digits.
    pub fn new_id(&mut self, prefix: &str) -> String {
        self.counter += 1;
        // Spread, so that ids do not look like neighbours; the counter keeps them apart.
        let mixed = self.counter.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!("{prefix}-0{mixed:016x}")
    }
}
