//! What everything is called, and the client tokens. Names are derived, never stored, so any machine that knows the
//! stack's name finds what another one made.

use sha2::{Digest, Sha256};

use crate::spec::WorkerName;

/// On every object, from its creation: whose it is.
pub const TAG_STACK: &str = "spotctl:stack";
/// On instances: the hard end, counted from launch; a period or `none`.
pub const TAG_LIFETIME: &str = "spotctl:lifetime";
/// On instances: the idle end; a period or `none`.
pub const TAG_IDLE: &str = "spotctl:idle";
/// On instances that `up` launched: which of the wished workers it is.
pub const TAG_SLOT: &str = "spotctl:slot";
/// On the launch template and on instances that `up` launched: which round of workers this is.
pub const TAG_GENERATION: &str = "spotctl:generation";
/// On instances, written by the box: where its boot stands.
pub const TAG_PHASE: &str = "spotctl:phase";
/// On instances, written by the box: the seconds since launch of each phase.
pub const TAG_TIMELINE: &str = "spotctl:timeline";
/// On the launch template, written by a box that ends: its last word.
pub const TAG_LAST: &str = "spotctl:last";
/// On the launch template: where the stack's parameters are, so that a stack can be removed without its file.
pub const TAG_PARAMETERS: &str = "spotctl:parameters";
/// On the launch template: the roles that were given leave to launch from it, so that it can be taken back.
pub const TAG_LAUNCHERS: &str = "spotctl:launchers";
/// What a period's tag says when there is none.
pub const NONE: &str = "none";

/// The security group and the launch template.
#[must_use]
pub fn base(name: &WorkerName) -> String {
    format!("spotctl-{name}")
}

/// The launch template without market options, for on-demand launches, fleets and Auto Scaling.
#[must_use]
pub fn twin(name: &WorkerName) -> String {
    format!("spotctl-{name}-any-market")
}

/// The role and the instance profile: names in IAM are global, so they carry the region.
#[must_use]
pub fn role(name: &WorkerName, region: &str) -> String {
    format!("spotctl-{name}-{region}")
}

/// The inline policy of a launcher's role; such a role may launch for several stacks, in several regions.
#[must_use]
pub fn launch_policy(name: &WorkerName, region: &str) -> String {
    format!("spotctl-launch-{name}-{region}")
}

/// The role's one inline policy.
pub const POLICY: &str = "spotctl-worker";

/// How a machine is bought.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Market {
    /// Interruptible, at the pool's price.
    Spot,
    /// At the list price.
    OnDemand,
}

impl Market {
    /// The contract's word.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Spot => "spot",
            Self::OnDemand => "on-demand",
        }
    }

    /// In a sentence.
    #[must_use]
    pub fn words(self) -> &'static str {
        match self {
            Self::Spot => "Spot",
            Self::OnDemand => "on-demand",
        }
    }
}

/// Everything that a launch's client token depends on. No clock and no price is among it: two `up`s that want the same
/// worker must send the same token with the same parameters.
#[derive(Debug, Clone, Copy)]
pub struct TokenOf<'a> {
    /// The launch template's id, not its name: a stack that was destroyed and made anew is another stack.
    pub template_id: &'a str,
    /// Which of the wished workers.
    pub slot: u32,
    /// Which round.
    pub generation: u64,
    /// Instance type.
    pub instance_type: &'a str,
    /// Zone; EC2's tokens are zonal anyway.
    pub zone: &'a str,
    /// How it is bought.
    pub market: Market,
}

impl TokenOf<'_> {
    /// The token: 40 hexadecimal digits with a prefix, within EC2's 64 ASCII characters.
    #[must_use]
    pub fn token(&self) -> String {
        let Self { template_id, slot, generation, instance_type, zone, market } = self;
        let text = format!("{template_id}\n{slot}\n{generation}\n{instance_type}\n{zone}\n{}", market.as_str());
        format!("spotctl-{}", &hex(&Sha256::digest(text))[..40])
    }
}

/// A short fingerprint of a text, for "is it the same as last time".
#[must_use]
pub fn fingerprint(text: &str) -> String {
    hex(&Sha256::digest(text))[..16].to_owned()
}

fn hex(bytes: &[u8]) -> String {
    use std::fmt::Write;
    bytes.iter().fold(String::new(), |mut text, byte| {
        let _ = write!(text, "{byte:02x}");
        text
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const OF: TokenOf<'static> = TokenOf {
        template_id: "lt-1",
        slot: 0,
        generation: 1,
        instance_type: "g4dn.xlarge",
        zone: "us-east-1a",
        market: Market::Spot,
    };

    #[test]
    fn a_token_is_the_same_every_time_and_differs_with_each_part() {
        assert_eq!(OF.token(), OF.token());
        assert!(OF.token().len() <= 64 && OF.token().is_ascii());
        let others = [
            TokenOf { template_id: "lt-2", ..OF },
            TokenOf { slot: 1, ..OF },
            TokenOf { generation: 2, ..OF },
            TokenOf { instance_type: "g5.xlarge", ..OF },
            TokenOf { zone: "us-east-1b", ..OF },
            TokenOf { market: Market::OnDemand, ..OF },
        ];
        let tokens: std::collections::BTreeSet<String> = others.iter().chain([&OF]).map(TokenOf::token).collect();
        assert_eq!(tokens.len(), others.len() + 1);
    }

    #[test]
    fn the_longest_name_in_the_longest_region_fits_a_role() {
        let name: WorkerName = "a".repeat(WorkerName::MAX_LEN).parse().unwrap();
        assert!(role(&name, "ap-southeast-1").len() <= 64);
    }
}
