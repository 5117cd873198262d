//! The `.env`: one parameter a line, as people write it.
//!
//! ```text
//! file    = [BOM] { line }
//! line    = blank | comment | [ "export" ] KEY "=" value [ comment ]
//! KEY     = letter or "_", then letters, digits, "_"
//! value   = bare | 'single' | "double"
//! bare    = up to the line's end or to a blank and "#"; blanks around it do not count
//! single  = everything up to the next ', line ends too, nothing escaped
//! double  = everything up to the next ", line ends too; \n \r \t \" \\ \$ are escapes, other backslashes stay
//! comment = "#" at the line's start, or after a blank
//! ```
//!
//! `$` is a character like any other: the crates for this format put variables in its place, which would quietly change
//! a password, and none tells where in the file a mistake stands. That is why the reader is here and this small.
//!
//! Values are secrets: no finding holds one, and what a snippet shows is a copy of the file with keys and nothing else.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use secrecy::SecretString;

use super::diagnostic::{Finding, Findings};
use crate::spec::is_key;

/// A standard parameter, which is free, holds this many bytes.
const LONGEST: usize = 4096;

/// Reads `text`, the content of `file`.
///
/// # Errors
/// Every mistake; none shows a value.
pub(super) fn parse(text: &str, file: &Path) -> Result<BTreeMap<String, SecretString>, Findings> {
    let mut reader =
        Reader { rest: text.strip_prefix('\u{feff}').unwrap_or(text), shown: String::new(), findings: Vec::new() };
    let mut values: BTreeMap<String, (SecretString, Range<usize>)> = BTreeMap::new();
    while !reader.rest.is_empty() {
        let Some((key, place, value)) = reader.line() else { continue };
        reader.check(&key, &place, &value);
        if let Some((_, first)) = values.get(&key) {
            let finding = Finding::new(place, &key, format!("`{key}` stands here a second time"));
            reader.findings.push(finding.other(first.clone(), "first here"));
        } else {
            values.insert(key, (SecretString::from(value), place));
        }
    }
    if reader.findings.is_empty() {
        return Ok(values.into_iter().map(|(key, (value, _))| (key, value)).collect());
    }
    Err(Findings::new(file, &reader.shown, reader.findings))
}

/// Whether the first line that says something is `KEY=value`, which no file that describes a worker begins with.
pub(super) fn is_env(text: &str) -> bool {
    let lines = text.trim_start_matches('\u{feff}').lines().map(str::trim);
    let first = lines.into_iter().find(|line| !line.is_empty() && !line.starts_with('#'));
    first.and_then(|line| line.split_once('=')).is_some_and(|(before, _)| is_key(key_of(before)))
}

/// The key in what stands before `=`.
fn key_of(before: &str) -> &str {
    let key = before.trim();
    key.strip_prefix("export").filter(|key| key.starts_with([' ', '\t'])).map_or(key, str::trim_start)
}

struct Reader<'a> {
    rest: &'a str,
    /// The file as far as it was read, line for line, without its values.
    shown: String,
    findings: Vec<Finding>,
}

impl Reader<'_> {
    /// One line, or the several of a quoted value: the key, its place in `shown`, the value.
    fn line(&mut self) -> Option<(String, Range<usize>, String)> {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let trimmed = line.trim();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            self.shown.push_str(if trimmed.is_empty() { "" } else { "#…" });
            self.next_line();
            return None;
        }
        let Some((before, _)) = line.split_once('=') else {
            self.refuse_line("no `=` in this line", "one KEY=value a line; a value of several lines stands in quotes");
            return None;
        };
        let key = key_of(before);
        if !is_key(key) {
            // What stands there may be the middle of a secret, so it is not shown.
            self.refuse_line("what stands before `=` is not a key", "letters, digits and `_`, no digit first");
            return None;
        }
        let start = self.shown.len() + before.rfind(key).unwrap_or_default();
        let place = start..start + key.len();
        self.shown.push_str(before);
        self.shown.push_str("=…");
        let behind = &self.rest[before.len() + 1..];
        self.rest = behind.trim_start_matches([' ', '\t']);
        let is_blank_before = self.rest.len() < behind.len();
        let value = match self.rest.chars().next() {
            Some(quote @ ('"' | '\'')) => self.quoted(quote, key, &place),
            _ => Some(self.bare(is_blank_before)),
        };
        self.next_line();
        Some((key.to_owned(), place, value?))
    }

    /// To the next line, of which `shown` holds what may be shown of this one.
    fn next_line(&mut self) {
        self.rest = self.rest.split_once('\n').map_or("", |(_, rest)| rest);
        self.shown.push('\n');
    }

    fn refuse_line(&mut self, message: &str, hint: &str) {
        let start = self.shown.len();
        self.shown.push('…');
        self.findings.push(Finding::new(start..self.shown.len(), "", message).hint(hint));
        self.next_line();
    }

    fn bare(&mut self, is_blank_before: bool) -> String {
        let line = self.rest.split('\n').next().unwrap_or_default();
        let is_comment = |(at, _): &(usize, &str)| match line[..*at].chars().next_back() {
            Some(before) => before == ' ' || before == '\t',
            None => is_blank_before,
        };
        let end = line.match_indices('#').find(is_comment).map_or(line.len(), |(at, _)| at);
        line[..end].trim_end().to_owned()
    }

    /// Leaves `rest` on the line where the quote ends, or where it began when it does not.
    fn quoted(&mut self, quote: char, key: &str, place: &Range<usize>) -> Option<String> {
        let Some((value, after)) = unquote(self.rest, quote) else {
            let message = format!("the quote that begins the value of `{key}` has no end");
            self.findings.push(Finding::new(place.clone(), key, message));
            return None;
        };
        let lines = self.rest[..self.rest.len() - after.len()].matches('\n').count();
        self.shown.push_str(&"\n…".repeat(lines));
        self.rest = after;
        let behind = after.split('\n').next().unwrap_or_default();
        let is_comment = behind.starts_with([' ', '\t']) && behind.trim_start().starts_with('#');
        if !behind.trim().is_empty() && !is_comment {
            let message = format!("something follows the closing quote of `{key}`");
            let hint = "a quote inside the value is \\\" in double quotes, or stands in quotes of the other kind";
            self.findings.push(Finding::new(place.clone(), key, message).hint(hint));
            return None;
        }
        Some(value)
    }

    /// What Parameter Store and an environment take.
    fn check(&mut self, key: &str, place: &Range<usize>, value: &str) {
        let (message, hint) = if value.is_empty() {
            (format!("`{key}` has no value, and Parameter Store takes none that is empty"), "remove the line")
        } else if value.len() > LONGEST {
            let message = format!("the value of `{key}` has {} bytes; a parameter holds {LONGEST}", value.len());
            (message, "put it into a bucket and its name here")
        } else if value.contains("{{") {
            let message = format!("the value of `{key}` holds `{{{{`, which Parameter Store refuses");
            (message, "encode it, with base64 for one")
        } else if value.contains('\0') {
            (
                format!("the value of `{key}` holds a NUL character, which no environment can"),
                "encode it, with base64 for one",
            )
        } else {
            return;
        };
        self.findings.push(Finding::new(place.clone(), key, message).hint(hint));
    }
}

/// The value in quotes at the start of `text`, and what comes behind; none where the quote does not end.
fn unquote(text: &str, quote: char) -> Option<(String, &str)> {
    let mut value = String::new();
    let mut chars = text.char_indices().skip(1).peekable();
    while let Some((at, c)) = chars.next() {
        match c {
            c if c == quote => return Some((value, &text[at + c.len_utf8()..])),
            '\\' if quote == '"' => {
                let escaped = chars.peek().and_then(|(_, next)| escape(*next));
                value.push(escaped.unwrap_or('\\'));
                if escaped.is_some() {
                    chars.next();
                }
            }
            // A file from Windows: the line ends are the file's, not the value's.
            '\r' if chars.peek().is_some_and(|(_, next)| *next == '\n') => {}
            c => value.push(c),
        }
    }
    None
}

fn escape(letter: char) -> Option<char> {
    match letter {
        'n' => Some('\n'),
        'r' => Some('\r'),
        't' => Some('\t'),
        '"' | '\\' | '$' => Some(letter),
        _ => None,
    }
}
