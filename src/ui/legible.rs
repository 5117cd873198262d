//! What may stand in a line that a terminal shows. Texts come from AWS, from tags that anybody in the account may write,
//! and from the file; a terminal obeys an escape sequence in any of them, and then a worker's tag could hide a line or
//! paint another.
//!
//! So everything that goes to a terminal goes through here, and what commands it is written out: `\u{1b}`. A report says
//! how something looks by a mark ([`marked`]), which becomes an escape sequence here and nowhere else.

use std::borrow::Cow;
use std::fmt::Write;

use anstyle::{AnsiColor, Style};

/// How a part of a report looks where colour is wanted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Look {
    /// Of a table.
    Heading,
    /// All is well.
    Good,
    /// To know.
    Warning,
    /// Something is wrong.
    Bad,
    /// Not seen.
    Faint,
}

/// Each look's mark. Unicode promises that these stand for no character.
const MARKS: [(Look, char); 5] = [
    (Look::Heading, '\u{fdd0}'),
    (Look::Good, '\u{fdd1}'),
    (Look::Warning, '\u{fdd2}'),
    (Look::Bad, '\u{fdd3}'),
    (Look::Faint, '\u{fdd4}'),
];

/// Ends every look.
const END: char = '\u{fdd5}';

impl Look {
    const fn style(self) -> Style {
        match self {
            Self::Heading => Style::new().bold(),
            Self::Good => AnsiColor::Green.on_default().bold(),
            Self::Warning => AnsiColor::Yellow.on_default().bold(),
            Self::Bad => AnsiColor::Red.on_default().bold(),
            Self::Faint => Style::new().dimmed(),
        }
    }

    fn of(mark: char) -> Option<Self> {
        MARKS.into_iter().find(|(_, its)| *its == mark).map(|(look, _)| look)
    }
}

fn is_mark(letter: char) -> bool {
    letter == END || Look::of(letter).is_some()
}

/// Whether a terminal does something with it other than showing it: controls of ASCII and of Latin-1, what turns the
/// direction of writing, and the line ends that only Unicode knows.
fn is_command(letter: char) -> bool {
    letter.is_control()
        || matches!(
            letter,
            '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}'
        )
}

/// The text as one look.
#[must_use]
pub fn marked(look: Look, text: &str) -> String {
    let mark = MARKS.into_iter().find(|(of, _)| *of == look).map_or(END, |(_, mark)| mark);
    format!("{mark}{}{END}", line(text))
}

/// One line: a line end in it is a blank.
#[must_use]
pub fn line(text: &str) -> Cow<'_, str> {
    written_out(text, |letter| match letter {
        '\n' | '\r' => Some(" "),
        '\t' => Some("\t"),
        _ => None,
    })
}

/// A whole report: its lines stay lines, its marks become what the terminal understands, or nothing.
#[must_use]
pub fn report(text: &str, color: bool) -> String {
    let mut shown = String::with_capacity(text.len());
    let mut looks: Option<Style> = None;
    for letter in text.chars() {
        if is_mark(letter) {
            let end = looks.take();
            looks = Look::of(letter).map(Look::style);
            if color {
                let _ = write!(shown, "{:#}", end.unwrap_or_default());
                let _ = write!(shown, "{}", looks.unwrap_or_default());
            }
        } else if is_command(letter) && letter != '\n' {
            shown.extend(letter.escape_unicode());
        } else {
            shown.push(letter);
        }
    }
    shown
}

/// A JSON document, which escapes by itself what is below a blank, and nothing above `~`.
#[must_use]
pub fn json(document: &str) -> Cow<'_, str> {
    if !document.contains(|letter| is_command(letter) && letter != '\n') {
        return Cow::Borrowed(document);
    }
    let mut shown = String::with_capacity(document.len());
    for letter in document.chars() {
        if is_command(letter) && letter != '\n' {
            // All of them are below U+10000, and none stands outside a text.
            let _ = write!(shown, "\\u{:04x}", u32::from(letter));
        } else {
            shown.push(letter);
        }
    }
    Cow::Owned(shown)
}

/// The same text with another character in the place of each that commands, byte for byte as long, so that places in it
/// stay places. What ASCII knows as a control stays for whoever draws: it has signs of its own for them.
#[must_use]
pub fn same_length(text: &str) -> Cow<'_, str> {
    let is_odd = |letter: char| is_command(letter) && !letter.is_ascii();
    if !text.contains(is_odd) {
        return Cow::Borrowed(text);
    }
    let instead = |letter: char| match letter {
        letter if !is_odd(letter) => letter,
        letter if letter.len_utf8() == 2 => '·',
        _ => char::REPLACEMENT_CHARACTER,
    };
    Cow::Owned(text.chars().map(instead).collect())
}

fn written_out(text: &str, instead: impl Fn(char) -> Option<&'static str>) -> Cow<'_, str> {
    if !text.contains(|letter| is_command(letter) || is_mark(letter)) {
        return Cow::Borrowed(text);
    }
    let mut shown = String::with_capacity(text.len());
    for letter in text.chars() {
        if !is_command(letter) && !is_mark(letter) {
            shown.push(letter);
        } else if let Some(other) = instead(letter) {
            shown.push_str(other);
        } else {
            shown.extend(letter.escape_unicode());
        }
    }
    Cow::Owned(shown)
}

#[cfg(test)]
pub(crate) mod tests {
    use proptest::prelude::*;

    use super::*;

    /// Whether a terminal shows every character of it, line ends beside.
    pub(crate) fn is_legible(text: &str) -> bool {
        !text.contains(|letter| is_command(letter) && letter != '\n' && letter != '\t')
    }

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn nothing_commands_a_terminal(text in "([\u{0}-\u{a0}]|\\PC|[\u{200e}-\u{202f}]|[\u{fdd0}-\u{fdd6}]){0,40}") {
            prop_assert!(is_legible(&line(&text)) && !line(&text).contains('\n'));
            prop_assert!(is_legible(&report(&text, false)));
            let drawn = same_length(&text);
            prop_assert!(drawn.len() == text.len() && drawn.chars().all(|letter| letter.is_ascii() || !is_command(letter)));
            prop_assert!(text.char_indices().map(|(at, _)| at).eq(drawn.char_indices().map(|(at, _)| at)));
            let document = serde_json::json!({ "text": text }).to_string();
            let shown = json(&document);
            prop_assert!(is_legible(&shown));
            let read: serde_json::Value = serde_json::from_str(&shown).unwrap();
            prop_assert_eq!(read["text"].as_str(), Some(text.as_str()));
        }

        #[test]
        fn in_colour_the_only_commands_are_our_own(text in "(\u{1b}|[\\[0-9m]|\\PC){0,20}") {
            let shown = report(&format!("{} {}", marked(Look::Bad, &text), line(&text)), true);
            let (begin, end) = (format!("{}", Look::Bad.style()), format!("{:#}", Look::Bad.style()));
            let rest = shown.strip_prefix(&begin).and_then(|rest| rest.split_once(&end));
            prop_assert!(rest.is_some_and(|(one, other)| is_legible(one) && is_legible(other)), "{:?}", shown);
        }
    }

    #[test]
    fn what_commands_is_written_out_and_all_else_stays() {
        assert_eq!(line("größe\t日本 \u{1b}[2J\u{9b}1m\r\nx\u{202e}"), "größe\t日本 \\u{1b}[2J\\u{9b}1m  x\\u{202e}");
        assert_eq!(report("a\nb\u{7}\n", false), "a\nb\\u{7}\n");
        assert_eq!(report(&marked(Look::Heading, "ID"), true), "\u{1b}[1mID\u{1b}[0m");
        assert_eq!(report(&marked(Look::Heading, "ID"), false), "ID");
    }
}
