//! What users read on stdout: one value a command, as text and as JSON.
//!
//! With `-o json` stdout holds exactly one document, on failure too: the command's normal fields with everything known so
//! far, plus `error`. Money is a decimal string in USD, times RFC 3339 in UTC.

use serde::Serialize;
use serde_json::{Map, Value, json};

use crate::error::Error;
use crate::settings::Output;
use crate::ui::{Ui, legible};

pub mod chart;
pub mod choice;
pub mod doctor;
pub mod foundation;
pub mod prices;
pub mod quota;
pub mod stacks;
pub mod table;
pub mod why;
pub mod workers;

/// The document's format; a change that breaks readers raises it.
const FORMAT: u32 = 1;

/// Something a command answers.
pub trait Report: Serialize {
    /// For people, in colour by marks; ends with a newline unless empty.
    fn text(&self, color: bool) -> String;

    /// Whether it says nothing. After a failure "nothing" would be a claim that nobody checked, so it is not printed.
    fn is_empty(&self) -> bool {
        false
    }
}

/// Writes the report, and the failure where there is one.
pub fn write(ui: &Ui, command: &str, report: &impl Report, error: Option<&Error>) {
    match ui.output {
        Output::Text if error.is_some() && report.is_empty() => {}
        Output::Text => {
            let color = ui.colors_data();
            ui.data(&legible::report(&ui.complete(&report.text(color)), color));
        }
        Output::Json => ui.data(&document(ui, command, report, error)),
    }
    if let Some(error) = error {
        ui.error(error);
    }
}

/// Writes a failure that came before there was anything to report.
pub fn write_failure(ui: &Ui, command: &str, error: &Error) {
    if ui.output == Output::Json {
        ui.data(&document(ui, command, &Map::new(), Some(error)));
    }
    ui.error(error);
}

fn document(ui: &Ui, command: &str, report: &impl Serialize, error: Option<&Error>) -> String {
    let mut document = Map::new();
    document.insert("format".to_owned(), json!(FORMAT));
    document.insert("command".to_owned(), json!(command));
    match serde_json::to_value(report) {
        Ok(Value::Object(fields)) => document.extend(fields),
        Ok(other) => drop(document.insert("result".to_owned(), other)),
        Err(error) => drop(document.insert("result".to_owned(), json!(error.to_string()))),
    }
    if let Some(error) = error {
        document.insert("error".to_owned(), failure(error));
    }
    let mut document = Value::Object(document);
    complete(ui, &mut document);
    legible::json(&format!("{document:#}\n")).into_owned()
}

/// What tells to run something, wherever it stands in the document.
const ADVICE: [&str; 3] = ["advice", "hints", "notes"];

fn complete(ui: &Ui, value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for (name, field) in fields.iter_mut() {
                match field {
                    Value::String(text) if ADVICE.contains(&name.as_str()) => *text = ui.complete(text),
                    Value::Array(texts) if ADVICE.contains(&name.as_str()) => {
                        for text in texts.iter_mut() {
                            if let Value::String(text) = text {
                                *text = ui.complete(text);
                            }
                        }
                    }
                    other => complete(ui, other),
                }
            }
        }
        Value::Array(items) => items.iter_mut().for_each(|item| complete(ui, item)),
        _ => {}
    }
}

fn failure(error: &Error) -> Value {
    let mut fields = json!({
        "kind": error.kind.as_str(),
        "code": error.code,
        "message": error.message,
        "hints": error.hints,
        "leftovers": error.leftovers,
        "request_id": error.request_id,
    });
    if !error.console.is_empty() {
        fields["console"] = json!(error.console);
    }
    if let Some(findings) = &error.findings {
        fields["findings"] = findings.list.clone();
    }
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::{Kind, Leftover};
    use crate::spec::Usd;

    #[test]
    fn a_failure_keeps_what_is_known_and_names_what_is_left() {
        let ui = Ui::new(Output::Json, true, crate::settings::Color::Never);
        let mut error = Error::new(Kind::Capacity, "no").hint("spotctl down").code("Insufficient");
        error.leftovers = vec![Leftover {
            kind: "instance".to_owned(),
            id: "i-1".to_owned(),
            usd_per_hour: Some(Usd::from_micros(1000)),
        }];
        let document: Value = serde_json::from_str(&document(&ui, "up", &json!({"stack": "w"}), Some(&error))).unwrap();
        assert_eq!(
            document,
            json!({
                "format": 1,
                "command": "up",
                "stack": "w",
                "error": {
                    "kind": "capacity",
                    "code": "Insufficient",
                    "message": "no",
                    "hints": ["spotctl down"],
                    "leftovers": [{"kind": "instance", "id": "i-1", "usd_per_hour": "0.001"}],
                    "request_id": null,
                },
            })
        );
    }
}
