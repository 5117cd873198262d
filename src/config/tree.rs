//! YAML as a tree of values with their places, so that every mistake of a file can be found in one run: a derived
//! deserializer would stop at its first.
//!
//! The only module that sees the YAML library. Scalars keep what was written (`0.40` stays exact), mappings keep their
//! order and the places of their keys.

use std::fmt;
use std::ops::Range;

use serde::de::{Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::Spanned;

use super::diagnostic::Finding;

/// A value and where it stands.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    /// Bytes of the text.
    pub(super) at: Range<usize>,
    pub(super) value: Value,
}

/// What a value is.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool),
    /// A number, in the library's reading; the text itself is at the node's place.
    Number(f64),
    Text(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A mapping's key and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Key {
    pub(super) at: Range<usize>,
    pub(super) text: String,
}

impl Value {
    /// For "expected X, found Y".
    pub(super) fn kind(&self) -> &'static str {
        match self {
            Self::Null => "nothing",
            Self::Bool(_) => "true or false",
            Self::Number(_) => "a number",
            Self::Text(_) => "a text",
            Self::List(_) => "a list",
            Self::Map(_) => "a mapping",
        }
    }
}

/// Parses one document.
///
/// # Errors
/// Where the YAML itself is wrong; there is only one such finding, since what follows it cannot be read.
pub(super) fn parse(text: &str) -> Result<Node, Finding> {
    let parsed: Result<Tree, _> = serde_saphyr::from_str(text);
    match parsed {
        Ok(tree) => Ok(tree.place(text)),
        Err(error) => {
            let at = error.location().map_or(0..0, |location| {
                let start = byte_at(text, location.line(), location.column());
                start..line_end(text, start)
            });
            let said = error.without_snippet().to_string();
            Err(Finding { at, key: String::new(), message: sentence(&said), hint: None })
        }
    }
}

/// The library's sentence without the place, which the snippet shows, and without advice that is meant for programmers.
fn sentence(said: &str) -> String {
    let first = said.lines().next().unwrap_or("not YAML");
    let first = first.split(" at line ").next().unwrap_or(first);
    match first.strip_prefix("duplicate mapping key: ").and_then(|rest| rest.split(',').next()) {
        Some(key) => format!("the key `{key}` is set a second time"),
        None => first.to_owned(),
    }
}

/// The byte at line and column, both from one, the column in characters.
fn byte_at(text: &str, line: u64, column: u64) -> usize {
    let (line, column) = (usize::try_from(line).unwrap_or(1), usize::try_from(column).unwrap_or(1));
    let start: usize = text.split_inclusive('\n').take(line.saturating_sub(1)).map(str::len).sum();
    let rest = &text[start.min(text.len())..];
    start + rest.char_indices().nth(column.saturating_sub(1)).map_or(rest.len(), |(byte, _)| byte)
}

fn line_end(text: &str, from: usize) -> usize {
    text[from..].find('\n').map_or(text.len(), |length| from + length).max(from)
}

/// A node as the library hands it out.
#[derive(Debug)]
struct Tree(Spanned<Raw>);

#[derive(Debug)]
enum Raw {
    Null,
    Bool(bool),
    Number(f64),
    Text(String),
    List(Vec<Tree>),
    Map(Vec<(Spanned<String>, Tree)>),
}

impl Tree {
    fn place(self, text: &str) -> Node {
        let start = start_of(text, &self.0.referenced);
        let value = match self.0.value {
            Raw::Null => Value::Null,
            Raw::Bool(value) => Value::Bool(value),
            Raw::Number(value) => Value::Number(value),
            Raw::Text(value) => Value::Text(value),
            Raw::List(items) => Value::List(items.into_iter().map(|item| item.place(text)).collect()),
            Raw::Map(entries) => Value::Map(
                entries
                    .into_iter()
                    .map(|(key, tree)| {
                        let start = start_of(text, &key.referenced);
                        let at = start..scalar_end(text, start);
                        (Key { at, text: key.value }, tree.place(text))
                    })
                    .collect(),
            ),
        };
        let end = match &value {
            Value::List(_) | Value::Map(_) => line_end(text, start),
            _ => scalar_end(text, start),
        };
        Node { at: start..end, value }
    }
}

fn start_of(text: &str, location: &serde_saphyr::Location) -> usize {
    byte_at(text, location.line(), location.column())
}

/// Where a scalar that begins here ends: its closing quote, else before a comment, a comma, a bracket or `: `.
fn scalar_end(text: &str, start: usize) -> usize {
    let line = &text[start..line_end(text, start)];
    let quote = line.chars().next().filter(|first| matches!(first, '"' | '\''));
    let end = match quote {
        Some(quote) => line[1..].find(quote).map_or(line.len(), |length| length + 2),
        None => {
            let stops = [" #", ", ", ",", "}", "]", ": ", ":\n"];
            let in_flow = |stop: &str| line.find(stop);
            let flow_end = stops.iter().filter_map(|stop| in_flow(stop)).min().unwrap_or(line.len());
            // `${X}` holds a brace that does not end it.
            if line.starts_with('$') || line[..flow_end].contains("${") {
                line.find(" #").unwrap_or(line.len())
            } else {
                flow_end
            }
        }
    };
    start + line[..end].trim_end().len().max(usize::from(!line.is_empty()))
}

impl<'de> Deserialize<'de> for Tree {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Spanned::<Raw>::deserialize(deserializer).map(Self)
    }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(RawVisitor)
    }
}

struct RawVisitor;

impl<'de> Visitor<'de> for RawVisitor {
    type Value = Raw;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value")
    }

    fn visit_unit<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_none<E>(self) -> Result<Raw, E> {
        Ok(Raw::Null)
    }

    fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_newtype_struct<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
        Raw::deserialize(deserializer)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Raw, E> {
        Ok(Raw::Bool(value))
    }

    #[expect(clippy::cast_precision_loss, reason = "the text is read again where exactness matters")]
    fn visit_i64<E>(self, value: i64) -> Result<Raw, E> {
        Ok(Raw::Number(value as f64))
    }

    #[expect(clippy::cast_precision_loss, reason = "the text is read again where exactness matters")]
    fn visit_u64<E>(self, value: u64) -> Result<Raw, E> {
        Ok(Raw::Number(value as f64))
    }

    fn visit_f64<E>(self, value: f64) -> Result<Raw, E> {
        Ok(Raw::Number(value))
    }

    fn visit_str<E>(self, value: &str) -> Result<Raw, E> {
        Ok(Raw::Text(value.to_owned()))
    }

    fn visit_string<E>(self, value: String) -> Result<Raw, E> {
        Ok(Raw::Text(value))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Raw, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = list.next_element()? {
            items.push(item);
        }
        Ok(Raw::List(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Raw, A::Error> {
        let mut entries = Vec::new();
        while let Some(entry) = map.next_entry()? {
            entries.push(entry);
        }
        Ok(Raw::Map(entries))
    }
}
