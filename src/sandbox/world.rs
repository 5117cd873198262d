//! Everything the sandbox's AWS holds: one account, its global IAM, its regions.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::store::delta::in_fields;
use super::store::shared::Shared;
use super::weather::{Account, Weather};
use super::{ec2, ecr, iam, service_quotas, sqs, ssm, sts};

/// The sandbox's one account.
pub const ACCOUNT: &str = "123456789012";

/// The state.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct World {
    /// IAM, which is global.
    pub iam: Shared<iam::State>,
    /// By name; made when first asked.
    pub regions: BTreeMap<String, Region>,
    /// Of roles, by access key id.
    #[serde(default)]
    pub sessions: BTreeMap<String, sts::Session>,
    /// Keys that `sandbox set principal` holds to a policy, and the policy.
    #[serde(default)]
    pub principals: BTreeMap<String, String>,
    /// Regions that were turned on or off; see [`ec2::regions`] for the others.
    #[serde(default)]
    pub opt_ins: BTreeMap<String, bool>,
    /// What `sandbox set` made.
    pub weather: Weather,
    /// What the account is, beside what it holds.
    #[serde(default)]
    pub account: Account,
    /// Feeds ids.
    pub counter: u64,
    /// How often each operation was asked for, whatever became of it; requests to metadata services are `metadata`.
    #[serde(default)]
    pub calls: BTreeMap<String, u64>,
    /// Which journal goes on from here; see [`super::store`].
    #[serde(default)]
    pub journal: u64,
}

in_fields!(World { iam, regions, sessions, principals, opt_ins, weather, account, counter, calls, journal });

/// One region.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Region {
    /// EC2.
    pub ec2: ec2::State,
    /// Parameter Store.
    pub ssm: ssm::State,
    /// Service Quotas.
    pub quotas: Shared<service_quotas::State>,
    /// Queues.
    #[serde(default)] // A state of an older version lacks what came later.
    pub sqs: Shared<sqs::State>,
    /// The registry.
    #[serde(default)]
    pub ecr: Shared<ecr::State>,
}

in_fields!(Region { ec2, ssm, quotas, sqs, ecr });

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

    /// A new UUID: of a request, of a message. It keeps no order and means nothing.
    pub fn new_uuid(&mut self) -> String {
        self.counter += 1;
        let mixed = self.counter.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        format!(
            "{:08x}-{:04x}-4{:03x}-8{:03x}-{:012x}",
            mixed >> 32,
            mixed & 0xffff,
            mixed >> 20 & 0xfff,
            mixed >> 8 & 0xfff,
            self.counter
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_from_before_there_were_queues_and_a_registry_is_read() {
        let mut state =
            serde_json::to_value(World { regions: [("r".to_owned(), Region::default())].into(), ..World::default() })
                .unwrap();
        let region = state["regions"]["r"].as_object_mut().unwrap();
        assert!(region.remove("sqs").is_some() && region.remove("ecr").is_some());
        let world: World = serde_json::from_value(state).unwrap();
        assert!(world.regions["r"].sqs.queues.is_empty() && world.regions["r"].ecr.repositories.is_empty());
    }
}
