//! Names, paths and texts with `${X}` in them.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use serde::Serialize;

/// Why a text is not what it should be: one sentence that stands by itself, lower case, without a full stop.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidText(pub String);

/// A stack's name: `[a-z][a-z0-9-]{0,39}`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct WorkerName(String);

impl WorkerName {
    /// The longest name.
    pub const MAX_LEN: usize = 40;

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for WorkerName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for WorkerName {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let starts_well = text.starts_with(|c: char| c.is_ascii_lowercase());
        let is_plain = text.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-');
        if starts_well && is_plain && text.len() <= Self::MAX_LEN {
            return Ok(Self(text.to_owned()));
        }
        Err(InvalidText(format!(
            "`{text}` is not a name: it starts with a letter a-z, holds a-z, 0-9 and `-`, and is at most 40 characters long"
        )))
    }
}

/// A path in Parameter Store: absolute, without a trailing `/`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(transparent)]
pub struct ParameterPath(String);

impl ParameterPath {
    /// AWS allows a hierarchy of fifteen levels, the parameter's own name included.
    const MAX_LEVELS: usize = 14;

    /// What every stack's path begins with unless its file says otherwise.
    pub const DEFAULT_ROOT: &str = "/spotctl";

    /// The path itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The full name of the parameter `key` under this path.
    #[must_use]
    pub fn name_of(&self, key: &str) -> String {
        format!("{}/{key}", self.0)
    }

    /// The key of the parameter called `name`, when it stands directly under this path.
    #[must_use]
    pub fn key_of<'a>(&self, name: &'a str) -> Option<&'a str> {
        name.strip_prefix(self.as_str())?.strip_prefix('/').filter(|key| !key.is_empty() && !key.contains('/'))
    }

    /// Where a stack's parameters live unless the file says otherwise.
    #[must_use]
    pub fn default_for(name: &WorkerName) -> Self {
        Self(format!("{}/{name}", Self::DEFAULT_ROOT))
    }
}

impl fmt::Display for ParameterPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl FromStr for ParameterPath {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let refuse = |why: &str| Err(InvalidText(format!("`{text}` is not a parameter path: {why}")));
        let Some(rest) = text.strip_prefix('/') else { return refuse("it starts with `/`") };
        let levels: Vec<&str> = rest.split('/').collect();
        if levels.iter().any(|level| level.is_empty()) {
            return refuse("it ends without `/` and no level is empty");
        }
        if levels.len() > Self::MAX_LEVELS {
            return refuse("it has at most fourteen levels");
        }
        if !rest.chars().all(|c| c.is_ascii_alphanumeric() || "_.-/".contains(c)) {
            return refuse("it holds letters, digits and `_.-/` only");
        }
        // Parameter Store keeps names that begin with these for AWS; further down the path they are free.
        if ["aws", "ssm"].iter().any(|prefix| levels[0].to_ascii_lowercase().starts_with(prefix)) {
            return refuse("AWS keeps paths that begin with `aws` or `ssm` for itself");
        }
        Ok(Self(text.to_owned()))
    }
}

/// A text in which `${X}` stands for the parameter `X`.
///
/// `$` that is not followed by `{` is an ordinary character. There is no escape for `${`: no image reference, queue or
/// bucket holds one.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Text(Vec<Part>);

#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Part {
    Literal(String),
    Parameter(String),
}

impl Text {
    /// The keys this text refers to, in order, repeated where they repeat.
    pub fn keys(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter_map(|part| match part {
            Part::Parameter(key) => Some(key.as_str()),
            Part::Literal(_) => None,
        })
    }

    /// The text with each `${X}` replaced by its value.
    ///
    /// # Errors
    /// The first key that `values` does not hold.
    pub fn resolve(&self, values: &BTreeMap<String, String>) -> Result<String, UnknownKey> {
        let mut resolved = String::new();
        for part in &self.0 {
            match part {
                Part::Literal(text) => resolved.push_str(text),
                Part::Parameter(key) => resolved.push_str(values.get(key).ok_or_else(|| UnknownKey(key.clone()))?),
            }
        }
        Ok(resolved)
    }
}

/// `${X}` for which there is no parameter `X`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no parameter `{0}`")]
pub struct UnknownKey(pub String);

/// Whether `key` can be an environment variable, and so a parameter's key.
#[must_use]
pub fn is_key(key: &str) -> bool {
    key.starts_with(|c: char| c.is_ascii_alphabetic() || c == '_')
        && key.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|part| match part {
            Part::Literal(text) => f.write_str(text),
            Part::Parameter(key) => write!(f, "${{{key}}}"),
        })
    }
}

impl FromStr for Text {
    type Err = InvalidText;

    fn from_str(text: &str) -> Result<Self, InvalidText> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some(start) = rest.find("${") {
            if start > 0 {
                parts.push(Part::Literal(rest[..start].to_owned()));
            }
            let after = &rest[start + 2..];
            let Some(end) = after.find('}') else {
                return Err(InvalidText(format!("`{text}` has a `${{` without its `}}`")));
            };
            let key = &after[..end];
            if !is_key(key) {
                return Err(InvalidText(format!(
                    "`${{{key}}}` does not name a parameter: a key holds letters, digits and `_`, and starts with no digit"
                )));
            }
            parts.push(Part::Parameter(key.to_owned()));
            rest = &after[end + 1..];
        }
        if !rest.is_empty() {
            parts.push(Part::Literal(rest.to_owned()));
        }
        Ok(Self(parts))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_what_aws_takes_in_every_place_it_appears() {
        for good in ["a", "worker-gpu", "w2", &"a".repeat(40)] {
            assert_eq!(good.parse::<WorkerName>().unwrap().as_str(), good);
        }
        for bad in ["", "Worker", "2w", "-w", "a_b", "a b", "ä", &"a".repeat(41)] {
            assert!(bad.parse::<WorkerName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_path_is_absolute_and_not_one_of_awss_own() {
        for good in ["/oncetime/worker-gpu", "/a", "/my/aws/x"] {
            assert_eq!(good.parse::<ParameterPath>().unwrap().as_str(), good);
        }
        for bad in ["", "/", "a/b", "/a/", "/a//b", "/aws/x", "/SSM-x", "/a b", &"/a".repeat(15)] {
            assert!(bad.parse::<ParameterPath>().is_err(), "{bad}");
        }
    }

    #[test]
    fn a_key_is_the_last_level_of_a_name_under_its_path_only() {
        let path: ParameterPath = "/a/b".parse().unwrap();
        for (name, key) in
            [("/a/b/K", Some("K")), ("/a/b/c/K", None), ("/a/bc/K", None), ("/a/b/", None), ("/a/b", None)]
        {
            assert_eq!(path.key_of(name), key, "{name}");
        }
    }

    #[test]
    fn a_text_keeps_what_it_does_not_understand_and_names_what_it_lacks() {
        let values = BTreeMap::from([("A".to_owned(), "1$".to_owned()), ("B_2".to_owned(), String::new())]);
        for (text, resolved) in
            [("", ""), ("$A", "$A"), ("${A}", "1$"), ("x${A}y${B_2}${A}z", "x1$y1$z"), ("$${A}", "$1$")]
        {
            let parsed: Text = text.parse().unwrap();
            assert_eq!(parsed.resolve(&values).as_deref(), Ok(resolved), "{text}");
            assert_eq!(parsed.to_string(), text);
        }
        assert_eq!("${C}".parse::<Text>().unwrap().resolve(&values), Err(UnknownKey("C".to_owned())));
        for bad in ["${", "${}", "${A", "${A-B}", "${1}"] {
            assert!(bad.parse::<Text>().is_err(), "{bad}");
        }
    }
}
