//! The document of `why`.

use std::fmt::Write;

use serde::Serialize;

use super::Report;
use crate::decide::phase::LastWord;
use crate::resource::worker::SpotRequest;

/// EC2's reason for a state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct StateReason {
    /// Such as `Client.UserInitiatedShutdown`.
    pub code: String,
    /// One sentence.
    pub message: String,
}

/// `why`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Why {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// `i-…`; absent where no worker is remembered.
    pub id: Option<String>,
    /// One sentence.
    pub why: String,
    /// EC2's state; absent where EC2 has forgotten the instance.
    pub state: Option<String>,
    /// When it was launched, RFC 3339.
    pub launched_at: Option<String>,
    /// EC2's reason.
    pub state_reason: Option<StateReason>,
    /// The Spot request; absent where there was none or EC2 has forgotten it.
    pub spot_request: Option<SpotRequest>,
    /// The phase it was last in.
    pub phase: Option<String>,
    /// Seconds after launch of each phase.
    pub timeline: Option<String>,
    /// What the box, or who ended it, left on the launch template.
    pub last_word: Option<LastWord>,
    /// The last lines of its console.
    pub console: Vec<String>,
    /// What was asked and answered.
    pub sources: Vec<&'static str>,
    /// What AWS has forgotten by now.
    pub forgotten: Vec<&'static str>,
    /// What is there and says nothing.
    pub silent: Vec<&'static str>,
}

impl Report for Why {
    fn text(&self, _color: bool) -> String {
        let Some(id) = &self.id else { return format!("{}\n", self.why) };
        let mut text = format!("{id}: {}\n\n", self.why);
        let mut row = |name: &str, value: Option<String>| {
            if let Some(value) = value.filter(|value| !value.is_empty()) {
                let _ = writeln!(text, "{name:<13}{value}");
            }
        };
        let state = self.state.clone();
        row(
            "state",
            state.map(|state| match &self.state_reason {
                Some(reason) => format!("{state}, {}: {}", reason.code, reason.message),
                None => state,
            }),
        );
        row("launched", self.launched_at.clone());
        row("phase", self.phase.clone());
        row("timeline", self.timeline.as_ref().map(|timeline| spelled(timeline)));
        row(
            "request",
            self.spot_request
                .as_ref()
                .map(|found| format!("{} {}, {}: {}", found.id, found.state, found.status, found.message)),
        );
        row("last word", self.last_word.as_ref().map(|word| format!("{} at {}", word.phase, word.at)));
        row("sources", Some(self.sources.join(", ")));
        row("forgotten", Some(self.forgotten.join(", ")));
        row("silent", Some(self.silent.join(", ")));
        if !self.console.is_empty() {
            text.push_str("\nconsole\n");
            for line in &self.console {
                let _ = writeln!(text, "  {line}");
            }
        }
        text
    }
}

/// `booting=8 ready=61` for people: `booting 8 s, ready 61 s`.
fn spelled(timeline: &str) -> String {
    timeline.split_whitespace().map(|entry| entry.replace('=', " ") + " s").collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_person_reads_the_sentence_first_and_then_who_said_what() {
        let why = Why {
            id: Some("i-1".to_owned()),
            why: "it failed in phase pulling: no image".to_owned(),
            phase: Some("failed:pulling:no image".to_owned()),
            timeline: Some("booting=8 failed=61".to_owned()),
            console: vec!["spotctl: the end".to_owned()],
            sources: vec!["instance tags", "console"],
            forgotten: vec!["spot request"],
            silent: vec!["last word"],
            ..Why::default()
        };
        assert_eq!(
            why.text(false),
            "i-1: it failed in phase pulling: no image\n\n\
             phase        failed:pulling:no image\n\
             timeline     booting 8 s, failed 61 s\n\
             sources      instance tags, console\n\
             forgotten    spot request\n\
             silent       last word\n\
             \nconsole\n  spotctl: the end\n"
        );
    }
}
