//! The `.env`: what people write, read without changing a value.
//!
//! Known parsers substitute `$NAME`, which would corrupt a secret that holds a dollar, and tell no place. The grammar:
//!
//! ```text
//! line    = [ "export" ] key "=" value [ comment ] | comment | nothing
//! value   = '…' taken literally, over lines | "…" with \n \r \t \" \\ \$, over lines | plain text to the line's end
//! comment = "#" at the line's start, or behind a blank
//! ```
//!
//! No value, and nothing of one, is in any finding: the text that findings show has every value masked.

use std::collections::BTreeMap;
use std::ops::Range;
use std::path::Path;

use secrecy::{ExposeSecret, SecretString};

use super::diagnostic::{Finding, Findings};
use crate::spec::is_key;

/// Parameter Store's limit for a standard parameter, which is free.
const LARGEST: usize = 4096;

/// Reads all lines.
///
/// # Errors
/// Every mistake, with its line.
pub(super) fn parse(text: &str, file: &Path) -> Result<BTreeMap<String, SecretString>, Findings> {
    let mut reader = Reader { text, at: 0, findings: Vec::new(), values: Vec::new(), masked: Vec::new() };
    if text.starts_with('\u{feff}') {
        reader.at = '\u{feff}'.len_utf8();
    }
    while reader.at < text.len() {
        reader.line();
    }
    let mut read: BTreeMap<String, SecretString> = BTreeMap::new();
    for (key, at, value) in std::mem::take(&mut reader.values) {
        reader.check(&key, &at, &value);
        if read.insert(key.clone(), value).is_some() {
            reader.find(at, &key, format!("`{key}` is set a second time"), Some("keep one of the lines".to_owned()));
        }
    }
    if reader.findings.is_empty() {
        return Ok(read);
    }
    let shown = mask(text, &reader.masked);
    Err(Findings::new(file, &shown, reader.findings))
}

/// The text with these parts replaced by as many asterisks, line breaks kept, so that places stay right.
fn mask(text: &str, parts: &[Range<usize>]) -> String {
    let hidden = |byte: usize| parts.iter().any(|part| part.contains(&byte));
    text.char_indices()
        .flat_map(|(byte, c)| {
            let is_hidden = hidden(byte) && c != '\n' && c != '\r';
            let times = if is_hidden { c.len_utf8() } else { 1 };
            std::iter::repeat_n(if is_hidden { '*' } else { c }, times)
        })
        .collect()
}

struct Reader<'a> {
    text: &'a str,
    at: usize,
    findings: Vec<Finding>,
    values: Vec<(String, Range<usize>, SecretString)>,
    masked: Vec<Range<usize>>,
}

impl Reader<'_> {
    fn find(&mut self, at: Range<usize>, key: &str, message: String, hint: Option<String>) {
        self.findings.push(Finding { at, key: key.to_owned(), message, hint });
    }

    fn line_end(&self, from: usize) -> usize {
        self.text[from..].find('\n').map_or(self.text.len(), |length| from + length)
    }

    /// One line, or several where a quoted value goes over them.
    fn line(&mut self) {
        let (start, end) = (self.at, self.line_end(self.at));
        self.at = end + 1;
        let line = self.text[start..end].trim_end_matches('\r');
        let trimmed = line.trim_start();
        if trimmed.is_empty() || trimmed.starts_with('#') {
            return;
        }
        let mut key_start = start + (line.len() - trimmed.len());
        if let Some(rest) = trimmed.strip_prefix("export").filter(|rest| rest.starts_with([' ', '\t'])) {
            key_start = start + line.len() - rest.trim_start().len();
        }
        let Some(equals) = self.text[key_start..start + line.len()].find('=') else {
            // What it is nobody knows, so it is not shown.
            self.masked.push(key_start..start + line.len());
            self.find(
                key_start..start + line.len(),
                "",
                "no `=` in this line".to_owned(),
                Some("write KEY=value".to_owned()),
            );
            return;
        };
        let key = self.text[key_start..key_start + equals].trim().to_owned();
        let key_at = key_start..key_start + self.text[key_start..key_start + equals].trim_end().len();
        let after = key_start + equals + 1;
        let value_start = after
            + (self.text[after..start + line.len()].len() - self.text[after..start + line.len()].trim_start().len());
        let value = self.value(&key, value_start, start + line.len());
        if !is_key(&key) {
            // A key that is none may be a part of a value that was torn apart.
            self.masked.push(key_at.clone());
            let message = "this is not a key: letters, digits and `_`, and no digit first".to_owned();
            self.find(key_at, "", message, None);
            return;
        }
        if let Some(value) = value {
            self.values.push((key, key_at, value));
        }
    }

    fn value(&mut self, key: &str, start: usize, line_end: usize) -> Option<SecretString> {
        match self.text[start..line_end].chars().next() {
            Some(quote @ ('\'' | '"')) => self.quoted(key, start, quote),
            _ => {
                let line = &self.text[start..line_end];
                let comment = line
                    .char_indices()
                    .find(|(byte, c)| *c == '#' && (*byte == 0 || line[..*byte].ends_with([' ', '\t'])));
                let value = line[..comment.map_or(line.len(), |(byte, _)| byte)].trim();
                self.masked.push(start..start + value.len());
                Some(SecretString::from(value))
            }
        }
    }

    /// From the opening quote to the closing one, which may stand lines below.
    fn quoted(&mut self, key: &str, start: usize, quote: char) -> Option<SecretString> {
        let mut value = String::new();
        let mut characters = self.text[start + 1..].char_indices();
        while let Some((byte, c)) = characters.next() {
            match c {
                _ if c == quote => {
                    let close = start + 1 + byte;
                    self.masked.push(start + 1..close);
                    self.rest(key, close + 1);
                    return Some(SecretString::from(value));
                }
                '\\' if quote == '"' => match characters.next() {
                    Some((_, 'n')) => value.push('\n'),
                    Some((_, 'r')) => value.push('\r'),
                    Some((_, 't')) => value.push('\t'),
                    Some((_, escaped @ ('"' | '\\' | '$'))) => value.push(escaped),
                    // Not an escape: both characters are meant.
                    Some((_, other)) => value.extend(['\\', other]),
                    None => {}
                },
                _ => value.push(c),
            }
        }
        self.masked.push(start + 1..self.text.len());
        self.at = self.text.len();
        self.find(start..start + 1, key, format!("the quote of `{key}` is never closed"), None);
        None
    }

    /// Behind a closing quote only a comment may stand.
    fn rest(&mut self, key: &str, from: usize) {
        let end = self.line_end(from);
        self.at = end + 1;
        let rest = &self.text[from..end];
        let trimmed = rest.trim();
        if !(trimmed.is_empty() || (trimmed.starts_with('#') && rest.starts_with([' ', '\t']))) {
            self.masked.push(from..end);
            let message = format!("something stands behind the closing quote of `{key}`");
            self.find(from..end, key, message, Some("quotes within quotes are written \\\"".to_owned()));
        }
    }

    /// What Parameter Store would refuse.
    fn check(&mut self, key: &str, at: &Range<usize>, value: &SecretString) {
        let value = value.expose_secret();
        let wrong = if value.is_empty() {
            Some((
                format!("`{key}` is empty, and Parameter Store takes no empty value"),
                "remove the line, or write what the worker takes for nothing",
            ))
        } else if value.len() > LARGEST {
            let size = value.len();
            Some((
                format!("`{key}` has {size} bytes, and a standard parameter holds {LARGEST}"),
                "put it into a bucket, and its name here",
            ))
        } else if value.contains("{{") {
            Some((format!("`{key}` holds `{{{{`, which Parameter Store refuses"), "encode it, for instance as base64"))
        } else if value.contains('\0') {
            Some((
                format!("`{key}` holds a NUL byte, which no environment variable can"),
                "encode it, for instance as base64",
            ))
        } else {
            None
        };
        if let Some((message, hint)) = wrong {
            self.find(at.clone(), key, message, Some(hint.to_owned()));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> BTreeMap<String, String> {
        let read = parse(text, Path::new(".env")).unwrap();
        read.into_iter().map(|(key, value)| (key, value.expose_secret().to_owned())).collect()
    }

    #[test]
    fn what_people_write_is_what_they_meant() {
        for (line, value) in [
            ("K=v", "v"),
            ("export K=v", "v"),
            ("  K = v  ", "v"),
            ("K=a=b==", "a=b=="),
            ("K=v # comment", "v"),
            ("K=v#no comment", "v#no comment"),
            ("K='a $b \\n \"c\"'", "a $b \\n \"c\""),
            (r#"K="a\nb\t\"c\" \\ \$d \e""#, "a\nb\t\"c\" \\ $d \\e"),
            ("K=\"two\nlines\"", "two\nlines"),
            ("K='two\r\nlines' # yes", "two\r\nlines"),
            ("K=pa$$word", "pa$$word"),
            ("K=https://x/y?z=1#top", "https://x/y?z=1#top"),
            ("\u{feff}K=v\r", "v"),
            ("K=\"'\"", "'"),
            ("# K=x\n\nK=ü", "ü"),
        ] {
            assert_eq!(read(line), BTreeMap::from([("K".to_owned(), value.to_owned())]), "{line:?}");
        }
    }

    #[test]
    fn every_mistake_has_its_line_and_no_value_is_shown() {
        let text = "EMPTY=\nA=hush\nA=hush2\n1BAD=hush\nno equals hush\nQ='hush' hush\nT={{hush}}\nOPEN=\"hush\nhush";
        let findings = parse(text, Path::new(".env")).unwrap_err();
        insta::assert_snapshot!(findings.render(false), @r#"
        error: `EMPTY` is empty, and Parameter Store takes no empty value
         --> .env:1:1
          |
        1 | EMPTY=
          | ^^^^^
          |
          = help: remove the line, or write what the worker takes for nothing

        error: `A` is set a second time
         --> .env:3:1
          |
        3 | A=*****
          | ^
          |
          = help: keep one of the lines

        error: this is not a key: letters, digits and `_`, and no digit first
         --> .env:4:1
          |
        4 | ****=****
          | ^^^^

        error: no `=` in this line
         --> .env:5:1
          |
        5 | **************
          | ^^^^^^^^^^^^^^
          |
          = help: write KEY=value

        error: something stands behind the closing quote of `Q`
         --> .env:6:9
          |
        6 | Q='****'*****
          |         ^^^^^
          |
          = help: quotes within quotes are written \"

        error: `T` holds `{{`, which Parameter Store refuses
         --> .env:7:1
          |
        7 | T=********
          | ^
          |
          = help: encode it, for instance as base64

        error: the quote of `OPEN` is never closed
         --> .env:8:6
          |
        8 | OPEN="****
          |      ^
        "#);
        assert!(!format!("{findings:?}").contains("hush"));
    }

    proptest! {
        #[test]
        fn a_quoted_value_comes_back_as_it_was(value in "[^\0]{1,200}") {
            prop_assume!(!value.contains("{{"));
            let quoted: String = value.chars().flat_map(|c| match c {
                '"' | '\\' | '$' => vec!['\\', c],
                '\n' => vec!['\\', 'n'],
                '\r' => vec!['\\', 'r'],
                c => vec![c],
            }).collect();
            prop_assert_eq!(&read(&format!("K=\"{quoted}\" # c\n"))["K"], &value);
        }

        #[test]
        fn no_text_makes_it_panic(text in "(?s).{0,200}") {
            let _ = parse(&text, Path::new(".env")).map_err(|findings| (findings.render(false), findings.to_json()));
        }
    }
}
