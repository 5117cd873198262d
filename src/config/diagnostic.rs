//! What is wrong with a file, and where: kept in order, shown to people with the line and a caret, or as JSON.
//!
//! Owns nothing but places in a text. It must not know what a key means; and it shows the text it was given, so whoever
//! reads secrets (`env_file`) gives it a copy without them.

use std::fmt;
use std::ops::Range;
use std::path::Path;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};
use serde_json::json;

use crate::ui::legible;

/// One mistake.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    /// Bytes of the shown text.
    pub(super) span: Range<usize>,
    /// The key as a path, such as `instance.volume.size`; empty for the file itself.
    pub(super) key: String,
    /// Lower case, no full stop.
    pub(super) message: String,
    /// What to do about it.
    pub(super) hint: Option<String>,
    /// Another place that belongs to it, and why.
    pub(super) other: Option<(Range<usize>, &'static str)>,
    /// A secret in the text, which no snippet may show: neither this finding's nor another's on the same line.
    pub(super) hidden: Option<Range<usize>>,
}

impl Finding {
    pub(super) fn new(span: Range<usize>, key: impl Into<String>, message: impl Into<String>) -> Self {
        Self { span, key: key.into(), message: message.into(), hint: None, other: None, hidden: None }
    }

    #[must_use]
    pub(super) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    #[must_use]
    pub(super) fn other(mut self, span: Range<usize>, label: &'static str) -> Self {
        self.other = Some((span, label));
        self
    }

    #[must_use]
    pub(super) fn hide(mut self, span: Range<usize>) -> Self {
        self.hidden = Some(span);
        self
    }
}

/// All mistakes of one file, in the order of their places.
#[derive(Clone, PartialEq, Eq)]
pub struct Findings {
    file: String,
    text: String,
    list: Vec<Finding>,
}

impl Findings {
    /// `text` is what a snippet shows: the file itself, or a copy without its secrets.
    pub(super) fn new(file: &Path, text: &str, mut list: Vec<Finding>) -> Self {
        let text = masked(text, list.iter().filter_map(|finding| finding.hidden.as_ref()));
        let text = text.as_str();
        for finding in &mut list {
            finding.span = first_line(text, &finding.span);
            finding.other = finding.other.take().map(|(span, label)| (first_line(text, &span), label));
        }
        // Stable, so two findings at one place stay in the order in which the rules are written.
        list.sort_by_key(|finding| (finding.span.start, finding.span.end));
        list.dedup();
        Self { file: file.display().to_string(), text: text.to_owned(), list }
    }

    /// How many.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// For people: each with its line, a caret under the value and what to do, with a blank line between.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let mut shown: Vec<String> = Vec::new();
        // The renderer has signs for controls of ASCII and for some others; no other reaches a terminal either.
        let (text, file) = (legible::same_length(&self.text), legible::line(&self.file));
        for finding in &self.list {
            let (message, hint) = (legible::line(&finding.message), finding.hint.as_deref().map(legible::line));
            let mut snippet =
                Snippet::source(&*text).path(&*file).annotation(AnnotationKind::Primary.span(finding.span.clone()));
            if let Some((span, label)) = &finding.other {
                snippet = snippet.annotation(AnnotationKind::Context.span(span.clone()).label(*label));
            }
            let mut group: Group<'_> = Level::ERROR.primary_title(&*message).element(snippet);
            if let Some(hint) = &hint {
                group = group.element(Level::HELP.message(&**hint));
            }
            shown.push(renderer.render(&[group]).trim_end().to_owned());
        }
        shown.join("\n\n")
    }

    /// For programs: a list of `{file, line, column, key, message, hint}`, lines and columns from 1, columns in characters.
    #[must_use]
    pub fn to_json(&self) -> serde_json::Value {
        let list = self.list.iter().map(|finding| {
            let (line, column) = self.place(finding.span.start);
            json!({
                "file": self.file,
                "line": line,
                "column": column,
                "key": finding.key,
                "message": finding.message,
                "hint": finding.hint,
            })
        });
        serde_json::Value::Array(list.collect())
    }

    fn place(&self, at: usize) -> (usize, usize) {
        let before = &self.text[..at];
        let line_start = before.rfind('\n').map_or(0, |newline| newline + 1);
        (before.matches('\n').count() + 1, before[line_start..].chars().count() + 1)
    }
}

/// `file:line:column: message`, one a line.
impl fmt::Display for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, finding) in self.list.iter().enumerate() {
            let (line, column) = self.place(finding.span.start);
            let newline = if index == 0 { "" } else { "\n" };
            write!(f, "{newline}{}:{line}:{column}: {}", self.file, finding.message)?;
        }
        Ok(())
    }
}

impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for Findings {}

/// The text with stars in place of what is hidden, byte for byte, so that every place stays where it is.
fn masked<'a>(text: &str, hidden: impl Iterator<Item = &'a Range<usize>>) -> String {
    let mut shown = text.to_owned();
    for span in hidden {
        let start = text.floor_char_boundary(span.start.min(text.len()));
        let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
        let mask: String = text[start..end].bytes().map(|byte| if byte == b'\n' { '\n' } else { '*' }).collect();
        shown.replace_range(start..end, &mask);
    }
    shown
}

/// The part of `span` that stands on its first line, inside `text` and between whole characters: a snippet of a section
/// of thirty lines shows nobody where to look, and a place outside the text is no place.
fn first_line(text: &str, span: &Range<usize>) -> Range<usize> {
    let start = text.floor_char_boundary(span.start.min(text.len()));
    let end = text.ceil_char_boundary(span.end.clamp(start, text.len()));
    let line = text[start..end].find(['\n', '\r']).map_or(end, |newline| start + newline);
    let shown = text[start..line].trim_end();
    start..start + shown.len()
}

/// The known word that `word` was most likely meant to be.
pub(super) fn did_you_mean<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    let word = word.to_lowercase();
    let ranked = known.into_iter().filter_map(|candidate| {
        let mut score = strsim::jaro_winkler(&word, &candidate.to_lowercase());
        // `size_gib` for `size`, `cheap` for `cheapest`: a part of the word is a likely slip that jaro-winkler rates low.
        if word.len() >= 3 && candidate.starts_with(word.as_str()) {
            score = score.max(0.99);
        } else if candidate.len() >= 3
            && word.len() >= 3
            && (word.contains(candidate) || candidate.contains(word.as_str()))
        {
            score = score.max(0.9);
        }
        (score > 0.79).then_some((score, candidate))
    });
    ranked.max_by(|(one, _), (two, _)| one.total_cmp(two)).map(|(_, candidate)| candidate)
}
