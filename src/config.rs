//! The file and the `.env`: text in, [`Spec`] and values out, all mistakes at once.
//!
//! ```text
//! text → tree (the YAML library, with places) → read (known keys, types, values, by the table in `keys`) → spec
//! ```
//!
//! No other module sees the YAML library, and this one sees no AWS client.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use secrecy::SecretString;

use crate::spec::Spec;

mod diagnostic;
mod env_file;
mod keys;
mod read;
mod rules;
mod tree;

pub use diagnostic::{Finding, Findings};

/// Why there is no spec, or no values.
#[derive(Debug)]
pub enum LoadError {
    /// There is no such file.
    NotFound,
    /// It is there and cannot be read: why.
    Unreadable(String),
    /// It is wrong.
    Findings(Findings),
}

impl From<io::Error> for LoadError {
    fn from(error: io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::NotFound => Self::NotFound,
            _ => Self::Unreadable(error.to_string()),
        }
    }
}

/// Reads and checks the file.
///
/// # Errors
/// It is not there, cannot be read, or is wrong.
pub fn load(path: &Path) -> Result<Spec, LoadError> {
    parse(&std::fs::read_to_string(path)?, path).map_err(LoadError::Findings)
}

/// Checks a text as if it stood in `file`, whose folder `parameters.file` is relative to.
///
/// # Errors
/// Every mistake.
pub fn parse(text: &str, file: &Path) -> Result<Spec, Findings> {
    let root = tree::parse(text).map_err(|finding| Findings::new(file, text, vec![finding]))?;
    let mut reader = read::Reader::new(text);
    let spec = reader.file(&root, file.parent().unwrap_or(Path::new("")));
    match spec {
        Some(spec) if reader.findings.is_empty() => Ok(spec),
        _ => Err(Findings::new(file, text, reader.findings)),
    }
}

/// Reads and checks a `.env`.
///
/// # Errors
/// It is not there, cannot be read, or is wrong.
pub fn load_env(path: &Path) -> Result<BTreeMap<String, SecretString>, LoadError> {
    env_file::parse(&std::fs::read_to_string(path)?, path).map_err(LoadError::Findings)
}

/// The JSON schema of the file.
#[must_use]
pub fn schema() -> serde_json::Value {
    keys::schema()
}

/// The commented file that `init` writes.
#[must_use]
pub fn template(name: &str) -> String {
    keys::template(name)
}

/// The `.env` that `init` writes.
#[must_use]
pub fn env_template() -> &'static str {
    include_str!("../templates/env")
}

#[cfg(test)]
mod tests;
