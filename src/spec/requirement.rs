//! What a machine must be, beside its price: the architecture, and the types that are never taken.

use std::fmt;
use std::str::FromStr;

use super::InvalidText;

/// `instance.arch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Architecture {
    /// Intel's and AMD's.
    X86,
    /// AWS's Graviton.
    Arm64,
}

impl Architecture {
    /// AWS's word for it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::X86 => "x86_64",
            Self::Arm64 => "arm64",
        }
    }
}

/// An instance type, or a wildcard as EC2's own filters know it: `*` for any text, `?` for one character.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TypePattern(String);

impl TypePattern {
    /// Whether a type is meant.
    #[must_use]
    pub fn fits(&self, instance_type: &str) -> bool {
        fits(self.0.as_bytes(), instance_type.as_bytes())
    }

    /// Whether every type is meant.
    #[must_use]
    pub fn fits_all(&self) -> bool {
        self.0.contains('*') && self.0.bytes().all(|byte| matches!(byte, b'*' | b'.'))
    }
}

/// In one go: where what follows a `*` does not fit, the last `*` takes one character more.
fn fits(pattern: &[u8], text: &[u8]) -> bool {
    let (mut at, mut of) = (0, 0);
    let mut star = None;
    while of < text.len() {
        match (pattern.get(at), star) {
            (Some(b'*'), _) => {
                star = Some((at, of));
                at += 1;
            }
            (Some(one), _) if *one == b'?' || *one == text[of] => (at, of) = (at + 1, of + 1),
            (_, Some((place, taken))) => {
                star = Some((place, taken + 1));
                (at, of) = (place + 1, taken + 1);
            }
            (_, None) => return false,
        }
    }
    pattern[at..].iter().all(|byte| *byte == b'*')
}

impl fmt::Display for TypePattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for TypePattern {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let is_wildcard = text.contains(['*', '?']);
        let is_part = |part: &str| {
            !part.is_empty()
                && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b"-*?".contains(&b))
        };
        let is_pattern = match text.split_once('.') {
            Some((family, size)) => is_part(family) && is_part(size),
            None => is_part(text) && is_wildcard,
        };
        if is_pattern {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidText(format!("`{text}` is neither an instance type nor a wildcard such as `g4dn.*`")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wildcard_means_what_it_means_in_ec2s_filters() {
        for (pattern, fits, does_not) in [
            ("g4dn.xlarge", &["g4dn.xlarge"][..], &["g4dn.xlarge2", "g4dn.2xlarge", "xg4dn.xlarge"][..]),
            ("g4dn.*", &["g4dn.xlarge", "g4dn.metal"], &["g4d.xlarge", "g4dnx.xlarge"]),
            ("*.metal", &["g5g.metal", "c7i.metal"], &["c7i.metal-24xl"]),
            ("g?e.*", &["g6e.xlarge", "g7e.2xlarge"], &["g5.xlarge", "gr6e.xlarge"]),
            ("g6*", &["g6.xlarge", "g6e.xlarge", "g6f.large"], &["gr6.4xlarge"]),
            ("*a*a*a*b.x", &["aaaaab.x", "zazazab.x"], &["aaaaaaaaaaaaaaaaaaaaaaaaaaaaaa.x", "aab.x"]),
            ("p*.*xlarge", &["p5.48xlarge", "p3dn.24xlarge"], &["g5.xlarge", "p5.metal"]),
        ] {
            let pattern: TypePattern = pattern.parse().unwrap();
            for name in fits {
                assert!(pattern.fits(name), "{pattern} {name}");
            }
            for name in does_not {
                assert!(!pattern.fits(name), "{pattern} {name}");
            }
        }
    }

    #[test]
    fn what_is_no_type_and_no_wildcard_is_refused() {
        for bad in ["", "g4dn", "G4DN.*", "g4dn.", ".*", "g4dn .*", "g4dn.x.y", "g4dn/x"] {
            assert!(bad.parse::<TypePattern>().is_err(), "{bad}");
        }
        for all in ["*", "*.*", "**"] {
            assert!(all.parse::<TypePattern>().unwrap().fits_all(), "{all}");
        }
        assert!(!"g*".parse::<TypePattern>().unwrap().fits_all());
    }
}
