//! What a volume costs, from AWS's public price list. Prices of instances come from AWS at run time; a volume's do not,
//! because the Price List API answers in three regions only and needs a permission of its own.

use crate::spec::{Gib, Usd, VolumeKind};

/// Price of a GiB and month in micro-dollars, gp3 and gp2 (EBS price list, 2026). Other regions are somewhat dearer than
/// the first row; for them the answer is a lower bound, and is shown as "from".
const EBS: [(&str, i64, i64); 8] = [
    ("us-east-1", 80_000, 100_000),
    ("us-east-2", 80_000, 100_000),
    ("us-west-2", 80_000, 100_000),
    ("eu-west-1", 88_000, 110_000),
    ("eu-central-1", 95_200, 119_000),
    ("ap-northeast-1", 96_000, 120_000),
    ("ap-northeast-2", 91_200, 114_000),
    ("ap-southeast-1", 96_000, 120_000),
];

/// What a volume of this size costs if it existed for a whole month, for people: `6.00 USD a month`.
#[must_use]
pub fn volume_month(kind: VolumeKind, size: Gib, region: &str) -> String {
    let row = EBS.iter().find(|(name, ..)| *name == region);
    let (_, gp3, gp2) = row.unwrap_or(&EBS[0]);
    let micros = match kind {
        VolumeKind::Gp3 => gp3,
        VolumeKind::Gp2 => gp2,
    };
    let from = if row.is_some() { "" } else { "from " };
    format!("{from}{} USD a month, by the hour while the worker lives", Usd::from_micros(*micros) * size.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_names_its_month_and_admits_a_region_it_does_not_know() {
        assert!(volume_month(VolumeKind::Gp3, Gib(75), "us-east-1").starts_with("6.00 USD a month"));
        assert!(volume_month(VolumeKind::Gp2, Gib(75), "sa-east-1").starts_with("from 7.50 USD a month"));
    }
}
