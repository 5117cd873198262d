//! The document of `doctor`.

use std::fmt::Write;

use serde::Serialize;

use super::Report;
use crate::doctor::{Check, Status};
use crate::ui::legible::{self, Look, marked};

/// `doctor`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Doctor {
    /// The stack.
    pub stack: String,
    /// The region.
    pub region: String,
    /// Whether no check failed.
    pub ok: bool,
    /// One a question.
    pub checks: Vec<Check>,
}

impl Report for Doctor {
    fn text(&self, color: bool) -> String {
        let widest = self.checks.iter().map(|check| check.name.len()).max().unwrap_or_default();
        let mut text = String::new();
        for check in &self.checks {
            let word = check.status.as_str();
            let word = format!("{word:<4}");
            let word = if color { marked(look(check.status), &word) } else { word };
            let _ = writeln!(text, "{word}  {:<widest$}  {}", check.name, legible::line(&check.evidence));
            for line in check.advice.iter().flat_map(|advice| advice.lines()).map(legible::line) {
                let _ = writeln!(text, "{:indent$}{line}", "", indent = 4 + 2 + widest + 2 + 2);
            }
        }
        if !self.checks.is_empty() {
            let _ = writeln!(text, "\n{}", self.summary());
        }
        text
    }

    fn is_empty(&self) -> bool {
        self.checks.is_empty()
    }
}

impl Doctor {
    fn summary(&self) -> String {
        let count = |status| self.checks.iter().filter(|check| check.status == status).count();
        let parts =
            [(Status::Fail, "failed"), (Status::Warn, "to know"), (Status::Skip, "not seen"), (Status::Ok, "ok")];
        let parts = parts.map(|(status, word)| (count(status), word));
        let words: Vec<String> =
            parts.iter().filter(|(count, _)| *count > 0).map(|(count, word)| format!("{count} {word}")).collect();
        words.join(", ")
    }
}

fn look(status: Status) -> Look {
    match status {
        Status::Ok => Look::Good,
        Status::Warn => Look::Warning,
        Status::Fail => Look::Bad,
        Status::Skip => Look::Faint,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &'static str, status: Status, advice: Option<&str>) -> Check {
        Check { name, status, evidence: format!("evidence of {name}"), advice: advice.map(str::to_owned) }
    }

    #[test]
    fn a_line_a_check_with_the_status_first_and_the_advice_below() {
        let report = Doctor {
            checks: vec![
                check("clock", Status::Ok, None),
                check("spot-role", Status::Fail, Some("one\ntwo")),
                check("quota", Status::Skip, None),
            ],
            ..Doctor::default()
        };
        assert_eq!(
            report.text(false),
            "ok    clock      evidence of clock\n\
             fail  spot-role  evidence of spot-role\n                   one\n                   two\n\
             skip  quota      evidence of quota\n\n1 failed, 1 not seen, 1 ok\n"
        );
        assert!(legible::report(&report.text(true), true).contains("\u{1b}["), "no colour");
    }

    #[test]
    fn the_document_has_the_contracts_fields() {
        let report = Doctor { ok: true, checks: vec![check("clock", Status::Ok, None)], ..Doctor::default() };
        let document = serde_json::to_value(&report).unwrap();
        assert_eq!(
            document["checks"][0],
            serde_json::json!({"name": "clock", "status": "ok", "evidence": "evidence of clock", "advice": null})
        );
        assert_eq!(document["ok"], serde_json::json!(true));
    }
}
