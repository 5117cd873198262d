//! IPv4 blocks, as VPCs, subnets and routes are given them.

use std::fmt;
use std::net::Ipv4Addr;

/// A block in canonical form: the bits behind the prefix are zero, as AWS makes them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Cidr {
    base: u32,
    bits: u32,
}

impl Cidr {
    /// `10.0.0.0/16`; `None`: not a block.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (address, bits) = text.split_once('/')?;
        let (address, bits) = (address.parse::<Ipv4Addr>().ok()?, bits.parse::<u32>().ok().filter(|bits| *bits <= 32)?);
        Some(Self { base: u32::from(address) & mask(bits), bits })
    }

    /// Whether a VPC or a subnet may be as large: 16 to 65536 addresses.
    pub(super) fn is_for_hosts(self) -> bool {
        (16..=28).contains(&self.bits)
    }

    /// Whether the whole other block lies in this one.
    pub(super) fn contains(self, other: Self) -> bool {
        self.bits <= other.bits && other.base & mask(self.bits) == self.base
    }

    /// Whether they share an address.
    pub(super) fn overlaps(self, other: Self) -> bool {
        self.contains(other) || other.contains(self)
    }
}

fn mask(bits: u32) -> u32 {
    u32::MAX.checked_shl(32 - bits).unwrap_or(0)
}

impl fmt::Display for Cidr {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}/{}", Ipv4Addr::from(self.base), self.bits)
    }
}
