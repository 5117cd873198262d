//! Parameters of the query protocol, strict: what no operation has read is an error.
//!
//! A request is a flat list such as `Filter.1.Name=vpc-id&Filter.1.Value.1=vpc-1`. Here it is a tree with EC2's lists
//! (`Value.1`) and IAM's (`member.1`) read alike.

use std::cell::Cell;
use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;

use crate::sandbox::call::AwsError;

/// A structure of parameters: the whole request, or a part of it.
#[derive(Debug, Clone, Default)]
pub struct Query {
    path: String,
    value: Option<String>,
    children: BTreeMap<String, Query>,
    read: Cell<bool>,
}

impl Query {
    /// Parses a form body; `Action` and `Version` are taken out.
    #[must_use]
    pub fn parse(body: &[u8]) -> Self {
        let mut root = Self::default();
        for (key, value) in pairs(body) {
            if key != "Action" && key != "Version" {
                root.insert(&key, value);
            }
        }
        root
    }

    fn insert(&mut self, key: &str, value: String) {
        let mut at = self;
        for part in key.split('.').filter(|part| *part != "member") {
            let path = if at.path.is_empty() { part.to_owned() } else { format!("{}.{part}", at.path) };
            at = at.children.entry(part.to_owned()).or_insert_with(|| Self { path, ..Self::default() });
        }
        at.value = Some(value);
    }

    /// A text, when it is there.
    #[must_use]
    pub fn optional(&self, name: &str) -> Option<String> {
        let child = self.children.get(name)?;
        child.read.set(true);
        child.value.clone()
    }

    /// A text that must be there.
    ///
    /// # Errors
    /// `MissingParameter`.
    pub fn required(&self, name: &str) -> Result<String, AwsError> {
        self.optional(name).filter(|text| !text.is_empty()).ok_or_else(|| {
            AwsError::new("MissingParameter", format!("The request must contain the parameter {}", self.path_of(name)))
        })
    }

    /// A list of texts: `InstanceId.1`, `InstanceId.2`, in order.
    #[must_use]
    pub fn list(&self, name: &str) -> Vec<String> {
        let Some(child) = self.children.get(name) else { return Vec::new() };
        child.read.set(true);
        child
            .items()
            .into_iter()
            .filter_map(|item| {
                item.read.set(true);
                item.value.clone()
            })
            .collect()
    }

    /// A list of structures: `Filter.1.Name`, …, in order.
    #[must_use]
    pub fn structures(&self, name: &str) -> Vec<&Query> {
        let Some(child) = self.children.get(name) else { return Vec::new() };
        child.read.set(true);
        child.items()
    }

    /// A structure: `Placement.AvailabilityZone`.
    #[must_use]
    pub fn structure(&self, name: &str) -> Option<&Query> {
        let child = self.children.get(name)?;
        child.read.set(true);
        Some(child)
    }

    /// A whole number.
    ///
    /// # Errors
    /// `InvalidParameterValue`.
    pub fn number(&self, name: &str) -> Result<Option<i64>, AwsError> {
        self.parsed(name, |text| text.parse().ok(), "a whole number")
    }

    /// `true` or `false`.
    ///
    /// # Errors
    /// `InvalidParameterValue`.
    pub fn boolean(&self, name: &str) -> Result<Option<bool>, AwsError> {
        self.parsed(name, |text| text.to_ascii_lowercase().parse().ok(), "true or false")
    }

    /// A time.
    ///
    /// # Errors
    /// `InvalidParameterValue`.
    pub fn timestamp(&self, name: &str) -> Result<Option<Timestamp>, AwsError> {
        self.parsed(name, |text| text.parse().ok(), "a time")
    }

    /// Base64, checked and kept as it is.
    ///
    /// # Errors
    /// `InvalidUserData.Malformed`.
    pub fn base64(&self, name: &str) -> Result<Option<String>, AwsError> {
        let text = self.optional(name);
        match text.as_ref().map(|text| STANDARD.decode(text)) {
            Some(Err(_)) => Err(AwsError::new("InvalidUserData.Malformed", "Invalid BASE64 encoding of user data.")),
            _ => Ok(text),
        }
    }

    fn parsed<T>(&self, name: &str, parse: impl Fn(&str) -> Option<T>, wanted: &str) -> Result<Option<T>, AwsError> {
        let Some(text) = self.optional(name) else { return Ok(None) };
        parse(&text).map(Some).ok_or_else(|| {
            let path = self.path_of(name);
            AwsError::new(
                "InvalidParameterValue",
                format!("Value ({text}) for parameter {path} is invalid: not {wanted}"),
            )
        })
    }

    /// `DryRun`, which every EC2 operation takes.
    ///
    /// # Errors
    /// `InvalidParameterValue`.
    pub fn dry_run(&self) -> Result<bool, AwsError> {
        Ok(self.boolean("DryRun")?.unwrap_or(false))
    }

    /// The first parameter that nobody has read: the model does not know it.
    #[must_use]
    pub fn unread(&self) -> Option<String> {
        if !self.path.is_empty() && !self.read.get() {
            return Some(self.path.clone());
        }
        self.children.values().find_map(Self::unread)
    }

    /// A text that stands for these parameters, to compare two requests; `without` are left out.
    #[must_use]
    pub fn fingerprint(&self, without: &[&str]) -> String {
        let mut text = String::new();
        for (name, child) in self.children.iter().filter(|(name, _)| !without.contains(&name.as_str())) {
            child.write(name, &mut text);
        }
        text
    }

    fn write(&self, name: &str, text: &mut String) {
        if let Some(value) = &self.value {
            text.extend([name, "=", value, "\n"]);
        }
        for (part, child) in &self.children {
            child.write(&format!("{name}.{part}"), text);
        }
    }

    fn items(&self) -> Vec<&Query> {
        let mut items: Vec<(u32, &Query)> =
            self.children.iter().filter_map(|(index, item)| Some((index.parse().ok()?, item))).collect();
        items.sort_by_key(|(index, _)| *index);
        for (_, item) in &items {
            item.read.set(true);
        }
        items.into_iter().map(|(_, item)| item).collect()
    }

    fn path_of(&self, name: &str) -> String {
        if self.path.is_empty() { name.to_owned() } else { format!("{}.{name}", self.path) }
    }
}

/// The pairs of a form body, decoded.
pub fn pairs(body: &[u8]) -> Vec<(String, String)> {
    let decode = |part: &[u8]| {
        let spaced: Vec<u8> = part.iter().map(|byte| if *byte == b'+' { b' ' } else { *byte }).collect();
        percent_encoding::percent_decode(&spaced).decode_utf8_lossy().into_owned()
    };
    body.split(|byte| *byte == b'&')
        .filter(|pair| !pair.is_empty())
        .map(|pair| {
            let cut = pair.iter().position(|byte| *byte == b'=').unwrap_or(pair.len());
            (decode(&pair[..cut]), decode(pair.get(cut + 1..).unwrap_or_default()))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_and_structures_are_read_in_order_and_a_rest_is_noticed() {
        let body =
            b"Action=X&Version=1&Filter.1.Name=a&Filter.1.Value.2=c&Filter.1.Value.1=b+d%2B&Ids.member.1=i&Left=1";
        let query = Query::parse(body);
        let filters = query.structures("Filter");
        assert_eq!(filters[0].required("Name").unwrap(), "a");
        assert_eq!(filters[0].list("Value"), ["b d+", "c"]);
        assert_eq!(query.list("Ids"), ["i"]);
        assert_eq!(query.unread(), Some("Left".to_owned()));
        assert_eq!(query.number("Left").unwrap(), Some(1));
        assert_eq!(query.unread(), None);
    }
}
