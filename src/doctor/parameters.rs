//! `parameters`: that each one is there, none is blank, every `${X}` has its own, and the `.env` says what Parameter Store
//! says. Keys are named, values never.

use super::{Look, Reads, Status, Verdict};
use crate::decide::references;
use crate::error::Error;
use crate::resource::parameters::{self, Leave, Observed};
use crate::resource::{Action, Change};

/// What was seen of them.
#[derive(Debug, Default)]
struct Seen {
    path: String,
    /// How many a worker will find.
    keys: usize,
    /// What contradicts the file.
    errors: Vec<Error>,
    /// Keys whose value is nothing but white space.
    blank: Vec<String>,
    /// What `up` would write.
    changes: Vec<Change>,
    /// In Parameter Store, and not in the `.env` any more.
    vanished: Vec<String>,
}

/// What contradicts file and region.
pub(super) fn contradictions(look: Look<'_>, found: &Observed) -> Vec<Error> {
    if let Some(error) = look.env_error {
        return vec![error.clone()];
    }
    let spec = look.spec;
    let wished = parameters::desired(spec, look.env);
    let keys = parameters::keys(&wished, found);
    let region = std::collections::BTreeSet::from(["AWS_REGION".to_owned()]);
    let region = parameters::plain_values(&wished, found, &region);
    let checks = [
        references::check(spec, &keys),
        references::check_environment(spec, &keys),
        references::check_registry(&keys),
        references::check_region(&region, &look.cloud.region),
    ];
    let foreign = parameters::diff(&wished, found, Leave::default()).err();
    checks.into_iter().filter_map(Result::err).chain(foreign).collect()
}

pub(super) async fn complete(reads: &Reads<'_>) -> Verdict {
    // What is wrong with the `.env` is known without asking.
    if let Some(error) = reads.look.env_error {
        return judge(&Seen { errors: findings(error), ..Seen::default() });
    }
    let spec = reads.look.spec;
    let found = match reads.parameters.clone().await {
        Ok(found) => found,
        Err(error) => return Verdict::unread(&error),
    };
    let wished = parameters::desired(spec, reads.look.env);
    let keys = parameters::keys(&wished, &found);
    let mut seen = Seen {
        path: spec.parameters.path.to_string(),
        keys: keys.len(),
        blank: parameters::blank(&wished, &found),
        errors: contradictions(reads.look, &found),
        ..Seen::default()
    };
    if let Ok(diff) = parameters::diff(&wished, &found, Leave::default()) {
        (seen.changes, seen.vanished) = (diff.changes, diff.vanished);
    }
    judge(&seen)
}

/// What the reader of the `.env` found, one by one: the key is in each one's sentence.
fn findings(error: &Error) -> Vec<Error> {
    let list = error.findings.as_ref().and_then(|findings| findings.list.as_array());
    let Some(list) = list else { return vec![error.clone()] };
    let found = list.iter().map(|finding| {
        let text = |field: &str| finding[field].as_str().unwrap_or_default();
        let mut one = Error::usage(format!("{}:{}: {}", text("file"), finding["line"], text("message")));
        one.hints.extend(Some(text("hint").to_owned()).filter(|hint| !hint.is_empty()));
        one
    });
    found.collect()
}

fn judge(seen: &Seen) -> Verdict {
    if !seen.errors.is_empty() {
        let messages: Vec<&str> = seen.errors.iter().map(|error| error.message.as_str()).collect();
        let hints: Vec<&str> = seen.errors.iter().flat_map(|error| error.hints.iter().map(String::as_str)).collect();
        return Verdict::fail(messages.join("; "), hints.join("\n"));
    }
    let path = &seen.path;
    if !seen.blank.is_empty() {
        let keys = seen.blank.join(", ");
        return Verdict::fail(
            format!("nothing but white space under {path}: {keys}"),
            "give each a value in the `.env`, then: spotctl params push",
        );
    }
    let key = |change: &Change| change.name.rsplit('/').next().unwrap_or_default().to_owned();
    let differing: Vec<String> =
        seen.changes.iter().filter(|change| change.action != Action::Create).map(key).collect();
    let new = seen.changes.iter().filter(|change| change.action == Action::Create).count();
    if !differing.is_empty() || !seen.vanished.is_empty() {
        let mut parts = Vec::new();
        if !differing.is_empty() {
            parts.push(format!("the `.env` differs from {path} in {}", differing.join(", ")));
        }
        if !seen.vanished.is_empty() {
            parts.push(format!("{} under {path} and not in the `.env`", seen.vanished.join(", ")));
        }
        let advice = "see what differs: spotctl params diff\nwrite it: spotctl params push";
        return Verdict::new(Status::Warn, parts.join("; "), Some(advice.to_owned()));
    }
    match (seen.keys, new) {
        (0, _) => Verdict::ok("the file needs none"),
        (keys, 0) => Verdict::ok(format!("{keys} under {path}, none is blank, every ${{X}} has its own")),
        (keys, new) => {
            Verdict::ok(format!("{keys} for {path}, none is blank, {new} of them yet to be written by `up`"))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::resource::Kind;

    #[test]
    fn each_mistake_in_the_env_is_said_by_itself() {
        let mut error = Error::usage("1 mistake in `.env`");
        let list = serde_json::json!([{"file": ".env", "line": 2, "message": "`A` has no value", "hint": "remove it"}]);
        error.findings = Some(Box::new(crate::error::Findings { text: String::new(), list }));
        let found = findings(&error);
        assert_eq!((found[0].message.as_str(), found[0].hints[0].as_str()), (".env:2: `A` has no value", "remove it"));
        assert_eq!(findings(&Error::usage("no file"))[0].message, "no file");
    }

    #[test]
    fn keys_are_named_and_the_first_apply_is_no_drift() {
        let change = |key: &str, action| Change::new(Kind::Parameter, format!("/p/{key}"), action, "");
        let seen = |keys, changes| Seen { path: "/p".to_owned(), keys, changes, ..Seen::default() };
        let blank = Seen { blank: vec!["B".to_owned()], ..seen(2, Vec::new()) };
        let vanished = Seen { vanished: vec!["OLD".to_owned()], ..seen(2, Vec::new()) };
        let wrong = Seen { errors: vec![Error::usage("no X").hint("add it")], ..seen(2, Vec::new()) };
        for (seen, status, evidence) in [
            (seen(0, Vec::new()), Status::Ok, "needs none"),
            (seen(2, Vec::new()), Status::Ok, "2 under /p"),
            (seen(2, vec![change("A", Action::Create)]), Status::Ok, "1 of them yet"),
            (seen(2, vec![change("A", Action::Update), change("C", Action::Create)]), Status::Warn, "in A"),
            (vanished, Status::Warn, "OLD under /p"),
            (blank, Status::Fail, "B"),
            (wrong, Status::Fail, "no X"),
        ] {
            let verdict = judge(&seen);
            assert_eq!(verdict.status, status, "{seen:?}");
            assert!(verdict.evidence.contains(evidence), "{}", verdict.evidence);
        }
    }
}
