//! What a parameter may be called.

use super::validation;
use crate::sandbox::call::AwsError;

/// Levels of a path.
const LEVELS: usize = 15;
/// Characters of a name, the ARN before it not counted.
const LENGTH: usize = 1011;

/// Checks a name for `PutParameter`.
pub(super) fn check(name: &str) -> Result<(), AwsError> {
    if name.is_empty() || name.len() > LENGTH {
        return Err(validation(format!(
            "1 validation error detected: Value at 'name' failed to satisfy constraint: Member must have length 1 to {LENGTH}"
        )));
    }
    // The rule concerns the start of the full name only: `/team/AWS_REGION` is fine.
    let start = name.trim_start_matches('/').to_ascii_lowercase();
    if start == "aws" || start.starts_with("aws/") {
        return Err(AwsError::new("AccessDeniedException", format!("No access to reserved parameter name: {name}.")));
    }
    if start.starts_with("aws") || start.starts_with("ssm") {
        return Err(validation(
            "Parameter name: can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). If formed as a path, it can consist \
             of sub-paths divided by slash symbol; each sub-path can be formed as a mix of letters, numbers and the following \
             3 symbols .-_",
        ));
    }
    if name.contains('/') && !name.starts_with('/') {
        return Err(validation("Parameter name must be a fully qualified name."));
    }
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || ".-_/".contains(letter);
    if !name.chars().all(is_allowed) || name.ends_with('/') || name.contains("//") {
        return Err(validation(
            "Parameter name: can only consist of letters, numbers and the following 3 symbols .-_, in sub-paths divided by \
             slash symbol.",
        ));
    }
    if name.split('/').filter(|level| !level.is_empty()).count() > LEVELS {
        return Err(AwsError::new(
            "HierarchyLevelLimitExceededException",
            format!("Hierarchy depth of {name} is over {LEVELS} levels"),
        ));
    }
    Ok(())
}

/// Whether `name` lies under `path`, directly or at any depth.
pub(super) fn lies_under(name: &str, path: &str, is_recursive: bool) -> bool {
    let path = path.strip_suffix('/').unwrap_or(path);
    let rest = name.strip_prefix(path).and_then(|rest| rest.strip_prefix('/'));
    // A name without a slash lies at the root.
    let rest = if path.is_empty() { Some(name.strip_prefix('/').unwrap_or(name)) } else { rest };
    rest.is_some_and(|rest| is_recursive || !rest.contains('/'))
}

/// Checks a path to look under.
pub(super) fn check_path(path: &str) -> Result<(), AwsError> {
    let is_allowed = |letter: char| letter.is_ascii_alphanumeric() || ".-_/".contains(letter);
    if path.starts_with('/') && !path.contains("//") && path.chars().all(is_allowed) {
        return Ok(());
    }
    Err(validation(
        "The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash \"/\". \
         It can't be prefixed with \"aws\" or \"ssm\" (case-insensitive). It must use only letters, numbers, or the following \
         symbols: . (period), - (hyphen), _ (underscore).",
    ))
}
