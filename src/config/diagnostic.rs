//! Findings: what is wrong with a file, where, and what was probably meant. Drawn with lines and carets by
//! annotate-snippets, and listed for programs.

use std::fmt;
use std::ops::Range;
use std::path::{Path, PathBuf};

use annotate_snippets::{AnnotationKind, Level, Renderer, Snippet};
use serde_json::{Value, json};

/// One mistake.
#[derive(Clone, PartialEq, Eq)]
pub struct Finding {
    /// Bytes of the text it is about.
    pub at: Range<usize>,
    /// The key, such as `instance.volume.size`; empty where there is none.
    pub key: String,
    /// One sentence.
    pub message: String,
    /// What was probably meant, or what to do.
    pub hint: Option<String>,
}

/// All mistakes of one file, in its order.
#[derive(Clone)]
pub struct Findings {
    file: PathBuf,
    /// What is shown: for a `.env` with its values masked, at the same positions.
    text: String,
    list: Vec<Finding>,
}

/// Never the text: a `.env` holds secrets.
impl fmt::Debug for Findings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Findings").field("file", &self.file).field("list", &self.list).finish_non_exhaustive()
    }
}

impl fmt::Debug for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} at {:?}: {}", self.key, self.at, self.message)
    }
}

impl Findings {
    /// Sorted by place; `text` is what may be shown.
    #[must_use]
    pub(super) fn new(file: &Path, text: &str, mut list: Vec<Finding>) -> Self {
        list.sort_by(|a, b| (a.at.start, a.at.end, &a.message).cmp(&(b.at.start, b.at.end, &b.message)));
        list.dedup();
        Self { file: file.to_owned(), text: text.to_owned(), list }
    }

    /// How many.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "there is always one at least")]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// With lines and carets.
    #[must_use]
    pub fn render(&self, color: bool) -> String {
        let renderer = if color { Renderer::styled() } else { Renderer::plain() };
        let path = self.file.display().to_string();
        let drawn = self.list.iter().map(|finding| {
            let at = self.inside(&finding.at);
            let snippet = Snippet::source(&self.text).path(&path).annotation(AnnotationKind::Primary.span(at));
            let mut group = Level::ERROR.primary_title(&finding.message).element(snippet);
            if let Some(hint) = &finding.hint {
                group = group.element(Level::HELP.message(hint));
            }
            renderer.render(&[group])
        });
        drawn.collect::<Vec<_>>().join("\n\n")
    }

    /// One object a finding.
    #[must_use]
    pub fn to_json(&self) -> Value {
        let rows = self.list.iter().map(|finding| {
            let (line, column) = self.position(finding.at.start);
            json!({
                "file": self.file.display().to_string(),
                "line": line,
                "column": column,
                "key": finding.key,
                "message": finding.message,
                "hint": finding.hint,
            })
        });
        Value::Array(rows.collect())
    }

    /// Line and column, from one.
    fn position(&self, byte: usize) -> (usize, usize) {
        let before = &self.text[..self.inside(&(byte..byte)).start];
        let line = before.matches('\n').count() + 1;
        let column = before.rsplit('\n').next().unwrap_or_default().chars().count() + 1;
        (line, column)
    }

    /// A range that can be drawn: within the text, on character boundaries.
    fn inside(&self, at: &Range<usize>) -> Range<usize> {
        let clamp = |byte: usize| {
            let byte = byte.min(self.text.len());
            (0..=byte).rev().find(|byte| self.text.is_char_boundary(*byte)).unwrap_or(0)
        };
        let start = clamp(at.start);
        start..clamp(at.end).max(start)
    }
}

/// `did you mean …`, when something known is close enough.
pub(super) fn meant<'a>(word: &str, known: impl IntoIterator<Item = &'a str>) -> Option<String> {
    const CLOSE: f64 = 0.75;
    let scored = known.into_iter().map(|candidate| (strsim::jaro_winkler(word, candidate), candidate));
    let best = scored.filter(|(score, _)| *score >= CLOSE).max_by(|a, b| a.0.total_cmp(&b.0));
    best.map(|(_, candidate)| format!("did you mean `{candidate}`?"))
}
