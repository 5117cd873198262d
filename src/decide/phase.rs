//! What a box says of itself: its phase, the seconds of each, and the last word that outlives it. Pure.
//!
//! The box writes these as tags (`templates/box/guard.py`); `down` writes the last word of what it ends in the same form.
//! Tags are text that others could have written too, so nothing here trusts their shape.

use std::fmt;

use jiff::Timestamp;
use serde::Serialize;

/// What a tag's value holds, in characters.
const TAG_VALUE: usize = 256;

/// Where a phase stands on the way to `ready`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Standing {
    /// `booting`, `parameters`, `pulling`, `starting`, or nothing yet.
    OnTheWay,
    /// `ready`.
    Ready,
    /// `draining:…` or `failed:…`: this box ends.
    Ending,
}

/// What `down` and `reap` write on a worker that they end, for its box to repeat.
pub const BY_DOWN: &str = "draining:down";
/// See [`BY_DOWN`].
pub const BY_REAP: &str = "draining:reap";

/// Reads a phase; what is not known is on its way, since a newer box may have phases of its own.
#[must_use]
pub fn standing(phase: Option<&str>) -> Standing {
    match phase.map(|phase| phase.split(':').next().unwrap_or_default()) {
        Some("ready") => Standing::Ready,
        Some("draining" | "failed") => Standing::Ending,
        _ => Standing::OnTheWay,
    }
}

/// The seconds after launch at which this phase began, by the box's timeline (`booting=8 parameters=9`).
#[must_use]
pub fn began(timeline: &str, phase: &str) -> Option<u64> {
    let name = phase.split(':').next().unwrap_or_default();
    timeline.split(' ').find_map(|entry| entry.strip_prefix(name)?.strip_prefix('=')?.parse().ok())
}

/// The last word of a worker, as the tag `spotctl:last` of the launch template holds it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct LastWord {
    /// `i-…`.
    pub worker: String,
    /// When it was said, RFC 3339.
    pub at: String,
    /// The phase it ended in.
    pub phase: String,
    /// Seconds after launch of each phase; empty where nobody knew them.
    pub timeline: String,
}

impl LastWord {
    /// Of a worker that is being ended from outside.
    #[must_use]
    pub fn of(worker: &str, now: Timestamp, phase: &str, timeline: Option<&str>) -> Self {
        Self {
            worker: worker.to_owned(),
            at: now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string(),
            phase: phase.to_owned(),
            timeline: timeline.unwrap_or_default().to_owned(),
        }
    }

    /// Reads the tag; `None` where it is none of ours.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (worker, rest) = text.split_once(' ')?;
        let (at, rest) = rest.split_once(' ')?;
        // EC2 cuts blanks off a tag's end, and with an empty timeline that is where the stroke stands.
        let (phase, timeline) = rest.split_once(" / ").unwrap_or((rest.trim_end_matches(" /"), ""));
        let is_ours = worker.starts_with("i-") && at.parse::<Timestamp>().is_ok() && !phase.is_empty();
        is_ours.then(|| Self {
            worker: worker.to_owned(),
            at: at.to_owned(),
            phase: phase.to_owned(),
            timeline: timeline.trim().to_owned(),
        })
    }
}

/// As the tag holds it, cut to a tag's length.
impl fmt::Display for LastWord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = format!("{} {} {} / {}", self.worker, self.at, self.phase, self.timeline);
        f.write_str(&text.chars().take(TAG_VALUE).collect::<String>())
    }
}

/// What a console holds, for a terminal: the last lines up to the box's own last one, without anything that would steer
/// the terminal.
#[must_use]
pub fn console_tail(text: &str, lines: usize) -> Vec<String> {
    let shown = |line: &str| {
        let mut clean = String::new();
        let mut letters = line.chars().peekable();
        while let Some(letter) = letters.next() {
            if letter == '\u{1b}' {
                // A terminal's sequence: an opening bracket, then everything up to its letter.
                if letters.next_if_eq(&'[').is_some() {
                    while letters.next_if(|letter| !letter.is_ascii_alphabetic()).is_some() {}
                    letters.next();
                }
            } else if !letter.is_control() || letter == '\t' {
                clean.push(letter);
            }
        }
        clean
    };
    let mut all: Vec<String> = text.split(['\n', '\r']).map(shown).filter(|line| !line.trim().is_empty()).collect();
    // What follows the box's own last line is the system that goes down.
    if let Some(last) = all.iter().rposition(|line| line.contains("spotctl: ")) {
        all.truncate(last + 1);
    }
    all[all.len().saturating_sub(lines)..].to_vec()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn any_tag_and_any_console_are_read(
            text in "(i-[0-9a-f]{0,3}|[ :=/]|[0-9]{1,30}|ready|draining|failed|1970-01-01T00:00:00Z|\u{1b}\\[?|[\u{0}-\u{ff}]|\\PC){0,20}",
            phase in "(ready|failed:)?\\PC{0,6}",
            lines in 0_usize..4,
        ) {
            let _ = (standing(Some(&text)), began(&text, &phase), began(&phase, &text));
            if let Some(word) = LastWord::parse(&text) {
                let shown = word.to_string();
                prop_assert!(shown.chars().count() <= TAG_VALUE);
                let again = LastWord::parse(&shown);
                prop_assert!(text.chars().count() > 200 || again.as_ref() == Some(&word), "{:?} {:?}", word, again);
            }
            let tail = console_tail(&text, lines);
            prop_assert!(tail.len() <= lines);
            prop_assert!(tail.iter().all(|line| line.chars().all(|letter| !letter.is_control() || letter == '\t')));
        }
    }

    #[test]
    fn a_phase_is_on_its_way_ready_or_ending() {
        for (phase, expected) in [
            (None, Standing::OnTheWay),
            (Some("pulling"), Standing::OnTheWay),
            (Some("dreaming"), Standing::OnTheWay),
            (Some("ready"), Standing::Ready),
            (Some("draining:idle"), Standing::Ending),
            (Some("failed:pulling:no image"), Standing::Ending),
        ] {
            assert_eq!(standing(phase), expected, "{phase:?}");
        }
    }

    #[test]
    fn a_timeline_knows_when_each_phase_began() {
        let timeline = "booting=8 parameters=9 failed=61";
        assert_eq!(began(timeline, "parameters"), Some(9));
        assert_eq!(began(timeline, "failed:pulling:no image"), Some(61));
        assert_eq!(began(timeline, "boot"), None);
        assert_eq!(began("nonsense", "ready"), None);
    }

    #[test]
    fn a_last_word_is_read_back_and_fits_a_tag() {
        let now = Timestamp::from_second(0).unwrap();
        let word = LastWord::of("i-1", now, "failed:pulling:no image a/b:1", Some("booting=8 failed=9"));
        assert_eq!(word.to_string(), "i-1 1970-01-01T00:00:00Z failed:pulling:no image a/b:1 / booting=8 failed=9");
        assert_eq!(LastWord::parse(&word.to_string()).as_ref(), Some(&word));
        let bare = LastWord::of("i-1", now, "draining:down", None);
        assert_eq!(LastWord::parse(bare.to_string().trim_end()), LastWord::parse(&bare.to_string()));
        let long = LastWord { timeline: "ü".repeat(400), ..word };
        assert_eq!(long.to_string().chars().count(), 256);
        for foreign in ["", "hello", "i-1 yesterday ready", "x 1970-01-01T00:00:00Z ready"] {
            assert_eq!(LastWord::parse(foreign), None, "{foreign}");
        }
    }

    #[test]
    fn a_console_cannot_steer_the_terminal() {
        let text = "one\r\n\r\n\u{1b}[31mtwo\u{1b}[0m\u{7}\n\tthree \u{1b}]0;x\u{7}\n";
        assert_eq!(console_tail(text, 2), ["two", "\tthree ]0;x"]);
        assert_eq!(console_tail("", 2), Vec::<String>::new());
        let down = "[1.0] python3[7]: spotctl: the end\n[1.1] systemd[1]: Stopping\n[1.2] reboot: Power down";
        assert_eq!(console_tail(down, 2), ["[1.0] python3[7]: spotctl: the end"]);
    }
}
