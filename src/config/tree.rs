//! YAML to a tree in which every key and value knows its place. The only module that knows the YAML library.
//!
//! A serde deserializer stops at its first error; a file is wanted with all its mistakes. So the library reads into this
//! tree, which takes any YAML, and `check` and `validate` judge the tree. Scalars keep the text that the file holds:
//! `0.10` is an amount and `1.20` an image's version, and neither survives a float.

use std::fmt;
use std::ops::Range;

use serde::de::{self, Deserialize, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_saphyr::options::DuplicateKeyPolicy;
use serde_saphyr::{Location, Spanned};

use super::diagnostic::Finding;

/// A value and its place.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Node {
    pub(super) span: Range<usize>,
    pub(super) value: Value,
}

/// What YAML knows; numbers as the file writes them.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    Null,
    Bool(bool, String),
    Whole(String),
    Decimal(String),
    Text(String),
    List(Vec<Node>),
    Map(Vec<Entry>),
}

/// A key with its value.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Entry {
    pub(super) key: String,
    pub(super) key_span: Range<usize>,
    pub(super) node: Node,
}

impl Node {
    /// The value at `path`, or of its longest part that exists: what is missing is reported where it should stand.
    pub(super) fn place(&self, path: &[Step]) -> Range<usize> {
        let mut node = self;
        let mut span = 0..0;
        for step in path {
            let next = match (step, &node.value) {
                (Step::Key(key), Value::Map(entries)) => {
                    entries.iter().find(|entry| entry.key == *key).map(|entry| (&entry.node, &entry.key_span))
                }
                (Step::KeyItself(key), Value::Map(entries)) => {
                    return entries.iter().find(|entry| entry.key == *key).map_or(span, |entry| entry.key_span.clone());
                }
                (Step::Index(index), Value::List(nodes)) => nodes.get(*index).map(|node| (node, &node.span)),
                _ => None,
            };
            let Some((found, key_span)) = next else { return span };
            // A section is shown by its key, a value by itself.
            let is_section = matches!(found.value, Value::Map(_) | Value::List(_) | Value::Null);
            span = if is_section { key_span.clone() } else { found.span.clone() };
            node = found;
        }
        span
    }
}

/// One step from a value to one inside it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Step {
    Key(String),
    /// The key, not its value.
    KeyItself(String),
    Index(usize),
}

/// The path as people write it: `access.queues[0]`.
pub(super) fn dotted(path: &[Step]) -> String {
    let mut text = String::new();
    for step in path {
        match step {
            Step::Key(key) | Step::KeyItself(key) if text.is_empty() => text.push_str(key),
            Step::Key(key) | Step::KeyItself(key) => {
                text.push('.');
                text.push_str(key);
            }
            Step::Index(index) => {
                text.push('[');
                text.push_str(&index.to_string());
                text.push(']');
            }
        }
    }
    text
}

/// How deep lists and mappings may lie in each other. A list in a condition of a statement lies seven deep. The library reads
/// each level by functions within those of the one before, some thirty kilobytes of stack a level where nothing is optimized:
/// sixty fill a thread's two megabytes, and the 255 of its own limit the eight of the program.
const DEEPEST: usize = 16;

/// Reads `text`; the tree is there even with doubled keys (their first value), not with broken syntax.
pub(super) fn read(text: &str) -> (Option<Node>, Vec<Finding>) {
    let options = serde_saphyr::options! {
        duplicate_keys: DuplicateKeyPolicy::PassThrough,
        strict_booleans: true,
        with_snippet: false,
        budget: serde_saphyr::budget! { max_depth: DEEPEST },
    };
    let raw: Spanned<Raw> = match serde_saphyr::from_str_with_options(text, options) {
        Ok(raw) => raw,
        Err(error) => return (None, vec![syntax(text, &error)]),
    };
    let mut findings = Vec::new();
    let node = place(raw, text, &mut Vec::new(), &mut findings);
    (Some(node), findings)
}

fn syntax(text: &str, error: &serde_saphyr::Error) -> Finding {
    let start = error.location().map_or(0, |location| byte_range(&location, text).start);
    let span = start..text[start..].find('\n').map_or(text.len(), |end| start + end);
    if let serde_saphyr::Error::MultipleDocuments { .. } = error {
        return Finding::new(span, "", "a second document begins: one file describes one worker")
            .hint("put the second worker into a file of its own and name it: spotctl --config FILE");
    }
    let shown = error.to_string();
    // The place is shown by the snippet.
    let message = shown.split(" at line ").next().unwrap_or(&shown).lines().next().unwrap_or_default();
    let message = message.split_once(": line ").map_or(message, |(message, _)| message);
    // Beyond the limit here, or beyond that of the library's scanner.
    if message.starts_with("budget breached") || message.starts_with("recursion limit") {
        return Finding::new(span, "", "too large or too deep: the file, or what its aliases unfold to");
    }
    let finding = Finding::new(span.clone(), "", format!("not YAML: {message}"));
    let line_start = text[..start].rfind('\n').map_or(0, |newline| newline + 1);
    if text[line_start..span.end].contains("${") {
        return finding.hint("a text with `${X}` needs quotes where it stands inside [ ] or { }");
    }
    if text[..start].rsplit('\n').next().is_some_and(|line| line.contains('\t')) || text[span].starts_with('\t') {
        return finding.hint("YAML is indented with spaces, never with tabs");
    }
    finding
}

fn byte_range(location: &Location, text: &str) -> Range<usize> {
    let span = location.span();
    let to_index = |number: Option<u64>| number.and_then(|number| usize::try_from(number).ok());
    let (start, len) = if let (Some(start), Some(len)) = (to_index(span.byte_offset()), to_index(span.byte_len())) {
        (start, len)
    } else {
        // Some errors know line and column only.
        let line = usize::try_from(location.line()).unwrap_or(1).max(1);
        let column = usize::try_from(location.column()).unwrap_or(1).max(1);
        let line_start: usize = text.split_inclusive('\n').take(line - 1).map(str::len).sum();
        let rest = text.get(line_start..).unwrap_or_default();
        (line_start + rest.chars().take(column - 1).map(char::len_utf8).sum::<usize>(), 0)
    };
    let start = text.floor_char_boundary(start.min(text.len()));
    start..text.ceil_char_boundary(start.saturating_add(len).min(text.len()))
}

/// What the library hands over, before its places are bytes and its numbers their own text.
enum Raw {
    Null,
    Bool(bool),
    Whole,
    Decimal,
    Text(String),
    List(Vec<Spanned<Raw>>),
    Map(Vec<(Spanned<Raw>, Spanned<Raw>)>),
}

fn place(raw: Spanned<Raw>, text: &str, path: &mut Vec<Step>, findings: &mut Vec<Finding>) -> Node {
    let span = byte_range(&raw.referenced, text);
    // Behind an alias the value's own text stands at its anchor.
    let written = || text[byte_range(&raw.defined, text)].trim().to_owned();
    let value = match raw.value {
        Raw::Null => Value::Null,
        Raw::Bool(is) => Value::Bool(is, written()),
        Raw::Whole => Value::Whole(written()),
        Raw::Decimal => Value::Decimal(written()),
        Raw::Text(text) => Value::Text(text),
        Raw::List(items) => {
            let placed = items.into_iter().enumerate().map(|(index, item)| {
                path.push(Step::Index(index));
                let node = place(item, text, path, findings);
                path.pop();
                node
            });
            Value::List(placed.collect())
        }
        Raw::Map(pairs) => {
            let mut entries: Vec<Entry> = Vec::with_capacity(pairs.len());
            for (key, item) in pairs {
                let key_node = place(key, text, path, findings);
                let key_span = key_node.span;
                let key = match key_node.value {
                    Value::Text(key) | Value::Whole(key) | Value::Decimal(key) | Value::Bool(_, key) => key,
                    Value::Null | Value::List(_) | Value::Map(_) => {
                        let shown = &text[key_span.clone()];
                        let finding = if shown.starts_with('{') {
                            // `image: {{ REPO }}`: a template's brackets without quotes are a mapping as a key.
                            Finding::new(key_span, dotted(path), "a key is a word")
                                .hint("a text with braces needs quotes")
                        } else {
                            Finding::new(key_span, dotted(path), "a key is a word")
                        };
                        findings.push(finding);
                        continue;
                    }
                };
                path.push(Step::Key(key.clone()));
                if let Some(first) = entries.iter().find(|entry| entry.key == key) {
                    let message = format!("`{key}` stands here a second time");
                    findings.push(
                        Finding::new(key_span, dotted(path), message).other(first.key_span.clone(), "first here"),
                    );
                } else {
                    let node = place(item, text, path, findings);
                    entries.push(Entry { key, key_span, node });
                }
                path.pop();
            }
            Value::Map(entries)
        }
    };
    Node { span, value }
}

impl<'de> Deserialize<'de> for Raw {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct AnyYaml;

        impl<'de> Visitor<'de> for AnyYaml {
            type Value = Raw;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a value")
            }

            fn visit_unit<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_none<E: de::Error>(self) -> Result<Raw, E> {
                Ok(Raw::Null)
            }

            fn visit_some<D: Deserializer<'de>>(self, deserializer: D) -> Result<Raw, D::Error> {
                Raw::deserialize(deserializer)
            }

            fn visit_bool<E: de::Error>(self, is: bool) -> Result<Raw, E> {
                Ok(Raw::Bool(is))
            }

            fn visit_i64<E: de::Error>(self, _: i64) -> Result<Raw, E> {
                Ok(Raw::Whole)
            }

            fn visit_u64<E: de::Error>(self, _: u64) -> Result<Raw, E> {
                Ok(Raw::Whole)
            }

            fn visit_i128<E: de::Error>(self, _: i128) -> Result<Raw, E> {
                Ok(Raw::Whole)
            }

            fn visit_u128<E: de::Error>(self, _: u128) -> Result<Raw, E> {
                Ok(Raw::Whole)
            }

            fn visit_f64<E: de::Error>(self, _: f64) -> Result<Raw, E> {
                Ok(Raw::Decimal)
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Raw, E> {
                Ok(Raw::Text(text.to_owned()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Raw, A::Error> {
                let mut list = Vec::new();
                while let Some(item) = items.next_element()? {
                    list.push(item);
                }
                Ok(Raw::List(list))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut pairs: A) -> Result<Raw, A::Error> {
                let mut map = Vec::new();
                while let Some(pair) = pairs.next_entry()? {
                    map.push(pair);
                }
                Ok(Raw::Map(map))
            }
        }

        deserializer.deserialize_any(AnyYaml)
    }
}
