//! The two files that a user writes: `spotctl.yaml` and the `.env` beside it.
//!
//! Owns the way from text to [`Spec`], in four steps, each of which adds to one list of findings: `tree` reads YAML with
//! places, `check` holds it against the shape (`file`, which is the JSON schema too), `validate` makes the spec, and
//! `diagnostic` shows what is wrong. No other module sees the YAML library; this one must not know AWS clients nor print.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use secrecy::SecretString;

use crate::spec::Spec;
use diagnostic::Finding;

mod check;
mod diagnostic;
mod env_file;
mod file;
mod template;
mod tree;
mod validate;

#[cfg(test)]
mod tests;

pub use diagnostic::Findings;
pub use template::{env_template, template};

/// Why there is nothing to work with.
#[derive(Debug, thiserror::Error)]
pub enum LoadError {
    /// No such file.
    #[error("no such file")]
    NotFound,
    /// It is there and cannot be read, or is not text.
    #[error("{0}")]
    Unreadable(String),
    /// It was read, and is wrong.
    #[error("{0}")]
    Findings(Findings),
}

/// Reads the file at `path`.
///
/// # Errors
/// It is not there, not readable, or wrong: then with every mistake in it.
pub fn load(path: &Path) -> Result<Spec, LoadError> {
    parse(&read(path)?, path).map_err(LoadError::Findings)
}

/// Reads the `.env` at `path`.
///
/// # Errors
/// As for [`load`]; no finding shows a value.
pub fn load_env(path: &Path) -> Result<BTreeMap<String, SecretString>, LoadError> {
    env_file::parse(&read(path)?, path).map_err(LoadError::Findings)
}

fn read(path: &Path) -> Result<String, LoadError> {
    std::fs::read_to_string(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => LoadError::NotFound,
        io::ErrorKind::InvalidData => LoadError::Unreadable("it is not UTF-8 text".to_owned()),
        _ => LoadError::Unreadable(error.to_string()),
    })
}

/// Reads `text`, the content of `file`, by whose folder `parameters.file` is found.
///
/// # Errors
/// Every mistake, in the order of their places.
pub fn parse(text: &str, file: &Path) -> Result<Spec, Findings> {
    if env_file::is_env(text) {
        let finding = Finding::new(0..0, "", "this is a `.env`, not the file that describes the worker");
        // Nothing of it is shown: it holds secrets.
        return Err(Findings::new(file, "", vec![finding.hint("name that one, and this one in it: parameters.file")]));
    }
    let mut findings = Vec::new();
    let spec = spec(text, file, &mut findings);
    match spec {
        Some(spec) if findings.is_empty() => Ok(spec),
        _ => Err(Findings::new(file, text, findings)),
    }
}

fn spec(text: &str, file: &Path, findings: &mut Vec<Finding>) -> Option<Spec> {
    let (node, found) = tree::read(text);
    findings.extend(found);
    let node = node?;
    if node.value == tree::Value::Null {
        let finding = Finding::new(0..0, "", "the file is empty");
        findings.push(finding.hint("two lines suffice: `name: worker` and `container: {image: IMAGE}`"));
        return None;
    }
    let node = check::check(&file::schema(), &node, findings)?;
    match serde_json::from_value(check::to_json(&node)) {
        Ok(shape) => validate::validate(shape, &node, file.parent().unwrap_or(Path::new("")), findings),
        // `check` lets through what the shape takes, so this is a gap between the two; still no reason to stop at a panic.
        Err(error) => {
            findings.push(Finding::new(0..0, "", format!("not understood: {error}")));
            None
        }
    }
}

/// The JSON schema of `spotctl.yaml`, for editors.
#[must_use]
pub fn schema() -> serde_json::Value {
    file::schema()
}
